"""Turning `block_emb` and its texts into a corpus and an index: row i of the vectors belongs to record i."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from openrealm import files
from openrealm.corpus.blocks import PassageRule, cut_blocks
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.sources import open_source
from openrealm.errors import BadInput, Mismatch
from openrealm.index.index import Binding, Index
from openrealm.model.realm import Realm
from openrealm.progress import counted
from openrealm.types import Article


def read_records(path: Path) -> Iterator[Article]:
    """Texts in order, from .jsonl or .parquet with a column "text" (and "title"), or .txt with one text per line.

    Raises BadInput for .npy: Hugging Face's `block_records.npy` is a pickle, and pickles are never read.
    """
    if path.suffix == ".npy":
        raise BadInput(
            f"{path} is a pickle, which can execute arbitrary code when read; write its texts to a .jsonl, .parquet or "
            ".txt file first, as docs/guide/convert.md shows."
        )
    if not path.is_file() or not path.name.endswith((".jsonl", ".jsonl.xz", ".jsonl.gz", ".parquet", ".txt")):
        raise BadInput(f"{path} is not a list of passages; give an existing .jsonl, .parquet or .txt file.")
    if path.suffix == ".txt":
        with path.open(encoding="utf-8", errors="replace") as handle:
            yield from (Article(str(number), "", line.strip()) for number, line in enumerate(handle))
    else:
        for number, article in enumerate(open_source(path).articles()):
            yield Article(str(number), article.title, article.text)


def build(records: Path, vector_ND: Tensor, model: Realm, folder: Path, *, max_passage_tokens: int) -> Corpus:
    """Write `folder`/corpus and `folder`/index, with one passage and its vector per record.

    Records with the same title and text are stored once, with the vector of the first.
    Raises Mismatch if there are not as many records as vectors, BadInput if a record would not be one passage.
    """
    num_records = sum(1 for _ in read_records(records))
    if num_records != len(vector_ND):
        raise Mismatch(
            f"{records} has {counted({'passage': num_records})}, but block_emb has "
            f"{counted({'vector': len(vector_ND)})}; expected one each."
        )
    corpus = build_corpus(
        read_records(records),
        folder / "corpus",
        model.tokenizer,
        max_passage_tokens=max_passage_tokens,
        tagger="rules",
        source={"kind": "records", "name": records.name},
    )
    num_repeated = int(files.read_manifest(corpus.folder, verify=False)["num_repeated_passages"])
    if corpus.num_passages + num_repeated != num_records:
        rule = PassageRule(max_passage_tokens)
        cuts = (list(cut_blocks(article, model.tokenizer, rule)) for article in read_records(records))
        odd = next(number for number, blocks in enumerate(cuts) if len(blocks) != 1)
        raise BadInput(
            f"{records}: passage {odd} is empty, or has more than {max_passage_tokens} word pieces and would be split; "
            "correct the file, or raise --max-passage-tokens."
        )
    rows = torch.from_numpy(corpus.articles.astype("int64"))
    binding = Binding(model.passage_digest(), model.tokenizer.digest, corpus.digest)
    Index(vector_ND[rows], binding).save(folder / "index")
    return corpus
