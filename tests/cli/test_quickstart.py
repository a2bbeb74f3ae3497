"""`openrealm quickstart` at toy size: the text is the toy world's, all else is real."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.qed import source
from openrealm.run import best, work
from openrealm.run.folder import Run
from openrealm.train import metrics
from openrealm.types import Article

WAYS = ["bm25", "untrained", "warm_start", "joint_pretraining"]


@pytest.fixture(scope="module")
def settings(
    toy_answering: Path, toy_config: Callable[..., Config], as_settings: Callable[[Config], list[str]]
) -> list[str]:
    changes = (f"model.backbone={toy_answering}", "warm_start.num_steps=0", "masking.kinds=entity,date,number")
    return as_settings(toy_config(*changes))


@pytest.fixture(scope="module", autouse=True)
def text(tmp_path_factory: pytest.TempPathFactory, toy_articles: list[Article]) -> Iterator[None]:
    """The toy world instead of QED's."""
    folder = tmp_path_factory.mktemp("qed")
    asked = []
    for number, article in enumerate(toy_articles):
        country, city = re.findall(r"The capital of (\w+) is (\w+)\.", article.text)[0]
        split = ("train", "dev", "test")[number % 3] if number < 24 else "test"
        asked.append({"question": f"what is {country}'s capital", "answer": [city], "passage": article.id})
        asked[-1]["split"] = split
    passages = [{"id": a.id, "title": a.title, "text": a.text} for a in toy_articles]
    with pytest.MonkeyPatch.context() as patch:
        for name, rows in (("PASSAGES", passages), ("QUESTIONS", asked)):
            file = folder / f"{name.lower()}.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
            patch.setattr(source, name, file)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, settings: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "toy"
    assert main(["quickstart", "--run", str(folder), *settings]) == 0
    return folder


def report_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "report.json").read_text())
    return found


def test_it_says_what_will_happen_and_answers_before_anything_is_trained(
    tmp_path: Path, settings: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(work, "pretrain", stop)
    assert main(["quickstart", "--run", str(tmp_path / "run"), *settings]) == 130
    said = capsys.readouterr()
    assert "1,023 paragraphs" in said.err.splitlines()[0]
    assert "Expect about" in said.err
    asked = source.qed_questions().test[:3]
    for question in asked:
        assert question.text in said.out
        assert f"Marked by people: {question.answers[0]}" in said.out
    assert said.out.count("right with probability") == 3
    assert len(re.findall(r"\[\[.+?\]\]", said.out)) == 3
    assert f"Continue with: openrealm quickstart --run {tmp_path / 'run'}" in said.err


def test_all_ways_answer_all_test_questions_in_one_table(
    run: Path, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = report_of(run)["best"]
    assert list(found["measured"]) == [best.ASKED]
    measured = found["measured"][best.ASKED]
    assert measured["questions"] == len(source.qed_questions().test) > 20
    assert list(measured["systems"]) == WAYS
    assert all(0 <= of["recall@1"] <= of["recall@5"] <= 1 for of in measured["systems"].values())
    nothing = {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert measured["gains"]["untrained"] == {"em": nothing, "recall@1": nothing, "f1": nothing}
    assert found["verdict"] in (run / "report.html").read_text()
    assert main(["quickstart", "--run", str(run), *settings]) == 0
    said = capsys.readouterr()
    assert said.err.count("already completed") == 6, "the rest of the stages, after the first two"
    assert "Marked by people" not in said.out
    shown = said.out.splitlines()
    head = next(n for n, line in enumerate(shown) if line.startswith("system  "))
    assert [line.split("  ")[0] for line in shown[head + 1 : head + 5]] == [best.TITLES[way] for way in WAYS]
    assert shown[head + 5] == found["verdict"]


def test_the_warm_start_trains_the_towers_alone_for_the_time_of_pretraining(run: Path) -> None:
    rows = {
        name: [row for row in metrics.read(run / name) if row["split"] == "train"]
        for name in ("pretrain", "towers-alone")
    }
    assert all("ict_loss" in row and "mlm_loss" not in row for row in rows["towers-alone"])
    seconds = [float(row["seconds"]) for row in rows["towers-alone"]]
    trained = sum(float(row["seconds"]) for row in rows["pretrain"])
    assert sum(seconds[:-1]) < trained + 0.001
    assert trained < sum(seconds) + 0.001
    assert not json.loads((run / "towers-alone" / "model" / "config.json").read_text())["has_trained_head"]


@pytest.mark.parametrize("way", best.COMPARED_WAYS, ids=[way.name for way in best.COMPARED_WAYS])
def test_whatever_was_chosen_answers(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: best.Way, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    monkeypatch.setattr(best, "decide", lambda rows: (way, f"It is {way.name}."))
    (copy / "stages" / "evaluate.json").unlink()
    assert main(["evaluate", "--run", str(copy)]) == 0
    assert best.read(Run.open(copy))["stage"] == way.stages[0]
    capsys.readouterr()
    assert main(["ask", "what is the capital", "--run", str(copy), "--threshold", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--recipe", "factbook", "--minutes", "5"], r"factbook has fixed numbers of steps"),
        (
            ["--set", "model.backbone=openrealm-mini"],
            r"as openrealm-mini cannot; use `openrealm run qed --set model\.backbone=openrealm-mini`",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["quickstart", *words]) == 2
    assert re.search(sentence, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []
