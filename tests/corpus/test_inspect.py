from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus import inspect
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.inspect import MAX_SAMPLED, histogram, range_name
from openrealm.masking.tagger import RulesTagger
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article

values = st.lists(st.one_of(st.integers(0, 40), st.integers(0, 5000)), min_size=1, max_size=60)


@given(values)
def test_every_value_is_in_one_bin_of_one_round_width(numbers: list[int]) -> None:
    found = histogram(np.array(numbers, dtype=np.uint32))
    assert sum(b.count for b in found.bins) == found.num_values == len(numbers)
    assert [b.end for b in found.bins[:-1]] == [b.start for b in found.bins[1:]]
    assert found.bins[-1].end is None
    for b in found.bins:
        assert b.count == sum(b.start <= number and (b.end is None or number < b.end) for number in numbers)
    widths = {b.end - b.start for b in found.bins if b.end is not None}
    assert len(widths) <= 1
    assert all(
        str(width).strip("0") in ("1", "2", "5") and b.start % width == 0 for width in widths for b in found.bins
    )
    assert len(found.bins) <= 17


@given(values)
def test_mean_and_quantiles_are_numpys(numbers: list[int]) -> None:
    found = histogram(np.array(numbers))
    assert found.mean == pytest.approx(np.mean(numbers))
    assert (found.smallest, found.largest) == (min(numbers), max(numbers))
    assert (found.low, found.median, found.high) == tuple(
        np.quantile(numbers, [0.05, 0.5, 0.95], method="inverted_cdf")
    )


def test_a_few_long_ones_do_not_hide_the_others() -> None:
    found = histogram(np.array([1, 2, 3] * 100 + [9000]))
    assert [(b.start, b.end, b.count) for b in found.bins] == [(1, 2, 100), (2, 3, 100), (3, None, 101)]
    assert found.largest == 9000


def test_no_value_has_no_histogram() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        histogram(np.zeros(0, dtype=np.int64))


def test_ranges_are_named_as_one_says_them() -> None:
    assert [range_name(3, 4), range_name(1000, 2000), range_name(80, None)] == ["3", "1,000-1,999", "80+"]


def test_counts_are_those_of_a_walk_over_all_passages(toy_corpus: Corpus, toy_articles: list[Article]) -> None:
    corpus = toy_corpus
    everything = range(corpus.num_passages)
    groups = Counter(corpus.group(i) for i in everything)
    kinds = Counter(kind for i in everything for _, _, kind in corpus.spans(i))
    found = inspect.counts(corpus)
    assert (
        found.pop("bytes")
        == sum(path.stat().st_size for path in corpus.folder.iterdir())
        - (corpus.folder / "manifest.json").stat().st_size
    )
    assert found == {
        "articles": len(toy_articles),
        "articles_with_passages": len({corpus.article_index(i) for i in everything}),
        "passages": len(corpus),
        "tokens": sum(len(corpus.body_tokens(i)) for i in everything),
        "sentences": sum(len(corpus.sentences(i)) for i in everything),
        "entity_spans": kinds["entity"],
        "date_spans": kinds["date"],
        "number_spans": kinds["number"],
        "passages_without_spans": sum(not corpus.spans(i) for i in everything),
        "repeated_passages_skipped": 0,
        "groups_of_duplicates": sum(size > 1 for size in groups.values()),
        "passages_in_groups": sum(size for size in groups.values() if size > 1),
        "largest_group": 2,  # the toy world's last article is a copy
    }


def test_lengths_are_those_of_a_walk_over_all_passages(toy_corpus: Corpus) -> None:
    corpus, everything = toy_corpus, range(toy_corpus.num_passages)
    of_articles = Counter(corpus.article_index(i) for i in everything)
    of_groups = Counter(corpus.group(i) for i in everything)
    assert inspect.lengths(corpus) == {
        "tokens per passage": histogram(np.array([len(corpus.body_tokens(i)) for i in everything])),
        "sentences per passage": histogram(np.array([len(corpus.sentences(i)) for i in everything])),
        "salient spans per passage": histogram(np.array([len(corpus.spans(i)) for i in everything])),
        "passages per article": histogram(np.array(list(of_articles.values()))),
        "passages per group": histogram(np.array([size for size in of_groups.values() if size > 1])),
    }
    assert corpus.lengths("title").tolist() == [len(corpus.title_tokens(i)) for i in everything]


def test_frequent_spans_are_counted_by_their_tokens_and_shown_as_written(toy_corpus: Corpus) -> None:
    corpus, told = toy_corpus, []
    everything = np.arange(corpus.num_passages)
    expected: dict[str, Counter[tuple[int, ...]]] = {kind: Counter() for kind in ("entity", "date", "number")}
    for i in everything.tolist():
        for start, end, kind in corpus.spans(i):
            expected[kind][tuple(corpus.body_tokens(i)[start:end].tolist())] += 1
    found = inspect.frequent_spans(corpus, everything, 5, told.append)
    assert sum(told) == len(everything)
    for kind, spans in found.items():
        assert [span.count for span in spans] == [count for _, count in expected[kind].most_common(5)]
        for span in spans:
            assert expected[kind][tuple(corpus.tokenizer().encode(span.text)[0])] == span.count
    assert found["entity"][0].text[0].isupper(), "as it is written, not as the tokenizer reads it"
    assert found["number"] == []


def test_a_sample_has_no_passage_twice_and_is_the_same_for_the_same_seed(toy_corpus: Corpus) -> None:
    first, second = (inspect.sample(toy_corpus, 20, np.random.default_rng(3)).tolist() for _ in range(2))
    assert first == second
    assert len(set(first)) == 20
    assert set(first) <= set(range(toy_corpus.num_passages))
    everything = inspect.sample(toy_corpus, MAX_SAMPLED, np.random.default_rng(3))
    assert sorted(everything.tolist()) == list(range(toy_corpus.num_passages))


def test_a_passage_is_shown_with_its_spans_in_characters(toy_corpus: Corpus) -> None:
    shown = inspect.shown(toy_corpus, 5)
    passage = toy_corpus.passage(5)
    assert (shown["title"], shown["text"], shown["id"]) == (passage.title, passage.text, passage.id)
    assert shown["tokens"] == len(toy_corpus.body_tokens(5))
    written = [(passage.text[span["start"] : span["end"]], span["kind"]) for span in shown["spans"]]
    assert written == [(inspect.span_text(toy_corpus, 5, start, end), kind) for start, end, kind in toy_corpus.spans(5)]
    assert written


def test_what_was_skipped_is_counted_by_reason(tmp_path: Path, tokenizer: Tokenizer) -> None:
    source = {"kind": "toy", "skipped": {"list": 2, "redirect": 9, "blank": 2}}
    articles = [Article("a", "Lima", "Lima is a city."), Article("b", "Lima", "Lima is a city.")]
    corpus = build_corpus(
        articles, tmp_path / "corpus", tokenizer, max_passage_tokens=40, tagger=RulesTagger(), source=source
    )
    assert list(inspect.skipped(corpus).items()) == [
        ("redirect", 9),
        ("blank", 2),
        ("list", 2),
        ("passage that repeats the title and text of another", 1),
    ]


def test_a_corpus_without_copies_has_no_groups(tmp_path: Path, tokenizer: Tokenizer) -> None:
    article = Article("a", "Lima", "Lima is a city.")
    corpus = build_corpus(
        [article], tmp_path / "corpus", tokenizer, max_passage_tokens=40, tagger=RulesTagger(), source={"kind": "toy"}
    )
    assert "passages per group" not in inspect.lengths(corpus)
    found = inspect.counts(corpus)
    assert (found["groups_of_duplicates"], found["passages_in_groups"], found["largest_group"]) == (0, 0, 0)
