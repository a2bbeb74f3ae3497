"""Passages found for questions, checked against the vectors and BM25 themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.errors import BadInput, MissingStage
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index
from openrealm.model.answering import Answering
from openrealm.model.realm import Realm
from openrealm.run import artefacts
from openrealm.run.folder import Run
from openrealm.serve.answerer import Answerer
from openrealm.serve.search import PassageSearch
from openrealm.types import Article

QUESTION = "Where is the library?"
TEXTS = {
    "library.md": "# The library\n\nThe library stands in the old mill. It opens on Friday.\n",
    "bread.md": "# Bread\n\nAnna bakes rye bread in the village. It keeps for two weeks.\n",
    "school.md": "# School\n\nThe school has two rooms. The teacher lives above.\n",
}


@pytest.fixture(scope="module")
def model(markdown_backbone: Path) -> Realm:
    torch.manual_seed(0)
    model = Realm.from_pretrained(markdown_backbone, title_in_joint=True, projection_dim=16)
    model.add_span_reader()
    model.answering = Answering()
    return model.eval()


@pytest.fixture(scope="module")
def answerer(model: Realm, tmp_path_factory: pytest.TempPathFactory) -> Answerer:
    folder = tmp_path_factory.mktemp("docs")
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return Answerer.from_documents(folder, tmp_path_factory.mktemp("kept"), model=model)


def test_a_search_by_vectors_ranks_by_inner_products(answering_run: Path) -> None:
    found = Answerer.open(answering_run).search("What is the capital of the country?", k=4, by="dense")
    run = Run.open(answering_run)
    corpus, model = artefacts.open_corpus(run), artefacts.open_model(run, "finetune_realm").eval()
    vector_ND = artefacts.open_index(run, model, "pretrain").vector_ND.numpy()
    tokens, _ = corpus.tokenizer().encode(found.question)
    with torch.inference_mode():
        query_D = model.retriever.encode_query([corpus.query_row(tokens, len(tokens) + 2)])[0].numpy()
    score_N = vector_ND @ query_D
    best = np.argsort(-score_N, kind="stable")[:4]
    assert [passage.passage_id for passage in found.passages] == [corpus.passage(int(i)).id for i in best]
    np.testing.assert_allclose([passage.score for passage in found.passages], score_N[best], rtol=1e-4, atol=1e-4)
    assert found.by == "dense"


def test_a_search_by_words_finds_no_passage_without_a_word(answerer: Answerer) -> None:
    found = answerer.search("library mill", k=3, by="bm25")
    assert [passage.article_id for passage in found.passages] == ["library.md"]
    assert found.passages[0].score > 0
    assert (found.by, found.index_version) == ("bm25", "bm25")
    assert answerer.search("zebra", by="bm25").passages == ()


def test_a_search_finds_what_asking_reads(answerer: Answerer) -> None:
    answer, found = answerer.ask(QUESTION), answerer.search(QUESTION)
    assert answer.source is not None
    assert found.by == "fused"
    assert found.index_version == answer.index_version
    assert {p.passage_id for p in found.passages} == {p.passage_id for p in (answer.source, *answer.runners_up)}
    assert found == answerer.search(QUESTION, by="fused")


def test_passages_are_quoted_with_their_place(answerer: Answerer) -> None:
    first = answerer.search("old mill", k=1, by="bm25").passages[0]
    assert first.title == "The library"
    assert "old mill" in first.text
    assert first.place.startswith("library.md, line")
    assert first.origin is not None


def test_several_questions_give_a_list_in_their_order(answerer: Answerer) -> None:
    questions = [f"{QUESTION} {number}" for number in range(20)]
    found = answerer.search(questions, k=1)
    assert [one.question for one in found] == questions
    assert found[7] == answerer.search(questions[7], k=1)


@pytest.mark.parametrize(
    ("question", "k", "by", "word"),
    [(QUESTION, 0, None, "at least 1"), (" ", 5, None, "empty"), (QUESTION, 5, "magic", "fused, dense, bm25")],
)
def test_what_cannot_be_searched_is_refused(
    answerer: Answerer, question: str, k: int, by: str | None, word: str
) -> None:
    with pytest.raises(BadInput, match=word):
        answerer.search(question, k, by=by)


def test_a_way_that_the_model_lacks_is_refused(answering_run: Path) -> None:
    with pytest.raises(BadInput, match="no weights"):
        Answerer.open(answering_run).search(QUESTION, by="fused")
    with pytest.raises(BadInput, match="no index"):
        Answerer.open(answering_run, "bm25").search(QUESTION, by="dense")
    assert Answerer.open(answering_run, "bm25").search("the capital").by == "bm25"


def test_the_index_can_be_searched_by_words_too(answering_run: Path) -> None:
    run = Run.open(answering_run)
    corpus, model = artefacts.open_corpus(run), artefacts.open_model(run, "finetune_realm")
    score_BK, number_BK = Bm25.build(corpus).search(["the capital"], 2)
    found = Answerer(model, corpus, Index.build(model, corpus)).search("the capital", k=2, by="bm25")
    assert [passage.passage_id for passage in found.passages] == [corpus.passage(i).id for i in number_BK[0].tolist()]
    np.testing.assert_allclose([passage.score for passage in found.passages], score_BK[0], rtol=1e-5)


def test_a_run_is_searched_before_it_can_answer(
    toy_articles: list[Article],
    toy_config: Callable[..., Config],
    as_settings: Callable[..., list[str]],
    tmp_path: Path,
) -> None:
    source = tmp_path / "toy.jsonl"
    source.write_text("".join(json.dumps({"id": a.id, "title": a.title, "text": a.text}) + "\n" for a in toy_articles))
    run = str(tmp_path / "run")
    settings = as_settings(toy_config("warm_start.num_steps=1"))
    assert main(["corpus", "build", str(source), "--run", run, *settings]) == 0
    with pytest.raises(MissingStage, match="warm-start"):
        PassageSearch.open(run)
    assert main(["warm-start", "--run", run]) == 0
    with pytest.raises(MissingStage, match="openrealm index"):
        PassageSearch.open(run)
    assert main(["index", "--run", run]) == 0
    found = PassageSearch.open(run).search("the capital", k=2)
    assert len(found.passages) == 2
    assert found.by == "dense"


def test_documents_are_searched_by_words_without_being_embedded(markdown_backbone: Path, tmp_path: Path) -> None:
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text)
    model = Realm.from_pretrained(markdown_backbone, projection_dim=16)
    kept = tmp_path / ".kept"
    search = PassageSearch.from_documents(tmp_path, kept, model=model, embed=False)
    assert [passage.article_id for passage in search.search("rye bread").passages] == ["bread.md"]
    assert not (kept / "index").exists()
    found = PassageSearch.from_documents(tmp_path, kept, model=model).search("rye bread", k=3)
    assert (found.by, len(found.passages)) == ("dense", 3)
