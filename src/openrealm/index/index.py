"""The index of a corpus: one vector per passage, groups of near-duplicates, and the digests it is bound to.

An index is immutable. On disk it is a version: a folder that is published atomically and named after the training step
and the digest of the passage tower. Vectors are stored, and their codes of 8 bits if those are searched; a searcher
derives all else from them. What is opened is memory-mapped.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from typing_extensions import TypedDict

from openrealm import files
from openrealm.config import Config, Storage
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine, engine_for
from openrealm.errors import BadInput, DamagedArtefact, Mismatch, MissingStage, NonFinite, ShapeMismatch
from openrealm.index.int8 import Codes
from openrealm.index.recall import Recall, recall_on_passages
from openrealm.index.rows import StoredRows, is_finite
from openrealm.index.searcher import MakeSearcher, make_searcher
from openrealm.progress import track
from openrealm.stored import Count, FileEntry, Share, Size, of_kind

_VECTORS = "vectors.safetensors"
_CODES = "codes.safetensors"
_PASSAGES = "passages.bin"
_VERSIONS = "versions"
_SPARE = 4
_ROWS_AT_ONCE = 1 << 16


_TYPES: dict[Storage, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "int8": torch.float16}


class PassageEncoder(Protocol):
    """Embeds the passages of a corpus for an index; `Realm` is one."""

    def embed_corpus(
        self,
        corpus: Corpus,
        *,
        engine: Engine | None = None,
        progress: Callable[[int], None] | None = None,
        passages: npt.NDArray[np.integer] | None = None,
    ) -> Tensor:
        """Vectors of all passages, or of some, N x D, float32, on the CPU; `progress` gets the number just embedded.

        A vector must not depend on which passages are embedded, if an index is to take over those of an earlier one.
        """
        ...

    def passage_digest(self) -> str:
        """Hex SHA-256 of the weights used by `embed_corpus`."""
        ...


class _Measured(TypedDict):
    recall: dict[str, Share]
    num_queries: Size
    queries: str


class _IndexManifest(TypedDict):
    step: Count
    encoder: str
    tokenizer: str
    corpus: str
    num_passages: Size
    dim: Size
    files: dict[str, FileEntry]
    embedded: NotRequired[dict[str, Any]]
    storage: NotRequired[Storage]
    measured: NotRequired[_Measured]


@dataclass(frozen=True, slots=True)
class Binding:
    """Digests of the passage tower, tokenizer and corpus that an index belongs to."""

    encoder: str
    tokenizer: str
    corpus: str

    @classmethod
    def read(cls, version: Path) -> Binding:
        """The binding of a published version, from its manifest. Raises MissingStage or DamagedArtefact."""
        return cls._from_manifest(_manifest_in(version, verify=False))

    @classmethod
    def _from_manifest(cls, manifest: _IndexManifest) -> Binding:
        return cls(manifest["encoder"], manifest["tokenizer"], manifest["corpus"])

    @classmethod
    def of(cls, model: PassageEncoder | None, corpus: Corpus | None) -> Binding:
        """The binding of an index of `corpus` made with `model`; "" stands for the digests of one that is None."""
        return cls(
            "" if model is None else model.passage_digest(),
            "" if corpus is None else corpus.tokenizer_digest,
            "" if corpus is None else corpus.digest,
        )

    def check(self, expected: Binding, where: str) -> None:
        """Raise Mismatch, showing both digests, if this is not `expected`; "" in `expected` matches any digest.

        where  what the message calls the index, such as its folder
        """
        for what in ("encoder", "tokenizer", "corpus"):
            stored, wanted = getattr(self, what), getattr(expected, what)
            if wanted and stored != wanted:
                raise Mismatch(
                    f"{where} was built with another {what}: its digest is {stored[:16]}, the one in use is "
                    f"{wanted[:16]}; rebuild the index with Index.build or `openrealm index`."
                )


class Hits(NamedTuple):
    """Results of a search, best first: scores and passage numbers, both B x K.

    Rows with fewer than K results are padded with passage number -1 and score -inf.
    """

    score_BK: Tensor
    id_BK: Tensor

    def passages(self) -> list[list[int]]:
        """Passage numbers per query, without padding."""
        return [[number for number in row if number >= 0] for row in self.id_BK.tolist()]


class Index:
    """The vectors of all passages of a corpus, computed by one passage tower, and the search over them.

    >>> import openrealm as orm
    >>> corpus = orm.Corpus.build("my_docs/", "corpus/")
    >>> model = orm.Realm.from_pretrained("openrealm-mini")
    >>> index = orm.Index.build(model, corpus)
    >>> hits = index.search(model.encode_query(["Where is the library?"]), k=2)
    >>> hits.id_BK.shape
    torch.Size([1, 2])
    >>> folder = index.save("index/")
    >>> len(orm.Index.open(folder, corpus, model)) == len(corpus)
    True
    """

    def __init__(
        self,
        vector_ND: Tensor,
        binding: Binding,
        *,
        group_N: Tensor | None = None,
        step: int = 0,
        searcher: str | MakeSearcher | None = None,
        storage: Storage = "fp32",
    ) -> None:
        """Create an index in memory; use `Index.build` or `Index.open` to get one for a corpus.

        vector_ND  passage vectors; row i belongs to passage i
        binding    what the vectors were computed with
        group_N    per passage, the first passage of its group of near-duplicates; None puts each into its own group
        step       training step of the passage tower
        searcher   a name in `registry.SEARCHERS`, such as "exact" or "faiss:IVF1024,Flat", or a function from vectors
                   to a `Searcher`; None means "int8" for that storage, else "exact"
        storage    "fp32", "fp16", or "int8": the vectors in float16, and a copy in 8 bits that is searched
        Raises ShapeMismatch if `vector_ND` does not have two dimensions, NonFinite naming the first bad passage.
        """
        if vector_ND.ndim != 2:
            raise ShapeMismatch(
                f"vector_ND has shape {tuple(vector_ND.shape)}; expected N vectors of D dimensions, shape (N, D)."
            )
        if (bad := _first_not_finite(vector_ND)) is not None:
            raise NonFinite(
                f"The vector of passage {bad} is not finite; the weights of the encoder have diverged, so return to an "
                "earlier checkpoint."
            )
        vector_ND = vector_ND.to(_TYPES[storage])
        if storage != "fp32" and (bad := _first_not_finite(vector_ND)) is not None:
            raise NonFinite(f"The vector of passage {bad} is too large for float16; set index.storage to fp32.")
        codes = Codes.of(vector_ND) if storage == "int8" else None
        self._fill(vector_ND, codes, binding, group_N, step, searcher, storage)

    def _fill(
        self,
        vector_ND: Tensor,
        codes: Codes | None,
        binding: Binding,
        group_N: Tensor | None,
        step: int,
        searcher: str | MakeSearcher | None,
        storage: Storage,
        rows: StoredRows | None = None,
    ) -> None:
        self.vector_ND, self.codes, self.storage = vector_ND, codes, storage
        self._rows = vector_ND if rows is None else rows
        self.binding, self.step = binding, step
        if group_N is not None:
            self.group_N = group_N
        self.measured: Recall | None = None
        self._embedded: tuple[npt.NDArray[np.integer], dict[str, Any]] | None = None
        self._make_searcher = searcher
        self.searcher = make_searcher(searcher or ("exact" if codes is None else "int8"), vector_ND, codes, rows)

    @classmethod
    def build(
        cls,
        model: PassageEncoder,
        corpus: Corpus,
        folder: str | Path | None = None,
        *,
        step: int = 0,
        engine: Engine | None = None,
        searcher: str | MakeSearcher | None = None,
        storage: Storage = "fp32",
        earlier: str | Path | None = None,
    ) -> Index:
        """Embed every passage of `corpus` with the passage tower of `model`.

        folder    where to `save` the index; None keeps it in memory only
        step      training step of the passage tower
        engine    device and precision; None chooses them to suit the hardware
        searcher  as in the constructor
        storage   as in the constructor; for "fp16" and "int8" recall is measured, see `measured`
        earlier   folder that an index of another corpus was saved in: passages that it has too, embedded with the same
                  passage tower, are not embedded again
        Raises NonFinite if a vector is not finite.
        """
        binding, engine = Binding.of(model, corpus), engine or engine_for(Config())
        how = {"max_row_tokens": corpus.max_row_tokens, "device": engine.device, "bf16": engine.bf16}
        place_N, known_MD = _known_vectors(None if earlier is None else Path(earlier), binding, how, corpus, storage)
        new = np.flatnonzero(place_N < 0)
        with track("index", len(new)) as advance:
            some = None if len(new) == len(corpus) else new
            vector_ND = model.embed_corpus(corpus, engine=engine, progress=advance, passages=some)
        if known_MD is not None:
            place_N[new] = len(known_MD) + np.arange(len(new))
            vector_ND = torch.cat([known_MD, vector_ND.to(known_MD.dtype)])[torch.from_numpy(place_N)]
        index = cls(vector_ND, binding, group_N=_groups(corpus), step=step, searcher=searcher, storage=storage)
        if storage != "fp32":
            index.measured = recall_on_passages(vector_ND, index.searcher)
        index._embedded = corpus.ids, how
        if folder is not None:
            index.save(folder)
        return index

    @classmethod
    def open(
        cls,
        folder: str | Path,
        corpus: Corpus | None = None,
        model: PassageEncoder | None = None,
        *,
        expected: Binding | None = None,
        searcher: str | MakeSearcher | None = None,
        verify: bool = True,
    ) -> Index:
        """Open an index, memory-mapped.

        folder         a version, or the folder that was passed to `save`, of which the newest version is read
        corpus, model  what the index must belong to, if given; without `corpus` each passage is its own group
        expected       digests that the index must have, instead of those of `corpus` and `model`
        searcher       as in the constructor
        verify         check the digests of its files, and that all numbers are finite; if not, hardly anything is read
        Raises MissingStage if there is no index, DamagedArtefact, or Mismatch showing both digests.
        """
        expected = expected or Binding.of(model, corpus)
        path = Path(folder)
        is_version = (path / files.MANIFEST).exists()
        while True:
            version = path if is_version else newest(path)
            try:
                return cls._read(version, corpus, expected, searcher, verify=verify)
            except (DamagedArtefact, MissingStage):
                # A trainer that switches to a newer version removes older ones.
                if is_version or version.exists():
                    raise

    @classmethod
    def _read(
        cls,
        path: Path,
        corpus: Corpus | None,
        expected: Binding,
        searcher: str | MakeSearcher | None,
        *,
        verify: bool,
    ) -> Index:
        manifest = _manifest_in(path, verify=verify)
        binding = Binding._from_manifest(manifest)
        binding.check(expected, str(path))
        num_passages, storage = manifest["num_passages"], manifest.get("storage", "fp32")
        if corpus is not None and len(corpus) != num_passages:
            raise DamagedArtefact(
                f"{path / files.MANIFEST}: num_passages is {num_passages}, but {corpus.folder} has {len(corpus)}; "
                "rebuild the index."
            )
        shape = num_passages, manifest["dim"]
        vector_ND = _mapped(path / _VECTORS, {"vectors": (_TYPES[storage], shape)}, verify=verify)["vectors"]
        codes, rows = None, None
        if storage == "int8":
            rows = StoredRows(cast("np.memmap[Any, Any]", files.map_safetensors(path / _VECTORS)["vectors"]))
            stored = {"codes": (torch.int8, shape), "scale": (torch.float32, shape[1:])}
            tensors = _mapped(path / _CODES, stored, verify=verify)
            codes = Codes(tensors["codes"], tensors["scale"])
        index = cls.__new__(cls)
        group_N = _groups(corpus) if corpus else None
        index._fill(vector_ND, codes, binding, group_N, manifest["step"], searcher, storage, rows)
        if found := manifest.get("measured"):
            index.measured = Recall(**found)
        return index

    @functools.cached_property
    def group_N(self) -> Tensor:
        """Per passage, the first passage of its group of near-duplicates."""
        return torch.arange(len(self.vector_ND), dtype=torch.int32)

    @property
    def name(self) -> str:
        """Folder name of this version: training step and the start of the passage tower's digest."""
        return version_name(self.step, self.binding.encoder)

    def __len__(self) -> int:
        return len(self.vector_ND)

    def search(
        self,
        query: Tensor | npt.NDArray[np.floating],
        k: int,
        exclude: Sequence[Collection[int]] | None = None,
    ) -> Hits:
        """The k passages with the largest inner product for each query.

        query    query vectors, B x D or a single one of shape (D,), as returned by `Realm.encode_query`
        k        maximum number of passages per query, at least 1
        exclude  per query, numbers of passages to leave out together with their near-duplicates
        Queries that are not finite, such as those of a training that has diverged, are searched for as zeros.
        Raises BadInput if a shape, k or a passage number does not fit.
        """
        query_BD = torch.as_tensor(query).detach().float().cpu()
        query_BD = query_BD[None] if query_BD.ndim == 1 else query_BD
        if query_BD.ndim != 2 or query_BD.shape[1] != self.vector_ND.shape[1] or k < 1:
            raise BadInput(
                f"Index.search got queries of shape {tuple(query_BD.shape)} and k={k}; expected vectors of "
                f"{self.vector_ND.shape[1]} dimensions and k of at least 1."
            )
        is_finite_B1 = query_BD.norm(dim=1, keepdim=True).isfinite()
        query_BD = query_BD if is_finite_B1.all() else query_BD.where(is_finite_B1, 0.0)
        if exclude is None:
            return Hits(*self.searcher.search(query_BD, k))
        if len(exclude) != len(query_BD):
            raise BadInput(
                f"Index.search got {len(exclude)} collections of passages to exclude for {len(query_BD)} queries; "
                "expected one per query, which may be empty."
            )
        return self._search_without(query_BD, k, [self._groups_of(passages) for passages in exclude])

    def vectors(self, ids: Tensor) -> Tensor:
        """The vectors of passages in float32, of the shape of `ids` and D."""
        return self._rows[ids.flatten()].float().reshape(*ids.shape, -1)

    def scores(self, query_D: Tensor) -> Tensor:
        """The inner products of one query, shape (D,), with all passages, N, float32."""
        blocks = self.vector_ND.split(_ROWS_AT_ONCE)  # type: ignore[no-untyped-call]
        return torch.cat([vector_nD.float() @ query_D for vector_nD in blocks])

    def restricted(self, is_allowed_N: npt.NDArray[np.bool_]) -> Index:
        """The same index, whose `search` finds only the passages that are allowed."""
        from openrealm.index.restricted import RestrictedSearcher

        index = copy.copy(self)
        index.searcher = RestrictedSearcher(self.searcher, torch.from_numpy(is_allowed_N))
        return index

    def _groups_of(self, passages: Collection[int]) -> set[int]:
        if bad := [passage for passage in passages if not 0 <= passage < len(self)]:
            raise BadInput(f"exclude contains {bad[0]}, but passages are numbered from 0 to {len(self) - 1}.")
        return set(self.group_N[list(passages)].tolist()) if len(passages) else set()

    def _search_without(self, query_BD: Tensor, k: int, excluded: Sequence[set[int]]) -> Hits:
        """Search without the excluded groups: request a few extra results, and more if those do not suffice."""
        num_requested = k + _SPARE
        while True:
            score_BR, id_BR = self.searcher.search(query_BD, num_requested)
            groups = self.group_N[id_BR].tolist()
            kept = [
                [place for place, group in enumerate(row) if group not in bad][:k]
                for row, bad in zip(groups, excluded, strict=True)
            ]
            # A searcher that returns fewer than it was asked for has no more to give.
            is_exhausted = num_requested >= len(self) or id_BR.shape[1] < num_requested
            if is_exhausted or all(len(row) == k for row in kept):
                return _hits(score_BR, id_BR, kept)
            size_G = torch.bincount(self.group_N)
            num_requested = k + max(int(size_G[list(bad)].sum()) for bad in excluded)

    def check(self, model: PassageEncoder, corpus: Corpus) -> None:
        """Raise Mismatch, showing both digests, unless this index was built with `model` for `corpus`."""
        self.binding.check(Binding.of(model, corpus), f"Index {self.name}")

    def refresh(self, model: PassageEncoder, corpus: Corpus, *, step: int = 0, engine: Engine | None = None) -> Index:
        """A new index of `corpus` with the current passage tower of `model`, or this one if the tower has not changed.

        step    training step of the passage tower
        engine  device and precision; None chooses them to suit the hardware
        Raises Mismatch if this index is not of `corpus`.
        """
        self.binding.check(Binding.of(None, corpus), f"Index {self.name}")
        if model.passage_digest() == self.binding.encoder:
            return self
        return type(self).build(
            model, corpus, step=step, engine=engine, searcher=self._make_searcher, storage=self.storage
        )

    def save(self, folder: str | Path, *, key: str | None = None) -> Path:
        """Publish this index atomically as a version in `folder`; returns the version's folder.

        key  stored in the manifest as "build_key", if given
        """
        target = Path(folder) / _VERSIONS / self.name
        manifest: dict[str, Any] = {
            "kind": "index",
            "step": self.step,
            "encoder": self.binding.encoder,
            "tokenizer": self.binding.tokenizer,
            "corpus": self.binding.corpus,
            "num_passages": int(self.vector_ND.shape[0]),
            "dim": int(self.vector_ND.shape[1]),
            "storage": self.storage,
        }
        manifest |= {"measured": asdict(self.measured)} if self.measured is not None else {}
        manifest |= {files.KEY: key} if key is not None else {}
        with files.new_folder(target, manifest) as out:
            if self._embedded is not None:
                ids, manifest["embedded"] = self._embedded
                files.write_bytes(out / _PASSAGES, np.ascontiguousarray(ids).tobytes())
            files.stream_safetensors(out / _VECTORS, {"vectors": self.vector_ND})
            if self.codes is not None:
                files.stream_safetensors(out / _CODES, {"codes": self.codes.code_ND, "scale": self.codes.scale_D})
        return target


def version_name(step: int, encoder_digest: str) -> str:
    """Folder name of a version: training step and the start of the passage tower's digest; sorts by step."""
    return f"{step:08d}-{encoder_digest[:8]}"


def versions(folder: Path) -> list[Path]:
    """Folders of the versions published in `folder`, by training step."""
    found = (path.parent for path in (folder / _VERSIONS).glob(f"*/{files.MANIFEST}"))
    return sorted(path for path in found if not path.name.startswith("."))


def version_named(folder: Path, name: str) -> Path:
    """Path of the version `Index.name`, whether published or not."""
    return folder / _VERSIONS / name


def version_folder(folder: Path, step: int, encoder_digest: str) -> Path:
    """Path of the version of a training step and passage tower, whether published or not."""
    return version_named(folder, version_name(step, encoder_digest))


def newest(folder: Path) -> Path:
    """The version with the highest training step. Raises MissingStage if none has been published."""
    found = versions(folder)
    if not found:
        raise MissingStage(f"{folder} contains no index; build one with Index.build or `openrealm index` first.")
    return found[-1]


def remove(folder: Path, names: Collection[str]) -> None:
    """Delete versions by name. A reader that has one open is not disturbed."""
    for name in names:
        files.remove_folder(version_named(folder, name))


def prune(folder: Path, keep: Collection[str]) -> None:
    """Delete all versions except the newest one and those named in `keep`."""
    remove(folder, [path.name for path in versions(folder)[:-1] if path.name not in keep])


def _manifest_in(version: Path, *, verify: bool = True) -> _IndexManifest:
    manifest = files.read_manifest(version, verify=False)
    if manifest.get("kind") != "index":
        raise Mismatch(
            f"{version} contains {manifest.get('kind')!r}, not an index; give a folder written by Index.save or one of "
            "its versions."
        )
    needs = (_VECTORS, *([_CODES] if manifest.get("storage") == "int8" else []))
    files.read_manifest(version, verify=verify, needs=needs)
    return of_kind(_IndexManifest, manifest, version / files.MANIFEST, "rebuild the index")


def _known_vectors(
    folder: Path | None, binding: Binding, how: dict[str, Any], corpus: Corpus, storage: Storage
) -> tuple[npt.NDArray[np.int64], Tensor | None]:
    """Vectors of an earlier version in `folder`, and for each passage of `corpus` the row that is its own, or -1."""
    for version in reversed(versions(folder)) if folder is not None else ():
        with contextlib.suppress(DamagedArtefact, Mismatch, MissingStage):
            manifest = _manifest_in(version)
            held = Binding._from_manifest(manifest)
            if (held.encoder, held.tokenizer) != (binding.encoder, binding.tokenizer):
                continue
            if _PASSAGES not in manifest["files"] or manifest.get("embedded") != how:
                continue
            if _TYPES[manifest.get("storage", "fp32")] != _TYPES[storage]:
                continue
            ids = np.fromfile(version / _PASSAGES, np.uint8).reshape(-1, corpus.ids.shape[1])
            vector_MD = map_tensors(version / _VECTORS)["vectors"]
            if len(ids) == len(vector_MD):
                return _places_of(corpus.ids, ids), vector_MD
    return np.full(len(corpus), -1), None


def _places_of(ids_N: npt.NDArray[np.integer], known_M: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """(N,) the row of `known_M` that equals each row of `ids_N`, or -1; rows are digests of 16 bytes."""
    half_N2, half_M2 = (np.ascontiguousarray(ids, np.uint8).view("<u8") for ids in (ids_N, known_M))
    order = np.argsort(half_M2[:, 0], kind="stable")
    places = order[np.minimum(np.searchsorted(half_M2[order, 0], half_N2[:, 0]), len(order) - 1)]
    return np.where((half_M2[places] == half_N2).all(axis=1), places, -1)


def _mapped(
    path: Path, expected: Mapping[str, tuple[torch.dtype, tuple[int, ...]]], *, verify: bool
) -> dict[str, Tensor]:
    """The tensors of a file, which must have these types and shapes. Raises DamagedArtefact."""
    arrays = files.map_safetensors(path)
    tensors = {name: _tensor(array) for name, array in arrays.items()}
    for name, (dtype, shape) in expected.items():
        found = tensors.get(name)
        if found is None or found.dtype != dtype or tuple(found.shape) != shape:
            what = "none" if found is None else f"{found.dtype} of shape {tuple(found.shape)}"
            raise DamagedArtefact(
                f"{path} must hold {name!r}, {dtype} of shape {shape}, as its manifest says, but holds {what}; rebuild "
                "the index."
            )
        if verify and found.is_floating_point() and not is_finite(arrays[name]):
            raise DamagedArtefact(f"{path}: {name} has values that are not finite; rebuild {path.parent}.")
    return tensors


def map_tensors(path: Path) -> dict[str, Tensor]:
    """`files.map_safetensors` as tensors. They must not be written to."""
    return {name: _tensor(array) for name, array in files.map_safetensors(path).items()}


def _tensor(array: npt.NDArray[Any]) -> Tensor:
    """An array, which may be read-only, as a tensor without a copy. It must not be written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def _first_not_finite(values: Tensor) -> int | None:
    """The first row (or number) that is not finite."""
    for place, part in enumerate(values.split(_ROWS_AT_ONCE)):  # type: ignore[no-untyped-call]
        if not bool(part.isfinite().all()):
            rows = part.isfinite().reshape(len(part), -1).all(dim=1)
            return place * _ROWS_AT_ONCE + int((~rows).nonzero()[0])
    return None


def _groups(corpus: Corpus) -> Tensor:
    return _tensor(np.asarray(corpus.groups).view(np.int32))  # mapped, as the corpus has them


def _hits(score_BR: Tensor, id_BR: Tensor, kept: Sequence[Sequence[int]]) -> Hits:
    """The results at the positions `kept` of each row, padded to the longest."""
    longest = max((len(row) for row in kept), default=0)
    score_BK = torch.full((len(kept), longest), -torch.inf)
    id_BK = torch.full((len(kept), longest), -1)
    for b, places in enumerate(kept):
        score_BK[b, : len(places)], id_BK[b, : len(places)] = score_BR[b, places], id_BR[b, places]
    return Hits(score_BK, id_BK)
