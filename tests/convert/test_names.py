from __future__ import annotations

import pytest
import torch

from openrealm.convert import names
from openrealm.model.realm import Realm


def modules_of(model: Realm) -> list[tuple[str, torch.nn.Module]]:
    assert model.span_reader is not None
    towers = model.retriever.passage_tower, model.retriever.query_tower
    return [*((names.TOWER, t) for t in towers), (names.READER, model.reader), (names.SPAN_READER, model.span_reader)]


def test_names_are_unique_and_translate_back(released_realm: Realm) -> None:
    for kind, module in modules_of(released_realm):
        state = module.state_dict()
        back = names.from_huggingface(kind, names.to_huggingface(kind, state))
        assert back.keys() == state.keys()
        assert all(torch.equal(back[name], state[name]) for name in state)
        google = [names.tensorflow_name(kind, name) for name in names.to_huggingface(kind, state)]
        assert len(set(google)) == len(google)


# Names in Google's checkpoints, relative to their scopes.
@pytest.mark.parametrize(
    ("kind", "name", "google"),
    [
        ("tower", "realm.embeddings.word_embeddings.weight", "bert/embeddings/word_embeddings"),
        ("tower", "realm.embeddings.LayerNorm.bias", "bert/embeddings/LayerNorm/beta"),
        ("tower", "realm.pooler.dense.weight", "bert/pooler/dense/kernel"),
        ("tower", "cls.dense.weight", "dense/kernel"),
        ("tower", "cls.LayerNorm.weight", "LayerNorm/gamma"),
        ("reader", "realm.encoder.layer.11.attention.self.key.bias", "bert/encoder/layer_11/attention/self/key/bias"),
        ("reader", "cls.predictions.transform.dense.weight", "cls/predictions/transform/dense/kernel"),
        ("reader", "cls.predictions.bias", "cls/predictions/output_bias"),
        ("span_reader", "qa_outputs.dense_intermediate.weight", "dense/kernel"),
        ("span_reader", "qa_outputs.dense_output.bias", "dense_1/bias"),
        ("span_reader", "qa_outputs.layer_normalization.weight", "layer_normalization/gamma"),
    ],
)
def test_googles_names(kind: str, name: str, google: str) -> None:
    assert names.tensorflow_name(kind, name) == google


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError, match="realms"):
        names.from_huggingface(names.READER, {"realms.x": torch.zeros(1)})


def test_the_matrix_of_both_span_ends_is_split_and_their_biases_are_added() -> None:
    weight, bias = torch.arange(12.0).view(6, 2), torch.arange(6.0)
    mine = names.from_huggingface(
        names.SPAN_READER,
        {"qa_outputs.dense_intermediate.weight": weight, "qa_outputs.dense_intermediate.bias": bias},
    )
    assert torch.equal(mine["start.weight"], weight[:3])
    assert torch.equal(mine["end.weight"], weight[3:])
    assert mine["start.bias"].tolist() == [3.0, 5.0, 7.0]
