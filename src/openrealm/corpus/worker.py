"""A worker process of the corpus builder: it reads orders as lines of JSON and writes replies the same way.

It exits when its input ends, which also happens when the builder dies for any reason.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from openrealm.corpus.blocks import PassageRule
from openrealm.corpus.shards import Shards
from openrealm.corpus.tagger import load_tagger
from openrealm.errors import OpenRealmError
from openrealm.text.tokenizer import Tokenizer


def serve() -> None:
    """Carry out orders until there are no more; the first line is the build's setup, written by `Workers`."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not get between the replies
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, orders), daemon=True).start()
    shards: Shards | None = None
    while True:
        order = json.loads(orders.get())
        try:
            if shards is None:
                shards = _shards(order)
                continue
            reply = shards.do(order)
        except OpenRealmError as error:
            reply = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(reply), file=replies, flush=True)


def _shards(setup: dict[str, Any]) -> Shards:
    folder = Path(setup["folder"])
    tokenizer = Tokenizer.from_folder(folder)
    return Shards(folder, tokenizer, PassageRule.of(setup), lambda: load_tagger(setup["tagger"]))


def _receive(source: BinaryIO, orders: queue.SimpleQueue[bytes]) -> None:
    """Pass on lines as they arrive; at their end the process exits at once, even in the middle of a shard."""
    for line in source:
        orders.put(line)
    os._exit(0)


if __name__ == "__main__":
    serve()
