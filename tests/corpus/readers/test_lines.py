from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.readers import Document, Piece
from openrealm.corpus.readers.heads import without_heads
from openrealm.corpus.readers.lines import pages_of, pieces

FOLDER = Path(__file__).parents[2] / "data" / "lines"
MARK = "¶"


def text_of(text: str) -> str:
    return Document("", tuple(pieces(pages_of(text)))).article("a", "a").text


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_nearly_all_line_ends_of_a_labelled_document_are_told(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    found = {
        p.position: p.joint == "\n" for p in pieces(pages_of("\n".join(line.removesuffix(MARK) for line in lines)))
    }
    position, wrong, total = 0, [], 0
    for line, following in pairwise(lines):
        position += len(line.removesuffix(MARK)) + 1
        if line.strip() and following.strip() and position in found:
            total += 1
            wrong += [(line, following)] if found[position] != line.endswith(MARK) else []
    assert len(wrong) <= total / 10, wrong


def test_a_narrow_text_is_put_together_and_entries_are_kept() -> None:
    narrow = "The inn at Grohnde was closed in 1988 by\nEva Roth, who had no heirs. It is now a\nschool for ferrymen."
    assert text_of(narrow) == narrow.replace("\n", " ")
    entries = "\n".join(f"{town}: inn number {n}, kept by {who} since {1890 + n}" for n, (town, who) in enumerate(
        [("Turin", "Rosa Conti"), ("Malmö", "Nils Ek"), ("Porto", "Ana Luz"), ("Turku", "Aino Salo")]))  # fmt: skip
    assert text_of(entries) == entries


def test_a_glossary_keeps_its_entries_and_an_answer_its_second_line() -> None:
    glossary = "flour - what a mill makes of grain, and\nlock - a gate that lets boats past a weir\nweir - a low dam"
    assert text_of(glossary) == glossary
    answers = (
        "Q: Who built the mill at Polle?\nA: Karl Brandt of Bremen built it in 1902, together with his\n"
        "brother, who was an engineer too.\nQ: When did it burn down?\nA: In 1950."
    )
    assert text_of(answers) == answers.replace("his\n", "his ")


def test_addresses_begin_entries_and_titles_go_on() -> None:
    addresses = "See also these pages:\nhttp://example.org/mills\nhttp://example.org/ferries?page=1"
    assert text_of(addresses) == addresses
    titles = "The mill at Polle was built by Dr.\nKarl Brandt, who came from Bremen and\ndied in that of Prof.\nBerg."
    assert text_of(titles) == titles.replace("\n", " ")


def test_a_long_heading_stands_apart_from_its_paragraph() -> None:
    heading = "What is known about the inns of the lower Weser and their guests"
    long = heading + "\n" + "The inn at Grohnde was closed in 1988. " * 6
    assert text_of(long).startswith(heading + "\nThe inn")
    wrapped = (
        heading + "\nThe inn at Grohnde was closed in 1988 by Eva Roth, who had no heirs and\nsold it to the town."
    )
    assert text_of(wrapped).split("\n")[0] == heading


def test_divided_words_are_joined_and_compounds_keep_their_hyphen() -> None:
    text = (
        "The well-known engineer, a self-\ntaught man from Bremen-\nVegesack, had twenty-\ntwo wheels and an infor-\n"
        "mation desk; the Anglo-\nAmerican company paid 5-\n6 marks for its news-\npaper, and the pre-\nand post-war "
        "editions of that newspaper, for a co\xad\noperative.\n"
    )
    assert text_of(text) == (
        "The well-known engineer, a self-taught man from Bremen-Vegesack, had twenty-two wheels and an information "
        "desk; the Anglo-American company paid 5-6 marks for its newspaper, and the pre- and post-war editions of that "
        "newspaper, for a cooperative."
    )


def test_scripts_without_spaces_are_joined_without_them() -> None:
    text = "波勒的水车由来自不来梅的工程师建造，他曾\n在哈默尔恩学习这门手艺。春天水车被烧毁，\n只剩下轮子。"
    assert text_of(text) == text.replace("\n", "")


def test_headings_are_told_only_where_sure() -> None:
    text = "ON MILLS\n\nthe text\n\nOf Wheels\n---------\nmore\n\nChapter 3: Ferries\n\nOf Boats\n\nthe end"
    found = [(piece.text, piece.kind) for piece in pieces(pages_of(text))]
    assert [text for text, kind in found if kind == "heading"] == ["ON MILLS", "Of Wheels", "Chapter 3: Ferries"]
    assert ("Of Boats", "prose") in found


def test_every_line_of_a_paragraph_is_traced_to_its_place() -> None:
    text = "The inn at Grohnde was closed in 1988 by Eva\nRoth, who had no heirs and sold it to the\ntown."
    article = Document("", tuple(pieces(pages_of(text)))).article("a", "a")
    for line in article.lines:
        assert article.text[line.start :].startswith(text[line.position :].split("\n")[0])
    assert len(article.lines) == 3


def test_running_heads_go_and_the_sentence_goes_on_over_the_page() -> None:
    page = "The Weser Inns                {n}\n\n{body}\n\nRoth                  [Page {n}]"
    bodies = [
        "The inn at Grohnde was closed in 1988 by Eva Roth,\nwho had no heirs and sold it to the council of the",
        "town. It is now a school for ferrymen, and the beds\nare said to be hard.",
        "Nobody has complained.",
    ]
    text = "\f".join(page.format(n=n, body=body) for n, body in enumerate(bodies, 41))
    pages, num_dropped = without_heads(pages_of(text))
    assert num_dropped == 6
    found = Document("", tuple(pieces(pages))).article("a", "a").text
    assert "to the council of the town. It is now a school" in found
    assert "Page" not in found


def test_chapter_headings_on_top_of_pages_are_no_running_heads() -> None:
    text = "\f".join(f"Chapter {n}\n\nSome text of it, {n}." for n in range(1, 6))
    assert without_heads(pages_of(text)) == (pages_of(text), 0)


words = st.text(alphabet="abcXYZ019.,:-(*)>|é東ไ'", min_size=1, max_size=12)
any_lines = st.lists(st.lists(words, max_size=12).map(" ".join), max_size=12)


@given(any_lines, st.sampled_from(["\n", "\n\n", "\n    ", "\f"]))
def test_no_letter_is_lost(lines: list[str], end: str) -> None:
    text = end.join(lines)
    kept = "".join(filter(str.isalnum, "".join(piece.text for piece in pieces(pages_of(text)))))
    assert kept == "".join(filter(str.isalnum, text))


@given(st.text(max_size=300))
def test_pieces_are_where_they_say(text: str) -> None:
    found: list[Piece] = list(pieces(pages_of(text)))
    assert [piece.position for piece in found] == sorted({piece.position for piece in found})
    for piece in found:
        line = text[piece.position :].split("\n")[0].split("\f")[0]
        assert piece.text.lstrip("> ")[:1] in line


@pytest.mark.parametrize(
    "text", ["a" * 60 + "\n", "- x\n", "> ", ".", ". ", "a-\n", "東\n", "=\n", "\f", " \n", "a\t|"]
)
def test_work_grows_no_faster_than_the_text(text: str) -> None:
    num_calls = 0

    def count(*_: object) -> None:
        nonlocal num_calls
        num_calls += 1

    numbers = []
    for size in (2_000, 4_000):
        num_calls = 0
        sys.setprofile(count)
        list(pieces(without_heads(pages_of(text * size))[0]))
        sys.setprofile(None)
        numbers.append(num_calls)
    assert numbers[1] < 2.5 * numbers[0] + 2_000
