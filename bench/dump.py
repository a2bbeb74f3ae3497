"""Pages per second of our MediaWiki dump reader against gensim's, and what each finds in the same dump.

The dump is the excerpt of English Wikipedia in gensim's wheel; --dump takes another. Both use the same number of
processes. gensim extracts words with regular expressions; ours extracts text with the positions of links, and drops
lists and disambiguation pages. For comparison, our words are counted with gensim's tokenizer.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from common import Figure, arguments, commit, end, hardware, in_turn, not_measured, rate, report
from openrealm.corpus.sources import mediawiki

ROOT = Path(__file__).parents[1]
EXCERPT = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
NAME = "pages of a dump read"


def main() -> None:
    given = arguments(__doc__.splitlines()[0], gensim=(str(ROOT / ".venv-peers" / "dumps"),) * 2, dump=("", ""))
    sys.path.append(given.gensim)
    try:
        from gensim.corpora import wikicorpus
    except ImportError as error:
        end(
            f"gensim is not installed ({error}); `make test-peers` installs it.",
            not_measured(NAME, "pages/s", "gensim", "gensim is not installed"),
        )
    path = Path(given.dump or Path(given.gensim) / EXCERPT)
    sides = Sides(path, wikicorpus, given.threads)
    seconds = in_turn(
        {"ours": sides.read_ours, "gensim": sides.read_theirs},
        num_rounds=given.rounds,
        max_seconds=12 if given.quick else 600,
        warm_up=not given.quick,
    )
    note = f"{given.threads} processes each"
    report(
        rate(NAME, "pages/s", sides.num_pages(), seconds["ours"], "gensim", seconds["gensim"], note), *sides.figures()
    )


class Sides:
    """Both dump readers, and what each found last."""

    def __init__(self, path: Path, wikicorpus: Any, num_processes: int) -> None:
        self._path, self._num_processes = path, num_processes
        self._gensim = wikicorpus.WikiCorpus(str(path), dictionary={}, processes=num_processes)
        self._gensim.metadata = True
        self._words = partial(wikicorpus.tokenize, token_min_len=2, token_max_len=15, lower=True)
        self._description: dict[str, Any] = {}
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, int] = {}

    def read_ours(self) -> None:
        articles = mediawiki.read(self._path, num_workers=self._num_processes, description=self._description)
        self._ours = {article.title: article.text for article in articles}

    def read_theirs(self) -> None:
        self._theirs = {title: len(words) for words, (_, title) in self._gensim.get_texts()}

    def num_pages(self) -> int:
        """The number of all pages in the dump, including redirects and the like: both sides have to look at each."""
        skipped = self._description["skipped"]
        return len(self._ours) + sum(count for why, count in skipped.items() if why != mediawiki.SENTENCES)

    def figures(self) -> list[Figure]:
        """Articles and words found, and words in the articles that both found."""
        ours = {title: len(self._words(text)) for title, text in self._ours.items()}
        both = ours.keys() & self._theirs.keys()
        dropped = ", ".join(f"{count} {why}" for why, count in sorted(self._description["skipped"].items()))
        shared = f"words found in the {len(both)} articles that both found"
        return [
            _found("articles found", "articles", len(ours), len(self._theirs), f"ours skipped: {dropped}"),
            _found(
                "words found", "words", sum(ours.values()), sum(self._theirs.values()), "each in the articles it found"
            ),
            _found(
                shared,
                "words",
                sum(ours[title] for title in both),
                sum(self._theirs[title] for title in both),
                "gensim keeps captions, headings, table cells and bibliographies",
            ),
        ]


def _found(name: str, unit: str, ours: int, theirs: int, note: str) -> Figure:
    """A count and the peer's; more is not better, so there is no ratio."""
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
