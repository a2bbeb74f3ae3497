"""What changed settings would cost a run: the stages that have to be done again, and the settings that are to blame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from openrealm.config import Config, with_settings
from openrealm.errors import BadConfig
from openrealm.run.folder import Run
from openrealm.run.stages import Options, Stage
from openrealm.section import known_settings, written

_MAX_NAMED = 4


@dataclass(frozen=True)
class Changes:
    """The settings that differ from those of a run, and what they lead to.

    settings  in words
    stages    finished stages that have to be done again
    """

    settings: str
    stages: Sequence[Stage]


def changes(run: Run, config: Config, todo: Sequence[Stage], options: Options) -> Changes | None:
    """What `config` and `options` change in an existing run; None if every finished stage can stay as it is.

    Changed files of the source are no change of settings: they are the reason to run the stages again.
    """
    finished = [stage for stage in todo if stage.is_finished(run)]
    blamed = [key for key in _different(run.config, config) if _matters(key, run, config, finished, options)]
    words = [f"{key}={_value(run.config, key)} (now {_value(config, key)})" for key in blamed[:_MAX_NAMED]]
    words += [f"{len(blamed) - _MAX_NAMED} more"] if len(blamed) > _MAX_NAMED else []
    new = Run(run.folder, config)
    again = {stage.name for stage in finished if stage.key(new, options) != stage.key(run, options)}
    asked = next((stage for stage in finished if stage.name == "questions"), None)
    if asked and asked.key(run, options) != run.record(asked.name)["key"] and "corpus" not in again:
        again.add(asked.name)
        words.append("other questions")
    for stage in finished:
        if again & {*stage.needs, stage.start} or (stage is todo[-1] and again):
            again.add(stage.name)
    return Changes(", ".join(words), [stage for stage in finished if stage.name in again]) if words else None


def settings_beyond(config: Config, recipe: Config) -> list[str]:
    """The settings, as --set takes them, that make `recipe` into `config`; without the name and the source."""
    keys = [key for key in _different(recipe, config) if key not in ("name", "corpus.source")]
    return [f"{key}={_value(config, key)}" for key in keys]


def _matters(key: str, run: Run, config: Config, finished: Sequence[Stage], options: Options) -> bool:
    """Whether the new value of one setting alone outdates a finished stage."""
    try:
        changed = Run(run.folder, with_settings(run.config, [f"{key}={_value(config, key)}"]))
    except BadConfig:  # it fits other new settings only
        return True
    return any(stage.key(changed, options) != stage.key(run, options) for stage in finished)


def _different(first: Config, second: Config) -> list[str]:
    return [key for key in known_settings(Config) if attrgetter(key)(first) != attrgetter(key)(second)]


def _value(config: Config, key: str) -> str:
    return written(attrgetter(key)(config))
