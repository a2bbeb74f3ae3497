"""Output of WikiExtractor --json as a source: folders AA, AB, ... of files wiki_00, wiki_01, ... of JSON lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from openrealm.corpus.row_files import RowFile
from openrealm.corpus.sources import FileSource, jsonl
from openrealm.corpus.sources.page_rules import MIN_CHARACTERS, title_rule
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS, Article, Limits

_NAME = re.compile(r"wiki_\d+(?:\.bz2)?")


class WikiExtractor(FileSource):
    """A folder written by WikiExtractor."""

    kind = "wikiextractor"

    def __init__(self, path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(path)
        self._limits = limits

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Whether a folder, or one of its subfolders, holds the first file that WikiExtractor writes."""
        return path.is_dir() and (any(path.glob("wiki_00*")) or any(path.glob("*/wiki_00*")))

    def articles(self) -> Iterator[Article]:
        """See `read`."""
        description = self.description
        skipped, row_files = description.setdefault("skipped", {}), description.setdefault("row_files", [])
        return read(self.path, self._limits, skipped=skipped, row_files=row_files)


def read(
    folder: Path,
    limits: Limits = DEFAULT_LIMITS,
    *,
    skipped: MutableMapping[str, int] | None = None,
    row_files: list[RowFile] | None = None,
) -> Iterator[Article]:
    """Articles in the order of files and lines; skipped lists, disambiguations and short pages are counted.

    `row_files` gets the files with the number of articles that each gave.

    Each line is {"id", "title", "text", "url"}. Raises BadInput naming the file and line that is invalid.
    """
    counts: MutableMapping[str, int] = {} if skipped is None else skipped
    counts.clear()
    found = [] if row_files is None else row_files
    found.clear()
    num_articles = 0
    for path in sorted(path for path in folder.rglob("wiki_*") if _NAME.fullmatch(path.name) and path.is_file()):
        _refuse_documents(path)
        file = RowFile(name=str(path.relative_to(folder)), unit="line", first=num_articles, num_articles=0)
        found.append(file)
        for article in jsonl.read(path, limits):
            reason = title_rule(article.title) or ("short" if len(article.text) < MIN_CHARACTERS else "")
            if reason:
                counts[reason] = counts.get(reason, 0) + 1
            else:
                num_articles += 1
                file["num_articles"] += 1
                yield article


def _refuse_documents(path: Path) -> None:
    """Raise BadInput for WikiExtractor's other format."""
    with path.open("rb") as handle:
        if handle.read(5) == b"<doc ":
            raise BadInput(f"{path} contains <doc> elements, not JSON; run WikiExtractor again with --json.")
