"""The work of each stage: what `run.stages` names in its table and calls with the run, the entry and the options.

Each function reads what earlier stages left, writes below `stage.folder(run)`, and can be repeated.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from openrealm import files
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.sources import open_source
from openrealm.engine import num_cores
from openrealm.errors import BadInput, Mismatch, MissingStage, TooLittleText
from openrealm.model.weights import tokenizer_of
from openrealm.progress import clock, counted, say, warn
from openrealm.run import artefacts, stages
from openrealm.run import questions as questions_of
from openrealm.run.folder import Run
from openrealm.run.queries import queries_of
from openrealm.run.stages import Options, Stage
from openrealm.types import QuestionSets

if TYPE_CHECKING:
    from openrealm.model.realm import Realm
    from openrealm.train.ranks import Ranks
    from openrealm.train.task import Task
    from openrealm.train.trainer import Outcome


def corpus(run: Run, stage: Stage, options: Options) -> Corpus:
    """Read the source, cut it into passages, tag salient spans, store."""
    settings = run.config.corpus
    source = open_source(
        settings.source,
        prose_only=settings.prose_only,
        salvage=settings.salvage,
        skip_unreadable=settings.skip_unreadable,
        num_workers=run.config.num_threads,
        limits=settings.limits,
    )
    built = build_corpus(
        source.articles(),
        run.corpus,
        tokenizer_of(run.config.model.backbone),
        max_passage_tokens=settings.max_passage_tokens,
        passages=settings.passages,
        max_passage_words=settings.max_passage_words,
        tagger=settings.tagger,
        source=source.description,
        near_duplicates=settings.near_duplicates,
        num_workers=run.config.num_threads or num_cores(),
        key=run.record(stage.name)["key"],
    )
    skipped = built.manifest["source"].get("skipped") or {}
    note = f"; skipped: {counted(skipped)} (openrealm corpus inspect names them)" if skipped else ""
    say(f"corpus: {counted({'passage': built.num_passages})} in {run.corpus}{note}")
    for remark in built.manifest["source"].get("remarks") or ():
        warn(f"corpus: {remark}")
    return built


def questions(run: Run, stage: Stage, options: Options) -> QuestionSets:
    """Write the questions that systems are fine-tuned and tested on."""
    sets, origin = questions_of.generate(run, options.questions, regex=options.regex)
    return questions_of.save(run, sets, origin)


def warm_start(run: Run, stage: Stage, options: Options) -> None:
    """Train the towers by ICT and the reader's head by masked-language modelling."""
    import torch

    from openrealm.model.realm import Realm
    from openrealm.train.tasks.warm_start import WarmStart

    opened = artefacts.open_corpus(run)
    torch.manual_seed(run.config.seed)
    model = Realm.from_backbone(run.config.model, opened.tokenizer())
    if model.answering is not None and not run.config.warm_start.num_steps:
        _pass_on(run, stage, options, model, f"{run.config.model.backbone} finds and reads passages as it is.")
        return
    try:
        task = WarmStart(opened, config=run.config)
    except TooLittleText as error:
        _pass_on(run, stage, options, model, error)
        return
    recent = _train(run, stage, options, model, task).recent
    shown = [f"{name.replace('_', ' ')} {recent[name]:.2f}" for name in recent if name.endswith(("loss", "accuracy"))]
    say("warm start: " + (", ".join(shown) or "no steps"))


def index(run: Run, stage: Stage, options: Options) -> None:
    """Embed all passages with the passage tower of the stage's start and publish the index."""
    from openrealm.index.index import Index

    opened, engine = artefacts.open_corpus(run), artefacts.engine_of(run)
    model = artefacts.open_model(run, stage.start)
    try:
        artefacts.open_index(run, model, stage.start)
    except (MissingStage, Mismatch):  # none yet, or one of another corpus under the same name
        settings = run.config.index
        built = Index.build(
            model,
            opened,
            step=artefacts.index_step(run, stage.start),
            engine=engine,
            searcher=settings.searcher,
            storage=settings.storage,
            earlier=run.index,
        )
        built.save(run.index, key=run.record(stage.name)["key"])
        if built.measured is not None:
            say(f"index: {built.measured}")


def pretrain(run: Run, stage: Stage, options: Options) -> None:
    """Train retriever and reader jointly, or the reader alone for the stage with frozen towers."""
    from openrealm.index.index import prune
    from openrealm.train.tasks.joint import Joint
    from openrealm.train.tasks.warm_start import start_from_unigrams

    opened, config, ranks = artefacts.open_corpus(run), run.config, _ranks(options)
    with ranks.first_before_others():
        queries = queries_of(run, opened)
    model = artefacts.open_model(run, stage.start)
    if not config.pretrain.num_steps:
        _pass_on(run, stage, options, model, "pretrain.num_steps is 0.")
        return
    first = artefacts.open_index(run, model, stage.start)
    if stage.comparison:
        config = config.replace(pretrain=config.pretrain.replace(freeze_towers=True))
    elif not options.resume and ranks.is_first:
        prune(run.index, {first.name})  # versions that an earlier pre-training published
    try:
        task = Joint(opened, first, config=config, queries=queries, index_folder=run.index, refresh_at_end=False)
    except TooLittleText as error:
        _pass_on(run, stage, options, model, error)
        return
    if not model.has_trained_head:
        start_from_unigrams(model, opened)
        model.has_trained_head = True  # keep the head if the model is saved
    outcome = _train(run, stage, options, model, task)
    if not stage.comparison and ranks.is_first:
        prune(run.index, {first.name})
    first_utility, last_utility = (float(row.get("retrieval_utility", 0.0)) for row in (outcome.first, outcome.last))
    say(
        f"{stage.title}: retrieval utility {first_utility:.2f} -> {last_utility:.2f} nats, "
        f"index refreshes: {len(outcome.task['refresh_steps'])}{_refreshes_missed(stage, run, outcome)}"
    )


def towers_alone(run: Run, stage: Stage, options: Options) -> None:
    """Train the towers by the in-batch tasks of the warm start alone, for as long as pre-training took."""
    from openrealm.train import metrics
    from openrealm.train.tasks.warm_start import WarmStart

    joint = stages.get("pretrain")
    joint.verify(run, joint.folder(run) / metrics.FILE)
    opened, model = artefacts.open_corpus(run), artefacts.open_model(run, stage.start)
    if not (joint.folder(run) / metrics.FILE).exists():
        _pass_on(run, stage, options, model, "pre-training was left out.")
        return
    rows = metrics.read(joint.folder(run))
    seconds = sum(float(row["seconds"]) for row in rows if row["split"] == "train")
    task = WarmStart(opened, config=run.config, mlm_batch=0, num_steps=run.config.pretrain.num_steps)
    outcome = _train(run, stage, options, model, task, minutes=seconds / 60)
    say(f"{stage.title}: {outcome.num_steps:,} steps in {clock(seconds)} (minutes:seconds)")


def _ranks(options: Options) -> Ranks:
    from openrealm.train.ranks import ALONE

    return options.ranks or ALONE


def _pass_on(run: Run, stage: Stage, options: Options, model: Realm, reason: TooLittleText | str) -> None:
    """Leave the model untrained to the next stage, without an outcome."""
    if not _ranks(options).is_first:
        return
    (stage.folder(run) / artefacts.OUTCOME).unlink(missing_ok=True)
    _save(run, stage, model)
    warn(f"{stage.title}: left out: {reason}")


def _save(run: Run, stage: Stage, model: Realm) -> None:
    """Publish the stage's model; one that answers as it is takes little room, as it does in the package."""
    is_compact = model.answering is not None
    if is_compact and stage.system is not None and model.span_reader is not None:
        # The masked-token reader is not needed any more; with the weights of the span reader's it takes no room.
        model.reader.encoder.load_state_dict(model.span_reader.encoder.state_dict())
        model.has_trained_head = False
    model.save_pretrained(stage.model_folder(run), compact=is_compact, bits=16, key=run.record(stage.name)["key"])


def _refreshes_missed(stage: Stage, run: Run, outcome: Outcome) -> str:
    """What became of the refreshes that were asked for, if some failed or none was finished in time."""
    settings, num_failed = run.config.pretrain, outcome.task["num_failed_refreshes"]
    if num_failed:
        return f"; {num_failed} failed, the last for the reason in {stage.folder(run) / 'refresh.log'}"
    due = not stage.comparison and settings.num_steps > settings.refresh_steps
    return "; none was finished before training was" if due and not outcome.task["refresh_steps"] else ""


def finetune(run: Run, stage: Stage, options: Options) -> None:
    """Fine-tune one system on the run's questions; all systems get the same steps, batches, rates and seed."""
    from openrealm.train.tasks.closed_book import ClosedBook
    from openrealm.train.tasks.openqa import OpenQA

    system = stage.system
    assert system is not None
    asked = questions_of.load(run).train
    if not asked:
        raise BadInput(f"{run.questions} has no training questions; provide some with --questions FILE.")
    opened, config = artefacts.open_corpus(run), run.config
    model = artefacts.open_model(run, stage.start)
    folder = stage.folder(run)
    task: OpenQA | ClosedBook
    if system.retriever == "none":
        task = ClosedBook(opened, asked, config=config)
    elif system.retriever == "tower":
        index, finder = artefacts.open_index(run, model, system.start), artefacts.tower_finder(run, model, system.start)
        task = OpenQA(opened, index, asked, finder=finder, config=config)
    else:
        task = OpenQA(opened, None, asked, finder=artefacts.bm25_finder(run, trained=False), config=config)
    _train(run, stage, options, model, task)
    say(f"{stage.title}: saved in {folder}")


def _train(
    run: Run, stage: Stage, options: Options, model: Realm, task: Task[Any], *, minutes: float | None = None
) -> Outcome:
    """Train in the stage's folder and save the outcome and, last, the model; the checkpoints go once it is saved.

    minutes  None takes those of the settings
    """
    from openrealm.run.recorder import Recorder
    from openrealm.train import checkpoint
    from openrealm.train.trainer import Trainer

    config, engine, ranks = run.config, artefacts.engine_of(run), _ranks(options)
    section = getattr(config, stage.settings)
    trainer = Trainer(
        model,
        task,
        stage.folder(run),
        minutes=getattr(section, "minutes", None) if minutes is None else minutes,
        engine=engine,
        seed=config.seed,
        callbacks=[*config.callbacks, Recorder(questions_of.load(run).dev if run.questions.exists() else ())],
        ranks=ranks,
    )
    if not options.resume and ranks.is_first:
        files.remove_folder(stage.model_folder(run))  # so that a model with the stage's key is always this training's
    outcome = trainer.train(resume=options.resume)
    if not ranks.is_first:
        return outcome
    files.write_json(stage.folder(run) / artefacts.OUTCOME, dataclasses.asdict(outcome))
    _save(run, stage, model)
    checkpoint.remove_all(trainer.checkpoints)
    return outcome
