"""The loss against a slow reference, and the batches of the task that trains a span reader."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import BadInput
from openrealm.qa.pool import Item, items
from openrealm.qa.questions import Asked
from openrealm.qa.settings import QaSettings
from openrealm.qa.task import ReadingBatch, SpanReading, reading_loss
from openrealm.qa.train import new_model
from openrealm.train.trainer import Trainer

CPU = Engine("cpu", False)


def slow_loss(g: torch.Tensor, valid: torch.Tensor, batch: ReadingBatch) -> list[float]:
    """The definition, span by span."""
    losses, first_row = [], 0
    for num_rows in batch.num_rows:
        every, right = 1.0, 0.0  # exp(0) for "no answer"
        has_answer = False
        for row in range(first_row, first_row + num_rows):
            for first in range(g.shape[1]):
                for width in range(g.shape[2]):
                    if valid[row, first, width]:
                        every += math.exp(g[row, first, width])
                    if (row, first, width) in batch.correct:
                        right += math.exp(g[row, first, width])
                        has_answer = True
        losses.append(math.log(every) - math.log(right if has_answer else 1.0))
        first_row += num_rows
    return losses


@given(seed=st.integers(0, 2**31), num_rows=st.lists(st.integers(1, 3), min_size=1, max_size=5))
def test_the_loss_is_its_definition_also_for_questions_without_an_answer(seed: int, num_rows: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (sum(num_rows), 5, 3)
    g_RPW = 4 * torch.randn(shape, generator=generator, dtype=torch.float64)
    valid_RPW = torch.rand(shape, generator=generator) < 0.7
    correct_RPW = valid_RPW & (torch.rand(shape, generator=generator) < 0.05)
    correct = [(r, p, w) for r, p, w in correct_RPW.nonzero().tolist()]
    batch = ReadingBatch([], [], num_rows, correct)
    g_RPW.requires_grad_(True)
    loss_B = reading_loss(g_RPW, valid_RPW, batch)
    assert loss_B.tolist() == pytest.approx(slow_loss(g_RPW.detach(), valid_RPW, batch), abs=1e-9)
    loss_B.sum().backward()
    assert g_RPW.grad is not None
    assert bool(g_RPW.grad.isfinite().all())
    assert bool((g_RPW.grad[~valid_RPW] == 0).all())


def test_a_row_without_any_span_takes_no_part() -> None:
    g_RPW = torch.tensor([[[1.0]], [[5.0]]], dtype=torch.float64, requires_grad=True)
    valid_RPW = torch.tensor([[[True]], [[False]]])
    loss_B = reading_loss(g_RPW, valid_RPW, ReadingBatch([], [], [1, 1], [(0, 0, 0)]))
    assert loss_B.tolist() == pytest.approx([math.log1p(math.exp(-1)), 0.0])
    loss_B.sum().backward()
    assert g_RPW.grad is not None
    assert float(g_RPW.grad[1]) == 0


@pytest.fixture(scope="module")
def toy_items(qa_corpus: Corpus, toy_asked: list[Asked]) -> list[Item]:
    return items(qa_corpus, toy_asked, max_query_tokens=32, max_span_tokens=20, num_negatives=8)


@pytest.fixture(scope="module")
def make_task(
    qa_corpus: Corpus, toy_items: list[Item], qa_settings: Callable[..., QaSettings]
) -> Callable[..., SpanReading]:
    def make(**changes: object) -> SpanReading:
        return SpanReading(qa_corpus, [toy_items[:100]], toy_items[100:], qa_settings(**changes))

    return make


def drawn(batch: ReadingBatch) -> object:
    return [row.ids.tolist() for row in batch.rows], batch.starts, batch.num_rows, batch.correct


def test_a_batch_is_a_function_of_seed_and_step(make_task: Callable[..., SpanReading]) -> None:
    task, other = make_task(), make_task()
    assert drawn(task.batch(7)) == drawn(task.batch(7))
    batches = [drawn(task.batch(step)) for step in range(30)]
    assert [drawn(other.batch(step)) for step in reversed(range(30))] == batches[::-1]
    assert drawn(make_task(seed=1).batch(7)) != batches[7]


def test_every_batch_draws_its_share_from_each_source(
    qa_corpus: Corpus, toy_items: list[Item], qa_settings: Callable[..., QaSettings]
) -> None:
    large, small = toy_items[:40], toy_items[40:50]
    questions_of_small = {tuple(item.tokens.tolist()) for item in small}
    for shares, expected in (((), 2), ((7, 3), 3), ((1, 1), 5)):
        settings = qa_settings(shares=shares, batch_size=10, negative_rate=0.0, unanswerable_rate=0.0)
        task = SpanReading(qa_corpus, [large, small], [], settings)
        for step in range(20):
            batch = task.batch(step)
            asked = [tuple(row.ids.tolist()) for row in batch.rows]
            from_small = [ids for ids in asked if any(ids[1 : 1 + len(q)] == q for q in questions_of_small)]
            assert len(asked) == 10
            assert len(from_small) == expected


def test_passages_are_drawn_at_the_rates_of_the_settings(make_task: Callable[..., SpanReading]) -> None:
    task = make_task(batch_size=16)
    kinds = {"alone": 0, "beside": 0, "without": 0}
    num_titles, num_rows, separator = 0, 0, task.corpus.tokenizer().sep_id
    for step in range(40):
        batch = task.batch(step)
        first = 0
        for count in batch.num_rows:
            rows = range(first, first + count)
            has_answer = any(row in rows for row, _, _ in batch.correct)
            kinds["without" if not has_answer else "beside" if count == 2 else "alone"] += 1
            first += count
        num_rows += first
        num_titles += sum(row.ids.tolist().count(separator) == 3 for row in batch.rows)
    total = sum(kinds.values())
    settings = task.settings
    assert kinds["without"] / total == pytest.approx(settings.unanswerable_rate, abs=0.05)
    assert kinds["beside"] / total == pytest.approx(settings.negative_rate, abs=0.06)
    assert num_titles / num_rows == pytest.approx(settings.title_rate, abs=0.06)


def test_correct_spans_are_answers_in_their_rows(make_task: Callable[..., SpanReading], toy_asked: list[Asked]) -> None:
    answers = {answer.lower() for one in toy_asked for answer in one.answers}
    tokenizer = make_task().corpus.tokenizer()
    batch = make_task(batch_size=32).batch(0)
    for row, first, width in batch.correct:
        start = batch.starts[row] + first
        pieces = [tokenizer.token(int(i)) for i in batch.rows[row].ids[start : start + width + 1]]
        assert "".join(piece.removeprefix("##") for piece in pieces) in answers


def test_answers_beyond_the_longest_row_are_no_targets(make_task: Callable[..., SpanReading]) -> None:
    task = make_task(max_joint_tokens=40, max_query_tokens=32)
    for step in range(10):
        batch = task.batch(step)
        for row, first, width in batch.correct:
            assert batch.starts[row] + first + width < len(batch.rows[row]) - 1


def test_a_step_trains_the_span_reader_alone_but_not_its_word_embeddings(
    tmp_path: Path, make_task: Callable[..., SpanReading]
) -> None:
    task = make_task(num_steps=3, learning_rate=1e-2, head_learning_rate=1e-2, warmup_steps=0)
    model = new_model(task.settings)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    outcome = Trainer(model, task, tmp_path, engine=CPU).train()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(name.startswith("span_reader.") for name in changed)
    assert not [name for name in changed if "word_embeddings" in name]
    assert set(outcome.last) == {"exact", "exact_beside", "ahead", "declined_at_10"}
    assert all(0 <= float(value) <= 1 for value in outcome.last.values())


def test_a_reader_learns_the_toy_world(tmp_path: Path, make_task: Callable[..., SpanReading]) -> None:
    task = make_task(num_steps=60, batch_size=16, learning_rate=3e-3, head_learning_rate=3e-3, eval_steps=60)
    outcome = Trainer(new_model(task.settings), task, tmp_path, engine=CPU).train()
    assert outcome.recent["loss"] < 4.0
    assert outcome.last["exact"] >= outcome.first["exact"]


def test_nothing_to_train_on_is_an_error_and_nothing_held_out_no_evaluation(
    qa_corpus: Corpus, toy_items: list[Item], qa_settings: Callable[..., QaSettings]
) -> None:
    with pytest.raises(BadInput, match="There is nothing to train on"):
        SpanReading(qa_corpus, [[]], toy_items, qa_settings())
    task = SpanReading(qa_corpus, [toy_items], [], qa_settings())
    assert task.evaluate(new_model(task.settings)) == {}
