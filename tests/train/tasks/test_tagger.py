"""Training a tagger: labels, windows and batches, and what a trained tagger recognises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openrealm.config import Config, with_settings
from openrealm.corpus.tagger import load_tagger
from openrealm.engine import Engine, engine_for
from openrealm.errors import BadInput, DamagedArtefact
from openrealm.masking.conll import Document, Sentence
from openrealm.text.tokenizer import Tokenizer
from openrealm.train.tasks.tagger import (
    Tagger,
    TaggerSettings,
    encode,
    evaluate_tagger,
    label_set,
    train_tagger,
    windows,
)
from openrealm.types import Article


@pytest.fixture(scope="module")
def documents(toy_articles: list[Article]) -> list[Document]:
    """Each toy article as a document with its country labelled LOC and its founder PER."""
    found = []
    for article in toy_articles[:24]:
        document = []
        for text in article.text.rstrip(".").split(". "):
            words = text.split()
            labels = [
                "B-LOC" if w == article.title else "B-PER" if words[k - 1] == "by" else "O" for k, w in enumerate(words)
            ]
            document.append(Sentence((*words, "."), (*labels, "O")))
        found.append(document)
    return found


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_for(with_settings(Config(), ["device=cpu", "precision=fp32"]))


def settings(backbone: Path, **changes: int | float) -> TaggerSettings:
    return TaggerSettings(**{"backbone": str(backbone), "num_epochs": 12, "learning_rate": 3e-3, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document], toy_backbone: Path, engine: Engine
) -> Path:
    made = tmp_path_factory.mktemp("tagger") / "tagger"
    train_tagger(documents, made, settings(toy_backbone), engine)
    return made


def test_a_trained_tagger_recognises_names_and_can_be_loaded(folder: Path, documents: list[Document]) -> None:
    assert evaluate_tagger(documents, folder).f1 > 0.9
    country = next(w for w, label in zip(documents[0][0].words, documents[0][0].labels, strict=True) if label != "O")
    text = f"The capital of {country} is old."
    [spans] = load_tagger(f"hf:{folder}").tag([text])
    assert [text[span.start : span.end] for span in spans] == [country]


def test_weights_depend_on_the_seed_only(
    tmp_path: Path, documents: list[Document], toy_backbone: Path, engine: Engine, one_thread: None
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_tagger(documents[:4], tmp_path / name, settings(toy_backbone, seed=seed, num_epochs=1), engine)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_a_damaged_folder_is_refused_by_name(
    tmp_path: Path, documents: list[Document], toy_backbone: Path, engine: Engine
) -> None:
    train_tagger(documents[:2], tmp_path / "t", settings(toy_backbone, num_epochs=1), engine)
    weights = tmp_path / "t" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DamagedArtefact, match=r"model\.safetensors differs from its digest"):
        load_tagger(f"hf:{tmp_path / 't'}")


def test_only_the_first_piece_of_an_entity_has_a_b_label(tokenizer: Tokenizer) -> None:
    sentence = Sentence(("born", "in", "Limaxy", "Peru", "Chile"), ("O", "O", "B-LOC", "I-LOC", "B-LOC"))
    names = label_set([[sentence]])
    assert names == ["O", "B-LOC", "I-LOC"]
    [[pieces]] = encode([[sentence]], tokenizer, names)
    _, offsets = tokenizer.encode("born in Limaxy Peru Chile")
    opens = {8: "B-LOC", 20: "B-LOC"}
    expected = ["O" if start < 8 else opens.get(start, "I-LOC") for start, _ in offsets]
    assert [names[i] for i in pieces.labels] == expected
    assert len(offsets) > 5


def test_windows_stay_within_a_document_and_the_limit_and_contain_every_piece(
    documents: list[Document], toy_backbone: Path
) -> None:
    pieces = encode(documents, Tokenizer.from_folder(toy_backbone), label_set(documents))
    given = settings(toy_backbone, max_tokens=48)
    for epoch in range(3):
        found = list(windows(pieces, given, epoch))
        assert all(len(window.ids) == len(window.labels) <= 46 for window in found)
        # No sentence is longer than a window here, so that nothing is truncated.
        whole = np.concatenate([sentence.ids for document in pieces for sentence in document])
        np.testing.assert_array_equal(np.concatenate([window.ids for window in found]), whole)
        assert len(found) >= len(documents)
    lengths = [[len(w.ids) for w in windows(pieces, given, epoch)] for epoch in (0, 1)]
    assert lengths[0] != lengths[1]


def test_a_file_without_entities_is_refused(tmp_path: Path, toy_backbone: Path, engine: Engine) -> None:
    with pytest.raises(BadInput, match="contains no entity"):
        train_tagger([[Sentence(("a",), ("O",))]], tmp_path / "t", settings(toy_backbone), engine)
    assert not (tmp_path / "t").exists()


def test_batches_allow_random_access(documents: list[Document], toy_backbone: Path) -> None:
    def task() -> Tagger:
        return Tagger(documents, settings(toy_backbone))

    walked = task()
    batches = [walked.batch(step) for step in range(walked.schedule.num_steps)]
    for step in (0, 5, 17, walked.schedule.num_steps - 1, 3):
        jumped = task().batch(step)
        assert [window.ids.tolist() for window in jumped] == [window.ids.tolist() for window in batches[step]]
