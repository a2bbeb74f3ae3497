"""Bytes of a text file as text."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from openrealm.corpus.clean import check_line_lengths
from openrealm.errors import BadInput

MAX_FILE_BYTES = 256 << 20

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?([\w:.-]{1,40})", re.IGNORECASE)


def read_text(path: Path, *, declared: bool = False) -> str:
    """The file's text with "\\n" as line ends. With `declared`, an HTML file may declare an encoding other than UTF-8.

    Raises BadInput when the file is not text, is too large, or cannot be read.
    """
    data = read_bytes(path)
    encoding = (_declared_encoding(data) if declared else "") or "utf-8"
    offset = data.find(b"\0")
    if offset >= 0:
        kind = "UTF-16" if data.startswith(_UTF16_MARKS) else "binary data"
        raise BadInput(f"{path} is {kind}, not UTF-8 text (byte {offset} is zero); save it as UTF-8 or remove it.")
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not {encoding} text (byte {error.start} is 0x{data[error.start]:02x}); "
            "save it as UTF-8 or remove it from the folder."
        ) from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    check_line_lengths(text, str(path))
    return text


def read_bytes(path: Path) -> bytes:
    """The file's bytes; raises BadInput for more than MAX_FILE_BYTES."""
    try:
        if (num_bytes := path.stat().st_size) > MAX_FILE_BYTES:
            raise BadInput(
                f"{path} has {num_bytes:,} bytes, more than {MAX_FILE_BYTES:,}; split it or convert it to .jsonl."
            )
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} could not be read ({error.strerror}); check its permissions.") from error


def _declared_encoding(data: bytes) -> str:
    match = _CHARSET.search(data[:4096])
    try:
        return codecs.lookup(match.group(1).decode("ascii")).name if match else ""
    except LookupError:
        return ""
