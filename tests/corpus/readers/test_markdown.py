from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.readers.markdown import read, read_markdown

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


def lines(markdown: str) -> list[str]:
    return [piece.text for piece in read_markdown(markdown).pieces]


def test_markdown_becomes_a_title_and_pieces_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "peru.md").write_text(PAGE, encoding="utf-8")
    document = read(tmp_path / "peru.md")
    assert document.title == "The Capital of Peru"
    assert [(piece.kind, piece.text) for piece in document.pieces] == [
        ("heading", "The Capital of Peru"),
        ("prose", "Lima is the capital of Peru, and old_city is not big."),
        ("heading", "Second part"),
        ("prose", "one item goes on"),
        ("prose", "two"),
        ("prose", "1. three"),
        ("prose", "said the king"),
        ("prose", "Name, Area"),
        ("prose", "Lima, 2,672"),
        ("code", 'print("# no heading, **kept**")'),
        ("prose", "flag snake_case and 2 * 3 * 4 and *stars* https://example.org a\nb"),
    ]
    starts = ["The *C", "Lima is", "Second", "one", "two", "three", "said", "Name", "Lima |", "print", "flag"]
    assert all(PAGE[p.position :].startswith(w) for p, w in zip(document.pieces, starts, strict=True))


@pytest.mark.parametrize(
    ("markdown", "title", "expected"),
    [
        ("", "", []),
        ("no heading", "", ["no heading"]),
        ("#hashtag is no heading", "", ["#hashtag is no heading"]),
        ("Peru\n====\nA land.", "Peru", ["Peru", "A land."]),
        ("## What? ##\nx", "What?", ["What?", "x"]),
        ("~~~\ncode\n```\nstill\n~~~\nout", "", ["code\n```\nstill", "out"]),
        ("```\nnever closed", "", ["never closed"]),
        ("a\n\n---\n\nb", "", ["a", "b"]),
        ("> one\n> two", "", ["one two"]),
        ("one\\\ntwo  \nthree", "", ["one\ntwo\nthree"]),
        ("``` ls -l ```\n\nThe end.", "", ["ls -l", "The end."]),
        ("``python -m <package>`` with ``__main__.py``", "", ["python -m <package> with __main__.py"]),
        ("```py\nif x:\n    # no heading\n    ::: y\n```", "", ["if x:\n    # no heading\n    ::: y"]),
        ("Write to <anna@example.org> <!-- not\nshown --> now.", "", ["Write to anna@example.org now."]),
        ("[a\nlink](x\n'title') and **bold\nwords**", "", ["a link and bold words"]),
        ("[![Tests](t.svg)](https://t) thanks [@bot[bot]](https://b)", "", ["Tests thanks @bot[bot]"]),
        ("<table><tr><td>Hoya</td><td>1150</td></tr></table>\n\n<script>\nx\n</script>", "", ["Hoya, 1150"]),
        ("Town | Founded\n--- | ---\nHoya \\| Weser | 1150", "", ["Town, Founded", "Hoya | Weser, 1150"]),
        ("- | a | `x|y` \\| z |\n  |---|---|\n  | 1 | 2 |\n\nEnd", "", ["a, x|y | z", "1, 2", "End"]),
        ("Ferry\n: A boat\n: A crossing", "", ["Ferry", "A boat", "A crossing"]),
        ("- [ ] row\n- [x] steer", "", ["row", "steer"]),
        ("It cost $5 and then $6_a_ or $x_1*y*z$.", "", ["It cost $5 and then $6_a_ or $x_1*y*z$."]),
        ("The <title> of <script> pages.", "", ["The <title> of <script> pages."]),
    ],
)
def test_markdown_by_example(markdown: str, title: str, expected: list[str]) -> None:
    assert (read_markdown(markdown).title, lines(markdown)) == (title, expected)


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        (
            "It was sold in\n1950. After that it burned on\n7) May.",
            ["It was sold in 1950. After that it burned on 7) May."],
        ),
        ("1986. What a season.", ["1986. What a season."]),
        ("1. Oktober 1990 war ein Montag.", ["1. Oktober 1990 war ein Montag."]),
        ("1) one\n\n   more\n2) two", ["1. one", "more", "2. two"]),
    ],
)
def test_no_number_is_lost_at_a_line_start(markdown: str, expected: list[str]) -> None:
    assert lines(markdown) == expected


def test_only_definitions_that_lead_somewhere_vanish() -> None:
    markdown = """[Anna]: I was born in Kiel.

[Bert]: Yes.

[1]: Brandt, K. (1950). Ferries.

See [the page][p] and[^note] more[^2].

[p]: https://example.org "Page"
[q]: other.md

[^note]: Written by Clara.
[^never]: Read by nobody.

    In two paragraphs.
"""
    assert lines(markdown) == [
        "[Anna]: I was born in Kiel.",
        "[Bert]: Yes.",
        "[1]: Brandt, K. (1950). Ferries.",
        "See the page and more.",
        "Written by Clara.",
        "Read by nobody.",
        "In two paragraphs.",
    ]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("A ==marked *word*== here.", "A marked word here."),
        ("If a == b and c == d, or x==1 and y==2.", "If a == b and c == d, or x==1 and y==2."),
        ("H~2~O, x^2^ and (a)^n^.", "H2O, x2 and (a)n."),
        ("~5 and ~6, ~/a:~/b, 2^10, a ^ b ^ c, ~~no~~.", "~5 and ~6, ~/a:~/b, 2^10, a ^ b ^ c, no."),
        (":rocket: Fast :smile:", "🚀 Fast 😄"),
        ("At 12:30:45 in a:b:c, :unheard-of: and `:smile:`.", "At 12:30:45 in a:b:c, :unheard-of: and :smile:."),
        ("`==a==`, `H~2~O` and \\==a==", "==a==, H~2~O and ==a=="),
    ],
)
def test_marked_and_raised_words_and_emoji_are_those_of_the_page(markdown: str, expected: str) -> None:
    assert lines(markdown) == [expected]


@pytest.mark.parametrize(
    ("top", "title", "first"),
    [
        ("---\ntitle: Peru\ntags: [a]\n---\n", "Peru", "H"),
        ("---\ntitle: Peru: the land\ntags: x\n---\n", "Peru: the land", "H"),
        ("---\ntitle: 1984\n...\n", "1984", "H"),
        ("---\nlayout: post\n---\n", "H", "H"),
        ("+++\ntitle = 'Peru'\n+++\n", "Peru", "H"),
        ("---\nAnna: I was born in Kiel.\n\n---\n", "H", "Anna: I was born in Kiel."),
        ("---\nThe talk was short.\n\n---\n", "H", "The talk was short."),
        ("---\nno end\n\n", "H", "no end"),
        ("+++\nno toml\n+++\n", "H", "no toml"),
    ],
)
def test_front_matter_gives_the_title_and_a_section_between_rules_stays(top: str, title: str, first: str) -> None:
    document = read_markdown(f"{top}# H\n\nText.")
    assert (document.title, document.pieces[0].text) == (title, first)
    assert document.pieces[-1].position == len(top) + 5


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# Guide { #guide }", ["Guide"]),
        ("## More {.x}", ["More"]),
        ("## No {braces}", ["No {braces}"]),
        ("(a-label)=\nText\n(b)=\nmore (c)= on.", ["Text", "more (c)= on."]),
        ("A [link](x){.internal target=_blank} in `code`{ .x }.", ["A link in code."]),
        ("Para\n{: .note}", ["Para"]),
        ("!!! note\n\n    The lock.\n\n    More.\n\nAfter.", ["Note", "The lock.", "More.", "After."]),
        ('!!! warning inline "Mind it"\n    The lock.', ["Mind it", "The lock."]),
        ('??? tip ""\n    Hidden.', ["Hidden."]),
        ('=== "Linux"\n\n    - Install it.', ["Linux", "Install it."]),
        ("!!! What a day !!!", ["!!! What a day !!!"]),
        ("/// tip | Careful\n\nDeep.\n\n///", ["Careful", "Deep."]),
        ("//// details | Why\n    open: true\n\n/// note\nIn.\n///\n\n////\nOut.", ["Why", "Note", "In.", "Out."]),
        ("/// adds one to the number", ["/// adds one to the number"]),
        (":::{tip}\nA tip.\n:::", ["Tip", "A tip."]),
        ("::::{grid} 2\n:::{card} Boats\nIn.\n:::\n::::", ["Boats", "In."]),
        ("::: warning Mind the gap {open}\nStep.\n:::\n\nOn.", ["Mind the gap", "Step.", "On."]),
        (":::note[A title]\nText.\n:::", ["A title", "Text."]),
        ("::: {.callout-tip title='Hint'}\nText.\n:::", ["Hint", "Text."]),
        (":::tip\n```md\n:::\n```\nEnd.\n:::\nOut.", ["Tip", ":::", "End.", "Out."]),
        ("::: package.Name\n    options:\n      members: no\n\nText.", ["package.Name", "Text."]),
        (":::image source=a.png alt-text='x':::\n\nText.", ["Text."]),
        ("::: nothing closes this", ["::: nothing closes this"]),
        ("```{note} Look\n:class: x\n\nIt *works*.\n```", ["Look", "It works."]),
        ("```{code-block} python\n:linenos:\n\nx = 1\n```", ["x = 1"]),
        ("```{toctree}\n:depth: 1\n\nintro\n```\nText.", ["Text."]),
        ("```{figure} a.png\n---\nwidth: 1\n---\nA *boat*.\n```", ["A boat."]),
        ("```{r, echo=FALSE}\nx <- 1\n```", ["x <- 1"]),
        ("Use {func}`run`, {ref}`the *label* <x>`, {py:class}`~a.b.C` and {kbd}`<Esc>`.",
         ["Use run, the *label*, C and <Esc>."]),
        ("{* ../src/first.py hl[3] *}\n\n{{#include a.md}} Text {{ var }}{% if x %} here{% endif %}.", ["Text here."]),
        ("```rust\n{{#rustdoc_include ../x.rs:here}}\n```\n\n```jinja\n{{ x }} {% if y %}\n```",
         ["{{ x }} {% if y %}"]),
        ("--8<-- 'a.md'\n\n[TOC]\n\n[[toc]]\n\nText.", ["Text."]),
        ("import Tabs from '@theme/Tabs';\n\n<Tabs values={[{a: 1}]}>\n\nText.\n\n</Tabs>", ["Text."]),
        ("> [!NOTE]\n> Look out.", ["Note\nLook out."]),
        ("> [!tip]- A title\n> Look out.", ["A title\nLook out."]),
        ("See [[Page]] and [[Other|that one]] and a[[0]] and [[x]](y).", ["See Page and that one and a[[0]] and [x]."]),
        ('<Listing number="1-2" file-name="src/a.rs" caption="Prints `x < 1`">\n\n```rust\nx\n```\n\n</Listing>',
         ["Filename: src/a.rs", "Listing 1-2: Prints x < 1", "x"]),
        ('<span class="filename">Filename: a.rs</span>\n\nText', ["Filename: a.rs", "Text"]),
        ("*[HTML]: Hyper Text\n\nThe HTML.", ["HTML: Hyper Text", "The HTML."]),
        ("A :material-check: mark at 10:30:15.", ["A mark at 10:30:15."]),
        ('<div class="a">\n\n## In {#x}\n\n</div>', ["In"]),
        ('<Callout title="Mind">Deep.</Callout>', ["Mind\nDeep."]),
        ('## Sums <Badge text="new" />', ["Sums new"]),
        ("(a)=\n% a remark\nText.", ["Text."]),
        ("% of the towns\n\nText.", ["% of the towns", "Text."]),
        ("It is {++very++} {--quite--} {~~old~>new~~}, {==see==}{>> why <<}.", ["It is very quite old new, seewhy."]),
        (":::{tip}\nA tip.\n:::\n\n:::\n\n///\n\nText.", ["Tip", "A tip.", "Text."]),
        ("Press ++ctrl+alt+del++ in C++ or ^^now^^.", ["Press ctrl+alt+del in C++ or now."]),
        ("```{list-table} Towns\n:header-rows: 1\n\n* - Town\n  - Founded\n* - Hameln\n  - *851*\n```",
         ["Towns", "Town, Founded", "Hameln, 851"]),
        ("```{csv-table} Towns\nHameln, 851\nPolle, 1285\n```", ["Towns", "Hameln, 851", "Polle, 1285"]),
        ("| Option | Use |\n|---|---|\n| `a|b` | *either* |\n| `c` | d | e |", ["Option, Use", "a|b, either", "c, d"]),
    ],
)  # fmt: skip
def test_what_documentation_adds_to_markdown(markdown: str, expected: list[str]) -> None:
    assert lines(markdown) == expected


def test_restructuredtext_in_markdown_is_read_as_such() -> None:
    pytest.importorskip("docutils")
    assert lines("Before.\n\n```{eval-rst}\n.. note::\n   Look *here*.\n```\n\nAfter.") == [
        "Before.",
        "Note",
        "Look here.",
        "After.",
    ]


words = st.lists(st.text(alphabet="abcdéxyz", min_size=1, max_size=9).map(lambda w: f"q{w}"), min_size=1, max_size=12)
shapes = st.sampled_from(
    ["{}", "- {}", "> {}", "1. {}", "**{}**", "[{}](x.md)", "# {}", "| a | {} |\n|---|---|\n| b | c |",
     "!!! note\n    {}", ":::tip\n{}\n:::", "[^1]: {}", "`{}`", "```\n{}\n```", "<div>{}</div>", "~~{}~~",
     "    {}", "<b>{}</b>"]
)  # fmt: skip


@given(st.lists(st.tuples(shapes, words, st.sampled_from([" ", "\n"])), max_size=6))
def test_no_word_of_plain_text_is_lost(parts: list[tuple[str, list[str], str]]) -> None:
    markdown, expected = "", list[str]()
    for shape, chosen, space in parts:
        single = shape.startswith(("#", "|", "!", "    "))
        markdown += shape.replace("{}", (" " if single else space).join(chosen)) + "\n\nend\n\n"
        expected += chosen
    found = " ".join(lines(markdown)).replace(",", " ").split()
    assert [word for word in found if word.startswith("q")] == expected


@given(st.text(alphabet='#*_`~[]()<>|-=!\\a \n:/{}%$1.^?+"', max_size=120))
def test_no_markdown_is_too_odd(markdown: str) -> None:
    document = read_markdown(markdown)
    assert all(0 <= piece.position <= len(markdown) for piece in document.pieces)


@pytest.mark.parametrize("deep", ["> ", "- ", "1. ", "> - "])
def test_words_at_any_depth_are_kept(deep: str) -> None:
    assert lines(deep * 600 + "Lima")[-1].endswith("Lima")
