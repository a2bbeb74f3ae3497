"""Where articles come from: one module per kind of source, and `open_source`, which finds a source by path or name.

A source is a class registered in `openrealm.registry.SOURCES`, found by "NAME" or "NAME:ARGUMENT". For a path, the
registered sources are asked one by one whether they read it: your own first, sorted by name, then FILE_SOURCES.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

from openrealm.corpus.sources.account import Account
from openrealm.corpus.sources.rows import RowFormat, row_articles
from openrealm.corpus.sources.walk import walk
from openrealm.errors import BadInput
from openrealm.files import digest_of
from openrealm.registry import SOURCES
from openrealm.types import DEFAULT_LIMITS, Article, Limits

FILE_SOURCES = ("wikiextractor", "jsonl", "json", "table", "mediawiki", "parquet", "files")
"""Built-in sources in the order in which they are asked about a path; the last one takes any."""


class Source(ABC):
    """Articles from one place, in an order that is the same on every machine. Subclass it to write your own.

    `description` is stored in the corpus' manifest, so it holds JSON values only. Reading may add to it: "skipped"
    counts what was skipped, by reason. The constructor takes the argument of "NAME:ARGUMENT", if the source needs one,
    and by name those options of `open_source` that concern it.

    >>> class Countdown(Source):
    ...     def __init__(self, start: str) -> None:
    ...         self.start = int(start)
    ...         self.description = {"kind": "countdown", "name": start}
    ...     def articles(self):
    ...         return (Article(str(n), "", f"{n} to go.") for n in range(self.start, 0, -1))
    >>> [article.text for article in Countdown("2").articles()]
    ['2 to go.', '1 to go.']

    After `SOURCES.add("countdown", Countdown)` the setting `corpus.source=countdown:2` finds it.
    """

    description: dict[str, Any]
    argument: ClassVar[str]
    """What to write after the colon, for the message that it is missing; by default, the name of the parameter."""

    @abstractmethod
    def articles(self) -> Iterator[Article]:
        """The articles from the first to the last; every call starts again."""

    def identity(self) -> Any:
        """JSON values that change when the articles do, found without reading them; None where that is not known."""
        return None

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Whether this source reads an existing file or folder; then its constructor takes the path."""
        return False


class FileSource(Source):
    """A source that is a file or folder."""

    kind: ClassVar[str]

    def __init__(self, path: str | Path) -> None:
        """Raises BadInput when `path` does not exist."""
        self.path = Path(os.path.expanduser(path))
        check_path(self.path)
        self.description = {"kind": self.kind, "name": os.path.basename(os.path.realpath(self.path))}

    def identity(self) -> Any:
        """Names, sizes and modification times of its files."""
        return list(stamps(self.path))


def check_path(path: Path) -> None:
    """Raise BadInput if `path` is not a file or folder: a device or a pipe is refused before it is opened."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise BadInput(
            f"{path} does not exist; give a folder, a file, a dump, or the name of a source: "
            f"{', '.join(name for name in SOURCES if name not in FILE_SOURCES)}."
        ) from error
    except OSError as error:
        raise BadInput(f"{path} cannot be used as a source ({error.strerror}); give a folder or a file.") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = next((name for is_kind, name in _SPECIAL if is_kind(mode)), "a special file")
        raise BadInput(f"{path} is {kind}; give a folder or a file.")


_SPECIAL = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class RowSource(FileSource):
    """A source that is one file with a row for each article."""

    form: ClassVar[RowFormat]

    def __init__(self, path: str | Path, *, skip_unreadable: bool = False, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(path)
        self._skip_unreadable, self._limits = skip_unreadable, limits

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Whether the name is that of a file of this format; see `row_formats`."""
        from openrealm.corpus.sources.row_formats import row_format_of

        return path.is_file() and row_format_of(path.name) is cls.form

    def articles(self) -> Iterator[Article]:
        """See `rows.Rows`."""
        account = Account(self.description, skip_unreadable=self._skip_unreadable)
        return row_articles(self.path, self.form, account, self._limits)


class Articles(Source):
    """Articles that are in memory, or made one by one."""

    def __init__(self, articles: Iterable[Article]) -> None:
        self._articles = articles
        self.description = {"kind": "articles"}

    def articles(self) -> Iterator[Article]:
        """The articles; those of an iterator once only."""
        return iter(self._articles)

    def identity(self) -> Any:
        """Digest of the articles; None for an iterator, which can be read only once."""
        if iter(self._articles) is self._articles:
            return None
        digest = hashlib.sha256()
        for article in self._articles:
            digest.update(digest_of(dataclasses.astuple(article)).encode())
        return digest.hexdigest()


def is_name(source: str) -> bool:
    """Whether `source` names a source, rather than being a path that means something else in another folder."""
    name, colon, _ = source.partition(":")
    return name in SOURCES and (bool(colon) or not SOURCES.needs_argument(name))


def open_source(
    source: str | Path | Source | Iterable[Article],
    *,
    prose_only: bool = False,
    salvage: bool = False,
    skip_unreadable: bool = False,
    num_workers: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Source:
    """Find a source.

    source           a path: a folder of documents (.txt .md .html .pdf ...) and files of rows, one document, a file of
                     rows (.jsonl .json .tsv .csv, also .xz .gz .zst .bz2; .parquet), a MediaWiki dump (.xml, .xml.bz2),
                     or a folder written by WikiExtractor; a name: "qed", "factbook", "wikipedia:WIKI:DATE" (downloaded
                     once), "datasets:NAME?split=...", or one added to `SOURCES`, with its argument; a `Source`, which
                     is returned; or articles
    prose_only       Factbook: skip what is mostly numbers
    salvage          dumps: recover the intact parts of a damaged one instead of stopping at the damage
    skip_unreadable  folders and files of rows: skip and count what cannot be read instead of stopping
    num_workers      dumps: number of processes that parse pages; None means one per core
    limits           bounds on the size of what is read, and on the time and memory for it
    Raises BadInput when a path does not exist or cannot be read, BadConfig for a name without the argument it needs.

    >>> source = open_source([Article("1", "Peru", "Lima is the capital of Peru.")])
    >>> [article.title for article in source.articles()]
    ['Peru']
    """
    options = {
        "prose_only": prose_only,
        "salvage": salvage,
        "skip_unreadable": skip_unreadable,
        "num_workers": num_workers,
        "limits": limits,
    }
    if isinstance(source, Source):
        return source
    if isinstance(source, str) and is_name(source):
        return cast(Source, SOURCES.create(source, **options))
    if isinstance(source, str | Path):
        return _source_of_path(str(source), options)
    return Articles(source)


def _source_of_path(path: str, options: dict[str, Any]) -> Source:
    found = Path(os.path.expanduser(path))
    check_path(found)
    asked = [*(name for name in SOURCES if name not in FILE_SOURCES), *FILE_SOURCES]
    name = next(name for name in asked if _reads(name, found))
    return cast(Source, SOURCES.create(f"{name}:{path}", **options))


def _reads(name: str, path: Path) -> bool:
    reads = getattr(SOURCES.get(name), "reads", None)  # a function that returns a source reads no path
    return reads is not None and reads(path)


def stamps(path: Path) -> Iterator[Any]:
    """Name, size and modification time of a file, or of every file in a folder that `walk` does not leave out."""
    if path.is_file():
        yield from _stamp(path)
    elif path.is_dir():
        for entry in walk(path):
            if not (entry.reason or entry.error):
                yield os.fsencode(entry.path.relative_to(path)).hex()
                yield from _stamp(entry.path)


def _stamp(path: Path) -> Iterator[int]:
    if path.exists():
        found = path.stat()
        yield found.st_size
        yield found.st_mtime_ns
