from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from openrealm.corpus.tagger import load_tagger
from openrealm.errors import BadInput
from openrealm.masking.huggingface import HuggingFaceTagger, _entities
from openrealm.types import Span

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-CARDINAL"]
KNOWN = {"lima": "B-LOC", "la": "B-LOC", "paz": "I-LOC", "ana": "B-PER", "smith": "I-PER", "seven": "B-CARDINAL"}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT token classifier without layers whose weights say: each known word has its label, all else is "O"."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tagger")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *KNOWN, "is", "in", "##burg", "on", "28", "july", "1821"]
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=24)
    tokenizer.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=0, num_attention_heads=1, intermediate_size=4,
        max_position_embeddings=24, num_labels=len(LABELS), id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )  # fmt: skip
    model = transformers.BertForTokenClassification(config)
    with torch.no_grad():
        for parameter in model.bert.embeddings.parameters():
            parameter.zero_()
        model.bert.embeddings.LayerNorm.weight.fill_(1.0)
        model.classifier.weight.zero_()
        model.classifier.bias.zero_()
        for i in range(len(LABELS)):
            model.classifier.weight[i, i] = 1.0
        for row, word in enumerate(words):
            model.bert.embeddings.word_embeddings.weight[row, LABELS.index(KNOWN.get(word, "O"))] = 1.0
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def test_words_take_the_label_of_their_first_piece(model_folder: Path) -> None:
    tagger = load_tagger(f"hf:{model_folder}")
    texts = ["Ana Smith is in La Paz on 28 July 1821", "Limaburg is seven", ""]
    found = [
        [(text[span.start : span.end], span.kind) for span in spans]
        for text, spans in zip(texts, tagger.tag(texts), strict=True)
    ]
    assert found == [
        [("Ana Smith", "entity"), ("La Paz", "entity"), ("28 July 1821", "date")],
        [("Limaburg", "entity"), ("seven", "number")],
        [],
    ]
    assert tagger.name == f"hf:{model_folder}"


def test_texts_longer_than_the_window_are_read_to_the_end(model_folder: Path) -> None:
    text = "is in " * 40 + "Lima"
    [short, spans] = load_tagger(f"hf:{model_folder}").tag(["Lima is in Lima", text])
    assert [(text[span.start : span.end], span.start) for span in spans] == [("Lima", 240)]
    assert len(short) == 2


def test_a_word_at_the_end_of_a_window_is_read_with_what_follows_it(model_folder: Path) -> None:
    for num_words in range(15, 40):
        text = "in " * num_words + "La Paz"
        [spans] = load_tagger(f"hf:{model_folder}").tag([text])
        assert [text[span.start : span.end] for span in spans] == ["La Paz"]


def test_a_model_keeps_the_kinds_of_its_own(model_folder: Path) -> None:
    tagger = HuggingFaceTagger(str(model_folder))
    assert tagger.named(["Ana in Lima", "seven"]) == [[(0, 3, "PER"), (7, 11, "LOC")], [(0, 5, "CARDINAL")]]


def test_more_texts_than_one_batch_keep_their_order(model_folder: Path) -> None:
    texts = ["in " * (i % 3) + "Lima" for i in range(70)]
    found = load_tagger(f"hf:{model_folder}").tag(texts)
    assert found == [[Span(3 * (i % 3), 3 * (i % 3) + 4, "entity")] for i in range(70)]


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(BadInput, match=r"could not be loaded as a token classifier .*; give its folder"):
        load_tagger(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("labels", "spans"),
    [
        (["B-LOC", "I-LOC", "O", "B-LOC", "B-LOC"], [(0, 1), (3, 3), (4, 4)]),
        (["I-LOC", "I-LOC", "I-PER"], [(0, 1), (2, 2)]),
        (["O", "O"], []),
        (["B-LOC", "O", "I-LOC"], [(0, 0), (2, 2)]),
        (["LOC", "LOC"], [(0, 1)]),
    ],
)
def test_both_schemes_of_labels_are_read(labels: list[str], spans: list[tuple[int, int]]) -> None:
    words = [(10 * i, 10 * i + 5, label) for i, label in enumerate(labels)]
    assert [(start, end) for start, end, _ in _entities(words)] == [(10 * a, 10 * b + 5) for a, b in spans]


def test_taggers_by_rule_load_no_model_library() -> None:
    program = "import sys; from openrealm.corpus.tagger import load_tagger; load_tagger('rules'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "spacy"} & set(done.stdout.split())
