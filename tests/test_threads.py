from __future__ import annotations

import os
import subprocess
import sys

import pytest

from openrealm.threads import share_cores

PROGRAM = "import os, openrealm, torch; print(os.environ.get('GOMP_SPINCOUNT'))"
CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_of_the_user_stays(name: str) -> None:
    environment = {name: "9"}
    share_cores(environment)
    assert environment == {name: "9"}


def test_the_choice_is_made_before_torch_is_loaded_and_reaches_other_processes() -> None:
    """OpenMP itself tells what it read."""
    kept = {name: value for name, value in os.environ.items() if name not in CHOICES}
    kept |= {"OMP_DISPLAY_ENV": "verbose", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=kept, capture_output=True, text=True, check=True)
    assert f"GOMP_SPINCOUNT = '{done.stdout.strip()}'" in done.stderr
