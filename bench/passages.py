"""Tokens per second of cutting, tokenising and tagging articles, against the bare `tokenizers` library.

The peer encodes the articles and extracts ids and character offsets, as its users must; it neither cuts nor tags. Our
tokenizer and tagger start every round with empty caches. One process is compared with one thread of the library, and
two processes with two threads.
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import arguments, end, in_turn, not_measured, rate, report, require_same

if TYPE_CHECKING:
    from openrealm.text.tokenizer import Tokenizer
    from openrealm.types import Article

_TAGGED_AT_ONCE = 1024
_ENCODED_AT_ONCE = 100
_LONGEST = 288


def main() -> None:
    given = arguments(
        __doc__.splitlines()[0], source=("../shared/data/corpora/simplewiki-2021.jsonl.xz",) * 2, articles=(5_000, 500)
    )
    what = f"{given.articles:,} articles of {Path(given.source).name}"
    if not Path(given.source).is_file():
        end(
            f"{given.source} does not exist; give another file with --source.",
            not_measured(what, "tokens/s", "tokenizers", "the source is missing"),
        )
    whole = (given.source, 0, given.articles)
    halves = [(given.source, 0, given.articles // 2), (given.source, given.articles // 2, given.articles)]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        sides = {
            "cut": lambda: ours(*whole, tagged=False),
            "tagged": lambda: ours(*whole, tagged=True),
            "bare": lambda: bare(*whole, threads=1),
            "two": lambda: sum(pool.map(ours, *zip(*halves, strict=True))),
            "bare_two": lambda: bare(*whole, threads=2),
        }
        num_tokens = bare(*whole, threads=1)
        for _ in range(2):  # so that both processes have read both halves before timing starts
            require_same("token counts", {side() for side in sides.values()} == {num_tokens})
        seconds = in_turn(sides, num_rounds=given.rounds, max_seconds=10 if given.quick else 900, warm_up=False)
    peer = "tokenizers, extracting ids and offsets"
    figures = (
        ("cut and tokenised, 1 process", "cut", f"{peer}, 1 thread", "bare"),
        ("cut, tokenised and tagged, 1 process", "tagged", f"{peer}, 1 thread", "bare"),
        ("cut, tokenised and tagged, 2 processes", "two", f"{peer}, {given.threads} threads", "bare_two"),
    )
    report(
        *(
            rate(f"{what}, {name}", "tokens/s", num_tokens, seconds[side], peer_name, seconds[other])
            for name, side, peer_name, other in figures
        )
    )


@cache
def articles(source: str, first: int, last: int) -> list[Article]:
    """Articles first to last - 1 of a source."""
    from openrealm.corpus.sources import open_source

    return list(islice(open_source(source).articles(), first, last))


def ours(source: str, first: int, last: int, tagged: bool = True) -> int:
    """Cut some articles and, if `tagged`, tag the passages; returns the number of tokens."""
    from openrealm.corpus.blocks import PassageRule, cut_all
    from openrealm.masking.tagger import RulesTagger

    chosen, tokenizer = articles(source, first, last), fresh_tokenizer()
    blocks = list(chain.from_iterable(cut_all(chosen, tokenizer, PassageRule(_LONGEST))))
    if tagged:
        tagger = RulesTagger()
        tagger.learn(article.title for article in chosen)
        for i in range(0, len(blocks), _TAGGED_AT_ONCE):
            tagger.tag([block.passage.text for block in blocks[i : i + _TAGGED_AT_ONCE]])
    return sum(len(block.ids) for block in blocks)


def fresh_tokenizer() -> Tokenizer:
    """MiniLM's tokenizer, which is BERT's, with an empty cache."""
    from openrealm.text.tokenizer import Tokenizer

    return Tokenizer.from_folder(_folder())


@cache
def library() -> Any:
    """The same tokenizer in the library, without the truncation and padding that its file specifies."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def bare(source: str, first: int, last: int, threads: int) -> int:
    """Encode some articles with the library on one thread, or on --threads threads; returns the number of tokens."""
    os.environ["TOKENIZERS_PARALLELISM"] = str(threads > 1).lower()  # the library reads it at every call
    texts = [article.text for article in articles(source, first, last)]
    num_tokens = 0
    for i in range(0, len(texts), _ENCODED_AT_ONCE):
        for row in library().encode_batch(texts[i : i + _ENCODED_AT_ONCE], add_special_tokens=False):
            ids, offsets = row.ids, row.offsets
            num_tokens += min(len(ids), len(offsets))
    return num_tokens


def _folder() -> Path:
    from openrealm.model.weights import backbone_location

    return Path(backbone_location("minilm"))


if __name__ == "__main__":
    main()
