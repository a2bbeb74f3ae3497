from __future__ import annotations

import gzip
import importlib
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.errors import BadInput
from openrealm.masking.conll import Score, Sentence, iob2, read_conll, running_text, runs, score, texts_of, words_of

SHARED = Path(__file__).parents[3] / "shared" / "data" / "ner"
NUM_SENTENCES = {
    "conll2003/eng.train.xz": 14_041,
    "conll2003/eng.testa.xz": 3_250,
    "conll2003/eng.testb.xz": 3_453,
    "wikineural-val.conllu.xz": 11_590,
}
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
rows_of_labels = st.lists(st.lists(st.sampled_from(LABELS), max_size=8), max_size=6)


def slow_runs(labels: list[str]) -> set[tuple[int, int, str]]:
    """Every stretch of one kind that opens where conlleval says a chunk opens, and ends where it says one ends."""
    found = set()
    for start, first in enumerate(labels):
        kind = first[2:]
        before = labels[start - 1] if start else "O"
        opens = first != "O" and (first[0] == "B" or before == "O" or before[2:] != kind)
        end = start + 1
        while opens and end < len(labels) and labels[end] == f"I-{kind}":
            end += 1
        if opens:
            found.add((start, end, kind))
    return found


@given(st.lists(st.sampled_from(LABELS), max_size=12))
def test_runs_are_those_of_conlleval(labels: list[str]) -> None:
    assert len(runs(labels)) == len(set(runs(labels)))
    assert set(runs(labels)) == slow_runs(labels)
    assert runs(iob2(labels)) == runs(labels)
    assert all(label[0] != "I" or (i and iob2(labels)[i - 1][2:] == label[2:]) for i, label in enumerate(iob2(labels)))


@given(rows_of_labels, st.data())
def test_the_score_is_that_of_counting_by_hand(gold: list[list[str]], data: st.DataObject) -> None:
    ours = [data.draw(st.lists(st.sampled_from(LABELS), min_size=len(row), max_size=len(row))) for row in gold]
    found = score([runs(row) for row in ours], [runs(row) for row in gold])
    right = num_ours = num_gold = 0
    for mine, theirs in zip(ours, gold, strict=True):
        right += sum(span in slow_runs(theirs) for span in slow_runs(mine))
        num_ours += len(slow_runs(mine))
        num_gold += len(slow_runs(theirs))
    assert found == Score(right, num_ours, num_gold)
    if right:
        precision, recall = right / num_ours, right / num_gold
        assert found.f1 == pytest.approx(2 * precision * recall / (precision + recall))
        assert (found.precision, found.recall) == (precision, recall)
    else:
        assert found.f1 == 0


@given(rows_of_labels, st.data())
def test_the_score_is_seqevals(gold: list[list[str]], data: st.DataObject) -> None:
    pytest.importorskip("seqeval", reason="seqeval is not installed; the slow reference above covers it")
    metrics = importlib.import_module("seqeval.metrics")
    ours = [data.draw(st.lists(st.sampled_from(LABELS), min_size=len(row), max_size=len(row))) for row in gold]
    found = score([runs(row) for row in ours], [runs(row) for row in gold])
    if found.num_right:
        assert found.f1 == pytest.approx(metrics.f1_score(gold, ours))


def test_both_schemes_and_both_layouts_are_read(tmp_path: Path) -> None:
    iob1 = "-DOCSTART- -X- O O\n\nIn IN I-PP O\nPeru NNP I-NP I-LOC\nLima NNP I-NP B-LOC\n\n\nAna NNP I-NP I-PER"
    numbered = "0\t-DOCSTART-\tO\n\n0\tIn\tO\n1\tPeru\tB-LOC\n2\tLima\tB-LOC\n\n0\tAna\tB-PER\n"
    expected = [[Sentence(("In", "Peru", "Lima"), ("O", "B-LOC", "B-LOC")), Sentence(("Ana",), ("B-PER",))]]
    for name, text in (("a.txt", iob1), ("b.conllu", numbered)):
        (tmp_path / name).write_text(text)
        assert read_conll(tmp_path / name) == expected
    (tmp_path / "c.xz").write_bytes(lzma.compress(iob1.encode()))
    (tmp_path / "d.gz").write_bytes(gzip.compress(iob1.encode()))
    assert read_conll(tmp_path / "c.xz") == read_conll(tmp_path / "d.gz") == expected


def test_without_marks_of_documents_each_sentence_is_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Peru I-LOC\n\nLima I-LOC\nis O\n")
    assert [len(document) for document in read_conll(tmp_path / "a")] == [1, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Peru I-LOC\nLima\n", "line 2: .Lima. has too few columns"),
        (b"0\tPeru\n", "line 1: .* has too few columns"),
        (b"Peru LOC\n", "line 1: .LOC. is not a label"),
        (b"\n\n", "contains no sentence"),
        (b"\xff\xfe O\n", "is truncated or damaged"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.conll").write_bytes(content)
    with pytest.raises(BadInput, match=f"bad.conll.*{message}"):
        read_conll(tmp_path / "bad.conll")


def test_missing_and_cut_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.xz does not exist"):
        read_conll(tmp_path / "none.xz")
    for name, packed in (
        ("a.xz", lzma.compress(b"Peru I-LOC\n" * 999)),
        ("a.gz", gzip.compress(b"Peru I-LOC\n" * 999)),
    ):
        (tmp_path / name).write_bytes(packed[: len(packed) // 2])
        with pytest.raises(BadInput, match=f"{name} is truncated or damaged"):
            read_conll(tmp_path / name)


@pytest.mark.parametrize("name", NUM_SENTENCES)
def test_the_real_files_have_as_many_sentences_as_their_makers_say(name: str) -> None:
    if not (SHARED / name).is_file():
        pytest.skip(f"{name} is not there")
    assert sum(map(len, read_conll(SHARED / name))) == NUM_SENTENCES[name]


def test_text_runs_as_it_did_before_it_was_cut() -> None:
    words = ('"', "We", "'re", "in", "Lima", "(", "Peru", ")", ",", '"', "said", "Ana", ".")
    text, ranges = running_text([Sentence(words, ("O",) * len(words)), Sentence((".", "Ana"), ("O", "O"))])
    assert text == '"We\'re in Lima (Peru)," said Ana.\n. Ana'
    assert [text[a:b] for a, b in ranges] == [*words, ".", "Ana"]


@given(st.lists(st.text(alphabet='aB.,"(1', min_size=1, max_size=3), min_size=1, max_size=9), st.data())
def test_characters_and_words_go_back_and_forth(words: list[str], data: st.DataObject) -> None:
    text, ranges = running_text([Sentence(tuple(words), ("O",) * len(words))])
    assert [text[a:b] for a, b in ranges] == words
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    assert words_of((ranges[first][0], ranges[last][1]), ranges) == (first, last + 1)


def test_texts_are_whole_sentences_of_one_document() -> None:
    long, short = Sentence(("Ana",) * 7, ("B-PER",) * 7), Sentence(("in", "Lima"), ("O", "B-LOC"))
    texts = list(texts_of([[short, short, long], [short]], max_words=4))
    assert [len(text.ranges) for text in texts] == [4, 7, 2]
    assert texts[0].text == "in Lima\nin Lima"
    assert texts[0].gold == [(1, 2, "LOC"), (3, 4, "LOC")]
