"""Pre-training on the text of another corpus: found by its folder, refused if it does not fit, keyed by its content."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from openrealm import files
from openrealm.cli.main import main
from openrealm.config import Config
from openrealm.corpus.builder import build_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.masking.tagger import RulesTagger
from openrealm.run import stages
from openrealm.run.folder import Run
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article


def build(folder: Path, articles: list[Article], tokenizer: Tokenizer) -> Corpus:
    return build_corpus(articles, folder, tokenizer, max_passage_tokens=28, tagger=RulesTagger(), source={})


@pytest.fixture
def news(tmp_path: Path, toy_articles: list[Article], toy_corpus: Corpus) -> Path:
    """A run's folder with a corpus of some of the toy world's articles, under other titles."""
    articles = [Article(f"n{n}", "news", article.text) for n, article in enumerate(toy_articles[:20])]
    build(tmp_path / "news" / "corpus", articles, toy_corpus.tokenizer())
    return tmp_path / "news"


@pytest.fixture
def run(answering_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(answering_run, tmp_path / "run", symlinks=True)


def test_pretraining_masks_the_text_of_the_other_corpus(run: Path, news: Path) -> None:
    assert main(["pretrain", "--run", str(run), "--queries", str(news)]) == 0
    opened = Run.open(run)
    assert opened.config.pretrain.queries == str(news)
    assert stages.get("pretrain").is_current(opened)
    manifest = files.read_manifest(opened.matches)
    queries, corpus = Corpus.open(news / "corpus"), Corpus.open(opened.corpus)
    assert (manifest["queries"], manifest["corpus"]) == (queries.digest, corpus.digest)
    assert manifest["num_matched_passages"] == queries.num_passages, "all of it was copied"
    rows = [
        json.loads(line) for line in (stages.get("pretrain").folder(opened) / "metrics.jsonl").read_text().splitlines()
    ]
    assert {"train", "heldout"} <= {row["split"] for row in rows}


def test_a_corpus_enters_by_its_content_and_not_by_its_place(
    tmp_path: Path, news: Path, toy_articles: list[Article], toy_corpus: Corpus, toy_config: Callable[..., Config]
) -> None:
    def key(queries: Path) -> str:
        return stages.get("pretrain").key(Run(tmp_path / "run", toy_config(f"pretrain.queries={queries}")))

    moved = shutil.copytree(news, tmp_path / "moved")
    assert key(news) == key(moved) == key(moved / "corpus")
    other = build(tmp_path / "other", toy_articles[:9], toy_corpus.tokenizer())
    assert key(other.folder) != key(news)
    assert key(news) != stages.get("pretrain").key(Run(tmp_path / "run", toy_config()))


def test_what_does_not_fit_is_one_clear_sentence(
    run: Path,
    tmp_path: Path,
    toy_articles: list[Article],
    vocabulary_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = (run / "config.json").read_bytes()
    assert main(["pretrain", "--run", str(run), "--queries", str(tmp_path / "nowhere")]) == 2
    assert f"{tmp_path}/nowhere is neither a corpus nor a run with a corpus" in " ".join(
        capsys.readouterr().err.split()
    )
    other = build(tmp_path / "other", toy_articles[:9], Tokenizer.from_folder(vocabulary_folder))
    assert main(["pretrain", "--run", str(run), "--queries", str(other.folder)]) == 2
    printed = capsys.readouterr().err
    assert other.tokenizer_digest in printed
    assert Corpus.open(run / "corpus").tokenizer_digest in printed
    assert (run / "config.json").read_bytes() == before
    assert stages.get("pretrain").is_finished(Run.open(run))
    assert not Run.open(run).matches.exists()
