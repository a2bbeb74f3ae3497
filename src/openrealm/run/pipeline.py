"""Whole runs in one go: stage after stage, what is done already left alone, an interrupted pre-training taken up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openrealm import files
from openrealm.config import Config, with_settings
from openrealm.errors import BadInput
from openrealm.progress import clock, say
from openrealm.recipes.small import small
from openrealm.run import keys, plan, stages
from openrealm.run.folder import SYSTEMS, Run
from openrealm.run.questions import questions_stage
from openrealm.run.report import evaluate_stage


@dataclass(frozen=True)
class Stage:
    """One stage of a pipeline: the run, the name of its record, the key that it would be made under, and its work."""

    run: Run
    name: str
    key: Callable[[], str]
    work: Callable[[], object]

    def is_done(self) -> bool:
        """Whether the stage's output is there, made under the same key."""
        return self.run.is_finished(self.name, self.key())


def quickstart_run(run: Run, *, fresh: bool = False) -> dict[str, Any]:
    """Corpus, warm start, pre-training with moving and with frozen towers, all four systems, report.

    Finished stages of the same settings are left alone unless `fresh`. Returns the report.
    """
    _refuse_another_source(run)
    with run.writing():
        if fresh:
            run.forget()
        todo = [
            _corpus(run),
            _questions(run, None),
            *_training(run),
            _pretraining(run, frozen=True),
            _index(run, "pretrain"),
            *(_system(run, system) for system in SYSTEMS),
            _evaluation(run),
        ]
        _announce(run, todo, plan.REFERENCE_PASSAGES)
        _go(todo)
    return _report(run)


def folder_run(
    folder: Path,
    config: Config,
    settings: Sequence[str],
    *,
    questions: Path | None = None,
    regex: bool = False,
    fresh: bool = False,
) -> dict[str, Any]:
    """The pipeline on a text of one's own (`config.corpus.source`): REALM alone, fine-tuned on cloze questions.

    The corpus comes first, so that steps can be sized to it; `settings` ("a.b=c") come after that. Returns the report.
    """
    run = Run(folder, config)
    _refuse_another_source(run)
    with run.writing():
        if fresh:
            run.forget()
        corpus = _corpus(run)
        if not corpus.is_done():
            corpus.work()
        run = run.with_config(_sized(run, settings))
        todo = [
            _questions(run, questions, regex=regex),
            *_training(run),
            _index(run, "pretrain"),
            _system(run, "realm"),
            _evaluation(run),
        ]
        _announce(run, todo, stages.open_corpus(run).num_passages)
        _go(todo)
    return _report(run)


def _sized(run: Run, settings: Sequence[str]) -> Config:
    """Steps for as much text as the corpus holds, then what the user set."""
    named = (f"name={run.config.name}", f"corpus.source={run.config.corpus.source}")
    return with_settings(small(stages.open_corpus(run).num_passages), [*named, *settings])


def _refuse_another_source(run: Run) -> None:
    """A run of the same name on another text is not written over."""
    if run.config_file.exists():
        older, newer = Run.open(run.folder).config.corpus.source, run.config.corpus.source
        if older != newer:
            raise BadInput(f"{run.folder} is a run on {older}, not on {newer}; choose another name for this one.")


def _corpus(run: Run) -> Stage:
    return Stage(run, "corpus", lambda: keys.corpus_key(run), lambda: stages.corpus_stage(run))


def _questions(run: Run, file: Path | None, *, regex: bool = False) -> Stage:
    return Stage(
        run,
        "questions",
        lambda: keys.questions_key(run, file, regex=regex),
        lambda: questions_stage(run, file, regex=regex),
    )


def _training(run: Run) -> list[Stage]:
    warm_start = Stage(run, "warm_start", lambda: keys.warm_start_key(run), lambda: stages.warm_start_stage(run))
    return [warm_start, _index(run, "warm_start"), _pretraining(run)]


def _pretraining(run: Run, *, frozen: bool = False) -> Stage:
    return Stage(
        run,
        "frozen_towers" if frozen else "pretrain",
        lambda: keys.pretrain_key(run, frozen=frozen),
        lambda: stages.pretrain_stage(run, resume=stages.can_resume(run, frozen=frozen), frozen=frozen),
    )


def _index(run: Run, of: str) -> Stage:
    return Stage(
        run,
        stages.INDEX_OF[of],
        lambda: keys.stage_key(run, of),
        lambda: stages.index_stage(run, stages.open_model(run, of), of),
    )


def _system(run: Run, system: str) -> Stage:
    return Stage(
        run, f"finetune_{system}", lambda: keys.finetune_key(run, system), lambda: stages.finetune_stage(run, system)
    )


def _evaluation(run: Run) -> Stage:
    return Stage(run, "evaluate", lambda: keys.evaluate_key(run), lambda: evaluate_stage(run))


def _go(todo: Sequence[Stage]) -> None:
    """Work through the stages in turn."""
    for number, stage in enumerate(todo, 1):
        label = f"[{number}/{len(todo)}] {stage.name.replace('_', ' ')}"
        if stage.is_done():
            say(f"{label}: done before")
        else:
            say(label)
            stage.work()


def _announce(run: Run, todo: Sequence[Stage], num_passages: int) -> None:
    """Say how long it will take, after about 3 seconds of measuring; nothing when all is done."""
    done = [stage.is_done() for stage in todo]
    if all(done):
        return
    # What comes after a stage that runs may well have to run too.
    ahead = [stage.name for stage in todo[done.index(False) :]]
    engine = stages.engine_of(run)
    speed = plan.tokens_per_second(run.config, engine)
    expected = plan.expected_seconds(run.config, ahead, num_passages, speed)
    total = sum(expected.values())
    say(
        f"This machine trains at {speed:,.0f} tokens a second (device {engine.device}); "
        f"expect about {clock(total)} (minutes:seconds) in all:"
    )
    for name, seconds in expected.items():
        say(f"  {name.replace('_', ' '):<24}{clock(seconds):>6}")


def _report(run: Run) -> dict[str, Any]:
    report: dict[str, Any] = files.read_json(run.report)
    return report
