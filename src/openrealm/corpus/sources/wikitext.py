"""Converts wikitext to prose: templates, tables, references and markup are removed, link texts are remembered.

mwparserfromhell splits the markup into tokens, which are read here once, from left to right. Building its tree from
them would take most of the time, and most of the tree would be references. Runs in the child processes of
`page_worker.py`, so the input may be anything.
"""

from __future__ import annotations

import html
import importlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from openrealm.corpus.clean import clean_text
from openrealm.corpus.sources.namespaces import UNKNOWN, LinkKind, Wiki
from openrealm.corpus.sources.quotes import without_quotes
from openrealm.corpus.sources.variants import one_variant
from openrealm.types import Span

# Noncharacters: a link's text is marked while the text is cleaned, so that its position survives; an apostrophe that
# is text, not markup.
_OPEN, _CLOSE, _APOSTROPHE = "\ufdd0", "\ufdd1", "\ufdd2"
_LINK_MARKS = re.compile(f"[{_OPEN}{_CLOSE}]")
_MARKS = re.compile("[\ufdd0-\ufdef]")
_KEPT_EMPTY = {"br", "p", "div", "li", "dt", "dd", "hr", "tr", "blockquote", "center", "poem"}
_TAG_NAMES = """
ref references gallery math chem ce timeline score hiero graph mapframe maplink imagemap syntaxhighlight source table
style templatestyles script pre inputbox categorytree indicator section includeonly tr td th
"""
_DROPPED_TAGS = frozenset(_TAG_NAMES.split())
# Templates whose text belongs to the sentence, with the unnamed parameters that it consists of.
_TEXT_TEMPLATES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("convert", "cvt"), ("1", "2")),
    **dict.fromkeys(("lang", "langx", "transl", "transliteration"), ("2",)),
    **dict.fromkeys(("nowrap", "nobr", "nobold", "small", "abbr", "ill", "visible anchor", "nihongo", "gaps"), ("1",)),
}
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
        (rf"\b(?:https?|ftp)://[^\s{_OPEN}{_CLOSE}]+", ""),
        (r" ?(?:\(\s*(?:[,;:/–—-]\s*)*\)|\[\s*\])", ""),  # empty brackets
        (r"\(\s*(?:[,;]\s*)+", "("),
        (rf"{_OPEN}(\s+)", rf"\1{_OPEN}"),
        (rf"(\s+){_CLOSE}", rf"{_CLOSE}\1"),
        (f"{_OPEN}{_CLOSE}", ""),
        (r" ([,;.)])(?=\s|[,;.)]|$)", r"\1"),
    )
)
_LIST_MARKS = ("*", "#", ":", ";")
_NOT_SHOWN = {LinkKind.FILE, LinkKind.CATEGORY, LinkKind.LANGUAGE}

_Token = dict[str, Any]  # a token of the parser; the name of its class is its kind
_ENTITY_SIGNS = {"HTMLEntityNumeric": "#", "HTMLEntityHex": "x"}
_DEPTHS = {
    **dict.fromkeys(("TemplateOpen", "ArgumentOpen", "WikilinkOpen", "ExternalLinkOpen", "TagOpenOpen"), 1),
    **dict.fromkeys(("TemplateClose", "ArgumentClose", "WikilinkClose", "ExternalLinkClose", "TagCloseClose"), -1),
    **{"TagCloseSelfclose": -1, "HeadingStart": 1, "HeadingEnd": -1, "CommentStart": 1, "CommentEnd": -1},
    **{"HTMLEntityStart": 1, "HTMLEntityEnd": -1},
}


def plain_text(markup: str, wiki: Wiki = UNKNOWN) -> tuple[str, tuple[Span, ...]]:
    """Cleaned prose of a page, and the ranges of its links to articles in it, of the kind "entity".

    markup  the page's wikitext, with XML entities resolved
    Headings end a paragraph and are dropped, as are whole sections of references and links.
    """
    markup = _MARKS.sub("", markup).replace("\0", "")  # the parser stops at NUL
    raw = _Reader(_tokens_of(markup), wiki).page()
    raw = "\n".join(without_quotes(line) for line in one_variant(raw).split("\n")).replace(_APOSTROPHE, "'")
    raw = clean_text(raw, entities=False)
    for pattern, new in _LEFTOVERS:
        raw = pattern.sub(new, raw)
    return _without_marks(clean_text(raw, entities=False))


def _tokens_of(markup: str) -> Iterable[_Token]:
    parser: Any = importlib.import_module("mwparserfromhell.parser")
    tokens: list[_Token] = parser.Parser()._tokenizer.tokenize(markup, 0, True)  # apostrophes stay: see `quotes.py`
    return tokens


class _Reader:
    """Converts tokens to text, with link texts between marks. A node is everything between two matching tokens."""

    def __init__(self, tokens: Iterable[_Token], wiki: Wiki) -> None:
        self._tokens, self._wiki = iter(tokens), wiki

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

    def _skip(self) -> str:
        """Skip the rest of a node."""
        depth = 1
        for token in self._tokens:
            depth += _DEPTHS.get(_kind(token), 0)
            if not depth:
                break
        return ""

    def _node(self, token: _Token) -> str:
        """Text of the node that begins with a token; delimiters within a node, such as "=", are not text."""
        kind = _kind(token)
        if kind == "Text":
            return str(token["text"])
        handler = _HANDLERS.get(kind)
        if handler:
            return handler(self, token)
        return self._skip() if _DEPTHS.get(kind, 0) > 0 else ""

    def _heading(self, token: _Token) -> str:
        self._skip()
        return "\n"

    def _entity(self, token: _Token) -> str:
        parts = []
        for part in self._tokens:
            if _kind(part) == "HTMLEntityEnd":
                break
            parts.append(_ENTITY_SIGNS.get(_kind(part)) or part["text"])
        return _as_text(_MARKS.sub("", html.unescape(f"&{''.join(parts)};")))

    def _external(self, token: _Token) -> str:
        _, end = self._until("ExternalLinkSeparator", "ExternalLinkClose")
        return self._until("ExternalLinkClose")[0] if end == "ExternalLinkSeparator" else ""

    def _template(self, token: _Token) -> str:
        name, end = self._until("TemplateParamSeparator", "TemplateClose")
        name = name.strip().casefold().replace("_", " ")
        if name not in _TEXT_TEMPLATES:
            return self._skip() if end == "TemplateParamSeparator" else ""
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
        return " ".join(values[key] for key in _TEXT_TEMPLATES[name] if key in values)

    def _tag(self, token: _Token) -> str:
        name, end = self._until("TagAttrStart", "TagCloseOpen", "TagCloseSelfclose")
        name = name.strip().casefold()
        if name in _DROPPED_TAGS:
            return self._skip() if end != "TagCloseSelfclose" else ""
        while end == "TagAttrStart":
            _, end = self._until("TagAttrStart", "TagCloseOpen", "TagCloseSelfclose")
        contents = ""
        if end == "TagCloseOpen":
            contents, _ = self._until("TagOpenClose")
            self._until("TagCloseClose")
        if name not in _KEPT_EMPTY:
            return _as_text(contents) if name == "nowiki" else contents
        mark = token.get("wiki_markup")
        before, after = " " if mark in _LIST_MARKS else "\n", "" if mark else "\n"
        return f"{before}{contents}{after}"

    def _link(self, token: _Token) -> str:
        target, end = self._until("WikilinkSeparator", "WikilinkClose")
        shown = self._until("WikilinkClose")[0] if end == "WikilinkSeparator" else None
        target = _plain(target).strip()
        is_linked_to, target = target.startswith(":"), target.lstrip(":").strip()
        kind = self._wiki.kind_of(target, is_labelled=shown is not None)
        if kind in _NOT_SHOWN and not is_linked_to:
            return ""
        if shown is None:
            shown = target.partition("#")[0]
        else:
            shown = "\n".join(without_quotes(line) for line in shown.split("\n"))
        shown = _as_text(_LINK_MARKS.sub("", shown))
        is_on_one_line = len(f"{shown}.".splitlines()) == 1
        return f"{_OPEN}{shown}{_CLOSE}" if kind == LinkKind.PAGE and is_on_one_line and shown.strip() else shown


_HANDLERS: dict[str, Callable[[_Reader, _Token], str]] = {
    "HTMLEntityStart": _Reader._entity,
    "HeadingStart": _Reader._heading,
    "ExternalLinkOpen": _Reader._external,
    "TemplateOpen": _Reader._template,
    "TagOpenOpen": _Reader._tag,
    "WikilinkOpen": _Reader._link,
}


def _kind(token: _Token) -> str:
    return type(token).__name__


def _as_text(shown: str) -> str:
    """Text whose apostrophes are not markup."""
    return shown.replace("'", _APOSTROPHE)


def _plain(shown: str) -> str:
    """Text without marks, for comparisons."""
    return _MARKS.sub("", without_quotes(shown).replace(_APOSTROPHE, "'"))


def _without_marks(marked: str) -> tuple[str, tuple[Span, ...]]:
    """Text without marks, and the ranges between them; letters directly after a link belong to it."""
    parts: list[str] = []
    spans: list[Span] = []
    length = start = 0
    for piece in re.split(f"({_OPEN}|{_CLOSE})", marked):
        if piece == _OPEN:
            start = length
        elif piece == _CLOSE:
            spans.append(Span(start, length, "entity"))
        else:
            parts.append(piece)
            length += len(piece)
    text = "".join(parts)
    limits = [*(span.start for span in spans[1:]), len(text)]
    return text, tuple(
        Span(span.start, _with_trail(text, span.end, limit), span.kind)
        for span, limit in zip(spans, limits, strict=False)
    )


def _with_trail(text: str, end: int, limit: int) -> int:
    while end < limit and text[end].islower():
        end += 1
    return end
