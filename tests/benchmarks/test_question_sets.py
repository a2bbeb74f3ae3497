"""Sets of questions, with or without gold paragraphs, and the ranks of right passages."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from openrealm.benchmarks.question_sets import QuestionSet, answer_ranks, gold_ranks, read_set
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadInput
from openrealm.types import Article, Question

ROWS = [
    {"question": "Where is the mill?", "answer": ["Lima"], "title": "Mill", "passage": "The mill is in Lima ."},
    {"question": "Who bakes?", "answer": ["Ada"], "title": "Ada", "passage": "Ada bakes ."},
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_bytes(lzma.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def test_rows_with_a_passage_have_gold_paragraphs(tmp_path: Path) -> None:
    path = write(tmp_path / "qed.jsonl.xz", ROWS)
    found = read_set("qed", path)
    assert found.questions[0] == Question("Where is the mill?", ("Lima",))
    assert found.paragraphs == ("The mill is in Lima .", "Ada bakes .")
    assert read_set("qed", path, max_questions=1).paragraphs == found.paragraphs[:1]
    plain = write(tmp_path / "nq.jsonl.xz", [{key: row[key] for key in ("question", "answer")} for row in ROWS])
    assert read_set("nq", plain) == QuestionSet("nq", found.questions)
    patterns = read_set("ct", plain, regex=True)
    assert [question.regex for question in patterns.questions] == [True, True]
    assert len({one.digest for one in (found, patterns, read_set("qed", plain), read_set("nq", plain))}) == 4


def test_what_is_no_set_of_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.jsonl does not exist; give a JSONL file of questions"):
        read_set("nq", tmp_path / "none.jsonl")
    (tmp_path / "bad.jsonl").write_text("{\n")
    with pytest.raises(BadInput, match=r"bad\.jsonl:1 is not JSON"):
        read_set("nq", tmp_path / "bad.jsonl")


def test_ranks_are_those_of_the_first_passage_that_is_right(tmp_path: Path, toy_backbone: Path) -> None:
    texts = ["The mill is in Lima.", "Lima lies in Peru.", "Rain fell all day.", "The mill is old."]
    articles = [Article(str(n), "", text) for n, text in enumerate(texts)]
    corpus = Corpus.build(articles, tmp_path / "corpus", backbone=str(toy_backbone), near_duplicates=False)
    where, pattern = Question("Where?", ("Lima",)), Question("Where?", ("L.ma",), regex=True)
    paragraph = "It is said:  The mill\nis in Lima. The mill is old."
    asked = QuestionSet("one", (where, pattern, where, where), (paragraph,) * 4)
    found = [[2, 1, 3, 0], [2, 3, 0, 1], [0, 1], [2, 3]]
    assert answer_ranks(corpus, asked, found) == [2, 3, 1, 0]
    # Passage 1 names Lima elsewhere, and passage 3 is of the paragraph but holds no answer.
    assert gold_ranks(corpus, asked, found) == [4, 3, 1, 0]
