from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.config import Config, with_settings
from openrealm.factbook.questions import QuestionSets
from openrealm.run import keys, questions
from openrealm.run.folder import Run
from openrealm.types import Question

STAGES: dict[str, Callable[[Run], str]] = {
    "corpus": keys.corpus_key,
    "warm_start": keys.warm_start_key,
    "pretrain": keys.pretrain_key,
    "frozen": lambda run: keys.pretrain_key(run, frozen=True),
    "from_warm_start": lambda run: keys.finetune_key(run, "warm_start"),
    "from_pretrain": lambda run: keys.finetune_key(run, "realm"),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.md").write_text("One.")
    return tmp_path / "text"


def changed_by(source: Path, folder: Path, *settings: str) -> set[str]:
    """The stages whose key a setting changes."""
    before = Run(folder, with_settings(Config(), [f"corpus.source={source}"]))
    after = Run(folder, with_settings(before.config, settings))
    return {name for name, key in STAGES.items() if key(before) != key(after)}


LATER = {"warm_start", "pretrain", "frozen", "from_warm_start", "from_pretrain"}


@pytest.mark.parametrize(
    ("setting", "stages"),
    [
        ("name=other", set()),
        ("device=cpu", set()),
        ("num_threads=1", set()),
        ("corpus.max_passage_tokens=17", {"corpus"}),
        ("corpus.passages=words", {"corpus"}),
        ("corpus.near_duplicates=false", {"corpus"}),
        ("model.backbone=other", {"corpus"} | LATER),
        ("seed=9", LATER),
        ("masking.kinds=date", LATER),
        ("warm_start.num_steps=3", LATER),
        ("pretrain.max_query_tokens=30", LATER),
        ("pretrain.num_steps=3", {"pretrain", "frozen", "from_pretrain"}),
        ("pretrain.queries=elsewhere", {"pretrain", "frozen", "from_pretrain"}),
        ("finetune.num_steps=3", {"from_warm_start", "from_pretrain"}),
    ],
)
def test_a_setting_changes_its_stage_and_those_after_it(
    source: Path, tmp_path: Path, setting: str, stages: set[str]
) -> None:
    assert changed_by(source, tmp_path / "run", setting) == stages


def test_what_a_source_looks_like_is_part_of_the_corpus_key(source: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", with_settings(Config(), [f"corpus.source={source}"]))
    seen = [keys.corpus_key(run)]
    (source / "b.md").write_text("Two.")
    seen.append(keys.corpus_key(run))
    (source / "b.md").rename(source / "c.md")
    seen.append(keys.corpus_key(run))
    os.utime(source / "c.md", ns=(1, 1))
    seen.append(keys.corpus_key(run))
    assert len(set(seen)) == 4
    assert keys.corpus_key(run) == seen[-1]


def test_the_corpus_enters_later_keys_by_its_content(source: Path, tmp_path: Path, toy_corpus_folder: Path) -> None:
    run = Run(tmp_path / "run", with_settings(Config(), [f"corpus.source={source}"]))
    without = keys.warm_start_key(run)
    run.folder.mkdir()
    run.corpus.symlink_to(toy_corpus_folder)
    assert keys.warm_start_key(run) != without
    (source / "b.md").write_text("Two.")
    assert keys.warm_start_key(run) == keys.warm_start_key(run) != without


def test_questions_enter_the_keys_of_what_they_are_used_for(source: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", with_settings(Config(), [f"corpus.source={source}"]))
    one, two = Question("Where?", ("here",)), Question("When?", ("now",))
    questions.save(run, QuestionSets(train=(one,), dev=(), test=(two,)), "a test", "k")
    before = keys.finetune_key(run, "bm25"), keys.evaluate_key(run)
    questions.save(run, QuestionSets(train=(one,), dev=(), test=(one,)), "a test", "k")
    after = keys.finetune_key(run, "bm25"), keys.evaluate_key(run)
    assert before[0] == after[0]
    assert before[1] != after[1]
    questions.save(run, QuestionSets(train=(two,), dev=(), test=(one,)), "a test", "k")
    assert keys.finetune_key(run, "bm25") != after[0]


def test_how_a_files_answers_are_read_is_part_of_its_key(source: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", with_settings(Config(), [f"corpus.source={source}"]))
    file = tmp_path / "q.jsonl"
    file.write_text("{}")
    read = [keys.questions_key(run, file, regex=regex) for regex in (False, True)]
    assert len({*read, keys.questions_key(run, None)}) == 3


def test_every_system_has_a_start() -> None:
    from openrealm.run.folder import SYSTEMS

    assert set(keys.START) == set(SYSTEMS)
    assert set(keys.START.values()) == {"warm_start", "pretrain"}
