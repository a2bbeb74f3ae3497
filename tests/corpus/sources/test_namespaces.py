from __future__ import annotations

import pytest

from openrealm.corpus.sources.namespaces import LinkKind, Wiki

HEADER = b"""<mediawiki version="0.10" xml:lang="pl"><siteinfo><dbname>plwiki</dbname>
<namespaces><namespace key="-2">Media</namespace><namespace key="0" /><namespace key="6">Plik</namespace>
<namespace key="14">Kategoria</namespace><namespace key="100">Portal</namespace></namespaces></siteinfo>"""


def test_the_header_names_language_and_namespaces() -> None:
    wiki = Wiki.of_header(HEADER)
    assert wiki == Wiki("pl", {"Media": -2, "Plik": 6, "Kategoria": 14, "Portal": 100})
    assert Wiki(**wiki.settings()) == wiki


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (b'<mediawiki xml:lang="pt-BR">', "pt"),
        (b"<mediawiki><siteinfo><dbname>dewiktionary</dbname></siteinfo>", "de"),
        (b"<mediawiki><siteinfo><namespaces><namespace key='6'>File</broken></namespaces></siteinfo>", ""),
        (b"\xff", ""),
    ],
)
def test_a_header_may_lack_everything(header: bytes, language: str) -> None:
    assert Wiki.of_header(header) == Wiki(language)


@pytest.mark.parametrize(
    ("language", "target", "kind"),
    [
        ("en", "Lima", LinkKind.PAGE),
        ("en", "CSI: Miami", LinkKind.PAGE),
        ("en", "xXx: Return of Xander Cage", LinkKind.PAGE),
        ("en", "M*A*S*H: The Film", LinkKind.PAGE),
        ("en", "Bild: a newspaper", LinkKind.PAGE),
        ("en", "w:Lima", LinkKind.PAGE),
        ("en", "en:Lima", LinkKind.PAGE),
        ("en", "de:Mühle", LinkKind.LANGUAGE),
        ("en", "Zh-Min-Nan:Lima", LinkKind.LANGUAGE),
        ("de", "en:Mill", LinkKind.LANGUAGE),
        ("en", "wikt:mill", LinkKind.OTHER),
        ("en", "Help:Links", LinkKind.OTHER),
        ("en", "Special:Search", LinkKind.OTHER),
        ("en", "_File_:a", LinkKind.FILE),
        ("en", "IMAGE:a", LinkKind.FILE),
        ("de", "Bild:a", LinkKind.FILE),
        ("de", "Datei:a", LinkKind.FILE),
        ("de", "Image:a", LinkKind.FILE),
        ("en", "Imagem:rio.JPG", LinkKind.FILE),
        ("", "画像:川.svg", LinkKind.FILE),
        ("ru", "Изображение:а", LinkKind.FILE),
        ("vi", "Tập tin:a", LinkKind.FILE),
        ("ja", "カテゴリ:川", LinkKind.CATEGORY),
        ("en", "Kategorie:Fluss", LinkKind.CATEGORY),
    ],
)
def test_prefixes(language: str, target: str, kind: LinkKind) -> None:
    assert Wiki(language).kind_of(target, is_labelled=False) == kind


def test_a_label_makes_a_foreign_category_a_title() -> None:
    assert Wiki("en").kind_of("Kategorie: C", is_labelled=True) == LinkKind.PAGE


def test_the_header_has_the_last_word() -> None:
    assert Wiki("en", {"Help": 6}).kind_of("help:a", is_labelled=True) == LinkKind.FILE
