"""Our models as other projects load them: Hugging Face's REALM and sentence-transformers give our numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from openrealm.convert import huggingface, sentence_transformers
from openrealm.model.realm import Realm
from openrealm.text.pack import Row, pack_passage, pack_query, pad

pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("one_thread")]

Compare = Callable[[str, Tensor, Tensor], None]
TEXTS = [("", "the river runs."), ("Lima", "was founded by Gustav on 3 May"), ("a b", "salt"), ("", "amber and barley")]
# What their networks hold and never read, so that we have nothing to write there.
NEVER_READ = ("cls.predictions.", "realm.pooler.", "reader.cls.", "reader.realm.pooler.")


def randomised(model: Realm) -> Realm:
    model.add_span_reader()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def passage_rows(model: Realm) -> list[Row]:
    pieces = [tuple(model.tokenizer.encode(part)[0] for part in text) for text in TEXTS]
    return [pack_passage(title, body, model.specials, 64) for title, body in pieces]


@torch.no_grad()
def test_hugging_face_loads_what_we_wrote(
    peer_python: str, toy_realm: Callable[..., Realm], tmp_path: Path, compare: Compare
) -> None:
    model = randomised(toy_realm("model.projection=released", "model.norm_eps=1e-12", "model.span_norm_eps=1e-3"))
    vector_ND = torch.randn(6, 16)
    huggingface.write(model, tmp_path / "out", vector_ND)
    rows = passage_rows(model)
    ids, real, segments = (torch.from_numpy(np.asarray(a, dtype=np.int64)) for a in pad(rows, model.specials.pad))
    body = segments.clone()
    body[torch.arange(len(rows)), torch.tensor([len(row) for row in rows]) - 1] = 0
    inputs = {"input_ids": ids, "attention_mask": real, "token_type_ids": segments, "block_mask": body}
    save_file(inputs, tmp_path / "inputs.safetensors")
    script = str(Path(__file__).parent / "load_peer.py")
    files = [str(tmp_path / name) for name in ("out", "inputs.safetensors", "outputs.safetensors")]
    done = subprocess.run([peer_python, script, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with safe_open(files[2], "pt") as handle:
        left = json.loads(handle.metadata()["left"])
    for name, report in left.items():
        assert report["unexpected"] == report["mismatched"] == [], name
        inside = [key.removeprefix("query_embedder.").removeprefix("embedder.") for key in report["missing"]]
        assert [key for key in inside if not key.startswith(NEVER_READ)] == [], name

    theirs, retriever = load_file(files[2]), model.retriever
    query_BD, passage_ND = retriever.encode_query(rows), retriever.encode_passage(rows)
    for name, ours in (("embedder", passage_ND), ("scorer_query", query_BD), ("scorer_passage", passage_ND)):
        compare("projection, exported", ours, theirs[name])
    compare("projection, exported", query_BD, theirs["openqa_query"])
    assert torch.equal(theirs["block_emb"], vector_ND)
    for indices, hidden_nTH, real_nT in model.reader.encoder.chunks(rows):
        ours_MV = model.reader.head(hidden_nTH[real_nT], model.reader.encoder.word_embeddings())
        compare("reader logits, exported", ours_MV, theirs["encoder"][indices][real_nT])
    assert model.span_reader is not None
    g_nPW, valid_nPW = model.span_reader(rows, [row.second for row in rows])
    longest = ids.shape[1]
    first_column = np.cumsum([0, *(longest - width for width in range(9))])  # of every width, in their order
    for n, place, width in valid_nPW.nonzero().tolist():
        column = int(first_column[width]) + rows[n].second + place
        for name in ("reader", "openqa_reader"):
            compare("span logits, exported", g_nPW[n, place, width], theirs[name][n, column])


_ENCODE = """
import json, sys
import numpy as np
from sentence_transformers import SentenceTransformer
folder, out = sys.argv[1:]
texts = json.loads(sys.stdin.read())
queries, passages = [body for _, body in texts], [tuple(text) for text in texts]
query, passage, both = (SentenceTransformer(folder + name, device="cpu") for name in ("/query", "/passage", ""))
np.savez(
    out,
    query=query.encode(queries), passage=passage.encode(passages), untitled=passage.encode(queries),
    query_of_both=both.encode_query(queries), passage_of_both=both.encode_document(passages),
)
"""


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("model.pooling=mean", "model.normalize=true", "model.temperature=0.05"),
        ("model.shared_towers=true",),
        ("model.projection=released", "model.norm_eps=1e-12"),
    ],
    ids=["paper", "mean", "shared", "released"],
)
@torch.no_grad()
def test_sentence_transformers_gives_the_towers_vectors(
    toy_realm: Callable[..., Realm],
    tmp_path: Path,
    compare: Compare,
    settings: tuple[str, ...],
) -> None:
    place = Path(__file__).parents[2] / ".venv-peers" / "sentences"
    if not (place / "sentence_transformers").is_dir():
        pytest.skip(f"{place} has no sentence-transformers; `make test-peers` puts it there")
    model = randomised(toy_realm(*settings))
    sentence_transformers.write(model, tmp_path / "out")
    paths = os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", _ENCODE, str(tmp_path / "out"), str(tmp_path / "vectors.npz")],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    queries = [pack_query(model.tokenizer.encode(body)[0], model.specials, 64) for _, body in TEXTS]
    passages = passage_rows(model)
    untitled = [pack_passage((), model.tokenizer.encode(body)[0], model.specials, 64) for _, body in TEXTS]
    towers, theirs = model.retriever, np.load(tmp_path / "vectors.npz")
    for name, ours in (
        ("query", towers.query_tower(queries)),
        ("query_of_both", towers.query_tower(queries)),
        ("passage", towers.passage_tower(passages)),
        ("passage_of_both", towers.passage_tower(passages)),
        ("untitled", towers.passage_tower(untitled)),
    ):
        compare(f"sentence-transformers' vector, {name}", ours, torch.from_numpy(theirs[name]))
