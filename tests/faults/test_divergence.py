"""Weights that are not finite are never saved, and what the error advises is a command that is accepted."""

from __future__ import annotations

import math
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from openrealm import files
from openrealm.cli.main import main
from openrealm.errors import NonFinite
from openrealm.model.realm import Realm
from openrealm.train import checkpoint
from openrealm.train.optimizer import adam


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_weight_that_is_not_finite_is_saved(tmp_path: Path, toy_realm: Callable[..., Realm], value: float) -> None:
    model = toy_realm()
    model.save_pretrained(tmp_path / "model")
    before = model.passage_digest()
    with torch.no_grad():
        model.retriever.passage_tower.projection.weight[0, 0] = value
    with pytest.raises(NonFinite, match=r"retriever\.passage_tower\.projection\.weight has values that are not finite"):
        model.save_pretrained(tmp_path / "model")
    with pytest.raises(NonFinite):
        model.save_passage_tower(tmp_path / "tower")
    assert Realm.from_pretrained(tmp_path / "model").passage_digest() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("part", ["weight", "exp_avg"])
def test_a_checkpoint_is_never_non_finite_and_the_one_before_stays(tmp_path: Path, part: str) -> None:
    model = torch.nn.Linear(3, 3)
    optimizer = adam([(model.parameters(), 0.1)], 0.0)
    model(torch.ones(2, 3)).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    state: checkpoint.State = {"step": 1}  # type: ignore[typeddict-item]
    good = checkpoint.save(tmp_path, model, optimizer, state)
    with torch.no_grad():
        tensor = model.weight if part == "weight" else optimizer.state[model.weight]["exp_avg"]
        tensor[1, 1] = math.inf
    with pytest.raises(NonFinite):
        checkpoint.save(tmp_path, model, optimizer, {**state, "step": 2})
    assert checkpoint.checkpoints(tmp_path) == [good]
    files.read_manifest(good)


@pytest.mark.parametrize("num_steps", [1, 9])
def test_a_training_that_diverges_fails_and_its_advice_is_accepted(
    answering_run: Path, tmp_path: Path, num_steps: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """In its last step, too, when no later loss could show it."""
    run = tmp_path / "run"
    shutil.copytree(answering_run, run)
    settings = [f"finetune.num_steps={num_steps}", "finetune.warmup_steps=1", "finetune.learning_rate=1e38"]
    command = ["finetune", "--run", str(run), *(word for one in settings for word in ("--set", one))]
    assert main(command) == 2
    said = capsys.readouterr().err
    found = re.search(r"Run `openrealm ([^`]+)`\.", said)
    assert found is not None, said
    assert "diverged" in said or "not finite" in said
    assert not (run / "finetune" / "realm" / "model").exists()
    assert main(["ask", "Where is it?", "--run", str(run)]) == 0, "the system before answers"
    advised = shlex.split(found[1])
    assert advised[-1] == "finetune.learning_rate=1e+37"
    assert main([*advised[:-1], "finetune.learning_rate=1e-4", "--set", f"finetune.num_steps={num_steps}"]) == 0
