"""How well each tagger finds names: precision, recall and F1 of exact spans, and words a second.

Data: CoNLL-2003 testb, WikiGold and WikiNEuRal's validation part, below --data (conll2003/eng.testb.xz,
wikigold-test.conllu.xz, wikineural-val.conllu.xz). The words are put back into running text, tagged as any passage
is, and the spans found are held against the gold ones word by word. None of the three marks dates, so that dates are
taken out of the score; how many there are, and how far they agree with spaCy's, stands in a table of its own.
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
    """One tagger on one file: `typed` also asks for the right kind (PER, ORG, LOC, MISC), as conlleval does."""

    spans: Score
    typed: Score | None
    dates: list[set[tuple[int, int]]]
    words_per_second: float


def main() -> None:
    """Tag every file with every tagger that is there; write the page and one JSON line."""
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
        end(f"{folder} is not there; give --data FOLDER.", not_measured("F1 of spans", "points", _PEER, "no data"))
    texts = {name: list(texts_of(read_conll(folder / file)))[: given.texts or None] for name, file in FILES.items()}
    taggers = load(given.titles, given.model, given.spacy)
    found = {(name, file): measure(tagger, texts[file]) for file in FILES for name, tagger in taggers.items()}
    if given.out:
        from openrealm import files

        files.write_text(Path(given.out) / "ner.md", as_page(found, texts, given.model, given.spacy))
    report(*(_figure(name, file, found) for name, file in found))


def load(titles: str, model: str, spacy: str) -> dict[str, Any]:
    """The taggers by the name that the page gives them."""
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
    """Score of `tagger`, which sees all the texts at once, as it sees a corpus' passages."""
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
    page = """# Taggers beside each other

Which names each tagger finds, as `bench/ner.py` measures it: spans of words that agree with the gold ones in both
bounds, counted over the whole file as conlleval counts them. "Spans" asks for the bounds alone, since salient spans
have no finer kind than "entity"; "typed" asks for PER, ORG, LOC or MISC too, where a tagger says so. The words of the
files are put back into running text, of at most about 80 words of one document, before any tagger sees them.

"""
    page += "| data | tagger | precision | recall | F1, spans | F1, typed | words/s |\n|---|---|---|---|---|---|---|\n"
    for (name, file), m in found.items():
        shares = " | ".join(f"{100 * value:.2f}" for value in (m.spans.precision, m.spans.recall, m.spans.f1))
        typed = f"{100 * m.typed.f1:.2f}" if m.typed else ""
        page += f"| {file} | {name} | {shares} | {typed} | {m.words_per_second:,.0f} |\n"
    page += _NOTES
    for file, measured in texts.items():
        page += f"* {file}: {len(measured):,} texts, {sum(len(text.ranges) for text in measured):,} words measured.\n"
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
* "rules" is the default, which needs nothing; it sees all texts of a file in one call. "rules + titles" knows the
  197,146 titles of Simple English Wikipedia besides, as a corpus' own titles are known when it is built.
* "ours" is MiniLM (6 layers of 384, lower-case letters only) trained by `openrealm tagger train` on CoNLL-2003.
* spaCy's names are those of OntoNotes: works of art, events, and nationalities, with "the" inside many of them. Its
  score here is one of another rule book as much as of its skill.
* One training run, one pass of each tagger: no spread is known, and words a second are a rough guide.
"""
_DATES = """
## Dates

None of the three files marks dates. How far the dates by rule agree with what spaCy's model calls a date (its own
labels and our rules together, the longer where they overlap):

| data | by rule | with spaCy's | the same | % of the rules' | % of spaCy's |
|---|---|---|---|---|---|
"""


if __name__ == "__main__":
    main()
