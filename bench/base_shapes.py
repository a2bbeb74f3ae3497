"""Small base encoders against MiniLM: passages embedded per second, joint steps, and what a short training achieves.

Every shape is trained for the same time on the same text (with a vocabulary of its size). Accuracy is the share of
correct word pieces of a masked name or date in held-out articles: without a passage, with another passage that contains
the name, and with its own. `--only "3 x 256"` selects shapes whose name contains that. Speeds are measured on the same
Factbook text, alternating between all shapes and MiniLM. With `--out FOLDER`, the table and (if matplotlib is
installed) a figure are written there.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import Figure, arguments, commit, duration, hardware, in_turn, rate, report, svg_of

if TYPE_CHECKING:
    from openrealm.config import Config
    from openrealm.engine import Engine
    from openrealm.text.tokenizer import Tokenizer

_PEER = "MiniLM, 6 x 384 (1,536), 30,522"


@dataclass(frozen=True, slots=True)
class Shape:
    """Layers, width, heads, feed-forward width, vocabulary size."""

    num_layers: int
    hidden_size: int
    num_heads: int
    inner_size: int
    vocab_size: int

    @property
    def name(self) -> str:
        """As in the table."""
        return f"{self.num_layers} x {self.hidden_size} ({self.inner_size}), {self.vocab_size:,}"


SHAPES = (
    Shape(2, 128, 4, 512, 16_000),
    Shape(2, 256, 4, 1024, 16_000),
    Shape(3, 256, 4, 768, 8_000),
    Shape(3, 256, 4, 768, 16_000),
    Shape(3, 256, 4, 768, 30_000),
    Shape(4, 256, 4, 768, 16_000),
    Shape(3, 384, 6, 1536, 16_000),
    Shape(6, 256, 4, 1024, 16_000),
)
QUICK_SHAPES = (Shape(4, 256, 4, 768, 2_000),)


def main() -> None:
    given = arguments(
        __doc__.splitlines()[0],
        source=("factbook", "factbook"),
        articles=(2_000, 40),
        seconds=(45.0, 2.0),
        speed_articles=(300, 24),
        only=("", ""),
        out=("", ""),
    )
    import torch

    from openrealm.engine import engine_for
    from openrealm.recipes.factbook import factbook

    torch.set_num_threads(given.threads)
    shapes = QUICK_SHAPES if given.quick else tuple(shape for shape in SHAPES if given.only in shape.name)
    if not shapes:
        raise SystemExit(f"--only {given.only!r} matches none of: {'; '.join(shape.name for shape in SHAPES)}.")
    engine = engine_for(factbook())
    with tempfile.TemporaryDirectory(prefix="openrealm-bench-") as name:
        found = {shape: trained(shape, given, Path(name), engine) for shape in shapes}
        tokenizers = {shape: tokenizer for shape, (_, tokenizer, _) in found.items()}
        max_seconds = 6.0 if given.quick else 120.0
        embedding, joint, num_passages = speeds(tokenizers, given, engine, max_seconds)
    figures = []
    for shape in shapes:
        note = f"{found[shape][2] / 1e6:.1f} million weights"
        figures.append(
            rate(f"embedding, {shape.name}", "passages/s", num_passages, embedding[shape], _PEER, embedding[None], note)
        )
        figures.append(duration(f"one joint step, {shape.name}", joint[shape], _PEER, joint[None], note))
    measures = {shape: row for shape, (row, _, _) in found.items()}
    text = table(shapes, figures, measures, given)
    print(text)
    if given.out:
        write(Path(given.out), text, shapes, figures, measures)
    report(*figures)


def trained(shape: Shape, given: Any, folder: Path, engine: Engine) -> tuple[dict[str, Any], Tokenizer, int]:
    """Train a shape for `given.seconds`; returns its held-out metrics, its tokenizer and its number of weights."""
    from openrealm.base.prepare import prepare
    from openrealm.base.settings import BaseSettings
    from openrealm.base.task import BaseEncoding
    from openrealm.base.texts import Texts
    from openrealm.model.state import unique_state
    from openrealm.train.trainer import Trainer

    settings = BaseSettings(
        **dataclasses.asdict(shape),
        heldout_rate=0.05,
        mlm_batch=24,
        ict_batch=8,
        warmup_steps=20,
        eval_steps=10**9,
        checkpoint_steps=10**9,
        num_heldout_queries=48 if given.quick else 512,
    )
    home = folder / f"vocabulary-{shape.vocab_size}"
    texts = Texts(prepare([given.source], home, settings, given.articles), settings.heldout_rate, 0)
    task = BaseEncoding(texts, settings)
    trainer = Trainer(task.new_model(), task, folder / shape.name, minutes=given.seconds / 60, engine=engine)
    row = trainer.train().last | {"tokens": trainer.num_tokens, "steps": trainer.step}
    return row, texts.tokenizer, sum(tensor.numel() for tensor in unique_state(trainer.model).values())


def speeds(
    tokenizers: dict[Shape, Tokenizer], given: Any, engine: Engine, max_seconds: float
) -> tuple[dict[Shape | None, list[float]], dict[Shape | None, list[float]], int]:
    """Seconds to embed the same articles and per joint step, for each shape and MiniLM (None); MiniLM's passage count.

    The weights are random, since they do not affect speed.
    """
    from factbook import tokenizer
    from openrealm.base.model import fresh_backbone
    from openrealm.model.encoder import load_backbone
    from openrealm.recipes.factbook import factbook, factbook_minilm

    config, theirs = factbook(), factbook_minilm()
    with tempfile.TemporaryDirectory(prefix="openrealm-bench-") as name:
        sides: dict[Shape | None, Side] = {}
        for shape, words in tokenizers.items():
            backbone = fresh_backbone(
                num_layers=shape.num_layers,
                hidden_size=shape.hidden_size,
                num_heads=shape.num_heads,
                inner_size=shape.inner_size,
                vocab_size=words.vocab_size,
                max_positions=512,
                pad_id=words.pad_id,
            )
            sides[shape] = Side(config, backbone, words, given, Path(name) / shape.name, engine)
        minilm = load_backbone(theirs.model.backbone, dropout=0.0)
        sides[None] = Side(theirs, minilm, tokenizer(theirs), given, Path(name) / "minilm", engine)
        rounds = {"num_rounds": given.rounds, "max_seconds": max_seconds}
        # `in_turn` needs a name for each side.
        names = {str(number): side for number, side in enumerate(sides.values())}
        embedding = in_turn({number: side.embed for number, side in names.items()}, **rounds)
        joint = in_turn({number: side.step for number, side in names.items()}, **rounds)
        keys = list(sides)
        return (
            {keys[int(number)]: seconds for number, seconds in embedding.items()},
            {keys[int(number)]: seconds for number, seconds in joint.items()},
            len(sides[None].corpus),
        )


class Side:
    """One encoder in the Factbook recipe's model, on a corpus cut with its own vocabulary."""

    def __init__(
        self, config: Config, backbone: Any, words: Tokenizer, given: Any, folder: Path, engine: Engine
    ) -> None:
        import torch

        from factbook import articles
        from joint_step import Ours, World
        from openrealm.corpus.builder import build_corpus
        from openrealm.model.realm import Realm

        self.corpus = build_corpus(
            articles(given.speed_articles),
            folder,
            words,
            max_passage_tokens=config.corpus.max_passage_tokens,
            tagger=config.corpus.tagger,
            source={"kind": "factbook"},
        )
        torch.manual_seed(0)
        model = Realm(config.model, backbone, words).to(engine.device)
        self.engine, self.tower = engine, model.retriever.passage_tower
        self._ours = Ours(World(config, model, self.corpus, engine))

    def embed(self) -> None:
        """E_doc of all passages."""
        from openrealm.model.embedder import embed_corpus

        embed_corpus(self.tower, self.corpus, self.engine)

    def step(self) -> None:
        """One joint training step."""
        self.tower.train()
        self._ours.step()


def table(shapes: Sequence[Shape], figures: Sequence[Figure], measures: dict[Shape, dict[str, Any]], given: Any) -> str:
    """The page docs/results/base_shapes.md."""
    source = Path(given.source).name
    page = f"""# Shapes for a small base encoder

Cost and benefit of layers, width and vocabulary, compared with {_PEER}.
Speeds are measured alternately on the same text, in the Factbook recipe's model; "speed-up" is relative to MiniLM.
Accuracy is the share of word pieces of a masked name or date filled in correctly, in held-out articles, after
{given.seconds:g} seconds of training on {given.articles:,} articles of {source}.

| shape | weights | passages/s | speed-up | joint step, s | speed-up | steps | alone | related | own |
|---|---|---|---|---|---|---|---|---|---|
"""
    for number, shape in enumerate(shapes):
        embed, joint = figures[2 * number : 2 * number + 2]
        row = measures[shape]
        speed = f"{embed.value:,.0f} | {embed.ratio:.1f} | {joint.value:.2f} | {joint.ratio:.1f}"
        shares = " | ".join(f"{100 * row[f'accuracy_{context}']:.1f}%" for context in ("alone", "related", "own"))
        page += f"| {shape.name} | {embed.note.split(' ')[0]} M | {speed} | {row['steps']:,} | {shares} |\n"
    page += f"| {_PEER} | 22.6 M | {figures[0].peer_value:,.0f} | 1 | {figures[1].peer_value:.2f} | 1 | | | | |\n"
    page += (
        "\nShape: layers x width (feed-forward width), word pieces. Steps: completed in that time. Alone: without a "
        "passage; related: with\nanother passage that contains the name; own: with its own passage.\n"
    )
    command = f"python bench/base_shapes.py --source {source} --articles {given.articles} --out docs/results"
    return f"{page}\nWritten by `{command}` at commit {commit()}; {hardware()}.\n"


def write(
    folder: Path,
    text: str,
    shapes: Sequence[Shape],
    figures: Sequence[Figure],
    measures: dict[Shape, dict[str, Any]],
) -> None:
    """Write base_shapes.md, and base_shapes.svg if matplotlib is installed."""
    from openrealm import files

    folder.mkdir(parents=True, exist_ok=True)
    try:
        files.write_text(folder / "base_shapes.svg", picture(shapes, figures, measures))
        text += "\n![Accuracy with a passage against passages embedded per second](base_shapes.svg)\n"
    except ModuleNotFoundError:
        print("No figure: matplotlib is not installed (pip install matplotlib).")
    files.write_text(folder / "base_shapes.md", text)


def picture(shapes: Sequence[Shape], figures: Sequence[Figure], measures: dict[Shape, dict[str, Any]]) -> str:
    """Accuracy with and without a passage against speed, as a reproducible SVG."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    times = [figures[2 * number].ratio for number in range(len(shapes))]
    with matplotlib.rc_context({"svg.hashsalt": "base_shapes", "svg.fonttype": "none", "font.size": 9}):
        drawing, axes = pyplot.subplots(figsize=(7, 3.6), layout="constrained")
        labels = {"own": "with its own passage", "related": "with a related passage", "alone": "without a passage"}
        for (context, label), marker in zip(labels.items(), "osx", strict=True):
            shares = [100 * measures[shape][f"accuracy_{context}"] for shape in shapes]
            axes.plot(times, shares, marker, label=label)
            for number, place in enumerate(zip(times, shares, strict=True), 1):
                if context == "own":
                    axes.annotate(str(number), place, textcoords="offset points", xytext=(4, 3), fontsize=7)
        for number, shape in enumerate(shapes, 1):
            axes.plot([], [], marker=f"${number}$", color="black", linestyle="", markersize=4, label=shape.name)
        axes.axvline(3, color="0.6", linewidth=0.8)
        axes.set_xlabel("passages embedded per second, relative to MiniLM")
        axes.set_ylabel("word pieces of names correct, %")
        drawing.legend(loc="outside right upper", frameon=False, fontsize=8)
        return svg_of(drawing)


if __name__ == "__main__":
    main()
