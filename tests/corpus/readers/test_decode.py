from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.readers.decode import read_text
from openrealm.errors import BadInput
from openrealm.types import DEFAULT_LIMITS

FRENCH = "L’église de Besançon fut achevée en 1902 par Émile Léger, né à Évreux. Elle brûla près de là.\n"
RUSSIAN = "Мельница была построена в 1902 году инженером из Бремена. Потом она сгорела.\n"
JAPANESE = "水車は1902年に建てられました。その後、火事で焼けてしまいました。\n"


def decoded(path: Path, data: bytes, *, declared: bool = False) -> tuple[str, dict[str, int]]:
    path.write_bytes(data)
    counts: dict[str, int] = {}
    return read_text(path, DEFAULT_LIMITS, declared=declared, counts=counts), counts


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [FRENCH, RUSSIAN])
def test_unicode_is_read_with_and_without_a_mark(tmp_path: Path, text: str, encoding: str) -> None:
    found, counts = decoded(tmp_path / "a.txt", text.encode(encoding))
    assert found == text
    assert counts == ({f"file read as {encoding}": 1} if encoding.endswith("e") else {})


@pytest.mark.parametrize("mark", ["utf-16-be", "utf-32-be", "utf-32-le"])
def test_a_byte_order_mark_is_obeyed_and_left_out(tmp_path: Path, mark: str) -> None:
    assert decoded(tmp_path / "a.txt", ("\ufeff" + JAPANESE).encode(mark)) == (JAPANESE, {})


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [
        (FRENCH, "cp1252", "windows-1252"),
        (RUSSIAN, "cp1251", "windows-1251"),
        (RUSSIAN, "koi8-r", "koi8-r"),
        (JAPANESE, "shift_jis", "cp932"),
        (JAPANESE, "euc-jp", "euc-jp"),
    ],
)
def test_another_encoding_is_detected_and_counted(tmp_path: Path, text: str, encoding: str, name: str) -> None:
    assert decoded(tmp_path / "a.txt", text.encode(encoding)) == (text, {f"file read as {name}": 1})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        # A mark wins over a declaration, valid UTF-8 over a wrong one.
        (b"\xef\xbb\xbf<meta charset=latin1>K\xc3\xb6ln", "<meta charset=latin1>Köln"),
        (b"<meta charset=latin1>K\xc3\xb6ln", "<meta charset=latin1>Köln"),
        # Latin-1 and ASCII mean windows-1252, which has a meaning for every byte.
        (b"<meta charset=iso-8859-1>\x93caf\xe9\x94", "<meta charset=iso-8859-1>“café”"),
        (b'<META content="text/html; charset=us-ascii">\x80\x81', '<META content="text/html; charset=us-ascii">€\x81'),
        (b"<?xml version='1.0' encoding='windows-1250'?>\xb3", "<?xml version='1.0' encoding='windows-1250'?>ł"),
        (b"<!--<meta charset=big5>--><meta charset=cp1250>\xb3", "<!--<meta charset=big5>--><meta charset=cp1250>ł"),
        (b"<p>caf\xe9 \x93au lait\x94", "<p>café “au lait”"),
        (b"<meta charset=gb2312>\xc4\xe3\xba\xc3", "<meta charset=gb2312>你好"),
    ],
)
def test_the_encoding_of_a_page_is_found_as_a_browser_finds_it(tmp_path: Path, data: bytes, text: str) -> None:
    assert decoded(tmp_path / "a.html", data, declared=True)[0] == text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"caf\xe9 au lait", r"is not utf-8 text \(byte 3 is 0xe9\); save it as UTF-8"),
        (b"abc\0def", r"is binary data, not UTF-8 text \(byte 3 is zero\)"),
        (b"\x7fELF\x02\x01\x01" + bytes(60), "is binary data"),
        (bytes(range(256)) * 9, "is binary data"),
        (b"\xff\xfea\0\xd8\xd8", r"is not utf-16-le text \(byte 4 is 0xd8\)"),
        # UTF-8 with a damaged character is not taken for another encoding.
        (("Der Bürgermeister eröffnete die Mühle für Köln. " * 9).encode()[:-30] + b"\xc3 \xff", "is not utf-8 text"),
    ],
)
def test_what_is_no_text_or_unsure_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        decoded(tmp_path / "a.txt", data)


@pytest.mark.parametrize("data", [b"<meta charset=utf-8>caf\xe9", b"<p>\x81\x9d", b"<p>caf\xe9\x02"])
def test_a_page_in_an_unknown_encoding_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadInput, match="is not utf-8 text"):
        decoded(tmp_path / "a.html", data, declared=True)


def test_a_pipe_and_a_device_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    for path in (tmp_path / "pipe.txt", Path("/dev/zero")):
        with pytest.raises(BadInput, match="is not a regular file"):
            read_text(path, DEFAULT_LIMITS)


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, declared: bool) -> None:
    try:
        text, _ = decoded(tmp_path_factory.getbasetemp() / "any.txt", data, declared=declared)
    except BadInput:
        return
    text.encode("utf-8")
    assert "\0" not in text.removeprefix("\0") or data.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff"))
