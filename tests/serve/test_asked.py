from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.errors import BadInput
from openrealm.serve.asked import questions_in

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1).filter(
    lambda text: bool(text.strip()) and not text.strip().startswith(("{", "\ufeff"))
)


@given(st.lists(st.tuples(TEXTS, st.booleans()), min_size=1))
def test_every_question_comes_back_whether_text_or_json(asked: list[tuple[str, bool]]) -> None:
    lines = [(json.dumps({"question": text, "id": 3}) if as_json else text).encode() for text, as_json in asked]
    found = questions_in([b"", *lines, b"  "], "file")
    assert [one.text for one in found] == [text.strip() for text, _ in asked]
    assert [one.id for one in found] == ["3" if as_json else str(n) for n, (_, as_json) in enumerate(asked, 2)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"question": 3}', 'asked.txt, line 2 has no text under "question"'),
        (b'{"query": "Where?"}', 'asked.txt, line 2 has no text under "question"'),
        (b'{"question": "Where?"', "asked.txt, line 2 is not JSON"),
        (b"{" * 100_000, "asked.txt, line 2 is not JSON"),
        (b'{"question": "caf\\ud800?"}', "asked.txt, line 2 has half of a surrogate pair"),
        (b"Caf\xe9?", "asked.txt, line 2 is not UTF-8"),
    ],
)
def test_a_line_without_a_question_is_named(line: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        questions_in([b"Where?", line], "asked.txt")


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_are_read_or_refused(lines: list[bytes]) -> None:
    with contextlib.suppress(BadInput):
        assert all(one.text.encode() for one in questions_in(lines, "file"))


def test_no_questions_at_all_is_an_error() -> None:
    with pytest.raises(BadInput, match="standard input holds no questions"):
        questions_in([b"", b" "], "standard input")
