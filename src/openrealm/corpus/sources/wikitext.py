"""Wikitext into prose, by mwparserfromhell: templates, tables, references and markup go, link texts are remembered.

Runs in the boxed child processes of `page_worker.py`: what it is given may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from openrealm.corpus.clean import clean_text
from openrealm.types import Span

if TYPE_CHECKING:
    from mwparserfromhell.nodes import ExternalLink, HTMLEntity, Node, Tag, Template, Wikilink
    from mwparserfromhell.wikicode import Wikicode

# Noncharacters around a link's text while the text is cleaned, so that its place survives; texts may not hold them.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}]")
_KEPT_EMPTY = {"br", "p", "div", "li", "dt", "dd", "hr", "tr", "blockquote", "center", "poem"}
_TAG_NAMES = """
ref references gallery math chem ce timeline score hiero graph mapframe maplink imagemap syntaxhighlight source table
style templatestyles script pre inputbox categorytree indicator section includeonly tr td th
"""
_DROPPED_TAGS = frozenset(_TAG_NAMES.split())
# Templates whose text belongs to the sentence: which of their unnamed parameters it is made of.
_SPOKEN_TEMPLATES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("convert", "cvt"), (1, 2)),
    **dict.fromkeys(("lang", "langx", "transl", "transliteration"), (2,)),
    **dict.fromkeys(("nowrap", "nobr", "nobold", "small", "abbr", "ill", "visible anchor", "nihongo", "gaps"), (1,)),
}
# Sections of links and notes rather than prose, in the languages of the largest wikis; compared in lower case.
_SECTION_NAMES = """
references;notes;footnotes;citations;sources;bibliography;further reading;external links;see also;related pages
other websites;notes and references;gallery;einzelnachweise;weblinks;literatur;siehe auch;références
notes et références;liens externes;voir aussi;bibliographie;referencias;enlaces externos;véase también;bibliografía
note;collegamenti esterni;bibliografia;altri progetti;voci correlate;referências;ligações externas;ver também
примечания;ссылки;литература;см. также;външни препратки;източници;вижте също;бележки;przypisy;linki zewnętrzne
zobacz też;referenties;externe links;zie ook;bronnen;脚注;外部リンク;関連項目;参考文献;参考资料;外部链接;参见
"""
_DROPPED_SECTIONS = frozenset(re.split("[;\n]", _SECTION_NAMES.strip()))
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]{2,10})?|simple|commons|species|wikt|wiktionary|meta|mw", re.IGNORECASE)
# What is left over where markup was taken out: each pattern and what stands in its place.
_TIDIED = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"__[A-Z]{3,30}__", ""),  # switches such as __NOTOC__
        (r"(?m)^ ?(?:\{\||\|\}|\|).*$", ""),  # lines of a table that was never closed
        (r"\{\{+|\}\}+|\[\[+|\]\]+|'''?|\{\||\|\}", ""),
        (r"\b(?:https?|ftp)://\S+", ""),
        (r" ?(?:\(\s*(?:[,;:/–—-]\s*)*\)|\[\s*\])", ""),  # brackets with nothing in them
        (r"\(\s*(?:[,;]\s*)+", "("),
        (r" ([,;.)])(?=\s|[,;.)]|$)", r"\1"),
        (rf"{_OPEN}(\s+)", rf"\1{_OPEN}"),
        (rf"(\s+){_CLOSE}", rf"{_CLOSE}\1"),
        (f"{_OPEN}{_CLOSE}", ""),
    )
)
_LIST_MARKS = ("*", "#", ":", ";")


def plain_text(markup: str, dropped_namespaces: Iterable[str] = ()) -> tuple[str, tuple[Span, ...]]:
    """Cleaned prose of a page and the places of its links in it, of the kind "entity".

    markup              the page's wikitext, entities of the XML resolved
    dropped_namespaces  names of namespaces (in the wiki's language) whose links are no text: files, categories
    Headings end a paragraph and are left out, and so are whole sections of references and links.
    """
    import mwparserfromhell

    dropped = frozenset(name.casefold() for name in dropped_namespaces) | {"file", "image", "category", "media"}
    code = mwparserfromhell.parse(_MARKS.sub("", markup).replace("\0", ""))  # the parser takes NUL for the end
    raw = clean_text("".join(_Walk(dropped).sections(code)), entities=False)
    for pattern, new in _TIDIED:
        raw = pattern.sub(new, raw)
    return _taken_apart(clean_text(raw, entities=False))


class _Walk:
    """Texts of nodes, one after the other, link texts between marks."""

    def __init__(self, dropped_namespaces: frozenset[str]) -> None:
        self._dropped = dropped_namespaces

    def sections(self, code: Wikicode) -> Iterator[str]:
        """The page without headings and without sections that are lists of links."""
        from mwparserfromhell.nodes import Heading

        dropped_level = 0
        for node in code.nodes:
            if isinstance(node, Heading):
                if not dropped_level or node.level <= dropped_level:
                    name = clean_text("".join(self.texts(node.title))).translate({ord(_OPEN): None, ord(_CLOSE): None})
                    dropped_level = node.level if name.casefold() in _DROPPED_SECTIONS else 0
                yield "\n"
            elif not dropped_level:
                yield from self.node(node)

    def texts(self, code: Wikicode | None) -> Iterator[str]:
        """All nodes of a piece of code."""
        for node in code.nodes if code is not None else ():
            yield from self.node(node)

    def node(self, node: Node) -> Iterator[str]:
        """One node, by its kind; arguments and comments are no text."""
        handler = _HANDLERS.get(type(node).__name__)
        return handler(self, node) if handler else iter(())

    def text(self, node: Node) -> Iterator[str]:
        yield str(node)

    def entity(self, node: HTMLEntity) -> Iterator[str]:
        yield _MARKS.sub("", node.normalize() or "")

    def heading(self, node: Node) -> Iterator[str]:
        yield "\n"

    def external(self, node: ExternalLink) -> Iterator[str]:
        if node.title is not None:
            yield from self.texts(node.title)

    def template(self, node: Template) -> Iterator[str]:
        for number in _SPOKEN_TEMPLATES.get(str(node.name).strip().casefold().replace("_", " "), ()):
            if node.has(number):
                yield from self.texts(node.get(number).value)
                yield " " if number == 1 and node.has(2) and _is_measure(node) else ""

    def tag(self, node: Tag) -> Iterator[str]:
        name = str(node.tag).strip().casefold()
        if name in _DROPPED_TAGS:
            return
        if name in _KEPT_EMPTY:
            yield " " if node.wiki_markup in _LIST_MARKS else "\n"
        if node.contents is not None:
            yield from self.texts(node.contents)
        if name in _KEPT_EMPTY and not node.wiki_markup:
            yield "\n"

    def link(self, node: Wikilink) -> Iterator[str]:
        target = str(node.title).strip()
        prefix, colon, _ = target.lstrip(":").partition(":")
        is_other_page = not colon or (_folded(prefix) not in self._dropped and not _LANGUAGE.fullmatch(prefix.strip()))
        if not is_other_page and (not target.startswith(":") or node.text is None):
            return
        shown = "".join(self.texts(node.text)) if node.text is not None else target.lstrip(":").partition("#")[0]
        shown = _MARKS.sub("", shown)
        inner = clean_text(shown, entities=False)
        if inner and "\n" not in inner:
            lead, tail = shown[: len(shown) - len(shown.lstrip())], shown[len(shown.rstrip()) :]
            shown = f"{lead}{_OPEN}{inner}{_CLOSE}{tail}"
        yield shown


_HANDLERS: dict[str, Callable[[_Walk, Any], Iterator[str]]] = {
    "Text": _Walk.text,
    "HTMLEntity": _Walk.entity,
    "Heading": _Walk.heading,
    "ExternalLink": _Walk.external,
    "Template": _Walk.template,
    "Tag": _Walk.tag,
    "Wikilink": _Walk.link,
}


def _is_measure(node: Template) -> bool:
    return str(node.name).strip().casefold() in ("convert", "cvt")


def _folded(prefix: str) -> str:
    return prefix.replace("_", " ").strip().casefold()


def _taken_apart(marked: str) -> tuple[str, tuple[Span, ...]]:
    """Text without marks, and the ranges that stood between them; letters that follow a link at once belong to it."""
    parts: list[str] = []
    spans: list[Span] = []
    length = start = 0
    for piece in re.split(f"({_OPEN}|{_CLOSE})", marked):
        if piece == _OPEN:
            start = length
        elif piece == _CLOSE:
            if length > start:
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
