"""A folder of documents as a source: one article per file, in the order of their paths."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from openrealm.corpus.clean import clean_title
from openrealm.corpus.readers import EXTENSIONS, reader_of
from openrealm.corpus.sources import FileSource
from openrealm.errors import BadInput
from openrealm.progress import counted
from openrealm.types import Article

_KNOWN = ".txt, .md, .html or .pdf"


class Files(FileSource):
    """A folder of text files, or one text file."""

    kind = "file"

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        if self.path.is_dir():
            self.description["kind"] = "folder"

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Any path: files that are not text are reported by name when they are read."""
        return True

    def articles(self) -> Iterator[Article]:
        """See `read`."""
        return read(self.path, skipped=self.description.setdefault("skipped", {}))


def read(path: Path, *, skipped: MutableMapping[str, int] | None = None) -> Iterator[Article]:
    """Articles of a folder and its subfolders, or of one file.

    The id is the path inside the folder; the title is the document's own, or the file name.
    Hidden files, links, blank files and those with other extensions are skipped and counted in `skipped` by reason.
    Raises BadInput if the folder does not exist or holds no file that can be read, or a file is not text.
    """
    counts: MutableMapping[str, int] = Counter() if skipped is None else skipped
    counts.clear()
    num_found = 0
    for file in _files(path, counts):
        num_found += 1
        article = _article(file, path if path.is_dir() else path.parent, counts)
        if article.text:
            yield article
        else:
            _count(counts, "blank file")
    if not num_found:
        raise BadInput(f"{path} contains no {_KNOWN} file{_listed(counts)}; add some or give another folder.")


def _files(path: Path, counts: MutableMapping[str, int]) -> Iterator[Path]:
    if path.is_file():
        if path.suffix.lower() not in EXTENSIONS:
            ending = f"the unknown extension {path.suffix}" if path.suffix else "no extension"
            raise BadInput(f"{path} has {ending}; give a {_KNOWN}, .jsonl or .parquet file.")
        yield path
    elif path.is_dir():
        yield from _walk(path, path.resolve(), counts)
    else:
        raise BadInput(f"{path} does not exist; give a folder with {_KNOWN} files.")


def _walk(folder: Path, root: Path, counts: MutableMapping[str, int]) -> Iterator[Path]:
    """Files of a folder and its subfolders, sorted by name, without links: a link's target is read in its own place."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise BadInput(f"{folder} could not be listed ({error.strerror}); check its permissions.") from error
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            _count(counts, "hidden file")
        elif entry.is_symlink():
            inside = path.resolve().is_relative_to(root)
            _count(counts, "link inside the folder" if inside else "link out of the folder")
        elif entry.is_dir():
            yield from _walk(path, root, counts)
        elif not entry.is_file():
            _count(counts, "special file")
        elif path.suffix.lower() not in EXTENSIONS:
            extension = path.suffix.lower()
            _count(counts, f"file with extension {extension}" if extension else "file without an extension")
        else:
            yield path


def _article(path: Path, root: Path, counts: MutableMapping[str, int]) -> Article:
    document = reader_of(path.suffix.lower())(path)
    for reason, number in document.counts.items():
        counts[reason] = counts.get(reason, 0) + number
    name = clean_title(_as_unicode(path.stem), entities=False)
    return document.article(_as_unicode(path.relative_to(root).as_posix()), name)


def _as_unicode(name: str) -> str:
    """A file name as valid Unicode: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


def _count(counts: MutableMapping[str, int], reason: str) -> None:
    counts[reason] = counts.get(reason, 0) + 1


def _listed(counts: MutableMapping[str, int]) -> str:
    return f" (skipped: {counted(dict(sorted(counts.items())))})" if counts else " (it is empty)"
