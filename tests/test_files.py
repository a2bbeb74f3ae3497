"""Writing files: publishing, rejecting, detecting damage and cleaning up."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm import files
from openrealm.errors import BadInput, DamagedArtefact, MissingStage, NonFinite, NoSpace


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.name.startswith((".tmp-", ".old-")))


def test_without_an_atomic_exchange_the_old_folder_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_exchange", lambda new, final: False)  # as on NFS
    folder = tmp_path / "version"
    for number in (1, 2):
        with files.new_folder(folder, {"n": number}) as out:
            (out / "a").write_text(str(number))
    assert files.read_manifest(folder)["n"] == 2
    folder.rename(tmp_path / ".old-version")  # a kill between the two renames
    assert files.sweep(tmp_path) == 1
    assert files.read_manifest(folder)["n"] == 2
    assert leftovers(tmp_path) == []


def test_an_error_while_building_keeps_the_old_folder_and_leaves_no_temporary_files(tmp_path: Path) -> None:
    folder = tmp_path / "version"
    with files.new_folder(folder) as out:
        (out / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), files.new_folder(folder) as out:
        (out / "a").write_text(str(1 / 0))
    assert (folder / "a").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["version"]


def test_the_manifest_may_be_filled_while_the_folder_is_built(tmp_path: Path) -> None:
    manifest: dict[str, object] = {"kind": "corpus"}
    with files.new_folder(tmp_path / "x", manifest) as out:
        (out / "data").write_bytes(b"1234")
        manifest["rows"] = {2: "b", 10: "a"}  # JSON turns these keys into strings, which sort differently
    stored = files.read_manifest(tmp_path / "x")
    assert stored["kind"] == "corpus"
    assert stored["rows"] == {"2": "b", "10": "a"}
    assert stored["files"]["data"] == {"sha256": hashlib.sha256(b"1234").hexdigest(), "num_bytes": 4}


def manifest_or_error(folder: Path) -> dict[str, Any] | str:
    """The manifest, or the error message about the damage."""
    try:
        return files.read_manifest(folder)
    except DamagedArtefact as error:
        return str(error)


def test_all_damage_is_detected(tmp_path: Path) -> None:
    folder = tmp_path / "version"
    with files.new_folder(folder, {"step": 100, "encoder": "0a1b"}) as out:
        (out / "vectors").write_bytes(bytes(range(256)) * 4)
        (out / "sub").mkdir()
        (out / "sub" / "empty").write_bytes(b"")
    intact = files.read_manifest(folder)
    rng = random.Random(3)
    for _ in range(300):
        path = folder / rng.choice(["vectors", files.MANIFEST])
        data = path.read_bytes()
        at = rng.randrange(len(data))
        flipped = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        path.write_bytes(rng.choice([data[:at], flipped]))
        found = manifest_or_error(folder)
        # A space that became a tab leaves the manifest's content intact; nothing else may pass.
        assert str(path) in found if isinstance(found, str) else found == intact and path.name == files.MANIFEST
        path.write_bytes(data)
    (folder / "sub" / "empty").unlink()
    with pytest.raises(DamagedArtefact, match="empty is missing"):
        files.read_manifest(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}', '{"files": {"a": 3}}', "[" * 100_000, "\xff"])
def test_an_invalid_manifest_is_rejected(tmp_path: Path, text: str) -> None:
    (tmp_path / files.MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(DamagedArtefact, match="manifest"):
        files.read_manifest(tmp_path)


def test_a_missing_artefact_is_a_missing_stage(tmp_path: Path) -> None:
    with pytest.raises(MissingStage):
        files.read_manifest(tmp_path / "nothing")
    with pytest.raises(MissingStage):
        files.read_json(tmp_path / "nothing.json", dict[str, Any])


def test_a_folder_is_removed_completely(tmp_path: Path) -> None:
    with files.new_folder(tmp_path / "x") as out:
        (out / "a").write_text("1")
    files.remove_folder(tmp_path / "x")
    files.remove_folder(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_sweep_spares_files_of_running_processes(tmp_path: Path) -> None:
    with files.new_folder(tmp_path / "x") as out:
        (out / "a").write_text("1")
        assert files.sweep(tmp_path) == 0
        assert files.sweep(tmp_path / "nowhere") == 0
    assert files.read_manifest(tmp_path / "x")


OWNERS = {
    "another process of the same id": f"{os.getpid()}.1",
    "only an id": f"{os.getpid()}",
    "an ended process": "4194304.1",
    "the first process, but of another boot": "1.0",
    "no process": "x",
    "a number too large": f"{10**30}.1",
}


@pytest.mark.parametrize("owner", OWNERS.values(), ids=list(OWNERS))
def test_leftovers_of_processes_that_are_gone_are_removed(tmp_path: Path, owner: str) -> None:
    """In a container, the process that left them and the one that finds them may both have the id 1."""
    for number in range(2):
        with files.new_folder(tmp_path / "x") as out:
            (out / "a").write_text("1")
        for name in ("x", "state"):
            (tmp_path / f".tmp-{owner}-{name}").mkdir()
            (tmp_path / f".tmp-{owner}-{name}" / "half").write_text("1")
        (tmp_path / f".tmp-{owner}-link").symlink_to("nowhere")
        if number:
            assert files.sweep(tmp_path) == 3
        files.write_bytes(tmp_path / "state", b"1")
        files.remove_folder(tmp_path / "x")
        assert leftovers(tmp_path) == ([] if number else [f".tmp-{owner}-link"])
        (tmp_path / f".tmp-{owner}-link").unlink(missing_ok=True)


def test_a_folder_is_removed_where_an_earlier_attempt_was_not_finished(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    earlier = tmp_path / f".tmp-{files._this_process(os.getpid())}-x"
    earlier.mkdir()
    (earlier / "half").write_text("1")
    files.remove_folder(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


WRITERS: dict[str, Callable[[Path], object]] = {
    "write_bytes": lambda path: files.write_bytes(path, b"new"),
    "write_json": lambda path: files.write_json(path, {}),
    "append_line": lambda path: files.append_line(path, "new"),
    "append_bytes": lambda path: files.append_bytes(path, b"new"),
    "truncate_lines": lambda path: files.truncate_lines(path, 0),
    "open_log": lambda path: files.open_log(path),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))
@pytest.mark.parametrize("kind", ["symbolic", "dangling", "hard"])
def test_nothing_is_written_through_a_link(tmp_path: Path, write: Callable[[Path], object], kind: str) -> None:
    (tmp_path / "run").mkdir()
    link, outside = tmp_path / "run" / "file", tmp_path / "outside"
    if kind != "dangling":
        outside.write_text("precious\n")
    link.hardlink_to(outside) if kind == "hard" else link.symlink_to(outside)
    # A hard link is replaced where a file is replaced as a whole.
    with contextlib.suppress(BadInput) if kind == "hard" else pytest.raises(BadInput, match="run/file is a symbolic"):
        write(link)
    assert outside.exists() == (kind != "dangling")
    assert kind == "dangling" or outside.read_text() == "precious\n"


def test_a_folder_is_neither_published_nor_removed_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("precious")
    (tmp_path / "link").symlink_to("outside")
    with pytest.raises(BadInput, match="link is a symbolic link"), files.new_folder(tmp_path / "link"):
        pass
    with pytest.raises(BadInput, match="link is a symbolic link"):
        files.remove_folder(tmp_path / "link")
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["file"]


@pytest.mark.parametrize("place", [".lock", "pretrain", "pretrain/refresh.log", "a/b/c"])
@pytest.mark.parametrize("target", ["file", "folder"])
def test_a_folder_with_links_inside_is_not_locked(tmp_path: Path, place: str, target: str) -> None:
    outside = tmp_path / target
    outside.write_text("precious") if target == "file" else outside.mkdir()
    link = tmp_path / "run" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(BadInput, match=f"run/{place} is a symbolic link"), files.sole_writer(tmp_path / "run"):
        pass
    assert outside.is_dir() or outside.read_text() == "precious"
    link.unlink()
    (tmp_path / "name").symlink_to("run")
    with files.sole_writer(tmp_path / "name"):
        assert (tmp_path / "run" / ".lock").read_text() == str(os.getpid())


def test_a_lock_that_is_not_a_file_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "outside").write_text("precious")
    (tmp_path / "run" / ".lock").hardlink_to(tmp_path / "outside")
    with pytest.raises(BadInput, match=r"\.lock is also linked elsewhere"), files.sole_writer(tmp_path / "run"):
        pass
    assert (tmp_path / "outside").read_text() == "precious"
    (tmp_path / "run" / ".lock").unlink()
    os.mkfifo(tmp_path / "run" / ".lock")
    with pytest.raises(BadInput, match=r"\.lock is not a regular file"), files.sole_writer(tmp_path / "run"):
        pass


def test_only_a_full_disk_is_reported_as_one(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write_bytes(tmp_path / "state", b"x")
    assert leftovers(tmp_path) == []
    with pytest.raises(NoSpace, match="more space is needed"), files.new_folder(tmp_path / "x"):
        raise OSError("300 requested and 12 written")


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(1 << 63), (1 << 63) - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
def test_json_round_trips_and_its_digest_ignores_key_order(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    path = tmp_path_factory.mktemp("json") / "value.json"
    try:
        files.write_json(path, value)
    except UnicodeEncodeError:
        assert not path.exists()
        return
    back = files.read_json(path, object)
    assert back == value
    assert files.digest_of(back) == files.digest_of(value)
    if isinstance(value, dict):
        assert files.digest_of(dict(reversed(value.items()))) == files.digest_of(value)


def test_values_that_json_cannot_represent_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20), max_size=6))
def test_truncation_keeps_the_first_complete_lines(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("lines") / "log.jsonl"
    for line in lines:
        files.append_line(path, line)
    if lines:
        with path.open("ab") as handle:
            handle.write(b'{"half a li')  # as a kill can leave it
    for num_lines in range(len(lines) + 2, -1, -1):
        files.truncate_lines(path, num_lines)
        if lines:
            assert path.read_bytes().decode().split("\n")[:-1] == lines[:num_lines]


def test_streamed_safetensors_are_read_by_the_library_and_mapped(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    base = torch.randn(5, 6)
    tensors = {"a": base.T, "b": base.half()[1:], "c": (base * 10).to(torch.int8), "none": torch.zeros(0, 3)}
    path = tmp_path / "w.safetensors"
    files.stream_safetensors(path, tensors)
    other = tmp_path / "library.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, other, {"some": "metadata"})
    mapped = ({name: torch.from_numpy(array.copy()) for name, array in files.map_safetensors(file).items()}
              for file in (path, other))  # fmt: skip
    for found in (load_file(path), *mapped):
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
        assert all(found[name].dtype == tensor.dtype for name, tensor in tensors.items())
    with pytest.raises(FileExistsError):
        files.stream_safetensors(path, tensors)
    with pytest.raises(NonFinite, match="a has values that are not finite"):
        files.stream_safetensors(tmp_path / "x.safetensors", {"a": torch.tensor([torch.inf])})


@given(data=st.data())
def test_a_damaged_header_of_safetensors_is_refused_or_read(data: st.DataObject, tmp_path_factory: Any) -> None:
    import torch

    path = tmp_path_factory.mktemp("damaged") / "w.safetensors"
    files.stream_safetensors(path, {"a": torch.ones(2, 3), "b": torch.ones(4, dtype=torch.int8)})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 29))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(DamagedArtefact):
        for array in files.map_safetensors(path).values():
            array.sum()  # all of it is in the file


def test_safetensors_preserve_strided_and_shared_tensors(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    base = torch.arange(12.0).reshape(3, 4)
    files.write_safetensors(tmp_path / "w.safetensors", {"a": base.T, "b": base, "c": base[1]}, {"kind": "test"})
    back = load_file(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(back["a"].numpy(), base.T.numpy())
    np.testing.assert_array_equal(back["b"].numpy(), base.numpy())
    np.testing.assert_array_equal(back["c"].numpy(), base[1].numpy())
