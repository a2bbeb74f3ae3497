"""A MediaWiki dump as a source: `pages-articles.xml.bz2` of any wiki, with one stream or many, or plain .xml."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
from collections import Counter
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

from openrealm.corpus.sources import FileSource
from openrealm.corpus.sources.boxed import in_boxes
from openrealm.corpus.sources.dump import Loss, Piece, pieces
from openrealm.corpus.sources.namespaces import UNKNOWN, Wiki
from openrealm.errors import BadInput, NotInstalled
from openrealm.types import DEFAULT_LIMITS, Article, Limits, Span

SENTENCES = "sentence with an unknown template or formula"
_MAX_LISTED = 1000
_MAX_NAMES = 50
_DUMP_NAME = re.compile(r".*\.xml(?:-p\d+p\d+\S*)?(?:\.bz2)?")  # parts of a dump are named by their page numbers


class MediaWiki(FileSource):
    """A dump of pages and articles, .xml or .xml.bz2."""

    kind = "mediawiki"

    def __init__(
        self,
        path: str | Path,
        *,
        salvage: bool = False,
        num_workers: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """The options are those of `read`."""
        super().__init__(path)
        self._options: dict[str, Any] = {"salvage": salvage, "num_workers": num_workers, "limits": limits}

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Whether the name is that of a dump or of a part of one."""
        return path.is_file() and _DUMP_NAME.fullmatch(path.name.lower()) is not None

    def articles(self) -> Iterator[Article]:
        """See `read`."""
        return read(self.path, **self._options, description=self.description)


def read(
    path: Path,
    *,
    salvage: bool = False,
    num_workers: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    description: MutableMapping[str, Any] | None = None,
) -> Iterator[Article]:
    """Articles of a dump in order, the same for any number of workers; links are kept as mentions.

    salvage      continue after damage instead of stopping at it
    num_workers  child processes that parse pages; None means one per core
    limits       bounds on the time and memory for a page and on its lines
    description  is extended by "skipped": number of skipped pages by reason, and under SENTENCES of sentences left
                 out; "unknown_templates": for how many sentences each of the 50 most frequent was the reason;
                 "quarantined": pages over the limits or that could not be parsed, by id, title and reason; with
                 `salvage`, "losses": ranges of bytes that could not be read, and why. Lists end after 1,000 entries,
                 counts do not
    Raises BadInput naming the byte at which the dump is damaged, NotInstalled without mwparserfromhell.
    """
    if importlib.util.find_spec("mwparserfromhell") is None:
        raise NotInstalled(
            f'Reading {path} needs mwparserfromhell; install it with: pip install "openrealm[wikipedia]".'
        )
    report = _Report(path, salvage, limits, description if description is not None else {})
    for piece, answer in in_boxes(_pages(path, limits), num_workers or len(os.sched_getaffinity(0)), limits):
        if isinstance(piece, Loss):
            report.lose(piece)
        elif "damaged" in answer:
            report.lose(Loss(piece.start, piece.end, answer["damaged"]))
        elif "text" in answer:
            report.leave_out(answer["lost"])
            mentions = tuple(Span(start, end, "entity") for start, end in answer["mentions"])
            yield Article(answer["id"], answer["title"], answer["text"], mentions)
        else:
            report.skip(piece, answer)


def _pages(path: Path, limits: Limits) -> Iterator[tuple[Piece | Loss, bytes | None, Wiki]]:
    """Pages to be parsed, each with what the header says of the wiki, and losses in their places."""
    wiki = UNKNOWN
    for piece in pieces(path, limits):
        if isinstance(piece, Loss):
            yield piece, None, wiki
        elif piece.is_header and piece.xml is not None:
            wiki = Wiki.of_header(piece.xml)
        else:
            yield piece, piece.xml, wiki


class _Report:
    """What is reported of a dump besides its articles; starts empty with every reading."""

    def __init__(self, path: Path, salvage: bool, limits: Limits, description: MutableMapping[str, Any]) -> None:
        self._path, self._salvage = path, salvage
        self._why = {
            "time": f"over {limits.max_page_seconds:g} s, corpus.max_page_seconds",
            "memory": f"over {limits.max_page_memory_mb:,} MB, corpus.max_page_memory_mb",
            "size": f"over {limits.max_page_mb:,} MB, corpus.max_page_mb",
            "nesting": "nested too deeply",
            "endless line": f"a line over {limits.max_line_characters:,} characters, corpus.max_line_characters",
            "crash": "the parser crashed",
        }
        self._skipped: dict[str, int] = {}
        self._quarantined: list[dict[str, Any]] = []
        self._losses: list[dict[str, Any]] = []
        self._unknown: Counter[str] = Counter()
        self._most_frequent: dict[str, int] = {}
        description.update(skipped=self._skipped, unknown_templates=self._most_frequent, quarantined=self._quarantined)
        if salvage:
            description["losses"] = self._losses

    def skip(self, piece: Piece, answer: dict[str, Any]) -> None:
        """Count a page that gives no article; list it unless it was skipped by a rule."""
        if "skip" in answer:
            self._count(answer["skip"])
            return
        why = self._why[answer["poison"] if answer else "size"]
        self._count(f"quarantined ({why})")
        if len(self._quarantined) < _MAX_LISTED:
            named = {name: answer.get(name) or _inner(piece.xml, name) for name in ("id", "title")}
            self._quarantined.append({**named, "byte": piece.start, "why": why})

    def leave_out(self, lost: list[str]) -> None:
        """Count sentences that were left out, and what for."""
        if lost:
            self._skipped[SENTENCES] = self._skipped.get(SENTENCES, 0) + len(lost)
            self._unknown.update(lost)
            self._most_frequent.clear()
            self._most_frequent.update(self._unknown.most_common(_MAX_NAMES))

    def lose(self, loss: Loss) -> None:
        """Count and list a damaged range, or stop at it with BadInput."""
        if not self._salvage:
            raise BadInput(
                f"{self._path} is damaged at byte {loss.start:,} ({loss.why}); download the file again, or recover the "
                "intact parts with --salvage (--set corpus.salvage=true)."
            )
        self._count("damaged range")
        if len(self._losses) < _MAX_LISTED:
            self._losses.append(dataclasses.asdict(loss))

    def _count(self, reason: str) -> None:
        self._skipped[reason] = self._skipped.get(reason, 0) + 1


def _inner(xml: bytes | None, tag: str) -> str:
    """Content of the first such tag of a page that could not be parsed."""
    before, _, rest = (xml or b"").partition(f"<{tag}>".encode())
    return rest.partition(b"</")[0][:200].decode("utf-8", "replace") if before != (xml or b"") else ""
