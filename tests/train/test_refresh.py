"""The refresh worker: a real process that embeds the corpus with a snapshot and may die at any time."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from openrealm import files
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine, num_cores
from openrealm.index.index import Binding, Index, version_name, versions
from openrealm.model.embedder import embed_corpus
from openrealm.model.realm import Realm
from openrealm.train.refresh import Refresher, share_of_cores, work


@pytest.fixture
def binding(toy_corpus: Corpus) -> Binding:
    return Binding("placeholder", toy_corpus.tokenizer_digest, toy_corpus.digest)


MakeRefresher = Callable[..., Refresher]


@pytest.fixture
def make_refresher(tmp_path: Path, toy_corpus: Corpus, engine: Engine, binding: Binding) -> MakeRefresher:
    """`make_refresher(corpus)`: a refresher with an index of constant vectors that writes to tmp_path."""

    def make(corpus: Corpus = toy_corpus, **settings: Any) -> Refresher:
        index = Index(torch.ones(len(corpus), 16), binding)
        given: dict[str, Any] = {"every_steps": None, **settings}
        return Refresher(corpus, index, tmp_path / "index", tmp_path / "run", engine, **given)

    return make


def test_a_killed_worker_causes_a_warning_and_leaves_no_files(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    make_refresher: MakeRefresher,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refresher = make_refresher()
    assert refresher.collect() is None
    refresher.start(toy_realm(), 3, 1)
    assert refresher.is_running
    assert refresher.collect() is None, "collect never waits"
    worker = refresher.worker
    assert worker is not None
    half = tmp_path / "index" / "versions" / f".tmp-{worker.pid}-00000003-abc"
    half.mkdir(parents=True)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert refresher.collect() is None
    assert not refresher.is_running
    assert refresher.num_failed == 1
    printed = capsys.readouterr().err.splitlines()
    assert printed == ["The refresh worker exited with code -9 (no output); it is started again."]
    assert list((tmp_path / "index").rglob("*")) == [tmp_path / "index" / "versions"]


def test_the_last_output_of_a_failing_worker_is_reported(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    toy_corpus_folder: Path,
    make_refresher: MakeRefresher,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(toy_corpus_folder, tmp_path / "vanishing")
    refresher = make_refresher(Corpus.open(tmp_path / "vanishing"))
    shutil.rmtree(tmp_path / "vanishing")
    refresher.start(toy_realm(), 3, 1)
    refresher.wait(timeout=240)
    assert refresher.collect() is None
    assert re.search(r"exited with code 1 \(.*vanishing", capsys.readouterr().err)
    assert refresher.state()["num_failed_refreshes"] == 1


def test_a_worker_runs_no_code_of_the_working_directory(
    planted_folder: Path,
    toy_realm: Callable[..., Realm],
    make_refresher: MakeRefresher,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(planted_folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", *filter(None, [os.environ.get("PYTHONPATH")])]))
    refresher = make_refresher()
    refresher.start(toy_realm(), 3, 1)
    refresher.wait(timeout=240)
    assert refresher.collect() is not None, capsys.readouterr().err


def test_closing_kills_a_worker_and_deletes_its_temporary_files(
    tmp_path: Path, toy_realm: Callable[..., Realm], make_refresher: MakeRefresher
) -> None:
    refresher = make_refresher()
    refresher.close()
    refresher.start(toy_realm(), 3, 1)
    worker = refresher.worker
    assert worker is not None
    half = tmp_path / "index" / "versions" / f".tmp-{worker.pid}-00000003-abc"
    half.mkdir(parents=True)
    refresher.close()
    assert worker.poll() == -signal.SIGKILL
    assert not refresher.is_running
    assert not half.exists()


def order_for(
    tmp_path: Path, model: Realm, toy_corpus_folder: Path, bound: Binding, **changes: object
) -> tuple[Path, str]:
    digest = model.save_passage_tower(tmp_path / "snapshot")
    order = {
        "snapshot": str(tmp_path / "snapshot"),
        "corpus": str(toy_corpus_folder),
        "index": str(tmp_path / "index"),
        "step": 5,
        "binding": {"encoder": digest, "tokenizer": bound.tokenizer, "corpus": bound.corpus},
        "bf16": False,
        "device": "cpu",
        "num_threads": 1,
        "parts": str(tmp_path / "parts"),
        "part_passages": 20,
        "storage": "fp32",
        "parent": os.getppid(),
    }
    files.write_json(tmp_path / "order.json", order | changes)
    return tmp_path / "order.json", digest


def test_the_worker_publishes_the_requested_version(
    tmp_path: Path,
    toy_realm: Callable[..., Realm],
    toy_corpus: Corpus,
    toy_corpus_folder: Path,
    engine: Engine,
    binding: Binding,
) -> None:
    model = toy_realm()
    order, digest = order_for(tmp_path, model, toy_corpus_folder, binding)
    work(order)
    [path] = versions(tmp_path / "index")
    version = Index.open(path, toy_corpus, model)
    assert version.binding.encoder == digest
    assert version.step == 5
    assert torch.equal(version.vector_ND, embed_corpus(model.retriever.passage_tower, toy_corpus, engine))


def test_a_dead_worker_is_started_again_twice_and_continues_with_its_finished_parts(
    tmp_path: Path, toy_realm: Callable[..., Realm], make_refresher: MakeRefresher, capsys: pytest.CaptureFixture[str]
) -> None:
    model, refresher = toy_realm(), make_refresher(every_steps=100, part_passages=20)
    refresher.update(model, 100)
    name = version_name(100, model.passage_digest())
    for attempt in range(2):
        worker = refresher.worker
        assert worker is not None
        worker.kill()
        worker.wait()
        assert not refresher.update(model, 101 + attempt)
        assert refresher.is_running
    # What the dead workers left, marked so that it can be recognised.
    files.write_safetensors(tmp_path / "run" / "refresh-parts" / name / f"{0:012d}.safetensors",
                            {"vectors": torch.full((20, 16), 7.0)})  # fmt: skip
    refresher.wait(timeout=240)
    assert refresher.update(model, 103)
    assert refresher.index.name == name
    assert int((refresher.index.vector_ND == 7.0).all(dim=1).sum()) == 20
    assert capsys.readouterr().err.count("it is started again") == 2
    assert refresher.num_failed == 2
    assert list((tmp_path / "run" / "refresh-parts").iterdir()) == []


def test_a_silent_worker_is_killed(
    toy_realm: Callable[..., Realm],
    make_refresher: MakeRefresher,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refresher = make_refresher()
    refresher.start(toy_realm(), 3, 1)
    worker = refresher.worker
    assert worker is not None
    worker.send_signal(signal.SIGSTOP)
    monkeypatch.setattr("openrealm.train.refresh._SILENT_SECONDS", -1.0)
    assert refresher.collect() is None
    assert worker.poll() == -signal.SIGKILL
    assert "silent" in capsys.readouterr().err
    assert refresher.num_failed == 1


def test_a_worker_whose_trainer_is_gone_publishes_nothing(
    tmp_path: Path, toy_realm: Callable[..., Realm], toy_corpus_folder: Path, binding: Binding
) -> None:
    order, _ = order_for(tmp_path, toy_realm(), toy_corpus_folder, binding, parent=-1)
    with pytest.raises(SystemExit, match="the trainer is gone"):
        work(order)
    assert versions(tmp_path / "index") == []


def test_a_snapshot_that_is_not_the_announced_tower_is_refused(
    tmp_path: Path, toy_realm: Callable[..., Realm], toy_corpus_folder: Path, binding: Binding
) -> None:
    order, _ = order_for(
        tmp_path,
        toy_realm(),
        toy_corpus_folder,
        binding,
        binding={"encoder": "f" * 64, "tokenizer": binding.tokenizer, "corpus": binding.corpus},
    )
    with pytest.raises(SystemExit, match="not of the announced passage tower"):
        work(order)
    assert versions(tmp_path / "index") == []


def test_cores_are_shared_while_a_worker_is_busy() -> None:
    total = num_cores()
    assert share_of_cores(False)[0] == total
    trainer, worker = share_of_cores(True)
    assert trainer >= 1
    assert worker >= 1
    assert trainer + worker == max(2, total)
