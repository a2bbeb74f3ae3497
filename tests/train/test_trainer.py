"""The training loop: all tasks resume bit for bit after a kill; callbacks, early stopping, schedules."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from openrealm import files
from openrealm.callbacks import Callback, EarlyStopping
from openrealm.engine import Engine
from openrealm.errors import BadConfig, Mismatch
from openrealm.registry import CALLBACKS
from openrealm.train import checkpoint
from openrealm.train.ranks import Ranks
from openrealm.train.task import Log, ParameterGroup, Row, Schedule, Task
from openrealm.train.trainer import Trainer, processor_seconds

sys.path.append(str(Path(__file__).parent))
from all_tasks import TASKS, trainer_of

MakeTrainer = Callable[..., Trainer]
MetricRows = Callable[..., list[dict[str, Any]]]
PROGRAM = Path(__file__).with_name("all_tasks.py")
CPU = Engine("cpu", False)


def numbers(trainer: Trainer) -> dict[str, Tensor]:
    """Every weight, and Adam's state."""
    state = trainer.optimizer.state_dict()["state"]
    adam = {f"{n}.{key}": torch.as_tensor(value) for n, entry in state.items() for key, value in entry.items()}
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()} | adam


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name, tensor in one.items() if not torch.equal(tensor, other[name])] == []


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in ("seconds", "tokens_per_second")} for row in rows]


@pytest.mark.parametrize("name", list(TASKS))
def test_a_killed_training_resumes_to_the_same_bits(
    tmp_path: Path, order: Callable[[str, Path], dict[str, Any]], metric_rows: MetricRows, name: str
) -> None:
    """The process gets SIGKILL after its first checkpoint; in the end weights, Adam's state and metrics are equal."""
    file = tmp_path / "order.json"
    files.write_json(file, order(name, tmp_path / "killed"))
    process = subprocess.Popen([sys.executable, str(PROGRAM), str(file)], env=os.environ | {"OMP_NUM_THREADS": "1"})
    checkpoints = tmp_path / "killed" / "checkpoints"
    deadline = time.monotonic() + 240
    while not checkpoint.checkpoints(checkpoints) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.003)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 2 <= checkpoint.read_state(checkpoint.checkpoints(checkpoints)[-1])["step"] < 30
    torch.manual_seed(99)
    resumed = trainer_of(json.loads(file.read_text()))
    resumed.train(resume=True)
    straight = trainer_of(order(name, tmp_path / "straight"))
    straight.train()
    assert resumed.step == straight.step == 30
    assert_same(numbers(resumed), numbers(straight))
    assert without_times(metric_rows(resumed)) == without_times(metric_rows(straight))
    assert resumed.task.state() == straight.task.state()


class Line(nn.Module):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class Fit(Task[float]):
    """A task defined outside the package: moves a weight towards 1."""

    name: ClassVar[str] = "fit"

    def __init__(self, **schedule: Any) -> None:
        self.schedule = Schedule(**{"num_steps": 10, "warmup_steps": 1, **schedule})
        self.asked: list[int] = []
        self.is_finished = self.is_closed = False

    def parameter_groups(self, model: Line) -> list[ParameterGroup]:
        return [(model.parameters(), 0.1)]

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> float:
        self.asked.append(step)
        return 1.0

    def losses(self, model: Line, batch: float, log: Log) -> Iterator[Tensor]:
        loss = (model.weight - batch).square().sum()
        log |= {"loss": loss, "num_tokens": 5}
        yield loss

    def evaluate(self, model: Line) -> Row:
        return {"distance": abs(1.0 - float(model.weight.detach()))}

    def finish(self) -> None:
        self.is_finished = True

    def close(self) -> None:
        self.is_closed = True


class Recorder(Callback):
    """Records its calls."""

    def __init__(self, argument: str = "") -> None:
        self.argument, self.events = argument, list[str]()

    def on_train_begin(self, trainer: Trainer) -> None:
        self.events.append("begin")

    def on_step_begin(self, trainer: Trainer) -> None:
        self.events.append(f"step {trainer.step}")

    def on_step_end(self, trainer: Trainer, row: Any) -> None:
        self.events.append(f"end {trainer.step} {sorted(row)[0]}")

    def on_evaluate(self, trainer: Trainer, row: Any) -> None:
        self.events.append(f"evaluate {sorted(row)[0]}")

    def on_checkpoint(self, trainer: Trainer, folder: Path) -> None:
        self.events.append(folder.name)

    def on_train_end(self, trainer: Trainer) -> None:
        self.events.append("over")


def test_a_custom_task_runs_with_callbacks_by_object_and_by_name(
    tmp_path: Path, metric_rows: MetricRows, request: pytest.FixtureRequest
) -> None:
    CALLBACKS.add("recorder", Recorder)
    request.addfinalizer(lambda: CALLBACKS.remove("recorder"))
    task, mine = Fit(eval_steps=2), Recorder()
    trainer = Trainer(Line(), task, tmp_path, num_steps=2, checkpoint_steps=2, callbacks=[mine, "recorder:x"])
    outcome = trainer.train()
    assert mine.events == [
        "begin", "evaluate distance", "step 0", "end 1 loss", "step 1", "end 2 loss", "evaluate distance",
        "step-00000002", "over",
    ]  # fmt: skip
    named = trainer.callbacks[1]
    assert isinstance(named, Recorder)
    assert (named.argument, named.events) == ("x", mine.events)
    assert (outcome.num_steps, task.asked, task.is_finished, task.is_closed) == (2, [0, 1], True, True)
    assert outcome.last["distance"] < outcome.first["distance"]
    rows = metric_rows(trainer, "train")
    assert [row["step"] for row in rows] == [1, 2]
    assert rows[0]["loss"] == 1.0
    assert rows[0]["tokens_per_second"] > 0


def test_the_mean_of_several_steps_is_logged(tmp_path: Path, metric_rows: MetricRows) -> None:
    losses: list[float] = []

    class Listener(Callback):
        def on_step_end(self, trainer: Trainer, row: Any) -> None:
            losses.append(row["loss"])

    trainer = Trainer(Line(), Fit(), tmp_path, num_steps=5, log_steps=3, callbacks=[Listener()])
    trainer.train()
    rows = metric_rows(trainer, "train")
    assert [row["step"] for row in rows] == [3, 5]
    assert [row["loss"] for row in rows] == pytest.approx([sum(losses[:3]) / 3, sum(losses[3:]) / 2], rel=1e-5)


def test_early_stopping_ends_training_when_nothing_improves_and_is_resumed(
    tmp_path: Path, stop_at: Callable[..., Callback], stopped: type[Exception], metric_rows: MetricRows
) -> None:
    class Stuck(Fit):
        def evaluate(self, model: Line) -> Row:
            return {"recall": 0.5}

    def trainer(*more: Callback) -> Trainer:
        stopping = EarlyStopping("recall", patience=3, mode="max")
        return Trainer(Line(), Stuck(eval_steps=1), tmp_path, checkpoint_steps=1, callbacks=[stopping, *more])

    assert trainer().train().num_steps == 3
    with pytest.raises(stopped):
        trainer(stop_at(2)).train()
    resumed = trainer()
    assert resumed.train(resume=True).num_steps == 3
    rows = metric_rows(resumed)
    assert trainer().train(resume=True).num_steps == 3, "the last checkpoint knows that training was stopped"
    assert metric_rows(resumed) == rows, "nothing is evaluated or logged twice"
    with pytest.raises(BadConfig, match="no metric 'loss'; choose from recall"):
        Trainer(Line(), Stuck(eval_steps=1), tmp_path, callbacks=[EarlyStopping()]).train()


def test_a_failing_training_is_closed_but_not_finished(
    tmp_path: Path, stop_at: Callable[..., Callback], stopped: type[Exception]
) -> None:
    task = Fit()
    with pytest.raises(stopped):
        Trainer(Line(), task, tmp_path, callbacks=[stop_at(3)]).train()
    assert (task.is_finished, task.is_closed) == (False, True)


def test_a_checkpoint_of_other_settings_is_refused_unless_only_intervals_differ(
    tmp_path: Path, stop_at: Callable[..., Callback], stopped: type[Exception]
) -> None:
    with pytest.raises(stopped):
        Trainer(Line(), Fit(), tmp_path, checkpoint_steps=2, callbacks=[stop_at(5)], engine=CPU).train()
    for change in ({"num_steps": 11}, {"seed": 1}, {"weight_decay": 0.5}, {"engine": Engine("cpu", True)}):
        given: dict[str, Any] = {"engine": CPU, **change}
        with pytest.raises(Mismatch, match="was written with other settings: its digest is"):
            Trainer(Line(), Fit(), tmp_path, **given).train(resume=True)
    trainer = Trainer(Line(), Fit(), tmp_path, eval_steps=1, checkpoint_steps=7, log_steps=2, engine=CPU)
    assert trainer.train(resume=True).num_steps == 10
    assert trainer.task.asked == [4, 5, 6, 7, 8, 9]


def test_training_by_the_clock_ends_when_the_time_is_up(tmp_path: Path) -> None:
    outcome = Trainer(Line(), Fit(), tmp_path, minutes=0.005).train()
    assert outcome.num_steps > 10, "the schedule's number of steps does not apply"


def test_minutes_are_measured_by_the_clock_that_is_given(tmp_path: Path) -> None:
    twenty_seconds_later = itertools.count(step=20.0).__next__  # asked before and after each step
    outcome = Trainer(Line(), Fit(), tmp_path, minutes=1, clock=twenty_seconds_later, engine=CPU).train()
    assert outcome.num_steps == 3


def test_processor_seconds_count_work_and_not_waiting() -> None:
    started = processor_seconds()
    while processor_seconds() < started + 0.05:
        pass
    before_waiting = processor_seconds()
    time.sleep(0.3)
    assert processor_seconds() - before_waiting < 0.2
    subprocess.run([sys.executable, "-c", "for _ in range(3_000_000): pass"], check=True)
    assert processor_seconds() - before_waiting > 0.03, "processes that have ended count"


def test_unknown_settings_and_callbacks_are_refused() -> None:
    with pytest.raises(BadConfig, match="no setting 'stepps'; choose from checkpoint_at_end"):
        Trainer(Line(), Fit(), stepps=3)
    with pytest.raises(BadConfig, match="checkpoint_steps is 0; expected at least 1"):
        Trainer(Line(), Fit(), checkpoint_steps=0)
    with pytest.raises(BadConfig, match="num_steps is -1; expected at least 0"):
        Trainer(Line(), Fit(), num_steps=-1)
    with pytest.raises(BadConfig, match=r"no callback 'tensorbord'; choose from .*; did you mean tensorboard"):
        Trainer(Line(), Fit(), callbacks=["tensorbord"])
    with pytest.raises(BadConfig, match="The task fit supports one process only"):
        Trainer(Line(), Fit(), ranks=Ranks(0, 2))


def test_tensorboard_receives_the_logged_values(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    Trainer(Line(), Fit(eval_steps=2), tmp_path, num_steps=4, callbacks=["tensorboard"]).train()
    found = events.EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [event.step for event in found.Scalars("train/loss")] == [1, 2, 3, 4]
    assert [event.step for event in found.Scalars("heldout/distance")] == [0, 2, 4]
    assert found.Scalars("train/loss")[0].value == 1.0


def log_records(data: bytes) -> Iterator[bytes]:
    """The records of a file in the format of LevelDB's log, which starts with wandb's own 7 bytes."""
    at, parts = 7, b""
    while at + 7 <= len(data):
        if 32_768 - at % 32_768 < 7:  # no header fits into the rest of the block
            at += 32_768 - at % 32_768
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def test_weights_and_biases_receives_the_logged_values_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: Any, stopped: type[Exception]
) -> None:
    """The events are read back from the file that wandb would upload; a resumed training continues the same run."""
    pytest.importorskip("wandb", reason="wandb is not installed (pip install 'openrealm[wandb]')")
    from wandb.proto import wandb_internal_pb2

    for name, value in {"MODE": "offline", "SILENT": "true", "DIR": str(tmp_path), "DISABLE_CODE": "true"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.chdir(tmp_path)

    def train(*more: Callback, resume: bool = False) -> None:
        task = Fit(eval_steps=2, checkpoint_steps=2)
        Trainer(Line(), task, tmp_path, num_steps=4, callbacks=["wandb:toy", *more]).train(resume=resume)

    with pytest.raises(stopped):
        train(stop_at(3))
    train(resume=True)
    logged: dict[str, list[tuple[int, float]]] = {}
    runs = set()
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    deadline = time.monotonic() + 60
    records: list[Any] = []
    while not any(record.HasField("exit") for record in records):
        assert time.monotonic() < deadline, "the process of wandb has not written the end of the run"
        records = [wandb_internal_pb2.Record.FromString(data) for data in log_records(path.read_bytes())]
        time.sleep(0.1)
    for record in records:
        if record.run.run_id:
            runs.add((record.run.project, record.run.run_id))
        values = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
        for key, value in values.items():
            logged.setdefault(key, []).append((record.history.step.num, json.loads(value)))
    assert [project for project, _ in runs] == ["toy"], "one run"
    assert {step for step, _ in logged["train/loss"]} == {1, 2, 3, 4}
    assert {step for step, _ in logged["heldout/distance"]} == {0, 2, 4}
    assert min(logged["train/loss"]) == (1, 1.0)
