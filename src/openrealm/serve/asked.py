"""Questions without answers: one per line, as text or JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from openrealm.errors import BadInput
from openrealm.run.questions import id_of_row
from openrealm.stored import parsed
from openrealm.text.surrogates import has_surrogates

_EXPECTED = 'expected a question, or JSON such as {"question": "Where is the library?"}'


class Asked(NamedTuple):
    """A question, and the id by which files of results call it: the row's own "id", or the number of its line."""

    id: str
    text: str


def questions_in(lines: Iterable[bytes], where: str) -> list[Asked]:
    """The questions in `lines`; blank lines are skipped.

    where  what errors call the lines, such as the name of a file
    Raises BadInput naming the first line that holds no question, or if there is none at all.

    >>> questions_in([b"Where is the library?", b"", b'{"id": "q7", "question": "Who bakes?"}'], "questions.txt")
    [Asked(id='1', text='Where is the library?'), Asked(id='q7', text='Who bakes?')]
    """
    found = [_question(line, number, f"{where}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise BadInput(f"{where} holds no questions; {_EXPECTED} on each line.")
    return found


def _question(line: bytes, number: int, where: str) -> Asked:
    try:
        text = line.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise BadInput(f"{where} is not UTF-8; {_EXPECTED}.") from error
    if not text.startswith("{"):
        return Asked(str(number), text)
    try:
        value = parsed(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} is not JSON ({error}); {_EXPECTED}.") from error
    question = value.get("question")
    if not isinstance(question, str) or not question.strip():
        raise BadInput(f'{where} has no text under "question"; {_EXPECTED}.')
    if has_surrogates(question):
        raise BadInput(f"{where} has half of a surrogate pair, which is no character; write the whole character.")
    return Asked(id_of_row(value, number), question.strip())
