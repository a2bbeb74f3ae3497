"""A dataset of Hugging Face's `datasets` as a source, by name or folder, streamed.

"datasets:wikimedia/wikipedia?config=20231101.simple&split=train&title=title&text=text"
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from openrealm.corpus.clean import check_line_lengths, clean_text, clean_title
from openrealm.corpus.sources import Source, stamps
from openrealm.errors import BadInput, NotInstalled
from openrealm.types import Article

_PREFIX = "datasets:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which dataset, which part of it, and the names of its columns; a column may be absent but for the text's."""

    name: str
    config: str = ""
    split: str = "train"
    id: str = "id"
    title: str = "title"
    text: str = "text"

    @staticmethod
    def named(source: str) -> Wanted:
        """From "datasets:NAME?key=value&...". Raises BadInput naming a key that is none, or a missing name."""
        name, _, options = source.removeprefix(_PREFIX).partition("?")
        known = [field.name for field in fields(Wanted) if field.name != "name"]
        given = dict(parse_qsl(options, keep_blank_values=True))
        unknown = sorted(set(given) - set(known))
        if not name or unknown:
            wrong = f"no option {unknown[0]!r}" if unknown else "no name"
            raise BadInput(f"{source}: there is {wrong}; expected {_PREFIX}NAME?key=value with {', '.join(known)}.")
        return Wanted(name=name, **given)


class HuggingFaceDataset(Source):
    """A dataset of the Hugging Face hub, or one in a folder."""

    def __init__(self, name: str) -> None:
        """`name` is what follows "datasets:"."""
        self._wanted = Wanted.named(f"{_PREFIX}{name}")
        self.description = {"kind": "datasets", "name": f"{_PREFIX}{name}"}

    def articles(self) -> Iterator[Article]:
        """See `read`."""
        return read(self._wanted)

    def identity(self) -> Any:
        """The name with its options, and names, sizes and times of a folder's files."""
        return [self.description["name"], *stamps(Path(self._wanted.name).expanduser())]


def read(wanted: Wanted) -> Iterator[Article]:
    """Articles in the dataset's order, one row at a time; a row without an id has its number from 1.

    Rows with blank text give no article. Raises NotInstalled without `datasets`, BadInput when the dataset cannot be
    had, has no such column, or a row's text is no string.
    """
    for number, row in enumerate(_rows(wanted), start=1):
        where = f"{_PREFIX}{wanted.name}, row {number}"
        article_id = row.get(wanted.id)
        title = clean_title(_string(row.get(wanted.title) or "", wanted.title, where))
        text = clean_text(_string(_column(row, wanted.text, where), wanted.text, where))
        check_line_lengths(text, where)
        if text:
            yield Article(str(number if article_id is None else article_id), title, text)


def _rows(wanted: Wanted) -> Iterator[dict[str, Any]]:
    try:
        library = importlib.import_module("datasets")
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f'{_PREFIX}{wanted.name} needs the package datasets; install it with: pip install "openrealm[datasets]".'
        ) from error
    try:
        yield from _opened(library, wanted)
    except Exception as error:  # hub, disk and formats beneath the library raise nearly anything
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise BadInput(
            f"{_PREFIX}{wanted.name} cannot be read ({reason}); check name, config, split and network, or give a "
            "folder that save_to_disk wrote."
        ) from error


def _opened(library: Any, wanted: Wanted) -> Iterable[dict[str, Any]]:
    folder = Path(wanted.name).expanduser()
    if (folder / "dataset_dict.json").exists():
        rows: Iterable[dict[str, Any]] = library.load_from_disk(str(folder))[wanted.split]
    elif (folder / "state.json").exists():
        rows = library.load_from_disk(str(folder))
    else:
        rows = library.load_dataset(wanted.name, wanted.config or None, split=wanted.split, streaming=True)
    return rows


def _column(row: dict[str, Any], name: str, where: str) -> Any:
    if name not in row:
        raise BadInput(f"{where} has no column {name!r} (its columns: {', '.join(row)}); name it with ?text=COLUMN.")
    return row[name]


def _string(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{where}: {name!r} is a {type(value).__name__}; expected a string.")
    return value
