"""PDF files, read by PDFium.

Its text is in the order in which it was drawn, which keeps the columns of nearly all typeset pages together, and it
tells where each character is: gaps between paragraphs and the width of a line come from there.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from openrealm.corpus.readers import Document
from openrealm.corpus.readers.decode import read_bytes
from openrealm.corpus.readers.heads import without_heads
from openrealm.corpus.readers.lines import Extent, Page, SourceLine, pieces
from openrealm.errors import BadInput, NotInstalled
from openrealm.types import DEFAULT_LIMITS, Limits

_SLACK = 0.04
_HYPHEN_AT_LINE_END = "\x02"
_SPACES = re.compile(r"[^\S\r\n]+")
_MIN_GUTTER = 1.4  # width of a gap between columns, in heights of a letter
_MIN_COLUMN_LINES = 4
_MIN_LOWER = 0.4  # share of a column's lines that begin with a small letter; those of a table hardly do
_PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
# What programs write as a title when nobody gave one.
_NO_TITLE = re.compile(
    r"\s*|untitled.*|\(?(?:anonymous|unspecified|unknown|no title)\)?|microsoft (?:word|powerpoint|excel)\b.*"
    r"|.*\.(?:docx?|rtf|odt|tex|dvi|ps|pdf|indd|qxd|pptx?|xlsx?|html?|txt)"
    r"|(?:document|dokument|page|slide|scan|layout)\s?\d*|[\W\d_]*",
    re.IGNORECASE | re.DOTALL,
)


class _Drawn(NamedTuple):
    """A line as it is drawn, in points from the lower left corner of the page."""

    text: str
    position: int
    left: float
    right: float
    first_right: float
    bottom: float
    top: float


class _Gap(NamedTuple):
    """The parts of a line on both sides of a wide gap."""

    left: _Drawn
    right: _Drawn


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The text layer, page by page; pages without one are counted.

    A file that is encrypted without a password is read. Raises NotInstalled without PDFium, BadInput when the file is
    damaged, needs a password, or has too much text.
    """
    if importlib.util.find_spec("pypdfium2") is None:
        raise NotInstalled(f'Reading {path} needs pypdfium2; install it with: pip install "openrealm[pdf]".')
    import pypdfium2

    try:
        with pypdfium2.PdfDocument(read_bytes(path, limits)) as document:
            title = str(document.get_metadata_dict().get("Title", ""))
            pages = _pages(document, path, limits)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD_ERROR:
            raise BadInput(f"{path} needs a password; remove the password or the file.") from error
        raise BadInput(f"{path} is damaged and could not be read as PDF; repair it or remove it.") from error
    counts: dict[str, int] = {}
    if num_blank := sum(not any(line.text.strip() for line in page) for page in pages):
        counts["page without text"] = num_blank
    pages, num_dropped = without_heads(pages)
    if num_dropped:
        counts["page header or footer"] = num_dropped
    found = tuple(pieces((part for page in pages for part in _columns(page)), slack=_SLACK))
    return Document("" if _NO_TITLE.fullmatch(title) else title, found, counts)


def _pages(document: Any, path: Path, limits: Limits) -> list[Page]:
    """The lines of every page, with their extents in columns of the document's usual character width."""
    drawn: list[list[_Drawn]] = []
    num_characters = 0
    for page in document:
        drawn.append(_in_order(list(_lines(page, limits))))
        page.close()
        num_characters += sum(len(line.text) for line in drawn[-1])
        if num_characters > limits.max_file_mb << 20:
            raise BadInput(
                f"{path} has more than {limits.max_file_mb << 20:,} characters of text; split it or raise "
                "corpus.max_file_mb."
            )
    widths = [(line.right - line.left) / len(line.text) for lines in drawn for line in lines if len(line.text) > 9]
    unit = max(median(widths), 0.1) if widths else 5.0
    return [
        [SourceLine(line.text, line.position, number, _extent(line, unit)) for line in lines]
        for number, lines in enumerate(drawn, start=1)
    ]


def _extent(line: _Drawn, unit: float) -> Extent:
    first = round((line.first_right - line.left) / unit) + 1
    return Extent(line.left / unit, line.right / unit, first, line.bottom, line.top)


def _lines(page: Any, limits: Limits) -> Iterator[_Drawn]:
    import pypdfium2.raw as pdfium

    text_page = page.get_textpage()
    try:
        codes = [pdfium.FPDFText_GetUnicode(text_page.raw, i) for i in range(text_page.count_chars())]
        characters = "".join(map(chr, codes))
        drawn: list[tuple[_Drawn, _Gap | None]] = []
        start = 0
        for match in re.finditer(rf"{_HYPHEN_AT_LINE_END}|[\r\n]+|\Z", characters):
            is_divided = match.group() == _HYPHEN_AT_LINE_END
            line = _drawn(text_page, characters, start, match.start(), is_divided)
            if line is not None:
                drawn.append((line, _gap(text_page, characters, start, match.start(), is_divided)))
            start = match.end()
        for line in _apart(drawn):
            yield line._replace(text=line.text[: limits.max_line_characters])
    finally:
        text_page.close()


def _gap(text_page: Any, characters: str, start: int, end: int, is_divided: bool) -> _Gap | None:
    """The widest gap between two words of a line, if it may lie between two columns."""
    widest = 0.0
    place = None
    for space in _SPACES.finditer(characters, start, end):
        if space.start() > start and space.end() < end:
            width = text_page.get_charbox(space.end())[0] - text_page.get_charbox(space.start() - 1)[2]
            widest, place = (width, space) if width > widest else (widest, place)
    if place is None:
        return None
    left = _drawn(text_page, characters, start, place.start(), is_divided=False)
    right = _drawn(text_page, characters, place.end(), end, is_divided)
    if left is None or right is None or widest < _MIN_GUTTER * (left.top - left.bottom):
        return None
    return _Gap(left, right)


def _apart(lines: list[tuple[_Drawn, _Gap | None]]) -> Iterator[_Drawn]:
    """The lines with two columns that were drawn row by row one after the other, if both are running text.

    The gaps of such lines share the gutter; lines with words on one side of it only may follow.
    """
    rows: list[_Drawn] = []
    columns: tuple[list[_Drawn], list[_Drawn]] = ([], [])
    gutter = (0.0, 0.0)
    for line, gap in lines:
        if gap is not None:
            common = (max(gutter[0], gap.left.right), min(gutter[1] or gap.right.left, gap.right.left))
            parts: list[tuple[int, _Drawn]] = [(0, gap.left), (1, gap.right)] if common[0] < common[1] else []
        else:
            common = gutter
            side = 0 if line.right <= gutter[0] else 1 if gutter[1] and line.left >= gutter[1] else None
            parts = [] if side is None else [(side, line)]
        if rows and (not parts or line.bottom > rows[-1].bottom):
            yield from _prose_or_rows(columns, rows)
            rows, columns, gutter = [], ([], []), (0.0, 0.0)
            parts = [(0, gap.left), (1, gap.right)] if gap is not None else []
            common = (gap.left.right, gap.right.left) if gap is not None else gutter
        if not parts:
            yield line
            continue
        rows.append(line)
        gutter = common
        for side, part in parts:
            columns[side].append(part)
    yield from _prose_or_rows(columns, rows)


def _prose_or_rows(columns: tuple[list[_Drawn], list[_Drawn]], rows: list[_Drawn]) -> Iterator[_Drawn]:
    is_prose = all(
        len(column) >= _MIN_COLUMN_LINES
        and sum(line.text[0].islower() for line in column[1:]) >= _MIN_LOWER * (len(column) - 1)
        for column in columns
    )
    return iter([*columns[0], *columns[1]] if is_prose else rows)


def _in_order(lines: list[_Drawn]) -> list[_Drawn]:
    """The lines with a head first and a foot last, whenever they were drawn: those set off from all the others."""
    for is_head in (True, False):
        if len(lines) > 2:
            ranked = sorted(range(len(lines)), key=lambda i: lines[i].bottom, reverse=is_head)
            edge, following = lines[ranked[0]], lines[ranked[1]]
            gap = edge.bottom - following.top if is_head else following.bottom - edge.top
            if gap > (edge.top - edge.bottom) / 2:
                lines.remove(edge)
                lines.insert(0 if is_head else len(lines), edge)
    return lines


def _drawn(text_page: Any, characters: str, start: int, end: int, is_divided: bool) -> _Drawn | None:
    line = characters[start:end]
    text = line.strip()
    if not text:
        return None
    first = start + len(line) - len(line.lstrip())
    word_end = first + len(text.split(None, 1)[0]) - 1
    left, bottom, _, top = text_page.get_charbox(first)
    _, _, first_right, _ = text_page.get_charbox(word_end)
    _, _, right, _ = text_page.get_charbox(first + len(text) - 1)
    valid = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").translate(_LIGATURES)
    shown = (valid + "-" * is_divided).replace("\0", "")
    return _Drawn(shown, first, left, right, first_right, bottom, top)


def _columns(page: Page) -> Iterator[Page]:
    """The columns of a page, in the order drawn, with a blank line where the gap between lines is wide.

    A column begins where a line is drawn higher than the one before it.
    """
    column: list[SourceLine] = []
    for line in page:
        if column and _extent_of(line).bottom > _extent_of(column[-1]).top:
            yield _spaced(column)
            column = []
        column.append(line)
    if column:
        yield _spaced(column)


def _spaced(column: list[SourceLine]) -> Page:
    steps = [_extent_of(line).bottom - _extent_of(following).bottom for line, following in pairwise(column)]
    usual = median([step for step in steps if step > 1] or [0.0])
    left = min(_extent_of(line).left for line in column)
    spaced: list[SourceLine] = []
    for line, step in zip(column, [0.0, *steps], strict=True):
        if usual and step > 1.35 * usual:
            spaced.append(SourceLine("", line.position, line.part))
        extent = _extent_of(line)
        spaced.append(line._replace(extent=extent._replace(left=extent.left - left, right=extent.right - left)))
    return spaced


def _extent_of(line: SourceLine) -> Extent:
    assert line.extent is not None
    return line.extent
