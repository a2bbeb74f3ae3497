"""`Corpus.build`: one call from any source to a corpus, reused while nothing has changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from openrealm.corpus.corpus import Corpus
from openrealm.corpus.sources import Source
from openrealm.corpus.tagger import Tagger
from openrealm.errors import BadInput
from openrealm.files import new_folder
from openrealm.recipes.small import small_encoder
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import NULL, Article, Span

PERU = Article("1", "Peru", "Lima is the capital of Peru. The river is in the south.")
CHILE = Article("2", "Chile", "Chile is a country. Lima was born in 2008.")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "peru.md").write_text("# Peru\n\nLima is the capital of Peru.\n")
    return folder


def inode(corpus: Corpus) -> int:
    return (corpus.folder / "manifest.json").stat().st_ino


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_of_either_type_becomes_a_corpus_with_the_recipes_settings(
    tmp_path: Path, notes: Path, kind: type
) -> None:
    corpus = Corpus.build(kind(notes), kind(tmp_path / "corpus"))
    assert [passage.title for passage in corpus] == ["Peru"]
    assert [passage.text for passage in Corpus.open(kind(tmp_path / "corpus"))] == [corpus[0].text]
    wanted = small_encoder().corpus
    for name in ("passages", "max_passage_tokens", "max_passage_words", "tagger", "near_duplicates"):
        assert corpus.settings[name] == getattr(wanted, name)


def test_passages_by_number_and_one_after_the_other(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = Corpus.build([PERU, CHILE], tmp_path / "corpus", tokenizer=tokenizer, max_passage_tokens=10)
    assert len(corpus) == len(list(corpus)) == 4
    assert list(corpus) == [corpus[i] for i in range(4)] == [corpus.passage(i) for i in range(4)]
    assert corpus[np.int64(1)] == corpus[1]
    for outside in (4, NULL):
        with pytest.raises(IndexError, match=rf"passage {outside} is outside 0 \.\. 3"):
            corpus[outside]


def test_the_same_content_and_settings_are_opened_not_built(
    tmp_path: Path, notes: Path, tokenizer: Tokenizer, capfd: pytest.CaptureFixture[str]
) -> None:
    first = inode(Corpus.build(notes, tmp_path / "corpus", tokenizer=tokenizer))
    again = Corpus.build(str(notes), str(tmp_path / "corpus"), tokenizer=tokenizer, num_workers=1)
    assert inode(again) == first
    capfd.readouterr()
    (notes / "chile.md").write_text("# Chile\n\nChile is a country.\n")
    changed = Corpus.build(notes, tmp_path / "corpus", tokenizer=tokenizer)
    assert sorted(passage.title for passage in changed) == ["Chile", "Peru"]
    assert "is being rebuilt, because its text or settings may have changed" in capfd.readouterr().err
    other = Corpus.build(notes, tmp_path / "corpus", tokenizer=tokenizer, max_passage_tokens=32)
    assert other.settings["max_passage_tokens"] == 32
    assert other.digest != changed.digest


def test_a_corpus_that_was_damaged_is_built_again(tmp_path: Path, notes: Path, tokenizer: Tokenizer) -> None:
    folder = Corpus.build(notes, tmp_path / "corpus", tokenizer=tokenizer).folder
    (folder / "body.bin").unlink()
    assert len(Corpus.build(notes, folder, tokenizer=tokenizer)) == len(Corpus.open(folder, verify=True)) == 1


def test_articles_in_memory_are_compared_by_content_and_iterators_built_each_time(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    folder = tmp_path / "corpus"
    first = inode(Corpus.build([PERU], folder, tokenizer=tokenizer))
    assert inode(Corpus.build((PERU,), folder, tokenizer=tokenizer)) == first
    assert Corpus.build([CHILE], folder, tokenizer=tokenizer)[0].title == "Chile"
    assert Corpus.build(iter([PERU]), folder, tokenizer=tokenizer)[0].title == "Peru"
    assert "build_key" not in Corpus.open(folder).manifest


def test_a_folder_that_holds_anything_else_is_left_alone(tmp_path: Path, notes: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(BadInput, match=r"notes contains something other than a corpus; give a new or empty folder"):
        Corpus.build(notes, notes, tokenizer=tokenizer)
    with pytest.raises(BadInput, match=r"peru\.md contains something other than a corpus"):
        Corpus.build(notes, notes / "peru.md", tokenizer=tokenizer)
    with new_folder(tmp_path / "index", {"kind": "index"}) as folder:
        (folder / "vectors").write_bytes(b"")
    with pytest.raises(BadInput, match=r"index contains something other than a corpus"):
        Corpus.build(notes, tmp_path / "index", tokenizer=tokenizer)
    assert sorted(os.listdir(notes)) == ["peru.md"]
    Corpus.build([PERU], tmp_path / "corpus", tokenizer=tokenizer)
    with pytest.raises(BadInput, match=r"corpus of another source \(articles, not folder notes\); give another folder"):
        Corpus.build(notes, tmp_path / "corpus", tokenizer=tokenizer)
    (tmp_path / "empty").mkdir()
    assert len(Corpus.build(notes, tmp_path / "empty", tokenizer=tokenizer)) == 1


class Countdown(Source):
    """A source of a user's own."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.description = {"kind": "countdown"}

    def articles(self) -> Iterator[Article]:
        return (Article(str(n), f"Step {n}", f"{n} to go.") for n in range(self.start, 0, -1))

    def identity(self) -> int:
        return self.start


class Digits(Tagger):
    """A tagger of a user's own."""

    name = "digits"

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        return [[Span(i, i + 1, "number") for i, c in enumerate(text) if c.isdigit()] for text in texts]


def test_a_source_and_a_tagger_of_ones_own(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = Corpus.build(Countdown(2), tmp_path / "corpus", tokenizer=tokenizer, tagger=Digits())
    assert [passage.text for passage in corpus] == ["2 to go.", "1 to go."]
    assert corpus.spans(0) == [(0, 1, "number")]
    assert corpus.settings["tagger"] == "digits"
    again = Corpus.build(Countdown(2), tmp_path / "corpus", tokenizer=tokenizer, tagger=Digits())
    assert inode(again) == inode(corpus)
    assert len(Corpus.build(Countdown(3), tmp_path / "corpus", tokenizer=tokenizer, tagger=Digits())) == 3
