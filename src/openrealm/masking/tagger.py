"""Taggers by name, and the resolution of overlapping spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from openrealm.corpus.protocols import KINDS, LearnsTitles, Tagger
from openrealm.errors import BadConfig
from openrealm.masking.dates import date_spans, number_spans
from openrealm.masking.gazetteer import Gazetteer, entity_spans
from openrealm.types import Span

__all__ = ["KINDS", "KIND_OF_LABEL", "LearnsTitles", "RulesTagger", "Tagger", "load_tagger", "resolve"]

# The labels of OntoNotes that models are trained on; any other label is an entity.
KIND_OF_LABEL = {"DATE": "date"} | dict.fromkeys(
    ("CARDINAL", "ORDINAL", "PERCENT", "MONEY", "QUANTITY", "TIME"), "number"
)
_PRIORITY = {"date": 0, "entity": 1, "number": 2}


class RulesTagger:
    """Names, dates and numbers by rules alone: no model, no download, the same on any machine."""

    name = "rules"

    def __init__(self, names: Iterable[str] = ()) -> None:
        """`names` are tagged wherever they occur, besides what the rules find."""
        self._gazetteer = Gazetteer(names)

    def learn(self, titles: Iterable[str]) -> None:
        """Take titles as known names."""
        self._gazetteer.add(titles)

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """Spans of each text. Texts tagged together show each other which words are names: keep batches large."""
        entities = entity_spans(texts, self._gazetteer)
        return [
            resolve([*date_spans(text), *found, *number_spans(text)])
            for text, found in zip(texts, entities, strict=True)
        ]


def resolve(spans: Iterable[Span]) -> list[Span]:
    """The spans that stay where some overlap: the longest; of equal length a date, then an entity, then a number."""
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda s: (s.start - s.end, _PRIORITY.get(s.kind, 3), s.start)):
        if span.start < span.end and all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)


def load_tagger(name: str) -> Tagger:
    """The tagger of a name: "rules", "spacy:PACKAGE_OR_FOLDER" or "hf:NAME_OR_FOLDER".

    Raises BadConfig for another name, NotInstalled when the plug-in's package is absent, BadInput when its model is.
    """
    kind, _, model = name.partition(":")
    if name == "rules":
        return RulesTagger()
    if kind == "spacy" and model:
        from openrealm.masking.spacy import SpacyTagger

        return SpacyTagger(model)
    if kind == "hf" and model:
        from openrealm.masking.huggingface import HuggingFaceTagger

        return HuggingFaceTagger(model)
    raise BadConfig(f'The tagger "{name}" is unknown; use "rules", "spacy:NAME_OR_FOLDER" or "hf:NAME_OR_FOLDER".')
