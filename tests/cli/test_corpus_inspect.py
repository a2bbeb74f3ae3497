from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.files import read_json
from openrealm.masking.tagger import RulesTagger
from openrealm.run.folder import Run
from openrealm.types import Article

COMMAND = [sys.executable, "-m", "openrealm.cli", "corpus", "inspect"]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def build(
    tmp_path_factory: pytest.TempPathFactory,
    toy_config: Callable[..., Config],
    as_settings: Callable[[Config], list[str]],
) -> Callable[[str, list[Article]], Path]:
    """Builds a run with only a corpus, by the command; returns its folder."""
    folder = tmp_path_factory.mktemp("inspected")

    def build(name: str, articles: list[Article]) -> Path:
        source = folder / f"{name}.jsonl"
        source.write_text("".join(json.dumps({"id": a.id, "title": a.title, "text": a.text}) + "\n" for a in articles))
        assert main(["corpus", "build", str(source), "--run", str(folder / name), *as_settings(toy_config())]) == 0
        return folder / name

    return build


@pytest.fixture(scope="module")
def run(build: Callable[[str, list[Article]], Path], toy_articles: list[Article]) -> Path:
    return build("run", toy_articles)


@pytest.fixture(scope="module")
def other(build: Callable[[str, list[Article]], Path], toy_articles: list[Article]) -> Path:
    """A run whose corpus is part of the first one's text, under other titles."""
    return build("other", [Article(a.id, "River", a.text) for a in toy_articles[3:20]])


def printed(capsys: pytest.CaptureFixture[str], run: Path, *words: str) -> str:
    capsys.readouterr()
    assert main(["corpus", "inspect", "--run", str(run), *words]) == 0
    return capsys.readouterr().out


def test_the_output_fits_eighty_columns_and_is_complete(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, run)
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    headings = [
        "Counts",
        "Lengths",
        "Most frequent entities and dates",
        "Skipped",
        "10 random passages",
        "10 masked examples",
    ]
    places = [out.index(f"\n{heading}") for heading in headings]
    assert places == sorted(places)
    corpus = Corpus.open(run / "corpus")
    assert re.search(rf"^passages +{corpus.num_passages}$", out, flags=re.MULTILINE)
    assert out.count("[MASK]") >= 10
    assert out.count("\nanswer: ") == 10


def test_json_is_one_object_with_the_same_content(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = json.loads(printed(capsys, run, "--json"))
    corpus = Corpus.open(run / "corpus")
    assert found["counts"]["passages"] == found["spans_counted_in"] == corpus.num_passages
    assert found["digest"] == corpus.digest
    assert found["skipped"] == {}
    assert {name: sum(b["count"] for b in lengths["bins"]) for name, lengths in found["lengths"].items()} == {
        "tokens per passage": corpus.num_passages,
        "sentences per passage": corpus.num_passages,
        "salient spans per passage": corpus.num_passages,
        "passages per article": found["counts"]["articles_with_passages"],
        "passages per group": found["counts"]["groups_of_duplicates"],
    }
    assert len(found["passages"]) == len(found["examples"]) == 10
    for passage in found["passages"]:
        assert corpus.passage(passage["passage"]).text == passage["text"]
    for example in found["examples"]:
        assert example["kind"] in ("entity", "date")
        assert example["answer"] in corpus.passage(example["passage"]).text.lower()
        assert "[MASK]" in example["query"]
    assert found["passages_tried"] >= 10


def test_a_seed_chooses_what_is_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, again, other = (printed(capsys, run, "--seed", seed) for seed in ("1", "1", "2"))
    assert first == again
    assert first != other
    assert first.partition("random passages")[0] == other.partition("random passages")[0]


def test_leaks_are_measured_on_request(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(printed(capsys, run, "--json"))["leaks"] is None
    leaks = json.loads(printed(capsys, run, "--json", "--leaks"))["leaks"]
    assert set(leaks) == {"num_queries", "ids", "equal", "grouped"}
    assert leaks["num_queries"] > 40
    assert leaks["ids"] > 0, "the toy world's last article is a copy"
    assert leaks["grouped"] == 0
    out = printed(capsys, run, "--leaks")
    assert f"Leaks: share of {leaks['num_queries']} masked queries" in out
    assert re.search(rf"^excluding the query's own passage +{100 * leaks['ids']:.1f}%$", out, flags=re.MULTILINE)
    assert re.search(r"^excluding near-duplicates too, as in training +0\.0%$", out, flags=re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 80


def test_queries_of_another_corpus_are_masked_instead(
    run: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = (run / "config.json").read_bytes()
    found = json.loads(printed(capsys, run, "--json", "--leaks", "--queries", str(other)))
    queries = Corpus.open(other / "corpus")
    assert found["queries"] == str(queries.folder)
    assert found["counts"]["passages"] == Corpus.open(run / "corpus").num_passages
    for example in found["examples"]:
        assert example["title"] == queries.passage(example["passage"]).title
    assert found["leaks"]["ids"] == 1, "every one of its passages was copied"
    assert found["leaks"]["grouped"] == 0
    assert "excluding no passage" in printed(capsys, run, "--leaks", "--queries", str(other))
    assert (run / "config.json").read_bytes() == config


def test_a_plot_is_saved_on_request(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'openrealm[plots]'")
    picture = tmp_path / "pictures" / "lengths.png"
    assert main(["corpus", "inspect", "--run", str(run), "--plot", str(picture)]) == 0
    assert f"Plot saved: {picture}\n" in capsys.readouterr().err
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["corpus", "inspect", "--run", str(run), "--plot", str(tmp_path / "lengths.jpg")]) == 2
    refused = capsys.readouterr()
    assert "lengths.jpg does not end in .png, .svg or .pdf" in refused.err
    assert refused.out == ""


@pytest.mark.parametrize("columns", [64, 40])
def test_a_terminal_gets_colours_within_its_width(run: Path, columns: int) -> None:
    ours, theirs = os.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40"}
    child = subprocess.Popen([*COMMAND, "--run", str(run)], stdout=theirs, stderr=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    out = b""
    try:
        while part := os.read(ours, 65536):
            out += part
    except OSError:  # how Linux reports that the other end is closed
        pass
    finally:
        os.close(ours)
    assert child.wait() == 0
    text = out.decode()
    assert "\x1b[1;36m" in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert max(map(len, lines)) <= columns
    assert all(re.search(r"[\d,]+ █", line) for line in lines if "█" in line), "no bar is torn off its number"


def test_columns_are_heeded_without_a_terminal(run: Path) -> None:
    environment = os.environ | {"COLUMNS": "40"}
    out = subprocess.run(
        [*COMMAND, "--run", str(run)], capture_output=True, text=True, env=environment, check=True
    ).stdout
    assert max(map(len, out.splitlines())) <= 40


@pytest.fixture
def hostile(run: Path, tmp_path: Path) -> Path:
    """A run whose corpus contains control characters, which our sources remove."""
    opened = Run.open(run)
    evil = "\x1b]0;owned\x07\x1b[31m\u202eevil\u2066 [bold]Lima[/bold] :smile:"
    articles = [Article("a", f"{evil}\nPeru", f"The capital of Peru is Lima {evil}. Lima lies in Peru. It is old.")]
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "config.json").write_bytes((run / "config.json").read_bytes())
    source = {"kind": evil, "skipped": {evil: 3}, "quarantined": [{"title": evil, "why": evil}]}
    tokenizer = Corpus.open(opened.corpus).tokenizer()
    with Run(folder, opened.config).recorded("corpus", opened.record("corpus")["key"]):
        build_corpus(articles, folder / "corpus", tokenizer, max_passage_tokens=60, tagger=RulesTagger(), source=source)
    return folder


def test_no_control_character_is_printed(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, hostile)
    assert not CONTROL.search(out)
    assert out.count("[bold]Lima[/bold] :smile:") >= 4, "markup is not interpreted"
    as_json = printed(capsys, hostile, "--json")
    assert not CONTROL.search(as_json)
    assert json.loads(as_json)["quarantined"][0]["why"].startswith("\x1b]0;owned\x07\x1b[31m\u202eevil")


def test_a_run_without_a_corpus_says_what_to_do(tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "bare" / "config.json"
    config.parent.mkdir()
    config.write_text(json.dumps(read_json(run / "config.json", dict[str, Any])))
    assert main(["corpus", "inspect", "--run", str(config.parent)]) == 2
    assert f"the corpus stage has not been run; run `openrealm corpus --run {config.parent}`" in capsys.readouterr().err
