"""`openrealm index`: embed all passages; measure ways to search the index, and compare versions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from openrealm.cli.common import (
    DEFAULT_RUN,
    ConfigOption,
    RecipeOption,
    RunOption,
    SetOption,
    again,
    run_for,
    stoppable,
    suggest_next,
)
from openrealm.errors import BadInput

index = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

JsonOption = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


@index.callback()
def build(
    context: typer.Context,
    run: RunOption = DEFAULT_RUN,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
) -> None:
    """Embed all passages into an index for retrieval.

    The passage tower is the pre-trained one or, before pre-training, that of the warm start. Stages that need an
    index build it themselves.
    """
    if context.invoked_subcommand is not None:
        if recipe or config or settings or run != DEFAULT_RUN:
            name = context.invoked_subcommand
            raise BadInput(f"Options must come after {name}, as in: openrealm index {name} --run NAME.")
        return
    from openrealm.run import stages

    found = run_for(run, settings, recipe, config)
    with stoppable(again("index", "--run", run)), found.writing():
        start = "pretrain" if stages.get("pretrain").is_finished(found) else "warm_start"
        stage = stages.index_of(start)
        stage.perform(found)
    suggest_next(stage, run)


@index.command("bench")
def bench(
    run: RunOption = DEFAULT_RUN,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help='Questions to search for, one per line: text, or JSON such as {"question": …}.',
            show_default="the run's dev questions, else some of its passages",
        ),
    ] = None,
    searcher: Annotated[
        list[str] | None,
        typer.Option("--searcher", metavar="NAME", help="One more searcher, such as faiss:IVF4096,SQ8. Repeatable."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the figures as .png, .svg or .pdf.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure exact search, smaller vectors and FAISS on the newest index of a run: recall, speed and memory.

    Recall is the share of the 8 or 20 best passages of exact search that are found. Every searcher is measured in a
    process of its own, for a few seconds. Vectors that the index does not store are written to a temporary folder.
    """
    from openrealm.cli.show import percent, show_json, table
    from openrealm.corpus.picture import check_format
    from openrealm.registry import SEARCHERS
    from openrealm.run.indexes import bench_run
    from openrealm.serve.asked import questions_in

    for name in searcher or ():
        SEARCHERS.check(name.partition(":")[0])
    if plot is not None:
        check_format(plot)
    opened = run_for(run, None)
    texts = []
    if questions is not None:
        try:
            texts = [one.text for one in questions_in(questions.read_bytes().splitlines(), str(questions))]
        except OSError as error:
            raise BadInput(f"{questions} could not be read ({error.strerror}); give a file of questions.") from error
    with stoppable(again("index", "bench", "--run", run)):
        found, queries = bench_run(opened, texts, searcher or ())
    title = f"{opened.config.name}: searches for {queries}"
    if plot is not None:
        from openrealm.index.picture import draw

        draw(found, title, plot)
    if as_json:
        show_json({"queries": queries, "searchers": [dataclasses.asdict(one) for one in found]})
        return
    head = ("searcher", "recall@8", "recall@20", "queries/s", "ms/query", "opens in s", "resident MB", "on disk MB")
    rows = [
        (
            one.name,
            *(percent(one.recall[k]) for k in ("8", "20")),
            f"{one.queries_per_second:,.0f}",
            f"{one.milliseconds:,.2f}",
            f"{one.open_seconds:.2f}",
            f"{one.resident_bytes / 1e6:,.1f}",
            f"{one.disk_bytes / 1e6:,.1f}",
        )
        for one in found
    ]
    table(head, rows, title)


@index.command("diff")
def diff(
    old: Annotated[str | None, typer.Argument(metavar="OLD", help="Index version: a name, or its folder.")] = None,
    new: Annotated[str | None, typer.Argument(metavar="NEW", help="Index version to compare it with.")] = None,
    run: RunOption = DEFAULT_RUN,
    k: Annotated[int, typer.Option("-k", min=1, metavar="K", help="Number of passages for each query.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show how far two versions of an index are apart: vectors, results and recall.

    Without versions, the oldest of the run is compared with the newest. The queries are the run's dev questions or, if
    it has none, some of its passages, embedded by the newest query tower.
    """
    from openrealm.cli.show import percent, show_json
    from openrealm.progress import show
    from openrealm.run.indexes import diff_run

    found = diff_run(run_for(run, None), old, new, k)
    if as_json:
        show_json(found)
        return
    show(f"{found['old']} → {found['new']}: {found['moved']:,} of {found['passages']:,} vectors moved")
    names = {"0.5": "median", "0.9": "90%", "0.99": "99%", "1.0": "largest"}
    distances = ", ".join(f"{names[at]} {value:.4f}" for at, value in found["cosine_distance"].items())
    show(f"cosine distance: {distances}")
    show(
        f"best {k} passages of {found['num_queries']:,} {found['queries']}: overlap {percent(found['overlap'])}%, rank "
        f"correlation {found['rank_correlation']:.3f}"
    )
    if found["recall"] is not None:
        before, after = found["recall"]["old"], found["recall"]["new"]
        show(f"recall@{k}: {percent(before)} → {percent(after)} ({100 * (after - before):+.1f})")
