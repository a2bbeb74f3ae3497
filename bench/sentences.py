"""Sentence ends against pysbd, syntok and spaCy's sentencizer: precision, recall and F1 per language, and speed.

The labelled paragraphs are in tests/data/sentences: one sentence a line, its README tells their origin. The peers are
told the language where they take one. The speed is that on these paragraphs.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from common import Figure, arguments, in_turn, not_measured, once, rate, report

DATA = Path(__file__).parent.parent / "tests" / "data" / "sentences"
PARTS = ("hard", "development", "heldout")
_LAST_SPACED = "\u2000"  # after a character beyond this one, Chinese and Japanese sentences follow without a space
_PYSBD = ("en", "hi", "de", "es", "ar", "fr", "zh", "ja")

# Splits a paragraph in a language; returns where every sentence but the first starts.
Split = Callable[[str, str], set[int]]


class Labelled(NamedTuple):
    """A paragraph, and where every sentence but the first starts in it."""

    language: str
    text: str
    starts: set[int]


class Score(NamedTuple):
    """Counts of the ends that were found and those that are there."""

    num_right: int
    num_found: int
    num_true: int

    @property
    def precision(self) -> float:
        """Share of the found ends that are right; 1 if none were found."""
        return self.num_right / self.num_found if self.num_found else 1.0

    @property
    def recall(self) -> float:
        """Share of the true ends that were found; 1 if there are none."""
        return self.num_right / self.num_true if self.num_true else 1.0

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        return 2 * self.num_right / (self.num_found + self.num_true) if self.num_found + self.num_true else 1.0


def labelled(part: str) -> list[Labelled]:
    """The paragraphs of one of PARTS."""
    found = []
    for path in sorted((DATA / part).glob("*.txt")):
        for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
            lines = block.split("\n")
            joints = ["" if path.stem in ("zh", "ja") and line[-1] > _LAST_SPACED else " " for line in lines[:-1]]
            pieces = [line + joint for line, joint in zip(lines, [*joints, ""], strict=True)]
            found.append(Labelled(path.stem, "".join(pieces), set(accumulate(map(len, pieces[:-1])))))
    return found


def score(paragraphs: list[Labelled], split: Split) -> dict[str, Score]:
    """Counts for each language."""
    counts: dict[str, Score] = {}
    for language, text, starts in paragraphs:
        found = split(text, language)
        before = counts.get(language, Score(0, 0, 0))
        here = Score(len(found & starts), len(found), len(starts))
        counts[language] = Score(*(a + b for a, b in zip(before, here, strict=True)))
    return counts


def ours(text: str, _language: str) -> set[int]:
    """Our own rule, which is not told the language."""
    from openrealm.corpus.sentences import sentence_bounds

    return {start for start, _ in sentence_bounds(text)[1:]}


def located(text: str, sentences: list[str]) -> set[int]:
    """Where the sentences after the first stand in `text`."""
    starts, end = [], 0
    for sentence in sentences:
        start = text.find(sentence.strip(), end)
        if start >= 0:
            starts.append(start)
            end = start + len(sentence.strip())
    return set(starts[1:])


def peers() -> dict[str, Split]:
    """The libraries that are installed."""
    found: dict[str, Split] = {}
    try:
        import pysbd

        segmenters = {name: pysbd.Segmenter(language=name, clean=False) for name in _PYSBD}
        found["pysbd"] = lambda text, name: located(text, segmenters.get(name, segmenters["en"]).segment(text))
    except ImportError:
        pass
    try:
        from syntok import segmenter

        def syntok(text: str, _name: str) -> set[int]:
            rows = [sentence for block in segmenter.analyze(text) for sentence in block]
            return {row[0].offset for row in rows[1:]}

        found["syntok"] = syntok
    except ImportError:
        pass
    try:
        import spacy

        pipeline = spacy.blank("xx")
        pipeline.add_pipe("sentencizer")
        found["spaCy's sentencizer"] = lambda text, _name: {row.start_char for row in list(pipeline(text).sents)[1:]}
    except ImportError:
        pass
    return found


def table(part: str, splits: dict[str, Split]) -> list[Figure]:
    """Print precision, recall and F1 of every splitter per language; returns the F1 of ours and the best peer's."""
    paragraphs = labelled(part)
    scores = {name: score(paragraphs, split) for name, split in splits.items()}
    figures = []
    for language in sorted(scores["ours"]):
        row = {name: counts[language] for name, counts in scores.items()}
        cells = (f"{name} {s.precision:.3f} {s.recall:.3f} {s.f1:.3f}" for name, s in row.items())
        num_true = row["ours"].num_true
        print(f"{part} {language} ({num_true} ends; precision, recall, F1): {', '.join(cells)}")
        name = f"F1 of sentence ends, {part}, {language}"
        others = {name: s.f1 for name, s in row.items() if name != "ours"}
        if others:
            best = max(others, key=others.__getitem__)
            figures.append(once(name, "F1", row["ours"].f1, best, others[best], more_is_better=True))
        else:
            figures.append(not_measured(name, "F1", "pysbd, syntok, spaCy", "no peer is installed"))
    return figures


def main() -> None:
    given = arguments(__doc__.splitlines()[0], characters=(2_000_000, 200_000))
    splits: dict[str, Split] = {"ours": ours} | peers()
    figures = [figure for part in PARTS for figure in table(part, splits)]
    paragraphs = [row for part in PARTS for row in labelled(part)]
    num_characters = sum(len(row.text) for row in paragraphs)

    def through(split: Split, repeats: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(repeats):
                for row in paragraphs:
                    split(row.text, row.language)

        return run

    # The peers are slower by orders of magnitude, so they read the paragraphs once and ours many times.
    repeats = max(1, given.characters // num_characters)
    sides = {name: through(split, repeats if name == "ours" else 1) for name, split in splits.items()}
    seconds = in_turn(sides, num_rounds=given.rounds, max_seconds=20 if given.quick else 300)
    per_pass = [value / repeats for value in seconds["ours"]]
    for name, theirs in seconds.items():
        if name != "ours":
            figures.append(rate("sentence ends", "million characters/s", num_characters / 1e6, per_pass, name, theirs))
    report(*figures)


if __name__ == "__main__":
    main()
