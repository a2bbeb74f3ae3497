"""`block_emb` and its texts become a corpus and an index, row by row."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from openrealm.convert.passages import build, read_records
from openrealm.errors import BadInput, Mismatch
from openrealm.index.index import Index
from openrealm.model.realm import Realm

TEXTS = ["Salt and amber.", "The river runs.", "Copper to the north.", "The river runs.", "Barley."]


def listed(folder: Path, kind: str, texts: list[str] = TEXTS) -> Path:
    path = folder / f"blocks.{kind}"
    if kind == "txt":
        path.write_text("\n".join(texts) + "\n")
    elif kind == "jsonl":
        path.write_text("".join(json.dumps({"text": text, "title": ""}) + "\n" for text in texts))
    else:
        pq.write_table(pa.table({"text": texts}), path)
    return path


@pytest.mark.parametrize("kind", ["txt", "jsonl", "parquet"])
def test_every_passage_keeps_its_vector(released_realm: Realm, tmp_path: Path, kind: str) -> None:
    vector_ND = torch.arange(5.0)[:, None] * torch.ones(16)
    corpus = build(listed(tmp_path, kind), vector_ND, released_realm, tmp_path / "out", max_passage_tokens=20)
    version = Index.open(tmp_path / "out" / "index")
    assert [corpus.passage(i).text for i in range(corpus.num_passages)] == [TEXTS[i] for i in (0, 1, 2, 4)]
    assert version.vector_ND[:, 0].tolist() == [0, 1, 2, 4]
    assert version.binding.encoder == released_realm.retriever.passage_tower.digest()
    assert version.binding.corpus == corpus.digest


def test_a_list_of_the_wrong_length_is_refused(released_realm: Realm, tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="has 5 passages, but block_emb has 6 vectors"):
        build(listed(tmp_path, "txt"), torch.zeros(6, 16), released_realm, tmp_path / "out", max_passage_tokens=20)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "odd", ["The river runs to the north. " * 4, " ", "Salt and copper and amber and wool. Barley."]
)
def test_a_record_that_would_not_be_one_passage_is_refused(released_realm: Realm, tmp_path: Path, odd: str) -> None:
    records = listed(tmp_path, "txt", ["Salt.", odd, "Amber."])
    with pytest.raises(BadInput, match="passage 1 is empty, or has more than 8 word pieces"):
        build(records, torch.zeros(3, 16), released_realm, tmp_path / "out", max_passage_tokens=8)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "block_records.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(BadInput, match="is a pickle"):
        list(read_records(tmp_path / "block_records.npy"))


@pytest.mark.parametrize("name", ["absent.jsonl", "blocks.csv"])
def test_a_file_that_is_not_a_list_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "blocks.csv").write_text("a,b\n")
    with pytest.raises(BadInput, match="is not a list of passages"):
        list(read_records(tmp_path / name))
