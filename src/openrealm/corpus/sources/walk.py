"""Walks a folder: which of its files are the user's text, and why the others are not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pathspec import GitIgnoreSpec

from openrealm.errors import BadInput
from openrealm.files import MANIFEST

_MAX_GITIGNORE_BYTES = 1 << 20
_MAX_MANIFEST_BYTES = 16 << 20


class Entry(NamedTuple):
    """A file or folder below a folder that is walked.

    path    the folder's own path with the relative path behind it
    reason  why it is left out, such as "hidden file"; "" for a file that is to be read
    error   a folder that could not be listed
    """

    path: Path
    reason: str = ""
    error: BadInput | None = None


def walk(root: Path) -> Iterator[Entry]:
    """Files of a folder and its subfolders in the order of their names, and what is left out, with the reason.

    Left out are: hidden files and folders; links, because a target inside is read in its own place; pipes and devices;
    installed packages (node_modules, virtual environments, __pycache__); runs and artefacts of openrealm; and what the
    .gitignore files in the folder name. The folder itself is always read.
    """
    target = os.path.realpath(root)
    levels = [_level(root, [], _listed(root))]
    while levels:
        ignored, entries = levels[-1]
        entry = next(entries, None)
        if entry is None:
            levels.pop()
            continue
        path = Path(entry.path)
        reason = _reason(entry, target)
        if not reason and _is_ignored(ignored, entry):
            reason = f"{'folder' if entry.is_dir() else 'file'} ignored by .gitignore"
        if reason or not entry.is_dir(follow_symlinks=False):
            yield Entry(path, reason)
            continue
        try:
            listed = _listed(path)
        except BadInput as error:
            yield Entry(path, error=error)
            continue
        if reason := _folder_reason(path, {inner.name for inner in listed}):
            yield Entry(path, reason)
        else:
            levels.append(_level(path, ignored, listed))


_Rules = list[tuple[str, GitIgnoreSpec]]


def _level(folder: Path, ignored: _Rules, listed: list[os.DirEntry[str]]) -> tuple[_Rules, Iterator[os.DirEntry[str]]]:
    """The rules that hold in a folder, and what is in it."""
    if any(entry.name == ".gitignore" and entry.is_file(follow_symlinks=False) for entry in listed):
        ignored = [*ignored, (os.path.join(folder, ""), _gitignore(folder / ".gitignore"))]
    return ignored, iter(listed)


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise BadInput(f"{folder} could not be listed ({error.strerror}); check its permissions.") from error


def _reason(entry: os.DirEntry[str], target: str) -> str:
    if entry.name.startswith("."):
        return "hidden file"
    if entry.is_symlink():
        inside = os.path.join(target, "")
        return "link inside the folder" if _real(entry.path).startswith(inside) else "link out of the folder"
    if not (entry.is_dir() or entry.is_file()):
        return "special file"
    return ""


def _real(path: str) -> str:
    return os.path.join(os.path.realpath(path), "")


def _folder_reason(folder: Path, names: set[str]) -> str:
    if folder.name in ("node_modules", "site-packages", "__pycache__"):
        return f"{folder.name} folder"
    if "pyvenv.cfg" in names or "conda-meta" in names:
        return "virtual environment"
    if "config.json" in names and not names.isdisjoint(("stages", ".lock")):
        return "folder of an openrealm run"
    if MANIFEST in names and _is_artefact(folder / MANIFEST):
        return "folder of an openrealm artefact"
    return ""


def _is_artefact(manifest: Path) -> bool:
    try:
        if not manifest.is_file() or manifest.stat().st_size > _MAX_MANIFEST_BYTES:
            return False
        found = json.loads(manifest.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"kind", "files"} <= found.keys()


def _gitignore(file: Path) -> GitIgnoreSpec:
    try:
        with file.open("rb") as handle:
            lines = handle.read(_MAX_GITIGNORE_BYTES).decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        lines = []
    return GitIgnoreSpec.from_lines(_valid(lines))


def _valid(patterns: Iterable[str]) -> Iterator[str]:
    """The patterns without those that git ignores, because they mean nothing."""
    for pattern in patterns:
        try:
            GitIgnoreSpec.from_lines([pattern])
        except ValueError:
            continue
        yield pattern


def _is_ignored(rules: _Rules, entry: os.DirEntry[str]) -> bool:
    """As git decides: the innermost .gitignore with a matching pattern, and in it the last such pattern."""
    for prefix, spec in reversed(rules):
        name = entry.path.removeprefix(prefix) + ("/" if entry.is_dir() else "")
        if (found := spec.check_file(name).include) is not None:
            return found
    return False
