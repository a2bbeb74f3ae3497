"""Simple formulas of TeX as plain text; what is not simple is not shown."""

from __future__ import annotations

import re

from openrealm.corpus.superscripts import superscript

_LETTERS = """
alpha α|beta β|gamma γ|delta δ|epsilon ε|varepsilon ε|zeta ζ|eta η|theta θ|vartheta θ|iota ι|kappa κ|lambda λ|mu μ|nu ν
xi ξ|pi π|rho ρ|sigma σ|tau τ|upsilon υ|phi φ|varphi φ|chi χ|psi ψ|omega ω|Gamma Γ|Delta Δ|Theta Θ|Lambda Λ|Xi Ξ|Pi Π
Sigma Σ|Phi Φ|Psi Ψ|Omega Ω|times ×|cdot ·|pm ±|mp ∓|leq ≤|le ≤|geq ≥|ge ≥|neq ≠|ne ≠|approx ≈|equiv ≡|sim ∼|to →
rightarrow →|Rightarrow ⇒|leftarrow ←|mapsto ↦|infty ∞|in ∈|notin ∉|subset ⊂|subseteq ⊆|cup ∪|cap ∩|emptyset ∅|forall ∀
exists ∃|neg ¬|lnot ¬|land ∧|wedge ∧|lor ∨|vee ∨|partial ∂|nabla ∇|ldots …|dots …|cdots ⋯|circ ∘|ast ∗|star ⋆
hbar ℏ|ell ℓ|sum ∑|prod ∏|int ∫|angle ∠|degree °|prime ′|perp ⊥|parallel ∥|propto ∝|aleph ℵ|div ÷|oplus ⊕|otimes ⊗
langle ⟨|rangle ⟩|sin sin|cos cos|tan tan|log log|ln ln|exp exp|lim lim|max max|min min|det det|dim dim|gcd gcd
"""
_SYMBOLS = dict(entry.split() for entry in re.split(r"[|\n]", _LETTERS.strip()))
_SET_ALPHABETS = str.maketrans("NZQRCP", "ℕℤℚℝℂℙ")
_SPACING = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|left|right|limits|nolimits|quad|qquad|[,;:!> ])(?![a-zA-Z])"
)
_WORDS = re.compile(r"\\(?:text|mathrm|mathit|mathbf|mathsf|textrm|textit|textbf|operatorname|mbox)\s*\{([^{}]*)\}")
_BLACKBOARD = re.compile(r"\\mathbb\s*(?:\{([A-Z])\}|([A-Z]))")
_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{([^{}]*)\}\s*\{([^{}]*)\}|(\d)\s*(\d))")
_ROOT = re.compile(r"\\sqrt\s*\{([^{}]*)\}")
_RAISED = re.compile(r"\^\s*(?:\{([^{}]*)\}|([\w+*′]))")
_LOWERED = re.compile(r"_\s*(?:\{([^{}]*)\}|(\w))")
_BRACE = re.compile(r"\\([{}])")
_SYMBOL = re.compile(r"\\([a-zA-Z]+) ?")
_MAX_CHARACTERS = 300
_MAX_NESTED = 4


def plain(tex: str) -> str | None:
    """A formula as text, None if it has parts that plain text cannot show.

    >>> plain(r"E = mc^2"), plain(r"\\frac{\\alpha}{2} \\leq x_1"), plain(r"\\begin{matrix}a\\end{matrix}")
    ('E = mc²', 'α/2 ≤ x1', None)
    """
    if len(tex) > _MAX_CHARACTERS:
        return None
    text = _BLACKBOARD.sub(lambda m: (m[1] or m[2]).translate(_SET_ALPHABETS), _SPACING.sub(" ", tex))
    text = _SYMBOL.sub(_symbol, text)
    for _ in range(_MAX_NESTED):  # from the inside out
        text = _WORDS.sub(r"\1", text)
        text = _LOWERED.sub(lambda m: m[1] or m[2] or "", text)
        text = _RAISED.sub(_raised, text)
        text = _ROOT.sub(lambda m: f"√{_grouped(m[1])}", text)
        text = _FRACTION.sub(lambda m: f"{_grouped(m[1] or m[3])}/{_grouped(m[2] or m[4])}", text)
    text = re.sub(r"(?<!\\)\{([^{}\\]*)\}", r"\1", text)
    is_simple = text.strip() and not re.search(r"[\\{}_~&]", _BRACE.sub("", text))
    return " ".join(_BRACE.sub(r"\1", text).split()) if is_simple else None


def _symbol(match: re.Match[str]) -> str:
    shown = _SYMBOLS.get(match[1], match[0])
    return f"{shown} " if shown != match[0] and (shown.isascii() or match[0].endswith(" ")) else shown


def _raised(match: re.Match[str]) -> str:
    power = (match[1] or match[2] or "").strip()
    shown = superscript(power)
    return shown if shown != power else f"^{_grouped(power)}"


def _grouped(text: str) -> str:
    text = text.strip()
    return text if re.fullmatch(r"[\w.√]+", text) else f"({text})"
