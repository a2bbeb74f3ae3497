"""What is read while another process rebuilds a run, and records that are behind their artefacts."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openrealm import files
from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.run import stages
from openrealm.run.folder import Run
from openrealm.serve.answerer import Answerer

QUESTION = "What is the capital of the country?"


@pytest.fixture
def run(answering_run: Path, tmp_path: Path) -> Run:
    shutil.copytree(answering_run, tmp_path / "run")
    return Run.open(tmp_path / "run")


def test_the_old_system_answers_until_the_new_one_is_there(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    answer = Answerer.open(run.folder).ask(QUESTION)
    capsys.readouterr()
    with run.writing():
        stages.forget(run)
        assert not run.corpus.exists()
        assert Answerer.open(run.folder).ask(QUESTION) == answer
        assert main(["ask", QUESTION, "--run", str(run.folder)]) == 0
        assert f"{run.folder} is being rebuilt or has other settings now" in capsys.readouterr().err
    assert Answerer.open(run.folder).ask(QUESTION) == answer, "the rebuild was given up"


def test_what_was_kept_goes_once_a_system_can_answer_again(run: Run, answering_run: Path) -> None:
    with run.writing():
        shutil.rmtree(run.folder / "finetune")
        assert (run.folder / ".previous").is_dir()
        Answerer.open(run.folder)
        shutil.copytree(answering_run / "finetune", run.folder / "finetune")
    assert not (run.folder / ".previous").exists()
    Answerer.open(run.folder)


def test_what_was_kept_is_not_touched_by_new_settings(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    answer = Answerer.open(run.folder).ask(QUESTION)
    changed = Run(run.folder, run.config.replace(seed=5))
    with pytest.raises(KeyboardInterrupt), changed.writing():
        raise KeyboardInterrupt
    assert Run.open(run.folder).config.seed == 5
    assert Answerer.open(run.folder).ask(QUESTION) == answer


REBUILDING = """
    import sys
    from pathlib import Path
    from openrealm.run import stages
    from openrealm.run.folder import Run
    run = Run.open(Path(sys.argv[1]))
    with run.writing():
        stages.forget(run)
        print("rebuilding", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def rebuilding(run: Run) -> Iterator[subprocess.Popen[str]]:
    """Another process that has locked the run and removed everything in it, as `run --fresh` does first."""
    command = [sys.executable, "-c", textwrap.dedent(REBUILDING), str(run.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "rebuilding\n"
        yield child
        child.communicate("")


@pytest.fixture
def inspected(run: Run, capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, Any]]:
    """What `openrealm corpus inspect` shows, but for the folder."""

    def inspect() -> dict[str, Any]:
        capsys.readouterr()
        assert main(["corpus", "inspect", "--run", str(run.folder), "--json"]) == 0
        shown: dict[str, Any] = json.loads(capsys.readouterr().out)
        return {name: value for name, value in shown.items() if name not in ("folder", "queries")}

    return inspect


def test_commands_that_read_use_the_old_system_and_those_that_write_are_refused_with_the_process_id(
    run: Run,
    inspected: Callable[[], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    answer, corpus = Answerer.open(run.folder).ask(QUESTION), inspected()
    pages = [(run.folder / name).read_bytes() for name in ("report.json", "report.html")]
    child = request.getfixturevalue("rebuilding")
    assert not run.corpus.exists()
    assert Answerer.open(run.folder).ask(QUESTION) == answer
    assert inspected() == corpus
    assert [(run.folder / name).read_bytes() for name in ("report.json", "report.html")] == pages
    kept = sorted(path for path in (run.folder / ".previous").rglob("*"))
    named = ["--run", str(run.folder)]
    for words in (
        ["evaluate", *named],
        ["index", *named],
        ["finetune", *named],
        ["corpus", *named],
        ["run", run.config.corpus.source, *named, "--fresh"],
        ["corpus", "inspect", *named, "--leaks", "--queries", str(run.folder / ".previous")],
    ):
        capsys.readouterr()
        assert main(words) == 2
        assert f"{run.folder} is being written by process {child.pid}; wait for it" in capsys.readouterr().err
    assert sorted(path for path in (run.folder / ".previous").rglob("*")) == kept


def test_a_corpus_without_a_system_is_kept_while_it_is_rebuilt_and_its_successor_shown_at_once(
    run: Run, inspected: Callable[[], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("finetune", "index", "pretrain", "warm-start"):
        shutil.rmtree(run.folder / name)
    before = inspected()
    with contextlib.suppress(KeyboardInterrupt), run.writing(), run.recorded("corpus", "another key"):
        assert inspected() == before
        raise KeyboardInterrupt
    assert inspected() == before, "the rebuild was stopped"
    assert main(["corpus", "--run", str(run.folder), "--set", "corpus.max_passage_tokens=20"]) == 0
    assert inspected()["settings"]["max_passage_tokens"] == 20
    assert not (run.folder / ".previous").exists()


def test_a_rebuilt_corpus_is_shown_while_the_old_system_answers(
    run: Run, inspected: Callable[[], dict[str, Any]]
) -> None:
    answer = Answerer.open(run.folder).ask(QUESTION)
    assert main(["corpus", "--run", str(run.folder), "--set", "corpus.max_passage_tokens=20"]) == 0
    assert inspected()["settings"]["max_passage_tokens"] == 20
    assert Answerer.open(run.folder).ask(QUESTION) == answer


def test_answers_of_systems_that_the_report_leaves_out_go_with_it(run: Run, tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    asked.write_text(json.dumps({"question": QUESTION, "answer": ["Lima"]}) + "\n")
    assert main(["evaluate", "--run", str(run.folder), "--questions", str(asked)]) == 0
    assert sorted(path.name for path in run.evaluate.iterdir()) == ["bm25.json", "realm.json"]
    shutil.rmtree(run.folder / "finetune" / "bm25")
    assert main(["evaluate", "--run", str(run.folder)]) == 0
    assert [path.name for path in run.evaluate.iterdir()] == ["realm.json"]


@pytest.mark.slow
def test_every_question_is_answered_while_a_run_is_rebuilt(
    run: Run,
    inspected: Callable[[], dict[str, Any]],
    toy_config: Callable[..., Config],
    as_settings: Callable[[Config], list[str]],
) -> None:
    corpus = inspected()
    settings = as_settings(toy_config("finetune.num_steps=8"))
    words = ["run", run.config.corpus.source, "--name", str(run.folder), "--fresh", *settings]
    child = subprocess.Popen([sys.executable, "-m", "openrealm.cli", *words], stderr=subprocess.PIPE, text=True)
    num_asked = 0
    while child.poll() is None:
        assert Answerer.open(run.folder).ask(QUESTION).text
        assert inspected() == corpus, "the rebuilt corpus is the same"
        assert "systems" in json.loads(run.report.read_text())
        num_asked += 1
    assert child.returncode == 0, child.communicate()
    child.communicate()
    assert num_asked > 5
    assert not (run.folder / ".previous").exists()


@pytest.mark.parametrize("name", ["corpus", "warm_start", "index", "pretrain", "index_pretrained", "finetune_realm"])
def test_a_record_that_is_behind_its_artefact_is_mended(run: Run, name: str) -> None:
    """As after a kill between publishing an artefact and recording it."""
    stage, path = stages.get(name), run.records / f"{name}.json"
    whole = run.record(name)
    files.write_sealed(path, {**whole, "finished": False, "files": {}})
    assert stage.is_finished(run)
    assert not stage.can_resume(run)
    with run.writing():
        assert run.record(name) == whole


def test_the_record_of_a_stage_that_has_not_published_yet_stays(run: Run) -> None:
    stage = stages.get("pretrain")
    begun = {**run.record("pretrain"), "finished": False, "files": {}}
    files.write_sealed(run.records / "pretrain.json", begun)
    files.remove_folder(stage.model_folder(run))
    assert not stage.is_finished(run)
    with run.writing():
        assert run.record("pretrain") == begun


def test_an_artefact_of_other_settings_mends_nothing(run: Run) -> None:
    files.write_sealed(run.records / "pretrain.json", {**run.record("pretrain"), "finished": False, "key": "f" * 64})
    assert not stages.get("pretrain").is_finished(run)


def test_a_changed_log_is_named_and_the_report_does_without_it(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    log = run.folder / "finetune" / "realm" / "metrics.jsonl"
    log.write_text(json.dumps({"step": 1}) + "\n")
    assert main(["evaluate", "--run", str(run.folder)]) == 0
    assert f"{log} differs from its digest" in capsys.readouterr().err
    log = run.folder / "pretrain" / "metrics.jsonl"
    log.write_text(log.read_text().replace("1", "2", 1))
    assert main(["evaluate", "--run", str(run.folder)]) == 2
    assert f"{log} differs from its digest" in capsys.readouterr().err
