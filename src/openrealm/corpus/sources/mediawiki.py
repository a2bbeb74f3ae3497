"""A MediaWiki dump as a source: `pages-articles.xml.bz2` of any wiki, of one stream or many, or plain .xml."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

from openrealm.corpus.sources.boxed import in_boxes
from openrealm.corpus.sources.dump import Loss, Piece, note_loss, pieces
from openrealm.errors import NotInstalled
from openrealm.types import Article, Span

# Namespaces whose links are pictures, categories and the like, by number; their names differ between languages.
_DROPPED_NAMESPACES = {"-2", "-1", "6", "14"}
_MAX_LISTED = 1000


def read(
    path: Path,
    *,
    salvage: bool = False,
    num_workers: int | None = None,
    description: MutableMapping[str, Any] | None = None,
) -> Iterator[Article]:
    """Articles of a dump in its order, the same for any number of workers; links are kept as mentions.

    salvage      go on behind damage instead of stopping at it
    num_workers  child processes that read pages; none is one for each core
    description  gains "skipped": pages left out, counted by reason; "quarantined": pages that were too much for their
                 box of 5 s and 1 GB (or otherwise unreadable), by id, title and reason; with `salvage`, "losses":
                 ranges of bytes that could not be read, and why. Lists end after 1,000 entries, counts do not
    Raises BadInput naming the byte where the dump is damaged, NotInstalled without mwparserfromhell.
    """
    if importlib.util.find_spec("mwparserfromhell") is None:
        raise NotInstalled(
            f'{path} needs mwparserfromhell to be read; install it with: pip install "openrealm[wikipedia]".'
        )
    report = _Report(description if description is not None else {}, salvage)
    losses: list[Loss] | None = [] if salvage else None
    for piece, answer in in_boxes(_pages(path, losses, report), num_workers or len(os.sched_getaffinity(0))):
        if "damaged" in answer:
            note_loss(path, losses, Loss(piece.start, piece.end, answer["damaged"]))
        elif "text" in answer:
            mentions = tuple(Span(start, end, "entity") for start, end in answer["mentions"])
            yield Article(answer["id"], answer["title"], answer["text"], mentions)
        else:
            report.leave_out(piece, answer)
        report.lose(losses or ())
    report.lose(losses or ())


def _pages(path: Path, losses: list[Loss] | None, report: _Report) -> Iterator[tuple[Piece, bytes, list[str]]]:
    """Pages to be read, each with the names of the namespaces whose links are no text."""
    namespaces: list[str] = []
    for piece in pieces(path, losses):
        if piece.xml is None:
            report.leave_out(piece, {"poison": "size"})
        elif piece.is_header:
            namespaces = _dropped_namespaces(piece.xml)
        else:
            yield piece, piece.xml, namespaces


def _dropped_namespaces(header: bytes) -> list[str]:
    """Names of the namespaces of files and categories, from the dump's header; none when it cannot be read."""
    start, end = header.find(b"<namespaces"), header.find(b"</namespaces>")
    try:
        found = ET.fromstring(header[start : end + len(b"</namespaces>")]) if 0 <= start < end else ()
    except ET.ParseError:
        return []
    return [space.text for space in found if space.get("key") in _DROPPED_NAMESPACES and space.text]


_WHY = {
    "time": "over 5 s",
    "memory": "over 1 GB",
    "size": "over 64 MB",
    "nesting": "nested too deeply",
    "endless line": "a line without end",
    "crash": "the parser crashed",
}


class _Report:
    """What is told of a source beside its articles; begun anew with every reading."""

    def __init__(self, description: MutableMapping[str, Any], salvage: bool) -> None:
        self._skipped: dict[str, int] = {}
        self._quarantined: list[dict[str, Any]] = []
        self._losses: list[dict[str, Any]] = []
        self._num_losses = 0
        description.update(skipped=self._skipped, quarantined=self._quarantined)
        if salvage:
            description["losses"] = self._losses

    def leave_out(self, piece: Piece, answer: dict[str, Any]) -> None:
        """Count a page that gives no article; list it where it was not by a rule."""
        if "skip" in answer:
            self._count(answer["skip"])
            return
        why = _WHY[answer["poison"]]
        self._count(f"quarantined ({why})")
        if len(self._quarantined) < _MAX_LISTED:
            named = {name: answer.get(name) or _inner(piece.xml, name) for name in ("id", "title")}
            self._quarantined.append({**named, "byte": piece.start, "why": why})

    def lose(self, losses: list[Loss] | tuple[()]) -> None:
        """Take up the losses that are new."""
        for loss in losses[self._num_losses :]:
            self._count("damaged stretch")
            if len(self._losses) < _MAX_LISTED:
                self._losses.append(dataclasses.asdict(loss))
        self._num_losses = len(losses)

    def _count(self, reason: str) -> None:
        self._skipped[reason] = self._skipped.get(reason, 0) + 1


def _inner(xml: bytes | None, tag: str) -> str:
    """What stands in the first such tag of a page that could not be parsed."""
    before, _, rest = (xml or b"").partition(f"<{tag}>".encode())
    return rest.partition(b"</")[0][:200].decode("utf-8", "replace") if before != (xml or b"") else ""
