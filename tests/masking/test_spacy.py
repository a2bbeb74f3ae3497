from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from openrealm.corpus.tagger import load_tagger
from openrealm.errors import BadInput, NotInstalled

is_installed = importlib.util.find_spec("spacy") is not None


@pytest.mark.skipif(is_installed, reason="spaCy is installed")
def test_without_spacy_the_extra_is_named() -> None:
    with pytest.raises(NotInstalled, match=r'"spacy:en_core_web_sm" needs spaCy; .*"openrealm\[spacy\]"'):
        load_tagger("spacy:en_core_web_sm")


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A spaCy pipeline of our own, saved as a folder: a few rules in place of a trained model."""
    spacy = pytest.importorskip("spacy", reason='needs spaCy: pip install "openrealm[spacy]"')
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [
            {"label": "GPE", "pattern": "Lima"},
            {"label": "DATE", "pattern": "last Sunday"},
            {"label": "CARDINAL", "pattern": "seven"},
        ]
    )
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model"


def test_labels_become_our_kinds_and_dates_are_added(pipeline: Path) -> None:
    tagger = load_tagger(f"spacy:{pipeline}")
    text = "seven people came to Lima last Sunday and on 28 July 1821"
    [spans, nothing] = tagger.tag([text, ""])
    assert [(text[span.start : span.end], span.kind) for span in spans] == [
        ("seven", "number"),
        ("Lima", "entity"),
        ("last Sunday", "date"),
        ("28 July 1821", "date"),
    ]
    assert nothing == []
    assert tagger.name == f"spacy:{pipeline}"


@pytest.mark.skipif(not is_installed, reason='needs spaCy: pip install "openrealm[spacy]"')
def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r'spaCy cannot load "no_such_model"'):
        load_tagger("spacy:no_such_model")
