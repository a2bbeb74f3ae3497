from __future__ import annotations

import bz2
import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openrealm.corpus.blocks import PassageRule, cut_blocks
from openrealm.corpus.clean import clean_text
from openrealm.corpus.sources import mediawiki, open_source
from openrealm.errors import BadInput, NotInstalled
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article, Span


@pytest.fixture
def dump_of(tmp_path: Path, make_dump: Callable[[list[str]], str]) -> Callable[[list[str]], Path]:
    def write(pages: list[str]) -> Path:
        path = tmp_path / "wiki-20260101-pages-articles.xml.bz2"
        path.write_bytes(bz2.compress(make_dump(pages).encode("utf-8", "surrogatepass")))
        return path

    return write


def test_articles_have_text_and_mentions_and_what_is_none_is_counted(
    dump_of: Callable[[list[str]], Path], make_page: Callable[..., str], prose: str
) -> None:
    pages = [
        make_page(3, "Lima", f"[[Datei:a.jpg|mini|Bild]]'''Lima''' is in [[Peru]]. {prose}[[Kategorie:X]]"),
        make_page(4, "L", "#REDIRECT [[Lima]]", extra='<redirect title="Lima" />'),
        make_page(5, "Lima (disambiguation)", prose),
        make_page(6, "List of towns", prose),
        make_page(7, "Index of towns", prose),
        make_page(8, "Outline of Peru", prose),
        make_page(9, "Stub", "'''Stub''' is short."),
        make_page(10, "Talk:Lima", prose, ns=1),
        make_page(11, "Tom &amp; Jerry", f"A &lt; B. {prose}"),
    ]
    source = open_source(dump_of(pages), num_workers=1)
    description = source.description
    for _ in range(2):
        first, last = source.articles()
        assert first == Article("3", "Lima", f"Lima is in Peru. {prose.strip()}", (Span(11, 15, "entity"),))
        assert (last.id, last.title, last.text[:6]) == ("11", "Tom &amp; Jerry", "A < B.")
        assert description["skipped"] == {
            "redirect": 1, "disambiguation": 1, "list": 3, "short": 1, "other namespace": 1,
        }  # fmt: skip
        assert (description["kind"], description["quarantined"]) == ("mediawiki", [])


def test_sentences_with_unknown_templates_are_counted_by_name(
    dump_of: Callable[[list[str]], Path], make_page: Callable[..., str], prose: str
) -> None:
    pages = [
        make_page(1, "Lima", f"Lima is {{{{old}}}}. {prose} It has {{{{new|1}}}} and {{{{x}}}}. {prose}"),
        make_page(2, "Cusco", f"Cusco is {{{{old}}}}, too.\n{prose}"),
        make_page(3, "Ica", f"{{{{old}}}}\nIca is in the south. {prose}"),
    ]
    described: dict[str, Any] = {}
    texts = [article.text for article in mediawiki.read(dump_of(pages), num_workers=2, description=described)]
    assert texts == [f"{prose}{prose.strip()}", prose.strip(), f"Ica is in the south. {prose.strip()}"]
    assert described["skipped"] == {mediawiki.SENTENCES: 3}
    assert described["unknown_templates"] == {"old": 2, "new": 1}


POISON: dict[str, tuple[str, str]] = {
    "a line of 10 MB": ("word " * 2_000_000, "a line over 1,000,000 characters, corpus.max_line_characters"),
}
MORE_POISON = {
    **POISON,
    "10 MB of links": ("[[a]] " * 1_700_000, "over 5 s, corpus.max_page_seconds"),
    "65 MB of lines": ("word\n" * 13_000_000, "over 1,024 MB, corpus.max_page_memory_mb"),
    "more than that": ("word\n" * 14_000_000, "over 64 MB, corpus.max_page_mb"),
}
CLEANED = {
    "zero": ("a\x00b", "ab"),
    "bidi": ("a\u202eb\u2066c", "abc"),
    "surrogate": ("a\ud800b", "a\ufffd\ufffd\ufffdb"),
    "unclosed templates": ("{{a|[[" * 10_000, "a|" * 10_000),
    "unclosed references": ("<ref>" * 60_000, "<ref>" * 60_000),
    "unclosed braces": ("{{" * 5000 + "a", "a"),
    "unclosed triple braces": ("{{{" * 5000 + "a", "a"),
    "unclosed brackets": ("[[" * 5000 + "a", "a"),
}


@pytest.mark.parametrize("poison", [POISON, pytest.param(MORE_POISON, marks=pytest.mark.slow)], ids=["few", "all"])
def test_poison_is_set_aside_and_counted_and_the_run_goes_on(
    dump_of: Callable[[list[str]], Path],
    make_page: Callable[..., str],
    prose: str,
    poison: dict[str, tuple[str, str]],
) -> None:
    pages = []
    for n, (title, (text, _)) in enumerate({**poison, **CLEANED}.items()):
        pages += [make_page(n, title, f"{text}\n{prose}"), make_page(100 + n, f"Town {n}", f"Town {n}. {prose}")]
    described: dict[str, Any] = {}
    articles = {a.title: a for a in mediawiki.read(dump_of(pages), num_workers=2, description=described)}
    assert set(articles) == {*CLEANED, *(f"Town {n}" for n in range(len(pages) // 2))}
    for title, (_, cleaned) in CLEANED.items():
        assert articles[title].text == f"{cleaned}\n{prose.strip()}"
    listed = [(page["id"], page["title"], page["why"]) for page in described["quarantined"]]
    known = [
        ("", "") if why == "over 64 MB, corpus.max_page_mb" else (str(n), title)
        for n, (title, (_, why)) in enumerate(poison.items())
    ]
    assert listed == [(*named, why) for named, (_, why) in zip(known, poison.values(), strict=True)]
    assert described["skipped"] == Counter(f"quarantined ({why})" for _, why in poison.values())


def test_text_that_looks_like_special_tokens_comes_through_and_stays_text(
    dump_of: Callable[[list[str]], Path], make_page: Callable[..., str], prose: str, tokenizer: Tokenizer
) -> None:
    said = "[SEP] [MASK] [CLS] [PAD]"
    (article,) = mediawiki.read(dump_of([make_page(1, f"Lima {said}", f"Of {said}, {prose}")]), num_workers=1)
    assert article.title == f"Lima {said}"
    assert article.text.startswith(f"Of {said}, The river")
    special = {tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id, tokenizer.pad_id}
    for block in cut_blocks(article, tokenizer, PassageRule(64)):
        assert not special & {*block.ids, *block.title_ids}


def test_numbers_of_illegal_characters_are_no_damage(
    tmp_path: Path, make_page: Callable[..., str], make_dump: Callable[[list[str]], str], prose: str
) -> None:
    path = tmp_path / "a.xml"
    text = make_dump([make_page(1, "A", f"x{prose}")])
    path.write_text(text.replace(f"x{prose}", f"&#0;&#xD800;&#31;x&#10;y{prose}"))
    (article,) = mediawiki.read(path, num_workers=1)
    assert article.text.startswith("\ufffd\ufffd\ufffdx\ny")


def test_damage_stops_with_its_byte_and_salvage_lists_the_losses(tmp_path: Path, multistream: bytes) -> None:
    data = bytearray(multistream)
    data[len(data) // 2] ^= 1
    path = tmp_path / "towns.xml.bz2"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"towns.xml.bz2 is damaged at byte [\d,]+ \(.*--salvage"):
        list(mediawiki.read(path, num_workers=2))
    source = open_source(path, salvage=True, num_workers=2)
    kept, description = list(source.articles()), source.description
    assert 200 <= len(kept) < 300
    assert description["losses"][0]["start"] <= len(data) // 2 < description["losses"][0]["end"]
    assert description["skipped"]["damaged range"] == len(description["losses"])


def test_a_page_that_is_no_xml_is_damage(
    tmp_path: Path, numbered_pages: list[str], make_dump: Callable[[list[str]], str]
) -> None:
    path = tmp_path / "towns.xml"
    text = make_dump(numbered_pages[:9])
    path.write_text(text.replace("<title>Town 4<", "<titel>Town 4<"))
    start = text.index("<page>\n    <title>Town 4<")
    with pytest.raises(BadInput, match=rf"damaged at byte {start:,} \(a page is not well-formed XML: mismatched tag"):
        list(mediawiki.read(path, num_workers=1))
    described: dict[str, Any] = {}
    kept = [a.title for a in mediawiki.read(path, salvage=True, num_workers=2, description=described)]
    assert kept == [f"Town {n}" for n in range(9) if n != 4]
    assert described["losses"][0]["start"] == start


def test_without_the_parser_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mwparserfromhell", None)
    with pytest.raises(NotInstalled, match=r'pip install "openrealm\[wikipedia\]"'):
        list(mediawiki.read(tmp_path / "a.xml"))


def digest(articles: list[Article]) -> str:
    return hashlib.sha256(repr(articles).encode()).hexdigest()


@pytest.mark.peers
def test_a_real_excerpt_gives_the_same_articles_from_any_number_of_workers(gensim_data: Path) -> None:
    path = next(gensim_data.glob("enwiki-latest-pages*.bz2"))
    read, described = {}, {}
    for workers in (1, 2, 4):
        described[workers]: dict[str, Any] = {}
        read[workers] = list(mediawiki.read(path, num_workers=workers, description=described[workers]))
    assert digest(read[1]) == digest(read[2]) == digest(read[4])
    assert described[1] == described[2] == described[4]
    left_out = described[1]["skipped"].pop(mediawiki.SENTENCES)
    assert described[1]["skipped"] == {"redirect": 99, "disambiguation": 8, "list": 2, "other namespace": 1}
    assert left_out == sum(described[1]["unknown_templates"].values()) < 60, "of 21,000 sentences"
    articles = read[1]
    assert len(articles) == 96
    assert 400_000 < sum(len(article.text.split()) for article in articles) < 460_000
    for article in articles:
        assert article.text == clean_text(article.text, entities=False)
        assert not {"{{", "}}", "[[", "]]", "<ref", "{|", "|}"} & set(article.text.split())
        assert len(article.mentions) > 20 or len(article.text) < 5000
    anarchism = articles[0]
    assert anarchism.title == "Anarchism"
    assert anarchism.text.startswith("Anarchism is a political philosophy that advocates self-governed societies")
    names = {anarchism.text[mention.start : mention.end] for mention in anarchism.mentions}
    assert {"Pierre-Joseph Proudhon", "French Revolution", "political philosophy"} <= names


@pytest.mark.peers
def test_the_articles_of_the_excerpt_are_those_that_gensim_finds_but_lists(gensim_data: Path) -> None:
    """gensim's own reader, with its own rule for words: the same articles, and no more than captions and cells less."""
    sys.path.append(str(gensim_data.parents[2]))
    from gensim.corpora.wikicorpus import WikiCorpus, tokenize

    path = next(gensim_data.glob("enwiki-latest-pages*.bz2"))
    corpus = WikiCorpus(str(path), dictionary={}, processes=1)
    corpus.metadata = True
    theirs = {title: Counter(words) for words, (_, title) in corpus.get_texts()}
    texts = {article.title: article.text for article in mediawiki.read(path, num_workers=2)}
    ours = {title: Counter(tokenize(text, 2, 15, True)) for title, text in texts.items()}
    assert len(theirs) == 106
    assert set(ours) < set(theirs)
    assert len(set(theirs) - set(ours)) == 10, "8 disambiguation pages, 2 lists"
    shares = sorted(sum((ours[title] & theirs[title]).values()) / sum(ours[title].values()) for title in ours)
    assert shares[1] > 0.85, "what we keep is text, and stands in gensim's too but for what templates show"
    assert shares[len(shares) // 2] > 0.98
    kept = sum(sum(words.values()) for words in ours.values())
    assert 0.9 < kept / sum(sum(theirs[title].values()) for title in ours) < 1


@pytest.mark.peers
def test_a_real_excerpt_in_bulgarian(gensim_data: Path, tmp_path: Path) -> None:
    packed = (gensim_data / "bgwiki-latest-pages-articles-shortened.xml.bz2").read_bytes()
    path = tmp_path / "bgwiki.xml"
    path.write_text(bz2.decompress(packed).decode("utf-16"))  # dumps are UTF-8, but for this one
    (article,) = mediawiki.read(path, num_workers=1)
    assert article.text.startswith("Григорианският календар (понякога наричан и Грегориански календар, „нов стил“) е")
    assert len(article.mentions) == 95
    assert "Файл:" not in article.text
