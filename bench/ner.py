"""How well each tagger finds names: precision, recall and F1 of exact spans, and words per second.

Data: CoNLL-2003 testb, WikiGold and the validation set of WikiNEuRal, in the folder --data (conll2003/eng.testb.xz,
wikigold-test.conllu.xz, wikineural-val.conllu.xz). The words are joined into running text, tagged like passages, and
the predicted spans are compared with the gold spans word by word. None of the three annotates dates, so dates are
excluded from the scores; a separate table shows how far they agree with spaCy's.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import Figure, arguments, commit, end, hardware, not_measured, report
from openrealm.masking.conll import Score, Text, read_conll, score, texts_of, words_of

FILES = {
    "CoNLL testb": "conll2003/eng.testb.xz",
    "WikiGold": "wikigold-test.conllu.xz",
    "WikiNEuRal": "wikineural-val.conllu.xz",
}
_PEER = "rules"


@dataclass(frozen=True, slots=True)
class Measured:
    """One tagger on one file; `typed` also requires the right type (PER, ORG, LOC, MISC), as conlleval does."""

    spans: Score
    typed: Score | None
    dates: list[set[tuple[int, int]]]
    words_per_second: float


def main() -> None:
    """Tag every file with every available tagger; write the page and the JSON line."""
    given = arguments(
        __doc__ or "",
        data=("../shared/data/ner", "../shared/data/ner"),
        titles=("../shared/data/corpora/simplewiki-2021.jsonl.xz", ""),
        model=("", ""),
        spacy=("", ""),
        texts=(0, 60),
        out=("", ""),
    )
    folder = Path(given.data)
    if not folder.is_dir():
        end(
            f"{folder} does not exist; give another folder with --data.",
            not_measured("F1 of spans", "points", _PEER, "the data are missing"),
        )
    texts = {name: list(texts_of(read_conll(folder / file)))[: given.texts or None] for name, file in FILES.items()}
    taggers = load(given.titles, given.model, given.spacy)
    found = {(name, file): measure(tagger, texts[file]) for file in FILES for name, tagger in taggers.items()}
    if given.out:
        from openrealm import files

        files.write_text(Path(given.out) / "ner.md", as_page(found, texts, given.model, given.spacy))
    report(*(_figure(name, file, found) for name, file in found))


def load(titles: str, model: str, spacy: str) -> dict[str, Any]:
    """The taggers, by their name on the page."""
    import torch

    from openrealm.corpus.tagger import load_tagger

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    taggers: dict[str, Any] = {"rules": load_tagger("rules")}
    if titles:
        taggers["rules + titles"] = load_tagger("rules")
        taggers["rules + titles"].learn(_titles(Path(titles)))
    if spacy:
        taggers["spaCy"] = load_tagger(f"spacy:{spacy}")
    if model:
        taggers["ours"] = load_tagger(f"hf:{model}")
    return taggers


def _titles(path: Path) -> Iterator[str]:
    import lzma

    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["title"]


def measure(tagger: Any, texts: Sequence[Text]) -> Measured:
    """Evaluate a tagger on all texts at once, as it is applied to the passages of a corpus."""
    contents = [text.text for text in texts]
    started = time.perf_counter()
    tagged = tagger.tag(contents)
    seconds = time.perf_counter() - started
    in_words = [
        [(*words_of((span.start, span.end), text.ranges), span.kind) for span in spans]
        for text, spans in zip(texts, tagged, strict=True)
    ]
    entities = [{(a, b, "") for a, b, kind in row if kind == "entity"} for row in in_words]
    typed = None
    if hasattr(tagger, "named"):
        kinds = [
            {(*words_of((a, b), text.ranges), kind) for a, b, kind in row}
            for text, row in zip(texts, tagger.named(contents), strict=True)
        ]
        typed = score(kinds, [text.gold for text in texts])
    return Measured(
        spans=score(entities, [{(a, b, "") for a, b, _ in text.gold} for text in texts]),
        typed=typed,
        dates=[{(a, b) for a, b, kind in row if kind == "date"} for row in in_words],
        words_per_second=sum(len(text.ranges) for text in texts) / seconds,
    )


def _figure(name: str, file: str, found: dict[tuple[str, str], Measured]) -> Figure:
    ours, peer = 100 * found[name, file].spans.f1, 100 * found[_PEER, file].spans.f1
    note = f"{found[name, file].words_per_second:,.0f} words/s"
    ratio = ours / peer if peer else None
    return Figure(
        f"F1 of spans, {name}, {file}", ours, "points", _PEER, peer, ratio, 0.0, 1, hardware(), commit(), note
    )


def as_page(found: dict[tuple[str, str], Measured], texts: dict[str, list[Text]], model: str, spacy: str) -> str:
    """The page docs/results/ner.md."""
    page = """# Comparison of taggers

Which names each tagger finds, as measured by `bench/ner.py`: spans of words whose two ends both match the gold span,
counted over the whole file as conlleval does. "F1, spans" ignores types, since salient spans have no type finer than
"entity"; "F1, typed" also requires the right one of PER, ORG, LOC and MISC, for taggers that predict it. Before
tagging, the words of the files are joined into running text of at most about 80 words of one document.

"""
    page += "| data | tagger | precision | recall | F1, spans | F1, typed | words/s |\n|---|---|---|---|---|---|---|\n"
    for (name, file), m in found.items():
        shares = " | ".join(f"{100 * value:.2f}" for value in (m.spans.precision, m.spans.recall, m.spans.f1))
        typed = f"{100 * m.typed.f1:.2f}" if m.typed else ""
        page += f"| {file} | {name} | {shares} | {typed} | {m.words_per_second:,.0f} |\n"
    page += _NOTES
    for file, measured in texts.items():
        page += f"* {file}: {len(measured):,} texts, {sum(len(text.ranges) for text in measured):,} words.\n"
    if ("spaCy", next(iter(FILES))) in found:
        page += _DATES
        for file in texts:
            ours, theirs = found["rules", file].dates, found["spaCy", file].dates
            agreed = score([{(a, b, "") for a, b in row} for row in ours], [{(a, b, "") for a, b in r} for r in theirs])
            counts = f"{agreed.num_found:,} | {agreed.num_gold:,} | {agreed.num_right:,}"
            page += f"| {file} | {counts} | {100 * agreed.precision:.1f} | {100 * agreed.recall:.1f} |\n"
    used = "".join(f"; {what}: {Path(name).name}" for what, name in (("ours", model), ("spaCy", spacy)) if name)
    return f"{page}\nMeasured on {hardware()}{used}.\n"


_NOTES = """
* "rules" is the default, which needs no model; it sees all texts of a file in one call. "rules + titles" also knows the
  197,146 titles of Simple English Wikipedia, just as a corpus's own titles are known when it is built.
* "ours" is MiniLM (6 layers of 384, lower-case letters only) trained by `openrealm tagger train` on CoNLL-2003.
* spaCy annotates names as in OntoNotes: with works of art, events and nationalities, and often including "the". Its
  scores here reflect different guidelines as much as its accuracy.
* One training run and one pass per tagger: the spread is unknown, and words per second are approximate.
"""
_DATES = """
## Dates

None of the three files annotates dates. This table shows how far the rules agree with the spaCy tagger on dates (the
model's own labels combined with our rules, the longer span where they overlap):

| data | rules | spaCy | agree | % of rules | % of spaCy |
|---|---|---|---|---|---|
"""


if __name__ == "__main__":
    main()
