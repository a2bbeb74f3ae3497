"""Articles from rows: which keys or columns hold the id, the title and the text, and what became of every row."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from openrealm.corpus.clean import check_line_lengths, clean_text, clean_title
from openrealm.corpus.sources.account import Account
from openrealm.corpus.sources.ids import Ids
from openrealm.corpus.validity import day_of
from openrealm.errors import BadInput
from openrealm.progress import counted
from openrealm.text.surrogates import without_surrogates
from openrealm.types import DEFAULT_LIMITS, Article, Limits, Line

if TYPE_CHECKING:
    from openrealm.corpus.sources.boxed_rows import RowBox

ID_KEYS = ("id", "_id", "docid", "doc_id", "docno", "pid", "passage_id", "document_id")
TITLE_KEYS = ("title",)
TEXT_KEYS = ("text", "contents", "content", "passage", "segment", "body")
"""Where id, title and text are looked for, the first that is not null: the keys of BEIR (_id), Pyserini (contents),
ColBERT (pid, passage), MS MARCO (docid, segment, body), ir_datasets and TREC (doc_id, docno), and Hugging Face's
Wikipedia (id, title, text)."""

DATE_KEYS = ("valid_from", "valid_to")
"""The first and the last day on which a row is valid."""

_MAX_TITLE_CHARACTERS = 150
_TYPES = {
    dict: "an object", list: "a list", int: "a number", float: "a number", bool: "a boolean", bytes: "bytes",
    str: "a text", type(None): "null",
}  # fmt: skip

Value = Mapping[str, Any] | BadInput | None
"""A row: its values by key, why it cannot be read, or None for a blank line."""


class NoText(BadInput):
    """A file of rows has no key or column of TEXT_KEYS."""


class RowFormat(NamedTuple):
    """A kind of file with a row for each article.

    unit      what its rows are called in messages
    rows      reads a file within limits: number from 1 and value of every row; raises BadInput if the file itself is
              unreadable
    is_boxed  whether a damaged file may crash what reads it, which is then done in a child process
    """

    unit: str
    rows: Callable[[Path, Limits], Iterator[tuple[int, Value]]]
    is_boxed: bool = False

    def place(self, path: Path | str, number: int) -> str:
        """A row in words: "a.jsonl:3" or "a.parquet, row 3"."""
        return f"{path}:{number}" if self.unit == "line" else f"{path}, {self.unit} {number}"


class Rows:
    """Makes articles of the rows of a source, which may be several files.

    Every row becomes an article or is counted in `account` by the reason why it does not. `close` ends the child
    process that reads those of some formats.
    """

    def __init__(self, account: Account, limits: Limits) -> None:
        self._account, self._limits = account, limits
        self._ids = Ids()
        self._num_repeated, self._first_repeated = 0, ""
        self._keys: dict[str, dict[str, None]] = {"id": {}, "title": {}, "text": {}}
        self._box: RowBox | None = None
        self.num_rows = 0

    def values(self, path: Path, form: RowFormat) -> Iterator[tuple[int, Value]]:
        """Number and value of every row of a file, as `RowFormat.rows` yields them."""
        if not form.is_boxed:
            return form.rows(path, self._limits)
        if self._box is None:
            from openrealm.corpus.sources.boxed_rows import RowBox

            self._box = RowBox(self._limits)
        return self._box.rows(path)

    def close(self) -> None:
        """End the child process, if there is one."""
        if self._box is not None:
            self._box.close()

    def articles(
        self, path: Path, form: RowFormat, *, name: str = "", prefix: str = "", first: int = 0
    ) -> Iterator[Article]:
        """The articles of one file in order; without an id, a row has its number, after `name` if that is given.

        prefix  comes before every id that a row has itself
        first   how many articles of the source came before
        An id that an earlier row has gets the row's number appended. After the first unreadable row, if those are not
        skipped, no more articles come; `Account.finish` raises.
        """
        account = self._account
        file = account.begin_rows(name or path.name, form.unit, first)
        try:
            for number, value in self.values(path, form):
                self.num_rows += 1
                if value is None:
                    account.skip(f"blank {form.unit}")
                    continue
                try:
                    article = self._article(value, number, form.place(path, number), name, prefix)
                except BadInput as error:
                    account.unreadable("row", error)
                    if account.is_full:
                        break
                    continue
                if not article.text:
                    account.skip("row without text", form.place(name or path.name, number))
                elif not account.has_failed:
                    file["num_articles"] += 1
                    yield article
        except BadInput as error:
            account.unreadable("file", error)

    def finish(self) -> None:
        """Tell the account about keys, number of rows and repeated ids."""
        account = self._account
        found = {what: ", ".join(keys) for what, keys in self._keys.items() if keys}
        account.describe(keys=found, num_rows=self.num_rows)
        if self._num_repeated:
            account.remarks.append(
                f"{counted({'row': self._num_repeated})} with the id of an earlier row (the first: "
                f"{self._first_repeated}); the row's number was appended to the id."
            )

    def _article(self, value: Mapping[str, Any] | BadInput, number: int, where: str, name: str, prefix: str) -> Article:
        if isinstance(value, BadInput):
            raise value
        text_key, text = self._string(value, TEXT_KEYS, where)
        if not text and not any(key in value for key in TEXT_KEYS):
            raise BadInput(f'{where} has no "text" (it has: {_listed(value)}); {EXPECTED}.')
        check_line_lengths(text, where, self._limits)
        title_key, title = self._string(value, TITLE_KEYS, where)
        offset = 0
        if text_key == "contents" and not title_key:
            title, offset = _pyserini_title(text)
        id_key, row_id = self._id(value, where)
        article_id = prefix + row_id if id_key else f"{name}:{number}" if name else str(number)
        for what, key in (("id", id_key), ("title", title_key), ("text", text_key)):
            if key:
                self._keys[what][key] = None
        cleaned, lines = cleaned_lines(text, number, offset)
        article_id = self._unique(article_id, number, where) if cleaned else article_id
        first, last = (_date(value, key, where) for key in DATE_KEYS)
        if first and last and last < first:
            raise BadInput(f"{where}: it is valid to {last}, before the first day, {first}; correct one of the dates.")
        return Article(article_id, clean_title(title), cleaned, lines=lines, valid_from=first, valid_to=last)

    def _string(self, value: Mapping[str, Any], keys: Sequence[str], where: str) -> tuple[str, str]:
        """The first of the keys that is not null, and its text; two empty strings if there is none."""
        key = _first(value, keys)
        found = value[key] if key else ""
        if not isinstance(found, str):
            raise BadInput(f'{where}: "{key}" is {type_of(found)}; expected a string.')
        return key, found

    def _id(self, value: Mapping[str, Any], where: str) -> tuple[str, str]:
        key = _first(value, ID_KEYS)
        found = value[key] if key else ""
        if isinstance(found, bool) or not isinstance(found, str | int):
            raise BadInput(f'{where}: "{key}" is {type_of(found)}; expected a string or an integer.')
        row_id = without_surrogates(str(found))
        return (key, row_id) if row_id.strip() else ("", "")  # a blank id is none

    def _unique(self, article_id: str, number: int, where: str) -> str:
        unique = article_id
        while not self._ids.is_new(unique):
            unique = f"{unique}@{number}"
        if unique != article_id:
            self._num_repeated += 1
            self._first_repeated = self._first_repeated or f"{article_id!r} in {where}"
        return unique


def row_articles(
    path: Path, form: RowFormat, account: Account | None = None, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Article]:
    """The articles of one file of rows. Raises BadInput if it, or a row, is unreadable and the account skips none."""
    account = account or Account()
    rows = Rows(account, limits)
    try:
        yield from rows.articles(path, form)
    finally:
        rows.close()
    rows.finish()
    account.finish(is_complete=not account.is_full)


EXPECTED = 'expected an object such as {"id": "1", "title": "Peru", "text": "Peru is ..."}'


def cleaned_lines(text: str, part: int = 0, start: int = 0) -> tuple[str, tuple[Line, ...]]:
    """`clean_text` of `text[start:]`, with the place in `text` of each of its lines."""
    cleaned: list[str] = []
    lines: list[Line] = []
    length, position = 0, start
    for line in text[start:].splitlines(keepends=True):  # at the same characters as `clean_text`
        if words := clean_text(line):
            lines.append(Line(length, position + len(line) - len(line.lstrip()), part))
            cleaned.append(words)
            length += len(words) + 1
        position += len(line)
    return "\n".join(cleaned), tuple(lines)


def _pyserini_title(contents: str) -> tuple[str, int]:
    """The title in a first line, which Pyserini's corpora have in quotes or not, and where the text begins.

    >>> _pyserini_title('"Peru"\\nLima is the capital.')
    ('Peru', 7)
    >>> _pyserini_title("Lima is the capital.\\nCusco is a city.")
    ('', 0)
    """
    line, newline, rest = contents.partition("\n")
    title = line.strip()
    is_quoted = len(title) > 2 and title[0] == title[-1] == '"'
    if not rest.strip() or len(title) > _MAX_TITLE_CHARACTERS or (title.endswith(".") and not is_quoted):
        return "", 0
    return title[1:-1] if is_quoted else title, len(line) + len(newline)


def _first(value: Mapping[str, Any], keys: Sequence[str]) -> str:
    return next((key for key in keys if value.get(key) is not None), "")


def _date(value: Mapping[str, Any], key: str, where: str) -> str:
    """A date of a row, such as "2019-06-01"; "" where the row has none."""
    found = value.get(key)
    if found is None or found == "":
        return ""
    text = found.isoformat() if isinstance(found, datetime.date) else str(found).strip()
    try:
        return day_of(text.partition("T")[0]).isoformat()  # without the time of day
    except BadInput as error:
        raise BadInput(f'{where}: "{key}" is {found!r}; expected a date such as 2019-06-01.') from error


def type_of(value: object) -> str:
    """The type of a JSON value, for a message."""
    return _TYPES.get(type(value), f"a {type(value).__name__}")


def _listed(value: Mapping[str, Any]) -> str:
    names = [str(key)[:40] for key in value][:10]
    return ", ".join(names) + (", …" if len(value) > len(names) else "") if names else "nothing"
