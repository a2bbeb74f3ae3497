"""Index versions are published atomically, bound by digests, and refused where they do not belong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from openrealm import files
from openrealm.config import Storage
from openrealm.errors import BadInput, DamagedArtefact, Mismatch, MissingStage, NonFinite, ShapeMismatch
from openrealm.index.index import Binding, Index, newest, prune, version_name, versions

BINDING = Binding(encoder="e" * 64, tokenizer="t" * 64, corpus="c" * 64)


def test_a_version_is_read_as_it_was_published(tmp_path: Path) -> None:
    vector_ND = torch.randn(7, 3)
    path = Index(vector_ND, BINDING, step=12).save(tmp_path)
    assert path.name == version_name(12, BINDING.encoder) == "00000012-eeeeeeee"
    version = Index.open(path, expected=BINDING)
    assert (version.name, version.step, version.binding) == (path.name, 12, BINDING)
    assert torch.equal(version.vector_ND, vector_ND)
    assert version.vector_ND.dtype == torch.float32
    assert Index.open(path).binding == BINDING


@pytest.mark.parametrize("what", ["encoder", "tokenizer", "corpus"])
def test_a_mismatched_index_is_refused_with_both_digests(tmp_path: Path, what: str) -> None:
    path = Index(torch.ones(2, 2), BINDING, step=0).save(tmp_path)
    other = Binding(**{name: getattr(BINDING, name) for name in ("encoder", "tokenizer", "corpus")} | {what: "f" * 64})
    with pytest.raises(Mismatch, match=f"another {what}: its digest is {what[0] * 16}, the one in use is {'f' * 16};"):
        Index.open(path, expected=other)


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with files.new_folder(tmp_path / "tower", {"kind": "tower", "encoder": "e"}):
        pass
    with pytest.raises(Mismatch, match="contains 'tower', not an index"):
        Index.open(tmp_path / "tower")
    with pytest.raises(MissingStage, match="nothing"):
        Index.open(tmp_path / "nothing")
    with pytest.raises(MissingStage, match=r"contains no index; build one with Index\.build or `openrealm index`"):
        newest(tmp_path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_vectors_that_are_not_finite_are_never_published(tmp_path: Path, bad: float) -> None:
    vector_ND = torch.ones(5, 2)
    vector_ND[3, 1] = bad
    with pytest.raises(NonFinite, match="vector of passage 3 is not finite"):
        Index(vector_ND, BINDING, step=0).save(tmp_path)
    assert versions(tmp_path) == []
    assert list(tmp_path.rglob("*")) == []


def test_vectors_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeMismatch, match=r"\(5,\)"):
        Index(torch.ones(5), BINDING, step=0).save(tmp_path)


@pytest.mark.parametrize(
    ("query", "k", "exclude", "words"),
    [
        (torch.ones(2, 3), 1, None, "shape \\(2, 3\\) and k=1; expected vectors of 2 dimensions"),
        (torch.ones(2, 2, 2), 1, None, "expected vectors of 2 dimensions"),
        (torch.ones(1, 2), 0, None, "k=0; expected vectors of 2 dimensions and k of at least 1"),
        (torch.ones(2, 2), 1, [[0]], "got 1 collections of passages to exclude for 2 queries"),
        (torch.ones(1, 2), 1, [[-1]], "exclude contains -1, but passages are numbered from 0 to 4"),
        (torch.ones(1, 2), 1, [[0, 5]], "exclude contains 5"),
    ],
)
def test_searches_that_do_not_fit_are_refused(
    query: torch.Tensor, k: int, exclude: list[list[int]] | None, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        Index(torch.ones(5, 2), BINDING).search(query, k, exclude)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e38])
@pytest.mark.parametrize("storage", ["fp32", "int8"])
def test_a_query_that_is_not_finite_finds_what_zeros_find(storage: Storage, bad: float) -> None:
    index = Index(torch.randn(40, 8), BINDING, step=0, storage=storage)
    query_BD = torch.randn(3, 8)
    query_BD[1, 2] = bad
    found = index.search(query_BD, 4)
    query_BD[1] = 0.0
    expected = index.search(query_BD, 4)
    assert torch.equal(found.id_BK, expected.id_BK)
    assert torch.equal(found.score_BK, expected.score_BK)
    without = index.search(query_BD * bad, 4, exclude=[{0}, {1}, {2}])
    assert [len(row) for row in without.passages()] == [4, 4, 4]


def test_a_damaged_version_is_refused_by_name(tmp_path: Path) -> None:
    path = Index(torch.ones(5, 2), BINDING, step=0).save(tmp_path)
    data = bytearray((path / "vectors.safetensors").read_bytes())
    data[-1] ^= 1
    (path / "vectors.safetensors").write_bytes(data)
    with pytest.raises(DamagedArtefact, match=r"vectors\.safetensors"):
        Index.open(path, expected=BINDING)


def test_the_newest_version_has_the_highest_step_and_is_never_pruned(tmp_path: Path) -> None:
    paths = [Index(torch.ones(2, 2), BINDING, step=step).save(tmp_path) for step in (100, 5, 20, 3)]
    assert versions(tmp_path) == [paths[3], paths[1], paths[2], paths[0]]
    assert newest(tmp_path) == paths[0]
    prune(tmp_path, {paths[1].name})
    assert versions(tmp_path) == [paths[1], paths[0]]
    prune(tmp_path, set())
    assert versions(tmp_path) == [paths[0]]
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == [paths[0].name]


def test_leftovers_of_a_killed_writer_are_not_a_version(tmp_path: Path) -> None:
    Index(torch.ones(2, 2), BINDING, step=0).save(tmp_path)
    half = tmp_path / "versions" / ".tmp-999999999-00000001-eeeeeeee"
    half.mkdir()
    (half / files.MANIFEST).write_text("{}")
    assert [path.name for path in versions(tmp_path)] == ["00000000-eeeeeeee"]
    assert files.sweep(tmp_path) == 1
    assert not half.exists()


_WRITER = """
import sys, torch
from openrealm.index.index import Binding, Index
for step in range(10**6):
    binding = Binding(f"{step:064d}", "t" * 64, "c" * 64)
    Index(torch.full((2000, 16), float(step)), binding, step=step).save(sys.argv[1])
"""


def test_a_reader_polling_while_versions_are_published_sees_complete_ones_only(tmp_path: Path) -> None:
    """The writer is another process, which is killed while it writes."""
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], env=os.environ | {"OMP_NUM_THREADS": "1"})
    steps = []
    try:
        deadline = time.monotonic() + 240
        while len(set(steps)) < 8 and time.monotonic() < deadline:
            assert writer.poll() is None
            if not versions(tmp_path):
                continue
            version = Index.open(newest(tmp_path))
            assert version.vector_ND.shape == (2000, 16)
            assert version.vector_ND.unique().tolist() == [version.step]
            assert version.binding.encoder == f"{version.step:064d}"
            steps.append(version.step)
    finally:
        writer.kill()
        writer.wait()
    assert len(set(steps)) >= 8
    assert steps == sorted(steps)
    for path in versions(tmp_path):
        assert Index.open(path).vector_ND.unique().tolist() == [Index.open(path).step]
    files.sweep(tmp_path)
    assert sorted((tmp_path / "versions").iterdir()) == versions(tmp_path)
