"""Powers in characters of their own, as 10<sup>6</sup> is not 106."""

from __future__ import annotations

import re

_TO_SUPERSCRIPTS = str.maketrans("0123456789+-−n()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ⁿ⁽⁾")
_SUPERSCRIPT = re.compile(r"[\d+−n()-]+")


def superscript(text: str) -> str:
    """`text` in superscript characters if there are such; otherwise unchanged.

    >>> superscript("-6"), superscript("th")
    ('⁻⁶', 'th')
    """
    return text.translate(_TO_SUPERSCRIPTS) if _SUPERSCRIPT.fullmatch(text.strip()) else text
