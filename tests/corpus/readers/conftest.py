"""Small office documents, written out by hand."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
PACKAGE = (
    '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
    "<dc:title>The Weser</dc:title></metadata><manifest>"
    '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    '<item id="two" href="text/two%20b.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="one" href="text/one.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="lost" href="lost.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="css" href="style.css" media-type="text/css"/></manifest>'
    '<spine><itemref idref="nav"/><itemref idref="one"/><itemref idref="two"/><itemref idref="lost"/></spine></package>'
)
BOOK = {
    "META-INF/container.xml": CONTAINER,
    "OEBPS/book.opf": PACKAGE,
    "OEBPS/nav.xhtml": "<html><body><nav><a href='one.xhtml'>Polle</a></nav></body></html>",
    "OEBPS/text/one.xhtml": "<html><body><h1>Polle</h1><p>The mill was built in 1902.</p></body></html>",
    "OEBPS/text/two b.xhtml": "<html><body><h1>Hameln</h1><p>The ferry &amp; the bridge.</p></body></html>",
}
DOCUMENT = (
    f'<w:document xmlns:w="{W}"><w:body>'
    '<w:p><w:pPr><w:pStyle w:val="Title"/></w:pPr><w:r><w:t>The Weser</w:t></w:r></w:p>'
    '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Polle</w:t></w:r></w:p>'
    "<w:p><w:r><w:t>The </w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>mill</w:t></w:r>"
    '<w:r><w:t xml:space="preserve"> was built in 1902.</w:t></w:r></w:p>'
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Ferry</w:t></w:r></w:p></w:tc>"
    "<w:tc><w:p><w:r><w:t>1887</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:body></w:document>"
)
STYLES = (
    f'<w:styles xmlns:w="{W}"><w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/></w:style></w:styles>'
)
WORD = {
    "[Content_Types].xml": (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'wordprocessingml.document.main+xml"/></Types>'
    ),
    "_rels/.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
        'Target="word/document.xml"/></Relationships>'
    ),
    "word/document.xml": DOCUMENT,
    "word/styles.xml": STYLES,
}

MakeArchive = Callable[[Path, Mapping[str, str | bytes]], Path]


@pytest.fixture(scope="session")
def make_archive() -> MakeArchive:
    """Write a ZIP archive with the given files."""

    def make(path: Path, files: Mapping[str, str | bytes]) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path

    return make


@pytest.fixture
def book() -> dict[str, str | bytes]:
    """The files of an EPUB of two chapters; a third is missing."""
    return dict(BOOK)


@pytest.fixture
def word() -> dict[str, str | bytes]:
    """The files of a Word document: title, heading, paragraph and table."""
    return dict(WORD)
