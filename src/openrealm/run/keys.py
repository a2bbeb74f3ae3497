"""What decides a stage's output, as one digest for each stage: the same key means that there is nothing to do again.

A key holds the settings that its stage reads and the key of what it starts from, so that a changed setting makes
its stage and all after it run again. The corpus enters by its content: touching a file of the source changes nothing.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from openrealm import files
from openrealm.corpus.sources import is_name, open_source, stamps
from openrealm.factbook.source import NAME as FACTBOOK
from openrealm.factbook.source import package_version
from openrealm.run.folder import SYSTEMS, Run
from openrealm.run.queries import digest_at, queries_folder

# Whose weights a system is fine-tuned from.
START = {"closed_book": "pretrain", "bm25": "warm_start", "warm_start": "warm_start", "realm": "pretrain"}


def corpus_key(run: Run) -> str:
    """Of the corpus: how it is cut and tagged, by which tokenizer, and how the source looks from outside."""
    settings = run.config.corpus
    return files.digest_of([dataclasses.asdict(settings), run.config.model.backbone, _identity(settings.source)])


def warm_start_key(run: Run) -> str:
    """Of the warm start: the corpus' content and every setting that model, masking and warm start read."""
    config = run.config
    pretrain = (config.pretrain.max_query_tokens, config.pretrain.max_joint_tokens, config.pretrain.num_heldout_queries)
    sections = [dataclasses.asdict(section) for section in (config.model, config.masking, config.warm_start)]
    return files.digest_of([config.seed, config.precision, _corpus_digest(run), sections, pretrain])


def pretrain_key(run: Run, *, frozen: bool = False) -> str:
    """Of joint pre-training. Another corpus of queries enters by its content, wherever it lies."""
    settings = dataclasses.asdict(run.config.pretrain)
    if settings["queries"] is not None:
        settings["queries"] = digest_at(queries_folder(settings["queries"]))
    return files.digest_of([warm_start_key(run), settings, frozen])


def questions_key(run: Run, file: Path | None, *, regex: bool = False) -> str:
    """Of the questions: the user's file and how its answers are read, or what they are made from."""
    config = run.config
    given = files.sha256_file(file) if file is not None and file.is_file() else ""
    own_text = [_corpus_digest(run), config.finetune.max_span_tokens]
    origin = [package_version()] if config.corpus.source == FACTBOOK else own_text
    return files.digest_of([config.seed, given, origin, *(["regex"] if regex else [])])


def stage_key(run: Run, stage: str) -> str:
    """The key of a stage that leaves a model, by its name: warm_start, pretrain, frozen_towers or finetune_SYSTEM."""
    if stage == "warm_start":
        return warm_start_key(run)
    if stage in ("pretrain", "frozen_towers"):
        return pretrain_key(run, frozen=stage == "frozen_towers")
    return finetune_key(run, stage.removeprefix("finetune_"))


def finetune_key(run: Run, system: str) -> str:
    """Of one fine-tuned system: its start, its settings and its questions."""
    asked = _questions(run)
    return files.digest_of(
        [system, stage_key(run, START[system]), dataclasses.asdict(run.config.finetune), asked.get("train")]
    )


def evaluate_key(run: Run) -> str:
    """Of the report: every system that can answer, both pre-trainings, and the test questions."""
    stages = [f"finetune_{system}" for system in SYSTEMS] + ["pretrain", "frozen_towers"]
    made = {stage: run.record(stage)["key"] for stage in stages if run.is_finished(stage)}
    return files.digest_of([made, _questions(run).get("test")])


def _corpus_digest(run: Run) -> str:
    """The digest of the corpus that is there, or nothing: then no key of a later stage equals a recorded one."""
    return digest_at(run.corpus)


def _questions(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = files.read_json(run.questions) if run.questions.exists() else {}
    return found


def _identity(source: str) -> Any:
    """What is known of a source's content without reading it; a path need not exist."""
    return open_source(source).identity() if is_name(source) else list(stamps(Path(source).expanduser()))
