from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.ragged import IntArray, Ragged, RaggedWriter, end_to_end, open_flat, selected, texts_end_to_end
from openrealm.errors import DamagedArtefact


def gathered(rows: Sequence[Sequence[Any]], width: int = 1) -> tuple[IntArray, IntArray]:
    shape = (-1, width) if width > 1 else -1
    return end_to_end([np.array(row, np.int64).reshape(shape) for row in rows], "u4" if width > 1 else "u2", width)


@given(st.lists(st.lists(st.integers(0, 65535), max_size=6), max_size=8))
def test_rows_come_back_as_they_were_written(rows: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with RaggedWriter(folder, "rows", "u2") as writer:
            writer.extend(*gathered(rows[:3]))
            writer.extend(*gathered(rows[3:]))
        stored = Ragged(folder, "rows", "u2")
        assert len(stored) == len(rows)
        assert [stored[i].tolist() for i in range(len(rows))] == rows


@given(st.lists(st.tuples(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3), st.booleans())))
def test_rows_are_taken_as_a_list_would_take_them(marked: list[tuple[list[tuple[int, int]], bool]]) -> None:
    values, ends = gathered([row for row, _ in marked], width=2)
    values, ends = selected(values, ends, np.array([is_taken for _, is_taken in marked], bool))
    rows = [values[start:end].tolist() for start, end in zip([0, *ends.tolist()], ends.tolist(), strict=False)]
    assert rows == [[list(pair) for pair in row] for row, is_taken in marked if is_taken]
    assert len(values) == sum(map(len, rows))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_come_back(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        with RaggedWriter(Path(name), "texts", "u1") as writer:
            writer.extend(*texts_end_to_end(texts))
        stored = Ragged(Path(name), "texts", "u1")
        assert [stored.text(i) for i in range(len(stored))] == texts


def test_pairs_keep_their_shape(tmp_path: Path) -> None:
    with RaggedWriter(tmp_path, "pairs", "u4") as writer:
        writer.extend(*gathered([[(0, 3), (3, 9)], []], width=2))
    stored = Ragged(tmp_path, "pairs", "u4", width=2)
    assert stored[0].tolist() == [[0, 3], [3, 9]]
    assert stored[1].shape == (0, 2)
    assert not stored[0].flags.writeable


@pytest.mark.parametrize("number", [-1, 65536])
def test_a_number_that_does_not_fit_is_refused(number: int) -> None:
    with pytest.raises(OverflowError, match="does not fit uint16"):
        end_to_end([np.array([3]), np.array([1, number])], "u2")


def test_files_cut_short_or_absent_are_named(tmp_path: Path) -> None:
    with RaggedWriter(tmp_path, "rows", "u2") as writer:
        writer.extend(*gathered([[1, 2, 3]]))
    values = tmp_path / "rows.bin"
    values.write_bytes(values.read_bytes()[:-2])
    with pytest.raises(DamagedArtefact, match=r"rows\.bin contains 2 entries, but .*rows\.ends\.bin says 3"):
        Ragged(tmp_path, "rows", "u2")
    values.write_bytes(b"123")
    with pytest.raises(DamagedArtefact, match=r"rows\.bin is truncated"):
        Ragged(tmp_path, "rows", "u2")
    values.unlink()
    with pytest.raises(DamagedArtefact, match=r"rows\.bin is missing"):
        Ragged(tmp_path, "rows", "u2")


def test_numbers_are_little_endian_on_disk(tmp_path: Path) -> None:
    (tmp_path / "flat.bin").write_bytes(b"\x01\x00\x02\x01")
    np.testing.assert_array_equal(open_flat(tmp_path / "flat.bin", "u2"), [1, 258])
