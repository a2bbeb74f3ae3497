from __future__ import annotations

import bz2
import json
from pathlib import Path

import pytest

from openrealm.corpus.sources import open_source
from openrealm.errors import BadInput


def line(number: int, title: str, text: str) -> str:
    return json.dumps({"id": str(number), "revid": "1", "url": "https://a.org", "title": title, "text": text}) + "\n"


@pytest.fixture
def extracted(tmp_path: Path, prose: str) -> Path:
    folder = tmp_path / "extracted"
    for name, lines in {
        "AA/wiki_00": [line(1, "Lima", prose), line(2, "Old Lima", "")],
        "AA/wiki_01": [line(3, "List of towns", prose), line(4, "Lima (disambiguation)", prose), line(5, "Stub", "s.")],
        "AB/wiki_00": [line(6, "Cusco", f"1 &lt; 2. {prose}")],
        "AB/notes.txt": ["no article"],
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("".join(lines))
    return folder


def test_a_folder_of_wikiextractor_is_known_and_read_in_order(extracted: Path, prose: str) -> None:
    source = open_source(extracted)
    for _ in range(2):
        assert [(article.id, article.title, article.text) for article in source.articles()] == [
            ("1", "Lima", prose.strip()),
            ("6", "Cusco", f"1 < 2. {prose.strip()}"),
        ]
        assert source.description == {
            "kind": "wikiextractor", "name": "extracted", "skipped": {"list": 1, "disambiguation": 1, "short": 1},
            "row_files": [
                {"name": "AA/wiki_00", "unit": "line", "first": 0, "num_articles": 1},
                {"name": "AA/wiki_01", "unit": "line", "first": 1, "num_articles": 0},
                {"name": "AB/wiki_00", "unit": "line", "first": 1, "num_articles": 1},
            ],
        }  # fmt: skip


def test_packed_files_and_a_folder_without_folders(extracted: Path) -> None:
    inner = extracted / "AB"
    (inner / "wiki_00.bz2").write_bytes(bz2.compress((inner / "wiki_00").read_bytes()))
    (inner / "wiki_00").unlink()
    source = open_source(inner)
    assert ([article.title for article in source.articles()], source.description["kind"]) == (
        ["Cusco"],
        "wikiextractor",
    )


def test_the_other_format_and_bad_lines_are_refused_by_name(extracted: Path) -> None:
    (extracted / "AA" / "wiki_01").write_text('<doc id="3" url="" title="X">\nX\n</doc>\n')
    with pytest.raises(
        BadInput, match=r"AA/wiki_01 contains <doc> elements, not JSON; run WikiExtractor again with --json"
    ):
        list(open_source(extracted).articles())
    (extracted / "AA" / "wiki_01").write_text("\n{")
    with pytest.raises(BadInput, match=r"AA/wiki_01:2 is not JSON"):
        list(open_source(extracted).articles())
