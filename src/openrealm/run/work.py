"""The work of each stage: what `run.stages` names in its table and calls with the run, the entry and the options.

Each function reads what earlier stages left, writes below `stage.folder(run)`, and can be repeated.
"""

from __future__ import annotations

import dataclasses

from openrealm import files
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.sources import open_source
from openrealm.corpus.workers import WorkerSpec
from openrealm.engine import num_cores
from openrealm.errors import BadInput, Mismatch, MissingStage
from openrealm.masking.tagger import load_tagger
from openrealm.model.weights import tokenizer_of
from openrealm.progress import say
from openrealm.run import artefacts
from openrealm.run import questions as questions_of
from openrealm.run.folder import Run
from openrealm.run.queries import queries_of
from openrealm.run.stages import Options, Stage
from openrealm.types import QuestionSets


def corpus(run: Run, stage: Stage, options: Options) -> Corpus:
    """Read the source, cut it into passages, tag salient spans, store."""
    settings = run.config.corpus
    articles, description = open_source(
        settings.source, prose_only=settings.prose_only, salvage=settings.salvage, num_workers=run.config.num_threads
    )
    built = build_corpus(
        articles(),
        run.corpus,
        tokenizer_of(run.config.model.backbone),
        max_passage_tokens=settings.max_passage_tokens,
        passages=settings.passages,
        max_passage_words=settings.max_passage_words,
        tagger=load_tagger(settings.tagger),
        source=description,
        near_duplicates=settings.near_duplicates,
        workers=_corpus_workers(run),
    )
    skipped = built.manifest["source"].get("skipped") or {}
    note = "; skipped: " + ", ".join(f"{count} {why}" for why, count in skipped.items()) if skipped else ""
    say(f"corpus: {built.num_passages:,} passages in {run.corpus}{note}")
    return built


def _corpus_workers(run: Run) -> WorkerSpec | None:
    """One process per core that the run may use; none with a tagger that uses all cores itself."""
    if run.config.corpus.tagger.startswith("hf:"):
        return None
    return WorkerSpec(run.config.num_threads or num_cores(), "openrealm.masking.worker")


def questions(run: Run, stage: Stage, options: Options) -> QuestionSets:
    """Write the questions that systems are fine-tuned and tested on."""
    sets, origin = questions_of.generate(run, options.questions, regex=options.regex)
    return questions_of.save(run, sets, origin)


def warm_start(run: Run, stage: Stage, options: Options) -> None:
    """Train the towers by ICT and the reader's head by masked-language modelling."""
    import torch

    from openrealm.model.realm import Realm
    from openrealm.train.warm_start import warm_start as train

    opened, engine = artefacts.open_corpus(run), artefacts.engine_of(run)
    torch.manual_seed(run.config.seed)
    model = Realm.from_backbone(run.config.model, opened.tokenizer())
    model.to(engine.device)
    means = train(run.config, model, opened, engine, stage.folder(run))
    model.save_pretrained(stage.model_folder(run))
    say("warm start: " + ", ".join(f"{key.replace('_', ' ')} {value:.2f}" for key, value in means.items()))


def index(run: Run, stage: Stage, options: Options) -> None:
    """Embed all passages with the passage tower of the stage's start and publish the index."""
    from openrealm.index.store import publish
    from openrealm.progress import track
    from openrealm.train.embedder import embed_corpus

    opened, engine = artefacts.open_corpus(run), artefacts.engine_of(run)
    model = artefacts.open_model(run, stage.start)
    binding = artefacts.binding_of(model, opened)
    try:
        artefacts.open_index(run, binding, stage.start)
    except (MissingStage, Mismatch):  # none yet, or one of another corpus under the same name
        with track(stage.title, opened.num_passages) as advance:
            layout = artefacts.layout_of(run, opened)
            vector_ND = embed_corpus(model.retriever.passage_tower, layout, engine, advance)
        publish(run.index, artefacts.index_step(run, stage.start), binding, vector_ND)


def pretrain(run: Run, stage: Stage, options: Options) -> None:
    """Train retriever and reader jointly, or the reader alone for the stage with frozen towers."""
    from openrealm.index.store import prune
    from openrealm.train.pretrain import Pretrainer

    opened, engine = artefacts.open_corpus(run), artefacts.engine_of(run)
    queries = queries_of(run, opened)
    model = artefacts.open_model(run, stage.start)
    first = artefacts.open_index(run, artefacts.binding_of(model, opened), stage.start)
    config = run.config
    if stage.comparison:
        config = dataclasses.replace(config, pretrain=dataclasses.replace(config.pretrain, freeze_towers=True))
    elif not options.resume:
        prune(run.index, {first.name})  # versions that an earlier pre-training published
    trainer = Pretrainer(config, model, opened, run.corpus, run.index, stage.folder(run), engine, queries)
    outcome = trainer.train(resume=options.resume)
    files.write_json(stage.folder(run) / "outcome.json", dataclasses.asdict(outcome))
    model.save_pretrained(stage.model_folder(run))
    first_utility, last_utility = (row.get("retrieval_utility", 0.0) for row in (outcome.first, outcome.last))
    say(
        f"{stage.title}: retrieval utility {first_utility:.2f} -> {last_utility:.2f} nats, "
        f"{len(outcome.refresh_steps)} index refreshes"
    )


def finetune(run: Run, stage: Stage, options: Options) -> None:
    """Fine-tune one system on the run's questions; all systems get the same steps, batches, rates and seed."""
    from openrealm.train.answers import AnswerFinder
    from openrealm.train.closed_book import finetune_closed_book
    from openrealm.train.finetune import finetune as train

    system = stage.system
    assert system is not None
    asked = questions_of.load(run).train
    if not asked:
        raise BadInput(f"{run.questions} has no training questions; provide some with --questions FILE.")
    opened, engine = artefacts.open_corpus(run), artefacts.engine_of(run)
    model = artefacts.open_model(run, stage.start)
    layout, folder = artefacts.layout_of(run, opened), stage.folder(run)
    if system.retriever == "none":
        finetune_closed_book(run.config, model, layout, asked, engine, folder)
    elif system.retriever == "tower":
        towers = artefacts.tower_retriever(run, system, model)
        train(run.config, model, layout, towers, asked, AnswerFinder(opened), engine, folder)
    else:
        bm25 = artefacts.bm25_retriever(run, trained=False)
        train(run.config, model, layout, bm25, asked, AnswerFinder(opened), engine, folder)
        files.write_json(folder / artefacts.BM25_WEIGHT, {"weight": float(bm25.weight.detach())})
    model.save_pretrained(stage.model_folder(run))
    say(f"{stage.title}: saved in {folder}")
