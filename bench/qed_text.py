"""The text of the quickstart, made from the dev split of QED (src/openrealm/qed/README.md).

QED's text is cut into tokens ("feet ." and "NBC 's"); here it is joined again. Paragraphs of more than 400 words, which
are tables, are left out with their questions, and so are the remarks on how an answer follows from its paragraph.
Questions about one title are in one split. Writes passages.jsonl.xz and questions.jsonl.xz.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from openrealm.corpus.sources.lines import read_lines
from openrealm.files import write_bytes

DATA = Path(__file__).parents[2] / "shared" / "data"
OUT = Path(__file__).parents[1] / "src/openrealm/qed"
_MAX_WORDS = 400
_TRAIN_PERCENT, _DEV_PERCENT = 50, 20
_JOINTS = tuple(
    (re.compile(pattern), joined)
    for pattern, joined in (
        ("[\ufeff\u200b\u200e\u202c]", ""),
        (r"``\s*", '"'),
        (r"\s*''", '"'),
        (r"\s+([,.;:!?%)°])(?=\s|$|[\"')])", r"\1"),
        (r"([(]) ", r"\1"),
        (r"(?<=\$) (?=\d)", ""),
        (r" ('s|n't|'re|'ll|'m|'ve|'d)\b", r"\1"),
        (r"\b([Cc])an not\b", r"\1annot"),
        (r"(?<=\w) - (?=\w)", "-"),
        (r"(?<=\d) -- (?=\d)", "–"),
        (r" -- ", " – "),
        (r"(?<=\w) / (?=\w)", "/"),
        (r"(?<=[SsNn]) ' (?=\w)", "' "),
    )
)


def joined(text: str) -> str:
    """Text of tokens as it is written.

    >>> joined("NBC 's tree ( in the `` Center '' ) is lit , 1997 -- 2010 , by singer - songwriters .")
    'NBC\\'s tree (in the "Center") is lit, 1997–2010, by singer-songwriters.'
    """
    for pattern, replacement in _JOINTS:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def split_of(title: str) -> str:
    """The split, train, dev or test, of all questions about a title."""
    percent = int(hashlib.sha256(f"split {title}".encode()).hexdigest(), 16) % 100
    return "train" if percent < _TRAIN_PERCENT else "dev" if percent < _TRAIN_PERCENT + _DEV_PERCENT else "test"


def made(rows: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Passages and questions."""
    passages: dict[tuple[str, str], dict[str, Any]] = {}
    questions = []
    for row in rows:
        if len(row["passage"].split()) > _MAX_WORDS:
            continue
        title, text, answers = row["title"], joined(row["passage"]), [joined(answer) for answer in row["answer"]]
        if not all(answer in text for answer in answers):
            raise SystemExit(f"An answer to {row['question']!r} is no longer in its paragraph.")
        known = passages.setdefault((title, text), {"id": f"p{len(passages) + 1}", "title": title, "text": text})
        questions.append(
            {"question": row["question"], "answer": answers, "passage": known["id"], "split": split_of(title)}
        )
    return list(passages.values()), questions


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in read_lines(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=DATA / "qed/dev.jsonl.xz")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to")
    given = parser.parse_args()
    for name, found in zip(("passages", "questions"), made(_rows(given.source)), strict=True):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
        data = lzma.compress(lines.encode(), preset=9 | lzma.PRESET_EXTREME)
        write_bytes(given.out / f"{name}.jsonl.xz", data)
        print(f"{len(found):,} {name}, {len(data):,} bytes")


if __name__ == "__main__":
    main()
