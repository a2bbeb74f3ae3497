"""Files of questions: both formats are read, and what is wrong with a file is said in one sentence."""

from __future__ import annotations

import contextlib
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.errors import BadConfig, BadInput
from openrealm.qa.questions import Asked, counts_of, interleave, paragraphs, read_asked, split

ROW = {"question": "Who  bakes?", "answer": ["Ada", "Ada", " "], "title": "Mill", "passage": "Ada bakes\nbread."}


def squad(*questions: dict[str, Any], title: str = "Old_mill") -> dict[str, Any]:
    return {"data": [{"title": title, "paragraphs": [{"context": "Ada  bakes bread.", "qas": list(questions)}]}]}


def read(folder: Path, name: str, value: Any) -> list[Asked]:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return list(read_asked(path))


def test_rows_are_read_with_single_spaces_and_distinct_answers(tmp_path: Path) -> None:
    lines = [json.dumps(ROW), "", json.dumps(ROW | {"answer": "bread", "title": ""})]
    assert read(tmp_path, "rows.jsonl", "\n".join(lines)) == [
        Asked("Who bakes?", ("Ada",), "Mill", "Ada bakes bread."),
        Asked("Who bakes?", ("bread",), "", "Ada bakes bread."),
    ]


def test_both_kinds_of_answers_of_squad_are_read(tmp_path: Path) -> None:
    asked = [
        {"question": "Who bakes?", "answers": ["Ada", "Ada"]},
        {"question": "What does she bake?", "answers": [{"text": "bread", "answer_start": 10}]},
        {"question": "Who sings?", "answers": [], "is_impossible": True},
    ]
    assert read(tmp_path, "squad.json", squad(*asked)) == [
        Asked("Who bakes?", ("Ada",), "Old mill", "Ada bakes bread."),
        Asked("What does she bake?", ("bread",), "Old mill", "Ada bakes bread."),
    ]


@pytest.mark.parametrize("ending", [".xz", ".gz"])
def test_compressed_files_are_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.jsonl{ending}"
    data = json.dumps(ROW).encode()
    path.write_bytes(lzma.compress(data) if ending == ".xz" else gzip.compress(data))
    assert len(list(read_asked(path))) == 1
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadInput, match=rf"rows\.jsonl{ending} is damaged or truncated"):
        list(read_asked(path))
    path.write_bytes(b"\0" * 20)
    with pytest.raises(BadInput, match=f"it does not begin like a {ending} file"):
        list(read_asked(path))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("{", r"rows\.jsonl:2 is not JSON \("),
        ("[1]", r"rows\.jsonl:2 is a list, but an object is needed; expected a line such as"),
        ({"question": None}, r'rows\.jsonl:2, "question" is null, but a text is needed'),
        ({"question": " "}, r'rows\.jsonl:2, "question" is empty'),
        ({"question": "\ud800"}, r'rows\.jsonl:2, "question" has half of a surrogate pair'),
        ({"passage": ""}, r'rows\.jsonl:2, "passage" is empty'),
        ({"title": 3}, r'rows\.jsonl:2, "title" is a number, but a text is needed'),
        ({"answer": []}, r'rows\.jsonl:2, "answer" is empty; give at least one, or remove the question'),
        ({"answer": ["Ada", 3]}, r'rows\.jsonl:2, "answer" 2 is a number, but a text is needed'),
        ({"answer": {"text": "Ada"}}, r'rows\.jsonl:2, "answer" is an object, but a list is needed'),
    ],
)
def test_an_error_in_a_row_names_line_and_key(tmp_path: Path, change: Any, reason: str) -> None:
    line = change if isinstance(change, str) else json.dumps(ROW | change)
    with pytest.raises(BadInput, match=reason):
        read(tmp_path, "rows.jsonl", f"{json.dumps(ROW)}\n{line}\n")


@pytest.mark.parametrize("key", list(ROW))
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(BadInput, match=rf'rows\.jsonl:1 has no "{key}"; expected a line such as'):
        read(tmp_path, "rows.jsonl", {name: value for name, value in ROW.items() if name != key})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("{", r"squad\.json is not JSON \("),
        ([], r"squad\.json is a list, but an object is needed; expected the JSON of SQuAD"),
        ({"version": "1.1"}, r'squad\.json has no "data"; expected the JSON of SQuAD'),
        ({"data": []}, r"squad\.json holds no questions"),
        ({"data": [{"title": "Mill"}]}, r'squad\.json, "data" 1 has no "paragraphs"'),
        (squad(title=3), r'squad\.json, "data" 1, "title" is a number, but a text is needed'),  # type: ignore[arg-type]
        (squad({"answers": ["Ada"]}), r'"data" 1, "paragraphs" 1, "qas" 1 has no "question"'),
        (squad({"question": "Who?", "answers": []}), r'"qas" 1, "answers" is empty; give at least one'),
        (squad({"question": "Who?", "answers": [{"start": 1}]}), r'"qas" 1, "answers" 1 has no "text"'),
        (squad({"question": "Who?", "answers": "Ada"}), r'"qas" 1, "answers" is a text, but a list is needed'),
    ],
)
def test_an_error_in_squad_names_the_key(tmp_path: Path, value: Any, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        read(tmp_path, "squad.json", value)


def test_a_file_that_is_none_or_of_no_known_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a file; give a"):
        list(read_asked(tmp_path))
    with pytest.raises(BadInput, match=r"rows\.txt ends neither in \.jsonl nor in \.json"):
        read(tmp_path, "rows.txt", ROW)
    with pytest.raises(BadInput, match=r"rows\.jsonl holds no questions; expected a line such as"):
        read(tmp_path, "rows.jsonl", "\n\n")
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "\xe9"}')
    with pytest.raises(BadInput, match=r"latin\.jsonl:1 is not UTF-8 \(byte 14\)"):
        list(read_asked(tmp_path / "latin.jsonl"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "title", "paragraphs", "context", "qas", "question", "answers", "text", "answer"]),
            inner,
            max_size=4,
        )
    ),
)


@given(value=VALUES, name=st.sampled_from(["any.json", "any.jsonl"]))
def test_any_json_is_read_or_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, value: Any, name: str
) -> None:
    with contextlib.suppress(BadInput):
        for one in read(tmp_path_factory.getbasetemp(), name, value):
            assert one.text.strip()


@given(data=st.binary(max_size=60), name=st.sampled_from(["any.json", "any.jsonl.xz"]))
def test_any_bytes_are_read_or_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    with contextlib.suppress(BadInput):
        assert list(read_asked(path))


def test_a_paragraph_is_one_article_however_often_it_is_asked_about() -> None:
    asked = [Asked(text, (), title, "Ada bakes.") for text, title in (("a", "M"), ("b", "N"), ("c", "M"))]
    found = paragraphs(asked)
    assert [article.title for article in found] == ["M", "N"]
    assert [one.article_id for one in asked] == [found[0].id, found[1].id, found[0].id]


def test_titles_are_held_out_as_wholes_and_questions_without_one_by_paragraph(toy_asked: list[Asked]) -> None:
    train, heldout = split(toy_asked, 4)
    assert [*train, *heldout] != toy_asked
    assert sorted([*train, *heldout], key=toy_asked.index) == toy_asked
    assert 4 <= len({one.title for one in heldout}) <= 20
    assert not {one.title for one in train} & {one.title for one in heldout}
    untitled = [Asked(one.text, one.answers, "", one.paragraph) for one in toy_asked]
    train, heldout = split(untitled, 4)
    assert train
    assert heldout
    assert not {one.paragraph for one in train} & {one.paragraph for one in heldout}


@given(
    sources=st.lists(st.tuples(st.integers(1, 100_000), st.floats(0.1, 9)), min_size=1, max_size=6),
    is_shared=st.booleans(),
    extra=st.integers(0, 40),
)
def test_counts_add_up_and_leave_no_source_out(sources: list[tuple[int, float]], is_shared: bool, extra: int) -> None:
    total = len(sources) + extra
    sizes = [size for size, _ in sources]
    shares = [share for _, share in sources] if is_shared else []
    counts = counts_of(sizes, shares, total)
    assert sum(counts) == total
    assert min(counts) >= 1
    weights = shares or sizes
    exact = [total * weight / sum(weights) for weight in weights]
    if min(exact) >= 1:
        assert all(abs(count - one) < 1 for count, one in zip(counts, exact, strict=True))


def test_shares_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadConfig, match=r"qa\.batch_size is 2, fewer than the 3 sources"):
        counts_of([5, 5, 5], [], 2)
    with pytest.raises(BadConfig, match=r"qa\.shares has 2 numbers for 3 sources"):
        counts_of([5, 5, 5], [1, 2], 9)


def test_a_row_without_a_question_is_a_paragraph(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"title": "Mill", "passage": "A mill."}) + "\n" + json.dumps(ROW) + "\n")
    first, second = read_asked(path)
    assert (first.text, first.answers, first.paragraph) == ("", (), "A mill.")
    assert second.text == "Who bakes?"
    path.write_text(json.dumps({"title": "Mill", "passage": "A mill."}) + "\n")
    with pytest.raises(BadInput, match="holds no questions"):
        list(read_asked(path))


@given(lists=st.lists(st.lists(st.integers()), min_size=1, max_size=4), data=st.data())
def test_interleaving_keeps_every_item_and_the_order_of_each_source(
    lists: list[list[int]], data: st.DataObject
) -> None:
    counts = [data.draw(st.integers(1, 3)) for _ in lists]
    tagged = [[(n, place, value) for place, value in enumerate(items)] for n, items in enumerate(lists)]
    mixed = interleave(tagged, counts)
    for n, items in enumerate(tagged):
        assert [one for one in mixed if one[0] == n] == items
    assert len(mixed) == sum(map(len, lists))
