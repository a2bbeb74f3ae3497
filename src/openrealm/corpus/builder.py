"""Building a corpus: articles dealt into shards, each cut and tagged on its own, all joined into one folder at the end.

What is made depends on articles and settings alone, never on how many processes work or how often they were killed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openrealm import __version__, files
from openrealm.corpus.blocks import MAX_TITLE_TOKENS, PassageKind, PassageRule
from openrealm.corpus.corpus import FORMAT, Corpus
from openrealm.corpus.duplicates import groups_of
from openrealm.corpus.join import join
from openrealm.corpus.near_duplicates import near_groups
from openrealm.corpus.shards import Parts, Shards, articles_digest
from openrealm.corpus.tagger import Tagger, load_tagger
from openrealm.corpus.workers import Workers
from openrealm.errors import BadInput
from openrealm.progress import say, track
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article

# A shard ends with the article that reaches either. They decide where a tagger's batches end, so they are no settings.
_SHARD_CHARACTERS = 4_000_000
_SHARD_ARTICLES = 16_384
# A smaller source is through before worker processes have started.
_FEWEST_SHARDS = 3
# Beyond this many titles nearly every common word is some page's title, and as names they would mislead a tagger.
_MAX_NAMES = 500_000

# Carries out the orders of `Shards.do`, in whatever order.
Do = Callable[[Iterable[dict[str, Any]]], Iterator[dict[str, Any]]]


def build_corpus(
    articles: Iterable[Article],
    folder: str | Path,
    tokenizer: Tokenizer,
    *,
    max_passage_tokens: int,
    passages: PassageKind = "tokens",
    max_passage_words: int = 100,
    tagger: str | Tagger,
    source: dict[str, Any],
    near_duplicates: bool = False,
    num_workers: int = 1,
    key: str | None = None,
) -> Corpus:
    """Cut as `PassageRule` says, tokenise, tag and store `articles`, and publish the whole as `folder`.

    Passages stand in source order; one that repeats another's title and text is stored once. The same articles and
    settings give the same bytes, whatever the number of workers; without workers, and for a small source, all is done
    in this process. A build that was killed goes on with the shards that it had finished.
    Raises BadInput when the source holds no text, Busy when another process builds this corpus, NoSpace when the
    disk is full, WorkerDied; then `folder` is left as it was.
    """
    rule, tagger = PassageRule(max_passage_tokens, passages, max_passage_words), load_tagger(tagger)
    settings: dict[str, Any] = {**rule.settings(), "max_title_tokens": MAX_TITLE_TOKENS, "tagger": tagger.name}
    plan = files.digest_of([__version__, FORMAT, settings, tokenizer.digest])
    settings["near_duplicates"] = near_duplicates  # groups are found in the end, so that no shard depends on it
    folder = Path(folder)
    beside = unfinished(folder)
    with files.sole_writer(beside):
        try:
            if is_begun(folder):
                say(f"{folder} was begun before: shards of the same source and settings are kept.")
            tokenizer.save(beside)
            names = _Names()
            dealt = _dealt(names.noted(articles))
            shards = Shards(beside, tokenizer, rule, lambda: tagger)
            with _executor(shards, dealt, tagger, num_workers, settings) as (dealt, do):
                cuts = _cut(do, dealt, plan)
                if not any(cut["num_passages"] for cut in cuts):
                    files.remove_folder(beside)
                    raise BadInput(f"The source {source} holds no text, so {folder} was not made; give another.")
                is_repeated = repeats(shards.column("ids", len(cuts)))
                files.write_json(beside / "names.json", names.learnt())
                tags = _tag(do, cuts, is_repeated, beside / "names.json")
            manifest = {"kind": "corpus", "format": FORMAT, "settings": settings, "source": source}
            manifest |= {"build_key": key} if key is not None else {}
            group_N = groups_of(shards.column("keys", len(cuts))[~is_repeated])
            if near_duplicates:
                with track("corpus: near-duplicates", 2 * len(group_N)) as advance:
                    group_N = near_groups(shards.texts(len(tags)), group_N, progress=advance)
            join(shards, cuts, tags, is_repeated, group_N, folder, manifest | {"tokenizer_digest": tokenizer.digest})
        finally:
            if not is_begun(folder):
                files.remove_folder(beside)
        files.remove_folder(beside)
    return Corpus.open(folder)


def unfinished(folder: Path) -> Path:
    """Where the shards of the corpus `folder` lie while it is built."""
    return folder.with_name(f".building-{folder.name}")


def is_begun(folder: Path) -> bool:
    """Whether an unfinished build of the corpus `folder` has shards to go on with."""
    return any(unfinished(folder).glob("cut-*"))


class _Names:
    """What a tagger that asks for names is given: titles of the articles, and what the source marks as names."""

    def __init__(self) -> None:
        self._titles: dict[str, None] = {}
        self._mentions: dict[str, None] = {}

    def noted(self, articles: Iterable[Article]) -> Iterator[Article]:
        """The same articles; their names are kept while there are not too many."""
        for article in articles:
            if len(self._titles) <= _MAX_NAMES:
                self._titles[article.title] = None
            if len(self._mentions) <= _MAX_NAMES:
                self._mentions |= dict.fromkeys(article.text[m.start : m.end] for m in article.mentions)
            yield article

    def learnt(self) -> list[str]:
        """Names in source order, each once."""
        few = [names for names in (self._titles, self._mentions) if len(names) <= _MAX_NAMES]
        return list(dict.fromkeys(chain.from_iterable(few)))


def _dealt(articles: Iterable[Article]) -> Iterator[list[Parts]]:
    """The articles of one shard after the other."""
    shard: list[Parts] = []
    num_characters = 0
    for article in articles:
        shard.append((article.id, article.title, article.text))
        num_characters += len(article.text)
        if num_characters >= _SHARD_CHARACTERS or len(shard) == _SHARD_ARTICLES:
            yield shard
            shard, num_characters = [], 0
    if shard:
        yield shard


@contextlib.contextmanager
def _executor(
    shards: Shards, dealt: Iterator[list[Parts]], tagger: Tagger, num_workers: int, settings: dict[str, Any]
) -> Iterator[tuple[Iterator[list[Parts]], Do]]:
    """The shards' articles, and what carries out orders: this process, or workers where they are possible and pay."""
    first = list(islice(dealt, _FEWEST_SHARDS))
    dealt = chain(first, dealt)
    if num_workers < 2 or len(first) < _FEWEST_SHARDS or not _can_share(tagger):
        yield dealt, lambda orders: map(shards.do, orders)
        return
    with Workers(num_workers, settings | {"folder": str(shards.folder)}) as workers:
        yield dealt, workers.do


def _can_share(tagger: Tagger) -> bool:
    """Whether workers may tag; the user is told where a tagger or rule of their own rules it out."""
    if not tagger.is_shared:
        say(
            f'The tagger "{tagger.name}" is known to this process only, so one process builds the corpus; to use '
            'several, declare it as an entry point of the group "openrealm.tagger", and its rules in "openrealm.rule".'
        )
    return tagger.is_shared and tagger.in_workers


def _cut(do: Do, dealt: Iterable[list[Parts]], plan: str) -> list[dict[str, Any]]:
    """Have every shard cut; returns their manifests in order."""
    orders = (
        {
            "part": "cut",
            "shard": number,
            "key": files.digest_of([plan, articles_digest(articles)]),
            "articles": articles,
        }
        for number, articles in enumerate(dealt)
    )
    return _done(do, orders, "corpus: passages cut", None)


def _tag(do: Do, cuts: list[dict[str, Any]], is_repeated: npt.NDArray[np.bool_], names: Path) -> list[dict[str, Any]]:
    """Have every shard tagged, what stands in earlier ones left out; returns their manifests in order."""
    learnt = files.sha256_file(names)

    def orders() -> Iterator[dict[str, Any]]:
        last = 0
        for cut in cuts:
            first, last = last, last + cut["num_passages"]
            repeated = np.flatnonzero(is_repeated[first:last]).tolist()
            order = {"part": "tagged", "shard": cut["shard"], "repeated": repeated, "names": str(names)}
            yield order | {"key": files.digest_of([cut["key"], repeated, learnt])}

    return _done(do, orders(), "corpus: passages tagged", int(np.count_nonzero(~is_repeated)))


def _done(do: Do, orders: Iterable[dict[str, Any]], what: str, total: int | None) -> list[dict[str, Any]]:
    manifests = []
    with track(what, total) as advance:
        for manifest in do(orders):
            manifests.append(manifest)
            advance(manifest["num_passages"])
    return sorted(manifests, key=lambda manifest: int(manifest["shard"]))


def repeats(ids: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which rows of (N, 16) bytes repeat an earlier one."""
    half_N2 = np.ascontiguousarray(ids).view("<u8")
    order = np.lexsort((half_N2[:, 1], half_N2[:, 0]))  # stable: equal rows stay in their order
    is_same = (half_N2[order[1:]] == half_N2[order[:-1]]).all(axis=1)
    is_repeated = np.zeros(len(ids), bool)
    is_repeated[order[1:][is_same]] = True
    return is_repeated
