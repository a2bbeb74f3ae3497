from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.clean import clean_text, clean_title
from openrealm.corpus.sources import jsonl
from openrealm.corpus.sources.rows import cleaned_lines
from openrealm.errors import BadInput
from openrealm.types import Article, Line

PRESSES: dict[str, Callable[[bytes], bytes]] = {
    ".jsonl": bytes,
    ".jsonl.gz": gzip.compress,
    ".jsonl.xz": lzma.compress,
    ".jsonl.zst": zstandard.ZstdCompressor().compress,
}
LINES = [json.dumps({"id": str(i), "title": f"Title {i}", "text": f"Text number {i * 7919}."}) for i in range(3000)]


def written(folder: Path, ending: str, data: bytes) -> Path:
    path = folder / f"articles{ending}"
    path.write_bytes(PRESSES[ending](data))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        list(jsonl.read(path))
    return str(caught.value)


@pytest.mark.parametrize("ending", PRESSES)
def test_plain_and_compressed_lines_are_read_alike(tmp_path: Path, ending: str) -> None:
    articles = list(jsonl.read(written(tmp_path, ending, "\n".join(LINES).encode())))
    assert len(articles) == 3000
    assert articles[2999] == Article(
        "2999", "Title 2999", f"Text number {2999 * 7919}.", lines=(Line(0, 0, part=3000),)
    )


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.xz", ".jsonl.zst"])
@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_a_file_cut_short_names_the_line_reached(tmp_path: Path, ending: str, kept: float) -> None:
    path = written(tmp_path, ending, "\n".join(LINES).encode())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    message = refusal(path)
    assert f"{path} is damaged or truncated" in message
    assert "line" in message


@pytest.mark.parametrize("content", PRESSES)
@pytest.mark.parametrize("name", PRESSES)
def test_the_content_tells_how_a_file_is_compressed_and_not_its_name(tmp_path: Path, content: str, name: str) -> None:
    path = tmp_path / f"articles{name}"
    path.write_bytes(PRESSES[content](LINES[0].encode()))
    assert [article.id for article in jsonl.read(path)] == ["0"]


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.xz", ".jsonl.zst"])
def test_a_compressed_file_whose_beginning_is_lost_is_refused(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path, ending, "\n".join(LINES).encode())
    path.write_bytes(b"?" + path.read_bytes()[1:])
    assert f"{path} is damaged: it does not begin like a {path.suffix} file" in refusal(path)


def test_two_compressed_parts_end_to_end_are_one_file(tmp_path: Path) -> None:
    for ending in (".jsonl.gz", ".jsonl.xz", ".jsonl.zst"):
        path = tmp_path / f"articles{ending}"
        path.write_bytes(PRESSES[ending](f"{LINES[0]}\n".encode()) + PRESSES[ending](f"{LINES[1]}\n".encode()))
        assert [article.id for article in jsonl.read(path)] == ["0", "1"], ending


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", r"is not JSON"),
        (b"[1]", r"is a list; expected an object"),
        (b'{"title": "x"}', r'has no "text" \(it has: title\); expected an object'),
        (b'{"text": 3}', r'"text" is a number; expected a string'),
        (b'{"text": {"en": "Lima"}}', r'"text" is an object; expected a string'),
        (b'{"text": "a", "title": ["b"]}', r'"title" is a list; expected a string'),
        (b'{"text": "a", "id": true}', r'"id" is a boolean; expected a string or an integer'),
        (b'{"text": "a\xff"}', r"is not UTF-8 \(byte 11 of the line\)"),
        (b"[" * 100_000, r"is not JSON"),
        (b'{"text": "a"} {"text": "b"}', r"is not JSON \(Extra data"),
        (b'{"text": "a", "title": 1984}', r'"title" is a number; expected a string'),
    ],
)
def test_a_bad_line_is_named_with_what_was_expected(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES[0].encode() + b"\n\n" + line + b"\n")
    with pytest.raises(BadInput, match=message) as caught:
        list(jsonl.read(path))
    assert str(caught.value).startswith(f"{path}:3")


def rows_file(folder: Path, *rows: dict[str, Any], name: str = "a.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def read(path: Path, *, skip_unreadable: bool = False) -> tuple[list[tuple[str, str, str]], dict[str, Any]]:
    """Id, title and text of every article, and the source's description."""
    source = jsonl.JsonLines(path, skip_unreadable=skip_unreadable)
    return [(article.id, article.title, article.text) for article in source.articles()], source.description


def test_ids_titles_and_blank_text(tmp_path: Path) -> None:
    path = rows_file(tmp_path, {"text": "One"}, {"id": 7, "title": "Two", "text": "2 &lt; 3"}, {"text": " \n"})
    assert read(path)[0] == [("1", "", "One"), ("7", "Two", "2 < 3")]


@pytest.mark.parametrize(
    ("row", "expected", "keys"),
    [
        (
            {"_id": "doc42", "title": "Polle", "text": "The mill.", "metadata": {}},
            ("doc42", "Polle", "The mill."),
            {"id": "_id", "title": "title", "text": "text"},
        ),
        ({"id": "d1", "contents": "The mill."}, ("d1", "", "The mill."), {"id": "id", "text": "contents"}),
        ({"id": "d1", "contents": "Polle\nThe mill."}, ("d1", "Polle", "The mill."), {"id": "id", "text": "contents"}),
        (
            {"id": 0, "contents": '"St. Ives."\nA town.'},
            ("0", "St. Ives.", "A town."),
            {"id": "id", "text": "contents"},
        ),
        (
            {"docid": "7", "title": None, "text": "The mill."},
            ("7", "", "The mill."),
            {"id": "docid", "text": "text"},
        ),
        ({"id": None, "_id": "b", "text": "The mill."}, ("b", "", "The mill."), {"id": "_id", "text": "text"}),
        ({"pid": 3, "passage": "The mill."}, ("3", "", "The mill."), {"id": "pid", "text": "passage"}),
        (
            {"docid": "m_0#1", "url": "http://x", "segment": "The mill.", "start_char": 0},
            ("m_0#1", "", "The mill."),
            {"id": "docid", "text": "segment"},
        ),
        ({"id": " ", "text": "The mill."}, ("1", "", "The mill."), {"text": "text"}),
    ],
    ids=["beir", "pyserini", "title", "quoted", "null-title", "null-id", "colbert", "ms-marco", "blank-id"],
)
def test_rows_are_read_by_the_keys_that_retrieval_toolkits_use(
    tmp_path: Path, row: dict[str, Any], expected: tuple[str, str, str], keys: dict[str, str]
) -> None:
    articles, description = read(rows_file(tmp_path, row))
    assert articles == [expected]
    assert description["keys"] == keys


def test_every_row_is_counted_by_what_became_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\n  \n{"text": "One"}\n{"text": null}\n{"text": ""}\n\n{"text": "\\u200b"}\n')
    articles, description = read(path)
    assert articles == [("3", "", "One")]
    assert description["num_rows"] == 7
    assert description["skipped"] == {"blank line": 3, "row without text": 3}
    assert description["examples"] == {"row without text": ["a.jsonl:4", "a.jsonl:5", "a.jsonl:7"]}


def test_repeated_ids_become_unique_and_are_remarked(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"id": "a", "text": "One"}, {"id": "a", "text": "Two"}, {"text": "Three"}]
    path = rows_file(tmp_path, *rows, {"id": 3, "text": "Four"}, {"id": "a", "text": "Five"})
    articles, description = read(path)
    assert [article_id for article_id, _, _ in articles] == ["a", "a@2", "3", "3@4", "a@5"]
    assert description["remarks"] == [
        f"3 rows with the id of an earlier row (the first: 'a' in {path}:2); the row's number was appended to the id."
    ]


def test_all_unreadable_rows_are_named_at_once_or_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "One"}\n{\n{"text": "Two"}\n[]\n')
    with pytest.raises(BadInput, match=r"^2 files or rows could not be read; .* --skip-unreadable") as caught:
        read(path)
    assert f"{path}:2 is not JSON" in str(caught.value)
    assert f"{path}:4 is a list" in str(caught.value)
    articles, description = read(path, skip_unreadable=True)
    assert [text for _, _, text in articles] == ["One", "Two"]
    assert (description["num_rows"], description["skipped"]) == (4, {"unreadable row": 2})


def test_a_file_of_nothing_but_unreadable_rows_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("{\n" * 1000)
    with pytest.raises(BadInput, match=r"^20 or more files or rows could not be read"):
        read(path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"id": 1%s, "text": "x"}' % ("0" * 100_000), ("1" + "0" * 100_000, "", "x")),
        ('{"id": "1", "views": 1%s, "text": "x"}' % ("0" * 100_000), ("1", "", "x")),
        (r'{"id": "\ud800", "title": "\udfff", "text": "a\ud800b"}', ("\ufffd", "\ufffd", "a\ufffdb")),
        (r'{"id": "\ud83d\ude00", "text": "x"}', ("\U0001f600", "", "x")),
        ('{"id": NaN, "title": NaN, "text": "x", "score": -Infinity}', ("1", "", "x")),
        ('{"text": "a", "text": "b"}', ("1", "", "b")),
        ('\ufeff{"text": "a"}', ("1", "", "a")),
    ],
    ids=["long-id", "long-number", "lone-surrogates", "surrogate-pair", "nan", "equal-keys", "byte-order-mark"],
)
def test_odd_json_has_a_sensible_value(tmp_path: Path, line: str, expected: tuple[str, str, str]) -> None:
    (tmp_path / "a.jsonl").write_text(line, encoding="utf-8")
    assert read(tmp_path / "a.jsonl")[0] == [expected]


@pytest.mark.slow
def test_a_file_that_expands_without_bound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.xz"
    path.write_bytes(lzma.compress(b"\n" * (33 << 20), preset=0))
    assert "expands to more than 500 times as many, which text does not" in refusal(path)
    path.write_bytes(lzma.compress(b'{"text": "' + b"x" * (65 << 20), preset=0))
    assert "expands to more than 500 times" in refusal(path)


def test_places_lead_back_to_the_line_and_its_text(tmp_path: Path) -> None:
    text = "  The mill.\n\n\tThe  ferry &amp; the bridge.\u2028The end."
    _, article = jsonl.read(rows_file(tmp_path, {"text": "One"}, {"text": ""}, {"text": text}))
    assert article.text == "The mill.\nThe ferry & the bridge.\nThe end."
    assert [(article.text[line.start :][:7], text[line.position :][:7]) for line in article.lines] == [
        ("The mil", "The mil"), ("The fer", "The  fe"), ("The end", "The end"),
    ]  # fmt: skip
    assert {line.part for line in article.lines} == {3}


def test_an_endless_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "x" * 1_000_001}))
    assert f"{path}:1: line 1 has 1,000,001 characters" in refusal(path)
    path.write_bytes(b'{"text": "' + b"x" * (64 << 20))
    assert f"{path}:1 is longer than 67,108,864 bytes" in refusal(path)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    assert "a.jsonl could not be read" in refusal(tmp_path / "a.jsonl")


values = st.one_of(st.none(), st.text(max_size=30), st.integers(), st.floats(), st.lists(st.text(), max_size=2))
keys = st.sampled_from(["id", "_id", "title", "text", "contents", "other"])
row_lines = st.one_of(
    st.dictionaries(keys, values, max_size=5).map(json.dumps),
    st.fixed_dictionaries({"id": st.text(max_size=2), "text": st.text(max_size=40)}).map(json.dumps),
    st.text(alphabet=' \t{}[]",:a1', max_size=12),
)


@given(lines=st.lists(row_lines, max_size=12))
def test_every_row_of_any_file_is_an_article_or_counted(
    lines: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    articles, description = read(path, skip_unreadable=True)
    assert len(articles) + sum(description["skipped"].values()) == description["num_rows"] == len(lines)
    assert len({article_id for article_id, _, _ in articles}) == len(articles)


articles = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text(min_size=1, max_size=5).filter(str.strip),
            "title": st.text(max_size=9),
            "text": st.text(max_size=40),
        }
    ),
    max_size=6,
    unique_by=lambda row: row["id"],
)


@given(rows=articles, escaped=st.booleans())
def test_any_article_is_read_as_it_was_written(
    rows: list[dict[str, str]], escaped: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=escaped) for row in rows), encoding="utf-8", newline="")
    expected = [(row["id"], clean_title(row["title"]), clean_text(row["text"])) for row in rows]
    assert read(path)[0] == [article for article in expected if article[2]]


@given(text=st.text(alphabet=st.sampled_from("ab .&amp;#10\n\r\t\x0b\x85\u2028\u200b\ufeff"), max_size=60))
def test_cleaning_line_by_line_is_cleaning(text: str) -> None:
    cleaned, lines = cleaned_lines(text)
    assert cleaned == clean_text(text)
    assert bool(cleaned) == bool(lines)
    assert not lines or lines[0].start == 0
