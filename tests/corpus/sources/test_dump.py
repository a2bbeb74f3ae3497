from __future__ import annotations

import bz2
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.corpus.sources import dump
from openrealm.corpus.sources.dump import Loss, Piece, pieces
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS, Limits

ONE_MB = Limits(max_page_mb=1)


def pages_of(path: Path, limits: Limits = DEFAULT_LIMITS) -> list[Piece]:
    return [piece for piece in pieces(path, limits) if isinstance(piece, Piece) and not piece.is_header]


def losses_of(path: Path, limits: Limits = DEFAULT_LIMITS) -> list[Loss]:
    return [piece for piece in pieces(path, limits) if isinstance(piece, Loss)]


def titles(path: Path) -> list[str]:
    return [re.findall(rb"<title>(.*?)</title>", page.xml or b"")[0].decode() for page in pages_of(path)]


@pytest.fixture
def plain(tmp_path: Path, numbered_pages: list[str], make_dump: Callable[[list[str]], str]) -> Path:
    path = tmp_path / "towns.xml"
    path.write_text(make_dump(numbered_pages))
    return path


EVERY = [f"Town {n}" for n in range(300)]


def test_plain_single_stream_and_multistream_give_the_same_pages(
    tmp_path: Path, plain: Path, multistream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    single, multi = tmp_path / "single.xml.bz2", tmp_path / "multi.xml.bz2"
    single.write_bytes(bz2.compress(plain.read_bytes(), 1))
    multi.write_bytes(multistream)
    monkeypatch.setattr(dump, "_READ_BYTES", 1000)
    read = [[page.xml for page in pages_of(path)] for path in (plain, single, multi)]
    assert read[0] == read[1] == read[2]
    assert [losses_of(path) for path in (plain, single, multi)] == [[], [], []]
    assert titles(plain) == EVERY


def test_header_and_places(plain: Path, numbered_pages: list[str]) -> None:
    header = next(pieces(plain))
    data, pages = plain.read_bytes(), pages_of(plain)
    assert isinstance(header, Piece)
    assert header.is_header
    assert b"Datei" in (header.xml or b"")
    assert len(pages) == len(numbered_pages)
    assert all(page.xml == data[page.start : page.end] for page in pages)


@pytest.mark.parametrize(
    ("harm", "why", "lost"),
    [
        (lambda text: text[: text.index("<title>Town 299<")], "the file ends within a page", {299}),
        (lambda text: text.removesuffix("</mediawiki>\n"), "the file ends before </mediawiki>", set()),
        (
            lambda text: text.replace("<page>\n    <title>Town 7<", "<pagf>\n    <title>Town 7<"),
            "this is not a page",
            {7},
        ),
        (lambda text: text.replace("</page>", "</pagf>", 1), "a page has no end", {0}),
    ],
)
def test_damage_of_a_text_is_told_in_its_place_and_costs_its_page(
    plain: Path, harm: Callable[[str], str], why: str, lost: set[int]
) -> None:
    plain.write_text(harm(plain.read_text()))
    assert titles(plain) == [title for n, title in enumerate(EVERY) if n not in lost]
    losses = losses_of(plain)
    assert [loss.why for loss in losses] == [why]
    if lost:
        stretch = plain.read_bytes()[losses[0].start : losses[0].end]
        assert f"<title>Town {min(lost)}<".encode() in stretch or min(lost) == 299


@pytest.mark.parametrize("place", [0.1, 0.3, 0.77])
@pytest.mark.parametrize("num_streams", [1, 8])
def test_a_flipped_bit_of_a_packed_dump_costs_the_pages_of_its_block(
    tmp_path: Path, plain: Path, multistream: bytes, num_streams: int, place: float
) -> None:
    data = bytearray(multistream if num_streams > 1 else bz2.compress(plain.read_bytes(), 1))
    at = int(len(data) * place)
    data[at] ^= 4
    path = tmp_path / "damaged.xml.bz2"
    path.write_bytes(data)
    kept, first_loss = titles(path), losses_of(path)[0]
    assert first_loss.start <= at < first_loss.end
    assert kept == [title for title in EVERY if title in set(kept)], "in order, none twice"
    assert 100 <= len(kept) < 300


def test_a_packed_dump_that_breaks_off_keeps_what_came_before(tmp_path: Path, multistream: bytes) -> None:
    path = tmp_path / "cut.xml.bz2"
    path.write_bytes(multistream[: len(multistream) // 2])
    kept = titles(path)
    assert kept == EVERY[: len(kept)]
    assert 100 <= len(kept) < 200
    assert losses_of(path)[-1].end == len(multistream) // 2


def test_a_file_that_is_no_dump_is_one_loss(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<html>No dump.</html>")
    assert list(pieces(path)) == [Loss(0, 21, "the file ends before </mediawiki>")]
    path.rename(tmp_path / "a.xml.bz2")
    assert list(pieces(tmp_path / "a.xml.bz2")) == [Loss(0, 21, "the file does not begin like bzip2")]


def test_a_file_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.xml").mkdir()
    with pytest.raises(BadInput, match=r"a.xml could not be read \(Is a directory\); check its permissions"):
        list(pieces(tmp_path / "a.xml"))


def test_a_page_without_measure_is_passed_over(
    plain: Path, make_page: Callable[..., str], make_dump: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump, "_READ_BYTES", 50_000)
    plain.write_text(make_dump([make_page(1, "A", "a"), make_page(2, "B", "b" * 2_000_000), make_page(3, "C", "c")]))
    first, large, last = pages_of(plain, ONE_MB)
    data = plain.read_bytes()
    assert b"<title>A" in (first.xml or b"")
    assert b"<title>C" in (last.xml or b"")
    assert large.xml is None
    assert data[large.start : large.end].startswith(b"<page>\n    <title>B")
    assert data[: large.end].endswith(b"</page>")
    assert data[large.end : last.start].isspace()
    plain.write_bytes(data[: large.end - 9_000])
    assert losses_of(plain, ONE_MB) == [Loss(large.start, large.end - 9_000, "the file ends within a page")]
    plain.write_bytes(data)
    assert [page.xml is None for page in pages_of(plain, Limits(max_page_mb=2))] == [False] * 3


def test_what_holds_no_page_is_not_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "_READ_BYTES", 50_000)
    path = tmp_path / "a.xml"
    path.write_text("no page " * 400_000)
    losses = losses_of(path, ONE_MB)
    assert {loss.why for loss in losses} == {"this is not a page", "the file ends before </mediawiki>"}
    assert [loss.start for loss in losses[1:]] == [loss.end for loss in losses[:-1]]
    assert (losses[0].start, losses[-1].end) == (0, 3_200_000)


def test_two_dumps_end_to_end_are_read_as_one(plain: Path) -> None:
    plain.write_text(plain.read_text() * 2)
    assert titles(plain) == EVERY * 2
