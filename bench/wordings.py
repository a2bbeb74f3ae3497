"""Does an encoder recognise paraphrases? Compares the Factbook's questions in all wordings, zero-shot.

For each country, every fact is asked in each training wording. A question counts as correct if its nearest neighbour
among the questions about that country asks for the same fact. The Factbook run's held-out wordings and test countries
are not used, so that this benchmark may be used to choose an encoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from base_quality import loaded
from common import arguments, once, report

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from openrealm.model.realm import Realm
    from openrealm.types import Question

_MAX_TOKENS = 48


def main() -> None:
    given = arguments(__doc__.splitlines()[0], backbone=("openrealm-mini", "openrealm-mini"), countries=(40, 4))
    import torch

    from openrealm.engine import engine_for
    from openrealm.evaluate.compare import mean_interval, paired_difference
    from openrealm.recipes.factbook import factbook

    torch.set_num_threads(given.threads)
    engine = engine_for(factbook())
    asked = list(islice(questions_of_countries(), given.countries))
    right = {}
    for name, projection_dim in ((given.backbone, 128), ("minilm", 384)):
        model = loaded(name, projection_dim, engine)
        right[name] = [hit for questions in asked for hit in hits(vectors(model, questions), questions)]
    ours, theirs = (mean_interval(row) for row in right.values())
    gain = paired_difference(*right.values())
    report(
        once(
            f"share of {len(right['minilm']):,} questions whose nearest neighbour is a paraphrase",
            "of 1",
            ours.mean,
            "MiniLM",
            theirs.mean,
            f"{given.backbone}, {len(asked)} countries; "
            f"difference {gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})",
            more_is_better=True,
        )
    )


def questions_of_countries() -> Iterator[list[Question]]:
    """For each country that is not in the test set, every fact in every training wording."""
    from openrealm.factbook.questions import name_in_sentence, phrase, split_of
    from openrealm.factbook.relations import RELATIONS
    from openrealm.factbook.source import countries
    from openrealm.types import Question

    for country in countries():
        if split_of(country.code) != "test":
            name = name_in_sentence(country)
            yield [
                Question(phrase(wording, name), (), relation=relation.name, subject=country.name, wording=number)
                for relation in RELATIONS
                for number, wording in enumerate(relation.wordings[:-1])
            ]


def vectors(model: Realm, questions: Sequence[Question]) -> npt.NDArray[np.float32]:
    """The query tower's unit vectors, B x D."""
    import numpy as np
    import torch

    from openrealm.text.pack import pack_query

    tokens = [np.array(model.tokenizer.encode(question.text)[0]) for question in questions]
    with torch.inference_mode():
        query_BD = model.retriever.encode_query([pack_query(ids, model.specials, _MAX_TOKENS) for ids in tokens])
    found: npt.NDArray[np.float32] = query_BD.float().cpu().numpy()
    return found


def hits(vector_BD: npt.NDArray[np.float32], questions: Sequence[Question]) -> list[bool]:
    """For each question, whether its nearest neighbour asks for the same fact."""
    import numpy as np

    score_BB = vector_BD @ vector_BD.T
    np.fill_diagonal(score_BB, -np.inf)
    return [questions[b].relation == questions[int(best)].relation for b, best in enumerate(score_BB.argmax(axis=1))]


if __name__ == "__main__":
    main()
