"""Leads of articles as a source of the benchmark."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType


def test_the_first_words_of_every_second_article_that_is_long_enough(
    tmp_path: Path, load: Callable[[str], ModuleType]
) -> None:
    path = tmp_path / "articles.jsonl"
    texts = [" ".join(f"{letter}{n}" for n in range(30)) for letter in "abc"]
    texts.insert(2, "too short")
    rows = [{"id": str(n), "title": f"T{n}", "text": text} for n, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    leads = list(load("openqa_sources").leads(path, 25, 1))
    assert [row["id"] for row in leads] == ["0", "1", "3"]
    assert leads[1] == {"id": "1", "title": "T1", "text": " ".join(f"b{n}" for n in range(25))}
    assert [row["id"] for row in load("openqa_sources").leads(path, 25, 2)] == ["0"]
