"""`python -m openrealm` runs the command `openrealm`, and `torchrun … -m openrealm` runs it in several processes."""

from __future__ import annotations

import openrealm.cli.__main__  # noqa: F401
