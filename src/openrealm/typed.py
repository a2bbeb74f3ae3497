"""One value held against one type hint: read from a command line's text, or checked as it came from Python or JSON."""

from __future__ import annotations

import difflib
import math
import types
import typing
from typing import Any, Literal, Union

from openrealm.errors import BadConfig

_NONE = ("none", "null")
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


def optional(hint: Any) -> tuple[Any, bool]:
    """The hint without `None`, and whether `None` was in it: `int | None` gives `(int, True)`."""
    if typing.get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    rest = [part for part in typing.get_args(hint) if part is not type(None)]
    return rest[0], len(rest) < len(typing.get_args(hint))


def described(hint: Any) -> str:
    """What a value of this type looks like, in words for a message."""
    bare, may_be_none = optional(hint)
    if typing.get_origin(bare) is Literal:
        words = "one of " + ", ".join(map(str, typing.get_args(bare)))
    elif typing.get_origin(bare) is tuple:
        words = "a list of words with commas between"
    else:
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(bare, "a section")
    return words + (" or none" if may_be_none else "")


def checked(key: str, value: Any, hint: Any) -> Any:
    """`value` as the type that `hint` names (an int becomes a float, a list a tuple); else BadConfig naming `key`."""
    bare, may_be_none = optional(hint)
    if value is None and may_be_none:
        return None
    if typing.get_origin(bare) is Literal and isinstance(value, str) and value in typing.get_args(bare):
        return value
    if typing.get_origin(bare) is tuple and isinstance(value, list | tuple) and all(isinstance(x, str) for x in value):
        return tuple(value)
    if bare is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if bare in (bool, int, str) and type(value) is bare:
        return value
    if isinstance(bare, type) and bare not in (bool, int, float, str) and isinstance(value, bare):
        return value
    raise BadConfig(f"{key} is {value!r}, but {described(hint)} is expected{_meant(value, bare)}.")


def parsed(key: str, text: str, hint: Any) -> Any:
    """The value that `text` writes, by the type that `hint` names; BadConfig naming `key` where it writes none."""
    bare, may_be_none = optional(hint)
    if may_be_none and text.lower() in _NONE:
        return None
    if typing.get_origin(bare) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if bare is bool and text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    if bare in (int, float):
        try:
            return bare(text)
        except ValueError:
            return checked(key, text, hint)
    return checked(key, text, hint)


def _meant(value: Any, bare: Any) -> str:
    near = difflib.get_close_matches(str(value), map(str, typing.get_args(bare)), n=1)
    return f"; did you mean {near[0]}?" if near and typing.get_origin(bare) is Literal else ""
