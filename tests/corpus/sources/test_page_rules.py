from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from openrealm.corpus.sources.page_rules import MIN_CHARACTERS, reason_to_skip, title_reason


@pytest.mark.parametrize(
    ("title", "more", "reason"),
    [
        ("Lima", {}, ""),
        ("Lima", {"extra": '<redirect title="Peru" />'}, "redirect"),
        ("Vorlage:Lima", {"ns": 10}, "other namespace"),
        ("Lima/code.js", {"model": "javascript"}, "not wikitext"),
        ("", {}, "no title"),
        ("Lima (disambiguation)", {}, "disambiguation"),
        ("Lima (Begriffsklärung)", {}, "disambiguation"),
        ("List of rivers", {}, "list"),
        ("Index of Peru-related articles", {}, "list"),
        ("Outline of Peru", {}, "list"),
        ("Liste der Flüsse in Peru", {}, "list"),
        ("Список рек", {}, "list"),
        ("日本の川一覧", {}, "list"),
        ("Listening", {}, ""),
        ("Lista Airport", {}, ""),
    ],
)
def test_titles(make_page: Callable[..., str], title: str, more: dict[str, object], reason: str) -> None:
    assert title_reason(ET.fromstring(make_page(1, title, "x", **more)), title) == reason


@pytest.mark.parametrize(
    ("markup", "reason"),
    [
        ("#REDIRECT [[Peru]]", "redirect"),
        (" #перенаправление: [[Перу]]", "redirect"),
        ("# [[Peru]] comes first", ""),
        ("'''Lima''' may be:\n* [[a]]\n{{disambiguation|geo}}", "disambiguation"),
        ("{{Disambig}}", "disambiguation"),
        ("{{ geodis }}", "disambiguation"),
        ("{{Begriffsklärung}}", "disambiguation"),
        ("__DISAMBIG__", "disambiguation"),
        ("Lima{{disambiguation needed|date=May 2008}} is a city", ""),
        ("{{other uses|Lima (disambiguation)}} Lima is a city", ""),
    ],
)
def test_wikitext(markup: str, reason: str) -> None:
    assert reason_to_skip(markup, None) == reason


def test_short_is_short_of_the_limit() -> None:
    assert reason_to_skip("x", "x" * (MIN_CHARACTERS - 1)) == "short"
    assert reason_to_skip("x", "x" * MIN_CHARACTERS) == ""
