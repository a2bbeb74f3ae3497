"""Loads models of Hugging Face's transformers from a folder: weights in safetensors format alone, and no code.

Whatever else a folder holds or its config.json names is ignored: pickles, adapters, and modules in Python.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openrealm import files
from openrealm.errors import BadInput, DamagedArtefact

_CONFIG, _WEIGHTS, _SHARDS = "config.json", "model.safetensors", "model.safetensors.index.json"
# Keys of a config.json that make transformers run code of the model's authors or open other files.
_IGNORED = ("auto_map", "transformers_weights", "attn_implementation", "_attn_implementation", "fusion_config")


def settings_of(folder: Path) -> Any:
    """The configuration in a folder's config.json. Raises OpenRealmError naming the file."""
    return settings_from(files.read_json(folder / _CONFIG, object, "download or copy it again"), str(folder / _CONFIG))


def settings_from(values: Any, where: str) -> Any:
    """The configuration of a model as transformers keeps it. Raises BadInput, in which `where` names its place."""
    from transformers import CONFIG_MAPPING, __version__

    kind = values.get("model_type") if isinstance(values, Mapping) else None
    if not isinstance(kind, str):
        raise BadInput(f"{where} names no model_type; expected the configuration of an encoder")
    if kind not in CONFIG_MAPPING:
        own_code = ", and code that comes with a model is never run" if "auto_map" in values else ""
        raise BadInput(f"{where}: transformers {__version__} has no model_type {kind!r}{own_code}")
    if "quantization_config" in values:
        raise BadInput(f"{where}: the weights are quantised, but floating-point ones are expected")
    try:
        return CONFIG_MAPPING[kind].from_dict({key: value for key, value in values.items() if key not in _IGNORED})
    except Exception as error:  # what a wrong value raises varies with the kind of model and the library's version
        raise BadInput(f"{where} does not describe a model of the type {kind!r} ({_first_line(error)})") from error


def weights_of(folder: Path) -> dict[str, Any]:
    """The tensors of model.safetensors, or of the safetensors files that its index names.

    Raises BadInput if there are none, DamagedArtefact naming a file that cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    weights: dict[str, Any] = {}
    for path in _weight_files(folder):
        try:
            weights |= load_file(path)
        except (SafetensorError, OSError) as error:
            raise DamagedArtefact(f"{path} is damaged ({error}); download or copy it again") from error
    return weights


def _weight_files(folder: Path) -> list[Path]:
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    if not (folder / _SHARDS).is_file():
        raise BadInput(
            f"{folder} has no {_WEIGHTS}; only the safetensors format is read, since other formats such as "
            "pytorch_model.bin are pickles, which can execute code"
        )
    index: object = files.read_json(folder / _SHARDS, object, "download or copy it again")
    shards = index.get("weight_map") if isinstance(index, dict) else None
    names = set(shards.values()) if isinstance(shards, dict) else set()
    for name in names or {None}:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise BadInput(f"{folder / _SHARDS} names {name!r}, but a safetensors file beside it is expected")
    return [folder / name for name in sorted(names)]


def load(models: Mapping[Any, Any], folder: Path, settings: Any, *, attention: str | None = None) -> Any:
    """The model with a folder's weights.

    models     the class by configuration, such as `transformers.MODEL_MAPPING`
    settings   of `settings_of`
    attention  what transformers calls an attention implementation; None is the model's default
    Raises BadInput if there is no class for it, or if the weights do not fit it.
    """
    from transformers.utils.logging import disable_progress_bar

    logging.getLogger("transformers").setLevel(logging.ERROR)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    weights = weights_of(folder)
    try:
        kind = models[type(settings)]
    except KeyError:
        raise BadInput(
            f"{folder} holds a model of the type {settings.model_type!r}, which cannot be used here"
        ) from None
    kind = kind[0] if isinstance(kind, tuple) else kind
    try:
        model, found = kind.from_pretrained(
            None, config=settings, state_dict=weights, attn_implementation=attention, output_loading_info=True
        )
    except Exception as error:  # as above
        raise BadInput(f"{folder} does not hold such a model ({_first_line(error)})") from error
    missing = sorted(name for name in found["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise BadInput(f"{folder} lacks {len(missing)} of the model's tensors, among them {missing[0]}")
    return model


def _first_line(error: BaseException) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__).rstrip(".")
