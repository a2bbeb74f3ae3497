"""A conversion from end to end: what each source is, what is written where, and what the user is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from openrealm import files
from openrealm.convert import huggingface, sentence_transformers, tensorflow
from openrealm.convert.assemble import Source, assemble
from openrealm.convert.passages import build
from openrealm.errors import BadInput
from openrealm.index.index import Binding, Index
from openrealm.model.realm import Realm
from openrealm.text.tokenizer import Tokenizer

Form = Literal["openrealm", "huggingface", "sentence-transformers"]


@dataclass(frozen=True)
class Wanted:
    """What decides a conversion beside its sources.

    tokenizer           folder with tokenizer.json or vocab.txt; none is where the weights lie
    records             the list of passages that `block_emb` has the vectors of
    index               an index version whose vectors become `block_emb`
    num_heads           attention heads of a TensorFlow checkpoint; none is one for every 64 of the hidden size
    max_passage_tokens  word pieces of title and text that a record may have
    """

    tokenizer: Path | None = None
    records: Path | None = None
    index: Path | None = None
    num_heads: int | None = None
    max_passage_tokens: int = 288


def convert(sources: Sequence[Path], out: Path, form: Form, wanted: Wanted) -> list[str]:
    """Convert `sources` into the folder `out`; returns lines that say what became of each part.

    Raises BadInput, Mismatch, MissingStage or DamagedArtefact naming what does not fit; then `out` is as it was.
    """
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise BadInput(f"{out} is there already; give a new folder with --out.")
    if form == "openrealm":
        return _import(sources, out, wanted)
    if len(sources) != 1 or not (sources[0] / files.MANIFEST).is_file():
        raise BadInput(
            f"{sources[0]} is no model of ours; --to {form} takes one, such as runs/NAME/pretrain/model "
            "(convert other weights to openrealm first)."
        )
    model = Realm.from_pretrained(sources[0])
    if form == "sentence-transformers":
        return [f"{path}" for path in sentence_transformers.write(model, out)]
    return [f"{path}" for path in huggingface.write(model, out, _vectors(wanted.index, model))]


def _vectors(index: Path | None, model: Realm) -> Tensor | None:
    """The vectors of an index version (or of the newest in an index folder), which have to be this model's."""
    if index is None:
        return None
    expected = Binding(model.passage_digest(), model.tokenizer.digest, "")
    return Index.open(index, expected=expected).vector_ND


def _import(sources: Sequence[Path], out: Path, wanted: Wanted) -> list[str]:
    found = [_read(path, wanted) for path in sources]
    model, origin = assemble(found, _tokenizer(found, wanted))
    blocks = [source for source in found if source.block_ND is not None]
    if wanted.records is not None and not blocks:
        raise BadInput(f"--records {wanted.records} was given, but no source holds block_emb; leave it away.")
    lines = [f"{role}: {words}" for role, words in origin.items()]
    with files.new_folder(out, {"kind": "conversion", "sources": [str(path) for path in sources]}) as temporary:
        model.save_pretrained(temporary / "model")
        for source in blocks[:1]:
            if wanted.records is None:
                lines.append(f"block_emb of {source.where}: left out, since no --records say what its rows are")
                continue
            assert source.block_ND is not None
            limit = wanted.max_passage_tokens
            corpus = build(wanted.records, source.block_ND, model, temporary, max_passage_tokens=limit)
            lines.append(f"corpus and index: {corpus.num_passages:,} passages with the vectors of {source.where}")
    return [*lines, str(out)]


def _read(path: Path, wanted: Wanted) -> Source:
    if huggingface.is_realm_folder(path):
        return huggingface.read(path)
    if tensorflow.is_checkpoint(path):
        return tensorflow.read(path, path.parent, wanted.num_heads)
    raise BadInput(
        f"{path} is neither a Hugging Face REALM folder (config.json with model_type realm) nor a TensorFlow "
        "checkpoint (the name before .index, or a .npz archive); give one of these."
    )


def _tokenizer(sources: Sequence[Source], wanted: Wanted) -> Tokenizer:
    if wanted.tokenizer is not None:
        return Tokenizer.from_folder(wanted.tokenizer)
    for source in sources:
        if source.folder is not None and any(
            (source.folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")
        ):
            return Tokenizer.from_folder(source.folder)
    raise BadInput(
        f"{sources[0].where} has no tokenizer.json or vocab.txt beside it; give its folder with --tokenizer."
    )
