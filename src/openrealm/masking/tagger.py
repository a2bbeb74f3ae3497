"""The tagger "rules": names, dates and numbers by rules alone, each rule a function that can be replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from openrealm.corpus.tagger import Tagger
from openrealm.errors import BadConfig, BadInput
from openrealm.masking.gazetteer import Gazetteer
from openrealm.masking.spans import resolve
from openrealm.registry import RULES
from openrealm.types import Span

DEFAULT_RULES = "dates,entities,numbers"

Rule = Callable[[Sequence[str], Gazetteer], list[list[Span]]]
"""Spans of each text, given the texts that are tagged together and the names of the corpus, such as its titles."""


class RulesTagger(Tagger):
    """Tags by rules: no model, no download, the same result on any machine.

    >>> [spans] = RulesTagger().tag(["It left Lima in 1821."])
    >>> spans
    [Span(start=8, end=12, kind='entity'), Span(start=16, end=20, kind='date')]

    Other rules are written with their names: "rules:dates,mine" after `RULES.add("mine", my_rule)`.
    """

    def __init__(self, rules: str = DEFAULT_RULES) -> None:
        """`rules` are names in `RULES` separated by commas. Raises BadConfig for an unknown one."""
        names = [name.strip() for name in rules.split(",")]
        if len(set(names)) < len(names):
            raise BadConfig(f'The tagger "rules:{rules}" names a rule twice; name each rule once.')
        self.name = "rules" if sorted(names) == DEFAULT_RULES.split(",") else f"rules:{','.join(names)}"
        self._rules: dict[str, Rule] = {name: RULES.get(name) for name in names}
        self._gazetteer = Gazetteer()

    @property
    def is_shared(self) -> bool:
        """Whether another process finds all of its rules by name too."""
        return super().is_shared and all(map(RULES.is_shared, self._rules))

    def learn(self, names: Iterable[str]) -> None:
        """Take titles as known names."""
        self._gazetteer.add(names)

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """Spans of each text. Texts tagged together show each other which words are names: keep batches large.

        Where spans overlap, `resolve` decides which of them stays.
        """
        found = []
        for name, rule in self._rules.items():
            found.append(rule(texts, self._gazetteer))
            if len(found[-1]) != len(texts):
                raise BadInput(
                    f'The rule "{name}" returned {len(found[-1])} lists of spans for {len(texts)} texts; return '
                    "one list per text."
                )
        return [resolve(chain.from_iterable(spans)) for spans in zip(*found, strict=True)]
