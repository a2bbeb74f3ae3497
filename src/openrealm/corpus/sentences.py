"""A rule-based sentence splitter whose slices, concatenated, are the text; made for any language without being told."""

from __future__ import annotations

import re

from openrealm.corpus import abbreviations as known

# Stops of scripts without capital letters always end a sentence, with or without a space.
_ALWAYS = "。｡！？।॥؟۔።။។։"
_CLOSERS = "”’“‘»›«‹)\\]）］】」』》〉〕"
# A sentence ends after a newline, after those stops, or after . ! ? … and white space; closing quotes and brackets and
# marks of footnotes belong to it. A single character class at the front lets the search skip everything else quickly,
# and only the first of a run of stops is tried, so that the search is linear in the text.
_BOUND = re.compile(
    rf"[\n{_ALWAYS}.!?…](?:(?<=\n)\s*"
    rf"|(?<=[{_ALWAYS}])[{_ALWAYS}.!?…]*+[”’»›)\]）］】」』》〉〕]*+(?:[\"'](?=\s|$))?\s*"
    rf"|(?<=[.!?…])(?<![.!?…].)[.!?…]*+(?:[\"'{_CLOSERS}]|\[\d{{1,3}}\])*+(?:\s»(?=\s))?\s+)"
)
_OPENERS = "\"'“‘„‚«»‹›([{¿¡「『（《"
_NOT_FIRST = ",;:"
_DASHES = "—–"  # before "he asked", after what he asked
_MAX_WORD = 40  # number of characters searched backwards for the word before a full stop
_MAX_FOLLOWING = 24  # number of characters looked at after it
_MAX_CHAIN_WORD = 3
_MAX_ITEM = 12  # number of characters before the full stop after the number of a list's item

_CAMEL_CASE = re.compile(r"[a-z]{1,3}[A-Z]")  # "iPhone", "eBay", "macOS"
_ITEM = re.compile(r"\s*[(\[]?(?:\d{1,3}(?:\.\d{1,3})*|[ivx]{1,4}|[a-z])")  # "1.", "2.3.", "iv." before a list's item
_ELLIPSIS_IN_BRACKETS = re.compile(r"(?:…|\.\.).*[)\]]")
_DOTTED = re.compile(r"[^\W\d_]{1,3}(?:\.-?[^\W\d_]{1,3})+")  # "U.S", "Ph.D", "J.-C"
_NUMBER = re.compile(r"[#§(]?\d|[IVXLC]{2,}\b")
_LABEL = re.compile(r"[B-HJ-Z]\b")  # "A" and "I" are words too
_FRACTION = re.compile(r"\d+[.,]\d+")
_DEGREES = re.compile(r"\d{1,3}")
_DAY = re.compile(r"\d{1,2}\.")  # of "3. 10. 1990"
_MONTH_AND_YEAR = re.compile(r"\d{1,2}\. \d{2,4}\b")
_LETTER_OR_ERA = re.compile(r"[^\W\d_]\.|Chr\.")
# A date with which a sentence begins is not all of it: "In 300 B.C. Rome was small."
_OPENING_DATE = re.compile(
    r"(?:In|By|Around|About|Since|Until|From|After|Before)(?: (?:about|around|circa|c\.|ca\.|the|year|and|or|to))*"
    r"(?: [\d,–-]+(?: (?:and|or|to))?){1,3}"
)
_AFTER_ORDINAL = re.compile(rf"(?:{known.AFTER_ORDINALS})\b")
_AFTER_HOUR = re.compile(rf"(?:{known.AFTER_HOURS})\b")
_STARTER = re.compile(
    rf"(?:{'|'.join(sorted(known.SENTENCE_STARTERS))})(?![\w-])"
    rf"|(?:{'|'.join(sorted(known.STARTERS_BEFORE_LOWER_CASE))})(?: [^\W_A-ZÀ-ÖØ-ÞА-Я]|['’])|[LDC]['’][^\W\d_]"
)
_JAPANESE_PARTICLE = re.compile(r"[とっはがをにのもでや]")  # goes on after a quotation: 「…。」と言った
# Who says what stands in quotes before it: “……？”她问。
_SPEAKER = re.compile(
    r"[^\W\d_]{0,8}(?:[说說问問答喊叫嚷]道?|笑道|(?:言|聞|尋ね|答え|叫ん|つぶやい)(?:った|いた|た|だ|う))[。，：、！]"
)
_ABBREVIATIONS = known.NEVER_LAST | known.RARELY_LAST | known.BEFORE_NUMBERS


def sentence_bounds(text: str) -> list[tuple[int, int]]:
    """Half-open character ranges of the sentences of `text`, in order, covering it without gaps.

    A newline always ends a sentence; ";", abbreviations, initials, ordinals and decimals never do. White space belongs
    to the sentence before it. Empty text has no sentences.
    """
    bounds: list[tuple[int, int]] = []
    start = 0
    for match in _BOUND.finditer(text):
        stop, end = match.span()
        if end < len(text) and (_is_plain(text, start, stop, end) or _ends_sentence(text, start, match)):
            bounds.append((start, end))
            start = end
    if start < len(text):
        bounds.append((start, len(text)))
    return bounds


def _is_plain(text: str, start: int, stop: int, end: int) -> bool:
    """A fast test for the most common end: a word that is no abbreviation, ". ", then no lower case."""
    following = text[end]
    is_simple = end - stop == 2 and text[stop] == "." and stop - start > _MAX_ITEM
    if not is_simple or following.islower() or following in _OPENERS + _NOT_FIRST + _DASHES:
        return False
    first = text.rfind(" ", max(start, stop - _MAX_WORD), stop) + 1 or max(start, stop - _MAX_WORD)
    word = text[first:stop]
    if len(word) <= _MAX_CHAIN_WORD and (len(word) < 2 or text[first - 2] == "." or not word.isalpha()):
        return False
    return word.isascii() and word.isalnum() and word not in _ABBREVIATIONS and not word.endswith("str")


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    mark, (stop, end) = match.group(), match.span()
    if "\n" in mark:
        return True
    if mark[0] in _ALWAYS:
        goes_on = mark[-1] in "」』）" and _JAPANESE_PARTICLE.match(text, end)
        return not goes_on and not (mark[-1] in "”」』" and _SPEAKER.match(text, end))
    following = text[end : end + _MAX_FOLLOWING].lstrip(f"{_OPENERS}{_DASHES} ")
    if (following[:1].islower() and not _CAMEL_CASE.match(following)) or following[:1] in _NOT_FIRST:
        return False
    is_mark_alone = mark[0] in "!?" and text[stop - 1 : stop].isspace() and _is_uncased(following)
    if is_mark_alone or (_ELLIPSIS_IN_BRACKETS.match(mark) and not _STARTER.match(following)):
        return False  # French puts a space before "?", but elsewhere it stands for itself
    if mark[0] != "." or mark.startswith(".."):
        return True
    if stop - start <= _MAX_ITEM and _ITEM.fullmatch(text, start, stop):
        return False
    before = text[max(start, stop - _MAX_WORD) : stop]
    return before[-1:].isspace() or _ends_after(before.split(), following)


def _ends_after(words: list[str], following: str) -> bool:
    """Whether a full stop after `words` ends the sentence, when something not in lower case follows."""
    if not words:
        return True
    word, previous = words[-1].lstrip(_OPENERS), words[-2] if len(words) > 1 else ""
    if word.isdecimal():
        return not _is_ordinal(word, previous, following)
    chain = _chain(words, word)
    tail = re.split("[-–—/'’]", word)[-1]  # of "mid-Jan", "then-U.S" or "l'avv"
    names = {chain, tail}
    if len(words) == 1 or words[-1].startswith("("):  # a capital because it comes first: "Approx. 50 people"
        names.add(word[:1].lower() + word[1:])
    is_before_number = not names.isdisjoint(known.BEFORE_NUMBERS) or (word.endswith("str") and word[0].isupper())
    is_chain = len(word) == 1 and not word.isupper() and _LETTER_OR_ERA.match(following)  # the first two of "z. B."
    if is_chain or not names.isdisjoint(known.NEVER_LAST) or (is_before_number and _is_numbered(word, following)):
        return False
    has_number = previous[-1:].isdigit() or previous.endswith(".")  # "300 B.C", "av. J.-C", unlike "the B.C. Liberals"
    is_dated = has_number and (word in known.ERAS or chain in known.HOURS)
    if is_dated or (chain in known.ERAS and not word.isupper()):
        is_opening = word in known.ERAS and _OPENING_DATE.fullmatch(" ".join(words[:-1])) is not None
        return following[:1].isalpha() and not _AFTER_HOUR.match(following) and not is_opening
    is_rarely_last = not names.isdisjoint(known.RARELY_LAST)
    if word.isascii() and _is_uncased(following):
        return True
    is_dotted = _DOTTED.fullmatch(chain if len(word) == 1 else word) or _DOTTED.fullmatch(tail)
    if is_rarely_last or is_dotted or _is_initial(words, word):
        return _STARTER.match(following) is not None
    return True


def _is_numbered(word: str, following: str) -> bool:
    """Whether a number, or a letter in its place, follows: "fig. 2", "App. B"."""
    return bool(_NUMBER.match(following) or (word[:1].isupper() and _LABEL.match(following)))


def _is_uncased(following: str) -> bool:
    """Whether it begins with a letter of a script without capital letters, such as Arabic or Chinese."""
    return following[:1].isalpha() and following[0].lower() == following[0].upper()


def _chain(words: list[str], word: str) -> str:
    """`word` with the letters and full stops before it, if it is short: "z.B" for "z. B"."""
    if len(word) <= _MAX_CHAIN_WORD:
        for before in reversed(words[:-1]):
            letter = before.lstrip(_OPENERS)
            if len(letter) != 2 or letter[1] != "." or not letter[0].isalpha():
                break
            word = letter + word
    return word


def _is_ordinal(word: str, previous: str, following: str) -> bool:
    """Whether a number and a full stop are an ordinal or the day of a date: "am 3. Oktober", "3. 10. 1990"."""
    if len(word) > 2:
        return False
    is_date = _MONTH_AND_YEAR.match(following) or (_DAY.fullmatch(previous) and following[:1].isdigit())
    if is_date or _AFTER_ORDINAL.match(following):
        return True
    return previous.lstrip(_OPENERS).casefold() in known.BEFORE_ORDINALS and not _STARTER.match(following)


def _is_initial(words: list[str], word: str) -> bool:
    """Whether a single letter stands for a name, unlike those of "vitamin C", "77 03 W", "5 m" and "273.15 K"."""
    if len(word) != 1 or not word.isalpha():
        return False
    before, previous = ["", "", *words][-3:-1]
    if previous[-1:] in ("°", "′", "″") or previous.casefold() in known.BEFORE_LABELS:
        return False
    if not word.isupper():
        return not previous[-1:].isdigit()
    is_fraction = _FRACTION.fullmatch(previous) is not None
    return not is_fraction and not (_DEGREES.fullmatch(before) and _DEGREES.fullmatch(previous))  # "at 303 W. Main St."
