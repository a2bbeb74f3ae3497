"""What every benchmark shares: sides measured in turn, medians, the machine, the commit, one JSON line at the end.

A figure is worth reading only beside a peer that was measured in the same run. Sides therefore run in turn
(A B A B ...), so that a machine that slows down slows both, and ratios are taken round by round.
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
    """One measured figure beside one peer, as it is printed.

    value, peer_value  medians over the rounds, in `unit`; None where that side could not run
    ratio              how many times better than the peer: the median over rounds, above 1 where ours is better
    spread             (largest - smallest) / median of the rounds' ratios; of our own values where no peer ran; None
                       where one run says it all
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
    """Read the command line: --quick, --threads, --rounds, and --NAME for each of `options` (its default, and quick's).

    Thread counts go into the environment, so call this before numpy, torch or tokenizers are loaded.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="answer within 50 seconds on 2 cores")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="CPU threads of both sides")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each side, after one that is dropped")
    for name, (whole, quick) in options.items():
        beside = "" if quick == whole else f", with --quick {quick}"
        parser.add_argument(f"--{name}", type=type(whole), default=None, help=f"default {whole}{beside}")
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
    """Seconds of each side in each round, the sides taking turns; ends early, after a whole round, at `max_seconds`.

    A first round is run and dropped where `warm_up`. At least MIN_ROUNDS rounds are measured whatever they take.
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
    """A figure in `unit` (something a second): `amount` of it was done in each of the measured times."""
    return _figure(
        name, unit, [amount / s for s in ours], peer, [amount / s for s in theirs], note, more_is_better=True
    )


def duration(name: str, ours: list[float], peer: str, theirs: list[float], note: str = "") -> Figure:
    """A figure in seconds, of which fewer are better."""
    return _figure(name, "seconds", ours, peer, theirs, note, more_is_better=False)


def once(
    name: str, unit: str, value: float, peer: str, peer_value: float, note: str = "", *, more_is_better: bool
) -> Figure:
    """A figure that one run settles, such as a share over many questions."""
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
    """A figure without a value, for what is not there to be measured."""
    return _figure(name, unit, [], peer, [], reason, more_is_better=True)


def report(*figures: Figure) -> None:
    """Print each figure in words, then all of them as one JSON list on the last line."""
    for figure in figures:
        value, theirs = (_number(side) for side in (figure.value, figure.peer_value))
        spread_words = "one run" if figure.spread is None else f"spread {figure.spread:.2f}"
        beside = "" if figure.ratio is None else f", {figure.ratio:.2f} times as good ({spread_words})"
        note = f"; {figure.note}" if figure.note else ""
        print(f"{figure.figure}: {value} {figure.unit}; {figure.peer}: {theirs}{beside}{note}")
    print(json.dumps([asdict(figure) for figure in figures], allow_nan=False))


def svg_of(drawing: Any) -> str:
    """A matplotlib drawing as SVG without the time of its making, closed."""
    from matplotlib import pyplot

    out = io.StringIO()
    drawing.savefig(out, format="svg", metadata={"Date": None})
    pyplot.close(drawing)
    return out.getvalue()


def hardware() -> str:
    """Processor, cores, threads in use and memory of this machine, and the accelerator where torch sees one."""
    from openrealm.engine import num_cores
    from openrealm.hardware import memory_bytes, processor

    threads = os.environ.get(_THREAD_SETTINGS[0], str(num_cores()))
    name = f"{processor()}, {num_cores()} cores, {threads} threads, {memory_bytes() / 2**30:.1f} GiB"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        name += f", {torch.cuda.get_device_name()}"
    return name


def commit() -> str:
    """The checked-out commit, with "+" where files differ from it; "unknown" outside a checkout."""
    from openrealm.hardware import commit_of_checkout

    return commit_of_checkout() or "unknown"


def end(reason: str, figure: Figure) -> None:
    """Say why nothing was measured, still print the JSON line, and end in peace."""
    print(reason, file=sys.stderr)
    report(figure)
    raise SystemExit(0)


def require_same(what: str, is_same: bool) -> None:
    """Stop before timing two sides that do not compute the same thing."""
    if not is_same:
        raise SystemExit(f"{what} differ between the two sides, so that timing them would compare nothing.")


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
