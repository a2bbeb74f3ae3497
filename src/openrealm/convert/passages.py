"""`block_emb` and its texts as a corpus and an index: record i of the list has row i of the vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from openrealm import files
from openrealm.corpus.blocks import PassageRule, cut_blocks
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.sources import open_source
from openrealm.errors import BadInput, Mismatch
from openrealm.index.store import Binding, publish
from openrealm.model.realm import Realm
from openrealm.types import Article


def read_records(path: Path) -> Iterator[Article]:
    """Texts in order: .jsonl or .parquet with a column "text" (and "title"), or .txt with one text a line.

    Raises BadInput for .npy: Hugging Face's `block_records.npy` is a pickle, which is never read here.
    """
    if path.suffix == ".npy":
        raise BadInput(
            f"{path} is a pickle, which can run any program when it is read; write its texts into a .jsonl, .parquet "
            "or .txt file first (docs/guide/convert.md has the lines) and give that."
        )
    if not path.is_file() or not path.name.endswith((".jsonl", ".jsonl.xz", ".jsonl.gz", ".parquet", ".txt")):
        raise BadInput(f"{path} is no list of passages; give a .jsonl, .parquet or .txt file.")
    if path.suffix == ".txt":
        with path.open(encoding="utf-8", errors="replace") as handle:
            yield from (Article(str(number), "", line.strip()) for number, line in enumerate(handle))
    else:
        for number, article in enumerate(open_source(path).articles()):
            yield Article(str(number), article.title, article.text)


def build(records: Path, vector_ND: Tensor, model: Realm, folder: Path, *, max_passage_tokens: int) -> Corpus:
    """Write `folder`/corpus and `folder`/index, every record one passage beside its vector.

    Records that repeat another's title and text are stored once, with the first one's vector.
    Raises Mismatch when the list is not as long as the vectors, BadInput when a record would not be one passage.
    """
    num_records = sum(1 for _ in read_records(records))
    if num_records != len(vector_ND):
        raise Mismatch(
            f"{records} has {num_records:,} passages, block_emb has {len(vector_ND):,}; they must be as many."
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
            f"{records}: passage {odd} is empty, or has more than {max_passage_tokens} word pieces and would be cut; "
            "mend the list, or raise --max-passage-tokens."
        )
    rows = [corpus.article_index(i) for i in range(corpus.num_passages)]
    binding = Binding(model.retriever.passage_tower.digest(), model.tokenizer.digest, corpus.digest)
    publish(folder / "index", 0, binding, vector_ND[rows])
    return corpus
