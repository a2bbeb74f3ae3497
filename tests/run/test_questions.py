from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.config import Config, with_settings
from openrealm.errors import BadInput, MissingStage
from openrealm.run import questions, stages
from openrealm.run.folder import Run
from openrealm.run.questions import read_questions
from openrealm.types import Question, QuestionSets


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def asked(number: int) -> dict[str, object]:
    return {"question": f"What is number {number}?", "answer": [str(number)]}


BAD_TEXTS = {
    "a long answer": ({"answer": "a" * 1_000_000}, "has a text of 1,000,000 characters; at most 10,000 are read"),
    "a long question": ({"question": "a" * 20_000}, "has a text of 20,000 characters"),
    "half a pair": ({"answer": ["x", "\ud83d"]}, "has half of a surrogate pair"),
    "half a pair in the question": ({"question": "Who is \udc00?"}, "has half of a surrogate pair"),
}


@pytest.mark.parametrize(("change", "sentence"), BAD_TEXTS.values(), ids=list(BAD_TEXTS))
@pytest.mark.parametrize("regex", [False, True])
def test_a_text_that_cannot_be_used_is_named(
    tmp_path: Path, change: dict[str, object], sentence: str, regex: bool
) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"question": "Who?", "answer": "Ada"} | change) + "\n")
    with pytest.raises(BadInput, match=rf"q\.jsonl:1 {sentence}"):
        read_questions(path, regex=regex)


def test_an_integer_of_100_000_digits_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "Who?", "answer": "Ada"}\n{"question": ' + "9" * 100_000 + "}\n")
    with pytest.raises(BadInput, match=r"q\.jsonl:2 is not JSON") as error:
        read_questions(path)
    assert len(str(error.value)) < 400


def test_questions_are_read_with_one_answer_or_several(tmp_path: Path) -> None:
    file = write(
        tmp_path / "q.jsonl",
        {"question": " Where is it? ", "answer": [" here ", "there"], "source": "x"},
        "",
        {"question": "When?", "answer": "now"},
    )
    assert questions.read_questions(file) == [Question("Where is it?", ("here", "there")), Question("When?", ("now",))]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        '"text"',
        {"answer": ["x"]},
        {"question": "", "answer": ["x"]},
        {"question": 3, "answer": ["x"]},
        {"question": "x"},
        {"question": "x", "answer": []},
        {"question": "x", "answer": [""]},
        {"question": "x", "answer": [1]},
        {"question": "x", "answer": {"a": 1}},
    ],
)
def test_an_invalid_line_is_named(tmp_path: Path, line: object) -> None:
    with pytest.raises(BadInput, match=r"q\.jsonl:2 .*expected a line such as"):
        questions.read_questions(write(tmp_path / "q.jsonl", asked(1), line))


def test_a_missing_file_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.jsonl does not exist"):
        questions.read_questions(tmp_path / "none.jsonl")
    with pytest.raises(BadInput, match="contains no questions"):
        questions.read_questions(write(tmp_path / "q.jsonl", ""))


@given(st.binary(max_size=80))
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.mktemp("bytes") / "q.jsonl"
    file.write_bytes(data)
    with pytest.raises(BadInput, match=r"q\.jsonl"):
        questions.read_questions(file)


def test_answers_are_patterns_if_the_caller_says_so(tmp_path: Path) -> None:
    file = write(tmp_path / "q.jsonl", {"question": "When?", "answer": ["Sept?(ember)?", r"1\ "]})
    [question] = questions.read_questions(file, regex=True)
    assert question == Question("When?", ("Sept?(ember)?", r"1\ "), regex=True)
    with pytest.raises(BadInput, match=r"q\.jsonl:2: the answer '\[' is not a regular expression"):
        questions.read_questions(write(tmp_path / "q.jsonl", asked(1), {"question": "x", "answer": "["}), regex=True)


QA = Path(__file__).parents[3] / "shared" / "data" / "qa"


@pytest.mark.parametrize(("name", "num_dev", "num_all"), [("webquestions", 361, 3_778), ("curatedtrec", 133, 1_486)])
def test_the_dev_sets_are_orqas(name: str, num_dev: int, num_all: int) -> None:
    if not QA.is_dir():
        pytest.skip(f"needs WebQuestions and CuratedTREC in {QA}")
    parts = {part: questions.read_questions(QA / f"{name}.{part}.jsonl") for part in ("train", "dev")}
    if name == "curatedtrec":
        parts = {part: questions.read_questions(QA / f"{name}.{part}.jsonl", regex=True) for part in parts}
    texts = [question.text for part in parts.values() for question in part]
    assert len(texts) == num_all
    assert sum(questions.fold(text) == 0 for text in texts) == num_dev
    assert all(questions.fold(question.text) == 0 for question in parts["dev"])
    assert not set(parts["dev"]) & set(questions.split(parts["dev"]).train)


@pytest.mark.parametrize(
    ("text", "fold"),
    # FarmHash's Fingerprint64 has a branch for each of these lengths.
    [
        ("", 11160318154034397263 % 100_000 % 10),
        ("abc", 2640714258260161385 % 100_000 % 10),
        ("a" * 17, 17591810127221272131 % 100_000 % 10),
        ("a" * 64, 5893282057753879417 % 100_000 % 10),
        ("a" * 65, 7778058094944459892 % 100_000 % 10),
    ],
)
def test_a_fold_is_the_fingerprints(text: str, fold: int) -> None:
    assert questions.fold(text) == fold
    sets = questions.split([Question(text, ("x",))])
    assert (len(sets.test) == 1) == (fold < 2)


def test_a_lone_surrogate_has_a_fold() -> None:
    assert 0 <= questions.fold("\ud83d") < 10


@given(st.lists(st.text(min_size=1, max_size=20), max_size=60, unique=True))
def test_a_split_is_complete_and_independent_of_the_other_questions(texts: list[str]) -> None:
    all_questions = [Question(text, ("x",)) for text in texts]
    sets = questions.split(all_questions)
    assert sorted(q.text for q in (*sets.train, *sets.test)) == sorted(texts)
    assert sets.dev == ()
    for question in all_questions:
        alone = questions.split([question])
        assert (question in alone.train) == (question in sets.train)


def test_a_fifth_is_for_testing() -> None:
    sets = questions.split(Question(f"What is number {number}?", ("x",)) for number in range(2_000))
    assert 330 < len(sets.test) < 470


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run", with_settings(Config(), [f"corpus.source={tmp_path}"]))


def test_questions_are_stored_unchanged(run: Run) -> None:
    one = Question("Wo ist „Köln“?", ("am Rhein", "dort"), relation="place", subject="Köln", wording=2, regex=True)
    sets = QuestionSets(train=(one,), dev=(one,), test=(one, one))
    questions.save(run, sets, "a test")
    assert questions.load(run) == sets
    assert questions.origin_of(run) == "a test"


def test_a_run_without_questions_says_so(run: Run) -> None:
    assert questions.origin_of(run) == "none"
    with pytest.raises(MissingStage, match="has no questions; run `openrealm finetune --run"):
        questions.load(run)


def test_a_file_replaces_one_set_and_leaves_the_other(run: Run, tmp_path: Path) -> None:
    train, test = write(tmp_path / "a.jsonl", asked(1)), write(tmp_path / "b.jsonl", asked(2), asked(3))
    assert questions.replace(run, train=train).test == ()
    sets = questions.replace(run, test=test)
    assert [q.text for q in sets.train] == ["What is number 1?"]
    assert [q.text for q in sets.test] == ["What is number 2?", "What is number 3?"]
    assert sets == questions.load(run)
    assert stages.get("questions").is_finished(run)
    assert "b.jsonl" in questions.origin_of(run)


def test_cloze_questions_are_added_to_a_file_of_questions_on_the_users_own_text(
    run: Run, toy_corpus_folder: Path, tmp_path: Path
) -> None:
    run.folder.mkdir()
    run.corpus.symlink_to(toy_corpus_folder)
    cloze, origin = questions.generate(run)
    assert origin == "cloze questions from the text"
    assert len(cloze.train) > 50
    assert cloze.test == ()
    given, _ = questions.generate(run, write(tmp_path / "q.jsonl", *map(asked, range(30))))
    assert set(cloze.train) < set(given.train)
    assert len(given.train) - len(cloze.train) + len(given.test) == 30
    assert given.test


def test_a_text_that_comes_with_questions_is_asked_those_unless_the_user_has_others(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", with_settings(Config(), ["corpus.source=qed"]))
    sets, origin = questions.generate(run)
    assert (len(sets.train), len(sets.test), origin) == (551, 303, "QED")
    assert all(question.passage for question in (*sets.train, *sets.test))
    assert sets.dev == (), "what the settings were chosen with says nothing new"
    file = write(tmp_path / "q.jsonl", *map(asked, range(100)))
    with pytest.raises(MissingStage):  # cloze questions are added, for which the text is needed
        questions.generate(run, file)
