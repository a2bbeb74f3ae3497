"""Readers of the Factbook's terse texts: what they cut, and that no text makes them fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.factbook import values
from openrealm.factbook.relations import RELATIONS

terse = st.lists(
    st.sampled_from(
        [
            "Spanish",
            "official",
            "(",
            ")",
            "[",
            "82.9%",
            "1,285 km",
            ",",
            ";",
            " ",
            "/",
            " or ",
            "note - ",
            "none",
            "1 May 1900",
        ]
    )
).map("".join)


@given(st.one_of(terse, st.text(max_size=60)))
def test_no_text_makes_a_reader_fail(text: str) -> None:
    for relation in RELATIONS:
        assert all(isinstance(answer, str) for answer in relation.read(text)), relation.name


@given(terse, st.sampled_from([",", ";", ",;", ",;/"]))
def test_splitting_keeps_every_piece_in_order(text: str, separators: str) -> None:
    position = 0
    for piece in values.split_outside_brackets(text, separators):
        assert piece == piece.strip() != ""
        position = text.index(piece, position) + len(piece)
    opened = "(" + text.replace("(", "").replace(")", "")
    assert len(values.split_outside_brackets(opened, separators)) == 1  # what an open bracket holds stays together


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a, b; c", ["a", "b", "c"]),
        ("a (b, c), d", ["a (b, c)", "d"]),
        ("1,285 km, d", ["1,285 km", "d"]),
        ("a [b; c]; d)", ["a [b; c]", "d)"]),
        (" ,, ", []),
        ("", []),
    ],
)
def test_splitting(text: str, pieces: list[str]) -> None:
    assert values.split_outside_brackets(text, ",;") == pieces


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ("Nevado Huascaran 6,746 m", "Nevado Huascaran"),
        ("Spanish (official) 82.9%", "Spanish"),
        ("Lago Titicaca (shared with Bolivia)", "Lago Titicaca"),
        ("Death Valley -86 m", "Death Valley"),
        ("K2", "K2"),
        ("Brazil 2,659 km", "Brazil"),
        ("Hindu <0.1%", "Hindu"),
    ],
)
def test_bare_names(item: str, name: str) -> None:
    assert values.bare(item) == name


@pytest.mark.parametrize(
    ("reader", "text", "first"),
    [
        (values.largest, "none 60%, Protestant 17%, Buddhist 18%", "Buddhist"),
        (values.largest, "Muslim 87% (official; includes Sunni 74%)", "Muslim"),
        (values.holder, "President of China XI Jinping (since 14 March 2013)", "XI Jinping"),
        (values.holder, "King CHARLES III (since 8 September 2022); represented by Governor X", "CHARLES III"),
        (values.currency, "British pounds (GBP) per US dollar -", "British pounds"),
        (values.quoted, "“Mila Rodino” (Dear Homeland)", "Mila Rodino"),
        (values.named, "Parliament (Knesset)", "Parliament"),
        (values.people, "Motswana (singular), Batswana (plural)", "Motswana"),
        (values.city, "262,000 Dodoma (2018), 7.776 million DAR ES SALAAM (2023)", "DAR ES SALAAM"),
        (values.independence, "16 September 1810 (declared); notable earlier dates: 1 May 1000", "16 September 1810"),
        (values.time_zone, "UTC-5 (1 hour behind Washington, DC, during Standard Time)", "UTC-5"),
    ],
)
def test_the_first_answer_is_the_plainest(reader: values.Reader, text: str, first: str) -> None:
    assert next(iter(reader(text))) == first


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (values.holder, "President (vacant)"),
        (values.independence, "none (territory of the US)"),
        (values.place, "unnamed location on Cato Island 9 m"),
        (values.capital, "no official capital; government offices in the Yaren District"),
        (values.largest, "none 100%"),
        (values.authors, "unknown"),
    ],
)
def test_what_is_not_stated_gives_no_answer(reader: values.Reader, text: str) -> None:
    assert list(reader(text)) == []
