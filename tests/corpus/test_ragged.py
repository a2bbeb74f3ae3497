from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.ragged import Ragged, RaggedWriter, open_flat
from openrealm.errors import DamagedArtefact


@given(st.lists(st.lists(st.integers(0, 65535), max_size=6), max_size=8))
def test_rows_come_back_as_they_were_written(rows: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with RaggedWriter(folder, "rows", "u2") as writer:
            for row in rows:
                writer.append(row)
        stored = Ragged(folder, "rows", "u2")
        assert len(stored) == len(rows)
        assert [stored[i].tolist() for i in range(len(rows))] == rows


def test_pairs_keep_their_shape(tmp_path: Path) -> None:
    with RaggedWriter(tmp_path, "pairs", "u4", width=2) as writer:
        writer.append([(0, 3), (3, 9)])
        writer.append([])
    stored = Ragged(tmp_path, "pairs", "u4", width=2)
    assert stored[0].tolist() == [[0, 3], [3, 9]]
    assert stored[1].shape == (0, 2)
    assert not stored[0].flags.writeable


@pytest.mark.parametrize("number", [-1, 65536])
def test_a_number_that_does_not_fit_is_refused(tmp_path: Path, number: int) -> None:
    with RaggedWriter(tmp_path, "rows", "u2") as writer, pytest.raises(OverflowError, match="does not fit uint16"):
        writer.append([1, number])


def test_files_cut_short_or_absent_are_named(tmp_path: Path) -> None:
    with RaggedWriter(tmp_path, "rows", "u2") as writer:
        writer.append([1, 2, 3])
    values = tmp_path / "rows.bin"
    values.write_bytes(values.read_bytes()[:-2])
    with pytest.raises(DamagedArtefact, match=r"rows\.bin holds 2 numbers, not 3"):
        Ragged(tmp_path, "rows", "u2")
    values.write_bytes(b"123")
    with pytest.raises(DamagedArtefact, match=r"rows\.bin was cut short"):
        Ragged(tmp_path, "rows", "u2")
    values.unlink()
    with pytest.raises(DamagedArtefact, match=r"rows\.bin is missing"):
        Ragged(tmp_path, "rows", "u2")


def test_numbers_are_little_endian_on_disk(tmp_path: Path) -> None:
    (tmp_path / "flat.bin").write_bytes(b"\x01\x00\x02\x01")
    np.testing.assert_array_equal(open_flat(tmp_path / "flat.bin", "u2"), [1, 258])
