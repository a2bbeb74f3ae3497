"""A finished corpus, opened through memory maps: any passage, its tokens, sentences and spans by index."""

from __future__ import annotations

import operator
import threading
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from openrealm.corpus.protocols import KINDS
from openrealm.corpus.ragged import IntArray, Ragged, open_flat
from openrealm.errors import DamagedArtefact, Mismatch
from openrealm.files import read_manifest
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Passage

FORMAT = 1
PASSAGES_FILE = "passages.parquet"
ROWS_PER_GROUP = 1024
_KEPT_GROUPS = 128


class Corpus:
    """All passages, in source order, indexed 0 .. num_passages - 1. Arrays handed out are read-only views."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Use `Corpus.open`."""
        self.folder, self.manifest = folder, manifest
        self.digest: str = manifest["corpus_digest"]
        self.tokenizer_digest: str = manifest["tokenizer_digest"]
        self.settings: dict[str, Any] = manifest["settings"]
        self.num_passages: int = manifest["num_passages"]
        token_type = manifest["token_type"]
        self._bodies = Ragged(folder, "body", token_type)
        self._offsets = Ragged(folder, "offsets", "u4", width=2)
        self._titles = Ragged(folder, "title", token_type)
        self._sentences = Ragged(folder, "sentences", "u4", width=2)
        self._spans = Ragged(folder, "spans", "u4", width=3)
        self._articles = open_flat(folder / "articles.bin", "u4")
        self._groups = open_flat(folder / "groups.bin", "u4")
        self._table = self._open_table()
        self._lock = threading.Lock()  # a Parquet file must not be read by two threads at once
        self._row_group = lru_cache(maxsize=_KEPT_GROUPS)(self._read_row_group)
        self._check_lengths()

    @staticmethod
    def open(folder: Path, *, verify: bool = False) -> Corpus:
        """Open a published corpus; `verify` holds every file against its digest first.

        Raises MissingStage when there is none, DamagedArtefact when a file is absent, cut short or (with `verify`)
        altered, Mismatch when the folder holds something else or another version of the format.
        """
        manifest = read_manifest(folder, verify=verify)
        if manifest.get("kind") != "corpus" or manifest.get("format") != FORMAT:
            found = f"{manifest.get('kind')!r} of format {manifest.get('format')!r}"
            raise Mismatch(f"{folder} holds {found}, not a corpus of format {FORMAT}; build the corpus again.")
        try:
            return Corpus(folder, manifest)
        except KeyError as error:
            raise DamagedArtefact(f"{folder}/manifest.json has no entry {error}; build the corpus again.") from error

    def __len__(self) -> int:
        return self.num_passages

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the corpus was cut with, read once. Raises Mismatch when the stored copy is another."""
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_folder(self.folder)
        if tokenizer.digest != self.tokenizer_digest:
            digests = f"{self.tokenizer_digest}, but holds the tokenizer {tokenizer.digest}"
            raise Mismatch(f"{self.folder} was cut with the tokenizer {digests}; build the corpus again.")
        return tokenizer

    def passage(self, i: int) -> Passage:
        """Passage i with its text. Raises IndexError outside 0 .. num_passages - 1, as do all that take an index."""
        group, row = divmod(self._checked(i), ROWS_PER_GROUP)
        table = self._row_group(group)
        return Passage(**{name: table.column(name)[row].as_py() for name in table.column_names})

    def body_tokens(self, i: int) -> IntArray:
        """Token ids (P,) of the passage's text, without title and special tokens."""
        return self._bodies[self._checked(i)]

    def title_tokens(self, i: int) -> IntArray:
        """Token ids of the title, at most 16."""
        return self._titles[self._checked(i)]

    def token_offsets(self, i: int) -> IntArray:
        """(P, 2) half-open character range of each body token in `passage(i).text`."""
        return self._offsets[self._checked(i)]

    def sentences(self, i: int) -> IntArray:
        """(S, 2) half-open ranges of body tokens that together cover them all."""
        return self._sentences[self._checked(i)]

    def spans(self, i: int) -> list[tuple[int, int, str]]:
        """Salient spans as half-open ranges of body tokens with their kind, sorted, not overlapping."""
        return [(int(start), int(end), KINDS[kind]) for start, end, kind in self._spans[self._checked(i)]]

    def article_index(self, i: int) -> int:
        """Number of the article, in source order, that the passage was cut from."""
        return int(self._articles[self._checked(i)])

    def group(self, i: int) -> int:
        """The first passage of those whose text is this one's or, see `near_duplicates`, nearly so."""
        return int(self._groups[self._checked(i)])

    def _checked(self, i: int) -> int:
        index = operator.index(i)
        if not 0 <= index < self.num_passages:
            raise IndexError(f"passage {index} is outside 0 .. {self.num_passages - 1}")
        return index

    def _open_table(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.folder / PASSAGES_FILE, memory_map=True, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            self._damaged(PASSAGES_FILE, error)

    def _read_row_group(self, group: int) -> pa.Table:
        try:
            with self._lock:
                return self._table.read_row_group(group, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            self._damaged(PASSAGES_FILE, error)

    def _check_lengths(self) -> None:
        parts = {"body": self._bodies, "offsets": self._offsets, "title": self._titles, "sentences": self._sentences}
        parts |= {"spans": self._spans}
        lengths = {f"{name}.ends.bin": len(part) for name, part in parts.items()}
        lengths |= {"articles.bin": len(self._articles), "groups.bin": len(self._groups)}
        lengths[PASSAGES_FILE] = self._table.metadata.num_rows
        for name, length in lengths.items():
            if length != self.num_passages:
                self._damaged(name, f"{length} rows, {self.num_passages} expected")

    def _damaged(self, name: str, reason: object) -> NoReturn:
        raise DamagedArtefact(f"{self.folder / name} is damaged ({reason}); build the corpus again.")
