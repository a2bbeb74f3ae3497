"""Markdown as documentation writes it: what MkDocs, MyST, Docusaurus, VitePress, mdBook, Jekyll and wikis add.

Rules for markdown-it: a directive gives its title and body, a role its text; labels, attributes, includes and
templates give nothing, as on the rendered page. Code is never looked into: it is verbatim.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.common.html_re import HTML_TAG_RE
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block import reference as reference_rule
from markdown_it.rules_block import table as table_rule
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.dollarmath.index import math_block_dollar

from openrealm.corpus.readers.directives import ADMONITIONS, CODE, EMPTY, default_title, role_text, shown_title
from openrealm.errors import NotInstalled

MAX_NESTING = 50
"""Levels of blocks within blocks; what lies deeper is read as one paragraph."""

_BLOCKS = ADMONITIONS | frozenset(["admonition", "caption", "define", "definition", "details", "html", "tab"])

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_OPENING = re.compile(r"(:{3,}|/{3,}|`{3,}|~{3,})[ \t]*(.*?)[ \t]*$")
_BRACED = re.compile(r"\{([A-Za-z][\w:+.-]*)\}[ \t]*(.*)$")
_CLASSES = re.compile(r"\{[^{}]*\}$")
_NAMED = re.compile(r"([A-Za-z][\w-]*)[ \t]*(?:\[([^\]]*)\])?[ \t]*(.*)$")
_NAMED_BAR = re.compile(r"([A-Za-z][\w-]*)[ \t]*(?:\|[ \t]*(.*))?$")
_TITLE_ATTRIBUTE = re.compile(r"\b(?:title|caption)=(?:\"([^\"]*)\"|'([^']*)')")
_OPTION = re.compile(r"[ \t]*:[A-Za-z][\w-]*:(?:[ \t]|$)")
_INDENTED = re.compile(r"(!!!|\?\?\?\+?|===[!+]?)[ \t]+([^\"]*?)[ \t]*(?:\"(.*)\")?[ \t]*$")
_NO_LINE = re.compile(
    r"\([^()\[\]]+\)=$"  # (label)= of MyST
    r"|\{:[^{}]*\}$|\{[ \t]*[#.][\w-][^{}]*\}$"  # attributes of kramdown and MkDocs
    r"|;?-{1,2}8<-{1,2}.*$|<<<[ \t]*[@./].*$"  # included files
    r"|import[ \t]+[^'\";]+[ \t]from[ \t]+(['\"])[^'\"]+\1;?$|import[ \t]+(['\"])[^'\"]+\2;?$"  # MDX
    r"|:{3,}$|/{3,}$"  # ends of directives that nothing opens
    r"|\[\[_?toc_?\]\]$|\[toc\]$|\$\{toc\}$|@\[toc\].*$|\+\+\+$",
    re.IGNORECASE,
)
_MYST = re.compile(r"^[ \t]*(?:[`~:]{3,}\{[A-Za-z]|\([\w .:-]+\)=[ \t]*$)", re.MULTILINE)
_INCLUDED_CODE = re.compile(
    r"^[ \t]*(?:(?:#|//|--|;|<!--)?[ \t]*(?:\{\{[ \t]?#\w+[^{}\n]*\}\}|\{!>?[^{}\n]*!\})|[^\w\n]{0,4}-{1,2}8<-{1,2}.*)"
    r"[ \t]*(?:-->)?[ \t]*(?:\n|\Z)",
    re.MULTILINE,
)
_TABLE_RULE = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_CODE_WITH_PIPE = re.compile(r"(`+)[^`\n]*\|[^`\n]*\1")
_PIPE = re.compile(r"(?<!\\)\|")
_DEFINITION = re.compile(r"\[[^\[\]]+\]:[ \t]*(\S+)")
_FORMULA_END = re.compile(r"\$\$[^\S\n]*(?:\([^)$\n]+\)[^\S\n]*)?$", re.MULTILINE)
_FORMULA = math_block_dollar(allow_labels=True, allow_blank_lines=True)
_ADDRESS = re.compile(r"[/#:@<?\\]|\.\w")

_TEMPLATE = re.compile(
    r"\{\{[^{}\n]{0,500}\}\}|\{%[^{}\n]{0,500}%\}|\{\*[^{}*\n]{1,500}\*\}|\{/\*[^{}\n]{0,500}\*/\}|\{![^{}\n]{1,500}!\}"
)
_ATTRIBUTE = r"(?:[#.][\w:-]+|[\w:-]+=(?:\"[^\"\n]{0,200}\"|'[^'\n]{0,200}'|[^\s\"'{}]{1,200}))"
_ATTRIBUTES = re.compile(rf"\{{:?[ \t]*(?:-|{_ATTRIBUTE}(?:[ \t]+{_ATTRIBUTE}){{0,20}})[ \t]*\}}")
_ROLE = re.compile(r"\{[A-Za-z][\w:+.-]*\}(`+)(?!`)")
_WIKI_LINK = re.compile(r"!?\[\[([^\W\d][^\[\]|\n]{0,200})(?:\|([^\[\]\n]{1,200}))?\]\](?!\()")
# {++inserted++}, {--deleted--}, {~~old~>new~~}, {==marked==} and {>>remark<<} of CriticMarkup
_EDIT = re.compile(r"\{(\+\+|--|~~|==|>>)([^{}\n]{1,500}?)(?:\+\+|--|~~|==|<<)\}")
_ICON = re.compile(r":(?:material|octicons|fontawesome|simple)-[\w-]{1,80}:")
# ==marked==, ^^inserted^^, and ++ctrl+alt+del++, the keys of MkDocs.
_MARKED = re.compile(
    r"(?<![\w=])==(?=[^\s=])[^=\n]{1,500}(?<!\s)==(?![\w=])"
    r"|(?<![\w^])\^\^(?=[^\s^])[^^\n]{1,500}(?<!\s)\^\^(?![\w^])"
    r"|(?<![\w+])\+\+(?=[\w\"])[^+\s]{2,40}(?:\+[^+\s]{1,40}){0,9}\+\+(?![\w+])"
)
_SCRIPT = re.compile(r"(?<=[\w)\]])([~^])([^\s~^\\\[\]]{1,30})\1(?!\1)")
_EMOJI = re.compile(r"(?<![\w:]):([a-z\d_+-]{2,40}):(?![\w:])")
_JSX_VALUE = r"(?:\"[^\"]{0,500}\"|'[^']{0,500}'|\{[^<>]{0,200}\}|[^\s\"'=<>`{]{1,200})"
_JSX = re.compile(rf"</?[A-Za-z][\w.:-]*(?:\s+[\w:-]+(?:={_JSX_VALUE})?){{0,50}}\s*/?>")
_COMPONENT = re.compile(r"<(/?)([A-Z][a-z][\w.-]*)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>")
_SHOWN_ATTRIBUTE = re.compile(r"\s([\w-]+)=(?:\"([^\"]*)\"|'([^']*)')")
_SHOWN_ATTRIBUTES = ("title", "label", "heading", "summary", "text", "caption")
_ALERT = re.compile(r"\[!([A-Za-z][\w-]*)(?:\|[^\]]*)?\][+-]?[ \t]*([^\n]*)(?:\n|$)")
_ABBREVIATION = re.compile(r"\*\[([^\]\n]+)\]:", re.MULTILINE)
_HEADING_END = re.compile(rf"[ \t]*(?:{_ATTRIBUTES.pattern}[ \t]*)+$")


def add_dialects(md: MarkdownIt) -> None:
    """Teach a parser the dialects."""
    interrupts: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    md.options.maxNesting = MAX_NESTING
    block, inline = md.block.ruler, md.inline.ruler
    block.before("table", "too_deep", _too_deep)
    block.before("fence", "directive", _directive, interrupts)
    block.before("fence", "indented_directive", _indented_directive, interrupts)
    block.before("fence", "no_line", _no_line, interrupts)
    block.at("math_block", _formula)
    block.at("reference", _definition)
    block.at("table", _table, {"alt": ["paragraph", "reference"]})
    inline.before("backticks", "braces", _braces)
    inline.before("link", "wiki_link", _wiki_link)
    inline.before("html_inline", "jsx", _jsx)
    inline.push("icon", _icon)
    inline.push("marked", _marked)
    inline.push("script", _script)
    md.core.ruler.before("inline", "contents", _contents)


def _formula(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The plug-in's rule for blocks of TeX between "$$", where one ends; it would search to the end at each start."""
    known = state.env.get("formulas")
    if known is None or known[0] is not state.src:
        ends = [match.start() for match in _FORMULA_END.finditer(state.src)]
        known = state.env["formulas"] = (state.src, ends[-1] if ends else -1)
    return state.bMarks[start] < known[1] and _FORMULA(state, start, end, silent)


def without_includes(code: str) -> str:
    """A block of code without the lines that stand for another file's."""
    return _INCLUDED_CODE.sub("", code)


def html_without_templates(html: str) -> str:
    """HTML within Markdown without a template's marks."""
    return html if re.search(r"<(?:pre|code|script|style)\b", html) else _TEMPLATE.sub("", html)


def without_components(html: str, md: MarkdownIt, *, is_block: bool) -> str:
    """HTML with what components such as <Listing number="1-1" caption="..."> show in their place.

    Their names are not HTML's, even where they read the same: a <Listing> is no <listing>.
    """
    name = "div" if is_block else "span"

    def shown(match: re.Match[str]) -> str:
        if match[1]:
            return f"</{name}>"
        lines = [f"<{name}>{md.renderInline(line)}</{name}>" for line in _component_lines(match[2], match[3])]
        is_empty = match[3].endswith("/")
        joint = "<br>" if lines and not is_block and not is_empty else ""  # between a title and what it heads
        return f"<{name}>" + "".join(lines) + joint + (f"</{name}>" if is_empty else "")

    return _COMPONENT.sub(shown, html)


def _component_lines(name: str, attributes: str) -> Iterator[str]:
    """What a component shows of its attributes, in Markdown."""
    values = {match[1].lower(): match[2] or match[3] or "" for match in _SHOWN_ATTRIBUTE.finditer(attributes)}
    if file := values.get("file-name"):
        yield f"Filename: {file}"
    number = f"{name} {values['number']}: " if values.get("number") else ""
    if words := ". ".join(values[key] for key in _SHOWN_ATTRIBUTES if values.get(key)):
        yield number + words


class _Directive(NamedTuple):
    """An opening line: what is shown as the title, and what becomes of the body."""

    name: str
    title: str

    @staticmethod
    def of(marker: str, words: str) -> _Directive | None:
        """None where the line opens nothing."""
        if match := _BRACED.match(words):
            name, argument = match[1].lower(), match[2]
            is_fence = marker[0] in "`~"
            return _Directive(name, argument) if not is_fence or name not in ("mermaid", "r") else None
        if marker[0] in "`~" or not words:
            return None
        if marker[0] == "/":
            match = _NAMED_BAR.match(words)
            return _Directive(match[1].lower(), match[2] or "") if match and match[1].lower() in _BLOCKS else None
        if _CLASSES.fullmatch(words):
            title = _TITLE_ATTRIBUTE.search(words)
            return _Directive("div", (title[1] or title[2] or "") if title else "")
        match = _NAMED.match(words)
        return _Directive(match[1].lower(), match[2] or _CLASSES.sub("", match[3]).strip()) if match else None


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def _too_deep(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The parser drops what is nested too deeply; this keeps it."""
    if silent or state.level < MAX_NESTING - 10:
        return False
    _push_paragraph(state, state.getLines(start, end, state.blkIndent, False).strip(), start)
    state.line = end
    return True


def _directive(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """:::{note} Title, ::: tip Title, /// note | Title, ```{note} Title."""
    if state.is_code_block(start) or state.src[state.bMarks[start] + state.tShift[start]] not in ":/`~":
        return False
    match = _OPENING.match(_line(state, start))
    directive = _Directive.of(match[1], match[2]) if match else None
    if match is None or directive is None:
        return False
    if match[1][0] == ":" and match[2].endswith(":::"):  # :::image source="..." ::: of Microsoft's documentation
        state.line = start + 1
        return True
    close = _closing_line(state, match[1], start + 1, end)
    if close is None and "." in match[2] and " " not in match[2]:
        return _documented_object(state, match[2], start, end, silent)
    if close is None and not match[2].startswith("{") and directive.name not in _BLOCKS:
        return False
    if silent:
        return True
    body_end = end if close is None else close
    _push_directive(state, directive, start, _without_options(state, match[1], start + 1, body_end), body_end)
    state.line = body_end if close is None else close + 1
    return True


def _documented_object(state: StateBlock, name: str, start: int, end: int, silent: bool) -> bool:
    """::: package.name of mkdocstrings, with indented options: the name is shown."""
    if silent:
        return True
    _push_title(state, name, start)
    last = start + 1
    while last < end and not state.isEmpty(last) and state.sCount[last] >= state.blkIndent + 4:
        last += 1
    state.line = last
    return True


def _closing_line(state: StateBlock, marker: str, start: int, end: int) -> int | None:
    """The line that closes a directive; those within its code do not."""
    unclosed: dict[tuple[str, int], int] = state.env.setdefault("unclosed", {})
    if len(marker) >= unclosed.get((marker[0], end), len(marker) + 1):
        return None
    closing = re.compile(rf"[ \t]*{re.escape(marker)}{re.escape(marker[0])}*[ \t]*$")
    fence = ""
    for number in range(start, end):
        line = state.src[state.bMarks[number] : state.eMarks[number]]
        if line.strip() and state.sCount[number] < state.blkIndent:
            return None
        found = _FENCE.match(line)
        if not fence and closing.match(line):
            return number
        if found and not fence:
            fence = found[1]
        elif found and found[1].startswith(fence):
            fence = ""
    unclosed[marker[0], end] = len(marker)
    return None


def _without_options(state: StateBlock, marker: str, start: int, end: int) -> int:
    """The first line of a directive's body after its options."""
    first = start
    if marker[0] == "/":
        while first < end and state.sCount[first] >= state.blkIndent + 4 and ":" in _line(state, first):
            first += 1
        return first
    if first < end and _line(state, first).strip() == "---":
        closing = next((n for n in range(first + 1, min(end, first + 50)) if _line(state, n).strip() == "---"), None)
        return first if closing is None else closing + 1
    while first < end and _OPTION.match(_line(state, first)):
        first += 1
    return first


def _push_directive(state: StateBlock, directive: _Directive, start: int, body: int, end: int) -> None:
    if directive.name in EMPTY:
        return
    if directive.name in CODE:
        body = state.skipEmptyLines(body)
        token = state.push("code_block", "code", 0)
        token.content, token.map = state.getLines(body, end, state.blkIndent, False), [body, end]
        return
    if directive.name == "eval-rst" and (html := _html_of_rst(state.getLines(body, end, state.blkIndent, False))):
        token = state.push("html_block", "", 0)
        token.content, token.map = html, [start, end]
        return
    _push_title(
        state, directive.title if directive.name == "div" else shown_title(directive.name, directive.title), start
    )
    if directive.name == "csv-table":
        for line in range(body, end):
            _push_paragraph(state, _line(state, line), line)
        return
    first = len(state.tokens)
    _push_body(state, start, body, end)
    if directive.name == "list-table":
        _as_table(state.tokens[first:])


def _html_of_rst(source: str) -> str:
    """reStructuredText as HTML, "" where docutils is not installed."""
    try:
        from openrealm.corpus.readers.rst import html_of
    except NotInstalled:
        return ""
    return html_of(source)


def _as_table(tokens: list[Token]) -> None:
    """Make a list of lists a table: each of the inner ones is a row."""
    depth = 0
    for token in tokens:
        is_list = token.type.startswith("bullet_list")
        depth += is_list and token.nesting > 0
        if depth in (1, 2) and (is_list or token.type.startswith("list_item")):
            token.tag = {(True, 1): "table", (False, 1): "tr", (True, 2): "tbody", (False, 2): "td"}[is_list, depth]
            token.hidden = is_list and depth == 2
        depth -= is_list and token.nesting < 0


def _push_title(state: StateBlock, title: str, line: int) -> None:
    if title:
        _push_paragraph(state, title, line)


def _push_paragraph(state: StateBlock, content: str, line: int) -> None:
    state.push("paragraph_open", "p", 1).map = [line, line + 1]
    token = state.push("inline", "", 0)
    token.content, token.map, token.children = content, [line, line + 1], []
    state.push("paragraph_close", "p", -1)


def _push_body(state: StateBlock, start: int, body: int, end: int, indent: int = 0) -> None:
    old = state.parentType, state.lineMax, state.blkIndent
    state.parentType, state.lineMax, state.blkIndent = "container", end, state.blkIndent + indent
    state.push("directive_open", "div", 1).map = [start, end]
    state.md.block.tokenize(state, body, end)
    state.push("directive_close", "div", -1)
    state.parentType, state.lineMax, state.blkIndent = old


def _indented_directive(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """!!! note "Title", ??? note, === "Tab": the body is indented by four."""
    if state.is_code_block(start) or state.src[state.bMarks[start] + state.tShift[start]] not in "!?=":
        return False
    match = _INDENTED.match(_line(state, start))
    if not match or (match[1][0] == "=" and (match[2] or match[3] is None)):
        return False
    words = match[2].split()
    last = start + 1
    while last < end and (state.isEmpty(last) or state.sCount[last] >= state.blkIndent + 4):
        last += 1
    has_body = any(not state.isEmpty(number) for number in range(start + 1, last))
    if match[3] is None and not (words and (words[0].lower() in ADMONITIONS or has_body)):
        return False
    if silent:
        return True
    _push_title(state, match[3] if match[3] is not None else default_title(words[0]), start)
    _push_body(state, start, start + 1, last, indent=4)
    state.line = last
    return True


def _no_line(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A line that stands for something else, such as "(label)=" or "[TOC]"."""
    line = _line(state, start).rstrip()
    if state.is_code_block(start) or not (_NO_LINE.match(line) or (line.startswith("%") and _is_myst(state))):
        return False
    state.line = start + 1
    return True


def _is_myst(state: StateBlock) -> bool:
    """Whether the file is written in MyST, in which "%" begins a comment."""
    known = state.env.get("myst")
    if known is None or known[0] is not state.src:
        known = state.env["myst"] = (state.src, _MYST.search(state.src) is not None)
    return bool(known[1])


def _definition(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """CommonMark's link definitions, but for those that lead nowhere: "[Anna]: Yes." is somebody speaking."""
    match = _DEFINITION.match(_line(state, start))
    if match and not _ADDRESS.search(match[1]):
        return False
    return reference_rule(state, start, end, silent)


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A table; a "|" in code divides no cell of a row that would have too many."""
    return _table_with_pipes_in_code(state, start, end, silent) or table_rule(state, start, end, silent)


def _table_with_pipes_in_code(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if start + 1 >= end or not _TABLE_RULE.match(_line(state, start + 1)):
        return False
    last = next((n for n in range(start + 2, end) if state.isEmpty(n) or state.sCount[n] < state.blkIndent), end)
    lines = [_line(state, number) for number in range(start, last)]
    num_cells = _num_cells(lines[1])
    escaped = [
        _CODE_WITH_PIPE.sub(lambda code: _PIPE.sub(r"\\|", code.group()), line)
        if _num_cells(line) > num_cells
        else line
        for line in lines
    ]
    if escaped == lines:
        return False
    tokens: list[Token] = []
    state.md.block.parse("\n".join(escaped), state.md, state.env, tokens)
    if tokens[0].type != "table_open" or tokens[-1].type != "table_close":
        return False
    if not silent:
        for token in tokens:
            token.level += state.level
            token.map = [line + start for line in token.map] if token.map else None
        state.tokens += tokens
        state.line = last
    return True


def _num_cells(row: str) -> int:
    return len(_PIPE.findall(row.strip().removeprefix("|").removesuffix("|"))) + 1


def _braces(state: StateInline, silent: bool) -> bool:
    """Roles, templates and attributes."""
    if state.src[state.pos] != "{":
        return False
    if match := _ROLE.match(state.src, state.pos):
        return _role(state, silent, match)
    if (match := _EDIT.match(state.src, state.pos)) and match.end() <= state.posMax:
        if not silent:
            state.push("text", "", 0).content = match[2].replace("~>", " ").strip()
        state.pos = match.end()
        return True
    match = _TEMPLATE.match(state.src, state.pos) or _attributes(state.src, state.pos)
    if match is None:
        return False
    state.pos = match.end()
    return True


def _role(state: StateInline, silent: bool, match: re.Match[str]) -> bool:
    end = state.src.find(match[1], match.end())
    if end < 0:
        return False
    name = state.src[match.start() + 1 : match.start(1) - 1]
    if not silent:
        text = role_text(name, state.src[match.end() : end].replace("\n", " ").strip())
        state.push("text", "", 0).content = text
    state.pos = end + len(match[1])
    return True


def _attributes(text: str, place: int) -> re.Match[str] | None:
    """{#id .class key=value} after a link, code or emphasis, or at the end of a line."""
    match = _ATTRIBUTES.match(text, place)
    if match is None:
        return None
    ends_line = text[match.end() : match.end() + 1] in ("", "\n") and match.group()[1:].lstrip()[:1] in ("#", ".", ":")
    return match if ends_line or text[place - 1 : place] in (")", "]", "*", "_", "`", "~", ">") else None


def _wiki_link(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "[!" or (state.pos and state.src[state.pos - 1].isalnum()):
        return False
    match = _WIKI_LINK.match(state.src, state.pos)
    if match is None:
        return False
    if not silent:
        state.push("text", "", 0).content = match[2] or match[1]
    state.pos = match.end()
    return True


def _jsx(state: StateInline, silent: bool) -> bool:
    """Tags with braces among their attributes."""
    if state.src[state.pos] != "<" or HTML_TAG_RE.match(state.src[state.pos : state.pos + 1000]):
        return False
    match = _JSX.match(state.src, state.pos)
    if match is None or "{" not in match.group():
        return False
    state.pos = match.end()
    return True


def _icon(state: StateInline, silent: bool) -> bool:
    """:material-check: shows no text, :smile: an emoji."""
    if state.src[state.pos] != ":":
        return False
    match = _ICON.match(state.src, state.pos)
    if match is None:
        match = _EMOJI.match(state.src, state.pos)
        emoji = _emoji(match[1]) if match else ""
        if match is None or not emoji:
            return False
        if not silent:
            state.push("text", "", 0).content = emoji
    state.pos = match.end()
    return True


def _emoji(name: str) -> str:
    """The emoji of a name, or ""."""
    from rich.emoji import Emoji, NoEmoji

    try:
        return str(Emoji(name))
    except NoEmoji:
        return ""


def _marked(state: StateInline, silent: bool) -> bool:
    """==Marked== text and the like: what is within the signs."""
    match = _MARKED.match(state.src, state.pos) if state.src[state.pos] in "=^+" else None
    if match is None or match.end() > state.posMax:
        return False
    if not silent:
        end = state.posMax
        state.pos, state.posMax = match.start() + 2, match.end() - 2
        state.md.inline.tokenize(state)
        state.posMax = end
    state.pos = match.end()
    return True


def _script(state: StateInline, silent: bool) -> bool:
    """Subscripts and superscripts, as in H~2~O and x^2^."""
    match = _SCRIPT.match(state.src, state.pos) if state.src[state.pos] in "~^" else None
    if match is None or match.end() > state.posMax:
        return False
    if not silent:
        state.push("text", "", 0).content = match[2]
    state.pos = match.end()
    return True


def _contents(state: StateCore) -> None:
    """What is seen only once blocks are known: attributes of headings, alerts, abbreviations."""
    for index, token in enumerate(state.tokens):
        if token.type != "inline":
            continue
        before = state.tokens[index - 1]
        if before.type == "heading_open":
            token.content = _HEADING_END.sub("", token.content)
        elif before.type == "paragraph_open":
            token.content = _paragraph(token.content, state.tokens[index - 2] if index > 1 else before)


def _paragraph(content: str, container: Token) -> str:
    match = _ALERT.match(content) if container.type == "blockquote_open" else None
    if match:
        content = f"{match[2].strip() or default_title(match[1].lower())}\\\n{content[match.end() :]}".rstrip("\\\n")
    return _ABBREVIATION.sub(r"\1:", content)
