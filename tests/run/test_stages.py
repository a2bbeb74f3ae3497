"""The table of stages and its views, and the stages that need no training."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm import files
from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.corpus import builder
from openrealm.errors import BadInput, DamagedArtefact, Mismatch, MissingStage
from openrealm.run import artefacts, stages
from openrealm.run.folder import Run
from openrealm.run.stages import STAGES, Stage
from openrealm.run.systems import SYSTEMS

SOURCES = Path(__file__).parents[2] / "src" / "openrealm"
EACH = pytest.mark.parametrize("stage", STAGES, ids=[stage.name for stage in STAGES])


def finish(run: Run, *names: str) -> None:
    """Record stages as finished under their present keys, with something as their output."""
    for name in names:
        stage = stages.get(name)
        with run.recorded(name, stage.key(run)):
            output = run.folder / stage.output
            if output.name == files.MANIFEST:
                with files.new_folder(output.parent) as folder:
                    files.write_text(folder / "weights", name)
            else:
                files.write_json(output, {"origin": "here", "train": [], "dev": [], "test": []})


@EACH
def test_an_entry_fits_the_rest_of_the_table(stage: Stage) -> None:
    earlier = [other.name for other in STAGES[: STAGES.index(stage)]]
    assert stage.name not in earlier
    assert set(stage.needs) <= set(earlier)
    assert stage.start in ("", *stage.needs)
    assert not stage.start or stages.get(stage.start).leaves_model
    assert any(Path(stage.output).is_relative_to(path) for path in stage.writes)
    assert not stage.checkpoints or Path(stage.checkpoints).is_relative_to(stage.writes[0])
    module, _, function = stage.work.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@EACH
def test_an_entrys_command_exists_and_can_resume_what_has_checkpoints(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    command = stage.command.split()
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert ("--resume" in shown) == (command[0] in ("warm-start", "pretrain", "finetune"))
    assert bool(stage.checkpoints) == stage.output.endswith("model/manifest.json"), "what trains a model can resume"


def test_the_name_of_a_fine_tuning_stage_is_built_in_one_place() -> None:
    name = re.compile(r"[\"']finetune_(?!step\b)")
    built = [path.name for path in SOURCES.rglob("*.py") for _ in name.findall(path.read_text())]
    assert built == ["systems.py"]
    assert [stage.system for stage in STAGES if stage.system] == list(SYSTEMS.values())


def test_pipelines_are_the_table_with_and_without_baselines() -> None:
    quickstart, factbook = (set(stages.pipeline(name)) for name in ("quickstart", "factbook"))
    assert quickstart | factbook == set(STAGES)
    assert quickstart & factbook == set(stages.pipeline())
    assert {stage.name for stage in quickstart - factbook} == {"towers_alone", "index_towers_alone"}
    assert [stage.name for stage in stages.pipeline()] == [
        "corpus",
        "questions",
        "warm_start",
        "index",
        "pretrain",
        "index_pretrained",
        "finetune_realm",
        "evaluate",
    ]


def test_each_command_suggests_the_next_one() -> None:
    suggested = {}
    for stage in STAGES:
        following = stages.next_stage(stage)
        suggested[stage.name] = following.name if following else None
    assert suggested == {
        "corpus": "warm_start",
        "questions": "warm_start",
        "warm_start": "pretrain",
        "index": "pretrain",
        "pretrain": "finetune_realm",
        "frozen_towers": "finetune_realm",
        "index_pretrained": "finetune_realm",
        "towers_alone": "finetune_realm",
        "index_towers_alone": "finetune_realm",
        **{system.stage: "evaluate" for system in SYSTEMS.values()},
        "evaluate": None,
    }


def test_a_command_is_quoted_for_a_shell() -> None:
    stage = stages.get("frozen_towers")
    assert stage.command_line("my run") == "openrealm pretrain --frozen-towers --run 'my run'"
    assert stage.command_line("x", resume=True) == "openrealm pretrain --frozen-towers --resume --run x"


@EACH
def test_a_stage_is_finished_once_it_is_recorded_and_its_output_exists(stage: Stage, tmp_path: Path) -> None:
    run = Run(tmp_path, Config())
    with run.recorded(stage.name, "k1"):
        assert not stage.is_finished(run)
    assert not stage.is_finished(run), "it left no output"
    files.write_text(run.folder / stage.output, "{}")
    assert stage.is_finished(run)
    assert stage.is_finished(run, "k1")
    assert not stage.is_finished(run, "k2")


def test_a_stage_resumes_if_it_was_interrupted_with_these_settings_after_a_checkpoint(
    tmp_path: Path, toy_config: Callable[..., Config]
) -> None:
    run, stage = Run(tmp_path, toy_config()), stages.get("pretrain")
    with pytest.raises(KeyboardInterrupt), run.recorded("pretrain", stage.key(run)):
        raise KeyboardInterrupt
    assert not stage.can_resume(run)
    with files.new_folder(run.folder / stage.checkpoints / "step-00000001"):
        pass
    assert stage.can_resume(run)
    assert stage.next_command(run) == f"openrealm pretrain --resume --run {tmp_path}"
    assert stage.next_command(run, "mine") == "openrealm pretrain --resume --run mine"
    assert not stage.can_resume(Run(tmp_path, toy_config("pretrain.num_steps=5")))
    finish(run, "pretrain")
    assert not stage.can_resume(run)


def test_a_stage_is_refused_until_those_before_it_are_finished_and_up_to_date(
    tmp_path: Path, toy_config: Callable[..., Config]
) -> None:
    run, stage = Run(tmp_path, toy_config()), stages.get("pretrain")
    with pytest.raises(MissingStage, match=r"the corpus stage has not been run; run `openrealm corpus --run"):
        stage.perform(run)
    finish(run, "corpus")
    with pytest.raises(KeyboardInterrupt), run.recorded("warm_start", "key"):
        raise KeyboardInterrupt
    with pytest.raises(MissingStage, match="the warm start stage was interrupted; run `openrealm warm-start"):
        stage.perform(run)
    finish(run, "warm_start")
    with pytest.raises(Mismatch, match="the warm start stage was run with other settings"):
        stage.perform(Run(tmp_path, toy_config("seed=3")))
    assert run.record("pretrain") == {}, "a stage that is refused leaves no record"


def test_a_stage_is_outdated_when_the_model_it_started_from_is_another(
    tmp_path: Path, toy_config: Callable[..., Config]
) -> None:
    run = Run(tmp_path, toy_config())
    finish(run, "corpus", "warm_start", "index", "pretrain", "index_pretrained")
    with files.new_folder(stages.get("pretrain").model_folder(run)) as folder:
        files.write_text(folder / "weights", "pre-trained again")
    current = [stage.name for stage in STAGES if stage.is_current(run)]
    assert current == ["corpus", "warm_start", "index", "pretrain"]


def test_forgetting_leaves_the_configuration_and_the_report_alone(
    tmp_path: Path, toy_config: Callable[..., Config]
) -> None:
    run = Run(tmp_path, toy_config())
    with run.writing():
        for stage in STAGES:
            finish(run, stage.name)
            for path in stage.writes:
                if not (run.folder / path).exists():
                    files.write_text(run.folder / path / "more", "x")
        stages.forget(run)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".lock", "best.json", "config.json", "evaluate", "report.html", "report.json"
    ]  # fmt: skip


def test_a_flipped_bit_of_the_corpus_stops_the_next_stage(tmp_path: Path, toy_corpus_folder: Path) -> None:
    run = Run(tmp_path, Config())
    shutil.copytree(toy_corpus_folder, run.corpus)
    with run.recorded("corpus", "key"):
        pass
    tokens = run.corpus / "body.bin"
    data = bytearray(tokens.read_bytes())
    data[0] ^= 1
    tokens.write_bytes(data)
    with pytest.raises(DamagedArtefact, match=r"body\.bin differs from its digest"):
        artefacts.open_corpus(run)


def test_an_interrupted_corpus_build_is_continued(
    tmp_path: Path,
    toy_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(builder, "_SHARD_ARTICLES", 2)
    source = tmp_path / "source.jsonl"
    lines = [json.dumps({"title": f"Peru {i}", "text": f"The river {i} is in Peru."}) for i in range(9)]
    source.write_text("\n".join([*lines[:8], "{"]))
    run = Run(tmp_path / "runs" / "mine", toy_config(f"corpus.source={source}", "num_threads=2"))
    with pytest.raises(BadInput, match=r"source\.jsonl:9"), run.writing():
        stages.get("corpus").perform(run)
    assert builder.is_begun(run.corpus)
    source.write_text("\n".join(lines))
    with run.writing():
        corpus = stages.get("corpus").perform(run)
    assert [corpus.passage(i).title for i in range(len(corpus))] == [f"Peru {i}" for i in range(9)]
    assert "continuing an interrupted build" in capsys.readouterr().err
    assert not builder.unfinished(run.corpus).exists()
