"""Inverts a corpus while it is joined: which passages have a name, a word, a word piece.

Stages read these lists through memory maps instead of going through all passages. Writing them takes little memory,
whatever the size of the corpus: records are sorted on disk, in parts.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from openrealm import files
from openrealm.corpus.layout import LISTS, MIN_SENTENCE_TOKENS, NO_NAME
from openrealm.corpus.ragged import RaggedWriter, lengths_of
from openrealm.corpus.shards import Arrays
from openrealm.corpus.spill import Spill, runs
from openrealm.text.numbering import Keys, keys_of

# Of BM25; the defaults of bm25s.
K1, B = 1.5, 0.75
_SHARDS_PER_PART = 8
_MAX_PARTS = 512  # open files
_KIND = np.uint64(0xA076_1D64_78BD_642F)
_PIECE = np.uint64(0x9E37_79B9_7F4A_7C15)
_NAME_RECORD = np.dtype([("key", "<u8"), ("place", "<u8"), ("passage", "<u4"), ("tokens", "<u2"), ("kind", "<u2")])
_WORD_RECORD = np.dtype([("key", "<u8"), ("passage", "<u4"), ("count", "<u4")])
_PIECE_RECORD = np.dtype([("key", "<u8"), ("passage", "<u4")])


def piece_keys(pieces: npt.NDArray[np.integer]) -> Keys:
    """Keys of word pieces, different for each and evenly distributed.

    >>> len(set(piece_keys(np.arange(100)).tolist()))
    100
    """
    return (pieces.astype(np.uint64) + np.uint64(1)) * _PIECE


class Inverter:
    """Collects the records of one shard after another, and writes all lists in the end."""

    def __init__(self, folder: Path, scratch: Path, group_N: npt.NDArray[np.int64], vocab_size: int, num_shards: int):
        """The lists go to `folder`; `scratch` is removed. `group_N` are the groups of all passages."""
        num_parts = min(_MAX_PARTS, 1 << (num_shards // _SHARDS_PER_PART).bit_length())
        self._folder, self._group_N, self._vocab_size = folder, group_N, vocab_size
        kinds = {"names": _NAME_RECORD, "words": _WORD_RECORD, "pieces": _PIECE_RECORD}
        with ExitStack() as stack:
            self._spills = {
                name: stack.enter_context(Spill(scratch / name, dtype, num_parts)) for name, dtype in kinds.items()
            }
            self._lists = {name: stack.enter_context(RaggedWriter(folder, name, LISTS[name][0])) for name in LISTS}
            self._stack = stack.pop_all()
        self._piece_counts = np.zeros(vocab_size, np.int64)
        self._num_words: list[npt.NDArray[np.uint32]] = []
        self._num_passages = self._num_spans = 0

    def extend(self, shard: Arrays) -> None:
        """Add the passages of the next shard, given as columns with `words`, `word_counts` and `num_words`."""
        numbers = np.arange(self._num_passages, self._num_passages + len(shard["ids"]), dtype=np.uint32)
        self._add_names(shard, numbers)
        word_passages = np.repeat(numbers, lengths_of(shard["words.ends"]))
        self._spills["words"].add(
            _records(_WORD_RECORD, key=shard["words"], passage=word_passages, count=shard["word_counts"])
        )
        self._num_words.append(shard["num_words"].astype(np.uint32))
        owners = np.repeat(np.arange(len(numbers)), lengths_of(shard["body.ends"]))
        passage, piece = np.divmod(np.unique(owners * self._vocab_size + shard["body"]), self._vocab_size)
        self._spills["pieces"].add(_records(_PIECE_RECORD, key=piece_keys(piece), passage=numbers[passage]))
        self._piece_counts += np.bincount(shard["body"], minlength=self._vocab_size)
        self._num_passages += len(numbers)

    def _add_names(self, shard: Arrays, numbers: npt.NDArray[np.uint32]) -> None:
        keys, spans, is_name = name_keys(shard)
        places = np.arange(self._num_spans, self._num_spans + len(spans))
        owners = np.repeat(numbers, lengths_of(shard["spans.ends"]))
        records = _records(
            _NAME_RECORD,
            key=keys,
            place=places,
            passage=owners,
            tokens=spans[:, 1] - spans[:, 0],
            kind=spans[:, 2],
        )
        self._spills["names"].add(records[is_name])
        self._num_spans += len(spans)

    def finish(self) -> None:
        """Write the lists."""
        self._write_names()
        self._write_words()
        with files.new_file(self._folder / "pieces.bin") as keys:
            for records in self._spills["pieces"].parts():
                first = runs(records["key"])
                keys.write(records["key"][first].data)
                self._lists["piece_passages"].extend(records["passage"], _ends(first, len(records)))
        files.write_bytes(self._folder / "piece_counts.bin", self._piece_counts.astype("<u8").tobytes())

    def _write_names(self) -> None:
        """Number the names by their keys; a list has the first passage with the name of each group."""
        path, num_names = self._folder / "span_names.bin", 0
        with files.new_file(path) as file:
            file.truncate(4 * self._num_spans)
        numbers = np.memmap(path, "<u4", "r+") if self._num_spans else np.zeros(0, "<u4")
        for start in range(0, len(numbers), 1 << 24):
            numbers[start : start + (1 << 24)] = NO_NAME
        with (
            files.new_file(self._folder / "names.bin") as keys,
            files.new_file(self._folder / "name_sizes.bin") as sizes,
        ):
            for records in self._spills["names"].parts():
                first = runs(records["key"])
                name = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(records))))
                numbers[records["place"]] = num_names + name
                keys.write(records["key"][first].data)
                sizes.write(np.stack([records["tokens"][first], records["kind"][first]], axis=1).astype("<u2").data)
                group = self._group_N[records["passage"]]
                order = np.lexsort((records["passage"], group, name))
                is_first = np.ones(len(order), np.bool_)
                is_first[1:] = (np.diff(name[order]) != 0) | (np.diff(group[order]) != 0)
                posted = order[is_first]
                ends = np.cumsum(np.bincount(name[posted], minlength=len(first)))
                self._lists["name_passages"].extend(records["passage"][posted], ends)
                num_names += len(first)
        if isinstance(numbers, np.memmap):
            numbers.flush()

    def _write_words(self) -> None:
        num_words_N = np.concatenate([np.zeros(0, np.uint32), *self._num_words])
        mean = num_words_N.mean() if len(num_words_N) else 0.0
        with (
            files.new_file(self._folder / "words.bin") as keys,
            files.new_file(self._folder / "word_scores.bin") as scores,
        ):
            for records in self._spills["words"].parts():
                first = runs(records["key"])
                lengths = np.diff(np.append(first, len(records)))
                keys.write(records["key"][first].data)
                self._lists["word_passages"].extend(records["passage"], _ends(first, len(records)))
                num_words = num_words_N[records["passage"]]
                scores.write(bm25_scores(records["count"], lengths, num_words, len(num_words_N), mean).data)

    def __enter__(self) -> Inverter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def name_keys(shard: Arrays) -> tuple[Keys, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """For all M spans of a shard: (M,) keys, (M, 3) the spans, and (M,) whether their sentences are long enough.

    Spans have the same key if they have the same word pieces and the same kind.
    """
    num_tokens, num_spans = lengths_of(shard["body.ends"]), lengths_of(shard["spans.ends"])
    body_starts = np.cumsum(num_tokens) - num_tokens
    spans = shard["spans"].astype(np.int64).reshape(-1, 3)
    before = np.repeat(body_starts, num_spans)
    starts, ends = before + spans[:, 0], before + spans[:, 1]
    keys = keys_of(shard["body"].astype(np.uint32), starts, ends) + spans[:, 2].astype(np.uint64) * _KIND
    sentences = shard["sentences"].astype(np.int64).reshape(-1, 2)
    sentence_starts = np.repeat(body_starts, lengths_of(shard["sentences.ends"])) + sentences[:, 0]
    own = np.searchsorted(sentence_starts, starts, "right") - 1
    is_name = (sentences[own, 1] - sentences[own, 0] >= MIN_SENTENCE_TOKENS) if len(spans) else np.zeros(0, np.bool_)
    return keys, spans, is_name


def bm25_scores(
    count_M: npt.NDArray[np.integer],
    num_passages_W: npt.NDArray[np.integer],
    num_words_M: npt.NDArray[np.integer],
    num_passages: int,
    mean_words: float,
) -> npt.NDArray[np.float32]:
    """Lucene's BM25 of each occurrence of each word, with the roundings of bm25s.

    count_M         how often the word is in the passage; all occurrences of a word stand together
    num_passages_W  how many passages have the word
    num_words_M     words of the passage
    """
    idf_W = np.log(1 + (num_passages - num_passages_W + 0.5) / (num_passages_W + 0.5)).astype(np.float32)
    count = count_M.astype(np.float32)
    weight = count / (K1 * ((1 - B) + B * num_words_M.astype(np.float64) / mean_words) + count)
    return (np.repeat(idf_W, num_passages_W) * weight).astype("<f4")


def _records(dtype: np.dtype[np.void], **fields: npt.NDArray[np.integer]) -> npt.NDArray[np.void]:
    records = np.empty(len(fields["key"]), dtype)
    for name, values in fields.items():
        records[name] = values
    return records


def _ends(firsts: npt.NDArray[np.int64], num_records: int) -> npt.NDArray[np.int64]:
    return np.append(firsts[1:], num_records) if num_records else firsts
