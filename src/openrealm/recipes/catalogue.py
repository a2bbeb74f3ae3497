"""Recipes by name, for `--recipe`."""

from __future__ import annotations

from collections.abc import Callable

from openrealm.config import Config
from openrealm.registry import Registry

RECIPES: Registry[Callable[[], Config]] = Registry(
    "recipe",
    {
        "quickstart": "openrealm.recipes.quickstart:quickstart",
        "factbook": "openrealm.recipes.factbook:factbook",
        "factbook-minilm": "openrealm.recipes.factbook:factbook_minilm",
        "small": "openrealm.recipes.small:small",
        "small-encoder": "openrealm.recipes.small:small_encoder",
        "open-qa": "openrealm.recipes.open_qa:open_qa",
        "paper": "openrealm.recipes.paper:paper",
    },
)
"""Functions without arguments that return a configuration."""


def recipe(name: str) -> Config:
    """The configuration of the recipe `name`. Raises BadConfig listing the known recipes if there is none."""
    return RECIPES.get(name)()
