"""The work of a benchmark: corpus, trainings, searches. Every piece is recorded, and found again after a kill."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from typing_extensions import TypedDict

from openrealm import __version__, files
from openrealm.benchmarks.question_sets import NUM_FOUND, QuestionSet, answer_ranks, gold_ranks
from openrealm.benchmarks.systems import TRAININGS, System
from openrealm.callbacks import Callback
from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import DamagedArtefact, Mismatch, MissingStage
from openrealm.index.bm25 import Bm25
from openrealm.index.exact import ExactSearcher
from openrealm.index.index import Index
from openrealm.model.answering import Answering
from openrealm.model.realm import Realm
from openrealm.progress import say, track
from openrealm.stored import Count
from openrealm.train.fusion import FusedFinder
from openrealm.train.spans import DenseFinder, longest_question, tokenize
from openrealm.train.task import Task
from openrealm.train.tasks.joint import Joint
from openrealm.train.tasks.warm_start import WarmStart, start_from_unigrams
from openrealm.train.trainer import Trainer, processor_seconds
from openrealm.types import Question

_QUESTIONS_AT_ONCE = 64
_SHELF_DIM = 384  # of MiniLM, whose vectors an orthogonal projection of the same dimension leaves as they are
_AGAIN = "run the benchmark again"

Search = Callable[[Sequence[Question]], list[list[int]]]


class Spent(TypedDict):
    """What a training took: seconds of its steps, steps, and the sentences or masked queries that were read."""

    seconds: float
    num_steps: Count
    num_queries: Count


class Ranks(TypedDict):
    """Per question the rank of the first passage with an answer, and of the first gold passage; 0 if not found."""

    answer: list[Count]
    gold: list[Count]


class Record(TypedDict):
    """What was measured of a system with a seed."""

    key: str
    spent: Spent
    ranks: dict[str, Ranks]


class _Counter(Callback):
    """Counts the queries or sentences that were read."""

    def __init__(self, per_step: int) -> None:
        self._per_step, self.num_queries = per_step, 0

    def on_step_end(self, trainer: Trainer, row: Mapping[str, float | int | str]) -> None:
        self.num_queries += int(row.get("num_read", self._per_step))

    def state(self) -> dict[str, Any]:
        return {"num_queries": self.num_queries}

    def load_state(self, state: dict[str, Any]) -> None:
        self.num_queries = int(state["num_queries"])


_NOTHING: Spent = {"seconds": 0.0, "num_steps": 0, "num_queries": 0}


@dataclass
class Bench:
    """Corpus, questions and settings of a benchmark, and the folder where its pieces are kept.

    minutes    the budget of each training, in minutes of its steps
    cpu_time   whether the minutes are CPU time instead of wall-clock time
    """

    corpus: Corpus
    sets: Sequence[QuestionSet]
    config: Config
    minutes: float
    folder: Path
    engine: Engine
    cpu_time: bool = False

    @cached_property
    def bm25(self) -> Bm25:
        """BM25 over the corpus."""
        return Bm25.build(self.corpus)

    def record(self, system: System, seed: int) -> Record:
        """Train and measure a system, unless that was done with the same settings, corpus and questions."""
        path = self.folder / "records" / f"{system.name}-{seed}.json"
        made_of = self._key(system.training, seed) if system.is_trained else [system.training, self.corpus.digest]
        key = files.digest_of([made_of, system.finds_by, [asked.digest for asked in self.sets]])
        with contextlib.suppress(MissingStage, DamagedArtefact):
            found = files.read_sealed(path, Record, _AGAIN)
            if found["key"] == key:
                return found
        say(f"benchmark: {system.title}, seed {seed}")
        search, spent = self._searcher(system, seed)
        ranks: dict[str, Ranks] = {}
        longest = self.config.max_regex_seconds
        for asked in self.sets:
            with track(f"search {asked.name}", len(asked.questions)) as advance:
                passages = []
                for start in range(0, len(asked.questions), _QUESTIONS_AT_ONCE):
                    passages += search(asked.questions[start : start + _QUESTIONS_AT_ONCE])
                    advance(len(passages) - start)
            gold = gold_ranks(self.corpus, asked, passages, longest) if asked.paragraphs else []
            ranks[asked.name] = {"answer": answer_ranks(self.corpus, asked, passages, longest), "gold": gold}
        record: Record = {"key": key, "spent": spent, "ranks": ranks}
        files.write_sealed(path, record)
        return record

    def _searcher(self, system: System, seed: int) -> tuple[Search, Spent]:
        """What finds passages for questions, after training if there is any, and what the training took."""
        if system.is_shelved:
            return self._off_the_shelf(system.training), _NOTHING
        if system.finds_by == "words":
            return lambda questions: self.bm25.search([q.text for q in questions], NUM_FOUND)[1].tolist(), _NOTHING
        model, spent = self.trained(system.training, seed)
        index = self._index(model, f"{system.training}-{seed}")
        finder = DenseFinder(index) if system.finds_by == "vectors" else FusedFinder(index, self.bm25, Answering())
        longest = longest_question(model, self.corpus)

        def search(questions: Sequence[Question]) -> list[list[int]]:
            asked = tokenize([question.text for question in questions], self.corpus.tokenizer(), longest)
            with torch.inference_mode(), self.engine.autocast():
                found: list[list[int]] = finder.find(model, self.corpus, asked, NUM_FOUND)[1].tolist()
            return found

        return search, spent

    def _off_the_shelf(self, backbone: str) -> Search:
        """Search with an encoder as it is, which has a tokenizer of its own."""
        model = Realm.from_pretrained(backbone, device=self.engine.device, projection_dim=_SHELF_DIM)
        searcher = ExactSearcher(torch.from_numpy(model.encode_passage(list(self.corpus), show_progress_bar=True)))

        def search(questions: Sequence[Question]) -> list[list[int]]:
            query_BD = torch.from_numpy(model.encode_query([question.text for question in questions]))
            found: list[list[int]] = searcher.search(query_BD, NUM_FOUND)[1].tolist()
            return found

        return search

    def _index(self, model: Realm, name: str) -> Index:
        folder = self.folder / "indexes" / name
        try:
            return Index.open(folder, self.corpus, model)
        except (MissingStage, Mismatch, DamagedArtefact):  # none yet, or one of other weights
            files.remove_folder(folder)
            return Index.build(model, self.corpus, folder, engine=self.engine)

    def trained(self, name: str, seed: int) -> tuple[Realm, Spent]:
        """The model after a training of `TRAININGS`, and what the training took; a finished one is read."""
        folder, key = self.folder / "models" / f"{name}-{seed}", files.digest_of(self._key(name, seed))
        spent_path = self.folder / "models" / f"{name}-{seed}.json"
        if files.key_of(folder) == key:
            model = Realm.from_pretrained(folder, device=self.engine.device)
            return model, files.read_sealed(spent_path, Spent, _AGAIN)
        config = self._config(name, seed)
        training = self.folder / "training" / f"{name}-{seed}-{key[:8]}"
        spent = _NOTHING
        if name == "start":
            model = self._new(seed)
            if config.warm_start.num_steps:
                spent = self._train(model, WarmStart(self.corpus, config=config), training, seed)
        else:
            model, _ = self.trained("start", seed)
            task = self._task(TRAININGS[name].task, config, model, seed)
            spent = self._train(model, task, training, seed, minutes=self.minutes)
        files.write_sealed(spent_path, spent)
        model.save_pretrained(folder, key=key)
        files.remove_folder(training)
        return model.eval(), spent

    def _task(self, kind: str, config: Config, model: Realm, seed: int) -> Task[Any]:
        if kind == "warm_start":
            return WarmStart(self.corpus, config=config)
        if not model.has_trained_head:
            start_from_unigrams(model, self.corpus)
            model.has_trained_head = True  # keep the head when the model is saved
        return Joint(self.corpus, self._index(model, f"start-{seed}"), config=config, refresh_at_end=False)

    def _train(self, model: Realm, task: Task[Any], folder: Path, seed: int, minutes: float | None = None) -> Spent:
        counter = _Counter(_batch_size(task))
        trainer = Trainer(
            model,
            task,
            folder,
            minutes=minutes,
            clock=processor_seconds if self.cpu_time else time.perf_counter,
            engine=self.engine,
            seed=seed,
            callbacks=[counter],
            eval_steps=None,
        )
        outcome = trainer.train(resume=True)
        return {
            "seconds": round(trainer.seconds, 1),
            "num_steps": outcome.num_steps,
            "num_queries": counter.num_queries,
        }

    def _new(self, seed: int) -> Realm:
        torch.manual_seed(seed)
        model = Realm.from_backbone(self.config.model, self.corpus.tokenizer())
        return model.to(self.engine.device).eval()

    def _config(self, name: str, seed: int) -> Config:
        return TRAININGS[name].change(self.config.replace(seed=seed))

    def _key(self, name: str, seed: int) -> list[Any]:
        """What the model after a training depends on."""
        settings = self._config(name, seed).to_dict()
        sections = [settings[section] for section in ("model", "masking", "warm_start", "pretrain")]
        length = [] if name == "start" else [self.minutes, self.cpu_time, self._key("start", seed)]
        return [__version__, name, seed, self.engine.bf16, self.corpus.digest, sections, length]


def _batch_size(task: Task[Any]) -> int:
    """Masked queries, or sentences of a warm start, that a step reads if it does not log how many it read."""
    settings: Any = task.settings  # type: ignore[attr-defined]
    if isinstance(task, Joint):
        return int(settings.batch_size)
    return int(settings.ict_batch + settings.recurring_batch)
