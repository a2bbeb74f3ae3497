"""Which file of rows an article comes from: a source notes for every file how many articles it gave."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from typing_extensions import TypedDict

from openrealm.stored import Count


class RowFile(TypedDict):
    """A file of rows in a source's description, under "row_files", in source order.

    name          as messages show it: its path in the folder, or its name
    unit          what its rows are called: "line", "row" or "item"
    first         number of its first article in the source, from 0
    num_articles  how many articles it gave
    """

    name: str
    unit: str
    first: int
    num_articles: Count


def row_file_of(row_files: Sequence[RowFile], article: int) -> RowFile | None:
    """The file that article number `article` is a row of; None if it is not a row.

    >>> row_files = [RowFile(name="a.csv", unit="line", first=2, num_articles=3)]
    >>> [number for number in range(6) if row_file_of(row_files, number)]
    [2, 3, 4]
    """
    i = bisect_right(row_files, article, key=lambda file: file["first"]) - 1
    if i < 0 or article >= row_files[i]["first"] + row_files[i]["num_articles"]:
        return None
    return row_files[i]


def overlapping(row_files: Sequence[RowFile], first: int, num_articles: int) -> list[RowFile]:
    """The files with any of `num_articles` articles from number `first` on; their numbers count from there.

    >>> overlapping([RowFile(name="a.csv", unit="line", first=2, num_articles=3)], 4, 10)
    [{'name': 'a.csv', 'unit': 'line', 'first': -2, 'num_articles': 3}]
    """
    return [
        RowFile(**{**file, "first": file["first"] - first})
        for file in row_files
        if max(file["first"], first) < min(file["first"] + file["num_articles"], first + num_articles)
    ]
