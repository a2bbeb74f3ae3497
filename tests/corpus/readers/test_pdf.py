from __future__ import annotations

import zlib
from itertools import pairwise
from pathlib import Path

import pytest

from openrealm.corpus.readers import Document
from openrealm.corpus.readers.boxed import DocumentBox
from openrealm.corpus.readers.pdf import read
from openrealm.corpus.sources import folder, open_source
from openrealm.errors import BadInput
from openrealm.types import Limits

pytest.importorskip("pypdfium2", reason='needs pypdfium2: pip install "openrealm[pdf]"')

ENCRYPTED = Path(__file__).parents[2] / "data" / "pdf"
Drawn = tuple[int, int, str]


def pdf(*pages: list[Drawn], title: str = "") -> bytes:
    """A PDF written by hand: each page draws texts in Helvetica of 10 points at (x, y)."""
    drawn = ("".join(f"BT /F1 10 Tf {x} {y} Td ({text}) Tj ET\n" for x, y, text in page) for page in pages)
    return of_streams(*(page.encode("cp1252") for page in drawn), title=title)


def of_streams(*pages: bytes, title: str = "", filters: bytes = b"") -> bytes:
    """A PDF of pages with these content streams, to which the filters were applied."""
    first = 4
    kids = b" ".join(b"%d 0 R" % (first + 2 * i) for i in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for i, page in enumerate(pages):
        resources = b"<< /Font << /F1 3 0 R >> >>"
        contents = b"/Contents %d 0 R /Resources %s" % (first + 2 * i + 1, resources)
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] %s >>" % contents)
        objects.append(b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(page), filters, page))
    objects.append(b"<< /Title (%s) >>" % title.encode())
    data, starts = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        starts.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>" % (len(objects) + 1, len(objects))
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table
    return data + table + trailer + b"\nstartxref\n%d\n%%%%EOF\n" % len(data)


def bomb(piece: bytes, num_megabytes: int) -> bytes:
    """A PDF whose only page has a stream of that size, which is compressed to about a thousandth."""
    packer = zlib.compressobj(9)
    megabyte = piece * ((1 << 20) // len(piece))
    first, following = (packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return of_streams(first + following * (num_megabytes - 1), filters=b"/Filter /FlateDecode")


def column(x: int, y: int, *lines: str) -> list[Drawn]:
    return [(x, y - 12 * n, line) for n, line in enumerate(lines)]


def document(path: Path, *pages: list[Drawn], title: str = "") -> Document:
    path.write_bytes(pdf(*pages, title=title))
    return read(path)


def text_of(found: Document) -> str:
    return found.article("a", "a").text


def test_columns_are_read_one_after_the_other_and_sentences_put_together(tmp_path: Path) -> None:
    left = column(50, 700, "The inn at Grohnde was", "closed in 1988 by Eva", "Roth from Linse and is", "a school now.")
    right = column(300, 700, "The ferry at Heinsen", "was given up when the", "bridge was finished by", "the town.")
    assert text_of(document(tmp_path / "a.pdf", left + right)) == (
        "The inn at Grohnde was closed in 1988 by Eva Roth from Linse and is a school now.\n"
        "The ferry at Heinsen was given up when the bridge was finished by the town."
    )


def test_columns_drawn_row_by_row_are_taken_apart_and_tables_are_not(tmp_path: Path) -> None:
    left = column(50, 700, "The inn at Grohnde was", "closed in 1988 by Eva", "Roth from Linse and is", "a school now.")
    right = column(300, 700, "The ferry at Heinsen", "was given up when the", "bridge was finished by", "the town.")
    rows = [drawn for row in zip(left, right, strict=True) for drawn in row]
    title = (50, 740, "Inns and ferries of the Weser and of the towns on both of its banks, told by")
    assert text_of(document(tmp_path / "a.pdf", [title, *rows, *column(300, 652, "It is missed by many.")])) == (
        "Inns and ferries of the Weser and of the towns on both of its banks, told by\n"
        "The inn at Grohnde was closed in 1988 by Eva Roth from Linse and is a school now.\n"
        "The ferry at Heinsen was given up when the bridge was finished by the town.\nIt is missed by many."
    )
    towns = ["Hameln", "Polle", "Linse", "Grohnde", "Heinsen"]
    names = [(50, 700 - 12 * n, f"{town} on the Weser") for n, town in enumerate(towns)]
    years = [(300, 700 - 12 * n, f"since {1890 + n}, with a mill") for n in range(5)]
    table = document(tmp_path / "b.pdf", [drawn for row in zip(names, years, strict=True) for drawn in row])
    assert text_of(table).split("\n")[0] == "Hameln on the Weser since 1890, with a mill"


def test_a_sentence_goes_on_in_the_next_column_and_on_the_next_page(tmp_path: Path) -> None:
    left = column(50, 700, "The inn at Grohnde was", "closed in 1988 by Eva")
    right = column(300, 700, "Roth from Linse, who", "sold it to the town of")
    found = document(tmp_path / "a.pdf", left + right, column(50, 700, "Hameln. It is a school."))
    assert text_of(found) == (
        "The inn at Grohnde was closed in 1988 by Eva Roth from Linse, who sold it to the town of Hameln. "
        "It is a school."
    )
    article = found.article("a", "a")
    assert [line.part for line in article.lines] == [1, 1, 1, 1, 2]
    assert article.text[article.lines[-1].start :].startswith("Hameln")


def test_a_wide_gap_ends_a_paragraph(tmp_path: Path) -> None:
    lines = column(50, 700, "The inn at Grohnde was", "closed in 1988 by Eva") + column(
        50, 650, "Roth and Sons of Linse"
    )
    assert text_of(document(tmp_path / "a.pdf", lines)).split("\n")[1] == "Roth and Sons of Linse"


def test_hyphens_at_line_ends(tmp_path: Path) -> None:
    lines = ["The engineer was a self-", "taught man from Bremen-", "Vegesack; his thirty-", "one inns cost 5-"]
    lines += ["6 marks, and infor-", "mation about them is free."]
    assert text_of(document(tmp_path / "a.pdf", column(50, 700, *lines))) == (
        "The engineer was a self-taught man from Bremen-Vegesack; his thirty-one inns cost 5-6 marks, and information "
        "about them is free."
    )


def test_pages_without_text_are_counted(tmp_path: Path) -> None:
    found = document(tmp_path / "a.pdf", [], column(50, 700, "Only this page has text."), [])
    assert text_of(found) == "Only this page has text."
    assert found.counts == {"page without text": 2}
    assert text_of(document(tmp_path / "b.pdf", [])) == ""


def test_a_folder_of_scans_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(pdf([], []))
    with pytest.raises(
        BadInput, match=r"scan\.pdf contains no text \(.*\): it is probably scanned; run OCR on it first"
    ):
        list(folder.read(tmp_path))


def test_heads_and_page_numbers_are_dropped_and_counted(tmp_path: Path) -> None:
    bodies = ["The inn at Grohnde was closed by", "Eva Roth in 1988, and nobody knows", "why she did it."]
    pages = [[(50, 780, "Inns of the Weser"), (290, 20, str(n)), (50, 700, body)] for n, body in enumerate(bodies, 9)]
    found = document(tmp_path / "a.pdf", *pages)
    assert text_of(found) == " ".join(bodies)
    assert found.counts == {"page header or footer": 6}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Inns of the Weser", "Inns of the Weser"),
        ("Microsoft Word - inns.doc", "a"),
        ("untitled", "a"),
        ("inns.tex", "a"),
    ],
)
def test_a_title_that_somebody_gave_is_taken(tmp_path: Path, title: str, expected: str) -> None:
    found = document(tmp_path / "a.pdf", column(50, 700, "Some text."), title=title)
    assert found.article("a", "a").title == expected


def test_encrypted_files_are_read_if_they_need_no_password() -> None:
    assert text_of(read(ENCRYPTED / "aes-no-password.pdf")) == "The ferry at Linse was built in 1871 by Ida Lund."
    with pytest.raises(BadInput, match=r"aes-password\.pdf needs a password; remove the password or the file\."):
        read(ENCRYPTED / "aes-password.pdf")


def test_damaged_files_are_refused_in_a_sentence_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = pdf(column(50, 700, "Some text."))
    for data in (b"", b"%PDF-1.4 broken", whole[: len(whole) // 4], b"\0" * 999):
        (tmp_path / "a.pdf").write_bytes(data)
        with pytest.raises(BadInput, match=r"a\.pdf is damaged and could not be read as PDF; repair it or remove it\."):
            read(tmp_path / "a.pdf")
    assert capfd.readouterr() == ("", "")


def test_positions_count_the_characters_of_the_page(tmp_path: Path) -> None:
    found = document(tmp_path / "a.pdf", column(50, 700, "One line here.", "Another line there."))
    assert [(piece.position, piece.part) for piece in found.pieces] == [(0, 1), (16, 1)]
    assert all(a.position < b.position for a, b in pairwise(found.pieces))


def test_every_character_of_a_text_comes_through(tmp_path: Path) -> None:
    assert text_of(document(tmp_path / "a.pdf", column(50, 700, "Café “Zoë” – 5 €"))) == "Café “Zoë” – 5 €"


def test_a_file_that_takes_more_than_the_gigabyte_is_unreadable_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(column(50, 700, "The inn.")))
    (tmp_path / "b.pdf").write_bytes(bomb(b" ", 1500))
    (tmp_path / "c.pdf").write_bytes(pdf(column(50, 700, "The ferry.")))
    assert (tmp_path / "b.pdf").stat().st_size < 2 << 20
    with pytest.raises(BadInput, match=r"b\.pdf takes more than 1,024 MB of memory to read; .*max_file_memory_mb"):
        list(folder.read(tmp_path))
    source = open_source(tmp_path, skip_unreadable=True)
    assert [article.text for article in source.articles()] == ["The inn.", "The ferry."]
    assert source.description["skipped"] == {"unreadable file": 1}
    assert "b.pdf takes more than 1,024 MB" in source.description["examples"]["unreadable file"][0]


def test_a_file_that_takes_too_long_ends_its_child(tmp_path: Path) -> None:
    (tmp_path / "slow.pdf").write_bytes(bomb(b"BT /F1 10 Tf 50 700 Td (The inn) Tj ET\n", 40))
    (tmp_path / "a.pdf").write_bytes(pdf(column(50, 700, "The inn.")))
    box = DocumentBox(Limits(max_file_seconds=0.5))
    try:
        with pytest.raises(BadInput, match=r"slow\.pdf takes more than 0\.5 s to read; .*max_file_seconds"):
            box.read(tmp_path / "slow.pdf")
        assert box.read(tmp_path / "a.pdf") == read(tmp_path / "a.pdf")
    finally:
        box.close()


def test_a_file_of_too_much_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    line = b"BT /F1 10 Tf 50 %d Td (" + b"The inn. " * 60 + b") Tj ET\n"
    page = zlib.compress(b"".join(line % (20 + 15 * n) for n in range(50)))
    path.write_bytes(of_streams(*[page] * 45, filters=b"/Filter /FlateDecode"))
    with pytest.raises(BadInput, match=r"a\.pdf has more than 1,048,576 characters of text; .*corpus\.max_file_mb"):
        read(path, Limits(max_file_mb=1))
