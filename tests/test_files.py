"""Writing files: publishing, rejecting, detecting damage and cleaning up."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm import files
from openrealm.errors import DamagedArtefact, MissingStage, NoSpace


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
        files.read_json(tmp_path / "nothing.json")


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


def test_only_a_full_disk_is_reported_as_one(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write_bytes(tmp_path / "state", b"x")
    assert leftovers(tmp_path) == []
    with pytest.raises(NoSpace, match="more space is needed"), files.new_folder(tmp_path / "x"):
        raise OSError("300 requested and 12 written")


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
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
    back = files.read_json(path)
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


def test_safetensors_preserve_strided_and_shared_tensors(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    base = torch.arange(12.0).reshape(3, 4)
    files.write_safetensors(tmp_path / "w.safetensors", {"a": base.T, "b": base, "c": base[1]}, {"kind": "test"})
    back = load_file(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(back["a"].numpy(), base.T.numpy())
    np.testing.assert_array_equal(back["b"].numpy(), base.numpy())
    np.testing.assert_array_equal(back["c"].numpy(), base[1].numpy())
