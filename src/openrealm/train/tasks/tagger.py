"""The paper's tagger: BERT with a token classifier, trained on CoNLL-2003 (Guu et al. 2020, Sec. 3.4).

Sentences are read in the context of their document, as in Devlin et al. 2019, Sec. 5.3.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from openrealm import files
from openrealm.engine import Engine
from openrealm.errors import BadInput
from openrealm.masking.conll import OUTSIDE, Document, Score, Sentence, running_text, score, texts_of, words_of
from openrealm.model.encoder import load_backbone
from openrealm.model.weights import tokenizer_of
from openrealm.text.export import save_for_transformers
from openrealm.text.pack import Row, chunks_by_length, pad
from openrealm.text.tokenizer import Tokenizer
from openrealm.train.ranks import all_ranks
from openrealm.train.task import Log, ParameterGroup, Schedule, Task
from openrealm.train.trainer import Trainer

_NO_LABEL = -100  # ignored by torch's cross entropy
_SORTED_BATCHES = 16

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TaggerSettings:
    """Settings for training a tagger.

    The learning rates suit small encoders; Devlin et al. 2019 (Sec. 5.3) use 2e-5 to 5e-5.

    >>> TaggerSettings(num_epochs=2).batch_size
    8
    """

    backbone: str = "minilm"
    num_epochs: int = 5
    batch_size: int = 8  # windows per batch
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    max_tokens: int = 128  # word pieces per window, including [CLS] and [SEP]
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """Word pieces of a sentence or window, and the numbers of their labels."""

    ids: Ids
    labels: Ids


class Tagger(Task[list[Labelled]]):
    """Trains a token classifier to predict the IOB2 labels of `documents`.

    Use the model returned by `new_model`:

    >>> from pathlib import Path
    >>> from openrealm.masking.conll import read_conll
    >>> import openrealm as orm
    >>> task = orm.tasks.Tagger(read_conll(Path("names.conll")), backbone="openrealm-mini", num_epochs=1)
    >>> orm.Trainer(task.new_model(), task, "training/").train().num_steps
    1
    """

    name: ClassVar[str] = "tagger"
    splits_batches: ClassVar[bool] = True

    def __init__(self, documents: Sequence[Document], settings: TaggerSettings | None = None, **changes: Any) -> None:
        """Tokenize the documents.

        settings  None means the defaults
        changes   fields of `TaggerSettings` that override `settings`
        Raises BadInput if the documents contain no entity, BadConfig if the backbone could not be loaded.
        """
        self.settings = dataclasses.replace(settings or TaggerSettings(), **changes)
        self.tokenizer = tokenizer_of(self.settings.backbone)
        self.label_names = label_set(documents)
        self._pieces = encode(documents, self.tokenizer, self.label_names)
        self._epochs = Epochs(self._pieces, self.settings)
        num_batches = -(-sum(1 for _ in windows(self._pieces, self.settings, epoch=0)) // self.settings.batch_size)
        self.schedule = Schedule(
            num_steps=self.settings.num_epochs * num_batches,
            weight_decay=self.settings.weight_decay,
            clip_norm=self.settings.clip_norm,
        )

    def new_model(self) -> Any:
        """The backbone with a new linear layer, initialised with the seed of the settings."""
        torch.manual_seed(self.settings.seed)
        return classifier(self.settings.backbone, self.label_names)

    def parameter_groups(self, model: Any) -> list[ParameterGroup]:
        """The encoder and the new layer, each with its own learning rate."""
        return [
            (list(model.base_model.parameters()), self.settings.learning_rate),
            (list(model.parameters()), self.settings.head_learning_rate),
        ]

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> list[Labelled]:
        """Windows of similar length, a function of seed, step and rank."""
        return self._epochs.batch(step)[rank::num_ranks]

    def losses(self, model: Any, batch: list[Labelled], log: Log) -> Iterator[Tensor]:
        """Cross entropy of the labels in nats, mean over word pieces."""
        weight = self.trainer.ranks.weight(sum(len(window.ids) for window in batch))
        if not batch:
            return
        loss = weight * _loss(model, batch, self.tokenizer, self.trainer.engine)
        log["loss"] = float(loss.detach())
        yield loss

    def fingerprint(self) -> Any:
        """Settings, labels, tokenizer and text."""
        digest = hashlib.sha256()
        for document in self._pieces:
            for sentence in document:
                digest.update(sentence.ids.tobytes() + sentence.labels.tobytes())
        return [dataclasses.asdict(self.settings), self.label_names, self.tokenizer.digest, digest.hexdigest()]


class Epochs:
    """Batches of windows with random access to any step; a batch is a function of seed and step."""

    def __init__(self, pieces: Sequence[Sequence[Labelled]], settings: TaggerSettings) -> None:
        self._pieces, self._settings = pieces, settings
        self._first_steps = [0]  # per epoch visited; window bounds, and with them the number of batches, vary
        self._epoch, self._batches = -1, list[list[Labelled]]()

    def batch(self, step: int) -> list[Labelled]:
        """The batch of a step."""
        while self._first_steps[-1] <= step:
            self._load(len(self._first_steps) - 1)
            self._first_steps.append(self._first_steps[-1] + len(self._batches))
        epoch = bisect.bisect_right(self._first_steps, step) - 1
        self._load(epoch)
        return self._batches[step - self._first_steps[epoch]]

    def _load(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        settings = self._settings
        found = list(windows(self._pieces, settings, epoch))
        rng = np.random.default_rng([settings.seed, epoch, 1])
        order = rng.permutation(len(found))
        batches = []
        for start in range(0, len(order), _SORTED_BATCHES * settings.batch_size):
            part = [found[i] for i in order[start : start + _SORTED_BATCHES * settings.batch_size]]
            chunks = chunks_by_length([len(window.ids) for window in part], settings.batch_size)
            batches += [[part[i] for i in chunk] for chunk in chunks]
        self._epoch, self._batches = epoch, [batches[i] for i in rng.permutation(len(batches))]


def train_tagger(
    documents: Sequence[Document], folder: Path, settings: TaggerSettings, engine: Engine, *, resume: bool = False
) -> None:
    """Train on `documents` and publish `folder`, which can be loaded by transformers and by the tagger "hf:FOLDER".

    If started by torchrun, all its processes train together. Metrics and checkpoints are kept in .training-NAME next to
    `folder` until it is published. The same arguments give
    the same weights on the same machine. Raises BadInput if the documents contain no entity, BadConfig if the backbone
    could not be loaded, Busy if another process trains the same tagger.
    """
    task = Tagger(documents, settings)
    model = task.new_model()
    training = folder.with_name(f".training-{folder.name}")
    with all_ranks(engine.device) as ranks:
        with files.sole_writer(training) if ranks.is_first else contextlib.nullcontext():
            Trainer(model, task, training, engine=engine, seed=settings.seed, ranks=ranks).train(resume=resume)
            if ranks.is_first:
                save_tagger(model, task.tokenizer, folder, settings)
        if ranks.is_first:
            files.remove_folder(training)


def label_set(documents: Sequence[Document]) -> list[str]:
    """ "O", then "B-" and "I-" labels of all kinds that occur, sorted. Raises BadInput if there is none."""
    kinds = sorted({kind for document in documents for sentence in document for _, _, kind in sentence.runs})
    if not kinds:
        raise BadInput("The training file contains no entity: all labels are O; provide a file with labelled names.")
    return [OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI")]


def encode(documents: Sequence[Document], tokenizer: Tokenizer, label_names: Sequence[str]) -> list[list[Labelled]]:
    """The labelled word pieces of each sentence of each document."""
    number = {label: i for i, label in enumerate(label_names)}
    return [[_pieces(sentence, tokenizer, number) for sentence in document] for document in documents]


def _pieces(sentence: Sentence, tokenizer: Tokenizer, number: dict[str, int]) -> Labelled:
    text, ranges = running_text([sentence])
    ids, offsets = tokenizer.encode(text)
    labels, before = [], -1
    for start, end in offsets:
        word = words_of((start, end), ranges)[0]
        label = sentence.labels[word]
        # Only the first word piece of an entity gets a "B-" label.
        labels.append(number["I-" + label[2:] if label != OUTSIDE and word == before else label])
        before = word
    return Labelled(np.asarray(ids, dtype=np.int64), np.asarray(labels, dtype=np.int64))


def classifier(backbone: str, label_names: Sequence[str]) -> Any:
    """A token classifier of transformers: the encoder `backbone` with a new linear layer over the labels."""
    from transformers import AutoModelForTokenClassification

    encoder: Any = load_backbone(backbone)
    config = encoder.config
    config.id2label = dict(enumerate(label_names))
    config.label2id = {label: i for i, label in enumerate(label_names)}
    model: Any = AutoModelForTokenClassification.from_config(config, attn_implementation="sdpa")  # type: ignore[no-untyped-call]
    model.base_model.load_state_dict(encoder.state_dict())
    config.architectures = [type(model).__name__]
    return model


def windows(pieces: Sequence[Sequence[Labelled]], settings: TaggerSettings, epoch: int) -> Iterator[Labelled]:
    """Windows of consecutive sentences of a document, of random maximum lengths, so that bounds vary by epoch."""
    rng = np.random.default_rng([settings.seed, epoch])
    most = settings.max_tokens - 2
    for document in pieces:
        held: list[Labelled] = []
        room = int(rng.integers(most // 4, most + 1))
        for sentence in document:
            if held and len(sentence.ids) > room:
                yield _joined(held, most)
                held, room = [], int(rng.integers(most // 4, most + 1))
            held.append(sentence)
            room -= len(sentence.ids)
        yield _joined(held, most)


def _joined(held: Sequence[Labelled], most: int) -> Labelled:
    return Labelled(np.concatenate([p.ids for p in held])[:most], np.concatenate([p.labels for p in held])[:most])


def _loss(model: Any, batch: Sequence[Labelled], tokenizer: Tokenizer, engine: Engine) -> Tensor:
    """Cross entropy in nats, mean over the word pieces of `batch`."""
    rows = [Row(np.concatenate([[tokenizer.cls_id], p.ids, [tokenizer.sep_id]]), len(p.ids) + 2) for p in batch]
    ids, real, _ = pad(rows, tokenizer.pad_id)
    labels = np.full(ids.shape, _NO_LABEL, dtype=np.int64)
    for row, window in enumerate(batch):
        labels[row, 1 : len(window.labels) + 1] = window.labels
    inputs = {"input_ids": ids, "attention_mask": real.astype(np.int64)}
    with engine.autocast():
        logits = model(**{name: torch.from_numpy(array).to(engine.device) for name, array in inputs.items()}).logits
    return nn.functional.cross_entropy(
        logits.float().flatten(0, 1), torch.from_numpy(labels).to(engine.device).flatten(), ignore_index=_NO_LABEL
    )


def save_tagger(model: Any, tokenizer: Tokenizer, folder: Path, settings: TaggerSettings) -> None:
    """Publish `folder` with weights, config and tokenizer in the format of transformers, and a manifest."""
    longest = int(getattr(model.config, "max_position_embeddings", settings.max_tokens))
    with files.new_folder(folder, {"kind": "tagger", "backbone": settings.backbone, "seed": settings.seed}) as out:
        files.write_json(out / "config.json", json.loads(model.config.to_json_string(use_diff=False)))
        files.write_safetensors(out / "model.safetensors", model.state_dict(), {"format": "pt"})
        save_for_transformers(tokenizer, out, min(longest, settings.max_tokens))


def evaluate_tagger(documents: Sequence[Document], folder: Path) -> Score:
    """Score of a published tagger's entities: exact match of bounds and kind, as counted by conlleval.

    Raises DamagedArtefact or BadInput if `folder` does not contain a complete tagger.
    """
    from openrealm.masking.huggingface import HuggingFaceTagger

    texts = list(texts_of(documents))
    named = HuggingFaceTagger(str(folder)).named([text.text for text in texts])
    found = [
        {(*words_of((a, b), text.ranges), kind) for a, b, kind in row} for text, row in zip(texts, named, strict=True)
    ]
    return score(found, [text.gold for text in texts])
