"""`openrealm base train --tiny` from text to weights, and the weights in every place that takes some."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from openrealm import files
from openrealm.base.prepare import open_sources, prepare, tiny
from openrealm.base.settings import BaseSettings
from openrealm.cli.main import main
from openrealm.config import ModelConfig, with_settings
from openrealm.errors import BadInput, DamagedArtefact, NotInstalled
from openrealm.model import weights
from openrealm.model.encoder import Encoder, load_backbone
from openrealm.model.heads import stored_heads, take_head
from openrealm.model.reader import Reader
from openrealm.model.realm import Realm
from openrealm.model.weights import backbone_location
from openrealm.recipes.factbook import factbook
from openrealm.run import stages
from openrealm.run.folder import Run
from openrealm.text.pack import Row
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, toy_articles: list[Article]) -> Path:
    path = tmp_path_factory.mktemp("text") / "toy.jsonl"
    path.write_text("".join(json.dumps({"id": a.id, "title": a.title, "text": a.text}) + "\n" for a in toy_articles))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """The folder of a finished tiny run; tests must not change it."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["base", "train", str(source), "--tiny", "--name", str(folder), "--device", "cpu"]) == 0
    return folder


def test_a_tiny_run_leaves_weights_card_and_metrics(run: Path) -> None:
    manifest = files.read_manifest(run / "model")
    assert manifest["figures"]["steps"] == 12
    assert [source["name"] for source in manifest["figures"]["sources"]] == ["toy.jsonl"]
    card = (run / "model" / "README.md").read_text()
    for words in (
        "# openrealm-tiny",
        "toy.jsonl, licence not stated",
        "12 steps",
        "| no passage |",
        "| its own passage |",
    ):
        assert words in card
    assert max(len(line) for line in card.splitlines()) <= 120
    splits = [json.loads(line)["split"] for line in (run / "training" / "metrics.jsonl").read_text().splitlines()]
    assert splits.count("heldout") == 3
    assert splits.count("train") == 2, "the mean of ten steps, then that of the last two"


def test_prepared_data_is_reused_and_rebuilt_when_settings_change(run: Path, source: Path, tmp_path: Path) -> None:
    settings, name = tiny(BaseSettings()), [str(source)]
    made = run / "corpora" / "toy.jsonl" / "manifest.json"
    before = made.stat().st_mtime_ns
    again = prepare(name, run, settings, 200)
    assert made.stat().st_mtime_ns == before
    other = prepare(name, tmp_path, settings, 20)
    assert len(other[0]) < len(again[0])
    shorter = prepare(name, tmp_path, with_settings(settings, ["max_passage_tokens=24"]), 20)
    assert len(shorter[0]) > len(other[0])


def test_a_folder_of_files_is_not_made_anew_for_what_was_left_out(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "peru.txt").write_text("Lima is the capital of Peru. Peru is a country. " * 9)
    (tmp_path / "texts" / "picture.png").write_bytes(b"png")
    settings, name = tiny(BaseSettings()), [str(tmp_path / "texts")]
    made = prepare(name, tmp_path / "run", settings)[0].folder / "manifest.json"
    skipped = json.loads(made.read_text())["source"]["skipped"]
    assert list(skipped.values()) == [1], "counted once, though the source is read twice"
    before = made.stat().st_mtime_ns
    prepare(name, tmp_path / "run", settings)
    assert made.stat().st_mtime_ns == before


def test_two_sources_of_one_name_are_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    shutil.copy(source, tmp_path / "other" / source.name)
    with pytest.raises(BadInput, match=r"Two sources are named toy\.jsonl"):
        open_sources([str(source), str(tmp_path / "other" / source.name)])


@torch.no_grad()
def test_transformers_fills_masks_with_it_as_we_do(run: Path) -> None:
    from transformers import AutoModelForMaskedLM

    theirs = AutoModelForMaskedLM.from_pretrained(run / "model").float().eval()
    tokenizer = Tokenizer.from_folder(run / "model")
    encoder = Encoder(load_backbone(str(run / "model"), dropout=0.0), tokenizer.pad_id)
    ours = Reader(encoder, tokenizer.vocab_size).eval()
    assert take_head(ours.head, stored_heads(str(run / "model")))
    ids = torch.tensor([[2, 30, 4, 50, 60, 3, 41, 3]])
    segments = torch.tensor([[0] * 6 + [1] * 2])
    logits = theirs(input_ids=ids, token_type_ids=segments).logits[0, 2].log_softmax(dim=0)
    for token in (30, 77, 300):
        got = ours.gold_log_prob([Row(ids[0].numpy(), 6)], [[2]], [[token]])
        assert float(got) == pytest.approx(float(logits[token]), abs=1e-4)


def test_a_realm_takes_head_and_projection_where_they_fit(run: Path) -> None:
    tokenizer = Tokenizer.from_folder(run / "model")
    stored = stored_heads(str(run / "model"))
    config = ModelConfig(backbone=str(run / "model"), pooling="mean", projection_dim=16)
    model = Realm.from_backbone(config, tokenizer)
    assert model.has_trained_head
    assert torch.equal(model.reader.head.bias, stored["cls.predictions.bias"])
    for tower in (model.retriever.query_tower, model.retriever.passage_tower):
        assert torch.equal(tower.projection.weight, stored["retrieval_projection.weight"])
    other = Realm.from_backbone(ModelConfig(backbone=str(run / "model"), projection_dim=16), tokenizer)
    assert not torch.equal(other.retriever.query_tower.projection.weight, stored["retrieval_projection.weight"])


def test_a_backbone_without_a_head_says_so(toy_backbone: Path, toy_realm: Callable[..., Realm]) -> None:
    assert stored_heads(str(toy_backbone)) == {}
    assert not toy_realm().has_trained_head


def test_the_warm_start_keeps_a_head_that_was_trained(run: Path, source: Path, tmp_path: Path) -> None:
    settings = ["--set", f"model.backbone={run / 'model'}", "--set", "warm_start.num_steps=0", "--set", "device=cpu"]
    folder = tmp_path / "realm"
    assert main(["corpus", "--run", str(folder), "--source", str(source), *settings]) == 0
    assert main(["warm-start", "--run", str(folder)]) == 0
    model = Realm.from_pretrained(stages.get("warm_start").model_folder(Run.open(folder)))
    assert torch.equal(model.reader.head.bias, stored_heads(str(run / "model"))["cls.predictions.bias"])


def test_a_finished_run_resumes_to_the_same_weights(run: Path, source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(run, folder)
    command = ["base", "train", str(source), "--tiny", "--name", str(folder), "--device", "cpu", "--resume"]
    assert main(command) == 0
    assert files.sha256_file(folder / "model" / "model.safetensors") == files.sha256_file(
        run / "model" / "model.safetensors"
    )
    assert main([*command, "--set", "mlm_batch=3"]) == 2


def test_it_starts_from_weights_and_learns_from_a_teacher(
    run: Path, source: Path, toy_backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, start = tmp_path / "second", str(run / "model")
    command = ["base", "train", str(source), "--tiny", "--name", str(folder), "--device", "cpu", "--set"]
    command = [*command, f"start={start}", "--set", f"teacher={toy_backbone}", "--set", "teacher_sentences=30"]
    assert main([*command, "--set", "learning_rate=0"]) == 0
    first, second = (load_file(path / "model.safetensors") for path in (run / "model", folder / "model"))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    assert Tokenizer.from_folder(folder / "model").digest == Tokenizer.from_folder(run / "model").digest
    rows = [json.loads(line) for line in (folder / "training" / "metrics.jsonl").read_text().splitlines()]
    losses = [row["teacher_loss"] for row in rows if row["split"] == "train"]
    assert len(losses) == 2
    assert min(losses) > 0
    card = " ".join((folder / "model" / "README.md").read_text().split())
    assert "Training was initialised from weights of 12 steps" in card
    assert f"{toy_backbone}, licence not stated" in card
    made = (folder / "teacher" / "manifest.json").stat().st_mtime_ns
    assert main([*command, "--set", "learning_rate=0"]) == 0
    assert (folder / "teacher" / "manifest.json").stat().st_mtime_ns == made
    capsys.readouterr()
    assert main([*command, "--set", "num_layers=3"]) == 2
    assert (
        "has other dimensions than the settings; use --set num_layers=2 --set hidden_size=32" in capsys.readouterr().err
    )


def test_a_name_of_shipped_weights_is_found_in_the_package(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_SHIPPED_FOLDER", tmp_path)
    with pytest.raises(
        NotInstalled, match="missing from this installation of openrealm; train it with `openrealm base train`"
    ):
        backbone_location("openrealm-mini")
    shutil.copytree(run / "model", tmp_path / "openrealm-mini")
    assert backbone_location("openrealm-mini") == str(tmp_path / "openrealm-mini")
    assert load_backbone("openrealm-mini").config.hidden_size == 32
    with (tmp_path / "openrealm-mini" / "model.safetensors").open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(DamagedArtefact, match="differs from its digest"):
        backbone_location("openrealm-mini")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nowhere.jsonl", "--tiny"], "nowhere.jsonl does not exist"),
        (["factbook", "--set", "depth=3"], "no setting 'depth'; choose from name, seed"),
        (["factbook", "--tiny", "--set", "teacher=./no"], "base.teacher: ./no is not a folder; give a folder"),
        (["factbook", "--tiny", "--set", "start=./no"], "base.start: ./no is not a folder; give a folder"),
        (["factbook", "--set", "num_heads=3"], "which is not a multiple of base.num_heads=3"),
        (["factbook", "--set", "own_rate=0.9"], "must add up to 1 or less"),
        (["factbook", "--set", "num_steps=many"], "base.num_steps is 'many'"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["base", "train", *words, "--name", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert reason in said
    assert not (tmp_path / "run" / "model").exists()


def test_a_recipe_can_be_told_to_use_it(run: Path) -> None:
    config = with_settings(factbook(), [f"model.backbone={run / 'model'}", "model.projection_dim=16"])
    assert Realm.from_backbone(config.model, Tokenizer.from_folder(run / "model")).has_trained_head
