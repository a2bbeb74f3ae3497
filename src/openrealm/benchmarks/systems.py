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


def _recurring_warm_start(config: Config) -> Config:
    """Recurring-span pairs beside, at the rate of joint pre-training: unlike ICT's, their loss does not vanish."""
    rate = config.pretrain.tower_learning_rate or config.pretrain.learning_rate
    return _recurring(config.replace(warm_start=config.warm_start.replace(tower_learning_rate=rate)))


def _answerable(config: Config) -> Config:
    """Eight times as many queries retrieved for as are read, and five times as many candidates."""
    pretrain = config.pretrain
    more = {"search_batch_size": 8 * pretrain.batch_size, "search_candidates": 5 * pretrain.num_candidates}
    return _pretrain(**more)(config)


def _ict(config: Config) -> Config:
    """ICT beside, with as many sentences as the warm start has."""
    return _pretrain(ict_batch=config.warm_start.ict_batch)(config)


_ADDITIONS: dict[str, tuple[str, Change]] = {
    "answerable": ("answerable queries", _answerable),
    "shared": ("shared candidates", _pretrain(share_candidates=True)),
    "ict": ("ICT", _ict),
    "recurring": ("recurring spans", _recurring),
}


def _with_additions(leaving_out: str | None = None) -> Change:
    """All `_ADDITIONS` to joint pre-training, or all but one."""

    def changed(config: Config) -> Config:
        for name, (_, change) in _ADDITIONS.items():
            config = config if name == leaving_out else change(config)
        return config

    return changed


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
    "orqa_recurring": Training(task="warm_start", change=_recurring_warm_start),
    "realm": Training(task="joint"),
    "realm_all": Training(task="joint", change=_with_additions()),
    **{f"realm_without_{name}": Training(task="joint", change=_with_additions(name)) for name in _ADDITIONS},
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
        System(
            name="realm_all",
            title=f"REALM, {', '.join(title for title, _ in _ADDITIONS.values())}",
            training="realm_all",
        ),
        *(
            System(name=f"realm_without_{name}", title=f"the same without {title}", training=f"realm_without_{name}")
            for name, (title, _) in _ADDITIONS.items()
        ),
        System(name="realm_uniform", title="REALM, uniform masks", training="realm_uniform"),
        System(name="realm_span", title="REALM, random span masks", training="realm_span"),
        System(name="realm_frozen", title="REALM, frozen towers", training="realm_frozen"),
        System(name="realm_stale", title="REALM, 30 times staler index", training="realm_stale"),
        System(name="hybrid", title="REALM and BM25", training="realm", finds_by="both"),
    )
}

DEFAULT = ("bm25", "start", "orqa", "realm", "realm_all", "hybrid")


def system_named(name: str) -> System:
    """The system of this name. Raises BadInput listing the known ones."""
    if name not in SYSTEMS:
        raise BadInput(f"There is no system {name!r}; choose from {', '.join(SYSTEMS)}.")
    return SYSTEMS[name]
