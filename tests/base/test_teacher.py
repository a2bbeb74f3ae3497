"""What a teacher says of short texts, against loops and against its own model; and a pupil that learns it."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from openrealm import files
from openrealm.base.prepare import tiny
from openrealm.base.settings import BaseSettings
from openrealm.base.teacher import Lessons, drawn_texts, likeness_loss, write_lessons
from openrealm.base.texts import Texts
from openrealm.base.trainer import BaseTrainer
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import DamagedArtefact, Mismatch

CPU = Engine("cpu", False)


def unit(num_rows: int, num_columns: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(num_rows, num_columns, generator=generator), dim=1)


def slow_likeness(pupil: Tensor, taught: Tensor, temperature: float) -> float:
    size, divergence = len(pupil), 0.0
    for i in range(size):
        others = [j for j in range(size) if j != i]
        scores, wanted = ([float(rows[i] @ rows[j]) for j in others] for rows in (pupil, taught))
        sums = [sum(math.exp(value / temperature) for value in values) for values in (scores, wanted)]
        for score, want in zip(scores, wanted, strict=True):
            logp, logq = score / temperature - math.log(sums[0]), want / temperature - math.log(sums[1])
            divergence += math.exp(logq) * (logq - logp)
    return divergence / size


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_loss_is_that_of_the_loops(seed: int) -> None:
    pupil, taught = unit(7, 5, seed), unit(7, 9, seed + 10)
    assert float(likeness_loss(pupil, taught, 0.1)) == pytest.approx(slow_likeness(pupil, taught, 0.1), rel=1e-5)


def test_a_pupil_as_the_teacher_but_turned_has_nothing_to_learn() -> None:
    taught = unit(6, 8, 0)
    turned = taught @ torch.linalg.qr(unit(8, 8, 1)).Q
    assert float(likeness_loss(turned, taught, 0.05)) == pytest.approx(0, abs=1e-4)
    assert float(likeness_loss(unit(6, 8, 2), taught, 0.05)) > 0.5


@pytest.fixture(scope="module")
def texts(toy_corpus: Corpus) -> Texts:
    return Texts([toy_corpus, toy_corpus], heldout_rate=0.2, seed=3)


def test_texts_are_short_sentences_and_whole_passages_of_articles_that_are_trained_on(
    texts: Texts, toy_corpus: Corpus
) -> None:
    drawn = drawn_texts(texts, 30, 5, seed=0)
    sentences, passages = drawn[:30], drawn[30:]
    assert len(sentences) == 30
    assert drawn == drawn_texts(texts, 30, 5, seed=0)
    assert drawn != drawn_texts(texts, 30, 5, seed=1)
    read = {i: toy_corpus.passage(i) for i in range(len(toy_corpus))}
    trained = {i % len(toy_corpus) for i in range(len(texts)) if not texts.is_heldout_N[i]}
    assert set(passages) <= {f"{read[i].title}. {read[i].text}" for i in trained}
    for sentence in sentences:
        assert any(sentence in read[i].text for i in trained)
        assert 4 <= len(texts.tokenizer.encode(sentence)[0]) <= 24
    assert len(drawn_texts(texts, 10**6, 0, seed=0)) <= (~texts.is_heldout_N).sum()


@pytest.fixture(scope="module")
def lessons(texts: Texts, toy_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, told = tmp_path_factory.mktemp("lessons") / "lessons", []
    drawn = drawn_texts(texts, 40, 8, seed=0)
    write_lessons(folder, drawn, str(toy_backbone), texts.tokenizer, CPU, {"teacher": "toy"}, told.append)
    assert sum(told) == len(drawn)
    return folder


@torch.no_grad()
def test_vectors_are_the_means_of_the_teachers_last_states(lessons: Path, texts: Texts, toy_backbone: Path) -> None:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(toy_backbone).eval()
    opened = Lessons(lessons, texts.tokenizer, seed=0)
    rows, taught = opened.batch(0, len(opened))
    assert len(rows) == len(taught) == 48
    for row, vector in list(zip(rows, taught, strict=True))[:12]:
        state = model(input_ids=torch.from_numpy(row.ids)[None]).last_hidden_state[0].mean(dim=0)
        assert torch.nn.functional.cosine_similarity(state, vector, dim=0) == pytest.approx(1, abs=1e-3)
        assert float(vector.norm()) == pytest.approx(1, abs=1e-3)


def test_batches_walk_through_all_texts_and_agree_with_seed_and_number(lessons: Path, texts: Texts) -> None:
    opened = Lessons(lessons, texts.tokenizer, seed=0)
    walk = [tuple(row.ids.tolist()) for number in range(6) for row in opened.batch(number, 8)[0]]
    again = Lessons(lessons, texts.tokenizer, seed=0)
    assert [tuple(row.ids.tolist()) for row in again.batch(4, 8)[0]] == walk[32:40]
    specials = (texts.tokenizer.cls_id, texts.tokenizer.sep_id)
    told = texts.tokenizer.encode_batch(files.read_json(lessons / "texts.json"))
    assert sorted(walk) == sorted((specials[0], *ids, specials[1]) for ids, _ in told)


def test_damaged_lessons_are_refused(lessons: Path, texts: Texts, tmp_path: Path) -> None:
    shutil.copytree(lessons, tmp_path / "lessons")
    (tmp_path / "lessons" / "texts.json").write_text("[]")
    with pytest.raises(DamagedArtefact, match=r"texts\.json"):
        Lessons(tmp_path / "lessons", texts.tokenizer, seed=0)


SETTINGS = dataclasses.replace(
    tiny(BaseSettings()),
    heldout_rate=0.2,
    mlm_batch=4,
    ict_batch=4,
    teacher_batch=16,
    num_steps=30,
    eval_steps=1000,
    checkpoint_steps=15,
    learning_rate=3e-3,
)


def test_the_pupils_vectors_become_like_the_teachers(lessons: Path, texts: Texts, tmp_path: Path) -> None:
    opened = Lessons(lessons, texts.tokenizer, seed=0)
    trainer = BaseTrainer(SETTINGS, texts, tmp_path, CPU, lessons=opened)
    rows, taught = opened.batch(0, len(opened))

    def distance() -> float:
        with torch.no_grad():
            return float(likeness_loss(trainer.model.tower(rows), taught, SETTINGS.temperature))

    before = distance()
    trainer.train()
    assert distance() < before / 2


def test_a_resume_takes_the_same_lessons_and_no_others(lessons: Path, texts: Texts, tmp_path: Path) -> None:
    opened = Lessons(lessons, texts.tokenizer, seed=0)
    whole = BaseTrainer(SETTINGS, texts, tmp_path / "whole", CPU, lessons=opened)
    whole.train()
    halves = BaseTrainer(SETTINGS, texts, tmp_path / "halves", CPU, lessons=opened)
    first = iter([halves.batches[step] for step in range(20)])
    halves._stream = lambda: first  # type: ignore[method-assign]  # data that ends early, as a kill would end it
    with pytest.raises(StopIteration):
        halves.train()
    rest = BaseTrainer(SETTINGS, texts, tmp_path / "halves", CPU, lessons=opened)
    rest.train(resume=True)
    for name, tensor in whole.model.own_state().items():
        assert torch.equal(tensor, rest.model.own_state()[name]), name
    without = BaseTrainer(SETTINGS, texts, tmp_path / "halves", CPU)
    with pytest.raises(Mismatch, match="another configuration"):
        without.train(resume=True)
