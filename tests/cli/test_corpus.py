"""`openrealm corpus`, with the source as an option, and `openrealm corpus build`, with the source as an argument."""

from __future__ import annotations

import bz2
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from openrealm.cli.main import main
from openrealm.config import Config

Built = Callable[..., dict[str, Any]]


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """Twenty towns, a redirect and a list, in four bzip2 streams."""
    prose = "The river runs from the mountains to the sea, and many towns stand on its banks. " * 4
    pages = [
        f"<page><title>{escape(title)}</title><ns>0</ns><id>{n}</id>"
        f"<revision><text>{escape(text)}</text></revision></page>\n"
        for n, (title, text) in enumerate(
            [
                *(
                    (f"Town {n}", f"[[Town {n}]] was founded in {1800 + n} on [[River Ana]]. {prose}")
                    for n in range(20)
                ),
                ("T 1", "#REDIRECT [[Town 1]]"),
                ("List of towns", prose),
            ]
        )
    ]
    parts = ["<mediawiki>", "".join(pages[:10]), "".join(pages[10:]), "</mediawiki>"]
    path = tmp_path / "towns-20260101-pages-articles.xml.bz2"
    path.write_bytes(b"".join(bz2.compress(part.encode()) for part in parts))
    return path


@pytest.fixture
def built(
    toy_config: Callable[..., Config],
    as_settings: Callable[[Config], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Built:
    """Run a command in an empty folder. Returns the manifest's description of the source, or {} if it failed."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*words: str) -> dict[str, Any]:
        code = main([*words, *as_settings(toy_config())])
        manifest = Path("runs/towns/corpus/manifest.json")
        assert (code == 0) == manifest.exists()
        found: dict[str, Any] = json.loads(manifest.read_text())["source"] if code == 0 else {}
        return found

    return run


@pytest.mark.parametrize("words", [["corpus", "--source", "{}"], ["corpus", "build", "{}"]], ids=["option", "argument"])
def test_a_dump_becomes_passages_and_what_is_skipped_is_reported_and_stored(
    words: list[str], dump: Path, built: Built, capsys: pytest.CaptureFixture[str]
) -> None:
    source = built(*(word.format(dump) for word in words), "--run", "towns")
    assert source == {
        "kind": "mediawiki",
        "name": dump.name,
        "skipped": {"redirect": 1, "list": 1},
        "unknown_templates": {},
        "quarantined": [],
    }
    printed = capsys.readouterr().err
    assert "skipped: 1 redirect, 1 list" in printed
    assert "openrealm warm-start --run towns" in printed


def test_a_damaged_dump_stops_or_is_salvaged(dump: Path, built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(dump.read_bytes())
    data[len(data) // 3] ^= 1
    dump.write_bytes(data)
    assert built("corpus", "build", str(dump), "--run", "towns") == {}
    (said,) = re.findall(r"openrealm: (.*)\n", capsys.readouterr().err)
    assert re.search(r"towns-.*bz2 is damaged at byte \d+ \(.*\); .* with --salvage", said)
    assert not Path("runs").exists()
    source = built("corpus", "build", str(dump), "--run", "towns", "--salvage")
    assert 0 < source["losses"][0]["start"] <= len(data) // 3 < source["losses"][0]["end"]
    assert source["skipped"]["damaged range"] == len(source["losses"])
    assert "damaged range" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["build", "wikipedia"], "--wiki and --date choose a Wikipedia dump"),
        (["build", "wikipedia", "--wiki", "simplewiki"], "--wiki and --date choose a Wikipedia dump"),
        (
            ["build", "factbook", "--wiki", "simplewiki", "--date", "20260101"],
            "--wiki and --date choose a Wikipedia dump",
        ),
        (
            ["build", "wikipedia", "--wiki", "simple wiki", "--date", "20260101"],
            "does not have the form wikipedia:WIKI:DATE",
        ),
        (["--salvage", "build", "factbook"], "Options must come after build"),
        (["build", "nowhere.xml.bz2"], "nowhere.xml.bz2 does not exist"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_leaves_nothing(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["corpus", *words]) == 2
    printed = capsys.readouterr().err
    assert re.fullmatch(r"openrealm: .+\n", printed)
    assert sentence in printed
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_says_why(
    built: Built, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENREALM_MIRROR", "http://127.0.0.1:9")  # a port where nothing listens
    monkeypatch.setenv("OPENREALM_CACHE", str(tmp_path / "cache"))
    assert built("corpus", "build", "wikipedia", "--wiki", "simplewiki", "--date", "20260101", "--run", "towns") == {}
    assert re.search(
        r"http://127.0.0.1:9/simplewiki/20260101/simplewiki-20260101-sha1sums.txt could not be downloaded \(.*\); run "
        r"the same command again to continue, or download simplewiki-20260101-pages-articles.xml.bz2 by other means",
        capsys.readouterr().err,
    )
    assert not Path("runs").exists()
