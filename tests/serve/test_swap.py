"""Another corpus under a trained model: its answers come from there, and those that changed are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.errors import Mismatch
from openrealm.serve.answerer import Answerer
from openrealm.serve.swap import swap
from openrealm.types import Article


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
    toy_articles: list[Article],
    toy_answering: Path,
    toy_config: Callable[..., Config],
    as_settings: Callable[[Config], list[str]],
) -> Path:
    """A run whose model answers as it is, measured with a few questions."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    source, asked = folder.with_name("toy.jsonl"), folder.with_name("asked.jsonl")
    rows = [{"id": a.id, "title": a.title, "text": a.text} for a in toy_articles[:30]]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = [
        {"question": f"What is the capital of {a.title}?", "answer": [a.text.split(" is ")[1].split(".")[0]]}
        for a in toy_articles[:30]
    ]
    asked.write_text("".join(json.dumps(question) + "\n" for question in questions))
    settings = as_settings(toy_config(f"model.backbone={toy_answering}", "warm_start.num_steps=0"))
    assert main(["run", str(source), "--run", str(folder), "--questions", str(asked), *settings]) == 0
    return folder


def other_corpus(run: Path, articles: list[Article], folder: Path) -> Corpus:
    own = Corpus.open(run / "corpus")
    return Corpus.build(articles, folder, tokenizer=own.tokenizer(), max_passage_tokens=own.max_passage_tokens)


def test_answers_come_from_each_corpus_and_the_changed_ones_are_told(
    run: Path, toy_articles: list[Article], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = other_corpus(run, toy_articles[10:], tmp_path / "other")
    questions = [f"What is the capital of {a.title}?" for a in toy_articles[5:15]]
    pairs = list(swap(run, other.folder, questions))
    own = {passage.id for passage in Corpus.open(run / "corpus")}
    expected = Answerer.open(run).ask(questions)
    assert [pair.before for pair in pairs] == [
        answer if answer.source is None else pair.before for answer, pair in zip(expected, pairs, strict=True)
    ]
    assert [pair.before.text for pair in pairs] == [answer.text for answer in expected]
    for pair in pairs:
        assert pair.before.source is None or pair.before.source.passage_id in own
        assert pair.after.source is None or pair.after.source.passage_id in {passage.id for passage in other}
    changed = [pair for pair in pairs if pair.is_changed]
    (tmp_path / "questions.txt").write_text("\n".join(questions))
    capsys.readouterr()
    command = ["experiment", "swap", str(other.folder), "--questions", str(tmp_path / "questions.txt")]
    assert main([*command, "--run", str(run)]) == 0
    told = capsys.readouterr().out
    assert f"{len(changed)} of 10 answers changed." in told
    assert all(pair.before.question in told for pair in changed)
    assert main([*command, "--run", str(run), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["after"]["text"] for row in rows] == [pair.after.text for pair in pairs]


def test_the_same_corpus_changes_nothing(run: Path, toy_articles: list[Article]) -> None:
    pairs = list(swap(run, run / "corpus", [f"What is the capital of {a.title}?" for a in toy_articles[:8]]))
    assert not any(pair.is_changed for pair in pairs)
    assert [pair.before.score for pair in pairs] == [pair.after.score for pair in pairs]


def test_a_corpus_of_another_tokenizer_is_refused(run: Path, tmp_path: Path) -> None:
    other = Corpus.build([Article("1", "", "Lima is the capital.")], tmp_path / "other")
    with pytest.raises(Mismatch, match=r"build it with the run's model\.backbone"):
        list(swap(run, other.folder, ["What is the capital?"]))
