"""The losses beyond the paper's and the sampled tail in real training on the toy world."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from openrealm.config import Config, MaskingConfig, PretrainConfig
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadConfig
from openrealm.model.losses import joint_loss
from openrealm.model.realm import Realm
from openrealm.train.examples import Example, MaskedExamples
from openrealm.train.joint import Reading, attend, find_candidates, sample_tail
from openrealm.train.layout import NULL, Layout
from openrealm.train.measure import Row, of_reading
from openrealm.train.pretrain import Pretrainer

MakeTrainer = Callable[..., Pretrainer]


def rows_of(trainer: Pretrainer, split: str) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (trainer.folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["split"] == split]


class Kept(Pretrainer):
    """Remembers its readings."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.readings: list[Reading] = []

    def _read(self, examples: list[Example], first: int) -> Reading:  # type: ignore[override]
        reading = super()._read(examples, first)
        self.readings.append(reading)
        return reading


@pytest.mark.parametrize("per_token", ["true", "false"])
@pytest.mark.parametrize("loss", ["marginal", "emdr2", "pdist", "loop", "adist"])
def test_every_loss_trains_both_towers_and_the_reader(
    tmp_path: Path, make_trainer: MakeTrainer, loss: str, per_token: str
) -> None:
    settings = [f"pretrain.loss={loss}", f"pretrain.per_token_marginal={per_token}", "pretrain.num_steps=3"]
    trainer = make_trainer(tmp_path, *settings, kind=Kept)
    assert isinstance(trainer, Kept)
    reader = trainer.model.reader.encoder.backbone.encoder.layer[0].output.dense.weight.detach().clone()  # type: ignore[union-attr, index]
    outcome = trainer.train()
    assert outcome.num_skipped == 0
    assert not torch.equal(trainer.model.reader.encoder.backbone.encoder.layer[0].output.dense.weight, reader)  # type: ignore[union-attr, index]
    for row, reading in zip(rows_of(trainer, "train"), trainer.readings, strict=True):
        assert row["query_tower_grad_norm"] > 0
        assert row["passage_tower_grad_norm"] > 0
        assert (reading.attention_BK is not None) == (loss == "adist")

        def value(name: str, reading: Reading = reading) -> float:
            parts = reading.score_BK, reading.gold_logp_BKJ, reading.mask_BJ
            options = {"valid_BK": reading.valid_BK, "attention_BK": reading.attention_BK}
            return float(joint_loss(name, *parts, per_token=per_token == "true", **options).mean().detach())

        # `loss` is the marginal's whatever is trained, so that runs can be compared.
        assert row["loss"] == pytest.approx(value("marginal"), rel=1e-5)
        assert ("objective" in row) == (loss != "marginal")
        if loss != "marginal":
            assert row["objective"] == pytest.approx(value(loss), rel=1e-5)


def test_losses_lead_to_different_weights(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    digests = set()
    for loss in ("marginal", "emdr2", "pdist", "loop", "adist"):
        trainer = make_trainer(tmp_path / loss, f"pretrain.loss={loss}", "pretrain.num_steps=2", "model.dropout=0")
        trainer.train()
        digests.add(trainer.model.retriever.query_tower.digest())
    assert len(digests) == 5


@pytest.mark.parametrize("loss", ["emdr2", "pdist", "loop", "adist"])
def test_with_frozen_towers_every_loss_trains_the_reader_alone(
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


def test_the_attention_of_each_candidate_is_that_of_its_own_row(
    model: Realm, layout: Layout, examples: list[Example]
) -> None:
    candidates = [[NULL, 3, 9], [NULL, 9], [NULL, 3, 12]]
    attention_BK = attend(model, layout, examples, candidates, 80)
    assert attention_BK.shape == (3, 3)
    assert not attention_BK.requires_grad
    assert float(attention_BK[1, 2]) == 0.0
    for b, (example, row) in enumerate(zip(examples, candidates, strict=True)):
        for k, passage in enumerate(row):
            alone = attend(model, layout, [example], [[passage]], 80)
            assert float(attention_BK[b, k]) == pytest.approx(float(alone[0, 0]), abs=1e-6)
            assert float(alone[0, 0]) < 0


Draw = Callable[..., tuple[list[list[int]], list[list[float]]]]


@pytest.fixture(scope="module")
def draw(group_N: Tensor, examples: list[Example]) -> Draw:
    """`draw(4, step=1)`: 4 draws beside null and the best two, on random vectors."""
    generator = torch.Generator().manual_seed(0)
    vector_ND = torch.randn(len(group_N), 4, generator=generator)
    query_BD = 0.5 * torch.randn(len(examples), 4, generator=generator)

    def make(num_draws: int, *, seed: int = 0, step: int = 0, block_trivial: bool = True, num_candidates: int = 3):  # type: ignore[no-untyped-def]
        found = find_candidates(
            vector_ND, group_N, query_BD, examples, num_candidates, use_null=True, block_trivial=block_trivial
        )
        if not num_draws:
            return found, [[0.0] * len(row) for row in found]
        return sample_tail(
            vector_ND, group_N, query_BD, examples, found, num_draws, block_trivial=block_trivial, seed=seed, step=step
        )

    return make


def test_the_tail_comes_after_the_best_without_repeats_or_the_querys_own(
    draw: Draw, group_N: Tensor, examples: list[Example]
) -> None:
    best, _ = draw(0)
    drawn, log_weights = draw(60)
    for example, head, row, weights in zip(examples, best, drawn, log_weights, strict=True):
        assert row[:3] == head
        assert len(row) == len(set(row)) == len(weights)
        assert 6 < len(row) <= 63, "some of 60 draws from about a hundred passages fall together"
        assert all(group_N[passage] != group_N[example.passage] for passage in row[1:])
        assert weights[:3] == [0.0] * 3


def test_draws_are_a_function_of_seed_and_step(draw: Draw) -> None:
    assert draw(5, seed=1, step=2) == draw(5, seed=1, step=2)
    assert len({str(draw(5, seed=seed, step=step)) for seed in (0, 1) for step in (0, 1)}) == 4


def test_without_a_tail_nothing_is_drawn(draw: Draw, group_N: Tensor) -> None:
    assert draw(4, num_candidates=len(group_N) + 1) == draw(0, num_candidates=len(group_N) + 1)


def test_passages_are_drawn_as_often_as_the_index_finds_them_likely(group_N: Tensor, examples: list[Example]) -> None:
    """How often a passage was drawn is told by its weight, which is that count over 20,000 q."""
    score_N = torch.linspace(-1, 1, len(group_N))
    candidates, log_weights = sample_tail(
        score_N[:, None], group_N, torch.ones(1, 1), examples[:1], [[NULL, 5]], 20_000,
        block_trivial=False, seed=0, step=0,
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


def test_a_tail_estimates_the_loss_and_the_measures_of_the_whole_corpus(
    examples: list[Example], group_N: Tensor
) -> None:
    """The mean over many draws of each measure comes near its value over all passages; top-k alone does not."""
    generator = torch.Generator().manual_seed(1)
    passages = [n for n in range(len(group_N)) if group_N[n] != group_N[examples[0].passage]]
    columns = [NULL, *sorted(passages, key=lambda n: (n * 37) % 101)]
    score_1K = torch.randn(1, len(columns), generator=generator, dtype=torch.float64)
    gold_1K1 = -3 * torch.rand(1, len(columns), 1, generator=generator, dtype=torch.float64)
    gold_1K1[:, 1:5] *= 0.2  # the best passages tell most
    head = columns[:5]
    place = {passage: k for k, passage in enumerate(columns)}

    def measured(row: list[int], log_weights: list[float]) -> Row:
        kept, weight_1K = [place[p] for p in row], torch.tensor([log_weights], dtype=torch.float64)
        ones = torch.ones(1, 1, dtype=torch.bool), torch.ones(1, len(row), dtype=torch.bool)
        reading = Reading(score_1K[:, kept] + weight_1K, gold_1K1[:, kept], *ones, [row], 0, weight_1K)
        return of_reading(reading, per_token=False)

    # An index so stale that it finds all passages alike.
    stale_ND = torch.zeros(len(group_N), 1)
    estimates = []
    for step in range(300):
        rows, log_weights = sample_tail(
            stale_ND, group_N, torch.ones(1, 1), examples[:1], [head], 40, block_trivial=True, seed=0, step=step
        )
        estimates.append(measured(rows[0], log_weights[0]))
    whole, truncated = measured(columns, [0.0] * len(columns)), measured(head, [0.0] * len(head))
    for key in ("loss", "retrieval_utility", "null_mass", "entropy"):
        values = torch.tensor([float(row[key]) for row in estimates], dtype=torch.float64)
        noise = 4 * float(values.std()) / math.sqrt(len(values))
        miss = abs(float(values.mean()) - float(whole[key]))
        # What is left beside the noise is the bias of a quotient, a small part of what truncation does.
        assert miss < noise + 0.1 * abs(float(truncated[key]) - float(whole[key])), key
        assert noise < 0.3 * abs(float(truncated[key]) - float(whole[key])), key


def test_a_tail_trains_and_a_resumed_run_draws_the_same(
    tmp_path: Path, make_trainer: MakeTrainer, toy_config: Callable[..., Config]
) -> None:
    settings = ["pretrain.num_candidates=8", "pretrain.num_tail_candidates=4", "pretrain.checkpoint_steps=2"]
    once = make_trainer(tmp_path / "once", *settings, kind=Kept)
    assert isinstance(once, Kept)
    once.train()
    for row, reading in zip(rows_of(once, "train"), once.readings, strict=True):
        assert row["query_tower_grad_norm"] > 0
        assert row["passage_tower_grad_norm"] > 0
        assert all(4 < len(candidates) <= 8 for candidates in reading.candidates)
        assert reading.log_weight_BK is not None
        assert not reading.log_weight_BK[:, :4].any()
    # A second run stops after its checkpoint; what is resumed reads what the first run read.
    again = make_trainer(tmp_path / "again", *settings, kind=Stopping)
    with pytest.raises(KeyboardInterrupt):
        again.train()
    resumed = make_trainer(tmp_path / "again", *settings, kind=Kept)
    assert isinstance(resumed, Kept)
    resumed.train(resume=True)
    assert [r.candidates for r in resumed.readings] == [r.candidates for r in once.readings[2:]]


class Stopping(Pretrainer):
    """Is interrupted in its third step."""

    def _read(self, examples: list[Example], first: int) -> Reading:  # type: ignore[override]
        if self.step == 2:
            raise KeyboardInterrupt
        return super()._read(examples, first)


def test_switches_that_do_not_fit_are_refused() -> None:
    assert PretrainConfig(num_candidates=8, num_tail_candidates=6).num_tail_candidates == 6
    for values, words in (
        ({"num_tail_candidates": 7}, "must exceed them"),
        ({"num_tail_candidates": 8, "use_null": False}, "must exceed them"),
        ({"num_tail_candidates": 2, "loss": "pdist"}, "needs pretrain.loss=marginal"),
        ({"loss": "rag"}, "one of marginal, emdr2, pdist, loop, adist"),
    ):
        with pytest.raises(BadConfig, match=words):
            PretrainConfig(**values)  # type: ignore[arg-type]
