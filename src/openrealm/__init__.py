"""Train language models that retrieve what they need to know, and that cite the passage behind each answer.

openrealm is a PyTorch implementation of REALM (Guu et al. 2020). Importing the package loads no torch: each public name
is loaded when it is first used.

>>> import openrealm as orm
>>> model = orm.Realm.from_pretrained("openrealm-mini")
>>> model.encode_query("Where is the library?").shape
(128,)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from openrealm.threads import share_cores

if TYPE_CHECKING:
    from openrealm import callbacks, registry, tasks
    from openrealm.benchmarks.benchmark import benchmark
    from openrealm.config import Config, with_settings
    from openrealm.corpus.corpus import Corpus
    from openrealm.errors import OpenRealmError
    from openrealm.index.index import Index
    from openrealm.model.reading import Reading
    from openrealm.model.realm import Realm
    from openrealm.run.cloze import cloze_questions
    from openrealm.run.questions import read_questions
    from openrealm.serve.answerer import Answerer
    from openrealm.serve.search import PassageSearch
    from openrealm.text.tokenizer import Tokenizer
    from openrealm.train.trainer import Trainer
    from openrealm.types import Answer, Article, Passage, Question

# Each public name with the module that it is loaded from; None for a public submodule.
_HOME = {
    "Answer": "openrealm.types",
    "Answerer": "openrealm.serve.answerer",
    "Article": "openrealm.types",
    "Config": "openrealm.config",
    "Corpus": "openrealm.corpus.corpus",
    "Index": "openrealm.index.index",
    "OpenRealmError": "openrealm.errors",
    "Passage": "openrealm.types",
    "PassageSearch": "openrealm.serve.search",
    "Question": "openrealm.types",
    "Reading": "openrealm.model.reading",
    "Realm": "openrealm.model.realm",
    "Tokenizer": "openrealm.text.tokenizer",
    "Trainer": "openrealm.train.trainer",
    "benchmark": "openrealm.benchmarks.benchmark",
    "callbacks": None,
    "cloze_questions": "openrealm.run.cloze",
    "read_questions": "openrealm.run.questions",
    "registry": None,
    "tasks": None,
    "with_settings": "openrealm.config",
}
# Written out, since type checkers and editors read it; tests/test_imports.py compares it with the table.
__all__ = [
    "Answer",
    "Answerer",
    "Article",
    "Config",
    "Corpus",
    "Index",
    "OpenRealmError",
    "Passage",
    "PassageSearch",
    "Question",
    "Reading",
    "Realm",
    "Tokenizer",
    "Trainer",
    "__version__",
    "benchmark",
    "callbacks",
    "cloze_questions",
    "read_questions",
    "registry",
    "tasks",
    "with_settings",
]

share_cores()  # here, because it must come before torch is loaded


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name in _HOME:
        home = _HOME[name]
        value = getattr(importlib.import_module(home), name) if home else importlib.import_module(f"openrealm.{name}")
    else:
        raise AttributeError(f"module 'openrealm' has no attribute {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value  # so that the next access does not come here
    return value


def __dir__() -> list[str]:
    dunders = {name for name in globals() if name.startswith("__") and name.endswith("__")}
    return sorted({*__all__, *dunders})


def _version() -> str:
    """The installed version; "0+unknown" when run from a source tree that was never installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("openrealm")
    except PackageNotFoundError:
        return "0+unknown"
