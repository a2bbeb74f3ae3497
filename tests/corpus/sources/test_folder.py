from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from openrealm.corpus.readers.decode import MAX_FILE_BYTES
from openrealm.corpus.sources import folder
from openrealm.errors import BadInput


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        list(folder.read(path))
    return str(caught.value)


def minimal_pdf(text: str) -> bytes:
    """A PDF of one page, written out by hand; without text it is what a scanner gives."""
    content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode() if text else b""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    data, starts = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        starts.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(data))
    return data + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + trailer


def test_files_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "page.HTML").write_text("<title>Page</title><p>Lima &lt; Peru", encoding="utf-8")
    (tmp_path / "a note.md").write_text("intro\n\n# First\n\nA [link](x).", encoding="utf-8")
    (tmp_path / "c.txt").write_bytes(b"\xef\xbb\xbfCaf\xc3\xa9 &lt;\r\nnext\r\n")
    assert [(article.id, article.title, article.text) for article in folder.read(tmp_path)] == [
        ("a note.md", "First", "intro\nFirst\nA link."),
        ("b/page.HTML", "Page", "Lima < Peru"),
        ("c.txt", "c", "Café &lt;\nnext"),
    ]


def test_hard_wrapped_text_becomes_paragraphs(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "The city of Lima was founded in the year 1535 by a\nSpanish conqueror.\n\nIt is the capital.\n"
    )
    [article] = folder.read(tmp_path)
    assert article.text == ("The city of Lima was founded in the year 1535 by a Spanish conqueror.\nIt is the capital.")


def test_skipped_files_are_counted_by_reason(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / ".git").mkdir(parents=True)
    (root / ".git" / "x.txt").write_text("hidden")
    (root / ".hidden.txt").write_text("hidden")
    (root / "a.txt").write_text("Lima.")
    (root / "blank.txt").write_text(" \n\n")
    (root / "b.docx").write_text("x")
    (root / "Makefile").write_text("x")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "out").symlink_to(tmp_path)
    (root / "in.txt").symlink_to(root / "a.txt")
    (root / "loop").symlink_to(root)
    (root / "gone.txt").symlink_to(root / "nowhere.txt")
    os.mkfifo(root / "pipe.txt")
    skipped = {"from before": 1}
    assert [article.text for article in folder.read(root, skipped=skipped)] == ["Lima."]
    assert skipped == {
        "hidden file": 2,
        "blank file": 1,
        "file with extension .docx": 1,
        "file without an extension": 1,
        "special file": 1,
        "link out of the folder": 2,
        "link inside the folder": 3,
    }


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"abc\0def", "is binary data, not UTF-8 text (byte 3 is zero)"),
        ("a.md", "# Peru".encode("utf-16")[:-1], "is not utf-16-le text"),
        ("a.txt", b"caf\xe9 au lait", "is not utf-8 text (byte 3 is 0xe9)"),
        ("a.html", b"<p>caf\xe9", "is not utf-8 text (byte 6 is 0xe9)"),
        ("a.txt", b"x" * 10_000_000, "line 1 has 10,000,000 characters"),
        ("a.pdf", b"%PDF-1.4 broken", "could not be read as PDF"),
    ],
)
def test_a_file_that_is_not_what_it_is_called_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    start = time.perf_counter()
    found = refusal(tmp_path)
    assert found.startswith(str(tmp_path / name))
    assert message in found
    assert "remove it" in found
    assert time.perf_counter() - start < 5


def test_html_may_name_its_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b'<meta charset="iso-8859-1"><p>caf\xe9')
    (tmp_path / "b.html").write_bytes(b'<meta charset="klingon"><p>caf\xc3\xa9')
    assert [article.text for article in folder.read(tmp_path)] == ["café", "café"]


def test_a_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    pytest.importorskip("pypdf", reason='needs pypdf: pip install "openrealm[pdf]"')
    (tmp_path / "paper.pdf").write_bytes(minimal_pdf("Lima is the capital."))
    (tmp_path / "scan.pdf").write_bytes(minimal_pdf(""))
    skipped: dict[str, int] = {}
    [article] = folder.read(tmp_path, skipped=skipped)
    assert (article.id, article.title, article.text) == ("paper.pdf", "paper", "Lima is the capital.")
    assert skipped == {"blank file": 1}


def test_one_file_can_be_the_source(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Lima.")
    [article] = folder.read(tmp_path / "a.txt")
    assert (article.id, article.title, article.text) == ("a.txt", "a", "Lima.")


def test_folders_with_nothing_to_read_are_refused(tmp_path: Path) -> None:
    assert "contains no .txt, .md, .html or .pdf file (it is empty)" in refusal(tmp_path)
    (tmp_path / "a.docx").write_text("x")
    (tmp_path / ".b.txt").write_text("x")
    assert "(skipped: 1 file with extension .docx, 1 hidden file)" in refusal(tmp_path)
    assert "does not exist" in refusal(tmp_path / "nowhere")


def test_a_name_that_is_not_unicode_is_shown_as_it_can_be(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("Lima.")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    [article] = folder.read(tmp_path)
    assert (article.id, article.title) == ("caf\ufffd.txt", "caf\ufffd")


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as handle:
        handle.truncate(MAX_FILE_BYTES + 1)
    assert "has 268,435,457 bytes, more than 268,435,456; split it" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.txt").chmod(0)
    assert f"{tmp_path / 'a.txt'} could not be read" in refusal(tmp_path)
