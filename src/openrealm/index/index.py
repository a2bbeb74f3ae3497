"""The index of a corpus: a vector for every passage, the groups of near-duplicates, and what it was made with.

An index is immutable. On disk it is a version: a folder that is published atomically and named by training step and
tower digest. Vectors are the truth; search structures are derived from them by a searcher.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from openrealm import files
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import BadInput, Mismatch, MissingStage, NonFinite, ShapeMismatch
from openrealm.progress import track
from openrealm.registry import SEARCHERS

_VECTORS = "vectors.safetensors"
_VERSIONS = "versions"
_SPARE = 4


class PassageEncoder(Protocol):
    """What an index is built with; `Realm` is one."""

    def embed_corpus(
        self, corpus: Corpus, *, engine: Engine | None = None, progress: Callable[[int], None] | None = None
    ) -> Tensor:
        """Vectors of all passages, N x D, float32, on the CPU."""
        ...

    def passage_digest(self) -> str:
        """SHA-256 of the weights that `embed_corpus` uses."""
        ...


class Searcher(Protocol):
    """Maximum inner product search over the vectors that it was made with."""

    def search(self, query_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and passage numbers, both B x min(k, N), best first, ties by passage number."""
        ...


MakeSearcher = Callable[[Tensor], Searcher]


@dataclass(frozen=True, slots=True)
class Binding:
    """What an index belongs to: digests of passage tower, tokenizer and corpus."""

    encoder: str
    tokenizer: str
    corpus: str

    def check(self, expected: Binding, where: str) -> None:
        """Raise Mismatch, showing both digests, if this is not `expected`; "" in `expected` matches everything."""
        for what in ("encoder", "tokenizer", "corpus"):
            stored, wanted = getattr(self, what), getattr(expected, what)
            if wanted and stored != wanted:
                raise Mismatch(
                    f"{where} was made with another {what}: its digest is {stored[:16]}, the one in use is "
                    f"{wanted[:16]}; build the index again with `openrealm index`."
                )


class Hits(NamedTuple):
    """What a search found, best first: scores and passage numbers, both B x K.

    A query with fewer than K results is padded with the passage number -1 and the score -inf.
    """

    score_BK: Tensor
    id_BK: Tensor

    def passages(self) -> list[list[int]]:
        """Passage numbers per query, without padding."""
        return [[number for number in row if number >= 0] for row in self.id_BK.tolist()]


class Index:
    """Vectors of all passages of one corpus, made by one passage tower, and the search over them.

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
        searcher: str | MakeSearcher = "exact",
    ) -> None:
        """An index in memory; `Index.build` and `Index.open` make one for a corpus.

        vector_ND  float32; row i is the vector of passage i
        binding    what the vectors were made with
        group_N    group of near-duplicates of each passage, named by its first passage; None: every passage is alone
        step       training step of the passage tower
        searcher   a name in `registry.SEARCHERS`, or a function from vectors to a `Searcher`
        Raises ShapeMismatch if `vector_ND` is not a table, NonFinite naming the first bad passage.
        """
        if vector_ND.ndim != 2:
            raise ShapeMismatch(f"vector_ND is {tuple(vector_ND.shape)}; N vectors of D dimensions are expected.")
        finite_N = torch.isfinite(vector_ND).all(dim=1)
        if not bool(finite_N.all()):
            raise NonFinite(
                f"The vector of passage {int((~finite_N).nonzero()[0])} is not finite; no index is made of it."
            )
        self.vector_ND = vector_ND.float()
        self.binding, self.step = binding, step
        self.group_N = torch.arange(len(vector_ND)) if group_N is None else group_N
        self._make_searcher: MakeSearcher = SEARCHERS.get(searcher) if isinstance(searcher, str) else searcher
        self.searcher = self._make_searcher(self.vector_ND)

    @classmethod
    def build(
        cls,
        model: PassageEncoder,
        corpus: Corpus,
        folder: str | Path | None = None,
        *,
        step: int = 0,
        engine: Engine | None = None,
        searcher: str | MakeSearcher = "exact",
    ) -> Index:
        """Embed every passage of `corpus` with the passage tower of `model`.

        folder  where to `save` the index; None keeps it in memory alone
        engine  precision of the matrix products; None chooses it by the hardware
        """
        with track("index", corpus.num_passages) as advance:
            vector_ND = model.embed_corpus(corpus, engine=engine, progress=advance)
        binding = Binding(model.passage_digest(), corpus.tokenizer_digest, corpus.digest)
        index = cls(vector_ND, binding, group_N=_groups(corpus), step=step, searcher=searcher)
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
        searcher: str | MakeSearcher = "exact",
    ) -> Index:
        """Read a version, or the newest one below a folder that `save` was given, with its digests checked.

        corpus, model  what the index has to belong to, as far as given; the corpus brings the groups too
        expected       the same as digests
        Raises MissingStage, DamagedArtefact, or Mismatch showing both digests.
        """
        from safetensors.torch import load_file

        path = Path(folder)
        path = path if (path / files.MANIFEST).exists() else newest(path)
        manifest = files.read_manifest(path)
        if manifest.get("kind") != "index":
            raise Mismatch(
                f"{path} holds {manifest.get('kind')!r}, not an index; give a folder that Index.save wrote, or one of "
                "its versions."
            )
        binding = Binding(manifest["encoder"], manifest["tokenizer"], manifest["corpus"])
        if expected is None:
            expected = Binding(
                model.passage_digest() if model else "",
                corpus.tokenizer_digest if corpus else "",
                corpus.digest if corpus else "",
            )
        binding.check(expected, str(path))
        vector_ND = load_file(path / _VECTORS)["vectors"]
        group_N = _groups(corpus) if corpus else None
        return cls(vector_ND, binding, group_N=group_N, step=int(manifest["step"]), searcher=searcher)

    @property
    def name(self) -> str:
        """Folder name of this version: sorts by step and shows the tower."""
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

        query    query vectors, B x D (or one vector, D), as `Realm.encode_query` returns them
        exclude  per query, passages that must not be found; their near-duplicates are left out too
        """
        query_BD = torch.as_tensor(query).detach().float().cpu()
        query_BD = query_BD[None] if query_BD.ndim == 1 else query_BD
        if query_BD.shape[1] != self.vector_ND.shape[1] or k < 1:
            raise BadInput(
                f"search got queries of shape {tuple(query_BD.shape)} and k={k}; vectors of {self.vector_ND.shape[1]} "
                "dimensions and k >= 1 are expected."
            )
        if exclude is None:
            return Hits(*self.searcher.search(query_BD, k))
        return self._search_without(query_BD, k, [self._groups_of(passages) for passages in exclude])

    def _groups_of(self, passages: Collection[int]) -> set[int]:
        return set(self.group_N[list(passages)].tolist()) if len(passages) else set()

    def _search_without(self, query_BD: Tensor, k: int, excluded: Sequence[set[int]]) -> Hits:
        """`search` without the excluded groups: a few more results are asked for, and more where those do not do."""
        num_asked = k + _SPARE
        while True:
            score_BA, id_BA = self.searcher.search(query_BD, num_asked)
            groups = self.group_N[id_BA].tolist()
            kept = [
                [place for place, group in enumerate(row) if group not in bad][:k]
                for row, bad in zip(groups, excluded, strict=True)
            ]
            if num_asked >= len(self) or all(len(row) == k for row in kept):
                return _hits(score_BA, id_BA, kept)
            size_G = torch.bincount(self.group_N)
            num_asked = k + max(int(size_G[list(bad)].sum()) for bad in excluded)

    def check(self, model: PassageEncoder, corpus: Corpus) -> None:
        """Raise Mismatch, showing both digests, if this is not an index of `corpus` by the passage tower of `model`."""
        expected = Binding(model.passage_digest(), corpus.tokenizer_digest, corpus.digest)
        self.binding.check(expected, f"Index {self.name}")

    def refresh(self, model: PassageEncoder, corpus: Corpus, *, step: int = 0, engine: Engine | None = None) -> Index:
        """An index of the same corpus by the passage tower as it is now; this one, if the tower is the same.

        Raises Mismatch if `corpus` is not the one that this index was made for.
        """
        self.binding.check(Binding("", corpus.tokenizer_digest, corpus.digest), f"Index {self.name}")
        if model.passage_digest() == self.binding.encoder:
            return self
        return type(self).build(model, corpus, step=step, engine=engine, searcher=self._make_searcher)

    def save(self, folder: str | Path) -> Path:
        """Publish this index as a version below `folder`, atomically; returns the version's folder."""
        target = Path(folder) / _VERSIONS / self.name
        manifest = {
            "kind": "index",
            "step": self.step,
            "encoder": self.binding.encoder,
            "tokenizer": self.binding.tokenizer,
            "corpus": self.binding.corpus,
            "num_passages": int(self.vector_ND.shape[0]),
            "dim": int(self.vector_ND.shape[1]),
        }
        with files.new_folder(target, manifest) as out:
            files.write_safetensors(out / _VECTORS, {"vectors": self.vector_ND})
        return target


def version_name(step: int, encoder_digest: str) -> str:
    """Folder name of a version: sorts by step and shows the tower."""
    return f"{step:08d}-{encoder_digest[:8]}"


def versions(folder: Path) -> list[Path]:
    """Published versions below `folder`, oldest first."""
    found = (path.parent for path in (folder / _VERSIONS).glob(f"*/{files.MANIFEST}"))
    return sorted(path for path in found if not path.name.startswith("."))


def version_folder(folder: Path, step: int, encoder_digest: str) -> Path:
    """Where the version of a step and a tower lies, whether or not it has been published."""
    return folder / _VERSIONS / version_name(step, encoder_digest)


def newest(folder: Path) -> Path:
    """The version of the highest step. Raises MissingStage if none has been published."""
    found = versions(folder)
    if not found:
        raise MissingStage(f"{folder} holds no index; build one with Index.build, or run `openrealm index` first.")
    return found[-1]


def prune(folder: Path, keep: Collection[str]) -> None:
    """Delete every version but those named; the newest is never deleted."""
    for path in versions(folder)[:-1]:
        if path.name not in keep:
            files.remove_folder(path)


def _groups(corpus: Corpus) -> Tensor:
    return torch.from_numpy(corpus.groups.astype("int64"))


def _hits(score_BA: Tensor, id_BA: Tensor, kept: Sequence[Sequence[int]]) -> Hits:
    """The results at the places `kept` of each row, padded to the longest."""
    longest = max((len(row) for row in kept), default=0)
    score_BK = torch.full((len(kept), longest), -torch.inf)
    id_BK = torch.full((len(kept), longest), -1)
    for b, places in enumerate(kept):
        score_BK[b, : len(places)], id_BK[b, : len(places)] = score_BA[b, places], id_BA[b, places]
    return Hits(score_BK, id_BK)
