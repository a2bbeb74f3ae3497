"""Converts wikitext to prose: templates, tables, references and markup are removed, link texts are remembered.

mwparserfromhell splits the markup into tokens, which are read here once, from left to right. Building its tree from
them would take most of the time, and most of the tree would be references. Runs in the child processes of
`page_worker.py`, so the input may be anything.
"""

from __future__ import annotations

import html
import importlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, NamedTuple

from openrealm.corpus.clean import clean_text
from openrealm.corpus.sentences import sentence_bounds
from openrealm.corpus.sources import formulas, marks, templates
from openrealm.corpus.sources.marks import APOSTROPHE, CLOSE, FRACTION, LOST_ELEMENT, OPEN
from openrealm.corpus.sources.namespaces import UNKNOWN, LinkKind, Wiki
from openrealm.corpus.sources.quotes import without_quotes
from openrealm.corpus.sources.unpaired import without_unpaired
from openrealm.corpus.sources.variants import one_variant
from openrealm.corpus.superscripts import superscript
from openrealm.types import Span

_KEPT_EMPTY = {"br", "p", "div", "li", "dt", "dd", "hr", "tr", "blockquote", "center", "poem"}
_TAG_NAMES = """
ref references gallery timeline score hiero graph mapframe maplink imagemap syntaxhighlight source table
style templatestyles script pre inputbox categorytree indicator section includeonly tr td th
"""
_DROPPED_TAGS = frozenset(_TAG_NAMES.split())
_FORMULA_TAGS = {"math", "chem", "ce"}
# Sections of links and notes instead of prose, in the languages of the largest wikis; compared in lower case.
_SECTION_NAMES = """
references;notes;footnotes;citations;sources;bibliography;further reading;external links;see also;related pages
other websites;notes and references;gallery;einzelnachweise;weblinks;literatur;siehe auch;références
notes et références;liens externes;voir aussi;bibliographie;referencias;enlaces externos;véase también;bibliografía
note;collegamenti esterni;bibliografia;altri progetti;voci correlate;referências;ligações externas;ver também
примечания;ссылки;литература;см. также;външни препратки;източници;вижте също;бележки;przypisy;linki zewnętrzne
zobacz też;referenties;externe links;zie ook;bronnen;脚注;外部リンク;関連項目;参考文献;参考资料;外部链接;参见
"""
_DROPPED_SECTIONS = frozenset(re.split("[;\n]", _SECTION_NAMES.strip()))
# Leftovers of removed markup: patterns and their replacements.
_LEFTOVERS = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"__[A-Z]{3,30}__", ""),  # switches such as __NOTOC__
        (r"(?m)^ ?(?:\{\||\|\}|\|).*$", ""),  # lines of a table that was never closed
        (r"\{\{+|\}\}+|\[\[+|\]\]+|\{\||\|\}", ""),
        (r" ?(?:\(\s*(?:[,;:/–—-]\s*)*\)|\[\s*\])", ""),  # empty brackets
        (r"\(\s*(?:[,;]\s*)+", "("),
        (rf"(?<=\d){FRACTION}", " "),
        (FRACTION, ""),
        (rf"{OPEN}(\s+)", rf"\1{OPEN}"),
        (rf"(?<!\s)(\s+){CLOSE}", rf"{CLOSE}\1"),
        (f"{OPEN}{CLOSE}", ""),
        (r" ([,;.)])(?=\s|[,;.)]|$)", r"\1"),
    )
)
_LIST_MARKS = ("*", "#", ":", ";")
_NOT_SHOWN = {LinkKind.FILE, LinkKind.CATEGORY, LinkKind.LANGUAGE}

_QUALIFIER = re.compile(r"\s*(?:\([^()]*\)|,.*)$")
_COMMENT, _COMMENT_OR_NOWIKI = re.compile("<!--"), re.compile("<!--|<nowiki>")
_MAX_NAME = 80
_PLACEHOLDER = "Lost"  # a lost element while sentences are found
_MARKED = re.compile(f"({OPEN}|{CLOSE}|{LOST_ELEMENT.pattern.replace('(', '').replace(')', '')})")
_WORD = re.compile(r"\w")
_BOXES = re.compile(rf"^\s*(?:{LOST_ELEMENT.pattern}\s*)+(?=''')")
_NOTES = re.compile(rf"(?<=[.!?。！？…])([\"”»’)]*)(?:{LOST_ELEMENT.pattern})+(?=\s|$)")

_Token = dict[str, Any]  # a token of the parser; the name of its class is its kind
_ENTITY_SIGNS = {"HTMLEntityNumeric": "#", "HTMLEntityHex": "x"}
_DEPTHS = {
    **dict.fromkeys(("TemplateOpen", "ArgumentOpen", "WikilinkOpen", "ExternalLinkOpen", "TagOpenOpen"), 1),
    **dict.fromkeys(("TemplateClose", "ArgumentClose", "WikilinkClose", "ExternalLinkClose", "TagCloseClose"), -1),
    **{"TagCloseSelfclose": -1, "HeadingStart": 1, "HeadingEnd": -1, "CommentStart": 1, "CommentEnd": -1},
    **{"HTMLEntityStart": 1, "HTMLEntityEnd": -1},
}


class Prose(NamedTuple):
    """A page's text, and the ranges of its links to articles in it, of the kind "entity".

    lost  names of the elements for whose sake sentences were left out, one for each sentence
    """

    text: str
    mentions: tuple[Span, ...]
    lost: tuple[str, ...] = ()


def plain_text(markup: str, wiki: Wiki = UNKNOWN) -> Prose:
    """Cleaned prose of a page.

    markup  the page's wikitext, with XML entities resolved
    Headings end a paragraph and are dropped, as are whole sections of references and links. A sentence with a template
    or formula whose words are not known is left out.
    """
    markup = _without_comments(marks.ANY.sub("", markup).replace("\0", ""))  # the parser stops at NUL
    reader = _Reader(_tokens_of(without_unpaired(markup)), wiki)
    raw = one_variant(marks.signs_as_text(reader.page()))
    raw = "\n".join(without_quotes(_without_harmless(line)) for line in raw.split("\n")).replace(APOSTROPHE, "'")
    raw = clean_text(raw, entities=False)
    for pattern, new in _LEFTOVERS:
        raw = pattern.sub(new, raw)
    return _finished(clean_text(raw, entities=False), reader.lost)


def _without_comments(markup: str) -> str:
    """`markup` without comments; one that is not closed extends to the end.

    The parser would take quadratic time for comments that are not closed.
    """
    parts: list[str] = []
    start = at = 0
    pattern = _COMMENT_OR_NOWIKI
    while match := pattern.search(markup, at):
        at = match.end()
        is_comment = match.group() == "<!--"
        end = markup.find("-->" if is_comment else "</nowiki>", at)
        if is_comment:
            parts.append(markup[start : match.start()])
            start = at = len(markup) if end < 0 else end + len("-->")
        elif end < 0:
            pattern = _COMMENT
        else:
            at = end
    return "".join([*parts, markup[start:]])


def _tokens_of(markup: str) -> Iterable[_Token]:
    parser: Any = importlib.import_module("mwparserfromhell.parser")
    tokens: list[_Token] = parser.Parser()._tokenizer.tokenize(markup, 0, True)  # apostrophes stay: see `quotes.py`
    return tokens


class _Reader:
    """Converts tokens to text, with link texts between marks. A node is everything between two matching tokens."""

    def __init__(self, tokens: Iterable[_Token], wiki: Wiki) -> None:
        self._tokens, self._wiki = iter(tokens), wiki
        self.lost: list[str] = []

    def page(self) -> str:
        """The whole text without headings and without sections that are lists of links."""
        parts: list[str] = []
        dropped_level = 0
        for token in self._tokens:
            if _kind(token) == "HeadingStart":
                if not dropped_level or token["level"] <= dropped_level:
                    name = clean_text(_plain(self._until("HeadingEnd")[0])).casefold()
                    dropped_level = token["level"] if name in _DROPPED_SECTIONS else 0
                parts.append("\n")
            else:
                text = self._node(token)
                parts += [] if dropped_level else [text]
        return "".join(parts)

    def _until(self, *ends: str) -> tuple[str, str]:
        """Text up to a token of one of these kinds, and its kind."""
        parts: list[str] = []
        for token in self._tokens:
            kind = _kind(token)
            if kind in ends:
                return "".join(parts), kind
            parts.append(token["text"] if kind == "Text" else self._node(token))
        raise ValueError(f"no {' or '.join(ends)} follows")

    def _skip(self) -> bool:
        """Skip the rest of a node, and return whether it extends over several lines."""
        depth = 1
        has_lines = False
        for token in self._tokens:
            kind = _kind(token)
            has_lines = has_lines or (kind == "Text" and "\n" in token["text"])
            depth += _DEPTHS.get(kind, 0)
            if not depth:
                break
        return has_lines

    def _node(self, token: _Token) -> str:
        """Text of the node that begins with a token; delimiters within a node, such as "=", are not text."""
        kind = _kind(token)
        if kind == "Text":
            return str(token["text"])
        handler = _HANDLERS.get(kind)
        if handler:
            return handler(self, token)
        if _DEPTHS.get(kind, 0) > 0:
            self._skip()
        return ""

    def _heading(self, token: _Token) -> str:
        self._skip()
        return "\n"

    def _entity(self, token: _Token) -> str:
        parts = []
        for part in self._tokens:
            if _kind(part) == "HTMLEntityEnd":
                break
            parts.append(_ENTITY_SIGNS.get(_kind(part)) or part["text"])
        return _as_text(marks.ANY.sub("", html.unescape(f"&{''.join(parts)};")))

    def _external(self, token: _Token) -> str:
        address, end = self._until("ExternalLinkSeparator", "ExternalLinkClose")
        if end == "ExternalLinkSeparator":
            return self._until("ExternalLinkClose")[0]
        return "" if token.get("brackets") else address

    def _argument(self, token: _Token) -> str:
        """{{{name|default}}}: outside templates, the default is shown."""
        _, end = self._until("ArgumentSeparator", "ArgumentClose")
        return self._until("ArgumentClose")[0] if end == "ArgumentSeparator" else ""

    def _template(self, token: _Token) -> str:
        name, end = self._until("TemplateParamSeparator", "TemplateClose")
        head, colon, rest = name.partition(":")
        if colon and templates.is_function(head):
            values = self._values(end)
            given = [value if key.isdigit() else f"{key}={value}" for key, value in values.items()]
            shown = templates.call_function(head, [rest, *given], self._wiki.language)
        else:
            renderer = templates.find(name, self._wiki.language)
            if renderer is None or renderer is templates.nothing:
                has_lines = end == "TemplateParamSeparator" and self._skip()
                return "" if renderer or has_lines else self._lost(name)
            shown = renderer(templates.Call(name, self._values(end), self._wiki.language))
        return self._lost(name) if shown is None else shown

    def _values(self, end: str) -> dict[str, str]:
        """Parameters of a template, after the token of the kind `end`; those without a name are "1", "2", ..."""
        values: dict[str, str] = {}
        num_unnamed = 0
        while end != "TemplateClose":
            value, end = self._until("TemplateParamSeparator", "TemplateParamEquals", "TemplateClose")
            if end == "TemplateParamEquals":
                key = value.strip()
                value, end = self._until("TemplateParamSeparator", "TemplateClose")
            else:
                num_unnamed += 1
                key = str(num_unnamed)
            values[key] = value
        return values

    def _lost(self, name: str) -> str:
        """The mark of an element whose words are not known."""
        self.lost.append(" ".join(marks.ANY.sub("", name).split())[:_MAX_NAME])
        return marks.lost(len(self.lost) - 1)

    def _tag(self, token: _Token) -> str:
        name, end = self._until("TagAttrStart", "TagCloseOpen", "TagCloseSelfclose")
        name = name.strip().casefold()
        if name in _DROPPED_TAGS:
            if end != "TagCloseSelfclose":
                self._skip()
            return ""
        while end == "TagAttrStart":
            _, end = self._until("TagAttrStart", "TagCloseOpen", "TagCloseSelfclose")
        contents = ""
        if end == "TagCloseOpen":
            contents, _ = self._until("TagOpenClose")
            self._until("TagCloseClose")
        if name not in _KEPT_EMPTY:
            return self._inline(name, contents)
        mark = token.get("wiki_markup")
        is_inside_line = mark in _LIST_MARKS and mark != ":"  # "; term : meaning" is shown on two lines
        before, after = " " if is_inside_line else "\n", "" if mark else "\n"
        return f"{before}{contents}{after}"

    def _inline(self, name: str, contents: str) -> str:
        if name in _FORMULA_TAGS:
            shown = formulas.plain(contents)
            return self._lost(f"<{name}>") if shown is None else shown
        if name == "sup":
            return superscript(contents)
        return _as_text(contents) if name == "nowiki" else contents

    def _link(self, token: _Token) -> str:
        target, end = self._until("WikilinkSeparator", "WikilinkClose")
        shown = self._until("WikilinkClose")[0] if end == "WikilinkSeparator" else None
        target = _plain(target).strip()
        is_linked_to, target = target.startswith(":"), target.lstrip(":").strip()
        kind = self._wiki.kind_of(target, is_labelled=shown is not None)
        if kind in _NOT_SHOWN and not is_linked_to:
            return ""
        if shown is None:
            shown = target.partition("#")[0] or target
        elif not shown.strip():  # "[[Lima (city)|]]", which MediaWiki fills in when a page is saved
            shown = _QUALIFIER.sub("", target.partition("#")[0])
        else:
            shown = "\n".join(without_quotes(line) for line in shown.split("\n"))
        shown = _as_text(re.sub(f"[{OPEN}{CLOSE}]", "", shown))
        is_on_one_line = len(f"{shown}.".splitlines()) == 1
        return f"{OPEN}{shown}{CLOSE}" if kind == LinkKind.PAGE and is_on_one_line and shown.strip() else shown


_HANDLERS: dict[str, Callable[[_Reader, _Token], str]] = {
    "HTMLEntityStart": _Reader._entity,
    "HeadingStart": _Reader._heading,
    "ExternalLinkOpen": _Reader._external,
    "TemplateOpen": _Reader._template,
    "ArgumentOpen": _Reader._argument,
    "TagOpenOpen": _Reader._tag,
    "WikilinkOpen": _Reader._link,
}


def _kind(token: _Token) -> str:
    return type(token).__name__


def _as_text(shown: str) -> str:
    """Text whose apostrophes are not markup."""
    return shown.replace("'", APOSTROPHE)


def _plain(shown: str) -> str:
    """Text without marks, for comparisons."""
    return marks.ANY.sub("", without_quotes(shown).replace(APOSTROPHE, "'"))


def _without_harmless(line: str) -> str:
    """A line without marks of lost elements that cannot have shown words of a sentence.

    They stand alone, before the bold title of the article, or directly after a full stop, where only notes stand.
    """
    if marks.LOST not in line:
        return line
    if not _WORD.search(LOST_ELEMENT.sub("", line)):
        return ""
    return _NOTES.sub(r"\1", _BOXES.sub("", line))


def _finished(marked: str, lost_names: list[str]) -> Prose:
    """Text without marks and without the sentences with lost elements, and the links in it.

    Letters directly after a link belong to it.
    """
    parts: list[str] = []
    spans: list[Span] = []
    lost: list[tuple[int, str]] = []
    length = start = 0
    for piece in _MARKED.split(marked):
        if piece == OPEN:
            start = length
            continue
        if piece == CLOSE:
            spans.append(Span(start, length, "entity"))
            continue
        if match := LOST_ELEMENT.fullmatch(piece):
            lost.append((length, lost_names[int(match[1])]))
            piece = _PLACEHOLDER
        parts.append(piece)
        length += len(piece)
    text = "".join(parts)
    limits = [*(span.start for span in spans[1:]), len(text)]
    mentions = tuple(
        Span(span.start, _with_trail(text, span.end, limit), span.kind)
        for span, limit in zip(spans, limits, strict=False)
    )
    return _without_lost(text, mentions, lost) if lost else Prose(text, mentions)


def _without_lost(text: str, mentions: tuple[Span, ...], lost: list[tuple[int, str]]) -> Prose:
    """`text` without the sentences that contain one of the positions in `lost`."""
    parts: list[str] = []
    kept_mentions: list[Span] = []
    names: list[str] = []
    length = num_lost = num_mentions = 0
    for start, end in sentence_bounds(text):
        inside = lost[num_lost : bisect_left(lost, (end,))]
        within = mentions[num_mentions : bisect_left(mentions, end, key=attrgetter("start"))]
        num_lost, num_mentions = num_lost + len(inside), num_mentions + len(within)
        if not inside:
            shift = length - start
            kept_mentions += [Span(a + shift, b + shift, kind) for a, b, kind in within if b <= end]
            parts.append(text[start:end])
            length += end - start
            continue
        names.append(inside[0][1])
        if text[end - 1] == "\n" and parts and not parts[-1].endswith("\n"):
            last = parts.pop()
            parts.append(last.rstrip() + "\n")
            length += len(parts[-1]) - len(last)
    return Prose("".join(parts).rstrip(), tuple(kept_mentions), tuple(names))


def _with_trail(text: str, end: int, limit: int) -> int:
    while end < limit and text[end].islower():
        end += 1
    return end
