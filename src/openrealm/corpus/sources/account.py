"""What became of the files and rows of a source: what was skipped and why, and what could not be read."""

from __future__ import annotations

from typing import Any

from openrealm.corpus.row_files import RowFile
from openrealm.errors import BadInput, SeveralBadInputs
from openrealm.progress import visible

MAX_EXAMPLES = 20


class Account:
    """Counts what a source skips, and gathers its unreadable files and rows to name them all at once.

    It fills the source's description: "skipped" has numbers by reason, "examples" the first MAX_EXAMPLES names of each
    reason, "remarks" sentences about what was read nevertheless, and "row_files" what articles come from which file.

    >>> description = {}
    >>> account = Account(description)
    >>> account.skip("blank file", "a.txt")
    >>> account.skip("hidden file")
    >>> description["skipped"], description["examples"]
    ({'blank file': 1, 'hidden file': 1}, {'blank file': ['a.txt']})
    """

    def __init__(self, description: dict[str, Any] | None = None, *, skip_unreadable: bool = False) -> None:
        """With `skip_unreadable`, what cannot be read is counted like everything else that is skipped."""
        self.counts: dict[str, int] = {}
        self.examples: dict[str, list[str]] = {}
        self.remarks: list[str] = []
        self.num_rows = 0
        self._row_files: list[RowFile] = []
        self._assumed: dict[str, list[str]] = {}
        self.skip_unreadable = skip_unreadable
        self._errors: list[BadInput] = []
        self._num_errors = 0
        self._description = {} if description is None else description
        self._description.update(skipped=self.counts, examples=self.examples, remarks=self.remarks)

    def skip(self, reason: str, name: str = "", number: int = 1) -> None:
        """Count something that is skipped; `name` may be listed."""
        self.counts[reason] = self.counts.get(reason, 0) + number
        if name:
            names = self.examples.setdefault(reason, [])
            if len(names) < MAX_EXAMPLES:
                names.append(name)

    def assume(self, what: str, name: str) -> None:
        """Note a file that was read only under an assumption, such as "read as windows-1252", for the remarks."""
        self._assumed.setdefault(what, []).append(name)

    def begin_rows(self, name: str, unit: str, first: int) -> RowFile:
        """Note a file of rows whose articles are numbered from `first`; the caller counts them in what is returned.

        A source of one file goes by its own name, where it has one, instead of `name`.
        """
        if self._description.get("kind") != "folder":
            name = self._description.get("name", name)
        file = RowFile(name=name, unit=unit, first=first, num_articles=0)
        self._row_files.append(file)
        self._description["row_files"] = self._row_files
        return file

    def describe(self, **values: Any) -> None:
        """Add to the source's description."""
        self._description.update(values)

    def unreadable(self, what: str, error: BadInput) -> None:
        """Note an unreadable "file" or "row": counted, or kept for `finish`."""
        if self.skip_unreadable:
            self.skip(f"unreadable {what}", str(error))
            return
        self._num_errors += 1
        if len(self._errors) < MAX_EXAMPLES:
            self._errors.append(error)

    @property
    def has_failed(self) -> bool:
        """Whether `finish` will raise, so that no more articles are needed."""
        return bool(self._errors)

    @property
    def is_full(self) -> bool:
        """Whether `finish` will name as many errors as it can."""
        return len(self._errors) == MAX_EXAMPLES

    def finish(self, *, is_complete: bool = True) -> None:
        """Raise BadInput that names what was unreadable, if anything was.

        is_complete  whether everything was looked at, so that the number of errors is known
        """
        for what, names in self._assumed.items():
            others = f" and {len(names) - MAX_EXAMPLES:,} more" if len(names) > MAX_EXAMPLES else ""
            self.remarks.append(f"{what}: {', '.join(names[:MAX_EXAMPLES])}{others}")
        if not self._errors:
            return
        if self._num_errors == 1:
            raise self._errors[0]
        number = f"{self._num_errors:,}" if is_complete else f"{self._num_errors:,} or more"
        listed = "".join(f"\n  {visible(str(error))}" for error in self._errors)
        more = self._num_errors - len(self._errors)
        listed += f"\n  and {more:,} more" if more else ""
        raise SeveralBadInputs(
            f"{number} files or rows could not be read; correct or remove them, or skip them with --skip-unreadable "
            f"(in Python, skip_unreadable=True):{listed}"
        )
