"""The process that parses a page: started by `boxed.py`, limited in time and memory, and expendable.

A message is the XML of a page, or a JSON object with the wiki of the pages after it and their limits.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from typing import Any

from openrealm.corpus.box_worker import serve
from openrealm.corpus.clean import check_line_lengths, clean_title
from openrealm.corpus.sources.namespaces import UNKNOWN, Wiki
from openrealm.corpus.sources.page_rules import reason_to_skip, title_reason
from openrealm.corpus.sources.wikitext import plain_text
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS, Limits

# Not allowed in XML: control characters, lone surrogates, and numeric references to either.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ILLEGAL_NUMBER = re.compile(r"&#(?:0*(?:[0-8]|1[124-9]|2\d|3[01])|x0*(?:[0-8bcef]|1[0-9a-f]|d[89a-f]..));", re.I)


def answer(xml: bytes, wiki: Wiki, limits: Limits) -> dict[str, Any]:
    """The result for a page: {"id", "title", "text", "mentions", "lost"}, {"skip": reason}, or {"damaged": what}.

    Answers name the page's title if it has one. "poison" replaces "skip" if the page is to be listed.
    """
    try:
        page = ET.fromstring(_legal(xml))
    except ET.ParseError as error:
        return {"damaged": f"a page is not well-formed XML: {error}"}
    title = clean_title(page.findtext("title") or "", entities=False)
    named = {"id": page.findtext("id") or "", "title": title}
    markup = page.findtext("revision/text") or ""
    reason = title_reason(page, title) or reason_to_skip(markup, None)
    if reason:
        return {**named, "skip": reason}
    text, mentions, lost = plain_text(markup, wiki)
    try:
        check_line_lengths(text, title, limits)
    except BadInput:
        return {**named, "poison": "endless line"}
    if reason := reason_to_skip(markup, text):
        return {**named, "skip": reason}
    return {**named, "text": text, "mentions": [(span.start, span.end) for span in mentions], "lost": lost}


def _legal(xml: bytes) -> str:
    text = _ILLEGAL.sub("", xml.decode("utf-8", "replace"))
    return _ILLEGAL_NUMBER.sub("\ufffd", text)


def main() -> None:
    """Answer pages until input ends."""
    import mwparserfromhell  # noqa: F401  # imported before any page's time is measured

    wiki, limits = UNKNOWN, DEFAULT_LIMITS

    def respond(message: bytes) -> dict[str, Any] | None:
        nonlocal wiki, limits
        if message.startswith(b"{"):
            setting = json.loads(message)
            wiki, limits = Wiki(**setting["wiki"]), Limits(**setting["limits"])
            return None
        try:
            return answer(message, wiki, limits)
        except RecursionError:
            return {"poison": "nesting"}

    serve(respond)


if __name__ == "__main__":
    main()
