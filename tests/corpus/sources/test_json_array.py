from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.clean import clean_text
from openrealm.corpus.sources import open_source
from openrealm.errors import BadInput
from openrealm.types import Limits


def read(path: Path, *, skip_unreadable: bool = False) -> tuple[list[tuple[str, str, str]], dict[str, Any]]:
    source = open_source(path, skip_unreadable=skip_unreadable)
    return [(article.id, article.title, article.text) for article in source.articles()], source.description


@pytest.mark.parametrize(
    "content",
    [
        '[{"id": 1, "text": "One"}, {"text": "Two"}]',
        '\ufeff \n[\n  {\n    "id": 1,\n    "text": "One"\n  },\n  {"text": "Two"}\n]\n',
        '{"id": 1, "text": "One"}\n{"text": "Two"}\n',
    ],
    ids=["array", "indented", "lines"],
)
def test_an_array_or_lines_of_objects_are_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    articles, description = read(tmp_path / "a.json")
    assert articles == [("1", "", "One"), ("2", "", "Two")]
    assert (description["kind"], description["num_rows"]) == ("json", 2)
    (tmp_path / "a.json.xz").write_bytes(lzma.compress(content.encode()))
    assert read(tmp_path / "a.json.xz")[0] == articles


def test_a_long_array_is_read_block_by_block(tmp_path: Path) -> None:
    rows = [{"id": n, "text": f"Text {n}: " + "é" * (n % 7000 + 1) * 2} for n in range(2000)]
    (tmp_path / "a.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    assert (tmp_path / "a.json").stat().st_size > 3 << 20
    articles, _ = read(tmp_path / "a.json")
    assert [(article_id, text) for article_id, _, text in articles] == [(str(row["id"]), row["text"]) for row in rows]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"1": "One",\n"2": "Two"}', "a.json is one JSON object; expected an array"),
        ('{"1": "One", "2": "Two"}', r'a.json, item 1 has no "text" \(it has: 1, 2\)'),
        ("", "a.json is no JSON; expected an array"),
        ("Lima.", "a.json is no JSON; expected an array"),
        ('[{"text": "One"},', "a.json, item 2 is not JSON"),
        ('[{"text": "One"}', "a.json, item 1 is not JSON"),
        ('[{"text": "One"} {"text": "Two"}]', "item 2 is not JSON \\(Expecting ',' delimiter\\), or longer"),
        ('[{"text": "One"}, {"te', "a.json, item 2 is not JSON"),
        ('[{"text": "One"}] [1]', "a.json goes on after the end of its array"),
        ('[{"text": "One"}, 12]', "a.json, item 2 is a number; expected an object"),
        ("[" * 100_000, "a.json, item 1 is not JSON"),
        ('[{"text": "caf\udce9"}]', "a.json is not UTF-8"),
    ],
)
def test_what_is_no_array_of_objects_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadInput, match=message):
        read(tmp_path / "a.json")


def test_an_item_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"text": "' + "x" * (9 << 20))
    message = r"item 1 is not JSON \(Unterminated string.*\), or longer than 2,097,152 bytes \(corpus\.max_row_mb\)"
    with pytest.raises(BadInput, match=message):
        list(open_source(tmp_path / "a.json", limits=Limits(max_row_mb=2)).articles())


values = st.one_of(st.none(), st.text(max_size=30), st.integers(), st.lists(st.text(), max_size=2))
rows = st.one_of(
    st.dictionaries(st.sampled_from(["id", "title", "text", "other"]), values, max_size=4),
    st.fixed_dictionaries({"text": st.text(min_size=1, max_size=40)}),
    st.integers(),
)


@given(items=st.lists(rows, max_size=8), block=st.integers(1, 40), indent=st.none() | st.just(1))
def test_every_item_is_an_article_or_counted_wherever_blocks_end(
    items: list[Any], block: int, indent: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("array") / "a.json"
    path.write_text(json.dumps(items, indent=indent))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("openrealm.corpus.sources.lines._BLOCK_BYTES", block)
        articles, description = read(path, skip_unreadable=True)
    assert len(articles) + sum(description["skipped"].values()) == description["num_rows"] == len(items)
    texts = [item["text"] for item in items if isinstance(item, dict) and set(item) == {"text"}]
    whole = [clean_text(text) for text in texts if isinstance(text, str)]
    assert {text for text in whole if text} <= {text for _, _, text in articles}
