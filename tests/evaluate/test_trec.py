"""TREC's files: written and read back, and measured as ir_measures does it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import RR, Success

from openrealm.errors import BadInput
from openrealm.evaluate.trec import (
    hits_by_answers,
    hits_by_qrels,
    measures,
    read_qrels,
    read_run,
    run_text,
)
from openrealm.types import Question

IDS = st.text(st.characters(categories=("L", "N", "P"), exclude_characters="\ufeff"), min_size=1, max_size=8)
SCORES = st.integers(-1000, 1000).map(float)
RANKINGS = st.dictionaries(IDS, st.dictionaries(IDS, SCORES, min_size=1, max_size=8), min_size=1, max_size=8)


def _ordered(ranking: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(ranking.items(), key=lambda row: -row[1])


@given(rankings=RANKINGS)
def test_a_run_comes_back_as_it_was_written(
    rankings: dict[str, dict[str, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ordered = {question: _ordered(ranking) for question, ranking in rankings.items()}
    path = tmp_path_factory.mktemp("trec") / "run.trec"
    path.write_text(run_text(ordered), encoding="utf-8")
    assert read_run(path) == ordered


def test_a_repeated_passage_is_written_once_where_it_comes_first(tmp_path: Path) -> None:
    text = run_text({"q": [("a", 3.0), ("b", 2.0), ("a", 1.0)]}, tag="mine")
    assert text.splitlines() == ["q Q0 a 1 3.000000 mine", "q Q0 b 2 2.000000 mine"]


@pytest.mark.parametrize("ids", [("q 1", "d"), ("q", "d\t1"), ("q", "")])
def test_an_id_with_spaces_cannot_be_written(ids: tuple[str, str]) -> None:
    with pytest.raises(BadInput, match="no spaces"):
        run_text({ids[0]: [(ids[1], 1.0)]})


def test_scores_decide_the_order_and_ranks_among_equal_scores(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text("q Q0 low 1 0.5 x\n\nq Q0 second 3 2 x\nq Q0 first 2 2 x\n")
    assert read_run(path) == {"q": [("first", 2.0), ("second", 2.0), ("low", 0.5)]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no lines"),
        ("q Q0 d 1 2.0\n", ":1 has 5 columns"),
        ("q Q0 d 1 2 x\nq Q0 d 2 1 x\n", ":2 repeats passage d"),
        ("q Q0 d 1 nan x\n", ":1 has 'nan'"),
        ("q Q0 d one 1 x\n", ":1 has 'one'"),
        ("q Q0 d 1 1e999 x\n", ":1 has '1e999'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "run.trec"
    path.write_text(content)
    with pytest.raises(BadInput, match=said):
        read_run(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.trec does not exist"):
        read_qrels(tmp_path / "nowhere.trec")


@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bytes") / "file"
    path.write_bytes(content)
    for read in (read_run, read_qrels):
        with contextlib.suppress(BadInput):
            assert read(path)


@given(
    qrels=st.dictionaries(
        st.sampled_from("pqrs"), st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2), min_size=1), min_size=1
    ),
    rankings=st.dictionaries(
        st.sampled_from("pqrst"), st.lists(st.sampled_from("abcdefg"), unique=True, min_size=1), min_size=1
    ),
)
def test_the_measures_are_those_of_ir_measures(
    qrels: dict[str, dict[str, int]], rankings: dict[str, list[str]]
) -> None:
    scored = {q: [(d, float(len(found) - i)) for i, d in enumerate(found)] for q, found in rankings.items()}
    ours = measures(hits_by_qrels(scored, qrels))
    theirs = ir_measures.calc_aggregate(
        [Success @ 1, Success @ 5, RR], qrels, {q: dict(found) for q, found in scored.items()}
    )
    assert ours["recall@1"]["mean"] == pytest.approx(theirs[Success @ 1])
    if "recall@5" in ours:
        assert ours["recall@5"]["mean"] == pytest.approx(theirs[Success @ 5])
    else:
        assert ours["deepest"] < 5
    assert ours["reciprocal_rank"]["mean"] == pytest.approx(theirs[RR])


def test_a_passage_is_right_if_it_contains_an_answer() -> None:
    texts = {"d1": "Lima lies on the coast.", "d2": "A party in La Paz."}
    asked = {"1": Question("?", ("lima",)), "2": Question("?", ("art",)), "3": Question("?", (r"La \w+z",), regex=True)}
    ranking = [("d1", 2.0), ("d2", 1.0)]
    hits = hits_by_answers({"1": ranking, "2": ranking, "3": ranking}, asked, texts.__getitem__)
    assert hits == [[True, False], [False, False], [False, True]]
    assert hits_by_answers({}, asked, texts.__getitem__) == [[], [], []], "a question without passages is a miss"


def test_an_interval_is_given_only_where_there_are_questions_enough() -> None:
    assert measures([[True]] * 19)["recall@1"] == {"mean": 1.0, "low": None, "high": None}
    assert measures([[True]] * 20)["recall@1"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    with pytest.raises(BadInput, match=r"without questions|empty"):
        measures([])
