"""What the commands print: the comparison in a report, and an answer. Formatted by rich on a terminal, else plain."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openrealm.cli.common import again
from openrealm.errors import Mismatch, MissingStage
from openrealm.evaluate.compare import MIN_MEASURED
from openrealm.progress import clock, say, show, visible
from openrealm.run.best import TITLES, UNTRAINED
from openrealm.run.systems import SYSTEMS
from openrealm.types import QuestionSets

if TYPE_CHECKING:
    from openrealm.types import Answer, ReadPassage, Retrieval, RetrievedPassage

# Cloze questions that read well: the question word is the subject of a verb.
_SENTENCE = re.compile(r"(?:Who|What) (?:is|are|was|were|has|had|can|will|must|may|should) (?:\S+ ){2,14}\S+\?$")
_BY = {"dense": "by vectors", "bm25": "by words (BM25)", "fused": "by vectors and words"}
_NUM_TRIED = 12
_HEAD = ("system", "exact match", "95% interval", "F1", "recall@5")
_HEAD_OF_WAYS = ("system", "recall@1", "recall@5", "exact match", "gain (95% interval)", "F1", "gain (95% interval)")


def show_report(report: Mapping[str, Any], folder: Path, *, as_json: bool = False) -> None:
    """Print what answers and the comparison, the retrieval utility, where the report is, and a question to ask."""
    if as_json:
        show_json(report)
        return
    if best := report.get("best"):
        for kind, measured in best["measured"].items():
            say("")
            num = measured["questions"]
            rows = [_way(name, values, measured["gains"][name], num) for name, values in measured["systems"].items()]
            table(_HEAD_OF_WAYS, rows, f"{num} held-out {kind}; gains are over the untrained system")
        for sentence in filter(None, (best.get("verdict"), best["why"])):
            show(sentence)
    num_questions = report["questions"]
    rows = [_figures(name, values, num_questions) for name, values in report["systems"].items()]
    if rows:
        say("")
        table(_HEAD, rows, "1 test question" if num_questions == 1 else f"{num_questions} test questions")
        if num_questions < MIN_MEASURED:
            show(
                f"Fewer than {MIN_MEASURED} questions are too few for a measure; "
                "give more with `openrealm evaluate --questions FILE`."
            )
    if not best or report["retrieval_utility"]["last"] is not None:
        show(_utility(report))
    seconds = sum(value or 0 for value in report["seconds"].values())
    peak = report["peak_memory_bytes"] or 0
    announced = f", announced {clock(expected)}" if (expected := report.get("announced_seconds")) else ""
    show(f"Time {clock(seconds)} (minutes:seconds{announced}), peak memory {peak / 2**30:.2f} GiB.")
    show(f"Report: {folder / 'report.html'}")
    question = _example_question(folder)
    if question is not None:
        say(f"Next: {again('ask', '--run', str(folder), question)}")


def _figures(name: str, values: Mapping[str, Any], num_questions: int) -> tuple[str, ...]:
    is_measured = num_questions >= MIN_MEASURED
    f1, recall = (values.get(key) if is_measured else None for key in ("f1", "recall@5"))
    return (
        SYSTEMS[name].title if name in SYSTEMS else name,
        f"{100 * values['em']:.1f}" if is_measured else f"{round(values['em'] * num_questions)} of {num_questions}",
        f"{100 * values['em_low']:.1f} to {100 * values['em_high']:.1f}" if is_measured else "–",
        percent(f1),
        percent(recall),
    )


def _way(name: str, values: Mapping[str, Any], gains: Mapping[str, Any], num_questions: int) -> tuple[str, ...]:
    """The figures of a way of answering, with what they gain over the untrained model."""
    if num_questions < MIN_MEASURED:
        return (TITLES[name], "–", "–", f"{round(values['em'] * num_questions)} of {num_questions}", "–", "–", "–")
    shown = {key: percent(values.get(key)) for key in ("recall@1", "recall@5", "em", "f1")}
    gained = {key: "–" if name == UNTRAINED.name or key not in gains else _gain(gains[key]) for key in ("em", "f1")}
    return (
        TITLES[name], shown["recall@1"], shown["recall@5"], shown["em"], gained["em"], shown["f1"], gained["f1"],
    )  # fmt: skip


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal; a dash for one that was not measured."""
    return "–" if share is None else f"{100 * share:.1f}"


def _gain(gain: Mapping[str, float]) -> str:
    return f"{100 * gain['mean']:+.1f} ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], title: str = "") -> None:
    """Print a table: the first column to the left, the others to the right."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(title=title or None)
        for name in head:
            drawn.add_column(Text(name), justify="left" if name == head[0] else "right")
        for row in rows:
            drawn.add_row(*map(Text, row), style="bold" if row[0] == "REALM" else "")
        Console().print(drawn)
        return
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    if title:
        show(title)
    for row in (head, *rows):
        show(
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        )


def _utility(report: Mapping[str, Any]) -> str:
    """How pre-training changed the retrieval utility."""
    utility = report["retrieval_utility"]
    if utility["first"] is None or utility["last"] is None:
        return "The model is not pre-trained, so its retrieval utility is unknown."
    frozen = utility["frozen_towers_last"]
    baseline = "" if frozen is None else f" (with frozen towers: {frozen:.2f})"
    failed = f" ({report['failed_refreshes']} failed)" if report["failed_refreshes"] else ""
    return (
        f"Retrieval utility on held-out queries went from {utility['first']:.2f} to {utility['last']:.2f} nats"
        f"{baseline}; index refreshes: {report['refreshes']}{failed}."
    )


def _example_question(folder: Path) -> str | None:
    """A question that the run answers correctly, or "YOUR QUESTION" if none is known; None if it cannot be asked."""
    from openrealm.evaluate.answers import exact_match
    from openrealm.run import questions
    from openrealm.run.folder import Run
    from openrealm.serve.answerer import Answerer

    run = Run.open(folder)
    asked = questions.load(run) if run.questions.exists() else QuestionSets()
    cloze = [question for question in asked.train if _SENTENCE.match(question.text)]
    tried = [question for question in asked.test if not question.regex][:_NUM_TRIED]
    cloze += [question for question in asked.dev if _SENTENCE.match(question.text)]
    tried += sorted(cloze, key=lambda question: len(question.text))[:_NUM_TRIED]
    try:
        answers = Answerer.open(folder).ask([question.text for question in tried])
    except (MissingStage, Mismatch):  # nothing can answer
        return None
    right = (q.text for q, answer in zip(tried, answers, strict=True) if exact_match(answer.text, q.answers))
    return next(right, "YOUR QUESTION")


def show_json(value: object) -> None:
    """Print a value as indented JSON."""
    show(safe_json(value, indent=1))


def show_measures(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print recall and reciprocal rank, as `evaluate.trec.measures` returns them."""
    if as_json:
        show_json(found)
        return
    names = [name for name, value in found.items() if isinstance(value, Mapping)]
    rows = [(name.replace("_", " "), percent(found[name]["mean"]), _interval(found[name])) for name in names]
    table(("measure", "per cent", "95% interval"), rows, f"{found['questions']:,} questions")


def _interval(value: Mapping[str, float | None]) -> str:
    low, high = value["low"], value["high"]
    return "–" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"


def show_answer(answer: Answer, *, as_json: bool, single: bool = True) -> None:
    """Print the answer, its source passage with the answer marked, and the runners-up.

    single  whether it is the only one; otherwise JSON takes one line, and text begins with the question
    """
    if as_json:
        show(safe_json(dataclasses.asdict(answer), indent=1 if single else None))
        return
    if not single:
        show(f"\n{one_line(answer.question)}")
    if answer.source is None:
        show("No passage contains an answer.")
        return
    if sys.stdout.isatty():
        _show_on_terminal(answer, answer.source)
        return
    show(_headline(answer))
    show(f"\n{_title(answer.source)}")
    before, marked, after = _parts(answer.source)
    show(f"{before}[[{marked}]]{after}")
    show(f"{_scores(answer.source)}, index {answer.index_version}")
    if answer.runners_up:
        show("\nRunners-up")
    for other in answer.runners_up:
        show(f"  {one_line(other.answer)}  ({_title(other)}; {_scores(other)})")


def show_retrieval(found: Retrieval, *, as_json: bool, single: bool = True) -> None:
    """Print the passages found for a question, best first; `single` as for `show_answer`."""
    if as_json:
        show(safe_json(dataclasses.asdict(found), indent=1 if single else None))
        return
    if not single:
        show(f"\n{one_line(found.question)}")
    if not found.passages:
        show("No passage was found.")
        return
    for rank, passage in enumerate(found.passages, 1):
        show(f"{rank}. {_title(passage)}, score {passage.score:.3f}")
        show(f"{plain(passage.text)}\n")
    show(f"Found {_BY.get(found.by, found.by)}{'' if found.by == 'bm25' else f', index {found.index_version}'}")


def _show_on_terminal(answer: Answer, source: ReadPassage) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(_headline(answer), style="bold green" if answer.text else "bold yellow"))
    console.print(Text(f"\n{_title(source)}", style="underline"))
    before, marked, after = _parts(source)
    console.print(Text.assemble(before, (marked, "bold green"), after))
    console.print(Text(f"{_scores(source)}, index {answer.index_version}", style="dim"))
    if answer.runners_up:
        console.print(Text("\nRunners-up", style="underline"))
        table = Table(box=None, show_header=False, pad_edge=False)
        for other in answer.runners_up:
            table.add_row(
                Text(one_line(other.answer), style="bold"), Text(_title(other)), Text(_scores(other), style="dim")
            )
        console.print(table)


def _headline(answer: Answer) -> str:
    """The answer with its confidence, or that none was found."""
    sure = "" if answer.confidence is None else f" (right with probability {answer.confidence:.2f})"
    if answer.text:
        return one_line(answer.text) + sure
    return f"No answer found{'' if answer.confidence is None else f' (the best is {sure[2:-1]})'}. Closest passages:"


def _parts(passage: ReadPassage) -> tuple[str, str, str]:
    start, end = passage.answer_start, passage.answer_end
    return plain(passage.text[:start]), plain(passage.text[start:end]), plain(passage.text[end:])


def _title(passage: ReadPassage | RetrievedPassage) -> str:
    title = one_line(passage.title) or "(no title)"
    return f"{title} ({one_line(passage.place)})" if passage.place else title


def plain(text: str) -> str:
    """Text of which every character is visible, those that a terminal would act on as escapes; newlines are kept."""
    return "\n".join(map(visible, text.split("\n")))


def one_line(text: str) -> str:
    """`plain` on one line: an answer may span a line break of its passage."""
    return visible(" ".join(text.split()))


def safe_json(value: object, indent: int | None = None) -> str:
    """A value as JSON in plain UTF-8, with the characters that a terminal would act on escaped."""
    if sys.stdout.encoding.lower().replace("-", "") != "utf8":
        return json.dumps(value, indent=indent)
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(char if char == "\n" or visible(char) == char else _json_escape(char) for char in text)


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"


def _scores(passage: ReadPassage) -> str:
    utility = passage.retrieval_utility
    shown = "" if utility is None else f", retrieval utility {utility:+.2f} nats"
    return f"p(z|x) {passage.probability:.2f}{shown}"
