"""The peer's outputs, made once in its own environment, and a last word on how far ours were from them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

ROOT = Path(__file__).parent.parent.parent
Compare = Callable[[str, Tensor, Tensor], None]
# In float32, of values of a few units at most: relative where they are larger than 1.
CLOSE = 1e-5


@pytest.fixture(scope="session")
def peer_python() -> str:
    """The interpreter that has transformers 4.39.3, or a skip that says how to get it."""
    python = os.environ.get("OPENREALM_PEERS_PYTHON", str(ROOT / ".venv-peers" / "bin" / "python"))
    if not Path(python).exists():
        pytest.skip(f"{python} is not there; `make test-peers` makes it (or set OPENREALM_PEERS_PYTHON)")
    return python


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory, peer_python: str) -> Path:
    """A folder with what `make_peer.py` writes."""
    folder = tmp_path_factory.mktemp("peer")
    command = [peer_python, str(Path(__file__).parent / "make_peer.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def compare() -> Iterator[Compare]:
    """`compare(quantity, ours, theirs)`: equal to 1e-5; each quantity's largest deviation is printed at the end."""
    largest: dict[str, tuple[float, int]] = {}

    def check(quantity: str, ours: Tensor, theirs: Tensor) -> None:
        assert ours.shape == theirs.shape
        off = float(((ours - theirs).abs() / theirs.abs().clamp(min=1)).max())
        before, count = largest.get(quantity, (0.0, 0))
        largest[quantity] = (max(before, off), count + theirs.numel())
        torch.testing.assert_close(ours, theirs, atol=CLOSE, rtol=CLOSE, msg=lambda text: f"{quantity}: {text}")

    yield check
    for quantity, (off, count) in largest.items():
        print(f"\nlargest deviation of {quantity}: {off:.1e} ({count:,} values)", end="")
    print()
