"""Which way of answering suits a run's text best, measured on held-out questions.

The model that answers as it is has the benefit of the doubt: another way is taken only if it is better beyond chance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired

import numpy as np
from typing_extensions import TypedDict

from openrealm import files
from openrealm.evaluate.compare import MIN_MEASURED, Interval, paired_difference
from openrealm.model.answering import Answering
from openrealm.progress import say
from openrealm.qed.source import NAME as QED
from openrealm.run import artefacts, questions, stages
from openrealm.run.answering import Row, answer_rows, figures, holds_answer
from openrealm.run.folder import Run
from openrealm.run.systems import SYSTEMS
from openrealm.types import Question

if TYPE_CHECKING:
    from openrealm.model.realm import Realm
    from openrealm.train.fusion import FusedFinder
    from openrealm.train.spans import Found

FILE = "best.json"
CLOZE, ASKED = "cloze questions", "questions"
MAX_MEASURED = 200
"""Most held-out questions of a kind that each system answers; more would take too much of a run's time."""
_MIN_CALIBRATED = 100
_RECALL_AT = 5


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way of answering: a model before or after training, with passages found by vectors, words, or both.

    stages         whose model answers: the first of these stages that is up to date
    wins_by_cloze  whether cloze questions are reason enough to prefer it to the untrained model
    """

    name: str
    title: str
    stages: tuple[str, ...]
    by_vectors: bool = True
    by_words: bool = True
    wins_by_cloze: bool = True


_TUNED = SYSTEMS["realm"].stage
_ADAPTED = (_TUNED, "pretrain")  # the first that there is
UNTRAINED = Way(name="untrained", title="untrained", stages=("warm_start",))
# Cloze questions repeat words of their passages more than people's questions do.
_BM25 = Way(name="bm25", title="BM25", stages=("warm_start",), by_vectors=False, wins_by_cloze=False)
_VECTORS = Way(name="vectors", title="vectors", stages=("warm_start",), by_words=False, wins_by_cloze=False)
_ADAPTED_VECTORS = Way(name="adapted", title="adapted", stages=_ADAPTED, by_words=False)
WAYS: tuple[Way, ...] = (
    UNTRAINED,
    _BM25,
    _VECTORS,
    _ADAPTED_VECTORS,
    Way(name="fused", title="fused", stages=_ADAPTED),
)
WARM_START = Way(name="warm_start", title="warm start", stages=("towers_alone",))
JOINT = Way(name="joint_pretraining", title="joint pre-training", stages=("pretrain",))
COMPARED_WAYS: tuple[Way, ...] = (_BM25, UNTRAINED, WARM_START, JOINT)
"""Those of a run that trained the baseline `towers_alone`."""
TITLES = {way.name: way.title for way in (*WAYS, *COMPARED_WAYS)}


class Best(TypedDict):
    """The content of best.json.

    system         name of the way that the run answers with
    why            one or two sentences
    stage          whose model it is
    vector_weight  as `FusedFinder` takes it
    answering      weights and confidence to answer with
    measured       by kind of question, how many there were ("questions"), the figures of each way ("systems"), and how
                   much more than the untrained one each has ("gains")
    verdict        what joint pre-training added, if there is a baseline
    """

    system: str
    why: str
    stage: str
    vector_weight: float
    answering: Answering
    measured: dict[str, dict[str, Any]]
    verdict: NotRequired[str]


@dataclass(frozen=True)
class Answered:
    """How one way answers the questions of one kind: a row for each, and the best spans of the passages read."""

    rows: list[Row]
    found: list[list[Found]]


def is_recorded(run: Run) -> bool:
    """Whether the last evaluation of the run compared ways of answering."""
    return FILE in run.record("evaluate").get("files", ())


def read(run: Run) -> Best:
    """What was chosen. Raises DamagedArtefact, MissingStage, or Mismatch if models were trained again since."""
    path, evaluate = run.folder / FILE, stages.get("evaluate")
    evaluate.check(run, up_to_date=True)
    evaluate.verify(run, path)
    return files.read_json(path, Best, f"run `{evaluate.command_line(run)}` again")


def open_best(run: Run) -> tuple[Realm, FusedFinder]:
    """The model that the run answers with, and how it finds passages."""
    best = read(run)
    model = artefacts.open_model(run, best["stage"])
    model.answering = best["answering"]
    return model, artefacts.fused_finder(
        run, model, _indexed(best["stage"]), best["answering"], vector_weight=best["vector_weight"]
    )


def _indexed(stage: str) -> str:
    """The stage whose index belongs to the model of `stage`: fine-tuning leaves the passage tower as it is."""
    return "pretrain" if stage == _TUNED else stage


def choose(run: Run) -> Best:
    """Ask every way the run's held-out questions, and write best.json."""
    sets = questions.load(run)
    # Those that come with a text are few enough to ask all of them.
    test = sets.test if run.config.corpus.source == QED else sets.test[:MAX_MEASURED]
    asked = {kind: chosen for kind, chosen in ((CLOZE, sets.dev[:MAX_MEASURED]), (ASKED, test)) if chosen}
    answered: dict[Way, dict[str, Answered]] = {}
    weights: dict[Way, Answering] = {}
    ways = _stages_of_ways(run)
    for stage in dict.fromkeys(ways.values()):
        stages.index_of(_indexed(stage)).make(run)
        model = artefacts.open_model(run, stage)
        assert model.answering is not None
        for way in (way for way, of in ways.items() if of == stage):
            weights[way] = model.answering if way.by_words else dataclasses.replace(model.answering, bm25_weight=0)
            answered[way] = _ask(run, model, _indexed(stage), way, weights[way], asked)
    answered = {way: answered[way] for way in ways}
    rows = {way: {kind: of.rows for kind, of in by_kind.items()} for way, by_kind in answered.items()}
    way, why = decide(rows)
    answering = weights[way]
    if ways[way] == _TUNED and len(asked.get(ASKED, ())) >= _MIN_CALIBRATED:
        answering = _recalibrated(run, answering, asked[ASKED], answered[way][ASKED])
    elif way != UNTRAINED:
        answering = _shifted(answering, answered[UNTRAINED], answered[way])
    best = Best(
        system=way.name,
        why=why,
        stage=ways[way],
        vector_weight=float(way.by_vectors),
        answering=answering,
        measured={
            kind: {
                "questions": len(asked[kind]),
                "systems": {way.name: figures(of[kind]) for way, of in rows.items()},
                "gains": {way.name: gains(of[kind], rows[UNTRAINED][kind]) for way, of in rows.items()},
            }
            for kind in asked
        },
    )
    if {JOINT, WARM_START} <= rows.keys() and len(asked.get(ASKED, ())) >= MIN_MEASURED:
        best["verdict"] = verdict(rows[JOINT][ASKED], rows[WARM_START][ASKED])
    files.write_json(run.folder / FILE, best | {"answering": dataclasses.asdict(answering)})
    return best


def _stages_of_ways(run: Run) -> dict[Way, str]:
    """The ways of answering that the run has, in the order of the table, with the stages whose models answer."""
    ways = COMPARED_WAYS if stages.get("towers_alone").is_current(run) else WAYS
    found = {way: next((name for name in way.stages if stages.get(name).is_current(run)), None) for way in ways}
    return {way: name for way, name in found.items() if name is not None}


def gains(theirs: Sequence[Row], ours: Sequence[Row]) -> dict[str, dict[str, float]]:
    """How much higher exact match, F1 and recall@1 of `theirs` are, with the bounds of the 95% interval.

    F1 is left out where answers are patterns.
    """
    measures = {"em": _em, "recall@1": _is_first, "f1": _f1}
    if any(row["f1"] is None for row in ours):
        del measures["f1"]
    return {name: dataclasses.asdict(_gain(theirs, ours, measure)) for name, measure in measures.items()}


def verdict(joint: Sequence[Row], warm_start: Sequence[Row]) -> str:
    """One sentence on what joint pre-training added to the same time of warm start, on the same questions."""
    found = gains(joint, warm_start)
    names = {"recall@1": "recall@1", "em": "exact match", "f1": "F1"}
    shown = "; ".join(f"{name} {_points(Interval(**found[key]))}" for key, name in names.items() if key in found)
    more = [name for key, name in names.items() if key in found and found[key]["low"] > 0]
    less = [name for key, name in names.items() if key in found and found[key]["high"] < 0]
    parts = [f"raised {' and '.join(more)}"] if more else []
    parts += [f"lowered {' and '.join(less)}"] if less else []
    what = " and ".join(parts) + " beyond chance" if parts else "changed nothing beyond chance"
    return f"Joint pre-training {what}, compared with the same time of warm start ({len(joint)} questions: {shown})."


def _ask(
    run: Run, model: Realm, start: str, way: Way, answering: Answering, asked: Mapping[str, Sequence[Question]]
) -> dict[str, Answered]:
    say(f"evaluation: asking the {way.title} system")
    finder = artefacts.fused_finder(run, model, start, answering, vector_weight=float(way.by_vectors))
    return {kind: Answered(*answer_rows(run, model, finder, chosen)) for kind, chosen in asked.items()}


def decide(rows: Mapping[Way, Mapping[str, Sequence[Row]]]) -> tuple[Way, str]:
    """The way to answer with, and why, from the rows of every way (see `answering.answer_rows`) by kind of question.

    A way is better than the untrained model if its exact match or recall@5 is higher beyond chance (95% interval of the
    paired difference) on the questions that count, and neither is lower beyond chance on any. The held-out questions
    count if there are at least `MIN_MEASURED`, else the cloze questions. Of several, the one with the largest gains.
    By cloze questions a trained model wins only if its vectors alone find no less than before: worse vectors leave more
    to BM25, which cloze questions favour and people's questions do not.
    """
    ours = rows[UNTRAINED]
    counted = ASKED if len(ours.get(ASKED, ())) >= MIN_MEASURED else CLOZE
    num_counted = len(ours.get(counted, ()))
    if num_counted < MIN_MEASURED:
        return UNTRAINED, f"The untrained system answers: fewer than {MIN_MEASURED} held-out questions measure nothing."
    has_worse_vectors = {_VECTORS, _ADAPTED_VECTORS} <= rows.keys() and _finds_less(
        rows[_ADAPTED_VECTORS][CLOZE], rows[_VECTORS][CLOZE]
    )
    gained = {
        way: {kind: (_gain(of, ours[kind], _em), _gain(of, ours[kind], _is_recalled)) for kind, of in own.items()}
        for way, own in rows.items()
        if way != UNTRAINED and (counted == ASKED or (way.wins_by_cloze and not has_worse_vectors))
    }
    if not gained and has_worse_vectors:
        return UNTRAINED, "The untrained system answers: by its vectors alone, the trained model finds fewer passages."
    if not gained:
        return UNTRAINED, "The untrained system answers, as nothing was trained."

    def is_better(way: Way) -> bool:
        em, recall = gained[way][counted]
        is_worse = any(gain.high < 0 for pair in gained[way].values() for gain in pair)
        return not is_worse and (em.low > 0 or (recall.low > 0 and em.mean >= 0))

    better = [way for way in gained if is_better(way)]
    best = max(better or gained, key=lambda way: sum(gain.mean for gain in gained[way][counted]))
    em, recall = gained[best][counted]
    shown = f"{num_counted} held-out {counted}: exact match {_points(em)}; recall@5 {_points(recall)}"
    if better:
        return best, f"The {best.title} system answers: it is better than the untrained one beyond chance ({shown})."
    return UNTRAINED, f"The untrained system answers: none is better beyond chance (the next is {best.title}; {shown})."


def _finds_less(theirs: Sequence[Row], ours: Sequence[Row]) -> bool:
    return _gain(theirs, ours, _is_recalled).mean < 0


def _points(gain: Interval) -> str:
    return f"{100 * gain.mean:+.1f} points, 95% interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"


def _gain(theirs: Sequence[Row], ours: Sequence[Row], measure: Callable[[Row], float]) -> Interval:
    return paired_difference([measure(row) for row in theirs], [measure(row) for row in ours])


def _em(row: Row) -> float:
    return float(row["em"])


def _f1(row: Row) -> float:
    return float(row["f1"])


def _is_first(row: Row) -> bool:
    return bool(row["rank"] == 1)


def _is_recalled(row: Row) -> bool:
    return row["rank"] is not None and row["rank"] <= _RECALL_AT


def _shifted(answering: Answering, ours: Mapping[str, Answered], theirs: Mapping[str, Answered]) -> Answering:
    """The untrained model's confidence for a way whose best scores of passages have another mean."""
    from openrealm.train.spans import confidence_scores

    def mean(answered: Mapping[str, Answered]) -> float:
        found = [confidence_scores(one) for of in answered.values() for one in of.found if one]
        return float(np.mean([retrieval for _, retrieval in found] or [0.0]))

    shift = answering.confidence_retrieval * (mean(ours) - mean(theirs))
    return dataclasses.replace(answering, confidence_offset=answering.confidence_offset + shift)


def _recalibrated(run: Run, answering: Answering, asked: Sequence[Question], answered: Answered) -> Answering:
    """Confidence and threshold of a span reader that was trained further, from the held-out questions.

    The passages without an answer stand for those of questions that cannot be answered.
    """
    from openrealm.qa.calibrate import DECLINED, with_confidence
    from openrealm.train.spans import confidence_scores

    corpus = artefacts.open_corpus(run)
    seconds = run.config.max_regex_seconds
    answers = [(spans, bool(row["em"])) for spans, row in zip(answered.found, answered.rows, strict=True)]
    others = [
        [span for span in spans if not holds_answer(corpus, span.passage, question, seconds)]
        for question, spans in zip(asked, answered.found, strict=True)
    ]
    fitted = with_confidence(answering, answers, others)
    confidences = [fitted.confidence(*confidence_scores(spans)) for spans, _ in answers if spans]
    return dataclasses.replace(fitted, threshold=float(np.quantile(confidences, DECLINED)))
