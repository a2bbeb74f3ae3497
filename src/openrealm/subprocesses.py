"""How the package starts processes of its own: with its own code, and never with that of the working directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package.

    `-P` keeps the working directory off the import path, where a file such as `queue.py` would replace a module.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with `changes`, in which `command` finds this installation and its plug-ins.

    Empty entries of PYTHONPATH, which stand for the working directory, are dropped.
    """
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    found = [] if _ROOT.name in ("site-packages", "dist-packages") else [str(_ROOT)]
    return os.environ | {"PYTHONPATH": os.pathsep.join([*found, *given])} | changes
