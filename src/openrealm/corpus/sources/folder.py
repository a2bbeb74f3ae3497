"""A folder of .txt, .md, .html and .pdf files as a source: one article per file, in the order of their paths."""

from __future__ import annotations

import codecs
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path

from openrealm.corpus.clean import check_line_lengths, clean_text, clean_title, unwrapped
from openrealm.corpus.sources import FileSource
from openrealm.corpus.sources.markup import html_to_text, markdown_to_text
from openrealm.errors import BadInput, NotInstalled
from openrealm.progress import counted
from openrealm.types import Article

MAX_FILE_BYTES = 256 << 20
_KNOWN = ".txt, .md, .html or .pdf"

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?([\w:.-]{1,40})", re.IGNORECASE)
_SPLIT_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[a-z])")


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

    The id is the path inside the folder; the title is the first Markdown heading, the HTML title, or the file name.
    Hidden files, links, blank files and those with other extensions are skipped and counted in `skipped` by reason.
    Raises BadInput if the folder does not exist or holds no file that can be read, or a file is not text.
    """
    counts: MutableMapping[str, int] = Counter() if skipped is None else skipped
    counts.clear()
    num_found = 0
    for file in _files(path, counts):
        num_found += 1
        article = _article(file, path if path.is_dir() else path.parent)
        if article.text:
            yield article
        else:
            _count(counts, "blank file")
    if not num_found:
        raise BadInput(f"{path} contains no {_KNOWN} file{_listed(counts)}; add some or give another folder.")


def _files(path: Path, counts: MutableMapping[str, int]) -> Iterator[Path]:
    if path.is_file():
        if path.suffix.lower() not in _READERS:
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
        elif path.suffix.lower() not in _READERS:
            extension = path.suffix.lower()
            _count(counts, f"file with extension {extension}" if extension else "file without an extension")
        else:
            yield path


def _article(path: Path, root: Path) -> Article:
    title, text = _READERS[path.suffix.lower()](path)
    name = clean_title(_as_unicode(path.stem), entities=False)
    return Article(_as_unicode(path.relative_to(root).as_posix()), clean_title(title, entities=False) or name, text)


def _read_plain(path: Path) -> tuple[str, str]:
    return "", clean_text(unwrapped(_decoded(path)), entities=False)


def _read_markdown(path: Path) -> tuple[str, str]:
    title, text = markdown_to_text(_decoded(path))
    return clean_title(title), clean_text(text)


def _read_html(path: Path) -> tuple[str, str]:
    title, text = html_to_text(_decoded(path, declared=True))
    return title, clean_text(text, entities=False)


def _read_pdf(path: Path) -> tuple[str, str]:
    try:
        import pypdf
    except ModuleNotFoundError as error:
        raise NotInstalled(f'Reading {path} needs pypdf; install it with: pip install "openrealm[pdf]".') from error
    try:
        reader = pypdf.PdfReader(path)
        pages = [page.extract_text() for page in reader.pages]
    except Exception as error:  # a damaged PDF makes the library raise nearly anything
        raise BadInput(f"{path} could not be read as PDF ({error}); repair it or remove it.") from error
    text = _SPLIT_WORD.sub("", "\n".join(pages))
    check_line_lengths(text, str(path))
    return "", clean_text(unwrapped(text), entities=False)


_READERS: dict[str, Callable[[Path], tuple[str, str]]] = {
    ".txt": _read_plain,
    ".md": _read_markdown,
    ".markdown": _read_markdown,
    ".html": _read_html,
    ".htm": _read_html,
    ".pdf": _read_pdf,
}


def _decoded(path: Path, *, declared: bool = False) -> str:
    """The file's text. With `declared`, an HTML file may declare an encoding other than UTF-8."""
    data = _bytes(path)
    encoding = (_declared_encoding(data) if declared else "") or "utf-8"
    offset = data.find(b"\0")
    if offset >= 0:
        kind = "UTF-16" if data.startswith(_UTF16_MARKS) else "binary data"
        raise BadInput(f"{path} is {kind}, not UTF-8 text (byte {offset} is zero); save it as UTF-8 or remove it.")
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not {encoding} text (byte {error.start} is 0x{data[error.start]:02x}); "
            "save it as UTF-8 or remove it from the folder."
        ) from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    check_line_lengths(text, str(path))
    return text


def _bytes(path: Path) -> bytes:
    try:
        if (num_bytes := path.stat().st_size) > MAX_FILE_BYTES:
            raise BadInput(
                f"{path} has {num_bytes:,} bytes, more than {MAX_FILE_BYTES:,}; split it or convert it to .jsonl."
            )
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} could not be read ({error.strerror}); check its permissions.") from error


def _declared_encoding(data: bytes) -> str:
    match = _CHARSET.search(data[:4096])
    try:
        return codecs.lookup(match.group(1).decode("ascii")).name if match else ""
    except LookupError:
        return ""


def _as_unicode(name: str) -> str:
    """A file name as valid Unicode: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


def _count(counts: MutableMapping[str, int], reason: str) -> None:
    counts[reason] = counts.get(reason, 0) + 1


def _listed(counts: MutableMapping[str, int]) -> str:
    return f" (skipped: {counted(dict(sorted(counts.items())))})" if counts else " (it is empty)"
