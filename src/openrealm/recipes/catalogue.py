"""Recipes by name, for the command line's --recipe."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from openrealm.config import Config
from openrealm.errors import BadConfig
from openrealm.recipes.paper import paper
from openrealm.recipes.quickstart import quickstart, quickstart_minilm
from openrealm.recipes.small import small

RECIPES: dict[str, Callable[[], Config]] = {
    "quickstart": quickstart,
    "quickstart-minilm": quickstart_minilm,
    "small": small,
    "paper": paper,
}


def recipe(name: str) -> Config:
    """The configuration that a name stands for; BadConfig with the known names for another."""
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise BadConfig(f"There is no recipe {name!r}; choose from {', '.join(RECIPES)}{meant}.")
    return RECIPES[name]()
