"""How torch's threads wait for each other, settled before torch is loaded.

A parallel part of a computation ends when its last thread does, and the others wait for it in a loop. By default they
do so for several milliseconds, which costs nothing on a quiet machine; beside other work, the thread that they wait for
may have no core because of them. A loop of a tenth of a millisecond bridges the gaps between one parallel part and the
next, and then gives the core away. Measured by bench/busy.py.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_SPINS = "2000"


def share_cores(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let threads that wait give their core to others, also in processes that this one starts.

    Nothing changes if the user has set OMP_WAIT_POLICY, GOMP_SPINCOUNT or KMP_BLOCKTIME, or, in this process, if torch
    is loaded already.

    >>> share_cores(given := {})
    >>> sorted(given)
    ['GOMP_SPINCOUNT']
    >>> share_cores(given := {"OMP_WAIT_POLICY": "ACTIVE"})
    >>> given
    {'OMP_WAIT_POLICY': 'ACTIVE'}
    """
    if not any(name in environment for name in _CHOICES):
        environment["GOMP_SPINCOUNT"] = _SPINS
