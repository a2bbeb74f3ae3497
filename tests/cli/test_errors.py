"""User errors: one sentence, exit code 2, and nothing half-written left behind."""

from __future__ import annotations

import json
import lzma
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.cli.main import main
from openrealm.config import Config

LINES = [
    {"id": str(n), "title": f"T{n}", "text": f"In 19{n:02} Ada Lovelace of London wrote {n} books."} for n in range(90)
]


def empty_folder(path: Path) -> Path:
    path.mkdir()
    return path


def missing_folder(path: Path) -> Path:
    return path


def folder_without_text(path: Path) -> Path:
    path.mkdir()
    (path / "picture.png").write_bytes(b"\x89PNG")
    return path


def blank_files(path: Path) -> Path:
    path.mkdir()
    (path / "a.txt").write_text("\n \n")
    return path


def binary_named_txt(path: Path) -> Path:
    path.mkdir()
    (path / "a.txt").write_bytes(bytes(range(256)) * 40)
    return path


def line_of_10_mb(path: Path) -> Path:
    path.mkdir()
    (path / "a.txt").write_text("word " * 2_000_000)
    return path


def corrupt_xz(path: Path) -> Path:
    packed = bytearray(lzma.compress("".join(json.dumps(line) + "\n" for line in LINES).encode()))
    packed[len(packed) // 2] ^= 0xFF
    file = path.with_suffix(".jsonl.xz")
    file.write_bytes(packed)
    return file


def xz_cut_short(path: Path) -> Path:
    file = path.with_suffix(".jsonl.xz")
    file.write_bytes(lzma.compress("".join(json.dumps(line) + "\n" for line in LINES).encode())[:-20])
    return file


def line_that_is_no_json(path: Path) -> Path:
    file = path.with_suffix(".jsonl")
    file.write_text(json.dumps(LINES[0]) + "\n{broken\n")
    return file


def unknown_ending(path: Path) -> Path:
    file = path.with_suffix(".doc")
    file.write_text("x")
    return file


SOURCES: dict[Callable[[Path], Path], str] = {
    empty_folder: r"contains no .* file \(it is empty\)",
    missing_folder: r"does not exist",
    folder_without_text: r"skipped: 1 file with extension \.png",
    blank_files: r"contains no text",
    binary_named_txt: r"a\.txt is binary data",
    line_of_10_mb: r"a\.txt: line 1 has 10,000,000 characters",
    corrupt_xz: r"\.jsonl\.xz is damaged or truncated",
    xz_cut_short: r"\.jsonl\.xz is damaged or truncated",
    line_that_is_no_json: r"\.jsonl:2 is not JSON",
    unknown_ending: r"\.doc has the unknown extension \.doc",
}


def one_sentence(text: str) -> str:
    """The error's sentence, which is the only line."""
    match = re.fullmatch(r"openrealm: (.+)\n", text)
    assert match, text
    return match.group(1)


@pytest.fixture
def toy_settings(toy_config: Callable[..., Config], as_settings: Callable[[Config], list[str]]) -> list[str]:
    return as_settings(toy_config())


@pytest.mark.parametrize(("make", "sentence"), SOURCES.items(), ids=[make.__name__ for make in SOURCES])
@pytest.mark.parametrize("command", ["run", "corpus"])
def test_an_unreadable_source_is_one_sentence_and_leaves_nothing(
    make: Callable[[Path], Path],
    sentence: str,
    command: str,
    toy_settings: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = make(tmp_path / "source")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    words = ["run", str(source)] if command == "run" else ["corpus", "--source", str(source), "--run", "mine"]
    assert main([*words, *toy_settings]) == 2
    assert re.search(sentence, one_sentence(capsys.readouterr().err))
    assert list((tmp_path / "here").iterdir()) == [], "neither the run nor the folder for runs is left"


def test_a_failed_rebuild_keeps_the_existing_corpus(
    toy_settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / "good.jsonl"
    good.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    run = str(tmp_path / "run")
    assert main(["corpus", "--source", str(good), "--run", run, *toy_settings]) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["corpus", "--source", str(corrupt_xz(tmp_path / "bad")), "--run", run]) == 2
    one_sentence(capsys.readouterr().err)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ask", "Who?"], r"has no run that can be asked; train one with"),
        (["ask", "Who?", "--run", "nowhere"], r"runs/nowhere is not a run.*`openrealm run FOLDER --run nowhere`"),
        (["corpus", "--run", "mine"], r"no run mine yet; give its text: openrealm corpus --source PATH --run mine"),
        (["run", "https://example.org/docs"], r"^https://example\.org/docs is a URL"),
        (["corpus", "build", "https://example.org/a.pdf"], r"^https://example\.org/a\.pdf is a URL"),
        (["run", ".", "--questions", "nowhere.jsonl"], r"nowhere\.jsonl does not exist"),
        (
            ["quickstart", "--recipe", "tiny"],
            r"no recipe 'tiny'; choose from factbook, factbook-minilm, open-qa, ",
        ),
        (
            ["quickstart", "--recipe", "small"],
            r"takes quickstart or factbook or factbook-minilm; use `openrealm run FOLDER`",
        ),
        (["warm-start"], r"runs/quickstart is not a run .*openrealm quickstart"),
        (["pretrain", "--resume"], r"runs/quickstart is not a run"),
        (["corpus", "--recipe", "quikstart"], r"no recipe 'quikstart'.*did you mean quickstart"),
        (
            ["corpus", "--set", "pretrain.num_step=3"],
            r"no setting 'pretrain.num_step'; similar settings: pretrain.num_",
        ),
        (["corpus", "--set", "pretrain.num_steps"], r"has no '='"),
        (["corpus", "--set", "pretrain.num_steps=many"], r"pretrain.num_steps is 'many'.*whole number"),
        (["quickstart", "--set", "pretrain.num_steps=-1"], r"at least 0"),
        (["quickstart", "--recipe", "paper"], r"recipe paper is not for the quickstart"),
        (["run", ".", "--set", "seed=-1"], r"seed is '-1', but a whole number from 0"),
    ],
)
def test_a_command_that_cannot_run_is_one_sentence_and_leaves_nothing(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert re.search(sentence, one_sentence(capsys.readouterr().err))
    assert list(tmp_path.iterdir()) == []


def test_corpus_without_options_shows_its_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["corpus"]) == 2
    assert "Usage: " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_the_first_command_of_several_that_are_missing_is_named(
    answering_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is then followed by the next one, so that no advice leads in a circle."""
    copy = shutil.copytree(answering_run, tmp_path / "copy")
    for stage in ("warm_start", "pretrain", "finetune_realm"):
        (copy / "stages" / f"{stage}.json").unlink()
    assert main(["finetune", "--run", str(copy)]) == 2
    assert f"pre-training stage has not been run; run `openrealm warm-start --run {copy}` first" in one_sentence(
        capsys.readouterr().err
    )
    assert main(["ask", "Who?", "--run", str(copy)]) == 2
    whole = rf"not been run; run `openrealm run \S+ --run {copy} --set .*finetune\.num_steps=8.*` first"
    assert re.search(whole, one_sentence(capsys.readouterr().err))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pretrain", "--resume", "--frozen-towers"], r"has no checkpoint to resume from"),
        (["finetune", "--system", "gpt"], r"no system 'gpt'; choose from closed_book"),
        (["finetune", "--questions", "nowhere.jsonl"], r"nowhere\.jsonl does not exist"),
        (["evaluate", "--questions", "nowhere.jsonl"], r"nowhere\.jsonl does not exist"),
        (["evaluate", "--set", "device=evil"], r"device is 'evil', but 'auto', 'cpu', 'cuda' or 'cuda:N' is expected"),
        (["evaluate", "--set", "device=cuda:99"], r"device is cuda:99, but .* visible; use device=cpu"),
        (["evaluate", "--set", "precision=fp8"], r"precision is 'fp8', but one of auto, fp32, bf16 is expected"),
        (["evaluate", "--set", "index.searcher=evil"], r"index\.searcher is 'evil', but no searcher has that name"),
        (["evaluate", "--set", "callbacks=evil"], r"callbacks is 'evil', but no callback has that name"),
        (["pretrain", "--set", "pretrain.loss=evil"], r"pretrain\.loss is 'evil', but no loss has that name"),
        (["corpus", "--set", "corpus.tagger=evil"], r"corpus\.tagger is 'evil', but no tagger has that name"),
        (["corpus", "--set", "model.backbone=/evil"], r"model\.backbone: /evil is not a folder"),
        (["finetune", "--set", "model.temperature=2"], r"pre-training stage was run with other settings"),
        (["pretrain", "--set", "seed=3"], r"warm start stage was run with other settings.*openrealm warm-start"),
    ],
)
def test_a_stage_that_does_not_fit_the_run_changes_nothing(
    words: list[str], sentence: str, answering_run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(answering_run, copy)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and path.name != ".lock"}
    assert main([*words, "--run", str(copy)]) == 2
    assert re.search(sentence, one_sentence(capsys.readouterr().err))
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and path.name != ".lock"} == before


def test_a_run_of_the_same_name_on_another_text_is_not_overwritten(
    answering_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.md").write_text("In 1921 Ada Lovelace opened the library.")
    assert main(["run", str(tmp_path / "text"), "--name", str(answering_run)]) == 2
    assert "choose another name" in one_sentence(capsys.readouterr().err)
    assert main(["quickstart", "--run", str(answering_run)]) == 2
    assert "choose another name" in one_sentence(capsys.readouterr().err)


def test_a_full_disk(toy_settings: list[str], tmp_path: Path) -> None:
    """A real small file system in its own namespace: too small for the corpus, then for the first weights."""
    disk, source = tmp_path / "disk", tmp_path / "source.jsonl"
    disk.mkdir()
    source.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    in_namespace = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=SIZE tmpfs '{disk}'"
    if not shutil.which("unshare") or subprocess.run([*in_namespace, mount.replace("SIZE", "1m")]).returncode:
        pytest.skip("this system lets no user mount a small file system (unshare --mount --map-root-user)")
    command = [sys.executable, "-m", "openrealm.cli", "run", str(source), "--name", str(disk / "runs" / "x")]
    script = " ".join(f"'{word}'" for word in [*command, *toy_settings])
    for size, left in (("12k", ""), ("500k", "config.json corpus questions.json stages warm-start")):
        shell = (
            f"{mount.replace('SIZE', size)} && {script}; echo code $?; ls '{disk}/runs/x'; find '{disk}' -name '.tmp*'"
        )
        done = subprocess.run([*in_namespace, shell], capture_output=True, text=True)
        lines = done.stdout.splitlines()
        assert lines[0] == "code 2", done.stderr
        assert " ".join(lines[1:]) == left
        printed = [line for line in done.stderr.splitlines() if line.startswith("openrealm: ")]
        assert len(printed) == 1
        assert "the disk is full" in printed[0]
        assert "Traceback" not in done.stderr


def test_each_unreadable_file_has_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("Lima.")
    for name in ("b.txt", "c\n\x1b[1m.txt"):
        (tmp_path / name).write_bytes(b"abc\0def")
    assert main(["corpus", "--source", str(tmp_path), "--run", str(tmp_path / "runs" / "x")]) == 2
    found = [line for line in capsys.readouterr().err.splitlines() if "binary data" in line or "files or rows" in line]
    assert found[0].startswith("openrealm: 2 files or rows could not be read; ")
    assert found[0].endswith(":")
    assert [line.partition(" is ")[0] for line in found[1:]] == [
        f"  {tmp_path}/b.txt",
        f"  {tmp_path}/c\\n\\x1b[1m.txt",
    ]
