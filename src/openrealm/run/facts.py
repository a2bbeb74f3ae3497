"""The circumstances of a run, for its report: hardware, versions, date, commit."""

from __future__ import annotations

import datetime
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import openrealm
from openrealm.engine import engine_for, num_cores
from openrealm.hardware import commit_of_checkout, memory_bytes, processor
from openrealm.run import questions
from openrealm.run.artefacts import open_corpus
from openrealm.run.folder import Run


def facts(run: Run) -> dict[str, Any]:
    """What a reader needs to know to judge the figures of the report."""
    engine = engine_for(run.config)
    found = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": processor(),
        "cores": num_cores(),
        "memory": f"{memory_bytes() / 2**30:.1f} GiB",
        "device": engine.device,
        "precision": "bf16" if engine.bf16 else "fp32",
        "python": platform.python_version(),
        **{package: _version(package) for package in ("torch", "transformers", "openrealm")},
        "seed": run.config.seed,
        "passages": open_corpus(run).num_passages,
        "questions": questions.origin_of(run),
    }
    return found | ({"commit": commit} if (commit := commit_of_checkout()) else {})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return str(openrealm.__version__)
