from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.readers.markup import html_to_text, markdown_to_text

PAGE = """---
layout: post
---
# The *Capital* of Peru #

Lima is the [capital](https://example.org/a_(b) "x") of **Peru**,
and `old_city` is ~~not~~ __big__.

Second part
-----------
- one item
  goes on
- [x] two
1. three
> said the [king][1]

| Name | Area |
|------|-----:|
| Lima | 2,672 |

```python
print("# no heading, **kept**")
```
![flag](flag.png) snake_case and 2 * 3 * 4 and \\*stars\\* <https://example.org> a<br>b

***
[1]: https://example.org
"""


def test_markdown_becomes_a_title_and_plain_lines() -> None:
    title, text = markdown_to_text(PAGE)
    assert title == "The Capital of Peru"
    assert text.split("\n") == [
        "The Capital of Peru.",
        "Lima is the capital of Peru, and old_city is not big.",
        "Second part.",
        "one item goes on",
        "two",
        "three",
        "said the king",
        "Name, Area",
        "Lima, 2,672",
        'print("# no heading, **kept**")',
        "flag snake_case and 2 * 3 * 4 and *stars* https://example.org a",
        "b",
    ]


@pytest.mark.parametrize(
    ("markdown", "title", "text"),
    [
        ("", "", ""),
        ("no heading", "", "no heading"),
        ("#hashtag is no heading", "", "#hashtag is no heading"),
        ("Peru\n====\nA land.", "Peru", "Peru.\nA land."),
        ("## What? ##\nx", "What?", "What?\nx"),
        ("~~~\ncode\n```\nstill\n~~~\nout", "", "code\n```\nstill\nout"),
        ("```\nnever closed", "", "never closed"),
        ("a\n\n---\n\nb", "", "a\nb"),
        ("---\nno front matter", "", "no front matter"),
        ("> one\n> two", "", "one two"),
    ],
)
def test_markdown_by_example(markdown: str, title: str, text: str) -> None:
    assert markdown_to_text(markdown) == (title, text)


@given(st.lists(st.text(alphabet="abcé1,.", min_size=1, max_size=12), min_size=1, max_size=8))
def test_plain_paragraphs_keep_every_word(words: list[str]) -> None:
    _, text = markdown_to_text("\n\n".join(f"x{word}" for word in words))
    assert text.split("\n") == [f"x{word}" for word in words]


@given(st.text(alphabet="#*_`~[]()<>|-=!\\a \n", max_size=120))
def test_no_markdown_is_too_odd(markdown: str) -> None:
    _, text = markdown_to_text(markdown)
    assert text.count("a") <= markdown.count("a") + 1


@pytest.mark.parametrize("mark", ["*a ", "_a ", "`", "[", "![a](", "**", "<a ", "~~ ", "\\", "| ", "(", "[a]"])
def test_no_mark_repeated_makes_it_slow(mark: str) -> None:
    start = time.perf_counter()
    markdown_to_text(mark * (60_000 // len(mark)))
    assert time.perf_counter() - start < 5


def test_html_becomes_a_title_and_lines() -> None:
    page = """<!doctype html><html><head><title> Peru &amp;
      Lima </title><style>p {color: red}</style><script>if (a < b) alert("x")</script></head>
      <body><h1>The <em>land</em></h1><p>Lima is&nbsp;the
      capital<br>of Peru.<p>Unclosed <b>bold</b>text<table><tr><td>a</td><td>b</td></tr></table>
      <pre>two
  lines</pre><noscript>off</noscript>&lt;end&gt;<!-- gone --></body></html>"""
    title, text = html_to_text(page)
    assert title == "Peru & Lima"
    lines = [" ".join(line.split()) for line in text.split("\n") if line.strip()]
    assert lines == [
        "The land", "Lima is the capital", "of Peru.", "Unclosed boldtext", "a", "b", "two", "lines", "<end>",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("markup", "title"), [("<h1>One</h1><h1>Two</h1>", "One"), ("<p>none</p>", ""), ("<title>T</title><h1>H</h1>", "T")]
)
def test_the_title_is_the_title_or_the_first_heading(markup: str, title: str) -> None:
    assert html_to_text(markup)[0] == title


@given(st.text(alphabet="<>/ab\"'=! -&;scriptyle\n", max_size=150))
def test_no_html_is_too_odd(markup: str) -> None:
    title, text = html_to_text(markup)
    assert "\n" not in title
    assert isinstance(text, str)
