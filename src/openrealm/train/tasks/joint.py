"""Joint pre-training of retriever and reader, marginalising over passages (Guu et al. 2020, Sec. 3)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.errors import DamagedArtefact, NonFinite, ShapeMismatch
from openrealm.index.compare import difference
from openrealm.index.index import Index, version_name
from openrealm.model.marginal import query_weights
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.recipes.small import small_encoder
from openrealm.registry import LOSSES
from openrealm.stored import checked
from openrealm.train import checkpoint
from openrealm.train.candidates import (
    find_candidates,
    pack_candidates,
    passages_to_read,
    queries_to_read,
    query_rows,
    sample_tail,
    share_between,
)
from openrealm.train.examples import Example, Queries, contains, pretraining_examples
from openrealm.train.heldout import evaluate_heldout, metrics_of
from openrealm.train.in_batch import InBatchLosses
from openrealm.train.optimizer import grad_norm, pretraining_groups
from openrealm.train.pairs import Pairs
from openrealm.train.ranks import Ranks
from openrealm.train.refresh import Refresher, RefreshState, share_of_cores
from openrealm.train.task import Log, ParameterGroup, Row, Schedule, Task
from openrealm.train.trainer import Trainer
from openrealm.types import NULL

JointLoss = Callable[[Reading], Tensor]

# Settings that do not affect the weights and may differ when training is resumed. The loss is compared by its name.
_FREE = ("name", "device", "num_threads", "finetune", "callbacks")
_NUM_COMPARED = 128  # held-out queries by which two versions of the index are compared
_FREE_IN_PRETRAIN = ("loss", "eval_steps", "checkpoint_steps", "max_staleness_steps")


@dataclass(frozen=True, slots=True)
class JointBatch:
    """The part of a step's batch for one process.

    examples  masked queries to find candidates for
    pairs     pairs for other losses of the towers, by loss
    """

    step: int
    examples: Sequence[Example]
    pairs: dict[str, Pairs]


@dataclass(frozen=True, slots=True)
class _ToRead:
    """Masked queries to read, their positions in the whole training, and their candidates, if they are known."""

    examples: Sequence[Example]
    numbers: Sequence[int]
    candidates: Sequence[list[int]] | None


class Joint(Task[JointBatch]):
    """Trains retriever and reader on masked sentences of `corpus`, with candidate passages found by `index`.

    Another process refreshes the index while training continues (Guu et al. 2020, Sec. 3.3).

    >>> import openrealm as orm
    >>> corpus = orm.Corpus.build("my_docs/", "corpus/")
    >>> model = orm.Realm.from_pretrained("openrealm-mini")
    >>> joint = orm.tasks.Joint(corpus, orm.Index.build(model, corpus), batch_size=2)
    >>> outcome = orm.Trainer(model, joint, "training/", num_steps=1).train()
    >>> "retrieval_utility" in outcome.last
    True
    """

    name: ClassVar[str] = "joint"
    splits_batches: ClassVar[bool] = True

    def __init__(
        self,
        corpus: Corpus,
        index: Index,
        *,
        loss: str | JointLoss | None = None,
        config: Config | None = None,
        queries: Queries | None = None,
        index_folder: str | Path | None = None,
        refresh_at_end: bool = True,
        **settings: Any,
    ) -> None:
        """Prepare the masked examples.

        loss            a name in `registry.LOSSES`, or a function from a `Reading` to one loss per query, shape (B,);
                        None means the one in `config`. Checkpoints identify a function by its name only
        config          settings; None means those of the recipe small-encoder for a corpus of this size
        queries         source of the examples, if not `corpus` itself (Guu et al. 2020, Sec. 4.3)
        index_folder    where index versions are published; None means index/ in the trainer's folder
        refresh_at_end  whether to rebuild `index` with the final passage tower after the last step
        settings        fields of `PretrainConfig` that override `config`
        Raises BadInput if too few passages contain something to mask or no name recurs, BadConfig for an unknown loss
        or setting.
        """
        config = small_encoder(len(corpus)) if config is None else config
        self.config = config.replace(pretrain=config.pretrain.replace(**settings))
        self.settings = self.config.pretrain
        self.corpus, self._first_index = corpus, index
        chosen = self.settings.loss if loss is None else loss
        self.loss: JointLoss = LOSSES.get(chosen) if isinstance(chosen, str) else chosen
        self.loss_name = chosen if isinstance(chosen, str) else _name_of(chosen)
        self.examples = pretraining_examples(self.config, corpus, queries)
        trains_towers = not self.settings.freeze_towers
        self._in_batch = InBatchLosses(
            self.config,
            corpus,
            ict_batch=trains_towers * self.settings.ict_batch,
            recurring_batch=trains_towers * self.settings.recurring_batch,
        )
        self._refresh_at_end = refresh_at_end
        self._index_folder = None if index_folder is None else Path(index_folder)
        self._step = 0
        self._refresher: Refresher | None = None
        self.heldout_readings: list[Reading] = []
        self.schedule = Schedule.from_settings(self.settings)

    def setup(self, trainer: Trainer) -> None:
        """Check that the index belongs to the model, and freeze the towers if the settings say so.

        Raises Mismatch if the index was built with other weights, another tokenizer or another corpus.
        """
        super().setup(trainer)
        model: Realm = trainer.model
        self._num_threads = self.config.num_threads or torch.get_num_threads()
        self.index.check(model, self.corpus)
        if self.settings.freeze_towers:
            model.retriever.requires_grad_(False)
        self._refresher = Refresher(
            self.corpus,
            self._first_index,
            self._index_folder or trainer.folder / "index",
            trainer.folder,
            trainer.engine,
            every_steps=None if self.settings.freeze_towers else self.settings.refresh_steps,
            synchronous=self.settings.synchronous_refresh,
            max_staleness_steps=self.settings.max_staleness_steps,
            searcher=self.config.index.searcher,
        )

    @property
    def index(self) -> Index:
        """The index in use; after training, by default, one built with the final passage tower."""
        return self._first_index if self._refresher is None else self._refresher.index

    @property
    def refresher(self) -> Refresher:
        """Refreshes the index; available once a `Trainer` was created for the task."""
        assert self._refresher is not None, "a Trainer sets the task up"
        return self._refresher

    def parameter_groups(self, model: Realm) -> list[ParameterGroup]:
        """The reader's encoder, its head and the towers, each with its own learning rate."""
        return pretraining_groups(model, self.settings)

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> JointBatch:
        """The masked examples that candidates are found for, and pairs; a function of seed, step and rank."""
        # Continue the order of sentences where the warm start ended.
        pairs = self._in_batch.batch(self.config.warm_start.num_steps + step, rank, num_ranks)
        size = self.settings.search_batch_size or self.settings.batch_size
        return JointBatch(step, self.examples.batch(step, size, rank, num_ranks), pairs)

    def losses(self, model: Realm, batch: JointBatch, log: Log) -> Iterator[Tensor]:
        """The joint loss of one micro-batch after another, then the other losses of the towers; in nats.

        Raises ShapeMismatch if a custom loss does not return one value per query, NonFinite to skip the step.
        """
        ranks = self.trainer.ranks
        queries, readings = self._to_read(model, batch, log), list[Reading]()
        failed: NonFinite | None = None
        try:
            yield from self._joint_losses(model, queries, readings, log)
        except NonFinite as error:
            failed = error  # after its share of what the processes compute together
        log["num_distinct_passages"] = _num_distinct(readings, ranks)
        yield from self._in_batch.losses(model, batch.pairs, self.trainer.engine, log, ranks)
        if failed is not None:
            raise failed

    def _joint_losses(self, model: Realm, queries: _ToRead, readings: list[Reading], log: Log) -> Iterator[Tensor]:
        """The joint loss of one micro-batch after another, whose readings are appended to `readings`."""
        settings, ranks = self.settings, self.trainer.ranks
        examples = queries.examples
        num_masks_B = torch.tensor([len(example.positions) for example in examples], device=self.trainer.engine.device)
        share, share_of_masks = ranks.weight(len(examples)), ranks.weight(int(num_masks_B.sum()))
        if not examples:
            return
        weight_B = query_weights(num_masks_B, by_masks=settings.mean_over_masks)
        weight_B = weight_B * (share_of_masks if settings.mean_over_masks else share)
        size, objective = settings.micro_batch_size or len(examples), 0.0
        for first in range(0, len(examples), size):
            part = slice(first, first + size)
            candidates = None if queries.candidates is None else queries.candidates[part]
            reading, num_tokens = self._read(model, _ToRead(examples[part], queries.numbers[part], candidates))
            loss_B = self.loss(reading)
            if loss_B.shape != (len(examples[part]),):
                raise ShapeMismatch(
                    f"The loss {self.loss_name} returned a tensor of shape {tuple(loss_B.shape)} for "
                    f"{len(examples[part])} queries; expected one value per query, shape ({len(examples[part])},)."
                )
            loss = (loss_B * weight_B[part]).sum()
            readings.append(reading.detach())
            log["num_tokens"] = log.get("num_tokens", 0) + num_tokens
            objective += float(loss.detach())
            yield loss
        log |= {name: share * float(value) for name, value in metrics_of(readings).items()}
        if self.loss_name != "marginal":
            log["objective"] = objective  # "loss" is always the marginal, so that runs can be compared
        if ranks.num_ranks == 1:  # otherwise these are gradients of a part
            for tower in ("query_tower", "passage_tower"):
                log[f"{tower}_grad_norm"] = grad_norm(getattr(model.retriever, tower))

    def _to_read(self, model: Realm, batch: JointBatch, log: Log) -> _ToRead:
        """This process's share of the queries to read, with their candidates if those had to be found to choose them.

        Logs the share of the queries that are answerable: whose masked span occurs in a candidate.
        """
        settings, examples, ranks = self.settings, batch.examples, self.trainer.ranks
        if settings.search_batch_size is None:
            first = batch.step * settings.batch_size
            return _ToRead(examples, range(first + ranks.rank, first + settings.batch_size, ranks.num_ranks), None)
        with self.trainer.engine.autocast(), torch.no_grad():
            query_BD = model.retriever.encode_query(query_rows(self.corpus, examples, settings.max_query_tokens))
        found = self._find(query_BD, examples, settings.search_candidates)
        has_span = [
            [contains(self.corpus.body(passage), example.gold) for passage in candidates]
            for example, candidates in zip(examples, found, strict=True)
        ]
        most = settings.num_candidates - settings.num_tail_candidates
        is_answerable = _of_all([any(row) for row in has_span], ranks)
        to_read = _of_all([passages_to_read(*row, most) for row in zip(found, has_span, strict=True)], ranks)
        share = share_between(settings.unanswerable_share, settings.final_unanswerable_share, self.trainer.share_done())
        chosen = queries_to_read(is_answerable, settings.batch_size, share)
        log |= {"answerable": sum(is_answerable) / len(is_answerable), "num_read": len(chosen)}
        first = batch.step * settings.batch_size
        numbers = range(first + ranks.rank, first + len(chosen), ranks.num_ranks)
        mine = chosen[ranks.rank :: ranks.num_ranks]
        if ranks.num_ranks == 1:
            read = [examples[i] for i in mine]
        else:
            read = self.examples.some(batch.step, settings.search_batch_size, mine)
        return _ToRead(read, numbers, [to_read[i] for i in mine])

    def _find(self, query_BD: Tensor, examples: Sequence[Example], most: int | None = None) -> list[list[int]]:
        """The best passages of the current index for each query, by default as many as are read."""
        settings = self.settings
        return find_candidates(
            self.index,
            query_BD,
            examples,
            most or settings.num_candidates - settings.num_tail_candidates,
            use_null=settings.use_null,
            block_trivial=settings.block_trivial,
        )

    def _read(self, model: Realm, queries: _ToRead) -> tuple[Reading, int]:
        """Read candidates, by default those in the current index, with the live model; also the number of tokens."""
        settings, examples, candidates = self.settings, queries.examples, queries.candidates
        with self.trainer.engine.autocast():
            with torch.set_grad_enabled(not settings.freeze_towers):
                query_BD = model.retriever.encode_query(query_rows(self.corpus, examples, settings.max_query_tokens))
            if candidates is None:
                candidates = self._find(query_BD, examples)
            log_weights = None
            if settings.num_tail_candidates:
                candidates, log_weights = sample_tail(
                    self.index,
                    query_BD,
                    examples,
                    candidates,
                    settings.num_tail_candidates,
                    block_trivial=settings.block_trivial,
                    seed=self.config.seed,
                    numbers=queries.numbers,
                )
            inputs = pack_candidates(
                self.corpus,
                examples,
                candidates,
                settings,
                with_title=model.config.title_in_joint,
                log_weights=log_weights,
            )
            return model(inputs, query_BD), inputs.num_tokens

    def on_step_begin(self, step: int) -> None:
        """Switch to a new index, in all processes at once; leave cores to the refresh worker while it runs."""
        self._step = step
        ranks, before, waits = self.trainer.ranks, self.index.name, self.refresher.waits(step)
        if ranks.is_first:
            self._refresh(step)
        if waits:
            ranks.wait()
        name = ranks.text_from_first(self.index.name)
        if name != before and not ranks.is_first:
            self.refresher.adopt(name, step)
        threads, _ = share_of_cores(self.refresher.is_running)
        torch.set_num_threads(min(threads, self._num_threads))

    def _refresh(self, step: int) -> None:
        old = self.index
        if self.refresher.update(self.trainer.model, step):
            index = self.index
            with contextlib.suppress(DamagedArtefact):  # what a damaged checkpoint needs is unknown
                self.refresher.prune(self._versions_of_checkpoints())
            row: Row = {"index": index.name, "staleness_steps": step - index.step, **self._change(old, index)}
            self.trainer.log("refresh", row)

    def _change(self, old: Index, new: Index) -> dict[str, float]:
        """How much the results of held-out queries change, and how far the passages have moved."""
        rows = query_rows(self.corpus, self.examples.heldout[:_NUM_COMPARED], self.settings.max_query_tokens)
        model: Realm = self.trainer.model
        was_training = model.training
        model.eval()
        with self.trainer.engine.autocast(), torch.no_grad():
            query_BD = model.retriever.encode_query(rows)
        model.train(was_training)
        return difference(old, new, query_BD, self.settings.num_candidates).row()

    def _versions_of_checkpoints(self) -> list[str]:
        """The index versions that a resumed training would open."""
        found = checkpoint.checkpoints(self.trainer.checkpoints)
        states = [checkpoint.read_state(path, verify=False)["task"] for path in found]
        return [version_name(s["index"]["step"], s["index"]["binding"]["encoder"]) for s in states]

    def step_row(self) -> Row:
        """The index in use and its age in steps, counted after the step."""
        return {
            "staleness_steps": self._step + 1 - self.index.step,
            "index": self.index.name,
            "refreshing": int(self.refresher.is_running),
        }

    def evaluate(self, model: Realm) -> Row:
        """Loss, retrieval utility, recall and more on held-out queries; `heldout_readings` keeps the readings."""
        row, readings = evaluate_heldout(
            model, self.corpus, self.index, self.examples.heldout, self.settings, self.trainer.engine
        )
        self.heldout_readings = [reading.detach() for reading in readings]
        return row | {"staleness_steps": self.trainer.step - self.index.step}

    def note(self, row: Row) -> str:
        """Loss, retrieval utility and the age of the index."""
        loss = f"loss {row['loss']:.2f}" if "loss" in row else "step skipped"
        utility = f", utility {row['retrieval_utility']:.2f}" if "retrieval_utility" in row else ""
        return f"{loss}{utility}, index {row['staleness_steps']} steps old"

    def fingerprint(self) -> Any:
        """Settings, corpora and the name of the loss."""
        values = {key: value for key, value in self.config.to_dict().items() if key not in _FREE}
        values["pretrain"] = {key: value for key, value in values["pretrain"].items() if key not in _FREE_IN_PRETRAIN}
        return [values, self.loss_name, self.corpus.digest, self.examples.corpus.digest]

    def state(self) -> dict[str, Any]:
        """The index version in use and the steps at which it was refreshed."""
        return dict(self.refresher.state())

    def load_state(self, state: dict[str, Any]) -> None:
        """Open the index version that was in use."""
        where = f"The state of the task in {self.trainer.checkpoints}"
        self.refresher.load_state(checked(RefreshState, state, where, "start over without resume"))

    def finish(self) -> None:
        """Rebuild the index with the final passage tower, unless `refresh_at_end` is off."""
        if self._refresh_at_end:
            self.close()  # a refresh that is still running would be outdated
            trainer = self.trainer
            # Each process has its own, since this one is not published.
            self.refresher.index = self.index.refresh(
                trainer.model, self.corpus, step=trainer.step, engine=trainer.engine
            )

    def close(self) -> None:
        """Stop the refresh worker and take back its cores."""
        if self.trainer.ranks.is_first:
            self.refresher.close()
        torch.set_num_threads(self._num_threads)


def _num_distinct(readings: Sequence[Reading], ranks: Ranks) -> int:
    """The number of distinct passages in the readings of all processes."""
    distinct = {passage for reading in readings for passages in reading.candidates for passage in passages}
    every = [json.loads(text) for text in ranks.texts(json.dumps(sorted(distinct)))]
    return len(set[int]().union(*every) - {NULL})


def _of_all(part: Sequence[Any], ranks: Ranks) -> list[Any]:
    """JSON values of all processes in the order of the batch, of which each process has every num_ranks-th."""
    if ranks.num_ranks == 1:
        return list(part)
    parts = [json.loads(text) for text in ranks.texts(json.dumps(part))]
    return [parts[i % ranks.num_ranks][i // ranks.num_ranks] for i in range(sum(map(len, parts)))]


def _name_of(loss: JointLoss) -> str:
    """Import path of a function, or of the class of another callable, such as a partial or a module."""
    named = loss if hasattr(loss, "__qualname__") else type(loss)
    return f"{named.__module__}.{named.__qualname__}"
