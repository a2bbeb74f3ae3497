"""Marks for language variants, such as `-{zh-hans:计算机;zh-hant:電腦}-`: one variant is shown."""

from __future__ import annotations

import re

_MARK = re.compile(r"-\{(?:([^{}|\n]*)\|)?([^{}]*)\}-")
_CODE = r"[a-z]{2,3}(?:-[a-z]{2,8}){0,2}"
_RULE = re.compile(rf"\s*(?:[^;:=]*=>)?\s*({_CODE})\s*:(.*)", re.IGNORECASE | re.DOTALL)
_RULE_ENDS = re.compile(rf";(?=\s*(?:[^;:=]*=>\s*)?{_CODE}\s*:|\s*$)", re.IGNORECASE)
_MAX_NESTED = 10
# The first of these that a mark has is shown; otherwise the mark's first variant.
_PREFERRED = ("zh-hans", "zh-cn", "zh", "zh-sg", "zh-my", "sr-ec", "sr-cyrl", "kk-cyrl", "uz-latn")
_HIDDEN_FLAGS = frozenset("HT-")  # rules for the rest of the page, the title, and removed rules


def one_variant(text: str) -> str:
    """`text` with every mark replaced by one of its variants, without its markup.

    >>> one_variant("一台-{zh-hant:電腦;zh-hans:计算机}-，-{raw}-。")
    '一台计算机，raw。'
    """
    for _ in range(_MAX_NESTED):  # from the inside out
        text, num_found = _MARK.subn(_shown, text)
        if not num_found:
            break
    return text


def _shown(match: re.Match[str]) -> str:
    flags = {flag.strip() for flag in (match[1] or "").split(";")}
    if flags & _HIDDEN_FLAGS:
        return ""
    rules = [_RULE.fullmatch(rule) for rule in _RULE_ENDS.split(match[2]) if rule.strip()]
    if "R" in flags or not rules or not all(rules):
        return match[2]
    variants = {rule[1].lower(): rule[2].strip() for rule in reversed(rules) if rule}
    return next((variants[code] for code in _PREFERRED if code in variants), next(reversed(variants.values())))
