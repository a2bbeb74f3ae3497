"""`openrealm index bench` and `openrealm index diff` on a small run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from openrealm.cli.main import main
from openrealm.index.index import Index, newest
from openrealm.run import artefacts, indexes
from openrealm.run.folder import Run
from openrealm.types import Question


@pytest.fixture(scope="module")
def run(answering_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "run"
    shutil.copytree(answering_run, folder)
    return folder


def test_searchers_are_measured_and_drawn(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "searchers.svg"
    assert main(["index", "bench", "--run", str(run), "--plot", str(plot)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["searcher", "recall@8"]
    assert [line.split("  ")[0] for line in lines[2:5]] == ["exact, fp32", "exact, fp16", "int8"]
    assert lines[2].split()[2:4] == ["100.0", "100.0"]
    assert "queries per second" in plot.read_text()


@pytest.mark.slow
def test_searchers_are_measured_with_questions(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["index", "bench", "--run", str(run), "--searcher", "int8"]
    questions = tmp_path / "questions.txt"
    questions.write_text("What is the capital?\nWho bakes?\n")
    assert main([*words, "--questions", str(questions), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["queries"] == "2 questions"
    exact = found["searchers"][0]
    assert exact["name"] == "exact, fp32"
    assert exact["recall"] == {"8": 1.0, "20": 1.0}
    assert exact["disk_bytes"] > found["searchers"][1]["disk_bytes"] > 0
    assert exact["queries_per_second"] > 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--searcher", "fais"], "There is no searcher 'fais'; choose from exact, faiss, int8; did you mean faiss?"),
        (["--plot", "x.gif"], "x.gif does not end in .png, .svg or .pdf"),
        (["--questions", "none.txt"], "none.txt could not be read"),
    ],
)
def test_a_bench_that_cannot_run_is_refused(
    run: Path, words: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", "bench", "--run", str(run), *words]) == 2
    assert error in capsys.readouterr().err


def test_options_before_a_subcommand_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", "--run", str(run), "bench"]) == 2
    assert "Options must come after bench, as in: openrealm index bench --run NAME." in capsys.readouterr().err


def test_versions_are_compared(run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index.open(newest(run / "index"))
    vector_ND = index.vector_ND.clone()
    vector_ND[3] = -vector_ND[3]
    other = Index(vector_ND, index.binding, step=index.step + 7).save(run / "index")
    try:
        assert main(["index", "diff", index.name, other.name, "--run", str(run), "-k", "2", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["moved"], found["passages"]) == (1, len(index))
        assert found["cosine_distance"]["0.5"] == pytest.approx(0, abs=1e-6)
        assert found["cosine_distance"]["1.0"] == pytest.approx(2)
        assert 0 < found["overlap"] <= 1
        assert (found["queries"], found["num_queries"], found["recall"]) == ("passages", len(index), None)
        assert main(["index", "diff", index.name, str(other), "--run", str(run), "-k", "2"]) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"{index.name} → {other.name}: 1 of {len(index)} vectors moved\n")
        assert "largest 2.0000" in text
        texts = [passage.text for passage in artefacts.open_corpus(Run.open(run))]
        dev = [Question(text, (text.split()[-1].strip("."),)) for text in texts[:3]]
        monkeypatch.setattr(indexes, "_dev_questions", lambda run: dev)  # the toy run has none
        assert main(["index", "diff", index.name, other.name, "--run", str(run), "-k", "98"]) == 0
        text = capsys.readouterr().out
        assert "best 98 passages of 3 dev questions: overlap 100.0%" in text
        assert text.endswith("recall@98: 100.0 → 100.0 (+0.0)\n")
        assert torch.equal(Index.open(other).vector_ND, vector_ND)
    finally:
        shutil.rmtree(other)
    assert main(["index", "diff", "nothing", index.name, "--run", str(run)]) == 2
    assert "has no index version 'nothing'; choose from " in capsys.readouterr().err


def test_the_storage_is_changed_and_recall_stated(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", "--run", str(run), "--set", "index.storage=int8"]) == 0
    said = capsys.readouterr().err
    assert "of exact search (98 passages as queries)" in said
    index = Index.open(newest(run / "index"))
    assert index.storage == "int8"
    assert index.measured is not None
    assert f"index: {index.measured}" in said
    assert main(["search", "What is the capital?", "--run", str(run), "--by", "dense"]) == 0
    assert capsys.readouterr().out.endswith(f"Found by vectors, index {index.name}\n")

    assert main(["index", "--run", str(run), "--set", "index.storage=fp16"]) == 0
    assert "98/98" not in capsys.readouterr().err, "the vectors are taken over"
    half = Index.open(newest(run / "index"))
    assert half.storage == "fp16"
    assert torch.equal(half.vector_ND, index.vector_ND)
    assert main(["index", "bench", "--run", str(run), "--json"]) == 0
    names = [one["name"] for one in json.loads(capsys.readouterr().out)["searchers"]]
    assert names[:2] == ["exact, fp16", "int8"]
