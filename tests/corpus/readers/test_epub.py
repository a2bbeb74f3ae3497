from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.corpus.readers.epub import read
from openrealm.errors import BadInput
from openrealm.types import Limits

Files = dict[str, str | bytes]


def test_chapters_are_read_in_the_order_of_the_spine(
    tmp_path: Path, make_archive: Callable[..., Path], book: Files
) -> None:
    document = read(make_archive(tmp_path / "a.epub", book))
    article = document.article("a.epub", "a")
    assert article.title == "The Weser"
    assert article.text.split("\n") == [
        "Polle", "The mill was built in 1902.", "Hameln", "The ferry & the bridge.",
    ]  # fmt: skip
    assert [line.part for line in article.lines] == [1, 1, 2, 2]
    assert document.counts == {"chapter that is missing": 1}


@pytest.mark.parametrize("empty", ["<title/>", '<script src="a.js" />', "<STYLE/>", "<iframe\n/>"])
def test_what_follows_an_empty_element_is_kept(
    tmp_path: Path, make_archive: Callable[..., Path], book: Files, empty: str
) -> None:
    chapter = f"<?xml version='1.0'?><html><head>{empty}</head><body><p>{empty}The mill</p></body></html>"
    (piece, *_) = read(make_archive(tmp_path / "a.epub", book | {"OEBPS/text/one.xhtml": chapter})).pieces
    assert (piece.text, piece.position) == ("The mill", chapter.index("The mill"))


def test_a_chapter_may_be_utf_16(tmp_path: Path, make_archive: Callable[..., Path], book: Files) -> None:
    book["OEBPS/text/one.xhtml"] = "<p>Fähre".encode("utf-16")
    assert read(make_archive(tmp_path / "a.epub", book)).pieces[0].text == "Fähre"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("META-INF/container.xml", "<container/>", "names no package"),
        ("META-INF/container.xml", "<container", "META-INF/container.xml: unclosed token"),
        ("OEBPS/text/one.xhtml", b"caf\xe9", "can't decode byte 0xe9"),
        ("META-INF/encryption.xml", '<x URI="OEBPS/text/one.xhtml"/>', "is encrypted"),
        ("OEBPS/big.bin", b"\0" * (257 << 20), r"unpacks to 269,\d+,\d+ bytes, more than 268,435,456; split it"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    tmp_path: Path, make_archive: Callable[..., Path], book: Files, name: str, data: str | bytes, message: str
) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        read(make_archive(tmp_path / "a.epub", book | {name: data}))
    assert str(caught.value).startswith(str(tmp_path / "a.epub"))


def test_an_archive_of_too_many_files_is_refused(
    tmp_path: Path, make_archive: Callable[..., Path], book: Files
) -> None:
    path = make_archive(tmp_path / "a.epub", book)
    message = (
        rf"a\.epub holds {len(book):,} files, more than 2; split it, remove it, or raise corpus\.max_archive_files"
    )
    with pytest.raises(BadInput, match=message):
        read(path, Limits(max_archive_files=2))
    assert read(path, Limits(max_archive_files=len(book))).pieces


def test_an_archive_cut_short_is_refused(tmp_path: Path, make_archive: Callable[..., Path], book: Files) -> None:
    path = make_archive(tmp_path / "a.epub", book)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadInput, match=r"a\.epub could not be read as an EPUB \(File is not a zip file\)"):
        read(path)
