"""Which line ends of a plain text are wraps, decided by the text's own width.

A line was wrapped if the next word did not fit. That needs the width, which the text tells: most wrapped lines agree on
one. Where lines could have ended by choice (lists, verse, addresses, headings), how lines begin and end decides too:
in wrapped prose four of five lines begin with a small letter. Each sign of a wrap adds to the odds, and each sign of
an end subtracts; neighbouring lines count as well, since a block is mostly prose or mostly entries.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from openrealm.corpus.abbreviations import NEVER_LAST
from openrealm.corpus.readers import Joint, Piece
from openrealm.corpus.readers.hyphens import Words, is_unspaced, joint_after

# Log-odds of a wrap against an end, estimated on tests/data/lines.
_DIVIDED_WORD, _LOWER, _LOWER_AMONG_LOWER = 3.0, 2.0, 0.5
_OPEN, _UNFINISHED = 2.5, 0.8
_UPPER_AFTER_WORD, _UPPER_AFTER_STOP, _UPPER_AFTER_COMMA, _DIGIT = -1.6, -1.3, -2.0, -1.2
_CASELESS, _CASELESS_AFTER_STOP = 0.4, -1.7
_FULL, _FULL_ALONE, _FULL_ALONE_CASELESS = 2.5, 1.0, 1.8
_NEARLY_FULL, _SHORT, _VERY_SHORT = -0.3, -2.6, -3.2
_ENTRY, _MARKER, _TITLE, _CODE = -1.5, -4.0, -1.5, -2.0
_ITEM, _HANGING, _INDENTED, _DEDENTED = 2.0, 1.0, -1.5, -2.0
_NUM_NEIGHBOURS, _MOST_FROM_NEIGHBOUR, _MOST_FROM_NEIGHBOURS = 4, 2.0, 3.0
_MOST_FROM_DOCUMENT = 0.5
_NEVER = -99.0
_END: Joint = "\n"

_MIN_WIDTH = 21
_USUAL_WIDTH = 28
_LONG_WIDTH = 45
_MAX_WIDTH = 250
_MIN_SUPPORT = 3
_MIN_ENTRIES = 3

_QUOTED = re.compile(r"\s*(?:>\s?)+")
_RULE = re.compile(r"\s*(?:([-=_*~#+.^])\1{2,}|([-=_*~])(?: +\2){2,})\s*")
_MARKER_OF = re.compile(r"(?:([-*+•·‣◦▪–—])|\(?(?:(\d{1,3})|([A-Za-z])|([ivx]{1,5}))[.)]|(\[\d{1,3}\]))\s+(?=\S)")
_ENTRY_START = re.compile(r"[^\W\d_][\w.'/ -]{0,30}(?::|\s[–—-])\s")
_TABLE = re.compile(r"\S(?: {3,}|\t\s*)\S|\.{4,}|(?:\. ){3,}|(?:^|\s)\|(?:\s|$)|[│┃║]|^\+[-=+]{3,}")
_GAP = re.compile(r"\S {2,}(?=\S)")
_CODE_START = re.compile(r"[$%#>]|//|/\*|<[a-z/!]|[\w.\[\]]{1,60} ?=[^=]|\w{1,60}\(|[\w./-]{1,60} --?\w")
_CODE_ENDS = ("{", "}", ";")
_TABLE_PARTS = ("   ", "\t", "|", "....", ". . ", "│", "┃", "║", "+--", "+==")
_STOP = re.compile(r"[.!?…:;。！？：；؟۔।॥][\"'”’»)\]」』*_]*$")
_DIVIDED = re.compile(r"[^\W_][-\u2010\u2011\xad]$")
# Words that no sentence, heading or entry ends with, in the larger European languages.
_OPEN_WORD_NAMES = """
a an the of by and or to from with for at into onto than as that which whose my your his her its our their is was are
were der die das den dem des ein eine einen einem einer und oder von vom zu zum zur mit bei für durch als dass ist
le la les un une du des de et ou à au aux par pour avec dans sur que qui est el los las una y en con por para del al
il lo gli di da e nel della dei o os do dos das em het een van met voor и в на с из от по к у за для что
"""
_OPEN_WORDS = frozenset(_OPEN_WORD_NAMES.split())
_CHAPTER = re.compile(
    r"(?:chapter|part|section|appendix|book|volume|act|scene|letter|canto|kapitel|teil|abschnitt|chapitre|partie|livre|"
    r"cap[ií]tulo|parte|capitolo|libro)\s+(?:\d{1,3}|[IVXLC]{1,8})\b[^.!?]{0,80}[.:]?",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\(?<?(?:(?:https?|ftp)://|www\.)")
_CAPITALS = re.compile(r"[A-Z]{3}")
_MAX_HEADING = 80


class Extent(NamedTuple):
    """Where a line is drawn: its edges in columns, its first word's width, and its edges in points above the page's."""

    left: float
    right: float
    first: int
    bottom: float
    top: float


class SourceLine(NamedTuple):
    """A line of a file, with its place as in `types.Line`; a blank line has no text but white space.

    extent  where a line of a page is drawn; without it, columns are counted
    """

    text: str
    position: int = 0
    part: int = 0
    extent: Extent | None = None


@dataclass(slots=True)
class _Line:
    """A line that is not blank, measured: columns, not characters, since a CJK character is two columns wide."""

    text: str
    position: int
    part: int
    quote: str
    indent: int
    width: int
    first: int
    start: Literal["lower", "upper", "digit", "caseless"]
    stops: bool
    marker: str
    marker_width: int
    is_table: bool
    is_code: bool


Page = Sequence[SourceLine]


def pages_of(text: str) -> list[Page]:
    """The lines of a decoded file, in pages, which end at form feeds.

    >>> [[line.text for line in page] for page in pages_of("one\\ntwo\\fthree")]
    [['one', 'two'], ['three']]
    """
    pages: list[Page] = []
    position = 0
    for page in text.split("\f"):
        lines: list[SourceLine] = []
        for line in page.split("\n"):
            lines.append(SourceLine(line, position))
            position += len(line) + 1
        pages.append(lines)
    return pages


def pieces(pages: Iterable[Page], *, slack: float = 0.05) -> Iterator[Piece]:
    """The lines as pieces, each joined to the one before it if that was wrapped, be it over the end of a page.

    Rules ("-----") are dropped, and so are the marks of a quotation (">") within a paragraph. A line is a heading if
    it is underlined, or stands alone and is in capitals or begins like "Chapter 3"; other headings are lines of prose.

    slack   share of the width by which full lines may differ: more for proportional fonts, measured in characters

    >>> wrapped = "The mill at Polle was built in 1902 by\\nKarl Brandt, who came from\\nBremen."
    >>> [(piece.text, piece.joint) for piece in pieces(pages_of(wrapped))]
    [('The mill at Polle was built in 1902 by', '\\n'), ('Karl Brandt, who came from', ' '), ('Bremen.', ' ')]
    """
    blocks = list(_blocks(pages))
    widths = _Widths(blocks, slack)
    words = Words(line.text for block in blocks for line in block.lines)
    document = _MOST_FROM_DOCUMENT if widths.document else -_MOST_FROM_DOCUMENT
    has_case = any(line.start == "lower" for block in blocks for line in block.lines)
    for block in blocks:
        yield from _joined(block, widths, document, words, has_case)


class _Odds(NamedTuple):
    """Log-odds of a wrap; `is_explained`: by the marker, label or indentation there, which say nothing of others."""

    value: float
    is_explained: bool


class _Block(NamedTuple):
    lines: list[_Line]
    is_underlined: bool


def _blocks(pages: Iterable[Page]) -> Iterator[_Block]:
    """Lines between blank lines and rules; a sentence that goes on on the next page is in one block.

    The line before a rule of its own width is underlined.
    """
    block: list[_Line] = []
    for page in pages:
        texts = [number for number, line in enumerate(page) if line.text.strip()]
        for number in range(texts[0], texts[-1] + 1) if texts else ():
            line = page[number]
            rule = _RULE.fullmatch(line.text)
            if rule is None and line.text.strip():
                measured = _measured(line)
                if block and number == texts[0] and block[-1].stops and measured.start != "lower":
                    yield _Block(block, False)
                    block = []
                block.append(measured)
            elif block:
                yield from _ended(block, rule)
                block = []
    if block:
        yield _Block(block, False)


def _ended(block: list[_Line], rule: re.Match[str] | None) -> Iterator[_Block]:
    """A block before a blank line or a rule; an underlined line is a block of its own."""
    *before, last = block
    is_underlined = rule is not None and rule.group(1) is not None and abs(len(rule.group().strip()) - last.width) <= 3
    if before and is_underlined:
        yield _Block(before, False)
    yield _Block([last] if is_underlined else block, is_underlined)


def _measured(line: SourceLine) -> _Line:
    whole = line.text.rstrip()
    quoted = _QUOTED.match(whole)
    quote = quoted.group() if quoted is not None and quoted.end() < len(whole) else ""
    expanded = whole[len(quote) :].expandtabs()
    text = expanded.lstrip()
    indent = len(expanded) - len(text)
    width, first = indent + _columns(text), _first_columns(text)
    if line.extent is not None:
        indent, width, first = round(line.extent.left), round(line.extent.right), line.extent.first
    marked = _MARKER_OF.match(text)
    marker = _kind_of(marked) if marked is not None else ""
    content = text[marked.end() :] if marked is not None else text
    return _Line(
        text=whole[len(quote) :].strip() or whole.strip(),
        position=line.position,
        part=line.part,
        quote="".join(quote.split()),
        indent=indent,
        width=width,
        first=first,
        start=_start_of(content, text),
        stops=_STOP.search(text[-8:]) is not None,
        marker=marker,
        marker_width=marked.end() if marked is not None else 0,
        is_table=_is_table(text),
        is_code=text.endswith(_CODE_ENDS) or _CODE_START.match(text) is not None,
    )


def _kind_of(marked: re.Match[str]) -> str:
    return next(group if number == 1 else str(number) for number, group in enumerate(marked.groups(), 1) if group)


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(_width_of(character) for character in text)


def _width_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _first_columns(text: str) -> int:
    """Columns of what could not have been divided at the start of a line: a word, or one CJK character."""
    word = text[:_MAX_WIDTH].split(None, 1)[0]
    return _width_of(word[0]) if is_unspaced(word[0]) else _columns(word) + 1


def _start_of(content: str, text: str) -> Literal["lower", "upper", "digit", "caseless"]:
    first = content.lstrip("\"'“‘«„([{¿¡*_").lstrip()[:1]
    if first.islower():
        return "upper" if _ADDRESS.match(content) else "lower"  # an address may begin an entry
    if first.isdigit():
        return "digit"
    return "upper" if first.isupper() and text.upper() != text else "caseless"


def _is_table(text: str) -> bool:
    """Whether a line has columns; justified prose has many small gaps instead."""
    if not any(part in text for part in _TABLE_PARTS):
        return False
    return _TABLE.search(text) is not None and len(_GAP.findall(text)) < 4


class _Widths:
    """How wide the lines of a document are."""

    def __init__(self, blocks: Sequence[_Block], slack: float) -> None:
        self._slack = slack
        # Only ends before a small letter, or in a script without case, are surely wraps.
        ends = [
            (line.width, line.width + following.first)
            for block in blocks
            for line, following in pairwise(block.lines)
            if following.start in ("lower", "caseless") and not (line.is_table or following.is_table)
        ]
        width, support = _best_width(ends)
        least = max(_MIN_SUPPORT, (0.3 if width >= _USUAL_WIDTH else 0.8) * len(ends))
        self.document = width if support >= least or 1 < support == len(ends) else 0

    def odds(self, block: Sequence[_Line]) -> list[_Odds]:
        """How likely each line but the last was wrapped."""
        pairs = list(pairwise(block))
        if len(block) >= _MIN_ENTRIES and all(_ENTRY_START.match(line.text) for line in block):
            return [_Odds(_NEVER, True)] * len(pairs)  # a glossary, whose words may begin with a small letter
        ends = [(line.width, line.width + following.first) for line, following in pairs]
        width, _ = _best_width(ends, [line.width for line in block])
        return [self._odds_of(line, following, width, block) for line, following in pairs]

    def _odds_of(self, line: _Line, following: _Line, own_width: int, block: Sequence[_Line]) -> _Odds:
        if line.width > _MAX_WIDTH or line.is_table or following.is_table or line.quote != following.quote:
            return _Odds(_NEVER, True)
        if following.marker and following.marker == block[0].marker:
            return _Odds(_NEVER, True)
        fill = self._fill_odds(line, following, own_width)
        if _DIVIDED.search(line.text):
            return _Odds(_DIVIDED_WORD + max(fill, 0.0), False)
        is_entry = following.start != "lower" and _ENTRY_START.match(following.text) is not None
        is_indented = abs(following.indent - line.indent) > 1
        odds = fill + _words_odds(line, following, block, fill) + _indent_odds(line, following, fill)
        if is_entry:
            odds += _ENTRY
        if not line.stops and following.start == "upper" and _is_title(line.text):
            odds += _TITLE
        if line.is_code or following.is_code:
            odds += _CODE
        return _Odds(odds, is_entry or is_indented or bool(following.marker))

    def _fill_odds(self, line: _Line, following: _Line, own_width: int) -> float:
        """What the room for the next word says."""
        filled = line.width + following.first
        best = _VERY_SHORT
        for width in {self.document, own_width} - {0}:
            if width < _MIN_WIDTH or line.width > width * (1 + self._slack):
                continue
            room = width + 1 - filled
            if room <= 0:
                caseless = following.start == "caseless"
                alone = 0.0 if width < _USUAL_WIDTH else _FULL_ALONE_CASELESS if caseless else _FULL_ALONE
                best = max(best, _FULL if width == self.document else alone)
            elif room <= max(2, self._slack * width):
                best = max(best, _NEARLY_FULL)
            elif room <= 0.4 * width:
                best = max(best, _SHORT)
        return best if max(self.document, own_width) >= _MIN_WIDTH else _NEVER


def _best_width(ends: Sequence[tuple[int, int]], lines: Sequence[int] = ()) -> tuple[int, int]:
    """The width that most line ends agree on, and how many do: those with line <= width < line and next word.

    Each of `lines` that is wider counts against a width.
    """
    changes: Counter[int] = Counter(width for width in lines if width <= _MAX_WIDTH)
    for width, filled in ends:
        if width <= _MAX_WIDTH:
            changes[width] += 1
            changes[filled] -= 1
    support, most, best = 0, 0, 0
    for width in sorted(changes):
        support += changes[width]
        if support > most:
            best, most = width, support
    return best, most


def _is_open(word: str) -> bool:
    """Whether neither a sentence nor an entry ends with this word: "the", "Dr."."""
    return word.lower() in _OPEN_WORDS or (word[-1] == "." and word[:-1] in NEVER_LAST)


def _words_odds(line: _Line, following: _Line, block: Sequence[_Line], fill: float) -> float:
    """What the end of a line and the start of the next say."""
    if following.marker:
        return _MARKER
    is_open = _is_open(line.text[-12:].rsplit(None, 1)[-1])
    if following.start == "lower":
        return (_LOWER_AMONG_LOWER if block[0].start == "lower" else _LOWER) + is_open * _OPEN
    if is_open:
        return _OPEN
    is_unfinished = block[-1].stops and not line.stops and fill > 0 and line.width >= _LONG_WIDTH
    unfinished = _UNFINISHED if is_unfinished else 0.0
    if following.start == "digit":
        return _DIGIT + unfinished
    if following.start == "caseless":
        return _CASELESS_AFTER_STOP if line.stops else _CASELESS
    if line.stops:
        return _UPPER_AFTER_STOP
    return _UPPER_AFTER_COMMA if line.text.endswith(",") else _UPPER_AFTER_WORD + unfinished


def _indent_odds(line: _Line, following: _Line, fill: float) -> float:
    """What a change of indentation says: a full line goes on in a hanging one, or is the first of its paragraph."""
    if following.indent > line.indent + 1:
        is_item = line.marker and abs(following.indent - line.indent - line.marker_width) <= 1
        return _ITEM if is_item else _HANGING if fill > 0 else _INDENTED
    return _DEDENTED if following.indent < line.indent - 1 and fill <= 0 else 0.0


def _is_title(text: str) -> bool:
    words = [word for word in text.split() if len(word) > 3]
    return len(words) >= 2 and all(word[0].isupper() for word in words)


def _joined(block: _Block, widths: _Widths, document: float, words: Words, has_case: bool) -> Iterator[Piece]:
    lines = block.lines
    odds = widths.odds(lines)
    is_heading = block.is_underlined or (len(lines) == 1 and _is_heading(lines[0], has_case))
    text, joint, next_joint = lines[0].text, _END, _END
    prefix = f"{lines[0].quote} " if lines[0].quote else ""
    for number, (line, following) in enumerate(pairwise(lines)):
        if odds[number].value + _from_neighbours(odds, number) + document > 0:
            text, next_joint = joint_after(text, following.text, words)
        else:
            next_joint = _END
        yield Piece(prefix + text, line.position, line.part, "heading" if is_heading else "prose", joint)
        text, joint = following.text, next_joint
        prefix = f"{following.quote} " if following.quote and joint == _END else ""
    yield Piece(prefix + text, lines[-1].position, lines[-1].part, "heading" if is_heading else "prose", joint)


def _from_neighbours(odds: Sequence[_Odds], number: int) -> float:
    """What the line ends around one say about it, where they are not explained by what stands at them."""
    if odds[number].is_explained:
        return 0.0
    first = max(number - _NUM_NEIGHBOURS, 0)
    near = [each for each in odds[first : number + _NUM_NEIGHBOURS + 1] if not each.is_explained]
    values = [_clamped(each.value, _MOST_FROM_NEIGHBOUR) for each in near]
    return _clamped(sum(values) - _clamped(odds[number].value, _MOST_FROM_NEIGHBOUR), _MOST_FROM_NEIGHBOURS)


def _is_heading(line: _Line, has_case: bool) -> bool:
    text = line.text
    if len(text) > _MAX_HEADING or line.is_table or line.quote or text[-1] in ".,;":
        return False
    in_capitals = has_case and text == text.upper() and _CAPITALS.search(text) is not None
    return in_capitals or _CHAPTER.fullmatch(text) is not None


def _clamped(value: float, most: float) -> float:
    return max(-most, min(most, value))
