"""How long a run will take: a few seconds of measuring this machine, compared with a machine whose times are known."""

from __future__ import annotations

import time
from collections.abc import Iterable

from openrealm.config import Config
from openrealm.engine import Engine
from openrealm.recipes.factbook import factbook
from openrealm.run.stages import Stage

# The machine whose times are in the table of stages: two cores that train at this speed, on the quickstart's corpus.
# Copy "seconds" of the quickstart's report.json into the table again when the recipe changes.
REFERENCE_TOKENS_PER_SECOND = 15_900.0
REFERENCE_PASSAGES = 25_082
_MEASURED_SECONDS = 2.5
_BATCH, _TOKENS = 16, 96


def tokens_per_second(config: Config, engine: Engine) -> float:
    """Word pieces per second through the run's encoder, forward and backward, as in training. Takes 3 seconds."""
    import torch

    from openrealm.model.encoder import load_backbone

    backbone = load_backbone(config.model.backbone, num_layers=config.model.num_layers, dropout=config.model.dropout)
    backbone.to(engine.device).train()
    id_BT = torch.full((_BATCH, _TOKENS), 5, device=engine.device)
    num_done, started = -1, time.perf_counter()
    while num_done < 1 or time.perf_counter() - started < _MEASURED_SECONDS:
        with engine.autocast():
            loss = backbone(input_ids=id_BT, attention_mask=torch.ones_like(id_BT)).last_hidden_state.float().square()
        loss.mean().backward()
        float(loss.detach()[0, 0, 0])  # waits for the GPU
        num_done += 1
        if num_done == 0:  # the first pass is a warm-up
            started = time.perf_counter()
    return num_done * _BATCH * _TOKENS / (time.perf_counter() - started)


def expected_seconds(config: Config, stages: Iterable[Stage], num_passages: int, speed: float) -> dict[str, float]:
    """Seconds by stage at `speed` tokens per second: the reference machine's times, scaled by speed and work."""
    known = factbook()
    slowdown = REFERENCE_TOKENS_PER_SECOND / speed
    return {
        stage.name: stage.seconds
        * (slowdown if stage.on_encoder else 1.0)
        * stage.pieces(config, num_passages)
        / stage.pieces(known, REFERENCE_PASSAGES)
        for stage in stages
    }
