"""What a teacher says of short texts, against loops and against its own model; and a student that learns it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from openrealm import files
from openrealm.base.prepare import tiny
from openrealm.base.settings import BaseSettings
from openrealm.base.task import BaseEncoding
from openrealm.base.teacher import TeacherVectors, drawn_texts, similarity_loss, write_teacher_vectors
from openrealm.base.texts import Texts
from openrealm.callbacks import Callback
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import DamagedArtefact, Mismatch
from openrealm.model.state import unique_state
from openrealm.train.trainer import Trainer

CPU = Engine("cpu", False)


def unit(num_rows: int, num_columns: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(num_rows, num_columns, generator=generator), dim=1)


def slow_similarity_loss(student: Tensor, taught: Tensor, temperature: float) -> float:
    size, divergence = len(student), 0.0
    for i in range(size):
        others = [j for j in range(size) if j != i]
        scores, wanted = ([float(rows[i] @ rows[j]) for j in others] for rows in (student, taught))
        sums = [sum(math.exp(value / temperature) for value in values) for values in (scores, wanted)]
        for score, want in zip(scores, wanted, strict=True):
            logp, logq = score / temperature - math.log(sums[0]), want / temperature - math.log(sums[1])
            divergence += math.exp(logq) * (logq - logp)
    return divergence / size


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_loss_is_that_of_the_loops(seed: int) -> None:
    student, taught = unit(7, 5, seed), unit(7, 9, seed + 10)
    assert float(similarity_loss(student, taught, 0.1)) == pytest.approx(
        slow_similarity_loss(student, taught, 0.1), rel=1e-5
    )


def test_a_student_whose_vectors_are_the_teachers_rotated_has_nothing_to_learn() -> None:
    taught = unit(6, 8, 0)
    rotated = taught @ torch.linalg.qr(unit(8, 8, 1)).Q
    assert float(similarity_loss(rotated, taught, 0.05)) == pytest.approx(0, abs=1e-4)
    assert float(similarity_loss(unit(6, 8, 2), taught, 0.05)) > 0.5


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
def teacher_folder(texts: Texts, toy_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, told = tmp_path_factory.mktemp("teacher") / "teacher", []
    drawn = drawn_texts(texts, 40, 8, seed=0)
    write_teacher_vectors(folder, drawn, str(toy_backbone), texts.tokenizer, CPU, {"teacher": "toy"}, told.append)
    assert sum(told) == len(drawn)
    return folder


@torch.no_grad()
def test_vectors_are_the_means_of_the_teachers_last_states(
    teacher_folder: Path, texts: Texts, toy_backbone: Path
) -> None:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(toy_backbone).eval()
    opened = TeacherVectors(teacher_folder, texts.tokenizer, seed=0)
    rows, taught = opened.batch(0, len(opened))
    assert len(rows) == len(taught) == 48
    for row, vector in list(zip(rows, taught, strict=True))[:12]:
        state = model(input_ids=torch.from_numpy(row.ids)[None]).last_hidden_state[0].mean(dim=0)
        assert torch.nn.functional.cosine_similarity(state, vector, dim=0) == pytest.approx(1, abs=1e-3)
        assert float(vector.norm()) == pytest.approx(1, abs=1e-3)


def test_batches_walk_through_all_texts_and_agree_with_seed_and_number(teacher_folder: Path, texts: Texts) -> None:
    opened = TeacherVectors(teacher_folder, texts.tokenizer, seed=0)
    walk = [tuple(row.ids.tolist()) for number in range(6) for row in opened.batch(number, 8)[0]]
    again = TeacherVectors(teacher_folder, texts.tokenizer, seed=0)
    assert [tuple(row.ids.tolist()) for row in again.batch(4, 8)[0]] == walk[32:40]
    specials = (texts.tokenizer.cls_id, texts.tokenizer.sep_id)
    told = texts.tokenizer.encode_batch(files.read_json(teacher_folder / "texts.json", list[str]))
    assert sorted(walk) == sorted((specials[0], *ids, specials[1]) for ids, _ in told)


def test_damaged_vectors_are_refused(teacher_folder: Path, texts: Texts, tmp_path: Path) -> None:
    shutil.copytree(teacher_folder, tmp_path / "teacher")
    (tmp_path / "teacher" / "texts.json").write_text("[]")
    with pytest.raises(DamagedArtefact, match=r"texts\.json"):
        TeacherVectors(tmp_path / "teacher", texts.tokenizer, seed=0)


SETTINGS = tiny(BaseSettings()).replace(
    heldout_rate=0.2,
    mlm_batch=4,
    ict_batch=4,
    teacher_batch=16,
    num_steps=30,
    eval_steps=1000,
    checkpoint_steps=15,
    learning_rate=3e-3,
)


def trainer_of(
    texts: Texts, folder: Path, teacher: TeacherVectors | None, callbacks: Sequence[Callback] = ()
) -> Trainer:
    task = BaseEncoding(texts, SETTINGS, teacher)
    return Trainer(task.new_model(), task, folder, callbacks=callbacks, engine=CPU)


def test_the_students_vectors_become_similar_to_the_teachers(
    teacher_folder: Path, texts: Texts, tmp_path: Path
) -> None:
    teacher = TeacherVectors(teacher_folder, texts.tokenizer, seed=0)
    trainer = trainer_of(texts, tmp_path, teacher)
    rows, taught = teacher.batch(0, len(teacher))

    def distance() -> float:
        with torch.no_grad():
            return float(similarity_loss(trainer.model.tower(rows), taught, SETTINGS.temperature))

    before = distance()
    trainer.train()
    assert distance() < before / 2


def test_a_resume_takes_the_same_vectors_and_no_others(
    teacher_folder: Path, texts: Texts, tmp_path: Path, interrupt_at: Callable[[int], Any]
) -> None:
    teacher = TeacherVectors(teacher_folder, texts.tokenizer, seed=0)
    whole = trainer_of(texts, tmp_path / "whole", teacher)
    whole.train()
    interrupt = interrupt_at(20)
    with pytest.raises(interrupt.error):
        trainer_of(texts, tmp_path / "halves", teacher, [interrupt]).train()
    rest = trainer_of(texts, tmp_path / "halves", teacher)
    rest.train(resume=True)
    resumed = unique_state(rest.model)
    for name, tensor in unique_state(whole.model).items():
        assert torch.equal(tensor, resumed[name]), name
    with pytest.raises(Mismatch, match="other settings"):
        trainer_of(texts, tmp_path / "halves", None).train(resume=True)
