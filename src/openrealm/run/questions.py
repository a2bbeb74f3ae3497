"""Questions of a run: from a file, from the Factbook's templates, or cloze questions made of the text itself.

They are kept in the run folder as questions.json, so that a system is asked nothing that it was trained on.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from farmhash import Fingerprint64

from openrealm import files
from openrealm.errors import BadInput, MissingStage
from openrealm.evaluate.answers import compile_pattern
from openrealm.factbook.questions import QuestionSets
from openrealm.factbook.source import NAME as FACTBOOK
from openrealm.run import keys
from openrealm.run.folder import Run
from openrealm.types import Question

_EXPECTED = 'expected a line such as {"question": "Where is the library?", "answer": ["in the old mill"]}'
_TEST_FOLDS = 2  # of ten


def read_questions(path: Path, *, regex: bool = False) -> list[Question]:
    """Questions of a JSONL file: "question" a text, "answer" a text or a list of texts; other keys are passed over.

    regex   the answers are regular expressions, as CuratedTREC's are
    Raises BadInput naming the file and the line that is not as expected, or when the file holds no question.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); give a JSONL file of questions.") from error
    found = [_question(line, f"{path}:{number}", regex) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise BadInput(f"{path} holds no question; {_EXPECTED}.")
    return found


def _question(line: bytes, where: str, regex: bool) -> Question:
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{where} is not JSON ({error}); {_EXPECTED}.") from error
    text = value.get("question") if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f'{where} has no text under "question"; {_EXPECTED}.')
    answers = value.get("answer")
    answers = [answers] if isinstance(answers, str) else answers
    if not isinstance(answers, list) or not all(isinstance(a, str) and a.strip() for a in answers) or not answers:
        raise BadInput(f'{where} has no answer under "answer"; {_EXPECTED}.')
    if not regex:
        return Question(text.strip(), tuple(answer.strip() for answer in answers))
    try:
        return Question(text.strip(), tuple(compile_pattern(answer).pattern for answer in answers), regex=True)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def is_dev(question: str) -> bool:
    """Whether a question of a published training set belongs to its dev set in ORQA's split.

    Lee et al. 2019 hold back the first of ten folds by the fingerprint of the question's text: 361 of the 3,778
    training questions of WebQuestions and 133 of the 1,486 of CuratedTREC.
    """
    return _fold(question) == 0


def _fold(question: str) -> int:
    return int(Fingerprint64(question.encode("utf-8", "surrogatepass"))) % 100_000 % 10


def split(questions: Iterable[Question]) -> QuestionSets:
    """A fifth of the questions to test with, by their fingerprint; the rest to train on.

    It is the first two of ORQA's ten folds, so that no question of a published dev set is trained on.
    """
    train: list[Question] = []
    test: list[Question] = []
    for question in questions:
        (test if _fold(question.text) < _TEST_FOLDS else train).append(question)
    return QuestionSets(train=tuple(train), dev=(), test=tuple(test))


def questions_stage(run: Run, file: Path | None = None, *, regex: bool = False) -> QuestionSets:
    """Write the run's questions down and return them.

    From `file` a fifth is kept to test with; for a text of one's own cloze questions are trained on too, since a
    person's list is short. Without a file they are the Factbook's where that is the source, else cloze questions.
    `regex` is that of `read_questions`.
    """
    from openrealm.factbook.questions import factbook_questions

    given = None if file is None else split(read_questions(file, regex=regex))
    if run.config.corpus.source == FACTBOOK:
        sets, origin = (given, str(file)) if given else (factbook_questions(run.config.seed), "the Factbook")
    else:
        sets, origin = QuestionSets(train=_cloze(run), dev=(), test=()), "cloze questions from the text"
        if given:
            sets = QuestionSets(train=given.train + sets.train, dev=(), test=given.test)
            origin = f"{file} and {origin}"
    return save(run, sets, origin, keys.questions_key(run, file, regex=regex))


def _cloze(run: Run) -> tuple[Question, ...]:
    from openrealm.corpus.corpus import Corpus
    from openrealm.run.cloze import cloze_questions

    return tuple(
        cloze_questions(
            Corpus.open(run.corpus), seed=run.config.seed, max_answer_tokens=run.config.finetune.max_span_tokens
        )
    )


def replace(run: Run, *, train: Path | None = None, test: Path | None = None, regex: bool = False) -> QuestionSets:
    """Take the training or the test questions from a file; the others stay, or are made where there are none.

    `regex` is that of `read_questions`.
    """
    named = {name: file for name, file in (("train", train), ("test", test)) if file is not None}
    given: dict[str, Any] = {name: tuple(read_questions(file, regex=regex)) for name, file in named.items()}
    if run.questions.exists():
        sets = load(run)
    elif "train" in given:
        sets = QuestionSets(train=(), dev=(), test=())
    else:
        sets = questions_stage(run)
    if not given:
        return sets
    origin = ", ".join(f"{name} from {file}" for name, file in named.items())
    return save(run, dataclasses.replace(sets, **given), origin, files.digest_of(origin))


def save(run: Run, sets: QuestionSets, origin: str, key: str) -> QuestionSets:
    """Write questions.json, and down that it was made under `key`; returns `sets`."""
    values = {name: [dataclasses.asdict(question) for question in getattr(sets, name)] for name in _NAMES}
    with run.stage("questions", key):
        files.write_json(run.questions, {"origin": origin, **values})
    return sets


_NAMES = tuple(field.name for field in dataclasses.fields(QuestionSets))


def load(run: Run) -> QuestionSets:
    """The questions of a run; MissingStage when there are none yet."""
    if not run.questions.exists():
        raise MissingStage(f"{run.folder} has no questions yet; run `openrealm finetune --run {run.folder}` first.")
    values = files.read_json(run.questions)
    return QuestionSets(**{name: tuple(_loaded(entry) for entry in values[name]) for name in _NAMES})


def _loaded(entry: dict[str, Any]) -> Question:
    return Question(**(entry | {"answers": tuple(entry["answers"])}))


def origin_of(run: Run) -> str:
    """Where the run's questions come from, in words."""
    return str(files.read_json(run.questions)["origin"]) if run.questions.exists() else "none"
