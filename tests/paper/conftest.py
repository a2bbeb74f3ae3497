"""A corpus small enough to sum over all of it, a model whose passages differ, and the paper's sums written as loops.

Everything is float64 without dropout; short rows go through unfused attention on a CPU, so gradients are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.masking.tagger import RulesTagger
from openrealm.model.marginal import marginal_log_likelihood
from openrealm.model.realm import Realm
from openrealm.model.retriever import Tower
from openrealm.text.tokenizer import Tokenizer
from openrealm.train.examples import Example
from openrealm.train.joint import Reading, encode_queries, joint_reading
from openrealm.train.layout import NULL, Layout
from openrealm.types import Article


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Small matrices only."""


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory, toy_articles: list[Article], toy_backbone: Path) -> Corpus:
    """Twelve passages of the toy world; the last article repeats the one before it."""
    return build_corpus(
        [*toy_articles[:4], *toy_articles[-2:]],
        tmp_path_factory.mktemp("tiny") / "corpus",
        Tokenizer.from_folder(toy_backbone),
        max_passage_tokens=28,
        tagger=RulesTagger(),
        source={"kind": "toy"},
    )


@pytest.fixture(scope="session")
def layout(tiny_corpus: Corpus) -> Layout:
    """Joint inputs as the paper has them, without the title."""
    return Layout(tiny_corpus, title_in_joint=False)


@pytest.fixture(scope="session")
def everything(tiny_corpus: Corpus) -> list[int]:
    """The null passage and all of Z."""
    return [NULL, *range(tiny_corpus.num_passages)]


@pytest.fixture(scope="session")
def examples(layout: Layout) -> list[Example]:
    """Five masked sentences of unequal length, with one, two and three masks."""

    def masked(passage: int, start: int, end: int, places: tuple[int, ...]) -> Example:
        query = layout.body(passage)[start:end].copy()
        gold = tuple(query[list(places)].tolist())
        query[list(places)] = layout.specials.mask
        return Example(query, places, gold, passage, "entity", (layout.corpus.group(passage),))

    return [
        masked(0, 0, 14, (5,)),
        masked(1, 0, 11, (7, 8, 9)),
        masked(3, 0, 22, (5, 9)),
        masked(4, 7, 14, (2,)),
        masked(11, 0, 11, (5,)),
    ]


@pytest.fixture(scope="session")
def sharp_realm(toy_realm: Callable[..., Realm]) -> Callable[..., Realm]:
    """`sharp_realm("model.shared_towers=true")`: random weights so large that passages differ in score and reading."""

    def realm(*changes: str, seed: int = 0) -> Realm:
        model = toy_realm("model.dropout=0", *changes, seed=seed).double().eval()
        torch.manual_seed(seed + 1)
        for name, parameter in model.named_parameters():
            scale = 0.6 if "word_embeddings" in name else 0.15 if parameter.ndim == 2 else 0.1
            parameter.data += scale * torch.randn_like(parameter)
        return model

    return realm


@pytest.fixture(scope="session")
def read_all(layout: Layout, everything: list[int]) -> Callable[..., Reading]:
    """`read_all(model, examples)`: the code's own joint reading, of every passage unless `candidates` are given."""

    def read(model: Realm, examples: Sequence[Example], candidates: list[list[int]] | None = None) -> Reading:
        query_BD = encode_queries(model, layout, examples, 40)
        return joint_reading(model, layout, examples, query_BD, candidates or [everything] * len(examples), 80)

    return read


@pytest.fixture(scope="session")
def likelihood() -> Callable[..., torch.Tensor]:
    """`likelihood(reading, per_token)`: log p(y|x) of each query, B."""

    def value(reading: Reading, per_token: bool = False) -> torch.Tensor:
        return marginal_log_likelihood(
            reading.score_BK,
            reading.gold_logp_BKJ,
            reading.mask_BJ,
            valid_BK=reading.valid_BK,
            per_token=per_token,
        )

    return value


Slow = Callable[..., tuple[list[float], list[list[float]]]]


@pytest.fixture(scope="session")
def slow(layout: Layout) -> Slow:
    """`slow(model, example, candidates)`: p(z|x) of every candidate, and p(y_j|z,x) of every candidate and mask.

    Spec Sec. 1 word by word: one row at a time, no padding, no log space, the encoder called as it comes.
    """
    cls, sep = [layout.specials.cls], [layout.specials.sep]

    def body(passage: int) -> list[int]:
        return [] if passage == NULL else layout.corpus.body_tokens(passage).tolist()

    def title(passage: int) -> list[int]:
        return [] if passage == NULL else layout.corpus.title_tokens(passage).tolist()

    def vector(tower: Tower, first: list[int], second: list[int]) -> list[float]:
        state_H = _states(tower.encoder.backbone, first, second)[0]
        return [
            sum(w * h for w, h in zip(row, state_H.tolist(), strict=True)) for row in tower.projection.weight.tolist()
        ]

    def token_probability(model: Realm, state_H: torch.Tensor, gold: int) -> float:
        logits = model.reader.head(state_H[None], model.reader.encoder.word_embeddings())[0].tolist()
        return math.exp(logits[gold]) / sum(math.exp(logit) for logit in logits)

    @torch.no_grad()
    def sums(model: Realm, example: Example, candidates: list[int]) -> tuple[list[float], list[list[float]]]:
        x = example.query.tolist()
        e_in = vector(model.retriever.query_tower, cls + x + sep, [])
        weights, readings = [], []
        for passage in candidates:
            e_doc = vector(model.retriever.passage_tower, cls + title(passage) + sep, body(passage) + sep)
            weights.append(math.exp(sum(a * b for a, b in zip(e_in, e_doc, strict=True))))
            states_TH = _states(model.reader.encoder.backbone, cls + x + sep, body(passage) + sep)
            places = zip(example.positions, example.gold, strict=True)
            readings.append([token_probability(model, states_TH[1 + place], gold) for place, gold in places])
        return [weight / sum(weights) for weight in weights], readings

    return sums


def _states(backbone: torch.nn.Module, first: list[int], second: list[int]) -> torch.Tensor:
    """Hidden states T x H of one row, segment 0 then segment 1."""
    ids = torch.tensor([first + second])
    segments = torch.tensor([[0] * len(first) + [1] * len(second)])
    states: torch.Tensor = backbone(input_ids=ids, token_type_ids=segments).last_hidden_state[0]
    return states


@pytest.fixture(scope="session")
def tower_gradient() -> Callable[..., torch.Tensor]:
    """`tower_gradient(model, value)`: the gradient of a scalar by every weight of both towers, as one vector."""

    def gradient(model: Realm, value: torch.Tensor) -> torch.Tensor:
        weights = [p for p in model.retriever.parameters() if p.requires_grad]
        parts = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
        return torch.cat(
            [torch.zeros_like(w).view(-1) if g is None else g.view(-1) for w, g in zip(weights, parts, strict=True)]
        )

    return gradient
