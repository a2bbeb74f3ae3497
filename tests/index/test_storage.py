"""How vectors are stored: fp32, fp16 and int8, memory-mapped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

from openrealm import files
from openrealm.config import Storage
from openrealm.errors import BadConfig, DamagedArtefact, NonFinite
from openrealm.index.exact import ExactSearcher
from openrealm.index.index import Binding, Index
from openrealm.index.int8 import Int8Searcher
from openrealm.index.recall import Recall

BINDING = Binding("e" * 64, "t" * 64, "c" * 64)
STORAGES: tuple[Storage, ...] = get_args(Storage)


def vectors(num: int = 300, dim: int = 12) -> torch.Tensor:
    return torch.randn(num, dim, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("storage", STORAGES)
def test_a_version_is_searched_as_before_it_was_stored(tmp_path: Path, storage: Storage) -> None:
    index = Index(vectors(), BINDING, storage=storage)
    index.measured = Recall({"8": 0.5}, 3, "passages")
    path = index.save(tmp_path)
    for verify in (True, False):
        opened = Index.open(path, expected=BINDING, verify=verify)
        assert (opened.storage, opened.measured) == (storage, index.measured)
        assert torch.equal(opened.vector_ND, index.vector_ND)
        query_BD = torch.randn(4, 12)
        assert all(map(torch.equal, opened.search(query_BD, 9), index.search(query_BD, 9)))
        ids = torch.tensor([[299, 0, 7], [7, 7, 3]])
        assert torch.equal(opened.vectors(ids), index.vector_ND[ids].float())
        assert torch.allclose(opened.scores(query_BD[0]), opened.vector_ND.float() @ query_BD[0], atol=1e-5)
        assert isinstance(opened.searcher, Int8Searcher if storage == "int8" else ExactSearcher)
    names = {"vectors.safetensors", "manifest.json"} | ({"codes.safetensors"} if storage == "int8" else set())
    assert {file.name for file in path.iterdir()} == names
    half = storage != "fp32"
    assert (path / "vectors.safetensors").stat().st_size < 300 * 12 * (2 if half else 4) + 200


def test_an_index_in_8_bits_can_be_searched_exactly() -> None:
    index = Index(vectors(), BINDING, storage="int8", searcher="exact")
    assert torch.equal(
        index.search(torch.ones(12), 300).score_BK[0].sort().values, index.scores(torch.ones(12)).sort().values
    )


def test_numbers_beyond_float16_are_refused() -> None:
    vector_ND = vectors()
    vector_ND[7, 3] = 1e6
    with pytest.raises(NonFinite, match=r"vector of passage 7 is too large for float16; set index\.storage to fp32"):
        Index(vector_ND, BINDING, storage="fp16")
    assert Index(vector_ND, BINDING).vector_ND[7, 3] == 1e6


def test_a_searcher_without_an_argument_refuses_one() -> None:
    with pytest.raises(BadConfig, match="'exact' takes no argument, but 'exact:4' gives one"):
        Index(vectors(), BINDING, searcher="exact:4")


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"codes": torch.ones(300, 12)}, r"'codes', torch\.int8 of shape \(300, 12\), .* holds torch\.float32"),
        ({"codes": torch.ones(299, 12, dtype=torch.int8)}, r"but holds torch\.int8 of shape \(299, 12\)"),
        ({"codes": torch.ones(300, 12, dtype=torch.int8)}, "'scale', .* but holds none"),
        ({"codes": torch.ones(300, 12, dtype=torch.int8), "scale": torch.full((12,), torch.nan)}, "not finite"),
    ],
)
def test_other_codes_than_the_manifest_says_are_refused(
    tmp_path: Path, tensors: dict[str, torch.Tensor], words: str
) -> None:
    from safetensors.torch import save_file

    path = Index(vectors(), BINDING, storage="int8").save(tmp_path)
    manifest = files.read_manifest(path)
    with files.new_folder(path, {key: value for key, value in manifest.items() if key != "manifest_sha256"}) as out:
        (out / "vectors.safetensors").write_bytes((path / "vectors.safetensors").read_bytes())
        save_file(tensors, out / "codes.safetensors")
    with pytest.raises(DamagedArtefact, match=words):
        Index.open(path)


def test_damage_is_found_unless_it_is_not_looked_for(tmp_path: Path) -> None:
    path = Index(vectors(), BINDING, storage="int8").save(tmp_path)
    data = bytearray((path / "codes.safetensors").read_bytes())
    data[-100] ^= 1
    (path / "codes.safetensors").write_bytes(data)
    with pytest.raises(DamagedArtefact, match=r"codes\.safetensors differs from its digest"):
        Index.open(path)
    Index.open(path, verify=False)
    (path / "codes.safetensors").write_bytes(data[:-1])
    with pytest.raises(DamagedArtefact, match=r"codes\.safetensors cannot be read as safetensors"):
        Index.open(path, verify=False)


_OPEN = """
import sys, torch
from openrealm.index.index import Index
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
index = Index.open(sys.argv[1], verify=False)
before = resident()
index = Index.open(sys.argv[1], verify=False)
print(resident() - before)
"""


def test_opening_reads_no_vectors(tmp_path: Path) -> None:
    path = Index(torch.ones(500_000, 32), BINDING, storage="int8").save(tmp_path)
    read = subprocess.run([sys.executable, "-c", _OPEN, str(path)], capture_output=True, text=True, check=True)
    assert int(read.stdout) < 8 << 20  # the groups of 500,000 passages, and little else, of 48 MB


_SEARCH = """
import sys, torch
from openrealm.index.index import Index
def resident():
    return int(open("/proc/self/statm").read().split()[2]) * 4096
started = resident()
index = Index.open(sys.argv[1], verify=sys.argv[2] == "verified")
index.search(torch.ones(64, 64), 8)
before = resident()
for seed in range(40):
    index.search(torch.randn(64, 64, generator=torch.Generator().manual_seed(seed)), 8)
print(resident() - before, resident() - started)
"""


@pytest.mark.parametrize("how", ["verified", "mapped"])
def test_searching_in_8_bits_maps_no_vectors(tmp_path: Path, how: str) -> None:
    vector_ND = torch.randn(300_000, 64, generator=torch.Generator().manual_seed(0))
    path = Index(vector_ND, BINDING, storage="int8").save(tmp_path)
    read = subprocess.run([sys.executable, "-c", _SEARCH, str(path), how], capture_output=True, text=True, check=True)
    while_searching, in_all = map(int, read.stdout.split())
    assert while_searching < 8 << 20, "the vectors to score again are read, not mapped: they are 38 MB"
    assert in_all < 45 << 20, "the codes of 19 MB and libraries, but not the vectors"
