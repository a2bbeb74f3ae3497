"""What all tests share: small hypothesis budgets, and a last word on what was left out and how to run it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import settings

settings.register_profile("house", max_examples=60, deadline=None)
settings.load_profile("house")

_MARKS = ("slow", "gpu", "browser", "scale", "peers")
_LEFT_OUT: Counter[str] = Counter()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        marks = [mark for mark in _MARKS if item.get_closest_marker(mark)]
        _LEFT_OUT.update(marks or ["selected otherwise"])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    num_skipped = len(terminalreporter.stats.get("skipped", []))
    parts = [f"{count} {mark} (make test-{mark})" for mark, count in _LEFT_OUT.items() if mark in _MARKS]
    if other := _LEFT_OUT["selected otherwise"]:
        parts.append(f"{other} not selected by this command")
    if num_skipped:
        parts.append(f"{num_skipped} skipped for the reasons above")
    terminalreporter.write_line("left out: " + (", ".join(parts) or "nothing"))
