"""Questions from plain text: sentences with a salient span replaced by a question word.

Lewis, Denoyer and Riedel 2019 (arXiv 1906.04980), "Unsupervised Question Answering by Cloze Translation": the cloze
with a question word for the kind of answer, either as it is or with noise (words dropped, neighbours swapped), so that
the reader learns to match more than the exact wording.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from openrealm.corpus.corpus import Corpus
from openrealm.errors import BadInput
from openrealm.evaluate.answers import normalise
from openrealm.masking.salient import sentence_around
from openrealm.types import Question

MAX_QUESTIONS = 2_000
_DROP_RATE, _SWAP_RATE, _NOISY_RATE = 0.1, 0.1, 0.5
_MIN_WORDS = 3
_PLACE = re.compile(r"\b(?:in|at|near)\s*$", re.IGNORECASE)
_PERSON = re.compile(r"\bby\s*$", re.IGNORECASE)
_ACTS = re.compile(
    r"^\s*(?:said|says|wrote|writes|founded|built|baked|made|opened|led|won|taught|gave|was born|lived)\b"
)
_BEFORE_DATE = re.compile(r"\b(?:in|on|since|until|by|from|at|around|during)\s*$", re.IGNORECASE)


def cloze_questions(
    corpus: Corpus,
    *,
    seed: int = 0,
    max_answer_tokens: int = 10,
    max_questions: int = MAX_QUESTIONS,
    passages: Iterable[int] | None = None,
) -> list[Question]:
    """At most `max_questions` questions from a corpus or from some of its passages, determined by content and seed.

    `relation` is the kind of the answer, `subject` the title of the article. Answers have at most `max_answer_tokens`
    word pieces. In a text without names, dates or numbers they are the longest words of sentences. Raises BadInput if
    no sentence gives a question.

    >>> import openrealm as orm
    >>> questions = orm.cloze_questions(orm.Corpus.build("my_docs/", "corpus/"), max_questions=3)
    >>> len(questions), all(question.text.endswith("?") for question in questions)
    (3, True)
    """
    chosen = None if passages is None else sorted(passages)
    entries = corpus.span_entries(max_answer_tokens, chosen)
    made = _made(corpus, len(entries), lambda place: corpus.span_at(int(entries[place])), seed, max_questions)
    if not made:
        words = _long_words(corpus, range(corpus.num_passages) if chosen is None else chosen)
        made = _made(corpus, len(words), words.__getitem__, seed, max_questions)
    if not made:
        raise BadInput(
            f"{corpus.folder} has no sentence that is long enough to ask about; add more text, or provide questions "
            "with --questions FILE."
        )
    return made


def _long_words(corpus: Corpus, numbers: Iterable[int]) -> list[tuple[int, tuple[int, int, str]]]:
    """The longest words, up to three of each sentence, for a text without names, dates or numbers."""
    continues = [corpus.tokenizer().token(i).startswith("##") for i in range(corpus.tokenizer().vocab_size)]
    places = []
    for number in numbers:
        ids, offsets = corpus.body_tokens(number).tolist(), corpus.token_offsets(number).tolist()
        for first, last in corpus.sentences(number).tolist():
            starts = [i for i in range(first, last) if not continues[ids[i]]]
            words = list(zip(starts, [*starts[1:], last], strict=True))
            words.sort(key=lambda word: offsets[word[0]][0] - offsets[word[1] - 1][1])
            places += [(number, (start, end, "entity")) for start, end in words[:3]]
    return places


def _made(
    corpus: Corpus,
    num_places: int,
    place_of: Callable[[int], tuple[int, tuple[int, int, str]]],
    seed: int,
    max_questions: int,
) -> list[Question]:
    """Different questions about spans of tokens, in an order that the seed decides.

    place_of  the passage and the span of each of `num_places` places
    """
    rng = np.random.default_rng([seed, 11])
    made: dict[str, Question] = {}
    for place in rng.permutation(np.arange(num_places, dtype=np.uint32)):
        number, (start, end, kind) = place_of(int(place))
        question = _question(corpus, number, start, end, kind, np.random.default_rng([seed, 12, int(place)]))
        if question is not None:
            made.setdefault(question.text, question)
        if len(made) == max_questions:
            break
    return list(made.values())


def _question(
    corpus: Corpus, number: int, start: int, end: int, kind: str, rng: np.random.Generator
) -> Question | None:
    """A question whose answer is tokens [start, end) of a passage; None if too few words are left around them."""
    passage, offsets = corpus.passage(number), corpus.token_offsets(number)
    first, last = sentence_around(corpus, number, start, end)
    low, high = int(offsets[start][0]), int(offsets[end - 1][1])
    before = passage.text[int(offsets[first][0]) : low]
    after = passage.text[high : int(offsets[last - 1][1])]
    answer = passage.text[low:high]
    rest = f" {normalise(before + ' ' + after)} "
    if len(rest.split()) < _MIN_WORDS or not normalise(answer) or f" {normalise(answer)} " in rest:
        return None
    text = _worded(before, after, kind, noisy=rng.random() < _NOISY_RATE, rng=rng)
    return Question(_about(passage.title, answer, text), (answer,), relation=kind, subject=passage.title)


def _worded(before: str, after: str, kind: str, *, noisy: bool, rng: np.random.Generator) -> str:
    """The cloze as it is, or with the question word in front and noise in the rest."""
    word = question_word(before, after, kind)
    if word in ("when", "where"):
        before = (_BEFORE_DATE if word == "when" else _PLACE).sub("", before)
    before, after = " ".join(before.split()), " ".join(after.split()).rstrip(" .!?;:,")
    if not noisy:
        return f"{before} {word} {after}".strip() + "?"
    # "how many" stays next to what is counted.
    near, far = (after.split()[:1], after.split()[1:]) if word == "how many" else ([], after.split())
    return " ".join([word, *near, *with_noise([*before.split(), *far], rng)]) + "?"


def question_word(before: str, after: str, kind: str) -> str:
    """The question word for a span of this kind, given the words around it."""
    if kind == "date":
        return "when"
    if kind == "number":
        return "how many"
    if _PERSON.search(before) or _ACTS.match(after):
        return "who"
    return "where" if _PLACE.search(before) else "what"


def with_noise(words: list[str], rng: np.random.Generator) -> list[str]:
    """Drop some words, never all, and swap some neighbours."""
    kept = [word for word in words if rng.random() >= _DROP_RATE] or words
    for i in range(len(kept) - 1):
        if rng.random() < _SWAP_RATE:
            kept[i], kept[i + 1] = kept[i + 1], kept[i]
    return kept


def _about(title: str, answer: str, text: str) -> str:
    """The question, preceded by the title if it shares no words with it and does not contain the answer."""
    known = set(_words(text))
    if not title or known & set(_words(title)) or f" {normalise(answer)} " in f" {normalise(title)} ":
        return text[:1].upper() + text[1:]
    return f"{title}: {text}"


def _words(text: str) -> Iterator[str]:
    return (word for word in normalise(text).split() if len(word) > 2)
