"""What a training of a run records for `openrealm watch` and the report, besides the trainer's metrics.

Three files in the stage's folder: `progress.jsonl` (time, memory, recall on dev questions), and in joint pre-training
`heldout.json` (the held-out queries) and `retrieved.jsonl` (what was retrieved for them, by index version).
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from openrealm import files, memory
from openrealm.callbacks import Callback, Row
from openrealm.errors import DamagedArtefact
from openrealm.evaluate.retrieval import recall_at_k
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.run.answering import is_right
from openrealm.run.retrieved import HELDOUT, PROGRESS, RETRIEVED, Heldout, HeldoutQuery
from openrealm.stored import read_as
from openrealm.train.heldout import retrieve_heldout
from openrealm.train.spans import DenseFinder, tokenize
from openrealm.train.tasks.joint import Joint
from openrealm.train.trainer import Trainer
from openrealm.types import NULL, Question

SECONDS_BETWEEN_ROWS = 5.0
MAX_DEV_QUESTIONS = 100
"""Most dev questions that recall is measured on at each evaluation."""
_RECALL_AT = 5
_QUESTIONS_AT_ONCE = 32


class Recorder(Callback):
    """Records time, memory, recall on dev questions, and the candidates of held-out queries.

    Rows are appended at most every five seconds, at each evaluation, and for each index version that training switches
    to; a version costs a search for the held-out queries, and an evaluation one for the dev questions.
    """

    def __init__(self, questions: Sequence[Question] = ()) -> None:
        """`questions`: dev questions, of which the first `MAX_DEV_QUESTIONS` are used; only in joint pre-training."""
        self._questions = list(questions[:MAX_DEV_QUESTIONS])
        self._written = 0.0
        self._index = ""

    def on_train_begin(self, trainer: Trainer) -> None:
        """Drop what was recorded after the checkpoint, and record how long the training is to be."""
        if not trainer.ranks.is_first:
            return
        task = trainer.task
        for name in (PROGRESS, RETRIEVED):
            _keep(trainer.folder / name, trainer.step)
        if isinstance(task, Joint):
            decode = task.corpus.tokenizer().decode
            queries: list[HeldoutQuery] = [
                {"query": decode(example.query), "gold": decode(example.gold), "kind": example.kind}
                for example in task.examples.heldout
            ]
            heldout: Heldout = {"corpus": task.corpus.digest, "queries": queries}
            files.write_json(trainer.folder / HELDOUT, heldout)
            self._index = task.index.name if trainer.step else ""
        planned = {"num_steps": trainer.schedule.num_steps} if trainer.minutes is None else {"minutes": trainer.minutes}
        self._append_progress(trainer, planned)

    def on_step_end(self, trainer: Trainer, row: Row) -> None:
        """Record time and memory every few seconds, and what is retrieved from a new version of the index."""
        if not trainer.ranks.is_first:
            return
        if time.monotonic() - self._written >= SECONDS_BETWEEN_ROWS:
            self._append_progress(trainer)
        task = trainer.task
        if isinstance(task, Joint) and task.index.name != self._index:
            self._index = task.index.name
            passages, probability = retrieve_heldout(
                trainer.model, task.corpus, task.index, task.examples.heldout, task.settings, trainer.engine
            )
            self._append_retrieved(trainer, passages, probability)

    def on_evaluate(self, trainer: Trainer, row: Row) -> None:
        """Record the candidates that the evaluation read, and recall on the dev questions."""
        task = trainer.task
        if not isinstance(task, Joint):
            return
        self._index = task.index.name
        self._append_retrieved(trainer, *_candidates(task.heldout_readings))
        if self._questions:
            recall = _recall(trainer.model, task, self._questions, trainer)
            self._append_progress(trainer, {f"dev_recall@{_RECALL_AT}": recall, "num_dev": len(self._questions)})

    def on_train_end(self, trainer: Trainer) -> None:
        """Record the end."""
        if trainer.ranks.is_first:
            self._append_progress(trainer)

    def _append_progress(self, trainer: Trainer, more: dict[str, Any] | None = None) -> None:
        self._written = time.monotonic()
        done = trainer.step / max(1, trainer.schedule.num_steps)
        if trainer.minutes is not None:
            done = trainer.seconds / (60 * trainer.minutes) if trainer.minutes else 1.0
        row: dict[str, Any] = {
            "step": trainer.step,
            "time": round(time.time(), 2),
            "share_done": round(min(1.0, done), 5),
            "memory_bytes": memory.resident_bytes(),
        }
        if trainer.engine.device.startswith("cuda"):
            row["gpu_memory_bytes"] = torch.cuda.memory_allocated(trainer.engine.device)
        files.append_line(trainer.folder / PROGRESS, json.dumps(row | (more or {})))

    def _append_retrieved(
        self,
        trainer: Trainer,
        passages: list[list[int]],
        probability: list[list[float]],
        utility: list[list[float]] | None = None,
    ) -> None:
        row: dict[str, Any] = {
            "step": trainer.step,
            "index": self._index,
            "passages": passages,
            "probability": [[round(value, 4) for value in values] for values in probability],
        }
        if utility is not None:
            row["utility"] = [[round(value, 3) for value in values] for values in utility]
        files.append_line(trainer.folder / RETRIEVED, json.dumps(row, separators=(",", ":")))


def _candidates(readings: Sequence[Reading]) -> tuple[list[list[int]], list[list[float]], list[list[float]]]:
    """Candidates, p(z|x) and utilities of the queries of all readings, without padding.

    There are no utilities without the null passage.
    """
    passages: list[list[int]] = []
    probability: list[list[float]] = []
    utility: list[list[float]] = []
    for reading in readings:
        probability_BK = reading.retrieval_log_prob().exp().tolist()
        utility_BK = reading.utility_BK().tolist() if reading.has_null else [[] for _ in probability_BK]
        for row, probability_K, utility_K in zip(reading.candidates, probability_BK, utility_BK, strict=True):
            passages.append(list(row))
            probability.append(probability_K[: len(row)])
            utility.append(utility_K[: len(row)])
    return passages, probability, utility


@torch.inference_mode()
def _recall(model: Realm, task: Joint, questions: Sequence[Question], trainer: Trainer) -> float:
    """Recall@5 on the questions with the current index; the model's training mode is restored."""
    was_training = model.training
    model.eval()
    corpus, finder = task.corpus, DenseFinder(task.index)
    texts = [question.text for question in questions]
    tokenized = tokenize(texts, corpus.tokenizer(), task.settings.max_query_tokens - 2)
    hits: list[list[bool]] = []
    for start in range(0, len(questions), _QUESTIONS_AT_ONCE):
        part = slice(start, start + _QUESTIONS_AT_ONCE)
        with trainer.engine.autocast():
            _, id_BK = finder.find(model, corpus, tokenized[part], _RECALL_AT)
        hits += [
            [number != NULL and is_right(corpus, number, question) for number in row]
            for question, row in zip(questions[part], id_BK.tolist(), strict=True)
        ]
    model.train(was_training)
    return recall_at_k(hits, _RECALL_AT)


def _keep(path: Path, step: int) -> None:
    """Keep the rows up to a checkpoint; none if training starts over, or if they are damaged."""
    if not path.exists():
        return
    num_rows = 0
    if step:
        with contextlib.suppress(DamagedArtefact):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            rows = [read_as(dict[str, Any], line, f"{path}:{number}") for number, line in enumerate(lines, 1)]
            num_rows = sum(int(row.get("step", 0)) <= step for row in rows)
    files.truncate_lines(path, num_rows)
