"""The live view in Chromium: it follows a run that is written meanwhile, and nothing of the corpus runs in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openrealm import files
from openrealm.config import Config
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.masking.tagger import RulesTagger
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make test-browser)")
expect = playwright_api.expect
pytestmark = pytest.mark.browser

HOSTILE = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"


class Run:
    """A run as a training writes it, row by row."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self.folder, self.corpus, self.step = folder, corpus, 0
        files.write_sealed(folder / "config.json", Config(name="live").to_dict())
        self.record("corpus", finished=True)
        self.record("pretrain", finished=False)
        queries = [
            {"query": f"Who baked [MASK]? {HOSTILE}", "gold": "bread", "kind": "entity"},
            {"query": "The mill is [MASK].", "gold": "old", "kind": "entity"},
        ]
        heldout = {"corpus": corpus.digest, "queries": queries}
        files.write_json(folder / "pretrain" / "heldout.json", heldout)
        self.append("progress", step=0, time=time.time() - 60, share_done=0.0, memory_bytes=2**30, num_steps=200)
        self.evaluate()

    def record(self, stage: str, *, finished: bool) -> None:
        values = {"key": "k", "finished": finished, "seconds": 75.0, "peak_memory_bytes": 0, "files": {}}
        values = {"stage": stage, **values}
        files.write_sealed(self.folder / "stages" / f"{stage}.json", values)

    def append(self, name: str, **row: Any) -> None:
        files.append_line(self.folder / "pretrain" / f"{name}.jsonl", json.dumps(row, separators=(",", ":")))

    def train(self, num_steps: int) -> None:
        for _ in range(num_steps):
            self.step += 1
            self.append("metrics", step=self.step, split="train", loss=5.0, staleness_steps=self.step, refreshing=1)
        share = self.step / 200
        self.append("progress", step=self.step, time=time.time(), share_done=share, memory_bytes=2**31)

    def evaluate(self, index: str = "00000000-aa") -> None:
        utility = self.step / 100
        self.append("metrics", step=self.step, split="heldout", loss=4.0, null_loss=5.5, retrieval_utility=utility)
        self.append(
            "retrieved", step=self.step, index=index, passages=[[-1, 0], [-1, 1]], probability=[[0.25, 0.75]] * 2,
            utility=[[0.0, utility]] * 2,
        )  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, tokenizer: Tokenizer) -> Run:
    articles = [Article("1", HOSTILE, f"Anna baked bread. {HOSTILE}"), Article("2", "Mill", "The mill is old.")]
    folder = tmp_path / "live"
    source = {"kind": "toy"}
    build_corpus(articles, folder / "corpus", tokenizer, max_passage_tokens=400, tagger=RulesTagger(), source=source)
    return Run(folder, Corpus.open(folder / "corpus"))


@pytest.fixture
def locked(run: Run) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the run's lock, as the one that trains does."""
    program = (
        "import pathlib, sys\nfrom openrealm import files\n"
        f"with files.sole_writer(pathlib.Path({str(run.folder)!r})):\n    print(flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


class Server:
    def __init__(self, folder: Path, port: int = 0) -> None:
        command = [sys.executable, "-m", "openrealm.cli", "watch", str(folder), "--port", str(port)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self.process.stderr.readline())
        assert found is not None
        self.url, self.port = found[0], int(found[1])

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)


@pytest.fixture
def server(run: Run, locked: object) -> Iterator[Server]:
    server = Server(run.folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
    if chromium is None:
        pytest.skip("Chromium is not installed (on Debian and Ubuntu: apt install chromium)")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """The live page; the test fails if it runs what it should show, complains, or asks another server."""
    context = browser.new_context()
    page = context.new_page()
    wrongs: list[str] = []
    page.on("console", lambda m: wrongs.append(m.text) if "ERR_CONNECTION_REFUSED" not in m.text else None)
    page.on("pageerror", lambda error: wrongs.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith((server.url, "data:")) else wrongs.append(asked.url))
    page.goto(server.url)
    expect(page.locator(".plot canvas").first).to_be_visible(timeout=30_000)
    yield page
    context.close()
    assert wrongs == []


def test_the_page_follows_the_training(page: Any, run: Run, locked: subprocess.Popen[bytes]) -> None:
    status = page.get_by_role("status")
    expect(status).to_contain_text("step 0 of 200")
    run.train(50)
    expect(status).to_contain_text("step 50 of 200", timeout=15_000)
    expect(status).to_contain_text("index 50 steps old, being refreshed")
    expect(status).to_contain_text(re.compile(r"about \d+:\d\d min left \(until .+\)"))
    expect(status).to_contain_text("2.00 GiB")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "25")
    expect(page.get_by_role("slider", name="Loss with and")).to_have_attribute("aria-valuemax", "50")
    run.evaluate()
    expect(page.get_by_role("slider", name="Retrieval utility, by")).to_have_attribute(
        "aria-valuetext", "step 50: held-out 0.5", timeout=15_000
    )
    assert locked.stdin is not None
    locked.stdin.close()
    locked.wait(20)
    expect(status).to_contain_text("The run was interrupted.", timeout=15_000)
    expect(page.locator(".stages .interrupted")).to_contain_text("Pre-training")


def test_a_training_that_goes_on_from_a_checkpoint_is_drawn_anew(page: Any, run: Run) -> None:
    run.train(60)
    losses = page.get_by_role("slider", name="Loss with and")
    expect(losses).to_have_attribute("aria-valuemax", "60", timeout=15_000)
    files.truncate_lines(run.folder / "pretrain" / "progress.jsonl", 1)
    files.truncate_lines(run.folder / "pretrain" / "metrics.jsonl", 21)
    expect(losses).to_have_attribute("aria-valuemax", "20", timeout=15_000)


def test_what_is_retrieved_appears_with_each_version_and_as_text(page: Any, run: Run) -> None:
    expect(page.locator(".query")).to_have_count(2)
    expect(page.locator(".side").first).to_contain_text(HOSTILE)
    expect(page.locator(".side mark")).to_have_text(["bread"])
    run.train(40)
    run.evaluate("00000030-bb")
    expect(page.get_by_role("button", name="step 40")).to_be_visible(timeout=15_000)
    expect(page.locator(".query .change").first).to_have_text("+0.00 → +0.40")
    page.locator(".query").nth(1).click()
    expect(page.locator(".asked")).to_contain_text("The mill is [MASK].")
    assert page.title() == "live: live"


def test_a_server_that_stops_is_reported_until_it_is_back(page: Any, run: Run, server: Server) -> None:
    server.stop()
    expect(page.get_by_role("alert")).to_contain_text("is openrealm watch still running?", timeout=15_000)
    again = Server(run.folder, server.port)
    try:
        run.train(30)
        expect(page.get_by_role("status")).to_contain_text("step 30 of 200", timeout=15_000)
        expect(page.get_by_role("alert")).to_be_hidden()
    finally:
        again.stop()


def test_the_tables_appear_once_there_is_a_report(page: Any, run: Run) -> None:
    page.locator(".query").nth(1).click()
    files.write_json(run.folder / "report.json", {"systems": {"realm": {"em": 0.5}}, "questions": 100})
    expect(page.get_by_role("heading", name="Question answering")).to_be_visible(timeout=15_000)
    expect(page.locator(".asked")).to_contain_text("The mill is [MASK].", timeout=15_000)
