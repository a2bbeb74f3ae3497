"""Which columns a corpus folder has, and of which types."""

from __future__ import annotations

FORMAT = 5
ID_BYTES = 16
# Rows of different lengths: their type ("token" means the manifest's token_type) and the numbers per entry.
PASSAGE_ROWS = {
    "body": ("token", 1),
    "title": ("token", 1),
    "offsets": ("u4", 2),
    "sentences": ("u4", 2),
    "spans": ("u4", 3),
    "text": ("u1", 1),
}
# "lines" holds the numbers of `types.Line`: start, position, part, is_heading; "article_validity" one range of days or
# none.
ARTICLE_ROWS = {
    "article_ids": ("u1", 1),
    "article_titles": ("u1", 1),
    "article_texts": ("u1", 1),
    "lines": ("u4", 4),
    "mentions": ("u4", 2),
    "article_validity": ("u4", 2),
}
# Rows of equal length, one per passage.
PASSAGE_NUMBERS = {"ids": ("u1", ID_BYTES), "bounds": ("u4", 2), "articles": ("u4", 1), "groups": ("u4", 1)}
# The ranges of days in which a passage is valid; none if it always is (see `validity`).
VALIDITY = {"validity": ("u4", 2)}
# Posting lists: the passages with each name, word and word piece, ascending.
LISTS = {"name_passages": ("u4", 1), "word_passages": ("u4", 1), "piece_passages": ("u4", 1)}
# Arrays that belong to the lists (see `inverted`).
LIST_NUMBERS = {
    "names": ("u8", 1),
    "name_sizes": ("u2", 2),
    "span_names": ("u4", 1),
    "words": ("u8", 1),
    "word_scores": ("f4", 1),
    "pieces": ("u8", 1),
    "piece_counts": ("u8", 1),
}
NO_NAME = 0xFFFF_FFFF
"""In "span_names": the span's sentence is too short to be a query, so that the span is not counted as a name."""
MIN_SENTENCE_TOKENS = 3
"""Shortest sentence whose salient spans are names: with fewer tokens nothing is left to predict a span from."""


def column_files() -> list[str]:
    """Names of the files of all columns."""
    rows = [
        f"{name}{ending}" for name in PASSAGE_ROWS | ARTICLE_ROWS | VALIDITY | LISTS for ending in (".bin", ".ends.bin")
    ]
    return [*rows, *(f"{name}.bin" for name in PASSAGE_NUMBERS | LIST_NUMBERS)]
