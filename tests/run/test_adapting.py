"""`openrealm run` from a model that answers as it is, at toy size: trained, measured, and asked."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.run import best, work
from openrealm.run.folder import Run
from openrealm.serve.answerer import Answerer
from openrealm.train import metrics
from openrealm.types import Article

WAYS = {"untrained", "bm25", "vectors", "adapted", "fused"}


@pytest.fixture(scope="module")
def settings(
    toy_answering: Path, toy_config: Callable[..., Config], as_settings: Callable[[Config], list[str]]
) -> list[str]:
    changes = (f"model.backbone={toy_answering}", "warm_start.num_steps=0", "masking.kinds=entity,date,number")
    return as_settings(toy_config(*changes))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, toy_articles: list[Article]) -> Path:
    file = tmp_path_factory.mktemp("source") / "toy.jsonl"
    file.write_text("".join(json.dumps({"id": a.id, "title": a.title, "text": a.text}) + "\n" for a in toy_articles))
    return file


@pytest.fixture(scope="module")
def questions(source: Path, toy_articles: list[Article]) -> Path:
    asked = []
    for article in toy_articles:
        country, city = re.findall(r"The capital of (\w+) is (\w+)\.", article.text)[0]
        river = re.findall(r"The river (\w+) runs", article.text)[0]
        asked += [(f"What is the capital of {country}?", city), (f"Which river runs through {city}?", river)]
    file = source.with_name("questions.jsonl")
    file.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in dict(asked).items()))
    return file


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, source: Path, questions: Path, settings: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "toy"
    assert main(["run", str(source), "--run", str(folder), "--questions", str(questions), *settings]) == 0
    return folder


def report_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "report.json").read_text())
    return found


def test_every_way_of_answering_is_measured_on_both_kinds_of_questions(run: Path) -> None:
    found = report_of(run)["best"]
    assert set(found["measured"]) == {best.CLOZE, best.ASKED}
    for measured in found["measured"].values():
        assert measured["questions"] > 0
        assert set(measured["systems"]) == WAYS
        assert all(0 <= of["em"] <= 1 and 0 <= of["recall@5"] <= 1 for of in measured["systems"].values())
    assert found["system"] in WAYS
    assert found["why"] in (run / "report.html").read_text()


def test_no_question_to_measure_with_was_trained_on(run: Path) -> None:
    sets = json.loads((run / "questions.json").read_text())
    train, dev, test = ({question["text"] for question in sets[name]} for name in ("train", "dev", "test"))
    assert len(train) > 50
    assert test
    assert dev
    assert not train & (dev | test)


def test_only_what_is_needed_is_kept_and_models_are_in_8_and_16_bits(run: Path) -> None:
    assert list(run.rglob("checkpoints")) == []
    assert list(run.rglob(".tmp-*")) == []
    for model in run.rglob("model.safetensors"):
        header = model.read_bytes()[:100_000]
        is_trained = "warm-start" not in model.parts
        assert (b'"F16"' in header) == is_trained, "what was trained is not rounded to 8 bits"
        assert (b'"I8"' in header) or is_trained


def test_the_time_that_was_announced_is_in_the_report(run: Path) -> None:
    report = report_of(run)
    assert report["announced_seconds"] > 0
    assert {"planning", "pretrain", "finetune_realm", "evaluate"} < set(report["seconds"])


def test_the_table_comes_first_and_the_reason_with_it(
    source: Path, questions: Path, settings: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(source), "--run", str(run), "--questions", str(questions), *settings]) == 0
    said = capsys.readouterr()
    assert said.err.count("already completed") == 7
    assert "measuring how fast" not in said.err, "what was measured is kept"
    shown = said.out.splitlines()
    tables = [n for n, line in enumerate(shown) if re.match(r"\d+ held-out (cloze )?questions; gains", line)]
    assert len(tables) == 2
    assert tables[0] == 0
    assert report_of(run)["best"]["why"] in shown
    assert re.search(r"Time \d+:\d\d \(minutes:seconds, announced \d+:\d\d\)", said.out)


def test_training_stops_by_time_and_an_interrupted_run_goes_on_with_the_same_plan(
    source: Path,
    settings: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    free = [word for word in settings if not re.match(r"(pretrain|finetune)\.(num_steps|minutes)=", word)]
    free = [word for word, following in itertools.pairwise([*free, ""]) if (word, following) != ("--set", "--set")]
    run = tmp_path / "run"
    command = ["run", str(source), "--run", str(run), *free]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(work, "pretrain", stop)
        assert main(command) == 130
    assert "Stopped. Continue with: openrealm run" in capsys.readouterr().err
    planned = Run.open(run).config.pretrain
    assert planned.minutes is not None
    assert planned.num_steps >= 20
    assert main(command) == 0
    said = capsys.readouterr().err
    assert "measuring how fast" not in said
    assert said.count("already completed") == 3
    assert Run.open(run).config.pretrain == planned
    seconds = [row["seconds"] for row in metrics.read(run / "pretrain") if row["split"] == "train"]
    assert sum(seconds[:-1]) < 60 * planned.minutes <= sum(seconds)
    assert set(report_of(run)["best"]["measured"]) == {best.CLOZE}
    assert not (run / "finetune").exists()


@pytest.mark.parametrize("way", best.WAYS, ids=[way.name for way in best.WAYS])
def test_whatever_was_chosen_answers(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: best.Way, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    monkeypatch.setattr(best, "decide", lambda rows: (way, f"It is {way.name}."))
    (copy / "stages" / "evaluate.json").unlink()
    assert main(["evaluate", "--run", str(copy)]) == 0
    chosen = best.read(Run.open(copy))
    assert chosen["system"] == way.name
    assert chosen["stage"] == way.stages[0]
    capsys.readouterr()
    assert main(["ask", "What is the capital of the country?", "--run", str(copy), "--threshold", "0", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    answer = Answerer.open(copy).ask("What is the capital of the country?", threshold=0)
    assert (shown["text"], shown["confidence"]) == (answer.text, answer.confidence)
    assert 0 <= shown["confidence"] <= 1
    if way.stages == ("warm_start",):
        assert answer.source is not None
        assert answer.source.retrieval_utility is None, "the untrained model's masked-token head knows nothing"


def test_a_changed_choice_is_refused_by_name(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / best.FILE).write_text((copy / best.FILE).read_text().replace("1.0", "0.0"))
    assert main(["ask", "Who?", "--run", str(copy)]) == 2
    assert re.search(r"best\.json .*openrealm evaluate --run", capsys.readouterr().err)


def test_a_text_without_questions_and_too_short_to_train_on_is_asked_as_it_is(
    tmp_path: Path, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = "The capital of Peru is Lima. The river Rimac runs through Lima."
    (tmp_path / "a.txt").write_text(text)
    run = tmp_path / "run"
    command = ["run", str(tmp_path / "a.txt"), "--run", str(run), *settings]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "too little text to train" in said.err
    assert "The untrained system answers" in said.out
    assert not (run / "pretrain").exists()
    assert main(["ask", "What is the capital of Peru?", "--run", str(run), "--threshold", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"]["text"] in text
    assert main(command) == 0
    assert capsys.readouterr().err.count("already completed") == 4
