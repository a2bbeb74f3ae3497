"""`openrealm search`, and the files of results that it and `openrealm ask` save."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openrealm.cli.main import main
from openrealm.evaluate.trec import read_run
from openrealm.run import artefacts
from openrealm.run.folder import Run
from openrealm.serve.answerer import Answerer
from openrealm.serve.search import PassageSearch

QUESTION = "What is the capital of the country?"


@pytest.fixture
def questions(tmp_path: Path, answering_run: Path) -> Path:
    """Questions about the toy world: two with ids, one without, each with an answer."""
    corpus = artefacts.open_corpus(Run.open(answering_run))
    rows = []
    for number, name in ((0, "first"), (1, 7), (2, None)):
        answer = corpus.passage(number).text.split()[-1].strip(".")
        rows.append({"question": corpus.passage(number).text, "answer": answer} | ({"id": name} if name else {}))
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_passages_are_listed_with_title_and_score(answering_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", QUESTION, "-k", "2", "--run", str(answering_run)]) == 0
    text = capsys.readouterr().out
    found = PassageSearch.open(answering_run).search(QUESTION, 2)
    for rank, passage in enumerate(found.passages, 1):
        place = f" ({passage.place})" if passage.place else ""
        assert f"{rank}. {passage.title}{place}, score {passage.score:.3f}\n{passage.text}\n" in text
    assert text.endswith(f"Found by vectors, index {found.index_version}\n")


def test_json_has_the_same_passages(answering_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", QUESTION, "--by", "bm25", "--run", str(answering_run), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    found = PassageSearch.open(answering_run).search(QUESTION, by="bm25")
    assert [row["passage_id"] for row in value["passages"]] == [passage.passage_id for passage in found.passages]
    assert (value["by"], value["question"]) == ("bm25", QUESTION)


def test_documents_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("docs", "library.md").write_text("# The library\n\nThe library stands in the old mill.\n")
    assert main(["search", "old mill", "--corpus", "docs", "--by", "bm25"]) == 0
    assert capsys.readouterr().out.startswith("1. The library (library.md, line 1), score ")
    assert main(["search", "zebra", "--corpus", "docs", "--by", "bm25"]) == 0
    assert capsys.readouterr().out == "No passage was found.\n"


def test_results_are_saved_by_the_ids_of_their_questions(
    answering_run: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, trec = tmp_path / "found.jsonl", tmp_path / "found.trec"
    command = ["search", "--questions", str(questions), "-k", "4", "--run", str(answering_run)]
    assert main([*command, "--out", str(out), "--trec", str(trec)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert f"Saved 3 questions with their results: {out}" in said.err
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["first", "7", "3"]
    ranked = {row["id"]: [passage["passage_id"] for passage in row["passages"]] for row in rows}
    assert {name: [passage for passage, _ in ranking] for name, ranking in read_run(trec).items()} == ranked


def test_answers_are_saved_with_the_passages_that_were_read(
    answering_run: Path, questions: Path, tmp_path: Path
) -> None:
    out, trec = tmp_path / "answers.jsonl", tmp_path / "answers.trec"
    command = ["ask", "--questions", str(questions), "--run", str(answering_run)]
    assert main([*command, "--out", str(out), "--trec", str(trec)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    answers = Answerer.open(answering_run).ask([row["question"] for row in rows])
    assert [row["text"] for row in rows] == [answer.text for answer in answers]
    assert [row["id"] for row in rows] == ["first", "7", "3"]
    answer = answers[0]
    assert answer.source is not None
    read = {passage.passage_id: passage.score for passage in (answer.source, *answer.runners_up)}
    assert dict(read_run(trec)["first"]) == pytest.approx(read, abs=1e-4)


def test_a_file_is_replaced_only_by_force(answering_run: Path, questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.jsonl"
    out.write_text("kept")
    command = ["search", "--questions", str(questions), "--run", str(answering_run), "--out", str(out)]
    assert main(command) == 2
    assert out.read_text() == "kept"
    assert main([*command, "--force"]) == 0
    assert len(out.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "."], "is a folder"),
        (["--out", "same", "--trec", "same"], "both name same"),
        (["--by", "magic"], "choose from fused, dense, bm25"),
        (["--corpus", "docs"], "either --corpus or --run"),
        (["-k", "0"], "-k"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: list[str],
    said: str,
    answering_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["search", QUESTION, "--run", str(answering_run), *options]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("ids", "said"), [(("a", "a"), "have the id a"), (("a b", "c"), "'a b' is empty or has sp")])
def test_ids_that_a_trec_file_cannot_hold_are_refused_before_the_work(
    ids: tuple[str, str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = tmp_path / "asked.jsonl"
    asked.write_text("".join(json.dumps({"id": name, "question": "Where?"}) + "\n" for name in ids))
    assert main(["search", "--questions", str(asked), "--run", "./nowhere", "--trec", str(tmp_path / "out.trec")]) == 2
    assert said in capsys.readouterr().err


def test_a_trec_file_is_measured_by_the_answers_to_its_questions(
    answering_run: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trec = tmp_path / "found.trec"
    command = ["search", "--questions", str(questions), "--by", "bm25", "--run", str(answering_run)]
    assert main([*command, "--trec", str(trec)]) == 0
    capsys.readouterr()
    measure = ["evaluate", "--trec", str(trec), "--run", str(answering_run)]
    assert main([*measure, "--questions", str(questions), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["questions"] == 3
    assert found["recall@1"]["mean"] == 1.0, "each question is the text of a passage that holds its answer"
    qrels = tmp_path / "qrels"
    first = read_run(trec)["first"][0][0]
    qrels.write_text(f"first 0 {first} 1\nunasked 0 {first} 1\n")
    assert main([*measure, "--qrels", str(qrels)]) == 0
    said = capsys.readouterr()
    assert "2 questions" in said.out
    assert "50.0" in said.out
    assert "ranks passages for 2 questions that" in said.err


def test_a_passage_of_another_corpus_is_named(
    answering_run: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trec = tmp_path / "found.trec"
    trec.write_text("first Q0 abcdef 1 1.0 x\n")
    measure = ["evaluate", "--trec", str(trec), "--run", str(answering_run)]
    assert main([*measure, "--questions", str(questions)]) == 2
    assert "names the passage abcdef, which is not in the corpus of" in capsys.readouterr().err
    assert main(measure) == 2
    assert "--qrels FILE or the answers of --questions FILE" in capsys.readouterr().err
