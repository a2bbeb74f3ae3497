from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from openrealm.cli.main import main
from openrealm.cli.show import show_answer
from openrealm.types import Answer, ReadPassage

QUESTION = "What is the capital of the country?"


def test_the_answer_is_shown_with_its_passage_and_the_runners_up(
    answering_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", QUESTION, "--run", str(answering_run)]) == 0
    text = capsys.readouterr().out
    answer = text.partition("\n")[0]
    assert f"[[{answer}]]" in text
    assert re.search(r"\np\(z\|x\) 0\.\d\d, retrieval utility [+-]\d+\.\d\d nats, index \d{8}-[0-9a-f]{8}\n", text)
    assert len(re.findall(r"^  .+\(.+; p\(z\|x\) ", text, flags=re.MULTILINE)) == 2


def test_json_has_the_same_content(answering_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", QUESTION, "--run", str(answering_run), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["text"] == value["source"]["answer"]
    assert value["question"] == QUESTION
    assert len(value["runners_up"]) == 2


@pytest.mark.parametrize("question", ["", "  "])
def test_an_empty_question_is_refused_in_one_sentence(
    answering_run: Path, question: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", question, "--run", str(answering_run)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"openrealm: The question .*\n", said.err)


@pytest.mark.parametrize("system", ["realm", "bm25"])
def test_a_long_question_is_read_and_one_beyond_the_encoder_is_shortened(
    answering_run: Path, system: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was trained with questions of 30 word pieces; the encoder has 128 positions, and a passage takes 32."""
    command = ["ask", "--run", str(answering_run), "--system", system, "--json"]
    answers = {}
    for num_words in (30, 60, 96, 97, 400):
        assert main([*command, "the " * num_words]) == 0
        said = capsys.readouterr()
        answers[num_words] = json.loads(said.out)["source"]
        shortened = f"The question has {num_words} word pieces, and the encoder reads at most 96 together with a"
        assert said.err.startswith(shortened) == (num_words > 96)
        assert said.err.count("\n") == (num_words > 96)
    assert answers[30]["score"] != answers[60]["score"], "what follows the thirtieth word piece counts"
    if system == "realm":  # BM25 searches for all words
        assert answers[96] == answers[97] == answers[400]


def passage(text: str, start: int, end: int) -> ReadPassage:
    return ReadPassage("id", "[b]Title[/b]", text, text[start:end], start, end, 0.5, -1.5, 2.0)


def test_on_a_terminal_markup_in_a_passage_is_shown_as_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    source = passage("It is [bold]here[/bold] \x1b[31m now", 12, 16)
    show_answer(Answer("Where?", "here", 2.0, source, (source,), "v"), as_json=False)
    shown = capsys.readouterr().out
    assert "[bold]here[/bold]" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "[b]Title[/b]" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "\x1b[31m" not in shown


def test_an_answer_with_a_line_break_is_shown_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    source = passage("Open\nto all", 0, 7)
    show_answer(Answer("Where?", source.answer, 2.0, source, (source,), "v"), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Open to"
    assert "[[Open" in lines
    assert lines[-1].startswith("  Open to  (")


def test_without_an_answer_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_answer(Answer("Where?", "", 0.0, None), as_json=False)
    assert "No passage" in capsys.readouterr().out


LIBRARY = "# The library\n\nThe library of Oberlind stands in the old mill beside the river. It opened in 1921.\n"


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `docs` in the working directory."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "library.md").write_text(LIBRARY)
    (folder / "bread.md").write_text("# Bread\n\nAnna bakes rye bread every Saturday. A loaf keeps for two weeks.\n")
    monkeypatch.chdir(tmp_path)
    return folder


def test_documents_are_asked_without_training(documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "--corpus", "docs", "When did the library open?"]) == 0
    shown = capsys.readouterr().out
    assert re.match(r"1921 \(right with probability [01]\.\d\d\)\n\nThe library \(library\.md, line 3\)\n", shown)
    assert "It opened in [[1921]]." in shown
    kept = sorted(path for path in Path("runs/documents").glob("docs-*/index/versions/*"))
    assert len(kept) == 1
    assert main(["ask", "--corpus", str(documents), "--json", "How long does a loaf keep?"]) == 0
    said = capsys.readouterr()
    assert "two weeks" in json.loads(said.out)["source"]["answer"]
    assert "passages tagged" not in said.err, "the corpus was kept"
    assert sorted(path for path in Path("runs/documents").glob("docs-*/index/versions/*")) == kept


def test_many_questions_come_from_a_file_or_standard_input(
    documents: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["When did the library open?", "Who bakes bread?"]
    Path("asked.txt").write_text("\n".join(asked) + "\n")
    assert main(["ask", "--corpus", "docs", "--questions", "asked.txt", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["question"] for row in rows] == asked
    with open("asked.txt") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert main(["ask", "--corpus", "docs"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{question}\n" in shown for question in asked)


def test_settings_change_how_documents_are_read(documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (documents / "long.md").write_text("It is long. " * 200)
    limit = ["--set", "corpus.max_line_characters=1000"]
    assert main(["ask", "--corpus", "docs", *limit, "When did the library open?"]) == 2
    assert "long.md: line 1 has 2,400 characters" in capsys.readouterr().err
    assert main(["ask", "--corpus", "docs", *limit, "--skip-unreadable", "When did the library open?"]) == 0
    assert "It opened in [[1921]]." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpus", "docs", "--set", "pretrain.num_steps=3"], "--set cannot change pretrain.num_steps with --corpus"),
        (["--corpus", "docs", "--set", "corpus.source=other"], "--set cannot change corpus.source with --corpus"),
        (["--corpus", "docs", "--set", "corpus.max_file_mb=none"], "corpus.max_file_mb is"),
        (["--set", "corpus.max_file_mb=9"], "--set changes how documents are read, so it needs --corpus; a run keeps"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_written(
    documents: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["ask", *arguments, "Where?"]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in documents.parent.iterdir()) == ["docs"]


def test_no_answer_is_said_with_the_closest_passages(documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "--corpus", "docs", "--threshold", "1", "When did the library open?"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("No answer found (the best is right with probability ")
    assert "library.md, line 3" in shown


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["--corpus", "docs", "--run", "x", "Where?"], "--corpus takes documents without a run"),
        (["--corpus", "nowhere", "Where?"], "nowhere"),
        (["--corpus", "https://example.org/", "Where?"], "is a URL"),
        (["--corpus", "docs", "--questions", "none.txt"], "none.txt"),
        (["--corpus", "docs", "--questions", "docs/bread.md", "Where?"], "either a question or --questions"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    documents: Path, command: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", *command]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("runs").exists()
