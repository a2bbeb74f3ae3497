"""Whole runs: stage after stage. Completed stages are skipped, and interrupted ones continue from their checkpoints."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from openrealm import files
from openrealm.config import Config, with_settings
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadInput, TooLittleText
from openrealm.factbook.source import NAME as FACTBOOK
from openrealm.model.weights import answers_questions
from openrealm.progress import clock, say, warn
from openrealm.qed.source import NAME as QED
from openrealm.qed.source import qed_questions
from openrealm.recipes.factbook import factbook
from openrealm.recipes.quickstart import quickstart
from openrealm.recipes.small import small, small_encoder
from openrealm.run import artefacts, best, budget, lengths, plan, stages
from openrealm.run.changes import changes, settings_beyond
from openrealm.run.folder import Run
from openrealm.run.questions import MAX_CLOZE, read_questions, say_absent, split
from openrealm.run.stages import Options, Stage
from openrealm.types import Question

_FEW_PASSAGES = 100
"""In a longer text there is something to mask and to ask about, or the stage itself says so."""


def factbook_run(run: Run, *, fresh: bool = False) -> dict[str, Any]:
    """The stages with the baselines of the paper. Completed stages are skipped unless `fresh`. Returns the report."""
    _refuse_another_source(run)
    _check_lengths(run.config)
    todo = list(stages.pipeline("factbook"))
    if not fresh:
        _refuse_to_redo(run, run.config, todo, Options())
    with run.writing():
        if fresh:
            stages.forget(run)
        _announce(run, todo, Options(), plan.REFERENCE_PASSAGES)
        _perform(run, todo, Options())
    return _report(run)


def folder_run(
    folder: Path,
    settings: Sequence[str],
    *,
    questions: Path | None = None,
    regex: bool = False,
    minutes: float = budget.DEFAULT_MINUTES,
    fresh: bool = False,
    on_start: Callable[[], None] | None = None,
    on_index: Callable[[Run], None] | None = None,
) -> dict[str, Any]:
    """The stages without baselines on the user's own text. Returns the report.

    The corpus is built first and decides the numbers of steps; `settings` ("a.b=c"), `corpus.source` among them,
    override them.

    minutes   for the whole run, if it starts from a model that answers as it is; another is trained without a limit
    on_start  for the quickstart: called when all has been checked
    on_index  for the quickstart, whose baseline is then trained too: called with the run once the untrained model can
              answer, before anything is trained
    """
    config = _sized(0, settings)
    run = Run(folder, config)
    options = Options(questions=questions, regex=regex)
    given = None if questions is None else read_questions(questions, regex=regex)
    _refuse_another_source(run)
    _check_lengths(config)
    adapts = answers_questions(config.model.backbone)
    if on_index is not None and not adapts:
        raise BadInput(
            f"The quickstart answers before anything is trained, as {config.model.backbone} cannot; use "
            f"`openrealm run {config.corpus.source} --set model.backbone={config.model.backbone}`."
        )
    corpus, *todo = stages.pipeline("quickstart" if on_index else "")
    if not fresh and run.config_file.exists() and corpus.is_finished(run):
        num_passages = artefacts.open_corpus(run).num_passages
        known = budget.kept(run) if adapts else None
        if known is not None:
            known["minutes"] = minutes
            new = _sized(num_passages, settings, known)
            steps = {*budget.FIRST, *budget.plan(known, new, num_passages, _fixed(settings)).seconds}
            _refuse_to_redo(run, new, [corpus, *(stage for stage in todo if stage.name in steps)], options)
        elif not adapts:
            _refuse_to_redo(run, _sized(num_passages, settings), [corpus, *todo], options)
    with run.writing():
        if fresh:
            stages.forget(run)
        first = [stage for stage in todo if stage.name in budget.FIRST]
        is_new = not all(stage.is_current(run) for stage in first)
        if on_start is not None and is_new:
            on_start()
        if not corpus.is_current(run):
            corpus.perform(run)
        opened = artefacts.open_corpus(run)
        if given is not None:
            say_absent(opened, given, str(questions), run.config.max_regex_seconds)
        run = run.with_config(_sized(opened.num_passages, settings))
        if on_index is not None and is_new:
            _perform(run, first, options)
            on_index(run)
        if adapts:
            has_baseline = on_index is not None
            run, todo = _planned(run, opened, settings, todo, given, minutes, options, has_baseline=has_baseline)
        else:
            trained = _trainable(run, opened, todo, is_asked=given is not None)
            _announce(run, trained, options, opened.num_passages)
        _perform(run, todo, options)
    return _report(run)


def _planned(
    run: Run,
    corpus: Corpus,
    settings: Sequence[str],
    todo: Sequence[Stage],
    given: Sequence[Question] | None,
    minutes: float,
    options: Options,
    *,
    has_baseline: bool,
) -> tuple[Run, list[Stage]]:
    """The run with the numbers of steps that fit into `minutes`, and the stages to do, after saying what they take."""
    train, num_asked = _asked(run.config, given, has_baseline=has_baseline)
    known = budget.kept(run, budget.key(run.config, corpus, len(train) + num_asked, has_baseline=has_baseline))
    if known is None:
        known = budget.measure(run, corpus, train, num_asked, has_baseline=has_baseline)
    known["minutes"] = minutes
    run = run.with_config(_sized(corpus.num_passages, settings, known))
    plan = budget.plan(known, run.config, corpus.num_passages, _fixed(settings))
    todo = [stage for stage in todo if stage.name in plan.seconds]
    if not plan.trains:
        why = "time" if known["joint_step"] and corpus.num_passages >= budget.MIN_PASSAGES else "text"
        warn(f"There is too little {why} to train: {run.config.model.backbone} answers as it is.")
    known["announced"] = known["spent"] + sum(plan.seconds.values())
    budget.keep(run, known)
    if not all(stage.is_current(run, options) for stage in todo):
        total, spent = clock(known["announced"]), clock(known["spent"])
        say(f"Expect about {total} (minutes:seconds) in total, {spent} of which have passed:")
        for stage in todo:
            say(f"  {stage.title:<32}{clock(plan.seconds[stage.name]):>6}")
    return run, todo


def _asked(config: Config, given: Sequence[Question] | None, *, has_baseline: bool) -> tuple[Sequence[Question], int]:
    """The questions to train on, and with how many each way of answering is measured at most."""
    if given is None and config.corpus.source == QED:
        sets = qed_questions()
        return () if has_baseline else sets.train, len(sets.test)
    sets = split(given or ())
    num_cloze = min(MAX_CLOZE, 3 * config.pretrain.num_heldout_queries)
    return sets.train, num_cloze + min(best.MAX_MEASURED, len(sets.test))


def _trainable(run: Run, corpus: Corpus, todo: list[Stage], *, is_asked: bool) -> list[Stage]:
    """The stages without those that a short text gives too little to train on, which is said.

    Raises BadInput if no question can be made from the text and none `is_asked`.
    """
    from openrealm.run.cloze import cloze_questions
    from openrealm.train.examples import pretraining_examples

    if corpus.num_passages > _FEW_PASSAGES or run.config.pretrain.queries is not None:
        return todo
    if not is_asked:
        cloze_questions(corpus, max_answer_tokens=run.config.finetune.max_span_tokens, max_questions=1)
    try:
        pretraining_examples(run.config, corpus)
    except TooLittleText as error:
        warn(f"{error} Warm start and pre-training are left out: the encoder retrieves as it is.")
        return [stage for stage in todo if stage.name not in ("warm_start", "pretrain")]
    return todo


def command_line(run: Run) -> str:
    """The command that finishes a run with the settings that it has."""
    source = run.config.corpus.source
    options: list[str] = []
    if source == FACTBOOK:
        words, recipe = ["quickstart", "--recipe", "factbook"], factbook()
    else:
        is_cut = stages.get("corpus").is_finished(run)
        known = budget.kept(run)
        given = [f"model.backbone={run.config.model.backbone}", f"corpus.source={source}"]
        recipe = _sized(artefacts.open_corpus(run).num_passages if is_cut else 0, given, known)
        words = ["quickstart"] if known and known["has_baseline"] else ["run", source]
        if known and known["minutes"] != budget.DEFAULT_MINUTES:
            options = ["--minutes", f"{known['minutes']:g}"]
    settings = [word for setting in settings_beyond(run.config, recipe) for word in ("--set", setting)]
    return shlex.join(["openrealm", *words, "--run", str(run.folder), *options, *settings])


def _sized(num_passages: int, settings: Sequence[str], known: budget.Budget | None = None) -> Config:
    """The recipe for the size of the corpus and the user's settings, with as much training as fits into the budget.

    It is limited by time, so that the run takes as long as announced on a machine that does other work as well; by
    steps where the user gives their number. A backbone that does not answer as it is gets the recipe of an encoder.
    """
    config = with_settings(small(num_passages), settings)
    if config.corpus.source == QED:
        config = with_settings(quickstart(), settings)
    if not answers_questions(config.model.backbone):
        return with_settings(small_encoder(num_passages), settings)
    if known is None:
        return config
    fixed = _fixed(settings)
    plan = budget.plan(known, config, num_passages, fixed)
    if not plan.trains:
        return config
    limits = [f"pretrain.refresh_steps={plan.refresh_steps}"]
    for section, steps, step in (
        ("pretrain", plan.joint_steps, known["joint_step"]),
        ("finetune", plan.finetune_steps, known["finetune_step"]),
    ):
        limits += [f"{section}.num_steps={steps}"] if steps or section == "pretrain" else []
        if steps and section not in fixed:
            limits += [f"{section}.minutes={steps * step / 60:.2f}"]
    return with_settings(config, [*limits, *settings])


def _fixed(settings: Sequence[str]) -> set[str]:
    """The sections whose number of steps is given by the user."""
    return {setting.partition(".")[0] for setting in settings if ".num_steps=" in setting}


def _refuse_another_source(run: Run) -> None:
    """Never overwrite a run of the same name on another text."""
    if run.config_file.exists():
        older, newer = Run.open(run.folder).config.corpus.source, run.config.corpus.source
        if older != newer:
            raise BadInput(f"{run.folder} is already a run on {older}; choose another name for the run on {newer}.")


def _refuse_to_redo(run: Run, config: Config, todo: Sequence[Stage], options: Options) -> None:
    """Never redo a finished run because of other settings unless asked to; say what they redo in an unfinished one."""
    if not run.config_file.exists():
        return
    older = Run.open(run.folder)
    change = changes(older, config, todo, options)
    if change is None:
        return
    titles = ", ".join(stage.title for stage in change.stages)
    if all(stage.is_finished(older) for stage in todo):
        raise BadInput(
            f"{run.folder} is finished with other settings: {change.settings}; they would redo {titles}. Give the "
            "run's own settings to keep it, --run NAME for another run, or --fresh to start this one again."
        )
    say(f"{run.folder} was begun with other settings: {change.settings}; done again: {titles}.")


def _check_lengths(config: Config) -> None:
    """Refuse lengths that do not fit; say which passages will be cut."""
    lengths.check_lengths(config)
    for sentence in lengths.cut_passages(config):
        say(sentence)


def _perform(run: Run, todo: Sequence[Stage], options: Options) -> None:
    for number, stage in enumerate(todo, 1):
        label = f"[{number}/{len(todo)}] {stage.title}"
        if stage.is_current(run, options):
            say(f"{label}: already completed")
        else:
            say(label)
            stage.perform(run, replace(options, resume=stage.can_resume(run)))


def _announce(run: Run, todo: Sequence[Stage], options: Options, num_passages: int) -> None:
    """Print how long the run will take, after measuring for 3 seconds; nothing if all stages are done."""
    done = [stage.is_current(run, options) for stage in todo]
    if all(done):
        return
    ahead = todo[done.index(False) :]  # the stages after one that runs usually have to run too
    engine = artefacts.engine_of(run)
    speed = plan.tokens_per_second(run.config, engine)
    expected = plan.expected_seconds(run.config, ahead, num_passages, speed)
    say(
        f"This machine trains at {speed:,.0f} tokens per second (device {engine.device}); "
        f"expect about {clock(sum(expected.values()))} (minutes:seconds) in total:"
    )
    for stage in ahead:
        say(f"  {stage.title:<32}{clock(expected[stage.name]):>6}")


def _report(run: Run) -> dict[str, Any]:
    stages.get("evaluate").verify(run, run.report)
    stages.say_changed(run)
    return files.read_json(run.report, dict[str, Any])
