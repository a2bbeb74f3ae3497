from __future__ import annotations

import pytest

from openrealm.config import Config
from openrealm.errors import BadConfig
from openrealm.recipes.catalogue import RECIPES, recipe
from openrealm.recipes.paper import paper


def test_every_recipe_is_a_configuration() -> None:
    assert all(isinstance(recipe(name), Config) for name in RECIPES)


def test_the_papers_recipe_is_the_defaults_but_for_name_source_and_encoder() -> None:
    changed = paper().to_dict()
    changed |= {"name": Config().name}
    changed["corpus"] |= {"source": Config().corpus.source}
    changed["model"] |= {"backbone": Config().model.backbone}
    assert changed == Config().to_dict()


def test_a_recipe_that_is_added_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RECIPES, "_objects", dict(RECIPES._objects))
    RECIPES.add("mine", lambda: Config(name="mine"))
    assert recipe("mine").name == "mine"


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadConfig, match=r"no recipe 'quickstar'.*paper.*did you mean quickstart\?"):
        recipe("quickstar")
