"""Plots the figures of `openrealm index bench`; needs the extra `plots`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from openrealm.corpus.picture import UNDATED, check_format
from openrealm.files import write_bytes
from openrealm.index.bench import Measured

_BLUE, _PALE = "#2a6fbb", "#dddddd"


def draw(found: Sequence[Measured], title: str, path: Path) -> None:
    """Plot recall@20, speed and memory as bars. Raises what `check_format` does, and NoSpace when the disk is full."""
    check_format(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = {
        "recall@20, %": [100 * one.recall["20"] for one in found],
        "queries per second": [one.queries_per_second for one in found],
        "resident memory, MB": [one.resident_bytes / 1e6 for one in found],
    }
    with mpl.rc_context({"svg.hashsalt": "openrealm", "font.size": 9}):
        figure = Figure(figsize=(9, 0.9 + 0.35 * len(found)), dpi=150, layout="constrained")
        figure.suptitle(title, fontsize=11)
        axes = figure.subplots(1, len(panels), sharey=True)
        for place, (name, values) in zip(axes, panels.items(), strict=True):
            bars = place.barh([one.name for one in found], values, color=_BLUE)
            place.bar_label(bars, fmt="{:,.4g}", padding=3, fontsize=8)
            place.set_title(name, fontsize=9, loc="left")
            place.margins(x=0.3)
            place.set_axisbelow(True)
            place.grid(axis="x", color=_PALE, linewidth=0.6)
            place.spines[["top", "right"]].set_visible(False)
            place.tick_params(length=0)
        axes[0].invert_yaxis()
        picture = io.BytesIO()
        kind = path.suffix.lower()
        figure.savefig(picture, format=kind[1:], metadata=UNDATED[kind])
    write_bytes(path, picture.getvalue())
