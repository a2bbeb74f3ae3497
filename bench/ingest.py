"""What is left of markup, and what is lost of text, when real documentation is read; and how fast that is.

Every file of a folder is read and cut into passages, as `openrealm corpus build` does it. A passage has markup if its
prose (without blocks of code and code spans, which are verbatim) matches one of the patterns below. The peer is the
same library without our rules: CommonMark and tables by markdown-it-py, or docutils, and their HTML as a browser shows
it. A word is lost if the peer's page has it more often than ours, its markup left out.
"""

from __future__ import annotations

import re
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import Figure, arguments, end, in_turn, not_measured, once, rate, report

if TYPE_CHECKING:
    from openrealm.corpus.readers import Document
    from openrealm.text.tokenizer import Tokenizer
    from openrealm.types import Article

_LONGEST = 288
_FOLDERS = "fastapi,nushell,rust-book,pytest"
_MARKUP = {
    "attributes": r"\{:?[ ]*[#.][\w-]+[^{}\n]*\}",
    "colon fence": r"(?m)^[ ]*:{3,}",
    "slash fence": r"(?m)^[ ]*/{3,}(?![/\w])",
    "admonition": r"(?m)^[ ]*(?:!!!|\?\?\?\+?)[ ]+\w|^===[ ]\"",
    "label": r"(?m)^\([\w-]+\)=",
    "include or template": r"\{\{[^{}\n]*\}\}|\{%[^{}\n]*%\}|\{\*[^{}\n]*\*\}|\{![^{}\n]*!\}|-8<-",
    "role": r"\{[a-z:]+\}`|:[a-z:+-]+:`",
    "directive of rst": r"(?m)^\.\.[ ]|::[ ]*$",
    "option": r"(?m)^:[\w-]+:(?:[ ]|$)",
    "link": r"\]\(|\]\[|!\[|`_\b|\[\[[^\W\d]",
    "underscores": r"~~|(?<!\w)__(?=\w)",
    "emphasis": r"\*\*|(?<![\w*])\*(?=\w)[^*\n]{1,60}(?<=\w)\*(?![\w*])",
    "footnote": r"\[\^[\w-]+\]|(?<=\w)[ ]\[\d+\]_",
    "heading": r"(?m)^#{1,6}[ ]|^[=~^-]{4,}$",
    "tag": r"</?[a-zA-Z][\w-]*(?:[ ][^<>\n]*)?/?>|<!--",
    "table rule": r"\|[ :]*-{3,}",
    "backtick": r"`",
    "entity": r"&(?:#\d+|#x[\da-f]+|[a-z]{2,8});",
    "alert": r"\[![A-Z]+\]",
    "script": r"(?m)^(?:import|export)[ ].*[ ]from[ ]['\"]",
}
_PATTERNS = {name: re.compile(pattern) for name, pattern in _MARKUP.items()}
_MARKDOWN_ONLY = frozenset(["underscores", "tag", "entity", "alert", "script"])
# What the peer shows of markup; its words are not lost.
_PEER_MARKUP = re.compile(
    r"\{:?[ ]*[#.\w][^{}\n]*\}|:::.*|////*.*|(?:!!!|\?\?\?\+?)[ ]+\w[\w ]*|\{\{[^{}\n]*\}\}|\{%[^{}\n]*%\}"
    r"|\{\*[^{}\n]*\*\}|\[\^[\w-]+\]|^[ ]+options:.*$|\[!\w+\]",
    re.MULTILINE,
)
_CODE_SPAN = re.compile(r"(`+)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_ESCAPED_TAG = re.compile(r"(?:\\<|&lt;)[^<>&\n]{1,60}(?:\\?>|&gt;)")
_ESCAPED_MARKS = re.compile(r"(?:\\[`*])+[^`*\n]{1,200}(?:\\[`*])+")
_LITERAL = re.compile(r"(``)(.+?)``", re.DOTALL)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_WORD = re.compile(r"\w+")


@dataclass
class Counts:
    """What was found in a folder, on one side."""

    num_files: int = 0
    num_passages: int = 0
    num_with_markup: int = 0
    num_with_markup_anywhere: int = 0
    num_titles_with_markup: int = 0
    num_glued: int = 0
    num_pieces: int = 0
    num_sentences: int = 0
    num_words: int = 0
    num_lost: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


def main() -> None:
    given = arguments(
        __doc__.splitlines()[0], data=("../shared/data/docs",) * 2, names=(_FOLDERS, "nushell"), examples=(0, 0)
    )
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in given.names.split(","):
            archive = Path(given.data, f"{name}.tar.xz")
            if not archive.is_file():
                reason = f"{archive} does not exist; give a folder of archives with --data and their names with --names"
                figures.append(not_measured(f"{name}: passages with markup", "%", "the library alone", reason))
                continue
            with tarfile.open(archive) as tar:
                tar.extractall(temporary, filter="data")
            figures += measured(name, Path(temporary, name), given)
    if all(figure.value is None for figure in figures):
        end("No folder was measured.", figures[0])
    report(*figures)


def measured(name: str, folder: Path, given: Any) -> Iterator[Figure]:
    """The figures of one folder; counts by kind are printed."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".md", ".rst") and path.is_file())
    sources = [(path.suffix, path.read_text(encoding="utf-8")) for path in paths]
    ours, theirs = counted(sources, our_document), counted(sources, peer_document)
    print(f"{name}: {ours.num_files} files, {ours.num_passages:,} passages, with markup by kind: {dict(ours.kinds)}")
    print(f"  lost words: {dict(ours.lost.most_common(20))}")
    for example in ours.examples[: given.examples]:
        print(f"  {example!r}")
    peer = "docutils alone" if sources[0][0] == ".rst" else "markdown-it-py alone"
    figure = _against(name, peer)
    yield figure(
        "passages with markup", "%", _share(ours.num_with_markup, ours), _share(theirs.num_with_markup, theirs)
    )
    anywhere = ours.num_with_markup_anywhere, theirs.num_with_markup_anywhere
    yield figure("passages with markup, code included", "%", _share(anywhere[0], ours), _share(anywhere[1], theirs))
    yield figure("titles with markup", "", ours.num_titles_with_markup, theirs.num_titles_with_markup)
    yield figure("glued cells", "", ours.num_glued, theirs.num_glued)
    yield figure("words lost", "%", 100 * ours.num_lost / max(theirs.num_words, 1), 0.0)
    per_piece = ours.num_sentences / ours.num_pieces, theirs.num_sentences / theirs.num_pieces
    yield once(f"{name}: sentences per piece", "", per_piece[0], peer, per_piece[1], more_is_better=True)
    num_megabytes = sum(len(source.encode()) for _, source in sources) / 1e6
    sides = {
        "ours": lambda: [our_document(*source) for source in sources],
        "peer": lambda: [rendered(*source) for source in sources],
    }
    seconds = in_turn(sides, num_rounds=given.rounds, max_seconds=15 if given.quick else 240, warm_up=False)
    yield rate(f"{name}: read", "MB/s", num_megabytes, seconds["ours"], f"{peer}, to HTML", seconds["peer"])


def _against(name: str, peer: str) -> Callable[[str, str, float, float], Figure]:
    return lambda what, unit, value, theirs: once(f"{name}: {what}", unit, value, peer, theirs, more_is_better=False)


def _share(number: int, counts: Counts) -> float:
    return 100 * number / max(counts.num_passages, 1)


def counted(sources: list[tuple[str, str]], read: Callable[[str, str], Document]) -> Counts:
    """Read, cut and count every file."""
    from openrealm.corpus.blocks import PassageRule, cut
    from openrealm.corpus.sentences import sentence_bounds

    counts = Counts(num_files=len(sources))
    for number, (suffix, source) in enumerate(sources):
        document = read(suffix, source)
        article = document.article(str(number), "untitled")
        code = code_ranges(document, article)
        spans = code_spans(source, suffix)
        counts.num_titles_with_markup += bool(kinds_of_markup(without(article.title, spans), suffix))
        counts.num_pieces += len(article.lines)
        counts.num_sentences += len(sentence_bounds(article.text))
        for passage in cut(article, fresh_tokenizer(), PassageRule(_LONGEST)):
            prose = without(outside(article, passage.start, passage.end, code), spans)
            kinds = kinds_of_markup(prose, suffix)
            counts.num_passages += 1
            counts.num_with_markup += bool(kinds)
            counts.num_with_markup_anywhere += bool(kinds_of_markup(passage.text, suffix))
            counts.kinds.update(kinds)
            if kinds:
                found = {name: match[0] for name in kinds if (match := _PATTERNS[name].search(prose))}
                counts.examples.append(f"{found} in {prose}")
        peer_text = peer_document(suffix, source).article("", "").text
        words, expected = words_of(article.text), words_of(_PEER_MARKUP.sub(" ", peer_text))
        lost = expected - words
        counts.num_words += words.total()
        counts.num_lost += lost.total()
        counts.lost.update(lost)
        counts.num_glued += sum(row in article.text for row in glued_rows(suffix, source))
    return counts


def kinds_of_markup(text: str, suffix: str = ".md") -> set[str]:
    """Which of the patterns of a kind of file match."""
    left_out = _MARKDOWN_ONLY if suffix == ".rst" else frozenset[str]()
    return {name for name, pattern in _PATTERNS.items() if name not in left_out and pattern.search(text)}


def words_of(text: str) -> Counter[str]:
    """Words with their numbers."""
    return Counter(_WORD.findall(text))


def code_spans(source: str, suffix: str) -> list[str]:
    """What the source marks as code within prose, longest first."""
    pattern = _LITERAL if suffix == ".rst" else _CODE_SPAN
    spans = {" ".join(match[2].split()) for match in pattern.finditer(source)}
    spans |= {span.replace("\\|", "|") for span in spans}  # in a table
    escaped = (match[0] for pattern in (_ESCAPED_TAG, _ESCAPED_MARKS) for match in pattern.finditer(source))
    spans |= {unescape(text).replace("\\", "") for text in escaped}
    return sorted((span for span in spans if kinds_of_markup(f"x{span}") or kinds_of_markup(span)), key=len)[::-1]


def without(text: str, spans: list[str]) -> str:
    """The text without its code spans."""
    for span in spans:
        text = text.replace(span, "")
    return text


def code_ranges(document: Document, article: Article) -> list[tuple[int, int]]:
    """Where in an article's text blocks of code stand."""
    from openrealm.corpus.clean import clean_code, clean_text

    shown = [
        piece.kind == "code"
        for piece in document.pieces
        if (clean_code(piece.text) if piece.kind == "code" else clean_text(piece.text, entities=False))
    ]
    ends = [*(line.start for line in article.lines[1:]), len(article.text)][: len(article.lines)]
    return [(line.start, end) for line, end, is_code in zip(article.lines, ends, shown, strict=True) if is_code]


def outside(article: Article, start: int, end: int, code: list[tuple[int, int]]) -> str:
    """Characters [start, end) of an article without its blocks of code."""
    parts = []
    for first, last in code:
        if first < end and last > start:
            parts.append(article.text[start : max(first, start)])
            start = min(last, end)
    return "\n".join([*parts, article.text[start:end]])


def our_document(suffix: str, source: str) -> Document:
    """A file as the product reads it."""
    from openrealm.corpus.readers.markdown import read_markdown
    from openrealm.corpus.readers.rst import read_rst

    return read_rst(source) if suffix == ".rst" else read_markdown(source)


def peer_document(suffix: str, source: str) -> Document:
    """The page that the library alone renders, as a browser shows it."""
    from dataclasses import replace

    from openrealm.corpus.readers.page import read_page

    source = _FRONT_MATTER.sub("", source)
    document = read_page(rendered(suffix, source), source)
    headings = (piece.text for piece in document.pieces if piece.kind == "heading")
    return replace(document, title=document.title or next(headings, ""))


def rendered(suffix: str, source: str) -> str:
    """HTML by the library alone."""
    if suffix == ".rst":
        import docutils.core

        settings = {"report_level": 5, "halt_level": 6, "warning_stream": StringIO(), "file_insertion_enabled": False}
        return str(docutils.core.publish_parts(source, writer="html5", settings_overrides=settings)["html_body"])
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark").enable("table").render(source))


def glued_rows(suffix: str, source: str) -> Iterator[str]:
    """Neighbouring cells of the peer's tables without anything between them."""
    from selectolax.lexbor import LexborHTMLParser

    for row in LexborHTMLParser(rendered(suffix, source)).css("tr"):
        cells = [" ".join(cell.text().split()) for cell in row.css("td, th")]
        yield from (a + b for a, b in pairwise(cells) if len(a) > 1 and len(b) > 1)


@cache
def fresh_tokenizer() -> Tokenizer:
    """The tokenizer that corpora are built with by default."""
    from openrealm.model.weights import backbone_location
    from openrealm.text.tokenizer import Tokenizer

    return Tokenizer.from_folder(Path(backbone_location("minilm")))


if __name__ == "__main__":
    main()
