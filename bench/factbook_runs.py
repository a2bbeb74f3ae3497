"""The complete Factbook run with the shipped base encoder and with MiniLM: time and accuracy.

Trains everything twice, one after the other; stages already finished in --folder are reused. Both answer the same 600
test questions, so differences are paired by question. Takes about half an hour on two cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import Figure, arguments, duration, once, report

RECIPES = {"ours": "factbook", "theirs": "factbook-minilm"}
SYSTEMS = ("closed_book", "bm25", "warm_start", "realm")


def main() -> None:
    given = arguments(__doc__.splitlines()[0], folder=("runs/factbooks", "runs/factbooks"))
    folders = {side: Path(given.folder) / recipe for side, recipe in RECIPES.items()}
    if given.quick:
        print("With --quick, nothing is trained; finished runs are read.", file=sys.stderr)
    else:
        for side, folder in folders.items():
            command = [sys.executable, "-m", "openrealm.cli", "quickstart", "--run", str(folder)]
            subprocess.run([*command, "--recipe", RECIPES[side]], check=True)
    if not all((folder / "report.json").is_file() for folder in folders.values()):
        raise SystemExit(f"{given.folder} contains no finished runs; run this without --quick first.")
    seconds = {side: [sum(read(folder / "report.json")["seconds"].values())] for side, folder in folders.items()}
    report(
        duration("Factbook run with openrealm-mini", seconds["ours"], "with MiniLM", seconds["theirs"]),
        *(compared(system, folders) for system in SYSTEMS),
    )


def compared(system: str, folders: dict[str, Path]) -> Figure:
    """Exact match of one system with both encoders, and the interval of their difference."""
    from openrealm.evaluate.compare import mean_interval, paired_difference

    rows = {side: read(folder / "evaluate" / f"{system}.json")["questions"] for side, folder in folders.items()}
    if len({tuple(row["question"] for row in side) for side in rows.values()}) > 1:
        raise SystemExit("The two runs were asked different questions; delete and rerun them.")
    em = {side: [row["em"] for row in found] for side, found in rows.items()}
    gain = paired_difference(em["ours"], em["theirs"])
    ours, theirs = mean_interval(em["ours"]), mean_interval(em["theirs"])
    return once(
        f"exact match of {system}, {len(em['ours'])} test questions, openrealm-mini",
        "of 1",
        ours.mean,
        "MiniLM",
        theirs.mean,
        f"95% CI {ours.low:.3f} to {ours.high:.3f}, MiniLM {theirs.low:.3f} to {theirs.high:.3f}; "
        f"difference {gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})",
        more_is_better=True,
    )


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
