"""Which pages of a wiki are not articles, by rules on title and wikitext."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

MIN_CHARACTERS = 200

_REDIRECT = re.compile(r"\s*#[^\W\d_]+\s*:?\s*\[\[")
_DISAMBIGUATION = re.compile(
    r"\{\{\s*(?:disambig\w*|disamb|dab|(?:geo|hn|place|human name |school |hospital |airport )dis\w*"
    r"|disambiguation(?: cleanup| page)?"
    r"|surname|given name|set index[^{}|]*|begriffsklärung\w*|homonymie|desambigua\w+|disambigua|неоднозначность"
    r"|многозначность|пояснение|doorverwijspagina|dp|ujednoznacznienie|aimai|曖昧さ回避|消歧义\w*)\s*(?:\||\}\})"
    r"|__DISAMBIG__",
    re.IGNORECASE,
)
_DISAMBIGUATION_TITLE = re.compile(
    r"\((?:disambiguation|begriffsklärung|homonymie|desambiguación|desambiguação|disambigua|значения|пояснение|"
    r"doorverwijspagina|ujednoznacznienie|曖昧さ回避|消歧义|消歧義)\)$",
    re.IGNORECASE,
)
_LIST_TITLE = re.compile(
    r"(?:lists? of|index of|outline of|liste (?:der|des|de|von)|lista (?:de|di|degli|delle|dei)|anexo:|список|списък|"
    r"lijst van)\b|.*一覧$|.*列表$",
    re.IGNORECASE,
)


def title_reason(page: ET.Element, title: str) -> str:
    """Why a page is not an article, judging by its title and metadata; empty if it may be one."""
    if (page.findtext("ns") or "0").strip() != "0":
        return "other namespace"
    if page.find("redirect") is not None:
        return "redirect"
    if (page.findtext("revision/model") or "wikitext").strip() != "wikitext":
        return "not wikitext"
    if not title:
        return "no title"
    return title_rule(title)


def title_rule(title: str) -> str:
    """Why a page is not an article, judging by its title alone."""
    if _DISAMBIGUATION_TITLE.search(title):
        return "disambiguation"
    return "list" if _LIST_TITLE.match(title) else ""


def reason_to_skip(markup: str, text: str | None) -> str:
    """Why a page is not an article, judging by its wikitext and, if given, by the length of its text."""
    if _REDIRECT.match(markup):
        return "redirect"
    if _DISAMBIGUATION.search(markup):
        return "disambiguation"
    return "short" if text is not None and len(text) < MIN_CHARACTERS else ""
