"""Questions about the toy world with the paragraphs that answer them, and their corpus."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.corpus.corpus import Corpus
from openrealm.model.realm import Realm
from openrealm.qa.questions import Asked, paragraphs
from openrealm.qa.settings import QaSettings
from openrealm.qa.train import new_model, tiny
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article

_ASKED = (
    ("what is the capital of {}", r"capital of \w+ is (\w+)"),
    ("which river runs through the capital of {}", r"The river (\w+) runs"),
    ("who founded the capital of {}", r"founded by (\w+) on"),
    ("what do the people of {} sell", r"sell (\w+) to"),
)


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Small matrices only."""


@pytest.fixture(scope="session")
def toy_asked(toy_articles: list[Article]) -> list[Asked]:
    """Four questions about each country."""
    found = []
    for article in toy_articles[:-1]:
        for wording, pattern in _ASKED:
            match = re.search(pattern, article.text)
            assert match is not None
            found.append(Asked(wording.format(article.title), (match[1],), article.title, article.text))
    return found


@pytest.fixture(scope="session")
def question_file(tmp_path_factory: pytest.TempPathFactory, toy_asked: list[Asked]) -> Path:
    """The same as a file of rows."""
    path = tmp_path_factory.mktemp("questions") / "toy.jsonl"
    rows = [
        {"question": a.text, "answer": list(a.answers), "title": a.title, "passage": a.paragraph} for a in toy_asked
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def qa_settings(toy_backbone: Path) -> Callable[..., QaSettings]:
    """`qa_settings(num_steps=4)`: settings for the toy backbone."""

    def settings(**changes: object) -> QaSettings:
        return tiny(QaSettings()).replace(backbone=str(toy_backbone), projection_dim=32, **changes)

    return settings


@pytest.fixture(scope="session")
def qa_corpus(tmp_path_factory: pytest.TempPathFactory, toy_asked: list[Asked], toy_backbone: Path) -> Corpus:
    """The paragraphs of the questions, in passages of two sentences."""
    folder = tmp_path_factory.mktemp("qa") / "corpus"
    tokenizer = Tokenizer.from_folder(toy_backbone)
    return Corpus.build(
        paragraphs(toy_asked), folder, tokenizer=tokenizer, max_passage_tokens=28, near_duplicates=False, num_workers=1
    )


@pytest.fixture(scope="session")
def qa_model(qa_settings: Callable[..., QaSettings]) -> Realm:
    """An untrained model with a span reader; tests must not change it."""
    return new_model(qa_settings()).eval()
