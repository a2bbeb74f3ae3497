"""The report as one self-contained HTML page: inline styles and charts, no scripts, no external resources.

Everything that comes from the corpus, the questions or the run is escaped; a passage may contain markup.
"""

from __future__ import annotations

import html
import importlib.resources
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openrealm.evaluate.compare import MIN_MEASURED
from openrealm.evaluate.plots import Line, Point, averaged, bar, line_chart, number

Row = Mapping[str, Any]
_NAMES = {"bm25": "BM25", "realm": "REALM"}
_MAX_TRAIN_POINTS = 120
_MAX_EXAMPLES = 10
_MAX_CANDIDATES = 3

# Title, caption, and the curves: name, metric, source of the rows, colour. "train" curves are drawn faintly behind the
# held-out ones; "train+" curves stand on their own; "frozen" is the held-out split of the run with frozen towers.
_CHARTS: tuple[tuple[str, str, tuple[tuple[str, str, str, int], ...]], ...] = (
    (
        "Loss with and without passages",
        "Nats per query. The gap shows how much the retrieved passages help.",
        (
            ("training", "loss", "train", 1),
            ("with passages", "loss", "heldout", 1),
            ("null passage", "null_loss", "heldout", 2),
        ),
    ),
    (
        "Retrieval utility",
        "Log-likelihood gained by reading a retrieved passage, in nats.",
        (
            ("training", "retrieval_utility", "train", 1),
            ("trained towers", "retrieval_utility", "heldout", 1),
            ("frozen towers", "retrieval_utility", "frozen", 2),
        ),
    ),
    (
        "Recall@5 on held-out queries",
        "Share of queries with the masked words in one of the top five passages.",
        (("trained towers", "recall", "heldout", 1), ("frozen towers", "recall", "frozen", 2)),
    ),
    (
        "Probability of the null passage",
        "p(null|x). Close to 1 means that retrieved passages are ignored.",
        (("training", "null_mass", "train", 1), ("held-out", "null_mass", "heldout", 1)),
    ),
    (
        "Distinct passages retrieved",
        "Over all held-out queries. A drop means that retrieval collapses onto a few hubs.",
        (
            ("trained towers", "num_distinct_passages", "heldout", 1),
            ("frozen towers", "num_distinct_passages", "frozen", 2),
        ),
    ),
    (
        "Index staleness",
        "Training steps since the weights that the index was built with.",
        (("steps", "staleness_steps", "train+", 3),),
    ),
    (
        "Gradient norms of the towers",
        "Before clipping. Both should stay above zero.",
        (
            ("query", "query_tower_grad_norm", "train+", 1),
            ("passage", "passage_tower_grad_norm", "train+", 2),
        ),
    ),
    (
        "Throughput",
        "Tokens per second through towers and reader.",
        (("tokens/s", "tokens_per_second", "train+", 3),),
    ),
)


def render(report: Row) -> str:
    """The HTML page for a completed report; sections without data are omitted."""
    style = importlib.resources.files("openrealm.evaluate").joinpath("page.css").read_text(encoding="utf-8")
    name = html.escape(str(report.get("name") or "openrealm"))
    parts = (_ways, _systems, _training, _examples, _relations, _facts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: report</title><style>\n{style}</style></head>\n<body><main>\n"
        f'<header><h1>{name}</h1><p class="headline">{html.escape(headline(report))}</p></header>\n'
        f"{''.join(part(report) for part in parts)}</main></body></html>\n"
    )


def headline(report: Row) -> str:
    """The key figures in a sentence or two, as far as the report has them."""
    best: Row = report.get("best") or {}
    sentences = [str(best[key]) for key in ("verdict", "why") if key in best]
    systems: Mapping[str, Row] = report.get("systems") or {}
    scored = {name: figures for name, figures in systems.items() if figures.get("em") is not None}
    if "realm" in scored:
        asked = f"{report['questions']} test questions" if report.get("questions") else "the test questions"
        interval = _interval(scored["realm"])
        others = ", ".join(f"{_name(name)} {_percent(f['em'])}" for name, f in scored.items() if name != "realm")
        sentences.append(
            f"REALM answers {_percent(scored['realm']['em'])} of {asked} correctly"
            + (f" (95% CI {interval})" if interval else "")
            + (f"; {others}." if others else ".")
        )
    utility: Row = report.get("retrieval_utility") or {}
    if utility.get("first") is not None and utility.get("last") is not None:
        frozen = utility.get("frozen_towers_last")
        baseline = "" if frozen is None else f" (with frozen towers: {frozen:.2f})"
        sentences.append(
            f"Retrieval utility on held-out queries went from {utility['first']:.2f} to {utility['last']:.2f} "
            f"nats{baseline}."
        )
    return " ".join(sentences) or "This run has not produced any figures yet."


def _ways(report: Row) -> str:
    """The tables of the ways of answering, one for each kind of held-out question."""
    measured: Mapping[str, Row] = (report.get("best") or {}).get("measured") or {}
    return "".join(_systems(of, f"Held-out {kind}") for kind, of in measured.items())


def _systems(report: Row, title: str = "Question answering") -> str:
    """The table of systems, with the best figure of each column in bold."""
    systems: Mapping[str, Row] = report.get("systems") or {}
    if not systems:
        return ""
    num_questions = report.get("questions") or 0
    if is_few := 0 < num_questions < MIN_MEASURED:
        systems = {name: {**figures, "em_low": None, "em_high": None} for name, figures in systems.items()}
    columns = [("em", "Exact match, 95% CI"), ("f1", "F1"), ("recall@1", "Recall@1"), ("recall@5", "Recall@5")]
    columns += [
        column
        for column in (("em_seen_wordings", "EM, seen wordings"), ("em_unseen_wordings", "EM, unseen wordings"))
        if any(figures.get(column[0]) is not None for figures in systems.values())
    ]
    best = {key: max((f[key] for f in systems.values() if f.get(key) is not None), default=None) for key, _ in columns}
    rows = []
    for name, figures in systems.items():
        cells = (_cell(figures, key, is_best=figures.get(key) == best[key]) for key, _ in columns)
        rows.append(f"<tr><td>{html.escape(_capitalised(_name(name)))}</td>{''.join(cells)}</tr>")
    head = "".join(f"<th>{title}</th>" for title in ("System", *(title for _, title in columns)))
    table = f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
    lead = f"{num_questions} test questions." if num_questions else ""
    if is_few:
        lead = f"{num_questions} test questions: fewer than {MIN_MEASURED} are too few for a measure."
    if any(_interval(figures) for figures in systems.values()):
        lead += " Error bars are 95% bootstrap confidence intervals (CI)."
    return _section(title, lead.strip(), table + _comparisons(report))


def _comparisons(report: Row) -> str:
    sentences = []
    for entry in report.get("comparisons") or ():
        interval = f"{_signed(100 * entry['low'])} to {_signed(100 * entry['high'])}"
        is_significant = entry["low"] > 0 or entry["high"] < 0
        sentences.append(
            f"{_capitalised(_name(entry['first']))} vs. {_name(entry['second'])}: {_signed(100 * entry['mean'])} "
            f"points of exact match (95% CI {interval}){'.' if is_significant else ', not a significant difference.'}"
        )
    return f'<p class="lead comparisons">{"<br>".join(map(html.escape, sentences))}</p>' if sentences else ""


def _training(report: Row) -> str:
    metrics, frozen = report.get("metrics") or (), report.get("metrics_frozen") or ()
    marks = [float(step) for step in report.get("refresh_steps") or ()]
    figures = []
    for title, caption, curves in _CHARTS:
        lines = [_line(*curve, metrics, frozen) for curve in curves]
        if chart := line_chart(lines, marks=marks):
            legend = _legend([line for line in lines if line.points], has_marks=bool(marks))
            text = f'<figcaption><b>{title}</b><span class="what">{caption}</span>{legend}</figcaption>'
            figures.append(f"<figure>{text}{chart}</figure>")
    if not figures:
        return ""
    num_refreshes = report.get("refreshes") or 0
    times = {0: "not refreshed", 1: "refreshed once"}.get(num_refreshes, f"refreshed {num_refreshes} times")
    num_failed = report.get("failed_refreshes") or 0
    failed = f" {num_failed} {'refresh' if num_failed == 1 else 'refreshes'} failed." if num_failed else ""
    return _section(
        "Pre-training",
        f"The index was {times} during training.{failed}",
        f'<div class="grid2">{"".join(figures)}</div>',
    )


def _line(name: str, metric: str, rows: str, colour: int, metrics: Sequence[Row], frozen: Sequence[Row]) -> Line:
    """The points of one curve of `_CHARTS`."""
    split = "heldout" if rows in ("heldout", "frozen") else "train"
    source = frozen if rows == "frozen" else metrics
    points: list[Point] = [
        (float(row["step"]), float(row[metric]))
        for row in source
        if row.get("split", "train") == split and row.get(metric) is not None and row.get("step") is not None
    ]
    shown = averaged(points, _MAX_TRAIN_POINTS) if split == "train" and metric != "staleness_steps" else tuple(points)
    return Line(name, shown, colour, is_background=rows == "train")


def _legend(lines: Iterable[Line], *, has_marks: bool) -> str:
    """A legend for what has no label at its end: curves in the background, and the marks."""
    keys = [f'<span class="k{line.colour}">{html.escape(line.name)}</span>' for line in lines if line.is_background]
    if has_marks:
        keys.append('<span class="m">index refresh</span>')
    return f'<div class="legend">{"".join(keys)}</div>'


def _examples(report: Row) -> str:
    cards = []
    for example in (report.get("examples") or ())[:_MAX_EXAMPLES]:
        gold = str(example.get("gold") or "")
        query = html.escape(str(example.get("query") or "")).replace("[MASK]", '<span class="mask">[MASK]</span>')
        sides = _side("Before pre-training", example.get("before") or (), gold)
        sides += _side("After pre-training", example.get("after") or (), gold)
        answer = f'<span class="gold">Masked words: <b>{html.escape(gold)}</b></span>'
        cards.append(f'<div class="example"><p>{query}<br>{answer}</p><div class="grid2">{sides}</div></div>')
    if not cards:
        return ""
    lead = (
        "Held-out queries with their most probable candidates: probability p(z|x) and retrieval utility in nats. "
        "The masked words are highlighted wherever a passage contains them."
    )
    return _section("Retrieved passages", lead, "".join(cards))


def _side(label: str, candidates: Sequence[Row], gold: str) -> str:
    passages = "".join(_passage(candidate, gold) for candidate in candidates[:_MAX_CANDIDATES])
    return f'<div class="side"><h4>{label}</h4>{passages}</div>' if passages else ""


def _passage(candidate: Row, gold: str) -> str:
    title = html.escape(str(candidate.get("title") or "")) or "Null passage"
    figures = [f'<span class="title">{title}</span>']
    if candidate.get("place"):
        figures.append(f"<span>{html.escape(str(candidate['place']))}</span>")
    if candidate.get("probability") is not None:
        figures.append(f"<span>p(z|x) {candidate['probability']:.2f}</span>")
    if candidate.get("retrieval_utility") is not None:
        utility = float(candidate["retrieval_utility"])
        kind = "good" if utility > 0.05 else "bad" if utility < -0.05 else ""
        figures.append(f'<span class="{kind}">utility {_signed(utility, 2)}</span>')
    text = _highlighted(str(candidate.get("text") or ""), gold)
    return f'<div class="passage"><div class="figures">{"".join(figures)}</div>{text}</div>'


def _highlighted(text: str, gold: str) -> str:
    """The escaped text with every whole-word occurrence of the gold answer highlighted."""
    if not gold.strip():
        return html.escape(text)
    pattern = r"\s+".join(map(re.escape, gold.split()))
    pieces = re.split(rf"((?<!\w){pattern}(?!\w))", text, flags=re.IGNORECASE)
    return "".join(f"<mark>{html.escape(p)}</mark>" if i % 2 else html.escape(p) for i, p in enumerate(pieces))


def _relations(report: Row) -> str:
    relations: Mapping[str, Row] = report.get("relations") or {}
    systems = list(dict.fromkeys(name for figures in relations.values() for name in figures.get("em") or {}))
    if not systems:
        return ""
    head = "".join(f'<th class="n">{html.escape(_capitalised(_name(name)))}</th>' for name in systems)
    rows = []
    for relation, figures in sorted(relations.items(), key=lambda item: -(item[1].get("em", {}).get("realm") or 0)):
        shares = [figures.get("em", {}).get(name) for name in systems]
        cells = "".join(f'<td class="n">{"–" if share is None else _percent(share)}</td>' for share in shares)
        label = html.escape(_capitalised(relation.replace("_", " ")))
        rows.append(f'<tr><td>{label}</td><td class="n">{figures.get("questions", "–")}</td>{cells}</tr>')
    head = f'<tr><th>Relation</th><th class="n">Questions</th>{head}</tr>'
    lead = "Exact match. With few questions per relation, these figures are only indicative."
    return _section("Results by relation", lead, f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>')


def _facts(report: Row) -> str:
    seconds: Mapping[str, float] = report.get("seconds") or {}
    facts = [(str(key).replace("_", " "), str(value)) for key, value in (report.get("facts") or {}).items()]
    if report.get("peak_memory_bytes"):
        facts.append(("peak memory", f"{report['peak_memory_bytes'] / 2**30:.2f} GiB"))
    facts += [
        (f"time: {stage.replace('_', ' ')}", f"{number(value)} s")
        for stage, value in seconds.items()
        if value is not None
    ]
    if not facts:
        return ""
    rows = "".join(f"<dt>{html.escape(_capitalised(key))}</dt><dd>{html.escape(value)}</dd>" for key, value in facts)
    return _section("Run details", "", f"<dl>{rows}</dl>")


def _section(title: str, lead: str, body: str) -> str:
    opening = f'<p class="lead">{html.escape(lead)}</p>' if lead else ""
    return f"<section><h2>{title}</h2>{opening}{body}</section>\n"


def _cell(figures: Row, key: str, *, is_best: bool) -> str:
    share = figures.get(key)
    if share is None:
        return '<td><span class="range">–</span></td>'
    interval = _interval(figures) if key == "em" else ""
    low, high = (figures["em_low"], figures["em_high"]) if interval else (None, None)
    extra = f' <span class="range">{interval}</span>' if interval else ""
    mark = ' class="best"' if is_best else ""
    return f'<td{mark}><div class="cell">{bar(share, low, high, is_best=is_best)}{_percent(share)}{extra}</div></td>'


def _interval(figures: Row) -> str:
    low, high = figures.get("em_low"), figures.get("em_high")
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _signed(value: float, num_decimals: int = 1) -> str:
    """The value with its sign, with a minus sign instead of a hyphen and without a negative zero."""
    return f"{value:+z.{num_decimals}f}".replace("-", "−")


def _name(system: str) -> str:
    """A system's name within a sentence."""
    return _NAMES.get(system, system.replace("_", " "))


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
