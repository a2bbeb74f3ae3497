from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.blocks import MAX_TITLE_TOKENS, MIN_PASSAGE_TOKENS, cut, cut_blocks, passage_id
from openrealm.corpus.sentences import sentence_bounds
from openrealm.errors import BadConfig
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article

prose = st.text(alphabet=string.ascii_letters + "   .,;\n!é", max_size=300)
anything = st.text(max_size=200)
limits = st.integers(MIN_PASSAGE_TOKENS, 40)


def count(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text)[0])


@given(text=prose | anything, title=st.text(max_size=30), limit=limits)
def test_passages_fit_and_are_slices_in_order(tokenizer: Tokenizer, text: str, title: str, limit: int) -> None:
    article = Article("a", title, text)
    end = 0
    for block in cut_blocks(article, tokenizer, limit):
        passage = block.passage
        assert passage.text == text[passage.start : passage.end] != ""
        assert passage.start >= end
        assert len(block.title_ids) + len(block.ids) <= limit
        assert len(block.title_ids) <= MAX_TITLE_TOKENS
        assert passage.id == passage_id(title, passage.text)
        end = passage.end


@given(text=prose, limit=limits)
def test_the_passages_tokens_are_the_articles(tokenizer: Tokenizer, text: str, limit: int) -> None:
    # Words of at most a few letters are never cut inside, so cutting must neither lose, repeat nor change a token.
    text = " ".join(word[:4] for word in text.split(" "))
    blocks = list(cut_blocks(Article("a", "", text), tokenizer, limit))
    ids, offsets = tokenizer.encode(text)
    assert [i for block in blocks for i in block.ids] == ids
    moved = [(a + b.passage.start, e + b.passage.start) for b in blocks for a, e in b.offsets]
    assert moved == offsets


@given(text=prose | anything, limit=limits)
def test_sentence_ranges_cover_the_tokens(tokenizer: Tokenizer, text: str, limit: int) -> None:
    for block in cut_blocks(Article("a", "Lima", text), tokenizer, limit):
        flat = [position for start, end in block.sentences for position in range(start, end)]
        assert flat == list(range(len(block.ids)))
        assert all(start < end for start, end in block.sentences)


def reference_cut(text: str, tokenizer: Tokenizer, limit: int) -> list[str]:
    """Greedy blocks of whole sentences, by trying one more sentence at a time. Only for sentences that fit."""
    passages: list[str] = []
    held = ""
    for start, end in sentence_bounds(text):
        if held and count(tokenizer, held + text[start:end]) > limit:
            passages.append(held)
            held = ""
        held += text[start:end]
    return [passage.strip() for passage in [*passages, held] if count(tokenizer, passage)]


short_sentences = st.lists(
    st.text(alphabet="abc ,", min_size=1, max_size=6).map(lambda s: f"X{s.strip()}. "), max_size=20
)


@given(sentences=short_sentences, limit=st.integers(10, 40))
def test_whole_sentences_are_packed_as_the_slow_reference_packs_them(
    tokenizer: Tokenizer, sentences: list[str], limit: int
) -> None:
    text = "".join(sentences)
    found = [passage.text for passage in cut(Article("a", "", text), tokenizer, limit)]
    assert found == reference_cut(text, tokenizer, limit)


def test_the_titles_tokens_are_counted(tokenizer: Tokenizer) -> None:
    text = "the city is in peru. the river is in chile. "
    assert len(cut(Article("a", "", text), tokenizer, 12)) == 1
    assert len(cut(Article("a", "lima", text), tokenizer, 12)) == 2


def test_a_long_sentence_is_cut_after_a_mark_else_between_words(tokenizer: Tokenizer) -> None:
    marked = "the city is in peru; the river is in the south of chile and in bolivia"
    assert [p.text for p in cut(Article("a", "", marked), tokenizer, 10)] == [
        "the city is in peru;",
        "the river is in the south of chile and in",
        "bolivia",
    ]
    unmarked = "the city of lima is in the south " * 2
    assert [p.text for p in cut(Article("a", "", unmarked), tokenizer, 8)] == ["the city of lima is in the south"] * 2


def test_a_word_longer_than_a_passage_is_cut_too(tokenizer: Tokenizer) -> None:
    passages = cut(Article("a", "", "q" * 50), tokenizer, 8)
    assert "".join(p.text for p in passages) == "q" * 50
    assert all(count(tokenizer, p.text) <= 8 for p in passages)


def test_a_million_characters_without_a_space_become_passages_of_bounded_length(tokenizer: Tokenizer) -> None:
    passages = cut(Article("a", "", "q" * 1_000_000), tokenizer, 64)
    assert sum(len(p.text) for p in passages) == 1_000_000
    assert max(len(p.text) for p in passages) <= 64 * 40


@pytest.mark.parametrize("text", ["", " \n ", "\u200b\u200b"])
def test_text_without_a_token_gives_no_passage(tokenizer: Tokenizer, text: str) -> None:
    assert cut(Article("a", "Lima", text), tokenizer, 16) == []


def test_a_limit_too_small_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(BadConfig, match="max_passage_tokens is 7; it must be at least 8"):
        cut(Article("a", "", "lima"), tokenizer, 7)


def test_the_identity_parts_title_from_text() -> None:
    assert passage_id("ab", "c") != passage_id("a", "bc")
    assert len(passage_id("a", "b")) == 32
