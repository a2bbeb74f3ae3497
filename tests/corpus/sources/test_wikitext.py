from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.clean import clean_text
from openrealm.corpus.sources.namespaces import Wiki
from openrealm.corpus.sources.wikitext import plain_text
from openrealm.types import Span


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("'''Lima''' is the ''capital'' of [[Peru]].", "Lima is the capital of Peru."),
        ("The [[Rímac River|Rímac]] and [[bus]]es, see [[Peru#History]].", "The Rímac and buses, see Peru."),
        ("One{{citation needed|date=May}}<ref name=a>{{cite|x}}</ref><ref name=a /> two.", "One two."),
        ("Before.\n{| class=wikitable\n|-\n! a\n| b || c\n|}\nAfter.", "Before.\nAfter."),
        ("It is {{convert|5|km|mi|abbr=on}} {{nowrap|long and}} {{lang|fr|belle}}.", "It is 5 km long and belle."),
        ("Born ({{lang-es|x}}; {{IPA|y}}, 1535) in Lima ({{audio|z}}).", "Born (x; y, 1535) in Lima."),
        ("[[File:a.jpg|thumb|A [[picture]]]][[Image:b.png]]Text.[[Category:X]][[fr:Lima]]", "Text."),
        ("[[Datei:a.jpg|mini|Bild]]Text.[[Kategorie:X]]", "Text."),
        ("See [[:Category:T|T]], [https://a.org a site] or https://b.org now.", "See T, a site or https://b.org now."),
        ("One.\n== History ==\nTwo.\n=== Wars ===\nThree.", "One.\nTwo.\nThree."),
        ("One.\n== See also ==\n* [[A]]\n=== More ===\nB\n== Climate ==\nTwo.\n==Weblinks==\nC", "One.\nTwo."),
        ("* one\n* two\n# three\n: four", "one\ntwo\nthree\nfour"),
        ("a &amp;nbsp; b &nbsp;c &lt;d&gt; <!-- e --> <nowiki>[[f]]</nowiki> __NOTOC__", "a &nbsp; b c <d> f"),
        ("x<sub>2</sub><br/>y <math>\\frac{1}{2}</math> <span style='color:red'>z</span>", "x2\ny 1/2 z"),
        ("A [[b|\u202ec\u200b]]\x00.", "A c."),
        ("{{convert|5|1=6|2=miles}} {{nowrap|}}, {{{a|b}}}{{cite{{y}}|z}}.", "6 miles, b."),
        ("&#65;&#x42;&eacute; &bogus; &lt;b&gt; [[A&amp;B]] [[a|&quot;]] &#xFDD0;.", 'ABé &bogus; <b> A&B ".'),
        ("<span title='a [[b]]'>c</span> <ref name=x>[[d]]<ref/> e</ref> <br /> {{efn|<ref>}}</ref>}} g", "c\ng"),
        ("''[[File:a.jpg|b ''c'' [[d]] {{e}}]] f''", "f"),
        ("{{unclosed | text [[and]] more", "unclosed | text and more"),
        ("a<!-- b\n<nowiki> -->c<nowiki><!-- d --></nowiki> <!-- e <!-- f -->g<!-- h\n<ref>", "ac<!-- d --> g"),
        ("a <nowiki> <!-- b --> c", "a <nowiki> c"),
        ("; weir : a low dam\n: second line", "weir\na low dam\nsecond line"),
        ("See [[#Later years]], [[Lima (city)|]] and [[Lima, Peru|]].", "See #Later years, Lima and Lima."),
        ("", ""),
    ],
)  # fmt: skip
def test_markup_becomes_prose(markup: str, text: str) -> None:
    assert plain_text(markup, Wiki("de"))[0] == text


def names(markup: str) -> list[str]:
    text, mentions, _ = plain_text(markup)
    return [text[mention.start : mention.end] for mention in mentions]


def test_links_are_mentions_where_they_stand_in_the_cleaned_text() -> None:
    text, mentions, _ = plain_text("''The''  [[Rímac|  Rímac ]]&nbsp; flows {{cn}} through [[Lima]].")
    assert text == "The Rímac flows through Lima."
    assert mentions == (Span(4, 9, "entity"), Span(24, 28, "entity"))


def test_a_mention_takes_the_letters_that_follow_but_not_the_next_link() -> None:
    assert names("[[bus]]es and [[Peru]]vian [[a]][[b]]c [[東京]]都 [[X]]Y [[Lima]].") == [
        "buses", "Peruvian", "a", "bc", "東京", "X", "Lima",
    ]  # fmt: skip


def test_an_address_that_runs_into_a_link_leaves_it() -> None:
    markup = "[[Lima]] and [[Cusco]] http://a[[b c]] [http://d] [[Peru]]"
    assert plain_text(markup)[0] == "Lima and Cusco http://ab c Peru"
    assert names(markup) == ["Lima", "Cusco", "b c", "Peru"]


def test_what_is_not_shown_is_no_mention() -> None:
    hidden = "[[File:x|thumb|[[Hidden]]]] <ref>[[Hidden]]</ref> {{cite|[[Hidden]]}} [[ ]] [[de:Lima]]"
    assert names(f"{hidden} [[Shown]]") == ["Shown"]


pieces = st.sampled_from(
    ["[[", "]]", "|", "{{", "}}", "{{{", "}}}", "a", "B ", " ", "\n", "==", "''", "'''", "<ref>", "</ref>", "<ref/>",
     "<!--", "-->", "{|", "|-", "|}", "* ", "&nbsp;", "&#65;", "&#x110000;", "{{convert|1|", "1=", "[[Lima]]", "[[x|",
     "{{x|", "{{x}}", "{{circa|", ". ", "-{", "}-", "\ufdd3", "\ufdd4", "[[Peru|the country]]",
     "[[b c]]", "[[File:a|", "http://a", "\ufdd0", "\ufdd1", "&#xFDD0;", "\x00", "\ud800",
     "\u202e", "\u2028", "\r", "(", ")", ", ", "[http://a b]"]
)  # fmt: skip


@given(st.lists(pieces, max_size=40).map("".join))
def test_any_markup_gives_clean_text_and_mentions_in_order_within_it(markup: str) -> None:
    text, mentions, _ = plain_text(markup)
    assert text == clean_text(text, entities=False)
    assert not set(text) & set("\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4\x00\ud800\u202e")
    bounds = [bound for mention in mentions for bound in (mention.start, mention.end)]
    assert bounds == sorted(bounds)
    for mention in mentions:
        shown = text[mention.start : mention.end]
        assert shown
        assert shown == shown.strip()
        assert "\n" not in shown


@given(st.text(st.characters(categories=["Lu", "Ll", "Nd", "Zs"], include_characters=".\n"), max_size=200))
def test_text_without_markup_stays(text: str) -> None:
    cleaned = clean_text(text, entities=False)
    assert plain_text(cleaned)[0].replace(" .", ".") == cleaned.replace(" .", ".")


@pytest.mark.parametrize(
    ("markup", "text", "mentioned"),
    [
        ("In [[CSI: NY]] and [[xXx: The Return|that]].", "In CSI: NY and that.", ["CSI: NY", "that"]),
        ("A [[wikt:mill|mill]], [[wikt:old]].", "A mill, wikt:old.", []),
        ("The [[:de:Mühle]], [[:de:Mühle|mill]].", "The de:Mühle, mill.", []),
        ("Text.\n[[de:Mühle]]\n[[fr:Moulin|x]]", "Text.", []),
        ("[[w:Lima|Lima]] and [[:w:de:Lima|more]]", "Lima and more", ["Lima", "more"]),
        ("[[Special:Search|Search]], [[Help:IPA|help]], [[Media:a.ogg|listen]]", "Search, help, listen", []),
        ("[[:File:a.jpg]] [[:Category:Rivers]]", "File:a.jpg Category:Rivers", []),
        ("''[[The Mill]]'''s act, ''[[x|''y'']]''", "The Mill's act, y", ["The Mill", "y"]),
        ("<nowiki>''raw''</nowiki> &#39;&#39;a&#39;&#39;", "''raw'' ''a''", []),
        ("一台[[计算机|-{zh-hans:计算机;zh-hant:電腦}-]]", "一台计算机", ["计算机"]),
        ("一台-{zh-hans:[[计算机]];zh-hant:[[電腦]]}-", "一台计算机", ["计算机"]),
    ],
)  # fmt: skip
def test_links_show_their_words(markup: str, text: str, mentioned: list[str]) -> None:
    assert plain_text(markup, Wiki("en"))[0] == text
    assert names(markup) == mentioned


@pytest.mark.parametrize(
    ("markup", "text", "lost"),
    [
        ("It is old. The {{xyz|mill}} stands. It is tall.", "It is old. It is tall.", ("xyz",)),
        ("One. Two {{xyz}} and {{abc}}.\nThree {{abc}}.\nFour.", "One.\nFour.", ("xyz", "abc")),
        ("Two {{xyz}}.\nFour.", "Four.", ("xyz",)),
        ("One.\nTwo {{xyz}}", "One.", ("xyz",)),
        ("It is [[Mill|{{xyz}}]] here. Yes.", "Yes.", ("xyz",)),
        ("{{circa|{{xyz}}}} it stood. Yes.", "Yes.", ("xyz",)),
        ("{{formatnum:{{xyz}}}} men. {{#if:{{xyz}}|a|b}} men. {{#invoke:x}} men.", "", ("xyz", "xyz", "#invoke:x")),
        ("So <math>\\begin{matrix}a\\end{matrix}</math> is. Yes.", "Yes.", ("<math>",)),
        ("{{xyz}}\n{{xyz|a}} {{abc}}\n* {{xyz}}.\nOne.", "One.", ()),
        ("{{xyz|a}} '''Lima''' is old.", "Lima is old.", ()),
        ("{{xyz\n|a=b\n}}Lima is old.", "Lima is old.", ()),
        ("Lima is old.{{xyz|1}} It \"is.\"{{xyz}}{{abc}}\n今。{{xyz}}", 'Lima is old. It "is."\n今。', ()),
        ("{{cite|a}}Lima{{cn|date=x}}{{sfn|b}} is{{efn|a {{xyz}}}} old<ref>{{xyz}}</ref>.", "Lima is old.", ()),
    ],
)  # fmt: skip
def test_a_sentence_that_lost_words_is_left_out(markup: str, text: str, lost: tuple[str, ...]) -> None:
    prose = plain_text(markup, Wiki("en"))
    assert (prose.text, prose.lost) == (text, lost)


def test_mentions_move_with_the_sentences_that_stay() -> None:
    text, mentions, _ = plain_text("[[Lima]] is. [[A]] {{xyz}} [[B]].\nIn [[Peru]]. A {{xyz}}. See [[Cusco]]s.")
    assert text == "Lima is.\nIn Peru. See Cuscos."
    assert [text[mention.start : mention.end] for mention in mentions] == ["Lima", "Peru", "Cuscos"]
