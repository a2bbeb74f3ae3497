"""Questions with the paragraph that answers them, read from SQuAD's JSON and from files of rows."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from openrealm.corpus.sources.lines import plain_name, read_blocks, read_lines
from openrealm.corpus.sources.rows import type_of
from openrealm.errors import BadConfig, BadInput
from openrealm.text.surrogates import has_surrogates
from openrealm.types import Article

_ROW = 'expected a line such as {"question": "Who bakes?", "answer": ["Ada"], "title": "Mill", "passage": "Ada bakes."}'
_SQUAD = "expected the JSON of SQuAD 1.1 or 2.0"


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, its answers, and the paragraph (with its title) that holds them.

    A paragraph that no question is about, among which answers are sought, has the empty question and no answers.
    """

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
    """The questions of a .json file in SQuAD's format, or of a .jsonl file of rows; both may be compressed.

    A row has the texts question, title (which may be empty) and passage, and answer, a text or a list of texts. A row
    without a question and an answer is a paragraph among which the answers to others are sought.
    SQuAD's answers are texts, or objects with a text; questions marked as impossible are left out. So are blank
    answers, of which published files have some: a question without any other has no answers.
    Raises BadInput naming the file and the line or key that is wrong, or if there is no question.

    >>> list(read_asked(Path("no/questions.jsonl")))
    Traceback (most recent call last):
        ...
    openrealm.errors.BadInput: no/questions.jsonl does not exist; give a .jsonl file of questions, or SQuAD's .json.
    """
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise BadInput(f"{path} {what}; give a .jsonl file of questions, or SQuAD's .json.")
    name = plain_name(path.name)
    if not name.endswith((".jsonl", ".json")):
        raise BadInput(f"{path} ends neither in .jsonl nor in .json; rename it after its format.")
    expected, read = (_ROW, _of_rows) if name.endswith(".jsonl") else (_SQUAD, _of_squad)
    is_empty = True
    for one in read(path):
        is_empty &= not one.text
        yield one
    if is_empty:
        raise BadInput(f"{path} holds no questions; {expected}.")


def _of_rows(path: Path) -> Iterator[Asked]:
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            row = _Value.parsed(line, f"{path}:{number}", _ROW)
            if "question" not in row and "answer" not in row:
                yield Asked("", (), row["title"].words(blank=True), row["passage"].words())
                continue
            given = row["answer"]
            listed = [given] if isinstance(given.value, str) else given.some()
            answers = _distinct(answer.text() for answer in listed)
            yield Asked(row["question"].words(), answers, row["title"].words(blank=True), row["passage"].words())


def _of_squad(path: Path) -> Iterator[Asked]:
    whole = _Value.parsed(b"".join(read_blocks(path)), str(path), _SQUAD)
    for article in whole["data"].items():
        title = " ".join(article["title"].text().replace("_", " ").split())
        for paragraph in article["paragraphs"].items():
            context = paragraph["context"].words()
            for asked in paragraph["qas"].items():
                question = asked["question"].words()
                if asked.value.get("is_impossible") is not True:
                    listed = asked["answers"].some()
                    answers = _distinct((a["text"] if isinstance(a.value, dict) else a).text() for a in listed)
                    yield Asked(question, answers, title, context)


def _distinct(answers: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(answer for answer in answers if answer.strip()))


@dataclass(frozen=True, slots=True)
class _Value:
    """A JSON value, where it stands, and what the file should hold, for errors."""

    value: Any
    where: str
    expected: str

    @classmethod
    def parsed(cls, data: bytes, where: str, expected: str) -> _Value:
        """The value of some JSON."""
        try:
            return cls(json.loads(data.decode("utf-8-sig")), where, expected)
        except UnicodeDecodeError as error:
            raise BadInput(f"{where} is not UTF-8 (byte {error.start}); {expected}.") from error
        except (ValueError, RecursionError) as error:  # ValueError also for integers of thousands of digits
            raise BadInput(f"{where} is not JSON ({error}); {expected}.") from error

    def __getitem__(self, key: str) -> _Value:
        value = self._of(dict, "an object")
        if key not in value:
            raise BadInput(f'{self.where} has no "{key}"; {self.expected}.')
        return _Value(value[key], f'{self.where}, "{key}"', self.expected)

    def __contains__(self, key: str) -> bool:
        return key in self._of(dict, "an object")

    def items(self) -> list[_Value]:
        """The entries of a list, counted from 1 in errors."""
        values = enumerate(self._of(list, "a list"), 1)
        return [_Value(value, f"{self.where} {number}", self.expected) for number, value in values]

    def some(self) -> list[_Value]:
        """The entries of a list that must not be empty."""
        if found := self.items():
            return found
        raise BadInput(f"{self.where} is empty; give at least one, or remove the question.")

    def text(self) -> str:
        """The value, which must be a text."""
        value: str = self._of(str, "a text")
        if has_surrogates(value):
            raise BadInput(
                f"{self.where} has half of a surrogate pair, which is no character; write the whole character."
            )
        return value

    def words(self, *, blank: bool = False) -> str:
        """The words of a text, with single spaces between them; there must be some unless it may be `blank`."""
        value = " ".join(self.text().split())
        if not (value or blank):
            raise BadInput(f"{self.where} is empty; {self.expected}.")
        return value

    def _of(self, kind: type, named: str) -> Any:
        if not isinstance(self.value, kind):
            raise BadInput(f"{self.where} is {type_of(self.value)}, but {named} is needed; {self.expected}.")
        return self.value


def paragraphs(asked: Iterable[Asked]) -> list[Article]:
    """The paragraphs of questions as articles, each once, in order."""
    found = {one.article_id: one for one in asked}
    return [Article(key, one.title, one.paragraph) for key, one in found.items()]


def split(asked: Sequence[Asked], heldout_every: int) -> tuple[list[Asked], list[Asked]]:
    """Questions to train on, and those held out: all about one title in `heldout_every`.

    The choice depends on nothing but the title, or the paragraph where there is no title.
    """
    parts: tuple[list[Asked], list[Asked]] = [], []
    for one in asked:
        key = zlib.crc32((one.title or one.paragraph).encode())
        parts[key % heldout_every == 0].append(one)
    return parts


def counts_of(sizes: Sequence[int], shares: Sequence[float], total: int) -> list[int]:
    """How many of the `total` questions of a batch come from each source, at least one.

    sizes   of the sources
    shares  relative shares of the sources; by their sizes if empty
    Rounded by largest remainders. Raises BadConfig if `shares` are not as many as the sources, or the questions fewer.

    >>> counts_of([90_000, 10_000], [], 20), counts_of([90_000, 10_000], [1, 1], 20)
    ([18, 2], [10, 10])
    """
    if shares and len(shares) != len(sizes):
        raise BadConfig(f"qa.shares has {len(shares)} numbers for {len(sizes)} sources; give one for each.")
    if total < len(sizes):
        raise BadConfig(f"qa.batch_size is {total}, fewer than the {len(sizes)} sources; every batch draws from each.")
    weights = shares or sizes
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [max(1, int(count)) for count in exact]
    while missing := total - sum(counts):
        sign = 1 if missing > 0 else -1
        able = [n for n, count in enumerate(counts) if count > 1 or sign > 0]
        counts[max(able, key=lambda n: sign * (exact[n] - counts[n]))] += sign
    return counts


def interleave(sources: Sequence[Sequence[T]], counts: Sequence[int]) -> list[T]:
    """All items of several sources, in turn `counts[s]` of source s, in the order that each has.

    >>> interleave(["abcd", "AB"], [2, 1])
    ['a', 'b', 'A', 'c', 'd', 'B']
    """
    rounds = max(-(-len(source) // count) for source, count in zip(sources, counts, strict=True))
    return [
        item
        for number in range(rounds)
        for source, count in zip(sources, counts, strict=True)
        for item in source[number * count : (number + 1) * count]
    ]
