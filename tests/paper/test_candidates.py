"""Which passages are summed over: the null passage always, the query's own text never (Guu et al. 2020, Sec. 3.4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from openrealm.config import MaskingConfig
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine
from openrealm.model.realm import Realm
from openrealm.train.embedder import embed_corpus
from openrealm.train.examples import Example, MaskedExamples, contains
from openrealm.train.joint import find_candidates
from openrealm.train.layout import NULL, Layout


@pytest.mark.parametrize("block", [False, True])
def test_the_null_passage_is_one_of_the_k_whatever_k_is(
    tiny_corpus: Corpus, examples: list[Example], everything: list[int], block: bool
) -> None:
    """Spec Sec. 6.5: cut off by no k, though every passage outscores it, and never found twice."""
    group_N = torch.tensor([tiny_corpus.group(i) for i in range(tiny_corpus.num_passages)])
    torch.manual_seed(0)
    query_BD = torch.rand(len(examples), 4)
    vector_ND = 10 + torch.rand(len(group_N), 4)
    for k in range(1, len(everything) + 1):
        found = find_candidates(vector_ND, group_N, query_BD, examples, k, use_null=True, block_trivial=block)
        for example, row in zip(examples, found, strict=True):
            num_trivial = int((group_N == group_N[example.passage]).sum()) if block else 0
            assert row[0] == NULL
            assert row.count(NULL) == 1
            assert len(row) == len(set(row)) == min(k, len(everything) - num_trivial)


def test_the_index_holds_the_passages_and_no_null_passage(sharp_realm: Callable[..., Realm], layout: Layout) -> None:
    model = sharp_realm()
    vector_ND = embed_corpus(model.retriever.passage_tower, layout, Engine("cpu", False)).double()
    assert len(vector_ND) == layout.corpus.num_passages
    with torch.no_grad():
        null_D = model.retriever.passage_tower([layout.passage(NULL)])[0]
        for passage, vector_D in enumerate(vector_ND):
            own_D = model.retriever.passage_tower([layout.passage(passage)])[0]
            torch.testing.assert_close(vector_D, own_D, rtol=1e-5, atol=1e-5)
    assert float((vector_ND - null_D).norm(dim=1).min()) > 1e-2


@pytest.mark.parametrize("block", [False, True])
def test_no_candidate_holds_the_sentence_that_was_masked(toy_corpus: Corpus, block: bool) -> None:
    """Spec Sec. 3.3 and 6.6: not by its own number, nor in the copy that another article carries."""
    layout = Layout(toy_corpus, title_in_joint=False)
    group_N = torch.tensor([toy_corpus.group(i) for i in range(toy_corpus.num_passages)])
    made = MaskedExamples(toy_corpus, MaskingConfig(), 30, 0, 0)
    batch = made.batch(0, len(made))
    num_copies = [int((group_N == group_N[example.passage]).sum()) for example in batch]
    assert max(num_copies) == 2, "the last article repeats the one before"
    vector_ND, query_BD = torch.ones(len(group_N), 2), torch.ones(len(batch), 2)
    found = find_candidates(vector_ND, group_N, query_BD, batch, len(group_N) + 1, use_null=True, block_trivial=block)
    num_leaks = [sum(contains(layout.body(p), e.original) for p in row) for e, row in zip(batch, found, strict=True)]
    assert num_leaks == ([0] * len(batch) if block else num_copies)
