"""The last stage: every fine-tuned system answers the test questions, and the run's report is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from openrealm import files
from openrealm.errors import MissingStage
from openrealm.evaluate.compare import paired_difference
from openrealm.evaluate.report import Report, write_report
from openrealm.factbook.questions import QuestionSets
from openrealm.progress import say
from openrealm.run import keys, questions
from openrealm.run.answering import answer_system, by_relation
from openrealm.run.facts import facts
from openrealm.run.folder import SYSTEMS, Run
from openrealm.run.retrieved import examples
from openrealm.run.stages import command_of


def evaluate_stage(run: Run) -> dict[str, Any]:
    """Ask every fine-tuned system the test questions and write report.json and report.html; returns the report.

    Raises MissingStage when neither a system nor a pre-training is there to report on.
    """
    systems = [system for system in SYSTEMS if run.is_finished(f"finetune_{system}")]
    if not systems and not run.is_finished("pretrain"):
        raise MissingStage(f"{run.folder} has nothing to report on; run `{command_of('pretrain', run)}` first.")
    asked = questions.load(run) if run.questions.exists() else QuestionSets((), (), ())
    seen = {(question.relation, question.wording) for question in asked.train}
    with files.sole_writer(run.evaluate), run.stage("evaluate", keys.evaluate_key(run)):
        answers = {}
        for system in systems if asked.test else ():
            answers[system] = answer_system(run, system, asked.test, seen)
            say(f"evaluate: {system} answers {answers[system]['figures']['em']:.1%} of {len(asked.test)} questions")
        report = _training(run) | _answers(answers) | {"name": run.config.name, "facts": facts(run)}
        write_report(cast(Report, report | run.timings()), run.folder)
    return write_report(cast(Report, report | run.timings()), run.folder)  # now with the seconds of this stage


def _answers(answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    em = {system: [row["em"] for row in whole["questions"]] for system, whole in answers.items()}
    comparisons = []
    for other in em if "realm" in em else ():
        if other != "realm":
            gain = paired_difference(em["realm"], em[other])
            comparisons.append(
                {"first": "realm", "second": other, "mean": gain.mean, "low": gain.low, "high": gain.high}
            )
    return {
        "systems": {system: whole["figures"] for system, whole in answers.items()},
        "comparisons": comparisons,
        "relations": by_relation(answers),
        "questions": max((len(values) for values in em.values()), default=0),
    }


def _training(run: Run) -> dict[str, Any]:
    """What pre-training left, with and without moving towers, as far as they have been run."""
    if not run.is_finished("pretrain"):
        return {}
    outcome = files.read_json(run.pretrain / "outcome.json")
    utility = {which: outcome[which].get("retrieval_utility") for which in ("first", "last")}
    found = {
        "metrics": _metrics(run.pretrain),
        "refresh_steps": outcome["task"]["refresh_steps"],
        "refreshes": len(outcome["task"]["refresh_steps"]),
        "examples": examples(run),
    }
    if run.is_finished("frozen_towers", keys.pretrain_key(run, frozen=True)):
        utility["frozen_towers_last"] = files.read_json(run.frozen / "outcome.json")["last"].get("retrieval_utility")
        found["metrics_frozen"] = _metrics(run.frozen)
    return found | {"retrieval_utility": utility}


def _metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
