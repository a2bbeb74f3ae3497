from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrealm.corpus.sources.formulas import plain


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        ("E = mc^2", "E = mc²"),
        (r"x_1^{10}", "x1¹⁰"),
        (r"\frac{a+1}{2} \leq \alpha", "(a+1)/2 ≤ α"),
        (r"\frac{1}{\sqrt{2}}", "1/√2"),
        (r"\{x \in \mathbb{R}\}", "{x ∈ ℝ}"),
        (r"2^{n}, a^{k+1}, \sin\theta", "2ⁿ, a^(k+1), sin θ"),
        (r"\displaystyle\text{speed} = 3\,\mathrm{km}", "speed = 3 km"),
        (r"\begin{matrix} a & b \end{matrix}", None),
        (r"\unknown{a}", None),
        ("", None),
        ("x" * 1000, None),
    ],
)
def test_simple_formulas_are_text(tex: str, text: str | None) -> None:
    assert plain(tex) == text


@given(st.text("\\frac{}^_12 alphx&~", max_size=60))
def test_any_formula_is_text_without_markup_or_none(tex: str) -> None:
    shown = plain(tex)
    assert shown is None or not set(shown) & set("\\&~")
