"""reStructuredText files, read by docutils; of Sphinx's directives and roles, their text is shown."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO
from itertools import accumulate
from pathlib import Path
from typing import Any

from openrealm.corpus.readers import Document, plain
from openrealm.corpus.readers.decode import read_text
from openrealm.corpus.readers.directives import ADMONITIONS, CODE, EMPTY, role_text, shown_title
from openrealm.corpus.readers.page import POSITION, read_page
from openrealm.errors import NotInstalled
from openrealm.types import DEFAULT_LIMITS, Limits

try:
    import docutils.core
    from docutils import nodes
    from docutils.parsers.rst import Directive, directives, roles
    from docutils.parsers.rst.languages import en
    from docutils.utils import unescape
    from docutils.writers.html5_polyglot import HTMLTranslator, Writer
except ModuleNotFoundError as error:
    raise NotInstalled('Reading .rst files needs docutils; install it with: pip install "openrealm[rst]".') from error

_DIRECTIVE_NAME = re.compile(r"\.\.[ \t](?:\|[^|\n]{1,100}\|[ \t])?([A-Za-z][\w:+.-]{0,60}?)[ \t]?::(?:\s|$)")
_ROLE_NAME = re.compile(r":([A-Za-z][\w:+.-]{0,60}):`|`:([A-Za-z][\w:+.-]{0,60}):")
_REFERENCE = re.compile(r"^(?::[\w:+.-]+:)?`?(.*?)(?:[ \t\n]*<[^<>]*>)?`?_{0,2}$", re.DOTALL)
_SUBSTITUTION = re.compile(r"\|[^|]*\|_{0,2}$")
_RULE = re.compile(r"([!-/:-@\[-`{-~])\1{3,}")
_TARGET = re.compile(r"[ \t]*(?:\.\.[ \t]+[_\[]|__[ \t])")  # footnotes and citations too
_MARK = re.compile(r"[\w`|\]]__?(?!\w)|[*`|]+(?=\S)")
_POSITION = re.compile(rf' {POSITION}="\d+"')
# docutils takes time that grows with the square of these numbers: with as many, 5 to 10 s.
_MAX_TRANSITIONS, _MAX_TARGETS, _MAX_MARKS = 2_000, 5_000, 10_000
# Those of docutils whose content and options are not those of Sphinx, or that read other files.
_REPLACED = ADMONITIONS | CODE | EMPTY | {"admonition", "class", "container", "figure", "default-role"}
_SETTINGS = {
    "_disable_config": True,
    "doctitle_xform": False,
    "embed_stylesheet": False,
    "file_insertion_enabled": False,
    "halt_level": 6,
    "initial_header_level": 1,
    "input_encoding": "unicode",
    "line_length_limit": 1 << 30,  # `read_text` knows the limit
    "math_output": "LaTeX",
    "raw_enabled": False,
    "report_level": 3,
    "section_self_link": False,
    "stylesheet_path": "",
    "syntax_highlight": "none",
    "toc_backlinks": False,
    "trim_footnote_reference_space": True,
}


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The document as a reader of the rendered page sees it.

    As plain text, with a remark, if docutils fails or would take too long: it takes time that grows with the square of
    the number of references in a paragraph, and of transitions and targets.
    """
    remarks: dict[str, int] = {}
    source = read_text(path, limits, counts=remarks)
    why = _excess(source)
    if not why:
        try:
            return replace(read_rst(source), remarks=remarks)
        except MemoryError:
            raise
        except Exception as error:  # docutils raises nearly anything on odd input, such as a RecursionError
            why = f"docutils fails: {type(error).__name__}"
    return replace(plain.read_plain(source), remarks={**remarks, f".rst file read as plain text ({why})": 1})


def read_rst(source: str) -> Document:
    """Same as `read`, for text; positions are offsets in it."""
    return read_page(_html(source), source).titled_by_heading()


def html_of(source: str) -> str:
    """The HTML of a part of a document in another format, without places; "" if docutils fails or takes too long."""
    if _excess(source):
        return ""
    try:
        return _POSITION.sub("", _html(source))
    except MemoryError:
        raise
    except Exception:  # see `read`
        return ""


def _html(source: str) -> str:
    _register(source)
    settings = {**_SETTINGS, "warning_stream": StringIO()}
    return str(docutils.core.publish_parts(source, writer=_writer(source), settings_overrides=settings)["html_body"])


def _excess(source: str) -> str:
    """What there is too much of for docutils, or ""."""
    num_transitions = num_targets = num_marks = 0
    lines = [line.rstrip() for line in source.splitlines()]
    for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
        num_marks = num_marks + sum(1 for _ in _MARK.finditer(line)) if line else 0
        if num_marks > _MAX_MARKS:
            return f"more than {_MAX_MARKS:,} references and other marks in a paragraph"
        num_transitions += not before and not after and _RULE.fullmatch(line) is not None
        num_targets += _TARGET.match(line) is not None
    if num_transitions > _MAX_TRANSITIONS:
        return f"more than {_MAX_TRANSITIONS:,} transitions"
    return f"more than {_MAX_TARGETS:,} targets and footnotes" if num_targets > _MAX_TARGETS else ""


def _register(source: str) -> None:
    """Make docutils read the names in `source` that it does not know."""
    for match in _DIRECTIVE_NAME.finditer(source):
        name = match[1].lower()
        if name in _REPLACED or (name not in en.directives and name not in directives._directives):
            is_box = name.rpartition(":")[2] in ADMONITIONS
            directives.register_directive(name, _Box if is_box else _Shown)
    for match in _ROLE_NAME.finditer(source):
        name = (match[1] or match[2]).lower()
        if name not in en.roles and name not in roles._roles:
            roles.register_local_role(name, _role)


class _AnyOptions(dict[str, Any]):
    """Options of any name."""

    def __bool__(self) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        return directives.unchanged


class _Shown(Directive):  # type: ignore[misc]
    """A directive that shows its title and content, as `directives` has it."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec = _AnyOptions()

    def run(self) -> list[nodes.Node]:
        """The nodes in its place."""
        name = self.name.rpartition(":")[2].lower()
        argument = self.arguments[0] if self.arguments else ""
        if name in EMPTY or name == "default-role":
            return []
        if name in CODE:
            return self._code(name, argument)
        if name == "class" and re.fullmatch(r"[a-z\s-]+", argument):  # a CSS class; of Python's, all begin otherwise
            argument = ""
        box = nodes.container()
        for line in shown_title(name, argument).split("\n"):
            text, messages = self.state.inline_text(line, self.lineno)
            box += [nodes.paragraph("", "", *text), *messages] if line else []
        self.state.nested_parse(self.content, self.content_offset, box)
        for node in box.children:
            node.line = getattr(node, "line", None) or self.lineno
        return [box]

    def _code(self, name: str, argument: str) -> list[nodes.Node]:
        caption = self.options.get("caption", "")
        lines = list(self.content)
        if name == "math" and argument:
            lines.insert(0, argument)
        code = nodes.literal_block("", "\n".join(lines))
        code.line = self.content_offset + 1
        return [nodes.paragraph("", caption), code] if caption else [code]


class _Box(_Shown):
    """A note or the like: what stands in its first line begins its content."""

    optional_arguments = 0


def _role(name: str, rawtext: str, text: str, *_: Any, **__: Any) -> tuple[list[nodes.Node], list[nodes.Node]]:
    return [nodes.inline(rawtext, role_text(name, unescape(text)))], []


def _writer(source: str) -> Writer:
    starts = [0, *accumulate(map(len, source.splitlines(keepends=True)))]  # docutils cuts at more than newlines

    class Translator(_Translator):
        line_starts = starts

    writer = Writer()
    writer.translator_class = Translator
    return writer


class _Translator(HTMLTranslator):  # type: ignore[misc]
    """Writes the HTML that `read_page` reads: with positions, without references' marks and messages about mistakes."""

    line_starts: list[int]

    def starttag(self, node: Any, tagname: str, suffix: str = "\n", empty: bool = False, **attributes: Any) -> str:
        """A start tag with the place of its line."""
        line = getattr(node, "line", None)
        if line and 0 < line <= len(self.line_starts):
            attributes[POSITION] = self.line_starts[line - 1]
        return str(super().starttag(node, tagname, suffix, empty, **attributes))

    def visit_section(self, node: Any) -> None:
        """A section, without the heading that docutils gives its messages."""
        if "system-messages" in node["classes"]:
            node.pop(0)
        super().visit_section(node)

    def visit_system_message(self, node: Any) -> None:
        """Only what docutils could not read and would lose, such as the text of a damaged table."""
        for block in node.findall(nodes.literal_block):
            self.body += [self.starttag(node, "pre"), self.encode(block.astext()), "</pre>\n"]
        raise nodes.SkipNode

    def visit_problematic(self, node: Any) -> None:
        """The text of a reference that leads nowhere; nothing for a value that is defined elsewhere."""
        text = node.astext()
        if not _SUBSTITUTION.match(text):
            self.body.append(self.encode(match[1] if (match := _REFERENCE.match(text)) else text))
        raise nodes.SkipNode

    def visit_footnote_reference(self, node: Any) -> None:
        """Nothing."""
        raise nodes.SkipNode

    def visit_label(self, node: Any) -> None:
        """A citation's label; a footnote's number is not shown, as its references are not."""
        if isinstance(node.parent, nodes.citation):
            self.body.append(f"<p>[{self.encode(node.astext())}]</p>")
        raise nodes.SkipNode

    def visit_image(self, node: Any) -> None:
        """Nothing; docutils would open the file."""
        raise nodes.SkipNode

    def visit_math(self, node: Any) -> None:
        """The formula as it is written."""
        self.body.append(self.encode(node.astext()))
        raise nodes.SkipNode
