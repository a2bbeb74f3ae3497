"""What a corpus of queries shares with the corpus of candidates: found once, bound to both, never mixed up."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from openrealm import files
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.matches import Matches
from openrealm.errors import DamagedArtefact, Mismatch
from openrealm.masking.tagger import RulesTagger
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article

RNG = random.Random(0)
LETTERS = "abcdefghij"
TEXTS = [" ".join("".join(RNG.choices(LETTERS, k=4)) for _ in range(30)) + "." for _ in range(8)]


def corpus_of(folder: Path, texts: Sequence[str], tokenizer: Tokenizer) -> Corpus:
    return build_corpus(
        [Article(str(n), f"title {n}", text) for n, text in enumerate(texts)],
        folder,
        tokenizer,
        max_passage_tokens=400,
        tagger=RulesTagger(),
        source={},
        near_duplicates=True,
    )


@pytest.fixture(scope="module")
def tokenizer(vocabulary_folder: Path) -> Tokenizer:
    return Tokenizer.from_folder(vocabulary_folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Corpus:
    """Passages 4 and 5 are nearly those before the last."""
    texts = [*TEXTS[:4], TEXTS[0].replace("a", "b", 1), TEXTS[1] + " Peru.", "Lima."]
    return corpus_of(tmp_path_factory.mktemp("z") / "corpus", texts, tokenizer)


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Corpus:
    half = " ".join(TEXTS[2].split()[:15] + TEXTS[5].split()[:15])
    texts = [TEXTS[6], TEXTS[0], half, "LIMA", f"{TEXTS[1]} {TEXTS[3]}"]
    return corpus_of(tmp_path_factory.mktemp("x") / "corpus", texts, tokenizer)


def test_a_query_is_matched_with_the_groups_that_hold_its_text(queries: Corpus, corpus: Corpus, tmp_path: Path) -> None:
    assert [corpus.group(n) for n in range(7)] == [0, 1, 2, 3, 0, 1, 6]
    told: list[int] = []
    matches = Matches.between(queries, corpus, tmp_path / "matches", progress=told.append)
    assert [matches.groups(n) for n in range(5)] == [(), (0,), (2,), (6,), (1, 3)]
    assert sum(told) == 2 * (5 + 7)


def test_matches_are_found_once_and_anew_for_other_corpora(
    queries: Corpus, corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    folder = tmp_path / "matches"
    Matches.between(queries, corpus, folder)
    before = (folder / files.MANIFEST).stat()
    told: list[int] = []
    Matches.between(queries, corpus, folder, progress=told.append)
    assert (folder / files.MANIFEST).stat() == before
    assert told == []
    other = corpus_of(tmp_path / "other", TEXTS[2:4], tokenizer)
    matches = Matches.between(other, corpus, folder)
    assert [matches.groups(n) for n in range(2)] == [(2,), (3,)]
    manifest = files.read_manifest(folder)
    assert (manifest["queries"], manifest["corpus"]) == (other.digest, corpus.digest)
    assert manifest["num_matched_passages"] == 2


def test_corpora_of_different_tokenizers_are_refused_with_both_digests(
    corpus: Corpus, toy_corpus: Corpus, tmp_path: Path
) -> None:
    with pytest.raises(Mismatch, match=f"{toy_corpus.tokenizer_digest}.*{corpus.tokenizer_digest}"):
        Matches.between(toy_corpus, corpus, tmp_path / "matches")
    assert not (tmp_path / "matches").exists()


def test_damaged_matches_are_never_read(queries: Corpus, corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "matches"
    Matches.between(queries, corpus, folder)
    stored = folder / "groups.bin"
    stored.write_bytes(bytes([stored.read_bytes()[0] ^ 1]) + stored.read_bytes()[1:])
    with pytest.raises(DamagedArtefact, match=r"groups\.bin differs from its digest"):
        Matches.between(queries, corpus, folder)
