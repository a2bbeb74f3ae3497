"""Markup that nothing closes: the time is linear in it, and the text is that which the parser alone would give."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from openrealm.corpus.sources import unpaired
from openrealm.corpus.sources.unpaired import MAX_UNPAIRED, without_unpaired
from openrealm.corpus.sources.wikitext import plain_text

# What is repeated, each of which takes the parser quadratic time or worse, and what comes after it as often.
ENDLESS = [
    ("<ref>", ""), ("<ref ", ""), ('<ref name="', ""), ("<b c d ", ""), ("<5 ", ""), ("<nowiki>", ""), ("<math>", ""),
    ("<table>", ""), ("{{a|", ""), ("{{convert|", ""), ("{{a|b=", ""), ("{{{a|", ""), ("}}{{{a|", ""), ("[[a|", ""),
    ("[[File:a|", ""), ("[http://a ", ""), ("[[//a", ""), ("\n{|", ""), ("\n{|\n|-\n|a", ""), ("{{a|[[", ""),
    ("[[a|<ref>", ""), ("{{a|\n==b", ""), ("{{a|<ref>}}", ""), ("<ref>{{a}}", ""), ("<nowiki></", ""), ("</b<b>", ""),
    ('{{a|<b c=">', ""), ("<<ref>", ""), ("{{a|<li>}}", ""), ("<td>", "</ref>"), ("<div>{{a|</i>", "</div>"),
    ("<b><i>", "</i></b>"), ("{{a|", "}} "), ("\n{|\n|", "\n|}"), ("\n|-", ""), ("'''", ""), ("''a ", ""), ("= ", ""),
    ("\n*", ""), ("-{a|b:", ""), ("&", ""), ("( ", ""), ("{{lost}} ", ""), ("[[a]] ", ""), ("<!--", ""),
]  # fmt: skip


@pytest.mark.parametrize(("mark", "end"), ENDLESS)
def test_time_grows_with_the_length(mark: str, end: str) -> None:
    def seconds(num_characters: int) -> float:
        number = num_characters // (len(mark) + len(end))
        markup = mark * number + end * number
        start = time.process_time()
        plain_text(markup)
        return time.process_time() - start

    seconds(100)
    # Quadratic time would be 64 times as long.
    assert seconds(80_000) < 24 * seconds(10_000) + 0.5


@pytest.mark.parametrize(("mark", "end"), [("[[http://a ", ""), ("[[//a {{b|", "}}\n]]"), ("[[http://a ", "]]")])
def test_nested_addresses_do_not_double_the_time_with_each(mark: str, end: str) -> None:
    start = time.process_time()
    plain_text(mark * 40 + "x" + end * 40)
    assert time.process_time() - start < 5


def test_a_line_of_many_equals_signs_does_not_crash_the_parser() -> None:
    assert plain_text("=" + " = a" * 200_000 + " =\nLima is a town.").text == "Lima is a town."


@pytest.mark.parametrize(
    "markup", ["a <ref> b", "[[a", "{{a|b", "a <nowiki> [[b]]", "<b>a</i>", "x\n{| a\nb", '<ref a="']
)
def test_few_are_left_to_the_parser(markup: str) -> None:
    page = f"{markup}\n" * (MAX_UNPAIRED // 2)
    assert without_unpaired(page) == page


@pytest.mark.parametrize(
    "markup",
    [
        "a <ref> b", "a <ref name=x b", "{{a|b", "{{{a|b", "[[a|b", "[http://x b", "a <nowiki> b", "x\n{| a\nb",
        "a </ref> b", "<b>a</i>", "a < b", "{{a|<ref>}} b", "<div>''a'' [[b]] {{c}} d", "[[http://a b]] c",
        "[[a|{{b]] c", "{{{a}} b", "{{a|[[b|c]]", "<li>a", "[http://a [[http://b c] d] e", "{{{{a|b}}",
        "{{a|<td>b</td>}} c", "<math>a", "<5 b",
    ],
)  # fmt: skip
def test_the_text_is_that_of_the_parser_alone(markup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def text(most: int) -> str:
        monkeypatch.setattr(unpaired, "MAX_UNPAIRED", most)
        return plain_text(markup).text

    assert text(0) == text(1000)


@pytest.mark.parametrize(
    "mark", ["<ref>", "{{convert|", "[[File:a|", "\n{|\n|", "<math>", "</ref>", "[http://a ", "{{a|<b>}}"]
)
def test_the_rest_of_a_page_is_read_as_ever(mark: str, prose: str) -> None:
    shown = "{{convert|5|km|mi}} from<ref>Map.</ref> the '''sea'''. <nowiki>{{x}}</nowiki>"
    rest = f"\n\nThe [[Lima|capital]] is {shown} {prose}"
    many, alone = plain_text(mark * 2 * MAX_UNPAIRED + rest), plain_text(rest)
    assert many.text.endswith(alone.text)
    assert [many.text[span.start : span.end] for span in many.mentions[-1:]] == ["capital"]


def test_what_is_paired_is_left(make_markup: Callable[[], str]) -> None:
    page = make_markup()
    assert without_unpaired(page) == page
    ending = "<ref>" * (MAX_UNPAIRED + 1)
    assert without_unpaired(page + ending).startswith(page)


@pytest.fixture
def make_markup() -> Callable[[], str]:
    """A page with much markup, all of it closed."""
    part = (
        '{{Box|a={{{b|c}}}|d=[[File:x.jpg|thumb|A [http://a link] and [[b|c]].]]}}\n{| class="x"\n|-\n| a || b\n|}\n'
        '<ref name="a">{{cite|title=T}}</ref><ref name=a /> <br> <div>x<li>y</li></div> <nowiki>{{</nowiki>\n'
        "<math>a<b</math> {{a\n|b=c\n|}} {{{{d}}}}<gallery>\nFile:a.jpg|[[b\n</gallery>\n"
    )
    return lambda: part * 100
