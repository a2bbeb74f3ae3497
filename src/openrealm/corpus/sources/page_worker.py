"""The process that parses a page: started by `boxed.py`, limited in time and memory by the kernel, and expendable.

Pages arrive on standard input and answers leave on standard output, each as a length in eight digits and that many
bytes: XML of a page in, JSON out. A JSON object describes the wiki of the pages after it. The first answer says that
the process is ready.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sys
import xml.etree.ElementTree as ET
from typing import Any

from openrealm.corpus.clean import check_line_lengths, clean_title
from openrealm.corpus.sources.namespaces import UNKNOWN, Wiki
from openrealm.corpus.sources.page_rules import reason_to_skip, title_reason
from openrealm.corpus.sources.wikitext import plain_text
from openrealm.errors import BadInput

NO_MEMORY = 3  # exit code for a page that needs too much memory
_LENGTH_BYTES = 8
# Not allowed in XML: control characters, lone surrogates, and numeric references to either.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ILLEGAL_NUMBER = re.compile(r"&#(?:0*(?:[0-8]|1[124-9]|2\d|3[01])|x0*(?:[0-8bcef]|1[0-9a-f]|d[89a-f]..));", re.I)


def answer(xml: bytes, wiki: Wiki) -> dict[str, Any]:
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
        check_line_lengths(text, title)
    except BadInput:
        return {**named, "poison": "endless line"}
    if reason := reason_to_skip(markup, text):
        return {**named, "skip": reason}
    return {**named, "text": text, "mentions": [(span.start, span.end) for span in mentions], "lost": lost}


def _legal(xml: bytes) -> str:
    text = _ILLEGAL.sub("", xml.decode("utf-8", "replace"))
    return _ILLEGAL_NUMBER.sub("\ufffd", text)


def read_message() -> bytes | None:
    """The next message, or None at the end of input."""
    length = sys.stdin.buffer.read(_LENGTH_BYTES)
    return sys.stdin.buffer.read(int(length)) if length else None


def write_message(value: dict[str, Any]) -> None:
    """Send an answer."""
    data = json.dumps(value).encode()
    sys.stdout.buffer.write(b"%08d" % len(data) + data)
    sys.stdout.buffer.flush()


def main(max_seconds: float, max_bytes: int) -> None:
    """Answer pages until input ends. A page over the limits kills the process: `boxed.py` sees how it died."""
    resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent; this process exits with its input
    import mwparserfromhell  # noqa: F401  # imported before any page's time is measured

    write_message({})
    wiki = UNKNOWN
    while (message := read_message()) is not None:
        if message.startswith(b"{"):
            wiki = Wiki(**json.loads(message))
            continue
        # CPU time of this process only, so that pages do not time out on a busy machine; the signal kills by default.
        signal.setitimer(signal.ITIMER_PROF, max_seconds)
        try:
            result = answer(message, wiki)
        except RecursionError:
            result = {"poison": "nesting"}
        signal.setitimer(signal.ITIMER_PROF, 0)
        write_message(result)


if __name__ == "__main__":
    try:
        main(float(sys.argv[1]), int(sys.argv[2]))
    except MemoryError:
        os._exit(NO_MEMORY)  # at once: there may be no memory left to clean up
