from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from openrealm.base.settings import BaseSettings
from openrealm.cli.common import new_run_for, run_for
from openrealm.cli.main import main
from openrealm.config import Config, with_settings
from openrealm.config_file import file_text
from openrealm.files import write_json
from openrealm.qa.settings import QaSettings
from openrealm.recipes.catalogue import recipe
from openrealm.section import known_settings


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What `openrealm config` prints."""
    assert main(["config", *words]) == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The sentence with which `openrealm config` refuses these words."""
    assert main(["config", *words]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--base"], ["--qa"]])
def test_every_setting_is_printed_with_value_default_meaning_and_source(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(capsys, *options).splitlines()
    known = known_settings({"--base": BaseSettings, "--qa": QaSettings}.get("".join(options), Config))
    assert [line.partition("=")[0] for line in lines] == [setting.key for setting in known.values()]
    for line, setting in zip(lines, known.values(), strict=True):
        assert setting.meaning in line
        assert "(default: " in line
        assert f"[{setting.source}]" in line or not setting.source


def test_the_values_are_those_of_recipe_file_and_set_in_this_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[pretrain]\nnum_steps = 7\nbatch_size = 8\n")
    text = printed(
        capsys, "pretrain", "--recipe", "quickstart", "--config", str(file), "--set", "pretrain.batch_size=9"
    )
    assert "pretrain.num_candidates=5  # " in text
    assert "pretrain.num_steps=7  # optimiser steps; 0 leaves it out (default: 200000) [Guu Sec. 4.3]" in text
    assert "pretrain.batch_size=9  # " in text
    assert "finetune." not in text


@pytest.mark.parametrize("format", ["toml", "yaml", "json"])
def test_the_output_is_a_file_for_config(format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = printed(capsys, "--recipe", "small", "--format", format)
    file = tmp_path / f"small.{format}"
    file.write_text(first)
    assert printed(capsys, "--recipe", "paper", "--config", str(file), "--format", format) == first
    assert json.loads(printed(capsys, "--config", str(file), "--format", "json")) == recipe("small").to_dict()


def test_the_settings_of_a_run_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = with_settings(Config(), ["seed=5"])
    write_json(tmp_path / "config.json", config.to_dict())
    assert json.loads(printed(capsys, "--run", str(tmp_path), "--format", "json")) == config.to_dict()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pretrian"], "no section 'pretrian'; choose from corpus, model"),
        (["pretrain", "--format", "toml"], "--format text only"),
        (["--base", "--recipe", "small"], "mutually exclusive"),
        (["--base", "--qa"], "mutually exclusive"),
        (
            ["--recipe", "smal"],
            "no recipe 'smal'; choose from factbook, factbook-minilm, open-qa, paper, quickstart, small, ",
        ),
        (["--set", "pretrain.num_step=3"], "'pretrain.num_step'"),
        (["--config", "absent.yaml"], "absent.yaml: the configuration file could not be read"),
        (["--run", "absent/run"], "absent/run"),
    ],
)
def test_wrong_words_give_one_sentence(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in refusal(capsys, *words)


def test_a_terminal_gets_tables_that_fit_it_and_the_titles_of_the_sources() -> None:
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "openrealm.cli", "config", "masking", "--set", "masking.min_passages=3"],
        stdout=child,
        env=os.environ | {"COLUMNS": "90", "NO_COLOR": "1", "TERM": "xterm"},
    )
    os.close(child)
    output = b""
    while True:
        try:
            more = os.read(parent, 1 << 16)
        except OSError:
            break
        if not more:
            break
        output += more
    os.close(parent)
    assert process.wait() == 0
    text = output.decode()
    assert "masking.min_passages" not in text
    assert "min_passages" in text
    assert "Guu et al. 2020" in text
    assert "\N{ESCAPE}[3" not in text, "no colour where NO_COLOR is set"


@pytest.mark.parametrize(("name", "content"), [("a.toml", "seed = 3\nname = 'x'\n"), ("a.yaml", "seed: 3\nname: x\n")])
def test_a_new_run_takes_the_file_before_set_and_keeps_its_name_and_source(
    name: str, content: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text(content)
    config = new_run_for(str(tmp_path / "mine"), "factbook", None, "quickstart", file).config
    assert (config.seed, config.name, config.corpus.source) == (3, "mine", "factbook")
    assert new_run_for(str(tmp_path / "mine"), None, ["seed=4"], None, file).config.seed == 4


def test_an_existing_run_takes_the_file_before_set(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", with_settings(recipe("quickstart"), ["seed=5"]).to_dict())
    file = tmp_path / "paper.toml"
    file.write_text(file_text(recipe("paper"), "toml"))
    config = run_for(str(tmp_path), ["device=cpu"], None, file).config
    assert config == with_settings(recipe("paper"), ["device=cpu", "name=quickstart"])


COMMANDS = [
    "quickstart",
    "run FOLDER",
    "warm-start",
    "index",
    "pretrain",
    "finetune",
    "evaluate",
    "corpus",
    "corpus build factbook",
    "base train factbook",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_with_settings_reads_the_file(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/quickstart", "FOLDER"):
        Path(folder).mkdir(parents=True)
    write_json(Path("runs/quickstart/config.json"), recipe("quickstart").to_dict())
    Path("mine.toml").write_text("[model]\npoolin = 'cls'\n")
    assert main([*command.split(), "--config", "mine.toml"]) == 2
    message = capsys.readouterr().err
    assert "mine.toml: There is no setting 'model.poolin'" in message
