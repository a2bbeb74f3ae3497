"""Training a question-answering model from files of questions: corpus, spans and negatives, training, calibration.

Everything is kept in one folder: corpus/, towers/, training/, calibration/, model/ and figures.json.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import random
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from openrealm import files
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadConfig, BadInput
from openrealm.model.weights import backbone_location, tokenizer_of
from openrealm.progress import say
from openrealm.qa.questions import Asked, counts_of, interleave, paragraphs, read_asked, split
from openrealm.types import Article

if TYPE_CHECKING:
    from openrealm.engine import Engine
    from openrealm.model.realm import Realm
    from openrealm.qa.settings import QaSettings

_HELDOUT_PER_EVALUATION = 3  # questions whose passages are sought for each that is read: not all of them have a span


def tiny(settings: QaSettings) -> QaSettings:
    """`settings` reduced to a few seconds of training on one core, to try out all parts."""
    return dataclasses.replace(
        settings,
        name="openrealm-qa-tiny",
        backbone="openrealm-mini",
        projection_dim=128,
        span_hidden=16,
        max_joint_tokens=128,
        max_query_tokens=32,
        max_passage_tokens=96,
        heldout_every=4,
        num_steps=12,
        batch_size=4,
        warmup_steps=4,
        eval_steps=6,
        num_heldout=16,
        checkpoint_steps=6,
        num_calibration=24,
        num_distractors=40,
    )


def train_qa(
    sources: Sequence[str | Path],
    folder: Path,
    settings: QaSettings,
    engine: Engine,
    *,
    resume: bool = False,
    max_questions: int | None = None,
) -> Path:
    """Prepare the data, train, calibrate and save; returns the folder of the model, `folder`/model.

    If started by torchrun, all its processes train together.

    sources        files of questions, see `read_asked`
    resume         continue from the last checkpoint, if there is one
    max_questions  take no more than about this many questions, at equal distances
    Raises BadInput naming the file and line or key that cannot be read, or if there are too few questions; BadConfig
    or NotInstalled if the backbone could not be loaded, Busy if another process trains in `folder`, Mismatch if
    training is resumed with other settings.
    """
    from openrealm.qa.matching import PassageMatching
    from openrealm.qa.pool import items
    from openrealm.qa.task import SpanReading
    from openrealm.train.ranks import all_ranks
    from openrealm.train.trainer import Trainer

    backbone_location(settings.origin, "qa.backbone" if settings.start is None else "qa.start")
    asked = [list(read_asked(Path(source))) for source in sources]
    if max_questions is not None:
        every = -(-sum(map(len, asked)) // max_questions)
        asked = [source[::every] for source in asked]
    questions = [[one for one in source if one.text] for source in asked]
    num_asked = sum(map(len, questions))
    train, heldout = zip(*(split(source, settings.heldout_every) for source in questions), strict=True)
    counts = counts_of([len(source) for source in train], settings.shares, settings.batch_size)
    for source in heldout:
        random.Random(settings.seed).shuffle(source)
    measured = interleave(heldout, counts)
    if not all(train) or not measured:
        raise BadInput(
            f"Of {num_asked:,} questions, {len(measured):,} are about the one title in {settings.heldout_every} that "
            "is held out; give questions about more titles, or set heldout_every to another number."
        )
    model = new_model(settings)
    with all_ranks(engine.device) as ranks, files.sole_writer(folder) if ranks.is_first else contextlib.nullcontext():
        if ranks.is_first:
            Corpus.build(
                paragraphs(itertools.chain.from_iterable(asked)),
                folder / "corpus",
                tokenizer=tokenizer_of(settings.origin),
                max_passage_tokens=settings.max_passage_tokens,
                near_duplicates=False,
            )
        ranks.wait()
        corpus = Corpus.open(folder / "corpus")
        say(
            f"{num_asked - len(measured):,} questions to train on, {len(measured):,} held out, {len(corpus):,} passages"
        )
        limits = {
            "max_query_tokens": settings.max_query_tokens,
            "max_span_tokens": settings.max_span_tokens,
            "num_negatives": settings.num_negatives,
        }
        tasks = ((settings.tower_steps, PassageMatching, "towers"), (settings.num_steps, SpanReading, "training"))
        if any(steps for steps, _, _ in tasks):
            pools = [items(corpus, source, **limits) for source in train]
            evaluated = items(corpus, measured[: _HELDOUT_PER_EVALUATION * settings.num_heldout], **limits)
        for steps, task, name in tasks:
            if steps:
                prepared = task(corpus, pools, evaluated, settings)
                trainer = Trainer(model, prepared, folder / name, engine=engine, seed=settings.seed, ranks=ranks)
                trainer.train(resume=resume)
        if not ranks.is_first:
            return folder / "model"
        others = {one.article_id for one in measured}
        distractors = interleave([_sorted(paragraphs(source), others) for source in asked], counts)
        _finish(model, measured, distractors, folder, settings, engine)
    return folder / "model"


def new_model(settings: QaSettings) -> Realm:
    """The model that `settings` start from: that of `start`, or a new span reader on the backbone.

    Raises BadConfig if `start` has no span reader, or if the encoder reads less than `max_joint_tokens`.
    """
    import torch

    from openrealm.model.realm import Realm

    if settings.start is not None:
        model = Realm.from_pretrained(settings.start)
        if model.span_reader is None:
            raise BadConfig(f"qa.start: {settings.start} has no span reader; give a model that answers questions.")
        if settings.max_span_tokens != model.max_span_tokens:
            raise BadConfig(
                f"qa.max_span_tokens is {settings.max_span_tokens}, but {settings.start} gives answers of up to "
                f"{model.max_span_tokens} word pieces; use --set max_span_tokens={model.max_span_tokens}."
            )
    else:
        model = Realm.from_pretrained(
            settings.backbone,
            dropout=0.0,
            title_in_joint=True,
            projection_dim=settings.projection_dim,
            span_hidden=settings.span_hidden,
        )
        model.max_span_tokens = settings.max_span_tokens
        torch.manual_seed(settings.seed)
        model.add_span_reader()
    if settings.max_joint_tokens > model.max_tokens:
        raise BadConfig(
            f"qa.max_joint_tokens is {settings.max_joint_tokens}, but {settings.origin} reads at most "
            f"{model.max_tokens} word pieces; use --set max_joint_tokens={model.max_tokens}."
        )
    return model


def _sorted(articles: Sequence[Article], without: Collection[str]) -> list[Article]:
    return sorted((article for article in articles if article.id not in without), key=lambda article: article.id)


def _finish(
    model: Realm,
    heldout: Sequence[Asked],
    distractors: Sequence[Article],
    folder: Path,
    settings: QaSettings,
    engine: Engine,
) -> None:
    """Choose weights and confidence, and save the model and its figures."""
    from openrealm.qa.calibrate import calibrate

    assert model.span_reader is not None
    # The masked-token reader is not trained; with the same weights as the span reader's it takes no room on the disk.
    model.reader.encoder.load_state_dict(model.span_reader.encoder.state_dict())
    model.answering, figures = calibrate(
        model,
        heldout[: settings.num_calibration],
        distractors[: settings.num_distractors],
        settings,
        engine,
        folder / "calibration",
    )
    model.save_pretrained(folder / "model", compact=True)
    files.write_json(folder / "figures.json", {"figures": figures, "answering": dataclasses.asdict(model.answering)})
    say(
        "Held-out questions over {passages:,} passages: exact match {exact_match}%, F1 {f1}%, recall@5 {recall@5}%; "
        "{declined}% of unanswerable questions are declined with {declined_answerable}% of the answerable.".format(
            **figures
        )
    )
