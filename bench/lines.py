"""How many line ends of plain text are told rightly: wraps are joined, ends kept.

    python bench/lines.py [--wrong]

tests/data/lines holds documents of many kinds, in which "¶" marks the line ends that are no wraps. Line ends beside
blank lines are not counted. The peer is the rule that a line of at least 50 characters goes on in the next one.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

from openrealm.corpus.readers.lines import pages_of, pieces

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "lines"
MARK = "¶"


def labelled(path: Path) -> tuple[str, dict[int, bool]]:
    """A document without its marks, and for each line that follows another directly: whether that one was wrapped."""
    lines = path.read_text(encoding="utf-8").split("\n")
    truth: dict[int, bool] = {}
    position = 0
    for line, following in pairwise(lines):
        position += len(line.removesuffix(MARK)) + 1
        if line.strip() and following.strip():
            truth[position] = not line.endswith(MARK)
    return "\n".join(line.removesuffix(MARK) for line in lines), truth


def found(text: str) -> dict[int, bool]:
    """Whether each piece continues the one before it, by its position."""
    return {piece.position: piece.joint != "\n" for piece in pieces(pages_of(text))}


def fifty(text: str) -> dict[int, bool]:
    """The same for the rule of 50 characters."""
    wrapped: dict[int, bool] = {}
    position = 0
    for line in text.split("\n"):
        position += len(line) + 1
        wrapped[position] = len(line) >= 50
    return wrapped


def main() -> None:
    """Print the figures of each document and of all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--wrong", action="store_true", help="print the line ends that are told wrongly")
    show = parser.parse_args().wrong
    totals = [0, 0, 0]
    for path in sorted(FOLDER.glob("*.txt")):
        text, truth = labelled(path)
        ours, simple = found(text), fifty(text)
        wrong = [position for position, wrapped in truth.items() if ours.get(position, False) != wrapped]
        by_rule = sum(simple[position] != wrapped for position, wrapped in truth.items())
        totals = [total + new for total, new in zip(totals, (len(truth), len(wrong), by_rule), strict=True)]
        print(f"{path.stem:24} {len(truth):4} line ends, {len(wrong):3} wrong, {by_rule:3} wrong by 50 characters")
        for position in wrong if show else ():
            print(
                f"    {'wrap' if truth[position] else 'end'}: ",
                text[:position].split("\n")[-2],
                "|",
                text[position:].split("\n")[0],
            )
    ends, wrong_ends, rule_ends = totals
    print(f"all: {ends} line ends, {1 - wrong_ends / ends:.1%} right; by 50 characters {1 - rule_ends / ends:.1%}")


if __name__ == "__main__":
    main()
