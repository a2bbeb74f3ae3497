"""The page about a run: of a finished one, a single self-contained file; of one being written, what `watch` serves.

Tables are written here. Charts and retrieved passages are drawn in the browser by assets/page.js, from the data in the
page or from what the server tells. Everything that comes from the corpus, the questions or the run is escaped, and a
content security policy allows nothing but the page's own scripts and styles.
"""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any

from openrealm.evaluate.compare import MIN_MEASURED
from openrealm.evaluate.page_data import columns, explorer
from openrealm.evaluate.plots import bar, number

Row = Mapping[str, Any]
_NAMES = {"bm25": "BM25", "realm": "REALM"}
_WITHOUT_SCRIPTS = "The charts and the retrieved passages need JavaScript; report.json has their figures."
STYLES, SCRIPTS = ("uPlot.css", "page.css"), ("uPlot.js", "page.js")
"""Files of assets/, in the order in which they are loaded."""


def asset(name: str) -> str:
    """The text of a file of assets/."""
    return importlib.resources.files("openrealm.evaluate").joinpath("assets", name).read_text(encoding="utf-8")


def render(report: Row) -> str:
    """The HTML page for a completed report; sections without data are omitted."""
    style = "\n".join(map(asset, STYLES))
    data = page_data(report)
    scripts = [asset(name) for name in SCRIPTS] if data["streams"] or data["queries"] else []
    allowed = " ".join(map(_allowed, scripts)) or "'none'"
    policy = f"default-src 'none'; style-src {_allowed(style)}; script-src {allowed}"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{style}</style>'
    drawn = "".join(f"<script>{script}</script>" for script in scripts)
    return _document(report, head, _data(data) + drawn if scripts else "")


def render_live(name: str, report: Row, folder: str) -> str:
    """The HTML page for a run that is being written; its scripts ask the server that it comes from.

    report  the completed report of a finished run, for the tables; empty if there is none
    folder  path of assets/ on the server, relative to the page
    """
    head = '<link rel="icon" href="data:,">'  # otherwise browsers ask for one
    head += "".join(f'<link rel="stylesheet" href="{folder}/{style}">' for style in STYLES)
    scripts = "".join(f'<script src="{folder}/{script}"></script>' for script in SCRIPTS)
    return _document({**report, "name": name}, head, _data({"live": True, "name": name}) + scripts, is_live=True)


def page_data(report: Row) -> dict[str, Any]:
    """What the scripts of a report draw: rows by file, the trainings, and the retrieved passages."""
    trainings: Mapping[str, Row] = report.get("trainings") or {}
    rows = {
        "pretrain/metrics": report.get("metrics") or (),
        "frozen_towers/metrics": report.get("metrics_frozen") or (),
        "pretrain/progress": report.get("progress") or (),
        **{f"{name}/metrics": training.get("metrics") or () for name, training in trainings.items()},
    }
    return {
        "live": False,
        "lead": _lead(report),
        "streams": {name: columns(found) for name, found in rows.items() if found},
        "stages": [{"name": name, "title": training.get("title", name)} for name, training in trainings.items()],
        **explorer(report.get("examples") or (), report.get("retrieved") or {}),
    }


def _document(report: Row, head: str, scripts: str, *, is_live: bool = False) -> str:
    """The page, with places for what the scripts draw."""
    name = html.escape(str(report.get("name") or "openrealm"))
    status = '<div id="status"></div>' if is_live else ""
    said = "" if is_live and not report.get("metrics") else f'<p class="headline">{html.escape(headline(report))}</p>'
    drawn = '<div id="drawn"></div>' if scripts else ""
    others = '<div id="others"></div>' if scripts else ""
    without = f"<noscript><p>{_WITHOUT_SCRIPTS}</p></noscript>" if scripts else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: {'live' if is_live else 'report'}</title>{head}</head>\n<body><main>\n"
        f"<header><h1>{name}</h1>{status}{said}{without}</header>\n{_ways(report)}{_systems(report)}{drawn}"
        f"{_relations(report)}{others}{_facts(report)}</main>{scripts}</body></html>\n"
    )


def _data(value: Row) -> str:
    """JSON for the scripts. Nothing in it can end the element or be taken for markup."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="data">{text}</script>'


def _allowed(text: str) -> str:
    """The source expression of a content security policy that allows an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


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


def _lead(report: Row) -> str:
    """How often the index was refreshed during pre-training."""
    num_refreshes = report.get("refreshes") or 0
    times = {0: "not refreshed", 1: "refreshed once"}.get(num_refreshes, f"refreshed {num_refreshes} times")
    num_failed = report.get("failed_refreshes") or 0
    failed = f" {num_failed} {'refresh' if num_failed == 1 else 'refreshes'} failed." if num_failed else ""
    return f"The index was {times} during training.{failed}"


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
