"""The server under 512 clients while its corpus, and with it the index, is replaced 10 times (`bench/serve.py`)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")

BENCH = Path(__file__).parents[2] / "bench" / "serve.py"


@pytest.mark.scale
@pytest.mark.timeout(1_200)
def test_512_clients_get_answers_of_one_version_each() -> None:
    """`bench/serve.py` fails if an answer mixes versions, a connection is dropped, or a status is not 200 or 429."""
    done = subprocess.run([sys.executable, str(BENCH), "--rounds", "0"], capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    (figure,) = json.loads(done.stdout.splitlines()[-1])
    assert " 0 mixed, 0 connections dropped" in figure["note"]
    assert int(re.findall(r"(\d+) versions answered", figure["note"])[0]) >= 5
