from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from openrealm import files
from openrealm.config import Config, with_settings
from openrealm.errors import BadInput, Busy, MissingStage, NoSpace
from openrealm.run.folder import Run


def publish(run: Run, name: str) -> None:
    """Something in the place where a stage leaves its output."""
    files.write_text(run.output(name), "{}")


def test_a_run_keeps_its_configuration(tmp_path: Path) -> None:
    config = with_settings(Config(), ["pretrain.num_steps=7", "masking.kinds=entity,number"])
    run = Run(tmp_path / "run", config)
    with run.writing():
        pass
    assert Run.open(tmp_path / "run").config == config


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingStage, match=r"is no run .*openrealm quickstart"):
        Run.open(tmp_path)


@pytest.mark.parametrize("error", [BadInput("no"), NoSpace("full"), KeyboardInterrupt(), ValueError("bug")])
def test_a_run_that_never_got_anywhere_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    run = Run(tmp_path / "runs" / "mine", Config())
    with pytest.raises(type(error)), run.writing(), run.stage("corpus", "key"):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_run_beside_others_leaves_those(tmp_path: Path) -> None:
    (tmp_path / "runs" / "other").mkdir(parents=True)
    with pytest.raises(BadInput), Run(tmp_path / "runs" / "mine", Config()).writing():
        raise BadInput("no")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["other"]


def test_a_run_with_a_finished_stage_stays(tmp_path: Path) -> None:
    run = Run(tmp_path / "mine", Config())

    def interrupted() -> None:
        with run.writing():
            with run.stage("corpus", "key"):
                publish(run, "corpus")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert run.is_finished("corpus", "key")
    assert run.config_file.exists()


def test_a_mistake_gives_an_older_run_its_configuration_back(tmp_path: Path) -> None:
    with Run(tmp_path / "mine", Config()).writing():
        pass
    changed = with_settings(Config(), ["seed=5"])
    with pytest.raises(BadInput), Run(tmp_path / "mine", changed).writing():
        raise BadInput("no")
    assert Run.open(tmp_path / "mine").config == Config()
    with pytest.raises(KeyboardInterrupt), Run(tmp_path / "mine", changed).writing():
        raise KeyboardInterrupt
    assert Run.open(tmp_path / "mine").config == changed


def test_a_second_writer_is_refused_and_takes_nothing_away(tmp_path: Path) -> None:
    run = Run(tmp_path / "mine", Config())
    with run.writing():
        with pytest.raises(Busy, match=str(os.getpid())), Run(tmp_path / "mine", Config(name="x")).writing():
            pass
        assert Run.open(tmp_path / "mine").config == Config()


def test_a_stage_is_finished_under_its_key_when_its_output_is_there(tmp_path: Path) -> None:
    run = Run(tmp_path, Config())
    for name in ("corpus", "warm_start", "finetune_realm", "evaluate", "questions"):
        with run.stage(name, "k1"):
            assert run.was_begun(name, "k1")
            assert not run.is_finished(name)
        assert not run.is_finished(name), "it left no output"
        publish(run, name)
        assert run.is_finished(name)
        assert run.is_finished(name, "k1")
        assert not run.is_finished(name, "k2")
        assert not run.was_begun(name, "k1")


def test_an_interrupted_stage_was_begun_and_a_refused_one_changes_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path, Config())
    with run.stage("warm_start", "old"):
        publish(run, "warm_start")
    with pytest.raises(BadInput), run.stage("warm_start", "new"):
        raise BadInput("no")
    assert run.is_finished("warm_start", "old")
    with pytest.raises(KeyboardInterrupt), run.stage("warm_start", "new"):
        raise KeyboardInterrupt
    assert run.was_begun("warm_start", "new")
    assert not run.is_finished("warm_start")


def test_the_seconds_of_a_resumed_stage_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path, Config())
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def interrupted() -> None:
        with run.stage("pretrain", "k"):
            now[0] += 5
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with run.stage("pretrain", "k", resumed=True):
        now[0] += 7
    with run.stage("corpus", "k"):
        now[0] += 1.26
    assert run.timings()["seconds"] == {"pretrain": 12.0, "corpus": 1.3}
    assert run.timings()["peak_memory_bytes"] > 1_000_000
    with run.stage("pretrain", "k"):
        now[0] += 2
    assert run.timings()["seconds"]["pretrain"] == 2.0


def test_forgetting_leaves_the_configuration_alone(tmp_path: Path) -> None:
    run = Run(tmp_path, Config())
    with run.writing():
        for name in ("corpus", "warm_start", "pretrain", "frozen_towers", "finetune_bm25", "questions", "evaluate"):
            with run.stage(name, "k"):
                publish(run, name)
        run.forget()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "config.json"]
    assert json.loads(run.config_file.read_text())["name"] == "run"
