from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openrealm.corpus.corpus import Corpus
from openrealm.corpus.sources import folder, open_source
from openrealm.corpus.sources.account import Account
from openrealm.errors import BadInput
from openrealm.types import Article


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        list(folder.read(path))
    return str(caught.value)


def reading(path: Path, *, skip_unreadable: bool = False) -> tuple[list[str], dict[str, Any]]:
    """Ids of the articles, and the source's description."""
    source = open_source(path, skip_unreadable=skip_unreadable)
    return [article.id for article in source.articles()], source.description


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
    (root / "b.xlsx").write_text("x")
    (root / "Makefile").write_text("x")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "out").symlink_to(tmp_path)
    (root / "in.txt").symlink_to(root / "a.txt")
    (root / "loop").symlink_to(root)
    (root / "gone.txt").symlink_to(root / "nowhere.txt")
    os.mkfifo(root / "pipe.txt")
    (root / "self.txt").symlink_to("self.txt")
    ids, description = reading(root)
    assert ids == ["a.txt"]
    assert description["skipped"] == {
        "hidden file": 2,
        "blank file": 1,
        "file with extension .xlsx": 1,
        "file without an extension": 1,
        "special file": 1,
        "link out of the folder": 2,
        "link inside the folder": 4,
    }
    assert description["examples"]["blank file"] == ["blank.txt"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"abc\0def", "is binary data, not UTF-8 text (byte 3 is zero)"),
        ("a.md", "# Peru".encode("utf-16")[:-1], "is not utf-16-le text"),
        ("a.txt", b"caf\xe9 au lait", "is not utf-8 text (byte 3 is 0xe9)"),
        ("a.html", b"<meta charset=utf-8><p>caf\xe9", "is not utf-8 text (byte 26 is 0xe9)"),
        ("a.txt", b"x" * 10_000_000, "line 1 has 10,000,000 characters"),
        ("a.pdf", b"%PDF-1.4 broken", "could not be read as PDF"),
    ],
)
def test_a_file_that_is_not_what_it_is_called_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    start = time.process_time()
    found = refusal(tmp_path)
    assert found.startswith(str(tmp_path / name))
    assert message in found
    assert "remove it" in found
    assert time.process_time() - start < 5


def test_html_may_name_its_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b'<meta charset="iso-8859-1"><p>caf\xe9')
    (tmp_path / "b.html").write_bytes(b'<meta charset="klingon"><p>caf\xc3\xa9')
    assert [article.text for article in folder.read(tmp_path)] == ["café", "café"]


def test_a_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2", reason='needs pypdfium2: pip install "openrealm[pdf]"')
    (tmp_path / "paper.pdf").write_bytes(minimal_pdf("Lima is the capital."))
    (tmp_path / "scan.pdf").write_bytes(minimal_pdf(""))
    account = Account()
    [article] = folder.read(tmp_path, account)
    assert (article.id, article.title, article.text) == ("paper.pdf", "paper", "Lima is the capital.")
    assert account.counts["blank file"] == 1


def test_one_file_can_be_the_source(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Lima.")
    [article] = folder.read(tmp_path / "a.txt")
    assert (article.id, article.title, article.text) == ("a.txt", "a", "Lima.")


def test_folders_with_nothing_to_read_are_refused(tmp_path: Path) -> None:
    assert (
        "contains no .txt, .md, .html, .pdf, .jsonl or other known file (it is empty); add some or give another folder"
        in refusal(tmp_path)
    )
    (tmp_path / "a.xlsx").write_text("x")
    (tmp_path / ".b.txt").write_text("x")
    (tmp_path / "c.txt").write_text(" \n")
    assert "(skipped: 1 blank file, 1 file with extension .xlsx, 1 hidden file)" in refusal(tmp_path)


def test_a_name_that_is_not_unicode_is_shown_as_it_can_be(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("Lima.")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    [article] = folder.read(tmp_path)
    assert (article.id, article.title) == ("caf\\xe9.txt", "caf\ufffd")


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as handle:
        handle.truncate((256 << 20) + 1)
    assert "has 268,435,457 bytes, more than 268,435,456; split it" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.txt").chmod(0)
    assert f"{tmp_path / 'a.txt'} could not be read" in refusal(tmp_path)


def test_all_unreadable_files_are_named_at_once_or_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Lima.")
    for n in range(25):
        (tmp_path / f"bad{n:02}.txt").write_bytes(b"abc\0def")
    (tmp_path / "z.jsonl").write_text('{"text": "Cusco."}\n{\n')
    message = refusal(tmp_path)
    assert message.startswith("26 files or rows could not be read; ")
    assert "--skip-unreadable" in message
    assert [f"bad{n:02}.txt" in message for n in (0, 19, 20)] == [True, True, False]
    assert message.endswith("and 6 more")
    ids, description = reading(tmp_path, skip_unreadable=True)
    assert ids == ["a.txt", "z.jsonl:1"]
    assert description["skipped"] == {"unreadable file": 25, "unreadable row": 1}
    assert len(description["examples"]["unreadable file"]) == 20


def test_after_an_unreadable_file_no_article_is_built(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc\0def")
    (tmp_path / "b.txt").write_text("Lima.")
    articles = folder.read(tmp_path)
    with pytest.raises(BadInput, match=r"a\.txt is binary data"):
        next(articles)


def test_shards_are_one_source_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b-00001.jsonl").write_text('{"id": "x", "text": "Two."}\n{"id": "y", "text": "Three."}\n')
    (tmp_path / "b-00000.jsonl.gz").write_bytes(gzip.compress(b'\n{"text": "Zero."}\n{"id": "x", "text": "One."}\n'))
    (tmp_path / "c.tsv").write_text("id\ttext\ttitle\n7\tFour.\tT\n")
    (tmp_path / "d.json").write_text('[{"text": "Five."}]')
    pq.write_table(pa.table({"text": ["Six."]}), tmp_path / "e.parquet")
    source = open_source(tmp_path)
    assert [(article.id, article.text) for article in source.articles()] == [
        ("b-00000.jsonl.gz:2", "Zero."), ("x", "One."), ("x@1", "Two."), ("y", "Three."), ("7", "Four."),
        ("d.json:1", "Five."), ("e.parquet:1", "Six."),
    ]  # fmt: skip
    assert source.description["num_rows"] == 8
    assert source.description["skipped"] == {"blank line": 1}


def test_rows_beside_documents_have_the_path_before_their_ids(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_text('{"id": "x", "text": "One."}\n{"text": "Two."}\n')
    (tmp_path / "readme.md").write_text("Lima.")
    (tmp_path / "package.json").write_text('{\n"name": "x"\n}')
    (tmp_path / "log.jsonl").write_text('{"level": "info"}\n')
    (tmp_path / "prices.csv").write_text("year,price\n1999,3\n")
    (tmp_path / "numbers.tsv").write_text("1\t2\t3\n")
    ids, description = reading(tmp_path)
    assert ids == ["data/a.jsonl:x", "data/a.jsonl:2", "readme.md"]
    assert description["skipped"] == {"data file without a text column": 4}


def test_queries_and_judgements_of_a_beir_data_set_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d1", "title": "", "text": "The mill at Polle."}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "When was the mill built?"}\n')
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    ids, description = reading(tmp_path)
    assert ids == ["d1"]
    assert sum(description["skipped"].values()) == 2


def test_what_is_no_text_of_the_users_is_left_out(tmp_path: Path) -> None:
    for name in (
        "node_modules/x/readme.md", "env/pyvenv.cfg", "env/lib/a.txt", "a/__pycache__/b.txt", "build/a.txt",
        "runs/t/config.json", "runs/t/stages/corpus.json", "runs/t/report.html", "a/kept.txt", "a/drafts/x.txt",
        "a/old.txt", "a/new.txt",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("Lima.")
    Corpus.build([Article("1", "", "Lima.")], tmp_path / "corpus")
    (tmp_path / "corpus" / "notes.txt").write_text("Lima.")
    (tmp_path / ".gitignore").write_text("build/\n*.txt\n!kept.txt\n")
    (tmp_path / "a" / ".gitignore").write_text("/drafts\n!new.txt\n")
    ids, description = reading(tmp_path)
    assert ids == ["a/kept.txt", "a/new.txt"]
    assert description["skipped"] == {
        "hidden file": 2,
        "folder ignored by .gitignore": 2,
        "file ignored by .gitignore": 1,
        "__pycache__ folder": 1,
        "folder of an openrealm artefact": 1,
        "folder of an openrealm run": 1,
        "node_modules folder": 1,
        "virtual environment": 1,
    }
    assert reading(tmp_path / "build")[0] == ["a.txt"], "a folder that is named is read"


def test_building_and_running_inside_the_source_leave_its_identity_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Lima.")
    before = open_source(tmp_path).identity()
    (tmp_path / "runs" / "t" / "stages").mkdir(parents=True)
    (tmp_path / "runs" / "t" / "config.json").write_text("{}")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_text("x")
    assert open_source(tmp_path).identity() == before


def test_git_and_the_walk_agree_on_what_is_ignored(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    names = [
        f"{folder}{name}" for folder in ("", "a/", "a/b/", "doc/", "doc/a/") for name in ("x.txt", "y.md", "z é.txt")
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("Lima.")
    (tmp_path / ".gitignore").write_text("# all\n/x.txt\na/b/\n**/z*\n!doc/z*\n\\#x\n!\ndoc/a/*.md\n")
    (tmp_path / "doc" / ".gitignore").write_text("*.txt\n!/a/x.txt\n")
    git = ["git", "-c", "core.quotepath=false", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    listed = subprocess.run([*git, "ls-files", "-o", "--exclude-standard"], check=True, capture_output=True, text=True)
    kept = sorted(name for name in listed.stdout.splitlines() if not name.endswith(".gitignore"))
    assert sorted(reading(tmp_path)[0]) == kept
    assert 0 < len(kept) < len(names)


def test_folders_a_thousand_deep_are_walked(tmp_path: Path) -> None:
    subprocess.run(["mkdir", "-p", str(tmp_path / ("d/" * 1000))], check=True)
    (tmp_path / ("d/" * 1000) / "a.txt").write_text("Lima.")
    try:
        assert reading(tmp_path)[0] == ["d/" * 1000 + "a.txt"]
        assert len(open_source(tmp_path).identity()) == 3
    finally:
        subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)


def test_names_of_any_bytes_give_unique_ids(tmp_path: Path) -> None:
    try:
        for name in (b"a\xe9.txt", b"a\xe8.txt", b"a\\xe9.txt", b"new\nline.txt", b"\x1b[31m.txt"):
            (tmp_path / os.fsdecode(name)).write_text("Lima.")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    ids = reading(tmp_path)[0]
    assert len(set(ids)) == 5
    for article_id in ids:
        article_id.encode()


def test_an_assumed_encoding_is_a_remark_and_no_file_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b'<meta charset="iso-8859-1"><p>The \x93mill\x94 at Polle')
    source = folder.Files(tmp_path)
    [article] = source.articles()
    assert article.text == "The “mill” at Polle"
    assert source.description["skipped"] == {}
    assert source.description["remarks"] == ["file read as windows-1252: a.html"]
