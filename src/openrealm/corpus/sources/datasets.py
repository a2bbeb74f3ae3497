"""A dataset of the Hugging Face library `datasets` as a source, by name or folder, streamed.

"datasets:wikimedia/wikipedia?config=20231101.simple&split=train&title=title&text=text"
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from openrealm.corpus.sources import Source, stamps
from openrealm.corpus.sources.account import Account
from openrealm.corpus.sources.rows import TEXT_KEYS, NoText, RowFormat, Value, row_articles
from openrealm.errors import BadInput, NotInstalled
from openrealm.types import DEFAULT_LIMITS, Article, Limits

_PREFIX = "datasets:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """A dataset, the part of it to read, and the names of its columns, of which only that of the text is required."""

    name: str
    config: str = ""
    split: str = "train"
    id: str = "id"
    title: str = "title"
    text: str = "text"

    @staticmethod
    def named(source: str) -> Selection:
        """Parse "datasets:NAME?key=value&...". Raises BadInput for an unknown key or a missing name."""
        name, _, options = source.removeprefix(_PREFIX).partition("?")
        known = [field.name for field in fields(Selection) if field.name != "name"]
        given = dict(parse_qsl(options, keep_blank_values=True))
        unknown = sorted(set(given) - set(known))
        if not name or unknown:
            wrong = f"unknown option {unknown[0]!r}" if unknown else "no name"
            raise BadInput(f"{source}: {wrong}; expected {_PREFIX}NAME?key=value with the keys {', '.join(known)}.")
        return Selection(name=name, **given)


class HuggingFaceDataset(Source):
    """A dataset of the Hugging Face hub, or one in a folder."""

    argument = "NAME?key=value"

    def __init__(self, name: str, *, skip_unreadable: bool = False, limits: Limits = DEFAULT_LIMITS) -> None:
        """`name` is what follows "datasets:"."""
        self._skip_unreadable, self._limits = skip_unreadable, limits
        self._selection = Selection.named(f"{_PREFIX}{name}")
        self.description = {"kind": "datasets", "name": f"{_PREFIX}{name}"}

    def articles(self) -> Iterator[Article]:
        """See `read`."""
        return read(self._selection, Account(self.description, skip_unreadable=self._skip_unreadable), self._limits)

    def identity(self) -> Any:
        """The name with its options, and names, sizes and times of a folder's files."""
        return [self.description["name"], *stamps(Path(self._selection.name).expanduser())]


def read(selection: Selection, account: Account | None = None, limits: Limits = DEFAULT_LIMITS) -> Iterator[Article]:
    """Articles in the dataset's order, one row at a time. See `rows.Rows`.

    Raises NotInstalled without `datasets`, BadInput if the dataset could not be loaded or has no such column.
    """

    def values(_: Path, __: Limits) -> Iterator[tuple[int, Value]]:
        for number, row in enumerate(_rows(selection), start=1):
            yield number, _named(row, selection, f"{_PREFIX}{selection.name}, row {number}")

    return row_articles(Path(f"{_PREFIX}{selection.name}"), RowFormat("row", values), account, limits)


def _named(row: dict[str, Any], selection: Selection, where: str) -> dict[str, Any]:
    """The row with the chosen columns under the names that they have in any row."""
    is_chosen = selection.text != "text"
    if selection.text not in row and (is_chosen or not any(key in row for key in TEXT_KEYS)):
        raise NoText(
            f"{where} has no column {selection.text!r} (its columns: {', '.join(row)}); name it with ?text=COLUMN."
        )
    columns = {"id": selection.id, "title": selection.title, "text": selection.text}
    return row | {name: row[column] for name, column in columns.items() if column in row}


def _rows(selection: Selection) -> Iterator[dict[str, Any]]:
    try:
        library = importlib.import_module("datasets")
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f'{_PREFIX}{selection.name} needs the package datasets; install it with: pip install "openrealm[datasets]".'
        ) from error
    try:
        yield from _opened(library, selection)
    except Exception as error:  # the hub, the disk and file formats raise nearly anything
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise BadInput(
            f"{_PREFIX}{selection.name} could not be read ({reason}); check name, config, split and network, or give a "
            "folder written by save_to_disk."
        ) from error


def _opened(library: Any, selection: Selection) -> Iterable[dict[str, Any]]:
    folder = Path(selection.name).expanduser()
    if (folder / "dataset_dict.json").exists():
        rows: Iterable[dict[str, Any]] = library.load_from_disk(str(folder))[selection.split]
    elif (folder / "state.json").exists():
        rows = library.load_from_disk(str(folder))
    else:
        rows = library.load_dataset(selection.name, selection.config or None, split=selection.split, streaming=True)
    return rows
