from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_without_gensim_it_says_so_and_exits_successfully(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "bench" / "dump.py"), "--quick", "--gensim", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "gensim is not installed" in done.stderr
    assert "make test-peers" in done.stderr
    assert [figure["value"] for figure in json.loads(done.stdout.splitlines()[-1])] == [None]
