"""EntityQuestions with passages, one of the sources of openrealm-qa (`make qa`, docs/guide/qa.md).

A question of EntityQuestions comes without a passage. Its passage is the first 160 words of its subject's article in
Simple English Wikipedia, whether or not they hold the answer; questions are in the order of the articles. Writes JSON
lines with question, answer, title and passage.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openrealm.corpus.sources.lines import read_lines
from openrealm.files import write_text

DATA = Path(__file__).parents[2] / "shared" / "data"
_NUM_WORDS = 160


def rows(questions: Path, articles: Path) -> Iterator[dict[str, Any]]:
    """Questions with the lead of the first article of their subject's title."""
    about: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in read_lines(questions):
        question = json.loads(line)
        about[question["subject"]].append(question)
    for line in read_lines(articles):
        article = json.loads(line)
        for question in about.pop(article["title"], ()):
            passage = " ".join(article["text"].split()[:_NUM_WORDS])
            yield {
                "question": question["question"],
                "answer": question["answer"],
                "title": article["title"],
                "passage": passage,
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--questions", type=Path, default=DATA / "entityquestions/train.simplewiki-covered.jsonl.xz")
    parser.add_argument("--articles", type=Path, default=DATA / "corpora/simplewiki-2021.jsonl.xz")
    given = parser.parse_args()
    found = list(rows(given.questions, given.articles))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(given.out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found))
    print(f"{len(found):,} questions in {given.out}")


if __name__ == "__main__":
    main()
