"""Part of the World Factbook as a corpus in a temporary folder, which several benchmarks use."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from openrealm.config import Config
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.factbook import source as factbook
from openrealm.model.weights import backbone_location
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article


def articles(num_articles: int) -> list[Article]:
    """About this many of the Factbook's articles, evenly spaced; 0 means all."""
    every = list(factbook.read(prose_only=True))
    stride = max(1, len(every) // num_articles) if num_articles else 1
    return list(islice(every, 0, None, stride))[: num_articles or None]


def tokenizer(config: Config) -> Tokenizer:
    """The tokenizer of the configured backbone."""
    return Tokenizer.from_folder(Path(backbone_location(config.model.backbone)))


@contextlib.contextmanager
def corpus_of(config: Config, num_articles: int) -> Iterator[Corpus]:
    """A temporary corpus of about `num_articles` Factbook articles, cut and tagged as `config` says."""
    with tempfile.TemporaryDirectory(prefix="openrealm-bench-") as folder:
        yield build_corpus(
            articles(num_articles),
            Path(folder) / "corpus",
            tokenizer(config),
            max_passage_tokens=config.corpus.max_passage_tokens,
            tagger=config.corpus.tagger,
            source={"kind": "factbook", "num_articles": num_articles},
        )
