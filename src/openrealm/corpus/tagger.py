"""What the corpus expects of a tagger, and how a tagger is found by name; taggers live in `openrealm.masking`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import cast

from openrealm.registry import TAGGERS
from openrealm.types import Span

KINDS = ("entity", "date", "number")


class Tagger(ABC):
    """Finds salient spans: named entities and dates (Guu et al. 2020, Sec. 3.4). Subclass it to write your own.

    `name` is what `load_tagger` finds it by, with its argument ("spacy:en_core_web_sm"), and is stored with the corpus.

    >>> class Shouting(Tagger):
    ...     name = "shouting"
    ...     def tag(self, texts):
    ...         return [[Span(0, len(text), "entity")] if text.isupper() else [] for text in texts]
    >>> Shouting().tag(["LIMA", "Lima"])
    [[Span(start=0, end=4, kind='entity')], []]

    After `TAGGERS.add("shouting", Shouting)` the setting `corpus.tagger=shouting` finds it.
    """

    name: str

    @property
    def in_workers(self) -> bool:
        """Whether worker processes may tag, each with a tagger of its own; False for one that uses all cores itself."""
        return True

    @property
    def is_shared(self) -> bool:
        """Whether another process finds this tagger by its name."""
        name = self.name.partition(":")[0]
        return TAGGERS.is_shared(name) and TAGGERS.get(name) is type(self)

    def learn(self, names: Iterable[str]) -> None:  # noqa: B027  # most taggers have no use for names
        """Take the titles of the whole corpus, and what the source marks as names, before the first text is tagged."""

    @abstractmethod
    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """Character spans of each text: sorted, not overlapping, their kinds among KINDS."""


def load_tagger(tagger: str | Tagger) -> Tagger:
    """The tagger of a name, such as "rules", "spacy:en_core_web_sm" or one added to `TAGGERS`; a tagger is returned.

    Raises BadConfig for an unknown name, NotInstalled when the tagger's package is missing, BadInput for its model.
    """
    return tagger if isinstance(tagger, Tagger) else cast(Tagger, TAGGERS.create(tagger))
