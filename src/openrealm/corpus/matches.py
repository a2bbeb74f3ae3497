"""What a corpus of queries (X) shares with the corpus of candidates (Z), computed once and stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from openrealm import files
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.near_duplicates import near_matches
from openrealm.corpus.ragged import Ragged
from openrealm.errors import DamagedArtefact, Mismatch

FORMAT = 1
_NAME = "groups"


class Matches:
    """For each passage of X, the groups of Z with the same or nearly the same text: never candidates for it."""

    def __init__(self, folder: Path, num_passages: int, num_groups: int) -> None:
        """Use `Matches.between`."""
        self._groups = Ragged(folder, _NAME, "u4")
        if len(self._groups) != num_passages:
            raise DamagedArtefact(
                f"{folder} has matches for {len(self._groups)} passages not {num_passages}; remove it to recompute."
            )
        if int(self._groups.values.max(initial=0)) >= num_groups:
            raise DamagedArtefact(f"{folder} has matches outside the {num_groups} passages; remove it to recompute.")

    @staticmethod
    def between(
        queries: Corpus, corpus: Corpus, folder: Path, *, progress: Callable[[int], None] | None = None
    ) -> Matches:
        """The matches stored in `folder` if they belong to these two corpora, else newly computed and stored there.

        `progress` gets numbers that add up to twice the passages of both. Raises Mismatch with both digests when the
        corpora were cut with different tokenizers: a token of one would mean another word in the other.
        """
        if queries.tokenizer_digest != corpus.tokenizer_digest:
            raise Mismatch(
                f"{queries.folder} was tokenised with {queries.tokenizer_digest}, but {corpus.folder} with "
                f"{corpus.tokenizer_digest}; rebuild the corpus of queries with the same model.backbone."
            )
        wanted = {"kind": "matches", "format": FORMAT, "queries": queries.digest, "corpus": corpus.digest}
        if not _holds(folder, wanted):
            _find(queries, corpus, folder, wanted, progress)
        return Matches(folder, queries.num_passages, corpus.num_passages)

    def groups(self, passage: int) -> tuple[int, ...]:
        """Groups of Z that are blocked for passage `passage` of X, ascending."""
        return tuple(self._groups[passage].tolist())


def _holds(folder: Path, wanted: dict[str, object]) -> bool:
    if not (folder / files.MANIFEST).exists():
        return False
    manifest = files.read_manifest(folder, needs=(f"{_NAME}.bin", f"{_NAME}.ends.bin"))
    return all(manifest.get(name) == value for name, value in wanted.items())


def _find(
    queries: Corpus,
    corpus: Corpus,
    folder: Path,
    wanted: dict[str, object],
    progress: Callable[[int], None] | None,
) -> None:
    x, group = near_matches(_texts(queries), _texts(corpus), corpus.groups.astype(np.int64), progress=progress)
    ends = np.searchsorted(x, np.arange(queries.num_passages), side="right")
    matched = {"num_matched_passages": len(np.unique(x))}
    with files.new_folder(folder, {**wanted, **matched}) as out:
        files.write_bytes(out / f"{_NAME}.bin", group.astype("<u4").tobytes())
        files.write_bytes(out / f"{_NAME}.ends.bin", ends.astype("<u8").tobytes())


def _texts(corpus: Corpus) -> Iterator[str]:
    return (corpus.passage(i).text for i in range(corpus.num_passages))
