"""Cleaning of source text: entities, control and bidirectional characters, surrogates, white space, tags."""

from __future__ import annotations

import html
import re
import unicodedata

from openrealm.errors import BadInput
from openrealm.text.surrogates import without_surrogates
from openrealm.types import Limits

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Control characters, zero-width and bidirectional marks: they make displayed text differ from stored text.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
# The zero-width non-joiner and joiner are part of the spelling of Persian, Sinhala, Malayalam and many emoji.
_JOINERS = re.compile("[\u200c\u200d]+")
_JOINED_CATEGORIES = frozenset(("Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Mn", "Mc", "So", "Sk"))
_VIRAMA = 9  # canonical combining class of the sign that silences a vowel; it ends a word with a joiner in Malayalam
# White space within a line, except a single space.
_SPACES = re.compile(r"(?:[^\S\n ]| [^\S\n])[^\S\n]*")
_NEWLINES = re.compile(r" ?\n[ \n]*")
_BREAK_TAGS = re.compile(r"<(?:br|/?p|/?div|/?li|/?ul|/?ol|/?tr)\b[^<>]*>", re.IGNORECASE)
_TAGS = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)


def clean_text(text: str, *, entities: bool = True) -> str:
    """Text for a corpus: HTML entities resolved once, invisible characters removed, white space collapsed.

    Newlines stay as paragraph bounds (a run of them becomes one); lone surrogates become U+FFFD; nothing is
    transliterated or lower-cased. With `entities=False`, "&lt;" is kept, and cleaning twice changes nothing.
    """
    text = _LINE_ENDS.sub("\n", html.unescape(text) if entities else text)
    text = _without_invisible(text)
    return _NEWLINES.sub("\n", _SPACES.sub(" ", text)).strip()


def clean_code(text: str) -> str:
    """A block of code as it stands, without invisible characters, blank lines around it and spaces at line ends."""
    text = _without_invisible(_LINE_ENDS.sub("\n", text))
    lines = [line.rstrip() for line in text.split("\n")]
    return "\n".join(lines).strip("\n")


def _without_invisible(text: str) -> str:
    """`text` without characters that cannot be seen, except joiners that change how their neighbours are written."""
    return _JOINERS.sub(_joiner, without_surrogates(_INVISIBLE.sub("", text)))


def _joiner(match: re.Match[str]) -> str:
    """The first of a run of joiners where it matters: inside a word or an emoji, or after a virama."""
    start, end = match.span()
    before, after = match.string[max(0, start - 1) : start], match.string[end : end + 1]
    return match.group()[0] if _is_virama(before) or (_is_joined(before) and _is_joined(after)) else ""


def _is_joined(character: str) -> bool:
    """Whether it is a letter, a digit, a mark, or a symbol such as an emoji or its skin tone."""
    return character != "" and unicodedata.category(character) in _JOINED_CATEGORIES


def _is_virama(character: str) -> bool:
    return character != "" and unicodedata.combining(character) == _VIRAMA


def clean_title(title: str, *, entities: bool = True) -> str:
    """`clean_text` on one line."""
    return clean_text(title, entities=entities).replace("\n", " ")


def strip_tags(markup: str) -> str:
    """An HTML fragment without its tags; line breaks and paragraphs become newlines. `clean_text` resolves entities."""
    return _TAGS.sub("", _BREAK_TAGS.sub("\n", markup))


def check_line_lengths(text: str, where: str, limits: Limits) -> None:
    """Raise BadInput if a line is longer than the limit: it is probably data, not prose, and cannot be cut well."""
    most = limits.max_line_characters
    if len(text) <= most:
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > most:
            raise BadInput(
                f"{where}: line {number} has {len(line):,} characters, more than the {most:,} allowed in a line of "
                "prose; break it into lines, remove it from the source, or raise corpus.max_line_characters."
            )
