"""Pages of the site that are files elsewhere in the repository: the README as its home, notebooks, model cards.

Links between Markdown files are written for the repository; here they are led to the pages, or to copies of the files.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent
# Files outside docs/ that are pages, by their path in the repository.
MOUNTED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "bench/questions/README.md": "project/questions.md",
    "src/openrealm/qed/README.md": "project/qed.md",
    "src/openrealm/weights/openrealm-mini/README.md": "project/openrealm-mini.md",
    "src/openrealm/weights/openrealm-qa/README.md": "project/openrealm-qa.md",
}
_REPOSITORY = {page: path for path, page in MOUNTED.items()}
_NOTEBOOK = ".ipynb"
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/, and replace notebooks by pages with their outputs."""
    for path, page in MOUNTED.items():
        files.append(File.generated(config, page, content=_without_front_matter((ROOT / path).read_text())))
    for file in [file for file in files if file.src_uri.endswith(_NOTEBOOK)]:
        files.remove(file)
        _add_notebook(file, files, config)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links of a page that point out of docs/ to where their targets are on the site."""
    here = _REPOSITORY.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def led(match: re.Match[str]) -> str:
        target = match[2]
        if ":" in target or target.startswith("/"):
            return match[0]
        path = os.path.normpath(PurePosixPath(here).parent / target)
        if path.startswith("docs/") and here.startswith("docs/") and not path.endswith(_NOTEBOOK):
            return match[0]
        place = _site_path(path, files, config)
        return f"{match[1]}{os.path.relpath(place, PurePosixPath(page.file.src_uri).parent)}{match[3] or ''}"

    return _LINK.sub(led, markdown)


def _site_path(path: str, files: Files, config: MkDocsConfig) -> str:
    """Where a file of the repository is on the site; a file that is no page is copied."""
    if path in MOUNTED:
        return MOUNTED[path]
    if path.startswith("docs/"):
        return re.sub(rf"{_NOTEBOOK}$", ".md", path.removeprefix("docs/"))
    if files.get_file_from_path(path) is None and (ROOT / path).is_file():
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return path


def _without_front_matter(text: str) -> str:
    return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)


def _add_notebook(file: File, files: Files, config: MkDocsConfig) -> None:
    """A notebook as a page: its cells as Markdown, its figures as files beside it."""
    from nbconvert import MarkdownExporter

    assert file.abs_src_path is not None
    folder = PurePosixPath(file.src_uri).with_suffix("")
    exported: tuple[str, Any] = MarkdownExporter().from_filename(
        file.abs_src_path, resources={"output_files_dir": str(folder.name)}
    )
    body, resources = exported
    files.append(File.generated(config, f"{folder}.md", content=body))
    for name, content in resources["outputs"].items():
        files.append(File.generated(config, str(folder.parent / name), content=content))
