"""How many steps fit into the time that a run may take: each part of the work is tried for a few seconds.

What was measured is kept in the run, so that a run that is continued goes on with the same numbers of steps.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import TypedDict

from openrealm import files
from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.errors import TooLittleText
from openrealm.progress import say, warn
from openrealm.run import artefacts
from openrealm.run.folder import Run
from openrealm.run.systems import SYSTEMS
from openrealm.stored import Count, Seconds
from openrealm.types import Question

if TYPE_CHECKING:
    from openrealm.index.index import Index
    from openrealm.model.realm import Realm
    from openrealm.train.task import Task

FILE = "budget.json"
_TUNED = SYSTEMS["realm"].stage
DEFAULT_MINUTES = 10.0
MIN_STEPS = 20
"""With fewer steps a training is left out: it would change next to nothing."""
FIRST = ("warm_start", "index")
"""The stages that the quickstart needs before the untrained model can answer."""
MIN_QUESTIONS = 50
"""With fewer questions to train on there is no fine-tuning."""

MIN_PASSAGES = 40
"""With fewer passages there is no pre-training."""

_PASSES, _PASSES_OF_QUESTIONS = 4, 3
_MIN_REFRESHED = 100
_REFRESH_SHARE = 0.1
_NUM_EMBEDDED, _NUM_ANSWERED = 64, 16
_TRIED_SECONDS = 6.0
_JOINT_SHARE = 0.4  # of the time for training, if there are questions to train on too
_SECONDS_OF_QUESTIONS, _SECONDS_OF_EXAMPLES = 2.0, 10.0


class Budget(TypedDict):
    """What was measured, in seconds, and the time a run may take.

    key            digest of what it was measured on
    minutes        the time for the whole run
    spent          until training was planned
    opening        to open or save a model
    preparing      to find what can be masked
    passage        to embed a passage
    question       to answer a question
    joint_step     a step of pre-training; 0 if there is too little text for it
    finetune_step  a step of fine-tuning; 0 without questions to train on
    num_trained    questions to train on
    num_asked      questions to measure with
    has_baseline   whether towers are also trained alone, for as long as pre-training takes; then the untrained model
                   answered before, and the stages `FIRST` are among what was spent
    announced      what the whole run is expected to take
    """

    key: str
    minutes: float
    spent: Seconds
    opening: Seconds
    preparing: Seconds
    passage: Seconds
    question: Seconds
    joint_step: Seconds
    finetune_step: Seconds
    num_trained: Count
    num_asked: Count
    has_baseline: bool
    announced: Seconds


@dataclass(frozen=True)
class Plan:
    """Numbers of steps, 0 where nothing is trained, and the seconds of the stages to do."""

    joint_steps: int
    refresh_steps: int
    finetune_steps: int
    seconds: dict[str, float]

    @property
    def trains(self) -> bool:
        """Whether anything is trained."""
        return bool(self.joint_steps or self.finetune_steps)


def plan(
    budget: Budget,
    config: Config,
    num_passages: int,
    fixed: Collection[str] = (),
) -> Plan:
    """What fits into the budget, and is worth its time: at most four passes over the text and three over the questions.

    config  gives the numbers of queries and questions in a batch
    fixed   sections of the configuration, "pretrain" and "finetune", whose numbers of steps it gives as well
    """
    has_baseline = budget["has_baseline"]
    opening, preparing, step = budget["opening"], budget["preparing"], budget["joint_step"]
    indexing = opening + num_passages * budget["passage"]
    asking = budget["num_asked"] * budget["question"]
    untrained = {
        "questions": preparing + _SECONDS_OF_QUESTIONS,
        "warm_start": 2 * opening,
        "index": indexing,
        "evaluate": opening + 3 * asking,
    }
    around = 3 * opening + preparing
    tunes = budget["finetune_step"] > 0
    trained = {
        "pretrain": around,
        "index_pretrained": indexing,
        **({"towers_alone": around, "index_towers_alone": indexing} if has_baseline else {}),
        **({_TUNED: around} if tunes else {}),
        "evaluate": 2 * opening + (4 if has_baseline else 5) * asking + preparing + _SECONDS_OF_EXAMPLES,
    }
    seconds = {name: value for name, value in (untrained | trained).items() if name not in _done(budget)}
    left = 60 * budget["minutes"] - budget["spent"] - sum(seconds.values())

    most = _PASSES * num_passages // config.pretrain.batch_size if num_passages >= MIN_PASSAGES else 0
    refresh_seconds = num_passages * budget["passage"]
    share = (_JOINT_SHARE if tunes else 1.0) / (2 if has_baseline else 1)
    joint_steps = _fitting(left * share, step * (1 + _REFRESH_SHARE), most)
    if "pretrain" in fixed and step:
        joint_steps = config.pretrain.num_steps
    refresh_steps = max(_MIN_REFRESHED, int(refresh_seconds / (_REFRESH_SHARE * step)) if step else 0)
    joint_seconds = joint_steps * step + max(0, joint_steps - 1) // refresh_steps * refresh_seconds

    most = _PASSES_OF_QUESTIONS * budget["num_trained"] // config.finetune.batch_size
    finetune_steps = (
        _fitting(left - joint_seconds * (2 if has_baseline else 1), budget["finetune_step"], most) if tunes else 0
    )
    if "finetune" in fixed and tunes:
        finetune_steps = config.finetune.num_steps
    if not joint_steps and not finetune_steps:
        return Plan(0, refresh_steps, 0, {name: untrained[name] for name in untrained if name not in _done(budget)})
    seconds["pretrain"] += joint_seconds
    if has_baseline:
        seconds["towers_alone"] += joint_seconds
    if not joint_steps:
        seconds |= {"pretrain": 2 * opening, "index_pretrained": opening}
    if finetune_steps:
        seconds[_TUNED] += finetune_steps * budget["finetune_step"]
    else:
        seconds.pop(_TUNED, None)
    return Plan(joint_steps, refresh_steps, finetune_steps, seconds)


def _fitting(left: float, step: float, most: int) -> int:
    """Steps that fit into `left` seconds, `most` of them at most; 0 if they are too few to change anything."""
    steps = min(most, int(left / step)) if step else 0
    return steps if steps >= MIN_STEPS else 0


def _done(budget: Budget) -> tuple[str, ...]:
    return FIRST if budget["has_baseline"] else ()


def key(config: Config, corpus: Corpus, num_questions: int, *, has_baseline: bool) -> str:
    """Digest of what decides how long each part of the work takes on a machine."""
    joint, tune = config.pretrain, config.finetune
    sizes = [joint.batch_size, joint.micro_batch_size, joint.num_candidates, joint.ict_batch, joint.max_query_tokens]
    sizes += [tune.batch_size, tune.num_candidates, tune.early_candidates, tune.max_query_tokens]
    machine = [config.device, config.precision, config.num_threads]
    return files.digest_of([corpus.digest, config.model.backbone, sizes, machine, num_questions, has_baseline])


def kept(run: Run, wanted: str = "") -> Budget | None:
    """What was measured before; None if nothing was, or with another `key` than the one `wanted`."""
    path = run.folder / FILE
    if not path.exists():
        return None
    found = files.read_sealed(path, Budget, "remove it, so that the time is measured again")
    return found if wanted in ("", found["key"]) else None


def keep(run: Run, budget: Budget) -> None:
    """Write budget.json."""
    files.write_sealed(run.folder / FILE, budget)


def measure(run: Run, corpus: Corpus, train: Sequence[Question], num_asked: int, *, has_baseline: bool) -> Budget:
    """Try every part of the work for a few seconds, with the default time and nothing announced yet.

    train         questions to train on
    num_asked     number of questions to measure with
    has_baseline  as in `Budget`
    """
    import torch

    from openrealm.index.index import Binding, Index
    from openrealm.model.realm import Realm

    started = time.monotonic()
    before = sum(run.record(name).get("seconds", 0.0) for name in ("corpus", *(FIRST if has_baseline else ())))
    say("measuring how fast this machine embeds, reads and trains")
    config, engine = run.config, artefacts.engine_of(run)
    torch.manual_seed(config.seed)
    model = Realm.from_backbone(config.model, corpus.tokenizer())
    model.to(engine.device)
    opening = time.monotonic() - started
    # Vectors do not matter for the time, but directions must differ, so that different passages are found.
    vector_ND = torch.nn.functional.normalize(torch.randn(corpus.num_passages, model.config.projection_dim), dim=1)
    index = Index(vector_ND, Binding.of(model, corpus))
    passage, question = _embedding(model, corpus, engine), _answering(model, corpus, index, config, engine)
    preparing, joint_step, finetune_step = _training(run, model, corpus, index, config, engine, train)
    return Budget(
        key=key(config, corpus, len(train) + num_asked, has_baseline=has_baseline),
        minutes=DEFAULT_MINUTES,
        spent=round(before + time.monotonic() - started, 1),
        opening=opening,
        preparing=preparing,
        passage=passage,
        question=question,
        joint_step=joint_step,
        finetune_step=finetune_step,
        num_trained=len(train),
        num_asked=num_asked,
        has_baseline=has_baseline,
        announced=0.0,
    )


def _sample(corpus: Corpus, count: int) -> list[int]:
    """Passages at equal distances."""
    return [int(n) for n in np.linspace(0, corpus.num_passages - 1, min(count, corpus.num_passages))]


def _embedding(model: Realm, corpus: Corpus, engine: Engine) -> float:
    import torch

    rows = [corpus.passage_row(i) for i in _sample(corpus, _NUM_EMBEDDED)]
    rows.sort(key=len)
    with torch.no_grad(), engine.autocast():
        model.retriever.encode_passage(rows[:4])  # the first is slower
        started = time.monotonic()
        model.retriever.encode_passage(rows).sum().item()
    return (time.monotonic() - started) / len(rows)


def _answering(model: Realm, corpus: Corpus, index: Index, config: Config, engine: Engine) -> float:
    from openrealm.train.spans import DenseFinder, answer_all

    texts = (" ".join(corpus.passage(i).text.split()[:12]) for i in _sample(corpus, _NUM_ANSWERED))
    questions = [Question(text, ()) for text in texts]
    started = time.monotonic()
    answer_all(model, corpus, DenseFinder(index), questions, config.finetune, engine)
    return (time.monotonic() - started) / len(questions)


def _training(
    run: Run,
    model: Realm,
    corpus: Corpus,
    index: Index,
    config: Config,
    engine: Engine,
    train: Sequence[Question],
) -> tuple[float, float, float]:
    """Seconds to prepare pre-training, of a step of it, and of a step of fine-tuning; trains `model`."""
    from openrealm.train.spans import DenseFinder
    from openrealm.train.tasks.joint import Joint
    from openrealm.train.tasks.openqa import OpenQA

    started = time.monotonic()
    try:
        joint = Joint(corpus, index, config=config, refresh_at_end=False, refresh_steps=_MIN_REFRESHED)
    except TooLittleText as error:
        warn(str(error))
        return 0.0, 0.0, 0.0
    preparing = time.monotonic() - started
    with tempfile.TemporaryDirectory(prefix="openrealm-") as folder:
        joint_step = _step(model, joint, engine, Path(folder) / "joint")
        finetune_step = 0.0
        if len(train) >= MIN_QUESTIONS:
            tune = OpenQA(corpus, None, train[: 4 * MIN_QUESTIONS], finder=DenseFinder(index), config=config)
            finetune_step = _step(model, tune, engine, Path(folder) / "finetune")
    return preparing, joint_step, finetune_step


def _step(model: Realm, task: Task[Any], engine: Engine, folder: Path) -> float:
    """The mean of the steps of some seconds without the first, which is slower, if there is another."""
    from openrealm.train import metrics
    from openrealm.train.trainer import Trainer

    minutes = _TRIED_SECONDS / 60
    Trainer(model, task, folder, minutes=minutes, engine=engine, eval_steps=None, checkpoint_steps=sys.maxsize).train()
    seconds = [float(row["seconds"]) for row in metrics.read(folder) if row["split"] == "train"]
    return statistics.mean(seconds[1:] or seconds)
