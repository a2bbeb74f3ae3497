"""When passages are valid, compared with going through all articles."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus import builder
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadInput
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article, Line, Span

FIRST = datetime.date(2019, 1, 1)
TEXTS = ["Ann is the mayor of Lima.", "Lima is the capital of Peru. The river is in the south.", "Rain."]
dates = st.sampled_from(["", *(str(FIRST + datetime.timedelta(days)) for days in range(5))])
articles = st.lists(st.tuples(st.sampled_from(TEXTS), dates, dates), min_size=1, max_size=8)


@given(rows=articles, shard=st.sampled_from([1, 3, 100]))
def test_a_passage_is_valid_when_any_article_with_it_is(
    rows: list[tuple[str, str, str]], shard: int, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    some = [
        Article(str(number), "", text, valid_from=low, valid_to=high) for number, (text, low, high) in enumerate(rows)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "_SHARD_ARTICLES", shard)
        corpus = Corpus.build(some, tmp_path_factory.mktemp("valid") / "c", tokenizer=tokenizer, num_workers=1)
    for day in (FIRST + datetime.timedelta(days) for days in range(-1, 7)):
        is_valid = corpus.is_valid_on(day)
        for i in range(len(corpus)):
            expected = any(
                corpus[i].text in a.text and (a.valid_from or "0") <= str(day) <= (a.valid_to or "9") for a in some
            )
            assert is_valid[i] == expected


def test_articles_come_back_as_they_were_given(tmp_path: Path, tokenizer: Tokenizer) -> None:
    some = [
        Article(
            "1", "Peru", "Lima is the capital.\nRain.", (Span(0, 4, "entity"),), (Line(0, 3), Line(21, 40, 2, True))
        ),
        Article("2", "Peru", "", valid_to="2019-06-01"),
        Article("3", "Café", "Lima is the capital.", valid_from="1066-10-14", valid_to="1087-09-09"),
    ]
    corpus = Corpus.build(some, tmp_path / "corpus", tokenizer=tokenizer)
    assert [corpus.article(number) for number in range(corpus.num_articles)] == some
    with pytest.raises(IndexError):
        corpus.article(3)


def test_rows_have_dates_in_every_format(tmp_path: Path, tokenizer: Tokenizer) -> None:
    row = {"text": "Rain.", "valid_from": "2019-06-01", "valid_to": "2019-06-30"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({"text": "Snow.", "valid_from": None}))
    (tmp_path / "b.csv").write_text("text,valid_from,valid_to\nHail.,2019-06-01,\n")
    stamp = {"valid_from": datetime.date(2019, 6, 1), "valid_to": datetime.datetime(2019, 6, 30, 12)}
    pq.write_table(pa.Table.from_pylist([{"text": "Fog.", **stamp}]), tmp_path / "c.parquet")
    corpus = Corpus.build(tmp_path, tmp_path / "out", tokenizer=tokenizer)
    found = {corpus.article(n).text: (corpus.article(n).valid_from, corpus.article(n).valid_to) for n in range(4)}
    both = ("2019-06-01", "2019-06-30")
    assert found == {"Rain.": both, "Snow.": ("", ""), "Hail.": ("2019-06-01", ""), "Fog.": both}


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ("June", None, r'rows.jsonl:1: "valid_from" is \'June\'; expected a date such as 2019-06-01'),
        (None, 2019, r'rows.jsonl:1: "valid_to" is 2019; expected a date'),
        ("2019-06-02", "2019-06-01", "it is valid to 2019-06-01, before the first day, 2019-06-02"),
    ],
)
def test_a_row_with_a_wrong_date_is_named(
    low: object, high: object, message: str, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": "Rain.", "valid_from": low, "valid_to": high}))
    with pytest.raises(BadInput, match=message):
        Corpus.build(tmp_path / "rows.jsonl", tmp_path / "out", tokenizer=tokenizer)


def test_an_article_with_a_wrong_date_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(BadInput, match="'soon' is not a date; expected year, month and day"):
        Corpus.build([Article("1", "", "Rain.", valid_from="soon")], tmp_path / "out", tokenizer=tokenizer)
