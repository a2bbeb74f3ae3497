"""Page numbers, running heads and footers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from openrealm.corpus.readers.lines import Page

_MIN_PAGES = 3
_MIN_SHARE = 0.3  # heads of left and right pages differ
_MAX_LINES = 3
_PAGE_NUMBER = re.compile(
    r"[-–—|\[( ]*(?:(?:page|seite|p\.|s\.)\s*)?\d{1,4}(?:\s*(?:/|of|von)\s*\d{1,4})?[-–—|\]) ]*", re.IGNORECASE
)
# A number that may differ from page to page in a head: at its edge, set off by a gap or a bar, or called a page.
_NUMBER_IN_HEAD = re.compile(
    r"^\d{1,4}(?=\s{2,}|\s*[|•·]\s)|(?<=\s\s)\d{1,4}$|(?<=[|•·]\s)\d{1,4}$|(?<=\bpage\s)\d{1,4}(?:\s(?:of|/)\s\d{1,4})?\b",
    re.IGNORECASE,
)


def without_heads(pages: Sequence[Page]) -> tuple[list[Page], int]:
    """The pages without running heads, footers and page numbers, and how many lines that took.

    A line is dropped if the same line, but for a page number, stands at the same place on at least three pages and
    nearly a third of all: as the first or last line, or next to one that is dropped. Bare numbers do on two pages.
    """
    kept = [list(page) for page in pages]
    num_dropped = 0
    for last in (False, True):
        for _ in range(_MAX_LINES):
            places = [_place(page, last) for page in kept]
            keys = ["" if at is None else _key(page[at].text) for page, at in zip(kept, places, strict=True)]
            counts = Counter(keys)
            dropped = {key for key in counts if key and counts[key] >= _least(key, len(pages))}
            if not dropped:
                break
            for page, place, key in zip(kept, places, keys, strict=True):
                if place is not None and key in dropped:
                    del page[place]
                    num_dropped += 1
    return [*kept], num_dropped


def _place(page: Page, last: bool) -> int | None:
    """Index of the first or last line that is not blank."""
    order = range(len(page) - 1, -1, -1) if last else range(len(page))
    return next((i for i in order if page[i].text.strip()), None)


def _key(text: str) -> str:
    """What a line has in common with others like it on other pages: "#" alone if it is a page number."""
    text = text.strip()
    if _PAGE_NUMBER.fullmatch(text):
        return "#"
    return " ".join(_NUMBER_IN_HEAD.sub("#", text).split())


def _least(key: str, num_pages: int) -> float:
    return 2 if key == "#" else max(_MIN_PAGES, _MIN_SHARE * num_pages)
