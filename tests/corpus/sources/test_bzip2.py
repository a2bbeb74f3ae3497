from __future__ import annotations

import bz2
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.sources.bzip2 import Chunk, blocks


def found(data: bytes) -> list[Chunk]:
    return list(blocks(io.BytesIO(data)))


def text_of(chunks: list[Chunk]) -> bytes:
    return b"".join(chunk.data or b"" for chunk in chunks)


@pytest.fixture(scope="module")
def text() -> bytes:
    rng = random.Random(3)
    return b"".join(b"%d people live in town %d.\n" % (rng.randrange(10**9), n) for n in range(16_000))


@given(st.lists(st.binary(max_size=3000), max_size=4), st.integers(1, 9))
def test_any_bytes_in_any_number_of_streams_come_back(parts: list[bytes], level: int) -> None:
    chunks = found(b"".join(bz2.compress(part, level) for part in parts) or bz2.compress(b""))
    assert all(chunk.data is not None for chunk in chunks)
    assert text_of(chunks) == b"".join(parts)


def test_blocks_of_one_stream_lie_end_to_end(text: bytes) -> None:
    packed = bz2.compress(text, 1)
    chunks = found(packed)
    assert len(chunks) == 6
    assert [chunk.start for chunk in chunks[1:]] == [chunk.end for chunk in chunks[:-1]]
    assert (chunks[0].start, text_of(chunks)) == (4, text)


@pytest.mark.parametrize("kind", ["flipped", "cut", "taken out"])
@pytest.mark.parametrize("num_streams", [1, 6])
def test_every_damage_is_noticed_and_costs_no_other_block(text: bytes, kind: str, num_streams: int) -> None:
    step = len(text) // num_streams + 1
    packed = b"".join(bz2.compress(text[n : n + step], 1) for n in range(0, len(text), step))
    whole = {chunk.data for chunk in found(packed)}
    rng = random.Random(kind)
    for _ in range(12):
        first = rng.randrange(4, len(packed))
        damaged = bytearray(packed)
        last = first + 1
        if kind == "flipped":
            damaged[first] ^= 1 << rng.randrange(8)
        elif kind == "cut":
            del damaged[first:]
        else:
            last = min(len(packed), first + rng.randrange(1, 60_000))
            del damaged[first:last]
        chunks = found(bytes(damaged))
        lost = [chunk for chunk in chunks if chunk.data is None]
        assert lost, first
        kept = {chunk.data for chunk in chunks} - {None}
        assert kept <= whole
        touched = sum(s.start <= last and first < s.end + 11 for s in found(packed))
        assert kind == "cut" or len(kept) >= len(whole) - touched
        assert all(chunk.start <= first for chunk in lost[:1])


def test_what_is_no_bzip2_at_all_is_one_loss() -> None:
    assert found(b"plain text" * 9) == [Chunk(0, 90, None, "the file does not begin like bzip2")]
    assert found(b"") == [Chunk(0, 0, None, "the file does not begin like bzip2")]


def test_a_missing_block_is_noticed_by_the_check_sum_of_its_stream(text: bytes) -> None:
    bits = "".join(f"{byte:08b}" for byte in bz2.compress(text, 1))
    marks = [n for n in range(len(bits)) if bits.startswith(f"{0x314159265359:048b}", n)]
    assert len(marks) == 6
    without = bits[: marks[1]] + bits[marks[2] :]
    without += "0" * (-len(without) % 8)
    chunks = found(int(without, 2).to_bytes(len(without) // 8, "big"))
    assert next(chunk.problem for chunk in chunks if chunk.data is None) == "blocks before it are missing"
    assert sum(chunk.data is not None for chunk in chunks) == 5
