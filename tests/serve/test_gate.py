"""Any bytes are either JSON within limits or refused."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("fastapi", reason="needs the extra `serve`")

from openrealm.serve.gate import check_json
from openrealm.serve.limits import Refused

_CHARACTERS = st.characters(exclude_categories=["Cs"])
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 62), 1 << 62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(_CHARACTERS)
)
_VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(_CHARACTERS), inner))


def _depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max((_depth(each) for each in (value.values() if isinstance(value, dict) else value)), default=0)


@given(_VALUES, st.booleans())
def test_json_is_allowed_exactly_up_to_the_depth(value: Any, ascii_only: bool) -> None:
    body, depth = json.dumps(value, ensure_ascii=ascii_only).encode(), _depth(value)
    check_json(body, depth)
    if depth:
        with pytest.raises(Refused):
            check_json(body, depth - 1)


@given(st.binary() | st.text('[]{}",:\\u0NaIity1e-.').map(str.encode))
def test_other_bytes_are_refused_and_never_crash(body: bytes) -> None:
    with contextlib.suppress(Refused):
        check_json(body, 8)
        json.loads(body)


@pytest.mark.parametrize("name", ["batching", "gate", "limits", "metrics", "server"])
def test_the_examples_of_the_servers_parts_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"openrealm.serve.{name}"), optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0
