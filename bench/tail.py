"""How far the gradient of a truncated sum is from that of the full sum: plain top-k against a sampled tail.

A corpus small enough to read every passage with every query gives the exact gradient of log p(y|x) with respect to the
query vector, sum_z [p(z|x,y) - p(z|x)] E_doc(z). It is compared with two estimates that read the same number of
passages: the top k only, and half as many top passages with the other half sampled from the rest, many times over.
Scores and readings come from the Factbook recipe's untrained model; sums are in float64. Writes tail.md and tail.svg to
--out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common import Figure, arguments, commit, hardware, report

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from openrealm.train.examples import Example

BUDGETS = (4, 8, 16, 32, 64)
STALE_NATS = 0.5
TOP = "top k only"
METHODS = (TOP, "tail by score", "tail by stale score", "uniform tail")
STYLE = (
    "svg{--s1:#1f6fd0;--s2:#d9591c;--s3:#12886b;--s4:#8a5bc7;font:11px sans-serif}"
    "text{fill:#444}.name{font-weight:600}.curve{fill:none;stroke-width:2}.grid{stroke:#ddd}.zero{stroke:#888}"
)


@dataclass(frozen=True, slots=True)
class Query:
    """A query with all passages it may read; number 0 is the null passage. Axes: A these passages, D projection."""

    score_A: Tensor
    stale_A: Tensor
    read_A: Tensor
    vector_AD: Tensor

    def gradient(self, kept: list[int] | slice, log_weights: list[float] | None = None) -> tuple[Tensor, float]:
        """The gradient with respect to E_in(x), D, and log p(y|x), from the passages `kept`."""
        import torch

        score = self.score_A[kept] if log_weights is None else self.score_A[kept] + torch.tensor(log_weights).double()
        prior = score.log_softmax(dim=0)
        joint = prior + self.read_A[kept]
        likelihood = joint.logsumexp(dim=0)
        return ((joint - likelihood).exp() - prior.exp()) @ self.vector_AD[kept], float(likelihood)


@dataclass(frozen=True, slots=True)
class Error:
    """The error of an estimator: gradients relative to the norm of the exact one, the loss in nats."""

    bias: float
    deviation: float
    loss: float
    num_read: float

    @property
    def total(self) -> float:
        """Root mean square error."""
        return float((self.bias**2 + self.deviation**2) ** 0.5)


def main() -> None:
    given = arguments(
        __doc__.splitlines()[0], articles=(150, 30), queries=(8, 3), draws=(200, 40), out=("docs/results", "")
    )
    import numpy as np
    import torch

    torch.set_num_threads(given.threads)
    queries = read_everything(given.articles, given.queries)
    rng = np.random.default_rng(0)
    num_passages = round(sum(len(q.score_A) for q in queries) / len(queries))
    errors = {
        (method, budget): measure(queries, method, budget, given.draws, rng)
        for method in METHODS
        for budget in BUDGETS
        if budget < num_passages
    }
    null_mass = sum(float(q.score_A.softmax(dim=0)[0]) for q in queries) / len(queries)
    text = as_text(errors, num_passages, len(queries), given.draws, null_mass)
    print(text)
    if given.out:
        folder = Path(given.out)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tail.md").write_text(text)
        (folder / "tail.svg").write_text(as_picture(errors))
    ours, theirs = errors[METHODS[1], 8], errors[TOP, 8]
    report(
        Figure(
            figure=f"bias of the retriever's gradient, 8 of {num_passages} passages read, half of them sampled",
            value=ours.bias,
            unit="of the exact gradient's norm",
            peer=TOP,
            peer_value=theirs.bias,
            ratio=theirs.bias / ours.bias if ours.bias else None,
            spread=0.0,
            num_rounds=given.draws,
            hardware=hardware(),
            commit=commit(),
            note=f"standard deviation of a single sample: {ours.deviation:.3f}; one seed, so no spread",
        )
    )


def read_everything(num_articles: int, num_queries: int) -> list[Query]:
    """Queries of a Factbook corpus, each with scores and readings of all non-trivial passages."""
    import torch

    from factbook import corpus_of
    from openrealm.engine import Engine
    from openrealm.model.realm import Realm
    from openrealm.recipes.factbook import factbook
    from openrealm.train.candidates import pack_candidates
    from openrealm.train.examples import MaskedExamples
    from openrealm.types import NULL

    config = factbook()
    settings = config.pretrain
    with corpus_of(config, num_articles) as corpus, torch.no_grad():
        torch.manual_seed(0)
        model = Realm.from_backbone(config.model, corpus.tokenizer()).eval()
        masked = MaskedExamples(corpus, config.masking, settings.max_query_tokens - 2, 8, config.seed)
        examples: list[Example] = masked.batch(0, num_queries)
        null_1D = model.retriever.encode_passage([corpus.passage_row(NULL)])
        vector_ND = torch.cat([model.embed_corpus(corpus, engine=Engine("cpu", False)), null_1D])
        generator = torch.Generator().manual_seed(1)
        found = []
        for example in examples:
            allowed = [n for n in range(len(corpus)) if corpus.group(n) != corpus.group(example.passage)]
            row = [NULL, *allowed]
            with_title = config.model.title_in_joint
            inputs = pack_candidates(corpus, [example], [row], settings, with_title=with_title)
            query_1D = model.retriever.encode_query(inputs.query_rows)
            gold_logp_AJ = model.reader.gold_log_prob(
                inputs.joint_rows, [*inputs.positions] * len(row), [*inputs.gold] * len(row)
            )
            vector_AD = vector_ND[row].double()  # the null passage (-1) is the last row
            score_A = vector_AD @ query_1D[0].double()
            noise_A = STALE_NATS * torch.randn(len(row), generator=generator, dtype=torch.float64)
            found.append(Query(score_A, score_A + noise_A, gold_logp_AJ.sum(dim=1).double(), vector_AD))
    return found


def measure(queries: list[Query], method: str, budget: int, num_draws: int, rng: np.random.Generator) -> Error:
    """Bias and deviation over `num_draws` repetitions, with squared norms summed over the queries."""
    import torch

    length = bias = variance = loss = num_read = 0.0
    for query in queries:
        exact_D, likelihood = query.gradient(slice(None))
        rounds = [estimate(query, method, budget, rng) for _ in range(1 if method == TOP else num_draws)]
        found_RD = torch.stack([gradient_D for gradient_D, _, _ in rounds])
        mean_D = found_RD.mean(dim=0)
        spread = float((found_RD - mean_D).pow(2).sum()) / max(1, len(rounds) - 1)
        length += float(exact_D.pow(2).sum())
        variance += spread
        # The mean of R rounds has itself a variance of spread / R: sampling noise, not bias.
        bias += float((mean_D - exact_D).pow(2).sum()) - spread / len(rounds)
        loss += sum(likelihood - found for _, found, _ in rounds) / len(rounds) / len(queries)
        num_read += sum(read for _, _, read in rounds) / len(rounds) / len(queries)
    return Error(max(0.0, bias / length) ** 0.5, (variance / length) ** 0.5, loss, num_read)


def estimate(query: Query, method: str, budget: int, rng: np.random.Generator) -> tuple[Tensor, float, int]:
    """The gradient and log p(y|x) from at most `budget` passages, and how many were read."""
    import torch

    from openrealm.train.candidates import draw_tail

    stale_A = query.stale_A if method == "tail by stale score" else query.score_A
    num_drawn = 0 if method == TOP else budget // 2
    best = [0, *(stale_A[1:].topk(budget - num_drawn - 1).indices + 1).tolist()]
    if not num_drawn:
        return *query.gradient(best), len(best)
    logit_A = torch.zeros_like(stale_A) if method == "uniform tail" else stale_A.clone()
    logit_A[best] = -torch.inf
    drawn, log_weights = draw_tail(logit_A, num_drawn, rng)
    return *query.gradient([*best, *drawn], [0.0] * len(best) + log_weights), len(best) + len(drawn)


def as_text(
    errors: dict[tuple[str, int], Error], num_passages: int, num_queries: int, num_draws: int, null_mass: float
) -> str:
    """The page docs/results/tail.md; its text discusses 8 passages, the paper's k."""
    top, tail = errors[TOP, 8], errors[METHODS[1], 8]
    text = f"""# The sampled tail compared with plain top-k

The error of the retriever's gradient when a few passages represent the whole corpus, measured by `bench/tail.py`: the
gradient of log p(y|x) with respect to the query vector, for {num_queries} masked queries and {num_passages} passages of
the World Factbook, with its recipe's untrained model and sums in float64. The exact gradient reads every passage
with every query (p of the null passage: {null_mass:.4f}). With a tail, half of the passages are sampled, repeated
{num_draws} times; a passage sampled twice is read once. Bias, standard deviation and error (root mean square) are
relative to the norm of the exact gradient. A stale score has normal noise of {STALE_NATS} nats, in search and sampling
alike. The last column is the number of samples for the same query that must be averaged for an error below that of the
top k only.

With 8 passages read, half of them sampled by score, the bias is {tail.bias / top.bias:.2f} times that of the top k
only, and the loss is off by {tail.loss:+.3f} instead of {top.loss:+.3f} nats. A single sample, however, has a standard
deviation of {tail.deviation:.2f} times the gradient's norm, so for a single query the plain top k is closer: a tail can
pay off when a step averages over many queries. Whether it improves training is not measured here.

![Gradient error against passages read](tail.svg)

| passages | estimator | distinct | bias | std. dev. | error | loss error, nats | samples |
|---|---|---|---|---|---|---|---|
"""
    for budget in sorted({budget for _, budget in errors}):
        for method in METHODS:
            e, top = errors[method, budget], errors[TOP, budget]
            gained = top.bias**2 - e.bias**2
            draws = "" if method == TOP else f"{max(1, math.ceil(e.deviation**2 / gained))}" if gained > 0 else "never"
            shares = f"{e.bias:.3f} | {e.deviation:.3f} | {e.total:.3f}"
            text += f"| {budget} | {method} | {e.num_read:.1f} | {shares} | {e.loss:+.3f} | {draws} |\n"
    return f"{text}\nMeasured on {hardware()}. This page and its figure are written by `bench/tail.py`.\n"


def as_picture(errors: dict[tuple[str, int], Error]) -> str:
    """Bias (top) and root mean square error (bottom) against the number of passages read."""
    from charts import Line, line_chart

    budgets = sorted({budget for _, budget in errors})
    charts = []
    for title, value in (("bias", lambda e: e.bias), ("error (root mean square)", lambda e: e.total)):
        lines = [
            Line(method.removeprefix("tail "), tuple((float(b), value(errors[method, b])) for b in budgets), colour)
            for colour, method in enumerate(METHODS, start=1)
        ]
        y = 250 * len(charts)
        place = f'y="{y + 24}" width="520" height="220" overflow="visible"'
        chart = line_chart(lines, x_label="").replace('viewBox="0 0 520 220"', place).replace(", step ", ", passages ")
        charts.append(f'<text x="46" y="{y + 16}">{title} of the gradient, against passages read</text>{chart}')
    body = "".join(charts)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 500" width="520">'
        f'<style>{STYLE}</style><rect width="520" height="500" fill="#fff"/>{body}</svg>\n'
    )


if __name__ == "__main__":
    main()
