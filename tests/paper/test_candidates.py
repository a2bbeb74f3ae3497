"""Which passages are summed over: the null passage always, the query's own text never (Guu et al. 2020, Sec. 3.4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from openrealm.config import MaskingConfig
from openrealm.corpus.corpus import Corpus
from openrealm.index.index import Binding, Index
from openrealm.model.realm import Realm
from openrealm.train.candidates import find_candidates
from openrealm.train.examples import Example, MaskedExamples, contains
from openrealm.types import NULL


def made_index(corpus: Corpus, vector_ND: torch.Tensor) -> Index:
    """An index of made-up vectors."""
    return Index(vector_ND, Binding("", "", ""), group_N=torch.from_numpy(corpus.groups.astype("int64")))


@pytest.mark.parametrize("block", [False, True])
def test_the_null_passage_is_one_of_the_k_whatever_k_is(
    tiny_corpus: Corpus, examples: list[Example], everything: list[int], block: bool
) -> None:
    """Cut off by no k, though every passage outscores it, and never found twice."""
    torch.manual_seed(0)
    query_BD = torch.rand(len(examples), 4)
    index = made_index(tiny_corpus, 10 + torch.rand(len(tiny_corpus), 4))
    for k in range(1, len(everything) + 1):
        found = find_candidates(index, query_BD, examples, k, block_trivial=block)
        for example, row in zip(examples, found, strict=True):
            num_trivial = int((tiny_corpus.groups == tiny_corpus.group(example.passage)).sum()) if block else 0
            assert row[0] == NULL
            assert row.count(NULL) == 1
            assert len(row) == len(set(row)) == min(k, len(everything) - num_trivial)


def test_the_index_holds_the_passages_and_no_null_passage(
    sharp_realm: Callable[..., Realm], tiny_corpus: Corpus, index_of: Callable[[Realm], Index]
) -> None:
    model = sharp_realm()
    vector_ND = index_of(model).vector_ND.double()
    assert len(vector_ND) == tiny_corpus.num_passages
    with torch.no_grad():
        null_D = model.retriever.passage_tower([tiny_corpus.passage_row(NULL)])[0]
        for passage, vector_D in enumerate(vector_ND):
            own_D = model.retriever.passage_tower([tiny_corpus.passage_row(passage)])[0]
            torch.testing.assert_close(vector_D, own_D, rtol=1e-5, atol=1e-5)
    assert float((vector_ND - null_D).norm(dim=1).min()) > 1e-2


@pytest.mark.parametrize("block", [False, True])
def test_no_candidate_holds_the_sentence_that_was_masked(toy_corpus: Corpus, block: bool) -> None:
    """Not by its own number, nor in the copy that another article carries."""
    made = MaskedExamples(toy_corpus, MaskingConfig(), 30, 0, 0)
    batch = made.batch(0, len(made))
    num_copies = [int((toy_corpus.groups == toy_corpus.group(example.passage)).sum()) for example in batch]
    assert max(num_copies) == 2, "the last article repeats the one before"
    index, query_BD = made_index(toy_corpus, torch.ones(len(toy_corpus), 2)), torch.ones(len(batch), 2)
    found = find_candidates(index, query_BD, batch, len(toy_corpus) + 1, block_trivial=block)
    num_leaks = [
        sum(contains(toy_corpus.body(p), e.original) for p in row) for e, row in zip(batch, found, strict=True)
    ]
    assert num_leaks == ([0] * len(batch) if block else num_copies)
