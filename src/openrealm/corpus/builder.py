"""Builds a corpus: articles are split into shards, each is cut and tagged by itself, and all are joined in the end.

The result depends on articles and settings alone, not on the number of processes or on how often they were killed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openrealm import __version__, files
from openrealm.corpus.blocks import MAX_TITLE_TOKENS, PassageKind, PassageRule
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.duplicates import groups_of
from openrealm.corpus.join import join
from openrealm.corpus.layout import FORMAT
from openrealm.corpus.near_duplicates import near_groups
from openrealm.corpus.row_files import RowFile, overlapping
from openrealm.corpus.shards import Parts, Shards, articles_digest, parts_of
from openrealm.corpus.tagger import Tagger, load_tagger
from openrealm.corpus.validity import rows_of_passages
from openrealm.corpus.workers import Workers
from openrealm.errors import BadInput
from openrealm.progress import counted, say, track
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article

# A shard ends with the article that reaches either limit. Fixed, because they decide where a tagger's batches end.
_SHARD_CHARACTERS = 4_000_000
_SHARD_ARTICLES = 16_384
# A smaller source is finished before worker processes have started.
_MIN_SHARDS_FOR_WORKERS = 3
# With more titles than this, nearly every common word is some page's title, and they would mislead a tagger.
_MAX_NAMES = 500_000

# Carries out orders of `Shards.do`, in any sequence.
Execute = Callable[[Iterable[dict[str, Any]]], Iterator[dict[str, Any]]]


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
    more: Mapping[str, Any] | None = None,
) -> Corpus:
    """Cut `articles` as `PassageRule` says, tokenise, tag and store them, and publish the result as `folder`.

    Passages are in source order; one that repeats another's title and text is stored once. The same articles and
    settings give the same bytes for any number of workers; a small source is built in this process. A build that was
    killed continues with the shards that it had finished. `Corpus.build` does all of this in one call.

    source       the source's description, which reading may fill until the last article; stored in the manifest
    num_workers  worker processes, each with a tagger of its own
    key          stored in the manifest as "build_key", if given
    more         other entries for the manifest
    Raises BadInput when the source holds no text, Busy when another process builds this corpus, NoSpace when the
    disk is full, WorkerDied; then `folder` stays as it was.
    """
    rule, tagger = PassageRule(max_passage_tokens, passages, max_passage_words), load_tagger(tagger)
    settings: dict[str, Any] = {**rule.settings(), "max_title_tokens": MAX_TITLE_TOKENS, "tagger": tagger.name}
    plan = files.digest_of([__version__, FORMAT, settings, tokenizer.digest])
    settings["near_duplicates"] = near_duplicates  # not part of the plan: groups are found when all shards are done
    folder = Path(folder)
    unfinished_folder = unfinished(folder)
    with files.sole_writer(unfinished_folder):
        try:
            if is_begun(folder):
                say(f"{folder}: continuing an interrupted build; finished shards are reused.")
            tokenizer.save(unfinished_folder)
            names = _Names()
            batches = _batches(names.collected(articles))
            shards = Shards(unfinished_folder, tokenizer, rule, lambda: tagger)
            with _executor(shards, batches, tagger, num_workers, settings) as (batches, execute):
                num_articles: list[int] = []
                cuts = _cut(execute, batches, plan, num_articles)
                if not any(cut["num_passages"] for cut in cuts):
                    files.remove_folder(unfinished_folder)
                    skipped = f" (skipped: {counted(source['skipped'])})" if source.get("skipped") else ""
                    raise BadInput(
                        f"The source {source.get('name') or source.get('kind', '')} contains no text{skipped}, so "
                        f"{folder} was not built; give another source."
                    )
                is_repeated = repeats(shards.column("ids", len(cuts)))
                files.write_json(unfinished_folder / "names.json", names.distinct())
                parts = zip(accumulate([0, *num_articles[:-1]]), num_articles, strict=True)
                row_files = [overlapping(source.get("row_files", []), *part) for part in parts]
                tags = _tag(execute, cuts, is_repeated, unfinished_folder / "names.json", row_files)
            manifest = {"kind": "corpus", "format": FORMAT, "settings": settings, "source": source, **(more or {})}
            manifest |= {"build_key": key} if key is not None else {}
            ranges = rows_of_passages(shards.column("ids", len(cuts)), is_repeated, shards.column("ranges", len(cuts)))
            group_N = groups_of(shards.column("keys", len(cuts))[~is_repeated])
            if near_duplicates:
                with track("corpus: near-duplicates", 2 * len(group_N)) as advance:
                    group_N = near_groups(shards.texts(len(tags)), group_N, progress=advance)
            join(
                shards,
                cuts,
                tags,
                is_repeated,
                group_N,
                ranges,
                folder,
                manifest | {"tokenizer_digest": tokenizer.digest},
            )
        finally:
            if not is_begun(folder):
                files.remove_folder(unfinished_folder)
        files.remove_folder(unfinished_folder)
    return Corpus.open(folder)


def unfinished(folder: Path) -> Path:
    """Where the shards of the corpus `folder` are while it is built."""
    return folder.with_name(f".building-{folder.name}")


def is_begun(folder: Path) -> bool:
    """Whether an unfinished build of the corpus `folder` has shards to continue with."""
    return any(unfinished(folder).glob("cut-*"))


class _Names:
    """The names that a tagger learns: titles of the articles, and what the source marks as names."""

    def __init__(self) -> None:
        self._titles: dict[str, None] = {}
        self._mentions: dict[str, None] = {}

    def collected(self, articles: Iterable[Article]) -> Iterator[Article]:
        """The same articles; their names are kept as long as there are not too many."""
        for article in articles:
            if len(self._titles) <= _MAX_NAMES:
                self._titles[article.title] = None
            if len(self._mentions) <= _MAX_NAMES:
                self._mentions |= dict.fromkeys(article.text[m.start : m.end] for m in article.mentions)
            yield article

    def distinct(self) -> list[str]:
        """Names in source order, each once."""
        few = [names for names in (self._titles, self._mentions) if len(names) <= _MAX_NAMES]
        return list(dict.fromkeys(chain.from_iterable(few)))


def _batches(articles: Iterable[Article]) -> Iterator[list[Parts]]:
    """The articles of each shard."""
    shard: list[Parts] = []
    num_characters = 0
    for article in articles:
        shard.append(parts_of(article))
        num_characters += len(article.text)
        if num_characters >= _SHARD_CHARACTERS or len(shard) == _SHARD_ARTICLES:
            yield shard
            shard, num_characters = [], 0
    if shard:
        yield shard


@contextlib.contextmanager
def _executor(
    shards: Shards, articles: Iterator[list[Parts]], tagger: Tagger, num_workers: int, settings: dict[str, Any]
) -> Iterator[tuple[Iterator[list[Parts]], Execute]]:
    """The shards' articles, and what carries out orders: this process, or workers if they are possible and pay off."""
    first = list(islice(articles, _MIN_SHARDS_FOR_WORKERS))
    articles = chain(first, articles)
    if num_workers < 2 or len(first) < _MIN_SHARDS_FOR_WORKERS or not _can_share(tagger):
        yield articles, lambda orders: map(shards.do, orders)
        return
    with Workers(num_workers, settings | {"folder": str(shards.folder)}) as workers:
        yield articles, workers.do


def _can_share(tagger: Tagger) -> bool:
    """Whether workers can tag; tells the user if a custom tagger or rule prevents it."""
    if not tagger.is_shared:
        say(
            f'The tagger "{tagger.name}" is known only to this process, so the corpus is built in one process; to use '
            'several, declare it as an entry point of the group "openrealm.tagger", and its rules in "openrealm.rule".'
        )
    return tagger.is_shared and tagger.in_workers


def _cut(execute: Execute, batches: Iterable[list[Parts]], plan: str, num_articles: list[int]) -> list[dict[str, Any]]:
    """Cut every shard; returns their manifests in order, and fills `num_articles`."""

    def orders() -> Iterator[dict[str, Any]]:
        for number, articles in enumerate(batches):
            num_articles.append(len(articles))
            key = files.digest_of([plan, articles_digest(articles)])
            yield {"part": "cut", "shard": number, "key": key, "articles": articles}

    return _collected(execute, orders(), "corpus: passages cut", None)


def _tag(
    execute: Execute,
    cuts: list[dict[str, Any]],
    is_repeated: npt.NDArray[np.bool_],
    names: Path,
    row_files: list[list[RowFile]],
) -> list[dict[str, Any]]:
    """Tag every shard, without passages that repeat earlier ones; returns their manifests in order.

    row_files  for each shard, those of its articles, numbered within it
    """
    names_digest = files.sha256_file(names)

    def orders() -> Iterator[dict[str, Any]]:
        last = 0
        for cut, in_files in zip(cuts, row_files, strict=True):
            first, last = last, last + cut["num_passages"]
            repeated = np.flatnonzero(is_repeated[first:last]).tolist()
            order = {"part": "tagged", "shard": cut["shard"], "repeated": repeated, "names": str(names)}
            key = files.digest_of([cut["key"], repeated, names_digest, in_files])
            yield order | {"row_files": in_files, "key": key}

    return _collected(execute, orders(), "corpus: passages tagged", int(np.count_nonzero(~is_repeated)))


def _collected(
    execute: Execute, orders: Iterable[dict[str, Any]], what: str, total: int | None
) -> list[dict[str, Any]]:
    manifests = []
    with track(what, total) as advance:
        for manifest in execute(orders):
            manifests.append(manifest)
            advance(manifest["num_passages"])
    return sorted(manifests, key=lambda manifest: int(manifest["shard"]))


def repeats(ids: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """(N,) True for each of N rows of 16 bytes that repeats an earlier one."""
    half_N2 = np.ascontiguousarray(ids).view("<u8")
    order = np.lexsort((half_N2[:, 1], half_N2[:, 0]))  # stable: equal rows keep their order
    is_same = (half_N2[order[1:]] == half_N2[order[:-1]]).all(axis=1)
    is_repeated = np.zeros(len(ids), bool)
    is_repeated[order[1:][is_same]] = True
    return is_repeated
