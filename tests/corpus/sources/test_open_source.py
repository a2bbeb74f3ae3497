from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openrealm.corpus.sources import Articles, FileSource, Source, is_name, open_source
from openrealm.errors import BadConfig, BadInput
from openrealm.registry import SOURCES
from openrealm.types import Article, Span


@pytest.mark.parametrize("is_path", [True, False])
def test_each_kind_of_path_finds_its_source(tmp_path: Path, is_path: bool) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("Lima.")
    (tmp_path / "wiki.jsonl").write_text('{"title": "Peru", "text": "Lima."}\n')
    pq.write_table(pa.table({"text": ["Lima."]}), tmp_path / "wiki.parquet")
    found = {}
    for name in ("notes", "notes/a.txt", "wiki.jsonl", "wiki.parquet"):
        source = open_source(tmp_path / name if is_path else str(tmp_path / name))
        assert [article.text for article in source.articles()] == ["Lima."]
        assert [article.text for article in source.articles()] == ["Lima."], "a source can be read again"
        found[name] = source.description["kind"], source.description["name"]
    assert found == {
        "notes": ("folder", "notes"),
        "notes/a.txt": ("file", "a.txt"),
        "wiki.jsonl": ("jsonl", "wiki.jsonl"),
        "wiki.parquet": ("parquet", "wiki.parquet"),
    }


def test_a_kind_can_be_named_where_the_ending_does_not_tell(tmp_path: Path) -> None:
    (tmp_path / "lines.data").write_text('{"title": "Peru", "text": "Lima."}\n')
    source = open_source(f"jsonl:{tmp_path / 'lines.data'}")
    assert [article.title for article in source.articles()] == ["Peru"]


def test_skipped_files_of_a_folder_are_counted_again_with_every_reading(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Lima.")
    (tmp_path / "b.xlsx").write_text("x")
    source = open_source(tmp_path)
    for _ in range(2):
        list(source.articles())
        assert source.description["skipped"] == {"file with extension .xlsx": 1}


def test_the_factbook_is_known_by_name() -> None:
    source = open_source("factbook", prose_only=True)
    assert source.description == {"kind": "factbook", "prose_only": True}
    with pytest.raises(BadConfig, match="The source 'factbook' takes no argument, but 'factbook:x' gives one"):
        open_source("factbook:x")


def test_a_word_alone_is_a_name_only_where_the_source_needs_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [is_name(source) for source in ("factbook", "wikipedia:simplewiki:20260101", "datasets:x")] == [True] * 3
    assert not any(map(is_name, ("datasets", "wikipedia", "files", "notes", "./factbook", "a:b", "")))
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "a.txt").write_text("Lima.")
    monkeypatch.chdir(tmp_path)
    assert [article.text for article in open_source("datasets").articles()] == ["Lima."]


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"nowhere does not exist; give a folder.*: datasets, factbook, qed, wikipedia\.$"
    ):
        open_source(tmp_path / "nowhere")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_text("x")
    with pytest.raises(BadInput, match=r"a\.xlsx has the unknown extension \.xlsx; give a \.txt, \.md, "):
        list(open_source(tmp_path / "a.xlsx").articles())


def test_what_is_neither_file_nor_folder_is_refused_without_being_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "loop").symlink_to("loop")
    for path, message in (
        ("/dev/zero", "/dev/zero is a device; give a folder or a file"),
        (tmp_path / "pipe.jsonl", "is a pipe; give a folder or a file"),
        (f"jsonl:{tmp_path / 'pipe.jsonl'}", "is a pipe; give a folder or a file"),
        (tmp_path / "loop", "cannot be used as a source"),
        (tmp_path / ("x" * 300), "cannot be used as a source"),
        (tmp_path / "a\0b", "does not exist"),
    ):
        with pytest.raises(BadInput, match=message):
            open_source(path)


def test_a_source_is_the_same_however_its_path_is_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "t.jsonl").write_text('{"text": "Lima."}')
    (tmp_path / "link.jsonl").symlink_to("t.jsonl")
    monkeypatch.chdir(tmp_path)
    found = [open_source(path) for path in ("t.jsonl", "a/../t.jsonl", "link.jsonl", tmp_path / "t.jsonl")]
    assert {source.description["name"] for source in found} == {"t.jsonl"}
    assert all(source.identity() == found[0].identity() for source in found)


class Countdown(Source):
    """What a user may write: a source by name."""

    def __init__(self, start: str, *, prose_only: bool = False) -> None:
        self.start, self.prose_only = int(start), prose_only
        self.description = {"kind": "countdown", "name": start}

    def articles(self) -> Iterator[Article]:
        return (Article(str(n), "", f"{n} to go.") for n in range(self.start, 0, -1))


class Verses(FileSource):
    """What a user may write: a source of files."""

    kind = "verses"

    @classmethod
    def reads(cls, path: Path) -> bool:
        return path.suffix == ".verse"

    def articles(self) -> Iterator[Article]:
        return (Article(str(n), "", line) for n, line in enumerate(self.path.read_text().splitlines()))


@pytest.fixture
def own_sources() -> Iterator[None]:
    SOURCES.add("countdown", Countdown)
    SOURCES.add("verses", Verses)
    yield
    SOURCES.remove("countdown")
    SOURCES.remove("verses")


def test_a_source_of_the_users_own_is_found_by_name(own_sources: None) -> None:
    source = open_source("countdown:2", prose_only=True, salvage=True)
    assert [article.text for article in source.articles()] == ["2 to go.", "1 to go."]
    assert isinstance(source, Countdown)
    assert source.prose_only, "a source gets the options that it takes by name, and no others"
    assert source.identity() is None
    with pytest.raises(BadConfig, match="The source 'countdown' needs an argument; write countdown:START"):
        open_source("countdown:")


def test_a_source_of_the_users_own_is_asked_about_a_path_before_the_built_in_ones(
    tmp_path: Path, own_sources: None
) -> None:
    (tmp_path / "ode.verse").write_text("Tyger Tyger\nburning bright\n")
    source = open_source(tmp_path / "ode.verse")
    assert source.description == {"kind": "verses", "name": "ode.verse"}
    assert [article.text for article in source.articles()] == ["Tyger Tyger", "burning bright"]


def test_an_object_and_articles_are_sources_as_they_are() -> None:
    source = Countdown("3")
    assert open_source(source) is source
    articles = [Article("1", "Peru", "Lima.")]
    assert list(open_source(articles).articles()) == articles
    assert list(open_source(iter(articles)).articles()) == articles


def test_identities_change_with_the_articles(tmp_path: Path) -> None:
    article = Article("1", "Peru", "Lima.", (Span(0, 4, "entity"),))
    same = [Articles(made).identity() for made in ([article], (article,))]
    assert same[0] == same[1]
    assert Articles([Article("1", "Peru", "Lima.")]).identity() != same[0]
    assert Articles(iter([article])).identity() is None
    (tmp_path / "a.txt").write_text("Lima.")
    before = open_source(tmp_path).identity()
    assert json.loads(json.dumps(before)) == before == open_source(tmp_path).identity()
    os.utime(tmp_path / "a.txt", ns=(1, 1))
    assert open_source(tmp_path).identity() != before
    assert open_source("wikipedia:simplewiki:20260101").identity() == ["simplewiki", "20260101"]
    assert open_source("factbook").identity() != open_source("factbook", prose_only=True).identity()
