"""The only module that writes files: temporary name, fsync, atomic rename, fsync of the folder, manifest last.

At any moment, and after a kill at any moment, a reader finds either the complete old artefact or the complete new one.
Nothing is written through a link, which may lead out of the folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import glob
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from openrealm.errors import BadInput, Busy, DamagedArtefact, MissingStage, NonFinite, NoSpace
from openrealm.stored import Manifest, of_kind, read_as, value_of

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

T = TypeVar("T")

MANIFEST = "manifest.json"
KEY = "build_key"
"""The entry of a manifest that holds a digest of everything that the artefact was made from."""
_TEMPORARY = ".tmp-"
_REPLACED = ".old-"
_SEAL, _MANIFEST_SEAL = "sha256", "manifest_sha256"
_FINITE_AT_ONCE = 1 << 24
_MAX_HEADER_BYTES = 100 << 20  # as the safetensors library
_NUMPY_TYPES = {"F32": "float32", "F16": "float16", "I8": "int8"}


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file, read in chunks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest_of(value: object) -> str:
    """Hex SHA-256 of a value's canonical JSON, which is the same on every machine."""
    return sha256_bytes(
        json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    )


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_full_disk(error: OSError) -> bool:
    # numpy reports short writes in its own words, without an errno.
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or (error.errno is None and " requested and " in str(error))


@contextlib.contextmanager
def _reporting_full_disk(path: Path, num_bytes: int | None = None) -> Iterator[None]:
    """Turn the error of a full disk into NoSpace."""
    try:
        yield
    except OSError as error:
        if not _is_full_disk(error):
            raise
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(path.parent).free
            needed = f"{num_bytes:,} bytes are needed" if num_bytes else "more space is needed"
            raise NoSpace(
                f"{path}: the disk is full ({needed}, {free:,} are free) and no partial file was kept; "
                "free some space and rerun the command."
            ) from error
        raise


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise BadInput(
            f"{path} is a symbolic link, and nothing is written through links; replace it by what it points to, or "
            "remove it."
        )


def refuse_links_below(folder: Path) -> None:
    """Raise BadInput naming the first symbolic link below `folder`; `folder` itself may be one."""
    for parent, folders, names in os.walk(folder):
        for name in sorted(folders) + sorted(names):
            _refuse_link(Path(parent, name))


def _opened(path: Path, flags: int) -> BinaryIO:
    """A file opened for writing, unbuffered, if it is a regular file with no other name.

    Raises BadInput for a link, symbolic or hard, since writing would change a file elsewhere.
    """
    _refuse_link(path)
    mode = "r+b" if flags & os.O_RDWR else "wb"
    handle = cast(BinaryIO, os.fdopen(os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666), mode, buffering=0))
    found = os.fstat(handle.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        handle.close()
        what = "is also linked elsewhere" if stat.S_ISREG(found.st_mode) else "is not a regular file"
        raise BadInput(f"{path} {what}, so nothing is written to it; remove it, or replace it by a copy.")
    return handle


def new_file(path: Path) -> BinaryIO:
    """A new file in a folder that is not published yet, opened for writing. Raises FileExistsError if it exists."""
    return path.open("xb")


def open_log(path: Path) -> BinaryIO:
    """A log for the output of another process, emptied and opened for writing. Raises BadInput for a link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _reporting_full_disk(path):
        handle = _opened(path, os.O_WRONLY | os.O_CREAT)
        handle.truncate(0)
    return handle


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically and durably; on failure the old file is kept. Raises BadInput for a link."""
    with replacing(path, len(data)) as handle:
        handle.write(data)


@contextlib.contextmanager
def replacing(path: Path, num_bytes: int | None = None) -> Iterator[BinaryIO]:
    """A file to write into, which takes the place of `path` atomically and durably on exit.

    num_bytes  its length if that is known, for the message of a full disk
    On any error the old file is kept. Raises BadInput if `path` is a link, NoSpace if the disk is full.
    """
    _refuse_link(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        with _reporting_full_disk(path, num_bytes), temporary.open("xb") as handle:
            yield handle
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
    """`write_bytes` for JSON: indented, keys in the given order; NaN is rejected."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, kind: type[T], remedy: str = "rerun the stage that wrote it") -> T:
    """Read a JSON file as a value of the type `kind` (see `openrealm.stored`).

    Raises MissingStage if there is no such file, DamagedArtefact naming the file and the key that is wrong.
    """
    return read_as(kind, _text_of(path, remedy), path, remedy)


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """`write_json` of an object with its own digest as the entry "sha256"."""
    write_json(path, _sealed(value, _SEAL))


def read_sealed(path: Path, kind: type[T], remedy: str, *, may_lack_digest: bool = False) -> T:
    """What `write_sealed` wrote, without the digest. Raises as `read_json` does, and if the digest differs."""
    value = _object_in(path, remedy)
    if (_SEAL in value or not may_lack_digest) and value != _sealed(value, _SEAL):
        raise DamagedArtefact(f"{path} differs from its own digest, so it was edited or damaged; {remedy}.")
    value.pop(_SEAL, None)
    return of_kind(kind, value, path, remedy)


def _text_of(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MissingStage(f"{path} does not exist; run the stage that writes it first.") from error
    except UnicodeDecodeError as error:
        raise DamagedArtefact(f"{path} is not valid UTF-8 (byte {error.start}); {remedy}.") from error
    except OSError as error:
        raise DamagedArtefact(f"{path} cannot be read ({error.strerror}); {remedy}.") from error


def _object_in(path: Path, remedy: str) -> dict[str, Any]:
    value = value_of(_text_of(path, remedy), path, remedy)
    if not isinstance(value, dict):
        raise DamagedArtefact(f"{path} holds a {type(value).__name__}, but an object is expected; {remedy}.")
    return value


def append_line(path: Path, line: str) -> None:
    """Append one line in a single write, so that concurrent readers never see part of it; a failed write is undone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = line.rstrip("\n").encode("utf-8") + b"\n"
    with (
        _reporting_full_disk(path, len(data)),
        _opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as handle,
    ):
        num_bytes_before = handle.seek(0, os.SEEK_END)
        if handle.write(data) != len(data):
            handle.truncate(num_bytes_before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def append_bytes(path: Path, data: bytes) -> None:
    """Append to a file that is not published yet, such as a partial download; a crash may truncate it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        _reporting_full_disk(path, len(data)),
        _opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as handle,
    ):
        rest = memoryview(data)
        while rest:
            rest = rest[handle.write(rest) :]


def publish(unpublished: Path, final: Path) -> None:
    """Move a finished file to its final name atomically and durably, replacing an older one."""
    _refuse_link(final)
    with unpublished.open("rb") as handle:
        os.fsync(handle.fileno())
    os.replace(unpublished, final)
    _fsync_folder(final.parent)


def truncate_lines(path: Path, num_lines: int) -> None:
    """Keep the first `num_lines` complete lines of a text file (on resume: drop what came after the checkpoint)."""
    _refuse_link(path)
    if path.exists():
        lines = path.read_bytes().split(b"\n")[:-1]
        write_bytes(path, b"".join(line + b"\n" for line in lines[:num_lines]))


def write_safetensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write torch tensors as safetensors, atomically. Shared or strided tensors become separate and contiguous.

    Raises NonFinite naming the first tensor that holds a NaN or an infinity; then nothing is written.
    """
    from safetensors.torch import save

    separate: dict[str, Any] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        if not _is_finite(tensor):
            raise NonFinite(f"{name} has values that are not finite: training has diverged, and {path} was not saved.")
        dense = tensor.detach().cpu().contiguous()
        place = dense.untyped_storage().data_ptr()
        separate[name] = dense.clone() if place in storages else dense
        storages.add(place)
    write_bytes(path, save(separate, metadata=dict(metadata or {})))


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises DamagedArtefact if it cannot be read or holds a NaN or an infinity."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedArtefact(f"{path} cannot be read as safetensors ({error}); rebuild {path.parent}.") from error
    for name, tensor in tensors.items():
        if not _is_finite(tensor):
            raise DamagedArtefact(f"{path}: {name} has values that are not finite; rebuild {path.parent}.")
    return tensors


def map_safetensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a safetensors file as read-only memory maps; nothing but the header is read.

    Raises DamagedArtefact if the header is not that of such a file.
    """
    import numpy as np

    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        num_bytes = path.stat().st_size
        with path.open("rb") as handle:
            start = 8 + int.from_bytes(handle.read(8), "little")
            if start > min(num_bytes, _MAX_HEADER_BYTES):
                raise ValueError("the header is too long")
            header = json.loads(handle.read(start - 8))
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            dtype, shape, (first, last) = np.dtype(_NUMPY_TYPES[entry["dtype"]]), entry["shape"], entry["data_offsets"]
            if not 0 <= first <= last <= num_bytes - start or last - first != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"{name} does not fit its shape")
            if first == last:  # nothing cannot be mapped
                arrays[name] = np.empty(shape, dtype)
            else:
                arrays[name] = np.memmap(path, dtype, mode="r", offset=start + first, shape=tuple(shape))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedArtefact(f"{path} cannot be read as safetensors ({error}); rebuild {path.parent}.") from error
    return arrays


def stream_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors into a folder that is not published yet, without a copy of them in memory.

    Raises NonFinite naming the first tensor that holds a NaN or an infinity, NoSpace if the disk is full.
    """
    names = {kind: name for name, kind in _NUMPY_TYPES.items()}
    header, end = {}, 0
    for name, tensor in tensors.items():
        if not _is_finite(tensor):
            raise NonFinite(f"{name} has values that are not finite: training has diverged, and {path} was not saved.")
        begin, end = end, end + tensor.nbytes
        kind = names[str(tensor.dtype).removeprefix("torch.")]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with _reporting_full_disk(path, end), path.open("xb") as handle:
        handle.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            handle.write(tensor.detach().cpu().contiguous().numpy().reshape(-1).view("u1").data)


def _is_finite(tensor: Tensor) -> bool:
    # Part by part, since the result has one byte per number.
    return not tensor.is_floating_point() or all(
        bool(part.isfinite().all())
        for part in tensor.detach().flatten().split(_FINITE_AT_ONCE)  # type: ignore[no-untyped-call]
    )


def _sealed(value: Mapping[str, Any], seal: str) -> dict[str, Any]:
    """The value with its own digest under the key `seal`, computed over its JSON as read back."""
    rest = json.loads(json.dumps({name: entry for name, entry in value.items() if name != seal}))
    return {**rest, seal: digest_of(rest)}


def _exchange(new: Path, final: Path) -> bool:
    """Swap two folders atomically (Linux renameat2 with RENAME_EXCHANGE); False if not supported."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    at_cwd, exchange = -100, 2
    return bool(renameat2(at_cwd, os.fsencode(new), at_cwd, os.fsencode(final), exchange) == 0)


@contextlib.contextmanager
def new_folder(final: Path, manifest: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Build a folder under a temporary name and publish it atomically, replacing an older one of that name.

    Yields the temporary folder to write into. On exit, `manifest.json` is written with every file's SHA-256 and size,
    the entries of `manifest` (read on exit, so a dict may be filled in the meantime) and a digest of the manifest
    itself; then the folder is renamed to `final`. On any error the temporary folder is removed and `final` is left
    untouched. Raises NoSpace if the disk is full, BadInput if `final` is a link.
    """
    _refuse_link(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(final)
    temporary.mkdir()
    try:
        with _reporting_full_disk(final):
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
            write_json(temporary / MANIFEST, _sealed({**(manifest or {}), "files": files}, _MANIFEST_SEAL))
            _publish(temporary, final)
        _fsync_folder(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, final: Path) -> None:
    if not final.exists():
        os.rename(temporary, final)
    elif not _exchange(temporary, final):
        # Without an atomic exchange, two renames: after a kill between them, `sweep` restores the old folder.
        replaced = final.with_name(_REPLACED + final.name)
        shutil.rmtree(replaced, ignore_errors=True)
        os.rename(final, replaced)
        os.rename(temporary, final)
        shutil.rmtree(replaced)


def link_folder(source: Path, final: Path, patterns: Collection[str]) -> bool:
    """Publish `final` with hard links to the files of `source` that match; False where links are not possible.

    Files are never changed once they are published, only replaced, so that the links keep what they were.
    """
    _refuse_link(final)
    temporary = _temporary(final)
    temporary.mkdir()
    try:
        for path in sorted({path for pattern in patterns for path in source.glob(pattern) if path.is_file()}):
            target = temporary / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
        _publish(temporary, final)
    except OSError:
        return False
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def remove_folder(folder: Path) -> None:
    """Remove a published folder; it is renamed first, so that no part of it is ever found under its name."""
    _refuse_link(folder)
    if folder.exists():
        doomed = _temporary(folder)
        os.rename(folder, doomed)
        shutil.rmtree(doomed)


def read_manifest(
    folder: Path, *, verify: bool = True, needs: Collection[str] = (), ignore: Collection[str] = ()
) -> dict[str, Any]:
    """The manifest of a published folder; with `verify`, every file is checked against its SHA-256 first.

    Only what all manifests have is checked; callers pass the rest through `stored.of_kind`.

    needs   names of files that it must list
    ignore  names of files that may be edited or missing

    Raises MissingStage if there is no such folder, DamagedArtefact naming the first bad file or key.
    """
    path, remedy = folder / MANIFEST, f"rebuild {folder}"
    if not path.exists():
        raise MissingStage(f"{folder} has no finished artefact (no {MANIFEST}); run the stage that writes it first.")
    manifest = _object_in(path, remedy)
    if manifest != _sealed(manifest, _MANIFEST_SEAL):
        raise DamagedArtefact(f"{path} differs from its own digest, so it is damaged; {remedy}.")
    listed = of_kind(Manifest, manifest, path, remedy)["files"]
    check_listed(manifest, folder, needs)
    for name, entry in listed.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise DamagedArtefact(f"{path} lists {name!r}, which is not below {folder}; {remedy}.")
        if verify and name not in ignore:
            _verify(folder / name, entry["sha256"], entry["num_bytes"], f"its digest in {path}", remedy)
    return manifest


def check_listed(manifest: Mapping[str, Any], folder: Path, needs: Collection[str]) -> None:
    """Raise DamagedArtefact naming the first file that the manifest of `folder` should list and does not."""
    if lacking := sorted(set(needs) - manifest["files"].keys()):
        raise DamagedArtefact(f"{folder / MANIFEST} does not list {lacking[0]}; rebuild {folder}.")


def key_of(folder: Path) -> str | None:
    """The entry "build_key" of a published folder's manifest; None if there is none or the manifest is damaged."""
    try:
        key = read_manifest(folder, verify=False).get(KEY)
    except (MissingStage, DamagedArtefact):
        return None
    return key if isinstance(key, str) else None


def verify_file(path: Path, sha256: str, record: Path, remedy: str) -> None:
    """Raise DamagedArtefact unless `path` has the digest that the file `record` has of it."""
    _verify(path, sha256, None, f"its digest in {record}", remedy)


def _verify(path: Path, sha256: str, num_bytes: int | None, digest: str, remedy: str) -> None:
    if not path.is_file():
        raise DamagedArtefact(f"{path} is missing; {remedy}.")
    # The size first: it costs nothing.
    if num_bytes not in (None, path.stat().st_size) or sha256_file(path) != sha256:
        raise DamagedArtefact(f"{path} differs from {digest}, so it is damaged; {remedy}.")


def _temporary(final: Path) -> Path:
    """The name under which this process prepares or discards `final`; leftovers of killed processes are removed."""
    temporary = final.with_name(f"{_TEMPORARY}{_this_process(os.getpid())}-{final.name}")
    for leftover in final.parent.glob(f"{_TEMPORARY}*-{glob.escape(final.name)}"):
        _remove_if_stale(leftover)
    _remove(temporary)
    return temporary


@functools.cache
def _this_process(process_id: int) -> str:
    return f"{process_id}.{_start_time('self')}"


def _start_time(process_id: str) -> str:
    """When a process started, in clock ticks since boot; empty if the kernel does not tell.

    Ids are used again, and every program that runs alone in a container has the id 1.
    """
    try:
        stated = Path("/proc", process_id, "stat").read_text(errors="replace")
    except OSError:
        return ""
    return stated.rpartition(")")[2].split()[19]


def _is_running(process: str) -> bool:
    """Whether the process that `_this_process` names so is alive."""
    process_id, _, start_time = process.partition(".")
    if process_id == str(os.getpid()):
        return process == _this_process(os.getpid())
    if not process_id.isdecimal():
        return False
    try:
        os.kill(int(process_id), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return start_time == _start_time(process_id)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove_if_stale(path: Path) -> bool:
    """Remove a temporary file or folder if its process is gone; returns whether it was removed."""
    if _is_running(path.name.removeprefix(_TEMPORARY).partition("-")[0]) or not os.path.lexists(path):
        return False
    _remove(path)
    return True


def sweep(folder: Path) -> int:
    """Clean up after killed processes below `folder`; returns the number of files and folders removed or restored."""
    num_fixed = 0
    for path in sorted(folder.rglob(f"{_TEMPORARY}*")) if folder.is_dir() else []:
        num_fixed += _remove_if_stale(path)
    for path in sorted(folder.rglob(f"{_REPLACED}*")) if folder.is_dir() else []:
        final = path.with_name(path.name.removeprefix(_REPLACED))
        if final.exists():
            _remove(path)
        else:
            os.rename(path, final)
        num_fixed += 1
    return num_fixed


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Lock `folder` for writing; a second process gets Busy with the first one's id. The lock dies with its process.

    Raises BadInput naming a symbolic link below `folder`: what is written there would land elsewhere.
    """
    refuse_links_below(folder)
    with _reporting_full_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = _opened(folder / ".lock", os.O_RDWR | os.O_CREAT)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = lock.read(20).decode(errors="replace").strip() or "unknown"
            raise Busy(f"{folder} is being written by process {owner}; wait for it or stop it.") from error
        with _reporting_full_disk(folder):
            lock.truncate(0)
            lock.write(str(os.getpid()).encode())
        sweep(folder)
        yield


def writer_of(folder: Path) -> int | None:
    """The id of the process that has locked `folder` for writing; None if there is none, or the kernel does not tell.

    It is looked up, since trying the lock would refuse a writer that starts at this moment.
    """
    try:
        inode = (folder / ".lock").stat().st_ino
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None
    held = (line.split() for line in locks.splitlines() if f":{inode} " in line)
    return next((int(process) for _, kind, _, _, process, *_ in held if kind == "FLOCK"), None)
