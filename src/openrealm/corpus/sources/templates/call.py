"""A template as it is called in a page, and helpers to render it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """The use of a template.

    name      as written
    values    rendered parameters by name; those without a name are "1", "2", ...
    language  code of the wiki's language, empty if unknown
    """

    name: str
    values: Mapping[str, str]
    language: str = ""

    def get(self, *keys: str, default: str = "") -> str:
        """The first of these parameters that is not blank, without white space around it."""
        return next((value for key in keys if (value := self.values.get(key, "").strip())), default)

    def unnamed(self) -> list[str]:
        """Parameters "1", "2", ... up to the last, without white space around them."""
        numbers = [int(key) for key in self.values if key.isascii() and key.isdigit() and len(key) < 4]
        return [self.get(str(n)) for n in range(1, max(numbers, default=0) + 1)]

    def first(self, num_parameters: int) -> list[str]:
        """The first parameters without a name; those that are missing are empty."""
        return [self.get(str(n)) for n in range(1, num_parameters + 1)]

    def is_set(self, key: str) -> bool:
        """Whether a parameter says yes."""
        return self.get(key).casefold() in ("y", "yes", "1", "true", "on", "oui", "sí", "sim")


Renderer = Callable[[Call], str | None]
"""What a template shows, or None if that is not known."""


def constant(text: str) -> Renderer:
    """A renderer that always shows `text`."""
    return lambda call: text


def parameter(*keys: str) -> Renderer:
    """A renderer that shows the first of these parameters that is not blank; what else there is may be its words."""
    return lambda call: call.get(*keys) or (None if any(value.strip() for value in call.values.values()) else "")


def optional(*keys: str) -> Renderer:
    """A renderer that shows the first of these parameters that is not blank, and nothing of the others."""
    return lambda call: call.get(*keys)


def before(text: str) -> Renderer:
    """A renderer that shows a word, and after it the parameter "1" if there is one: "Mme", "Mme Curie"."""
    return lambda call: f"{text} {call.get('1')}".strip()


def around(before: str, after: str = "", *keys: str) -> Renderer:
    """A renderer that shows a parameter, by default "1", between two texts."""
    return lambda call: f"{before}{call.get(*(keys or ('1',)))}{after}"


def nothing(call: Call) -> str:
    """A renderer that shows nothing."""
    return ""


def named(names: str, renderer: Renderer) -> dict[str, Renderer]:
    """A table in which each of the names, separated by semicolons, has the same renderer."""
    return dict.fromkeys((name.strip() for name in names.replace("\n", ";").split(";") if name.strip()), renderer)
