"""Which columns a corpus folder has, and of which types."""

from __future__ import annotations

FORMAT = 3
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
# "lines" holds the numbers of `types.Line`: start, position, part.
ARTICLE_ROWS = {"article_ids": ("u1", 1), "article_titles": ("u1", 1), "lines": ("u4", 3)}
# Rows of equal length, one per passage.
PASSAGE_NUMBERS = {"ids": ("u1", ID_BYTES), "bounds": ("u4", 2), "articles": ("u4", 1), "groups": ("u4", 1)}


def column_files() -> list[str]:
    """Names of the files of all columns."""
    rows = [f"{name}{ending}" for name in PASSAGE_ROWS | ARTICLE_ROWS for ending in (".bin", ".ends.bin")]
    return [*rows, *(f"{name}.bin" for name in PASSAGE_NUMBERS)]
