"""A corpus small enough to sum over all of it, a model whose passages differ, and the paper's sums written as loops.

Everything is float64 without dropout; short rows go through unfused attention on a CPU, so gradients are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from openrealm.config import PretrainConfig
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.index.index import Index
from openrealm.masking.tagger import RulesTagger
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.model.retriever import Tower
from openrealm.text.tokenizer import Tokenizer
from openrealm.train.candidates import pack_candidates
from openrealm.train.examples import Example
from openrealm.types import NULL, Article

SETTINGS = PretrainConfig(max_query_tokens=40, max_joint_tokens=80)


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
def everything(tiny_corpus: Corpus) -> list[int]:
    """The null passage and all passages of the corpus: the Z that Eq. 1 sums over."""
    return [NULL, *range(tiny_corpus.num_passages)]


@pytest.fixture(scope="session")
def examples(tiny_corpus: Corpus) -> list[Example]:
    """Five masked sentences of unequal length, with one, two and three masks."""

    def masked(passage: int, start: int, end: int, places: tuple[int, ...]) -> Example:
        query = tiny_corpus.body(passage)[start:end].copy()
        gold = tuple(query[list(places)].tolist())
        query[list(places)] = tiny_corpus.specials.mask
        return Example(query, places, gold, passage, "entity", (tiny_corpus.group(passage),))

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
def read_all(tiny_corpus: Corpus, everything: list[int]) -> Callable[..., Reading]:
    """`read_all(model, examples)`: the code's own joint reading, of every passage unless `candidates` are given.

    Joint rows are the paper's, without the title; `query_BD` are query vectors, if they are known.
    """

    def read(
        model: Realm,
        examples: Sequence[Example],
        candidates: list[list[int]] | None = None,
        query_BD: torch.Tensor | None = None,
    ) -> Reading:
        candidates = candidates or [everything] * len(examples)
        inputs = pack_candidates(tiny_corpus, examples, candidates, SETTINGS, with_title=False)
        reading: Reading = model(inputs, query_BD)
        return reading

    return read


@pytest.fixture(scope="session")
def encode(tiny_corpus: Corpus) -> Callable[..., torch.Tensor]:
    """`encode(model, examples)`: E_in of the queries, B x D, with gradient."""

    def encoded(model: Realm, examples: Sequence[Example]) -> torch.Tensor:
        return model.retriever.encode_query(
            [tiny_corpus.query_row(e.query, SETTINGS.max_query_tokens) for e in examples]
        )

    return encoded


@pytest.fixture(scope="session")
def index_of(tiny_corpus: Corpus) -> Callable[[Realm], Index]:
    """`index_of(model)`: an index of the corpus by the passage tower as it is now."""
    return lambda model: Index.build(model, tiny_corpus, engine=Engine("cpu", False))


@pytest.fixture(scope="session")
def likelihood() -> Callable[..., torch.Tensor]:
    """`likelihood(reading, per_token)`: log p(y|x) of each query, B."""
    return lambda reading, per_token=False: replace(reading, per_token=per_token).marginal_log_likelihood()


Slow = Callable[..., tuple[list[float], list[list[float]]]]


@pytest.fixture(scope="session")
def slow(tiny_corpus: Corpus) -> Slow:
    """`slow(model, example, candidates)`: p(z|x) of every candidate, and p(y_j|z,x) of every candidate and mask.

    Guu et al. 2020, Sec. 3.1 and 3.2, word by word: one row at a time, no padding, no log space, the bare encoder.
    """
    cls, sep = [tiny_corpus.specials.cls], [tiny_corpus.specials.sep]

    def body(passage: int) -> list[int]:
        return [] if passage == NULL else tiny_corpus.body_tokens(passage).tolist()

    def title(passage: int) -> list[int]:
        return [] if passage == NULL else tiny_corpus.title_tokens(passage).tolist()

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
