"""A corpus built by real processes: the same bytes whatever their number, and whatever is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from openrealm.corpus import builder
from openrealm.corpus.blocks import PassageKind, PassageRule, cut
from openrealm.corpus.builder import build_corpus, is_begun, unfinished
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.tagger import Tagger
from openrealm.errors import BadInput, Busy, WorkerDied
from openrealm.masking.tagger import RulesTagger
from openrealm.registry import TAGGERS
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article, Span

PLACES = "Lima Quito Santiago Bogotá Asunción Caracas".split()  # noqa: SIM905


def articles(num_articles: int = 60) -> list[Article]:
    """Articles with a repeat and a mirror in every shard; twelve make a shard."""
    rng = random.Random(3)
    found = []
    for number in range(num_articles):
        place, other = rng.sample(PLACES, 2)
        text = (
            f"The river {number} runs from {place} to {other}.\nIt was named by {other} on {1 + number % 28} May 1821."
        )
        found.append(Article(str(number), place, text))
        if number % 5 == 4:
            found[-1] = Article(str(number), found[-2].title, found[-2].text)
        if number % 7 == 6:
            found[-1] = Article(str(number), "Mirror", found[0].text.upper())
    return found


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "_SHARD_ARTICLES", 12)


def build(folder: Path, tokenizer: Tokenizer, given: Iterator[Article] | None = None, **options: Any) -> Corpus:
    options = {"tagger": "rules", **options}
    return build_corpus(given or iter(articles()), folder, tokenizer, max_passage_tokens=24, source={}, **options)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """The corpus as one process builds it without a break."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "_SHARD_ARTICLES", 12)
        return build(tmp_path_factory.mktemp("undisturbed") / "corpus", tokenizer).folder


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_any_number_of_workers_gives_the_same_bytes(
    tmp_path: Path, tokenizer: Tokenizer, undisturbed: Path, num_workers: int
) -> None:
    corpus = build(tmp_path / "corpus", tokenizer, num_workers=num_workers)
    assert content(corpus.folder) == content(undisturbed)
    assert os.listdir(tmp_path) == ["corpus"]


@pytest.mark.parametrize(("kind", "max_words"), [("words", 8), ("paragraphs", 100)])
def test_workers_cut_by_the_same_rule(tmp_path: Path, tokenizer: Tokenizer, kind: PassageKind, max_words: int) -> None:
    rule = PassageRule(24, kind, max_words)
    cut_so = {"passages": kind, "max_passage_words": max_words}
    alone = build(tmp_path / "alone", tokenizer, **cut_so)
    assert content(build(tmp_path / "shared", tokenizer, num_workers=2, **cut_so).folder) == content(alone.folder)
    assert PassageRule.of(alone.settings) == rule
    expected = {p.text for article in articles() for p in cut(article, tokenizer, rule)}
    assert {alone.passage(i).text for i in range(len(alone))} == expected


def test_repeats_and_groups_are_found_across_shards(undisturbed: Path) -> None:
    corpus = Corpus.open(undisturbed, verify=True)
    passages = [corpus.passage(i) for i in range(len(corpus))]
    assert len(list(undisturbed.glob("*.parquet"))) == 5
    assert len({p.id for p in passages}) == len(passages)
    assert corpus.manifest["num_repeated_passages"] > 5
    mirrored = [i for i, p in enumerate(passages) if p.title == "Mirror"]
    assert any(corpus.group(i) < mirrored[0] for i in mirrored)


def broken_off(after: int) -> Iterator[Article]:
    yield from articles()[:after]
    raise BadInput("line 41 is not JSON")


def test_whole_shards_are_kept_and_others_made_again(tmp_path: Path, tokenizer: Tokenizer, undisturbed: Path) -> None:
    folder = tmp_path / "corpus"
    with pytest.raises(BadInput, match="line 41"):
        build(folder, tokenizer, broken_off(40))
    assert not folder.exists()
    parts = sorted(unfinished(folder).glob("cut-*"))
    assert len(parts) == 3
    (parts[1] / "arrays.safetensors").write_bytes(b"damaged")
    kept = parts[0].stat().st_ino, parts[2].stat().st_ino
    spoiled = parts[1].stat().st_ino

    def watched() -> Iterator[Article]:
        yield from articles()
        assert (parts[0].stat().st_ino, parts[2].stat().st_ino) == kept
        assert parts[1].stat().st_ino != spoiled

    assert content(build(folder, tokenizer, watched()).folder) == content(undisturbed)
    assert not unfinished(folder).exists()


def test_shards_of_another_source_or_settings_are_not_taken(
    tmp_path: Path, tokenizer: Tokenizer, undisturbed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "corpus"
    with pytest.raises(BadInput, match="line 41"):
        build(folder, tokenizer, (Article(a.id, a.title, f"{a.text} So it is.") for a in broken_off(40)))
    assert content(build(folder, tokenizer).folder) == content(undisturbed)
    assert "continuing an interrupted build" in capfd.readouterr().err


PROGRAM = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from test_builder_workers import build, builder
    from openrealm.text.tokenizer import Tokenizer
    builder._SHARD_ARTICLES = 12
    if __name__ == "__main__":
        tokenizer = Tokenizer.from_folder(Path(sys.argv[2]))
        print("ready", flush=True)
        build(Path(sys.argv[1]), tokenizer, num_workers=2)
        print("done", flush=True)
"""


def start(folder: Path, vocabulary: Path) -> subprocess.Popen[str]:
    """A process that builds the corpus; returns when it begins."""
    program = textwrap.dedent(PROGRAM).format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", program, str(folder), str(vocabulary)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def workers_of(process: int) -> set[int]:
    children = Path(f"/proc/{process}/task").glob("*/children")
    return {int(child) for path in children for child in path.read_text().split()}


def are_gone(processes: set[int], within_seconds: float = 30) -> bool:
    deadline = time.monotonic() + within_seconds
    while any(Path(f"/proc/{process}").exists() for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def parts_of(folder: Path) -> int:
    return sum(1 for path in unfinished(folder).glob("*-0*"))


def killed_again_and_again(folder: Path, vocabulary: Path, num_kills: int, seed: int = 5) -> int:
    """Kill builds at random moments, each some parts of shards further on; returns how many were still at work."""
    random_moments = random.Random(seed)
    num_killed = 0
    for _ in range(num_kills):
        goal = parts_of(folder) + random_moments.randrange(4)
        child = start(folder, vocabulary)
        while parts_of(folder) < goal and child.poll() is None:
            time.sleep(0.002)
        time.sleep(random_moments.uniform(0, 0.05))
        workers = workers_of(child.pid)
        child.kill()
        out, _ = child.communicate()
        num_killed += "done" not in out
        assert are_gone(workers)
        assert not folder.exists() or Corpus.open(folder, verify=True)
    return num_killed


def test_killed_builds_go_on_to_the_same_bytes(
    tmp_path: Path, tokenizer: Tokenizer, vocabulary_folder: Path, undisturbed: Path
) -> None:
    assert killed_again_and_again(tmp_path / "corpus", vocabulary_folder, num_kills=2) >= 1
    assert content(build(tmp_path / "corpus", tokenizer, num_workers=2).folder) == content(undisturbed)
    assert os.listdir(tmp_path) == ["corpus"]


@pytest.mark.slow
def test_forty_kills_change_nothing(
    tmp_path: Path, tokenizer: Tokenizer, vocabulary_folder: Path, undisturbed: Path
) -> None:
    for turn in range(8):
        folder = tmp_path / str(turn) / "corpus"
        killed_again_and_again(folder, vocabulary_folder, num_kills=5, seed=turn)
        assert content(build(folder, tokenizer, num_workers=2).folder) == content(undisturbed)
        assert os.listdir(folder.parent) == ["corpus"]


def test_a_second_builder_is_refused_by_the_first_ones_number(tmp_path: Path, tokenizer: Tokenizer) -> None:
    def asked_in_between() -> Iterator[Article]:
        yield from articles(30)
        with pytest.raises(Busy, match=rf"\.building-corpus is being written by process {os.getpid()}"):
            build(tmp_path / "corpus", tokenizer)
        yield from articles()[30:]

    assert len(build(tmp_path / "corpus", tokenizer, asked_in_between(), num_workers=2)) > 0


# A tagger of another package that ends its process, or raises, while a file says so.
FAILING = """
    import os, signal
    from pathlib import Path
    from openrealm.errors import BadInput
    from openrealm.masking.tagger import RulesTagger

    class Failing(RulesTagger):
        def __init__(self):
            super().__init__()
            self.name = "failing"

        def tag(self, texts):
            order = Path(os.environ["FAILING_ORDER"])
            if order.exists():
                if order.read_text() == "raise":
                    raise BadInput("the model is not there")
                if order.read_text() == "die once":
                    order.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().tag(texts)
"""


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that makes the tagger "failing" fail; an entry point announces that tagger to every process."""
    order = tmp_path / "order"
    package = tmp_path / "package"
    (package / "failing-1.dist-info").mkdir(parents=True)
    (package / "failing_tagger.py").write_text(textwrap.dedent(FAILING))
    (package / "failing-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: failing\nVersion: 1\n")
    (package / "failing-1.dist-info" / "entry_points.txt").write_text(
        "[openrealm.tagger]\nfailing = failing_tagger:Failing\n"
    )
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("FAILING_ORDER", str(order))
    yield order
    TAGGERS.remove("failing")


@pytest.fixture
def never_failed(tmp_path: Path, tokenizer: Tokenizer, failing: Path) -> dict[str, bytes]:
    """The corpus as that tagger makes it in this process, while nothing makes it fail."""
    return content(build(tmp_path / "never" / "corpus", tokenizer, tagger="failing").folder)


def test_another_worker_takes_over_from_one_that_dies(
    tmp_path: Path, tokenizer: Tokenizer, never_failed: dict[str, bytes], failing: Path
) -> None:
    failing.write_text("die once")
    corpus = build(tmp_path / "c" / "corpus", tokenizer, tagger="failing", num_workers=2)
    assert not failing.exists()
    assert content(corpus.folder) == never_failed


def test_a_shard_that_kills_every_worker_stops_the_build_and_finished_ones_are_kept(
    tmp_path: Path, tokenizer: Tokenizer, never_failed: dict[str, bytes], failing: Path
) -> None:
    folder = tmp_path / "c" / "corpus"
    failing.write_text("die always")
    with pytest.raises(WorkerDied, match=r"shard \d \(killed by signal 9; killed by signal 9\)"):
        build(folder, tokenizer, tagger="failing", num_workers=2)
    assert not workers_of(os.getpid())
    assert is_begun(folder)
    failing.write_text("raise")
    with pytest.raises(BadInput, match="the model is not there"):
        build(folder, tokenizer, tagger="failing", num_workers=2)
    failing.unlink()
    assert content(build(folder, tokenizer, tagger="failing", num_workers=2).folder) == never_failed


class Capitals(Tagger):
    """A tagger that no other process can find."""

    name = "capitals"

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        return [[Span(0, 1, "entity")] if text[:1].isupper() else [] for text in texts]


@pytest.mark.parametrize("is_named", [True, False])
def test_a_tagger_that_only_this_process_knows_works_in_this_process(
    tmp_path: Path, tokenizer: Tokenizer, capfd: pytest.CaptureFixture[str], is_named: bool
) -> None:
    if is_named:
        TAGGERS.add("capitals", Capitals)
    try:
        corpus = build(tmp_path / "corpus", tokenizer, tagger="capitals" if is_named else Capitals(), num_workers=2)
    finally:
        TAGGERS.remove("capitals")
    assert 'The tagger "capitals" is known only to this process' in capfd.readouterr().err
    assert corpus.settings["tagger"] == "capitals"
    starts = [corpus.passage(i).text[0] for i in range(len(corpus))]
    assert [len(corpus.spans(i)) for i in range(len(corpus))] == [start.isupper() for start in starts]
    assert any(map(str.isupper, starts))


class Impostor(RulesTagger):
    """A tagger with the name of another."""

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        return [[] for _ in texts]


def test_workers_never_take_the_tagger_of_a_name_for_an_object_of_another_class(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    corpus = build(tmp_path / "corpus", tokenizer, tagger=Impostor(), num_workers=2)
    assert not any(corpus.spans(i) for i in range(len(corpus)))


def test_ctrl_c_ends_the_workers_too(tmp_path: Path, vocabulary_folder: Path) -> None:
    child = start(tmp_path / "corpus", vocabulary_folder)
    while not (workers := workers_of(child.pid)) and child.poll() is None:
        time.sleep(0.005)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate()
    assert workers
    assert are_gone(workers)
    assert out == ""
    assert child.returncode != 0
