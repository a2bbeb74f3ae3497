"""The questions of a run: from a file, from QED or the Factbook's templates, or cloze questions made from the text.

They are stored in the run as questions.json, so that no system is tested on a question it was trained on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from farmhash import Fingerprint64

from openrealm import files
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.sources.lines import read_lines
from openrealm.errors import BadInput, MissingStage, TooLittleText
from openrealm.evaluate.answers import compile_pattern
from openrealm.factbook.source import NAME as FACTBOOK
from openrealm.model.weights import answers_questions
from openrealm.progress import warn
from openrealm.qed.source import NAME as QED
from openrealm.qed.source import qed_questions
from openrealm.run import stages
from openrealm.run.folder import Run
from openrealm.run.inputs import stored_questions
from openrealm.text.surrogates import has_surrogates
from openrealm.types import MAX_REGEX_SECONDS, Question, QuestionSets

_EXPECTED = 'expected a line such as {"question": "Where is the library?", "answer": ["in the old mill"]}'
_MAX_CHARACTERS = 10_000
_NUM_FOLDS, _NUM_TEST_FOLDS = 10, 2
_NUM_NAMED = 3
MAX_CLOZE = 200
"""Most cloze questions to measure a model with."""
_NAMES = tuple(field.name for field in dataclasses.fields(QuestionSets))


def read_questions(path: str | Path, *, regex: bool = False) -> list[Question]:
    """Questions of a JSONL file, which may be compressed.

    "question" is a text, "answer" a text or a list of texts; other keys are ignored.

    regex  the answers are regular expressions, as in CuratedTREC
    Raises BadInput naming the file and the first invalid line, or if the file contains no questions.

    >>> import openrealm as orm
    >>> orm.read_questions("questions.jsonl")[0].answers
    ('the old mill',)
    """
    return [question for _, _, question in _rows(Path(path), regex)]


def questions_by_id(path: str | Path, *, regex: bool = False) -> dict[str, Question]:
    """`read_questions` by id: the row's own "id", or the number of its line. Raises BadInput if two have the same."""
    found: dict[str, Question] = {}
    for where, name, question in _rows(Path(path), regex):
        if name in found:
            raise BadInput(f"{where} has the id {name}, as a question before it; give each its own.")
        found[name] = question
    return found


def id_of_row(row: dict[str, Any], number: int) -> str:
    """What files of results call the question in a row: its "id", or the number of its line if it has none.

    >>> id_of_row({"id": "q7", "question": "Who bakes?"}, 3), id_of_row({"question": "Who bakes?"}, 3)
    ('q7', '3')
    """
    name = row.get("id")
    return str(name if isinstance(name, str | int) else number)


def _rows(path: Path, regex: bool) -> Iterator[tuple[str, str, Question]]:
    """The place, the id and the question of each line."""
    if not path.exists() or path.is_dir():
        what = "is a folder" if path.exists() else "does not exist"
        raise BadInput(f"{path} {what}; give a JSONL file of questions.")
    is_empty = True
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            where, is_empty = f"{path}:{number}", False
            row = _row(line, where)
            yield where, id_of_row(row, number), _question(row, where, regex)
    if is_empty:
        raise BadInput(f"{path} contains no questions; {_EXPECTED}.")


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError also for integers of thousands of digits
        raise BadInput(f"{where} is not JSON ({error}); {_EXPECTED}.") from error
    return value if isinstance(value, dict) else {}


def _question(value: dict[str, Any], where: str, regex: bool) -> Question:
    text = value.get("question")
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f'{where} has no text under "question"; {_EXPECTED}.')
    answers = value.get("answer")
    answers = [answers] if isinstance(answers, str) else answers
    if not isinstance(answers, list) or not all(isinstance(a, str) and a.strip() for a in answers) or not answers:
        raise BadInput(f'{where} has no answer under "answer"; {_EXPECTED}.')
    for given in (text, *answers):
        if len(given) > _MAX_CHARACTERS:
            raise BadInput(f"{where} has a text of {len(given):,} characters; at most {_MAX_CHARACTERS:,} are read.")
        if has_surrogates(given):
            raise BadInput(f"{where} has half of a surrogate pair, which is no character; write the whole character.")
    if not regex:
        return Question(text.strip(), tuple(answer.strip() for answer in answers))
    try:
        return Question(text.strip(), tuple(compile_pattern(answer).pattern for answer in answers), regex=True)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def say_absent(
    corpus: Corpus, questions: Sequence[Question], origin: str, max_regex_seconds: float = MAX_REGEX_SECONDS
) -> None:
    """Say how many questions have answers that stand nowhere in the corpus, and the first of them."""
    from openrealm.train.answers import AnswerFinder

    finder = AnswerFinder(corpus, max_regex_seconds)
    absent = [question for question in questions if not finder.passages_for(question)]
    if absent:
        named = "; ".join(f"{one.text} ({one.answers[0]})" for one in absent[:_NUM_NAMED])
        warn(
            f"{origin}: the answers to {len(absent)} of {len(questions)} questions stand nowhere in the text, so that "
            f"they cannot be found: {named}{'; …' if len(absent) > _NUM_NAMED else '.'}"
        )


def fold(question: str) -> int:
    """The fold, 0 to 9, of a question by the fingerprint of its text, as in ORQA.

    Lee et al. 2019 hold out fold 0 of a published training set as its dev set: 361 of the 3,778 training questions
    of WebQuestions and 133 of the 1,486 of CuratedTREC.
    """
    return int(Fingerprint64(question.encode("utf-8", "surrogatepass"))) % 100_000 % _NUM_FOLDS


def split(questions: Iterable[Question]) -> QuestionSets:
    """Folds 0 and 1 for testing, the others for training.

    With fold 0 on the test side, no question of ORQA's dev sets is trained on.
    """
    train: list[Question] = []
    test: list[Question] = []
    for question in questions:
        (test if fold(question.text) < _NUM_TEST_FOLDS else train).append(question)
    return QuestionSets(train=tuple(train), test=tuple(test))


def generate(run: Run, file: Path | None = None, *, regex: bool = False) -> tuple[QuestionSets, str]:
    """The questions of a run and their origin in words.

    Without a file they are those of QED or the Factbook if that is the source, else cloze questions. A fifth of the
    questions in `file` is for testing. On the user's own text, a model that answers as it is gets cloze questions from
    passages on which it is not trained, to be measured; for another, cloze questions are added for training, since
    files of questions are short. `regex` as in `read_questions`.
    """
    from openrealm.factbook.questions import factbook_questions

    given = None if file is None else split(read_questions(file, regex=regex))
    if given is None and run.config.corpus.source == QED:
        return dataclasses.replace(qed_questions(), dev=()), "QED"  # dev is what settings were chosen with
    if run.config.corpus.source == FACTBOOK:
        return (given, str(file)) if given else (factbook_questions(run.config.seed), "the Factbook")
    if answers_questions(run.config.model.backbone):
        origin = "cloze questions from held-out passages"
        asked = given or QuestionSets()
        return dataclasses.replace(asked, dev=_heldout_cloze(run)), f"{file} and {origin}" if given else origin
    cloze = _cloze(run)
    if given is None:
        return QuestionSets(train=cloze), "cloze questions from the text"
    return QuestionSets(train=given.train + cloze, test=given.test), f"{file} and cloze questions from the text"


def _cloze(run: Run) -> tuple[Question, ...]:
    from openrealm.run.cloze import cloze_questions

    max_answer_tokens = run.config.finetune.max_span_tokens
    return tuple(cloze_questions(Corpus.open(run.corpus), seed=run.config.seed, max_answer_tokens=max_answer_tokens))


def _heldout_cloze(run: Run) -> tuple[Question, ...]:
    """Cloze questions about the passages that pre-training leaves out, or about all if it is left out itself."""
    from openrealm.run.cloze import cloze_questions
    from openrealm.train.examples import pretraining_examples

    corpus, config = Corpus.open(run.corpus), run.config
    passages = None
    if config.pretrain.queries is None:
        with contextlib.suppress(TooLittleText):
            passages = {example.passage for example in pretraining_examples(config, corpus).heldout}
    with contextlib.suppress(BadInput):  # no sentence is long enough
        return tuple(cloze_questions(corpus, seed=config.seed, max_questions=MAX_CLOZE, passages=passages))
    return ()


def replace(run: Run, *, train: Path | None = None, test: Path | None = None, regex: bool = False) -> QuestionSets:
    """Take the training or test questions from a file. The other set is kept, or generated if the run has none.

    `regex` as in `read_questions`.
    """
    named = {name: file for name, file in (("train", train), ("test", test)) if file is not None}
    given: dict[str, Any] = {name: tuple(read_questions(file, regex=regex)) for name, file in named.items()}
    for name, file in named.items() if (run.corpus / files.MANIFEST).exists() else ():
        say_absent(Corpus.open(run.corpus), given[name], str(file), run.config.max_regex_seconds)
    if run.questions.exists() or "train" in given:
        sets = load(run) if run.questions.exists() else QuestionSets()
    else:
        sets, _ = generate(run)
    origin = ", ".join(f"{name} from {file}" for name, file in named.items())
    with run.recorded("questions", files.digest_of(origin), leaves=stages.get("questions").leaves):
        return save(run, dataclasses.replace(sets, **given), origin)


def save(run: Run, sets: QuestionSets, origin: str) -> QuestionSets:
    """Write questions.json; returns `sets`."""
    values = {name: [dataclasses.asdict(question) for question in getattr(sets, name)] for name in _NAMES}
    files.write_json(run.questions, {"origin": origin, **values})
    return sets


def load(run: Run) -> QuestionSets:
    """The questions of a run. Raises MissingStage if it has none."""
    found = stored_questions(run)
    if found is None:
        command = stages.get("questions").command_line(run)
        raise MissingStage(f"{run.folder} has no questions; run `{command}` first.")
    return QuestionSets(train=tuple(found["train"]), dev=tuple(found["dev"]), test=tuple(found["test"]))


def origin_of(run: Run) -> str:
    """Where the run's questions come from, in words."""
    found = stored_questions(run)
    return found["origin"] if found else "none"
