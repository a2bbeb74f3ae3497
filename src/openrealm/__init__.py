"""openrealm: train a language model that looks things up, and ask it with its sources (REALM, Guu et al. 2020).

Importing this package loads no torch; each name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openrealm.config import Config, with_settings
    from openrealm.corpus.corpus import Corpus
    from openrealm.errors import OpenRealmError
    from openrealm.model.realm import Realm
    from openrealm.text.tokenizer import Tokenizer

_HOME = {
    "Config": "openrealm.config",
    "Corpus": "openrealm.corpus.builder",
    "OpenRealmError": "openrealm.errors",
    "Realm": "openrealm.model.realm",
    "Tokenizer": "openrealm.text.tokenizer",
    "with_settings": "openrealm.config",
}
__all__ = ["Config", "Corpus", "OpenRealmError", "Realm", "Tokenizer", "__version__", "with_settings"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'openrealm' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """The installed version; "0+unknown" when run from a source tree that was never installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("openrealm")
    except PackageNotFoundError:
        return "0+unknown"
