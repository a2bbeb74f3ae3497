"""The leads of articles as a file of text for `openrealm benchmark` (docs/results/open-qa.md).

Keeps the first words of every n-th article, so that a corpus of any size is a fair sample of the encyclopaedia. Writes
JSON lines with id, title and text.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from openrealm.corpus.sources.lines import read_lines
from openrealm.files import write_text

DATA = Path(__file__).parents[2] / "shared" / "data"
_MIN_WORDS = 20  # shorter articles say next to nothing


def leads(articles: Path, num_words: int, every: int) -> Iterator[dict[str, Any]]:
    """The first `num_words` words of every `every`-th article with at least 20."""
    for line in islice(read_lines(articles), 0, None, every):
        article = json.loads(line)
        words = article["text"].split()
        if len(words) >= _MIN_WORDS:
            yield {"id": article["id"], "title": article["title"], "text": " ".join(words[:num_words])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--articles", type=Path, default=DATA / "corpora/simplewiki-2021.jsonl.xz")
    parser.add_argument("--words", type=int, default=100, help="words kept of each article")
    parser.add_argument("--every", type=int, default=1, help="keep one article in this many")
    given = parser.parse_args()
    found = list(leads(given.articles, given.words, given.every))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(given.out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found))
    print(f"{len(found):,} leads in {given.out}")


if __name__ == "__main__":
    main()
