"""Dumps damaged at hundreds of places: never a crash, always an offset, and what is whole is kept as it was."""

from __future__ import annotations

import bz2
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.sources import mediawiki
from openrealm.corpus.sources.dump import Loss, Piece, pieces
from openrealm.corpus.sources.namespaces import UNKNOWN
from openrealm.corpus.sources.page_worker import answer
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS

NUM_DAMAGES = 300
KINDS = ("flip", "overwrite", "cut", "remove", "insert")


def damaged(data: bytes, rng: random.Random) -> tuple[bytes, int]:
    """The data with one damage, and its first byte."""
    kind, at, length = rng.choice(KINDS), rng.randrange(len(data)), rng.randrange(1, 2_000)
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :], at
    if kind == "cut":
        return data[:at], at
    noise = b"" if kind == "remove" else rng.randbytes(length)
    behind = at if kind == "insert" else at + length
    return data[:at] + noise + data[behind:], at


@pytest.fixture(scope="module")
def small_pages(numbered_pages: list[str]) -> list[str]:
    return numbered_pages[:60]


@pytest.fixture(scope="module")
def packed(small_pages: list[str], make_dump: Callable[[list[str]], str]) -> dict[str, bytes]:
    """A dump of 60 pages as one stream of one block, as one of many blocks, and as eight streams."""
    whole = make_dump(small_pages)
    header, rest = whole.split("  <page>", 1)
    parts = [header, *(f"  <page>{page}" for page in rest.split("  <page>"))]
    groups = [parts[:1], *(parts[n : n + 9] for n in range(1, 61, 9))]
    return {
        "one block": bz2.compress(whole.encode()),
        "many blocks": bz2.compress(make_dump(small_pages * 5).encode(), 1),
        "many streams": b"".join(bz2.compress("".join(group).encode(), 1) for group in groups),
    }


@pytest.mark.parametrize("kind", ["one block", "many blocks", "many streams"])
def test_a_packed_dump_damaged_anywhere_tells_where_and_gives_no_page_that_was_not_there(
    tmp_path: Path, packed: dict[str, bytes], small_pages: list[str], kind: str
) -> None:
    rng, path, whole = random.Random(kind), tmp_path / "a.xml.bz2", packed[kind]
    true_pages = {page.strip().encode() for page in small_pages}
    num_kept = 0
    for _ in range(NUM_DAMAGES // 3):
        data, at = damaged(whole, rng)
        path.write_bytes(data)
        found = list(pieces(path))
        losses = [piece for piece in found if isinstance(piece, Loss)]
        kept = [piece.xml for piece in found if isinstance(piece, Piece) and not piece.is_header]
        assert losses or bz2.decompress(data) == bz2.decompress(whole), "only filling bits are not missed"
        assert {xml for xml in kept if xml} <= true_pages
        assert all(0 <= loss.start <= loss.end <= len(data) for loss in losses)
        assert not losses or losses[0].start <= at
        num_kept += len(kept)
    assert kind == "one block" or num_kept > NUM_DAMAGES // 3 * 15, "what is whole is kept"


def test_a_plain_dump_damaged_anywhere_never_crashes(
    tmp_path: Path, small_pages: list[str], make_dump: Callable[[list[str]], str]
) -> None:
    rng, path, whole = random.Random(0), tmp_path / "a.xml", make_dump(small_pages).encode()
    true_pages = {page.strip().encode() for page in small_pages}
    for _ in range(NUM_DAMAGES // 3):
        data, at = damaged(whole, rng)
        path.write_bytes(data)
        for piece in pieces(path):
            if isinstance(piece, Piece) and not piece.is_header and piece.xml not in true_pages:
                assert piece.xml is not None
                assert piece.start <= at <= piece.end, "only a page with damage in it has changed"
                assert answer(piece.xml, UNKNOWN, DEFAULT_LIMITS).keys() & {"text", "skip", "poison", "damaged"}


@given(st.binary(max_size=3_000), st.booleans())
def test_any_bytes_are_a_dump_with_losses(tmp_path_factory: pytest.TempPathFactory, data: bytes, is_xml: bool) -> None:
    path = tmp_path_factory.mktemp("any") / ("a.xml" if is_xml else "a.xml.bz2")
    path.write_bytes((b"<mediawiki><page>" if is_xml else b"BZh9") + data)
    assert any(isinstance(piece, Loss) for piece in pieces(path))


def read(path: Path, *, salvage: bool) -> tuple[list[str], dict[str, Any]]:
    described: dict[str, Any] = {}
    articles = mediawiki.read(path, salvage=salvage, num_workers=1, description=described)
    return [article.title for article in articles], described


@pytest.mark.parametrize(
    "seeds", [range(4), pytest.param(range(4, NUM_DAMAGES), marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_the_reader_stops_with_the_offset_or_salvages(tmp_path: Path, packed: dict[str, bytes], seeds: range) -> None:
    path, every = tmp_path / "wiki.xml.bz2", [f"Town {n}" for n in range(60)]
    for seed in seeds:
        data, at = damaged(packed["many streams"], random.Random(seed))
        path.write_bytes(data)
        if not any(isinstance(piece, Loss) for piece in pieces(path)):
            assert read(path, salvage=False)[0] == every, "filling bits alone were hit"
            continue
        with pytest.raises(BadInput, match=r"wiki.xml.bz2 is damaged at byte [\d,]+ \(") as caught:
            read(path, salvage=False)
        stopped = int(re.findall(r"byte ([\d,]+)", str(caught.value))[0].replace(",", ""))
        kept, described = read(path, salvage=True)
        assert stopped == described["losses"][0]["start"] <= at
        assert kept == [title for title in every if title in set(kept)], "in order, none twice"
        assert described["skipped"]["damaged range"] == len(described["losses"])
