"""Lengths are checked together and against the encoder's positions before a run begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from openrealm.cli.main import main
from openrealm.config import Config, joint_room, with_settings
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadConfig, BadInput
from openrealm.model.realm import Realm
from openrealm.recipes.factbook import factbook
from openrealm.recipes.paper import paper
from openrealm.recipes.small import small, small_encoder
from openrealm.run.lengths import check_lengths, cut_passages

MINI = "model.backbone=openrealm-mini"
RECIPES = [factbook(), small(), small_encoder(), paper(), Config()]


@pytest.mark.parametrize("recipe", RECIPES, ids=["factbook", "small", "small-encoder", "paper", ""])
def test_every_recipe_fits_an_encoder_of_512_positions(recipe: Config) -> None:
    check_lengths(with_settings(recipe, [MINI]))


@pytest.mark.parametrize("recipe", [factbook(), small_encoder()])
@pytest.mark.parametrize("num_tokens", [8, 64, 128, 288, 462])
def test_longer_passages_get_their_room_without_another_setting(recipe: Config, num_tokens: int) -> None:
    config = with_settings(recipe, [MINI, f"corpus.max_passage_tokens={num_tokens}"])
    check_lengths(config)
    assert cut_passages(config) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["corpus.max_passage_tokens=600"], ["corpus.max_passage_tokens is 600", "at most 462", "reads at most 512"]),
        (["corpus.max_passage_tokens=463"], ["corpus.max_passage_tokens is 463", "pretrain.max_query_tokens=48"]),
        (["finetune.max_query_tokens=400", "corpus.max_passage_tokens=128"], ["at most 110", "max_query_tokens=400"]),
        (["finetune.max_query_tokens=505"], ["finetune.max_query_tokens is 505", "at most 502"]),
        (["warm_start.max_query_tokens=513"], ["warm_start.max_query_tokens is 513", "at most 512"]),
        (["pretrain.max_joint_tokens=513"], ["pretrain.max_joint_tokens is 513", "at most 512"]),
        (["finetune.max_reader_tokens=41"], ["finetune.max_reader_tokens is 41", "at least 42"]),
        (
            ["pretrain.max_joint_tokens=300", "finetune.max_reader_tokens=300", "corpus.max_passage_tokens=510"],
            ["corpus.max_passage_tokens is 510", "at most 509"],
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(settings: list[str], named: list[str]) -> None:
    with pytest.raises(BadConfig) as refusal:
        check_lengths(with_settings(small_encoder(), [MINI, *settings]))
    assert all(part in str(refusal.value) for part in named), refusal.value


def test_a_joint_length_that_cuts_passages_is_said() -> None:
    config = with_settings(small_encoder(), [MINI, "corpus.max_passage_tokens=288", "finetune.max_reader_tokens=300"])
    check_lengths(config)
    [sentence] = cut_passages(config)
    assert "finetune.max_reader_tokens=300 is too short" in sentence


def test_a_run_that_does_not_fit_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.md").write_text("Ada Lovelace opened the library of Oberlind in 1921.")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for words in (["run", str(tmp_path / "text")], ["corpus", "--source", str(tmp_path / "text"), "--run", "x"]):
        assert main([*words, "--set", MINI, "--set", "corpus.max_passage_tokens=600"]) == 2
        said = capsys.readouterr().err
        assert said.startswith("openrealm: corpus.max_passage_tokens is 600")
        assert said.count("\n") == 1
        assert list(Path().iterdir()) == []


def test_the_whole_of_every_passage_is_read_with_the_longest_query(toy_corpus: Corpus) -> None:
    longest = toy_corpus.joint_tokens(32)
    assert longest == joint_room(32, 28)
    query = [7] * 30
    for passage in range(toy_corpus.num_passages):
        row, start = toy_corpus.joint_row(query, passage, longest, with_title=True)
        assert row.ids[start:-1].tolist() == toy_corpus.body(passage).tolist()


def test_an_encoder_refuses_rows_beyond_its_positions(toy_realm: Callable[..., Realm]) -> None:
    encoder = toy_realm().retriever.passage_tower.encoder
    ids = torch.full((1, 129), 5)
    with pytest.raises(BadInput, match="has 129 word pieces, but the encoder reads at most 128"):
        encoder(ids, torch.ones_like(ids, dtype=torch.bool), torch.zeros_like(ids))
