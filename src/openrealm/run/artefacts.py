"""What finished stages left, opened for use: corpus, model, index, and how a system retrieves passages."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from openrealm import files
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine, engine_for, num_cores
from openrealm.errors import MissingStage
from openrealm.run import stages
from openrealm.run.folder import Run
from openrealm.run.systems import SYSTEMS, System

if TYPE_CHECKING:
    from openrealm.index.store import Binding, IndexVersion
    from openrealm.model.realm import Realm
    from openrealm.train.layout import Layout
    from openrealm.train.openqa import Bm25Source, DenseSource, Source

BM25_WEIGHT = "bm25.json"


def engine_of(run: Run) -> Engine:
    """Device and precision of the run. Also limits torch to the run's number of threads."""
    import torch

    torch.set_num_threads(run.config.num_threads or num_cores())
    return engine_for(run.config)


def open_corpus(run: Run) -> Corpus:
    """The run's corpus; its digests are verified once per process. Raises MissingStage if it is not finished."""
    stages.get("corpus").check(run, up_to_date=False)
    corpus = Corpus.open(run.corpus)
    _verify_digests(run.corpus, corpus.manifest["manifest_sha256"])
    return corpus


@functools.cache
def _verify_digests(folder: Path, _manifest_sha256: str) -> None:
    files.read_manifest(folder)


def layout_of(run: Run, corpus: Corpus) -> Layout:
    """How the run lays passages out for its encoders."""
    from openrealm.train.layout import Layout

    return Layout(corpus, title_in_joint=run.config.model.title_in_joint)


def open_model(run: Run, stage: str) -> Realm:
    """The model of a finished stage.

    Raises MissingStage naming the command that trains it, Mismatch if it was trained with other settings.
    """
    from openrealm.model.realm import Realm

    entry = stages.get(stage)
    entry.check(run, up_to_date=True)
    model = Realm.from_pretrained(entry.model_folder(run))
    model.to(engine_for(run.config).device)
    return model


def binding_of(model: Realm, corpus: Corpus) -> Binding:
    """The digests that an index of this model and corpus is bound to."""
    from openrealm.index.store import Binding

    return Binding(model.retriever.passage_tower.digest(), corpus.tokenizer_digest, corpus.digest)


def index_step(run: Run, start: str) -> int:
    """The training step under which the index of a stage's model is published."""
    return run.config.pretrain.num_steps if start == "pretrain" else 0


def open_index(run: Run, binding: Binding, start: str) -> IndexVersion:
    """The published index of the model of the stage `start`. Raises MissingStage naming `openrealm index`."""
    from openrealm.index.store import open_version, version_name

    path = run.index / "versions" / version_name(index_step(run, start), binding.encoder)
    if not (path / files.MANIFEST).exists():
        command = stages.index_of(start).command_line(run)
        raise MissingStage(f"{run.folder} has no index of the present weights; run `{command}` first.")
    return open_version(path, binding)


def open_retriever(run: Run, system: System, model: Realm) -> Source:
    """How a fine-tuned system finds passages: by BM25, or by its query tower and an index."""
    return bm25_retriever(run, trained=True) if system.retriever == "bm25" else tower_retriever(run, system, model)


def tower_retriever(run: Run, system: System, model: Realm) -> DenseSource:
    """The query tower of `model` with the index of the system's start."""
    from openrealm.train.openqa import DenseSource

    corpus = open_corpus(run)
    version = open_index(run, binding_of(model, corpus), system.start)
    return DenseSource(model, version.vector_ND, layout_of(run, corpus), run.config.finetune.max_query_tokens)


def bm25_retriever(run: Run, *, trained: bool) -> Bm25Source:
    """BM25 over the run's passages and the weight of its score, learned or initial."""
    from openrealm.index.bm25 import Bm25
    from openrealm.train.openqa import Bm25Source

    corpus = open_corpus(run)
    passages = (corpus.passage(i) for i in range(corpus.num_passages))
    source = Bm25Source(Bm25([f"{passage.title} {passage.text}" for passage in passages]))
    weight = stages.get(SYSTEMS["bm25"].stage).folder(run) / BM25_WEIGHT
    if trained and weight.exists():
        source.weight.data.fill_(files.read_json(weight)["weight"])
    return source
