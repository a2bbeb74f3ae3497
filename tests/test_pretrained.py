"""Hostile folders of models: whatever they hold or name, no pickle is read and none of their code is run."""

from __future__ import annotations

import json
import os
import pickle
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForTokenClassification, BertTokenizerFast

from openrealm.corpus.tagger import load_tagger
from openrealm.errors import BadConfig, BadInput, OpenRealmError
from openrealm.model.encoder import backbone_from_config, load_backbone

Change = Callable[[Path], object]


class Planted:
    """Creates the file `ran` where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder / "ran"),)


@pytest.fixture
def encoder(tmp_path: Path, toy_backbone: Path) -> Path:
    return Path(shutil.copytree(toy_backbone, tmp_path / "encoder"))


@pytest.fixture
def tagger(tmp_path: Path, toy_backbone: Path) -> Path:
    """A token classifier whose tokenizer is a tokenizer.json."""
    folder = tmp_path / "tagger"
    config = BertConfig.from_pretrained(toy_backbone, id2label={0: "O", 1: "B-LOC"}, label2id={"O": 0, "B-LOC": 1})
    BertForTokenClassification(config).save_pretrained(folder)
    BertTokenizerFast(str(toy_backbone / "vocab.txt")).save_pretrained(folder)
    return folder


def with_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def plant_code(folder: Path) -> None:
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(folder / 'ran')!r})\n")


def plant_pickles(folder: Path, weights: bytes | None = None) -> None:
    """Pickles under all names that transformers knows, and some that only a configuration names."""
    data = weights or pickle.dumps(Planted(folder))
    for name in ("pytorch_model.bin", "adapter_model.bin", "evil.bin", "evil.pt", "tf_model.h5", "flax_model.msgpack"):
        (folder / name).write_bytes(data)


def index_naming(*names: str) -> Change:
    """The weights are moved away, and an index of shards names others."""

    def change(folder: Path) -> None:
        keys = ["embeddings.word_embeddings.weight", "embeddings.LayerNorm.weight"]
        (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
        index = {"metadata": {}, "weight_map": dict(zip(keys, names * 2, strict=False))}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return change


IGNORED: dict[str, Change] = {
    "pickles beside the weights": lambda folder: None,
    "a pickle in config.json": lambda folder: with_config(folder, transformers_weights="adapter_model.bin"),
    "another pickle": lambda folder: with_config(folder, transformers_weights="evil.bin"),
    "a path outside": lambda folder: with_config(folder, transformers_weights="../outside.safetensors"),
    "an adapter": lambda folder: (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(folder), "task_type": None})
    ),
    "code for a known type": lambda folder: with_config(
        folder, auto_map=dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForTokenClassification"), "evil.Evil")
    ),
    "a kernel": lambda folder: with_config(folder, _attn_implementation="evil/kernel", attn_implementation="evil/k"),
}
REFUSED: dict[str, tuple[Change, str]] = {
    "no safetensors": (lambda folder: (folder / "model.safetensors").unlink(), "only the safetensors format is read"),
    "no safetensors, but a name": (
        lambda folder: ((folder / "model.safetensors").unlink(), with_config(folder, transformers_weights="evil.bin")),
        "only the safetensors format is read",
    ),
    "a shard that is a pickle": (index_naming("evil.bin"), "names 'evil.bin', but a safetensors file"),
    "a shard outside": (index_naming("../outside.safetensors"), r"names '\.\./outside\.safetensors'"),
    "a shard at an absolute path": (index_naming("/tmp/outside.safetensors"), "names '/tmp/outside.safetensors'"),
    "no shards": (index_naming(), "names None"),
    "a pickle under another name": (
        lambda folder: shutil.copy(folder / "evil.bin", folder / "model.safetensors"),
        r"model\.safetensors is damaged",
    ),
    "code for an unknown type": (
        lambda folder: with_config(folder, model_type="evil", auto_map={"AutoConfig": "evil.Evil"}),
        "no model_type 'evil', and code that comes with a model is never run",
    ),
    "an unknown type": (lambda folder: with_config(folder, model_type="evil"), r"no model_type 'evil'\)"),
    "a type that is no text": (lambda folder: with_config(folder, model_type=["bert"]), "names no model_type"),
    "a wrong size": (lambda folder: with_config(folder, hidden_size="large"), "hidden_size"),
    "a size of other weights": (lambda folder: with_config(folder, hidden_size=48), "does not hold such a model"),
    "quantised weights": (lambda folder: with_config(folder, quantization_config={"quant_method": "x"}), "quantised"),
}


@pytest.mark.parametrize("change", IGNORED.values(), ids=list(IGNORED))
def test_what_is_not_a_safetensors_file_is_ignored(encoder: Path, tagger: Path, change: Change) -> None:
    for folder in (encoder, tagger):
        plant_pickles(folder)
        plant_code(folder)
        change(folder)
    load_backbone(str(encoder))
    load_tagger(f"hf:{tagger}").tag(["Lima"])
    assert not (encoder / "ran").exists()
    assert not (tagger / "ran").exists()


@pytest.mark.parametrize(("change", "sentence"), REFUSED.values(), ids=list(REFUSED))
def test_a_folder_that_cannot_be_loaded_is_refused_in_one_sentence(
    encoder: Path, tagger: Path, change: Change, sentence: str
) -> None:
    for folder in (encoder, tagger):
        plant_pickles(folder)
        plant_code(folder)
        change(folder)
    with pytest.raises(BadConfig, match=sentence) as first:
        load_backbone(str(encoder))
    with pytest.raises(BadInput, match=sentence) as second:
        load_tagger(f"hf:{tagger}")
    for refusal in (first, second):
        assert "\n" not in str(refusal.value)
        assert "trust_remote_code" not in str(refusal.value)
    assert not (encoder / "ran").exists()
    assert not (tagger / "ran").exists()


def test_a_harmless_pickle_is_not_read_either(encoder: Path, tmp_path: Path) -> None:
    torch.save(load_backbone(str(encoder)).state_dict(), tmp_path / "weights")
    plant_pickles(encoder, (tmp_path / "weights").read_bytes())
    (encoder / "model.safetensors").unlink()
    with_config(encoder, transformers_weights="adapter_model.bin")
    with pytest.raises(BadConfig, match="only the safetensors format is read"):
        load_backbone(str(encoder))


def test_missing_tensors_are_never_replaced_by_random_ones(encoder: Path) -> None:
    with_config(encoder, num_hidden_layers=3)
    with pytest.raises(BadConfig, match=r"lacks 16 of the model's tensors, among them encoder\.layer\.2"):
        load_backbone(str(encoder))


def test_the_code_of_a_tokenizer_is_not_run(tagger: Path) -> None:
    plant_code(tagger)
    path = tagger / "tokenizer_config.json"
    changes = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert load_tagger(f"hf:{tagger}").tag(["lima"])
    assert not (tagger / "ran").exists()


def test_the_stored_configuration_of_an_encoder_names_no_code(encoder: Path) -> None:
    values = json.loads((encoder / "config.json").read_text())
    auto_map = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    assert backbone_from_config(values | {"auto_map": auto_map})
    with pytest.raises(OpenRealmError, match="no model_type 'evil', and code"):
        backbone_from_config(values | {"auto_map": auto_map, "model_type": "evil"})


ON_A_TERMINAL = """
import sys
from openrealm.corpus.tagger import load_tagger
from openrealm.errors import OpenRealmError
from openrealm.model.encoder import load_backbone
for load, name in ((load_backbone, sys.argv[1]), (load_tagger, f"hf:{sys.argv[2]}")):
    try:
        load(name)
    except OpenRealmError as error:
        print(error)
"""


def test_nobody_is_asked_on_a_terminal_whether_to_run_code(encoder: Path, tagger: Path) -> None:
    """transformers asks "[y/N]" there; here, whoever answers "y" to anything changes nothing."""
    for folder in (encoder, tagger):
        plant_code(folder)
        with_config(folder, model_type="evil", auto_map={"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"})
    ours, theirs = pty.openpty()
    os.write(ours, b"y\n" * 10)
    command = [sys.executable, "-c", ON_A_TERMINAL, str(encoder), str(tagger)]
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("code that comes with a model is never run") == 2
    assert "[y/N]" not in done.stdout + done.stderr
    assert not (encoder / "ran").exists()
    assert not (tagger / "ran").exists()
