"""The only writer: temporary name, fsync, atomic replace, fsync of the folder, SHA-256 manifest published last.

A reader sees either the old artefact or the new one, whole, at any moment and after any kill.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from openrealm.errors import Busy, DamagedArtefact, MissingStage, NoSpace

MANIFEST = "manifest.json"
_TEMPORARY = ".tmp-"
_REPLACED = ".old-"


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest_of(value: object) -> str:
    """Hex SHA-256 of a value's canonical JSON: the same value gives the same digest on any machine."""
    return sha256_bytes(json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode())


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_full_disk(error: OSError) -> bool:
    # numpy reports a short write of its own, without an errno.
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or (error.errno is None and " requested and " in str(error))


@contextlib.contextmanager
def _no_space_named(path: Path, num_bytes: int | None = None) -> Iterator[None]:
    """Turn a full disk into one clear sentence."""
    try:
        yield
    except OSError as error:
        if not _is_full_disk(error):
            raise
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(path.parent).free
            needed = f"{num_bytes:,} bytes are needed" if num_bytes else "more space is needed"
            raise NoSpace(
                f"{path}: the disk is full ({needed}, {free:,} are free); nothing half-written was kept. "
                "Free some space and run the same command again."
            ) from error
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` atomically and durably; on failure the old file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{_TEMPORARY}{os.getpid()}-{path.name}")
    try:
        with _no_space_named(path, len(data)), temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _fsync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: object) -> None:
    """`write_bytes` for JSON: indented, keys in the order given, NaN refused."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Parsed JSON of `path`; raises DamagedArtefact naming the file and offset when it does not parse."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingStage(f"{path} does not exist; run the stage that writes it first.") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedArtefact(f"{path} is not valid JSON ({error}); repeat the stage that wrote it.") from error


def append_line(path: Path, line: str) -> None:
    """Append one line in a single write, so that concurrent readers never see half of it; on failure nothing stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = line.rstrip("\n").encode("utf-8") + b"\n"
    with _no_space_named(path, len(data)), path.open("ab", buffering=0) as handle:
        num_bytes_before = handle.seek(0, os.SEEK_END)
        if handle.write(data) != len(data):
            handle.truncate(num_bytes_before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def append_bytes(path: Path, data: bytes) -> None:
    """Add to a file that is not published yet, such as a download under way; a crash may cut its end short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _no_space_named(path, len(data)), path.open("ab") as handle:
        handle.write(data)


def publish(unpublished: Path, final: Path) -> None:
    """Give a finished file its name, atomically and durably, in place of an older one."""
    with unpublished.open("rb") as handle:
        os.fsync(handle.fileno())
    os.replace(unpublished, final)
    _fsync_folder(final.parent)


def truncate_lines(path: Path, num_lines: int) -> None:
    """Keep the first `num_lines` whole lines of a text file (used on resume to drop what came after a checkpoint)."""
    if path.exists():
        lines = path.read_bytes().split(b"\n")[:-1]
        write_bytes(path, b"".join(line + b"\n" for line in lines[:num_lines]))


def write_safetensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write torch tensors as safetensors, atomically. Shared or strided tensors become whole ones."""
    from safetensors.torch import save

    separate: dict[str, Any] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        dense = tensor.detach().cpu().contiguous()
        place = dense.untyped_storage().data_ptr()
        separate[name] = dense.clone() if place in storages else dense
        storages.add(place)
    write_bytes(path, save(separate, metadata=dict(metadata or {})))


def _sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with a digest of itself, taken over what its JSON reads back as."""
    rest = json.loads(json.dumps({name: value for name, value in manifest.items() if name != "manifest_sha256"}))
    return {**rest, "manifest_sha256": digest_of(rest)}


def _exchange(new: Path, final: Path) -> bool:
    """Swap two folders atomically (Linux renameat2 with RENAME_EXCHANGE); False where the kernel cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    at_cwd, exchange = -100, 2
    return bool(renameat2(at_cwd, os.fsencode(new), at_cwd, os.fsencode(final), exchange) == 0)


@contextlib.contextmanager
def new_folder(final: Path, manifest: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Build a folder under a temporary name and publish it whole, replacing an older one of that name.

    Yields the temporary folder to write into. On leaving, every file's SHA-256 and size go into
    `manifest.json` with the entries of `manifest` (read on leaving, so a dict may be filled meanwhile) and
    a digest of the manifest itself, then the folder is renamed to `final`. On any error the temporary
    folder is removed and `final` is left as it was. Raises NoSpace when the disk is full.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f"{_TEMPORARY}{os.getpid()}-{final.name}")
    for left in final.parent.glob(f"{_TEMPORARY}*-{glob.escape(final.name)}"):
        _remove_if_left(left)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        with _no_space_named(final):
            yield temporary
            files = {}
            for path in sorted(temporary.rglob("*")):
                if path.is_dir():
                    _fsync_folder(path)
                    continue
                with path.open("rb") as handle:
                    os.fsync(handle.fileno())
                name, num_bytes = str(path.relative_to(temporary)), path.stat().st_size
                files[name] = {"sha256": sha256_file(path), "num_bytes": num_bytes}
            write_json(temporary / MANIFEST, _sealed({**(manifest or {}), "files": files}))
            _publish(temporary, final)
        _fsync_folder(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, final: Path) -> None:
    if not final.exists():
        os.rename(temporary, final)
    elif not _exchange(temporary, final):
        # Two renames where the file system has no exchange: `sweep` puts the old one back after a kill between them.
        replaced = final.with_name(_REPLACED + final.name)
        shutil.rmtree(replaced, ignore_errors=True)
        os.rename(final, replaced)
        os.rename(temporary, final)
        shutil.rmtree(replaced)


def remove_folder(folder: Path) -> None:
    """Remove a published folder so that no reader and no kill ever finds half of it under its name."""
    doomed = folder.with_name(f"{_TEMPORARY}{os.getpid()}-{folder.name}")
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, doomed)
        shutil.rmtree(doomed)


def read_manifest(folder: Path, *, verify: bool = True, ignore: Collection[str] = ()) -> dict[str, Any]:
    """The manifest of a published folder; with `verify`, every file is checked against its SHA-256 first.

    ignore  names of files that may be edited or missing

    Raises MissingStage when there is no such folder, DamagedArtefact naming the first bad file.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise MissingStage(f"{folder} holds no finished artefact (no {MANIFEST}); run the stage that writes it first.")
    manifest: dict[str, Any] = read_json(path)
    if not isinstance(manifest, dict) or manifest != _sealed(manifest) or "files" not in manifest:
        raise DamagedArtefact(f"{path} differs from its own digest; it is damaged, make {folder} again.")
    for name, entry in manifest["files"].items() if verify else ():
        member = folder / name
        if name in ignore:
            continue
        if not member.is_file():
            raise DamagedArtefact(f"{member} is missing; make {folder} again.")
        if sha256_file(member) != entry["sha256"]:
            raise DamagedArtefact(f"{member} differs from its digest in {path}; it is damaged, make {folder} again.")
    return manifest


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove_if_left(path: Path) -> bool:
    """Remove a temporary file or folder whose process is gone; whether it was one."""
    owner = path.name.removeprefix(_TEMPORARY).split("-", 1)[0]
    if not path.exists() or (owner.isdigit() and _is_running(int(owner))):
        return False
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return True


def sweep(folder: Path) -> int:
    """Remove what killed processes left half-written below `folder`; returns how many things were put right."""
    num_removed = 0
    for path in sorted(folder.rglob(f"{_TEMPORARY}*")) if folder.is_dir() else []:
        num_removed += _remove_if_left(path)
    for path in sorted(folder.rglob(f"{_REPLACED}*")) if folder.is_dir() else []:
        final = path.with_name(path.name.removeprefix(_REPLACED))
        if final.exists():
            shutil.rmtree(path)
        else:
            os.rename(path, final)
        num_removed += 1
    return num_removed


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold `folder` for writing; a second process is refused with the first one's id. Released by any death."""
    with _no_space_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a+b", buffering=0)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            owner = lock.read().decode().strip() or "unknown"
            raise Busy(f"{folder} is being written by process {owner}; wait for it or stop it, then retry.") from error
        with _no_space_named(folder):
            lock.truncate(0)
            lock.write(str(os.getpid()).encode())
        sweep(folder)
        yield
