"""Questions without answers: one per line, as text or JSON."""

from __future__ import annotations

from collections.abc import Iterable

from openrealm.errors import BadInput
from openrealm.stored import parsed

_EXPECTED = 'expected a question, or JSON such as {"question": "Where is the library?"}'


def questions_in(lines: Iterable[bytes], where: str) -> list[str]:
    """The questions in `lines`; blank lines are skipped.

    where  what errors call the lines, such as the name of a file
    Raises BadInput naming the first line that holds no question, or if there is none at all.

    >>> questions_in([b"Where is the library?", b"", b'{"question": "Who bakes?"}'], "questions.txt")
    ['Where is the library?', 'Who bakes?']
    """
    found = [_question(line, f"{where}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise BadInput(f"{where} holds no questions; {_EXPECTED} on each line.")
    return found


def _question(line: bytes, where: str) -> str:
    try:
        text = line.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise BadInput(f"{where} is not UTF-8; {_EXPECTED}.") from error
    if not text.startswith("{"):
        return text
    try:
        value = parsed(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} is not JSON ({error}); {_EXPECTED}.") from error
    question = value.get("question")
    if not isinstance(question, str) or not question.strip():
        raise BadInput(f'{where} has no text under "question"; {_EXPECTED}.')
    return question.strip()
