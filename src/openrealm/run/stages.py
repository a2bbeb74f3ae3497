"""The stages of a run as functions: each reads what the ones before it wrote, can be repeated, and does just its name.

corpus -> warm start -> index -> pretrain -> index -> fine-tune (each system) -> evaluate. The command line calls
these and prints.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from openrealm import files
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.sources import open_source
from openrealm.engine import Engine, engine_for, num_cores
from openrealm.errors import BadInput, Mismatch, MissingStage
from openrealm.model.weights import tokenizer_of
from openrealm.progress import clock, say
from openrealm.run import keys, questions
from openrealm.run.folder import SYSTEMS, Run
from openrealm.run.queries import queries_of

if TYPE_CHECKING:
    from openrealm.index.store import Binding, IndexVersion
    from openrealm.model.realm import Realm
    from openrealm.train.openqa import Source
    from openrealm.train.pretrain import Outcome

_COMMANDS = {"warm_start": "warm-start", "frozen_towers": "pretrain --frozen-towers"}

# The record of the index that is built of a stage's model.
INDEX_OF = {"warm_start": "index", "pretrain": "index_pretrained"}


def command_of(stage: str, run: Run) -> str:
    """The command that runs a stage, as a user types it."""
    system = stage.removeprefix("finetune_")
    command = f"finetune --system {system}" if system != stage else _COMMANDS.get(stage, stage)
    frozen = stage == "frozen_towers"
    resume = " --resume" if stage in ("pretrain", "frozen_towers") and can_resume(run, frozen=frozen) else ""
    return f"openrealm {command}{resume} --run {run.folder}"


def engine_of(run: Run) -> Engine:
    """Device and precision of the run; the processor's threads are set to what the run may use."""
    import torch

    torch.set_num_threads(run.config.num_threads or num_cores())
    return engine_for(run.config)


def corpus_stage(run: Run) -> Corpus:
    """Read the source, cut it into passages, tag salient spans, store."""
    settings = run.config.corpus
    source = open_source(
        settings.source, prose_only=settings.prose_only, salvage=settings.salvage, num_workers=run.config.num_threads
    )
    tokenizer = tokenizer_of(run.config.model.backbone)
    with run.stage("corpus", keys.corpus_key(run)):
        corpus = build_corpus(
            source.articles(),
            run.corpus,
            tokenizer,
            max_passage_tokens=settings.max_passage_tokens,
            passages=settings.passages,
            max_passage_words=settings.max_passage_words,
            tagger=settings.tagger,
            source=source.description,
            near_duplicates=settings.near_duplicates,
            num_workers=run.config.num_threads or num_cores(),
        )
    left_out = corpus.manifest["source"].get("skipped") or {}
    beside = "; left out: " + ", ".join(f"{count} {why}" for why, count in left_out.items()) if left_out else ""
    say(f"corpus: {corpus.num_passages:,} passages in {run.corpus}{beside}")
    return corpus


def open_corpus(run: Run) -> Corpus:
    """The run's corpus, held against its digests once a process; MissingStage tells to run `openrealm corpus`."""
    if not run.is_finished("corpus"):
        raise MissingStage(f"{run.folder} has no corpus yet; run `{command_of('corpus', run)}` first.")
    corpus = Corpus.open(run.corpus)
    _check_digests(run.corpus, corpus.manifest["manifest_sha256"])
    return corpus


@functools.cache
def _check_digests(folder: Path, _manifest_sha256: str) -> None:
    files.read_manifest(folder)


def open_model(run: Run, stage: str) -> Realm:
    """The model that a finished stage left.

    Raises MissingStage naming the command that makes it, Mismatch when it was made with other settings.
    """
    from openrealm.model.realm import Realm

    if not run.is_finished(stage):
        begun = "was begun and not finished" if run.record(stage) else "is still to be done"
        raise MissingStage(
            f"{run.folder}: the stage {stage.replace('_', ' ')} {begun}; run `{command_of(stage, run)}` first."
        )
    key = keys.stage_key(run, stage)
    if not run.is_finished(stage, key):
        raise Mismatch(
            f"{run.folder}: the stage {stage.replace('_', ' ')} was made with other settings or another corpus (digest "
            f"{run.record(stage)['key'][:16]}, now {key[:16]}); run `{command_of(stage, run)}` again."
        )
    model = Realm.from_pretrained(run.output(stage).parent)
    model.to(engine_for(run.config).device)
    return model


def warm_start_stage(run: Run) -> None:
    """Towers by ICT, the reader's head by masked words."""
    import torch

    from openrealm.model.realm import Realm
    from openrealm.train.warm_start import warm_start

    corpus, engine = open_corpus(run), engine_of(run)
    torch.manual_seed(run.config.seed)
    with files.sole_writer(run.warm_start), run.stage("warm_start", keys.warm_start_key(run)):
        model = Realm.from_backbone(run.config.model, corpus.tokenizer())
        model.to(engine.device)
        means = warm_start(run.config, model, corpus, engine, run.warm_start)
        model.save_pretrained(run.warm_start / "model")
    say("warm start: " + ", ".join(f"{key.replace('_', ' ')} {value:.2f}" for key, value in means.items()))


def index_stage(run: Run, model: Realm, of: str) -> IndexVersion:
    """The index version of the passage tower that the stage `of` left in `model`: opened if it is there, else built."""
    from openrealm.index.store import publish
    from openrealm.progress import track
    from openrealm.train.embedder import embed_corpus
    from openrealm.train.layout import Layout

    corpus, name = open_corpus(run), INDEX_OF[of]
    tower, binding, step = model.retriever.passage_tower, binding_of(model, corpus), _index_step(run, of)
    try:
        return find_index(run, binding, of)
    except (MissingStage, Mismatch):  # none yet, or one of another corpus under the same name
        layout, engine = Layout(corpus, title_in_joint=run.config.model.title_in_joint), engine_of(run)
    with (
        files.sole_writer(run.index),
        run.stage(name, keys.stage_key(run, of)),
        track(name.replace("_", ", "), corpus.num_passages) as advance,
    ):
        publish(run.index, step, binding, embed_corpus(tower, layout, engine, advance))
    return find_index(run, binding, of)


def _index_step(run: Run, of: str) -> int:
    return run.config.pretrain.num_steps if of == "pretrain" else 0


def binding_of(model: Realm, corpus: Corpus) -> Binding:
    """What an index of this model and corpus belongs to."""
    from openrealm.index.store import Binding

    return Binding(model.retriever.passage_tower.digest(), corpus.tokenizer_digest, corpus.digest)


def find_index(run: Run, binding: Binding, of: str) -> IndexVersion:
    """The index version that is there; MissingStage tells to run `openrealm index`."""
    from openrealm.index.store import open_version, version_name

    path = run.index / "versions" / version_name(_index_step(run, of), binding.encoder)
    if not (path / files.MANIFEST).exists():
        raise MissingStage(f"{run.folder} has no index of these weights; run `openrealm index --run {run.folder}`.")
    return open_version(path, binding)


def pretrain_stage(run: Run, *, resume: bool = False, frozen: bool = False) -> Outcome:
    """Joint pre-training; with `frozen` the same with the towers standing still, for comparison.

    Raises MissingStage for a `resume` without a checkpoint.
    """
    from openrealm.index.store import prune
    from openrealm.train import checkpoint
    from openrealm.train.pretrain import Pretrainer

    folder, name = (run.frozen, "frozen_towers") if frozen else (run.pretrain, "pretrain")
    if resume and not checkpoint.checkpoints(folder / "checkpoints"):
        raise MissingStage(
            f"{folder} holds no checkpoint to resume from; run `{command_of(name, run)}`, without --resume."
        )
    corpus, engine = open_corpus(run), engine_of(run)
    queries = queries_of(run, corpus)
    model = open_model(run, "warm_start")
    first = index_stage(run, model, "warm_start")
    config = run.config
    if frozen:
        config = dataclasses.replace(config, pretrain=dataclasses.replace(config.pretrain, freeze_towers=True))
    elif not resume:
        prune(run.index, {first.name})  # what an earlier run published
    with files.sole_writer(folder), run.stage(name, keys.pretrain_key(run, frozen=frozen), resumed=resume):
        trainer = Pretrainer(config, model, corpus, run.corpus, run.index, folder, engine, queries)
        outcome = trainer.train(resume=resume)
        files.write_json(folder / "outcome.json", dataclasses.asdict(outcome))
        model.save_pretrained(folder / "model")
    first_utility, last_utility = (row.get("retrieval_utility", 0.0) for row in (outcome.first, outcome.last))
    say(
        f"{name.replace('_', ' ')}: retrieval utility {first_utility:.2f} -> {last_utility:.2f} nats, "
        f"{len(outcome.refresh_steps)} refreshes, {clock(run.record(name)['seconds'])}"
    )
    return outcome


def can_resume(run: Run, *, frozen: bool = False) -> bool:
    """Whether pre-training was begun with these very settings, has a checkpoint, and did not come to its end."""
    folder, name = (run.frozen, "frozen_towers") if frozen else (run.pretrain, "pretrain")
    begun = run.was_begun(name, keys.pretrain_key(run, frozen=frozen))
    return begun and any((folder / "checkpoints").glob(f"step-*/{files.MANIFEST}"))


def source_for(run: Run, system: str, model: Realm, *, trained: bool = True) -> Source:
    """How a system finds its candidates: BM25 (with its `trained` weight), or the query tower with the index."""
    from openrealm.train.layout import Layout
    from openrealm.train.openqa import DenseSource

    if system == "bm25":
        return _bm25(run, trained)
    version = index_stage(run, model, keys.START[system])
    layout = Layout(open_corpus(run), title_in_joint=run.config.model.title_in_joint)
    return DenseSource(model, version.vector_ND, layout, run.config.finetune.max_query_tokens)


def _bm25(run: Run, trained: bool) -> Source:
    from openrealm.index.bm25 import Bm25
    from openrealm.train.openqa import Bm25Source

    corpus = open_corpus(run)
    passages = [corpus.passage(i) for i in range(corpus.num_passages)]
    source = Bm25Source(Bm25([f"{p.title} {p.text}" for p in passages]))
    weight = run.finetune / "bm25" / "bm25.json"
    if trained and weight.exists():
        source.weight.data.fill_(files.read_json(weight)["weight"])
    return source


def finetune_stage(run: Run, system: str) -> None:
    """Fine-tune one system on the run's questions; every system gets the same steps, batch, rates and seed."""
    from openrealm.train.answers import AnswerFinder
    from openrealm.train.closed_book import finetune_closed_book
    from openrealm.train.finetune import finetune
    from openrealm.train.layout import Layout
    from openrealm.train.openqa import Bm25Source

    if system not in SYSTEMS:
        raise BadInput(f"There is no system {system!r}; choose from {', '.join(SYSTEMS)}.")
    asked = questions.load(run).train
    if not asked:
        raise BadInput(f"{run.questions} has no training questions; give some with --questions FILE.")
    config, engine, corpus = run.config, engine_of(run), open_corpus(run)
    model = open_model(run, keys.START[system])
    layout = Layout(corpus, title_in_joint=config.model.title_in_joint)
    folder = run.finetune / system
    source = None if system == "closed_book" else source_for(run, system, model, trained=False)
    with files.sole_writer(folder), run.stage(f"finetune_{system}", keys.finetune_key(run, system)):
        if source is None:
            finetune_closed_book(config, model, layout, asked, engine, folder)
        else:
            finetune(config, model, layout, source, asked, AnswerFinder(corpus), engine, folder)
        if isinstance(source, Bm25Source):
            files.write_json(folder / "bm25.json", {"weight": float(source.weight.detach())})
        model.save_pretrained(folder / "model")
