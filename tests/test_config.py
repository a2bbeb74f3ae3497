from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.base.settings import BaseSettings
from openrealm.config import (
    SOURCES,
    Config,
    FinetuneConfig,
    IndexConfig,
    MaskingConfig,
    ModelConfig,
    PretrainConfig,
    warmup_rule,
    with_settings,
)
from openrealm.errors import BadConfig
from openrealm.qa.settings import QaSettings
from openrealm.registry import LOSSES
from openrealm.section import Section, known_settings, written
from openrealm.types import Limits

SECTIONS = [field.name for field in dataclasses.fields(Config) if isinstance(getattr(Config(), field.name), Section)]
KNOWN = known_settings(Config)


def test_the_defaults_are_the_papers() -> None:
    config = Config()
    assert (config.pretrain.num_steps, config.pretrain.batch_size, config.pretrain.learning_rate) == (
        200_000,
        512,
        3e-5,
    )
    assert (config.pretrain.num_candidates, config.pretrain.refresh_steps) == (8, 500)
    assert (config.pretrain.max_query_tokens, config.pretrain.max_joint_tokens) == (96, 384)
    assert (config.warm_start.num_steps, config.warm_start.ict_batch, config.warm_start.learning_rate) == (
        100_000,
        4096,
        1e-4,
    )
    assert (config.finetune.num_candidates, config.finetune.early_candidates) == (5, 5000)
    assert (config.finetune.max_query_tokens, config.finetune.max_reader_tokens) == (64, 320)
    assert (config.model.pooling, config.model.projection_dim, config.model.temperature) == ("cls", 128, 1.0)
    assert (config.corpus.max_passage_tokens, config.masking.strategy) == (288, "salient")


def test_a_configuration_survives_json() -> None:
    config = with_settings(Config(), ["masking.kinds=date", "num_threads=2", "pretrain.tower_learning_rate=1e-5"])
    back = Config.from_dict(json.loads(json.dumps(config.to_dict())))
    assert back == config != Config()
    assert isinstance(back.masking.kinds, tuple)


def test_omitted_settings_take_their_defaults() -> None:
    assert Config.from_dict({"pretrain": {"num_steps": 7}}) == Config(pretrain=PretrainConfig(num_steps=7))


@pytest.mark.parametrize("section", [Config, BaseSettings, QaSettings])
def test_every_setting_has_a_meaning_and_a_known_source(section: type[Section]) -> None:
    for key, setting in known_settings(section).items():
        assert len(setting.meaning) > 10, key
        assert not setting.meaning.endswith("."), key
        assert not setting.source or setting.source.startswith(tuple(SOURCES)), key
        assert setting.expected, key


def test_the_known_settings_are_all_fields() -> None:
    num_fields = sum(len(dataclasses.fields(getattr(Config(), name))) for name in SECTIONS)
    assert len(KNOWN) == num_fields + len(dataclasses.fields(Config)) - len(SECTIONS)
    assert {key.partition(".")[0] for key in KNOWN if "." in key} == set(SECTIONS)


def test_configurations_are_frozen_and_keyword_only() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        PretrainConfig(100)  # type: ignore[misc]


@pytest.mark.parametrize("section", [Config, BaseSettings, QaSettings])
def test_every_default_can_be_written_and_read_back(section: type[Section]) -> None:
    for key, setting in known_settings(section).items():
        assert setting.read(written(setting.default)) == setting.default, key


@pytest.mark.parametrize(
    ("setting", "section", "name", "value"),
    [
        ("pretrain.num_steps=1_000", "pretrain", "num_steps", 1000),
        ("pretrain.learning_rate=1e-4", "pretrain", "learning_rate", 1e-4),
        ("pretrain.clip_norm=1", "pretrain", "clip_norm", 1.0),
        ("pretrain.use_null=off", "pretrain", "use_null", False),
        ("model.shared_towers=YES", "model", "shared_towers", True),
        ("model.num_layers=None", "model", "num_layers", None),
        ("model.num_layers=3", "model", "num_layers", 3),
        ("model.pooling=mean", "model", "pooling", "mean"),
        ("masking.kinds=entity, number", "masking", "kinds", ("entity", "number")),
        ("corpus.source=a=b.jsonl", "corpus", "source", "a=b.jsonl"),
        (" finetune.num_steps = 5 ", "finetune", "num_steps", 5),
        ("index.searcher=exact", "index", "searcher", "exact"),
        ("warm_start.checkpoint_steps=7", "warm_start", "checkpoint_steps", 7),
        ("finetune.checkpoint_steps=7", "finetune", "checkpoint_steps", 7),
    ],
)
def test_a_setting_is_read_by_its_type(setting: str, section: str, name: str, value: object) -> None:
    changed = getattr(getattr(with_settings(Config(), [setting]), section), name)
    assert changed == value
    assert type(changed) is type(value)


def test_a_later_setting_wins_and_the_rest_stays() -> None:
    config = with_settings(Config(), ["pretrain.num_steps=3", "pretrain.num_steps=4", "seed=5"])
    assert config == Config(seed=5, pretrain=PretrainConfig(num_steps=4))


def test_settings_are_checked_against_each_other_once_all_are_applied() -> None:
    config = with_settings(Config(), ["pretrain.max_query_tokens=400", "pretrain.max_joint_tokens=500"])
    assert config.pretrain.max_query_tokens == 400


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("pretrain.num_step=3", ["'pretrain.num_step'", "pretrain.num_steps"]),
        ("temprature=3", ["'temprature'", "model.temperature"]),
        ("batch_size=3", ["pretrain.batch_size", "finetune.batch_size"]),
        ("seed.x=3", ["'seed.x'"]),
        ("zzzzzzzz=3", ["'zzzzzzzz'; choose from name, seed", "pretrain, finetune, index"]),
        ("pretrain=3", ["pretrain is a section", "pretrain."]),
        ("pretrain.num_steps", ["no '='", "pretrain.num_steps"]),
        ("finetune.num_steps=0", ["finetune.num_steps is '0'", "at least 1", "(optimiser steps; "]),
        ("pretrain.num_steps=3.5", ["pretrain.num_steps", "'3.5'", "whole number"]),
        ("pretrain.num_steps=none", ["pretrain.num_steps", "whole number"]),
        ("pretrain.learning_rate=nan", ["pretrain.learning_rate", "nan"]),
        ("pretrain.learning_rate=-inf", ["pretrain.learning_rate", "-inf"]),
        ("model.num_layers=0", ["model.num_layers", "at least 1, or none"]),
        ("seed=-1", ["seed is '-1'", "from 0 to 9223372036854775807"]),
        ("pretrain.loss=marginel", ["pretrain.loss is 'marginel'", "adist, emdr2", "did you mean marginal?"]),
        ("callbacks=tensorbord", ["callbacks is 'tensorbord'", "did you mean tensorboard?"]),
        ("index.searcher=fais", ["index.searcher is 'fais'", "exact", "did you mean faiss?"]),
        ("pretrain.learning_rate=-1", ["pretrain.learning_rate is '-1'", "at least 0"]),
        ("warm_start.passage_rate=1.5", ["warm_start.passage_rate", "from 0 to 1"]),
        ("model.pooling=clss", ["model.pooling", "cls, mean", "did you mean cls"]),
        ("pretrain.use_null=maybe", ["pretrain.use_null", "true or false"]),
        ("masking.kinds=colour", ["masking.kinds", "colour"]),
        ("masking.kinds=", ["masking.kinds"]),
        ("name=../x", ["name", "'../x'"]),
        ("key=x", ["'key'"]),
        ("", ["no '='"]),
    ],
)
def test_a_wrong_setting_gives_one_sentence_that_names_it(setting: str, words: list[str]) -> None:
    with pytest.raises(BadConfig) as caught:
        with_settings(Config(), [setting])
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PretrainConfig(num_steps=True), "pretrain.num_steps is True"),
        (lambda: PretrainConfig(num_steps="10"), "pretrain.num_steps is '10'"),
        (lambda: PretrainConfig(learning_rate=float("inf")), "pretrain.learning_rate is inf"),
        (lambda: PretrainConfig(num_steps=-1), "pretrain.num_steps is -1"),
        (lambda: PretrainConfig(num_step=10), "no setting 'pretrain.num_step'.*pretrain.num_steps"),
        (lambda: PretrainConfig(loss="mine"), "pretrain.loss is 'mine'"),
        (lambda: PretrainConfig(num_candidates=1), "num_candidates is 1.*plus 1 for the null passage"),
        (lambda: PretrainConfig(num_tail_candidates=2, loss="pdist"), "must be 0 unless pretrain.loss is marginal"),
        (lambda: IndexConfig(searcher="x"), "index.searcher is 'x'"),
        (lambda: dataclasses.replace(Config(), seed=-1), "seed is -1"),
        (lambda: BaseSettings(hidden_size=30), "multiple of base.num_heads"),
        (lambda: BaseSettings(mask_rate=2), "base.mask_rate is 2"),
        (lambda: QaSettings(negative_rate=0.9), "qa.negative_rate and qa.unanswerable_rate must add up to 1 or less"),
        (lambda: QaSettings(max_query_tokens=254), "at least qa.max_query_tokens"),
        (lambda: PretrainConfig(max_query_tokens=384), "less than pretrain.max_joint_tokens"),
        (lambda: FinetuneConfig(max_query_tokens=320), "less than finetune.max_reader_tokens"),
        (lambda: FinetuneConfig(early_candidates=4), "at least finetune.num_candidates"),
        (lambda: ModelConfig(pooling="max"), "one of cls, mean"),
        (lambda: MaskingConfig(kinds="date"), "masking.kinds is 'date'"),
        (lambda: MaskingConfig(kinds=("date", "place")), "masking.kinds is 'place'"),
        (lambda: Config(pretrain={"num_steps": 3}), "pretrain is {'num_steps': 3}"),
    ],
)
def test_python_is_checked_like_the_command_line(make: Any, words: str) -> None:
    with pytest.raises(BadConfig, match=words.replace("{", r"\{").replace("}", r"\}")):
        make()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pretrain": 3}, "pretrain is 3"),
        ({"pretrain": None}, "pretrain is None"),
        ({"pretrain": {"model": 3}}, "'pretrain.model'"),
        ({"pretrain": {"num_steps": "3"}}, "pretrain.num_steps is '3'"),
        ({"key": 1}, "'key'"),
        ([], "The configuration is \\[\\]"),
    ],
)
def test_a_wrong_dictionary_is_refused(values: Any, words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        Config.from_dict(values)


def test_a_registered_loss_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOSSES, "_objects", dict(LOSSES._objects))
    LOSSES.add("mine", lambda reading: reading)
    assert with_settings(Config(), ["pretrain.loss=mine"]).pretrain.loss == "mine"


@pytest.mark.parametrize("setting", ["base.num_layers=5", "num_layers=5"])
def test_base_settings_take_their_keys_with_and_without_the_section(setting: str) -> None:
    assert with_settings(BaseSettings(), [setting]) == BaseSettings(num_layers=5)


def test_an_unknown_base_setting_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadConfig, match=r"'num_layer'; similar settings: num_layers"):
        with_settings(BaseSettings(), ["base.num_layer=5"])


def test_no_null_passage_allows_one_candidate() -> None:
    assert PretrainConfig(num_candidates=1, use_null=False).num_candidates == 1


def outcome(setting: str) -> Config | str:
    """The configuration with that one setting, or the sentence that refuses it."""
    try:
        return with_settings(Config(), [setting])
    except BadConfig as error:
        return str(error)


@given(st.text(max_size=40))
def test_any_text_is_a_setting_or_a_clear_refusal(text: str) -> None:
    assert outcome(text)


@given(st.sampled_from(list(KNOWN)), st.text(max_size=12) | st.integers().map(str) | st.floats().map(str))
def test_any_value_of_any_key_is_taken_or_refused_by_name(key: str, value: str) -> None:
    result = outcome(f"{key}={value}")
    if isinstance(result, str):
        assert key.split(".")[0] in result
    else:
        assert Config.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False))) == result


@pytest.mark.parametrize(("num_steps", "num_warmup"), [(10, 100), (2000, 200), (200_000, 10_000), (99_990, 9999)])
def test_the_warmup_rule(num_steps: int, num_warmup: int) -> None:
    assert warmup_rule(num_steps) == num_warmup


def test_every_limit_is_a_setting_of_the_corpus_and_reaches_the_readers() -> None:
    changed = {field.name: getattr(Limits(), field.name) + 7 for field in dataclasses.fields(Limits)}
    assert Config().corpus.limits == Limits()
    assert Config().corpus.replace(**changed).limits == Limits(**changed)
