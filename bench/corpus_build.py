"""Tokens a second of `build_corpus` on the Factbook, against bare `tokenizers` that only encodes the same text.

What the difference buys: sentences, passages, salient spans, duplicates, digests, and a store that appears whole.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from common import arguments, in_turn, rate, report


def main() -> None:
    given = arguments(__doc__.splitlines()[0], articles=(0, 3_000))
    from tokenizers import Tokenizer

    from factbook import articles, tokenizer
    from openrealm.corpus.store import build_corpus
    from openrealm.masking.tagger import load_tagger
    from openrealm.recipes.quickstart import quickstart
    from openrealm.text.tokenizer import TOKENIZER_FILE

    config = quickstart()
    chosen, ours = articles(given.articles), tokenizer(config)
    texts = [article.text for article in chosen]
    with tempfile.TemporaryDirectory(prefix="openrealm-bench-") as folder:
        ours.save(Path(folder))
        bare = Tokenizer.from_file(str(Path(folder) / TOKENIZER_FILE))
        num_tokens = sum(len(row.ids) for row in bare.encode_batch(texts, add_special_tokens=False))

        def build() -> None:
            build_corpus(
                chosen,
                Path(folder) / "corpus",
                ours,
                max_passage_tokens=config.corpus.max_passage_tokens,
                tagger=load_tagger(config.corpus.tagger),
                source={"kind": "factbook"},
            )

        seconds = in_turn(
            {"ours": build, "bare": lambda: bare.encode_batch(texts, add_special_tokens=False)},
            num_rounds=given.rounds,
            max_seconds=25 if given.quick else 600,
        )
    name = f"corpus of {len(chosen):,} Factbook articles, {num_tokens:,} tokens, built and stored"
    report(rate(name, "tokens/s", num_tokens, seconds["ours"], "tokenizers, encode_batch alone", seconds["bare"]))


if __name__ == "__main__":
    main()
