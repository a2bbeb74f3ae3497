"""`openrealm runs`: lists, compares and deletes real runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from openrealm import files
from openrealm.cli.main import main


@pytest.fixture
def runs(answering_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder runs/ with two runs: one that answers, and one of which only the corpus is left."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs"
    shutil.copytree(answering_run, folder / "whole")
    shutil.copytree(answering_run, folder / "begun")
    for path in (folder / "begun").iterdir():
        if path.name not in ("config.json", "corpus", "stages"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for record in (folder / "begun" / "stages").glob("*.json"):
        if record.stem != "corpus":
            record.unlink()
    return folder


def test_all_runs_are_listed_with_what_they_can_do(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    states = {line.split()[0]: line for line in lines[1:]}
    assert set(states) == {"whole", "begun"}
    assert "can be asked" in states["whole"]
    assert "corpus finished" in states["begun"]
    assert main(["runs", "list", "--json"]) == 0
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    size = sum(path.stat().st_size for path in (runs / "begun").rglob("*") if path.is_file())
    assert 0 <= found["begun"]["num_bytes"] - size < 200_000, "folders take a little too"
    assert found["whole"]["source"].endswith("toy.jsonl")
    assert found["whole"]["seconds"] > 0


def test_documents_asked_without_a_run_are_listed_and_deleted_too(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("docs").mkdir()
    Path("docs", "library.md").write_text("# The library\n\nThe library stands in the old mill.\n")
    assert main(["search", "old mill", "--corpus", "docs", "--by", "bm25", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["runs", "--json"]) == 0
    (documents,) = [entry for entry in json.loads(capsys.readouterr().out) if entry["kind"] == "documents"]
    assert documents["name"].startswith("documents/docs-")
    assert documents["source"] == "docs"
    assert main(["runs", "delete", documents["name"], "--yes"]) == 0
    assert list((runs / "documents").glob("docs-*")) == []


def test_an_empty_folder_has_no_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 0
    assert "There are no runs in" in capsys.readouterr().err
    assert main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_damaged_run_is_listed_as_damaged(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "begun" / "config.json").write_text("{")
    assert main(["runs"]) == 0
    assert "damaged: runs/begun/config.json is not valid JSON" in capsys.readouterr().out


def test_runs_are_compared_by_their_settings(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((runs / "begun" / "config.json").read_text())
    config["pretrain"]["num_steps"] = 123
    del config["sha256"]
    (runs / "begun" / "config.json").write_text(json.dumps(config))
    assert main(["runs", "compare", "whole", "begun", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["pretrain.num_steps"][1] == "123"
    assert list(found["settings"]) == ["pretrain.num_steps"]
    assert main(["runs", "compare", "whole", "begun"]) == 0
    assert "pretrain.num_steps" in capsys.readouterr().out
    assert main(["runs", "compare", "whole"]) == 2
    assert "at least two runs" in capsys.readouterr().err


def test_a_run_is_deleted_only_if_that_is_confirmed(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["runs", "delete", "begun"]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert (runs / "begun").exists()
    assert main(["runs", "delete", "begun", "--yes"]) == 0
    assert not (runs / "begun").exists()
    assert "Deleted runs/begun." in capsys.readouterr().err
    assert (runs / "whole" / "report.json").exists()


@pytest.mark.parametrize("name", ["nowhere", ".", "docs"])
def test_what_is_no_run_is_not_deleted(runs: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("docs").mkdir()
    Path("docs", "precious.txt").write_text("text")
    assert main(["runs", "delete", f"./{name}", "--yes"]) == 2
    assert "is not a run" in capsys.readouterr().err
    assert Path("docs", "precious.txt").exists()


def test_one_wrong_name_keeps_all_runs(runs: Path) -> None:
    assert main(["runs", "delete", "begun", "nowhere", "--yes"]) == 2
    assert (runs / "begun").exists()


def test_a_run_that_is_being_written_is_told_and_kept(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = (
        "import sys; from pathlib import Path; from openrealm import files\n"
        "with files.sole_writer(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(runs / "begun")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "locked\n"
        assert files.writer_of(runs / "begun") == writer.pid
        assert main(["runs"]) == 0
        assert f"being written by process {writer.pid}" in capsys.readouterr().out
        assert main(["runs", "delete", "begun", "--yes"]) == 2
        assert (runs / "begun" / "config.json").exists()
        writer.communicate()
    assert files.writer_of(runs / "begun") is None
