"""EPUB books."""

from __future__ import annotations

import posixpath
import zipfile
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

from openrealm.corpus.clean import check_line_lengths
from openrealm.corpus.readers import Document, Piece
from openrealm.corpus.readers.html import without_empty_elements
from openrealm.corpus.readers.page import read_page, with_positions
from openrealm.corpus.readers.zipped import opened_archive
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS, Limits

_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The chapters in reading order, without the table of contents; the part of a piece is its chapter, from 1."""
    with opened_archive(path, "an EPUB", limits) as archive:
        package_name = _package_name(archive)
        package = _xml(archive, package_name)
        chapters = _chapters(package, posixpath.dirname(package_name))
        names = set(archive.namelist())
        locked = archive.read(_ENCRYPTION).decode("utf-8", "replace") if _ENCRYPTION in names else ""
        pieces: list[Piece] = []
        num_missing = 0
        for number, name in enumerate(chapters, start=1):
            if name not in names:
                num_missing += 1
                continue
            if f'"{name}"' in locked:
                raise BadInput(f"{path} is encrypted ({name}); give a copy without protection or remove it.")
            source = _text(archive.read(name))
            page = read_page(with_positions(source), source)
            pieces += [piece._replace(part=number) for piece in page.pieces]
        title = package.findtext(".//{http://purl.org/dc/elements/1.1/}title") or ""
    for piece in pieces:
        check_line_lengths(piece.text, str(path), limits)
    return Document(title.strip(), tuple(pieces), {"chapter that is missing": num_missing} if num_missing else {})


def _package_name(archive: zipfile.ZipFile) -> str:
    for element in _xml(archive, _CONTAINER).iter():
        if element.tag.endswith("}rootfile") and element.get("full-path"):
            return str(element.get("full-path"))
    raise ValueError(f"{_CONTAINER} names no package")


def _xml(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(archive.read(name))
    except ElementTree.ParseError as error:
        raise ValueError(f"{name}: {error}") from error


def _chapters(package: ElementTree.Element, folder: str) -> list[str]:
    """Names of the pages in the archive, in the order of the spine."""
    items = {element.get("id"): element for element in package.iter() if element.tag.endswith("}item")}
    chapters = []
    for element in package.iter():
        item = items.get(element.get("idref")) if element.tag.endswith("}itemref") else None
        if item is None or item.get("media-type") not in _PAGES or "nav" in (item.get("properties") or "").split():
            continue
        chapters.append(posixpath.normpath(posixpath.join(folder, unquote(item.get("href") or ""))))
    return chapters


def _text(data: bytes) -> str:
    """A page as text; EPUB allows UTF-8 and UTF-16 alone."""
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    return without_empty_elements(text)
