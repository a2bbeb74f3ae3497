"""What templates show in the running text, without the wiki that defines them.

A template is found by its name: in the tables of the wiki's language, in those of English, which most wikis borrow
from, and then in those of other languages. Many names are aliases that redirect to a template on Wikipedia.
"""

from __future__ import annotations

import functools
from collections import ChainMap
from collections.abc import Callable

from openrealm.corpus.sources.marks import LOST
from openrealm.corpus.sources.templates import dates, languages, measures, texts
from openrealm.corpus.sources.templates.call import Call, Renderer, nothing
from openrealm.corpus.sources.templates.measures import local_number
from openrealm.corpus.sources.templates.silent import is_silent

__all__ = ["Call", "call_function", "find", "is_function", "nothing"]

_MODULES = (texts, measures, dates, languages)
_ENGLISH = ChainMap(*(module.RENDERERS for module in _MODULES))
_LANGUAGES = frozenset(code for module in _MODULES for code in module.BY_LANGUAGE)
_BY_LANGUAGE = {code: ChainMap(*(m.BY_LANGUAGE.get(code, {}) for m in _MODULES)) for code in sorted(_LANGUAGES)}
_OTHERS = ChainMap(*_BY_LANGUAGE.values())
_NONE: ChainMap[str, Renderer] = ChainMap()
_MIN_BORROWED = 4  # characters of a name in another language's table
_NAMESPACES = ("template:", "vorlage:", "modèle:", "plantilla:", "predefinição:", "шаблон:", "msg:", "subst:")


@functools.lru_cache(maxsize=4096)
def find(name: str, language: str) -> Renderer | None:
    """The renderer of a template, `nothing` if it shows no words in a sentence, None if it is not known.

    >>> find("Circa", "en")(Call("circa", {"1": "1941"}))
    'c. 1941'
    >>> find("cite book", "en") is nothing, find("never heard of", "en")
    (True, None)
    """
    name = " ".join(name.replace("_", " ").split()).casefold()
    for prefix in _NAMESPACES:
        name = name.removeprefix(prefix).lstrip()
    own = _BY_LANGUAGE.get(language, _NONE)
    found = own.get(name) or _ENGLISH.get(name) or languages.of_name(name) or dates.ordinal_of(name)
    is_borrowed = not language or len(name) >= _MIN_BORROWED  # {{s2}} is a century in French, a space in Russian
    return found or (nothing if is_silent(name) else _OTHERS.get(name) if is_borrowed else None)


def is_function(name: str) -> bool:
    """Whether a name, up to its colon, is one of MediaWiki's functions, such as #if or formatnum."""
    name = name.strip().casefold()
    return name == "formatnum" or name in _FUNCTIONS


def call_function(name: str, arguments: list[str], language: str) -> str | None:
    """What a function shows; None if that cannot be known here.

    >>> call_function("#if", ["", "yes", "no"], "en")
    'no'
    """
    name = name.strip().casefold()
    given = [*(argument.strip() for argument in arguments), "", "", ""]
    return local_number(given[0], language) if name == "formatnum" else _FUNCTIONS[name](given)


def _tag(given: list[str]) -> str:
    return "" if given[0].casefold() in ("ref", "references", "gallery") else given[1]


_FUNCTIONS: dict[str, Callable[[list[str]], str | None]] = {
    "#if": lambda given: given[0] if LOST in given[0] else given[1] if given[0] else given[2],
    "#ifeq": lambda given: given[0] if LOST in given[0] else given[2] if given[0] == given[1] else given[3],
    "#tag": _tag,
    "lc": lambda given: given[0].lower(),
    "uc": lambda given: given[0].upper(),
    "lcfirst": lambda given: given[0][:1].lower() + given[0][1:],
    "ucfirst": lambda given: given[0][:1].upper() + given[0][1:],
    "plural": lambda given: given[1] if given[0] == "1" else given[2] or given[1],
    **dict.fromkeys(("#lst", "#section", "defaultsort", "displaytitle", "#seo", "#related"), lambda given: ""),
}
