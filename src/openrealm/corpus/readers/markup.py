"""Converts Markdown and HTML to a title and plain text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from openrealm.corpus.clean import strip_tags

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_DEFINITION = re.compile(r" {0,3}\[[^\[\]]+\]:[ \t]+\S")
_TABLE_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_OPENING = re.compile(r"[ \t]*(?:(?:>[ \t]?|[-*+][ \t]+|\d{1,9}[.)][ \t]+)[ \t]*)+(?:\[[ xX]\][ \t])?")

# Every repetition is bounded, so that no input can make these slow.
_INLINE_MARKS = (
    (re.compile(r"!?\[([^\[\]]{0,1000})\]\([^()]{0,2000}(?:\([^()]{0,500}\)[^()]{0,500})?\)"), r"\1"),
    (re.compile(r"!?\[([^\[\]]{1,1000})\]\[[^\[\]]{0,200}\]"), r"\1"),
    (re.compile(r"<((?:https?://|mailto:)[^<>\s]{1,2000})>"), r"\1"),
    (re.compile(r"(`{1,3})([^`\n]{1,1000})\1"), r"\2"),
    (re.compile(r"(?<!\\)(\*{1,3}|~~)(?=\S)([^*~\n]{1,1000})(?<=[^\s\\])\1"), r"\2"),
    (re.compile(r"(?<![^\W_])(?<!\\)(_{1,3})(?=\S)([^_\n]{1,1000})(?<=[^\s\\])\1(?![^\W_])"), r"\2"),
    (re.compile(r"\\([\\`*_{}\[\]()#+\-.!|~>])"), r"\1"),
)


_DROPPED_TAG_NAMES = "script style template noscript svg math iframe object select"
_INLINE_TAG_NAMES = """
a abbr b bdi bdo cite code data del dfn em font i ins kbd label mark q s samp small span strong sub sup time tt u var
"""
_DROPPED_TAGS = frozenset(_DROPPED_TAG_NAMES.split())
_INLINE_TAGS = frozenset(_INLINE_TAG_NAMES.split())


def markdown_to_text(markdown: str) -> tuple[str, str]:
    """Title (the first heading, or "") and text: headings as sentences, links as their text, code unchanged.

    Soft line breaks become spaces; paragraphs, list items and table rows are on lines of their own.
    """
    title = ""
    lines: list[str] = []
    fence = ""
    continues = was_quoted = False
    for line in _FRONT_MATTER.sub("", markdown).split("\n"):
        mark = _FENCE.match(line)
        if mark and (not fence or mark.group(1).startswith(fence)):
            fence, continues = "" if fence else mark.group(1), False
        elif fence:
            lines.append(line)
        elif heading := _heading(line, lines if continues else []):
            title = title or heading
            lines.append(_as_sentence(heading))
            continues = False
        elif not line.strip() or _RULE.match(line) or _DEFINITION.match(line) or _is_table_rule(line):
            continues = False
        else:
            is_quoted = line.lstrip().startswith(">")
            continues = _add_prose(lines, line, continues and (was_quoted or not is_quoted))
            was_quoted = is_quoted
    return title, "\n".join(lines)


def _heading(line: str, paragraph: list[str]) -> str:
    """Text of the heading that `line` is, or that it makes of the previous line by underlining it; else ""."""
    if match := _HEADING.match(line):
        return _inline(match.group(2))
    if paragraph and _UNDERLINE.match(line):
        return paragraph.pop()
    return ""


def _is_table_rule(line: str) -> bool:
    return "|" in line and _TABLE_RULE.match(line) is not None


def _add_prose(lines: list[str], line: str, continues: bool) -> bool:
    """Add a line of prose to the paragraph or start a new one; returns whether the next line may continue it."""
    opening = _OPENING.match(line)
    is_item = opening is not None and opening.group().strip() != ">"
    words = line[opening.end() :] if opening else line
    is_row = words.strip().startswith("|")
    if is_row:
        words = ", ".join(cell.strip() for cell in words.strip().strip("|").split("|"))
    text = _inline(words.strip())
    if continues and not is_item and not is_row and lines:
        lines[-1] = f"{lines[-1]} {text}"
    else:
        lines.append(text)
    return not is_row


def _inline(text: str) -> str:
    for pattern, replacement in _INLINE_MARKS:
        text = pattern.sub(replacement, text)
    return strip_tags(text).strip()


def _as_sentence(heading: str) -> str:
    return heading if heading.endswith((".", "!", "?", ":", "…")) else f"{heading}."


def html_to_text(markup: str) -> tuple[str, str]:
    """Title (<title>, else the first <h1>, else "") and text: one line per block, without scripts and styles."""
    parser = _TextParser()
    parser.feed(markup)
    parser.close()
    return " ".join("".join(parser.title or parser.first_heading).split()), "".join(parser.parts)


class _TextParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title: list[str] = []
        self.first_heading: list[str] = []
        self._dropped = 0
        self._open = ""
        self._num_pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED_TAGS:
            self._dropped += 1
        elif tag == "pre":
            self._num_pre += 1
        if (tag == "title" and not self.title) or (tag == "h1" and not self.first_heading):
            self._open = tag
        if tag not in _INLINE_TAGS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _DROPPED_TAGS:
            self._dropped = max(self._dropped - 1, 0)
        elif tag == "pre":
            self._num_pre = max(self._num_pre - 1, 0)
        if tag == self._open:
            self._open = ""
        if tag not in _INLINE_TAGS:
            self.parts.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _INLINE_TAGS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._dropped:
            return
        if self._open == "title":
            self.title.append(data)
            return
        if self._open == "h1":
            self.first_heading.append(data)
        self.parts.append(data if self._num_pre else data.replace("\n", " "))
