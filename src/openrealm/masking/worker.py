"""What a worker process of the corpus builder runs: `python -m openrealm.masking.worker`."""

from __future__ import annotations

from openrealm.corpus.worker import serve
from openrealm.masking.tagger import load_tagger

if __name__ == "__main__":
    serve(load_tagger)
