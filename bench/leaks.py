"""The share of masked queries that find their own sentence in a candidate, with and without near-duplicate blocking.

Z is Simple Wikipedia; X is first Simple Wikipedia and then Wikinews. The peer of each figure blocks only the query's
own passage. The corpora are built first; --folder stores them for reuse.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common import Figure, arguments, end, not_measured, once, report

if TYPE_CHECKING:
    from openrealm.corpus.corpus import Corpus
    from openrealm.evaluate.leaks import Leaks

SHARED = Path(__file__).parent.parent.parent / "shared" / "data" / "corpora"
SOURCES = {"simple-wikipedia": "simplewiki-2021.jsonl.xz", "wikinews": "wikinews-2022.jsonl.xz"}
NAME = "queries that find their own sentence in a candidate"


def build(name: str, folder: Path, num_articles: int) -> Corpus:
    """A corpus of the first articles (0: all) of a source with the paper's settings; reuses an existing one."""
    from itertools import islice

    from factbook import tokenizer
    from openrealm.corpus.builder import build_corpus
    from openrealm.corpus.corpus import Corpus
    from openrealm.corpus.sources.jsonl import read
    from openrealm.files import MANIFEST
    from openrealm.recipes.factbook import factbook
    from openrealm.recipes.paper import paper

    place = folder / f"{name}-{num_articles}"
    if (place / MANIFEST).exists():
        return Corpus.open(place)
    settings = paper().corpus
    return build_corpus(
        islice(read(SHARED / SOURCES[name]), num_articles or None),
        place,
        tokenizer(factbook()),
        max_passage_tokens=settings.max_passage_tokens,
        tagger=settings.tagger,
        source={"name": SOURCES[name]},
        near_duplicates=True,
    )


def figures(what: str, leaks: Leaks) -> list[Figure]:
    """The leaks that remain with each kind of blocking, against blocking only the query's own passage."""
    return [
        once(
            f"{what}: {NAME}, {way}",
            "of queries",
            share,
            "only the own passage blocked",
            leaks.ids,
            f"{leaks.num_queries} queries, BM25's top 20, seed 0",
            more_is_better=False,
        )
        for way, share in (("identical text blocked", leaks.equal), ("groups blocked", leaks.grouped))
    ]


def main() -> None:
    given = arguments(__doc__.splitlines()[0], articles=(0, 1_500), queries=(3_000, 300), folder=("", ""))
    if not SHARED.is_dir():
        end(
            f"{SHARED} does not exist.",
            not_measured(NAME, "of queries", "only the own passage blocked", "the corpora are missing"),
        )
    from openrealm.corpus.matches import Matches
    from openrealm.evaluate.leaks import leak_rate
    from openrealm.recipes.paper import paper

    masking = paper().masking
    with tempfile.TemporaryDirectory(prefix="openrealm-bench-") as temporary:
        folder = Path(given.folder or temporary)
        corpus, news = (build(name, folder, given.articles) for name in SOURCES)
        own = leak_rate(corpus, masking, num_queries=given.queries)
        matches = Matches.between(news, corpus, folder / f"matches-{given.articles}")
        other = leak_rate(corpus, masking, queries=news, blocked=matches.groups, num_queries=given.queries)
    report(*figures("Simple Wikipedia", own), *figures("Wikinews against Simple Wikipedia", other))


if __name__ == "__main__":
    main()
