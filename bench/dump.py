"""Pages a second of our reader of MediaWiki dumps beside gensim's, and what each of them finds in the same dump.

The dump is the excerpt of English Wikipedia that gensim's wheel carries for its own tests; --dump takes another. Both
get as many processes. gensim finds text by regular expressions and gives words; ours gives text with the places of
its links, and drops lists and disambiguation pages. So that words compare, ours are counted by gensim's own rule.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from common import Figure, arguments, commit, end, hardware, in_turn, not_measured, rate, report

HOUSE = Path(__file__).parents[1]
EXCERPT = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
NAME = "pages of a dump read"


def main() -> None:
    given = arguments(__doc__.splitlines()[0], gensim=(str(HOUSE / ".venv-peers" / "dumps"),) * 2, dump=("", ""))
    sys.path.append(given.gensim)
    try:
        from gensim.corpora import wikicorpus
    except ImportError as error:
        end(f"gensim is not there ({error}); `make test-peers` brings it.", not_measured(NAME, "pages/s", "gensim", ""))
    path = Path(given.dump or Path(given.gensim) / EXCERPT)
    sides = Sides(path, wikicorpus, given.threads)
    seconds = in_turn(
        {"ours": sides.read_ours, "gensim": sides.read_theirs},
        num_rounds=given.rounds,
        max_seconds=12 if given.quick else 600,
        warm_up=not given.quick,
    )
    note = f"{given.threads} processes a side"
    report(
        rate(NAME, "pages/s", sides.num_pages(), seconds["ours"], "gensim", seconds["gensim"], note), *sides.figures()
    )


class Sides:
    """Both readers of a dump, and what each of them found last."""

    def __init__(self, path: Path, wikicorpus: Any, num_processes: int) -> None:
        self._path, self._num_processes = path, num_processes
        self._gensim = wikicorpus.WikiCorpus(str(path), dictionary={}, processes=num_processes)
        self._gensim.metadata = True
        self._words = partial(wikicorpus.tokenize, token_min_len=2, token_max_len=15, lower=True)
        self._description: dict[str, Any] = {}
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, int] = {}

    def read_ours(self) -> None:
        from openrealm.corpus.sources import mediawiki

        articles = mediawiki.read(self._path, num_workers=self._num_processes, description=self._description)
        self._ours = {article.title: article.text for article in articles}

    def read_theirs(self) -> None:
        self._theirs = {title: len(words) for words, (_, title) in self._gensim.get_texts()}

    def num_pages(self) -> int:
        """All pages of the dump, redirects and the like among them: both sides have to look at each."""
        return len(self._ours) + sum(self._description["skipped"].values())

    def figures(self) -> list[Figure]:
        """Articles and words found, and words of the articles that both found."""
        ours = {title: len(self._words(text)) for title, text in self._ours.items()}
        both = ours.keys() & self._theirs.keys()
        dropped = ", ".join(f"{count} {why}" for why, count in sorted(self._description["skipped"].items()))
        shared = f"words found in the {len(both)} articles that both have"
        return [
            _found("articles found", "articles", len(ours), len(self._theirs), f"ours left out: {dropped}"),
            _found("words found", "words", sum(ours.values()), sum(self._theirs.values()), "each in its own articles"),
            _found(
                shared,
                "words",
                sum(ours[title] for title in both),
                sum(self._theirs[title] for title in both),
                "gensim keeps captions, headings, cells of tables and lists of literature",
            ),
        ]


def _found(name: str, unit: str, ours: int, theirs: int, note: str) -> Figure:
    """A count beside the peer's: more is not better, so there is no ratio."""
    return Figure(
        figure=name,
        value=ours,
        unit=unit,
        peer="gensim",
        peer_value=theirs,
        ratio=None,
        spread=None,
        num_rounds=1,
        hardware=hardware(),
        commit=commit(),
        note=note,
    )


if __name__ == "__main__":
    main()
