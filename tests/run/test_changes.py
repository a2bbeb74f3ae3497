"""Runs that meet other settings, other questions, or systems fine-tuned with other settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.recipes.small import small_encoder
from openrealm.run.changes import settings_beyond
from openrealm.run.folder import Run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def finished(answering_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(answering_run, tmp_path / "run", symlinks=True)


def state(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def questions_file(folder: Path, *questions: tuple[str, str]) -> Path:
    file = folder / "questions.jsonl"
    file.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in questions))
    return file


@pytest.mark.parametrize(
    ("words", "named", "redone"),
    [
        (["--set", "finetune.num_steps=5"], "finetune.num_steps=8 (now 5)", "REALM fine-tuning, evaluation"),
        (
            ["--set", "pretrain.num_steps=5", "--set", "num_threads=2"],
            "pretrain.num_steps=4 (now 5)",
            "pre-training, index after pre-training, REALM fine-tuning, evaluation",
        ),
        (["--set", "corpus.max_passage_tokens=20"], "corpus.max_passage_tokens=28 (now 20)", "corpus, questions, warm"),
        (["--questions", "FILE"], "other questions", "questions, REALM fine-tuning, evaluation"),
    ],
)
def test_a_finished_run_is_not_redone_with_other_settings_without_being_asked(
    words: list[str],
    named: str,
    redone: str,
    finished: Path,
    toy_config: Callable[..., Config],
    as_settings: Callable[[Config], list[str]],
    tmp_path: Path,
    capsys: Capture,
) -> None:
    file = questions_file(tmp_path, ("Who founded the city?", "Anselm"))
    source = Run.open(finished).config.corpus.source
    settings = as_settings(toy_config("finetune.num_steps=8"))
    before = state(finished)
    words = [str(file) if word == "FILE" else word for word in words]
    assert main(["run", source, "--run", str(finished), *settings, *words]) == 2
    said = capsys.readouterr().err
    assert f"is finished with other settings: {named}; they would redo {redone}" in said
    assert "--fresh" in said
    assert said.count("\n") == 1
    assert state(finished) == before
    assert main(["run", source, "--run", str(finished), *settings, "--set", "num_threads=2"]) == 0, "of no consequence"
    assert capsys.readouterr().err.count("already completed") == 6, "all but the evaluation, since BM25 came later"


def test_what_fits_is_evaluated_and_what_does_not_is_named(finished: Path, tmp_path: Path, capsys: Capture) -> None:
    article = json.loads((Path(Run.open(finished).config.corpus.source)).read_text().partition("\n")[0])
    capital = article["text"].partition(" is ")[2].partition(".")[0]
    file = questions_file(
        tmp_path, (f"What is the capital of {article['title']}?", capital), ("Who built the bridge?", "Karl Unbekannt")
    )
    run = ["--run", str(finished)]
    assert main(["finetune", "--system", "bm25", *run, "--set", "finetune.num_steps=5"]) == 0
    capsys.readouterr()
    assert main(["evaluate", *run, "--questions", str(file)]) == 0
    said = capsys.readouterr()
    assert "left out: REALM (fine-tuned with other settings" in said.err
    assert f"`openrealm finetune --system realm --run {finished}`" in said.err
    assert "the answers to 1 of 2 questions stand nowhere in the text" in said.err
    assert "Who built the bridge? (Karl Unbekannt)" in said.err
    assert "too few for a measure" in said.out
    assert " of 2 " in said.out
    assert " to 0.0" not in said.out
    report = json.loads((finished / "report.json").read_text())
    assert list(report["systems"]) == ["bm25"]
    assert "2 test questions: fewer than 20 are too few" in (finished / "report.html").read_text()
    assert main(["evaluate", *run, "--set", "finetune.num_steps=6"]) == 2
    assert "BM25, REALM (fine-tuned with other settings" in capsys.readouterr().err


def test_the_settings_that_make_a_recipe_into_a_configuration() -> None:
    assert settings_beyond(small_encoder(90), small_encoder(90)) == []
    changed = small_encoder(90).replace(seed=3, name="mine")
    assert settings_beyond(changed.replace(pretrain=changed.pretrain.replace(queries="q")), small_encoder(90)) == [
        "seed=3",
        "pretrain.queries=q",
    ]
