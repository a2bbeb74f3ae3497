"""Word documents, converted to HTML by mammoth."""

from __future__ import annotations

from pathlib import Path

from openrealm.corpus.clean import check_line_lengths
from openrealm.corpus.readers import Document
from openrealm.corpus.readers.page import read_page
from openrealm.corpus.readers.zipped import opened_archive
from openrealm.errors import BadInput, NotInstalled
from openrealm.types import DEFAULT_LIMITS, Limits

_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => h2:fresh"


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> Document:
    """Paragraphs, headings, lists, tables and notes. The part of a piece is its number, from 1.

    Raises NotInstalled without mammoth, BadInput when the file is damaged or too large.
    """
    try:
        import mammoth
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f'Reading {path} needs mammoth; install it with: pip install "openrealm[office]".'
        ) from error
    with opened_archive(path, "a Word document", limits):
        pass  # its size is checked before it is converted
    try:
        with path.open("rb") as handle:
            no_images = mammoth.images.img_element(lambda image: {"src": ""})
            markup = mammoth.convert_to_html(handle, style_map=_STYLES, convert_image=no_images).value
    except Exception as error:  # a damaged document makes the library raise nearly anything
        raise BadInput(f"{path} could not be read as a Word document ({error}); repair it or remove it.") from error
    page = read_page(markup, markup)
    for piece in page.pieces:
        check_line_lengths(piece.text, str(path), limits)
    pieces = (piece._replace(position=0, part=number) for number, piece in enumerate(page.pieces, start=1))
    return Document(page.title, tuple(pieces))
