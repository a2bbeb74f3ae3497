"""A changed corpus is, byte for byte, the corpus that is built from the articles that are left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openrealm import files
from openrealm.corpus import builder
from openrealm.corpus.change import CHANGED_FROM, change_corpus
from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadInput
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article, Span

TEXTS = [
    "Lima is the capital of Peru. The river is in the south.",
    "The capital of Peru is Lima, the city on the river in the south of Peru, on which it was founded in May 1821.",
    "The capital of Chile is Lima, the city on the river in the south of Peru, on which it was founded in May 1821.",
    "",
    "Rain in May 1821. The Café of Lima was founded. " * 5,
]
some_articles = st.lists(
    st.builds(
        Article,
        st.sampled_from([f"a{n}" for n in range(6)]),
        st.sampled_from(["Peru", "Chile", ""]),
        st.sampled_from(TEXTS),
        valid_from=st.sampled_from(["", "2019-06-01"]),
    ),
    max_size=4,
    unique_by=lambda article: article.id,
)
changes = st.lists(
    st.tuples(some_articles, st.lists(st.sampled_from([f"a{n}" for n in range(6)]), max_size=3)), max_size=4
)


def content(corpus: Corpus) -> dict[str, str]:
    return {name: entry["sha256"] for name, entry in corpus.manifest["files"].items()} | {"digest": corpus.digest}


@settings(max_examples=25)
@given(first=some_articles, steps=changes, shard=st.sampled_from([2, 100]))
def test_any_sequence_of_changes_equals_a_rebuild(
    first: list[Article],
    steps: list[tuple[list[Article], list[str]]],
    shard: int,
    tokenizer: Tokenizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    expected = {"base": Article("base", "Base", "Lima was founded."), **{a.id: a for a in first}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "_SHARD_ARTICLES", shard)
        corpus = Corpus.build(list(expected.values()), folder / "corpus", tokenizer=tokenizer, num_workers=1)
        original = corpus.digest
        for added, removed in steps:
            removed = [name for name in removed if name in expected]
            expected = {name: a for name, a in expected.items() if name not in removed or name in {a.id for a in added}}
            expected |= {a.id: a for a in added}
            corpus = change_corpus(folder / "corpus", add=added, remove=removed, num_workers=1)
            assert corpus.manifest["changed_from"] == original
        rebuilt = Corpus.build(list(expected.values()), folder / "rebuilt", tokenizer=tokenizer, num_workers=1)
    assert content(corpus) == content(rebuilt)


def test_lines_of_files_of_rows_are_still_known(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "a.csv").write_text("id,text\na,Rain.\nb,Snow.\nc,Hail.\n")
    (tmp_path / "one" / "b.jsonl").write_text('{"id": "d", "text": "Fog."}\n')
    (tmp_path / "two" / "new.jsonl").write_text('{"id": "b", "text": "Sleet."}\n{"id": "e", "text": "Wind."}\n')
    Corpus.build(tmp_path / "one", tmp_path / "corpus", tokenizer=tokenizer)
    corpus = change_corpus(tmp_path / "corpus", add=tmp_path / "two", remove=["a"])
    assert [passage.text for passage in corpus] == ["Sleet.", "Hail.", "Fog.", "Wind."]
    assert [(file["name"], file["first"], file["num_articles"]) for file in corpus.row_files] == [
        ("new.jsonl", 0, 1),
        ("a.csv", 1, 1),
        ("b.jsonl", 2, 1),
        ("new.jsonl", 3, 1),
    ]


def test_what_does_not_fit_is_refused_and_nothing_changes(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = Corpus.build(
        [Article("docs/a.md", "", "Rain."), Article("docs/b.md", "", "Snow."), Article("c.md", "", "Hail.")],
        tmp_path / "corpus",
        tokenizer=tokenizer,
    )
    with pytest.raises(
        BadInput, match=r"no article 'docs' \(its articles are 'docs/a.md', 'docs/b.md', 'c.md'\); give the id"
    ):
        change_corpus(corpus.folder, remove=["docs"])
    with pytest.raises(BadInput, match="Nothing would be left"):
        change_corpus(corpus.folder, remove=["docs/", "c.md"])
    with pytest.raises(BadInput, match=r"has no article 'd\.md' to update; add it with `openrealm corpus add`"):
        change_corpus(corpus.folder, add=[Article("d.md", "", "Fog.")], only_known=True)
    assert content(Corpus.open(corpus.folder)) == content(corpus)
    assert [p.text for p in change_corpus(corpus.folder, remove=["docs/"])] == ["Hail."]


def test_names_that_the_source_marks_are_learned_again(tmp_path: Path, tokenizer: Tokenizer) -> None:
    marked = Article("1", "", "We met in lima on may 1821.", (Span(10, 14, "entity"),))
    Corpus.build([marked, Article("2", "", "Rain.")], tmp_path / "corpus", tokenizer=tokenizer, tagger="anchors")
    again = change_corpus(tmp_path / "corpus", remove=["2"])
    assert content(again) == content(Corpus.build([marked], tmp_path / "new", tokenizer=tokenizer, tagger="anchors"))


_CHANGE = """
import sys
from openrealm.corpus.change import change_corpus
from openrealm.types import Article
print("ready", flush=True)
change_corpus(sys.argv[1], add=[Article("new", "Peru", "Lima is the capital.")], remove=["a0"], num_workers=1)
"""


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_a_killed_change_leaves_the_old_corpus_or_the_new_one(
    delay: float, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    articles = [Article(f"a{n}", "Peru", f"Lima is {n}. {text}") for n, text in enumerate(TEXTS * 8)]
    folder = tmp_path / "corpus"
    old = Corpus.build(articles, folder, tokenizer=tokenizer, num_workers=1)
    process = subprocess.Popen([sys.executable, "-c", _CHANGE, str(folder)], stdout=subprocess.PIPE, env=os.environ)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = Corpus.open(folder, verify=True)
    files.sweep(tmp_path)
    new = change_corpus(
        folder, add=[Article("new", "Peru", "Lima is the capital.")], remove=["a0"] if "a0" in ids(found) else []
    )
    assert content(found) in (content(old), content(new))
    rebuilt = [*articles[1:], Article("new", "Peru", "Lima is the capital.")]
    assert content(new) == content(Corpus.build(rebuilt, tmp_path / "rebuilt", tokenizer=tokenizer, num_workers=1))
    assert new.manifest.get(CHANGED_FROM) == old.digest


def ids(corpus: Corpus) -> set[str]:
    return {corpus.article_id(number) for number in range(corpus.num_articles)}
