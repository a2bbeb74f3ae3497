"""Models by hub id, against a hub of our own: uploaded, downloaded, and read from the cache when the hub is gone.

huggingface_hub reads its settings when it is imported, so every step is a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openrealm.hub import is_hub_id
from openrealm.model.realm import Realm

# Each line of a step is a call of `step(name, function)`; what it returns, or the error it raises, is printed as JSON.
PREAMBLE = """
import json, sys
from pathlib import Path
import openrealm
from openrealm.errors import OpenRealmError
load = openrealm.Realm.from_pretrained
folder = Path(sys.argv[1])
def digest(model):
    return model.retriever.passage_tower.digest()
results = {}
def step(name, function):
    try:
        results[name] = function()
    except OpenRealmError as error:
        results[name] = f"{type(error).__name__}: {error}"
"""


class Hub:
    """A hub that serves what lies below `folder`, and a cache that belongs to it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "home" / "hub"
        command = [sys.executable, str(Path(__file__).with_name("serve_hub.py")), str(folder / "models")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self) -> str:
        """End the server; returns the requests that it answered."""
        self.process.terminate()
        out, errors = self.process.communicate()
        assert not errors, errors
        return out

    def run(self, steps: str, **environment: str) -> dict[str, Any]:
        """The results of `steps` in a fresh process."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        variables |= {
            "HF_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "HF_HOME": str(self.folder / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            **environment,
        }
        program = f"{PREAMBLE}\n{steps}\nprint(json.dumps(results))"
        done = subprocess.run(
            [sys.executable, "-c", program, str(self.folder)], capture_output=True, text=True, env=variables
        )
        assert done.returncode == 0, done.stderr
        results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return results


@pytest.fixture
def hub(tmp_path: Path, toy_realm: Callable[..., Realm], toy_backbone: Path) -> Iterator[Hub]:
    """A hub with an encoder, one whose weights are a pickle, one whose weights are cut short, and a data set."""
    models = tmp_path / "models" / "me"
    shutil.copytree(toy_backbone, models / "encoder")
    for name in ("pickled", "damaged"):
        shutil.copytree(toy_backbone, models / name)
        (models / name / "model.safetensors").unlink()
    (models / "pickled" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    whole = (toy_backbone / "model.safetensors").read_bytes()
    (models / "damaged" / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    (models / "data").mkdir()
    (models / "data" / "train.csv").write_text("a,b\n")
    toy_realm().save_pretrained(tmp_path / "saved")
    hub = Hub(tmp_path)
    yield hub
    hub.process.kill()
    hub.process.wait()


def test_a_model_goes_to_the_hub_and_comes_back_even_when_the_hub_is_gone(
    hub: Hub, toy_realm: Callable[..., Realm]
) -> None:
    digest = toy_realm().retriever.passage_tower.digest()
    said = hub.run(
        """
model = load(folder / "saved")
step("refused", lambda: model.push_to_hub("me/mine"))
step("pushed", lambda: model.push_to_hub("me/mine", token="hf_test", commit_message="First"))
step("pushed again", lambda: model.push_to_hub("me/mine", token="hf_test", revision="next"))
step("private", lambda: model.push_to_hub("me/secret", token="hf_test", private=True))
step("back", lambda: digest(load("me/mine")))
step("branch", lambda: digest(load("me/mine", revision="next")))
step("secret with token", lambda: digest(load("me/secret", token="hf_test", cache_dir=folder / "other")))
step("secret", lambda: digest(load("me/secret")))
step("encoder", lambda: load("me/encoder", projection_dim=16, pooling="cls").config.pooling)
step("settings", lambda: digest(load("me/mine", pooling="cls")))
step("absent", lambda: digest(load("me/absent")))
step("revision", lambda: digest(load("me/mine", revision="v9")))
step("pickled", lambda: digest(load("me/pickled")))
step("damaged", lambda: digest(load("me/damaged")))
step("data", lambda: digest(load("me/data")))
"""
    )
    assert said["refused"].startswith("BadInput: The Hugging Face Hub refused the upload to me/mine with status 401")
    assert said["refused"].endswith("log in with `hf auth login` to an account that may write there.")
    assert said["pushed"] == said["pushed again"] == f"http://127.0.0.1:{hub.port}/me/mine"
    assert said["private"].endswith("/me/secret")
    with urllib.request.urlopen(f"{said['pushed']}/resolve/main/README.md") as answer:
        assert 'orm.Realm.from_pretrained("me/mine")' in answer.read().decode()
    assert said["back"] == said["branch"] == said["secret with token"] == digest
    assert said["secret"] == said["absent"].replace("me/absent", "me/secret")
    assert said["encoder"] == "cls"
    assert "BadConfig: me/mine is a saved model, whose settings are fixed; omit pooling." in said["settings"]
    assert "BadInput: me/absent is neither a local folder nor a model on the Hugging Face Hub" in said["absent"]
    assert "me/mine on the Hugging Face Hub has no revision 'v9'" in said["revision"]
    assert "me/pickled has no model.safetensors; only the safetensors format is read" in said["pickled"]
    assert "pickles" in said["pickled"]
    assert "DamagedArtefact" in said["damaged"]
    assert "model.safetensors is damaged" in said["damaged"]
    assert f"delete {hub.cache / 'models--me--damaged'} to download it again" in said["damaged"]
    assert "BadInput: me/data does not hold a model" in said["data"]

    requests = hub.stop().splitlines()
    assert not [line for line in requests if line.endswith((".bin", ".csv"))]
    assert sum(line.startswith("PUT /lfs/") for line in requests) == 3

    # The hub is gone: what was downloaded is still there, whether or not the hub is tried first.
    offline = """
step("back", lambda: digest(load("me/mine")))
step("encoder", lambda: load("me/encoder").config.pooling)
step("absent", lambda: digest(load("me/absent")))
step("elsewhere", lambda: digest(load("me/mine", cache_dir=folder / "empty")))
# The card may be edited, on the hub for instance; weights that changed on the disk are noticed.
repo = folder / "home" / "hub" / "models--me--mine"
snapshot = repo / "snapshots" / (repo / "refs" / "main").read_text()
(snapshot / "README.md").unlink(missing_ok=True)
(snapshot / "README.md").write_text("Edited.")
step("edited", lambda: digest(load("me/mine")))
weights = (snapshot / "model.safetensors").resolve()
data = bytearray(weights.read_bytes())
data[-1] ^= 1
weights.write_bytes(data)
step("changed", lambda: digest(load("me/mine", local_files_only=True)))
weights.write_bytes(bytes([*data[:-1], data[-1] ^ 1]))
"""
    for environment, why in (
        ({"HF_HUB_OFFLINE": "1"}, "offline mode is on; download it once while online"),
        ({}, "the Hugging Face Hub could not be reached"),
    ):
        said = hub.run(offline, **environment)
        assert said["back"] == said["edited"] == digest
        assert said["encoder"] == "mean"
        assert f"BadInput: me/absent is neither a local folder nor complete in the cache {hub.cache}" in said["absent"]
        assert why in said["absent"]
        assert str(hub.folder / "empty") in said["elsewhere"]
        assert "model.safetensors differs from its digest" in said["changed"]
        assert f"delete {hub.cache / 'models--me--mine'} to download it again" in said["changed"]


@pytest.mark.parametrize("name", ["bert", "me/mine", "google-bert/bert-base-uncased", "me/mine_1.0"])
def test_the_form_of_a_hub_id(name: str) -> None:
    assert is_hub_id(name)


@pytest.mark.parametrize(
    "name", ["", "a/b/c", "./mine", "../mine", "~/mine", "/mine", "mine/", "my model", "me/mine\n"]
)
def test_what_can_only_be_a_path(name: str) -> None:
    assert not is_hub_id(name)
