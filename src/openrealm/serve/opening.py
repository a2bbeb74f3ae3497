"""What can be asked or searched, opened: a run, or documents as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from openrealm.config import Config, IndexConfig
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.sources import Source
from openrealm.engine import Engine, engine_for
from openrealm.errors import BadInput, DamagedArtefact, Mismatch, MissingStage
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index, prune, version_folder
from openrealm.model.realm import Realm
from openrealm.recipes.documents import documents
from openrealm.run import artefacts, best, previous, stages
from openrealm.run.folder import Run
from openrealm.run.pipeline import command_line
from openrealm.run.systems import SYSTEMS, System
from openrealm.train.fusion import FusedFinder
from openrealm.train.spans import Bm25Finder, DenseFinder, PassageFinder
from openrealm.types import Article

# Stages whose model finds passages without a reader: the most trained first.
_TOWERS = ("pretrain", "warm_start")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A model, the passages that it knows, and how it finds them.

    source  the folder or file that the corpus was built from, if there is one
    """

    model: Realm
    corpus: Corpus
    finder: PassageFinder
    config: Config
    engine: Engine
    source: str | Path | None


def documents_in(
    source: str | Path | Source | Iterable[Article],
    folder: str | Path,
    model: Realm,
    *,
    skip_unreadable: bool = False,
    config: Config | None = None,
    embed: bool = True,
) -> Opened:
    """Documents as they are; their corpus and index are kept in `folder`, and made again when something has changed.

    config  settings for reading the documents and for answering; None means `documents`
    embed   whether passages are embedded; otherwise they are found by their words
    Raises BadInput when the source does not exist or holds no text, or `folder` holds anything else; Busy when another
    process is making the same corpus.
    """
    config, folder = config or documents(), Path(folder).expanduser()
    reading = config.corpus
    corpus = Corpus.build(
        source,
        folder / "corpus",
        tokenizer=model.tokenizer,
        passages=reading.passages,
        max_passage_tokens=reading.max_passage_tokens,
        max_passage_words=reading.max_passage_words,
        tagger=reading.tagger,
        near_duplicates=reading.near_duplicates,
        prose_only=reading.prose_only,
        salvage=reading.salvage,
        skip_unreadable=skip_unreadable or reading.skip_unreadable,
        num_workers=config.num_threads,
        limits=reading.limits,
    )
    engine = engine_for(config)
    model.to(engine.device)
    finder = (
        finder_in(_kept_index(folder / "index", model, corpus, engine, config.index), corpus, model) if embed else None
    )
    return Opened(
        model=model,
        corpus=corpus,
        finder=finder or Bm25Finder(Bm25.build(corpus)),
        config=config,
        engine=engine,
        source=source if isinstance(source, str | Path) else None,
    )


def _kept_index(kept: Path, model: Realm, corpus: Corpus, engine: Engine, settings: IndexConfig) -> Index:
    with contextlib.suppress(MissingStage, Mismatch, DamagedArtefact):
        version = version_folder(kept, 0, model.passage_digest())
        index = Index.open(version, corpus, model, searcher=settings.searcher)
        if index.storage == settings.storage:
            return index
    index = Index.build(
        model, corpus, engine=engine, searcher=settings.searcher, storage=settings.storage, earlier=kept
    )
    index.save(kept)
    prune(kept, {index.name})
    return index


def finder_in(index: Index, corpus: Corpus, model: Realm) -> PassageFinder:
    """How a model finds passages of an index: by words too, if it has weights for both."""
    return FusedFinder(index, Bm25.build(corpus), model.answering) if model.answering else DenseFinder(index)


def answering_run(run_folder: str | Path, system: str | None = None) -> Opened:
    """What answers in a run: the best, or a fine-tuned system. While the run is rebuilt, that is the one before.

    Raises as `Answerer.open` does.
    """
    readers = [name for name, entry in SYSTEMS.items() if entry.reads_passages]
    folder = Path(run_folder)
    if system is None:
        return previous.opened(folder, previous.answering_stage(folder), _opened_best)
    if system not in readers:
        raise BadInput(f"There is no system {system!r} that reads passages; choose from {', '.join(readers)}.")
    entry = SYSTEMS[system]
    return previous.opened(folder, stages.get(entry.stage), lambda run: _opened(run, entry))


def searched_run(run_folder: str | Path, system: str | None = None) -> Opened:
    """What finds passages in a run: what answers, or the towers that were trained last if nothing can answer yet.

    Raises as `Answerer.open` does, and MissingStage if there are no towers or no index of their vectors.
    """
    folder = Path(run_folder)
    stage = previous.answering_stage(folder)
    if system is not None or stage.is_finished(previous.readable(folder, stage)):
        return answering_run(folder, system)
    return previous.opened(folder, stages.get(_TOWERS[-1]), _opened_towers)


def _opened_best(run: Run) -> Opened:
    if not best.is_recorded(run):
        return _opened(run, SYSTEMS["realm"])
    model, finder = best.open_best(run)
    return _of_run(run, model, finder)


def _opened(run: Run, entry: System) -> Opened:
    stage = stages.get(entry.stage)
    if not stage.comparison and not stage.is_finished(run):
        raise MissingStage(f"{run.folder}: the {stage.title} stage has not been run; run `{command_line(run)}` first.")
    model = artefacts.open_model(run, entry.stage)
    return _of_run(run, model, artefacts.open_finder(run, entry, model))


def _opened_towers(run: Run) -> Opened:
    stage = next((name for name in _TOWERS if stages.get(name).is_current(run)), _TOWERS[-1])
    model = artefacts.open_model(run, stage)
    return _of_run(run, model, artefacts.tower_finder(run, model, stage))


def _of_run(run: Run, model: Realm, finder: PassageFinder) -> Opened:
    return Opened(
        model=model,
        corpus=artefacts.open_corpus(run),
        finder=finder,
        config=run.config,
        engine=artefacts.engine_of(run),
        source=run.config.corpus.source,
    )
