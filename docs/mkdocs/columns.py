"""Docstrings of openrealm as Markdown: columns of names and meanings become tables, examples become code blocks."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ENTRY = re.compile(r"(\w[\w, .*]*?)  +(\S.*)")


class Columns(griffe.Extension):
    """Rewrites every docstring of the package."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    """The paragraphs of a docstring as Markdown."""
    return "\n\n".join(_paragraph(part) for part in re.split(r"\n\s*\n", docstring.strip("\n")))


def _paragraph(text: str) -> str:
    if text.lstrip().startswith(">>>"):
        return f"```pycon\n{text}\n```"
    lines, rows, rest = text.splitlines(), [], []
    first = _ENTRY.fullmatch(lines[0])
    if first is None:
        return text
    column = first.start(2)
    for number, line in enumerate(lines):
        entry = _ENTRY.fullmatch(line)
        if entry is not None and entry.start(2) == column:
            rows.append(list(entry.groups()))
        elif line[:column].strip() == "" and rows:
            rows[-1][1] += " " + line.strip()
        else:
            rest = lines[number:]
            break
    table = [f"| `{name}` | {meaning.replace('|', chr(92) + '|')} |" for name, meaning in rows]
    return "\n".join(["| | |", "|---|---|", *table, *(["", *rest] if rest else [])])
