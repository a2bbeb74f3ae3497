"""Names for interchangeable parts: losses, sources, taggers, rules, searchers and callbacks.

A registry maps a name to an object. Built-in entries are import paths, so that listing names imports nothing. Users add
their own objects with `add`, and packages announce theirs as entry points of the registry's group.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast, overload

from openrealm.errors import BadConfig

__all__ = ["CALLBACKS", "LOSSES", "RULES", "SEARCHERS", "SOURCES", "TAGGERS", "Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Objects of one kind by name.

    >>> shapes: Registry[str] = Registry("shape", {"round": "string:ascii_lowercase"})
    >>> shapes.add("square", "four corners")
    'four corners'
    >>> shapes.names()
    ['round', 'square']
    >>> shapes.get("square")
    'four corners'
    """

    def __init__(self, kind: str, built_in: Mapping[str, str] | None = None) -> None:
        """An empty registry, or one of built-in entries.

        kind      singular noun for messages, such as "loss"; entry points of the group "openrealm.KIND" are found too,
                  with underscores for spaces
        built_in  import path "module:attribute" by name
        """
        self.kind = kind
        self._paths = dict(built_in or {})
        self._objects: dict[str, T] = {}

    @overload
    def add(self, name: str, value: T) -> T: ...

    @overload
    def add(self, name: str) -> Callable[[T], T]: ...

    def add(self, name: str, value: T | None = None) -> T | Callable[[T], T]:
        """Register `value` under `name`, replacing what had that name; without `value`, a decorator."""
        if value is None:
            return lambda decorated: self.add(name, decorated)
        self._objects[name] = value
        return value

    def get(self, name: str) -> T:
        """The object registered under `name`. Raises BadConfig listing the known names if there is none."""
        if name not in self._objects:
            self.check(name)
            path = self._paths.get(name) or self._plugins()[name]
            module, _, attribute = path.partition(":")
            self._objects[name] = cast(T, _attribute(importlib.import_module(module), attribute))
        return self._objects[name]

    def check(self, name: str, key: str = "") -> None:
        """Raise BadConfig if nothing is registered under `name`; `key` is the setting that the message names."""
        if name not in self:
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            known = ", ".join(self.names()) or "none"
            what = (
                f"{key} is {name!r}, but no {self.kind} has that name" if key else f"There is no {self.kind} {name!r}"
            )
            raise BadConfig(f"{what}; known are: {known}{hint or '.'}")

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted({*self._paths, *self._objects, *self._plugins()})

    def __contains__(self, name: object) -> bool:
        return name in self._objects or name in self._paths or name in self._plugins()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _plugins(self) -> dict[str, str]:
        group = f"openrealm.{self.kind.replace(' ', '_')}"
        return {point.name: point.value for point in entry_points(group=group)}


def _attribute(module: Any, path: str) -> Any:
    found = module
    for part in path.split("."):
        found = getattr(found, part)
    return found


LOSSES: Registry[Any] = Registry(
    "loss",
    {name: f"openrealm.model.losses:{name}" for name in ("marginal", "emdr2", "pdist", "loop", "adist")},
)
"""Losses of joint pre-training: a function from a `Reading` to one loss per query, shape (B,)."""

SOURCES: Registry[Any] = Registry("source")
"""Where articles come from; see `openrealm.corpus.sources`."""

TAGGERS: Registry[Any] = Registry("tagger")
"""Taggers of salient spans; see `openrealm.masking`."""

RULES: Registry[Any] = Registry("rule")
"""Rules of the tagger "rules": functions from texts to spans; see `openrealm.masking`."""

SEARCHERS: Registry[Any] = Registry("searcher", {"exact": "openrealm.index.exact:ExactSearcher"})
"""Maximum inner product search over an index's vectors; see `openrealm.index`."""

CALLBACKS: Registry[Any] = Registry(
    "callback",
    {"tensorboard": "openrealm.callbacks:TensorBoard", "early_stopping": "openrealm.callbacks:EarlyStopping"},
)
"""Observers of training; see `openrealm.callbacks`."""
