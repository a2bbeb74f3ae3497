"""What finished stages left, opened for use: corpus, model, index, and how a system retrieves passages."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from openrealm import files
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine, engine_for, num_cores
from openrealm.errors import DamagedArtefact, Mismatch, MissingStage
from openrealm.run import stages
from openrealm.run.folder import Run
from openrealm.run.systems import SYSTEMS, System

if TYPE_CHECKING:
    from openrealm.index.bm25 import Bm25
    from openrealm.index.index import Index
    from openrealm.model.answering import Answering
    from openrealm.model.realm import Realm
    from openrealm.train.fusion import FusedFinder
    from openrealm.train.spans import Bm25Finder, PassageFinder

OUTCOME = "outcome.json"


class _Outcome(TypedDict):
    """What is needed of the `train.trainer.Outcome` of BM25's fine-tuning."""

    task: dict[str, Any]


def engine_of(run: Run) -> Engine:
    """Device and precision of the run. Also limits torch to the run's number of threads."""
    import torch

    torch.set_num_threads(run.config.num_threads or num_cores())
    return engine_for(run.config)


def open_corpus(run: Run) -> Corpus:
    """The run's corpus; its digests are verified once per process. Raises MissingStage if it is not finished."""
    entry = stages.get("corpus")
    entry.check(run, up_to_date=False)
    entry.verify(run, run.corpus / files.MANIFEST)
    corpus = Corpus.open(run.corpus)
    _verify_content(run.corpus, corpus.manifest["manifest_sha256"])
    return corpus


@functools.cache
def _verify_content(folder: Path, _manifest_sha256: str) -> None:
    Corpus.open(folder, verify=True)


def open_model(run: Run, stage: str) -> Realm:
    """The model of a finished stage.

    Raises MissingStage naming the command that trains it, Mismatch if it was trained with other settings.
    """
    from openrealm.model.realm import Realm

    entry = stages.get(stage)
    entry.check(run, up_to_date=True)
    entry.verify(run, entry.model_folder(run) / files.MANIFEST)
    model = Realm.from_pretrained(entry.model_folder(run))
    model.to(engine_for(run.config).device)
    return model


def index_step(run: Run, start: str) -> int:
    """The training step under which the index of a stage's model is published."""
    return run.config.pretrain.num_steps if start == "pretrain" else 0


def open_index(run: Run, model: Realm, start: str) -> Index:
    """The published index of `model`, which the stage `start` left. Raises MissingStage naming `openrealm index`."""
    from openrealm.index.index import Index, version_folder

    path = version_folder(run.index, index_step(run, start), model.passage_digest())
    if not (path / files.MANIFEST).exists():
        command = stages.index_of(start).command_line(run)
        raise MissingStage(f"{run.folder} has no index of the current weights; run `{command}` first.")
    index = Index.open(path, open_corpus(run), model, searcher=run.config.index.searcher)
    if index.storage != run.config.index.storage:
        raise Mismatch(
            f"{path} has vectors in {index.storage}, but index.storage is {run.config.index.storage}; run "
            f"`{stages.index_of(start).command_line(run)}`."
        )
    if index.vector_ND.shape[1] != model.config.projection_dim:
        raise DamagedArtefact(
            f"{path} has vectors of {index.vector_ND.shape[1]} dimensions, but the model's have "
            f"{model.config.projection_dim}; remove it and run `{stages.index_of(start).command_line(run)}`."
        )
    return index


def open_finder(run: Run, system: System, model: Realm) -> PassageFinder:
    """How a fine-tuned system finds passages: by BM25, or by its query tower and an index."""
    return bm25_finder(run, trained=True) if system.retriever == "bm25" else tower_finder(run, model, system.start)


def tower_finder(run: Run, model: Realm, start: str) -> PassageFinder:
    """The index of the stage `start`, searched by the model's query tower; by words too, if it weighs both."""
    from openrealm.train.spans import DenseFinder

    if model.answering is None:
        return DenseFinder(open_index(run, model, start))
    return fused_finder(run, model, start, model.answering)


def fused_finder(
    run: Run, model: Realm, start: str, answering: Answering, *, vector_weight: float = 1.0
) -> FusedFinder:
    """The index of the stage `start` and BM25, searched with the weights of `answering`."""
    from openrealm.train.fusion import FusedFinder

    index = open_index(run, model, start)
    return FusedFinder(index, _bm25_of(run.corpus, index.binding.corpus), answering, vector_weight=vector_weight)


@functools.lru_cache(maxsize=1)
def _bm25_of(folder: Path, _digest: str) -> Bm25:
    from openrealm.index.bm25 import Bm25

    return Bm25.build(Corpus.open(folder))


def bm25_finder(run: Run, *, trained: bool) -> Bm25Finder:
    """BM25 over the run's passages and the weight of its score, learned or initial."""
    from openrealm.index.bm25 import Bm25
    from openrealm.train.spans import Bm25Finder

    finder = Bm25Finder(Bm25.build(open_corpus(run)))
    if trained:
        stage = stages.get(SYSTEMS["bm25"].stage)
        path = stage.folder(run) / OUTCOME
        stage.verify(run, path)
        finder.load_state(files.read_json(path, _Outcome)["task"])
    return finder
