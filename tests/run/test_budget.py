from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from openrealm.errors import DamagedArtefact
from openrealm.recipes.small import small
from openrealm.run import budget
from openrealm.run.budget import MIN_STEPS, Budget, plan
from openrealm.run.folder import Run

NUM_PASSAGES = 1_000


def measured(**changes: float | int | str) -> Budget:
    """Two cores of a few years ago, and no questions."""
    values = {
        "key": "k",
        "minutes": 10.0,
        "spent": 20.0,
        "opening": 2.0,
        "preparing": 1.0,
        "passage": 0.02,
        "question": 0.1,
        "joint_step": 2.0,
        "finetune_step": 0.0,
        "num_trained": 0,
        "num_asked": 200,
        "has_baseline": False,
        "announced": 0.0,
    }
    return Budget(**(values | changes))  # type: ignore[typeddict-item]


ASKED = {"finetune_step": 1.5, "num_trained": 4_000, "num_asked": 400}


@pytest.mark.parametrize("asked", [{}, ASKED], ids=["no questions", "questions"])
@pytest.mark.parametrize("minutes", [5, 10, 20, 60])
def test_the_expected_time_is_within_the_budget_and_uses_it_if_there_is_enough_text(
    minutes: float, asked: dict[str, float]
) -> None:
    known = measured(minutes=minutes, **asked)
    found = plan(known, small(20_000), 20_000)
    total = known["spent"] + sum(found.seconds.values())
    if found.trains:
        assert 0.9 * 60 * minutes < total < 1.03 * 60 * minutes
    else:
        assert minutes == 5 or minutes == 10 or minutes == 20, "two indexes of 400 seconds do not fit"


def test_more_time_gives_more_steps_up_to_four_passes_over_the_text() -> None:
    steps = [plan(measured(minutes=m), small(NUM_PASSAGES), NUM_PASSAGES).joint_steps for m in (3, 5, 10, 20, 90)]
    assert steps == sorted(steps)
    assert steps[2] > 100
    assert steps[-1] == 4 * NUM_PASSAGES // small(NUM_PASSAGES).pretrain.batch_size


def test_little_text_is_not_pretrained_on_and_little_time_trains_nothing() -> None:
    for known, num_passages in ((measured(), 39), (measured(joint_step=0.0), 100), (measured(minutes=1.0), 1_000)):
        found = plan(known, small(num_passages), num_passages)
        assert not found.trains
        assert set(found.seconds) == {"questions", "warm_start", "index", "evaluate"}


def test_questions_are_trained_on_even_if_there_is_too_little_text() -> None:
    found = plan(measured(**ASKED), small(30), 30)
    assert found.joint_steps == 0
    assert found.finetune_steps > MIN_STEPS
    assert {"pretrain", "index_pretrained", "finetune_realm"} < set(found.seconds)


def test_without_questions_there_is_no_fine_tuning() -> None:
    found = plan(measured(), small(NUM_PASSAGES), NUM_PASSAGES)
    assert found.joint_steps > MIN_STEPS
    assert "finetune_realm" not in found.seconds


def test_the_baseline_gets_the_time_of_pretraining_and_what_was_done_before_is_not_counted_again() -> None:
    alone, both = (plan(measured(has_baseline=of), small(NUM_PASSAGES), NUM_PASSAGES) for of in (False, True))
    assert set(both.seconds) - set(alone.seconds) == {"towers_alone", "index_towers_alone"}
    assert set(alone.seconds) - set(both.seconds) == set(budget.FIRST)
    assert both.seconds["towers_alone"] == both.seconds["pretrain"]
    assert MIN_STEPS < both.joint_steps < 0.6 * alone.joint_steps
    assert 0.9 * 600 < measured()["spent"] + sum(both.seconds.values()) < 1.03 * 600


def test_numbers_of_steps_that_are_given_are_kept_and_their_time_is_expected() -> None:
    config = small(NUM_PASSAGES)
    config = config.replace(pretrain=config.pretrain.replace(num_steps=7))
    free, fixed = (plan(measured(), config, NUM_PASSAGES, of) for of in ((), {"pretrain"}))
    assert fixed.joint_steps == 7
    assert free.seconds["pretrain"] - fixed.seconds["pretrain"] >= 2.0 * (free.joint_steps - 7)


def test_refreshes_take_about_a_tenth_of_training() -> None:
    for num_passages, minutes in itertools.product((1_000, 5_000, 20_000), (30, 120)):
        known = measured(minutes=float(minutes))
        found = plan(known, small(num_passages), num_passages)
        assert found.refresh_steps * known["joint_step"] * 0.1 >= num_passages * known["passage"] - 1


def test_what_was_measured_is_kept_for_the_same_text_and_settings(tmp_path: Path) -> None:
    run = Run(tmp_path, small())
    assert budget.kept(run) is None
    budget.keep(run, measured())
    assert budget.kept(run) == budget.kept(run, "k") == measured()
    assert budget.kept(run, "another") is None
    path = tmp_path / budget.FILE
    path.write_text(path.read_text().replace("20.0", "21.0"))
    with pytest.raises(DamagedArtefact, match=r"budget\.json differs from its own digest.*measured again"):
        budget.kept(run)
