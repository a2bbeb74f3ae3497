"""The system that answers while a run is rebuilt, and records that are behind their artefacts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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


@pytest.mark.slow
def test_every_question_is_answered_while_a_run_is_rebuilt(
    run: Run, toy_config: Callable[..., Config], as_settings: Callable[[Config], list[str]]
) -> None:
    settings = as_settings(toy_config("finetune.num_steps=8"))
    words = ["run", run.config.corpus.source, "--name", str(run.folder), "--fresh", *settings]
    child = subprocess.Popen([sys.executable, "-m", "openrealm.cli", *words], stderr=subprocess.PIPE, text=True)
    num_asked = 0
    while child.poll() is None:
        assert Answerer.open(run.folder).ask(QUESTION).text
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
