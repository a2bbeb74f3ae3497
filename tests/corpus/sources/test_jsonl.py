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
from openrealm.errors import BadInput
from openrealm.types import Article

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
    assert articles[2999] == Article("2999", "Title 2999", f"Text number {2999 * 7919}.")


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.xz", ".jsonl.zst"])
@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_a_file_cut_short_names_the_line_reached(tmp_path: Path, ending: str, kept: float) -> None:
    path = written(tmp_path, ending, "\n".join(LINES).encode())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    message = refusal(path)
    assert f"{path} is damaged or truncated" in message
    assert "line" in message


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.xz", ".jsonl.zst"])
def test_a_file_that_is_not_compressed_at_all_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"articles{ending}"
    path.write_text(LINES[0])
    assert f"{path} is damaged or truncated in the first line" in refusal(path)


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
        (b'{"title": "x"}', r'has no "text"; expected an object'),
        (b'{"text": null}', r'"text" is null; expected a string'),
        (b'{"text": 3}', r'"text" is a int; expected a string'),
        (b'{"text": "a", "title": ["b"]}', r'"title" is a list; expected a string'),
        (b'{"text": "a", "id": true}', r'"id" is a bool; expected a string or an integer'),
        (b'{"text": "a\xff"}', r"is not UTF-8 \(byte 11 of the line\)"),
        (b"[" * 100_000, r"is not JSON"),
    ],
)
def test_a_bad_line_is_named_with_what_was_expected(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES[0].encode() + b"\n\n" + line + b"\n")
    with pytest.raises(BadInput, match=message) as caught:
        list(jsonl.read(path))
    assert str(caught.value).startswith(f"{path}:3")


def test_ids_titles_and_blank_text(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": "One"}, {"id": 7, "title": "Two", "text": "2 &lt; 3"}, {"text": " \n"}]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    assert list(jsonl.read(path)) == [Article("1", "", "One"), Article("7", "Two", "2 < 3")]


def test_an_endless_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "x" * 1_000_001}))
    assert f"{path}:1: line 1 has 1,000,001 characters" in refusal(path)
    path.write_bytes(b'{"text": "' + b"x" * jsonl.MAX_LINE_BYTES)
    assert f"{path}:1 is longer than 67,108,864 bytes" in refusal(path)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    assert "a.jsonl could not be read" in refusal(tmp_path / "a.jsonl")


articles = st.lists(
    st.fixed_dictionaries({"id": st.text(max_size=5), "title": st.text(max_size=9), "text": st.text(max_size=40)}),
    max_size=6,
)


@given(rows=articles, escaped=st.booleans())
def test_any_article_is_read_as_it_was_written(
    rows: list[dict[str, str]], escaped: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=escaped) for row in rows), encoding="utf-8", newline="")
    cleaned = [Article(row["id"], clean_title(row["title"]), clean_text(row["text"])) for row in rows]
    assert list(jsonl.read(path)) == [article for article in cleaned if article.text]
