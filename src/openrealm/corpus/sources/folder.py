"""A folder of documents and files of rows as a source, in the order of their paths; or one document."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from openrealm.corpus.clean import clean_title
from openrealm.corpus.readers import EXTENSIONS, EXTRAS
from openrealm.corpus.readers.boxed import DocumentBox
from openrealm.corpus.sources import FileSource
from openrealm.corpus.sources.account import Account
from openrealm.corpus.sources.ids import Ids
from openrealm.corpus.sources.lines import plain_name
from openrealm.corpus.sources.row_formats import ROW_ENDINGS, row_format_of
from openrealm.corpus.sources.rows import TEXT_KEYS, NoText, RowFormat, Rows
from openrealm.corpus.sources.walk import walk
from openrealm.errors import BadInput, NotInstalled
from openrealm.progress import counted
from openrealm.types import DEFAULT_LIMITS, Article, Limits


class Files(FileSource):
    """A folder of documents and files of rows, or one document."""

    kind = "file"

    def __init__(self, path: str | Path, *, skip_unreadable: bool = False, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(path)
        self._skip_unreadable, self._limits = skip_unreadable, limits
        if self.path.is_dir():
            self.description["kind"] = "folder"

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Any path: files that are not text are reported by name when they are read."""
        return True

    def articles(self) -> Iterator[Article]:
        """See `read`."""
        return read(self.path, Account(self.description, skip_unreadable=self._skip_unreadable), self._limits)


def read(path: Path, account: Account | None = None, limits: Limits = DEFAULT_LIMITS) -> Iterator[Article]:
    """Articles of a folder and its subfolders, or of one document.

    A document is one article: its id is the path inside the folder, its title its own or the file name. A file of rows
    is one article per row: ids are the rows' own; without one, or beside documents, the file's path comes first.
    What is left out is counted in `account` by reason; see `walk`. Raises BadInput that names every unreadable file,
    or if nothing is found.
    """
    account = account or Account()
    box, rows = DocumentBox(limits), Rows(account, limits)
    try:
        if path.is_file():
            yield from _document(_known(path), path.parent, account, Ids(), box, NotInstalled)
            account.finish()
        else:
            yield from _folder(path, account, box, rows)
    finally:
        box.close()
        rows.close()


class _Found(NamedTuple):
    path: Path
    form: RowFormat | None
    """How its rows are read; None for a document."""


def _folder(root: Path, account: Account, box: DocumentBox, rows: Rows) -> Iterator[Article]:
    found = _without_queries(list(_files(root, account, rows)), root, account)
    beside_documents = any(file.form is None for file in found)
    ids = Ids()
    num_articles = 0
    for file in found:
        name = _name(file.path, root)
        if file.form is None:
            articles = _document(file.path, root, account, ids, box)
        else:
            prefix = f"{name}:" if beside_documents else ""
            articles = rows.articles(file.path, file.form, name=name, prefix=prefix, first=num_articles)
        for article in articles:
            num_articles += 1
            if not account.has_failed:
                yield article
    if rows.num_rows:
        rows.finish()
    account.finish()
    if not num_articles:
        what = "text" if found else ".txt, .md, .html, .pdf, .jsonl or other known file"
        skipped = f"skipped: {counted(dict(sorted(account.counts.items())))}" if account.counts else "it is empty"
        if scans := account.examples.get("page without text"):
            raise BadInput(
                f"{root / scans[0]} contains no text ({skipped}): it is probably scanned; run OCR on it first, for "
                "example with ocrmypdf."
            )
        raise BadInput(f"{root} contains no {what} ({skipped}); add some or give another folder.")


def _known(path: Path) -> Path:
    if path.suffix.lower() not in EXTENSIONS:
        ending = f"the unknown extension {path.suffix}" if path.suffix else "no extension"
        raise BadInput(f"{path} has {ending}; give a {', '.join((*EXTENSIONS, *ROW_ENDINGS))} file or a folder.")
    return path


def _files(root: Path, account: Account, rows: Rows) -> Iterator[_Found]:
    """The files that are read, in order."""
    for path, reason, error in walk(root):
        extension = path.suffix.lower()
        if error is not None:
            account.unreadable("folder", error)
        elif reason:
            account.skip(reason, _name(path, root))
        elif extension in EXTENSIONS:
            yield _Found(path, None)
        elif (form := row_format_of(path.name)) is None:
            account.skip(f"file with extension {extension}" if extension else "file without an extension")
        elif _holds_articles(path, form, rows):
            yield _Found(path, form)
        else:
            account.skip("data file without a text column", _name(path, root))


def _holds_articles(path: Path, form: RowFormat, rows: Rows) -> bool:
    """Whether the first row has a text, as data that only lies beside documents has not."""
    try:
        for _, value in rows.values(path, form):
            if value is not None:
                return not isinstance(value, Mapping) or any(key in value for key in TEXT_KEYS)
    except NoText:
        return False
    except BadInput:
        return True
    return True


def _without_queries(found: list[_Found], root: Path, account: Account) -> list[_Found]:
    """The files without the queries and judgements of a BEIR data set, which are no text to be retrieved."""
    folders = [
        {file.path.parent for file in found if plain_name(file.path.name) == name}
        for name in ("corpus.jsonl", "queries.jsonl")
    ]
    sets = folders[0] & folders[1]
    kept = []
    for file in found:
        folder = file.path.parent
        is_query = folder in sets and plain_name(file.path.name) == "queries.jsonl"
        if is_query or (folder.name == "qrels" and folder.parent in sets):
            account.skip("file of queries or judgements (BEIR)", _name(file.path, root))
        else:
            kept.append(file)
    return kept


def _document(
    path: Path,
    root: Path,
    account: Account,
    ids: Ids,
    box: DocumentBox,
    raised: type[NotInstalled] | tuple[()] = (),
) -> Iterator[Article]:
    """The article of a document, if it has text and could be read. Errors of type `raised` are raised."""
    name = _name(path, root)
    try:
        document = box.read(path)
    except BadInput as error:
        account.unreadable("file", error)
        return
    except raised:
        raise
    except NotInstalled:
        extension = path.suffix.lower()
        extra = EXTRAS.get(extension)
        account.skip(f"{extension} file" + (f' (pip install "openrealm[{extra}]" to read it)' if extra else ""), name)
        return
    for reason, number in document.counts.items():
        account.skip(reason, name, number)
    for remark in document.remarks:
        account.assume(remark, name)
    while not ids.is_new(name):
        name += "@"  # names that differ in bytes that are not Unicode can look alike
    title = clean_title(os.fsencode(path.stem).decode("utf-8", "replace"), entities=False)
    article = document.article(name, title)
    if article.text:
        yield article
    else:
        account.skip("blank file", name)


def _name(path: Path, root: Path) -> str:
    """A path in the folder as valid Unicode: bytes that are not UTF-8 are written \\xNN."""
    return os.fsencode(path.relative_to(root)).decode("utf-8", "backslashreplace")
