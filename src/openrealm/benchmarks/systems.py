"""The systems of the benchmark: one entry each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from openrealm.config import Config
from openrealm.errors import BadInput

Change = Callable[[Config], Config]


def _pretrain(**settings: object) -> Change:
    return lambda config: config.replace(pretrain=config.pretrain.replace(**settings))


def _masking(strategy: str) -> Change:
    return lambda config: config.replace(masking=config.masking.replace(strategy=strategy))


def _recurring(config: Config) -> Config:
    """Recurring-span pairs beside, as many as the warm start has sentences."""
    size = config.warm_start.ict_batch
    warm_start = config.warm_start.replace(recurring_batch=size)
    return config.replace(warm_start=warm_start, pretrain=config.pretrain.replace(recurring_batch=size))


def _answerable(config: Config) -> Config:
    """Eight times as many queries retrieved for as are read."""
    return _pretrain(search_batch_size=8 * config.pretrain.batch_size)(config)


def _stale(config: Config) -> Config:
    return _pretrain(refresh_steps=30 * config.pretrain.refresh_steps)(config)


@dataclass(frozen=True, kw_only=True)
class Training:
    """What the budget is spent on, from the model of the shared warm start.

    task    "none" leaves the model as it is; "warm_start" goes on with the warm start; "joint" is joint pre-training
    change  settings that depart from the benchmark's configuration
    """

    task: Literal["none", "warm_start", "joint"] = "none"
    change: Change = lambda config: config


@dataclass(frozen=True, kw_only=True)
class System:
    """A way of finding passages for questions.

    training  the name of its training in `TRAININGS`, or of an encoder off the shelf if `is_shelved`
    finds_by  whether passages are found by vectors, by words (BM25) or by both
    """

    name: str
    title: str
    training: str = "start"
    finds_by: Literal["vectors", "words", "both"] = "vectors"
    is_shelved: bool = False

    @property
    def is_trained(self) -> bool:
        """Whether it finds passages by a model of `TRAININGS`, and so depends on the seed."""
        return self.finds_by != "words" and not self.is_shelved


TRAININGS: dict[str, Training] = {
    "start": Training(),
    "orqa": Training(task="warm_start"),
    "orqa_recurring": Training(task="warm_start", change=_recurring),
    "realm": Training(task="joint"),
    "realm_answerable": Training(task="joint", change=_answerable),
    "realm_recurring": Training(task="joint", change=_recurring),
    "realm_both": Training(task="joint", change=lambda config: _recurring(_answerable(config))),
    "realm_uniform": Training(task="joint", change=_masking("uniform")),
    "realm_span": Training(task="joint", change=_masking("span")),
    "realm_frozen": Training(task="joint", change=_pretrain(freeze_towers=True)),
    "realm_stale": Training(task="joint", change=_stale),
}

SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System(name="bm25", title="BM25", finds_by="words"),
        System(name="minilm", title="MiniLM off the shelf", training="minilm", is_shelved=True),
        System(name="start", title="before the budget"),
        System(name="orqa", title="ORQA: warm start only", training="orqa"),
        System(name="orqa_recurring", title="ORQA and recurring spans", training="orqa_recurring"),
        System(name="realm", title="REALM", training="realm"),
        System(name="realm_answerable", title="REALM, answerable queries", training="realm_answerable"),
        System(name="realm_recurring", title="REALM and recurring spans", training="realm_recurring"),
        System(name="realm_both", title="REALM, answerable queries, recurring spans", training="realm_both"),
        System(name="realm_uniform", title="REALM, uniform masks", training="realm_uniform"),
        System(name="realm_span", title="REALM, random span masks", training="realm_span"),
        System(name="realm_frozen", title="REALM, frozen towers", training="realm_frozen"),
        System(name="realm_stale", title="REALM, 30 times staler index", training="realm_stale"),
        System(name="hybrid", title="REALM and BM25", training="realm", finds_by="both"),
    )
}

DEFAULT = ("bm25", "start", "orqa", "realm", "hybrid")


def system_named(name: str) -> System:
    """The system of this name. Raises BadInput listing the known ones."""
    if name not in SYSTEMS:
        raise BadInput(f"There is no system {name!r}; choose from {', '.join(SYSTEMS)}.")
    return SYSTEMS[name]
