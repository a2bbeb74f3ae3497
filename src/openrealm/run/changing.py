"""Changes the corpus of a run; the indexes of its models follow, and only new passages are embedded."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from openrealm.corpus.change import change_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.progress import counted, say
from openrealm.run import stages
from openrealm.run.folder import Run


def change(folder: Path, *, add: str | None = None, remove: Collection[str] = (), only_known: bool = False) -> Corpus:
    """Add a source to the corpus of the run in `folder`, or remove articles; see `change_corpus`.

    Models stay as they were trained. If it is killed, the same command again completes the change.
    Raises MissingStage if the run has no corpus.
    """
    run = Run.open(folder)
    corpus_stage, settings = stages.get("corpus"), run.config.corpus
    with run.writing():
        corpus_stage.check(run, up_to_date=False)
        before = Corpus.open(run.corpus).num_passages
        key = str(run.record(corpus_stage.name)["key"])
        with run.recorded(corpus_stage.name, key, leaves=corpus_stage.leaves):
            corpus = change_corpus(
                run.corpus,
                add=add if add is not None else (),
                remove=remove,
                only_known=only_known,
                num_workers=run.config.num_threads,
                key=key,
                skip_unreadable=settings.skip_unreadable,
                limits=settings.limits,
            )
        say(f"corpus: {counted({'passage': corpus.num_passages})} in {run.corpus}, {before:,} before")
        for stage in stages.STAGES:
            if stage.indexes and stage.is_finished(run):
                stage.perform(run)
    return corpus
