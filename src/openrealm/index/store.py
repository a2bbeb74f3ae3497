"""Index versions: a folder each, published whole, never changed, named by trainer step and tower digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from openrealm import files
from openrealm.errors import Mismatch, MissingStage, NonFinite, ShapeMismatch

_VECTORS = "vectors.safetensors"


@dataclass(frozen=True, slots=True)
class Binding:
    """What an index belongs to: digests of the passage tower, the tokenizer and the corpus."""

    encoder: str
    tokenizer: str
    corpus: str


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """An opened version. `vector_ND` is float32; row i is the vector of passage i of the bound corpus."""

    name: str
    step: int
    binding: Binding
    vector_ND: Tensor


def version_name(step: int, encoder_digest: str) -> str:
    """Folder name of a version: sorts by step, tells the encoder."""
    return f"{step:08d}-{encoder_digest[:8]}"


def publish(folder: Path, step: int, binding: Binding, vector_ND: Tensor) -> Path:
    """Write a version below `folder`/versions; readers see it whole or not at all.

    Raises NonFinite naming the first bad passage, ShapeMismatch for what is no N x D table, publishing nothing.
    """
    if vector_ND.ndim != 2:
        raise ShapeMismatch(f"vector_ND is {tuple(vector_ND.shape)}; N vectors of D dimensions are expected.")
    finite_N = torch.isfinite(vector_ND).all(dim=1)
    if not bool(finite_N.all()):
        raise NonFinite(
            f"the vector of passage {int((~finite_N).nonzero()[0])} is not finite; this index is not published."
        )
    target = folder / "versions" / version_name(step, binding.encoder)
    manifest = {
        "kind": "index",
        "step": step,
        "encoder": binding.encoder,
        "tokenizer": binding.tokenizer,
        "corpus": binding.corpus,
        "num_passages": int(vector_ND.shape[0]),
        "dim": int(vector_ND.shape[1]),
    }
    with files.new_folder(target, manifest) as out:
        files.write_safetensors(out / _VECTORS, {"vectors": vector_ND.float()})
    return target


def versions(folder: Path) -> list[Path]:
    """Published versions, oldest first."""
    return sorted(
        path.parent
        for path in (folder / "versions").glob(f"*/{files.MANIFEST}")
        if not path.parent.name.startswith(".")
    )


def newest(folder: Path) -> Path:
    """The version of the highest step; raises MissingStage when none was published."""
    found = versions(folder)
    if not found:
        raise MissingStage(f"{folder} holds no index; run `openrealm index` first.")
    return found[-1]


def open_version(path: Path, expected: Binding | None = None) -> IndexVersion:
    """Read a version, its digests checked, and refuse it when it is not bound to what is `expected`.

    Raises Mismatch showing both digests, DamagedArtefact, MissingStage.
    """
    from safetensors.torch import load_file

    manifest = files.read_manifest(path)
    if manifest.get("kind") != "index":
        raise Mismatch(
            f"{path} holds {manifest.get('kind')!r}, not an index; give a folder below versions/ of an index."
        )
    binding = Binding(manifest["encoder"], manifest["tokenizer"], manifest["corpus"])
    for what in ("encoder", "tokenizer", "corpus") if expected else ():
        stored, wanted = getattr(binding, what), getattr(expected, what)
        if stored != wanted:
            raise Mismatch(
                f"{path} was made with another {what}: its digest is {stored[:16]}, the one in use is {wanted[:16]}; "
                "build the index again with `openrealm index`."
            )
    vector_ND = load_file(path / _VECTORS)["vectors"]
    return IndexVersion(path.name, int(manifest["step"]), binding, vector_ND)


def prune(folder: Path, keep: set[str]) -> None:
    """Delete every version but those named; the newest is never deleted."""
    for path in versions(folder)[:-1]:
        if path.name not in keep:
            files.remove_folder(path)
