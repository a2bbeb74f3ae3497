"""Building a corpus: text into Parquet, tokens and their bounds into flat arrays, one manifest with its digest."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openrealm.corpus.blocks import MAX_TITLE_TOKENS, Block, cut_blocks
from openrealm.corpus.duplicates import groups_of, text_key
from openrealm.corpus.near_duplicates import near_groups
from openrealm.corpus.protocols import KINDS, LearnsTitles, Tagger
from openrealm.corpus.ragged import Ragged, RaggedWriter
from openrealm.corpus.stored import FORMAT, PASSAGES_FILE, ROWS_PER_GROUP, Corpus
from openrealm.errors import BadInput
from openrealm.files import digest_of, new_folder
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article, Span

__all__ = ["Corpus", "build_corpus"]

# Beyond this many titles nearly every common word is some page's title, and as names they would mislead a tagger.
_MAX_LEARNT_TITLES = 500_000
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "title", "text", "article_id")]
    + [(name, pa.int64()) for name in ("start", "end")]
)


def build_corpus(
    articles: Iterable[Article],
    folder: Path,
    tokenizer: Tokenizer,
    *,
    max_passage_tokens: int,
    tagger: Tagger,
    source: dict[str, Any],
    near_duplicates: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Corpus:
    """Cut, tokenise, tag and store `articles`, and publish the whole as `folder`.

    Passages stand in source order; one that repeats another's title and text is stored once. The same articles and
    settings give the same bytes. `progress` is called with the number of passages stored so far.
    Raises BadInput when the source holds no text, NoSpace when the disk is full; then nothing is left behind.
    """
    settings = {"max_passage_tokens": max_passage_tokens, "max_title_tokens": MAX_TITLE_TOKENS, "tagger": tagger.name}
    settings["near_duplicates"] = near_duplicates
    manifest: dict[str, Any] = {"kind": "corpus", "format": FORMAT, "settings": settings, "source": source}
    with new_folder(folder, manifest) as temporary:
        tokenizer.save(temporary)
        store = _Store(temporary, tokenizer)
        store.write(articles, max_passage_tokens, progress or (lambda num_passages: None))
        if not store.keys:
            raise BadInput(f"The source {source} holds no text, so {folder} was not made; give a source with articles.")
        store.write_groups(near_duplicates)
        num_spans = store.write_spans(tagger)
        manifest["corpus_digest"] = digest_of({"passages": store.ids_digest.hexdigest(), "settings": settings})
        manifest |= {"tokenizer_digest": tokenizer.digest, "token_type": store.token_type}
        manifest |= {"num_passages": len(store.keys), **store.counts, "num_spans": num_spans}
    return Corpus.open(folder)


class _Store:
    """One corpus being written into a folder that is not published yet: `write` first, then `write_spans`."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self.folder, self.tokenizer = folder, tokenizer
        self.token_type = "u2" if tokenizer.vocab_size <= 1 << 16 else "u4"
        self.counts = dict.fromkeys(("num_articles", "num_tokens", "num_repeated_passages"), 0)
        self.keys: list[int] = []
        self.ids_digest = hashlib.sha256()
        self._titles: dict[str, None] = {}

    def write(self, articles: Iterable[Article], max_passage_tokens: int, progress: Callable[[int], None]) -> None:
        """Write text, tokens, sentences and article numbers of every new passage."""
        article_indices: list[int] = []
        rows: list[dict[str, Any]] = []
        with ExitStack() as stack:
            table = stack.enter_context(_table_writer(self.folder))
            bodies, titles = (
                stack.enter_context(RaggedWriter(self.folder, n, self.token_type)) for n in ("body", "title")
            )
            offsets, sentences = (
                stack.enter_context(RaggedWriter(self.folder, n, "u4", width=2)) for n in ("offsets", "sentences")
            )
            for article_index, block in self._new_blocks(articles, max_passage_tokens):
                bodies.append(block.ids)
                titles.append(block.title_ids)
                offsets.append(block.offsets)
                sentences.append(block.sentences)
                article_indices.append(article_index)
                rows.append(_row(block))
                if len(rows) == ROWS_PER_GROUP:
                    _write_rows(table, rows)
                    progress(len(self.keys))
            _write_rows(table, rows)
            self.counts["num_tokens"] = bodies.num_values
        progress(len(self.keys))
        self._write_flat("articles", article_indices)

    def write_groups(self, near_duplicates: bool) -> None:
        """Write the group of every passage: of equal text, or nearly so."""
        groups = groups_of(np.array(self.keys, dtype=np.uint64))
        if near_duplicates:
            groups = near_groups(self._texts(), groups)
        self._write_flat("groups", groups)

    def _texts(self) -> Iterator[str]:
        table = pq.ParquetFile(self.folder / PASSAGES_FILE)
        for group in range(table.num_row_groups):
            yield from table.read_row_group(group, columns=["text"]).column("text").to_pylist()

    def _new_blocks(self, articles: Iterable[Article], max_passage_tokens: int) -> Iterator[tuple[int, Block]]:
        """Passages not seen before, each with the number of its article."""
        seen: set[bytes] = set()
        for article_index, article in enumerate(articles):
            self.counts["num_articles"] += 1
            if len(self._titles) <= _MAX_LEARNT_TITLES:
                self._titles[article.title] = None
            for block in cut_blocks(article, self.tokenizer, max_passage_tokens):
                content = bytes.fromhex(block.passage.id)
                if content in seen:
                    self.counts["num_repeated_passages"] += 1
                    continue
                seen.add(content)
                self.ids_digest.update(content)
                self.keys.append(text_key(block.passage.text))
                yield article_index, block

    def write_spans(self, tagger: Tagger) -> dict[str, int]:
        """Tag every stored passage and write its spans as token ranges; returns their number by kind."""
        if isinstance(tagger, LearnsTitles) and len(self._titles) <= _MAX_LEARNT_TITLES:
            tagger.learn(self._titles)
        counts: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        offsets = Ragged(self.folder, "offsets", "u4", width=2)
        table = pq.ParquetFile(self.folder / PASSAGES_FILE)
        num_done = 0
        with RaggedWriter(self.folder, "spans", "u4", width=3) as writer:
            for group in range(table.num_row_groups):
                texts = table.read_row_group(group, columns=["text"]).column("text").to_pylist()
                for i, spans in enumerate(tagger.tag(texts), start=num_done):
                    ranges = token_ranges(spans, offsets[i].tolist(), tagger.name)
                    counts.update(KINDS[kind] for _, _, kind in ranges)
                    writer.append(ranges)
                num_done += len(texts)
        return dict(counts)

    def _write_flat(self, name: str, numbers: Any) -> None:
        (self.folder / f"{name}.bin").write_bytes(np.asarray(numbers).astype("<u4").tobytes())


def token_ranges(spans: Iterable[Span], offsets: list[list[int]], tagger_name: str) -> list[tuple[int, int, int]]:
    """Character spans as ranges of the tokens that they touch, with the kind's number.

    A span without a token, or one that shares a token with the span before, is left out.
    Raises BadInput naming the tagger when a kind is unknown.
    """
    ranges: list[tuple[int, int, int]] = []
    token = 0
    for span in spans:
        if span.kind not in KINDS:
            raise BadInput(
                f"The tagger {tagger_name} gave a span of kind {span.kind!r}; only {', '.join(KINDS)} are known."
            )
        while token < len(offsets) and offsets[token][1] <= span.start:
            token += 1
        end = token
        while end < len(offsets) and offsets[end][0] < span.end:
            end += 1
        if token < end and (not ranges or ranges[-1][1] <= token):
            ranges.append((token, end, KINDS.index(span.kind)))
    return ranges


def _table_writer(folder: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(folder / PASSAGES_FILE, _SCHEMA, compression="zstd", write_page_checksum=True)


def _row(block: Block) -> dict[str, Any]:
    return {name: getattr(block.passage, name) for name in _SCHEMA.names}


def _write_rows(table: pq.ParquetWriter, rows: list[dict[str, Any]]) -> None:
    """Write one row group and empty the list."""
    if rows:
        table.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), row_group_size=ROWS_PER_GROUP)
        rows.clear()
