"""ORQA's rules for reader inputs and answers, on values published with its code and Hugging Face's port of REALM.

Both are checked on a corpus, with joint rows, `AnswerFinder` and the span reader's mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.masking.tagger import RulesTagger
from openrealm.model.realm import Realm
from openrealm.model.span_reader import SpanReader
from openrealm.text.pack import pad
from openrealm.text.tokenizer import Tokenizer
from openrealm.train.answers import AnswerFinder, Sought
from openrealm.types import Article, Question

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def corpus_of(folder: Path, vocabulary: Sequence[str], texts: Sequence[str]) -> Corpus:
    """A corpus with one passage per text; entry n of the vocabulary is token n."""
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    articles = [Article(str(n), "", text) for n, text in enumerate(texts)]
    tokenizer = Tokenizer.from_folder(folder)
    return build_corpus(articles, folder / "corpus", tokenizer, max_passage_tokens=32, tagger=RulesTagger(), source={})


def gold_positions(
    corpus: Corpus, question: str, answers: Sequence[Sought], passages: Sequence[int]
) -> tuple[list[list[int]], list[list[int]]]:
    """First and last position of all answers in each joint input, rows padded with -1 as in ORQA."""
    finder = AnswerFinder(corpus)
    asked, _ = corpus.tokenizer().encode(question)
    starts, ends = [], []
    for passage in passages:
        _, body = corpus.joint_row(asked, passage, 64)
        spans = sorted(finder.correct_spans(passage, answers, 10))
        starts.append([body + first for first, _ in spans])
        ends.append([body + first + more for first, more in spans])
    most = max(1, *map(len, starts))
    fill = [[-1] * (most - len(row)) for row in starts]
    return [a + b for a, b in zip(starts, fill, strict=True)], [a + b for a, b in zip(ends, fill, strict=True)]


# The words' numbers are ORQA's token ids, 10 and 11 its [CLS] and [SEP].
_WORDS = "nought one two three four five six seven eight nine".split()  # noqa: SIM905
_NUMBERED = [*_WORDS, "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"]


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpus_of(tmp_path_factory.mktemp("numbered"), _NUMBERED, ["two three four", "five six"])


def test_the_readers_inputs_are_those_of_orqa(numbered: Corpus, toy_realm: Callable[..., Realm]) -> None:
    rows, starts = zip(*(numbered.joint_row([0, 1], passage, 10) for passage in (0, 1)), strict=True)
    ids, real, segments = pad(rows, pad_id=0)
    # Rows are padded to the longest, ORQA's to a fixed length; hence the two columns of zeros.
    assert np.pad(ids, ((0, 0), (0, 2))).tolist() == [
        [10, 0, 1, 11, 2, 3, 4, 11, 0, 0],
        [10, 0, 1, 11, 5, 6, 11, 0, 0, 0],
    ]
    assert np.pad(segments, ((0, 0), (0, 2))).tolist() == [
        [0, 0, 0, 0, 1, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 1, 1, 0, 0, 0],
    ]
    assert real.tolist() == [[True] * 8, [True] * 7 + [False]]
    with torch.no_grad():
        _, valid_nPW = SpanReader(toy_realm().reader.encoder)(rows, starts)
    block_mask = np.zeros((2, 10), dtype=int)
    for row, start, valid_P in zip(block_mask, starts, valid_nPW[:, :, 0].tolist(), strict=True):
        row[start : start + len(valid_P)] = valid_P
    assert block_mask.tolist() == [[0, 0, 0, 0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]]


def test_the_readers_gold_spans_are_those_of_orqa(numbered: Corpus) -> None:
    answers = AnswerFinder(numbered).sought(Question("", ("three four", "seven")))
    assert answers == [(3, 4), (7,)]
    assert gold_positions(numbered, "nought one", answers, [0, 1]) == ([[5], [-1]], [[6], [-1]])


RECORDS = [f"This is the {n} record" for n in ("first", "second", "third", "fourth", "fifth")]
RECORDS.append("This is a longer longer longer record")
WORDS = sorted({word for text in [*RECORDS, "Test question"] for word in text.lower().split()})
ASKED = Question("Test question", ("the fourth", "longer longer"))
READ = [0, 3, 5]


def test_answers_in_the_records_of_the_port_are_found_even_if_they_overlap(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, [*SPECIALS, *WORDS], RECORDS)
    finder = AnswerFinder(corpus)
    assert [n in finder.passages_for(ASKED) for n in READ] == [False, True, True]
    starts, ends = gold_positions(corpus, ASKED.text, finder.sought(ASKED), READ)
    # [CLS] test question [SEP] this is a longer longer longer record: two pairs of "longer longer".
    assert starts == [[-1, -1], [6, -1], [7, 8]]
    assert ends == [[-1, -1], [7, -1], [8, 9]]


def test_unlike_in_the_port_unknown_words_are_not_an_answer(tmp_path: Path) -> None:
    # Its published vocabulary lacks "a" and "longer": these words, and both words of the answer, are [UNK].
    corpus = corpus_of(tmp_path, [*SPECIALS, *(word for word in WORDS if word not in ("a", "longer"))], RECORDS)
    unknown = corpus.tokenizer().unk_id
    finder = AnswerFinder(corpus)
    [the_fourth] = finder.sought(ASKED)
    starts, ends = gold_positions(corpus, ASKED.text, [the_fourth, (unknown, unknown)], READ)
    assert starts == [[-1, -1, -1], [6, -1, -1], [6, 7, 8]]
    assert ends == [[-1, -1, -1], [7, -1, -1], [7, 8, 9]]
    assert [n in finder.passages_for(ASKED) for n in READ] == [False, True, False]
