"""Hugging Face's REALM (transformers 4.39.3) with random weights: read by our importer, the same numbers come out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from openrealm.config import FinetuneConfig
from openrealm.convert import huggingface
from openrealm.convert.assemble import assemble
from openrealm.convert.run import Options, convert
from openrealm.corpus.corpus import Corpus
from openrealm.index.index import Index
from openrealm.model import marginal
from openrealm.model.realm import Realm
from openrealm.text.pack import Row
from openrealm.text.tokenizer import Tokenizer
from openrealm.train.answers import AnswerFinder
from openrealm.train.spans import DenseFinder, best_spans, read_spans, tokenize
from openrealm.train.tasks.openqa import openqa_losses
from openrealm.types import Question

pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("one_thread")]

Compare = Callable[[str, Tensor, Tensor], None]
SHAPES = ("small", "wide", "deep")
NUM_SEARCHED, NUM_READ = 12, 4


@pytest.fixture(scope="module", params=SHAPES)
def case(peer: Path, request: pytest.FixtureRequest) -> Path:
    folder: Path = peer / request.param
    return folder


@pytest.fixture(scope="module")
def said(case: Path) -> dict[str, Tensor]:
    """The peer's inputs and outputs."""
    return load_file(case / "case.safetensors")


def imported(*folders: Path) -> Realm:
    tokenizer = Tokenizer.from_folder(folders[0].parent.parent)
    return assemble([huggingface.read(folder) for folder in folders], tokenizer)[0]


def rows_of(said: dict[str, Tensor], name: str) -> list[Row]:
    """The peer's padded inputs as our rows."""
    ids, real = said[f"{name}.input_ids"], said[f"{name}.attention_mask"]
    segments = said[f"{name}.token_type_ids"]
    lengths = real.sum(dim=1).tolist()
    return [
        Row(row[:length].numpy(), length - int(segment[:length].sum()))
        for row, length, segment in zip(ids, lengths, segments, strict=True)
    ]


@torch.no_grad()
def test_projections_and_relevance_scores(case: Path, said: dict[str, Tensor], compare: Compare) -> None:
    model = imported(case / "embedder")
    assert model.retriever.query_tower is model.retriever.passage_tower
    passages, queries = rows_of(said, "tower_passage"), rows_of(said, "tower_query")
    compare("projection", model.retriever.encode_passage(passages), said["embedder.projected"])
    apart = imported(case / "scorer").retriever
    query_BD, passage_ND = apart.encode_query(queries), apart.encode_passage(passages)
    compare("projection", query_BD, said["scorer.query"])
    compare("projection", passage_ND, said["scorer.candidate"])
    num_candidates = said["scorer.relevance"].shape[1]
    score_BK = torch.einsum("bd,bkd->bk", query_BD, passage_ND.view(len(queries), num_candidates, -1))
    compare("relevance score", score_BK, said["scorer.relevance"])


@torch.no_grad()
def test_reader_logits(case: Path, said: dict[str, Tensor], compare: Compare) -> None:
    reader = imported(case / "encoder").reader
    for indices, hidden_nTH, real_nT in reader.encoder.chunks(rows_of(said, "joint")):
        longest = hidden_nTH.shape[1]
        ours_MV = reader.head(hidden_nTH[real_nT], reader.encoder.word_embeddings())
        compare("reader logits", ours_MV, said["encoder.logits"][indices, :longest][real_nT])


def reading(case: Path, said: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """score_BK, gold_logp_BKJ and mask_BJ of the peer's joint inputs, by our reader."""
    score_BK, labels = said["joint.relevance"], said["joint.labels"]
    num_queries, num_candidates = score_BK.shape
    places = [(row >= 0).nonzero()[:, 0].tolist() for row in labels]
    repeated = [b for b in range(num_queries) for _ in range(num_candidates)]
    gold_nJ = imported(case / "encoder").reader.gold_log_prob(
        rows_of(said, "joint"), [places[b] for b in repeated], [labels[b, places[b]].tolist() for b in repeated]
    )
    mask_BJ = torch.tensor([[j < len(row) for j in range(gold_nJ.shape[1])] for row in places])
    return score_BK, gold_nJ.view(num_queries, num_candidates, -1), mask_BJ


@torch.no_grad()
def test_pre_training_loss_by_the_switch_per_token_marginal(
    case: Path, said: dict[str, Tensor], compare: Compare
) -> None:
    score_BK, gold_logp_BKJ, mask_BJ = reading(case, said)
    ours_B = -marginal.marginal_log_likelihood(score_BK, gold_logp_BKJ, mask_BJ, per_token=True)
    compare("pre-training loss", ours_B, said["encoder.loss_by_query"])


@torch.no_grad()
def test_their_loss_departs_from_the_paper_for_more_than_one_mask(case: Path, said: dict[str, Tensor]) -> None:
    """The paper sums passages out once for all masks of a query, the peer once a mask (the first query has one)."""
    score_BK, gold_logp_BKJ, mask_BJ = reading(case, said)
    paper_B = -marginal.marginal_log_likelihood(score_BK, gold_logp_BKJ, mask_BJ) / mask_BJ.sum(dim=1)
    theirs_B = said["encoder.loss_by_query"]
    assert mask_BJ.sum(dim=1).tolist() == [1, 2, 3]
    torch.testing.assert_close(paper_B[0], theirs_B[0], atol=1e-5, rtol=1e-5)
    assert float((paper_B - theirs_B).abs().max()) > 1e-3


@torch.no_grad()
def test_the_loss_of_a_batch_by_the_switch_mean_over_masks(
    case: Path, said: dict[str, Tensor], compare: Compare
) -> None:
    """A query with three masks counts three times in the peer's loss, once in ours by default."""
    score_BK, gold_logp_BKJ, mask_BJ = reading(case, said)
    ours_B = -marginal.marginal_log_likelihood(score_BK, gold_logp_BKJ, mask_BJ, per_token=True)
    weight_B = marginal.query_weights(mask_BJ.sum(dim=1), by_masks=True)
    compare("pre-training loss of a batch", (ours_B * weight_B).sum()[None], said["encoder.loss"])
    assert float((ours_B.mean() - said["encoder.loss"]).abs()) > 1e-3, "the default departs from theirs"


@torch.no_grad()
def test_span_logits_losses_and_the_predicted_span(case: Path, said: dict[str, Tensor], compare: Compare) -> None:
    span_reader = imported(case / "reader").span_reader
    assert span_reader is not None
    rows, score_S = rows_of(said, "reader"), said["reader.relevance"]
    first = rows[0].second
    assert all(row.second == first for row in rows), "one question"
    g_nPW, valid_nPW = span_reader(rows, [first] * len(rows))
    theirs_nPW, correct_nPW = torch.full_like(g_nPW, -torch.inf), torch.zeros_like(valid_nPW)
    for column, (start, end) in enumerate(zip(said["reader.span_starts"], said["reader.span_ends"], strict=True)):
        if start >= first and end - first < g_nPW.shape[1]:
            place, width = int(start) - first, int(end - start)
            theirs_nPW[:, place, width] = said["reader.span_logits"][:, column]
            right = (said["reader.starts"] == start) & (said["reader.ends"] == end)
            correct_nPW[:, place, width] = right.any(dim=1)[: len(rows)]
    assert bool((theirs_nPW[~valid_nPW] < -1e30).all()), "what is no span here is none there"
    compare("span logits", g_nPW[valid_nPW], theirs_nPW[valid_nPW])

    score_1K = score_S[None, : len(rows)]
    flat = [tensor.flatten(1)[None] for tensor in (g_nPW, correct_nPW, valid_nPW)]
    reader_loss = marginal.span_reader_loss(*flat, score_1K)
    early_loss = marginal.early_loss(score_S[None], said["reader.has_answers"][None])
    compare("reader loss", reader_loss, said["reader.losses"][:1])
    compare("early loss", early_loss, said["reader.losses"][1:2])
    compare("fine-tuning loss", reader_loss + early_loss, said["reader.losses"][2:])
    none = marginal.span_reader_loss(flat[0], torch.zeros_like(flat[1]), flat[2], score_1K)
    assert none.tolist() == [0.0]
    assert said["reader.losses_without_positive"].tolist() == [0.0, 0.0]

    logit = (g_nPW + score_1K[0, :, None, None]).masked_fill(~valid_nPW, -torch.inf)
    block, place, width = (int(i) for i in np.unravel_index(int(logit.argmax()), logit.shape))
    assert [block, first + place, first + place + width] == said["reader.predicted"].tolist()


@torch.no_grad()
def test_open_questions_from_the_folder_to_the_answer(case: Path, tmp_path: Path, compare: Compare) -> None:
    """A converted folder, its blocks and block_emb: the same losses and answers through our whole path."""
    records, tokenizer = case / "openqa" / "blocks.jsonl", case.parent
    convert([case / "openqa"], tmp_path / "out", "openrealm", Options(tokenizer=tokenizer, records=records))
    model = Realm.from_pretrained(tmp_path / "out" / "model")
    corpus = Corpus.open(tmp_path / "out" / "corpus", verify=True)
    index = Index.open(tmp_path / "out" / "index", corpus, model)
    torch.testing.assert_close(index.vector_ND, load_file(case / "case.safetensors")["openqa.block_emb"])
    assert not model.config.title_in_joint
    settings = FinetuneConfig(max_query_tokens=40, max_reader_tokens=64, num_candidates=NUM_READ)
    finder, answers = DenseFinder(index), AnswerFinder(corpus)
    num_positive = 0
    for said in json.loads((case / "case.json").read_text())["openqa"]:
        question = Question(said["question"], tuple(said["answers"]))
        asked = tokenize([question.text], corpus.tokenizer())
        score_BE, id_BE = finder.find(model, corpus, asked, NUM_SEARCHED)
        scores = read_spans(model, corpus, asked, score_BE[:, :NUM_READ], id_BE[:, :NUM_READ], settings)
        reader_B, early_B = openqa_losses(scores, score_BE, id_BE, [question], answers, early=True)
        compare("reader loss, whole path", reader_B, torch.tensor([said["reader_loss"]]))
        compare("early loss, whole path", early_B, torch.tensor([said["retriever_loss"]]))
        assert best_spans(corpus, scores, "token")[0][0].text == said["predicted"]
        num_positive += int(reader_B[0] > 0)
    assert num_positive > 0, "some question has to have its answer among the passages read"


@torch.no_grad()
def test_the_defaults_are_the_papers_and_give_other_numbers(case: Path, said: dict[str, Tensor]) -> None:
    """Theirs has a tanh layer and a LayerNorm that the paper's W · CLS has not; `model.projection` tells which."""
    theirs = imported(case / "embedder")
    config = replace(theirs.config, projection="linear")
    passages = rows_of(said, "tower_passage")
    linear = Realm(config, theirs.retriever.passage_tower.encoder.backbone, theirs.tokenizer).eval()
    linear.retriever.passage_tower.projection.load_state_dict(
        {"weight": theirs.retriever.passage_tower.projection.weight}
    )
    off = linear.retriever.encode_passage(passages) - said["embedder.projected"]
    assert float(off.abs().max()) > 0.1
