from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.readers.rst import read, read_rst

PAGE = """.. _peru:

The *Land*
==========

Lima is :ref:`the capital <lima>` of `Peru <https://p.example>`__ [1]_,
see :py:func:`~pkg.mod.run`, :pypi:`pytest` and |release|.

History
-------

.. note:: It is
   old.

.. versionadded:: 3.2 With towns.

.. code-block:: python
   :linenos:
   :caption: towns.py

   if lima:
       grow()

+-------+---------+
| Town  | Founded |
+=======+=========+
| Lima  | 1535    |
+-------+---------+

7. seven
8. eight

.. [1] Says Clara.
"""


def lines(source: str) -> list[str]:
    return [piece.text for piece in read_rst(source).pieces]


def test_a_document_becomes_a_title_and_pieces_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "peru.rst").write_text(PAGE, encoding="utf-8")
    document = read(tmp_path / "peru.rst")
    assert document.title == "The Land"
    assert [(piece.kind, piece.text) for piece in document.pieces] == [
        ("heading", "The Land"),
        ("prose", "Lima is the capital of Peru, see run, pytest and ."),
        ("heading", "History"),
        ("prose", "Note"),
        ("prose", "It is old."),
        ("prose", "Added in version 3.2: With towns."),
        ("prose", "towns.py"),
        ("code", "if lima:\n    grow()"),
        ("prose", "Town, Founded"),
        ("prose", "Lima, 1535"),
        ("prose", "7. seven"),
        ("prose", "8. eight"),
        ("prose", "Says Clara."),
    ]
    code = next(piece for piece in document.pieces if piece.kind == "code")
    assert PAGE[code.position :].startswith("if lima:")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", []),
        (".. a comment\n\nText.", ["Text."]),
        (".. function:: foo(a)\n              bar(b)\n\n   Does *it*.", ["foo(a)", "bar(b)", "Does it."]),
        (".. toctree::\n   :maxdepth: 1\n\n   intro\n\nText.", ["Text."]),
        (".. raw:: html\n\n   <b>no</b>\n\nText.", ["Text."]),
        (".. include:: /etc/passwd\n\nText.", ["Text."]),
        (".. csv-table::\n   :file: /etc/passwd\n", []),
        (".. figure:: a.png\n   :unheard-of: 1\n\n   A boat.", ["A boat."]),
        (".. tab:: Linux\n\n   Install.", ["Linux", "Install."]),
        (".. never-heard-of:: Words\n   :opt: 1\n\n   More.", ["Words", "More."]),
        (":unknown:`role text` and `gone`_ and `x <y>`_.", ["role text and gone and x."]),
        ("::\n\n  two\n    lines", ["two\n  lines"]),
        ("| a verse\n| of two", ["a verse", "of two"]),
        (":Author: Clara\n\nText.", ["Author:", "Clara", "Text."]),
        ("+--+--+\n|damaged |\n+--+", ["+--+--+\n|damaged |\n+--+"]),
    ],
)
def test_rst_by_example(source: str, expected: list[str]) -> None:
    assert lines(source) == expected


def test_places_count_lines_as_docutils_does() -> None:
    source = "Lima\x1dis\x85here\n\nCusco is\x0bthere"
    assert [piece.position for piece in read_rst(source).pieces] == [0, source.index("Cusco")]


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    read_rst("*open ``and |x| `y`_\n===\n\n.. note:\n\n .. image::\n\n:a:`b\n")
    assert capfd.readouterr() == ("", "")


def read_text(path: Path, text: str) -> tuple[str, list[str]]:
    """The text of a file with this content, and what is remarked about it."""
    path.write_text(text)
    document = read(path)
    return document.article("a", "a").text, list(document.remarks)


@pytest.mark.parametrize("text", ["- " * 3000 + "Lima", "See http://peru.example " * 1500 + "Lima"])
def test_what_docutils_cannot_read_is_read_as_plain_text(tmp_path: Path, text: str) -> None:
    found, remarks = read_text(tmp_path / "a.rst", text)
    assert found.split() == text.split()
    assert remarks == [".rst file read as plain text (docutils fails: RecursionError)"]


COSTLY = {
    "a_ ": "10,000 references and other marks in a paragraph",
    "|a| ": "10,000 references and other marks in a paragraph",
    "[1]_ ": "10,000 references and other marks in a paragraph",
    "`a ": "10,000 references and other marks in a paragraph",
    "*a ": "10,000 references and other marks in a paragraph",
    "Lima\n\n----\n\n": "2,000 transitions",
    ".. _a:\n\n": "5,000 targets and footnotes",
    ".. [#] Lima\n\n": "5,000 targets and footnotes",
    "__ http://peru.example\n\n": "5,000 targets and footnotes",
}


@pytest.mark.parametrize("mark", COSTLY)
@pytest.mark.parametrize("number", [11_000, 22_000])
def test_what_takes_docutils_quadratic_time_is_read_as_plain_text(tmp_path: Path, mark: str, number: int) -> None:
    text, remarks = read_text(tmp_path / "a.rst", mark * number)
    assert remarks == [f".rst file read as plain text (more than {COSTLY[mark]})"]
    assert len(re.findall(r"\w+", text)) == len(re.findall(r"\w+", mark)) * number


@pytest.mark.parametrize("mark", COSTLY)
def test_as_many_as_documents_have_are_read_as_they_are(tmp_path: Path, mark: str) -> None:
    _, remarks = read_text(tmp_path / "a.rst", mark * 200)
    assert remarks == []


def test_marks_are_counted_by_the_paragraph(tmp_path: Path) -> None:
    text, remarks = read_text(tmp_path / "a.rst", ("a_ " * 100 + "\n\n") * 101)
    assert (text.split(), remarks) == (["a"] * 10_100, [])


words = st.lists(st.text(alphabet="abcdéxyz", min_size=1, max_size=9).map(lambda w: f"q{w}"), min_size=1, max_size=9)
shapes = st.sampled_from(
    ["{}", "- {}", "3. {}", "**{}**", "*{}*", "``{}``", ":ref:`{}`", ".. note:: {}", ".. tip::\n\n   {}", "| {}",
     ".. unheard:: {}", ".. code-block:: x\n\n   {}", "  {}", "term\n  {}", "`{} <x>`__", ":a: {}"]
)  # fmt: skip


@given(st.lists(st.tuples(shapes, words), max_size=5))
def test_no_word_of_plain_text_is_lost(parts: list[tuple[str, list[str]]]) -> None:
    source = "".join(shape.replace("{}", " ".join(chosen)) + "\n\nend\n\n" for shape, chosen in parts)
    found = " ".join(lines(source)).split()
    assert [word for word in found if word.startswith("q")] == [word for _, chosen in parts for word in chosen]
