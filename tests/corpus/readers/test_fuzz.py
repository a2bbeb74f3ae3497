"""Every reader on odd files: none raises anything but the project's errors, and none loses a word of plain text.

`make test-slow` goes on for 10 minutes; OPENREALM_FUZZ_SECONDS sets another time.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from openrealm.corpus.readers import reader_of
from openrealm.errors import OpenRealmError

# Paragraphs that a reader of the document sees, by extension, with "{}" for their words.
PLAIN = {
    ".txt": ["{}\n\n"],
    ".md": [
        "{}\n\n", "- {}\n\n", "1950. {}\n\n", "# {}\n\n", "> {}\n\n", "**{}**\n\n", "```\n{}\n```\n\n", "[^1]: {}\n\n",
        "[{}](x.md)\n\n", "| {} |\n|---|\n\n", ":::note\n{}\n:::\n\n", "!!! tip\n    {}\n\n",
        "/// note | {}\n\nx\n///\n\n",
    ],
    ".html": [
        "<p>{}</p>", "<div>{} ", "<li>{}</li>", "<b>{}</b><br>", "<table><tr><td>{}<td>x</table>", "<h2>{}</h2>",
        "<pre>{}</pre>", "<x-y>{}</x-y><p>", "<p><ruby>{}<rt>x</ruby><hr>",
    ],
    ".rst": [
        "{}\n\n", "- {}\n\n", "*{}*\n\n", ".. note:: {}\n\n", ".. unheard-of:: {}\n\n", "::\n\n  {}\n\n", "| {}\n\n",
        ":ref:`{}`\n\n",
    ],
}  # fmt: skip
# "␣" is a space within a mark.
MARKS = """
< > & &amp; &# &#x; <!-- --> <![ <![CDATA[ ]]> <? ?> <!doctype <p <p> </p> <b> <a␣href=" <table> <td> </table> <script>
</script> <title> <pre> <textarea> <select> <svg> <Listing␣a=" </div> <br/> * ** _ __ ~~ ` `` ``` ~~~ [ ] [^1] [^ ]: ](
![ [[ ]] ( ) { } {{ }} {% %} {* {# {.x} {a}` ::: :::{a} :::x /// ///␣note !!! !!!␣note ??? === --- +++ ... | |- |-|- >
- + 1. 1) # ## : :a: .. ..␣a:: ..␣[1] `_ |x| __ :a:` $ $$ \\ / ' " = == % @ ^ \u200b \ufeff \u2028 漢 字 é
ا \ud800 --8<-- import␣a␣from␣'b' [TOC] (a)= title:␣x
"""


def soup(chance: random.Random) -> str:
    """Marks, words and white space in any order."""
    marks = [mark.replace("␣", " ") for mark in MARKS.split()]
    pieces = chance.choices([*marks, "word", "Lima", "1950", "a"], k=chance.randint(1, 60))
    return "".join(piece + chance.choice(["", "", " ", "\n", "\n\n", "\n    ", "  \n"]) for piece in pieces)


def write(path: Path, text: str, chance: random.Random) -> None:
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(chance.choice([0, 0, 0, 1, 5])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data)


def read_soup(path: Path, chance: random.Random) -> None:
    """Read one odd file."""
    write(path, soup(chance), chance)
    try:
        article = reader_of(path.suffix)(path).article("a", "name")
    except OpenRealmError:
        return
    assert [line.start for line in article.lines] == sorted({line.start for line in article.lines})
    assert all(line.position <= path.stat().st_size for line in article.lines)


def read_plain(path: Path, chance: random.Random) -> None:
    """Read one file of paragraphs, and look for every word."""
    expected: list[str] = []
    text = ""
    for shape in chance.choices(PLAIN[path.suffix], k=chance.randint(1, 8)):
        words = [f"q{number}{chance.choice('aéx')}" for number in chance.choices(range(10**6), k=chance.randint(1, 30))]
        text += shape.replace("{}", " ".join(words))
        expected += words
    path.write_text(text, encoding="utf-8")
    article = reader_of(path.suffix)(path).article("a", "name")
    found = [word for word in article.text.replace(",", " ").replace("(", " ").split() if word.startswith("q")]
    assert found == expected, text


@pytest.mark.parametrize("extension", PLAIN)
def test_odd_files_are_read_or_refused(extension: str, tmp_path: Path) -> None:
    for seed in range(60):
        chance = random.Random(seed)
        read_soup(tmp_path / f"{seed}{extension}", chance)
        read_plain(tmp_path / f"{seed}{extension}", chance)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_odd_files_are_read_or_refused_for_ten_minutes(tmp_path: Path) -> None:
    end = time.monotonic() + float(os.environ.get("OPENREALM_FUZZ_SECONDS", "600"))
    seed = random.SystemRandom().randrange(10**9)
    while time.monotonic() < end:
        for extension in PLAIN:
            path = tmp_path / f"{seed}{extension}"  # the seed is named when a test fails
            read_soup(path, random.Random(seed))
            read_plain(path, random.Random(seed))
            path.unlink()
        seed += 1


@pytest.mark.parametrize("extension", [".md", ".html", ".txt"])
@pytest.mark.parametrize(
    "mark",
    ["<", "<!--", "<![", "<div>", "<b>", "<p>", "&", "[", "![", "[[a", "*a ", "_a ", "`a", "(", "{{", "{a}`", ":::a\n",
     "!!! a\n", "> ", "- ", "a|b\n-|-\n", "[^1]: a\n", ".", "?", "…", "$a", "<title>", "a\n: b\n", "$$a\n\n"],
)  # fmt: skip
def test_time_grows_with_the_length(extension: str, mark: str, tmp_path: Path) -> None:
    def seconds(num_characters: int) -> float:
        path = tmp_path / f"{num_characters}{extension}"
        path.write_text(mark * (num_characters // len(mark)))
        start = time.process_time()
        reader_of(extension)(path)
        return time.process_time() - start

    seconds(100)
    # Quadratic time would be 64 times as long.
    assert seconds(16_000) < 24 * seconds(2_000) + 1
