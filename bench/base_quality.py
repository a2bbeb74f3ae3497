"""What a base encoder can do before REALM training: fill in masked names with and without a passage, and retrieve.

Reading: one masked name or date per query, from held-out articles of Simple Wikipedia, read alone, with its own
passage, and with another passage that contains the name. The corpora are built as in the base's training, so that the
same articles are held out; --folder reuses the folder of that training (runs/openrealm-mini) and skips building them.

Retrieval: the share of WebQuestions training questions with an answer in the top 20 lead passages of Simple Wikipedia,
zero-shot, against BM25 and MiniLM (which was trained to embed questions) on the same passages. Most of the time goes
into MiniLM, whose figure does not change: --minilm 0 skips it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import Figure, arguments, end, not_measured, once, report, require_same

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from openrealm.base.examples import MaskedRow
    from openrealm.corpus.corpus import Corpus
    from openrealm.engine import Engine
    from openrealm.model.realm import Realm
    from openrealm.text.tokenizer import Tokenizer
    from openrealm.types import Article, Question, Span

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WIKI = DATA / "corpora" / "simplewiki-2021.jsonl.xz"
NEWS = DATA / "corpora" / "wikinews-2022.jsonl.xz"
QUESTIONS = DATA / "qa" / "webquestions.train.jsonl"
_SEED = 0
_LEAD_TOKENS = 96
_MAX_TOKENS = 160  # room for a lead passage in another vocabulary
_RESULTS = (1, 5, 20, 100)
# In the order in which the base was trained on them, which determines the held-out articles.
SOURCES = ("factbook", str(WIKI), str(NEWS))


def main() -> None:
    given = arguments(
        __doc__.splitlines()[0],
        backbone=("openrealm-mini", "openrealm-mini"),
        folder=("", ""),
        masked=(2_000, 200),
        articles=(0, 1_500),
        questions=(0, 400),
        minilm=(1, 1),
    )
    if not WIKI.is_file():
        end(
            f"{WIKI} does not exist.",
            not_measured("masked names filled in", "of 1", "without a passage", "the corpora are missing"),
        )
    import torch

    from openrealm.engine import engine_for
    from openrealm.recipes.factbook import factbook

    torch.set_num_threads(given.threads)
    engine = engine_for(factbook())
    with tempfile.TemporaryDirectory(prefix="openrealm-bench-") as temporary:
        folder = Path(given.folder or temporary)
        model = loaded(given.backbone, 128, engine)
        figures = reading(model, heldout_rows(given.backbone, folder, given.masked), engine)
        figures += finding(model, Path(temporary), given, engine)
    report(*figures)


def loaded(backbone: str, projection_dim: int, engine: Engine) -> Realm:
    """The untrained model with this backbone: mean pooling, unit vectors, shared towers."""
    from openrealm.config import ModelConfig
    from openrealm.model.realm import Realm
    from openrealm.model.weights import backbone_location
    from openrealm.text.tokenizer import Tokenizer

    config = ModelConfig(
        backbone=backbone, pooling="mean", normalize=True, shared_towers=True, projection_dim=projection_dim, dropout=0
    )
    tokenizer = Tokenizer.from_folder(Path(backbone_location(backbone)))
    return Realm.from_backbone(config, tokenizer).to(engine.device).eval()


def heldout_rows(backbone: str, folder: Path, num_queries: int) -> list[dict[str, MaskedRow]]:
    """Masked queries from articles of Simple Wikipedia that the base was not trained on, with each kind of passage."""
    import numpy as np

    from openrealm import files
    from openrealm.base.examples import BaseExamples
    from openrealm.base.prepare import prepare
    from openrealm.base.settings import BaseSettings
    from openrealm.base.texts import SpanIndex, Texts
    from openrealm.model.weights import backbone_location

    place = Path(backbone_location(backbone))
    settings = BaseSettings(**files.read_manifest(place)["settings"])
    corpora = prepare(SOURCES, folder, settings)
    require_same("vocabularies of the weights and the corpus", words(place) == words(corpora[0].folder))
    texts = Texts(corpora, settings.heldout_rate, settings.seed)
    examples = BaseExamples(texts, SpanIndex(texts), settings)
    first, last = texts.first_passage[1:3]
    heldout = first + np.flatnonzero(texts.is_heldout_N[first:last])
    found: Iterator[dict[str, MaskedRow]] = (
        rows for n in np.random.default_rng(_SEED).permutation(heldout).tolist() if (rows := examples.heldout(n))
    )
    return list(islice(found, num_queries))


def words(folder: Path) -> dict[str, int]:
    """The vocabulary of a folder's tokenizer."""
    found: dict[str, int] = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    return found


def reading(model: Realm, queries: Sequence[dict[str, MaskedRow]], engine: Engine) -> list[Figure]:
    """The share of word pieces of masked names filled in correctly, and what a passage adds."""
    import numpy as np

    right = {
        context: filled(model, [rows[context] for rows in queries], engine)
        for context in ("alone", "unrelated", "related", "own")
    }
    num_J = np.array([len(rows["alone"].gold) for rows in queries])
    share = {context: float(right_n.sum() / num_J.sum()) for context, right_n in right.items()}
    words = {
        "own": "its own passage",
        "related": "another passage that contains the name",
        "unrelated": "an unrelated passage",
    }
    figures = []
    for context, what in words.items():
        low, high = interval(right[context] - right["alone"], num_J)
        figures.append(
            once(
                f"word pieces of masked names filled in correctly with {what}",
                "of 1",
                share[context],
                "without a passage",
                share["alone"],
                f"{len(queries)} held-out queries, difference {share[context] - share['alone']:+.3f} "
                f"(95% CI {low:+.3f} to {high:+.3f})",
                more_is_better=True,
            )
        )
    return figures


def filled(model: Realm, rows: Sequence[MaskedRow], engine: Engine) -> npt.NDArray[np.float64]:
    """The number of word pieces of each row's masked name that are filled in correctly."""
    import numpy as np
    import torch

    right_n = np.zeros(len(rows))
    num_masks = [len(row.gold) for row in rows]
    for number in sorted(set(num_masks)):
        chosen = [n for n, num in enumerate(num_masks) if num == number]
        with torch.inference_mode(), engine.autocast():
            ids_nJ, _ = model.reader.fill([rows[n].row for n in chosen], [rows[n].positions.tolist() for n in chosen])
        gold_nJ = np.stack([rows[n].gold for n in chosen])
        right_n[chosen] = (ids_nJ.cpu().numpy() == gold_nJ).sum(axis=1)
    return right_n


def interval(difference_n: npt.NDArray[np.float64], num_J: npt.NDArray[np.int64]) -> tuple[float, float]:
    """The 95% interval of the difference per word piece, from 2,000 bootstrap samples of the queries."""
    import numpy as np

    picks = np.random.default_rng(_SEED).integers(len(num_J), size=(2_000, len(num_J)))
    shares = difference_n[picks].sum(axis=1) / num_J[picks].sum(axis=1)
    low, high = np.quantile(shares, (0.025, 0.975)).tolist()
    return low, high


class NoNames:
    """A tagger that finds nothing."""

    name = "none"

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        """No spans for any text."""
        return [[] for _ in texts]


def finding(model: Realm, folder: Path, given: Any, engine: Engine) -> list[Figure]:
    """Recall@20 of the towers against BM25 and MiniLM."""
    from openrealm.index.bm25 import Bm25
    from openrealm.run.questions import read_questions

    questions = read_questions(QUESTIONS)[: given.questions or None]
    minilm = loaded("minilm", 384, engine)  # full width: an orthogonal projection preserves inner products
    peers = ["BM25", "MiniLM"][: 1 + bool(given.minilm)]
    leads = list(lead_passages(given.articles, minilm.tokenizer))
    texts = [lead.text for lead in leads]
    bm25 = Bm25([f"{lead.title} {lead.text}" for lead in leads])
    sides: dict[str, Callable[[], Sides]] = {
        given.backbone: lambda: embedded(model, "base", leads, questions, folder, engine),
        "MiniLM": lambda: embedded(minilm, "minilm", leads, questions, folder, engine),
        "BM25": lambda: Sides(bm25.search([q.text for q in questions], max(_RESULTS))[1].tolist(), texts),
    }
    hits = {name: sides[name]().hits(questions) for name in (given.backbone, *peers)}
    return [recall_figure(given.backbone, hits, peer, len(leads)) for peer in peers]


@dataclass(frozen=True, slots=True)
class Sides:
    """The passages retrieved for each question, best first, and the texts of all passages."""

    found: list[list[int]]
    texts: list[str]

    def hits(self, questions: Sequence[Question]) -> list[list[bool]]:
        """Which of them contain an answer."""
        from openrealm.evaluate.retrieval import has_answer

        return [
            [has_answer(self.texts[n], question.answers) for n in row]
            for question, row in zip(questions, self.found, strict=True)
        ]


def lead_passages(num_articles: int, tokenizer: Tokenizer) -> Iterator[Article]:
    """The first passage of every article as a separate article; the same for every encoder."""
    from openrealm.corpus.blocks import PassageRule, cut_all
    from openrealm.corpus.sources.jsonl import read
    from openrealm.types import Article

    articles = list(islice(read(WIKI), num_articles or None))
    rule = PassageRule(_LEAD_TOKENS)
    for article, blocks in zip(articles, cut_all(articles, tokenizer, rule), strict=True):
        passages = [block.passage for block in blocks]
        if passages:
            yield Article(article.id, article.title, passages[0].text)


def embedded(
    model: Realm, name: str, leads: Sequence[Article], questions: Sequence[Question], folder: Path, engine: Engine
) -> Sides:
    """The passages retrieved by the model's towers."""
    import torch

    from openrealm.corpus.builder import build_corpus
    from openrealm.index.index import Index

    corpus: Corpus = build_corpus(
        leads,
        folder / f"leads-{name}",
        model.tokenizer,
        max_passage_tokens=_MAX_TOKENS,
        tagger=NoNames(),
        source={"name": WIKI.name},
    )
    index = Index.build(model, corpus, engine=engine)
    rows = [corpus.query_row(model.tokenizer.encode(question.text)[0], 64) for question in questions]
    with torch.inference_mode(), engine.autocast():
        query_BD = model.retriever.encode_query(rows).float().cpu()
    found = [index.search(part, max(_RESULTS)).id_BK for part in query_BD.split(128)]
    return Sides(torch.cat(found).tolist(), [corpus.passage(i).text for i in range(len(corpus))])


def recall_figure(backbone: str, hits: dict[str, list[list[bool]]], peer: str, num_passages: int) -> Figure:
    """Recall@20 against a peer's, with the other ranks in the note."""
    from openrealm.evaluate.retrieval import recall_at_k

    ours, theirs = (recall_at_k(hits[name], 20) for name in (backbone, peer))
    every = "; ".join(
        f"{name} at {', '.join(map(str, _RESULTS))}: {', '.join(f'{recall_at_k(rows, k):.3f}' for k in _RESULTS)}"
        for name, rows in hits.items()
        if name in (backbone, peer)
    )
    return once(
        f"recall@20, {len(hits[peer]):,} training questions of WebQuestions, {num_passages:,} lead passages",
        "of 1",
        ours,
        peer,
        theirs,
        f"{backbone}; {every}",
        more_is_better=True,
    )


if __name__ == "__main__":
    main()
