"""Texts of one or a few passages: what needs no training is done, and the rest is said to be left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.cli.main import main
from openrealm.config import Config


@pytest.mark.parametrize(
    "text",
    [
        "The library of Oberlind was founded by Anna Brunner on 3 May 1921.",
        "so it goes on and on, and nobody knows why.",
        "Anna Brunner bakes bread in Oberlind. It opens at six.\n\nJohann Roth built the mill in 1903.",
    ],
    ids=["one sentence", "no names", "two paragraphs"],
)
def test_a_text_too_short_to_train_on_can_be_asked(
    text: str,
    toy_config: Callable[..., Config],
    as_settings: Callable[[Config], list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text(text)
    run = str(tmp_path / "run")
    command = ["run", str(tmp_path / "text"), "--run", run, *as_settings(toy_config())]
    assert main(command) == 0
    said = capsys.readouterr()
    before, plan = said.err.split("expect about")
    assert "Warm start and pre-training are left out" in before
    assert "warm start" not in plan.partition("[1/7]")[0]
    assert "not pre-trained" in said.out
    assert main(["ask", "Who founded the library?", "--run", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"]["text"] in text
    assert main(command) == 0
    assert capsys.readouterr().err.count("already completed") == 7


def test_a_text_without_a_question_is_refused_before_the_plan(
    toy_config: Callable[..., Config],
    as_settings: Callable[[Config], list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a.txt").write_text("Hello.")
    run = tmp_path / "run"
    assert main(["run", str(tmp_path / "a.txt"), "--run", str(run), *as_settings(toy_config())]) == 2
    said = capsys.readouterr().err
    assert "no sentence that is long enough to ask about" in said
    assert "expect about" not in said
    assert not (run / "questions.json").exists()
