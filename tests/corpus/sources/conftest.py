"""Dumps made for the tests, and the real excerpt that gensim's wheel carries."""

from __future__ import annotations

import bz2
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

ROOT = Path(__file__).parents[3]
PROSE = "The river runs from the mountains to the sea, and many towns stand on its banks. " * 4
HEADER = (
    '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" xml:lang="de">\n  <siteinfo><namespaces>'
    '<namespace key="0" /><namespace key="6">Datei</namespace><namespace key="14">Kategorie</namespace>'
    "</namespaces></siteinfo>\n"
)
EXCERPT = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"


def page(number: int, title: str, text: str, *, ns: int = 0, extra: str = "", model: str = "wikitext") -> str:
    """One page as a dump writes it."""
    return (
        f"  <page>\n    <title>{escape(title)}</title>\n    <ns>{ns}</ns>\n    <id>{number}</id>{extra}\n    <revision>"
        f"<model>{model}</model><text>{escape(text)}</text></revision>\n  </page>\n"
    )


def dump(pages: list[str]) -> str:
    """A whole dump."""
    return HEADER + "".join(pages) + "</mediawiki>\n"


@pytest.fixture(scope="session")
def make_office() -> Callable[[str], bytes]:
    """An EPUB or a Word document of a few words, as bytes."""
    page = "<html><body><h1>Polle</h1><p>The mill was built in 1902.</p></body></html>"
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="a.xhtml" '
        'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine></package>'
    )
    container = '<c xmlns="urn:x"><rootfile full-path="book.opf"/></c>'
    word = (
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>'
        "The mill was built in 1902.</w:t></w:r></w:p></w:body></w:document>"
    )
    files = {
        "a.epub": {"META-INF/container.xml": container, "book.opf": package, "a.xhtml": page},
        "a.docx": {"word/document.xml": word},
    }

    def make(name: str) -> bytes:
        with io.BytesIO() as data:
            with zipfile.ZipFile(data, "w") as archive:  # stored, so that damage reaches what is inside
                for inner, text in files[name].items():
                    archive.writestr(inner, text)
            return data.getvalue()

    return make


@pytest.fixture(scope="session")
def make_page() -> Callable[..., str]:
    return page


@pytest.fixture(scope="session")
def make_dump() -> Callable[[list[str]], str]:
    return dump


@pytest.fixture(scope="session")
def prose() -> str:
    """Enough text for a page not to be short."""
    return PROSE


@pytest.fixture(scope="session")
def numbered_pages() -> list[str]:
    """300 articles, each of its own words, about 300 kB."""
    return [page(n, f"Town {n}", f"'''Town {n}''' has {n * 7919} people. {PROSE} " + f"{n} " * 150) for n in range(300)]


@pytest.fixture(scope="session")
def multistream(numbered_pages: list[str]) -> bytes:
    """The same, 50 pages a stream, as Wikimedia's multistream files are."""
    parts = [HEADER, *("".join(numbered_pages[n : n + 50]) for n in range(0, 300, 50)), "</mediawiki>\n"]
    return b"".join(bz2.compress(part.encode(), 1) for part in parts)


@pytest.fixture(scope="session")
def gensim_data() -> Path:
    """The folder of gensim's test data, or a skip that says how to get it."""
    folder = Path(os.environ.get("OPENREALM_GENSIM", ROOT / ".venv-peers" / "dumps")) / "gensim" / "test" / "test_data"
    if not (folder / EXCERPT).exists():
        pytest.skip(
            "gensim, which carries a real dump, is not there; `make test-peers` brings it (or set OPENREALM_GENSIM)"
        )
    return folder
