"""`openrealm qa train --tiny` from a file of questions to a model that answers, killed and resumed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from openrealm import files
from openrealm.cli.main import main
from openrealm.model.realm import Realm
from openrealm.serve.answerer import Answerer
from openrealm.train import checkpoint
from openrealm.types import Article


@pytest.fixture(scope="module")
def command(question_file: Path, toy_backbone: Path) -> list[str]:
    settings = [f"backbone={toy_backbone}", "projection_dim=32", "num_steps=30", "tower_steps=4", "checkpoint_steps=2"]
    words = [word for setting in settings for word in ("--set", setting)]
    return ["qa", "train", str(question_file), "--tiny", "--device", "cpu", *words]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, command: list[str]) -> Path:
    """The folder of a finished tiny training; tests must not change it."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main([*command, "--name", str(folder)]) == 0
    return folder


def test_a_training_leaves_a_model_that_answers(trained: Path, tmp_path: Path, toy_articles: list[Article]) -> None:
    model = Realm.from_pretrained(trained / "model")
    assert model.answering is not None
    assert model.span_reader is not None
    ours, theirs = model.span_reader.encoder.state_dict(), model.reader.encoder.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    answerer = Answerer.from_documents(toy_articles, tmp_path / "asked", model=model)
    answer = answerer.ask(f"what is the capital of {toy_articles[0].title}", threshold=0.0)
    assert answer.source is not None
    assert answer.confidence is not None
    figures = json.loads((trained / "figures.json").read_text())["figures"]
    assert figures["questions"] == 12
    rows = [json.loads(line) for line in (trained / "training" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["split"] == "heldout"] == [0, 6, 12, 18, 24, 30]


def test_a_training_continues_from_a_model(trained: Path, command: list[str], tmp_path: Path) -> None:
    start = trained / "model"
    words = [*command, command[2], "--set", f"start={start}", "--set", "shares=1,1", "--set", "num_steps=2"]
    words += ["--set", "tower_steps=0", "--set", "learning_rate=1e-3", "--name", str(tmp_path / "more")]
    words[words.index("num_steps=30")] = "warmup_steps=0"
    assert main(words) == 0
    before, after = Realm.from_pretrained(start), Realm.from_pretrained(tmp_path / "more" / "model")
    assert before.span_reader is not None
    assert after.span_reader is not None
    pairs = zip(before.span_reader.parameters(), after.span_reader.parameters(), strict=True)
    gaps = [float((one - other).detach().abs().max()) for one, other in pairs]
    assert 0 < max(gaps) < 0.02  # two steps of 1e-3, and the rounding to 8 bits


def test_a_killed_training_resumes_to_the_same_model(trained: Path, command: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    words = [*command, "--name", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "openrealm.cli", *words], env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    checkpoints = folder / "training" / "checkpoints"
    deadline = time.monotonic() + 240
    while not checkpoint.checkpoints(checkpoints) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.003)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 2 <= checkpoint.read_state(checkpoint.checkpoints(checkpoints)[-1])["step"] < 30
    assert not (folder / "model").exists()
    assert main([*words, "--resume"]) == 0
    for name in ("model/model.safetensors", "figures.json"):
        assert files.sha256_file(folder / name) == files.sha256_file(trained / name)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl does not exist; give a .jsonl file of questions"),
        (["--set", "depth=3"], "no setting 'depth'"),
        (["--set", "backbone=./no"], "qa.backbone: ./no is not a folder"),
        (["--set", "start=openrealm-mini"], "qa.start: openrealm-mini has no span reader"),
        (["--set", "start=openrealm-qa", "--set", "max_span_tokens=9"], "use --set max_span_tokens=20"),
        (["--set", "start=./no"], "qa.start: ./no is not a folder"),
        (["--set", "max_joint_tokens=600"], "reads at most 128 word pieces; use --set max_joint_tokens=128"),
        (["--set", "heldout_every=1000000"], "0 are about the one title in 1000000 that is held out"),
        (["--set", "negative_rate=0.9"], "must add up to 1 or less"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: list[str], reason: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *words, "--name", str(tmp_path / "run")]) == 2
    assert reason in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "run" / "model").exists()
