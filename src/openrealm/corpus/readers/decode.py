"""Bytes of a text file as text: Unicode, the encoding that an HTML file declares, or a detected one."""

from __future__ import annotations

import codecs
import re
import stat
from collections import Counter
from collections.abc import MutableMapping
from pathlib import Path

from openrealm.corpus.clean import check_line_lengths
from openrealm.errors import BadInput
from openrealm.types import Limits

# UTF-32 before UTF-16: the mark of UTF-32-LE begins with that of UTF-16-LE.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_DECLARATION = re.compile(
    rb"<meta[\s/][^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w:.-]{1,40})"
    rb"|\A\s{0,99}<\?xml\s[^>]{0,200}?encoding\s{0,9}=\s{0,9}[\"']([\w:.-]{1,40})",
    re.IGNORECASE,
)
_DECLARED_WITHIN_BYTES = 4096
# chardet's confidence is low by nature where only a few letters are not ASCII. Of 178 phrases of 50 bytes and more in
# 14 languages and encodings that reach this, 177 are decoded correctly; shorter ones are too often wrong.
_MIN_CONFIDENCE = 0.1
_MIN_DETECTED_BYTES = 50
_DETECTED_WITHIN_BYTES = 200_000
_MIN_UTF16_UNITS = 16
_LEAST_READ = 1 << 20  # some files of /proc say that they are empty
_CONTROLS = re.compile("[\x01-\x08\x0e-\x1a\x1c-\x1f]")
# The WHATWG's windows-1252 has no gaps: these five bytes are the control characters of the same number.
_UNDEFINED_BYTES = (0x81, 0x8D, 0x8F, 0x90, 0x9D)
_UNDEFINED_IN_WINDOWS_1252 = {0xDC00 + byte: byte for byte in _UNDEFINED_BYTES}


def read_text(
    path: Path, limits: Limits, *, declared: bool = False, counts: MutableMapping[str, int] | None = None
) -> str:
    """The file's text without a byte order mark and with "\\n" as line ends.

    The encoding is found as browsers find it: by a byte order mark; UTF-8 if the bytes are valid UTF-8; with
    `declared`, what an HTML or XML file declares (iso-8859-1 means windows-1252). Else it is detected, if it can be
    told with some confidence; a page that declares nothing is windows-1252 if it cannot. An encoding that was assumed
    is counted in `counts`: {"file read as windows-1252": 1}.
    Raises BadInput when the file is not text, is too large, or cannot be read, and without `declared` for a line that
    is too long.
    """
    data = read_bytes(path, limits)
    text, encoding = _decoded(data, path, declared)
    if counts is not None and encoding != "utf-8":
        reason = f"file read as {encoding}"
        counts[reason] = counts.get(reason, 0) + 1
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not declared:
        check_line_lengths(text, str(path), limits)
    return text


def read_bytes(path: Path, limits: Limits) -> bytes:
    """The file's bytes; raises BadInput for a device or a pipe, and for a file that is too large."""
    most = limits.max_file_mb << 20
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise BadInput(f"{path} is not a regular file; give a file or a folder of files.")
        if info.st_size > most:
            raise BadInput(
                f"{path} has {info.st_size:,} bytes, more than {most:,}; split it, convert it to .jsonl, or raise "
                "corpus.max_file_mb."
            )
        with path.open("rb") as file:
            return file.read(max(info.st_size, _LEAST_READ))
    except OSError as error:
        raise BadInput(f"{path} could not be read ({error.strerror}); check its permissions.") from error


def _decoded(data: bytes, path: Path, declared: bool) -> tuple[str, str]:
    """Text and the encoding's name, which is "utf-8" where nothing was assumed."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    if encoding.startswith("utf-16") or encoding.startswith("utf-32"):
        return _strictly(data, encoding, path), "utf-8"
    zero = data.find(b"\0")
    if zero >= 0:
        encoding = _utf16_without_mark(data)
        if not encoding:
            raise BadInput(
                f"{path} is binary data, not UTF-8 text (byte {zero} is zero); save it as UTF-8 or remove it."
            )
        return _strictly(data, encoding, path), encoding
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        # Detection is slow, so it comes only where no declaration helps.
        for find in (_declared_encoding, _detected_encoding, _usual_encoding) if declared else (_detected_encoding,):
            name = find(data)
            if name and (text := _attempt(data, name)) is not None:
                return text, name
    return _strictly(data, "utf-8", path), "utf-8"


def _strictly(data: bytes, encoding: str, path: Path) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not {encoding} text (byte {error.start} is 0x{data[error.start]:02x}); "
            "save it as UTF-8 or remove it from the folder."
        ) from error


def _attempt(data: bytes, encoding: str) -> str | None:
    """The text, or None where the bytes are not valid in this encoding."""
    from webencodings import lookup

    known = lookup(encoding)
    try:
        if known is not None and known.name == "windows-1252":
            return data.decode("cp1252", "surrogateescape").translate(_UNDEFINED_IN_WINDOWS_1252)
        return known.codec_info.decode(data, "strict")[0] if known is not None else data.decode(encoding)
    except (UnicodeError, LookupError):
        return None


def _declared_encoding(data: bytes) -> str:
    """The WHATWG's name of the encoding that a page declares, or ""."""
    from webencodings import lookup

    known = lookup(_declared_label(data))
    # A page that could be searched for ASCII is not in UTF-16; "replacement" stands for encodings that are unsafe.
    return known.name if known is not None and not known.name.startswith(("utf-16", "replacement")) else ""


def _declared_label(data: bytes) -> str:
    match = _DECLARATION.search(_COMMENT.sub(b"", data[:_DECLARED_WITHIN_BYTES]))
    return (match.group(1) or match.group(2)).decode("ascii", "replace") if match else ""


def _detected_encoding(data: bytes) -> str:
    """The most likely encoding of bytes that are not UTF-8, or "" when that is unsure or they are hardly text."""
    import chardet
    from webencodings import lookup

    lines = data.splitlines(keepends=True)
    sample = b"".join(line for line in lines if not line.isascii())[:_DETECTED_WITHIN_BYTES]
    if len(sample) < _MIN_DETECTED_BYTES:
        return ""
    lossy = sample.decode("utf-8", "replace")
    num_wrong = lossy.count("\ufffd")
    if sum(not character.isascii() for character in lossy) > 2 * num_wrong:
        return ""  # mostly UTF-8, and damaged
    eras = chardet.EncodingEra.MODERN_WEB | chardet.EncodingEra.LEGACY_ISO
    found = chardet.detect(sample, encoding_era=eras)
    name = found["encoding"]
    if name is None or (found["confidence"] or 0) < _MIN_CONFIDENCE or name.lower().startswith("utf"):
        return ""
    text = _attempt(data, name)
    if text is None or _CONTROLS.search(text):
        return ""
    known = lookup(name)
    return known.name if known is not None else name.lower()


def _usual_encoding(data: bytes) -> str:
    """What browsers assume where a page declares nothing, "windows-1252"; "" if that gives no text, or it declares."""
    if _declared_label(data) or any(byte in data for byte in _UNDEFINED_BYTES):
        return ""
    return "windows-1252" if not _CONTROLS.search(data.decode("latin-1")) else ""


def _utf16_without_mark(data: bytes) -> str:
    """ "utf-16-le" or "utf-16-be" if the zero bytes tell so, else "".

    In text of an alphabet nearly all high bytes have one or two values, and that of ASCII, zero, is one of them.
    """
    sample = data[:_DETECTED_WITHIN_BYTES]
    if len(data) % 2 or len(sample) < 2 * _MIN_UTF16_UNITS:
        return ""
    for name, high, low in (("utf-16-le", sample[1::2], sample[::2]), ("utf-16-be", sample[::2], sample[1::2])):
        common = Counter(high).most_common(2)
        if 0 in dict(common) and 0 not in low and sum(count for _, count in common) > 0.9 * len(high):
            try:
                text = data.decode(name)
            except UnicodeDecodeError:
                continue
            if not _CONTROLS.search(text) and "\0" not in text:
                return name
    return ""
