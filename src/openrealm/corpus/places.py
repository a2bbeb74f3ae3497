"""Where a passage is in its source, in words: "guide.md, line 120"."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path, PurePosixPath

from openrealm.corpus.corpus import Corpus
from openrealm.corpus.readers import EXTENSIONS
from openrealm.corpus.readers.decode import read_text
from openrealm.corpus.row_files import RowFile, row_file_of
from openrealm.errors import BadInput
from openrealm.types import Limits, Origin

_DECLARE_ENCODING = (".html", ".htm", ".xhtml")
# Of the limits a corpus was built with, whatever they were: each of its files was within them.
_ANY = Limits(max_file_mb=1 << 20, max_line_characters=1 << 40)
# What `types.Line.part` counts in a document.
_PARTS = {".pdf": "page", ".epub": "chapter", ".ipynb": "cell", ".docx": "paragraph"}


def place_of(corpus: Corpus, i: int, character: int = 0, source: str | Path | None = None) -> str:
    """Where the line with this character of passage i begins: a page, a line or a character, all counted from 1.

    source  the folder or file that the corpus was built from. Without it, or if the file is gone or has other text at
            that place now, characters are counted instead of lines
    A row of a file is told by the file's name, its line or number and, if it has one, its own id.
    Returns "" where the corpus does not know.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "peru.txt").write_text("Peru\\n\\nLima is the capital.")
    ...     corpus = Corpus.build(folder, f"{folder}/.corpus")
    ...     lima = corpus[0].text.index("Lima")
    ...     place_of(corpus, 0, lima, folder), place_of(corpus, 0, lima)
    ('peru.txt, line 3', 'peru.txt, character 7')
    """
    origin = corpus.origin(i, character)
    if origin is None:
        return ""
    file = row_file_of(corpus.row_files, corpus.article_index(i))
    if not (file or origin.part) and _extension(origin) in EXTENSIONS:
        line = _line(source, origin, corpus.passage(i).text[character:])
        return f"{origin.article_id}, line {line}" if line else in_words(origin, file)
    return in_words(origin, file)


def in_words(origin: Origin, file: RowFile | None) -> str:
    """A place as far as the corpus itself knows it; `file` is that of a row.

    >>> in_words(Origin("guide.md", 7), None), in_words(Origin("report.pdf", 7, 3), None)
    ('guide.md, character 8', 'report.pdf, page 3')
    >>> in_words(Origin("r1", 0, 2), RowFile(name="notes.csv", unit="line", first=0, num_articles=9))
    'notes.csv, line 2, id r1'
    """
    if file is not None:
        row_id = origin.article_id.removeprefix(f"{file['name']}:")
        own = "" if row_id == str(origin.part) else f", id {row_id}"
        return f"{file['name']}, {file['unit']} {origin.part}{own}"
    part = _PARTS.get(_extension(origin))
    if origin.part and part:
        return f"{origin.article_id}, {part} {origin.part}"
    return f"{origin.article_id}, character {origin.position + 1}"


def _extension(origin: Origin) -> str:
    return PurePosixPath(origin.article_id).suffix.lower()


def _line(source: str | Path | None, origin: Origin, text: str) -> int:
    """The line of a file with this text, or 0 if it is not there any more."""
    if source is None:
        return 0
    path = Path(source).expanduser()
    path = path / origin.article_id if path.is_dir() else path
    try:
        changed = path.stat().st_mtime_ns
        content = _content(path, changed)
    except (BadInput, OSError):
        return 0
    words = text.split(None, 1)[:1]
    near = content[origin.position : origin.position + 2_000]
    if not words or words[0].strip(".,;:!?()\"'") not in near:
        return 0
    return content.count("\n", 0, origin.position) + 1


@lru_cache(maxsize=4)
def _content(path: Path, _changed: int) -> str:
    """A file's text as its reader decoded it; `_changed` is when it was last written."""
    return read_text(path, _ANY, declared=path.suffix.lower() in _DECLARE_ENCODING)
