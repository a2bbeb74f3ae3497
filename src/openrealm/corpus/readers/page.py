"""The text of an HTML page as a browser shows it, parsed by selectolax after the WHATWG's rules.

Blocks are lines, unknown and inline tags are nothing, white space collapses, a table's row is one line with ", "
between its cells, and what is hidden, or marked as navigation, is left out. Every reader whose library writes HTML,
such as Markdown's, uses it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from selectolax.lexbor import LexborHTMLParser, LexborNode

from openrealm.corpus.readers import Document, Piece
from openrealm.corpus.superscripts import superscript

POSITION = "data-position"
"""The attribute in which a tag carries its place in the source, as `Piece.position`."""

_BLOCKS_NAMES = """
address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure
footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li listing main menu nav ol optgroup option p
plaintext pre search section summary table tbody tfoot thead tr ul xmp
"""
_BLOCKS = frozenset(_BLOCKS_NAMES.split())
_HEADINGS = frozenset(["h1", "h2", "h3", "h4", "h5", "h6"])
_VERBATIM = frozenset(["listing", "plaintext", "pre", "textarea", "xmp"])
_NOT_SHOWN_NAMES = """
area audio base basefont bgsound canvas datalist head iframe link math meta noembed noframes noscript object param
rp script select style svg template title video
"""
_NOT_SHOWN = frozenset(_NOT_SHOWN_NAMES.split())
_NAVIGATION = frozenset(["nav", "search"])
_NAVIGATION_ROLES = frozenset(["alertdialog", "dialog", "menu", "menubar", "navigation", "search"])
# Boxes and pictures: words on both sides of one stand apart.
_APART = frozenset(["audio", "button", "canvas", "iframe", "img", "input", "object", "select", "video"])
_RAW = "iframe|noembed|noframes|noscript|plaintext|script|style|textarea|title|xmp"
_FORMATTING_NAMES = "a b big code em font i nobr s small strike strong tt u"
_FORMATTING = frozenset(_FORMATTING_NAMES.split())
# Never open at once in great numbers: they need no end tag, or have none.
_CLOSED_BY_OTHERS_NAMES = """
area base body br col colgroup dd dt embed head hr html img input li link meta optgroup option p param rp rt source
tbody td tfoot th thead tr track wbr
"""
_CLOSED_BY_OTHERS = frozenset(_CLOSED_BY_OTHERS_NAMES.split())
# Browsers stop nesting at 512 as well; the parser's time is proportional to the depth.
_MAX_DEPTH = 512
_MAX_FORMATTING = 16
_MAX_ATTRIBUTES = 500
_MAX_ROW_CHARACTERS = 1000
_SEARCHED_CHARACTERS = 5000

_TAG = re.compile(r"<(?:(!--)|(/?)([a-zA-Z][^\s/>]*))")
_RAW_END = {name: re.compile(rf"</{name}[\s/>]", re.IGNORECASE) for name in _RAW.split("|")}
_MARK = re.compile(rf" {POSITION}=\d+ ")
_HIDDEN_STYLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)
_PERMALINK_CLASS = re.compile(r"\b(?:headerlink|header-anchor|anchor-link|anchorjs-link|hash-link)\b")
_PERMALINK_SIGNS = frozenset(["¶", "§", "◆", "🔗"])
_PERMALINKS = _PERMALINK_SIGNS | {"", "#", "\u200b"}  # of headings
_REDIRECTION = re.compile(r"\s*[01](?:\.\d*)?\s*[;,]\s*url\s*=", re.IGNORECASE)
_NOTE_CLASS = re.compile(r"\b(?:foot)?note-?(?:ref|reference|backref)\b|\breversefootnote\b")
_NOTE_ROLES = frozenset(["doc-backlink", "doc-noteref"])
_NOTE_MARK = re.compile(r"\(?\[?(?:(?:note |nb )?\d{1,3}|[a-z]|[*†‡§¶]{1,3})\]?\)?")
_BACK = re.compile(r"[↩↵⏎↑^]\ufe0e?")
_JOINT = "\0"  # does not occur in a parsed page
_JOINT_OF_WORDS = re.compile(rf"(?<=\w){_JOINT}+(?=\w)")
_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60\U00020000-\U0003ffff"  # scripts without spaces between words
_WIDE_BREAK = re.compile(rf"(?<=[{_WIDE}])[ \t\r\f]*\n[ \t\r\f]*(?=[{_WIDE}])")
_SPACE = re.compile(r"[ \t\n\r\f]+")
_SPACES = re.compile(" {2,}")
_LINE_END = re.compile(r" *\n *")
_FIRST_WORD = re.compile(r"\w{1,40}")


def read_page(markup: str, source: str) -> Document:
    """The page's title (<title>, else its first <h1>) and pieces; none if the page leads to another one at once.

    source  the text that `markup` was made from; POSITION attributes are offsets in it
    """
    tree = LexborHTMLParser(_limited(markup))
    page = _Page(source)
    if not _is_redirection(tree):
        page.walk(tree.root)
    found = tree.css_first("head > title")
    title = _SPACE.sub(" ", _MARK.sub("", found.text())).strip() if found is not None else ""
    return Document(title or page.first_h1, tuple(page.pieces))


def _is_redirection(tree: LexborHTMLParser) -> bool:
    return any(
        (meta.attributes.get("http-equiv") or "").lower() == "refresh"
        and _REDIRECTION.match(meta.attributes.get("content") or "")
        for meta in tree.css("head > meta[content]")
    )


def with_positions(markup: str, offset: int = 0) -> str:
    """The page with a POSITION in every tag that begins a piece; `offset` is where the page begins in its source."""
    parts: list[str] = []
    done = 0
    for match in _tags(markup):
        if not match[2] and match[3].lower() not in _FORMATTING:
            parts += [markup[done : match.end()], f" {POSITION}={offset + match.end()} "]
            done = match.end()
    return "".join(parts) + markup[done:]


def _tags(markup: str) -> Iterator[re.Match[str]]:
    """Start and end tags outside comments and raw text; each character is looked at a bounded number of times."""
    place = 0
    while match := _TAG.search(markup, place):
        place = match.end()
        name = (match[3] or "").lower()
        if match[1]:
            end = markup.find("-->", match.start() + 2)
            if end < 0:
                return
            place = end + 3
            continue
        yield match
        if not match[2] and name in _RAW_END:
            closing = _RAW_END[name].search(markup, place)
            if closing is None:
                return
            place = closing.start()


def _limited(markup: str) -> str:
    """The page with no more levels than a browser's page has, and few attributes a tag; what elements hold stays."""
    num_open: Counter[str] = Counter()
    num_left_out: Counter[str] = Counter()
    depth = done = end = 0
    parts: list[str] = []
    for match in _tags(markup):
        name = match[3].lower()
        limit = _MAX_FORMATTING if name in _FORMATTING else _MAX_DEPTH
        is_left_out, change = False, 0
        if name == "noscript":  # raw text in a browser, which runs scripts; to the parser only under another name
            parts += [markup[done : match.start(3)], "noframes"]
            done = match.end()
        if name in _CLOSED_BY_OTHERS or name in _RAW_END:
            pass
        elif match[2]:
            is_left_out = num_left_out[name] > 0
            num_left_out[name] -= is_left_out
            change = -1 if num_open[name] and not is_left_out else 0
        else:
            is_left_out = num_open[name] >= limit or depth >= _MAX_DEPTH
            num_left_out[name] += is_left_out
            change = 0 if is_left_out else 1
        num_open[name] += change
        depth += change
        if is_left_out:
            parts += [markup[done : match.start()], "<br" if name in _BLOCKS else "<wbr"]
            done = match.end()
        if end < match.end():
            end = markup.find(">", match.end()) % (len(markup) + 1)
        if end - match.end() > _MAX_ATTRIBUTES and len(markup[match.end() : end].split()) > _MAX_ATTRIBUTES:
            parts.append(markup[done : match.end()])
            done = end
    return "".join(parts) + markup[done:]


class _Row:
    """A table's row while it is read: the pieces of each cell."""

    def __init__(self) -> None:
        self.cells: list[list[Piece]] = [[]]
        self.holds_table = False


class _Page:
    """Walks a tree and gathers what is shown."""

    def __init__(self, source: str) -> None:
        self.pieces: list[Piece] = []
        self.first_h1 = ""
        self._source = source
        self._parts: list[str] = []
        self._rows: list[_Row] = []
        self._lists: list[_Numbers | None] = []
        self._marker = ""
        self._heading = ""
        self._raised: list[int] = []
        self._link = self._link_before = ""
        self._num_verbatim = self._num_quotes = 0
        self._place = 0
        self._start: int | None = None

    def walk(self, root: LexborNode | None) -> None:
        """Add everything below `root`; without recursion, so that any depth can be read."""
        node, opened = root, list[tuple[LexborNode | None, str]]()
        while node is not None or opened:
            if node is None:
                node, name = opened.pop()
                self._close(name)
                continue
            name = node.tag or ""
            if name == "-text":
                self._text(node.text_content or "")
            elif not name.startswith(("-", "!")) and self._open(name, node):
                opened.append((node.next, name))
                node = node.first_child
                continue
            node = node.next
        self._end()

    def _text(self, text: str) -> None:
        if POSITION in text:  # inside raw text, such as a <textarea>
            text = _MARK.sub("", text)
        if not self._num_verbatim:
            text = _SPACE.sub(" ", _WIDE_BREAK.sub("", text) if "\n" in text else text)
        if self._start is None and text.strip():
            self._start = self._place
        if not self._link:
            self._link_before = ""
        self._parts.append(text)

    def _open(self, name: str, node: LexborNode) -> bool:
        """Whether what the element holds is shown."""
        attributes = node.attributes
        if name in _APART:
            self._parts.append(_JOINT)
        if name in _NOT_SHOWN or (attributes and _is_hidden(name, attributes)):
            return False
        if name in _NAVIGATION or (attributes.get("role") or "").strip().lower() in _NAVIGATION_ROLES:
            if name in _BLOCKS:
                self._break()
            return False
        if self._is_mark(name, attributes, node):
            return False
        if place := attributes.get(POSITION):
            self._place = int(place)
        if name in _BLOCKS:
            self._open_block(name, attributes)
        else:
            self._open_inline(name, attributes)
        return True

    def _open_inline(self, name: str, attributes: dict[str, str | None]) -> None:
        if name == "br":
            self._parts.append("\n")
        elif name in ("td", "th"):
            self._end()
            if self._rows:
                self._rows[-1].cells.append([])
        elif name == "textarea":
            self._num_verbatim += 1
        elif name == "rt":
            self._parts.append("(")
        elif name == "q":
            self._parts.append("‘" if self._num_quotes % 2 else "“")
            self._num_quotes += 1
        elif name == "sup":
            self._raised.append(len(self._parts))
        elif name == "a":
            self._link = attributes.get("href") or ""
            if self._link_before not in ("", self._link):
                self._parts.append(_JOINT)

    def _open_block(self, name: str, attributes: dict[str, str | None]) -> None:
        self._break()
        if name in _VERBATIM:
            self._end()
            self._num_verbatim += 1
        elif name in _HEADINGS:
            self._heading = name
        elif name == "tr":
            if self._rows:
                self._rows[-1].holds_table = True
            self._rows.append(_Row())
        elif name in ("ol", "ul", "menu", "dir"):
            self._lists.append(_Numbers(attributes) if name == "ol" else None)
        elif name == "li" and self._lists and (numbers := self._lists[-1]) is not None:
            self._marker = numbers.next(attributes)

    def _close(self, name: str) -> None:
        if name in _VERBATIM:
            if name != "textarea":
                self._end("code")
            self._num_verbatim -= 1
        elif name in _HEADINGS:
            self._end("heading")
            self._heading = ""
        elif name in _BLOCKS:
            self._break()
            if name == "tr":
                self._close_row(self._rows.pop())
            elif name in ("ol", "ul", "menu", "dir"):
                self._lists.pop()
        else:
            self._close_inline(name)

    def _close_inline(self, name: str) -> None:
        if name in ("td", "th"):
            self._end()
        elif name == "rt":
            self._parts.append(")")
        elif name == "q":
            self._num_quotes -= 1
            self._parts.append("’" if self._num_quotes % 2 else "”")
        elif name == "button":
            self._parts.append(_JOINT)
        elif name == "sup":
            start = self._raised.pop()
            self._parts[start:] = [superscript("".join(self._parts[start:]))]
        elif name == "a":
            self._link_before, self._link = self._link, ""

    def _is_mark(self, name: str, attributes: dict[str, str | None], node: LexborNode) -> bool:
        """Whether an element only helps to move about the page or to copy from it."""
        if name == "button":
            return self._num_verbatim > 0  # "Copy", over a program
        if name == "a" and self._is_permalink(attributes, node):
            return True
        return name in ("a", "sup") and _is_note_mark(name, attributes, node)

    def _is_permalink(self, attributes: dict[str, str | None], node: LexborNode) -> bool:
        return bool(_PERMALINK_CLASS.search(attributes.get("class") or "")) or (
            (attributes.get("href") or "").startswith("#")
            and node.text().strip() in (_PERMALINKS if self._heading else _PERMALINK_SIGNS)
        )

    def _break(self) -> None:
        """A block begins or ends: so does a line."""
        if not self._num_verbatim:
            self._end("heading" if self._heading else "prose")
        elif self._parts and not self._parts[-1].endswith("\n"):
            self._parts.append("\n")

    def _end(self, kind: Literal["prose", "heading", "code"] = "prose") -> None:
        """The piece that was gathered, if any, ends here."""
        text, start = "".join(self._parts), self._start
        self._parts, self._start, self._link_before = [], None, ""
        self._raised = [0] * len(self._raised)
        if start is None:
            return
        if _JOINT in text:
            text = (text if kind == "code" else _JOINT_OF_WORDS.sub(" ", text)).replace(_JOINT, "")
        text = text.strip("\n") if kind == "code" else _LINE_END.sub("\n", _SPACES.sub(" ", text)).strip()
        position = self._found(text, start)
        if self._marker and kind == "code":
            self._add(Piece(self._marker, position))
        elif self._marker:
            text = f"{self._marker} {text}"
        self._marker = ""
        self._add(Piece(text, position, kind=kind))
        if kind == "heading" and self._heading == "h1" and not self.first_h1:
            self.first_h1 = text.replace("\n", " ")

    def _found(self, text: str, place: int) -> int:
        """Where a piece begins in the source: at its first word, if that stands soon after `place`."""
        word = _FIRST_WORD.search(text)
        found = self._source.find(word.group(), place, place + _SEARCHED_CHARACTERS) if word else -1
        self._place = max(place, found)
        return self._place

    def _add(self, piece: Piece) -> None:
        (self._rows[-1].cells[-1] if self._rows else self.pieces).append(piece)

    def _close_row(self, row: _Row) -> None:
        """A row of data is one line; what a row of a layout holds stays apart."""
        cells = [cell for cell in row.cells if cell]
        pieces = [piece for cell in cells for piece in cell]
        is_long = sum(len(piece.text) for piece in pieces) > _MAX_ROW_CHARACTERS and len(pieces) > len(cells)
        if len(cells) < 2 or row.holds_table or is_long or any(piece.kind != "prose" for piece in pieces):
            for piece in pieces:
                self._add(piece)
        else:
            texts = [" ".join(piece.text for piece in cell).replace("\n", " ") for cell in cells]
            joined = "".join(text + (" " if text.endswith((",", ":", ";")) else ", ") for text in texts[:-1])
            self._add(Piece(joined + texts[-1], pieces[0].position))


def _is_hidden(name: str, attributes: dict[str, str | None]) -> bool:
    return (
        "hidden" in attributes
        or (name == "dialog" and "open" not in attributes)
        or bool(_HIDDEN_STYLE.search(attributes.get("style") or ""))
    )


def _is_note_mark(name: str, attributes: dict[str, str | None], node: LexborNode) -> bool:
    """Whether a link or raised text leads to a footnote or back."""
    if _NOTE_CLASS.search(attributes.get("class") or "") or attributes.get("role") in _NOTE_ROLES:
        return True
    if attributes.get("epub:type") == "noteref":
        return True
    if name == "sup":
        return bool(_NOTE_MARK.fullmatch(node.text().strip())) and node.css_first("a[href*='#']") is not None
    first = node.first_child
    if first is None or "#" not in (attributes.get("href") or ""):
        return False
    return bool((_NOTE_MARK if first.tag == "sup" else _BACK).fullmatch(node.text().strip()))


class _Numbers:
    """The numbers that a browser shows before the items of an ordered list."""

    def __init__(self, attributes: dict[str, str | None]) -> None:
        self._next = _integer(attributes.get("start"), 1)
        self._style = attributes.get("type") or "1"

    def next(self, attributes: dict[str, str | None]) -> str:
        """The next item's number as it is shown, such as "3." or "c."."""
        number = _integer(attributes.get("value"), self._next)
        self._next = number + 1
        if self._style in ("a", "A") and 1 <= number <= 26:
            return f"{chr(ord(self._style) + number - 1)}."
        return f"{number}."


def _integer(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch(r"-?[0-9]{1,9}", text) else default
