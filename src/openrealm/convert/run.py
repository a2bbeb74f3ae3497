"""A complete conversion: recognising the sources, writing the result, and reporting where each part came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from openrealm import files
from openrealm.convert import huggingface, onnx, sentence_transformers, tensorflow
from openrealm.convert.assemble import Source, assemble
from openrealm.convert.passages import build
from openrealm.errors import BadInput
from openrealm.index.index import Binding, Index
from openrealm.model.realm import Realm
from openrealm.progress import counted
from openrealm.text.tokenizer import Tokenizer

Form = Literal["openrealm", "huggingface", "sentence-transformers", "onnx"]


@dataclass(frozen=True)
class Options:
    """Options of a conversion.

    tokenizer           folder with tokenizer.json or vocab.txt; None looks in the folders of the weights
    records             file with the passages whose vectors are in `block_emb`
    index               index whose vectors become `block_emb`
    num_heads           attention heads of a TensorFlow checkpoint; None means one per 64 hidden units
    max_passage_tokens  longest record, in word pieces of title and text
    """

    tokenizer: Path | None = None
    records: Path | None = None
    index: Path | None = None
    num_heads: int | None = None
    max_passage_tokens: int = 288


def convert(sources: Sequence[Path], out: Path, form: Form, options: Options) -> list[str]:
    """Convert `sources` into the folder `out`; returns lines that say where each part came from.

    Raises BadInput, Mismatch, MissingStage or DamagedArtefact naming what does not fit, and leaves `out` unchanged.
    """
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise BadInput(f"{out} already exists; give a new folder with --out.")
    if form == "openrealm":
        return _import(sources, out, options)
    if not sources[0].exists():
        raise BadInput(f"{sources[0]} does not exist; give the folder of an openrealm model.")
    if len(sources) != 1 or not (sources[0] / files.MANIFEST).is_file():
        raise BadInput(
            f"{sources[0]} is not an openrealm model; --to {form} needs one, such as runs/NAME/pretrain/model "
            "(convert other weights to openrealm first)."
        )
    model = Realm.from_pretrained(sources[0])
    if form == "huggingface":
        written = huggingface.write(model, out, _vectors(options.index, model))
    else:
        written = {"sentence-transformers": sentence_transformers.write, "onnx": onnx.write}[form](model, out)
    return [str(path) for path in written]


def _vectors(index: Path | None, model: Realm) -> Tensor | None:
    """The vectors of an index version (or the newest in an index folder), which must be those of this model."""
    if index is None:
        return None
    expected = Binding(model.passage_digest(), model.tokenizer.digest, "")
    return Index.open(index, expected=expected).vector_ND.float()


def _import(sources: Sequence[Path], out: Path, options: Options) -> list[str]:
    found = [_read(path, options) for path in sources]
    model, origin = assemble(found, _tokenizer(found, options))
    blocks = [source for source in found if source.block_ND is not None]
    if options.records is not None and not blocks:
        raise BadInput(f"--records {options.records} was given, but no source contains block_emb; omit the option.")
    lines = [f"{role}: {description}" for role, description in origin.items()]
    with files.new_folder(out, {"kind": "conversion", "sources": [str(path) for path in sources]}) as temporary:
        model.save_pretrained(temporary / "model")
        for source in blocks[:1]:
            if options.records is None:
                lines.append(f"block_emb of {source.where}: skipped; give its passages with --records to import it")
                continue
            assert source.block_ND is not None
            limit = options.max_passage_tokens
            corpus = build(options.records, source.block_ND, model, temporary, max_passage_tokens=limit)
            lines.append(
                f"corpus and index: {counted({'passage': corpus.num_passages})} with the vectors of {source.where}"
            )
    return [*lines, str(out)]


def _read(path: Path, options: Options) -> Source:
    if huggingface.is_realm_folder(path):
        return huggingface.read(path)
    if tensorflow.is_checkpoint(path):
        return tensorflow.read(path, path.parent, options.num_heads)
    if not path.exists():
        raise BadInput(f"{path} does not exist; give a folder, a .npz archive, or a checkpoint's name before .index.")
    raise BadInput(
        f"{path} is neither a Hugging Face REALM folder (config.json with model_type realm) nor a TensorFlow "
        "checkpoint (the name before .index, or a .npz archive)."
    )


def _tokenizer(sources: Sequence[Source], options: Options) -> Tokenizer:
    if options.tokenizer is not None:
        return Tokenizer.from_folder(options.tokenizer)
    for source in sources:
        if source.folder is not None and any(
            (source.folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")
        ):
            return Tokenizer.from_folder(source.folder)
    raise BadInput(f"{sources[0].where} has no tokenizer.json or vocab.txt; add --tokenizer FOLDER.")
