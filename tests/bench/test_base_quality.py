"""The benchmarks of the base encoder: word pieces filled in, intervals, paraphrases, and two Factbook runs compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from openrealm.base.examples import MaskedRow
from openrealm.engine import Engine
from openrealm.model.realm import Realm
from openrealm.text.pack import pack_joint
from openrealm.types import Question


@pytest.fixture(scope="module")
def quality(load: Callable[[str], ModuleType]) -> ModuleType:
    """bench/base_quality.py as a module."""
    return load("base_quality")


@pytest.fixture(scope="module")
def factbook_runs(load: Callable[[str], ModuleType]) -> ModuleType:
    """bench/factbook_runs.py as a module."""
    return load("factbook_runs")


def test_correct_word_pieces_are_counted_per_row(quality: ModuleType, toy_realm: Callable[..., Realm]) -> None:
    model = toy_realm().eval()
    rows = []
    for query, places in (([7, 8, 9], [1]), ([9, 8, 7, 6], [2, 3]), ([6, 6], [1])):
        masked = np.array(query)
        masked[np.array(places) - 1] = model.specials.mask
        row, _ = pack_joint(masked, np.array([11, 12]), model.specials, 32)
        ids_nJ, _ = model.reader.fill([row], [places])
        rows.append(MaskedRow(row, np.array(places), ids_nJ[0].numpy(), "own"))
    engine = Engine("cpu", False)
    assert quality.filled(model, rows, engine).tolist() == [1, 2, 1]
    wrong = MaskedRow(rows[1].row, rows[1].positions, rows[1].gold + np.array([0, 1]), "own")
    assert quality.filled(model, [wrong, rows[0]], engine).tolist() == [1, 1]


def test_the_interval_is_for_a_mean_over_word_pieces(quality: ModuleType) -> None:
    assert quality.interval(np.array([1.0, 2.0, 3.0]), np.array([2, 4, 6])) == (0.5, 0.5)
    low, high = quality.interval(np.array([1.0, 0.0] * 200), np.ones(400, dtype=np.int64))
    assert 0.44 < low < 0.47
    assert 0.53 < high < 0.56


def test_two_runs_are_compared_per_question(factbook_runs: ModuleType, tmp_path: Path) -> None:
    folders = {}
    for side, right in (("ours", [1, 1, 0, 1]), ("theirs", [1, 0, 0, 0])):
        folders[side] = tmp_path / side
        (folders[side] / "evaluate").mkdir(parents=True)
        rows = [{"question": f"q{n}", "em": em} for n, em in enumerate(right)]
        (folders[side] / "evaluate" / "realm.json").write_text(json.dumps({"questions": rows}))
    figure = factbook_runs.compared("realm", folders)
    assert (figure.value, figure.peer_value, figure.ratio) == (0.75, 0.25, 3.0)
    assert "difference +0.500" in figure.note
    rows = json.loads((folders["ours"] / "evaluate" / "realm.json").read_text())
    rows["questions"][0]["question"] = "another"
    (folders["ours"] / "evaluate" / "realm.json").write_text(json.dumps(rows))
    with pytest.raises(SystemExit, match="different questions"):
        factbook_runs.compared("realm", folders)


def test_a_question_counts_as_correct_if_its_nearest_neighbour_is_a_paraphrase(
    load: Callable[[str], ModuleType],
) -> None:
    wordings = load("wordings")
    questions = [Question(str(n), (), relation=fact) for n, fact in enumerate(("capital", "capital", "area", "river"))]
    vector_BD = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.2, 0.8]], dtype=np.float32)
    assert wordings.hits(vector_BD, questions) == [True, True, False, False]
    country = next(wordings.questions_of_countries())
    assert {question.wording for question in country} == {0, 1, 2, 3}
    assert len({question.text for question in country}) == len(country)
