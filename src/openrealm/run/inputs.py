"""What the stages read, as JSON values: `run.stages` turns them into keys.

A stage reads only the settings listed here, so that changing any other setting does not rerun it. The corpus enters
the keys of later stages by its content: touching a file of the source changes none of them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict

from openrealm import files
from openrealm.corpus.sources import is_name, open_source, stamps
from openrealm.factbook.source import NAME as FACTBOOK
from openrealm.factbook.source import package_version
from openrealm.qed.source import NAME as QED
from openrealm.qed.source import questions_digest
from openrealm.registry import CALLBACKS
from openrealm.run.folder import Run
from openrealm.run.queries import digest_at, queries_folder
from openrealm.types import Question


def corpus(run: Run) -> Any:
    """How the corpus is cut and tagged, the tokenizer, and the state of the source's files."""
    settings = run.config.corpus
    return [dataclasses.asdict(settings), run.config.model.backbone, _source_state(settings.source)]


def questions(run: Run, file: Path | None, *, regex: bool) -> Any:
    """The user's file and how its answers are read, or what the questions are generated from."""
    config = run.config
    given = files.sha256_file(file) if file is not None and file.is_file() else ""
    # Which passages are held out from pre-training also depends on what can be masked.
    heldout = [
        dataclasses.asdict(config.masking),
        config.pretrain.num_heldout_queries,
        config.pretrain.max_query_tokens,
    ]
    text = [digest_at(run.corpus), config.finetune.max_span_tokens, config.model.backbone, heldout]
    origins = {FACTBOOK: [package_version()], QED: [questions_digest()]}
    return [config.seed, given, regex, text if given else origins.get(config.corpus.source, text)]


def warm_start(run: Run) -> Any:
    """The content of the corpus and every setting that model, masking and warm start read."""
    config = run.config
    lengths = (config.pretrain.max_query_tokens, config.pretrain.max_joint_tokens, config.pretrain.num_heldout_queries)
    sections = [dataclasses.asdict(section) for section in (config.model, config.masking, config.warm_start)]
    return [config.seed, config.precision, digest_at(run.corpus), sections, lengths, _callbacks(run)]


def pretrain(run: Run) -> Any:
    """The settings of joint pre-training. A separate corpus of queries enters by its content."""
    settings = dataclasses.asdict(run.config.pretrain)
    if settings["queries"] is not None:
        settings["queries"] = digest_at(queries_folder(settings["queries"]))
    return [settings, _callbacks(run)]


def finetune(run: Run) -> Any:
    """The settings of fine-tuning and the training questions."""
    return [dataclasses.asdict(run.config.finetune), _digestible(run, "train"), _callbacks(run)]


def _callbacks(run: Run) -> list[str]:
    """The callbacks on which weights may depend; adding an observer reruns nothing."""
    return [name for name in run.config.callbacks if CALLBACKS.get(name.partition(":")[0]).changes_training]


class StoredQuestions(TypedDict):
    """The content of questions.json."""

    origin: str
    train: list[Question]
    dev: list[Question]
    test: list[Question]


def stored_questions(run: Run) -> StoredQuestions | None:
    """The content of questions.json; None if the run has none. Raises DamagedArtefact."""
    if not run.questions.exists():
        return None
    remedy = "restore it, or remove it and run `openrealm finetune` again, with --questions if they were yours"
    run.verify("questions", run.questions, remedy)
    return files.read_json(run.questions, StoredQuestions, remedy)


def _digestible(run: Run, name: Literal["train", "dev", "test"]) -> list[dict[str, Any]] | None:
    found = stored_questions(run)
    return found and [dataclasses.asdict(question) for question in found[name]]


def heldout_questions(run: Run) -> Any:
    """The questions that systems are measured with."""
    return [_digestible(run, "dev"), _digestible(run, "test")]


def _source_state(source: str) -> Any:
    """What is known of a source's content without reading it; a path need not exist."""
    return open_source(source).identity() if is_name(source) else list(stamps(Path(source).expanduser()))
