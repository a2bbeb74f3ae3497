"""Lone surrogates: code points that are no characters, and that no file in UTF-8 can hold."""

from __future__ import annotations

import re

_SURROGATES = re.compile("[\ud800-\udfff]")


def has_surrogates(text: str) -> bool:
    """Whether there are any.

    >>> has_surrogates("caf\\ud800"), has_surrogates("caf\\u00e9")
    (True, False)
    """
    return not text.isascii() and _SURROGATES.search(text) is not None


def without_surrogates(text: str) -> str:
    """The text with U+FFFD in the place of each, so that it is valid Unicode and offsets still hold."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
