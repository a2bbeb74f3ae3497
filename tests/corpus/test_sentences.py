from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus import sentences as module
from openrealm.corpus.sentences import sentence_bounds


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_bounds(text)]


@given(st.text(max_size=120) | st.text(alphabet="aB1.!?;,\"') \nDr。…", max_size=120))
def test_slices_put_end_to_end_are_the_text(text: str) -> None:
    bounds = sentence_bounds(text)
    assert "".join(text[start:end] for start, end in bounds) == text
    assert all(start < end for start, end in bounds)
    assert all(before[1] == after[0] for before, after in pairwise(bounds))


@given(
    st.lists(st.text(alphabet="aB1., ", min_size=1, max_size=20).map(lambda line: f"x{line}"), min_size=1, max_size=6)
)
def test_a_newline_always_ends_a_sentence(lines: list[str]) -> None:
    starts = {start for start, _ in sentence_bounds("\n".join(lines))}
    position = 0
    for line in lines:
        assert position in starts
        position += len(line) + 1


_WORDS = "Lima a etc st ſt u.s No I 5 ... peru's B. x\u0301 (so éa approx ﬁn"
words = st.sampled_from([*_WORDS.split(" "), '"so so."'])


@given(st.lists(words | st.sampled_from([". ", ".", ", ", "\n", ".) ", " "]), max_size=12).map("".join))
def test_the_quick_look_finds_what_the_whole_rule_finds(text: str) -> None:
    quick = sentence_bounds(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_is_plain", lambda *_: False)
        assert quick == sentence_bounds(text)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Lima is big. It is old.", ["Lima is big. ", "It is old."]),
        ("Really? Yes! Good.", ["Really? ", "Yes! ", "Good."]),
        ('He said "no." Then he left.', ['He said "no." ', "Then he left."]),
        ("One; two. Three", ["One; two. ", "Three"]),
        ("It is 3.14 km. Next", ["It is 3.14 km. ", "Next"]),
        ("Dr. Smith met Mr. J. K. Rowling. He left.", ["Dr. Smith met Mr. J. K. Rowling. ", "He left."]),
        ("In the U.S. in 1999. Later", ["In the U.S. in 1999. ", "Later"]),
        ("Apples, pears etc. are fruit. Yes", ["Apples, pears etc. are fruit. ", "Yes"]),
        ("Apples, pears etc. Yes", ["Apples, pears etc. ", "Yes"]),
        ("At 12 03 S, 77 03 W. Time: UTC-5.", ["At 12 03 S, 77 03 W. ", "Time: UTC-5."]),
        ("See No. 5 here. No. Yes.", ["See No. 5 here. ", "No. ", "Yes."]),
        ("Grown (2023 est.). Industry", ["Grown (2023 est.). ", "Industry"]),
        ("Wait... what? Oh", ["Wait... what? ", "Oh"]),
        ("東京は首都です。大阪は違う。", ["東京は首都です。", "大阪は違う。"]),
        ("Title\nBody text\n\nMore", ["Title\n", "Body text\n\n", "More"]),
        ("", []),
    ],
)
def test_splitting_by_example(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # after an abbreviation only a word that often begins a sentence ends it
        ("He was elected to the U.S. ", "Senate in 1950."),
        ("He was elected to the U.S.| ", "The Senate met."),
        ("It was led by then-U.S. ", "Secretary Berg."),
        ("It dates from c. ", "1860 or later."),
        ("It dates from the 2nd c. ", "BCE or later."),
        ("Found by Brig. ", "Gen. Holt."),
        ("Found by Brig. Gen. ", "Holt."),
        ("He met Lt. Col. ", "Smith there."),
        ("Martin Luther King Jr. ", "Day is in January."),
        ("He was named after King Jr.| ", "He died."),
        ("She works for Example Inc. ", "Partners in Ohio."),
        ("She met Sen. Holt and Gov. ", "Berg."),
        ("Play Op. ", "27 again."),
        ("At 5 p.m.| ", "Later it rained."),
        ("At 5 p.m. ", "Eastern time."),
        ("In 300 B.C. ", "Rome was small."),
        ("By about 44 B.C. ", "Caesar was dead."),
        ("It fell in 300 B.C.| ", "Rome was small."),
        ("He came in 44 B.C.| ", "Caesar was dead."),
        ("In 300 B.C. ", "– long ago."),
        # single letters
        ("It was by J. R. R. ", "Tolkien."),
        ("He served in World War I.| ", "After that he left."),
        ("He served in World War I.| ", "Germany lost it."),
        ("It is rich in vitamin C.| ", "Oranges have more."),
        ("See Appendix A.| ", "Tables follow."),
        ("In 1997 R. ", "Rummel wrote it."),
        ("It melts at 273.15 K.| ", "Water does."),
        ("It stands at 303 W. ", "Main Street."),
        ("It is 30° N.| ", "Egypt is near."),
        ("It ends at 5 m.| ", "Nothing follows."),
        ("He led the B.C. ", "Liberals."),
        # lower case, lists, numbers
        ("It was new.| ", "iPhone users liked it."),
        ("It was new.| ", "“eBay” sold it."),
        ("1. ", "Open the file."),
        ("2.3. ", "Open the file."),
        ("It needs Python 3.12.| ", "It is free."),
        ("See main.py.| ", "It is short."),
        ("See https://example.org/a.html.| ", "It is short."),
        ("He left (at last.)| ", "Then it rained."),
        ("It is so.[12]| ", "Others differ."),
        ("Apples, etc. ", ", were sold."),
        # other languages
        ("Am 3. ", "Oktober 1990 begann es."),
        ("Am 3. 10. ", "1990 begann es."),
        ("So begann die 1. ", "Bundesliga."),
        ("In Gruppe 3.| ", "Danach folgte es."),
        ("In der Hauptstr. ", "12 wohnt er."),
        ("Viele Orte, z. B. ", "Hameln, sind alt."),
        ("Das heißt, d. h. ", "Sie gehen."),
        ("Äpfel, Birnen usw.| ", "Danach kam er."),
        ("Er sagte: „Nein.“| ", "Dann ging er."),
        ("En 44 av. J.-C.| ", "César mourut."),
        ("Elle a vu M. ", "Le Pen et Mme Roy."),
        ("Il dit : « Non. »| ", "Puis il partit."),
        ("Vive en EE. UU. ", "García lo sabe."),
        ("Vive en EE. UU.| ", "También lo sabe."),
        ("Lo dijo el Sr. ", "Ruiz."),
        ("¿Quién es?| ", "¡Nadie!"),
        ("गंगा नदी है।| ", "यह निकलती है।"),
        ('उसने कहा, "गंगा नदी है।"| ', "यह निकलती है।"),
        ("درس في القاهرة؟| ", "نعم، درس هناك."),
        ("قابلت د. ", "أحمد هناك."),
        ("他说：“这座城市很美。”|", "张伟笑了。"),
        ("彼は「美しい。」", "と言った。"),
        ("彼は「美しい。」|", "彼女は笑った。"),
        ("یہ شہر ہے۔| ", "وہ گیا۔"),
        # capitals at the start of a sentence, letters for numbers, elisions
        ("Approx. ", "50 people came."),
        ("Much is lost (cf. ", "Holt 1990)."),
        ("Much is lost (Cf. ", "Holt 1990)."),
        ("Proofs are in App. ", "B and Sect. C."),
        ("He was 6 ft. ", "2 in. tall."),
        ("The answer is C.| ", "Next question."),
        ("See tabs. ", "5 and secs. 7."),
        ("And so was I.| ", "Nobody else came."),
        ("È arrivato l'avv. ", "Rossi."),
        ("Es waren 5 Mio. ", "Euro."),
        ("Es waren 5 Mio.| ", "Danach stieg die Zahl."),
        ("Dort lehrte Prof. em. Dr. phil. habil. ", "Otto."),
        ("См. рис. ", "5 и стр. 12."),
        ("Mieszka przy ul. ", "Długiej 5."),
        # who spoke belongs to what was said
        ("«Где ты?» ", "— спросила она."),
        ("—¿Vienes? ", "—preguntó."),
        ("“真的吗？”", "他问。"),
        ("「本当？」", "彼は聞いた。"),
        ("“真的吗？”|", "他知道。"),
    ],
)
def test_one_place_in_many_languages(before: str, after: str) -> None:
    """A sentence ends at "|", and nowhere where there is none."""
    first = before.replace("|", "")
    expected = [first, after] if "|" in before else [first + after]
    assert split(first + after) == expected


@pytest.mark.parametrize(
    "text", [".", "?", "…", "!?", ".)", ". ", "a.", "Ab. ", "\n", "。", "。」", '."', "A. ", "1. "]
)
def test_time_is_linear_in_the_text(text: str) -> None:
    """Eight times the text takes nowhere near 64 times the time."""

    def seconds(num: int) -> float:
        start = time.process_time()
        bounds = sentence_bounds(f"{text * num}x")
        assert bounds[-1][1] == num * len(text) + 1
        return time.process_time() - start

    short = min(seconds(25_000) for _ in range(3))
    assert seconds(200_000) < 30 * short + 0.2
