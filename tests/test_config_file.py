from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.base.settings import BaseSettings
from openrealm.config import Config, with_settings
from openrealm.config_file import Format, file_text, read_settings
from openrealm.errors import BadConfig, BadInput, OpenRealmError
from openrealm.qa.settings import QaSettings
from openrealm.recipes.catalogue import RECIPES, recipe
from openrealm.section import Section

FORMATS: tuple[Format, ...] = ("toml", "yaml")


def read_back(folder: Path, config: Section, format: Format) -> Section:
    """What a file of `config` makes of another configuration, in which other things are set."""
    path = folder / f"config.{format}"
    path.write_text(file_text(config, format), encoding="utf-8")
    others: list[Section] = [BaseSettings(num_layers=1), QaSettings(batch_size=1), recipe("factbook-minilm")]
    start = next(one for one in others if isinstance(one, type(config)))
    return with_settings(start, read_settings(path, type(config)))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", [*RECIPES, "base", "qa"])
def test_a_configuration_survives_its_file(name: str, format: Format, tmp_path: Path) -> None:
    config = {"base": BaseSettings, "qa": QaSettings}[name]() if name in ("base", "qa") else recipe(name)
    assert read_back(tmp_path, config, format) == config


SOURCES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(str.strip)


@given(SOURCES, st.floats(0, allow_infinity=False, allow_nan=False), st.sampled_from(FORMATS))
def test_any_text_and_any_number_survive_a_file(
    tmp_path_factory: pytest.TempPathFactory, source: str, rate: float, format: Format
) -> None:
    pretrain = {"learning_rate": rate, "num_steps": 10**15}
    config = Config.from_dict({"corpus": {"source": source}, "callbacks": ["tensorboard"], "pretrain": pretrain})
    assert read_back(tmp_path_factory.mktemp("file"), config, format) == config


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_says_what_each_setting_means(format: Format) -> None:
    lines = [line.strip() for line in file_text(Config(), format).splitlines()]
    equals = " = " if format == "toml" else ": "
    assert f"num_steps{equals}200000  # optimiser steps; 0 leaves it out [Guu Sec. 4.3]" in lines
    assert f'num_layers{equals}"none"  # encoder layers to keep, counting from the first; none: all' in lines


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.toml", 'seed = 3\n[pretrain]\nlearning_rate = 1e-4\nuse_null = false\n[masking]\nkinds = ["date"]\n'),
        ("a.yaml", "seed: 3\npretrain: {learning_rate: 1e-4, use_null: no}\nmasking:\n  kinds: [date]\n"),
        ("a.yml", "seed: 3\npretrain:\n  learning_rate: 0.0001\n  use_null: false\nmasking:\n  kinds: date\n"),
        (
            "a.json",
            '{"seed": 3, "pretrain": {"learning_rate": 1e-4, "use_null": false}, "masking": {"kinds": ["date"]}}',
        ),
    ],
)
def test_a_file_changes_what_it_names(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    expected = ["seed=3", "pretrain.learning_rate=1e-4", "pretrain.use_null=false", "masking.kinds=date"]
    assert with_settings(Config(), read_settings(tmp_path / name, Config)) == with_settings(Config(), expected)


@pytest.mark.parametrize("name", ["a.toml", "a.yaml"])
def test_an_empty_file_changes_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("# nothing\n")
    assert read_settings(tmp_path / name, Config) == []


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("a.toml", "[pretrain]\nnum_step = 3\n", BadConfig, ["'pretrain.num_step'", "pretrain.num_steps"]),
        ("a.yaml", "pretrain:\n  num_step: 3\n", BadConfig, ["'pretrain.num_step'", "pretrain.num_steps"]),
        ("a.toml", "[pretrein]\nnum_steps = 3\n", BadConfig, ["'pretrein.num_steps'", "pretrain.num_steps"]),
        ("a.toml", "[pretrain]\nnum_steps = true\n", BadConfig, ["pretrain.num_steps is 'true'", "whole number"]),
        ("a.yaml", "pretrain:\n  num_steps: many\n", BadConfig, ["pretrain.num_steps is 'many'", "whole number"]),
        ("a.yaml", "pretrain:\n  num_steps: -1\n", BadConfig, ["pretrain.num_steps is '-1'", "at least 0"]),
        ("a.toml", "pretrain = 3\n", BadConfig, ["pretrain is a section"]),
        ("a.yaml", "3: 4\n", BadConfig, ["'3'"]),
        ("a.toml", "[pretrain]\nnum_steps 3\n", BadInput, ["not valid TOML", "line 2"]),
        ("a.toml", "seed = 1\nseed = 2\n", BadInput, ["not valid TOML", "line 2"]),
        ("a.yaml", "seed: 1\npretrain: {num_steps: 3\n", BadInput, ["not valid YAML", "line 3"]),
        ("a.yaml", "seed: \x01\n", BadInput, ["not valid YAML"]),
        ("a.yaml", "seed: !!python/object/apply:os.getcwd []\n", BadInput, ["not valid YAML", "line 1"]),
        ("a.yaml", "- seed\n", BadInput, ["sections with settings"]),
        ("a.ini", "seed=3\n", BadInput, [".toml, .yaml"]),
    ],
)
def test_a_wrong_file_gives_one_sentence_that_names_it(
    name: str, content: str, error: type[Exception], words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(error) as caught:
        read_settings(path, Config)
    message = str(caught.value)
    assert all(word in message for word in [str(path), *words]), message
    assert "\n" not in message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.toml.*could not be read"):
        read_settings(tmp_path / "absent.toml", Config)
    (tmp_path / "a.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(BadInput, match=r"a\.toml.*UTF-8"):
        read_settings(tmp_path / "a.toml", Config)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "seed = " + "9" * 100_000),
        ("a.yaml", "seed: " + "9" * 100_000),
        ("a.json", '{"seed": ' + "9" * 100_000 + "}"),
        ("b.yaml", "seed: 0x" + "f" * 100_000),
        ("b.toml", "seed = 0x" + "f" * 100_000),
        ("c.yaml", "[" * 100_000),
        ("c.toml", "seed = " + "[" * 100_000),
    ],
)
def test_numbers_of_100_000_digits_and_endless_brackets_are_refused_by_file(
    tmp_path: Path, name: str, text: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(OpenRealmError, match=name) as error:
        read_settings(path, Config)
    assert len(str(error.value)) < 400
