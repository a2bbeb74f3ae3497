"""The paper's tagger: a BERT with a token classifier, trained on CoNLL-2003 (Guu et al. 2020, Sec. 3.4).

Sentences are read with what stands around them in their document, as Devlin et al. 2019 (Sec. 5.3) do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from openrealm import files
from openrealm.engine import Engine
from openrealm.errors import BadConfig, BadInput
from openrealm.masking.conll import OUTSIDE, Document, Score, Sentence, running_text, score, texts_of, words_of
from openrealm.model.encoder import load_backbone
from openrealm.model.weights import backbone_location
from openrealm.progress import track
from openrealm.text.export import save_for_transformers
from openrealm.text.pack import Row, chunks_by_length, pad
from openrealm.text.tokenizer import Tokenizer
from openrealm.train.guard import Guard
from openrealm.train.optimizer import adam, rate_factor, set_rate

_NO_LABEL = -100  # what torch's cross entropy leaves out
_SORTED_BATCHES = 16

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TaggerSettings:
    """How a tagger is trained. The rates suit small encoders; Devlin et al. 2019 (Sec. 5.3) use 2e-5 to 5e-5."""

    backbone: str = "minilm"
    num_epochs: int = 5
    batch_size: int = 8  # windows a step
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    max_tokens: int = 128  # word pieces of a window, [CLS] and [SEP] among them
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Pieces:
    """Word pieces of a sentence or window, each with the number of its label."""

    ids: Ids
    labels: Ids


def train_tagger(documents: Sequence[Document], folder: Path, settings: TaggerSettings, engine: Engine) -> None:
    """Train on `documents` and publish `folder`, which transformers and the tagger "hf:FOLDER" load.

    Minimises the cross entropy of every word piece's IOB2 label. The same arguments give the same weights on the same
    machine. Raises BadInput where the documents name no entity, BadConfig where the backbone cannot be loaded.
    """
    torch.manual_seed(settings.seed)
    tokenizer = _tokenizer_of(settings.backbone)
    label_names = label_set(documents)
    pieces = encode(documents, tokenizer, label_names)
    model = classifier(settings.backbone, label_names)
    model.to(engine.device).train()
    optimizer, guard = _optimizer(model, settings)
    num_steps = settings.num_epochs * -(-sum(1 for _ in _windows(pieces, settings, epoch=0)) // settings.batch_size)
    with track("train tagger", num_steps) as advance:
        for step, batch in enumerate(_batches(pieces, settings, num_steps)):
            set_rate(optimizer, rate_factor(step, num_steps, None))
            loss = _loss(model, batch, tokenizer, engine)
            loss.backward()  # type: ignore[no-untyped-call]
            guard.step(optimizer, float(loss.detach()), step)
            advance(1, f"loss {float(loss.detach()):.3f}")
    save_tagger(model, tokenizer, folder, settings)


def _tokenizer_of(backbone: str) -> Tokenizer:
    location = backbone_location(backbone)
    if Path(location).is_dir():
        return Tokenizer.from_folder(Path(location))
    from transformers import AutoTokenizer

    try:
        whole: Any = AutoTokenizer.from_pretrained(location, use_fast=True)
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BadConfig(f"The tokenizer of {backbone} cannot be had ({reason}); give a folder, or 'minilm'.") from error
    return Tokenizer(json.loads(whole.backend_tokenizer.to_str()), location)


def label_set(documents: Sequence[Document]) -> list[str]:
    """ "O", then "B-" and "I-" of every kind that occurs, sorted; raises BadInput where there is none."""
    kinds = sorted({kind for document in documents for sentence in document for _, _, kind in sentence.runs})
    if not kinds:
        raise BadInput("The training file names no entity: every label is O; give a file with labelled names.")
    return [OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI")]


def encode(documents: Sequence[Document], tokenizer: Tokenizer, label_names: Sequence[str]) -> list[list[Pieces]]:
    """Each sentence of each document as labelled word pieces."""
    number = {label: i for i, label in enumerate(label_names)}
    return [[_pieces(sentence, tokenizer, number) for sentence in document] for document in documents]


def _pieces(sentence: Sentence, tokenizer: Tokenizer, number: dict[str, int]) -> Pieces:
    text, ranges = running_text([sentence])
    ids, offsets = tokenizer.encode(text)
    labels, before = [], -1
    for start, end in offsets:
        word = words_of((start, end), ranges)[0]
        label = sentence.labels[word]
        # Only the first piece of an entity opens it.
        labels.append(number["I-" + label[2:] if label != OUTSIDE and word == before else label])
        before = word
    return Pieces(np.asarray(ids, dtype=np.int64), np.asarray(labels, dtype=np.int64))


def classifier(backbone: str, label_names: Sequence[str]) -> Any:
    """The encoder `backbone` with a new linear layer over the labels, as transformers' token classifier."""
    from transformers import AutoModelForTokenClassification

    encoder: Any = load_backbone(backbone)
    config = encoder.config
    config.id2label = dict(enumerate(label_names))
    config.label2id = {label: i for i, label in enumerate(label_names)}
    model: Any = AutoModelForTokenClassification.from_config(config, attn_implementation="sdpa")  # type: ignore[no-untyped-call]
    model.base_model.load_state_dict(encoder.state_dict())
    config.architectures = [type(model).__name__]
    return model


def _windows(pieces: Sequence[Sequence[Pieces]], settings: TaggerSettings, epoch: int) -> Iterator[Pieces]:
    """Neighbouring sentences of a document up to a length that is drawn anew, so that bounds differ by epoch."""
    rng = np.random.default_rng([settings.seed, epoch])
    most = settings.max_tokens - 2
    for document in pieces:
        held: list[Pieces] = []
        room = int(rng.integers(most // 4, most + 1))
        for sentence in document:
            if held and len(sentence.ids) > room:
                yield _joined(held, most)
                held, room = [], int(rng.integers(most // 4, most + 1))
            held.append(sentence)
            room -= len(sentence.ids)
        yield _joined(held, most)


def _joined(held: Sequence[Pieces], most: int) -> Pieces:
    return Pieces(np.concatenate([p.ids for p in held])[:most], np.concatenate([p.labels for p in held])[:most])


def _batches(pieces: Sequence[Sequence[Pieces]], settings: TaggerSettings, num_steps: int) -> Iterator[list[Pieces]]:
    """Batches of windows of like length, `num_steps` in all."""
    epoch, num_given = 0, 0
    while True:
        windows = list(_windows(pieces, settings, epoch))
        rng = np.random.default_rng([settings.seed, epoch, 1])
        order = rng.permutation(len(windows))
        batches = []
        for start in range(0, len(order), _SORTED_BATCHES * settings.batch_size):
            part = [windows[i] for i in order[start : start + _SORTED_BATCHES * settings.batch_size]]
            chunks = chunks_by_length([len(window.ids) for window in part], settings.batch_size)
            batches += [[part[i] for i in chunk] for chunk in chunks]
        for i in rng.permutation(len(batches)):
            yield batches[i]
            num_given += 1
            if num_given == num_steps:
                return
        epoch += 1


def _loss(model: Any, batch: Sequence[Pieces], tokenizer: Tokenizer, engine: Engine) -> Tensor:
    """Mean cross entropy in nats of the word pieces of `batch`."""
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


def _optimizer(model: Any, settings: TaggerSettings) -> tuple[torch.optim.AdamW, Guard]:
    groups = [
        (list(model.base_model.parameters()), settings.learning_rate),
        (list(model.parameters()), settings.head_learning_rate),
    ]
    return adam(groups, settings.weight_decay), Guard(model.parameters(), settings.clip_norm)


def save_tagger(model: Any, tokenizer: Tokenizer, folder: Path, settings: TaggerSettings) -> None:
    """Publish `folder` as transformers keeps a token classifier: weights, config, tokenizer; and our manifest."""
    longest = int(getattr(model.config, "max_position_embeddings", settings.max_tokens))
    with files.new_folder(folder, {"kind": "tagger", "backbone": settings.backbone, "seed": settings.seed}) as out:
        files.write_json(out / "config.json", json.loads(model.config.to_json_string(use_diff=False)))
        files.write_safetensors(out / "model.safetensors", model.state_dict(), {"format": "pt"})
        save_for_transformers(tokenizer, out, min(longest, settings.max_tokens))


def evaluate_tagger(documents: Sequence[Document], folder: Path) -> Score:
    """Exact match of bounds and kind of a published tagger's entities, as conlleval counts it.

    Raises DamagedArtefact or BadInput where `folder` is no whole tagger.
    """
    from openrealm.masking.huggingface import HuggingFaceTagger

    texts = list(texts_of(documents))
    named = HuggingFaceTagger(str(folder)).named([text.text for text in texts])
    found = [
        {(*words_of((a, b), text.ranges), kind) for a, b, kind in row} for text, row in zip(texts, named, strict=True)
    ]
    return score(found, [text.gold for text in texts])
