"""Changes a corpus: articles are added, removed and replaced, and the result is that of building it from what is left.

The corpus holds its articles, so that nothing of the source is read again but what is new.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.row_files import RowFile, row_file_of
from openrealm.corpus.sources import Source, open_source
from openrealm.corpus.tagger import Tagger
from openrealm.errors import BadInput
from openrealm.types import Article

CHANGED_FROM = "changed_from"
"""In the manifest of a changed corpus: the digest of the corpus that it was at first."""


def change_corpus(
    folder: str | Path,
    *,
    add: str | Path | Source | Iterable[Article] = (),
    remove: Collection[str] = (),
    only_known: bool = False,
    tagger: str | Tagger | None = None,
    num_workers: int | None = None,
    key: str | None = None,
    **options: Any,
) -> Corpus:
    """Change the corpus in `folder`, and open the result, which replaces it at once.

    The result is, byte for byte, the corpus of all articles that are left, in their order: an added article takes the
    place of the one with its id, or comes after all others. The same change again changes nothing.

    add          a source of articles, as for `Corpus.build`
    remove       ids of articles; the id of a document is its path in its folder. One that ends in "/" stands for all
                 ids that begin with it
    only_known   refuse added articles whose ids the corpus does not have
    tagger       the tagger, if the corpus was built with one that has no name
    num_workers  number of processes; None means one per core
    key          stored in the manifest as "build_key"
    options      of `open_source`
    Raises BadInput if an id to be removed is unknown, nothing would be left, or an article is not known and should be.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     corpus = Corpus.build([Article("1", "Peru", "Rain."), Article("2", "Peru", "Snow.")], folder)
    ...     corpus = change_corpus(folder, add=[Article("1", "Peru", "Hail."), Article("3", "", "Fog.")], remove=["2"])
    ...     [passage.text for passage in corpus]
    ['Hail.', 'Fog.']
    """
    old, source = Corpus.open(folder), open_source(add, **options)
    ids = [old.article_id(number) for number in range(old.num_articles)]
    known = dict.fromkeys(ids)
    removed = set(_ids_to_remove(known, remove, old.folder))
    added = {}
    for number, article in enumerate(source.articles()):
        if only_known and article.id not in known:
            raise BadInput(f"{old.folder} has no article {article.id!r} to update; add it with `openrealm corpus add`.")
        added[article.id] = number, article
    description = dict(old.manifest["source"])
    old_files, new_files = old.row_files, source.description.get("row_files", [])
    row_files: list[RowFile] = []

    def articles() -> Iterator[Article]:
        count = 0
        left = dict(added)
        for number, article_id in enumerate(ids):
            if article_id in left:
                place, article = left.pop(article_id)
                _note(row_files, row_file_of(new_files, place), count)
            elif article_id in removed or article_id in added:
                continue
            else:
                article = old.article(number)
                _note(row_files, row_file_of(old_files, number), count)
            count += 1
            yield article
        for place, article in left.values():
            _note(row_files, row_file_of(new_files, place), count)
            count += 1
            yield article
        description["row_files"] = row_files

    if removed >= known.keys() and not added:
        raise BadInput(f"Nothing would be left of {old.folder}; remove fewer articles, or the folder itself.")
    settings = old.settings
    return build_corpus(
        articles(),
        old.folder,
        old.tokenizer(),
        max_passage_tokens=settings["max_passage_tokens"],
        passages=settings["passages"],
        max_passage_words=settings["max_passage_words"],
        tagger=tagger or settings["tagger"],
        source=description,
        near_duplicates=settings["near_duplicates"],
        num_workers=num_workers or len(os.sched_getaffinity(0)),
        key=key,
        more={CHANGED_FROM: old.manifest.get(CHANGED_FROM, old.digest)},
    )


def _ids_to_remove(known: Collection[str], remove: Collection[str], folder: Path) -> Iterator[str]:
    for name in remove:
        found = [name] if name in known else [i for i in known if name.endswith("/") and i.startswith(name)]
        if not found:
            raise BadInput(
                f"{folder} has no article {name!r} (its articles are {', '.join(map(repr, islice(known, 3)))}"
                f"{' and others' if len(known) > 3 else ''}); give the id of an article, which is a document's path in "
                "its folder."
            )
        yield from found


def _note(row_files: list[RowFile], file: RowFile | None, number: int) -> None:
    """Note that article `number` is a row of `file`."""
    if file is None:
        return
    last = row_files[-1] if row_files else None
    if last is not None and last["name"] == file["name"] and last["first"] + last["num_articles"] == number:
        last["num_articles"] += 1
    else:
        row_files.append({**file, "first": number, "num_articles": 1})
