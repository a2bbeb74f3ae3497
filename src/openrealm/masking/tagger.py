"""Taggers by name, and the one by rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from openrealm.corpus.protocols import KINDS, LearnsTitles, Tagger
from openrealm.errors import BadConfig
from openrealm.masking.dates import date_spans, number_spans
from openrealm.masking.gazetteer import Gazetteer, entity_spans
from openrealm.masking.spans import resolve
from openrealm.types import Span

__all__ = ["KINDS", "KIND_OF_LABEL", "LearnsTitles", "RulesTagger", "Tagger", "load_tagger", "resolve"]

# The labels of OntoNotes that models are trained on; any other label is an entity.
KIND_OF_LABEL = {"DATE": "date"} | dict.fromkeys(
    ("CARDINAL", "ORDINAL", "PERCENT", "MONEY", "QUANTITY", "TIME"), "number"
)


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


def load_tagger(name: str) -> Tagger:
    """The tagger of a name: "rules", "anchors", "spacy:PACKAGE_OR_FOLDER" or "hf:NAME_OR_FOLDER".

    Raises BadConfig for another name, NotInstalled when the plug-in's package is absent, BadInput when its model is.
    """
    kind, _, model = name.partition(":")
    if name == "rules":
        return RulesTagger()
    if name == "anchors":
        from openrealm.masking.anchors import AnchorTagger

        return AnchorTagger()
    if kind == "spacy" and model:
        from openrealm.masking.spacy import SpacyTagger

        return SpacyTagger(model)
    if kind == "hf" and model:
        from openrealm.masking.huggingface import HuggingFaceTagger

        return HuggingFaceTagger(model)
    raise BadConfig(
        f'The tagger "{name}" is unknown; use "rules", "anchors", "spacy:NAME_OR_FOLDER" or "hf:NAME_OR_FOLDER".'
    )
