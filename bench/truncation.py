"""The cost of summing over the top k passages instead of many more: bias of value and gradient against k.

Uses held-out masked queries of a pre-trained run, with its index and towers and the sequence marginal. Reading a whole
corpus would take hours, so the top `--exact` passages represent it, and the probability mass outside them is reported.
With `--out FOLDER`, the table and (if matplotlib is installed) a figure are written there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common import Figure, arguments, commit, end, hardware, not_measured, report, svg_of

if TYPE_CHECKING:
    from torch import Tensor

    from openrealm.run.folder import Run

_FIGURE, _UNIT, _PEER = "bias of log p(y|x) due to truncation", "nats", "the sum over many passages"


@dataclass(frozen=True, slots=True)
class Query:
    """A query with its top K passages, the null passage first; `outside` is the total probability of all others."""

    score_K: Tensor
    read_K: Tensor
    vector_KD: Tensor
    outside: float


@dataclass(frozen=True, slots=True)
class Bias:
    """Means over queries for one k; gradient errors are relative to the norm of the exact gradient over all queries."""

    k: int
    value: float
    absolute: float
    signal_error: float
    query_error: float
    mass: float


def main() -> None:
    given = arguments(
        __doc__.splitlines()[0],
        run=("runs/factbook", "runs/factbook"),
        queries=(24, 4),
        exact=(512, 32),
        out=("", ""),
    )
    import torch

    from openrealm.errors import OpenRealmError
    from openrealm.run.folder import Run

    try:
        run = Run.open(Path(given.run))
        queries = read(run, given.queries, given.exact, given.threads)
    except OpenRealmError as error:
        end(f"Nothing to measure: {error}", not_measured(_FIGURE, _UNIT, _PEER, str(error)))
    num_exact = max(len(query.score_K) for query in queries)
    sizes = [2**power for power in range(num_exact.bit_length()) if 2**power < num_exact] + [num_exact]
    biases = [bias(queries, k) for k in sizes]
    outside = float(torch.tensor([query.outside for query in queries]).mean())
    text = table(biases, run, len(queries), outside)
    print(text)
    if given.out:
        write(Path(given.out), text, biases)
    report(figure(bias(queries, run.config.pretrain.num_candidates), run, num_exact, len(queries)))


def read(run: Run, num_queries: int, num_exact: int, num_threads: int) -> list[Query]:
    """Score and read `num_exact` passages for each held-out query with the run's pre-trained model."""
    import torch

    from openrealm.engine import engine_for
    from openrealm.model.marginal import reading_log_likelihood
    from openrealm.model.realm import Realm
    from openrealm.run import artefacts, stages
    from openrealm.train.candidates import find_candidates, pack_candidates, query_rows
    from openrealm.train.examples import MaskedExamples
    from openrealm.types import NULL

    torch.set_num_threads(num_threads)
    settings, engine, corpus = run.config.pretrain, engine_for(run.config), artefacts.open_corpus(run)
    model = Realm.from_pretrained(stages.get("pretrain").model_folder(run)).to(engine.device).eval()
    with_title = run.config.model.title_in_joint
    index = artefacts.open_index(run, model, "pretrain")
    heldout = MaskedExamples(
        corpus, run.config.masking, settings.max_query_tokens - 2, settings.num_heldout_queries, run.config.seed
    ).heldout
    queries = []
    for example in heldout[:num_queries]:
        with torch.inference_mode(), engine.autocast():
            query_1D = model.retriever.encode_query(query_rows(corpus, [example], settings.max_query_tokens))
            found = find_candidates(index, query_1D, [example], num_exact, block_trivial=settings.block_trivial)
            reading = model(pack_candidates(corpus, [example], found, settings, with_title=with_title), query_1D)
            null_1D = model.retriever.encode_passage([corpus.passage_row(NULL)])
        query_D = query_1D[0].double().cpu()
        vector_KD = torch.cat([null_1D.cpu(), index.vector_ND[found[0][1:]]]).double()
        score_N = index.vector_ND.double() @ query_D
        if settings.block_trivial:
            score_N[index.group_N == index.group_N[example.passage]] = -torch.inf
        score_N[found[0][1:]] = -torch.inf
        score_K = reading.score_BK[0].double().cpu()
        log_total = torch.cat([score_K, score_N]).logsumexp(dim=0)
        read_K = reading_log_likelihood(reading.gold_logp_BKJ, reading.mask_BJ)[0].double().cpu()
        queries.append(Query(score_K, read_K, vector_KD, 1 - float((score_K.logsumexp(dim=0) - log_total).exp())))
    return queries


def bias(queries: Sequence[Query], k: int) -> Bias:
    """Truncate every query to its top k passages, including the null passage, and compare with all of them."""
    import torch

    from openrealm.model.marginal import marginal_log_likelihood, retrieval_log_prob, retriever_signal

    one_11 = torch.ones(1, 1, dtype=torch.bool)
    values, masses = [], []
    signal_missed = signal_total = query_missed = query_total = 0.0
    for query in queries:
        num_all = len(query.score_K)
        top = torch.cat([torch.tensor([0]), 1 + query.score_K[1:].argsort(descending=True, stable=True)])[:k]
        # A sequence is a single event, so its log-probability takes the place of a single mask.
        exact = query.score_K[None], query.read_K[None, :, None], one_11
        cut = query.score_K[None, top], query.read_K[None, top, None], one_11
        values.append(float(marginal_log_likelihood(*cut) - marginal_log_likelihood(*exact)))
        masses.append(float(retrieval_log_prob(exact[0])[0, top].exp().sum()))
        signal_K = retriever_signal(*exact)[0]
        cut_K = torch.zeros(num_all, dtype=torch.float64).index_copy(0, top, retriever_signal(*cut)[0])
        signal_missed += float((cut_K - signal_K).square().sum())
        signal_total += float(signal_K.square().sum())
        query_missed += float(((cut_K - signal_K) @ query.vector_KD).square().sum())
        query_total += float((signal_K @ query.vector_KD).square().sum())
    value_B = torch.tensor(values)
    return Bias(
        k,
        float(value_B.mean()),
        float(value_B.abs().mean()),
        (signal_missed / signal_total) ** 0.5,
        (query_missed / query_total) ** 0.5,
        sum(masses) / len(masses),
    )


def figure(found: Bias, run: Run, num_exact: int, num_queries: int) -> Figure:
    """The bias at the k that the run was trained with."""
    return Figure(
        figure=f"{_FIGURE} to k = {found.k}, {run.config.name}, mean over {num_queries} queries",
        value=found.absolute,
        unit=_UNIT,
        peer=f"the sum over {num_exact} passages",
        peer_value=0.0,
        ratio=None,
        spread=None,
        num_rounds=1,
        hardware=hardware(),
        commit=commit(),
        note=f"signed: {found.value:+.3f}; gradient error: {found.signal_error:.0%} of its norm",
    )


def table(biases: Sequence[Bias], run: Run, num_queries: int, outside: float) -> str:
    """The figures as a Markdown page."""
    exact, name, trained = biases[-1].k, run.config.name, run.config.pretrain.num_candidates
    heads = (
        "k",
        "p(z\\|x) of the k",
        "bias, nats",
        "absolute bias, nats",
        "error of r(z)",
        "error of the gradient w.r.t. E_in(x)",
    )
    lines = [
        "# The cost of truncating to k candidates",
        "",
        "Guu et al. 2020 (Sec. 3.3) sum over the top k passages instead of all of them. How far do log p(y|x) and its",
        f"gradient deviate from those of the sum over {exact} passages, i.e. the null passage and the top others?",
        f"Measured on {num_queries} held-out masked queries of the pre-trained run `{name}` (trained with",
        f"k = {trained}), with an index built from the same weights. On average, {outside:.1%} of the probability mass",
        f"p(z|x) lies outside those {exact} passages.",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
    ]
    lines += [
        f"| {b.k} | {b.mass:.3f} | {b.value:+z.3f} | {b.absolute:.3f} | {b.signal_error:.0%} | {b.query_error:.0%} |"
        for b in biases
    ]
    lines += [
        "",
        "The null passage is always one of the k. The bias and the absolute bias are means over queries. Gradient",
        "errors are root mean squares over queries, relative to the exact gradient: 100% corresponds to no gradient at",
        "all, as with k = 1, where there is only a single candidate.",
        "",
        f"Written by `python bench/truncation.py --out docs/results` at commit {commit()}.",
        "",
    ]
    return "\n".join(lines)


def write(folder: Path, text: str, biases: Sequence[Bias]) -> None:
    """Write truncation.md, and truncation.svg if matplotlib is installed."""
    from openrealm import files

    folder.mkdir(parents=True, exist_ok=True)
    try:
        files.write_text(folder / "truncation.svg", picture(biases))
        text += "\n![Bias of value and gradient against k](truncation.svg)\n"
    except ModuleNotFoundError:
        print("No figure: matplotlib is not installed (pip install matplotlib).")
    files.write_text(folder / "truncation.md", text)


def picture(biases: Sequence[Bias]) -> str:
    """Value (left) and gradient (right) against k, as a reproducible SVG."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    ks = [b.k for b in biases]
    with matplotlib.rc_context({"svg.hashsalt": "truncation", "svg.fonttype": "none", "font.size": 9}):
        drawing, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
        left.plot(ks, [b.absolute for b in biases], "o-", label="absolute")
        left.plot(ks, [b.value for b in biases], "s--", label="signed")
        left.set_ylabel("bias of log p(y|x), nats")
        right.plot(ks, [100 * b.signal_error for b in biases], "o-", label="r(z)")
        right.plot(ks, [100 * b.query_error for b in biases], "s--", label="gradient of E_in(x)")
        right.set_ylabel("error, % of the exact norm")
        for axes in (left, right):
            axes.axhline(0, color="0.6", linewidth=0.8)
            axes.set_xscale("log", base=2)
            axes.set_xticks(ks, [str(k) for k in ks])
            axes.set_xlabel("k, including the null passage")
            axes.legend(frameon=False)
        return svg_of(drawing)


if __name__ == "__main__":
    main()
