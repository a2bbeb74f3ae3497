"""The systems that a run fine-tunes and compares: one entry each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from openrealm.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class System:
    """A model fine-tuned to answer questions.

    start      the stage whose model fine-tuning starts from
    retriever  how it finds passages: "none" (closed book), "bm25", or "tower" (its query tower and an index)
    seconds    fine-tuning time on the reference machine (see `run.plan`)
    """

    name: str
    title: str
    start: str
    retriever: Literal["none", "bm25", "tower"]
    seconds: float

    @property
    def stage(self) -> str:
        """The stage that fine-tunes this system."""
        return f"finetune_{self.name}"

    @property
    def reads_passages(self) -> bool:
        """Whether answers are spans of retrieved passages."""
        return self.retriever != "none"


SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System(name="closed_book", title="closed book", start="pretrain", retriever="none", seconds=9.0),
        System(name="bm25", title="BM25", start="warm_start", retriever="bm25", seconds=55.0),
        System(name="warm_start", title="warm start", start="warm_start", retriever="tower", seconds=69.0),
        System(name="realm", title="REALM", start="pretrain", retriever="tower", seconds=69.0),
    )
}


def system_of(name: str) -> System:
    """The system of this name. Raises BadInput listing the known ones."""
    if name not in SYSTEMS:
        raise BadInput(f"There is no system {name!r}; choose from {', '.join(SYSTEMS)}.")
    return SYSTEMS[name]
