"""`openrealm experiment swap`: put another corpus under a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openrealm.cli.common import DEFAULT_RUN, RunOption, again, run_folder, stoppable

experiment = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@experiment.callback()
def _group() -> None:
    """Repeat the paper's experiments with a trained run."""


@experiment.command("swap")
def swap(
    corpus: Annotated[
        str,
        typer.Argument(
            metavar="CORPUS", help="Another corpus with the same tokenizer: a run, or a path to a corpus folder."
        ),
    ],
    questions: Annotated[
        Path,
        typer.Option(
            "--questions", metavar="FILE", help='Questions, one per line: text, or JSON such as {"question": …}.'
        ),
    ],
    run: RunOption = DEFAULT_RUN,
    as_json: Annotated[bool, typer.Option("--json", help="Print all answers as JSON, a question per line.")] = False,
) -> None:
    """Answer questions from another corpus with the model of a run, and show the answers that have changed.

    The model is not trained, and nothing is written. Guu et al. 2020, Appendix C, do so with a newer Wikipedia.
    """
    import dataclasses

    from openrealm.cli.show import safe_json
    from openrealm.errors import BadInput
    from openrealm.progress import show
    from openrealm.serve.asked import questions_in
    from openrealm.serve.swap import swap as swapped

    try:
        texts = [one.text for one in questions_in(questions.read_bytes().splitlines(), str(questions))]
    except OSError as error:
        raise BadInput(f"{questions} could not be read ({error.strerror}); give a file of questions.") from error
    other = corpus if Path(corpus).is_dir() else str(run_folder(corpus))
    num_changed = 0
    with stoppable(again("experiment", "swap", corpus, "--questions", str(questions), "--run", run)):
        for pair in swapped(run_folder(run), other, texts):
            num_changed += pair.is_changed
            if as_json:
                show(safe_json(dataclasses.asdict(pair) | {"is_changed": pair.is_changed}))
            elif pair.is_changed:
                show(pair.before.question)
                for name, answer in (("before", pair.before), ("after", pair.after)):
                    source = f" ({answer.source.place or answer.source.title})" if answer.source else ""
                    show(f"  {name}: {answer.text or 'no answer'}{source}")
    if not as_json:
        show(f"{num_changed} of {len(texts)} answers changed.")
