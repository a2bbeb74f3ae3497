"""Plots the histograms of a corpus; needs the extra `plots`."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openrealm.corpus.inspect import Histogram, range_name
from openrealm.errors import BadInput, NotInstalled
from openrealm.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg", ".pdf")
_BLUE, _GREY, _PALE = "#2a6fbb", "#555555", "#dddddd"
# Metadata that matplotlib would fill with dates and versions; without it, the same corpus gives the same bytes.
UNDATED: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}


def check_format(path: Path) -> None:
    """Raise BadInput if the extension of `path` is not one of FORMATS, NotInstalled without matplotlib."""
    if path.suffix.lower() not in FORMATS:
        raise BadInput(f"{path} does not end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}; give a name that does.")
    if importlib.util.find_spec("matplotlib") is None:
        raise NotInstalled("Plots need matplotlib; install it with: pip install 'openrealm[plots]', or omit --plot.")


def draw(histograms: Mapping[str, Histogram], title: str, path: Path) -> None:
    """Plot all histograms, two per row. Raises what `check_format` does, and NoSpace when the disk is full."""
    check_format(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "openrealm", "font.size": 9}):
        num_rows = (len(histograms) + 1) // 2
        figure = Figure(figsize=(8, 0.5 + 2.6 * num_rows), dpi=150, layout="constrained")
        figure.suptitle(title, fontsize=11)
        axes = figure.subplots(num_rows, 2, squeeze=False).flat
        for place, (name, histogram) in zip(axes, histograms.items(), strict=False):
            _draw_one(place, name, histogram)
        for place in list(axes)[len(histograms) :]:
            place.set_axis_off()
        picture = io.BytesIO()
        kind = path.suffix.lower()
        figure.savefig(picture, format=kind[1:], metadata=UNDATED[kind])
    write_bytes(path, picture.getvalue())


def _draw_one(place: Axes, name: str, histogram: Histogram) -> None:
    bins = histogram.bins
    width = bins[0].end - bins[0].start if bins[0].end is not None else 1
    place.bar([b.start for b in bins], [b.count for b in bins], width=0.9 * width, align="edge", color=_BLUE)
    place.axvline(histogram.median + 0.5, color=_GREY, linewidth=1, linestyle="--")
    place.set_title(f"{name}: median {histogram.median:,}, largest {histogram.largest:,}", fontsize=9, loc="left")
    ticks = bins[:: -max(1, len(bins) // 4)]  # from the end, so that the open bin is labelled
    place.set_xticks([b.start + 0.45 * width for b in ticks], [range_name(b.start, b.end) for b in ticks])
    place.yaxis.set_major_formatter("{x:,.0f}")
    place.set_axisbelow(True)
    place.grid(axis="y", color=_PALE, linewidth=0.6)
    place.spines[["top", "right", "left"]].set_visible(False)
    place.tick_params(length=0)
