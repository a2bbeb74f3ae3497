"""Shared by all benchmarks: alternating measurements, medians, hardware, commit, and a final line of JSON.

A figure means little without a peer measured in the same run. The sides therefore alternate (A B A B ...), so that a
slow phase of the machine affects both, and ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

MIN_ROUNDS = 2
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and its peer, as printed.

    value, peer_value  medians over the rounds, in `unit`; None if that side could not run
    ratio              how many times better than the peer: the median over the rounds, above 1 if ours is better
    spread             (largest - smallest) / median of the rounds' ratios, or of our own values without a peer; None
                       for a single run
    """

    figure: str
    value: float | None
    unit: str
    peer: str
    peer_value: float | None
    ratio: float | None
    spread: float | None
    num_rounds: int
    hardware: str
    commit: str
    note: str = ""


def arguments(description: str, **options: tuple[Any, Any]) -> argparse.Namespace:
    """Parse the command line: --quick, --threads, --rounds, and --NAME for each of `options` (default, with --quick).

    Sets thread counts in the environment, so call this before numpy, torch or tokenizers are imported.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="finish within 50 seconds on 2 cores")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="CPU threads for each side")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each side, after a warm-up")
    for name, (whole, quick) in options.items():
        with_quick = "" if quick == whole else f"; with --quick: {quick}"
        parser.add_argument(f"--{name}", type=type(whole), default=None, help=f"default: {whole}{with_quick}")
    given = parser.parse_args()
    for name, (whole, quick) in options.items():
        if getattr(given, name) is None:
            setattr(given, name, quick if given.quick else whole)
    os.environ.update(dict.fromkeys(_THREAD_SETTINGS, str(given.threads)))
    return given


def in_turn(
    sides: Mapping[str, Callable[[], object]],
    *,
    num_rounds: int,
    max_seconds: float = float("inf"),
    warm_up: bool = True,
) -> dict[str, list[float]]:
    """Seconds per side and round, with alternating sides; stops early, after a complete round, at `max_seconds`.

    With `warm_up`, a first round is run and discarded. At least MIN_ROUNDS rounds are always measured.
    """
    started = time.perf_counter()
    if warm_up:
        for run in sides.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(max(num_rounds, MIN_ROUNDS)):
        if number >= MIN_ROUNDS and time.perf_counter() - started > max_seconds:
            break
        for name, run in sides.items():
            before = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - before)
    return seconds


def spread(values: list[float]) -> float:
    """(largest - smallest) / median."""
    return (max(values) - min(values)) / statistics.median(values)


def rate(
    name: str, unit: str, amount: float, ours: list[float], peer: str, theirs: list[float], note: str = ""
) -> Figure:
    """A figure in `unit` (something per second): `amount` was processed in each of the measured times."""
    return _figure(
        name, unit, [amount / s for s in ours], peer, [amount / s for s in theirs], note, more_is_better=True
    )


def duration(name: str, ours: list[float], peer: str, theirs: list[float], note: str = "") -> Figure:
    """A figure in seconds; lower is better."""
    return _figure(name, "seconds", ours, peer, theirs, note, more_is_better=False)


def once(
    name: str, unit: str, value: float, peer: str, peer_value: float, note: str = "", *, more_is_better: bool
) -> Figure:
    """A figure from a single run, such as a share over many questions."""
    above, below = (value, peer_value) if more_is_better else (peer_value, value)
    return Figure(
        figure=name,
        value=value,
        unit=unit,
        peer=peer,
        peer_value=peer_value,
        ratio=above / below if below else None,
        spread=None,
        num_rounds=1,
        hardware=hardware(),
        commit=commit(),
        note=note,
    )


def not_measured(name: str, unit: str, peer: str, reason: str) -> Figure:
    """A figure without a value, for something that cannot be measured here."""
    return _figure(name, unit, [], peer, [], reason, more_is_better=True)


def report(*figures: Figure) -> None:
    """Print each figure as text, then all of them as a JSON list on the last line."""
    for figure in figures:
        value, theirs = (_number(side) for side in (figure.value, figure.peer_value))
        spread_words = "single run" if figure.spread is None else f"spread {figure.spread:.2f}"
        ratio = "" if figure.ratio is None else f"; {figure.ratio:.2f} times better ({spread_words})"
        note = f"; {figure.note}" if figure.note else ""
        print(f"{figure.figure}: {value} {figure.unit}; {figure.peer}: {theirs}{ratio}{note}")
    print(json.dumps([asdict(figure) for figure in figures], allow_nan=False))


def svg_of(drawing: Any) -> str:
    """A matplotlib figure as SVG without a timestamp; closes the figure."""
    from matplotlib import pyplot

    out = io.StringIO()
    drawing.savefig(out, format="svg", metadata={"Date": None})
    pyplot.close(drawing)
    return out.getvalue()


def hardware() -> str:
    """Processor, cores, threads in use and memory of this machine, and the accelerator if torch sees one."""
    from openrealm.engine import num_cores
    from openrealm.hardware import memory_bytes, processor

    threads = os.environ.get(_THREAD_SETTINGS[0], str(num_cores()))
    name = f"{processor()}, {num_cores()} cores, {threads} threads, {memory_bytes() / 2**30:.1f} GiB"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        name += f", {torch.cuda.get_device_name()}"
    return name


def commit() -> str:
    """The checked-out commit, followed by "+" if there are local changes; "unknown" outside a checkout."""
    from openrealm.hardware import commit_of_checkout

    return commit_of_checkout() or "unknown"


def end(reason: str, figure: Figure) -> None:
    """Print why nothing was measured, then the JSON line, and exit successfully."""
    print(reason, file=sys.stderr)
    report(figure)
    raise SystemExit(0)


def require_same(what: str, is_same: bool) -> None:
    """Exit before timing if the two sides do not compute the same thing."""
    if not is_same:
        raise SystemExit(f"The {what} differ between the two sides, so timing them would be meaningless.")


def _figure(
    name: str, unit: str, ours: list[float], peer: str, theirs: list[float], note: str, *, more_is_better: bool
) -> Figure:
    pairs = list(zip(ours, theirs, strict=True)) if theirs else []
    ratios = [a / b if more_is_better else b / a for a, b in pairs]
    return Figure(
        figure=name,
        value=statistics.median(ours) if ours else None,
        unit=unit,
        peer=peer,
        peer_value=statistics.median(theirs) if theirs else None,
        ratio=statistics.median(ratios) if ratios else None,
        spread=spread(ratios or ours) if ours else None,
        num_rounds=len(ours),
        hardware=hardware(),
        commit=commit(),
        note=note,
    )


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.4g}"
