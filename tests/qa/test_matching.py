"""The batches and the loss of the task that trains the towers on questions."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import BadInput
from openrealm.qa.matching import PassageMatching
from openrealm.qa.pool import Item, items
from openrealm.qa.questions import Asked
from openrealm.qa.settings import QaSettings
from openrealm.qa.train import new_model
from openrealm.train.trainer import Trainer

CPU = Engine("cpu", False)


@pytest.fixture(scope="module")
def toy_items(qa_corpus: Corpus, toy_asked: list[Asked]) -> list[Item]:
    return items(qa_corpus, toy_asked, max_query_tokens=32, max_span_tokens=20, num_negatives=8)


@pytest.fixture(scope="module")
def make_task(
    qa_corpus: Corpus, toy_items: list[Item], qa_settings: Callable[..., QaSettings]
) -> Callable[..., PassageMatching]:
    def make(**changes: object) -> PassageMatching:
        settings = qa_settings(**{"tower_steps": 4, "tower_batch_size": 8, **changes})
        return PassageMatching(qa_corpus, [toy_items[:60], toy_items[60:100]], toy_items[100:], settings)

    return make


def test_a_batch_has_the_right_passage_and_a_wrong_one_for_each_question(
    make_task: Callable[..., PassageMatching], toy_items: list[Item]
) -> None:
    task = make_task(shares=(3, 1))
    by_tokens = {tuple(item.tokens.tolist()): item for item in toy_items}
    for step in range(20):
        batch = task.batch(step)
        assert len(batch.queries) == 8
        assert len(set(batch.passages)) == len(batch.passages)
        asked = [by_tokens[tuple(row.ids.tolist()[1:-1])] for row in batch.queries]
        for item, own, others in zip(asked, batch.own, batch.others, strict=True):
            right = {passage for passage, _, _ in item.spans}
            assert batch.passages[own] in right
            assert {batch.passages[place] for place in others} == (right & set(batch.passages)) - {batch.passages[own]}
            assert set(item.negatives) & set(batch.passages)
    again = make_task(shares=(3, 1)).batch(7)
    first = task.batch(7)
    assert [row.ids.tolist() for row in first.queries] == [row.ids.tolist() for row in again.queries]
    assert (first.passages, first.own, first.others) == (again.passages, again.own, again.others)


def test_the_loss_is_its_definition(tmp_path: Path, make_task: Callable[..., PassageMatching]) -> None:
    task = make_task()
    model = new_model(task.settings).eval()
    task.setup(Trainer(model, task, tmp_path, engine=CPU))
    batch = task.batch(3)
    loss = float(next(iter(task.losses(model, batch, {}))).detach())
    query = model.retriever.encode_query(batch.queries).double()
    passage = model.retriever.encode_passage([task.corpus.passage_row(i) for i in batch.passages]).double()
    losses = []
    for b, own in enumerate(batch.own):
        scores = [
            float(query[b].detach() @ passage[n].detach())
            for n in range(len(batch.passages))
            if n == own or n not in batch.others[b]
        ]
        most = max(scores)
        total = most + math.log(sum(math.exp(score - most) for score in scores))
        losses.append(total - float(query[b].detach() @ passage[own].detach()))
    assert loss == pytest.approx(sum(losses) / len(losses), abs=1e-4)


def test_only_the_towers_are_trained_and_they_learn(tmp_path: Path, make_task: Callable[..., PassageMatching]) -> None:
    task = make_task(tower_steps=60, tower_batch_size=16, tower_learning_rate=1e-3)
    model = new_model(task.settings)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    outcome = Trainer(model, task, tmp_path, engine=CPU).train()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(name.startswith("retriever.") for name in changed)
    assert not [name for name in changed if "word_embeddings" in name]
    assert outcome.last["recall@1"] > outcome.first["recall@1"]


def test_nothing_to_train_on_is_an_error_and_nothing_held_out_no_evaluation(
    qa_corpus: Corpus, toy_items: list[Item], qa_settings: Callable[..., QaSettings]
) -> None:
    with pytest.raises(BadInput, match="There is nothing to train on"):
        PassageMatching(qa_corpus, [[]], toy_items, qa_settings(tower_steps=2))
    task = PassageMatching(qa_corpus, [toy_items], [], qa_settings(tower_steps=2))
    assert task.evaluate(new_model(task.settings)) == {}
