"""The shards of a corpus being built: first the articles of each are cut and tokenised, later its passages are tagged.

Both parts of a shard are folders published atomically, with a key of what they were made from: after a kill, finished
parts are kept and the others made again.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open
from safetensors.numpy import load_file, save

from openrealm import files
from openrealm.corpus.blocks import Block, PassageRule, cut_all
from openrealm.corpus.duplicates import text_key
from openrealm.corpus.layout import ARTICLE_ROWS, ID_BYTES, PASSAGE_ROWS
from openrealm.corpus.places import in_words
from openrealm.corpus.ragged import IntArray, end_to_end, selected, texts_end_to_end
from openrealm.corpus.row_files import RowFile, row_file_of
from openrealm.corpus.tagger import KINDS, Tagger
from openrealm.corpus.validity import is_always, range_of
from openrealm.errors import BadInput, DamagedArtefact, MissingStage
from openrealm.text.tokenizer import Tokenizer
from openrealm.text.words import word_keys
from openrealm.types import Article, Line, Origin, Span

ROWS_PER_GROUP = 1024
TABLE_FILE = "passages.parquet"
_ARRAYS_FILE = "arrays.safetensors"
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "title", "text", "article_id")]
    + [(name, pa.int64()) for name in ("start", "end")]
    + [("place", pa.string())]
)

Arrays = dict[str, npt.NDArray[Any]]
# An article as it is sent to a worker: id, title, text; lines, the bounds of mentions, and the days when it is valid.
Parts = tuple[str, str, str, Sequence[Line], Sequence[tuple[int, int]], tuple[int, int]]


def parts_of(article: Article) -> Parts:
    """An article as JSON values. Raises BadInput for a date that is none."""
    mentions = [(mention.start, mention.end) for mention in article.mentions]
    return article.id, article.title, article.text, article.lines, mentions, range_of(article)


class Shards:
    """The folder of an unfinished corpus, and the work on its shards.

    `do` carries out an order. Orders and replies are JSON values, so that they can be sent to a worker process:
    {"part": "cut", "shard": 3, "key": digest, "articles": [`Parts`, ...]}
    {"part": "tagged", "shard": 3, "key": digest, "repeated": [rows to skip], "names": file,
     "row_files": [RowFile, ...]}
    """

    def __init__(
        self, folder: Path, tokenizer: Tokenizer, rule: PassageRule, load_tagger: Callable[[], Tagger]
    ) -> None:
        self.folder, self._tokenizer, self._rule = folder, tokenizer, rule
        self.vocab_size = tokenizer.vocab_size
        self.token_type = "u2" if self.vocab_size <= 1 << 16 else "u4"
        self._load_tagger = load_tagger
        self._tagger: Tagger | None = None

    def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """Make one part of a shard, unless one with the same key exists; returns its manifest."""
        final = self.part(order["part"], order["shard"])
        manifest = _manifest_with_key(final, order["key"])
        if manifest is None:
            manifest = {"kind": "shard", "shard": order["shard"], "key": order["key"]}
            with files.new_folder(final, manifest) as folder:
                make = self._cut if order["part"] == "cut" else self._tag
                arrays = make(order, folder, manifest)
                files.write_bytes(folder / _ARRAYS_FILE, save(arrays))
        return {name: value for name, value in manifest.items() if name != "files"}

    def part(self, name: str, shard: int) -> Path:
        """Folder of one part of a shard, "cut" or "tagged"."""
        return self.folder / f"{name}-{shard:05}"

    def arrays(self, name: str, shard: int) -> Arrays:
        """The arrays of a part; rows of different lengths are stored as NAME and NAME.ends."""
        return load_file(self.part(name, shard) / _ARRAYS_FILE)

    def column(self, name: str, shards: int) -> npt.NDArray[Any]:
        """One array of the "cut" parts of the first `shards` shards, concatenated."""
        columns = []
        for shard in range(shards):
            with safe_open(self.part("cut", shard) / _ARRAYS_FILE, "np") as file:
                columns.append(file.get_tensor(name))
        return np.concatenate(columns)

    def texts(self, shards: int) -> Iterator[str]:
        """Texts of the passages of the first `shards` shards, which must have been tagged."""
        for shard in range(shards):
            # Without threads: Arrow waits for ever for one that cannot start for want of memory.
            with pq.ParquetFile(self.part("tagged", shard) / TABLE_FILE, pre_buffer=False) as table:
                for batch in table.iter_batches(columns=["text"], use_threads=False):
                    yield from batch.column(0).to_pylist()

    def _cut(self, order: dict[str, Any], _folder: Path, manifest: dict[str, Any]) -> Arrays:
        arrays = cut_articles(order["articles"], self._tokenizer, self._rule, self.token_type)
        manifest["num_passages"] = len(arrays["ids"])
        return arrays

    def _tag(self, order: dict[str, Any], folder: Path, manifest: dict[str, Any]) -> Arrays:
        arrays = self.arrays("cut", order["shard"])
        is_new = np.ones(len(arrays["ids"]), bool)
        is_new[order["repeated"]] = False
        columns = new_passages(arrays, is_new)
        write_table(folder / TABLE_FILE, columns, order["row_files"])
        spans, manifest["num_spans"] = tag_passages(columns, self._tagger_with(order["names"]))
        manifest["num_passages"] = len(columns["ids"])
        return spans | count_words(columns)

    def _tagger_with(self, names: str) -> Tagger:
        """The tagger, loaded at its first use; the names are in a file because every worker reads them."""
        if self._tagger is None:
            self._tagger = self._load_tagger()
            self._tagger.learn(files.read_json(Path(names), list[str]))
        return self._tagger


def _manifest_with_key(folder: Path, key: str) -> dict[str, Any] | None:
    """The manifest of a finished part with this key, else None."""
    try:
        manifest = files.read_manifest(folder)
    except (MissingStage, DamagedArtefact):
        return None
    return manifest if manifest.get("key") == key else None


def articles_digest(articles: Sequence[Parts]) -> str:
    """Digest of a shard's input."""
    digest = hashlib.sha256()
    for article in articles:
        for part in (*article[:3], json.dumps(article[3:])):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
    return digest.hexdigest()


def cut_articles(articles: Sequence[Parts], tokenizer: Tokenizer, rule: PassageRule, token_type: str) -> Arrays:
    """Passages of some articles as the columns of a corpus without spans and groups; `articles` counts from 0.

    `keys` holds a digest of each passage's normalised text, `ranges` the days when its article is valid.
    """
    chosen = [
        Article(article_id, title, text, lines=tuple(Line(*line) for line in lines))
        for article_id, title, text, lines, *_ in articles
    ]
    ranges = np.array([article[5] for article in articles], "<u4").reshape(-1, 2)
    blocks: list[Block] = []
    owners: list[int] = []
    for number, found in enumerate(cut_all(chosen, tokenizer, rule)):
        blocks += found
        owners += [number] * (len(blocks) - len(owners))
    texts = [block.passage.text for block in blocks]
    rows = {
        "article_ids": texts_end_to_end(article.id for article in chosen),
        "article_titles": texts_end_to_end(article.title for article in chosen),
        "article_texts": texts_end_to_end(article.text for article in chosen),
        "lines": end_to_end([_numbers(article.lines, 4) for article in chosen], *ARTICLE_ROWS["lines"]),
        "mentions": end_to_end([_numbers(article[4], 2) for article in articles], *ARTICLE_ROWS["mentions"]),
        "article_validity": (ranges[~is_always(ranges)], np.cumsum(~is_always(ranges), dtype="<u8")),
        "text": texts_end_to_end(texts),
        "body": end_to_end([block.ids for block in blocks], token_type),
        "title": end_to_end([block.title_ids for block in blocks], token_type),
        "offsets": end_to_end([block.offsets for block in blocks], *PASSAGE_ROWS["offsets"]),
        "sentences": end_to_end([block.sentences for block in blocks], *PASSAGE_ROWS["sentences"]),
    }
    arrays = {
        "ids": np.frombuffer(bytes.fromhex("".join(block.passage.id for block in blocks)), "u1").reshape(-1, ID_BYTES),
        "keys": np.array([text_key(text) for text in texts], "<u8"),
        "bounds": np.array([(block.passage.start, block.passage.end) for block in blocks], "<u4").reshape(-1, 2),
        "articles": np.array(owners, "<u4"),
        "ranges": ranges[np.array(owners, np.int64)],
    }
    for name, (values, ends) in rows.items():
        arrays[name], arrays[f"{name}.ends"] = values, ends
    return arrays


def _numbers(rows: Sequence[Sequence[int]], width: int) -> IntArray:
    return np.array(rows, np.int64).reshape(-1, width)


def new_passages(arrays: Arrays, is_new: npt.NDArray[np.bool_]) -> Arrays:
    """The columns of `cut_articles` for the marked passages only; the articles stay."""
    columns = dict(arrays)
    for name in ("ids", "keys", "bounds", "articles", "ranges"):
        columns[name] = arrays[name][is_new]
    for name in PASSAGE_ROWS.keys() & arrays.keys():
        columns[name], columns[f"{name}.ends"] = selected(arrays[name], arrays[f"{name}.ends"], is_new)
    return columns


def texts_of(columns: Arrays, name: str) -> list[str]:
    """A column of UTF-8 rows as strings."""
    data, ends = columns[name].tobytes(), columns[f"{name}.ends"].tolist()
    return [data[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]


def write_table(path: Path, columns: Arrays, row_files: Sequence[RowFile] = ()) -> None:
    """Write the passages as a Parquet file for other programs: id, title, text, article_id, start, end, place.

    row_files  those of the articles, which are numbered from 0
    """
    titles, article_ids = texts_of(columns, "article_titles"), texts_of(columns, "article_ids")
    owners = columns["articles"].tolist()
    table = pa.Table.from_pydict(
        {
            "id": [row.tobytes().hex() for row in columns["ids"]],
            "title": [titles[owner] for owner in owners],
            "text": texts_of(columns, "text"),
            "article_id": [article_ids[owner] for owner in owners],
            "start": columns["bounds"][:, 0],
            "end": columns["bounds"][:, 1],
            "place": list(_places(columns, article_ids, row_files)),
        },
        schema=_SCHEMA,
    )
    pq.write_table(table, path, row_group_size=ROWS_PER_GROUP, compression="zstd", write_page_checksum=True)


def _places(columns: Arrays, article_ids: Sequence[str], row_files: Sequence[RowFile]) -> Iterator[str]:
    """Where every passage begins in its source, in words; "" where not known."""
    lines, ends = columns["lines"].tolist(), [0, *columns["lines.ends"].tolist()]
    for owner, start in zip(columns["articles"].tolist(), columns["bounds"][:, 0].tolist(), strict=True):
        first, end = ends[owner], ends[owner + 1]
        if first == end:
            yield ""
            continue
        line = max(bisect_right(lines, start, first, end, key=itemgetter(0)) - 1, first)
        yield in_words(Origin(article_ids[owner], *lines[line][1:3]), row_file_of(row_files, owner))


def tag_passages(columns: Arrays, tagger: Tagger) -> tuple[Arrays, dict[str, int]]:
    """Salient spans of every passage as rows of (first token, last token + 1, kind), and the number of each kind."""
    texts = texts_of(columns, "text")
    ends, sentence_ends = columns["offsets.ends"].tolist(), columns["sentences.ends"].tolist()
    counts: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
    rows: list[IntArray] = []
    for first in range(0, len(texts), ROWS_PER_GROUP):
        for i, spans in enumerate(tagger.tag(texts[first : first + ROWS_PER_GROUP]), start=first):
            offsets = columns["offsets"][ends[i - 1] if i else 0 : ends[i]]
            sentences = columns["sentences"][sentence_ends[i - 1] if i else 0 : sentence_ends[i]]
            ranges = token_ranges(spans, offsets, sentences, tagger.name)
            counts.update(KINDS[kind] for _, _, kind in ranges)
            rows.append(np.array(ranges, np.int64).reshape(-1, 3))
    values, span_ends = end_to_end(rows, *PASSAGE_ROWS["spans"])
    return {"spans": values, "spans.ends": span_ends}, dict(counts)


def count_words(columns: Arrays) -> Arrays:
    """The words of every passage's title and text, as BM25 counts them.

    words        the key of each different word, rows of different lengths
    word_counts  how often it occurs
    num_words    (N,) words of each passage
    """
    titles = texts_of(columns, "article_titles")
    texts = [
        f"{titles[owner]} {text}"
        for owner, text in zip(columns["articles"].tolist(), texts_of(columns, "text"), strict=True)
    ]
    keys, num_words = word_keys(texts)
    owners = np.repeat(np.arange(len(texts)), num_words)
    order = np.lexsort((keys, owners))
    keys, owners = keys[order], owners[order]
    is_first = np.ones(len(keys), np.bool_)
    is_first[1:] = (keys[1:] != keys[:-1]) | (owners[1:] != owners[:-1])
    first = np.flatnonzero(is_first)
    return {
        "words": keys[first],
        "words.ends": np.cumsum(np.bincount(owners[first], minlength=len(texts)), dtype="<u8"),
        "word_counts": np.diff(np.append(first, len(keys))).astype("<u4"),
        "num_words": num_words.astype("<u4"),
    }


def token_ranges(
    spans: Sequence[Span], offsets: IntArray, sentences: IntArray, tagger_name: str
) -> list[tuple[int, int, int]]:
    """Character spans as ranges of the tokens that they touch, with the kind's number.

    offsets    (P, 2) character range of each token
    sentences  (S, 2) token range of each sentence
    A span without a token, one that shares a token with the span before it, and one that runs over the end of a
    sentence are dropped.
    Raises BadInput naming the tagger when a kind is unknown.
    """
    if unknown := {span.kind for span in spans}.difference(KINDS):
        raise BadInput(
            f"The tagger {tagger_name} returned a span of kind {min(unknown)!r}; expected one of {', '.join(KINDS)}."
        )
    firsts = np.searchsorted(offsets[:, 1], [span.start for span in spans], "right").tolist()
    ends = np.searchsorted(offsets[:, 0], [span.end for span in spans], "left").tolist()
    limits = np.append(sentences[:, 1], 0)[np.searchsorted(sentences[:, 1], firsts, "right")].tolist()
    ranges: list[tuple[int, int, int]] = []
    for span, first, end, limit in zip(spans, firsts, ends, limits, strict=True):
        if first < end <= limit and (not ranges or ranges[-1][1] <= first):
            ranges.append((first, end, KINDS.index(span.kind)))
    return ranges
