"""The scripts in examples/ run on a small folder, and training is resumed."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def run(folder: Path, script: str, *arguments: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_train_and_ask(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "data" / "markdown", tmp_path / "my_docs")
    titles = [path.read_text().splitlines()[0].removeprefix("# ") for path in (tmp_path / "my_docs").iterdir()]
    trained = run(tmp_path, "train_joint.py", "my_docs/", "2")
    text, title, utility = trained.rsplit(" | ", 2)
    assert text
    assert title in titles
    number, *hits = utility.splitlines()
    assert math.isfinite(float(number))
    assert len(hits) == 5
    assert {"corpus", "index", "logs", "out", "training"} <= {path.name for path in tmp_path.iterdir()}
    # The second time there is nothing left to train, and the answer is the same.
    assert run(tmp_path, "train_joint.py", "my_docs/", "2") == trained
    asked = run(tmp_path, "ask.py", "Where is the library?", "Who bakes the bread?")
    first, second = asked.split("Who bakes the bread?")
    assert first.startswith(f"Where is the library?\n-> {text}\n   {title}: ")
    assert second.startswith("\n-> ")


def test_the_readme_shows_the_script() -> None:
    """The lines of Python in the README are those of the example, so that they stay up to date."""
    script = (EXAMPLES / "train_joint.py").read_text()
    readme = (ROOT / "README.md").read_text()
    for line in (
        'model = orm.Realm.from_pretrained("openrealm-mini")',
        "index = orm.Index.build(model, corpus)",
        'model.save_pretrained("out/")',
        'answer = orm.Answerer(model, corpus, joint.index).ask("Where is the library?")',
        'hits = joint.index.search(model.encode_query(["Where is the library?"]), k=5)',
    ):
        assert line in script, line
        assert line in readme, line
