"""The process that reads documents: started by `boxed.py`, limited in time and memory, and expendable.

A message is {"path", "limits"}, the answer a document or why there is none.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from openrealm.corpus.box_worker import serve
from openrealm.corpus.readers import reader_of
from openrealm.errors import BadInput, NotInstalled
from openrealm.types import Limits


def answer(message: bytes) -> dict[str, Any]:
    """The fields of a document, or {"unreadable"} or {"missing"} with the message of BadInput or NotInstalled."""
    order = json.loads(message)
    path = Path(order["path"])
    try:
        document = reader_of(path.suffix.lower())(path, Limits(**order["limits"]))
    except BadInput as error:
        return {"unreadable": str(error)}
    except NotInstalled as error:
        return {"missing": str(error)}
    return {field.name: getattr(document, field.name) for field in dataclasses.fields(document)}


if __name__ == "__main__":
    serve(answer)
