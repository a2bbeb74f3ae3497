"""The machinery of the configuration: frozen sections of checked settings, on pydantic dataclasses.

A section is a dataclass whose fields are made by `setting`, which records what a setting means, which paper its default
is from and its limits. pydantic checks types and limits when a section is made; this module turns its errors into one
sentence and reads settings from text.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeGuard, TypeVar

from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from openrealm.errors import BadConfig

S = TypeVar("S", bound="Section")
_CHECKS = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_NONE = ("none", "null")


def share(default: float, meaning: str, source: str = "") -> Any:
    """A `setting` between 0 and 1."""
    return setting(default, meaning, source, ge=0, le=1)


def setting(default: Any, meaning: str, source: str = "", *, ge: float | None = None, le: float | None = None) -> Any:
    """A field of a section: its default, what it means, which paper the default is from, and its limits (inclusive)."""
    return Field(
        default,
        description=meaning,
        json_schema_extra={"source": source},
        ge=ge,
        le=le,
        kw_only=True,
        strict=False if isinstance(default, tuple) else None,  # a list becomes a tuple
    )


@dataclass(frozen=True, kw_only=True)
class Section:
    """Base of every section. Creating one checks each field and raises BadConfig for the first that is wrong."""

    __pydantic_config__ = _CHECKS
    key: ClassVar[str] = ""
    """The name by which settings refer to the section; empty for the whole configuration."""

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise _refusal(cls, error) from None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, nested by section."""
        return typing.cast(dict[str, Any], to_jsonable_python(self))

    def replace(self, **changes: Any) -> Self:
        """A copy with some settings changed. Raises BadConfig for an unknown setting or a value that is not allowed."""
        return dataclasses.replace(self, **changes)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Omitted settings take their defaults; BadConfig names an unknown one."""
        if not isinstance(values, Mapping):
            raise _no_section(cls, values)
        sections = {name: field.annotation for name, field in _fields(cls).items() if _is_section(field.annotation)}
        return cls(**{name: sections[name].from_dict(one) if name in sections else one for name, one in values.items()})


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is known about one setting."""

    key: str
    field: FieldInfo

    @property
    def default(self) -> Any:
        """The value it has unless it is set."""
        return self.field.default

    @property
    def meaning(self) -> str:
        """What it does, as a clause."""
        return self.field.description or ""

    @property
    def source(self) -> str:
        """The paper or code that the default is from; empty if there is none."""
        return str(typing.cast(dict[str, Any], self.field.json_schema_extra)["source"])

    @property
    def expected(self) -> str:
        """The values it takes, in words."""
        hint, is_optional = _without_none(self.field.annotation)
        if typing.get_origin(hint) is tuple:
            words = "a comma-separated list" + _choices(typing.get_args(hint)[0], " of ")
        else:
            words = _choices(hint, "one of ") or _WORDS.get(hint, "a section")
        limits = {type(limit).__name__.lower(): limit for limit in self.field.metadata}
        low, high = (getattr(limits.get(name), name, None) for name in ("ge", "le"))
        if low is not None:
            words += f" of at least {low}" if high is None else f" from {low} to {high}"
        return words + ", or none" * is_optional

    def read(self, text: str) -> Any:
        """The value that `text` denotes for this setting's type. Raises BadConfig."""
        hint, is_optional = _without_none(self.field.annotation)
        if is_optional and text.lower() in _NONE:
            return None
        checked = functools.reduce(lambda inner, check: Annotated[inner, check], self.field.metadata, hint)
        adapter: TypeAdapter[Any] = TypeAdapter(checked, config=_CHECKS)
        try:
            if typing.get_origin(hint) is tuple:
                element: TypeAdapter[Any] = TypeAdapter(typing.get_args(hint)[0], config=_CHECKS)
                parts = (part.strip() for part in text.split(","))
                return adapter.validate_python(tuple(element.validate_strings(part) for part in parts if part))
            return adapter.validate_strings(text)
        except ValidationError as error:
            raise self.refusal(error.errors()[0]["input"]) from None

    def refusal(self, value: Any) -> BadConfig:
        """The error that this setting cannot be `value`."""
        choices = typing.get_args(_without_none(self.field.annotation)[0])
        near = difflib.get_close_matches(str(value), [one for one in choices if isinstance(one, str)], n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        meaning = f" ({self.meaning})" if self.meaning else ""
        return BadConfig(f"{self.key} is {_shortened(value)}, but {self.expected} is expected{meaning}{hint}")


def _shortened(value: Any) -> str:
    try:
        shown = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number that is too long"
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"


_MAX_SHOWN = 200
_WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def known_settings(section: type[Section]) -> dict[str, Setting]:
    """Every setting of a section and of the sections in it, by the dotted key that `--set` takes."""
    known: dict[str, Setting] = {}
    for name, field in _fields(section).items():
        if _is_section(field.annotation):
            known |= {f"{name}.{key}": one for key, one in known_settings(field.annotation).items()}
        else:
            known[name] = Setting(_full_key(section, name), field)
    return known


def with_settings(section: S, settings: Iterable[str]) -> S:
    """A copy of `section` with each "key=value" of `settings` applied; a later one overrides an earlier one.

    Values are read according to the setting's type: `none` where that is allowed, true/false, numbers as Python
    writes them, lists with commas. Settings that depend on each other are checked once all are applied.

    >>> from openrealm.config import Config
    >>> with_settings(Config(), ["pretrain.num_steps=1_000", "model.num_layers=none"]).pretrain.num_steps
    1000

    Raises BadConfig naming the setting, and for an unknown key the nearest known ones.
    """
    changes: dict[str, dict[str, Any]] = {}
    for text in settings:
        key, value = read_setting(type(section), text)
        owner, _, name = key.rpartition(".")
        changes.setdefault(owner, {})[name] = value
    own = changes.pop("", {})
    return dataclasses.replace(
        section, **own, **{name: dataclasses.replace(getattr(section, name), **new) for name, new in changes.items()}
    )


def read_setting(section: type[Section], text: str) -> tuple[str, Any]:
    """The key and the value of one "key=value". Raises BadConfig if the section has no such setting or value."""
    key, equals, value = text.partition("=")
    key = key.strip().removeprefix(f"{section.key}." if section.key else "")
    known = known_settings(section)
    if not equals:
        example = [*_nearest(key, known), *known][0]
        raise BadConfig(f"The setting {text!r} has no '='; write it as KEY=VALUE, such as {example}=…")
    if key not in known:
        inner = [one for one in known if one.startswith(f"{key}.")]
        if inner:
            raise BadConfig(f"{key} is a section; set one of its keys, such as {inner[0]}.")
        raise _unknown(key, known)
    return key, known[key].read(value.strip())


def written(value: Any) -> str:
    """A setting's value as text that `with_settings` reads back."""
    if isinstance(value, list | tuple):
        return ",".join(map(written, value))
    return str(value).lower() if isinstance(value, bool | None) else str(value)


def _fields(section: type[Section]) -> dict[str, FieldInfo]:
    return typing.cast(Any, section).__pydantic_fields__  # type: ignore[no-any-return]


def _is_section(hint: Any) -> TypeGuard[type[Section]]:
    return isinstance(hint, type) and issubclass(hint, Section)


def _full_key(section: type[Section], name: str) -> str:
    return f"{section.key}.{name}" if section.key else name


def _without_none(hint: Any) -> tuple[Any, bool]:
    """The hint without `None`, and whether `None` was in it: `int | None` gives `(int, True)`."""
    if isinstance(hint, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None)), True
    return hint, False


def _choices(hint: Any, before: str) -> str:
    return before + ", ".join(typing.get_args(hint)) if typing.get_origin(hint) is Literal else ""


def _no_section(section: type[Section], value: Any) -> BadConfig:
    return BadConfig(f"{section.key or 'The configuration'} is {value!r}, but a section with its settings is expected.")


def _refusal(section: type[Section], error: ValidationError) -> Exception:
    """The error that a user sees for the first thing that pydantic found."""
    first = error.errors()[0]
    if not first["loc"]:
        return _no_section(section, first["input"])
    name = str(first["loc"][0])
    if first["type"] == "unexpected_positional_argument":
        return TypeError(f"{section.__name__} takes keyword arguments only")
    if name not in _fields(section):
        return _unknown(_full_key(section, name), [_full_key(section, known) for known in _fields(section)])
    return Setting(_full_key(section, name), _fields(section)[name]).refusal(first["input"])


def _unknown(key: str, known: Collection[str]) -> BadConfig:
    near = _nearest(key, known)
    listed = f"similar settings: {', '.join(near)}" if near else f"choose from {', '.join(_first_parts(known))}"
    return BadConfig(f"There is no setting {key!r}; {listed}.")


def _nearest(key: str, known: Collection[str]) -> list[str]:
    """At most four known keys that are spelt similarly or have the same name in another section."""
    same_name = [name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]]
    return list(dict.fromkeys([*difflib.get_close_matches(key, known, n=3, cutoff=0.5), *same_name]))[:4]


def _first_parts(known: Collection[str]) -> list[str]:
    return list(dict.fromkeys(key.partition(".")[0] for key in known))
