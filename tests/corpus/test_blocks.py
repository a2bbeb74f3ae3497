from __future__ import annotations

import string
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus import blocks as blocks_module
from openrealm.corpus.blocks import (
    MAX_TITLE_TOKENS,
    MIN_PASSAGE_TOKENS,
    Block,
    PassageKind,
    PassageRule,
    cut,
    cut_all,
    cut_blocks,
    passage_id,
)
from openrealm.corpus.sentences import sentence_bounds
from openrealm.errors import BadConfig
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article, Line

prose = st.text(alphabet=string.ascii_letters + "   .,;\n!é", max_size=300)
anything = st.text(max_size=200)
# Where cutting goes wrong: no spaces between words, several tokens in one character, characters that are deleted.
awkward = st.text(
    alphabet="ab \n.,;。！京都ｱ가각\u1100\u1161\u0301\u0338\x0b\x1c\x85\xa0\u200b\ufffdİßé[]\ud800", max_size=120
)
kinds = st.sampled_from(["tokens", "words", "paragraphs"])
limits = st.integers(MIN_PASSAGE_TOKENS, 40)


def count(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text)[0])


@given(text=prose | anything, title=st.text(max_size=30), limit=limits)
def test_passages_fit_and_are_slices_in_order(tokenizer: Tokenizer, text: str, title: str, limit: int) -> None:
    article = Article("a", title, text)
    end = 0
    for block in cut_blocks(article, tokenizer, PassageRule(limit)):
        passage = block.passage
        assert passage.text == text[passage.start : passage.end] != ""
        assert passage.start >= end
        assert len(block.title_ids) + len(block.ids) <= limit
        assert len(block.title_ids) <= MAX_TITLE_TOKENS
        assert passage.id == passage_id(title, passage.text)
        end = passage.end


def own_tokens(block: Block) -> tuple[list[int], list[tuple[int, ...]]]:
    return block.ids.tolist(), [tuple(pair) for pair in block.offsets.tolist()]


@pytest.mark.parametrize("which", ["tokenizer", "word_splitting"])
@given(text=prose | anything | awkward, limit=limits, kind=kinds)
def test_a_passages_tokens_are_those_of_its_text_alone(
    which: str, text: str, limit: int, kind: PassageKind, request: pytest.FixtureRequest
) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(which)
    for block in cut_blocks(Article("a", text[:9], text), tokenizer, PassageRule(limit, kind, 3)):
        assert own_tokens(block) == tokenizer.encode(block.passage.text)
        assert block.title_ids.tolist() == tokenizer.encode(text[:9])[0][: limit // 2][:MAX_TITLE_TOKENS]


@given(texts=st.lists(prose | awkward, max_size=5), together=st.integers(1, 100), at_once=st.integers(1, 9))
def test_articles_cut_together_are_cut_as_each_by_itself(
    tokenizer: Tokenizer, texts: list[str], together: int, at_once: int
) -> None:
    articles, rule = [Article(str(i), text[:20], text) for i, text in enumerate(texts)], PassageRule(12)
    alone = [list(cut_blocks(article, tokenizer, rule)) for article in articles]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "_CHARACTERS_AT_ONCE", together)
        patch.setattr(blocks_module, "_ENCODED_AT_ONCE", at_once)
        found = [list(some) for some in cut_all(articles, tokenizer, rule)]
    assert [[block.passage for block in some] for some in found] == [[b.passage for b in some] for some in alone]
    for block, other in zip(chain.from_iterable(found), chain.from_iterable(alone), strict=True):
        assert own_tokens(block) == own_tokens(other)
        assert block.title_ids.tolist() == other.title_ids.tolist()
        assert block.sentences.tolist() == other.sentences.tolist()


@given(text=anything | awkward, limit=limits, kind=kinds)
def test_what_no_passage_holds_has_no_token(tokenizer: Tokenizer, text: str, limit: int, kind: PassageKind) -> None:
    end = 0
    for passage in [*cut(Article("a", "", text), tokenizer, PassageRule(limit, kind, 3)), None]:
        between = text[end : passage.start if passage else None]
        assert count(tokenizer, between) == 0
        end = passage.end if passage else end


@given(text=prose, limit=limits, max_words=st.integers(1, 12))
def test_no_passage_has_more_words_than_the_rule_says(
    tokenizer: Tokenizer, text: str, limit: int, max_words: int
) -> None:
    for block in cut_blocks(Article("a", "Lima", text), tokenizer, PassageRule(limit, "words", max_words)):
        assert len(block.passage.text.split()) <= max_words
        assert len(block.title_ids) + len(block.ids) <= limit


@given(sentences=st.lists(st.integers(1, 6), max_size=12), max_words=st.integers(6, 20))
def test_whole_sentences_are_packed_up_to_so_many_words(
    tokenizer: Tokenizer, sentences: list[int], max_words: int
) -> None:
    text = "".join("Xx" + " aa" * (length - 1) + ". " for length in sentences)
    expected: list[int] = []
    for length in sentences:  # the slow way: one more sentence while it fits
        if expected and expected[-1] + length <= max_words:
            expected[-1] += length
        else:
            expected.append(length)
    found = cut(Article("a", "", text), tokenizer, PassageRule(1000, "words", max_words))
    assert [len(passage.text.split()) for passage in found] == expected


def test_a_sentence_of_too_many_words_is_cut_after_a_mark_else_at_the_last_word(tokenizer: Tokenizer) -> None:
    rule = PassageRule(1000, "words", 5)
    marked = "the city is in peru, the river is in the south of chile"
    assert [p.text for p in cut(Article("a", "", marked), tokenizer, rule)] == [
        "the city is in peru,",
        "the river is in the",
        "south of chile",
    ]


@given(paragraphs=st.lists(st.text(alphabet="ab. ", max_size=30), max_size=6))
def test_each_paragraph_is_a_passage(tokenizer: Tokenizer, paragraphs: list[str]) -> None:
    text = "\n".join(paragraphs)
    found = [passage.text for passage in cut(Article("a", "", text), tokenizer, PassageRule(1000, "paragraphs"))]
    assert found == [paragraph.strip() for paragraph in paragraphs if paragraph.strip()]


@given(text=prose, limit=limits)
def test_a_long_paragraph_is_cut_as_a_text_of_its_own(tokenizer: Tokenizer, text: str, limit: int) -> None:
    found = [p.text for p in cut(Article("a", "", text), tokenizer, PassageRule(limit, "paragraphs"))]
    alone = [p.text for line in text.split("\n") for p in cut(Article("a", "", line), tokenizer, PassageRule(limit))]
    assert found == alone


@given(text=prose, limit=limits)
def test_the_passages_tokens_are_the_articles(tokenizer: Tokenizer, text: str, limit: int) -> None:
    # Words of at most a few letters are never cut inside, so cutting must neither lose, repeat nor change a token.
    text = " ".join(word[:4] for word in text.split(" "))
    blocks = list(cut_blocks(Article("a", "", text), tokenizer, PassageRule(limit)))
    ids, offsets = tokenizer.encode(text)
    assert [i for block in blocks for i in block.ids.tolist()] == ids
    moved = [(a + b.passage.start, e + b.passage.start) for b in blocks for a, e in b.offsets.tolist()]
    assert moved == offsets


@given(text=prose | anything, limit=limits)
def test_sentence_ranges_cover_the_tokens(tokenizer: Tokenizer, text: str, limit: int) -> None:
    for block in cut_blocks(Article("a", "Lima", text), tokenizer, PassageRule(limit)):
        flat = [position for start, end in block.sentences.tolist() for position in range(start, end)]
        assert flat == list(range(len(block.ids)))
        assert all(start < end for start, end in block.sentences.tolist())


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
    st.text(alphabet="abc ,", min_size=1, max_size=4).map(lambda s: f"Xa{s.strip()}ab. "), max_size=20
)


@given(sentences=short_sentences, limit=st.integers(10, 40))
def test_whole_sentences_are_packed_as_the_slow_reference_packs_them(
    tokenizer: Tokenizer, sentences: list[str], limit: int
) -> None:
    text = "".join(sentences)
    found = [passage.text for passage in cut(Article("a", "", text), tokenizer, PassageRule(limit))]
    assert found == reference_cut(text, tokenizer, limit)


def test_the_titles_tokens_are_counted(tokenizer: Tokenizer) -> None:
    text = "the city is in peru. the river is in chile. "
    assert len(cut(Article("a", "", text), tokenizer, PassageRule(12))) == 1
    assert len(cut(Article("a", "lima", text), tokenizer, PassageRule(12))) == 2


def test_a_long_sentence_is_cut_after_a_mark_else_between_words(tokenizer: Tokenizer) -> None:
    marked = "the city is in peru; the river is in the south of chile and in bolivia"
    assert [p.text for p in cut(Article("a", "", marked), tokenizer, PassageRule(10))] == [
        "the city is in peru;",
        "the river is in the south of chile and in",
        "bolivia",
    ]
    unmarked = "the city of lima is in the south " * 2
    assert [p.text for p in cut(Article("a", "", unmarked), tokenizer, PassageRule(8))] == [
        "the city of lima is in the south"
    ] * 2


def test_a_word_longer_than_a_passage_is_cut_too(tokenizer: Tokenizer) -> None:
    passages = cut(Article("a", "", "q" * 50), tokenizer, PassageRule(8))
    assert "".join(p.text for p in passages) == "q" * 50
    assert all(count(tokenizer, p.text) <= 8 for p in passages)


def test_a_million_characters_without_a_space_become_passages_of_bounded_length(tokenizer: Tokenizer) -> None:
    passages = cut(Article("a", "", "q" * 1_000_000), tokenizer, PassageRule(64))
    assert sum(len(p.text) for p in passages) == 1_000_000
    assert max(len(p.text) for p in passages) <= 64 * 40


@pytest.mark.parametrize("text", ["", " \n ", "\u200b\u200b"])
def test_text_without_a_token_gives_no_passage(tokenizer: Tokenizer, text: str) -> None:
    assert cut(Article("a", "Lima", text), tokenizer, PassageRule(16)) == []


def test_a_limit_too_small_is_refused() -> None:
    with pytest.raises(BadConfig, match="max_passage_tokens is 7; it must be at least 8"):
        PassageRule(7)
    with pytest.raises(BadConfig, match="max_passage_words is 0; it must be at least 1"):
        PassageRule(288, "words", 0)


def test_the_identity_parts_title_from_text() -> None:
    assert passage_id("ab", "c") != passage_id("a", "bc")
    assert len(passage_id("a", "b")) == 32


def test_a_heading_opens_a_passage_and_stays_with_what_follows(tokenizer: Tokenizer) -> None:
    lines = ["Intro to the town.", "Mills", "Water mills", "The mill at Polle is old.", "Ferries", "None."]
    text = "\n".join(lines)
    starts = [text.index(line) for line in lines]
    headings = {"Mills", "Water mills", "Ferries"}
    marks = tuple(Line(start, start, is_heading=line in headings) for line, start in zip(lines, starts, strict=True))
    article = Article("1", "Town", text, lines=marks)
    kinds: list[PassageKind] = ["tokens", "words", "paragraphs"]
    for kind in kinds:
        texts = [passage.text for passage in cut(article, tokenizer, PassageRule(60, kind))]
        assert texts == ["Intro to the town.", "Mills\nWater mills\nThe mill at Polle is old.", "Ferries\nNone."]
