"""What is read back must have its declared type; the error names the file, the key, and what was found and expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typing_extensions import TypedDict

from openrealm import files
from openrealm.errors import DamagedArtefact
from openrealm.stored import Count, checked, read_as
from openrealm.types import Question


class Shape(TypedDict):
    name: str
    sizes: dict[str, Count]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"name": "x"}', "x.json lacks the entry sizes; "),
        ('{"name": 3, "sizes": {}}', "x.json: name is 3, but string is expected; "),
        ('{"name": "x", "sizes": {"a": "7"}}', 'x.json: sizes.a is "7", but integer is expected; '),
        ('{"name": "x", "sizes": {"a": -1}}', "x.json: sizes.a is -1, but a number greater than or equal to 0 is "),
        ('{"name": "x", "sizes": {"a": null}}', "x.json: sizes.a is null, but integer is expected; "),
        ("[]", "x.json: the whole is [], but "),
        ('{"name": "x", "name": "y", "sizes": {}}', "x.json is not valid JSON (the key 'name' stands twice in one obj"),
        ('{"name": "x", "sizes": {"a": NaN}}', "x.json is not valid JSON (NaN is not a number in JSON); "),
        ('{"name": "x", "sizes": {"a": 1e999}}', "x.json is not valid JSON (1e999 is too large a number); "),
        ('{"name": "x", "sizes": {"a": ' + "9" * 100_000 + "}}", "is too large a number); "),
        ("[" * 100_000, "x.json is not valid JSON ("),
        ("", "x.json is not valid JSON ("),
    ],
)
def test_the_sentence_names_file_and_key(text: str, reason: str) -> None:
    with pytest.raises(DamagedArtefact) as caught:
        read_as(Shape, text, "x.json", "write it again")
    assert reason in str(caught.value)
    assert str(caught.value).endswith("; write it again.")


def test_nothing_is_converted_but_lists_to_tuples() -> None:
    assert checked(Question, {"text": "Where?", "answers": ["here"]}, "x") == Question("Where?", ("here",))
    with pytest.raises(DamagedArtefact, match="wording"):
        checked(Question, {"text": "Where?", "answers": ["here"], "wording": "1"}, "x")


def test_a_sealed_file_is_refused_once_it_was_edited(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    files.write_sealed(path, {"a": 1})
    assert files.read_sealed(path, dict[str, Any], "write it again") == {"a": 1}
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(DamagedArtefact, match=r"x\.json differs from its own digest"):
        files.read_sealed(path, dict[str, Any], "write it again")
    path.write_text('{"a": 2}')
    assert files.read_sealed(path, dict[str, Any], "write it again", may_lack_digest=True) == {"a": 2}
    with pytest.raises(DamagedArtefact):
        files.read_sealed(path, dict[str, Any], "write it again")
