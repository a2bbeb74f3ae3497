"""Posting lists of names, words and word pieces, compared with dictionaries."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from pathlib import Path

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm import files
from openrealm.corpus import builder, inverted
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.inverted import piece_keys
from openrealm.corpus.layout import NO_NAME
from openrealm.corpus.spill import Spill
from openrealm.errors import DamagedArtefact
from openrealm.index.bm25 import Bm25
from openrealm.text.words import word_keys, words
from openrealm.types import Article

RECORD = np.dtype([("key", "<u8"), ("value", "<u4")])


@given(calls=st.lists(st.lists(st.integers(0, 9)), max_size=5), num_parts=st.sampled_from([1, 2, 8]))
def test_records_come_back_by_key_in_the_order_they_were_added(
    calls: list[list[int]], num_parts: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    keys = piece_keys(np.arange(10))
    added: list[tuple[int, int]] = []
    with Spill(tmp_path_factory.mktemp("spill") / "here", RECORD, num_parts) as spill:
        for call in calls:
            records = np.zeros(len(call), RECORD)
            records["key"] = keys[call]
            records["value"] = np.arange(len(added), len(added) + len(call))
            added += records.tolist()
            spill.add(records)
        parts = list(spill.parts())
    assert len(parts) == num_parts
    assert [tuple(record) for part in parts for record in part.tolist()] == sorted(added)


@pytest.fixture(scope="module", params=["one part", "several parts"])
def corpus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, toy_backbone: Path) -> Corpus:
    """The toy world, with all its articles a second time in other words, from one shard or many."""
    articles: list[Article] = request.getfixturevalue("toy_articles")
    again = [Article(f"{a.id}-again", a.title, f"It is known. {a.text[:90]}") for a in articles]
    folder = tmp_path_factory.mktemp("inverted") / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "several parts":
            patch.setattr(builder, "_SHARD_ARTICLES", 7)
            patch.setattr(inverted, "_SHARDS_PER_PART", 2)
        return Corpus.build([*articles, *again], folder, backbone=str(toy_backbone), num_workers=1)


def test_names_are_spans_of_equal_pieces_and_kind_with_one_passage_of_each_group(corpus: Corpus) -> None:
    passages: dict[tuple[object, ...], dict[int, int]] = defaultdict(dict)
    name_of: dict[tuple[object, ...], int] = {}
    for i in range(len(corpus)):
        numbers = corpus.names.of(i).tolist()
        sentences = corpus.sentences(i).tolist()
        for (start, end, kind), number in zip(corpus.spans(i), numbers, strict=True):
            if all(last - first < 3 for first, last in sentences if first <= start < last):
                assert number == NO_NAME
                continue
            name = (kind, *corpus.body_tokens(i)[start:end].tolist())
            assert name_of.setdefault(name, number) == number
            passages[name].setdefault(corpus.group(i), i)
    assert sorted(name_of.values()) == list(range(len(corpus.names)))
    for name, number in name_of.items():
        assert corpus.names.postings[number].tolist() == sorted(passages[name].values())
    longest = max(len(name) - 1 for name in passages)
    for kinds, max_tokens, low, high in [(("entity",), longest, 2, 3), (("date", "number"), 1, 1, None)]:
        chosen = corpus.names.choose(kinds=kinds, max_tokens=max_tokens, min_passages=low, max_passages=high)
        expected = {
            name_of[name]
            for name, groups in passages.items()
            if name[0] in kinds and len(name) - 1 <= max_tokens and low <= len(groups) <= (high or 10**9)
        }
        assert set(np.flatnonzero(chosen).tolist()) == expected
        holding = [i for i in range(len(corpus)) if expected & set(corpus.names.of(i).tolist())]
        assert corpus.names.passages_with(chosen).tolist() == holding


def test_words_and_their_scores_are_those_of_bm25s(corpus: Corpus) -> None:
    texts = [f"{passage.title} {passage.text}" for passage in corpus]
    where: dict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(texts):
        for word in dict.fromkeys(words(text)):
            where[word].append(i)
    assert len(corpus.words) == len(where)
    numbers = corpus.words.find(word_keys(list(where))[0])
    assert all(corpus.words[n].tolist() == where[w] for w, n in zip(where, numbers.tolist(), strict=True))
    assert corpus.words.find(word_keys(["zyzzyva"])[0]).tolist() == [-1]
    reference = bm25s.BM25()
    reference.index([words(text) for text in texts], show_progress=False)
    queries = ["Where is the capital of the river?", "founded on 4 May", *texts[:5]]
    expected = np.stack([reference.get_scores(words(query)) for query in queries])
    everything = np.tile(np.arange(len(texts)), (len(queries), 1))
    for bm25 in (Bm25.build(corpus), Bm25(texts)):
        assert np.array_equal(bm25.scores(queries, everything), expected)


def test_pieces_list_the_passages_with_each_word_piece(corpus: Corpus) -> None:
    where: dict[int, list[int]] = defaultdict(list)
    counts: Counter[int] = Counter()
    for i in range(len(corpus)):
        counts.update(corpus.body_tokens(i).tolist())
        for piece in set(corpus.body_tokens(i).tolist()):
            where[piece].append(i)
    vocabulary = np.arange(corpus.tokenizer().vocab_size)
    numbers = corpus.pieces.find(piece_keys(vocabulary)).tolist()
    assert len(corpus.pieces) == len(where)
    for piece, number in enumerate(numbers):
        assert (corpus.pieces[number].tolist() if number >= 0 else []) == where[piece]
    assert corpus.piece_counts().tolist() == [counts[piece] for piece in vocabulary.tolist()]


def test_spans_are_found_by_their_place(corpus: Corpus) -> None:
    every = [(i, span) for i in range(len(corpus)) for span in corpus.spans(i) if span[1] - span[0] <= 1]
    assert [corpus.span_at(int(entry)) for entry in corpus.span_entries(1)] == every
    some = [3, 5, 40]
    expected = [place for place in every if place[0] in some]
    assert [corpus.span_at(int(entry)) for entry in corpus.span_entries(1, some)] == expected


def test_the_lists_do_not_depend_on_the_number_of_parts(
    tmp_path: Path, toy_articles: list[Article], toy_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "_SHARD_ARTICLES", 7)
    manifests = []
    for number in (1, 100):
        monkeypatch.setattr(inverted, "_SHARDS_PER_PART", number)
        built = Corpus.build(toy_articles, tmp_path / str(number), backbone=str(toy_backbone), num_workers=1)
        manifests.append({name: entry["sha256"] for name, entry in built.manifest["files"].items()})
    assert manifests[0] == manifests[1]


@pytest.mark.parametrize("name", ["name_passages", "word_passages", "piece_passages", "span_names"])
def test_a_number_that_does_not_exist_is_found_when_a_corpus_is_verified(
    name: str, tmp_path: Path, toy_articles: list[Article], toy_backbone: Path
) -> None:
    built = Corpus.build(toy_articles[:5], tmp_path / "corpus", backbone=str(toy_backbone))
    manifest = {key: value for key, value in built.manifest.items() if key not in ("files", "manifest_sha256")}
    with files.new_folder(tmp_path / "other", manifest) as folder:
        for path in built.folder.iterdir():
            if path.name != files.MANIFEST:
                shutil.copyfile(path, folder / path.name)
        with (folder / f"{name}.bin").open("r+b") as file:
            file.write((1_000_000).to_bytes(4, "little"))
    with pytest.raises(DamagedArtefact, match=name):
        Corpus.open(tmp_path / "other", verify=True)
