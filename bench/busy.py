"""Joint pre-training beside other work: steps per second with 0, 1 and 2 busy neighbours, against torch's own threads.

Each side is a process of its own, because how threads wait for each other is settled when torch is loaded. A neighbour
is a process that never waits. With T threads on C cores and N neighbours, the fair share is C / (T + N) of the quiet
rate.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from common import arguments, rate, report

PEER = "torch's default"
# A variable that torch's OpenMP ignores, but that counts as a choice of the user's, so that openrealm makes none.
SIDES = {"openrealm": {}, PEER: {"KMP_BLOCKTIME": "200"}}
NUM_NEIGHBOURS = (0, 1, 2)
_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def main() -> None:
    given = arguments(__doc__.splitlines()[0], seconds=(5.0, 1.5), articles=(20, 20))
    num_rounds = 3 if given.quick else given.rounds
    num_cores = len(os.sched_getaffinity(0))
    figures = []
    quiet: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        sides = {name: stack.enter_context(training(extra, given.articles)) for name, extra in SIDES.items()}
        for side in sides.values():
            seconds_per_step(side, given.seconds)  # a warm-up
        for number in NUM_NEIGHBOURS:
            with neighbours(number):
                rounds = [
                    {name: seconds_per_step(side, given.seconds) for name, side in sides.items()}
                    for _ in range(num_rounds)
                ]
            found = {name: [one[name] for one in rounds] for name in sides}
            rates = {name: 1 / statistics.median(seconds) for name, seconds in found.items()}
            quiet = quiet or rates
            shares = " and ".join(f"{rates[name] / quiet[name]:.2f}" for name in sides)
            fair = min(1.0, num_cores / (given.threads + number))
            note = f"{shares} of the rates without neighbours; the fair share is {fair:.2f}"
            name = f"joint steps with {number} busy neighbours"
            figures.append(rate(name, "steps/s", 1.0, found["openrealm"], PEER, found[PEER], note))
    report(*figures)


@contextlib.contextmanager
def training(extra: dict[str, str], num_articles: int) -> Iterator[subprocess.Popen[str]]:
    """A process that trains for as long as it is told to."""
    kept = {name: value for name, value in os.environ.items() if name not in _CHOICES}
    kept["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    command = [sys.executable, "-c", f"import busy; busy.train({num_articles})"]
    process = subprocess.Popen(
        command, env=kept | extra, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def seconds_per_step(process: subprocess.Popen[str], seconds: float) -> float:
    """Let it train for `seconds`."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{seconds}\n")
    return float(process.stdout.readline())


@contextlib.contextmanager
def neighbours(number: int) -> Iterator[None]:
    """Processes that keep a core busy each."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def train(num_articles: int) -> None:
    """In a child: for each line with a number of seconds, train for so long and print the seconds per step."""
    import openrealm  # noqa: F401  # before torch, as the command does
    import torch  # isort: skip

    from factbook import corpus_of
    from joint_step import Ours, World
    from openrealm.config import with_settings
    from openrealm.engine import engine_for
    from openrealm.model.realm import Realm
    from openrealm.recipes.factbook import factbook

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    config = with_settings(factbook(), ["pretrain.batch_size=2", "pretrain.num_candidates=4"])  # short steps
    engine = engine_for(config)
    with contextlib.redirect_stdout(sys.stderr), corpus_of(config, num_articles) as corpus:
        model = Realm.from_backbone(config.model, corpus.tokenizer()).to(engine.device)
        ours = Ours(World(config, model, corpus, engine))
        for line in sys.stdin:
            started, num_steps = time.perf_counter(), 0
            while time.perf_counter() < started + float(line):
                ours.step()
                num_steps += 1
            print((time.perf_counter() - started) / num_steps, file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    main()
