"""Markdown files, read by markdown-it-py after CommonMark's rules, and what documentation adds to it (`dialects`)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin

from openrealm.corpus.readers import Document, line_starts
from openrealm.corpus.readers.decode import read_text
from openrealm.corpus.readers.dialects import add_dialects, html_without_templates, without_components, without_includes
from openrealm.corpus.readers.page import POSITION, read_page
from openrealm.types import DEFAULT_LIMITS, Limits

_YAML_FENCE = re.compile(r"---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TOML_FENCE = re.compile(r"\+\+\+[ \t]*\n(.*?\n)?\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL)
_YAML_LINE = re.compile(r"(?:[a-z_][\w.-]*[ \t]*:(?:[ \t].*)?|[ \t-].*|#.*|)$")
_YAML_TITLE = re.compile(r"^title[ \t]*:[ \t]*(.+?)[ \t]*$", re.MULTILINE)
_KEY = re.compile(r"[a-z_][\w.-]*")
_FIRST_TAG = re.compile(r"<[A-Za-z][^\s/>]*")
_RAW_OPENING = re.compile(r"<(iframe|noembed|noframes|plaintext|script|style|textarea|title|xmp)\b", re.IGNORECASE)


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The document as a reader of the rendered page sees it."""
    remarks: dict[str, int] = {}
    return replace(read_markdown(read_text(path, limits, counts=remarks)), remarks=remarks)


def read_markdown(source: str) -> Document:
    """Same as `read`, for text; positions are offsets in it.

    >>> document = read_markdown("# Peru { #peru }\\n\\nLima is the [capital](/lima).")
    >>> document.title, [piece.text for piece in document.pieces]
    ('Peru', ['Peru', 'Lima is the capital.'])
    """
    metadata, length = _front_matter(source)
    body = "\n" * source.count("\n", 0, length) + source[length:]
    md = _parser()
    env: dict[str, Any] = {}
    tokens = md.parse(body, env)
    _prepare(tokens, source)
    document = read_page(md.renderer.render(tokens, md.options, env), source)
    title = metadata.get("title")
    if isinstance(title, str | int | float) and str(title).strip():
        return replace(document, title=str(title))
    return document.titled_by_heading()


@cache
def _parser() -> MarkdownIt:
    md = MarkdownIt("commonmark", renderer_cls=_Renderer).enable(["table", "strikethrough"])
    footnote_plugin(md, inline=False, move_to_end=False, always_match_refs=True)
    md.use(deflist_plugin).use(tasklists_plugin).use(
        dollarmath_plugin, allow_space=False, allow_digits=False, double_inline=True
    )
    add_dialects(md)
    # The plug-ins' own rules would write anchors and equations; these write what is read on the page.
    for name in ("footnote_ref", "math_inline", "math_inline_double", "math_block", "math_block_label"):
        md.add_render_rule(name, getattr(_Renderer, name))
    return md


class _Renderer(RendererHTML):
    """Writes the HTML that `read_page` reads: with image descriptions as text, and without includes."""

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """The description: it is text of the author's."""
        return escapeHtml(self.renderInlineAsText(tokens[index].children, options, env))

    def footnote_ref(self, tokens: Sequence[Token], index: int, _: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """Nothing, where there is such a footnote."""
        label = str(tokens[index].meta.get("label", ""))
        is_known = label.isdecimal() or f":{label}" in env.get("footnotes", {}).get("refs", {})
        return "" if is_known else escapeHtml(f"[^{label}]")

    def math_inline(self, tokens: Sequence[Token], index: int, _: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """As it is written: "$5 or $" may be money."""
        return escapeHtml(f"${tokens[index].content}$")

    def math_inline_double(
        self, tokens: Sequence[Token], index: int, _: OptionsDict, env: MutableMapping[str, Any]
    ) -> str:
        """As it is written."""
        return escapeHtml(f"$${tokens[index].content}$$")

    def math_block(self, tokens: Sequence[Token], index: int, _: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """The formula, verbatim."""
        return f"<pre><code{self.renderAttrs(tokens[index])}>{escapeHtml(tokens[index].content)}</code></pre>\n"

    math_block_label = math_block

    def fence(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """The code, verbatim but for lines that include a file."""
        return self.code_block(tokens, index, options, env)

    def code_block(
        self, tokens: Sequence[Token], index: int, options: OptionsDict, env: MutableMapping[str, Any]
    ) -> str:
        """See `fence`."""
        code = escapeHtml(without_includes(tokens[index].content))
        return f"<pre><code{self.renderAttrs(tokens[index])}>{code}</code></pre>\n"

    def html_block(self, tokens: Sequence[Token], index: int, _: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """HTML as it stands, with what components show of their attributes."""
        html = html_without_templates(tokens[index].content)
        html = _without_open_raw_text(without_components(html, _parser(), is_block=True))
        position = tokens[index].attrGet(POSITION)
        return _FIRST_TAG.sub(lambda match: f"{match.group()} {POSITION}={position} ", html, count=1)

    def html_inline(self, tokens: Sequence[Token], index: int, _: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """A tag as it stands, or what a component shows."""
        return without_components(tokens[index].content, _parser(), is_block=False)


def _prepare(tokens: Sequence[Token], source: str) -> None:
    """What only this reader needs: positions, and tags that would hide what follows them as text."""
    starts = line_starts(source)
    for token in tokens:
        if token.children:
            _show_open_raw_text(token.children)
        if token.map and token.nesting >= 0 and token.type != "inline":
            token.attrSet(POSITION, str(starts[token.map[0]]))
        if token.type.startswith("footnote_reference_"):
            token.tag = "div"


def _show_open_raw_text(children: Sequence[Token]) -> None:
    """Turn a <title> or the like that nothing closes into text."""
    closed = set[str]()
    for child in reversed(children):
        if child.type == "html_inline":
            if match := _RAW_OPENING.match(child.content):
                child.type = "html_inline" if match[1].lower() in closed else "text"
            elif child.content.startswith("</"):
                closed.add(child.content[2:-1].strip().lower())


def _without_open_raw_text(html: str) -> str:
    """HTML in which no <title> or the like hides the rest of the page."""
    lower = html.lower()
    return _RAW_OPENING.sub(
        lambda match: match.group() if f"</{match[1].lower()}" in lower[match.end() :] else f"&lt;{match.group()[1:]}",
        html,
    )


def _front_matter(source: str) -> tuple[Mapping[str, Any], int]:
    """The metadata at the top, and how many characters they take; a section between two rules is none."""
    for fence, parse in ((_YAML_FENCE, _yaml), (_TOML_FENCE, _toml)):
        match = fence.match(source)
        metadata = parse(match[1] or "") if match else None
        if match and metadata is not None:
            return metadata, match.end()
    return {}, 0


def _yaml(text: str) -> Mapping[str, Any] | None:
    try:
        metadata = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        if not all(_YAML_LINE.match(line) for line in text.split("\n")):
            return None
        title = _YAML_TITLE.search(text)
        return {"title": title[1].strip("\"'")} if title else {}
    if not isinstance(metadata, dict) or not all(isinstance(key, str) and _KEY.fullmatch(key) for key in metadata):
        return None
    return metadata


def _toml(text: str) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
