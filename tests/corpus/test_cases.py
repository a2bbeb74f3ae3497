"""The right text of each small case in ../shared/cases/ingest, which tells what earlier versions lost or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from openrealm.corpus.sentences import sentence_bounds
from openrealm.corpus.sources import open_source
from openrealm.errors import BadInput

ROOT = Path(__file__).parents[3] / "shared" / "cases" / "ingest"

# For each case the path in it, and sentences that must be there whole.
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "html-bom": ("enc_bomwronghtml", ("The café was opened by Jörg Weiss in Köln.",)),
    "html-inline": (
        "html_inline",
        (
            "The letter was carved by Karl Brandt in java.util and NATO and old new mill words, see icon and here, "
            "Name or OK in 漢(kan) end.",
        ),
    ),
    "html-latin1": ("enc_latin1html", ("The café “quoted” was opened by Jörg Weiss in 1984 in Köln.",)),
    "html-table": ("html_table", ("Town, Founded", "Hameln, 851", "Polle, 1285")),
    "html-utf8-mislabelled": ("enc_wronghtml", ("The café was opened by Jörg Weiss in Köln.",)),
    "jsonl-beir-id": ("in/a.jsonl", ("The mill at Polle was built in 1902.",)),
    "jsonl-blank-uncounted": ("in/a.jsonl", ("The mill at Polle was built in 1902.",)),
    "jsonl-null-title": ("in/a.jsonl", ("The mill at Polle was built in 1902.",)),
    "jsonl-plain-gz": ("in/a.jsonl.gz", ("The mill at Polle was built in 1902.",)),
    "md-bracket-line": (
        "md_defs",
        (
            "[Anna]: I was born in Kiel in 1950 and grew up in Hameln.",
            "[Bert]: My father, Karl Brandt, built the ferry.",
            "The footnote was written by Clara Holt in Oslo.",
        ),
    ),
    "md-dialects": (
        "in",
        ("Guide", "Careful", "The water is deep in Hameln.", "See the label.", "A tip about Bremen.", "A claim."),
    ),
    "md-html-cells": ("md_htmlcell", ("Hameln, 851", "Polle, 1285", "Write to anna@example.org please.")),
    "md-nested-link": ("md_badge", ("Build PyPI", "Thanks to @bot[bot] for it.")),
    "md-number-line": (
        "md_wrapnum",
        (
            "The mill at Polle was sold by Karl Brandt in 1950.",
            "After that Anna Berg ran the mill until 1987.",
            "It burned down on the night of 5 May 1999) as the paper wrote.",
            "1986.",
            "What a season for Bremen.",
        ),
    ),
    "md-table": ("in", ("Town, Founded", "Bodenwerder, 1245", "Hoexter, 822")),
    "pdf-aes": ("pdf_encaes", ("The mill at Polle was built in 1902 by Karl Brandt.",)),
    "pdf-columns": (
        "pdf_cols_good",
        (
            "The mill at Polle was built in 1902 by Karl Brandt from Bremen and burned down in 1950.",
            "The ferry at Hameln was opened in 1851 by Anna Berg and is still used by many people today.",
        ),
    ),
    "pdf-hyphen": (
        "pdf_hyph",
        (
            "The water mill at Polle was built in 1902 by the engineer Karl Brandt, a well-known and self-taught man "
            "from Bremen-Vegesack.",
            "Its twenty-two wheels were sold to the Anglo-American company in 1950 for 5-6 marks each.",
        ),
    ),
    "pdf-scanned-pages": ("pdf_scanmix", ("Only this page has a text layer, said Clara Holt.",)),
    "sent-other-scripts": (
        "in",
        (
            "गंगा भारत की नदी है।",
            "他说：“这座城市很美。”",
            "张伟笑了。",
            "درس في القاهرة؟",
            "Am 3. Oktober 1990 begann die 1. Bundesliga in der Hauptstr. 12.",
        ),
    ),
    "sent-us": (
        "in",
        (
            "He was elected to the U.S. Senate in 1950.",
            "The coin dates from c. 1860 and was found by Brig. Gen. Holt.",
            "He served in World War I.",
            "After that he left.",
        ),
    ),
    "shards": ("in", ("The mill at Polle was built in 1902.", "The ferry at Hameln.")),
    "tsv": ("in/psgs.tsv", ("The mill at Polle was built in 1902.",)),
    "txt-entries": (
        "in",
        (
            "Oslo: mill number 0 of the river, built by Anna Berg in 1800",
            "Linz: mill number 3 of the river, built by Eva Roth in 1803",
        ),
    ),
    "txt-heading-para": (
        "t_para",
        (
            "The history of the mills of the upper Weser and its people",
            "Prices of tickets and the opening hours of the museum",
        ),
    ),
    "txt-narrow": (
        "l_wrapped",
        (
            "The mill at Polle was built in 1902 by Karl Brandt, who came from Bremen.",
            "Second paragraph begins here and goes on for two lines.",
        ),
    ),
    "wiki-apostrophes": ("in/w.xml", ("In The Mill's first act Time's editor read l'Odyssée aloud.",)),
    "wiki-convert-range": ("in/w.xml", ("It is 5 to 7 km away, 10 and 12 ft high, 5–10 km wide, 6 ft 2 in deep.",)),
    "wiki-short-prefix": (
        "in/w.xml",
        ("He starred in CSI: Miami, CSI New York and xXx: Return of Xander Cage.", "The word mill is old."),
    ),
    "wiki-templates": ("in/w.xml", ("at 5.3 km, As of 2011, for US$5 million and H2O.",)),
    "zwnj": ("in", ("او می\u200cخواهم را گفت.", "ශ්\u200dරී ලංකා.", "👨\u200d👩\u200d👧 family.")),
}
# Markup and damage that must not be there.
ABSENT = ("Ã", "ï»¿", "{", "}", "///", "!!!", ":::", "(guide-label)=", "[^", "tracking", "](", "Hameln851", " ,")
REFUSED = {
    "one-bad-file": ("onebad", r"z\.txt is not utf-8 text \(byte 2 is 0xef\)"),
    "pdf-scanned-only": ("pdf_scan", r"a\.pdf contains no text \(.*1 page without text\): it is probably scanned"),
}


def folder(name: str) -> Path:
    if not (ROOT / name).is_dir():
        pytest.skip("there are no shared cases")
    return ROOT / name


@pytest.mark.parametrize("name", CASES)
def test_the_text_of_a_case_is_whole(name: str) -> None:
    path, expected = CASES[name]
    texts = [article.text for article in open_source(folder(name) / path, num_workers=1).articles()]
    found = [text[start:end].strip() for text in texts for start, end in sentence_bounds(text)]
    assert [sentence for sentence in expected if sentence not in found] == [], found
    assert [mark for mark in ABSENT if any(mark in text for text in texts)] == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_named(name: str) -> None:
    path, message = REFUSED[name]
    with pytest.raises(BadInput, match=message):
        list(open_source(folder(name) / path).articles())


def test_every_case_but_a_link_is_tried() -> None:
    """Links do not survive in shared/; tests/corpus/sources/test_folder.py makes one that leads to itself."""
    found = {path.name for path in folder("").iterdir() if path.is_dir()}
    assert found == {*CASES, *REFUSED, "symlink-loop"}


def test_ids_titles_and_counts_of_cases() -> None:
    (article,) = open_source(folder("jsonl-beir-id") / "in/a.jsonl").articles()
    assert article.id == "doc42"
    blank = open_source(folder("jsonl-blank-uncounted") / "in/a.jsonl")
    assert (len(list(blank.articles())), blank.description["skipped"]) == (1, {"row without text": 3})
    scanned = open_source(folder("pdf-scanned-pages") / "pdf_scanmix")
    assert (len(list(scanned.articles())), scanned.description["skipped"]) == (1, {"page without text": 3})
    titles = {"md-dialects": ("in", "Guide"), "html-latin1": ("enc_latin1html", "Café Müller")}
    for name, (path, title) in titles.items():
        assert [article.title for article in open_source(folder(name) / path).articles()] == [title]
