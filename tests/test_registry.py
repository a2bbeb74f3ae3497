from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.errors import BadConfig
from openrealm.registry import Registry


def test_a_built_in_entry_is_imported_when_it_is_first_asked_for() -> None:
    sys.modules.pop("this", None)
    registry: Registry[Callable[..., float]] = Registry("function", {"root": "math:sqrt", "zen": "this:s"})
    assert registry.names() == ["root", "zen"]
    assert registry.get("root")(9.0) == 3.0
    assert "this" not in sys.modules


def test_a_user_adds_by_call_and_by_decorator() -> None:
    registry: Registry[Callable[[int], int]] = Registry("function")
    registry.add("twice", lambda x: 2 * x)

    @registry.add("thrice")
    def thrice(x: int) -> int:
        return 3 * x

    assert (registry.get("twice")(5), registry.get("thrice")(5)) == (10, 15)
    assert list(registry) == ["thrice", "twice"]
    assert "twice" in registry
    assert thrice(1) == 3


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    registry: Registry[str] = Registry("loss", {"marginal": "a:b", "emdr2": "a:c"})
    with pytest.raises(BadConfig, match=r"no loss 'marginel'.*emdr2, marginal; did you mean marginal\?"):
        registry.get("marginel")
    with pytest.raises(BadConfig, match=r"^pretrain\.loss is 'x', but no loss has that name"):
        registry.check("x", "pretrain.loss")


def test_an_entry_point_of_another_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plugged_in.py").write_text("class Part:\n    value = 7\n")
    (tmp_path / "plugged-1.dist-info").mkdir()
    (tmp_path / "plugged-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1\n")
    (tmp_path / "plugged-1.dist-info" / "entry_points.txt").write_text(
        "[openrealm.search_part]\nseven = plugged_in:Part.value\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry: Registry[int] = Registry("search part")
    assert registry.get("seven") == 7
