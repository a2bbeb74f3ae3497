"""Training a base encoder from sources of text: vocabulary, corpora, teacher vectors, training, export.

Everything is kept in one folder (vocabulary/, corpora/, teacher/, training/, model/). Parts that already exist and were
made from the same inputs are reused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openrealm import files
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.sources import open_source
from openrealm.engine import num_cores
from openrealm.errors import BadInput, OpenRealmError
from openrealm.model.weights import backbone_location, tokenizer_of
from openrealm.progress import counted, say, track
from openrealm.text.tokenizer import Tokenizer
from openrealm.text.vocabulary import train_vocabulary
from openrealm.types import Article

if TYPE_CHECKING:
    from openrealm.base.settings import BaseSettings
    from openrealm.base.teacher import TeacherVectors
    from openrealm.base.texts import Texts
    from openrealm.engine import Engine

_TAGGER = "rules"
_MAX_VOCABULARY_CHARACTERS = 40_000_000  # more text hardly changes the vocabulary
_KEY = "base_key"


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of text.

    articles     reads the articles
    description  manifest entry of the corpus; reading the articles may add to it
    identity     JSON values that identify the articles
    """

    articles: Callable[[], Iterator[Article]]
    description: dict[str, Any]
    identity: dict[str, Any]

    @property
    def name(self) -> str:
        """Folder name for its corpus."""
        found = str(self.description.get("name") or self.description["kind"])
        return re.sub(r"[^\w.-]+", "-", found).strip("-.") or "source"


def tiny(settings: BaseSettings) -> BaseSettings:
    """`settings` reduced to a few seconds of training on one core, to try out all parts."""
    return dataclasses.replace(
        settings,
        name="openrealm-tiny",
        num_layers=2,
        hidden_size=32,
        num_heads=2,
        inner_size=64,
        vocab_size=600,
        max_positions=160,
        max_joint_tokens=128,
        max_passage_tokens=48,
        max_query_tokens=32,
        projection_dim=16,
        heldout_rate=0.1,
        num_steps=12,
        mlm_batch=8,
        ict_batch=8,
        warmup_steps=4,
        eval_steps=6,
        checkpoint_steps=6,
        num_heldout_queries=16,
    )


def open_sources(names: Sequence[str], max_articles: int | None = None) -> list[Source]:
    """The sources with these paths or names, each limited to its first `max_articles`.

    Raises BadInput if a source does not exist, or if two sources have the same name.
    """
    found = []
    for name in names:
        source = open_source(name)
        identity = source.description | {"max_articles": max_articles}
        read = source.articles if max_articles is None else _first(source.articles, max_articles)
        found.append(Source(read, source.description, identity))
        if found[-1].name in {source.name for source in found[:-1]}:
            raise BadInput(f"Two sources are named {found[-1].name}; rename one, so that each gets its own corpus.")
    return found


def _first(read: Callable[[], Iterator[Article]], count: int) -> Callable[[], Iterator[Article]]:
    return lambda: islice(read(), count)


def prepare(
    names: Sequence[str], folder: Path, settings: BaseSettings, max_articles: int | None = None
) -> list[Corpus]:
    """Build the vocabulary and the corpora in `folder`, unless they exist; each of the two reads all sources once."""
    tokenizer = _vocabulary(open_sources(names, max_articles), folder / "vocabulary", settings)
    sources = open_sources(names, max_articles)
    return [_corpus(source, folder / "corpora" / source.name, tokenizer, settings) for source in sources]


def _vocabulary(sources: Sequence[Source], folder: Path, settings: BaseSettings) -> Tokenizer:
    if settings.start is not None:
        return tokenizer_of(settings.start)
    size = settings.vocab_size
    key = files.digest_of([size, [source.identity for source in sources]])
    if _key_of(folder) == key:
        return Tokenizer.from_folder(folder)
    tokenizer = train_vocabulary(list(_sample(sources)), size)
    with files.new_folder(folder, {"kind": "vocabulary", "source": {_KEY: key}}) as out:
        tokenizer.save(out)
    say(f"vocabulary: {tokenizer.vocab_size:,} word pieces in {folder}")
    return tokenizer


def _sample(sources: Sequence[Source]) -> Iterable[str]:
    """Texts of the articles of all sources, with an equal number of characters from each source."""
    for source in sources:
        room = _MAX_VOCABULARY_CHARACTERS // len(sources)
        for article in source.articles():
            yield article.text
            room -= len(article.text)
            if room < 0:
                break


def _corpus(source: Source, folder: Path, tokenizer: Tokenizer, settings: BaseSettings) -> Corpus:
    key = files.digest_of([source.identity, tokenizer.digest, settings.max_passage_tokens])
    if _key_of(folder) == key:
        return Corpus.open(folder)
    source.description[_KEY] = key
    corpus = build_corpus(
        source.articles(),
        folder,
        tokenizer,
        max_passage_tokens=settings.max_passage_tokens,
        tagger=_TAGGER,
        source=source.description,
        num_workers=num_cores(),
    )
    say(f"corpus {source.name}: {counted({'passage': len(corpus)})} in {folder}")
    return corpus


def prepare_teacher(texts: Texts, folder: Path, settings: BaseSettings, engine: Engine) -> None:
    """Compute the teacher's vectors of sentences and passages from `texts` in `folder`, unless they exist."""
    from openrealm.base.teacher import drawn_texts, write_teacher_vectors

    assert settings.teacher is not None
    counts = settings.teacher_sentences, settings.teacher_passages
    digests = [corpus.digest for corpus in texts.corpora]
    key = files.digest_of([settings.teacher, counts, settings.heldout_rate, settings.seed, digests])
    if _key_of(folder) == key:
        return
    drawn = drawn_texts(texts, *counts, settings.seed)
    source = {_KEY: key, "teacher": settings.teacher}
    with track("teacher", len(drawn)) as advance:
        write_teacher_vectors(folder, drawn, settings.teacher, tokenizer_of(settings.teacher), engine, source, advance)
    say(f"vectors of {settings.teacher}: {len(drawn):,} texts in {folder}")


def _key_of(folder: Path) -> str | None:
    """Digest of the inputs that `folder` was made from; None if it does not exist or is damaged."""
    try:
        found: str | None = files.read_manifest(folder)["source"].get(_KEY)
    except (OpenRealmError, KeyError):
        return None
    return found


def train_base(
    names: Sequence[str],
    folder: Path,
    settings: BaseSettings,
    engine: Engine,
    *,
    minutes: float | None = None,
    resume: bool = False,
    max_articles: int | None = None,
) -> Path:
    """Prepare the data, train and export; returns the folder of the weights, `folder`/model.

    If started by torchrun, all its processes train together.

    names         paths or names of sources
    minutes       stop training after this time instead of `settings.num_steps`
    resume        continue from the last checkpoint, if there is one
    max_articles  limit on the articles of each source
    Raises BadConfig or NotInstalled if `start` or `teacher` could not be found, BadInput if a source does not exist,
    Busy if another process trains in `folder`, Mismatch if training is resumed with other settings.
    """
    from openrealm.base.export import export
    from openrealm.base.task import BaseEncoding
    from openrealm.base.teacher import TeacherVectors
    from openrealm.base.texts import Texts
    from openrealm.train.ranks import all_ranks
    from openrealm.train.trainer import Trainer

    for key in ("start", "teacher"):
        if (name := getattr(settings, key)) is not None:
            backbone_location(name, f"base.{key}")  # fail before the corpora are built

    with contextlib.ExitStack() as stack:
        ranks = stack.enter_context(all_ranks(engine.device))
        if ranks.is_first:
            stack.enter_context(files.sole_writer(folder))
            prepare(names, folder, settings, max_articles)
        ranks.wait()
        corpora = [Corpus.open(folder / "corpora" / source.name) for source in open_sources(names, max_articles)]
        texts = Texts(corpora, settings.heldout_rate, settings.seed)
        teacher: TeacherVectors | None = None
        if settings.teacher is not None:
            if ranks.is_first:
                prepare_teacher(texts, folder / "teacher", settings, engine)
            ranks.wait()
            teacher = TeacherVectors(folder / "teacher", texts.tokenizer, settings.seed)
        task = BaseEncoding(texts, settings, teacher)
        trainer = Trainer(
            task.new_model(),
            task,
            folder / "training",
            minutes=minutes,
            engine=engine,
            seed=settings.seed,
            ranks=ranks,
        )
        trainer.train(resume=resume)
        if ranks.is_first:
            export(trainer, task, folder / "model")
    return folder / "model"
