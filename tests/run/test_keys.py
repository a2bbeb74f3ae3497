from __future__ import annotations

import os
from pathlib import Path

import pytest

from openrealm.config import Config, with_settings
from openrealm.run import questions, stages
from openrealm.run.folder import Run
from openrealm.run.stages import Options
from openrealm.types import Question, QuestionSets


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.md").write_text("One.")
    return tmp_path / "text"


def key(stage: str, run: Run) -> str:
    return stages.get(stage).key(run)


def changed_by(source: Path, folder: Path, *settings: str) -> set[str]:
    """The stages whose key a setting changes."""
    before = Run(folder, with_settings(Config(), [f"corpus.source={source}"]))
    after = Run(folder, with_settings(before.config, settings))
    return {stage.name for stage in stages.STAGES if stage.key(before) != stage.key(after)}


FROM_PRETRAIN = {"index_pretrained", "finetune_closed_book", "finetune_realm"}
FINETUNE = {"finetune_closed_book", "finetune_bm25", "finetune_warm_start", "finetune_realm"}
TOWERS_ALONE = {"towers_alone", "index_towers_alone"}
LATER = {"warm_start", "index", "pretrain", "frozen_towers"} | TOWERS_ALONE | FROM_PRETRAIN | FINETUNE


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ("name=other", set()),
        ("device=cpu", set()),
        ("num_threads=1", set()),
        ("corpus.max_passage_tokens=17", {"corpus"}),
        ("corpus.passages=words", {"corpus"}),
        ("corpus.near_duplicates=false", {"corpus"}),
        ("model.backbone=other", {"corpus", "questions"} | LATER),
        ("seed=9", {"questions"} | LATER),
        ("callbacks=tensorboard", set()),
        ("callbacks=early_stopping", LATER),
        ("masking.kinds=date", {"questions"} | LATER),
        ("warm_start.num_steps=3", LATER),
        ("pretrain.max_query_tokens=30", {"questions"} | LATER),
        ("pretrain.num_steps=3", {"pretrain", "frozen_towers"} | FROM_PRETRAIN),
        ("pretrain.queries=elsewhere", {"pretrain", "frozen_towers"} | FROM_PRETRAIN),
        ("index.storage=int8", {"index", "index_pretrained", "index_towers_alone"}),
        ("index.searcher=int8", set()),
        ("finetune.num_steps=3", FINETUNE),
        ("finetune.max_span_tokens=3", {"questions"} | FINETUNE),
    ],
)
def test_a_setting_changes_its_stage_and_those_after_it(
    source: Path, tmp_path: Path, setting: str, changed: set[str]
) -> None:
    assert changed_by(source, tmp_path / "run", setting) == changed


def test_what_a_source_looks_like_is_part_of_the_corpus_key(source: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", with_settings(Config(), [f"corpus.source={source}"]))
    seen = [key("corpus", run)]
    (source / "b.md").write_text("Two.")
    seen.append(key("corpus", run))
    (source / "b.md").rename(source / "c.md")
    seen.append(key("corpus", run))
    os.utime(source / "c.md", ns=(1, 1))
    seen.append(key("corpus", run))
    assert len(set(seen)) == 4
    assert key("corpus", run) == seen[-1]


def test_the_corpus_enters_later_keys_by_its_content(source: Path, tmp_path: Path, toy_corpus_folder: Path) -> None:
    run = Run(tmp_path / "run", with_settings(Config(), [f"corpus.source={source}"]))
    without = key("warm_start", run)
    run.folder.mkdir()
    run.corpus.symlink_to(toy_corpus_folder)
    assert key("warm_start", run) != without
    (source / "b.md").write_text("Two.")
    assert key("warm_start", run) == key("warm_start", run) != without


def test_questions_enter_the_keys_of_what_they_are_used_for(source: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", with_settings(Config(), [f"corpus.source={source}"]))
    one, two = Question("Where?", ("here",)), Question("When?", ("now",))
    questions.save(run, QuestionSets(train=(one,), test=(two,)), "a test")
    before = key("finetune_bm25", run), key("evaluate", run)
    questions.save(run, QuestionSets(train=(one,), test=(one,)), "a test")
    after = key("finetune_bm25", run), key("evaluate", run)
    assert before[0] == after[0]
    assert before[1] != after[1]
    questions.save(run, QuestionSets(train=(two,), test=(one,)), "a test")
    assert key("finetune_bm25", run) != after[0]


def test_how_a_files_answers_are_read_is_part_of_its_key(source: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", with_settings(Config(), [f"corpus.source={source}"]))
    file = tmp_path / "q.jsonl"
    file.write_text("{}")
    read = [stages.get("questions").key(run, Options(questions=file, regex=regex)) for regex in (False, True)]
    assert len({*read, key("questions", run)}) == 3
