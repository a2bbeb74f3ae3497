"""Jupyter notebooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openrealm.corpus.clean import check_line_lengths
from openrealm.corpus.readers import Document, Piece
from openrealm.corpus.readers.decode import read_text
from openrealm.corpus.readers.markdown import read_markdown
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS, Limits


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The cells: Markdown as the rendered page shows it, and code verbatim. The part of a piece is its cell, from 1.

    Outputs are left out and counted.
    """
    try:
        notebook = json.loads(read_text(path, limits), parse_int=lambda digits: 0)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} could not be read as a notebook ({error}); repair it or remove it.") from error
    title = ""
    pieces: list[Piece] = []
    num_outputs = 0
    for number, cell in enumerate(_cells(notebook), start=1):
        source = _source(cell)
        num_outputs += len(cell["outputs"]) if isinstance(cell.get("outputs"), list) else 0
        check_line_lengths(source, f"{path}, cell {number}", limits)
        if cell.get("cell_type") == "code":
            pieces.append(Piece(source, 0, number, "code"))
        else:
            found = read_markdown(source)
            title = title or found.title
            pieces += [piece._replace(part=number) for piece in found.pieces]
    if not pieces and not isinstance(notebook, dict):
        raise BadInput(f"{path} is no notebook: it has no cells; save it as one or remove it.")
    return Document(title, tuple(pieces), {"output of a notebook": num_outputs} if num_outputs else {})


def _cells(notebook: Any) -> Iterator[dict[str, Any]]:
    """The cells of format 4, or those on the worksheets of format 3."""
    if isinstance(notebook, dict):
        sheets = notebook.get("worksheets")
        for sheet in [notebook, *(sheets if isinstance(sheets, list) else [])]:
            cells = sheet.get("cells") if isinstance(sheet, dict) else None
            yield from (cell for cell in (cells if isinstance(cells, list) else []) if isinstance(cell, dict))


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))
    lines = source if isinstance(source, list) else [source]
    text = "".join(line for line in lines if isinstance(line, str))
    level = cell.get("level")
    return (
        f"{'#' * (level or 1)} {text}" if cell.get("cell_type") == "heading" and isinstance(level, int | None) else text
    )
