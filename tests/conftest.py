"""What all tests share: small hypothesis budgets, a toy world, and a last line that says what was not run and why."""

from __future__ import annotations

import json
import random
import re
import string
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from openrealm.types import Article

if TYPE_CHECKING:
    from openrealm.config import Config
    from openrealm.corpus.corpus import Corpus
    from openrealm.model.realm import Realm
    from openrealm.text.tokenizer import Tokenizer

settings.register_profile("default-budget", max_examples=60, deadline=None)
settings.load_profile("default-budget")

_MARKS = ("slow", "gpu", "browser", "scale", "peers", "package")
_SLOW_SECONDS = 1800
_LEFT_OUT: Counter[str] = Counter()


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Tests that take minutes may take several times as long on a busy machine."""
    for item in items:
        is_long = any(map(item.get_closest_marker, ("slow", "scale")))
        if is_long and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_SLOW_SECONDS))


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        marks = [mark for mark in _MARKS if item.get_closest_marker(mark)]
        _LEFT_OUT.update(marks or ["selected otherwise"])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Each process of pytest-xdist collects all tests, and tells the first process what was left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(_LEFT_OUT)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _LEFT_OUT.update(
        {key: n for key, n in getattr(node, "workeroutput", {}).get("left_out", {}).items() if key not in _LEFT_OUT}
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    num_skipped = len(terminalreporter.stats.get("skipped", []))
    parts = [f"{count} {mark} (make test-{mark})" for mark, count in _LEFT_OUT.items() if mark in _MARKS]
    if other := _LEFT_OUT["selected otherwise"]:
        parts.append(f"{other} not selected by this command")
    if num_skipped:
        parts.append(f"{num_skipped} skipped for the reasons above")
    terminalreporter.write_line("not run: " + (", ".join(parts) or "nothing"))


# A WordPiece vocabulary of our own, written the way BERT keeps it, so that no test needs a download.
_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LETTERS = string.ascii_lowercase + string.digits
_WORDS = "the of and in is was lima peru capital bolivia chile river city born on may 1821 2008 country south".split()  # noqa: SIM905


@pytest.fixture(scope="session")
def vocabulary_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with vocab.txt: every ASCII character by itself, as a continuation, and a few words."""
    folder = tmp_path_factory.mktemp("vocabulary")
    pieces = [*_SPECIALS, *_WORDS, *_LETTERS, *string.punctuation, *(f"##{c}" for c in _LETTERS), "##ing", "##s"]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tokenizer(vocabulary_folder: Path) -> Tokenizer:
    from openrealm.text.tokenizer import Tokenizer

    return Tokenizer.from_folder(vocabulary_folder)


@pytest.fixture(scope="session")
def word_splitting(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """The same vocabulary behind a splitter that leaves "[SEP]" in one piece, so it is found as a word."""
    from openrealm.text.tokenizer import Tokenizer

    folder = tmp_path_factory.mktemp("words")
    tokenizer.save(folder)
    spec = json.loads((folder / "tokenizer.json").read_text())
    spec["pre_tokenizer"], spec["normalizer"] = {"type": "WhitespaceSplit"}, None
    return Tokenizer(spec)


MARKDOWN = Path(__file__).parent / "data" / "markdown"

# The toy world: invented countries, a word-piece vocabulary of their words, and a BERT small enough for any test.
_FOUNDERS = "Anselm Berta Casimir Dorothea Emeric Frida Gustav Hedwig Ivo Jutta".split()  # noqa: SIM905
_MONTHS = "January March April June July September October December".split()  # noqa: SIM905
_GOODS = "copper wool salt timber amber barley".split()  # noqa: SIM905


def _name(rng: random.Random, ending: str) -> str:
    return "".join(rng.choice("bdgklmnrstv") + rng.choice("aeiou") for _ in range(2)).capitalize() + ending


@pytest.fixture(scope="session")
def toy_articles() -> list[Article]:
    """Articles of four sentences on invented countries; the last one repeats the text of the one before."""
    rng = random.Random(7)
    articles = []
    for number in range(48):
        country, city, river = _name(rng, "nia"), _name(rng, "burg"), _name(rng, "ava")
        founded = f"{rng.randrange(1, 29)} {rng.choice(_MONTHS)} {rng.randrange(1400, 1900)}"
        text = (
            f"The capital of {country} is {city}. The river {river} runs through {city}. "
            f"The city was founded by {rng.choice(_FOUNDERS)} on {founded}. "
            f"The people of {country} sell {rng.choice(_GOODS)} to the north of {river}."
        )
        articles.append(Article(f"a{number}", country, text))
    return [*articles, Article("copy", "Copy", articles[-1].text)]


@pytest.fixture(scope="session")
def toy_backbone(tmp_path_factory: pytest.TempPathFactory, toy_articles: list[Article]) -> Path:
    """A folder with a random BERT (2 layers of 32) and its vocab.txt: every word of the toy world is one piece."""
    return _write_backbone(tmp_path_factory.mktemp("backbone"), [f"{a.title} {a.text}" for a in toy_articles])


@pytest.fixture(scope="session")
def markdown_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for the words of tests/data/markdown."""
    texts = [path.read_text() for path in sorted(MARKDOWN.glob("*.md"))]
    return _write_backbone(tmp_path_factory.mktemp("markdown-backbone"), texts)


def _write_backbone(folder: Path, texts: Sequence[str]) -> Path:
    import torch
    from transformers import BertConfig, BertModel

    words = sorted(set(re.findall(r"[^\W\d_]+|[0-9]+", " ".join(texts).lower())))
    pieces = [*_SPECIALS, *words, *_LETTERS, *string.punctuation, *(f"##{letter}" for letter in _LETTERS)]
    pieces = list(dict.fromkeys(pieces))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    torch.manual_seed(0)
    model = BertModel(
        BertConfig(
            vocab_size=len(pieces),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=128,
        )
    )
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toy_corpus_folder(
    tmp_path_factory: pytest.TempPathFactory, toy_articles: list[Article], toy_backbone: Path
) -> Path:
    from openrealm.corpus.builder import build_corpus
    from openrealm.masking.tagger import RulesTagger
    from openrealm.text.tokenizer import Tokenizer

    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    build_corpus(
        toy_articles,
        folder,
        Tokenizer.from_folder(toy_backbone),
        max_passage_tokens=28,
        tagger=RulesTagger(),
        source={"kind": "toy"},
    )
    return folder


@pytest.fixture(scope="session")
def toy_corpus(toy_corpus_folder: Path) -> Corpus:
    """About a hundred passages of two sentences, tagged by the rules."""
    from openrealm.corpus.corpus import Corpus

    return Corpus.open(toy_corpus_folder)


@pytest.fixture(scope="session")
def toy_config(toy_backbone: Path) -> Callable[..., Config]:
    """`toy_config("pretrain.num_steps=4", ...)`: a whole configuration for seconds on one core."""
    from openrealm.config import Config, with_settings

    settings = [
        f"model.backbone={toy_backbone}",
        "model.projection_dim=16",
        "model.span_hidden=16",
        "model.dropout=0.1",
        "device=cpu",
        "precision=fp32",
        "num_threads=1",
        "corpus.max_passage_tokens=28",
        *(f"{section}.warmup_steps=2" for section in ("warm_start", "pretrain", "finetune")),
        "warm_start.num_steps=4",
        "warm_start.ict_batch=8",
        "warm_start.mlm_batch=8",
        "warm_start.learning_rate=1e-3",
        "warm_start.max_query_tokens=32",
        "pretrain.num_steps=4",
        "pretrain.batch_size=4",
        "pretrain.num_candidates=4",
        "pretrain.learning_rate=1e-3",
        "pretrain.refresh_steps=1000",
        "pretrain.max_query_tokens=32",
        "pretrain.max_joint_tokens=80",
        "pretrain.eval_steps=1000",
        "pretrain.num_heldout_queries=8",
        "finetune.num_steps=4",
        "finetune.batch_size=4",
        "finetune.num_candidates=3",
        "finetune.early_candidates=12",
        "finetune.learning_rate=1e-3",
        "finetune.max_query_tokens=32",
        "finetune.max_reader_tokens=80",
        "finetune.max_span_tokens=6",
    ]

    def config(*changes: str) -> Config:
        return with_settings(Config(), [*settings, *changes])

    return config


@pytest.fixture(scope="session")
def as_settings() -> Callable[[Config], list[str]]:
    """A configuration as the words of a command line: `--set key=value` for each key but its name and source."""

    from openrealm.section import written

    def settings(config: Config) -> list[str]:
        words = []
        for name, section in config.to_dict().items():
            for key, value in section.items() if isinstance(section, dict) else [("", section)]:
                if (name, key) in {("name", ""), ("corpus", "source")}:
                    continue
                words += ["--set", f"{name}.{key}={written(value)}" if key else f"{name}={written(value)}"]
        return words

    return settings


@pytest.fixture(scope="session")
def answering_run(
    tmp_path_factory: pytest.TempPathFactory,
    toy_articles: list[Article],
    toy_config: Callable[..., Config],
    as_settings: Callable[[Config], list[str]],
) -> Path:
    """The folder of a run on the toy world whose REALM and BM25 were fine-tuned; tests must not change it."""
    from openrealm.cli.main import main

    source = tmp_path_factory.mktemp("source") / "toy.jsonl"
    source.write_text("".join(json.dumps({"id": a.id, "title": a.title, "text": a.text}) + "\n" for a in toy_articles))
    folder = tmp_path_factory.mktemp("runs") / "toy"
    settings = as_settings(toy_config("finetune.num_steps=8"))
    assert main(["run", str(source), "--name", str(folder), *settings]) == 0
    assert main(["finetune", "--run", str(folder), "--system", "bm25"]) == 0
    return folder


@pytest.fixture(scope="session")
def toy_answering(tmp_path_factory: pytest.TempPathFactory, toy_backbone: Path) -> Path:
    """The folder of a random model that answers as it is, however badly."""
    import torch

    from openrealm.model.answering import Answering
    from openrealm.model.realm import Realm

    torch.manual_seed(0)
    model = Realm.from_pretrained(toy_backbone, projection_dim=16, span_hidden=16)
    model.max_span_tokens = 6
    model.add_span_reader()
    model.answering = Answering()
    folder = tmp_path_factory.mktemp("answering") / "model"
    model.save_pretrained(folder, compact=True)
    return folder


@pytest.fixture(scope="session")
def toy_realm(toy_config: Callable[..., Config], toy_corpus: Corpus) -> Callable[..., Realm]:
    """`toy_realm("model.shared_towers=true", seed=1)`: a fresh model on the toy backbone."""
    import torch

    from openrealm.model.realm import Realm

    def realm(*changes: str, seed: int = 0) -> Realm:
        torch.manual_seed(seed)
        return Realm.from_backbone(toy_config(*changes).model, toy_corpus.tokenizer())

    return realm


# Modules that every Python process has imported before it looks into any folder.
_EARLY = {"os", "sys", "io", "abc", "codecs", "site", "stat", "posixpath", "genericpath", "encodings", "__future__"}
_LIBRARIES = {"numpy", "torch", "transformers", "tokenizers", "safetensors", "pyarrow", "mwparserfromhell", "openrealm"}


@pytest.fixture
def planted_folder(tmp_path: Path) -> Path:
    """A folder with a file named like each module of the standard library and of ours; it fails where it is run."""
    folder = tmp_path / "planted"
    folder.mkdir()
    for name in sorted((sys.stdlib_module_names - _EARLY) | _LIBRARIES):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the working directory was run')\n")
    return folder


@pytest.fixture
def one_thread() -> Any:
    """Tests that measure or compare run on one thread, whatever the code under test set before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
