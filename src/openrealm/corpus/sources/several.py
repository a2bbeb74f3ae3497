"""Several sources read as one, for corpora that are put together from several files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from openrealm.corpus.sources import Source, open_source
from openrealm.types import Article


class Several(Source):
    """The articles of one source after those of another; ids get the number of their source in front, from 1.

    >>> from openrealm.types import Article
    >>> both = Several([[Article("a", "", "Rain.")], [Article("a", "", "Snow.")]])
    >>> [article.id for article in both.articles()]
    ['1:a', '2:a']
    """

    def __init__(self, sources: Sequence[str | Path | Source | Iterable[Article]], **options: Any) -> None:
        """Open the sources with the options of `open_source`; raises as it does."""
        self._sources = [open_source(source, **options) for source in sources]
        self.description: dict[str, Any] = {
            "kind": "several",
            "sources": [source.description for source in self._sources],
        }

    def articles(self) -> Iterator[Article]:
        """The articles from the first source's first to the last source's last."""
        for number, source in enumerate(self._sources, 1):
            for article in source.articles():
                yield replace(article, id=f"{number}:{article.id}")

    def identity(self) -> Any:
        """The identities of all sources; None if one of them has none."""
        found = [source.identity() for source in self._sources]
        return None if None in found else found
