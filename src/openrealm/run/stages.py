"""The stages of a run: one table, in the order in which they run.

Everything the package knows about a stage is its entry in `STAGES`; pipelines, keys, time estimates, commands and hints
are views of it. To add a stage, add an entry here and its function in `run.work`.
"""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from openrealm import files
from openrealm.config import Config, joint_tokens
from openrealm.corpus.builder import unfinished
from openrealm.errors import DamagedArtefact, Mismatch, MissingStage, NonFinite
from openrealm.progress import say, warn
from openrealm.run import inputs
from openrealm.run.folder import Record, Run
from openrealm.run.lengths import check_lengths
from openrealm.run.systems import SYSTEMS, System

if TYPE_CHECKING:
    from openrealm.train.ranks import Ranks

_MODEL = f"model/{files.MANIFEST}"
_RATES = ("learning_rate", "tower_learning_rate", "head_learning_rate")
_NUM_QUESTIONS = 600  # test questions of the Factbook

Recipe = Literal["", "quickstart", "factbook"]


@dataclass(frozen=True)
class Options:
    """What a command asks of a stage besides the run's settings.

    resume     continue from the last checkpoint
    questions  JSONL file of questions; `regex` if its answers are regular expressions
    ranks      the processes that do the stage together; None means this one alone
    """

    resume: bool = False
    questions: Path | None = None
    regex: bool = False
    ranks: Ranks | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One entry of the table.

    name         of its record, stages/NAME.json
    title        in messages
    command      the command that runs it, without `openrealm` and `--run`
    needs        stages that must be finished before it
    start        the stage whose model it starts from: its key contains that stage's key and the model's digest
    reads        everything else that decides its output, as a JSON value
    output       file or folder below the run's that exists once the stage has finished
    writes       files and folders below the run's that belong to it; the first is where its work goes
    leaves       patterns of files below the run's whose digests its record keeps
    checkpoints  where it saves checkpoints, if it can be resumed
    seconds      time on the reference machine at the Factbook recipe's settings (see `run.plan`)
    pieces       how much work it is, roughly in word pieces, for a configuration and a number of passages
    on_encoder   whether its time depends on how fast this machine trains
    work         the function that does it, "module:function", called with run, stage and options
    made         when the stages that need it run it themselves: "never"; if it is "missing"; or if it is "outdated" too
    comparison   a baseline: the recipe whose quickstart runs it; `openrealm run` runs none
    indexes      whether it builds the index of the model of `start`
    system       what it fine-tunes
    """

    name: str
    title: str
    command: str
    needs: tuple[str, ...] = ()
    start: str = ""
    reads: Callable[[Run, Options], Any] = lambda run, options: None
    output: str
    writes: tuple[str, ...]
    leaves: tuple[str, ...]
    checkpoints: str = ""
    seconds: float
    pieces: Callable[[Config, int], float] = lambda config, num_passages: 1.0
    on_encoder: bool = True
    work: str
    made: Literal["never", "missing", "outdated"] = "never"
    comparison: Recipe = ""
    indexes: bool = False
    system: System | None = None

    @property
    def leaves_model(self) -> bool:
        """Whether the output is a model."""
        return self.output.endswith(_MODEL)

    @property
    def settings(self) -> str:
        """The section of the configuration with the settings of a training."""
        return self.command.split()[0].replace("-", "_")

    def folder(self, run: Run) -> Path:
        """Where the stage works."""
        return run.folder / self.writes[0]

    def model_folder(self, run: Run) -> Path:
        """Where the stage saves its model."""
        return (run.folder / self.output).parent

    def key(self, run: Run, options: Options | None = None) -> str:
        """Digest of everything that decides the output: an output recorded with the same key is up to date."""
        start = get(self.start) if self.start else None
        origin = [start.key(run), start._model_digest(run)] if start else []
        return files.digest_of([self.name, origin, self.reads(run, options or Options())])

    def _model_digest(self, run: Run) -> str:
        folder = self.model_folder(run)
        is_there = (folder / files.MANIFEST).exists()
        return str(files.read_manifest(folder, verify=False)["manifest_sha256"]) if is_there else ""

    def is_finished(self, run: Run, key: str | None = None) -> bool:
        """Whether the stage has finished (with this key, if given) and its output exists."""
        record = run.record(self.name)
        if not record or key not in (None, record["key"]) or not (run.folder / self.output).exists():
            return False
        return bool(record["finished"]) or self._is_published(run, record["key"])

    def _is_published(self, run: Run, key: str) -> bool:
        """Whether an artefact was published with this key: the last thing that a stage does."""
        output = run.folder / self.output
        manifests = [output] if output.name == files.MANIFEST else output.glob(f"*/{files.MANIFEST}")
        return any(files.key_of(path.parent) == key for path in manifests)

    def mend(self, run: Run) -> None:
        """Record that the stage has finished, if it was killed between publishing its output and recording it."""
        record = run.record(self.name)
        if record and not record["finished"] and self.is_finished(run):
            run.finish(cast(Record, record), self.leaves)
            if self.checkpoints:
                files.remove_folder(run.folder / self.checkpoints)
            say(f"{run.folder}: the {self.title} stage had finished, and is now recorded as finished.")

    def is_current(self, run: Run, options: Options | None = None) -> bool:
        """Whether the stage is finished and up to date."""
        return self.is_finished(run, self.key(run, options))

    def can_resume(self, run: Run) -> bool:
        """Whether the stage was interrupted with the present settings and has a checkpoint."""
        record = run.record(self.name)
        return self.has_checkpoint(run) and not self.is_finished(run) and record.get("key") == self.key(run)

    def has_checkpoint(self, run: Run) -> bool:
        """Whether there is a checkpoint to resume from."""
        return bool(self.checkpoints) and any((run.folder / self.checkpoints).glob(f"step-*/{files.MANIFEST}"))

    def command_line(self, run: Run | str, *, resume: bool = False) -> str:
        """The command that runs the stage, quoted for a shell. `run` is a run, or what the user called it."""
        folder = run if isinstance(run, str) else str(run.folder)
        return shlex.join(["openrealm", *self.command.split(), *(["--resume"] if resume else []), "--run", folder])

    def next_command(self, run: Run, called: str = "") -> str:
        """The command that starts or continues the stage: with --resume if it was interrupted after a checkpoint."""
        return self.command_line(called or run, resume=self.can_resume(run))

    def check(self, run: Run, *, up_to_date: bool) -> None:
        """Raise MissingStage if the stage is not finished, and Mismatch if it has to be `up_to_date` and is not."""
        if not self.is_finished(run):
            state = "was interrupted" if run.record(self.name) else "has not been run"
            first = self._first_missing(run).next_command(run)
            raise MissingStage(f"{run.folder}: the {self.title} stage {state}; run `{first}` first.")
        if up_to_date and not self.is_current(run):
            recorded, present = run.record(self.name)["key"], self.key(run)
            raise Mismatch(
                f"{run.folder}: the {self.title} stage was run with other settings or another corpus (digest "
                f"{recorded[:16]}, now {present[:16]}); run `{self.next_command(run)}` again."
            )

    def _first_missing(self, run: Run) -> Stage:
        """The first stage that has to be run by its command before this one can be; this one, if none has."""
        earlier = (get(name) for name in self.needs)
        missing = (stage for stage in earlier if stage.made == "never" and not stage.is_finished(run))
        return next((stage._first_missing(run) for stage in missing), self)

    def verify(self, run: Run, path: Path) -> None:
        """Raise DamagedArtefact if a file that the stage left is not as it left it."""
        run.verify(self.name, path, f"restore it, or run `{self.command_line(run)}` again")

    def make(self, run: Run) -> None:
        """Run the stage if it is missing, or if it is outdated and may be redone without being asked for."""
        if not (self.is_finished(run) if self.made == "missing" else self.is_current(run)):
            self.perform(run)

    def perform(self, run: Run, options: Options | None = None) -> Any:
        """Run the stage and record it; the run must be locked (`Run.writing`). Returns what the stage's work returns.

        Of several processes, the first one prepares and records the stage; all of them work on it.
        Raises MissingStage or Mismatch naming the command to run first, if a stage before it is missing or outdated,
        or if there is no checkpoint to resume from.
        """
        options = options or Options()
        if options.ranks is not None and not options.ranks.is_first:
            options.ranks.wait()
            return self._do(run, options)
        check_lengths(run.config)
        if options.resume and not self.has_checkpoint(run):
            raise MissingStage(
                f"{self.folder(run)} has no checkpoint to resume from; run `{self.command_line(run)}` without --resume."
            )
        for earlier in map(get, self.needs):
            if earlier.made == "never":
                earlier.check(run, up_to_date=earlier.name == self.start)
            else:
                earlier.make(run)
        with run.recorded(self.name, self.key(run, options), leaves=self.leaves, resumed=options.resume):
            if options.ranks is not None:
                options.ranks.wait()
            return self._do(run, options)

    def _do(self, run: Run, options: Options) -> Any:
        module, _, function = self.work.partition(":")
        try:
            return getattr(importlib.import_module(module), function)(run, self, options)
        except NonFinite as error:
            if not self.checkpoints:
                raise
            raise NonFinite(f"{error} Run `{self._with_lower_rates(run)}`.") from error

    def _with_lower_rates(self, run: Run) -> str:
        """The command that continues the stage with a tenth of its learning rates."""
        section = self.settings
        rates = {name: getattr(getattr(run.config, section), name) for name in _RATES}
        lower = [f"{section}.{name}={rate / 10:g}" for name, rate in rates.items() if rate]
        command = self.command_line(run, resume=self.has_checkpoint(run))
        return shlex.join([*shlex.split(command), *(word for one in lower for word in ("--set", one))])


def _corpus_pieces(config: Config, num_passages: int) -> float:
    return max(1, num_passages) * config.corpus.max_passage_tokens


def _joint_tokens(config: Config) -> int:
    joint = config.pretrain
    return joint_tokens(joint.max_query_tokens, config.corpus.max_passage_tokens, joint.max_joint_tokens)


def _reader_tokens(config: Config) -> int:
    tune = config.finetune
    return joint_tokens(tune.max_query_tokens, config.corpus.max_passage_tokens, tune.max_reader_tokens)


def _warm_start_pieces(config: Config, num_passages: int) -> float:
    warm = config.warm_start
    pairs = warm.ict_batch * (warm.max_query_tokens + config.corpus.max_passage_tokens)
    return max(1, warm.num_steps * (pairs + warm.mlm_batch * _joint_tokens(config)))


def _pretrain_pieces(config: Config, num_passages: int) -> float:
    joint = config.pretrain
    per_query = joint.num_candidates * (_joint_tokens(config) + config.corpus.max_passage_tokens)
    # Held-out queries are forward passes only.
    heldout = joint.num_heldout_queries * (joint.num_steps / joint.eval_steps) / 3
    return (joint.num_steps * joint.batch_size + heldout) * per_query


def _finetune_pieces(config: Config, num_passages: int) -> float:
    tune = config.finetune
    return tune.num_steps * tune.batch_size * min(tune.num_candidates, max(1, num_passages)) * _reader_tokens(config)


def _evaluate_pieces(config: Config, num_passages: int) -> float:
    # The number of questions is not known yet: the Factbook's, or fewer on a short text.
    return min(max(1, num_passages), _NUM_QUESTIONS) * config.finetune.num_candidates * _reader_tokens(config)


def _evaluate_reads(run: Run, options: Options) -> Any:
    """The recorded keys of all models of the run, and the held-out questions."""
    models = {
        stage.name: run.record(stage.name)["key"] for stage in STAGES if stage.leaves_model and stage.is_finished(run)
    }
    return [models, inputs.heldout_questions(run)]


def _trained(folder: str) -> tuple[str, ...]:
    """What a training leaves in its folder."""
    recorded = ("outcome.json", "metrics.jsonl", "progress.jsonl", "heldout.json", "retrieved.jsonl")
    return f"{folder}/{_MODEL}", *(f"{folder}/{name}" for name in recorded)


def _index(name: str, title: str, start: str, *, comparison: Recipe = "") -> Stage:
    return Stage(
        name=name,
        title=title,
        command="index",
        needs=("corpus", start),
        start=start,
        reads=lambda run, options: run.config.index.storage,
        output="index/versions",
        writes=("index",),
        leaves=(),
        seconds=18.0,
        pieces=_corpus_pieces,
        work="openrealm.run.work:index",
        made="outdated",
        comparison=comparison,
        indexes=True,
    )


def _pretraining(name: str, title: str, command: str, folder: str, *, seconds: float, comparison: Recipe = "") -> Stage:
    return Stage(
        name=name,
        title=title,
        command=command,
        needs=("corpus", "warm_start", "index"),
        start="warm_start",
        reads=lambda run, options: inputs.pretrain(run),
        output=f"{folder}/{_MODEL}",
        writes=(folder, "matches"),
        leaves=_trained(folder),
        checkpoints=f"{folder}/checkpoints",
        seconds=seconds,
        pieces=_pretrain_pieces,
        work="openrealm.run.work:pretrain",
        comparison=comparison,
    )


def _finetuning(system: System) -> Stage:
    index = {"warm_start": "index", "pretrain": "index_pretrained"}[system.start]
    return Stage(
        name=system.stage,
        title=f"{system.title} fine-tuning",
        command=f"finetune --system {system.name}",
        needs=("corpus", system.start, *([index] if system.retriever == "tower" else []), "questions"),
        start=system.start,
        reads=lambda run, options: inputs.finetune(run),
        output=f"finetune/{system.name}/{_MODEL}",
        writes=(f"finetune/{system.name}",),
        leaves=_trained(f"finetune/{system.name}"),
        checkpoints=f"finetune/{system.name}/checkpoints",
        seconds=system.seconds,
        pieces=_finetune_pieces,
        work="openrealm.run.work:finetune",
        comparison="" if system.name == "realm" else "factbook",
        system=system,
    )


STAGES: tuple[Stage, ...] = (
    Stage(
        name="corpus",
        title="corpus",
        command="corpus",
        reads=lambda run, options: inputs.corpus(run),
        output=f"corpus/{files.MANIFEST}",
        writes=("corpus", unfinished(Path("corpus")).name),
        leaves=(f"corpus/{files.MANIFEST}",),
        seconds=5.0,
        pieces=_corpus_pieces,
        on_encoder=False,
        work="openrealm.run.work:corpus",
    ),
    Stage(
        name="questions",
        title="questions",
        command="finetune",
        needs=("corpus",),
        reads=lambda run, options: inputs.questions(run, options.questions, regex=options.regex),
        output="questions.json",
        writes=("questions.json",),
        leaves=("questions.json",),
        seconds=1.0,
        on_encoder=False,
        work="openrealm.run.work:questions",
        made="missing",
    ),
    Stage(
        name="warm_start",
        title="warm start",
        command="warm-start",
        needs=("corpus",),
        reads=lambda run, options: inputs.warm_start(run),
        output=f"warm-start/{_MODEL}",
        writes=("warm-start",),
        leaves=_trained("warm-start"),
        checkpoints="warm-start/checkpoints",
        seconds=52.0,
        pieces=_warm_start_pieces,
        work="openrealm.run.work:warm_start",
    ),
    _index("index", "index", "warm_start"),
    _pretraining("pretrain", "pre-training", "pretrain", "pretrain", seconds=180.0),
    _pretraining(
        "frozen_towers",
        "pre-training with frozen towers",
        "pretrain --frozen-towers",
        "frozen-towers",
        seconds=84.0,
        comparison="factbook",
    ),
    _index("index_pretrained", "index after pre-training", "pretrain"),
    Stage(
        name="towers_alone",
        title="warm start for the same time",
        command="pretrain --towers-alone",
        needs=("corpus", "warm_start", "pretrain"),
        start="warm_start",
        reads=lambda run, options: run.record("pretrain").get("key"),
        output=f"towers-alone/{_MODEL}",
        writes=("towers-alone",),
        leaves=_trained("towers-alone"),
        checkpoints="towers-alone/checkpoints",
        seconds=180.0,
        pieces=_pretrain_pieces,
        work="openrealm.run.work:towers_alone",
        comparison="quickstart",
    ),
    _index("index_towers_alone", "index after the warm start", "towers_alone", comparison="quickstart"),
    *map(_finetuning, SYSTEMS.values()),
    Stage(
        name="evaluate",
        title="evaluation",
        command="evaluate",
        needs=("corpus",),
        reads=_evaluate_reads,
        output="report.json",
        writes=("evaluate", "best.json", "report.json", "report.html"),
        leaves=("evaluate/*.json", "best.json", "report.json", "report.html"),
        seconds=27.0,
        pieces=_evaluate_pieces,
        work="openrealm.run.report:evaluate",
    ),
)
_BY_NAME = {stage.name: stage for stage in STAGES}


def get(name: str) -> Stage:
    """The stage of this name."""
    return _BY_NAME[name]


def index_of(start: str) -> Stage:
    """The stage that builds the index of the model left by the stage `start`."""
    return next(stage for stage in STAGES if stage.indexes and stage.start == start)


def pipeline(recipe: Recipe = "") -> Iterator[Stage]:
    """The stages of a whole run in order, with the baselines of a recipe's quickstart."""
    return (stage for stage in STAGES if stage.comparison in ("", recipe))


def next_stage(stage: Stage) -> Stage | None:
    """The stage to suggest once this one has finished; None after the last."""
    later = (other for other in STAGES[STAGES.index(stage) + 1 :] if not (stage.system and other.system))
    return next((other for other in later if other.made == "never" and not other.comparison), None)


def say_changed(run: Run) -> None:
    """Name every file that a finished stage left and that has changed since; what needs one refuses it by itself."""
    for stage in STAGES:
        for name in run.record(stage.name).get("files", ()):
            try:
                stage.verify(run, run.folder / name)
            except DamagedArtefact as error:
                warn(f"{error} The report does not depend on it.")


def forget(run: Run) -> None:
    """Remove the output and the record of every stage; config.json stays, and the report until the next replaces it."""
    files.remove_folder(run.records)
    (run.folder / "budget.json").unlink(missing_ok=True)
    forgotten = (stage for stage in STAGES if stage.name != "evaluate")
    for name in sorted({Path(path).parts[0] for stage in forgotten for path in stage.writes}):
        path = run.folder / name
        path.unlink(missing_ok=True) if path.is_file() else files.remove_folder(path)
