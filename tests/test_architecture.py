"""The rules of docs/architecture.md that a machine can hold, and documents that must not point at nothing."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from openrealm.base.settings import BaseSettings
from openrealm.config import Config
from openrealm.qa.settings import QaSettings
from openrealm.section import known_settings

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_module_opens_by_saying_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_there_is_one_training_loop() -> None:
    """Only the trainer steps an optimiser, through its guard."""
    stepping = [named(path) for path in SOURCES if re.search(r"\b(?:optimizer|guard)\.step\(", path.read_text())]
    assert stepping == ["src/openrealm/train/guard.py", "src/openrealm/train/trainer.py"]


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_nothing_can_read_or_write_a_pickle(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {alias.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    imported |= {str(n.module).split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert not imported & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    attributes = {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert not attributes & {"torch.load", "torch.save", "pandas.read_pickle"}
    allowed = [k for n in ast.walk(tree) if isinstance(n, ast.Call) for k in n.keywords if k.arg == "allow_pickle"]
    assert all(isinstance(k.value, ast.Constant) and k.value.value is False for k in allowed)


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "files.py"], ids=named)
def test_only_one_module_opens_files_for_writing(path: Path) -> None:
    """Files in a folder that is not published yet are copied or written by libraries; all others through files.py."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    opening = [call for call in calls if re.search(r"\bopen$", ast.unparse(call.func))]
    constants = [node.value for call in opening for node in [*call.args, *(k.value for k in call.keywords)]
                 if isinstance(node, ast.Constant)]  # fmt: skip
    assert not [mode for mode in constants if re.fullmatch(r"[rwxabt+]*[wxa+][rwxabt+]*", str(mode))]
    written = [ast.unparse(call) for call in calls if re.search(r"\.write_(text|bytes)$", ast.unparse(call.func))]
    assert [call for call in written if not call.startswith(("files.", "Path('/proc/self/clear_refs')"))] == []


def test_all_that_is_printed_is_made_visible_first() -> None:
    """Results and messages go through `show` and `say`; a worker prints JSON for its parent."""
    calls = {named(path): re.findall(r"(?m)^ *print\(", path.read_text()) for path in SOURCES}
    assert [name for name, found in calls.items() if found] == [
        "src/openrealm/corpus/worker.py",
        "src/openrealm/progress.py",
    ]


def test_every_version_is_pinned_and_none_by_an_address() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", line) for line in lines)
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["pdf"], *extras["factbook"]]
    assert {re.split(r"[<>=~!\[; ]", need)[0] for need in wanted} <= pinned


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_link_to_a_file_has_the_file(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    missing = [t for t in targets if "://" not in t and not (path.parent / t).exists()]
    assert not missing


def exists(dotted: str) -> bool:
    """Whether `model.marginal.early_loss` or `masking.salient` is defined, found in the source without importing it."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        module = ROOT / "src" / "openrealm" / Path(*parts[:length])
        file = module.with_suffix(".py") if module.with_suffix(".py").exists() else module / "__init__.py"
        if not file.exists():
            continue
        nodes: list[ast.stmt] = ast.parse(file.read_text()).body
        for name in parts[length:]:
            found = [n for n in nodes if getattr(n, "name", None) == name]
            if not found:
                return False
            nodes = getattr(found[0], "body", [])
        return True
    return False


def test_the_table_from_paper_to_code_names_what_there_is() -> None:
    text = (ROOT / "docs" / "paper-to-code.md").read_text()
    rows = [line.replace("\\|", "/").split("|") for line in text.splitlines() if line.startswith("|")]
    code = [name for row in rows[2:] for name in re.findall(r"`([a-z_]+\.[A-Za-z_.]+)`", row[3])]
    assert len(code) > 15
    assert [name for name in code if not exists(name)] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_setting_that_a_document_names_is_one(path: Path) -> None:
    text, known = path.read_text(), set(known_settings(Config))
    others = {*known_settings(BaseSettings), *known_settings(QaSettings)}  # what `base train` and `qa train` take
    sections = "|".join({key.split(".")[0] for key in known if "." in key})
    found = re.findall(r"--set (?!KEY=)([\w.]+)=", text)
    found += [name for name in re.findall(rf"`((?:{sections})\.(?!safetensors|onnx)\w+)`", text) if not exists(name)]
    assert [name for name in found if name not in known | others] == []


def names_of_tests(path: Path) -> set[str]:
    """Names of the test functions of a file; none where there is no such file."""
    return {f.name for f in functions(ast.parse(path.read_text()))} if path.exists() else set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_test_that_a_document_names_is_there(path: Path) -> None:
    found = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", path.read_text())
    missing = [(file, name) for file, name in found if not (ROOT / file).exists()]
    missing += [(file, name) for file, name in found if name and name not in names_of_tests(ROOT / file)]
    assert not missing


def test_the_rows_of_faults_and_of_the_paper_name_their_tests() -> None:
    for name, fewest in (("paper-to-code.md", 20), ("faults.md", 10)):
        text = (ROOT / "docs" / name).read_text()
        assert len(re.findall(r"`tests/[\w/]+\.py::\w+`", text)) >= fewest


def test_the_package_is_the_one_of_this_checkout() -> None:
    spec = importlib.util.find_spec("openrealm")
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).is_relative_to(ROOT / "src")
