"""The last stage: every fine-tuned system answers the test questions, and the run's report is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired, cast

from typing_extensions import TypedDict

from openrealm import files
from openrealm.errors import DamagedArtefact, Mismatch, MissingStage
from openrealm.evaluate.compare import MIN_MEASURED, paired_difference
from openrealm.evaluate.report import Report, write_report
from openrealm.model.weights import answers_questions
from openrealm.progress import say, warn
from openrealm.run import artefacts, best, budget, questions, stages
from openrealm.run.answering import answer_system, by_relation
from openrealm.run.facts import facts
from openrealm.run.folder import Run
from openrealm.run.retrieved import HELDOUT, NUM_RECORDED, PROGRESS, RETRIEVED, examples, read_heldout, recorded
from openrealm.run.stages import Options, Stage
from openrealm.run.systems import SYSTEMS, System
from openrealm.stored import Count
from openrealm.train import metrics
from openrealm.types import QuestionSets

_JOINT = ("pretrain", "frozen_towers")


class _Refreshes(TypedDict):
    refresh_steps: list[Count]
    num_failed_refreshes: Count


class _Heldout(TypedDict):
    retrieval_utility: NotRequired[float]


class _Outcome(TypedDict):
    """What the report takes from outcome.json, a `train.trainer.Outcome`."""

    first: _Heldout
    last: _Heldout
    task: _Refreshes


def evaluate(run: Run, stage: Stage, options: Options) -> dict[str, Any]:
    """Ask every fine-tuned system the test questions and write report.json and report.html. Returns the report.

    Systems that were fine-tuned with other settings or questions are left out, and named.
    Raises MissingStage if there is neither a fine-tuned system nor a pre-trained model to report on, Mismatch if no
    system is up to date.
    """
    pretrain = stages.get("pretrain")
    measured = _measured_ways(run)
    tuned = [system for system in SYSTEMS.values() if stages.get(system.stage).is_finished(run)]
    systems = [system for system in tuned if stages.get(system.stage).is_current(run)]
    systems = [system for system in systems if not (measured and system.name == "realm")]  # measured as "fused"
    left_out = [system for system in tuned if not stages.get(system.stage).is_current(run)]
    if left_out:
        sentence = _outdated(run, left_out)
        if not systems and not measured:
            raise Mismatch(sentence)
        warn(f"evaluation: left out: {sentence}")
    if not systems and not measured and not pretrain.is_finished(run):
        raise MissingStage(f"{run.folder} has nothing to report on; run `{pretrain.next_command(run)}` first.")
    asked = questions.load(run) if run.questions.exists() else QuestionSets()
    seen = {(question.relation, question.wording) for question in asked.train}
    _make_indexes(run, systems)
    answers = {}
    for system in systems if asked.test else ():
        answers[system.name] = answer_system(run, system, asked.test, seen)
        em, num = answers[system.name]["figures"]["em"], len(asked.test)
        share = f"{em:.1%}" if num >= MIN_MEASURED else str(round(em * num))
        say(f"evaluation: {system.title} answers {share} of {num} questions correctly")
    report = measured | _training(run) | _answers(answers) | {"name": run.config.name, "facts": facts(run)}
    stages.say_changed(run)
    for path in run.evaluate.glob("*.json"):  # answers of systems that the report leaves out, or of the run before
        if path.stem not in answers:
            path.unlink()
    return write_report(cast(Report, report | _timings(run)), run.folder)


def _timings(run: Run) -> dict[str, Any]:
    """Seconds by stage and memory, with the time that was announced if it was limited."""
    timings, planned = run.timings(), budget.kept(run)
    if planned is None:
        return timings
    planning = planned["spent"] - timings["seconds"].get("corpus", 0.0)
    seconds = timings["seconds"] | {"planning": round(max(0.0, planning), 1)}
    return timings | {"seconds": seconds, "announced_seconds": round(planned["announced"], 1)}


def _measured_ways(run: Run) -> dict[str, Any]:
    """How each way of answering does, and which one answers; nothing for a model that cannot answer untrained."""
    path = run.folder / best.FILE
    path.unlink(missing_ok=True)
    if not stages.get("warm_start").is_current(run) or not answers_questions(run.config.model.backbone):
        return {}
    chosen = best.choose(run)
    say(f"evaluation: {chosen['why']}")
    return {"best": {key: chosen[key] for key in ("system", "why", "measured", "verdict") if key in chosen}}


def _outdated(run: Run, systems: Sequence[System]) -> str:
    """That systems have to be fine-tuned again, and the command."""
    names = " ".join(f"--system {system.name}" for system in systems)
    titles = ", ".join(system.title for system in systems)
    return (
        f"{titles} (fine-tuned with other settings, questions or weights than the run's present ones); "
        f"`openrealm finetune {names} --run {run.folder}` fine-tunes again."
    )


def _make_indexes(run: Run, systems: list[System]) -> None:
    """Build the indexes that systems and examples search, if any is missing."""
    starts = {system.start for system in systems if system.retriever == "tower"}
    if stages.get("pretrain").is_finished(run):
        starts |= {"warm_start", "pretrain"}
    for start in sorted(starts):
        stages.index_of(start).make(run)


def _answers(answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    em = {system: [row["em"] for row in answered["questions"]] for system, answered in answers.items()}
    comparisons = []
    for other in em if "realm" in em else ():
        if other != "realm":
            gain = paired_difference(em["realm"], em[other])
            comparisons.append(
                {"first": "realm", "second": other, "mean": gain.mean, "low": gain.low, "high": gain.high}
            )
    return {
        "systems": {system: answered["figures"] for system, answered in answers.items()},
        "comparisons": comparisons,
        "relations": by_relation(answers),
        "questions": max((len(values) for values in em.values()), default=0),
    }


def _training(run: Run) -> dict[str, Any]:
    """What pre-training recorded, with and without frozen towers, as far as each has been run."""
    pretrain, frozen = stages.get("pretrain"), stages.get("frozen_towers")
    if not pretrain.is_finished(run) or not _was_trained(run, pretrain):
        return {}
    outcome = _outcome(run, pretrain)
    utility = {which: outcome[which].get("retrieval_utility") for which in ("first", "last")}
    found = {
        "metrics": _metrics(run, pretrain),
        "refresh_steps": outcome["task"]["refresh_steps"],
        "refreshes": len(outcome["task"]["refresh_steps"]),
        "failed_refreshes": outcome["task"]["num_failed_refreshes"],
        "progress": _rows(run, pretrain, PROGRESS),
        "trainings": _other_trainings(run),
        "examples": examples(run),
        "retrieved": _retrieved(run, pretrain),
    }
    if frozen.is_current(run):
        utility["frozen_towers_last"] = _outcome(run, frozen)["last"].get("retrieval_utility")
        found["metrics_frozen"] = _metrics(run, frozen)
    return found | {"retrieval_utility": utility}


def _was_trained(run: Run, stage: Stage) -> bool:
    """Whether there was enough text to train on: otherwise a stage leaves a model and no outcome."""
    outcome = (stage.folder(run) / artefacts.OUTCOME).relative_to(run.folder)
    return str(outcome) in run.record(stage.name).get("files", ())


def _outcome(run: Run, stage: Stage) -> _Outcome:
    path = stage.folder(run) / artefacts.OUTCOME
    stage.verify(run, path)
    return files.read_json(path, _Outcome)


def _metrics(run: Run, stage: Stage) -> list[metrics.Row]:
    return _rows(run, stage, metrics.FILE)


def _rows(run: Run, stage: Stage, name: str) -> list[metrics.Row]:
    """The rows of a file that a training left; none if it left no such file."""
    path = stage.folder(run) / name
    stage.verify(run, path)
    return metrics.read(stage.folder(run), name) if path.exists() else []


def _other_trainings(run: Run) -> dict[str, Any]:
    """Titles and metrics of the other trainings that are up to date, by stage, without those whose log has changed."""
    found = {}
    for stage in stages.STAGES:
        if stage.checkpoints and stage.name not in _JOINT and stage.is_current(run) and _was_trained(run, stage):
            try:
                found[stage.name] = {"title": stage.title, "metrics": _metrics(run, stage)}
            except DamagedArtefact as error:
                say(f"evaluation: left out: {error}")
    return found


def _retrieved(run: Run, stage: Stage) -> dict[str, Any]:
    """What was retrieved for held-out queries during pre-training; nothing where it was not recorded."""
    folder = stage.folder(run)
    for name in (HELDOUT, RETRIEVED):
        stage.verify(run, folder / name)
    heldout = read_heldout(folder)
    numbers = range(min(NUM_RECORDED, len(heldout["queries"])))
    return recorded(folder, heldout, numbers, artefacts.open_corpus(run), run.config.corpus.source)
