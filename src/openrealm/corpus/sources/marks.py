"""Noncharacters that stand for something in the text of a wiki's page until it is finished."""

from __future__ import annotations

import re

OPEN, CLOSE = "\ufdd0", "\ufdd1"
"""The beginning and the end of a link's text, whose position has to survive cleaning."""

APOSTROPHE = "\ufdd2"
"""An apostrophe that is text, not a mark for italics."""

FRACTION = "\ufdd3"
"""The beginning of a fraction, which is set apart from a digit before it."""

LOST = "\ufdd4"
"""Encloses the number of an element whose words are not known; the sentence around it is left out."""

SIGNS = {"{": "\ufdd5", "[": "\ufdd6", "<": "\ufdd7", "=": "\ufdd8"}
"""What stands for signs that are text, and no markup."""

_SIGN = re.compile("[\ufdd5-\ufdd8]")
_TEXT_OF_SIGN = {sign: text for text, sign in SIGNS.items()}
ANY = re.compile("[\ufdd0-\ufdef]")
LOST_ELEMENT = re.compile(rf"{LOST}(\d+){LOST}")


def lost(number: int) -> str:
    """The mark of a lost element."""
    return f"{LOST}{number}{LOST}"


def signs_as_text(text: str) -> str:
    """The text with the signs that SIGNS stands for."""
    return _SIGN.sub(lambda match: _TEXT_OF_SIGN[match.group()], text)
