from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openrealm.corpus.readers.ipynb import read
from openrealm.errors import BadInput


def written(path: Path, notebook: Any) -> Path:
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def test_text_and_code_are_read_cell_by_cell(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# The *Weser*\n", "\n", "The mill was [built](x) in 1902."]},
        {"cell_type": "code", "source": "if a:\n    b = '**'", "outputs": [{"text": "3"}], "execution_count": 10**30},
        {"cell_type": "raw", "source": "The ferry."},
    ]
    document = read(written(tmp_path / "a.ipynb", {"nbformat": 4, "cells": cells}))
    article = document.article("a.ipynb", "a")
    assert article.title == "The Weser"
    assert article.text == "The Weser\nThe mill was built in 1902.\nif a:\n    b = '**'\nThe ferry."
    parts = [line.part for line in article.lines]
    assert (parts[0], parts[-2:]) == (1, [2, 3])
    assert document.counts == {"output of a notebook": 1}


def test_the_older_format_is_read_too(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": "Polle"},
        {"cell_type": "code", "input": ["a = 1"], "outputs": []},
    ]
    document = read(written(tmp_path / "a.ipynb", {"nbformat": 3, "worksheets": [{"cells": cells}]}))
    assert document.article("a", "a").text == "Polle\na = 1"


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "[" * 100_000, '{"cells": ' + "[" * 100_000])
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.ipynb").write_text(content)
    with pytest.raises(BadInput, match=r"a\.ipynb"):
        read(tmp_path / "a.ipynb")


@pytest.mark.parametrize(
    "notebook", [{}, {"cells": 3}, {"cells": [3, {"source": 4}, {"source": [None]}], "worksheets": [[]]}]
)
def test_odd_notebooks_have_no_text(tmp_path: Path, notebook: Any) -> None:
    assert read(written(tmp_path / "a.ipynb", notebook)).article("a", "a").text == ""
