"""When passages are valid: ranges of days, first and last included, as numbers that count from 1 January of year 1."""

from __future__ import annotations

import datetime

import numpy as np
import numpy.typing as npt

from openrealm.corpus.ragged import IntArray
from openrealm.errors import BadInput
from openrealm.types import Article

NO_FIRST, NO_LAST = 0, 0xFFFF_FFFF


def day_of(text: str) -> datetime.date:
    """The day of a date such as "2019-06-01". Raises BadInput for anything else.

    >>> day_of("2019-06-01").year
    2019
    """
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is not a date; expected year, month and day, such as 2019-06-01.") from error


def range_of(article: Article) -> tuple[int, int]:
    """The days in which an article is valid.

    >>> range_of(Article("1", "Peru", "Lima.")) == (NO_FIRST, NO_LAST)
    True
    """
    first = day_of(article.valid_from).toordinal() if article.valid_from else NO_FIRST
    return first, day_of(article.valid_to).toordinal() if article.valid_to else NO_LAST


def dates_of(row: IntArray) -> tuple[str, str]:
    """`Article.valid_from` and `Article.valid_to` of a row of "article_validity"."""
    first, last = row[0].tolist() if len(row) else (NO_FIRST, NO_LAST)
    dates = datetime.date.fromordinal
    return dates(first).isoformat() if first != NO_FIRST else "", dates(last).isoformat() if last != NO_LAST else ""


def is_always(range_M2: IntArray) -> npt.NDArray[np.bool_]:
    """(M,) whether each range has neither a first nor a last day."""
    return np.asarray((range_M2[:, 0] == NO_FIRST) & (range_M2[:, 1] == NO_LAST))


def rows_of_passages(
    id_M: npt.NDArray[np.uint8], is_repeated_M: npt.NDArray[np.bool_], range_M2: IntArray
) -> tuple[IntArray, IntArray]:
    """The ranges of each stored passage as values and ends of rows: those of all passages with its title and text.

    id_M           (M, 16) ids of all passages that were cut
    is_repeated_M  which of them are not stored, because an earlier one has the same id
    range_M2       the days in which the article of each is valid
    A passage with a range that has no bounds is always valid, and has no row.
    """
    num_stored = int(np.count_nonzero(~is_repeated_M))
    if is_always(range_M2).all():
        return np.zeros((0, 2), "<u4"), np.zeros(num_stored, "<u8")
    half_M2 = np.ascontiguousarray(id_M).view("<u8")
    order = np.lexsort((half_M2[:, 1], half_M2[:, 0]))  # stable: the stored one comes first
    first_of_run = np.maximum.accumulate(np.where(~is_repeated_M[order], np.arange(len(order)), 0))
    number_M = np.empty(len(order), np.int64)
    number_M[order] = (np.cumsum(~is_repeated_M) - 1)[order[first_of_run]]
    is_unbounded_N = np.zeros(num_stored, np.bool_)
    is_unbounded_N[number_M[is_always(range_M2)]] = True
    rows = np.unique(np.column_stack([number_M, range_M2])[~is_unbounded_N[number_M]], axis=0)
    return rows[:, 1:].astype("<u4"), np.cumsum(np.bincount(rows[:, 0], minlength=num_stored), dtype="<u8")
