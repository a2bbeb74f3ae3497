from __future__ import annotations

import pytest

from openrealm.config import with_settings
from openrealm.engine import Engine
from openrealm.recipes.factbook import factbook, factbook_minilm
from openrealm.recipes.small import small_encoder
from openrealm.run import plan, stages
from openrealm.run.stages import STAGES


def test_the_reference_machine_takes_the_times_of_the_table() -> None:
    expected = plan.expected_seconds(factbook(), STAGES, plan.REFERENCE_PASSAGES, plan.REFERENCE_TOKENS_PER_SECOND)
    assert expected == pytest.approx({stage.name: stage.seconds for stage in STAGES})


def test_half_the_speed_takes_twice_as_long_where_an_encoder_runs() -> None:
    slow = plan.expected_seconds(factbook(), STAGES, plan.REFERENCE_PASSAGES, plan.REFERENCE_TOKENS_PER_SECOND / 2)
    for stage in STAGES:
        factor = 1 if stage.name in ("corpus", "questions") else 2
        assert slow[stage.name] == pytest.approx(factor * stage.seconds)


@pytest.mark.parametrize(
    ("stage", "setting"),
    [
        ("warm_start", "warm_start.num_steps"),
        ("pretrain", "pretrain.num_steps"),
        ("frozen_towers", "pretrain.num_steps"),
        ("finetune_realm", "finetune.num_steps"),
    ],
)
def test_twice_the_steps_are_twice_the_work(stage: str, setting: str) -> None:
    section, key = setting.split(".")
    double = 2 * getattr(getattr(factbook(), section), key)
    changed = with_settings(factbook(), [f"{setting}={double}"])
    pieces = stages.get(stage).pieces
    assert pieces(changed, 100) == pytest.approx(2 * pieces(factbook(), 100))


def test_every_stage_costs_something_even_with_nothing_to_do() -> None:
    nothing = with_settings(factbook(), ["warm_start.num_steps=0", "warm_start.ict_batch=0"])
    assert all(stage.pieces(nothing, 0) > 0 for stage in STAGES)


def test_this_machine_is_measured_in_seconds(toy_config: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_MEASURED_SECONDS", 0.2)
    config = toy_config()  # type: ignore[operator]
    assert plan.tokens_per_second(config, Engine("cpu", False)) > 100


def test_more_text_gets_more_steps_up_to_the_factbooks() -> None:
    sizes = [small_encoder(n) for n in (0, 30, 300, 3_000, 10_000, 1_000_000)]
    for section in ("warm_start", "pretrain", "finetune"):
        steps = [getattr(config, section).num_steps for config in sizes]
        assert steps == sorted(steps)
        assert steps[0] < steps[-1] == steps[-2] == getattr(factbook_minilm(), section).num_steps
    for config in sizes:
        assert config.pretrain.num_steps // config.pretrain.refresh_steps >= 3
        assert config.pretrain.checkpoint_steps <= config.pretrain.num_steps
        assert config.masking.kinds == ("entity", "date", "number")
