"""The whole model: saved and read back bit for bit, damage named, and the gradient of a whole joint step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from openrealm.config import PretrainConfig
from openrealm.corpus.corpus import Corpus
from openrealm.errors import DamagedArtefact, MissingStage
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.train.candidates import pack_candidates
from openrealm.train.examples import Example
from openrealm.types import NULL


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("with_spans", [True, False])
def test_a_saved_model_comes_back_bit_for_bit(
    tmp_path: Path, toy_realm: Callable[..., Realm], shared: bool, with_spans: bool
) -> None:
    model = toy_realm(f"model.shared_towers={shared}", "model.temperature=0.5", "model.normalize=true")
    if with_spans:
        model.max_span_tokens = 5
        model.add_span_reader()
    torch.manual_seed(9)
    for parameter in model.parameters():
        parameter.data += 0.01 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "model")
    back = Realm.from_pretrained(tmp_path / "model")
    assert back.config == model.config
    assert back.tokenizer.digest == model.tokenizer.digest
    assert back.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in back.state_dict().items())
    assert (back.retriever.query_tower is back.retriever.passage_tower) == shared
    assert back.retriever.passage_tower.digest() == model.retriever.passage_tower.digest()
    assert (back.span_reader is not None) == with_spans
    assert back.span_reader is None or back.span_reader.max_span_tokens == 5
    rows = [model.null_row()]
    assert np.array_equal(back.eval().embed(rows), model.eval().embed(rows))


def test_an_untied_model_comes_back_with_both_towers(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    model = toy_realm("model.shared_towers=true")
    model.retriever.untie()
    model.retriever.query_tower.projection.weight.data.add_(1)
    model.save_pretrained(tmp_path / "model")
    back = Realm.from_pretrained(tmp_path / "model")
    assert back.retriever.query_tower.digest() == model.retriever.query_tower.digest()
    assert back.retriever.passage_tower.digest() == model.retriever.passage_tower.digest()


def test_saving_again_replaces_the_folder_whole(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    toy_realm().save_pretrained(tmp_path / "model")
    toy_realm(seed=1).save_pretrained(tmp_path / "model")
    expected = toy_realm(seed=1).retriever.passage_tower.digest()
    assert Realm.from_pretrained(tmp_path / "model").retriever.passage_tower.digest() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "manifest.json"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, toy_realm: Callable[..., Realm], name: str) -> None:
    toy_realm().save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedArtefact, match=name):
        Realm.from_pretrained(tmp_path / "model")
    path.unlink()
    with pytest.raises((DamagedArtefact, MissingStage), match=name if name != "manifest.json" else "no saved model"):
        Realm.from_pretrained(tmp_path / "model")


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingStage, match="nothing holds no saved model"):
        Realm.from_pretrained(tmp_path / "nothing")


def test_frozen_embeddings_do_not_train(toy_realm: Callable[..., Realm]) -> None:
    model = toy_realm("model.freeze_embeddings=true")
    for encoder in (model.reader.encoder, model.retriever.query_tower.encoder, model.add_span_reader().encoder):
        assert not encoder.word_embeddings().requires_grad
        assert any(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_the_gradient_of_a_joint_step_reaches_every_part_and_is_the_finite_difference(
    toy_realm: Callable[..., Realm], toy_corpus: Corpus, per_token: bool, shared: bool
) -> None:
    """No detached tower, no score wrapped anew."""
    model = toy_realm(f"model.shared_towers={shared}", "model.dropout=0", "model.temperature=0.3").double().eval()
    # Sharper readings than a fresh model gives, so that candidates differ in what they predict.
    model.reader.head.bias.data = torch.randn(toy_corpus.tokenizer().vocab_size, dtype=torch.float64)
    mask = toy_corpus.specials.mask
    examples = []
    for passage, places in ((0, (5,)), (4, (21, 22, 23))):
        query = toy_corpus.body(passage).copy()
        gold = tuple(int(query[place]) for place in places)
        query[list(places)] = mask
        examples.append(Example(query, places, gold, passage, "entity"))
    candidates = [[NULL, 1, 6, 30], [NULL, 5, 8]]
    settings = PretrainConfig(max_query_tokens=40, max_joint_tokens=80, per_token_marginal=per_token)

    def loss() -> torch.Tensor:
        reading: Reading = model(pack_candidates(toy_corpus, examples, candidates, settings, with_title=True))
        return reading.marginal_loss().mean()

    loss().backward()  # type: ignore[no-untyped-call]
    parts = {
        "query tower": model.retriever.query_tower,
        "passage tower": model.retriever.passage_tower,
        "reader": model.reader,
    }
    rng = np.random.default_rng(0)
    for what, part in parts.items():
        parameters = [p for p in part.parameters() if p.grad is not None]
        assert sum(float(p.grad.norm()) for p in parameters if p.grad is not None) > 1e-6, what
        for parameter in (parameters[int(i)] for i in rng.permutation(len(parameters))[:6]):
            assert parameter.grad is not None
            flat, grad = parameter.data.view(-1), parameter.grad.view(-1)
            # The entry of the largest gradient, where a wrong path would show most.
            index = int(grad.abs().argmax())
            before = float(flat[index])
            with torch.no_grad():
                flat[index] = before + 1e-5
                up = float(loss())
                flat[index] = before - 1e-5
                down = float(loss())
                flat[index] = before
            assert float(grad[index]) == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-8), what
