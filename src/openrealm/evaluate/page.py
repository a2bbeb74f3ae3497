"""The report as one self-contained HTML page: inline style and pictures, no script, nothing loaded from elsewhere.

Whatever comes from the corpus, the questions or the run is escaped; a passage may hold markup.
"""

from __future__ import annotations

import html
import importlib.resources
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openrealm.evaluate.plots import Line, Point, averaged, bar, line_chart, number

Row = Mapping[str, Any]
_NAMES = {"closed_book": "Closed book", "bm25": "BM25", "warm_start": "Warm start", "realm": "REALM"}
_MAX_TRAIN_POINTS = 120
_MAX_EXAMPLES = 10
_MAX_CANDIDATES = 3

# Title, what it tells, and the curves: name, metric, which rows ("heldout", "train" or "frozen"), colour.
_CHARTS: tuple[tuple[str, str, tuple[tuple[str, str, str, int], ...]], ...] = (
    (
        "Loss with passages and without",
        "Nats a query; the gap is what the passages are worth.",
        (
            ("training", "loss", "train", 1),
            ("with passages", "loss", "heldout", 1),
            ("null only", "null_loss", "heldout", 2),
        ),
    ),
    (
        "Retrieval utility",
        "Nats by which a retrieved passage helps the reader, beside a run whose towers stay frozen.",
        (
            ("training", "retrieval_utility", "train", 1),
            ("trained", "retrieval_utility", "heldout", 1),
            ("frozen towers", "retrieval_utility", "frozen", 2),
        ),
    ),
    (
        "Recall on the probe set",
        "Share of held-out queries whose answer is among the first five passages.",
        (("trained", "recall", "heldout", 1), ("frozen towers", "recall", "frozen", 2)),
    ),
    (
        "Mass on the null passage",
        "p(null|x): near 1, nothing that is retrieved gets read.",
        (("training", "null_mass", "train", 1), ("held out", "null_mass", "heldout", 1)),
    ),
    (
        "Distinct passages retrieved",
        "For all held-out queries together; a fall means collapse to a few hubs.",
        (("trained", "num_distinct_passages", "heldout", 1), ("frozen towers", "num_distinct_passages", "frozen", 2)),
    ),
    (
        "Age of the index",
        "Trainer steps since the weights that the index was built from.",
        (("staleness", "staleness_steps", "train+", 3),),
    ),
    (
        "Gradient of the towers",
        "Norm before clipping; both must be above zero.",
        (
            ("query", "query_tower_grad_norm", "train+", 1),
            ("passage", "passage_tower_grad_norm", "train+", 2),
        ),
    ),
    ("Speed", "Tokens read by the joint encoder a second.", (("tokens/s", "tokens_per_second", "train+", 3),)),
)


def render(report: Row) -> str:
    """The whole page for a completed report; sections without data are left out."""
    style = importlib.resources.files("openrealm.evaluate").joinpath("page.css").read_text(encoding="utf-8")
    name = html.escape(str(report.get("name") or "openrealm"))
    sections = (_systems(report), _training(report), _examples(report), _relations(report), _facts(report))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: report</title><style>\n{style}</style></head>\n<body><main>\n"
        f'<header><h1>{name}</h1><p class="headline">{html.escape(headline(report))}</p></header>\n'
        f"{''.join(sections)}</main></body></html>\n"
    )


def headline(report: Row) -> str:
    """One sentence with the numbers that matter, of those that the report holds."""
    if report.get("headline"):
        return str(report["headline"])
    parts = []
    systems: Mapping[str, Row] = report.get("systems") or {}
    realm = systems.get("realm")
    if realm and realm.get("em") is not None:
        rest = [
            f"{'BM25' if key == 'bm25' else key.replace('_', ' ')} {_percent(figures['em'])}"
            for key, figures in systems.items()
            if key != "realm" and figures.get("em") is not None
        ]
        interval = _interval(realm)
        lead = f"REALM answers {_percent(realm['em'])} of {report.get('questions') or 'the'} questions exactly"
        parts.append(
            lead + (f" (95 % interval {interval})" if interval else "") + "".join(f", {part}" for part in rest)
        )
    utility: Row = report.get("retrieval_utility") or {}
    if utility.get("first") is not None and utility.get("last") is not None:
        frozen = utility.get("frozen_towers_last")
        beside = "" if frozen is None else f" ({frozen:.2f} with frozen towers)"
        parts.append(f"retrieval utility went from {utility['first']:.2f} to {utility['last']:.2f} nats{beside}")
    text = "; ".join(parts) or "This run logged no figures yet"
    return f"{text[0].upper()}{text[1:]}."


def _systems(report: Row) -> str:
    systems: Mapping[str, Row] = report.get("systems") or {}
    if not systems:
        return ""
    best = max((f["em"] for f in systems.values() if f.get("em") is not None), default=None)
    rows = []
    for key, figures in systems.items():
        em, f1, recall = figures.get("em"), figures.get("f1"), figures.get("recall@5")
        is_best = em is not None and em == best
        interval = _interval(figures)
        extra = f' <span class="range">{interval}</span>' if interval else ""
        cells = (
            _cell(em, is_best, figures.get("em_low"), figures.get("em_high"), extra),
            _cell(f1, is_best),
            _cell(recall, is_best),
        )
        mark = ' class="best"' if is_best else ""
        rows.append(f"<tr{mark}><td>{html.escape(_name(key))}</td>{''.join(cells)}</tr>")
    head = "<tr><th>System</th><th>Exact match, 95 % interval</th><th>F1</th><th>Recall@5</th></tr>"
    lead = f"Shares of {report.get('questions') or 0} test questions; the stroke on a bar spans its interval."
    table = f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'
    return _section("Answers", lead if report.get("questions") else "", table + _comparisons(report))


def _comparisons(report: Row) -> str:
    sentences = []
    for entry in report.get("comparisons") or ():
        ends = f"{100 * entry['low']:+.1f} to {100 * entry['high']:+.1f}"
        verdict = "" if entry["low"] > 0 or entry["high"] < 0 else ", which chance alone can make"
        gain = f"{100 * entry['mean']:+.1f} points of exact match (95 % interval {ends}){verdict}."
        sentences.append(f"{_name(entry['first'])} against {_name(entry['second'])}: {gain}")
    return (
        f'<p class="lead" style="margin-top:14px">{"<br>".join(map(html.escape, sentences))}</p>' if sentences else ""
    )


def _training(report: Row) -> str:
    metrics, frozen = report.get("metrics") or (), report.get("metrics_frozen") or ()
    marks = [float(step) for step in report.get("refresh_steps") or ()]
    figures = []
    for title, what, curves in _CHARTS:
        lines = [_line(*curve, metrics, frozen) for curve in curves]
        picture = line_chart(lines, marks=marks)
        if picture:
            legend = _legend([line for line in lines if line.points], has_marks=bool(marks))
            caption = f'<figcaption><b>{title}</b><span class="what">{what}</span>{legend}</figcaption>'
            figures.append(f"<figure>{caption}{picture}</figure>")
    if not figures:
        return ""
    lead = f"The index was replaced {report.get('refreshes') or 0} times while training went on."
    return _section("Pre-training", lead, f'<div class="grid2">{"".join(figures)}</div>')


def _line(name: str, metric: str, rows: str, colour: int, metrics: Sequence[Row], frozen: Sequence[Row]) -> Line:
    """The points of one curve; "train" curves are background, "train+" ones stand alone."""
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
    keys = [
        f'<span class="k{line.colour}{" b" if line.is_background else ""}">{html.escape(line.name)}</span>'
        for line in lines
    ]
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
        answer = f'<span class="gold">masked: <b>{html.escape(gold)}</b></span>'
        cards.append(f'<div class="example"><p>{query}<br>{answer}</p><div class="grid2">{sides}</div></div>')
    if not cards:
        return ""
    lead = "Held-out queries with the passages read most; the masked words are marked wherever a passage holds them."
    return _section("What was retrieved", lead, "".join(cards))


def _side(label: str, candidates: Sequence[Row], gold: str) -> str:
    passages = "".join(_passage(candidate, gold) for candidate in candidates[:_MAX_CANDIDATES])
    return f'<div class="side"><h4>{label}</h4>{passages}</div>' if passages else ""


def _passage(candidate: Row, gold: str) -> str:
    title = html.escape(str(candidate.get("title") or "")) or "null passage"
    figures = [f'<span class="title">{title}</span>']
    if candidate.get("probability") is not None:
        figures.append(f"<span>p(z|x) {candidate['probability']:.2f}</span>")
    if candidate.get("retrieval_utility") is not None:
        utility = float(candidate["retrieval_utility"])
        kind = "good" if utility > 0.05 else "bad" if utility < -0.05 else ""
        figures.append(f'<span class="{kind}">utility {utility:+.2f}</span>')
    text = _marked(str(candidate.get("text") or ""), gold)
    return f'<div class="passage"><div class="figures">{"".join(figures)}</div>{text}</div>'


def _marked(text: str, gold: str) -> str:
    """Escaped text with every whole-word occurrence of the gold answer marked."""
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
    head = "".join(f'<th class="n">{html.escape(_name(name))}</th>' for name in systems)
    rows = []
    for relation, figures in sorted(relations.items(), key=lambda item: -(item[1].get("em", {}).get("realm") or 0)):
        shares = [figures.get("em", {}).get(name) for name in systems]
        cells = "".join(f'<td class="n">{"–" if share is None else _percent(share)}</td>' for share in shares)
        label = html.escape(relation.replace("_", " "))
        rows.append(f'<tr><td>{label}</td><td class="n">{figures.get("questions", "–")}</td>{cells}</tr>')
    head = f'<tr><th>Relation</th><th class="n">Questions</th>{head}</tr>'
    lead = "Exact match by what is asked. A relation has few questions: read these as hints."
    return _section("By relation", lead, f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>')


def _facts(report: Row) -> str:
    seconds: Mapping[str, float] = report.get("seconds") or {}
    facts = [(str(key).replace("_", " "), str(value)) for key, value in (report.get("facts") or {}).items()]
    if report.get("peak_memory_bytes"):
        facts.append(("peak memory", f"{report['peak_memory_bytes'] / 2**30:.2f} GiB"))
    facts += [
        (f"{stage.replace('_', ' ')}, seconds", number(value)) for stage, value in seconds.items() if value is not None
    ]
    if not facts:
        return ""
    rows = "".join(f"<dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd>" for key, value in facts)
    return _section("The run", "", f"<dl>{rows}</dl>")


def _section(title: str, lead: str, body: str) -> str:
    opening = f'<p class="lead">{html.escape(lead)}</p>' if lead else ""
    return f"<section><h2>{title}</h2>{opening}{body}</section>\n"


def _cell(
    share: float | None, is_best: bool, low: float | None = None, high: float | None = None, extra: str = ""
) -> str:
    if share is None:
        return '<td><span class="range">–</span></td>'
    return f'<td><div class="cell">{bar(share, low, high, is_best=is_best)}{_percent(share)}{extra}</div></td>'


def _interval(figures: Row) -> str:
    low, high = figures.get("em_low"), figures.get("em_high")
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _name(system: str) -> str:
    return _NAMES.get(system, system.replace("_", " "))
