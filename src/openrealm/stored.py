"""Checks what is read back from JSON against a declared type; an error names the file, the key and what was expected.

Types are TypedDicts, dataclasses or anything else that pydantic knows. They are declared next to the code that writes
the file, from the fields below.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, TypeVar, cast

from annotated_types import Ge, Le
from typing_extensions import TypedDict

from openrealm.errors import DamagedArtefact

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")

Count = Annotated[int, Ge(0)]
"""A number of things."""
Size = Annotated[int, Ge(1)]
"""A number of things of which there is at least one."""
Share = Annotated[float, Ge(0), Le(1)]
Seconds = Annotated[float, Ge(0)]

_MAX_SHOWN = 60
_MAX_INT = 1 << 63


class FileEntry(TypedDict):
    """What a manifest says of a file."""

    sha256: str
    num_bytes: Count


class Manifest(TypedDict):
    """What every manifest has; the types of artefacts add their own keys."""

    kind: NotRequired[str]
    files: dict[str, FileEntry]
    manifest_sha256: str


def parsed(text: str) -> Any:
    """JSON as Python values. Raises ValueError where keys repeat and for numbers that JSON or int64 do not have."""
    return json.loads(
        text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_small
    )


def value_of(text: str, where: Path | str, remedy: str) -> Any:
    """`parsed`, or DamagedArtefact naming the file `where`."""
    try:
        return parsed(text)
    except (ValueError, RecursionError) as error:
        raise DamagedArtefact(f"{where} is not valid JSON ({_short(str(error))}); {remedy}.") from None


def read_as(kind: type[T], text: str, where: Path | str, remedy: str = "rerun the stage that wrote it") -> T:
    """The JSON `text` as a value of the type `kind`; nothing is converted but lists to tuples and numbers to floats.

    where   the file, for the message
    remedy  what the message says to do
    Raises DamagedArtefact naming the file and the first key that does not fit.
    """
    from pydantic import ValidationError

    value_of(text, where, remedy)
    try:
        return cast(T, _adapter(cast(Any, kind)).validate_json(text, strict=True))
    except ValidationError as error:
        raise DamagedArtefact(f"{where}{_reason(error)}; {remedy}.") from None


def checked(kind: type[T], value: Any, where: Path | str, remedy: str = "rerun the stage that wrote it") -> T:
    """`read_as` for a part of a JSON value that was read before."""
    return read_as(kind, json.dumps(value), where, remedy)


def of_kind(kind: type[T], value: Any, where: Path | str, remedy: str) -> T:
    """`value` as it is, keys that `kind` does not declare included, after the same check."""
    checked(kind, value, where, remedy)
    return cast(T, value)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _reason(error: Any) -> str:
    """ " lacks the entry KEY" and the like, for the first thing that pydantic found."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f" lacks the entry {key}"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f" has an unknown entry {key}"
    expected = first["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    expected = f"a number {expected}" if expected.startswith(("greater", "less")) else expected
    found = _short(json.dumps(first["input"], ensure_ascii=True, default=repr))
    return f": {key or 'the whole'} is {found}, but {expected[:1].lower()}{expected[1:]} is expected"


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {max(names, key=names.count)!r} stands twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is too large a number")
    return number


def _small(digits: str) -> int:
    if len(digits) > 20 or not -_MAX_INT <= int(digits) < _MAX_INT:
        raise ValueError(f"{digits[:20]}… is too large a number")
    return int(digits)
