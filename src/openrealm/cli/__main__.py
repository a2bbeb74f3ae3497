"""`python -m openrealm.cli` runs the command `openrealm`."""

from __future__ import annotations

import contextlib
import os
import sys

import openrealm

# `python -m` looks for modules in the working directory first; the command `openrealm` does not.
with contextlib.suppress(OSError):
    if sys.path[0] == os.getcwd() and not os.path.samefile(sys.path[0], os.path.dirname(openrealm.__path__[0])):
        del sys.path[0]

from openrealm.cli.main import main

sys.exit(main())
