from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus import builder
from openrealm.corpus.blocks import PassageRule, cut
from openrealm.corpus.builder import build_corpus, repeats
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.shards import ROWS_PER_GROUP, token_ranges
from openrealm.corpus.tagger import Tagger
from openrealm.errors import BadInput, DamagedArtefact, Mismatch, MissingStage
from openrealm.files import write_json
from openrealm.text.tokenizer import Tokenizer
from openrealm.types import Article, Passage, Span

ARTICLES = [
    Article("pe/1", "Peru", "Lima is the capital of Peru. The river is in the south. Lima was born on 28 May 1821."),
    Article("empty", "Nothing", ""),
    Article("bo/1", "Bolivia", "La Paz is a city. [SEP] is in the south.\nCafé [MASK] Chile."),
    Article("pe/2", "Peru", "Lima is the capital of Peru. The river is in the south. Lima was born on 28 May 1821."),
    Article(
        "mirror", "Other", "lima is the capital of Peru -- the river is in the south; Lima was born on 28 May 1821!"
    ),
]


class WordTagger(Tagger):
    """Tags every word that opens with a capital letter, and keeps the titles it was given."""

    name = "capitals"

    def __init__(self, kind: str = "entity") -> None:
        self.kind = kind
        self.titles: list[str] = []

    def learn(self, names: Iterable[str]) -> None:
        self.titles += names

    def tag(self, texts: Sequence[str]) -> list[list[Span]]:
        return [self._spans(text) for text in texts]

    def _spans(self, text: str) -> list[Span]:
        starts = [i for i, c in enumerate(text) if c.isupper() and (i == 0 or text[i - 1] in " \n[")]
        return [Span(i, i + len(text[i:].split()[0]), self.kind) for i in starts]


def build(folder: Path, tokenizer: Tokenizer, articles: Iterable[Article] = ARTICLES, limit: int = 24) -> Corpus:
    return build_corpus(
        articles, folder, tokenizer, max_passage_tokens=limit, tagger=WordTagger(), source={"kind": "test"}
    )


def test_every_passage_comes_back_as_it_was_cut(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = build(tmp_path / "corpus", tokenizer)
    cut_passages = [
        passage for article in ARTICLES if article.id != "pe/2" for passage in cut(article, tokenizer, PassageRule(24))
    ]
    assert [corpus.passage(i) for i in range(len(corpus))] == cut_passages
    assert corpus.num_passages == len(corpus) == len(cut_passages) == 5
    for i, passage in enumerate(cut_passages):
        ids, offsets = tokenizer.encode(passage.text)
        assert corpus.body_tokens(i).tolist() == ids
        assert corpus.token_offsets(i).tolist() == [list(pair) for pair in offsets]
        assert corpus.title_tokens(i).tolist() == tokenizer.encode(passage.title)[0]
        sentences = corpus.sentences(i).tolist()
        assert [position for start, end in sentences for position in range(start, end)] == list(range(len(ids)))
        assert ARTICLES[corpus.article_index(i)].id == passage.article_id


def test_spans_are_the_taggers_in_tokens(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = build(tmp_path / "corpus", tokenizer)
    first = corpus.passage(0)
    assert first.text.startswith("Lima is the capital of Peru. The river")
    offsets = corpus.token_offsets(0)
    words = [first.text[offsets[start][0] : offsets[end - 1][1]] for start, end, _ in corpus.spans(0)]
    assert words[:3] == ["Lima", "Peru.", "The"]
    assert {kind for _, _, kind in corpus.spans(0)} == {"entity"}
    total = sum(len(corpus.spans(i)) for i in range(len(corpus)))
    assert corpus.manifest["num_spans"] == {"entity": total, "date": 0, "number": 0}


def test_the_tagger_learns_every_title_once(tmp_path: Path, tokenizer: Tokenizer) -> None:
    tagger = WordTagger()
    build_corpus(ARTICLES, tmp_path / "c", tokenizer, max_passage_tokens=24, tagger=tagger, source={})
    assert tagger.titles == ["Peru", "Nothing", "Bolivia", "Other"]


def test_names_that_the_source_marks_are_learnt_beside_the_titles(tmp_path: Path, tokenizer: Tokenizer) -> None:
    tagger = WordTagger()
    mentions = (Span(0, 4, "entity"), Span(23, 27, "entity"))
    articles = [Article("a", "Peru", "Lima is the capital of Peru.", mentions)]
    build_corpus(articles, tmp_path / "c", tokenizer, max_passage_tokens=24, tagger=tagger, source={})
    assert tagger.titles == ["Peru", "Lima"]


def test_too_many_titles_are_not_learnt(tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "_MAX_NAMES", 3)
    tagger = WordTagger()
    build_corpus(ARTICLES, tmp_path / "c", tokenizer, max_passage_tokens=24, tagger=tagger, source={})
    assert tagger.titles == []


def test_equal_passages_are_stored_once_and_mirrored_ones_share_a_group(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = build(tmp_path / "corpus", tokenizer, limit=200)
    assert [corpus.passage(i).article_id for i in range(len(corpus))] == ["pe/1", "bo/1", "mirror"]
    assert [corpus.group(i) for i in range(len(corpus))] == [0, 1, 0]
    assert corpus.manifest["num_repeated_passages"] == 1
    assert corpus.manifest["num_articles"] == len(ARTICLES)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, tokenizer: Tokenizer) -> None:
    one, two = build(tmp_path / "one", tokenizer), build(tmp_path / "two", tokenizer)
    names = sorted(path.name for path in one.folder.iterdir())
    assert names == sorted(path.name for path in two.folder.iterdir())
    for name in names:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes(), name


def test_the_digest_names_passages_and_settings(tmp_path: Path, tokenizer: Tokenizer) -> None:
    digests = {
        build(tmp_path / "a", tokenizer).digest,
        build(tmp_path / "b", tokenizer, ARTICLES[::-1]).digest,
        build(tmp_path / "c", tokenizer, limit=23).digest,
        build(tmp_path / "d", tokenizer, ARTICLES[:3]).digest,
    }
    assert len(digests) == 4
    assert Corpus.open(tmp_path / "a").digest in digests


def test_passages_of_many_shards_are_read_at_random(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "_SHARD_ARTICLES", ROWS_PER_GROUP + 1)
    num_articles = 2 * ROWS_PER_GROUP + 5
    corpus = build_corpus(
        (Article(str(i), "Peru", f"the river {i} is in chile") for i in range(num_articles)),
        tmp_path / "corpus",
        tokenizer,
        max_passage_tokens=24,
        tagger=WordTagger(),
        source={},
    )
    for i in [0, num_articles - 1, *np.random.default_rng(0).integers(num_articles, size=50).tolist()]:
        assert corpus.passage(i).text == f"the river {i} is in chile"
        assert corpus.article_index(i) == i
    tables = [pq.read_table(path) for path in sorted(corpus.folder.glob("passages-*.parquet"))]
    assert [len(table) for table in tables] == [ROWS_PER_GROUP + 1, ROWS_PER_GROUP + 1, 3]
    rows = pa.concat_tables(tables).to_pylist()
    assert {row.pop("place") for row in rows} == {""}
    assert [Passage(**row) for row in rows] == [corpus.passage(i) for i in range(len(corpus))]


@given(st.lists(st.binary(min_size=1, max_size=1)))
def test_what_stands_in_an_earlier_row_is_a_repeat(rows: list[bytes]) -> None:
    ids = np.frombuffer(b"".join(row * 16 for row in rows), "u1").reshape(-1, 16)
    assert repeats(ids).tolist() == [row in rows[:i] for i, row in enumerate(rows)]


def test_the_tokenizer_travels_with_the_corpus(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = build(tmp_path / "corpus", tokenizer)
    assert corpus.tokenizer().digest == corpus.tokenizer_digest == tokenizer.digest
    assert corpus.tokenizer() is corpus.tokenizer()
    spec = (tmp_path / "corpus" / "tokenizer.json").read_text()
    (tmp_path / "corpus" / "tokenizer.json").write_text(spec.replace('"bolivia"', '"bolivja"'))
    with pytest.raises(Mismatch, match=tokenizer.digest):
        Corpus.open(tmp_path / "corpus").tokenizer()


@pytest.mark.parametrize("i", [-1, 3, 10**9])
def test_an_index_outside_is_refused(tmp_path: Path, tokenizer: Tokenizer, i: int) -> None:
    corpus = build(tmp_path / "corpus", tokenizer, [ARTICLES[0], ARTICLES[2]])
    assert len(corpus) == 3
    for ask in (corpus.passage, corpus.body_tokens, corpus.spans, corpus.group, corpus.article_index):
        with pytest.raises(IndexError, match=r"outside 0 \.\. 2"):
            ask(i)


def test_a_source_without_text_leaves_nothing(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(BadInput, match="contains no text"):
        build(tmp_path / "corpus", tokenizer, [ARTICLES[1]])
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_breaks_off_leaves_the_old_corpus(tmp_path: Path, tokenizer: Tokenizer) -> None:
    old = build(tmp_path / "corpus", tokenizer)

    def broken() -> Iterable[Article]:
        yield ARTICLES[0]
        raise BadInput("line 2 is not JSON")

    with pytest.raises(BadInput, match="line 2"):
        build(tmp_path / "corpus", tokenizer, broken())
    assert Corpus.open(tmp_path / "corpus", verify=True).digest == old.digest
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_an_unknown_kind_of_span_names_the_tagger(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(BadInput, match="tagger capitals returned a span of kind 'animal'"):
        build_corpus(ARTICLES, tmp_path / "c", tokenizer, max_passage_tokens=24, tagger=WordTagger("animal"), source={})


def test_every_file_cut_short_is_found(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = build(tmp_path / "corpus", tokenizer)
    for name in corpus.manifest["files"]:
        path = tmp_path / "corpus" / name
        whole = path.read_bytes()
        if not whole:  # such as the lines of a source that has none
            continue
        path.write_bytes(whole[: len(whole) // 2 - 1])
        with pytest.raises((DamagedArtefact, BadInput), match=name.replace(".", r"\.")):
            Corpus.open(tmp_path / "corpus").tokenizer()
        path.unlink()
        with pytest.raises((DamagedArtefact, MissingStage)):
            Corpus.open(tmp_path / "corpus").tokenizer()
        path.write_bytes(whole)
    assert Corpus.open(tmp_path / "corpus", verify=True).digest == corpus.digest


def test_a_flipped_bit_is_found_by_verifying_and_in_text_by_reading(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = build(tmp_path / "corpus", tokenizer)
    path = tmp_path / "corpus" / "text.bin"
    data = bytearray(path.read_bytes())
    data[len(data) // 8] ^= 0x10
    path.write_bytes(bytes(data))
    with pytest.raises(DamagedArtefact, match=r"text\.bin"):
        Corpus.open(tmp_path / "corpus", verify=True)
    with pytest.raises(DamagedArtefact, match=r"text\.bin is damaged \(passage 0"):
        [Corpus.open(tmp_path / "corpus").passage(i) for i in range(len(corpus))]


def test_another_artefact_or_format_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(MissingStage):
        Corpus.open(tmp_path)
    corpus = build(tmp_path / "corpus", tokenizer)
    rest = {name: value for name, value in corpus.manifest.items() if name != "manifest_sha256"}
    write_json(tmp_path / "corpus" / "manifest.json", {**rest, "format": 99})
    with pytest.raises((Mismatch, DamagedArtefact), match=r"format 99|manifest"):
        Corpus.open(tmp_path / "corpus")


def test_larger_vocabularies_get_wider_tokens(tmp_path: Path, vocabulary_folder: Path) -> None:
    words = (vocabulary_folder / "vocab.txt").read_text() + "\n".join(f"word{i}" for i in range(1 << 16))
    (tmp_path / "vocab.txt").write_text(words)
    tokenizer = Tokenizer.from_folder(tmp_path)
    corpus = build(tmp_path / "corpus", tokenizer, [Article("a", "", f"lima word{(1 << 16) - 1}")])
    assert corpus.manifest["token_type"] == "u4"
    assert corpus.body_tokens(0).tolist() == tokenizer.encode(f"lima word{(1 << 16) - 1}")[0]
    assert corpus.body_tokens(0).max() == tokenizer.vocab_size - 1


pieces = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=12)


@given(
    gaps=pieces,
    picked=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=6),
    cuts=st.sets(st.integers(1, 12), max_size=4),
)
def test_token_ranges_touch_what_the_characters_do(
    gaps: list[tuple[int, int]], picked: list[tuple[int, int]], cuts: set[int]
) -> None:
    offsets: list[list[int]] = []
    for gap, length in gaps:
        start = (offsets[-1][1] if offsets else 0) + gap
        offsets.append([start, start + length])
    spans: list[Span] = []
    for start, length in sorted(picked):
        if not spans or spans[-1].end <= start:
            spans.append(Span(start, start + length, "date"))
    expected: list[tuple[int, int, int]] = []
    for span in spans:
        touched = [i for i, (a, b) in enumerate(offsets) if a < span.end and span.start < b]
        is_cut = bool(touched) and any(touched[0] < cut <= touched[-1] for cut in cuts)
        if touched and not is_cut and not (expected and expected[-1][1] > touched[0]):
            expected.append((touched[0], touched[-1] + 1, 1))
    bounds = [0, *sorted(cut for cut in cuts if cut < len(offsets)), len(offsets)]
    sentences = np.array([pair for pair in pairwise(bounds) if pair[0] < pair[1]], np.uint32).reshape(-1, 2)
    assert token_ranges(spans, np.array(offsets, np.uint32).reshape(-1, 2), sentences, "test") == expected


def test_near_copies_share_a_group_where_they_are_asked_for(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "_SHARD_ARTICLES", 1)
    texts = ["the river was born in the south of peru and the capital of chile was in the city of lima on may 1821"]
    texts += [texts[0].replace("may 1821", "may 2008"), "bolivia is a country of the south"]
    for asked, expected in ((False, [0, 1, 2]), (True, [0, 0, 2])):
        corpus = build_corpus(
            [Article(str(i), f"Peru {i}", text) for i, text in enumerate(texts)],
            tmp_path / str(asked),
            tokenizer,
            max_passage_tokens=200,
            tagger=WordTagger(),
            source={},
            near_duplicates=asked,
        )
        assert [corpus.group(i) for i in range(len(corpus))] == expected
        assert corpus.settings["near_duplicates"] == asked
