"""How far the gradient of a truncated sum is from that of the whole sum, plain top-k beside a sampled tail.

A corpus small enough to read every passage with every query gives the exact gradient of log p(y|x) in the query's
vector, sum_z [p(z|x,y) - p(z|x)] E_doc(z). Beside it, with as many passages read: the top k alone, and half of them
with the other half drawn from the rest, many times over. Scores and readings are the quickstart's model's before any
training, the sums are float64. Writes tail.md and tail.svg below --out.
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
TOP = "top k alone"
METHODS = (TOP, "tail by score", "tail by stale score", "tail by even chance")
STYLE = (
    "svg{--s1:#1f6fd0;--s2:#d9591c;--s3:#12886b;--s4:#8a5bc7;font:11px sans-serif}"
    "text{fill:#444}.name{font-weight:600}.curve{fill:none;stroke-width:2}.grid{stroke:#ddd}.zero{stroke:#888}"
)


@dataclass(frozen=True, slots=True)
class Query:
    """One query with every passage it may read: number 0 is the null passage. Axes: A these passages, D projection."""

    score_A: Tensor
    stale_A: Tensor
    read_A: Tensor
    vector_AD: Tensor

    def gradient(self, kept: list[int] | slice, log_weights: list[float] | None = None) -> tuple[Tensor, float]:
        """The gradient in E_in(x), D, and log p(y|x), by the passages `kept`."""
        import torch

        score = self.score_A[kept] if log_weights is None else self.score_A[kept] + torch.tensor(log_weights).double()
        prior = score.log_softmax(dim=0)
        joint = prior + self.read_A[kept]
        likelihood = joint.logsumexp(dim=0)
        return ((joint - likelihood).exp() - prior.exp()) @ self.vector_AD[kept], float(likelihood)


@dataclass(frozen=True, slots=True)
class Error:
    """What an estimator is off by at a budget: gradients as shares of the exact one's length, the loss in nats."""

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
            figure=f"bias of the retriever's gradient, 8 of {num_passages} passages read, half of them drawn",
            value=ours.bias,
            unit="of the exact gradient's length",
            peer=TOP,
            peer_value=theirs.bias,
            ratio=theirs.bias / ours.bias if ours.bias else None,
            spread=0.0,
            num_rounds=given.draws,
            hardware=hardware(),
            commit=commit(),
            note=f"a single draw deviates by {ours.deviation:.3f}; one seed, so no spread",
        )
    )


def read_everything(num_articles: int, num_queries: int) -> list[Query]:
    """Queries of a Factbook corpus, each with the score and the reading of every passage that is not trivial."""
    import torch

    from factbook import corpus_of
    from openrealm.engine import Engine
    from openrealm.model.marginal import reading_log_likelihood
    from openrealm.model.realm import Realm
    from openrealm.recipes.quickstart import quickstart
    from openrealm.train.embedder import embed_corpus
    from openrealm.train.examples import MaskedExamples
    from openrealm.train.joint import encode_queries, read
    from openrealm.train.layout import NULL, Layout

    config = quickstart()
    settings = config.pretrain
    with corpus_of(config, num_articles) as corpus, torch.no_grad():
        torch.manual_seed(0)
        model = Realm.from_backbone(config.model, corpus.tokenizer()).eval()
        layout = Layout(corpus, title_in_joint=config.model.title_in_joint)
        masked = MaskedExamples(corpus, config.masking, settings.max_query_tokens - 2, 8, config.seed)
        examples: list[Example] = masked.batch(0, num_queries)
        null_1D = model.retriever.encode_passage([layout.passage(NULL)])
        vector_ND = torch.cat([embed_corpus(model.retriever.passage_tower, layout, Engine("cpu", False)), null_1D])
        generator = torch.Generator().manual_seed(1)
        found = []
        for example in examples:
            allowed = [n for n in range(len(corpus)) if corpus.group(n) != corpus.group(example.passage)]
            row = [NULL, *allowed]
            query_1D = encode_queries(model, layout, [example], settings.max_query_tokens)
            gold_logp_1AJ, mask_1J, _ = read(model, layout, [example], [row], settings.max_joint_tokens)
            vector_AD = vector_ND[row].double()  # number -1, the null passage, lies last
            score_A = vector_AD @ query_1D[0].double()
            noise_A = STALE_NATS * torch.randn(len(row), generator=generator, dtype=torch.float64)
            read_A = reading_log_likelihood(gold_logp_1AJ, mask_1J)[0].double()
            found.append(Query(score_A, score_A + noise_A, read_A, vector_AD))
    return found


def measure(queries: list[Query], method: str, budget: int, num_draws: int, rng: np.random.Generator) -> Error:
    """Bias and deviation over `num_draws` repetitions, squared lengths summed over the queries."""
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
        # The mean of R rounds is itself off by spread / R: that part is noise of this measurement, no bias.
        bias += float((mean_D - exact_D).pow(2).sum()) - spread / len(rounds)
        loss += sum(likelihood - found for _, found, _ in rounds) / len(rounds) / len(queries)
        num_read += sum(read for _, _, read in rounds) / len(rounds) / len(queries)
    return Error(max(0.0, bias / length) ** 0.5, (variance / length) ** 0.5, loss, num_read)


def estimate(query: Query, method: str, budget: int, rng: np.random.Generator) -> tuple[Tensor, float, int]:
    """The gradient and log p(y|x) by at most `budget` passages, and how many were read."""
    import torch

    from openrealm.train.joint import draw_tail

    stale_A = query.stale_A if method == "tail by stale score" else query.score_A
    num_drawn = 0 if method == TOP else budget // 2
    best = [0, *(stale_A[1:].topk(budget - num_drawn - 1).indices + 1).tolist()]
    if not num_drawn:
        return *query.gradient(best), len(best)
    logit_A = torch.zeros_like(stale_A) if method == "tail by even chance" else stale_A.clone()
    logit_A[best] = -torch.inf
    drawn, log_weights = draw_tail(logit_A, num_drawn, rng)
    return *query.gradient([*best, *drawn], [0.0] * len(best) + log_weights), len(best) + len(drawn)


def as_text(
    errors: dict[tuple[str, int], Error], num_passages: int, num_queries: int, num_draws: int, null_mass: float
) -> str:
    """The page docs/results/tail.md; its sentences speak of 8 passages, the paper's k."""
    top, tail = errors[TOP, 8], errors[METHODS[1], 8]
    text = f"""# The sampled tail beside plain top-k

What the retriever's gradient is off by when a few passages stand for all, as `bench/tail.py` measures it: the gradient
of log p(y|x) in the query's vector, {num_queries} masked queries, {num_passages} passages of the World Factbook, the
quickstart's model before any training, sums in float64. The exact gradient reads every passage with every query (p of
the null passage: {null_mass:.4f}). In a tail, half of the passages are drawn, {num_draws} times over; one that is drawn
twice is read once. Bias, standard deviation and error (the root of the sum of both squares) are shares of the exact
gradient's length. A stale score is off by {STALE_NATS} nats (normal), in the search as in the draw. The last column
says how many draws for the same query have to be averaged until their error is below that of the top k alone.

With 8 passages read, half of them drawn by score, the bias is {tail.bias / top.bias:.2f} times that of the top k alone,
and the loss is off by {tail.loss:+.3f} instead of {top.loss:+.3f} nats. A single draw deviates by {tail.deviation:.2f}
of the gradient's length, though, so that for one query the plain top k is nearer: a tail can pay where a step
averages over many queries. Whether training gains from it is not measured here.

![Error of the gradient by passages read](tail.svg)

| passages | estimator | distinct | bias | deviation | error | loss off by, nats | draws |
|---|---|---|---|---|---|---|---|
"""
    for budget in sorted({budget for _, budget in errors}):
        for method in METHODS:
            e, top = errors[method, budget], errors[TOP, budget]
            gained = top.bias**2 - e.bias**2
            draws = "" if method == TOP else f"{max(1, math.ceil(e.deviation**2 / gained))}" if gained > 0 else "never"
            shares = f"{e.bias:.3f} | {e.deviation:.3f} | {e.total:.3f}"
            text += f"| {budget} | {method} | {e.num_read:.1f} | {shares} | {e.loss:+.3f} | {draws} |\n"
    return f"{text}\nMeasured on {hardware()}; `bench/tail.py` writes this page and its picture.\n"


def as_picture(errors: dict[tuple[str, int], Error]) -> str:
    """Bias above, root mean square error below, over the passages read."""
    from openrealm.evaluate.plots import Line, line_chart

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
        charts.append(f'<text x="46" y="{y + 16}">{title} of the gradient, by passages read</text>{chart}')
    body = "".join(charts)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 500" width="520">'
        f'<style>{STYLE}</style><rect width="520" height="500" fill="#fff"/>{body}</svg>\n'
    )


if __name__ == "__main__":
    main()
