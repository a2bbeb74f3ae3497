"""A corpus of queries separate from the corpus of passages: X and Z of Guu et al. 2020, Sec. 4.3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from openrealm import files
from openrealm.corpus.change import CHANGED_FROM
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.matches import Matches
from openrealm.errors import MissingStage
from openrealm.progress import counted, say, track
from openrealm.run.folder import Run

if TYPE_CHECKING:
    from openrealm.train.examples import Queries


def queries_folder(name: str) -> Path:
    """The corpus that `pretrain.queries` names: a corpus folder, or the corpus of a run."""
    folder = Path(name).expanduser()
    return folder / "corpus" if (folder / "corpus" / files.MANIFEST).exists() else folder


def queries_of(run: Run, corpus: Corpus) -> Queries | None:
    """The separate corpus of queries with the passages it shares with `corpus`; None if `pretrain.queries` is unset.

    The shared passages are computed once and stored in the run.
    Raises MissingStage if there is no such corpus, Mismatch if it was built with another tokenizer.
    """
    from openrealm.train.examples import Queries

    if run.config.pretrain.queries is None:
        return None
    given = run.config.pretrain.queries
    folder = queries_folder(given)
    if not (folder / files.MANIFEST).exists():
        raise MissingStage(
            f"pretrain.queries: {given} is neither a corpus nor a run with a corpus; build it with "
            f"`openrealm corpus --run {given} --source PATH`."
        )
    queries = Corpus.open(folder, verify=True)
    with track("corpus of queries: shared passages", 2 * (queries.num_passages + corpus.num_passages)) as step:
        matches = Matches.between(queries, corpus, run.matches, progress=step)
    say(f"corpus of queries: {counted({'passage': queries.num_passages})} in {folder}")
    return Queries(queries, matches.groups)


def digest_at(folder: Path) -> str:
    """The digest of the corpus in a folder. Empty without a corpus, so that no recorded key matches.

    For a corpus that was changed it is that of the corpus at first, with which models were trained: they go on to be
    used with what it has become.
    """
    if not (folder / files.MANIFEST).exists():
        return ""
    manifest = files.read_manifest(folder, verify=False)
    return str(manifest.get(CHANGED_FROM, manifest.get("corpus_digest", "")))
