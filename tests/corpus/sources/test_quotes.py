from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.sources.quotes import without_quotes


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("no markup, Bob's", "no markup, Bob's"),
        ("''italic'' '''bold''' '''''both'''''", "italic bold both"),
        ("'''''both'' bold'''", "both bold"),
        ("'''Bob's''' ''own''", "Bob's own"),
        ("''''four''''", "'four'"),
        ("'''''''seven", "''seven"),
        ("the ''Mills''' owner", "the Mills' owner"),
        ("''The Mill'''s first act", "The Mill's first act"),
        ("'''Mill''''s first act", "Mill's first act"),
        ("''A'''s and ''B'''s", "A's and B's"),
        ("de l'''Odyssée''", "de l'Odyssée"),
        ("l'''Odyssée'' et d'''Ivanhoé''", "l'Odyssée et d'Ivanhoé"),
        ("l''''Odyssée'''", "l'Odyssée"),
        ("nell'''Iliade'' e l'''Odissea''", "nell'Iliade e l'Odissea"),
        ("a ''b '''c '''d e", "a b c d e"),
        ("''a '''b", "a 'b"),
        ("'''unclosed", "unclosed"),
        ("It's 'quoted'", "It's 'quoted'"),
    ],
)
def test_apostrophes(line: str, text: str) -> None:
    assert without_quotes(line) == text


@given(st.text("a s'l", max_size=60))
def test_only_runs_of_apostrophes_are_removed(line: str) -> None:
    shown = without_quotes(line)
    assert shown.replace("'", "") == line.replace("'", "")
    if "''" not in line:
        assert shown == line
