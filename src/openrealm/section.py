"""What a part of the configuration is: frozen, its fields with their meaning and limits, checked on making it."""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from openrealm.errors import BadConfig
from openrealm.typed import checked


def field(default: Any, doc: str, *, at_least: float = -math.inf, at_most: float = math.inf) -> Any:
    """A dataclass field with its meaning and its limits, both ends allowed."""
    return dataclasses.field(default=default, metadata={"doc": doc, "at_least": at_least, "at_most": at_most})


def hints(section: type) -> dict[str, Any]:
    """The type of each field."""
    return typing.get_type_hints(section)


@dataclass(frozen=True, kw_only=True)
class Section:
    """What all parts of a configuration share: every field's type and limits are checked on making it."""

    key: ClassVar[str] = ""

    def __post_init__(self) -> None:
        types = hints(type(self))
        for one in dataclasses.fields(self):
            key = f"{self.key}.{one.name}" if self.key else one.name
            value = checked(key, getattr(self, one.name), types[one.name])
            low, high = one.metadata.get("at_least", -math.inf), one.metadata.get("at_most", math.inf)
            if isinstance(value, int | float) and not low <= value <= high:
                wanted = f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
                raise BadConfig(f"{key} is {value!r}, but a value {wanted} is expected ({one.metadata['doc']}).")
            object.__setattr__(self, one.name, value)
        self._check_together()

    def replace(self, **values: Any) -> Self:
        """A copy with some fields changed. Raises BadConfig for an unknown field or a value that is not allowed."""
        known = [one.name for one in dataclasses.fields(self)]
        if unknown := sorted(set(values) - set(known)):
            near = difflib.get_close_matches(unknown[0], known, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"known are: {', '.join(known)}."
            raise BadConfig(f"{self.key or 'The configuration'} has no field {unknown[0]!r}; {hint}")
        return dataclasses.replace(self, **values)

    def _check_together(self) -> None:
        """Checks that need more than one field."""

    def _refuse(self, reason: str) -> None:
        raise BadConfig(f"The configuration section {self.key!r} does not fit together: {reason}.")
