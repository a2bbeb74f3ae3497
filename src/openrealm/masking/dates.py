"""Dates and numbers by regular expression (Guu et al. 2020, Sec. 3.4: "a regular expression to identify dates")."""

from __future__ import annotations

import re
from collections.abc import Sequence

from openrealm.types import Span

_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?)"
)
# Months that are not also common words or names: they count without a day or a year.
_LONE_MONTH = r"(?:January|February|July|September|October|November|December)\b"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_DAYS = rf"{_DAY}(?:\s?[-–/]\s?{_DAY})?"
_YEAR = r"(?:1\d{3}|20\d{2})"
_LONE_YEAR = rf"{_YEAR}(?![\w%°]|[.,/]\d)"
_YEARS = rf"{_YEAR}(?:\s?[-–/]\s?(?:{_YEAR}|\d{{2}}))?(?![\w%°]|[.,/]\d)"
_ERA = r"(?:B\.?C\.?E?|A\.?D|C\.?E)(?:\.(?=\W|$)|(?!\w))"

# German days of a month; of the months that are English too only with a year, or after "am", "vom" or "zum".
_GERMAN_DAY = r"(?:0?[1-9]|[12]\d|3[01])\."
_GERMAN_MONTH = r"(?:Januar|Jänner|Februar|März|Mai|Juni|Juli|Oktober|Dezember)"
_SHARED_MONTH = r"(?:April|August|September|November)"
_GERMAN_DATE = (
    rf"{_GERMAN_DAY}\s(?:{_GERMAN_MONTH}(?:\s{_LONE_YEAR})?|{_SHARED_MONTH}\s{_LONE_YEAR})(?!\w)"
    rf"|(?:(?<=\bam\s)|(?<=\b[vz][ou]m\s)){_GERMAN_DAY}\s{_SHARED_MONTH}(?!\w)"
    rf"|{_GERMAN_MONTH}\s{_YEARS}"
)

# Every date contains a digit or a month; the words before a century or a decade are searched backwards from there.
_PERIOD = rf"\d{{1,2}}(?:st|nd|rd|th)(?:[-\s]century|\scenturies)(?:\s{_ERA})?|(?:1\d|20)\d0'?s\b"
_DATE = re.compile(
    "|".join(
        (
            rf"{_YEAR}-\d\d-\d\d(?!\d)",  # 2008-05-12
            _GERMAN_DATE,  # 3. Oktober 1990, März 2001
            rf"{_DAYS}\s{_MONTH}(?:,?\s{_LONE_YEAR})?(?!\w)",  # 12 May 2008, 28-29 July
            rf"{_MONTH}\s{_DAYS},?\s{_LONE_YEAR}",  # May 12, 2008
            rf"{_MONTH},?\s{_YEARS}",  # March 2011
            rf"{_MONTH}\s{_DAYS}(?![\w%]|[.,]\d)",  # May 12
            rf"(?P<period>{_PERIOD})",  # 19th century, 1990s
            rf"\d{{1,5}}\s{_ERA}|A\.?D\.?\s\d{{1,4}}(?!\d)",  # 500 B.C.
            _YEARS,  # 2008, 1939-45
            _LONE_MONTH,
        )
    )
)
# "the ", "The early ", "mid-" before a century or a decade
_PART = re.compile(r"(?<![\w$€£¥.,/])(?<!\d[-–])(?:(?:[Tt]he\s)?(?:early|mid|late)(?:-to-late)?[-\s]|[Tt]he\s)\Z")
_MAX_PART_CHARACTERS = len("the early-to-late ")
# Where a date may begin; a single character class at the front lets the search skip everything else quickly.
_START = re.compile(
    r"[\dJFMASOND](?<![\w$€£¥.,/].)(?<!\d[-–].)(?:(?<=\d)|(?=[aä]n|eb|[aä]r|pr|a[iy]|u[nlg]|ep|[ck]t|ov|e[cz]|\.?D))"
)

_SCALE = r"(?:hundred|thousand|million|billion|trillion)"
_UNIT = (
    r"(?:square\s(?:kilometers|miles|meters)|sq\s?(?:km|mi|m)|cu\s?(?:km|m)|cubic\s(?:meters|kilometers|feet)"
    r"|(?:metric\s)?ton(?:ne)?s?|kilo(?:meters|metres|grams)|k[mgWVtmh]+|[cm]m|nm|mi|ft|feet|miles|meters|metres|m|ha|hectares"
    r"|[MGT]W|[kMGT]Wh|bbl|barrels|liters|percent|per\scent|years?|months?|weeks?|days?|hours?|minutes?|seconds?"
    r"|people|inhabitants|deaths|births|dollars|euros|pounds)"
)
_NUMBER = re.compile(
    r"[$€£¥+\d-](?<![\w.,].)(?<![^\W\d_][-–].)(?:(?<=\d)|(?<=[-+])\d|(?<=[$€£¥])\s?[-+]?\d)"
    rf"(?:[\d,]*\d)?(?:\.\d+)?(?:\s?[%°]|(?:\s{_SCALE})?(?:[\s-]{_UNIT})?(?!\w))(?:/day)?"
)


def date_spans(text: str) -> list[Span]:
    """Dates of `text`, from left to right: days, months, years 1000 to 2099, decades, centuries, and ranges of them."""
    spans = []
    end = 0
    for beginning in _START.finditer(text):
        start = beginning.start()
        if start < end or not (match := _DATE.match(text, start)):
            continue
        if match["period"] and (part := _PART.search(text, max(end, start - _MAX_PART_CHARACTERS), start)):
            start = part.start()
        end = match.end()
        spans.append(Span(start, end, "date"))
    return spans


def number_spans(text: str) -> list[Span]:
    """Numbers of `text` with their sign, currency, scale and unit, from left to right."""
    return [Span(match.start(), match.end(), "number") for match in _NUMBER.finditer(text)]


def date_rule(texts: Sequence[str], _names: object = None) -> list[list[Span]]:
    """The rule "dates": `date_spans` of each text."""
    return [date_spans(text) for text in texts]


def number_rule(texts: Sequence[str], _names: object = None) -> list[list[Span]]:
    """The rule "numbers": `number_spans` of each text."""
    return [number_spans(text) for text in texts]
