"""What the directives and roles of Sphinx, MyST and other generators of documentation show of themselves."""

from __future__ import annotations

import re

_ADMONITION_NAMES = """
abstract attention bug caution check danger error example failure faq hint important info missing note question
quote seealso success summary tip todo tldr warning
"""
ADMONITIONS = frozenset(_ADMONITION_NAMES.split())
"""Boxes that are headed by their name where they have no title."""

_EMPTY_NAMES = """
bibliography contents currentmodule default-domain doctest-skip embed genindex graphviz highlight iframe image include
index inheritance-diagram literalinclude mermaid meta module plantuml raw sectnum tabularcolumns tableofcontents tags
testcleanup testsetup toctree towncrier-draft-entries video
"""
EMPTY = frozenset(_EMPTY_NAMES.split())
"""Directives that show nothing of what stands in them."""

_CODE_NAMES = """
bash c code code-block code-cell console cpp csharp css diff dot doctest html ipython java javascript jl js
json julia lua math node parsed-literal productionlist prompt python py r rust ruby sh shell sourcecode sql testcode
testoutput toml ts typescript xml yaml
"""
CODE = frozenset(_CODE_NAMES.split())
"""Directives whose content is code."""

_WITHOUT_TITLE_NAMES = """
card-carousel code-group column column-margin columns container cssclass div eval-rst figure grid grid-item html
ifconfig margin only row rst-class tab-set tabs
"""
WITHOUT_TITLE = frozenset(_WITHOUT_TITLE_NAMES.split())
"""Directives whose argument is not shown: a path, a number, a condition, a CSS class."""

_VERSIONS = {
    "versionadded": "Added in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
    "versionremoved": "Removed in version",
}
_CODE_ROLES = frozenset(["code", "command", "envvar", "file", "kbd", "literal", "math", "program", "samp"])
_TARGET = re.compile(r"[ \t\n]*<[^<>]*>$")


def shown_title(name: str, argument: str) -> str:
    """What stands above a directive's content.

    >>> shown_title("note", ""), shown_title("versionadded", "3.2 For lists."), shown_title("figure", "a.png")
    ('Note', 'Added in version 3.2: For lists.', '')
    """
    if name in _VERSIONS:
        version, _, words = argument.partition(" ")
        return f"{_VERSIONS[name]} {version}" + (f": {words}" if words else "")
    if name in WITHOUT_TITLE:
        return ""
    return argument or (default_title(name) if name in ADMONITIONS else "")


def default_title(name: str) -> str:
    """The heading of a box without a title of its own."""
    return "See also" if name == "seealso" else name.capitalize()


def role_text(name: str, text: str) -> str:
    """What a role shows of its content.

    >>> role_text("ref", "the label <intro>"), role_text("py:class", "~a.b.C"), role_text("kbd", "<Esc>")
    ('the label', 'C', '<Esc>')
    """
    if name.rpartition(":")[2].lower() in _CODE_ROLES:
        return text
    text = _TARGET.sub("", text) or text
    return text.rpartition(".")[2] if text.startswith("~") else text.removeprefix("!")
