from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from openrealm.corpus.inspect import histogram
from openrealm.corpus.picture import FORMATS, draw
from openrealm.errors import BadInput, NotInstalled

HISTOGRAMS = {"tokens per passage": histogram(np.arange(200) % 63), "of one": histogram(np.array([4]))}
STARTS = {".png": b"\x89PNG\r\n\x1a\n", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize("ending", FORMATS)
def test_a_picture_is_what_its_ending_says_and_the_same_every_time(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'openrealm[plots]'")
    pictures = [tmp_path / f"{name}{ending}" for name in "ab"]
    for picture in pictures:
        draw(HISTOGRAMS, "a corpus", picture)
    first, second = (picture.read_bytes() for picture in pictures)
    assert first.startswith(STARTS[ending])
    assert first == second
    assert len(list(tmp_path.iterdir())) == 2


def test_a_picture_names_every_histogram(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'openrealm[plots]'")
    draw(HISTOGRAMS, "a corpus", tmp_path / "plain.svg")
    draw({"tokens per passage": HISTOGRAMS["of one"]}, "a corpus", tmp_path / "fewer.svg")
    assert (tmp_path / "plain.svg").stat().st_size > (tmp_path / "fewer.svg").stat().st_size


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"picture\.jpg does not end in \.png, \.svg or \.pdf"):
        draw(HISTOGRAMS, "a corpus", tmp_path / "picture.jpg")


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # how Python itself marks a module that cannot be imported
    with pytest.raises(NotInstalled, match=r"pip install 'openrealm\[plots\]'"):
        draw(HISTOGRAMS, "a corpus", tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []
