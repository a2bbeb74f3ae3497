"""The whole model: saved and loaded bit for bit, damage named, texts encoded, and the gradient of a joint step."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from openrealm.config import PretrainConfig
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadConfig, BadInput, DamagedArtefact, Mismatch
from openrealm.model.reading import Reading
from openrealm.model.realm import Realm
from openrealm.text.pack import pack_joint, pack_passage, pack_query
from openrealm.train.candidates import pack_candidates
from openrealm.train.examples import Example
from openrealm.types import NULL, Passage


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
    assert not back.training
    assert np.array_equal(back.encode_passage(["The river"]), model.encode_passage(["The river"]))


def test_an_untied_model_comes_back_with_both_towers(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    model = toy_realm("model.shared_towers=true")
    model.retriever.untie()
    model.retriever.query_tower.projection.weight.data.add_(1)
    model.save_pretrained(tmp_path / "model")
    back = Realm.from_pretrained(tmp_path / "model")
    assert back.retriever.query_tower.digest() == model.retriever.query_tower.digest()
    assert back.retriever.passage_tower.digest() == model.retriever.passage_tower.digest()


def test_saving_again_replaces_the_model(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
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
    with pytest.raises(DamagedArtefact, match=name):
        Realm.from_pretrained(tmp_path / "model")


def test_the_card_may_be_edited_or_missing(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    folder = tmp_path / "model"
    toy_realm().save_pretrained(str(folder))
    card = (folder / "README.md").read_text()
    assert 'orm.Realm.from_pretrained("path/to/this/folder")' in card
    assert card.startswith("---\nlibrary_name: openrealm\n")
    (folder / "README.md").write_text("Our model.")
    Realm.from_pretrained(str(folder))
    (folder / "README.md").unlink()
    Realm.from_pretrained(str(folder))


def test_saving_deletes_nothing_but_a_saved_model(tmp_path: Path, toy_realm: Callable[..., Realm]) -> None:
    model = toy_realm()
    (tmp_path / "notes.txt").write_text("Mine.")
    with pytest.raises(BadInput, match=r"holds more than a saved model \(notes.txt\)"):
        model.save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="is a file"):
        model.save_pretrained(tmp_path / "notes.txt")
    (tmp_path / "empty").mkdir()
    model.save_pretrained(tmp_path / "empty")
    (tmp_path / "empty" / "notes.txt").write_text("Mine.")
    with pytest.raises(BadInput, match=r"\(notes.txt\), which saving would delete"):
        model.save_pretrained(tmp_path / "empty")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "notes.txt"]


def test_what_is_not_a_model_is_refused_in_one_sentence(tmp_path: Path, toy_corpus_folder: Path) -> None:
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "config.json").write_text("{}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("[1]")
    for where, reason in {
        tmp_path / "nothing": "nothing is not a folder; give a folder, a hub id",
        "./nothing": "./nothing is not a folder; give a folder, a hub id",
        "out/": "out/ is not a folder",
        tmp_path: "does not hold a model: expected a folder written by save_pretrained",
        tmp_path / "run": r"and tokenizer\.json; did you mean .*run/model\?",
        tmp_path / "other": r"other/config\.json names no model_type",
        toy_corpus_folder: "holds a corpus, not a model",
    }.items():
        with pytest.raises(BadInput, match=reason):
            Realm.from_pretrained(where)


@pytest.mark.parametrize("path_type", [str, Path])
def test_an_encoder_starts_a_fresh_model_that_is_the_same_every_time(
    toy_backbone: Path, path_type: Callable[[Path], str | Path]
) -> None:
    model, again = (Realm.from_pretrained(path_type(toy_backbone)) for _ in range(2))
    assert model.retriever.passage_tower.digest() == again.retriever.passage_tower.digest()
    config = model.config
    assert (config.pooling, config.shared_towers, config.normalize, config.temperature) == ("mean", True, True, 0.05)
    assert not model.has_trained_head
    assert model.config.backbone == str(toy_backbone)
    paper = Realm.from_pretrained(toy_backbone, pooling="cls", shared_towers=False, normalize=False, temperature=1.0)
    assert paper.retriever.query_tower is not paper.retriever.passage_tower
    vector_D = paper.encode_passage("The river runs.")
    assert np.linalg.norm(vector_D) != pytest.approx(1)


def test_settings_are_checked(tmp_path: Path, toy_backbone: Path, toy_realm: Callable[..., Realm]) -> None:
    with pytest.raises(BadConfig, match="'depth' is not a setting of a model; the settings are dropout, "):
        Realm.from_pretrained(toy_backbone, depth=3)
    with pytest.raises(BadConfig, match=r"model\.pooling is 'max'"):
        Realm.from_pretrained(toy_backbone, pooling="max")
    toy_realm().save_pretrained(tmp_path / "model")
    with pytest.raises(BadConfig, match="is a saved model, whose settings are fixed; omit dropout, pooling"):
        Realm.from_pretrained(tmp_path / "model", pooling="cls", dropout=0.0)


def test_a_pickle_and_a_damaged_file_of_an_encoder_are_refused(tmp_path: Path, toy_backbone: Path) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(toy_backbone, folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(DamagedArtefact, match=r"encoder/model\.safetensors is damaged"):
        Realm.from_pretrained(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match=r"has no model\.safetensors; only the safetensors format is read"):
        Realm.from_pretrained(folder)


@torch.no_grad()
def test_a_table_padded_to_a_round_size_is_cut_and_a_foreign_tokenizer_is_refused(
    tmp_path: Path, toy_backbone: Path
) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(toy_backbone, folder)
    words = (folder / "vocab.txt").read_text().split()
    (folder / "vocab.txt").write_text("\n".join(words[:-3]) + "\n")
    model = Realm.from_pretrained(folder)
    row, first = pack_joint([model.specials.mask], [7], model.specials, 16)
    assert first == 3
    ids, logp = model.reader.fill([row], [[1]])
    assert int(ids) < len(words) - 3
    assert float(model.reader.gold_log_prob([row], [[1]], [[int(ids)]])) == pytest.approx(float(logp), abs=1e-6)
    (folder / "vocab.txt").write_text("\n".join([*words, "onemore"]) + "\n")
    with pytest.raises(Mismatch, match="give a tokenizer and an encoder that belong together"):
        Realm.from_pretrained(folder)


TEXTS = ["The river runs.", "", "Copper and salt and amber to the north of the river. " * 9, "Barley.", "Salt."]


@pytest.fixture(scope="module")
def encoding(toy_realm: Callable[..., Realm]) -> Realm:
    """In training mode, with dropout, and with an encoder of 128 positions."""
    return toy_realm("model.temperature=0.5", "model.dropout=0.5").train()


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_texts_are_encoded_in_their_order_whatever_the_batch(encoding: Realm, batch_size: int) -> None:
    queries = encoding.encode_query(TEXTS, batch_size=batch_size)
    passages = encoding.encode_passage(TEXTS, batch_size=batch_size)
    assert queries.dtype == passages.dtype == np.float32
    for n, text in enumerate(TEXTS):
        np.testing.assert_allclose(queries[n], encoding.encode_query(text), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(passages[n], encoding.encode_passage(text), rtol=1e-4, atol=1e-5)
    assert all(module.training for module in encoding.modules())


def test_their_product_is_the_score_of_the_retriever(encoding: Realm) -> None:
    queries = encoding.encode_query(TEXTS, convert_to_tensor=True)
    passages = encoding.encode_passage([("Title", text) for text in TEXTS], convert_to_tensor=True)
    ids = [encoding.tokenizer.encode(text)[0] for text in TEXTS]
    title = encoding.tokenizer.encode("Title")[0]
    encoding.eval()
    with torch.no_grad():
        query_BD = encoding.retriever.encode_query([pack_query(i, encoding.specials, 64) for i in ids])
        passage_ND = encoding.retriever.encode_passage([pack_passage(title, i, encoding.specials, 128) for i in ids])
    encoding.train()
    torch.testing.assert_close(queries, query_BD, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(passages, passage_ND, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoding.similarity(queries, passages), query_BD @ passage_ND.T, rtol=1e-4, atol=1e-4)
    assert encoding.similarity(queries[0].numpy(), passages.numpy()).shape == (1, len(TEXTS))


def test_passages_are_texts_pairs_or_passages(encoding: Realm) -> None:
    passage = Passage("id", "Salt", "It is white.", "a", 0, 12)
    one = encoding.encode_passage(passage)
    assert one.shape == (16,)
    assert np.array_equal(one, encoding.encode_passage(("Salt", "It is white.")))
    several = encoding.encode_passage([passage, ("Salt", "It is white."), ["Salt", "It is white."], "It is white."])  # type: ignore[list-item]
    for vector in several[:3]:
        np.testing.assert_allclose(vector, one, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(several[3], encoding.encode_passage("It is white."), rtol=1e-4, atol=1e-5)
    assert encoding.encode_passage(text for text in TEXTS).shape == (5, 16)


def test_kinds_of_results(encoding: Realm, capsys: pytest.CaptureFixture[str]) -> None:
    assert encoding.encode_query([]).shape == encoding.encode_passage([]).shape == (0, 16)
    assert encoding.encode_query([], convert_to_tensor=True).shape == (0, 16)
    assert isinstance(encoding.encode_query(TEXTS, convert_to_numpy=False), torch.Tensor)
    assert not capsys.readouterr().err
    vector = encoding.encode_query("Salt", convert_to_tensor=True, show_progress_bar=True)
    assert "queries: 1/1" in capsys.readouterr().err
    weight = torch.ones(16, requires_grad=True)
    (vector * weight).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None


def test_modes_come_back_part_by_part(encoding: Realm) -> None:
    encoding.reader.eval()
    encoding.retriever.query_tower.projection.eval()
    before = [module.training for module in encoding.modules()]
    with pytest.raises(BadInput):
        encoding.encode_query(TEXTS, batch_size=0)
    encoding.encode_query(TEXTS)
    assert [module.training for module in encoding.modules()] == before
    encoding.train()


def test_mistakes_in_what_is_encoded_are_named(encoding: Realm) -> None:
    with pytest.raises(BadInput, match="Query 1 is of type int, but a str is expected"):
        encoding.encode_query(["a", 3])  # type: ignore[list-item]
    with pytest.raises(BadInput, match="Passage 0 is of type tuple"):
        encoding.encode_passage([("a", "b", "c")])  # type: ignore[list-item]
    with pytest.raises(BadInput, match="max_tokens is 2"):
        encoding.encode_query("a", max_tokens=2)


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
    """Guu et al. 2020, Sec. 3.3: no tower is detached from the loss."""
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
