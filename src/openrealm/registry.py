"""Names for interchangeable parts: losses, sources, taggers, rules, searchers and callbacks.

A registry maps names to objects. Built-in entries are import paths, so that listing names imports nothing. Users add
objects with `add`, and packages provide them as entry points of the registry's group.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast, overload

from openrealm.errors import BadConfig

__all__ = ["CALLBACKS", "LOSSES", "RULES", "SEARCHERS", "SOURCES", "TAGGERS", "Registry"]

T = TypeVar("T")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


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
        """Create a registry.

        kind      singular noun for messages, such as "loss"; entry points of the group "openrealm.KIND" (with
                  underscores instead of spaces) are found too
        built_in  import paths "module:attribute" by name
        """
        self.kind = kind
        self._paths = dict(built_in or {})
        self._objects: dict[str, T] = {}
        self._added: set[str] = set()

    @overload
    def add(self, name: str, value: T) -> T: ...

    @overload
    def add(self, name: str) -> Callable[[T], T]: ...

    def add(self, name: str, value: T | None = None) -> T | Callable[[T], T]:
        """Register `value` under `name`, replacing any earlier entry; without `value`, returns a decorator."""
        if value is None:
            return lambda decorated: self.add(name, decorated)
        self._objects[name] = value
        self._added.add(name)
        return value

    def remove(self, name: str) -> None:
        """Remove the object added under `name`, if any; a built-in entry of that name becomes visible again."""
        self._objects.pop(name, None)
        self._added.discard(name)

    def get(self, name: str) -> T:
        """The object registered under `name`. Raises BadConfig with the known names if there is none."""
        if name not in self._objects:
            self.check(name)
            path = self._paths.get(name) or self._plugins()[name]
            module, _, attribute = path.partition(":")
            self._objects[name] = cast(T, _attribute(importlib.import_module(module), attribute))
        return self._objects[name]

    def create(self, spec: str, **options: Any) -> Any:
        """Call the object registered under NAME with ARGUMENT, where `spec` is "NAME" or "NAME:ARGUMENT".

        The argument is passed first, as a string; `options` that are not parameters of the object are ignored. In the
        message about a missing argument its name is the object's attribute `argument`, or that of the parameter.

        >>> words: Registry[Any] = Registry("word", {"fraction": "fractions:Fraction"})
        >>> words.create("fraction:3/4")
        Fraction(3, 4)

        Raises BadConfig for an unknown name, and if an argument is missing or not accepted.
        """
        name, _, argument = spec.partition(":")
        factory: Any = self.get(name)
        parameters = inspect.signature(factory).parameters
        first = next((p for p in parameters.values() if p.kind in _POSITIONAL), None)
        if argument and first is None:
            raise BadConfig(f"The {self.kind} {name!r} takes no argument, but {spec!r} gives one; write {name!r}.")
        form = getattr(factory, "argument", first.name.upper() if first is not None else "")
        if not argument and first is not None and first.default is inspect.Parameter.empty:
            raise BadConfig(f"The {self.kind} {name!r} needs an argument; write {name}:{form}.")
        taken = {key: value for key, value in options.items() if key in parameters}
        return factory(*([argument] if argument else []), **taken)

    def needs_argument(self, name: str) -> bool:
        """Whether `create` requires an argument after `name`."""
        parameters = inspect.signature(cast(Any, self.get(name))).parameters.values()
        return any(p.kind in _POSITIONAL and p.default is inspect.Parameter.empty for p in parameters)

    def is_shared(self, name: str) -> bool:
        """Whether other processes find the same object under `name`, because it is built in or an entry point."""
        return name in self and name not in self._added

    def check(self, name: str, key: str = "") -> None:
        """Raise BadConfig if nothing is registered under `name`.

        key  setting with this value, for the message
        """
        if name not in self:
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            known = ", ".join(self.names()) or "none"
            what = (
                f"{key} is {name!r}, but no {self.kind} has that name" if key else f"There is no {self.kind} {name!r}"
            )
            raise BadConfig(f"{what}; choose from {known}{hint or '.'}")

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
"""Losses of joint pre-training: functions from a `Reading` to one loss per query, shape (B,)."""

SOURCES: Registry[Any] = Registry(
    "source",
    {
        "datasets": "openrealm.corpus.sources.datasets:HuggingFaceDataset",
        "factbook": "openrealm.factbook.source:Factbook",
        "files": "openrealm.corpus.sources.folder:Files",
        "json": "openrealm.corpus.sources.json_array:JsonArray",
        "jsonl": "openrealm.corpus.sources.jsonl:JsonLines",
        "mediawiki": "openrealm.corpus.sources.mediawiki:MediaWiki",
        "parquet": "openrealm.corpus.sources.parquet:Parquet",
        "qed": "openrealm.qed.source:Qed",
        "table": "openrealm.corpus.sources.table:Table",
        "wikiextractor": "openrealm.corpus.sources.wikiextractor:WikiExtractor",
        "wikipedia": "openrealm.corpus.sources.wikipedia:Wikipedia",
    },
)
"""Sources of articles: subclasses of `openrealm.corpus.sources.Source`."""

TAGGERS: Registry[Any] = Registry(
    "tagger",
    {
        "anchors": "openrealm.masking.anchors:AnchorTagger",
        "hf": "openrealm.masking.huggingface:HuggingFaceTagger",
        "rules": "openrealm.masking.tagger:RulesTagger",
        "spacy": "openrealm.masking.spacy:SpacyTagger",
    },
)
"""Taggers of salient spans: subclasses of `openrealm.corpus.tagger.Tagger`."""

RULES: Registry[Any] = Registry(
    "rule",
    {
        "dates": "openrealm.masking.dates:date_rule",
        "entities": "openrealm.masking.gazetteer:entity_spans",
        "numbers": "openrealm.masking.dates:number_rule",
    },
)
"""Rules of the tagger "rules": functions from texts and known names to spans; see `openrealm.masking.tagger`."""

SEARCHERS: Registry[Any] = Registry(
    "searcher",
    {
        "exact": "openrealm.index.exact:ExactSearcher",
        "faiss": "openrealm.index.faiss:FaissSearcher",
        "int8": "openrealm.index.int8:Int8Searcher",
    },
)
"""Searchers: `openrealm.index.searcher.MakeSearcher`, functions from passage vectors to a `Searcher`."""

CALLBACKS: Registry[Any] = Registry(
    "callback",
    {
        "early_stopping": "openrealm.callbacks:EarlyStopping",
        "tensorboard": "openrealm.callbacks:TensorBoard",
        "wandb": "openrealm.callbacks:WeightsAndBiases",
    },
)
"""Observers of training: subclasses of `openrealm.callbacks.Callback`."""
