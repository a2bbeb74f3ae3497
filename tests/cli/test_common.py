from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import typer

from openrealm.cli.common import absolute, again, latest_finished_run, run_folder, run_for, stoppable
from openrealm.cli.run import run_name
from openrealm.errors import BadConfig, BadInput, MissingStage


@pytest.mark.parametrize(
    ("name", "folder"),
    [("mine", "runs/mine"), ("./mine", "mine"), ("a/mine", "a/mine"), ("/a/mine", "/a/mine"), ("..", "runs/..")],
)
def test_a_run_is_given_by_its_path_or_its_name(
    name: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_folder(name) == Path(folder)


def test_a_run_in_the_working_directory_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    assert run_folder("mine") == Path("runs/mine"), "any folder may hold a config.json"
    (tmp_path / "mine" / "stages").mkdir()
    assert run_folder("mine") == Path("mine")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/data/my notes", "my-notes"),
        ("/data/wiki.jsonl.xz", "wiki"),
        ("/data/a.parquet", "a"),
        ("/data/a.ndjson.gz", "a"),
        ("/data/simplewiki-20260101-pages-articles.xml.bz2", "simplewiki-20260101-pages-articles"),
        ("wikipedia:simplewiki:20260101", "wikipedia-simplewiki-20260101"),
        ("/data/Übung.2", "Übung.2"),
        ("/", "run"),
        ("/data/-- x", "x"),
    ],
)
def test_a_run_is_named_after_its_source(source: str, name: str) -> None:
    assert run_name(source) == name


def test_the_path_of_a_source_becomes_absolute_and_a_name_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("notes") == absolute("a/../notes") == str(tmp_path / "notes")
    assert absolute("factbook") == "factbook"


def test_an_interrupted_command_says_how_to_continue(capsys: pytest.CaptureFixture[str]) -> None:
    command = again("run", "my notes", settings=["a.b=c d"])
    with pytest.raises(typer.Exit) as end, stoppable(command):
        raise KeyboardInterrupt
    assert end.value.exit_code == 130
    assert capsys.readouterr().err == "Stopped. Continue with: openrealm run 'my notes' --set 'a.b=c d'\n"


def test_the_latest_finished_run_is_asked(answering_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingStage, match=r"/runs has no run that can be asked"):
        latest_finished_run()
    for name in ("older", "newer", "unfinished"):
        shutil.copytree(answering_run, tmp_path / "runs" / name)
    (tmp_path / "runs" / "unfinished" / "finetune" / "realm" / "model" / "manifest.json").unlink()
    os.utime(tmp_path / "runs" / "older" / "stages" / "finetune_realm.json", (1, 1))
    assert latest_finished_run() == Path("runs/newer")
    with pytest.raises(MissingStage, match="has no run with a fine-tuned warm_start"):
        latest_finished_run("warm_start")
    with pytest.raises(BadInput, match="no system 'gpt'"):
        latest_finished_run("gpt")


def test_a_recipe_replaces_the_settings_but_not_the_source(answering_run: Path) -> None:
    kept = run_for(str(answering_run), ["seed=4"])
    assert kept.config.seed == 4
    assert kept.config.model.projection_dim == 16
    replaced = run_for(str(answering_run), ["seed=4"], "small-encoder")
    assert replaced.config.seed == 4
    assert replaced.config.model.backbone == "minilm"
    assert replaced.config.corpus.source == kept.config.corpus.source
    with pytest.raises(BadConfig, match=r"no recipe 'smal'.*did you mean small"):
        run_for(str(answering_run), [], "smal")
