from __future__ import annotations

import os
from pathlib import Path

import pytest

from openrealm import files
from openrealm.config import Config, with_settings
from openrealm.errors import BadConfig, BadInput, Busy, MissingStage, NoSpace
from openrealm.run import stages
from openrealm.run.folder import Run


def publish(run: Run, name: str) -> None:
    """Write something to the place of a stage's output."""
    files.write_text(run.folder / stages.get(name).output, "{}")


def test_a_run_keeps_its_configuration(tmp_path: Path) -> None:
    config = with_settings(Config(), ["pretrain.num_steps=7", "masking.kinds=entity,number"])
    run = Run(tmp_path / "run", config)
    with run.writing():
        pass
    assert Run.open(tmp_path / "run").config == config


def test_a_folder_that_is_not_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingStage, match=r"is not a run .*openrealm run FOLDER --run"):
        Run.open(tmp_path)


@pytest.mark.parametrize("error", [BadInput("no"), NoSpace("full"), KeyboardInterrupt(), ValueError("bug")])
def test_a_run_without_a_finished_stage_leaves_nothing_after_an_error(tmp_path: Path, error: BaseException) -> None:
    run = Run(tmp_path / "runs" / "mine", Config())
    with pytest.raises(type(error)), run.writing(), run.recorded("corpus", "key"):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_other_runs_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "runs" / "other").mkdir(parents=True)
    with pytest.raises(BadInput), Run(tmp_path / "runs" / "mine", Config()).writing():
        raise BadInput("no")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["other"]


def test_a_run_with_a_finished_stage_stays(tmp_path: Path) -> None:
    run = Run(tmp_path / "mine", Config())

    def interrupted() -> None:
        with run.writing():
            with run.recorded("corpus", "key"):
                publish(run, "corpus")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert stages.get("corpus").is_finished(run, "key")
    assert run.config_file.exists()


def test_a_users_error_restores_the_configuration_of_an_existing_run(tmp_path: Path) -> None:
    with Run(tmp_path / "mine", Config()).writing():
        pass
    changed = with_settings(Config(), ["seed=5"])
    with pytest.raises(BadInput), Run(tmp_path / "mine", changed).writing():
        raise BadInput("no")
    assert Run.open(tmp_path / "mine").config == Config()
    with pytest.raises(KeyboardInterrupt), Run(tmp_path / "mine", changed).writing():
        raise KeyboardInterrupt
    assert Run.open(tmp_path / "mine").config == changed


@pytest.mark.parametrize("error", [BadInput("no"), RuntimeError("a bug"), OSError("a full disk")])
@pytest.mark.parametrize("left", ["nothing", "a finished stage", "a checkpoint"])
def test_the_configuration_changes_only_with_a_stage_that_used_it(tmp_path: Path, error: Exception, left: str) -> None:
    run = Run(tmp_path / "mine", Config())
    with run.writing(), run.recorded("warm_start", "old"):
        publish(run, "warm_start")
    changed = with_settings(Config(), ["seed=5"])

    def fail() -> None:
        other = Run(tmp_path / "mine", changed)
        with other.writing():
            if left == "a finished stage":
                with other.recorded("warm_start", "new"):
                    pass
            with other.recorded("pretrain", "new"):
                if left == "a checkpoint":
                    (run.folder / "pretrain" / "checkpoints" / "step-00000001").mkdir(parents=True)
                raise error

    with pytest.raises(type(error)):
        fail()
    assert Run.open(run.folder).config == (Config() if left == "nothing" else changed)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("device=cuda:7", r"device is cuda:7, but .* visible; use device=cpu or device=auto"),
        ("model.backbone=nowhere/at/all", r"model\.backbone: nowhere/at/all is not a folder"),
        ("corpus.tagger=evil:x", r"corpus\.tagger is 'evil', but no tagger has that name"),
    ],
)
def test_settings_are_checked_before_anything_is_written(tmp_path: Path, change: str, sentence: str) -> None:
    changed = with_settings(Config(), [change])
    with pytest.raises(BadConfig, match=sentence), Run(tmp_path / "new" / "run", changed).writing():
        pass
    assert list(tmp_path.iterdir()) == []
    with Run(tmp_path / "old", Config()).writing():
        pass
    before = (tmp_path / "old" / "config.json").stat().st_mtime_ns
    with pytest.raises(BadConfig, match=sentence), Run(tmp_path / "old", changed).writing():
        pass
    assert (tmp_path / "old" / "config.json").stat().st_mtime_ns == before


def test_a_second_writer_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path / "mine", Config())
    with run.writing():
        with pytest.raises(Busy, match=str(os.getpid())), Run(tmp_path / "mine", Config(name="x")).writing():
            pass
        assert Run.open(tmp_path / "mine").config == Config()


def test_a_users_error_restores_the_record_and_an_interrupted_stage_is_not_finished(tmp_path: Path) -> None:
    run, stage = Run(tmp_path, Config()), stages.get("warm_start")
    with run.recorded("warm_start", "old"):
        publish(run, "warm_start")
    with pytest.raises(BadInput), run.recorded("warm_start", "new"):
        raise BadInput("no")
    assert stage.is_finished(run, "old")
    with pytest.raises(KeyboardInterrupt), run.recorded("warm_start", "new"):
        raise KeyboardInterrupt
    assert run.record("warm_start")["key"] == "new"
    assert not stage.is_finished(run)


def test_the_seconds_of_a_resumed_stage_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path, Config())
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def interrupted() -> None:
        with run.recorded("pretrain", "k"):
            now[0] += 5
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with run.recorded("pretrain", "k", resumed=True):
        now[0] += 7
    with run.recorded("corpus", "k"):
        now[0] += 1.26
    assert run.timings()["seconds"] == {"pretrain": 12.0, "corpus": 1.3}
    assert run.timings()["peak_memory_bytes"] > 1_000_000
    with run.recorded("pretrain", "k"):
        now[0] += 2
    assert run.timings()["seconds"]["pretrain"] == 2.0


def test_a_stage_inside_another_has_its_own_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path, Config())
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with run.recorded("evaluate", "k"):
        now[0] += 1
        with run.recorded("index", "k"):
            now[0] += 5
        now[0] += 2
        assert run.timings()["seconds"]["evaluate"] == 3.0, "the stage under way counts"
    assert run.timings()["seconds"] == {"index": 5.0, "evaluate": 3.0}
