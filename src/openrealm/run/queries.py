"""A corpus of queries apart from the corpus of candidates: X and Z of Guu et al. 2020, Sec. 4.3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from openrealm import files
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.matches import Matches
from openrealm.errors import MissingStage
from openrealm.progress import say, track
from openrealm.run.folder import Run

if TYPE_CHECKING:
    from openrealm.train.examples import Queries


def queries_folder(name: str) -> Path:
    """The corpus that `pretrain.queries` means: the folder itself, or a run's."""
    folder = Path(name).expanduser()
    return folder / "corpus" if (folder / "corpus" / files.MANIFEST).exists() else folder


def queries_of(run: Run, corpus: Corpus) -> Queries | None:
    """The run's other corpus of queries, with what it shares with `corpus` found or looked up; None where it has none.

    Raises MissingStage where there is no corpus of that name, Mismatch where it was cut with another tokenizer.
    """
    from openrealm.train.examples import Queries

    if run.config.pretrain.queries is None:
        return None
    given = run.config.pretrain.queries
    folder = queries_folder(given)
    if not (folder / files.MANIFEST).exists():
        raise MissingStage(
            f"pretrain.queries: {given} is neither a corpus nor a run with one; build it with "
            f"`openrealm corpus --run {given} --source PATH`."
        )
    queries = Corpus.open(folder, verify=True)
    with track("passages compared with the queries'", 2 * (queries.num_passages + corpus.num_passages)) as advance:
        matches = Matches.between(queries, corpus, run.matches, progress=advance)
    say(f"queries: {queries.num_passages:,} passages of {folder}")
    return Queries(queries, matches.groups)


def digest_at(folder: Path) -> str:
    """The digest of the corpus in a folder, or nothing: then no key that it enters equals a recorded one."""
    if not (folder / files.MANIFEST).exists():
        return ""
    return str(files.read_manifest(folder, verify=False).get("corpus_digest", ""))
