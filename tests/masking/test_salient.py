from __future__ import annotations

import pytest

from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.masking.salient import salient_spans, sentence_around
from openrealm.masking.tagger import RulesTagger
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article

TEXT = "it was in Peru on 28 May 1821. The river is 120 km from Lima in the south. Bolivia has none."


@pytest.fixture(scope="module")
def corpus(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    articles = [Article("1", "Peru", TEXT), Article("2", "Chile", "the river is in the city")]
    folder = tmp_path_factory.mktemp("salient") / "corpus"
    return build_corpus(articles, folder, tokenizer, max_passage_tokens=120, tagger=RulesTagger(), source={})


def words(corpus: Corpus, start: int, end: int) -> str:
    offsets = corpus.token_offsets(0)
    return TEXT[offsets[start][0] : offsets[end - 1][1]]


def test_names_and_dates_may_be_masked_and_numbers_on_request(corpus: Corpus) -> None:
    assert [(words(corpus, a, b), kind) for a, b, kind in salient_spans(corpus, 0)] == [
        ("Peru", "entity"),
        ("28 May 1821", "date"),
        ("Lima", "entity"),
    ]
    assert [words(corpus, a, b) for a, b, _ in salient_spans(corpus, 0, kinds=("number",))] == ["120 km"]


def test_spans_that_are_too_long_are_left_out(corpus: Corpus) -> None:
    lengths = [end - start for start, end, _ in corpus.spans(0)]
    assert max(lengths) > 1
    assert [words(corpus, a, b) for a, b, _ in salient_spans(corpus, 0, max_tokens=1)] == ["Peru", "Lima"]


def test_the_sentence_around_a_span(corpus: Corpus) -> None:
    spans = salient_spans(corpus, 0)
    sentences = [words(corpus, *sentence_around(corpus, 0, start, end)) for start, end, _ in spans]
    assert sentences[0] == sentences[1] == "it was in Peru on 28 May 1821."
    assert sentences[2] == "The river is 120 km from Lima in the south."
    both = sentence_around(corpus, 0, spans[0][0], spans[2][1])
    assert words(corpus, *both) == f"{sentences[0]} {sentences[2]}"
