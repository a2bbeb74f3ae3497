from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.masking.dates import date_spans, number_spans
from openrealm.types import Span


def texts(spans: list[Span], text: str) -> list[str]:
    return [text[span.start : span.end] for span in spans]


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("born on 12 May 2008 in Lima", ["12 May 2008"]),
        ("am 3. Oktober 1990, im März 2001 und am 9. November", ["3. Oktober 1990", "März 2001", "9. November"]),
        ("der 3. Oktober; 9. November 1989; 30. Dezember", ["3. Oktober", "9. November 1989", "30. Dezember"]),
        ("They won by 3. August was cold, März and Mai too.", []),
        ("on May 12, 2008, and", ["May 12, 2008"]),
        ("in 2008.", ["2008"]),
        ("in the 1990s and The late 1820s", ["the 1990s", "The late 1820s"]),
        ("during the 19th century or the mid-16th century", ["the 19th century", "the mid-16th century"]),
        ("since March 2011", ["March 2011"]),
        ("war of 1939-45 and 2020–2025", ["1939-45", "2020–2025"]),
        ("28 July 1821 (from Spain)", ["28 July 1821"]),
        ("Independence Day, 28-29 July (1821)", ["28-29 July", "1821"]),
        ("on 2008-05-12,", ["2008-05-12"]),
        ("3rd of May, 3rd May, Sept. 2005, Jan 5", ["3rd May", "Sept. 2005", "Jan 5"]),
        ("between 600 and 150 B.C. in", ["150 B.C."]),
        ("in 44 BC; A.D. 79 saw", ["44 BC", "A.D. 79"]),
        ("in July and December", ["July", "December"]),
        ("(1821; post-1945)", ["1821", "1945"]),
        ("He may march in May", []),
        ("12 men in 999 or 2100", []),
        ("costs $1821 or 1821% or 1,529 or 1821.5 or A1821 or 1821km or 18210", []),
        ("12 March of the ants", ["12 March"]),
        ("from the 1914-1918 war, 1914/15 and 1999–2003", ["1914-1918", "1914/15", "1999–2003"]),
        ("in the 5th century BC and the 18th and 19th centuries", ["the 5th century BC", "19th centuries"]),
        ("until May 12th, 2008; May 2008; Spring of 1968", ["May 12th, 2008", "May 2008", "1968"]),
    ],
)
def test_dates_by_example(text: str, dates: list[str]) -> None:
    assert texts(date_spans(text), text) == dates


months = st.sampled_from(["January", "March", "May", "August", "December"])


@given(
    day=st.integers(1, 31), month=months, year=st.integers(1000, 2099), before=st.sampled_from(["", "on ", "(", "x; "])
)
def test_every_whole_date_is_found_in_three_spellings(day: int, month: str, year: int, before: str) -> None:
    for date in (f"{day} {month} {year}", f"{month} {day}, {year}", f"{month} {year}"):
        text = f"{before}{date}, then"
        assert texts(date_spans(text), text) == [date]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Brazil 2,659 km; Chile 168 km", ["2,659 km", "168 km"]),
        ("44.8% of it, -2 m, $535.911 billion", ["44.8%", "-2 m", "$535.911 billion"]),
        ("an area of 1,285,216 sq km.", ["1,285,216 sq km"]),
        ("a 5-year term; 18 years of age", ["5-year", "18 years"]),
        ("11.204 million people", ["11.204 million people"]),
        ("118,000 bbl/day", ["118,000 bbl/day"]),
        ("G-20 and B52 and v1.5", []),
        ("ends in 7.", ["7"]),
    ],
)
def test_numbers_by_example(text: str, numbers: list[str]) -> None:
    assert texts(number_spans(text), text) == numbers


@given(st.text(max_size=100) | st.text(alphabet="19820th BCMay,.-/$%cenury", max_size=100))
def test_spans_are_sorted_ranges_of_the_text(text: str) -> None:
    for find in (date_spans, number_spans):
        end = 0
        for span in find(text):
            assert end <= span.start < span.end <= len(text)
            assert any(c.isalnum() for c in text[span.start : span.end])
            end = span.end


def test_long_runs_of_digits_take_no_time() -> None:
    start = time.process_time()
    for text in ("1" * 200_000, "1821-" * 40_000, "1," * 100_000, "May 1821 " * 20_000, "$ " * 100_000):
        date_spans(text)
        number_spans(text)
    assert time.process_time() - start < 10
