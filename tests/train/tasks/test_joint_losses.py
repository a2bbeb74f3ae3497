"""Alternative losses and the sampled tail in real training on the toy corpus."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from openrealm.callbacks import Callback
from openrealm.config import MaskingConfig, PretrainConfig
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadConfig
from openrealm.index.index import Binding, Index
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.registry import LOSSES
from openrealm.train.candidates import find_candidates, pack_candidates, sample_tail
from openrealm.train.examples import Example, MaskedExamples
from openrealm.train.heldout import reading_metrics
from openrealm.train.task import Row
from openrealm.train.trainer import Trainer
from openrealm.types import NULL

MakeTrainer = Callable[..., Trainer]
MetricRows = Callable[..., list[dict[str, Any]]]


def recording(name: str, readings: list[Reading]) -> Callable[[Reading], Tensor]:
    """A registered loss that appends every reading to `readings`."""

    def loss(reading: Reading) -> Tensor:
        readings.append(reading)
        value: Tensor = LOSSES.get(name)(reading)
        return value

    return loss


@pytest.mark.parametrize("per_token", ["true", "false"])
@pytest.mark.parametrize("loss", ["marginal", "emdr2", "pdist", "loop", "adist"])
def test_every_loss_trains_both_towers_and_the_reader(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows, loss: str, per_token: str
) -> None:
    settings = [f"pretrain.per_token_marginal={per_token}", "pretrain.num_steps=3"]
    readings: list[Reading] = []
    trainer = make_trainer(tmp_path, *settings, loss=recording(loss, readings))
    reader = trainer.model.reader.encoder.backbone.encoder.layer[0].output.dense.weight.detach().clone()  # type: ignore[union-attr, index]
    outcome = trainer.train()
    assert outcome.num_skipped == 0
    assert not torch.equal(trainer.model.reader.encoder.backbone.encoder.layer[0].output.dense.weight, reader)  # type: ignore[union-attr, index]
    for row, reading in zip(metric_rows(trainer, "train"), readings, strict=True):
        assert row["query_tower_grad_norm"] > 0
        assert row["passage_tower_grad_norm"] > 0
        assert reading.per_token == (per_token == "true")
        assert ("attention_BK" in reading.__dict__) == (loss == "adist"), "computed only if needed"
        # "loss" is always the marginal, so that runs can be compared.
        assert row["loss"] == pytest.approx(float(reading.marginal_loss().mean().detach()), rel=1e-5)
        assert row["objective"] == pytest.approx(float(LOSSES.get(loss)(reading).mean().detach()), rel=1e-5)


def test_the_papers_loss_is_logged_once(tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows) -> None:
    trainer = make_trainer(tmp_path, "pretrain.num_steps=1")
    trainer.train()
    assert "objective" not in metric_rows(trainer, "train")[0]


def test_a_custom_loss_can_be_registered_and_used_by_name(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows, request: pytest.FixtureRequest
) -> None:
    """Marginal plus a tenth of the entropy, by name from the configuration and by object: the same weights."""

    @LOSSES.add("sharp")
    def sharp(reading: Reading) -> Tensor:
        return reading.marginal_loss() + 0.1 * reading.entropy()

    request.addfinalizer(lambda: LOSSES.remove("sharp"))
    weights = []
    for name, settings, loss in (("by-name", ["pretrain.loss=sharp"], None), ("by-object", [], sharp)):
        trainer = make_trainer(tmp_path / name, "pretrain.num_steps=2", "model.dropout=0", *settings, loss=loss)
        trainer.train()
        weights.append(trainer.model.retriever.query_tower.digest())
        for row in metric_rows(trainer, "train"):
            assert row["objective"] == pytest.approx(row["loss"] + 0.1 * row["entropy"], rel=1e-4)
    assert weights[0] == weights[1]
    plain = make_trainer(tmp_path / "plain", "pretrain.num_steps=2", "model.dropout=0")
    plain.train()
    assert plain.model.retriever.query_tower.digest() != weights[0]


def test_losses_lead_to_different_weights(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    digests = set()
    for loss in ("marginal", "emdr2", "pdist", "loop", "adist"):
        trainer = make_trainer(tmp_path / loss, f"pretrain.loss={loss}", "pretrain.num_steps=2", "model.dropout=0")
        trainer.train()
        digests.add(trainer.model.retriever.query_tower.digest())
    assert len(digests) == 5


@pytest.mark.parametrize("loss", ["emdr2", "pdist", "loop", "adist"])
def test_with_frozen_towers_every_loss_trains_only_the_reader(
    tmp_path: Path, make_trainer: MakeTrainer, loss: str
) -> None:
    trainer = make_trainer(tmp_path, f"pretrain.loss={loss}", "pretrain.freeze_towers=true", "pretrain.num_steps=2")
    tower, head = trainer.model.retriever.query_tower.digest(), trainer.model.reader.head.dense.weight.detach().clone()
    assert trainer.train().num_skipped == 0
    assert trainer.model.retriever.query_tower.digest() == tower
    assert not torch.equal(trainer.model.reader.head.dense.weight, head)


@pytest.fixture(scope="module")
def model(toy_realm: Callable[..., Realm]) -> Realm:
    return toy_realm("model.dropout=0", "model.temperature=0.5").double().eval()


@pytest.fixture(scope="module")
def examples(toy_corpus: Corpus) -> list[Example]:
    return MaskedExamples(toy_corpus, MaskingConfig(), 30, 8, 0).batch(0, 3)


@pytest.fixture(scope="module")
def group_N(toy_corpus: Corpus) -> Tensor:
    return torch.tensor([toy_corpus.group(i) for i in range(toy_corpus.num_passages)])


def index_of(vector_ND: Tensor, group_N: Tensor) -> Index:
    return Index(vector_ND, Binding("e", "t", "c"), group_N=group_N)


def test_the_attention_of_each_candidate_is_that_of_its_own_row(
    model: Realm, toy_corpus: Corpus, examples: list[Example]
) -> None:
    candidates = [[NULL, 3, 9], [NULL, 9], [NULL, 3, 12]]
    settings = PretrainConfig(max_query_tokens=32, max_joint_tokens=80)

    def attention(examples: list[Example], candidates: list[list[int]]) -> Tensor:
        reading: Reading = model(pack_candidates(toy_corpus, examples, candidates, settings, with_title=True))
        return reading.attention_BK

    attention_BK = attention(examples, candidates)
    assert attention_BK.shape == (3, 3)
    assert not attention_BK.requires_grad
    assert float(attention_BK[1, 2]) == 0.0
    for b, (example, row) in enumerate(zip(examples, candidates, strict=True)):
        for k, passage in enumerate(row):
            alone = attention([example], [[passage]])
            assert float(attention_BK[b, k]) == pytest.approx(float(alone[0, 0]), abs=1e-6)
            assert float(alone[0, 0]) < 0


Draw = Callable[..., tuple[list[list[int]], list[list[float]]]]


@pytest.fixture(scope="module")
def draw(group_N: Tensor, examples: list[Example]) -> Draw:
    """`draw(4, step=1)`: 4 draws in addition to the null passage and the best two, on random vectors."""
    generator = torch.Generator().manual_seed(0)
    index = index_of(torch.randn(len(group_N), 4, generator=generator), group_N)
    query_BD = 0.5 * torch.randn(len(examples), 4, generator=generator)

    def make(num_draws: int, *, seed: int = 0, step: int = 0, block_trivial: bool = True, num_candidates: int = 3):  # type: ignore[no-untyped-def]
        found = find_candidates(index, query_BD, examples, num_candidates, block_trivial=block_trivial)
        if not num_draws:
            return found, [[0.0] * len(row) for row in found]
        numbers = [step * len(examples) + b for b in range(len(examples))]
        return sample_tail(
            index, query_BD, examples, found, num_draws, block_trivial=block_trivial, seed=seed, numbers=numbers
        )

    return make


def test_the_tail_follows_the_best_without_repeats_or_trivial_passages(
    draw: Draw, group_N: Tensor, examples: list[Example]
) -> None:
    best, _ = draw(0)
    drawn, log_weights = draw(60)
    for example, head, row, weights in zip(examples, best, drawn, log_weights, strict=True):
        assert row[:3] == head
        assert len(row) == len(set(row)) == len(weights)
        assert 6 < len(row) <= 63, "some passages are drawn more than once"
        assert all(group_N[passage] != group_N[example.passage] for passage in row[1:])
        assert weights[:3] == [0.0] * 3


def test_draws_are_a_function_of_seed_and_step(draw: Draw) -> None:
    assert draw(5, seed=1, step=2) == draw(5, seed=1, step=2)
    assert len({str(draw(5, seed=seed, step=step)) for seed in (0, 1) for step in (0, 1)}) == 4


def test_without_a_tail_nothing_is_drawn(draw: Draw, group_N: Tensor) -> None:
    assert draw(4, num_candidates=len(group_N) + 1) == draw(0, num_candidates=len(group_N) + 1)


def test_passages_are_drawn_with_their_probability_under_the_index(group_N: Tensor, examples: list[Example]) -> None:
    """The weight of a passage is the number of times it was drawn divided by 20,000 q."""
    score_N = torch.linspace(-1, 1, len(group_N))
    candidates, log_weights = sample_tail(
        index_of(score_N[:, None], group_N), torch.ones(1, 1), examples[:1], [[NULL, 5]], 20_000,
        block_trivial=False, seed=0, numbers=[0],
    )  # fmt: skip
    tail = [n for n in range(len(group_N)) if n != 5]
    q = dict(zip(tail, torch.softmax(score_N[tail].double(), dim=0).tolist(), strict=True))
    weight = dict(zip(candidates[0], map(math.exp, log_weights[0]), strict=True))
    counts = Counter({n: weight[n] * 20_000 * q[n] for n in candidates[0][2:]})
    assert sum(counts.values()) == pytest.approx(20_000)
    assert all(counts[n] == pytest.approx(round(counts[n]), abs=1e-6) for n in counts)
    for n in tail:
        expected = 20_000 * q[n]
        assert abs(counts[n] - expected) < 5 * math.sqrt(expected)


def test_a_tail_estimates_loss_and_metrics_over_the_whole_corpus(examples: list[Example], group_N: Tensor) -> None:
    """The mean of each metric over many draws is close to its value over all passages, unlike that of the top k."""
    generator = torch.Generator().manual_seed(1)
    passages = [n for n in range(len(group_N)) if group_N[n] != group_N[examples[0].passage]]
    columns = [NULL, *sorted(passages, key=lambda n: (n * 37) % 101)]
    score_1K = torch.randn(1, len(columns), generator=generator, dtype=torch.float64)
    gold_1K1 = -3 * torch.rand(1, len(columns), 1, generator=generator, dtype=torch.float64)
    gold_1K1[:, 1:5] *= 0.2  # the best passages are the most useful
    head = columns[:5]
    place = {passage: k for k, passage in enumerate(columns)}

    def measured(row: list[int], log_weights: list[float]) -> Row:
        kept, weight_1K = [place[p] for p in row], torch.tensor([log_weights], dtype=torch.float64)
        reading = Reading(
            score_BK=score_1K[:, kept] + weight_1K,
            gold_logp_BKJ=gold_1K1[:, kept],
            mask_BJ=torch.ones(1, 1, dtype=torch.bool),
            valid_BK=torch.ones(1, len(row), dtype=torch.bool),
            log_weight_BK=weight_1K,
        )
        return reading_metrics(reading)

    # An index so stale that all passages have the same score.
    stale = index_of(torch.zeros(len(group_N), 1), group_N)
    estimates = []
    for step in range(300):
        rows, log_weights = sample_tail(
            stale, torch.ones(1, 1), examples[:1], [head], 40, block_trivial=True, seed=0, numbers=[step]
        )
        estimates.append(measured(rows[0], log_weights[0]))
    whole, truncated = measured(columns, [0.0] * len(columns)), measured(head, [0.0] * len(head))
    for key in ("loss", "retrieval_utility", "null_mass", "entropy"):
        values = torch.tensor([float(row[key]) for row in estimates], dtype=torch.float64)
        noise = 4 * float(values.std()) / math.sqrt(len(values))
        miss = abs(float(values.mean()) - float(whole[key]))
        # The remaining bias, that of a quotient, is small compared with that of truncation.
        assert miss < noise + 0.1 * abs(float(truncated[key]) - float(whole[key])), key
        assert noise < 0.3 * abs(float(truncated[key]) - float(whole[key])), key


def test_training_with_a_tail_resumes_with_the_same_draws(
    tmp_path: Path, make_trainer: MakeTrainer, metric_rows: MetricRows, stop_at: Callable[..., Callback]
) -> None:
    settings = ["pretrain.num_candidates=8", "pretrain.num_tail_candidates=4", "pretrain.checkpoint_steps=2"]
    first: list[Reading] = []
    rest: list[Reading] = []
    once = make_trainer(tmp_path / "once", *settings, loss=recording("marginal", first))
    once.train()
    for row, reading in zip(metric_rows(once, "train"), first, strict=True):
        assert row["query_tower_grad_norm"] > 0
        assert row["passage_tower_grad_norm"] > 0
        assert all(4 < len(candidates) <= 8 for candidates in reading.candidates)
        assert reading.log_weight_BK is not None
        assert not reading.log_weight_BK[:, :4].any()
    # A second training stops after its checkpoint; when resumed it reads the same candidates as the first.
    again = make_trainer(
        tmp_path / "again", *settings, loss=recording("marginal", []), callbacks=[stop_at(2, KeyboardInterrupt)]
    )
    with pytest.raises(KeyboardInterrupt):
        again.train()
    resumed = make_trainer(tmp_path / "again", *settings, loss=recording("marginal", rest))
    resumed.train(resume=True)
    assert [r.candidates for r in rest] == [r.candidates for r in first[2:]]


def test_inconsistent_settings_are_refused() -> None:
    assert PretrainConfig(num_candidates=8, num_tail_candidates=6).num_tail_candidates == 6
    for values, words in (
        ({"num_tail_candidates": 7}, "must exceed pretrain.num_tail_candidates"),
        ({"num_tail_candidates": 8, "use_null": False}, "must exceed pretrain.num_tail_candidates"),
        ({"num_tail_candidates": 2, "loss": "pdist"}, "must be 0 unless pretrain.loss is marginal"),
        ({"loss": "rag"}, "no loss has that name; choose from adist, emdr2"),
    ):
        with pytest.raises(BadConfig, match=words):
            PretrainConfig(**values)  # type: ignore[arg-type]
