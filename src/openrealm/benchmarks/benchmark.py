"""`openrealm.benchmark`: how well systems find passages for real questions, with the same encoder, budget and seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from openrealm import files
from openrealm.benchmarks.question_sets import read_set
from openrealm.benchmarks.systems import DEFAULT, system_named
from openrealm.config import Config
from openrealm.corpus.corpus import Corpus
from openrealm.corpus.sources.several import Several
from openrealm.engine import engine_for, num_cores
from openrealm.errors import BadInput
from openrealm.hardware import commit_of_checkout, processor
from openrealm.model.weights import tokenizer_of
from openrealm.progress import say
from openrealm.recipes.open_qa import open_qa

_BASELINE = "orqa"


def benchmark(
    sources: Sequence[str | Path],
    questions: Mapping[str, str | Path],
    folder: str | Path,
    *,
    regex: Collection[str] = (),
    systems: Sequence[str] = DEFAULT,
    minutes: float = 5.0,
    cpu_time: bool = False,
    seeds: Sequence[int] = (0,),
    max_questions: int | None = None,
    config: Config | None = None,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Train systems within the same time, and measure how well each finds passages for questions (zero-shot recall).

    All trainings of a seed start from one warm start of `warm_start.num_steps` steps. Each system's result is kept in
    `folder`: a benchmark that was stopped continues, and one with more systems or seeds measures only what is new.

    sources        files or folders of text, read as one corpus
    questions      JSONL files of questions and answers, by name; rows with a "passage" also give gold-passage recall
    folder         where corpus, models and records are kept
    regex          names of the sets whose answers are regular expressions
    systems        names in `openrealm.benchmarks.systems.SYSTEMS`
    minutes        budget of each training; the first index, which all systems share, is not counted
    cpu_time       whether the budget is CPU time instead of wall-clock time, for machines that other work shares
    seeds          each system is trained once with each
    max_questions  take no more than this many from each file
    config         settings; None means the recipe open-qa
    out            where to write the results, without an ending: .json and .md; None means `folder`/results
    Returns the content of the JSON file. Raises BadInput for an unknown system or a file that cannot be read, Busy if
    another process works in `folder`.

    >>> import openrealm as orm
    >>> found = orm.benchmark(["my_docs/"], {"mine": "questions.jsonl"}, "benchmark/", systems=["bm25", "start"])
    >>> found["sets"]["mine"]["bm25"]["recall@5_zero_shot"]
    100.0
    """
    import torch

    from openrealm.benchmarks.results import figures, markdown
    from openrealm.benchmarks.work import Bench

    config = config or open_qa()
    chosen = [system_named(name) for name in dict.fromkeys(systems)]
    if unknown := sorted(set(regex) - set(questions)):
        raise BadInput(f"regex names {unknown[0]}, which is no set of questions; choose from {', '.join(questions)}.")
    if not (sources and questions and chosen and seeds):
        raise BadInput("A benchmark needs at least one source, one set of questions, one system and one seed.")
    sets = [
        read_set(name, Path(path), regex=name in regex, max_questions=max_questions) for name, path in questions.items()
    ]
    folder = Path(folder)
    torch.set_num_threads(config.num_threads or num_cores())
    with files.sole_writer(folder):
        corpus = _corpus(sources, folder / "corpus", config)
        bench = Bench(corpus, sets, config, minutes, folder, engine_for(config), cpu_time)
        records = {
            system.name: [bench.record(system, seed if system.is_trained else seeds[0]) for seed in seeds]
            for system in chosen
        }
        baseline = _BASELINE if _BASELINE in records else chosen[0].name
        facts = {
            "seeds": len(seeds),
            "minutes": minutes,
            "clock": "CPU time" if cpu_time else "wall-clock time",
            "sources": [Path(source).name for source in sources],
            "passages": len(corpus),
            "encoder": config.model.backbone,
            "processor": processor(),
            "threads": config.num_threads or num_cores(),
            "commit": commit_of_checkout(),
        }
        result = figures(chosen, records, sets, baseline, facts)
    target = folder / "results" if out is None else Path(out)
    files.write_json(target.with_name(target.name + ".json"), result)
    files.write_text(target.with_name(target.name + ".md"), markdown(result))
    say(f"benchmark: {target}.md, {target}.json")
    return result


def _corpus(sources: Sequence[str | Path], folder: Path, config: Config) -> Corpus:
    settings = config.corpus
    return Corpus.build(
        Several(
            sources,
            prose_only=settings.prose_only,
            salvage=settings.salvage,
            skip_unreadable=settings.skip_unreadable,
            num_workers=config.num_threads,
            limits=settings.limits,
        ),
        folder,
        tokenizer=tokenizer_of(config.model.backbone),
        passages=settings.passages,
        max_passage_tokens=settings.max_passage_tokens,
        max_passage_words=settings.max_passage_words,
        tagger=settings.tagger,
        near_duplicates=settings.near_duplicates,
        num_workers=config.num_threads or num_cores(),
    )
