from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from openrealm.corpus.sources import datasets, open_source
from openrealm.corpus.sources.datasets import Selection
from openrealm.errors import BadInput, NotInstalled

ROOT = Path(__file__).parents[3]
ROWS: dict[str, list[Any]] = {"key": [7, 8, 9], "name": ["Lima", None, ""], "body": ["In &lt;Peru&gt;.", "Two.", " "]}


@pytest.fixture
def library() -> Any:
    """The package `datasets`: as installed, or from the peers' environment; skips, and says how to get it."""
    folder = os.environ.get("OPENREALM_DATASETS", str(ROOT / ".venv-peers" / "datasets"))
    if folder not in sys.path:
        sys.path.append(folder)
    if importlib.util.find_spec("datasets") is None:
        pytest.skip("the package datasets is not there; `make test-peers` brings it (or set OPENREALM_DATASETS)")
    return importlib.import_module("datasets")


def test_a_name_with_its_options() -> None:
    assert Selection.named("datasets:a/b?config=20231101.simple&split=test&id=key&title=name&text=body") == Selection(
        name="a/b", config="20231101.simple", split="test", id="key", title="name", text="body"
    )
    assert Selection.named("datasets:a/b") == Selection(name="a/b", split="train", id="id", title="title", text="text")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("datasets:a?splt=x", r"unknown option 'splt'; expected datasets:NAME\?key=value with the keys config, split"),
        ("datasets:?split=x", "no name"),
    ],
)
def test_a_name_that_is_none_is_refused(source: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        open_source(source)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    source = open_source("datasets:a/b")
    assert source.description == {"kind": "datasets", "name": "datasets:a/b"}
    with pytest.raises(NotInstalled, match=r'pip install "openrealm\[datasets\]"'):
        list(source.articles())


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["saved", "saved with splits", "files"])
def test_a_folder_is_read_by_the_columns_named(library: Any, tmp_path: Path, kind: str) -> None:
    table = library.Dataset.from_dict(ROWS)
    folder = tmp_path / "data"
    if kind == "saved":
        table.save_to_disk(str(folder))
    elif kind == "saved with splits":
        library.DatasetDict({"train": table, "test": table.select([0])}).save_to_disk(str(folder))
    else:
        folder.mkdir()
        table.to_parquet(str(folder / "train.parquet"))
    source = open_source(f"datasets:{folder}?id=key&title=name&text=body")
    found = [(article.id, article.title, article.text) for article in source.articles()]
    assert found == [("7", "Lima", "In <Peru>."), ("8", "", "Two.")]


@pytest.mark.peers
def test_a_column_that_is_not_there_and_text_that_is_none(library: Any, tmp_path: Path) -> None:
    library.Dataset.from_dict({"key": [7], "prose": ["In Peru."]}).save_to_disk(str(tmp_path))
    with pytest.raises(BadInput, match=r"row 1 has no column 'text' \(its columns: key, prose\); name it with \?text="):
        list(datasets.read(Selection(name=str(tmp_path))))
    with pytest.raises(BadInput, match=r"row 1: \"text\" is a number; expected a string"):
        list(datasets.read(Selection(name=str(tmp_path), text="key")))


@pytest.mark.peers
def test_what_cannot_be_had_is_one_sentence(library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        BadInput, match=r"datasets:.*nowhere could not be read \(.*\); check name, config, split and network"
    ):
        list(datasets.read(Selection(name=str(tmp_path / "nowhere"))))
