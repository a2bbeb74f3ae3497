"""What the corpus asks of a tagger; the taggers themselves live above, in `openrealm.masking`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from openrealm.types import Span

KINDS = ("entity", "date", "number")


class Tagger(Protocol):
    """Finds salient spans (Guu et al. 2020, Sec. 3.4): named entities and dates."""

    @property
    def name(self) -> str:
        """The name by which it is loaded, such as "rules"; part of a corpus' settings."""
        ...

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """For each text its character spans: sorted, not overlapping, kinds out of KINDS."""
        ...


@runtime_checkable
class LearnsTitles(Protocol):
    """A tagger that wants the titles of the whole corpus, as names, before it tags the first text."""

    def learn(self, titles: Iterable[str]) -> None:
        """Take `titles` as known names."""
        ...
