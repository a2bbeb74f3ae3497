"""CoNLL files of named entities, the text they were made from, and conlleval's score (Guu et al. 2020, Sec. 3.4)."""

from __future__ import annotations

import gzip
import lzma
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from openrealm.errors import BadInput

OUTSIDE = "O"
_DOCUMENT = "-DOCSTART-"
_OPENERS = {".gz": gzip.open, ".xz": lzma.open}

# Tokens written without a space before or after them in running text.
_CLOSE_BEFORE = frozenset(". , ; : ! ? ) ] } % ' '' 's 'S n't 're 've 'll 'd 'm ...".split())  # noqa: SIM905
_CLOSE_AFTER = frozenset("( [ { $ £ ``".split())  # noqa: SIM905

# Words (or characters) [start, end) and their label without its prefix.
Run = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words with one label each, in IOB2: "O", or "B-" where an entity begins and "I-" where it continues."""

    words: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def runs(self) -> list[Run]:
        """Entities as ranges of words."""
        return runs(self.labels)


Document = list[Sentence]


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of entity spans, summed over a whole file as conlleval does."""

    num_right: int
    num_found: int
    num_gold: int

    @property
    def precision(self) -> float:
        """Share of the found spans that are right; 0 if none were found."""
        return self.num_right / self.num_found if self.num_found else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold spans that were found; 0 if there are none."""
        return self.num_right / self.num_gold if self.num_gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.num_right / (self.num_found + self.num_gold) if self.num_right else 0.0


def read_conll(path: str | Path) -> list[Document]:
    """Documents of a CoNLL file, which may be compressed (.xz, .gz); without -DOCSTART- lines, each sentence is one.

    One word per line, blank lines between sentences. With columns separated by spaces, the word is first and its label
    last, as in CoNLL-2003; with tabs, the columns are number, word, label. IOB1 and IOB2 are read, IOB2 is returned.
    Raises BadInput naming the file and line that is invalid.
    """
    path = Path(path)
    documents: list[Document] = []
    has_documents = False
    for words, labels in _sentences(path):
        if words[0] == _DOCUMENT:
            documents.append([])
            has_documents = True
            words, labels = words[1:], labels[1:]
        elif not has_documents:
            documents.append([])
        if words:
            documents[-1].append(Sentence(words, iob2(labels)))
    found = [document for document in documents if document]
    if not found:
        raise BadInput(f"{path} contains no sentences; give a CoNLL file with one word and its label per line.")
    return found


def _sentences(path: Path) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    rows: list[tuple[str, str]] = []
    for row in _rows(path):
        if row is not None:
            rows.append(row)
        elif rows:
            yield _columns(rows)
            rows = []
    if rows:
        yield _columns(rows)


def _columns(rows: list[tuple[str, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(word for word, _ in rows), tuple(label for _, label in rows)


def _rows(path: Path) -> Iterator[tuple[str, str] | None]:
    """Word and label of each line, None for a blank one."""
    try:
        with _OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8") as lines:  # type: ignore[operator]
            for number, line in enumerate(lines, start=1):
                yield _row(line, f"{path}, line {number}")
    except FileNotFoundError as error:
        raise BadInput(f"{path} does not exist; give a CoNLL file.") from error
    except (UnicodeDecodeError, EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise BadInput(f"{path} is truncated or damaged ({error}); download it again.") from error


def _row(line: str, where: str) -> tuple[str, str] | None:
    if not line.strip() or line.startswith("# "):
        return None
    is_numbered = "\t" in line
    cells = line.rstrip("\r\n").split("\t") if is_numbered else line.split()
    if len(cells) < 2 + is_numbered:
        raise BadInput(f'{where}: "{line.strip()}" has too few columns; expected a word and its label on one line.')
    label = cells[-1].strip()
    if label != OUTSIDE and (label[:2] not in ("B-", "I-") or len(label) < 3):
        raise BadInput(f'{where}: "{label}" is not a label; expected "O", "B-KIND" or "I-KIND" in the last column.')
    return cells[int(is_numbered)], label


def runs(labels: Iterable[str]) -> list[Run]:
    """Entities of a row of labels as (first, last + 1, kind): "B-" or a new kind begins one. Reads IOB1 and IOB2."""
    found: list[Run] = []
    before = ""
    for i, label in enumerate(labels):
        prefix, _, kind = label.rpartition("-")
        if label == OUTSIDE:
            before = ""
            continue
        if before == kind and prefix != "B":
            found[-1] = (found[-1][0], i + 1, kind)
        else:
            found.append((i, i + 1, kind))
        before = kind
    return found


def iob2(labels: Sequence[str]) -> tuple[str, ...]:
    """The same entities in IOB2."""
    out = [OUTSIDE] * len(labels)
    for start, end, kind in runs(labels):
        out[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    return tuple(out)


def running_text(sentences: Iterable[Sentence]) -> tuple[str, list[tuple[int, int]]]:
    """A plausible original text of the words, one sentence per line, and the character range of each word."""
    text: list[str] = []
    ranges: list[tuple[int, int]] = []
    end = 0
    for sentence in sentences:
        gap = "\n" if ranges else ""
        num_quotes = 0
        for word in sentence.words:
            closes = word in _CLOSE_BEFORE or (word == '"' and num_quotes % 2 == 1)
            if gap != "\n" and closes:
                gap = ""
            ranges.append((end + len(gap), end + len(gap) + len(word)))
            text += [gap, word]
            end = ranges[-1][1]
            gap = "" if word in _CLOSE_AFTER or (word == '"' and num_quotes % 2 == 0) else " "
            num_quotes += word == '"'
    return "".join(text), ranges


def words_of(span: tuple[int, int], ranges: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The words [first, last + 1) that characters [start, end) touch; `ranges` is from `running_text`."""
    first = bisect_right(ranges, span[0], key=lambda bounds: bounds[1])
    last = first
    while last < len(ranges) and ranges[last][0] < span[1]:
        last += 1
    return first, last


def score(found: Sequence[Collection[Run]], gold: Sequence[Collection[Run]]) -> Score:
    """Count spans that agree in both bounds and in kind, over all texts, as conlleval does (Tjong Kim Sang 2003)."""
    num_right = sum(len(set(ours) & set(theirs)) for ours, theirs in zip(found, gold, strict=True))
    return Score(num_right, sum(map(len, found)), sum(map(len, gold)))


@dataclass(frozen=True, slots=True)
class Text:
    """Consecutive sentences of a document as running text, with character ranges of words and entities as words."""

    text: str
    ranges: list[tuple[int, int]]
    gold: list[Run]


def texts_of(documents: Iterable[Document], *, max_words: int = 80) -> Iterator[Text]:
    """Whole sentences of one document at a time, up to `max_words`; a longer sentence is a text by itself."""
    for document in documents:
        held: list[Sentence] = []
        for sentence in document:
            if held and sum(len(s.words) for s in held) + len(sentence.words) > max_words:
                yield _text(held)
                held = []
            held.append(sentence)
        yield _text(held)


def _text(held: Sequence[Sentence]) -> Text:
    gold: list[Run] = []
    num_words = 0
    for sentence in held:
        gold += [(a + num_words, b + num_words, kind) for a, b, kind in sentence.runs]
        num_words += len(sentence.words)
    return Text(*running_text(held), gold)
