from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadInput
from openrealm.evaluate.retrieval import has_answer
from openrealm.masking.tagger import RulesTagger
from openrealm.run.cloze import cloze_questions, question_word, with_noise
from openrealm.types import Article, Question


@pytest.fixture(scope="module")
def made(toy_corpus: Corpus) -> list[Question]:
    return cloze_questions(toy_corpus, seed=0, max_answer_tokens=6)


def test_every_answer_is_in_a_passage_and_not_in_its_question(toy_corpus: Corpus, made: list[Question]) -> None:
    texts = [toy_corpus.passage(i).text for i in range(len(toy_corpus))]
    assert len(made) > 50
    for question in made:
        assert any(question.answers[0] in text for text in texts)
        assert not has_answer(question.text, question.answers)
        assert question.text.endswith("?")
        assert any(word in question.text.lower() for word in ("what", "who", "when", "where", "how many"))


def test_all_kinds_are_asked_for_and_dates_by_when(made: list[Question]) -> None:
    kinds = {question.relation for question in made}
    assert {"entity", "date"} <= kinds <= {"entity", "date", "number"}
    assert all("when" in question.text.lower() for question in made if question.relation == "date")


def test_the_same_seed_makes_the_same_questions_and_another_does_not(toy_corpus: Corpus, made: list[Question]) -> None:
    assert cloze_questions(toy_corpus, seed=0, max_answer_tokens=6) == made
    assert cloze_questions(toy_corpus, seed=1, max_answer_tokens=6) != made
    few = cloze_questions(toy_corpus, seed=0, max_answer_tokens=6, max_questions=7)
    assert few == made[:7]


def test_a_long_span_is_not_asked_for(toy_corpus: Corpus) -> None:
    tokenizer = toy_corpus.tokenizer()
    short = cloze_questions(toy_corpus, seed=0, max_answer_tokens=1)
    assert short
    assert all(len(tokenizer.encode(question.answers[0])[0]) == 1 for question in short)


def test_the_title_precedes_a_question_that_does_not_contain_it(made: list[Question], toy_corpus: Corpus) -> None:
    titled = [question for question in made if question.text.startswith(f"{question.subject}: ")]
    assert 0 < len(titled) < len(made)
    for question in made:
        assert question.subject.lower() in question.text.lower() or question.answers[0] == question.subject


def plain_corpus(text: str, toy_corpus: Corpus, folder: Path) -> Corpus:
    article = Article("1", "", text)
    tagger, source = RulesTagger(), {"kind": "test"}
    return build_corpus(
        [article], folder / "corpus", toy_corpus.tokenizer(), max_passage_tokens=60, tagger=tagger, source=source
    )


def test_in_text_without_anything_salient_the_longest_words_are_asked_for(toy_corpus: Corpus, tmp_path: Path) -> None:
    corpus = plain_corpus("it was never seen again by them. they all went away slowly.", toy_corpus, tmp_path)
    answers = {question.answers[0] for question in cloze_questions(corpus, seed=0, max_answer_tokens=10)}
    assert {"never", "again", "slowly"} <= answers


def test_text_without_a_sentence_to_ask_about_is_refused(toy_corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no sentence that is long enough"):
        cloze_questions(plain_corpus("so it goes.", toy_corpus, tmp_path))


@pytest.mark.parametrize(
    ("before", "after", "kind", "word"),
    [
        ("It was built by ", " in 1902", "entity", "who"),
        ("In 1902 ", " founded the mill", "entity", "who"),
        ("The oven in ", " is old", "entity", "where"),
        ("She wrote to ", " every day", "entity", "what"),
        ("It was built in ", " by Peter", "date", "when"),
        ("There are ", " books", "number", "how many"),
    ],
)
def test_the_question_word_fits_the_words_around_the_answer(before: str, after: str, kind: str, word: str) -> None:
    assert question_word(before, after, kind) == word


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=30), st.integers(0, 1_000))
def test_noise_only_drops_and_moves_words(words: list[str], seed: int) -> None:
    noisy = with_noise(words, np.random.default_rng(seed))
    assert noisy
    rest = list(words)
    for word in noisy:
        rest.remove(word)
