"""Another corpus under a trained model: what it answers from each, and which answers have changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadInput, Mismatch
from openrealm.index.bm25 import Bm25
from openrealm.index.index import Index
from openrealm.run.queries import queries_folder
from openrealm.serve.answerer import Answerer
from openrealm.serve.opening import Opened, answering_run
from openrealm.train.fusion import FusedFinder
from openrealm.train.spans import Bm25Finder, DenseFinder, PassageFinder
from openrealm.types import Answer

_QUESTIONS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Swapped:
    """The answers to a question from the run's own corpus (`before`) and from the other one (`after`)."""

    before: Answer
    after: Answer

    @property
    def is_changed(self) -> bool:
        """Whether the text of the answer differs, apart from case and white space."""
        return self.before.text.casefold().split() != self.after.text.casefold().split()


def swap(run_folder: str | Path, corpus: str | Path, questions: Sequence[str]) -> Iterator[Swapped]:
    """Answer questions with the model of a run, from its own corpus and from another one.

    Nothing is trained or written. Of the other corpus, only passages that the run's index does not have are embedded.

    corpus  a corpus, or a run with one, that was cut with the same tokenizer
    Raises as `Answerer.open` does, MissingStage if there is no such corpus, Mismatch if its tokenizer is another.
    """
    opened = answering_run(run_folder)
    other = Corpus.open(queries_folder(str(corpus)), verify=True)
    if other.tokenizer_digest != opened.corpus.tokenizer_digest:
        raise Mismatch(
            f"{other.folder} was tokenised with {other.tokenizer_digest}, but the model of {run_folder} reads "
            f"{opened.corpus.tokenizer_digest}; build it with the run's model.backbone."
        )
    before = Answerer(opened.model, opened.corpus, finder=opened.finder, config=opened.config, engine=opened.engine)
    finder = _finder_of(opened, other, Path(run_folder) / "index")
    after = Answerer(opened.model, other, finder=finder, config=opened.config, engine=opened.engine)
    for start in range(0, len(questions), _QUESTIONS_AT_ONCE):
        part = list(questions[start : start + _QUESTIONS_AT_ONCE])
        yield from map(Swapped, before.ask(part), after.ask(part))


def _finder_of(opened: Opened, corpus: Corpus, earlier: Path) -> PassageFinder:
    """What finds passages of another corpus in the way of the run's own finder."""
    finder = opened.finder
    if isinstance(finder, Bm25Finder):
        return Bm25Finder(Bm25.build(corpus), float(finder.weight.detach()))
    if not isinstance(finder, DenseFinder):
        raise BadInput("The passages of this run are found in a way of its own, which knows no other corpus.")
    index = Index.build(opened.model, corpus, engine=opened.engine, earlier=earlier)
    if isinstance(finder, FusedFinder):
        return FusedFinder(index, Bm25.build(corpus), finder.answering, vector_weight=finder.vector_weight)
    return DenseFinder(index)
