from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.readers import Document
from openrealm.corpus.readers.html import read
from openrealm.corpus.readers.page import read_page, with_positions
from openrealm.errors import BadInput


def page_of(markup: str) -> Document:
    return read_page(with_positions(markup), markup)


def texts(markup: str) -> list[str]:
    return [piece.text for piece in page_of(markup).pieces]


def test_a_page_becomes_a_title_and_pieces_with_their_places(tmp_path: Path) -> None:
    page = """<!doctype html><html><head><title> Peru &amp;
      Lima </title><style>p {color: red}</style><script>if (a < b) alert("x")</script></head>
      <body><h1>The <em>land</em></h1><p>Lima is&nbsp;the
      capital<br>of Peru.<p>Unclosed <b>bold</b>text<table><tr><td>a</td><td>b</td></tr></table>
      <pre>
two
  lines</pre><noscript>off</noscript>&lt;end&gt;<!-- gone --></body></html>"""
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    document = read(tmp_path / "page.html")
    assert document.title == "Peru & Lima"
    assert [(piece.kind, piece.text) for piece in document.pieces] == [
        ("heading", "The land"),
        ("prose", "Lima is\xa0the capital\nof Peru."),
        ("prose", "Unclosed boldtext"),
        ("prose", "a, b"),
        ("code", "two\n  lines"),
        ("prose", "<end>"),
    ]
    words = ["The", "Lima", "Unclosed", "a<", "two", "end"]
    assert all(page[p.position :].startswith(w) for p, w in zip(document.pieces, words, strict=True))


@pytest.mark.parametrize(
    ("markup", "title"), [("<h1>One</h1><h1>Two</h1>", "One"), ("<p>none</p>", ""), ("<title>T</title><h1>H</h1>", "T")]
)
def test_the_title_is_the_title_or_the_first_heading(markup: str, title: str) -> None:
    assert page_of(markup).title == title


@pytest.mark.parametrize(
    "inline",
    [
        "<big>ferry</big>", "<nobr>ferry</nobr>", "<x-boat>ferry</x-boat>", "<font color=red>ferry</font>",
        "fer<wbr>ry",
        "<button>ferry</button>", "<label>ferry</label>", "<strike>ferry</strike>", "<unknown>ferry</unknown>",
        "<svg><text>no</text></svg>ferry", '<img alt="no" src="a.png">ferry', "fer<b></b>ry", "<!-- no -->ferry",
        "<span hidden>no</span>ferry", '<i style="display: none">no</i>ferry', "<select><option>no</select>ferry",
        "fer<noscript>no</noscript>ry", "<math><mi>no</mi></math>ferry",
    ],
)  # fmt: skip
def test_inline_tags_cut_no_sentence(inline: str) -> None:
    assert texts(f"<p>The\n{inline} across the Weser.</p>") == ["The ferry across the Weser."]


@pytest.mark.parametrize(
    "block",
    ["address", "article", "center", "details", "dd", "div", "dl", "dt", "fieldset", "figcaption", "footer", "form",
     "header", "hgroup", "legend", "li", "main", "menu", "ol", "p", "section", "summary", "ul"],
)  # fmt: skip
def test_blocks_end_lines(block: str) -> None:
    assert [text.removeprefix("1. ") for text in texts(f"one<{block}>two</{block}>three")] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("<tr><th>Town<th>Founded<tr><td>Hameln<td>851", ["Town, Founded", "Hameln, 851"]),
        ("<tr><td><p>Hameln</p></td><td><b>851</b><br>or before</td>", ["Hameln, 851 or before"]),
        ("<caption>Towns</caption><tr><td>Polle<td><td>1285", ["Towns", "Polle, 1285"]),
        ("<tr><th>Founded:<td>851<td>or before", ["Founded: 851, or before"]),
        ("<tr><td><h2>News</h2>The ferry runs.<td>Home", ["News", "The ferry runs.", "Home"]),
        ("<tr><td><table><tr><td>1<td>2</table><td>Home", ["1, 2", "Home"]),
        ("<tr><td><pre>a\n b</pre><td>Home", ["a\n b", "Home"]),
    ],
)
def test_a_row_of_data_is_one_line(table: str, rows: list[str]) -> None:
    assert texts(f"<table>{table}</table>") == rows


def test_lists_show_their_numbers() -> None:
    listed = "<ol start=5><li><p>five<li value=9>nine<ul><li>in</ul></ol><ol type=a><li>x<li><pre>code</pre></ol>"
    assert texts(listed) == ["5. five", "9. nine", "in", "a. x", "b.", "code"]


def test_permalinks_of_headings_are_left_out() -> None:
    markup = '<h2>Use<a class="headerlink" href="#use">¶</a></h2><h2>No. <a href="#x">#</a></h2><p><a href="#x">#</a>'
    assert texts(markup) == ["Use", "No.", "#"]
    assert texts(
        '<dl><dt>mill<a href="#m"> ¶</a></dt></dl><section><a href="#x">§</a><h3><a href="#y">◆&nbsp;</a>run()</h3>'
    ) == [
        "mill",
        "run()",
    ]


@pytest.mark.parametrize(
    "navigation",
    ["<nav><p>no</nav>", "<search><form>no</form></search>", '<ul role="menu"><li>no</ul>',
     '<div role=" Navigation">no', '<div role="dialog">no'],
)  # fmt: skip
def test_navigation_is_left_out_and_ends_lines(navigation: str) -> None:
    assert texts(f"<section>one{navigation}</section>two") == ["one", "two"]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("Save<button>Remove</button>all", "Save Remove all"),
        ("Yahoo<input>or<select><option>no</select>mail", "Yahoo or mail"),
        ("the formula <img src=x>. A<img src=x>B", "the formula . A B"),
        ("<span><a href=a>Home</a></span><span><a href=b>News</a></span>", "Home News"),
        ("the <a href=a>bus</a>es of <a href=b>Lim</a><a href=b>a</a>(<a href=c>Peru</a>)", "the buses of Lima(Peru)"),
        ("<a href=a>std</a><a href=b>::io</a>", "std::io"),
    ],
)
def test_words_of_boxes_and_of_different_links_stand_apart(markup: str, text: str) -> None:
    assert texts(f"<p>{markup}") == [text]
    assert texts(f"<pre>{markup}")[0].count(" ") <= markup.count(" "), "code is verbatim"


def test_buttons_over_programs_are_left_out() -> None:
    assert texts("<pre><button>Copy</button>import torch</pre>") == ["import torch"]


@pytest.mark.parametrize(
    ("markup", "shown"),
    [
        ("2<sup>7</sup>-1 m<sup>2</sup>, 10<sup>&minus;6</sup>", ["2⁷-1 m², 10⁻⁶"]),
        ("the 5<sup>th</sup>, H<sub>2</sub>O", ["the 5th, H2O"]),
        ("x<sup>2<p>3</sup>4", ["x²", "34"]),
    ],
)
def test_a_power_is_no_digit_of_its_base(markup: str, shown: list[str]) -> None:
    assert texts(f"<p>{markup}") == shown


@pytest.mark.parametrize(
    "mark",
    [
        '<sup><a href="#fn1">1</a></sup>', '<sup class="reference"><a href="#cite-1">[note 1]</a></sup>',
        '<a href="notes.xhtml#a"><sup>*</sup></a>', '<sup class="footnote">[<a href="#x">12</a>]</sup>',
        '<a class="footnote-reference brackets" href="#id1">1</a>', '<a epub:type="noteref" href="#n">1</a>',
        '<a href="#ref1">↩</a>', '<a role="doc-backlink" href="#ref1">back</a>',
    ],
)  # fmt: skip
def test_marks_of_footnotes_are_left_out(mark: str) -> None:
    assert texts(f"<p>The mill{mark} turns.") == ["The mill turns."]


def test_raised_links_that_are_no_marks_are_kept() -> None:
    assert texts('<p>Mill<sup><a href="#why">new</a></sup>, m<sup><a href="x.html">2</a></sup>') == ["Millnew, m²"]


def test_what_only_browsers_without_scripts_show_is_left_out() -> None:
    markup = "<head><noscript>&lt;link&gt;</noscript><title>Mills</title></head><p>one<noscript><p>no</noscript>"
    assert page_of(markup).title == "Mills"
    assert texts(markup) == ["one"]


@pytest.mark.parametrize(
    ("content", "is_redirection"), [("0; url=b.html", True), ("0.5;URL='b.html'", True), ("30; url=a.html", False)]
)
def test_a_page_that_leads_to_another_at_once_has_no_text(content: str, is_redirection: bool) -> None:
    markup = f'<title>Moved</title><META http-equiv="Refresh" content="{content}"><p>Redirecting'
    assert texts(markup) == ([] if is_redirection else ["Redirecting"])


def test_readings_beside_characters_stand_in_parentheses() -> None:
    assert texts("<p><ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby> and\n字\n字") == ["漢(kan) and 字字"]


def test_quotations_stand_in_quotes() -> None:
    assert texts("<p>She said <q>it is <q>old</q></q>.<p><q>Yes</q>.") == ["She said “it is ‘old’”.", "“Yes”."]


def test_numeric_entities_are_those_of_windows() -> None:
    assert texts("<p>&#147;Lima&#148; &#133; &copy") == ["“Lima” … ©"]


@given(st.text(alphabet="<>/ab\"'=! -&;scriptyle\n", max_size=150))
def test_no_html_is_too_odd(markup: str) -> None:
    document = page_of(markup)
    assert "\n" not in document.title
    assert all(0 <= piece.position <= len(markup) for piece in document.pieces)


@given(st.lists(st.tuples(st.sampled_from(["p", "b", "div", "li", "td", "x-y", "h2", "pre"]), st.integers(0, 999))))
def test_no_word_of_a_page_is_lost(parts: list[tuple[str, int]]) -> None:
    markup = "".join(f"<{tag}>word{number} </{tag}>" for tag, number in parts)
    assert " ".join(texts(markup)).split() == [f"word{number}" for _, number in parts]


@pytest.mark.parametrize("levels", [5, 600, 30_000])
@pytest.mark.parametrize("tag", ["div", "b", "ul><li", "blockquote", "table><tr><td", "span"])
def test_words_at_any_depth_are_kept(tag: str, levels: int) -> None:
    assert "".join(texts(f"<{tag}>" * levels + "Lima")) == "Lima"
    assert texts(f"{'<' + tag + '>'}" * levels + "<script>no</script>Lima")[-1].endswith("Lima")
    assert "no" not in "".join(texts(f"{'<' + tag + '>'}" * levels + "<script>no</script>Lima"))
    closed = "".join(f"</{name}>" for name in reversed(tag.split("><"))) * levels
    assert texts(f"{'<' + tag + '>'}" * levels + f"Lima{closed}<p>Peru")[-1] == "Peru"


def test_a_minified_page_is_read_though_it_is_a_single_long_line(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<p>The inn closed.</p>" * 60_000 + "<script>" + "x" * 1_000_001 + "</script>")
    assert len(read(path).pieces) == 60_000


def test_an_endless_line_of_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<p>" + "x" * 1_000_001)
    with pytest.raises(BadInput, match=r"a\.html: line 1 has 1,000,001 characters"):
        read(path)
