"""Extracts from the Factbook's terse text the strings that count as an answer, each a verbatim part of that text.

Every reader takes a field's cleaned text and yields answers, the plainest form of the most important one first:
"Spanish (official) 82.9%, Quechua (official) 13.6%" yields "Spanish", "Spanish (official)", ..., "Quechua", ...
A reader that is not sure yields nothing, and the question is not asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

Reader = Callable[[str], Iterator[str]]

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_FULL_DATE = re.compile(rf"\b\d{{1,2}} (?:{_MONTHS}) (\d{{3,4}})\b")
_DAY = re.compile(rf"\b(?:\d{{1,2}}(?:-\d{{1,2}})? (?:{_MONTHS})|(?:{_MONTHS}) \d{{1,2}})\b(?: \(\d{{4}}\))?")
_NOTE = re.compile(r"[;,.]?\s*\bnote(?: \d)?\s*[-:].*|\s*\bvolcanism:.*", re.DOTALL)
_HEDGE = re.compile(r"^(?:predominantly|mostly|mainly|principally|almost entirely|mainland -|approximately|about) ")
_NUMBER = re.compile(r"(?:^|[\s,]+)(?:[~<>]\s*)?-?\d[\d.,]*(?:-[\d.,]+)?\s*(?:%|km\b|sq km\b|m\b|$).*", re.DOTALL)
_VAGUE = re.compile(
    r"(?:and |or )?(?:other|none|no |not |na$|na |negl|unspecified|unknown|undeclared|unaffiliated|agnostic|atheist|"
    r"nonbeliever|non-believer|few |various|mixed$|less than|limited|some |small |numerous|many |most |all |more than|"
    r"more languages|refused|two or more|only )",
    re.IGNORECASE,
)
_TITLES = (
    " president prime minister deputy first acting interim transition transitional caretaker king queen emperor "
    "prince crown sultan amir pope grand duke supreme leader chief executive premier chancellor governor general "
    "governor-general sir dame dr. col. gen. capt. sr. maj. lt. chairperson chairman presidency presidential "
    "chair sovereign council and of the mayor island islands state affairs commission national secretary cardinal "
    "swiss confederation lord mann co-prince archbishop ambassador government territorial assembly china gnu head "
    "taoiseach designate ambassador-designate co-chiefs captains regent federal administrator commissioner "
    "lieutenant lieutenant-governor high tan sri ratu honorable safeguard for homeland (cnsp) commander-in-chief "
    "sudanese armed forces "
)


def without_notes(value: str) -> str:
    """The text up to the editors' "note - ..." or "volcanism: ..."."""
    return _NOTE.sub("", value).strip()


def split_outside_brackets(value: str, separators: str) -> list[str]:
    """Pieces of `value` between separators that are not in brackets or inside a number such as 1,285."""
    pieces, depth, start = [], 0, 0
    for index, character in enumerate(value):
        depth = max(0, depth + (character in "([") - (character in ")]"))
        in_number = value[index - 1 : index].isdigit() and value[index + 1 : index + 2].isdigit()
        if character in separators and not depth and not in_number:
            pieces.append(value[start:index].strip())
            start = index + 1
    pieces.append(value[start:].strip())
    return [piece for piece in pieces if piece]


def first_outside_brackets(value: str, separators: str) -> str:
    """The text before the first such separator; "" if there is none."""
    return next(iter(split_outside_brackets(value, separators)), "")


def bare(item: str) -> str:
    """An item without brackets, percentage, length or height: "Andes (m) 6,962 m" gives "Andes"."""
    return _NUMBER.sub("", item.split(" (")[0].split(" [")[0]).strip(" ,;-*.")


def alternatives(item: str) -> Iterator[str]:
    """The plain name of an item, its alternatives ("A or B", "A/B"), then the item as printed."""
    name = _HEDGE.sub("", bare(item))
    parts = [part.strip() for part in re.split(r" or |/", name)]
    is_listing = "/" in name and " " in name and not all(part[:1].isupper() for part in parts)
    if not is_listing and not name.endswith(("Oceans", "Seas")):  # "vehicle parts/accessories" are not alternatives
        yield from parts
    yield name
    yield item


def items(separators: str = ",;", *, max_words: int = 4, only_names: bool = False) -> Reader:
    """A reader of lists in which every item is an answer."""

    def read(value: str) -> Iterator[str]:
        for item in split_outside_brackets(without_notes(value), separators):
            item = re.sub(r"^(?:and|includes?|notably) ", "", item)
            name = bare(item)
            if _VAGUE.match(item) or not 0 < len(name.split()) <= max_words or (only_names and not name[:1].isupper()):
                continue
            yield from alternatives(item)

    return read


def largest(value: str) -> Iterator[str]:
    """The item with the largest percentage, or the first if there are no percentages."""
    shares = []
    for item in split_outside_brackets(without_notes(value), ",;"):
        percent = re.search(r"(\d+(?:\.\d+)?)\s*%", re.sub(r"\([^)]*\)", "", item))
        if not _VAGUE.match(item):
            shares.append((float(percent[1]) if percent else -1.0, item))
    if shares:
        yield from alternatives(max(shares, key=lambda share: share[0])[1])


def languages(value: str) -> Iterator[str]:
    """The languages marked as official, or all if none is."""
    listed = [
        item
        for item in split_outside_brackets(without_notes(value), ",;")
        if not _VAGUE.match(item) and len(bare(item).split()) <= 4
    ]
    for item in [item for item in listed if "official" in item] or listed:
        yield re.sub(r" only$", "", bare(item))
        yield from alternatives(item)


def capital(value: str) -> Iterator[str]:
    """Every capital named; towns that are only offices of a government without a capital are none."""
    for item in re.split(r";\s*|(?<=\)),\s*", without_notes(value)):
        name = re.split(r" is | in [A-Z]", bare(item))[0]
        if name[:1].isupper():
            yield from (name, item)


def place(value: str) -> Iterator[str]:
    """The name of a highest or lowest point; unnamed ones are skipped."""
    item = first_outside_brackets(without_notes(value), ";")
    if bare(item)[:1].isupper():
        yield re.split(r" (?:on|at|near) ", bare(item))[0]
        yield from alternatives(item)


def waters(value: str) -> Iterator[str]:
    """Rivers or lakes: the name before its length or area."""
    for item in split_outside_brackets(without_notes(value), ";"):
        name = bare(item.split(" - ")[0])
        if name[:1].isupper() and len(name.split()) <= 5:
            yield re.sub(r" river (?:source|mouth).*$", "", name)
            yield re.sub(r" (?:source|mouth).*$", "", name)


def currency(value: str) -> Iterator[str]:
    """The currency with and without its code, and the code."""
    item = value.split(" per ")[0]
    yield from alternatives(item)
    yield from re.findall(r"\(([A-Z]{3})\)", item)


def holder(value: str) -> Iterator[str]:
    """The holder of an office: the name, the name with its title, and the family name, which is printed in capitals."""
    titled = re.split(r" \(|;|, represented|, also", value.replace("(Prime Minister) ", ""))[0].strip()
    words = titled.split()
    while words and f" {words[0].lower().strip(',')} " in _TITLES:
        words = words[1:]
    name = " ".join(words)
    if "vacant" in value[:60] or not words or not re.search(r"[^\W\d_a-z]{2}", name):
        return
    yield from (name, titled)
    if not re.search(r"\b[IVX]+$", name):
        capitals = re.findall(r"(?:[^\W\d_a-z][^\s\da-z]+\s?)+(?![a-z])", name)
        yield from (run.strip(" ,.-") for run in capitals if len(run.strip()) > 2)


def quoted(value: str) -> Iterator[str]:
    """Titles in quotation marks and their translations in brackets."""
    yield from re.findall(r'["“]([^"”]+?),?["”]', value)
    yield from re.findall(r'\(["“]?([^()"”]+)["”]?\)', value)


def authors(value: str) -> Iterator[str]:
    """The authors of the lyrics or the music."""
    for name in re.split(r"/|,| and | or ", without_notes(value)):
        name = re.sub(r"^\s*(?:arranged|adapted) by ", "", bare(name)).strip()
        if re.search(r"[A-Z]{3}", name) and name[:1].isupper():
            yield name


def independence(value: str) -> Iterator[str]:
    """The dates of independence, complete and as a year; none if the text does not begin with a date."""
    text = value.split("notable earlier")[0]
    if _FULL_DATE.match(text) or re.match(r"\d{4}\b", text):
        dates = list(_FULL_DATE.finditer(text))[:3]
        yield from (date[0] for date in dates)
        yield from (date[1] for date in dates)
        yield from re.findall(r"^\d{4}\b", text)


def freed_from(value: str) -> Iterator[str]:
    """The country from which independence was gained."""
    for power in re.findall(r"\(from ([^();,]+)", value)[:2]:
        name = re.sub(r"^the ", "", power.strip())
        if len(name.split()) <= 6:
            yield name


def holiday(value: str) -> Iterator[str]:
    """The day of the national holiday, with and without its year."""
    for day in _DAY.finditer(value):
        yield from (day[0].split(" (")[0], day[0])
        return


def city(value: str) -> Iterator[str]:
    """The largest of the listed cities."""
    found = re.findall(r"(\d[\d,.]*)( million)? ([^\d,;(]+[^\d,;( ])( \(capital\))?", value)
    sizes = [float(number.replace(",", "").strip(".")) * (1e6 if million else 1) for number, million, _, _ in found]
    if found:
        _, _, name, mark = found[sizes.index(max(sizes))]
        yield from alternatives(name + mark)


def named(value: str) -> Iterator[str]:
    """An institution's name, its name in the local language, and other names."""
    item = first_outside_brackets(without_notes(value), ";")
    name = re.split(r" consists? of| includes?\b|, which", item if re.search(r"\) \w", item) else bare(item))[0]
    if len(name.split()) <= 8:
        yield from (part.strip() for part in re.split(r" or | - ", name))
        for inside in re.findall(r"\(([A-Z][^()]*)\)$", item):
            yield from (part.strip() for part in re.split(r"/| - ", inside))
        yield from (name, item)


def clause(value: str, max_words: int = 9) -> Iterator[str]:
    """The first clause of a description."""
    first = first_outside_brackets(without_notes(value), ";")
    for text in (first, bare(first), first_outside_brackets(first, ",")):
        if len(text.split()) <= max_words and not text.endswith(":"):
            yield text


def legal_system(value: str) -> Iterator[str]:
    """The first clause, also without the word "system" and without the model it is based on."""
    text = first_outside_brackets(without_notes(value), ";")
    yield from (text, re.sub(r" system$", "", text))
    yield re.sub(r"(?: system)?(?:,? based on| influenced by| with ).*", "", text)


def region(value: str) -> Iterator[str]:
    """The part of the world, with and without a direction."""
    text = re.split(r",|;| bordering", value)[0].strip()
    if text[:1].isupper() and len(text.split()) <= 4:
        yield text
        direction = r"^(?:\w+ern |\w+-\w+ |(?:Central|North|South|East|West) (?=Africa|Asia|Europe))(?=[A-Z])"
        yield re.sub(direction, "", text)


def names(value: str) -> Iterator[str]:
    """Names of a country separated by commas or slashes, without the language in brackets."""
    for item in split_outside_brackets(without_notes(value), ",;/"):
        if item[:1].isupper() and len(bare(item).split()) <= 6:
            yield item if re.search(r"\) \w", item) else bare(item)


def formal_name(value: str) -> Iterator[str]:
    """A name that may contain commas and brackets, up to the first semicolon."""
    yield first_outside_brackets(without_notes(value), ";")


def people(value: str) -> Iterator[str]:
    """Names of the people: "Motswana (singular), Batswana (plural)" yields both."""
    for item in re.split(r"[,;/]| or ", without_notes(value)):
        name = bare(re.sub(r"\(.*", "", item.strip()))
        if name[:1].isupper() and name not in ("NA",):
            yield from (name, item.strip())


def matching(pattern: str) -> Reader:
    """A reader of the first match of a regular expression: its groups, or the whole match."""

    def read(value: str) -> Iterator[str]:
        match = re.search(pattern, value)
        if match:
            yield from (group for group in match.groups() or (match[0],) if group)

    return read


def time_zone(value: str) -> Iterator[str]:
    """The offset from UTC, and the hours from Washington."""
    yield from re.findall(r"^UTC ?[-+]?[\d.:]+", value)
    yield from re.findall(r"\((\d+(?:\.\d+)? hours? (?:ahead of|behind) Washington, DC)", value)
