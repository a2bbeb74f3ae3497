"""Questions with the paragraph that answers them, read from SQuAD's JSON and from files of rows."""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openrealm.types import Article


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, its answers, and the paragraph (with its title) that holds them."""

    text: str
    answers: tuple[str, ...]
    title: str
    paragraph: str

    @property
    def article_id(self) -> str:
        """The paragraph's id as an article."""
        return paragraph_id(self.title, self.paragraph)


def paragraph_id(title: str, paragraph: str) -> str:
    """A digest of title and text."""
    return hashlib.sha256(f"{title}\n{paragraph}".encode()).hexdigest()[:16]


def read_asked(path: Path) -> Iterator[Asked]:
    """The questions of SQuAD's JSON (v1.1), or of JSON lines with question, answer, title and passage."""
    with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as text:
        if ".jsonl" in path.name:
            yield from _of_rows(json.loads(line) for line in text if line.strip())
        else:
            yield from _of_squad(json.load(text))


def _of_squad(data: Any) -> Iterator[Asked]:
    for article in data["data"]:
        title = article["title"].replace("_", " ")
        for paragraph in article["paragraphs"]:
            context = _clean(paragraph["context"])
            for asked in paragraph["qas"]:
                answers = tuple(dict.fromkeys(a["text"] if isinstance(a, dict) else a for a in asked["answers"]))
                yield Asked(_clean(asked["question"]), answers, title, context)


def _of_rows(rows: Iterable[Any]) -> Iterator[Asked]:
    for row in rows:
        yield Asked(_clean(row["question"]), tuple(row["answer"]), _clean(row["title"]), _clean(row["passage"]))


def _clean(text: str) -> str:
    return " ".join(text.split())


def paragraphs(asked: Iterable[Asked]) -> list[Article]:
    """The paragraphs of questions as articles, each once, in order."""
    found = {one.article_id: one for one in asked}
    return [Article(key, one.title, one.paragraph) for key, one in found.items()]
