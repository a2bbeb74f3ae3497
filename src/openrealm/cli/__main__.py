"""`python -m openrealm.cli` runs the command `openrealm`."""

from __future__ import annotations

import sys

from openrealm.cli.main import main

sys.exit(main())
