"""How well documents are answered without training: SQuAD dev as an open corpus, and questions on documentation.

* SQuAD v1.1 dev: all of its paragraphs are the corpus, every question is asked of all of them. EM, F1, and whether one
  of the first five passages is of the gold paragraph.
* Documentation: bench/questions/docs.jsonl over three projects' documentation. A passage counts if it is from a right
  file and holds an answer. "passage@5" is of the passages in the order of `openrealm ask`, which has read them,
  "found_passage@5" in the order in which they were found. Peers over the same passages: BM25, MiniLM off the shelf, and
  both by reciprocal ranks.
* Unanswerable: questions on other texts, and on the same subjects. How many are declined at the threshold at which a
  tenth of the answerable are.
* First answer: seconds of `openrealm ask` on a folder of about a thousand passages, all included; latency: seconds per
  question once about 10,000 passages are loaded.

Prints a JSON object; --out writes it. Nothing is tuned here: weights and threshold are the model's.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import openrealm as orm
from common import commit, hardware
from openrealm.corpus.sources.lines import read_lines
from openrealm.engine import engine_for
from openrealm.evaluate.answers import exact_match, f1, normalise
from openrealm.index.bm25 import Bm25
from openrealm.model.realm import Realm
from openrealm.recipes.documents import MODEL, documents
from openrealm.train.fusion import FusedFinder
from openrealm.train.spans import Found, answer_all, confidence_scores
from openrealm.types import Article, Question

DATA = Path(__file__).parents[1] / ".." / "shared" / "data"
QUESTIONS = Path(__file__).parent / "questions"
_WORDS_PER_PASSAGE = 130
Row = dict[str, Any]


class Asked:
    """A corpus with its index, and the model that answers from it."""

    def __init__(self, model: Realm, source: Any, folder: Path) -> None:
        self.config = documents()
        self.engine = engine_for(self.config)
        self.model = model
        longest = self.config.corpus.max_passage_tokens
        self.corpus = orm.Corpus.build(source, folder, tokenizer=model.tokenizer, max_passage_tokens=longest)
        self.index = orm.Index.build(model, self.corpus, engine=self.engine)
        self.bm25 = Bm25.build(self.corpus)
        assert model.answering is not None
        self.finder = FusedFinder(self.index, self.bm25, model.answering)

    def answer(self, questions: Sequence[Question]) -> tuple[list[list[Found]], list[list[int]]]:
        return answer_all(
            self.model, self.corpus, self.finder, questions, self.config.finetune, self.engine, num_retrieved=20
        )

    def confidences(self, found: Sequence[Sequence[Found]]) -> list[float]:
        answering = self.model.answering
        assert answering is not None
        return [answering.confidence(*confidence_scores(one)) if one else 0.0 for one in found]


def squad(model: Realm, limit: int | None, seed: int = 0) -> tuple[Row, list[float], list[bool]]:
    """SQuAD v1.1 dev over all of its paragraphs; `limit` questions drawn at random, or all."""
    data = json.loads(lzma.decompress((DATA / "squad" / "squad-v1.1-dev.json.xz").read_bytes()))["data"]
    articles, questions, gold = [], [], []
    for entry in data:
        for paragraph in entry["paragraphs"]:
            key = f"p{len(articles)}"
            articles.append(Article(key, entry["title"].replace("_", " "), paragraph["context"]))
            for asked in paragraph["qas"]:
                questions.append(Question(asked["question"], tuple(dict.fromkeys(asked["answers"]))))
                gold.append(key)
    chosen = np.random.default_rng(seed).permutation(len(questions))[: limit or None]
    asked_questions, keys = [questions[i] for i in chosen], [gold[i] for i in chosen]
    with tempfile.TemporaryDirectory() as folder:
        system = Asked(model, articles, Path(folder) / "corpus")
        found, retrieved = system.answer(asked_questions)
        owner = [system.corpus.passage(i).article_id for i in range(len(system.corpus))]
    texts = [one[0].text if one else "" for one in found]
    right = [bool(exact_match(t, q.answers)) for t, q in zip(texts, asked_questions, strict=True)]
    ranks = [
        next((n for n, p in enumerate(ids, 1) if owner[p] == key), 99) for ids, key in zip(retrieved, keys, strict=True)
    ]
    row: Row = {
        "questions": len(chosen),
        "passages": len(owner),
        "em": _percent(right),
        "f1": round(100 * float(np.mean([f1(t, q.answers) for t, q in zip(texts, asked_questions, strict=True)])), 1),
        **{f"recall@{k}": _percent([rank <= k for rank in ranks]) for k in (1, 5, 20)},
    }
    return row, system.confidences(found), right


def docs(model: Realm, split: str) -> tuple[Row, dict[str, Asked], list[float], list[Row]]:
    """Questions on documentation; `split` is "dev", "test" or "all"."""
    rows = [json.loads(line) for line in (QUESTIONS / "docs.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if split in (row["split"], "all")]
    systems: dict[str, Asked] = {}
    minilm = Realm.from_pretrained("minilm", projection_dim=384)
    right, confidences, log = 0, [], []
    hits = dict.fromkeys(("asked", "found", "bm25", "minilm", "minilm_bm25"), 0)
    for name in sorted({row["docs"] for row in rows}):
        part = [row for row in rows if row["docs"] == name]
        questions = [Question(row["question"], tuple(row["answers"])) for row in part]
        with tempfile.TemporaryDirectory() as folder:
            tarfile.open(DATA / "docs" / f"{name}.tar.xz").extractall(folder, filter="data")  # noqa: SIM115
            system = systems[name] = Asked(model, folder, Path(folder) / "kept" / "corpus")
            origin = [system.corpus.passage(i).article_id for i in range(len(system.corpus))]
        found, retrieved = system.answer(questions)
        texts = [q.text for q in questions]
        ranked = {
            "asked": [[one.passage for one in spans] for spans in found],
            "found": retrieved,
            "bm25": system.bm25.search(texts, 5)[1].tolist(),
        }
        vectors = minilm.encode_passage([(p.title, p.text) for p in map(system.corpus.passage, range(len(origin)))])
        dense = minilm.encode_query(texts) @ vectors.T
        ranked["minilm"] = (-dense).argsort(axis=1)[:, :5].tolist()
        words = system.bm25.scores(texts, np.tile(np.arange(len(origin)), (len(texts), 1)))
        reciprocal = sum(1 / (60 + (-score).argsort(axis=1).argsort(axis=1)) for score in (dense, words))
        ranked["minilm_bm25"] = (-reciprocal).argsort(axis=1)[:, :5].tolist()
        for n, row in enumerate(part):
            good = {i for i, file in enumerate(origin) if file in _files(row) and _holds(system.corpus, i, row)}
            for which, lists in ranked.items():
                hits[which] += bool(good & set(lists[n][:5]))
            text = found[n][0].text if found[n] else ""
            is_right = _is_right(text, row["answers"])
            right += is_right
            log.append({"id": row["id"], "question": row["question"], "answer": text, "right": is_right,
                        "passage": bool(good & set(ranked["asked"][n][:5])), "possible": bool(good)})  # fmt: skip
        confidences += system.confidences(found)
    figures = {
        "questions": len(rows),
        "right": right,
        "passage@5": hits["asked"],
        "found_passage@5": hits["found"],
        "bm25_passage@5": hits["bm25"],
        "minilm_passage@5": hits["minilm"],
        "minilm_bm25_passage@5": hits["minilm_bm25"],
    }
    return figures, systems, confidences, log


def _files(row: Row) -> set[str]:
    file = row["file"]
    return {file} if isinstance(file, str) else set(file)


def _holds(corpus: orm.Corpus, passage: int, row: Row) -> bool:
    text = f" {normalise(corpus.passage(passage).text)} "
    return any(f" {normalise(answer)} " in text for answer in row["answers"])


def _is_right(text: str, answers: Sequence[str]) -> bool:
    """Exact match, or one within the other with F1 of at least 0.6."""
    if exact_match(text, answers):
        return True
    ours = f" {normalise(text)} "
    for answer in answers:
        theirs = f" {normalise(answer)} "
        if (theirs in ours or ours in theirs) and ours.strip() and f1(text, [answer]) >= 0.6:
            return True
    return False


def unanswerable(systems: dict[str, Asked], split: str, answerable: Sequence[float]) -> dict[str, Row]:
    """Questions without an answer, at the threshold that declines at most a tenth of the answerable.

    "unanswerable" are questions on other texts, asked of the documentation: as many of each of the next two kinds
    "unanswerable_other_projects": on the documentation of the other projects
    "unanswerable_squad": of SQuAD dev, on Wikipedia
    "unanswerable_same_subject": on the same subjects, which the documentation does not answer
    """
    threshold = float(np.quantile(answerable, 0.1))
    confidences: dict[str, list[float]] = {}
    projects, same_subject = (
        [json.loads(line) for line in (QUESTIONS / name).read_text(encoding="utf-8").splitlines()]
        for name in ("docs.jsonl", "docs-unanswerable.jsonl")
    )
    squad_dev = json.loads(lzma.decompress((DATA / "squad" / "squad-v1.1-dev.json.xz").read_bytes()))["data"]
    texts = [
        asked["question"] for entry in squad_dev for paragraph in entry["paragraphs"] for asked in paragraph["qas"]
    ]
    drawn = np.random.default_rng(0).permutation(len(texts))
    for number, (name, system) in enumerate(systems.items()):
        others = [r["question"] for r in projects if split in (r["split"], "all") and r["docs"] != name]
        asked = {
            "other_projects": others,
            "squad": [texts[i] for i in drawn[number :: len(systems)][: len(others)]],
            "same_subject": [r["question"] for r in same_subject if split in (r["split"], "all") and r["docs"] == name],
        }
        for kind, questions in asked.items():
            found = system.answer([Question(text, ()) for text in questions])[0]
            confidences.setdefault(kind, []).extend(system.confidences(found))
    kinds = {f"unanswerable_{kind}": values for kind, values in confidences.items()}
    kinds = {"unanswerable": confidences["other_projects"] + confidences["squad"], **kinds}
    return {
        kind: {
            "questions": len(values),
            "threshold": round(threshold, 4),
            "declined": _percent([c < threshold for c in values]),
            "answerable_declined": _percent([c < threshold for c in answerable]),
        }
        for kind, values in kinds.items()
    }


def first_answer() -> float:
    """Seconds of `openrealm ask --corpus` on a folder of about a thousand passages, in a fresh process and folder."""
    with tempfile.TemporaryDirectory() as folder:
        tarfile.open(DATA / "docs" / "nushell.tar.xz").extractall(f"{folder}/docs", filter="data")  # noqa: SIM115
        started = time.perf_counter()
        command = [sys.executable, "-P", "-m", "openrealm.cli", "ask", "--corpus", "docs", "How do I make a list?"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return round(time.perf_counter() - started, 1)


def latency(model: Realm, num_passages: int = 10_000, num_questions: int = 100) -> Row:
    """Seconds per question, one after the other, of about 10,000 passages of Simple Wikipedia, once all is loaded."""
    articles, room = [], num_passages
    for line in read_lines(DATA / "corpora" / "simplewiki-2021.jsonl.xz"):
        row = json.loads(line)
        articles.append(Article(row["id"], row["title"], row["text"]))
        room -= 1 + len(row["text"].split()) // _WORDS_PER_PASSAGE
        if room <= 0:
            break
    data = json.loads(lzma.decompress((DATA / "squad" / "squad-v1.1-dev.json.xz").read_bytes()))["data"]
    asked = [entry["paragraphs"][0]["qas"][0]["question"] for entry in data][:num_questions]
    with tempfile.TemporaryDirectory() as folder:
        answerer = orm.Answerer.from_documents(articles, Path(folder) / "kept", model=model)
        answerer.ask(asked[0])
        seconds = []
        for question in asked:
            started = time.perf_counter()
            answerer.ask(question)
            seconds.append(time.perf_counter() - started)
        return {
            "passages": len(orm.Corpus.open(Path(folder) / "kept" / "corpus")),
            "questions": len(seconds),
            "median_seconds": round(float(np.median(seconds)), 3),
            "p95_seconds": round(float(np.quantile(seconds, 0.95)), 3),
        }


def _percent(values: Sequence[bool]) -> float:
    return round(100 * float(np.mean(values)), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL, help="a name or a folder")
    parser.add_argument("--squad", type=int, default=0, help="number of questions of SQuAD dev; 0: all")
    parser.add_argument("--split", default="test", help="of the questions on documentation: dev, test or all")
    parser.add_argument("--only", default="squad,docs,first,latency", help="parts to run")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--log", type=Path, help="write every answer on documentation here")
    given = parser.parse_args()
    model = Realm.from_pretrained(given.model)
    torch.manual_seed(0)
    out: Row = {"model": given.model, "commit": commit(), "hardware": hardware()}
    if "squad" in given.only:
        out["squad_dev"], _, _ = squad(model, given.squad)
        print(json.dumps(out["squad_dev"]), flush=True)
    if "docs" in given.only:
        out["docs"], systems, confidences, log = docs(model, given.split)
        out |= unanswerable(systems, given.split, confidences)
        if given.log:
            given.log.write_text("\n".join(map(json.dumps, log)) + "\n", encoding="utf-8")
    if "latency" in given.only:
        out["latency"] = latency(model)
    if "first" in given.only:
        out["first_answer_seconds"] = first_answer()
    print(json.dumps(out, indent=1))
    if given.out:
        given.out.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
