"""Whether the lengths that the settings allow fit each other and the encoder, checked before a run begins."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from openrealm import files
from openrealm.config import Config, joint_room
from openrealm.errors import BadConfig
from openrealm.model.weights import backbone_location, max_row_tokens, tokenizer_of

_MIN_BODY_TOKENS = 8
"""Fewest word pieces of a passage that a reader must have room for: the least that corpus.max_passage_tokens can be."""


def check_lengths(config: Config) -> None:
    """Raise BadConfig naming the settings to change, if an input could be longer than the encoder reads.

    Also if a query leaves hardly any room for a passage. The encoder is located, and downloaded if its name is a hub
    id.
    """
    longest, passage = _positions(config.model.backbone), config.corpus.max_passage_tokens
    reads = f"{config.model.backbone} reads at most {longest} word pieces at once"
    _at_most("warm_start.max_query_tokens", config.warm_start.max_query_tokens, longest, reads)
    room = longest - 3
    why = f"{reads}, three of them its own"
    for key, query_key, num_query, given in _joint(config):
        if given is None:
            left = longest - joint_room(num_query, 0)
            if left < _MIN_BODY_TOKENS:
                _at_most(query_key, num_query, longest - joint_room(0, _MIN_BODY_TOKENS), f"{reads}, with a passage")
            if left < room:
                room, why = left, f"{reads}, and {query_key}={num_query} of them are for a query"
            continue
        _at_most(key, given, longest, reads)
        if given < joint_room(num_query, _MIN_BODY_TOKENS):
            raise BadConfig(
                f"{key} is {given}, but at least {joint_room(num_query, _MIN_BODY_TOKENS)} is expected, so that some "
                f"of a passage can be read with a query of {query_key}={num_query}; {key}=none makes room for it all."
            )
    _at_most("corpus.max_passage_tokens", passage, room, why)


def cut_passages(config: Config) -> list[str]:
    """A sentence for each setting because of which the ends of the longest passages are not read."""
    passage = config.corpus.max_passage_tokens
    return [
        f"{key}={given} is too short for a passage of corpus.max_passage_tokens={passage} with a query of "
        f"{query_key}={num_query}, so that the ends of long passages are not read; {key}=none makes room for both."
        for key, query_key, num_query, given in _joint(config)
        if given is not None and given < joint_room(num_query, passage) - 2  # 2: a title and its [SEP]
    ]


def _joint(config: Config) -> list[tuple[str, str, int, int | None]]:
    """The setting for a query with a passage, that for the query, and both values, in pre-training and fine-tuning."""
    joint, tune = config.pretrain, config.finetune
    return [
        ("pretrain.max_joint_tokens", "pretrain.max_query_tokens", joint.max_query_tokens, joint.max_joint_tokens),
        ("finetune.max_reader_tokens", "finetune.max_query_tokens", tune.max_query_tokens, tune.max_reader_tokens),
    ]


def _at_most(key: str, value: int, limit: int, because: str) -> None:
    if value > limit:
        raise BadConfig(f"{key} is {value}, but at most {limit} is expected: {because}.")


def _positions(backbone: str) -> int:
    """Word pieces of the longest input of an encoder; unlimited if its folder holds a tokenizer alone."""
    file = Path(backbone_location(backbone)) / "config.json"
    settings = files.read_json(file, dict[str, Any], "download or copy it again") if file.exists() else {}
    encoder = settings.get("backbone", settings)  # a saved model has the settings of its encoder there
    return max_row_tokens(encoder, tokenizer_of(backbone).pad_id) if settings else sys.maxsize
