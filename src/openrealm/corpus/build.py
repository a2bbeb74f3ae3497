"""`Corpus.build`: from a source to a corpus in one call, which reuses what was built from the same content before."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from openrealm.corpus.blocks import PassageRule
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.layout import FORMAT
from openrealm.corpus.sources import Source, open_source
from openrealm.corpus.tagger import Tagger
from openrealm.errors import BadInput, DamagedArtefact, MissingStage
from openrealm.files import digest_of, read_manifest
from openrealm.progress import say, warn
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article, Limits

# What tells one source from another, whatever its content and the options it is read with.
_ORIGIN = ("kind", "name", "wiki")


def build(
    source: str | Path | Source | Iterable[Article],
    folder: Path,
    *,
    backbone: str,
    tokenizer: Tokenizer | None,
    rule: PassageRule,
    tagger: str | Tagger,
    near_duplicates: bool,
    prose_only: bool,
    salvage: bool,
    skip_unreadable: bool,
    num_workers: int | None,
    limits: Limits,
) -> Corpus:
    """See `Corpus.build`."""
    opened = open_source(
        source,
        prose_only=prose_only,
        salvage=salvage,
        skip_unreadable=skip_unreadable,
        num_workers=num_workers,
        limits=limits,
    )
    old = _manifest_in(folder, opened.description)
    tokenizer = tokenizer or _tokenizer_of(backbone)
    key = None
    if (identity := opened.identity()) is not None:
        tagger_name = tagger if isinstance(tagger, str) else tagger.name
        settings = [rule.settings(), tagger_name, near_duplicates, salvage, skip_unreadable, asdict(limits)]
        key = digest_of([FORMAT, settings, tokenizer.digest, opened.description.get("kind"), identity])
    if old is not None:
        if key is not None and old.get("build_key") == key:
            try:
                return Corpus.open(folder)
            except DamagedArtefact as error:
                warn(str(error))
        say(f"{folder} is being rebuilt, because its text or settings may have changed.")
    return build_corpus(
        opened.articles(),
        folder,
        tokenizer,
        max_passage_tokens=rule.max_tokens,
        passages=rule.kind,
        max_passage_words=rule.max_words,
        tagger=tagger,
        source=opened.description,
        near_duplicates=near_duplicates,
        num_workers=num_workers or len(os.sched_getaffinity(0)),
        key=key,
    )


def _manifest_in(folder: Path, description: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of a corpus that may be replaced by one of this source; None where there is nothing to replace.

    Raises BadInput when `folder` holds anything else, which a build would remove.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        manifest = read_manifest(folder, verify=False)
    except (MissingStage, DamagedArtefact, NotADirectoryError):
        manifest = {}
    if manifest.get("kind") != "corpus":
        raise BadInput(f"{folder} contains something other than a corpus; give a new or empty folder.")
    held, wanted = ({name: of[name] for name in _ORIGIN if name in of} for of in (manifest["source"], description))
    if held != wanted:
        raise BadInput(
            f"{folder} contains a corpus of another source ({_listed(held)}, not {_listed(wanted)}); give another "
            "folder, or remove this one first."
        )
    return manifest


def _listed(origin: dict[str, Any]) -> str:
    return " ".join(map(str, origin.values()))


def _tokenizer_of(backbone: str) -> Tokenizer:
    # By name, because weights and models are a layer above the corpus.
    return cast(Tokenizer, importlib.import_module("openrealm.model.weights").tokenizer_of(backbone))
