"""A corpus opened through memory maps: any passage, its tokens, sentences and spans by number."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, NotRequired, cast

import numpy as np
import numpy.typing as npt
from typing_extensions import TypedDict

from openrealm.config import joint_tokens
from openrealm.corpus.blocks import PassageKind, PassageRule, passage_id
from openrealm.corpus.layout import ARTICLE_ROWS, FORMAT, PASSAGE_NUMBERS, PASSAGE_ROWS, VALIDITY, column_files
from openrealm.corpus.names import Names
from openrealm.corpus.postings import Postings
from openrealm.corpus.ragged import IntArray, Ragged, any_in_rows, characters_of, open_flat
from openrealm.corpus.row_files import RowFile
from openrealm.corpus.tagger import KINDS, Tagger
from openrealm.corpus.validity import dates_of
from openrealm.errors import DamagedArtefact, Mismatch
from openrealm.files import MANIFEST, check_listed, read_manifest
from openrealm.stored import Count, FileEntry, Size, checked, of_kind
from openrealm.text.pack import Ids, Row, Specials, Tokens, pack_joint, pack_passage, pack_query, passage_title_room
from openrealm.text.tokenizer import TOKENIZER_FILE, Tokenizer
from openrealm.types import DEFAULT_LIMITS, NULL, Article, Limits, Line, Origin, Passage, Span

if TYPE_CHECKING:
    from torch import Tensor

    from openrealm.corpus.sources import Source

_AT_ONCE = 1 << 16  # passages, which bounds the memory that going through all of them takes


class _Settings(TypedDict):
    passages: PassageKind
    max_passage_tokens: Size


class CorpusManifest(TypedDict):
    """What the manifest of a corpus has at least."""

    corpus_digest: str
    tokenizer_digest: str
    token_type: Literal["u2", "u4"]
    settings: _Settings
    source: dict[str, Any]
    num_passages: Size
    num_articles: Size
    num_tokens: Count
    num_repeated_passages: Count
    num_spans: dict[str, Count]
    files: dict[str, FileEntry]
    manifest_sha256: str
    build_key: NotRequired[str]
    changed_from: NotRequired[str]


class Corpus:
    """All passages in source order, numbered from 0. Arrays are read-only views of memory maps.

    >>> from tempfile import TemporaryDirectory
    >>> from openrealm.types import Article
    >>> articles = [Article("1", "Peru", "Lima is the capital of Peru."), Article("2", "Cusco", "Cusco is a city.")]
    >>> with TemporaryDirectory() as folder:
    ...     corpus = Corpus.build(articles, f"{folder}/corpus")
    ...     len(corpus), corpus[1].text, [passage.title for passage in corpus]
    (2, 'Cusco is a city.', ['Peru', 'Cusco'])
    """

    def __init__(self, folder: Path, manifest: CorpusManifest) -> None:
        """Use `Corpus.build` or `Corpus.open`."""
        self.folder, self.manifest = folder, manifest
        self.digest: str = manifest["corpus_digest"]
        self.tokenizer_digest: str = manifest["tokenizer_digest"]
        self.settings = cast(dict[str, Any], manifest["settings"])
        self.num_passages: int = manifest["num_passages"]
        self._check_sizes(manifest["files"])
        rows = {
            name: Ragged(folder, name, manifest["token_type"] if dtype == "token" else dtype, width)
            for name, (dtype, width) in (PASSAGE_ROWS | ARTICLE_ROWS | VALIDITY).items()
        }
        numbers = {
            name: open_flat(folder / f"{name}.bin", dtype, width) for name, (dtype, width) in PASSAGE_NUMBERS.items()
        }
        self._check_lengths(rows, numbers, manifest["num_articles"])
        self._bodies, self._titles, self._offsets = rows["body"], rows["title"], rows["offsets"]
        self._sentences, self._spans, self._texts = rows["sentences"], rows["spans"], rows["text"]
        self._article_ids, self._article_titles = rows["article_ids"], rows["article_titles"]
        self._lines, self._validity = rows["lines"], rows["validity"]
        self._article_rows = {name: rows[name] for name in ARTICLE_ROWS}
        self._ids, self._bounds = numbers["ids"], numbers["bounds"]
        self._articles, self._groups = numbers["articles"], numbers["groups"]
        self._check_below("articles", self._articles, manifest["num_articles"], "articles")
        self._check_below("groups", self._groups, self.num_passages, "passages")
        if not np.array_equal(self._groups[self._groups], self._groups) or bool(
            (self._groups > np.arange(self.num_passages)).any()
        ):
            self._damaged("groups.bin", "a group is not named after its first passage")

    @staticmethod
    def build(
        source: str | Path | Source | Iterable[Article],
        folder: str | Path,
        *,
        backbone: str = "openrealm-mini",
        tokenizer: Tokenizer | None = None,
        passages: PassageKind = "tokens",
        max_passage_tokens: int = 64,
        max_passage_words: int = 100,
        tagger: str | Tagger = "rules",
        near_duplicates: bool = True,
        prose_only: bool = False,
        salvage: bool = False,
        skip_unreadable: bool = False,
        num_workers: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Corpus:
        """Cut a source into passages, tag names and dates, store them in `folder`, and open the result.

        A folder that was built from the same content with the same settings is opened as it is. When the content or a
        setting has changed, the corpus is built again in its place; an interrupted build continues where it stopped.
        Content is compared without reading it: a path by names, sizes and times of its files, articles in memory by
        digest. Articles of an iterator, and a source without an `identity`, are always built again.

        source              a path, a name such as "factbook", a `Source` or articles; see `open_source`
        folder              where the corpus goes: a new or empty folder, or a corpus of the same source
        backbone            the encoder whose tokenizer cuts the text: a shipped name, a folder or a hub id
        tokenizer           a tokenizer to use instead of the backbone's
        passages            "tokens": whole sentences up to `max_passage_tokens`; "words": up to `max_passage_words` as
                            well; "paragraphs": one paragraph at most
        max_passage_tokens  word pieces of title and text together, 64 as in the recipe small-encoder; the paper has 288
        max_passage_words   words of the text
        tagger              a name, such as "rules" or "spacy:en_core_web_sm", or a `Tagger`
        near_duplicates     group passages that are nearly copies, so that none is a candidate for another's query
        prose_only          Factbook: skip what is mostly numbers
        salvage             dumps: recover the intact parts of a damaged one
        skip_unreadable     folders and files of rows: skip and count what cannot be read instead of stopping
        num_workers         number of processes; None means one per core. It does not change the result
        limits              bounds on the size of what is read, and on the time and memory for it
        Raises BadInput when the source does not exist or holds no text, or `folder` holds anything else; Busy when
        another process builds the same corpus; NoSpace when the disk is full.

        >>> from tempfile import TemporaryDirectory
        >>> from openrealm.types import Article
        >>> with TemporaryDirectory() as folder:
        ...     corpus = Corpus.build([Article("1", "Peru", "Lima lies in Peru.")], folder)
        ...     again = Corpus.build([Article("1", "Peru", "Lima lies in Peru.")], folder)
        ...     corpus[0].text, again.digest == corpus.digest
        ('Lima lies in Peru.', True)
        """
        from openrealm.corpus.build import build

        return build(
            source,
            Path(folder),
            backbone=backbone,
            tokenizer=tokenizer,
            rule=PassageRule(max_passage_tokens, passages, max_passage_words),
            tagger=tagger,
            near_duplicates=near_duplicates,
            prose_only=prose_only,
            salvage=salvage,
            skip_unreadable=skip_unreadable,
            num_workers=num_workers,
            limits=limits,
        )

    @staticmethod
    def open(folder: str | Path, *, verify: bool = False) -> Corpus:
        """Open a corpus; `verify` checks every file against its digest first, and then every number in it.

        Raises MissingStage when there is none, DamagedArtefact when a file is missing, truncated or (with `verify`)
        altered, Mismatch when the folder holds something else or another version of the format.

        >>> Corpus.open("no/such/folder")
        Traceback (most recent call last):
            ...
        openrealm.errors.MissingStage: no/such/folder has no finished artefact...
        """
        folder = Path(folder)
        manifest = read_manifest(folder, verify=verify)
        if manifest.get("kind") != "corpus" or manifest.get("format") != FORMAT:
            found = f"{manifest.get('kind')!r} of format {manifest.get('format')!r}"
            raise Mismatch(f"{folder} contains {found}, not a corpus of format {FORMAT}; rebuild the corpus.")
        check_listed(manifest, folder, (TOKENIZER_FILE, *column_files()))
        corpus = Corpus(folder, of_kind(CorpusManifest, manifest, folder / MANIFEST, "rebuild the corpus"))
        if verify:
            corpus._check_content()
        return corpus

    def __len__(self) -> int:
        return self.num_passages

    def __getitem__(self, i: int) -> Passage:
        """Same as `passage`; negative numbers are refused, since -1 is the null passage."""
        return self.passage(i)

    def __iter__(self) -> Iterator[Passage]:
        return map(self.passage, range(self.num_passages))

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the corpus was cut with, read once. Raises Mismatch if the stored copy differs."""
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_folder(self.folder)
        if tokenizer.digest != self.tokenizer_digest:
            digests = f"{self.tokenizer_digest}, but holds the tokenizer {tokenizer.digest}"
            raise Mismatch(f"{self.folder} was tokenised with {digests}; rebuild the corpus.")
        return tokenizer

    def passage(self, i: int) -> Passage:
        """Passage i with its text, checked against its id, which is a digest of title and text.

        Raises IndexError outside 0 .. num_passages - 1, as every method that takes a number does, and DamagedArtefact.
        """
        index = self._checked(i)
        article = int(self._articles[index])
        title, text = self._article_titles.text(article), self._texts.text(index)
        content = passage_id(title, text)
        if bytes.fromhex(content) != self._ids[index].tobytes():
            self._damaged("text.bin", f"passage {index} differs from its digest")
        start, end = self._bounds[index].tolist()
        return Passage(content, title, text, self._article_ids.text(article), start, end)

    def number_of(self, passage_id: str) -> int | None:
        """Number of the first passage with this id; None if there is none.

        >>> from tempfile import TemporaryDirectory
        >>> from openrealm.types import Article
        >>> with TemporaryDirectory() as folder:
        ...     corpus = Corpus.build([Article("1", "Peru", "Lima is the capital of Peru.")], folder)
        ...     corpus.number_of(corpus[0].id), corpus.number_of("00")
        (0, None)
        """
        try:
            wanted = np.frombuffer(bytes.fromhex(passage_id), np.uint8)
        except ValueError:
            return None
        if len(wanted) != self._ids.shape[1]:
            return None
        start, order = int(wanted[:8].view(np.uint64)[0]), self._by_id
        keys = self._id_keys
        place = int(np.searchsorted(keys, np.uint64(start), sorter=order))
        while place < len(order) and keys[order[place]] == start:
            if np.array_equal(self._ids[order[place]], wanted):
                return int(order[place])
            place += 1
        return None

    @cached_property
    def _id_keys(self) -> IntArray:
        """(N,) the first 8 bytes of each id as a number."""
        return np.ascontiguousarray(self._ids[:, :8]).view(np.uint64)[:, 0]

    @cached_property
    def _by_id(self) -> IntArray:
        """(N,) passages by `_id_keys`, those of the same id in order."""
        return np.argsort(self._id_keys, kind="stable")

    def origin(self, i: int, character: int = 0) -> Origin | None:
        """Where the line with this character of `passage(i).text` begins in the source; None if the source has no map.

        >>> from tempfile import TemporaryDirectory
        >>> from openrealm.types import Article, Line
        >>> article = Article("peru.md", "Peru", "Peru\\nLima is the capital.", lines=(Line(0, 2), Line(5, 8)))
        >>> with TemporaryDirectory() as folder:
        ...     corpus = Corpus.build([article], folder)
        ...     corpus.origin(0, corpus[0].text.index("Lima"))
        Origin(article_id='peru.md', position=8, part=0)
        """
        index = self._checked(i)
        article = int(self._articles[index])
        lines = self._lines[article]
        if not len(lines):
            return None
        line = int(np.searchsorted(lines[:, 0], int(self._bounds[index, 0]) + character, "right")) - 1
        _, position, part, _ = lines[max(line, 0)].tolist()
        return Origin(self._article_ids.text(article), position, part)

    @cached_property
    def row_files(self) -> list[RowFile]:
        """The files of rows that the source consists of, in its order. Raises DamagedArtefact."""
        found = self.manifest["source"].get("row_files", [])
        return checked(list[RowFile], found, self.folder / MANIFEST, "rebuild the corpus")

    @property
    def num_articles(self) -> int:
        """Articles that the corpus was built from, those without a passage of their own included."""
        return self.manifest["num_articles"]

    def article(self, number: int) -> Article:
        """Article `number`, in source order, as it was given to the builder. Raises IndexError if there is none."""
        if not 0 <= number < self.num_articles:
            raise IndexError(f"article {number} is outside 0 .. {self.num_articles - 1}")
        rows = self._article_rows
        mentions = tuple(Span(start, end, "entity") for start, end in rows["mentions"][number].tolist())
        lines = tuple(
            Line(start, position, part, bool(is_heading))
            for start, position, part, is_heading in rows["lines"][number].tolist()
        )
        article_id, title, text = (rows[f"article_{name}"].text(number) for name in ("ids", "titles", "texts"))
        return Article(article_id, title, text, mentions, lines, *dates_of(rows["article_validity"][number]))

    def article_id(self, number: int) -> str:
        """The id of article `number`, in source order."""
        return self._article_ids.text(number)

    @property
    def has_dates(self) -> bool:
        """Whether some passages are valid on some days only; see `is_valid_on`."""
        return bool(len(self._validity.values))

    def is_valid_on(self, day: date) -> npt.NDArray[np.bool_]:
        """(N,) whether each passage is valid on a day: some article with its title and text is.

        >>> from datetime import date
        >>> from tempfile import TemporaryDirectory
        >>> from openrealm.types import Article
        >>> articles = [Article("1", "Office", "Ann is mayor.", valid_from="2019-06-01"), Article("2", "", "Rain.")]
        >>> with TemporaryDirectory() as folder:
        ...     Corpus.build(articles, folder).is_valid_on(date(2019, 5, 31)).tolist()
        [False, True]
        """
        number, found = day.toordinal(), [np.zeros(0, np.bool_)]
        for first in range(0, self.num_passages, _AT_ONCE):
            ranges, lengths = self._validity.part(slice(first, first + _AT_ONCE))
            found.append((lengths == 0) | any_in_rows((ranges[:, 0] <= number) & (number <= ranges[:, 1]), lengths))
        return np.concatenate(found)

    def body_tokens(self, i: int) -> IntArray:
        """Token ids (P,) of the passage's text, without title and special tokens."""
        return self._bodies[self._checked(i)]

    def title_tokens(self, i: int) -> IntArray:
        """Token ids of the title, at most 16."""
        return self._titles[self._checked(i)]

    def token_offsets(self, i: int) -> IntArray:
        """(P, 2) half-open character range of each body token in `passage(i).text`."""
        return self._offsets[self._checked(i)]

    def sentences(self, i: int) -> IntArray:
        """(S, 2) half-open ranges of body tokens that together cover them all."""
        return self._sentences[self._checked(i)]

    def spans(self, i: int) -> list[tuple[int, int, str]]:
        """Salient spans as half-open ranges of body tokens with their kind, sorted, not overlapping."""
        return [(start, end, KINDS[kind]) for start, end, kind in self.span_rows(i).tolist()]

    def span_rows(self, i: int) -> IntArray:
        """`spans` as an array (n, 3) whose last column is an index of `tagger.KINDS`."""
        return self._spans[self._checked(i)]

    def article_index(self, i: int) -> int:
        """Number, in source order, of the article that the passage was cut from."""
        return int(self._articles[self._checked(i)])

    def group(self, i: int) -> int:
        """First passage of those with the same text, or nearly the same (see `near_duplicates`)."""
        return int(self._groups[self._checked(i)])

    def lengths(self, part: Literal["body", "title", "sentences", "spans"]) -> IntArray:
        """(N,) number of tokens, sentences or spans of each passage."""
        parts = {"body": self._bodies, "title": self._titles, "sentences": self._sentences, "spans": self._spans}
        return parts[part].lengths()

    def has_sentence(self, min_tokens: int) -> npt.NDArray[np.bool_]:
        """(N,) whether each passage has a sentence of at least `min_tokens` tokens."""
        found = [np.zeros(0, np.bool_)]
        for first in range(0, self.num_passages, _AT_ONCE):
            ranges, lengths = self._sentences.part(slice(first, first + _AT_ONCE))
            found.append(any_in_rows(ranges[:, 1] >= ranges[:, 0] + min_tokens, lengths))
        return np.concatenate(found)

    def row_lengths(self) -> npt.NDArray[np.int64]:
        """(N,) length of every `passage_row`."""
        num_title = np.minimum(self.lengths("title"), passage_title_room(self.max_row_tokens))
        return np.asarray(np.minimum(num_title + self.lengths("body") + 3, self.max_row_tokens))

    @cached_property
    def specials(self) -> Specials:
        """Ids of the special tokens, as the tokenizer numbers them."""
        return Specials.of(self.tokenizer())

    @property
    def max_row_tokens(self) -> int:
        """Length of the longest `passage_row`: word pieces of title and body with [CLS] and two [SEP]."""
        return self.max_passage_tokens + 3

    @property
    def max_passage_tokens(self) -> int:
        """Word pieces of the longest passage with its title."""
        return int(self.settings["max_passage_tokens"])

    def joint_tokens(self, max_query_tokens: int, max_joint_tokens: int | None = None) -> int:
        """`max_joint_tokens`, or room for a query row of `max_query_tokens` with any passage and its title."""
        return joint_tokens(max_query_tokens, self.max_passage_tokens, max_joint_tokens)

    def body(self, i: int) -> Ids:
        """`body_tokens` as int64; empty for the null passage."""
        return np.asarray(() if i == NULL else self.body_tokens(i), dtype=np.int64)

    def query_row(self, tokens: Tokens, max_tokens: int) -> Row:
        """`[CLS] x [SEP]`: input of the query tower, cut to `max_tokens`."""
        return pack_query(tokens, self.specials, max_tokens)

    def passage_row(self, i: int) -> Row:
        """`[CLS] title [SEP] body [SEP]`: input of the passage tower for passage i, or for the null passage."""
        title: Tokens = () if i == NULL else self.title_tokens(i)
        return pack_passage(title, self.body(i), self.specials, self.max_row_tokens)

    def joint_row(self, query: Tokens, i: int, max_tokens: int, *, with_title: bool = False) -> tuple[Row, int]:
        """`[CLS] x [SEP] body [SEP]`, input of the readers, and the position of the body's first token.

        `with_title` puts the passage's title before its body (`model.title_in_joint`; not in the paper).
        """
        title: Tokens = self.title_tokens(i) if with_title and i != NULL else ()
        return pack_joint(query, self.body(i), self.specials, max_tokens, title)

    def span_entries(self, max_tokens: int, passages: Iterable[int] | None = None) -> npt.NDArray[np.uint32]:
        """Numbers, for `span_at`, of the salient spans of at most `max_tokens` tokens in these passages, or in all."""
        parts = (
            [self._spans.bounds(self._checked(i)) for i in passages]
            if passages is not None
            else [slice(first, first + _AT_ONCE) for first in range(0, len(self._spans.values), _AT_ONCE)]
        )
        found = [np.zeros(0, np.uint32)]
        for part in parts:
            rows = self._spans.values[part]
            found.append((part.start + np.flatnonzero(rows[:, 1] - rows[:, 0] <= max_tokens)).astype(np.uint32))
        return np.concatenate(found)

    def span_at(self, entry: int) -> tuple[int, tuple[int, int, str]]:
        """The passage and the salient span with a number that `span_entries` returned."""
        start, end, kind = self._spans.values[entry].tolist()
        return self._spans.row_of(entry), (start, end, KINDS[kind])

    @cached_property
    def names(self) -> Names:
        """The names of the corpus, with the passages that have each."""
        return Names(self.folder, self._spans)

    @cached_property
    def words(self) -> Postings:
        """The passages with each word of title or text, by `text.words.word_keys`."""
        return Postings(self.folder, "words", "word_passages")

    @cached_property
    def word_scores(self) -> npt.NDArray[np.float32]:
        """The BM25 score of each entry of the lists of `words`, end to end."""
        scores = open_flat(self.folder / "word_scores.bin", "f4")
        if len(scores) != len(self.words.lists.values):
            self._damaged("word_scores.bin", f"{len(scores):,} rows, {len(self.words.lists.values):,} expected")
        return cast("npt.NDArray[np.float32]", scores)

    @cached_property
    def pieces(self) -> Postings:
        """The passages with each word piece in their text, by `inverted.piece_keys`."""
        return Postings(self.folder, "pieces", "piece_passages")

    def piece_counts(self) -> IntArray:
        """(V,) how often each word piece occurs in all texts together."""
        counts = open_flat(self.folder / "piece_counts.bin", "u8")
        if len(counts) != self.tokenizer().vocab_size:
            self._damaged("piece_counts.bin", f"{len(counts)} rows, {self.tokenizer().vocab_size} expected")
        return counts

    def to_parquet(self, path: str | Path, vectors: npt.NDArray[np.floating] | Tensor | None = None) -> None:
        """Write all passages to one Parquet file, for `datasets`, txtai and other programs.

        path     the file, which is replaced if it exists
        vectors  N x D, one row per passage, such as the `vector_ND` of an index
        The columns are id, title, text, article_id, start, end, place and, with vectors, embedding: lists of D float32.
        Memory does not grow with the corpus. Raises ShapeMismatch if `vectors` is not N x D, NoSpace.

        >>> from tempfile import TemporaryDirectory
        >>> import pyarrow.parquet as pq
        >>> from openrealm.types import Article
        >>> with TemporaryDirectory() as folder:
        ...     corpus = Corpus.build([Article("1", "Peru", "Lima lies in Peru.")], f"{folder}/corpus")
        ...     corpus.to_parquet(f"{folder}/peru.parquet", np.ones((1, 2)))
        ...     pq.read_table(f"{folder}/peru.parquet", columns=["text", "embedding"]).to_pylist()
        [{'text': 'Lima lies in Peru.', 'embedding': [1.0, 1.0]}]
        """
        from openrealm.corpus.export import export

        export(self, Path(path), vectors)

    @property
    def ids(self) -> IntArray:
        """(N, 16) the bytes of every passage's id, a digest of its title and text."""
        return self._ids

    @property
    def articles(self) -> IntArray:
        """(N,) `article_index` of every passage."""
        return self._articles

    @property
    def groups(self) -> IntArray:
        """(N,) `group` of every passage."""
        return self._groups

    def _checked(self, i: int) -> int:
        index = operator.index(i)
        if not 0 <= index < self.num_passages:
            raise IndexError(f"passage {index} is outside 0 .. {self.num_passages - 1}")
        return index

    def _check_sizes(self, files: dict[str, Any]) -> None:
        for name, entry in files.items():
            path = self.folder / name
            if not path.exists():
                self._damaged(name, "it is missing")
            if path.stat().st_size != entry["num_bytes"]:
                self._damaged(name, f"{path.stat().st_size:,} bytes, {entry['num_bytes']:,} expected")

    def _check_lengths(self, rows: dict[str, Ragged], numbers: dict[str, IntArray], num_articles: int) -> None:
        for name, column in (rows | numbers).items():
            num_expected = num_articles if name in ARTICLE_ROWS else self.num_passages
            if len(column) != num_expected:
                self._damaged(f"{name}.bin", f"{len(column)} rows, {num_expected} expected")

    def _check_content(self) -> None:
        """Check that all token ids are word pieces, and that ranges lie within their passages; part by part."""
        vocab_size, max_tokens = self.tokenizer().vocab_size, self.settings["max_passage_tokens"]
        for first in range(0, self.num_passages, _AT_ONCE):
            chosen = slice(first, first + _AT_ONCE)
            (body, num_tokens), (title, _) = self._bodies.part(chosen), self._titles.part(chosen)
            self._check_below("body", body, vocab_size, "word pieces")
            self._check_below("title", title, vocab_size, "word pieces")
            if int(num_tokens.max(initial=0)) > max_tokens:
                self._damaged("body.ends.bin", f"a passage has more than {max_tokens} word pieces")
            offsets, num_offsets = self._offsets.part(chosen)
            if not np.array_equal(num_offsets, num_tokens):
                self._damaged("offsets.ends.bin", "not one pair per word piece")
            num_characters = characters_of(*self._texts.part(chosen))
            self._check_ranges("offsets", offsets, np.repeat(num_characters, num_tokens), "characters")
            for name, rows in (("sentences", self._sentences), ("spans", self._spans)):
                ranges, num_ranges = rows.part(chosen)
                self._check_ranges(name, ranges, np.repeat(num_tokens, num_ranges), "word pieces")
            self._check_below("spans", self._spans.part(chosen)[0][:, 2], len(KINDS), "kinds")
            self._check_ranges("bounds", self._bounds[chosen], None, "article")
        self.names.check()
        for name, postings in (("name", self.names.postings), ("word", self.words), ("piece", self.pieces)):
            for first in range(0, len(postings.lists.values), _AT_ONCE):
                values = postings.lists.values[first : first + _AT_ONCE]
                self._check_below(f"{name}_passages", values, self.num_passages, "passages")
        self.word_scores, self.piece_counts()  # both check their lengths

    def _check_ranges(self, name: str, ranges: IntArray, limit: IntArray | None, what: str) -> None:
        """The first two columns are half-open ranges that end at `limit` or before."""
        start, end = ranges[:, 0], ranges[:, 1]
        if bool((start > end).any()) or (limit is not None and bool((end > limit).any())):
            self._damaged(f"{name}.bin", f"a range is not within its {what}")

    def _check_below(self, name: str, values: IntArray, limit: int, what: str) -> None:
        if values.size and int(values.max()) >= limit:
            self._damaged(f"{name}.bin", f"it holds {int(values.max())}, but there are {limit:,} {what}")

    def _damaged(self, name: str, reason: str) -> NoReturn:
        raise DamagedArtefact(f"{self.folder / name} is damaged ({reason}); rebuild the corpus.")
