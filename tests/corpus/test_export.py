"""Passages in a Parquet file: every row against the corpus, read back by pyarrow and by Hugging Face's `datasets`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from openrealm.cli.main import main
from openrealm.corpus.corpus import Corpus
from openrealm.errors import DamagedArtefact, ShapeMismatch
from openrealm.index.index import Index
from openrealm.types import Article

ROOT = Path(__file__).parents[2]
COLUMNS = ["id", "title", "text", "article_id", "start", "end", "place"]


def expected(corpus: Corpus) -> list[dict[str, Any]]:
    return [{name: getattr(passage, name) for name in COLUMNS[:-1]} for passage in corpus]


@pytest.fixture(scope="module")
def long_corpus(tmp_path_factory: pytest.TempPathFactory, toy_backbone: Path) -> Corpus:
    """More passages than a row group has; one of them stands in two articles, and is stored once."""
    articles = [Article(f"a{n}", f"Town {n}", f"Town {n} has {n} wells.") for n in range(2500)]
    articles.append(Article("copy", "Town 1", "Town 1 has 1 wells."))
    return Corpus.build(articles, tmp_path_factory.mktemp("long") / "corpus", backbone=str(toy_backbone))


@pytest.mark.parametrize("kind", ["numpy", "float16", "tensor"])
def test_every_passage_is_there_with_its_vector(long_corpus: Corpus, tmp_path: Path, kind: str) -> None:
    vector_ND = np.random.default_rng(0).normal(size=(len(long_corpus), 3)).astype("f2").astype("f4")
    given = {"numpy": vector_ND, "float16": vector_ND.astype("f2"), "tensor": torch.from_numpy(vector_ND)}[kind]
    path = tmp_path / "new" / "passages.parquet"
    long_corpus.to_parquet(path, given)
    table = pq.read_table(path)
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 3)
    assert table.column_names == [*COLUMNS, "embedding"]
    assert np.array_equal(np.array(table["embedding"].to_pylist(), "f4"), vector_ND)
    assert table.select(COLUMNS[:-1]).to_pylist() == expected(long_corpus)
    assert pq.ParquetFile(path).num_row_groups > 2
    assert [file.name for file in path.parent.iterdir()] == ["passages.parquet"]


def test_without_vectors_there_is_no_such_column(long_corpus: Corpus, tmp_path: Path) -> None:
    long_corpus.to_parquet(tmp_path / "passages.parquet")
    assert pq.read_schema(tmp_path / "passages.parquet").names == COLUMNS


def test_the_file_is_a_source_of_the_same_passages(long_corpus: Corpus, tmp_path: Path, toy_backbone: Path) -> None:
    long_corpus.to_parquet(tmp_path / "passages.parquet", np.zeros((len(long_corpus), 2)))
    again = Corpus.build(tmp_path / "passages.parquet", tmp_path / "again", backbone=str(toy_backbone))
    assert [passage.id for passage in again] == [passage.id for passage in long_corpus]


@pytest.mark.parametrize("shape", [(7, 3), (6,)])
def test_vectors_of_another_corpus_are_refused(long_corpus: Corpus, tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeMismatch, match=rf"expected one row per passage, shape \({len(long_corpus)}, D\)"):
        long_corpus.to_parquet(tmp_path / "passages.parquet", np.zeros(shape))
    assert list(tmp_path.iterdir()) == []


def test_a_shard_that_is_missing_leaves_the_old_file(long_corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "passages.parquet").write_text("old")
    last = max(long_corpus.folder.glob("passages-*.parquet"))
    moved = last.rename(tmp_path / "moved")
    try:
        with pytest.raises(DamagedArtefact, match=r"rows instead of 2,500; rebuild the corpus"):
            long_corpus.to_parquet(tmp_path / "passages.parquet")
    finally:
        moved.rename(last)
    assert (tmp_path / "passages.parquet").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["passages.parquet"]


def test_the_command_writes_the_vectors_of_the_newest_index(
    answering_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "toy.parquet"
    command = ["corpus", "export", str(path), "--run", str(answering_run), "--vectors"]
    assert main(command) == 0
    index = Index.open(answering_run / "index")
    dim = index.vector_ND.shape[1]
    assert f"{len(index)} passages with vectors of {dim} dimensions (index {index.name})" in capsys.readouterr().err
    found = pq.read_table(path)["embedding"].combine_chunks().flatten().to_numpy()
    assert np.array_equal(found, index.vector_ND.float().numpy().reshape(-1))
    assert main(command) == 2
    assert "exists; give another name, or replace it with --force." in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert main(["corpus", "export", str(tmp_path), "--run", str(answering_run)]) == 2
    assert main(["corpus", "export", str(tmp_path / "no.parquet"), "--run", str(tmp_path / "nothing")]) == 2
    assert not (tmp_path / "no.parquet").exists()


@pytest.mark.peers
def test_datasets_reads_it(long_corpus: Corpus, tmp_path: Path) -> None:
    folder = os.environ.get("OPENREALM_DATASETS", str(ROOT / ".venv-peers" / "datasets"))
    if folder not in sys.path:
        sys.path.append(folder)
    if importlib.util.find_spec("datasets") is None:
        pytest.skip("the package datasets is not there; `make test-peers` brings it (or set OPENREALM_DATASETS)")
    datasets = importlib.import_module("datasets")
    vector_ND = np.random.default_rng(0).normal(size=(len(long_corpus), 3)).astype("f4")
    long_corpus.to_parquet(tmp_path / "passages.parquet", vector_ND)
    file, cache = str(tmp_path / "passages.parquet"), str(tmp_path / "cache")
    loaded = datasets.load_dataset("parquet", data_files=file, split="train", cache_dir=cache)
    assert loaded.features["embedding"].length == 3
    assert [{name: row[name] for name in COLUMNS[:-1]} for row in loaded] == expected(long_corpus)
    assert np.array_equal(loaded.with_format("numpy")["embedding"][:], vector_ND)
    loaded.save_to_disk(str(tmp_path / "saved"))
    assert datasets.load_from_disk(str(tmp_path / "saved"))[5] == loaded[5]
    streamed = datasets.load_dataset("parquet", data_files=file, split="train", streaming=True, cache_dir=cache)
    assert next(iter(streamed))["text"] == long_corpus[0].text
