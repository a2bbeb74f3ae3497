"""Damage to every file of a finished run, and artefacts whose digests are right but whose content is wrong.

Each is attacked with the command that uses it, which must end with one sentence that names the file.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from openrealm import files
from openrealm.cli.main import main
from openrealm.config import Config

Json = dict[str, Any]
Edit = Callable[[Path, Json], None]
NUM_QUICK, NUM_ALL = 36, 300
INTERNAL = "internal error"


@pytest.fixture
def run(answering_run: Path, tmp_path: Path) -> Path:
    return copied(answering_run, tmp_path / "run")


def copied(run: Path, to: Path) -> Path:
    """A copy of hard links: files are replaced here, never changed."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(run, to, copy_function=os.link, ignore=shutil.ignore_patterns(".lock"))
    return to


def replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def sealed(value: Json, seal: str) -> Json:
    rest = {name: entry for name, entry in value.items() if name != seal}
    return {**rest, seal: files.digest_of(rest)}


def reseal(run: Path, folder: Path, edit: Edit) -> None:
    """Edit an artefact and its manifest, and make all digests right again, also that in the stage's record."""
    path = folder / files.MANIFEST
    manifest = json.loads(path.read_text())
    edit(folder, manifest)
    listed = manifest.get("files")
    for name in listed if isinstance(listed, dict) else ():
        member = folder / name
        if member.is_file() and isinstance(listed[name], dict) and not listed[name].get("kept"):
            listed[name] = {"sha256": files.sha256_file(member), "num_bytes": member.stat().st_size}
        elif isinstance(listed[name], dict):
            listed[name].pop("kept", None)
    replace(path, json.dumps(sealed(manifest, "manifest_sha256")).encode())
    for record in (run / "stages").glob("*.json"):
        value = json.loads(record.read_text())
        name = str(path.relative_to(run))
        if name in value["files"]:
            value["files"][name] = files.sha256_file(path)
            replace(record, json.dumps(sealed(value, "sha256")).encode())


def refused(command: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command, which must end with a sentence that names the file; returns it."""
    capsys.readouterr()
    code = main(command)
    said = capsys.readouterr().err
    assert INTERNAL not in said, said
    assert code == 2, f"accepted: {named}: {said}"
    assert named in said, said
    return said


def numbers(name: str, change: Callable[[Any], Any], dtype: str = "<u4") -> Edit:
    """Change a flat file of numbers of a corpus."""

    def edit(folder: Path, _: Json) -> None:
        values = np.fromfile(folder / name, dtype)
        replace(folder / name, np.ascontiguousarray(change(values), dtype).tobytes())

    return edit


def put(position: int, value: int) -> Callable[[Any], Any]:
    def change(values: Any) -> Any:
        values[position] = value
        return values

    return change


def entry(*keys: str, value: Any) -> Edit:
    """Set an entry of the manifest; "absent" removes it."""

    def edit(_: Path, manifest: Json) -> None:
        part = manifest
        for key in keys[:-1]:
            part = part[key]
        if value == "absent":
            del part[keys[-1]]
        else:
            part[keys[-1]] = value

    return edit


def setting(name: str, *keys: str, value: Any) -> Edit:
    """`entry` for a JSON file of the artefact."""

    def edit(folder: Path, _: Json) -> None:
        values = json.loads((folder / name).read_text())
        entry(*keys, value=value)(folder, values)
        replace(folder / name, json.dumps(values).encode())

    return edit


def text(name: str, content: str) -> Edit:
    return lambda folder, _: replace(folder / name, content.encode())


def tensors(name: str, change: Callable[[dict[str, torch.Tensor]], object]) -> Edit:
    def edit(folder: Path, _: Json) -> None:
        stored = load_file(folder / name)
        change(stored)
        (folder / name).unlink()
        save_file({key: value.contiguous() for key, value in stored.items()}, folder / name)

    return edit


def vectors(change: Callable[[torch.Tensor], torch.Tensor], **manifest: int) -> Edit:
    def edit(folder: Path, entries: Json) -> None:
        tensors("vectors.safetensors", lambda stored: stored.update(vectors=change(stored["vectors"])))(folder, entries)
        entries.update(manifest)

    return edit


def with_value(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.clone()
        tensor.view(-1)[5] = value
        return tensor

    return change


def weight(change: Callable[[torch.Tensor], torch.Tensor], name: str = "reader.head.bias") -> Edit:
    return tensors("model.safetensors", lambda stored: stored.update({name: change(stored[name])}))


CORPUS: dict[str, Edit] = {
    "ends not sorted": numbers("body.ends.bin", lambda v: np.concatenate([v[1:2], v[:1], v[2:]]), "<u8"),
    "ends not sorted in text": numbers("text.ends.bin", lambda v: np.concatenate([v[1:2], v[:1], v[2:]]), "<u8"),
    "an end beyond the file": numbers("text.ends.bin", put(-1, 1 << 60), "<u8"),
    "an end beyond the file in the middle": numbers("title.ends.bin", put(3, 1 << 60), "<u8"),
    "too few rows": numbers("sentences.ends.bin", lambda v: v[:-1], "<u8"),
    "too many values": numbers("spans.bin", lambda v: np.concatenate([v, v[:3]])),
    "a word piece beyond the vocabulary": numbers("body.bin", put(7, 60_000), "<u2"),
    "a title's word piece beyond the vocabulary": numbers("title.bin", put(2, 60_000), "<u2"),
    "a sentence beyond its passage": numbers("sentences.bin", put(1, 5_000)),
    "a sentence that ends before it starts": numbers("sentences.bin", put(0, 5_000)),
    "a span beyond its passage": numbers("spans.bin", put(1, 5_000)),
    "a span of an unknown kind": numbers("spans.bin", put(2, 9)),
    "characters beyond the text": numbers("offsets.bin", put(1, 90_000)),
    "a group out of range": numbers("groups.bin", put(4, 1 << 31)),
    "a group that is not its first passage": numbers("groups.bin", put(0, 2)),
    "an article out of range": numbers("articles.bin", put(0, 1 << 30)),
    "bounds that end before they start": numbers("bounds.bin", put(0, 1 << 30)),
    "too few ids": numbers("ids.bin", lambda v: v[:-16], "u1"),
    "other ids": numbers("ids.bin", lambda v: v[::-1], "u1"),
    "no number of passages": entry("num_passages", value="absent"),
    "text for the number of passages": entry("num_passages", value="many"),
    "null for the number of passages": entry("num_passages", value=None),
    "a negative number of passages": entry("num_passages", value=-1),
    "a huge number of passages": entry("num_passages", value=1 << 62),
    "one passage fewer": entry("num_passages", value=3),
    "a huge number of articles": entry("num_articles", value=1 << 62),
    "an unknown type of tokens": entry("token_type", value="f8"),
    "wider tokens": entry("token_type", value="u4"),
    "no settings": entry("settings", value="absent"),
    "a list of settings": entry("settings", value=[]),
    "text for the longest passage": entry("settings", "max_passage_tokens", value="288"),
    "shorter passages": entry("settings", "max_passage_tokens", value=3),
    "a list for the source": entry("source", value=[1]),
    "counts that are text": entry("num_spans", value={"entity": "1", "date": 1, "number": 1}),
    "another format": entry("format", value=99),
    "another kind": entry("kind", value="index"),
    "a number for the kind": entry("kind", value=5),
    "no list of files": entry("files", value="absent"),
    "a list for the files": entry("files", value=["body.bin"]),
    "a file that is not listed": entry("files", "body.bin", value="absent"),
    "null for a file": entry("files", "body.bin", value=None),
    "a file outside": entry("files", "../../config.json", value={"sha256": "0" * 64, "num_bytes": 1, "kept": True}),
    "a digest that is a number": entry("files", "body.bin", value={"sha256": 1, "num_bytes": 1, "kept": True}),
    "another tokenizer": setting("tokenizer.json", "model", "unk_token", value="[PAD]"),
    "a tokenizer that is a list": text("tokenizer.json", "[]"),
    "a tokenizer without a model": text("tokenizer.json", "{}"),
}
INDEX: dict[str, Edit] = {
    "too few rows": vectors(lambda v: v[:-1]),
    "too few rows, and said so": vectors(lambda v: v[:3], num_passages=3),
    "too many rows": vectors(lambda v: torch.cat([v, v[:1]])),
    "too few dimensions": vectors(lambda v: v[:, :-1]),
    "another dimension, and said so": vectors(lambda v: v[:, :4], dim=4),
    "one dimension": vectors(lambda v: v.flatten()),
    "NaN": vectors(with_value(float("nan"))),
    "infinity": vectors(with_value(float("inf"))),
    "whole numbers": vectors(lambda v: v.int()),
    "other tensors": tensors("vectors.safetensors", lambda stored: stored.update(vector=stored.pop("vectors"))),
    "no safetensors": text("vectors.safetensors", "hello"),
    "a header of 2 to the 60 bytes": lambda folder, _: replace(
        folder / "vectors.safetensors", (1 << 60).to_bytes(8, "little") + b"{}"
    ),
    "a header that is a list": lambda folder, _: replace(
        folder / "vectors.safetensors", (2).to_bytes(8, "little") + b"[]"
    ),
    "no encoder": entry("encoder", value="absent"),
    "a list for the encoder": entry("encoder", value=[]),
    "text for the step": entry("step", value="4"),
    "a negative step": entry("step", value=-4),
    "no step": entry("step", value="absent"),
    "null for the dimension": entry("dim", value=None),
    "another corpus": entry("corpus", value="0" * 64),
    "another kind": entry("kind", value="corpus"),
    "a file that is not listed": entry("files", "vectors.safetensors", value="absent"),
}
MODEL: dict[str, Edit] = {
    "a missing tensor": tensors("model.safetensors", lambda stored: stored.pop("reader.head.bias")),
    "an extra tensor": tensors("model.safetensors", lambda stored: stored.update(evil=torch.zeros(1))),
    "a shorter tensor": weight(lambda t: t[:-1]),
    "a tensor of whole numbers": weight(lambda t: t.int()),
    "a tensor in half precision": weight(lambda t: t.half()),
    "NaN": weight(with_value(float("nan"))),
    "infinity": weight(with_value(float("-inf"))),
    "no safetensors": text("model.safetensors", "{}"),
    "no settings": text("config.json", "{}"),
    "settings that are a list": text("config.json", "[]"),
    "settings nested too deeply": text("config.json", "[" * 100_000),
    "a key twice": text("config.json", '{"model": {}, "model": {}}'),
    "an unknown setting of the model": setting("config.json", "model", "evil", value=1),
    "text for a setting": setting("config.json", "model", "projection_dim", value="16"),
    "a huge projection": setting("config.json", "model", "projection_dim", value=1 << 40),
    "a huge answer": setting("config.json", "max_span_tokens", value=1 << 40),
    "null for the span reader": setting("config.json", "has_span_reader", value=None),
    "no span reader": setting("config.json", "has_span_reader", value=False),
    "a huge encoder": setting("config.json", "backbone", "hidden_size", value=1 << 40),
    "a wider encoder": setting("config.json", "backbone", "hidden_size", value=64),
    "a million layers": setting("config.json", "backbone", "num_hidden_layers", value=1_000_000),
    "no layer": setting("config.json", "backbone", "num_hidden_layers", value=0),
    "text for the layers": setting("config.json", "backbone", "num_hidden_layers", value="two"),
    "heads that do not divide": setting("config.json", "backbone", "num_attention_heads", value=5),
    "an unknown activation": setting("config.json", "backbone", "hidden_act", value="evil"),
    "an unknown encoder": setting("config.json", "backbone", "model_type", value="evil"),
    "no kind of encoder": setting("config.json", "backbone", "model_type", value="absent"),
    "null for the encoder": setting("config.json", "backbone", value=None),
    "a larger vocabulary": setting("config.json", "backbone", "vocab_size", value=100_000),
    "another tokenizer": setting("tokenizer.json", "model", "unk_token", value="[PAD]"),
    "another kind": entry("kind", value="index"),
    "weights that are not listed": entry("files", "model.safetensors", value="absent"),
}


@pytest.mark.parametrize("name", CORPUS)
def test_a_corpus_of_right_digests_and_wrong_content_is_refused(
    run: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reseal(run, run / "corpus", CORPUS[name])
    refused(["corpus", "inspect", "--run", str(run)], str(run / "corpus"), capsys)
    refused(["ask", "What is the capital?", "--run", str(run)], str(run / "corpus"), capsys)


@pytest.mark.parametrize("name", INDEX)
def test_an_index_of_right_digests_and_wrong_content_is_refused(
    run: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    version = max((run / "index" / "versions").iterdir())
    reseal(run, version, INDEX[name])
    refused(["ask", "What is the capital?", "--run", str(run)], str(version), capsys)


@pytest.mark.parametrize("name", MODEL)
def test_a_model_of_right_digests_and_wrong_content_is_refused(
    run: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = run / "finetune" / "realm" / "model"
    reseal(run, model, MODEL[name])
    refused(["ask", "What is the capital?", "--run", str(run)], str(model), capsys)


def paths_to(value: Any) -> list[tuple[Any, ...]]:
    """The keys to every entry of a JSON value."""
    if isinstance(value, dict):
        return [(key, *rest) for key, inner in value.items() for rest in [(), *paths_to(inner)]]
    return [(0, *rest) for rest in [(), *paths_to(value[0])]] if isinstance(value, list) and value else []


def of_another_type(value: Any) -> list[Any]:
    """Values that a declared type of `value` cannot take."""
    if isinstance(value, bool):
        return ["true", None, 1]
    if isinstance(value, int | float):
        return ["7", None, [7], -1 if value >= 0 else "-1", 1 << 70]
    if value is None:
        return ["{}", 3]
    return [[], None, 3] if isinstance(value, str) else ["{}", None, 3]


def edits(value: Json, rng: random.Random) -> Json:
    """The value with an entry removed or of another type."""
    value = json.loads(json.dumps(value))
    paths = [path for path in paths_to(value) if isinstance(path[-1], str) and path[:-1] != ("files",)]
    *keys, last = rng.choice(paths)
    part: Any = value
    for key in keys:
        part = part[key]
    if rng.random() < 0.3:
        del part[last]
    else:
        part[last] = rng.choice(of_another_type(part[last]))
    return value


# Each JSON file that a command reads, with a command that reads it and the part of it whose types matter.
JSON_FILES = {
    "config.json": ("run", ()),
    "stages/finetune_realm.json": ("ask", ()),
    "stages/corpus.json": ("ask", ()),
    "stages/pretrain.json": ("evaluate", ()),
    "questions.json": ("evaluate", ()),
    "pretrain/outcome.json": ("evaluate", ("task", "refresh_steps")),
}


def command(name: str, run: Path) -> list[str]:
    if name == "run":
        return ["config", "--run", str(run)]
    return [name, *(["Where is it?"] if name == "ask" else []), "--run", str(run)]


@pytest.mark.parametrize("name", JSON_FILES)
def test_an_edited_json_file_is_refused_by_name(
    run: Path, answering_run: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As edited, and with its digest made right again; settings may be left out, and then have their defaults."""
    rng = random.Random(name)
    whole = json.loads((run / name).read_text())
    num_refused = 0
    for number in range(14):
        value = edits({key: entry for key, entry in whole.items() if key != "sha256"}, rng)
        if number % 2 and "sha256" in whole and name != "config.json":
            value = sealed(value, "sha256")
        elif "sha256" in whole:
            value["sha256"] = whole["sha256"]
        replace(run / name, json.dumps(value, ensure_ascii=False).encode())
        refused(command(JSON_FILES[name][0], run), str(run / name), capsys)
        num_refused += 1
        copied(answering_run, run)
    assert num_refused == 14


# What a file is read by; what no command needs is only named by those that look at everything.
def user_of(name: str) -> str:
    if name.startswith(("corpus/", "finetune/realm/model", "stages/corpus", "stages/finetune_realm", "config.json")):
        return "ask"
    if name.startswith(("report", "evaluate/", "stages/evaluate")):
        return "run"  # evaluating writes them anew
    if name.startswith("finetune/bm25/"):
        return "evaluate" if name.endswith(".jsonl") else "ask --system bm25"
    return "ask" if name.startswith("index/versions/") and "/00000000" not in name else "evaluate"


def is_harmless(name: str) -> bool:
    """Files that nothing depends on: the model cards, which people may edit."""
    return name.endswith("model/README.md")


def damage(path: Path, others: list[Path], rng: random.Random) -> str:
    """Flip a bit, cut the file short, or swap it with another; returns what was done."""
    data = path.read_bytes()
    how = rng.choice(["flip", "cut", "swap"])
    if how == "flip" and data:
        at = rng.randrange(len(data))
        replace(path, data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :])
        return f"bit flipped at {at}"
    other = rng.choice([other for other in others if other.read_bytes() != data])
    if how == "swap" or not data:
        mine = other.read_bytes()
        replace(other, data)
        replace(path, mine)
        return f"swapped with {other}"
    replace(path, data[: rng.randrange(len(data))])
    return "cut short"


def attack(
    whole: Path, folder: Path, num_damages: int, seed: int, again: list[str], capsys: pytest.CaptureFixture[str]
) -> dict[str, int]:
    """Damage one file after another of copies of a run, and use it; counts what came of it.

    again  words that follow `openrealm run --name RUN` to run it again
    """
    rng = random.Random(seed)
    names = sorted(str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file() and path.name != ".lock")
    counts = {"refused": 0, "named": 0, "harmless": 0}
    for number in range(num_damages):
        name = names[number % len(names)] if number < len(names) else rng.choice(names)
        shutil.rmtree(folder, ignore_errors=True)
        run = copied(whole, folder / str(number))  # each elsewhere, since a process verifies a corpus only once
        done = damage(run / name, [run / other for other in names], rng)
        capsys.readouterr()
        command, *rest = user_of(name).split()
        words = {"ask": ["Where is it?", "--run", str(run)], "run": ["--name", str(run), *again]}
        code = main([command, *words.get(command, ["--run", str(run)]), *rest])
        said = capsys.readouterr().err
        assert INTERNAL not in said, (name, done, said)
        if is_harmless(name) and code == 0:
            counts["harmless"] += 1
            continue
        assert code in (0, 2), (name, done, said)
        known = [name] if "swapped" not in done else [name, done.removeprefix("swapped with ").removeprefix(f"{run}/")]
        assert any(one in said for one in known), (name, done, code, said)
        counts["refused" if code else "named"] += 1
    return counts


@pytest.fixture
def again(
    answering_run: Path, toy_config: Callable[..., Config], as_settings: Callable[[Config], list[str]]
) -> list[str]:
    """What the fixture `answering_run` was run with."""
    source = json.loads((answering_run / "config.json").read_text())["corpus"]["source"]
    return [source, *as_settings(toy_config("finetune.num_steps=8"))]


@pytest.fixture
def evaluated(answering_run: Path, tmp_path: Path) -> Path:
    """A run all of whose stages are up to date."""
    run = copied(answering_run, tmp_path / "evaluated")
    assert main(["evaluate", "--run", str(run)]) == 0
    return run


def test_damage_anywhere_in_a_run_is_found_by_name(
    evaluated: Path, tmp_path: Path, again: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    counts = attack(evaluated, tmp_path / "damaged", NUM_QUICK, 1, again, capsys)
    assert sum(counts.values()) == NUM_QUICK


@pytest.mark.slow
def test_300_damages_are_found_by_name(
    evaluated: Path, tmp_path: Path, again: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    counts = attack(evaluated, tmp_path / "damaged", NUM_ALL, 2, again, capsys)
    print(counts)
    assert sum(counts.values()) == NUM_ALL
