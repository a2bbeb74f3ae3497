"""How long a run will take: a few seconds of measuring this machine, against what each stage took on a known one."""

from __future__ import annotations

import time
from collections.abc import Sequence

from openrealm.config import Config
from openrealm.engine import Engine
from openrealm.recipes.quickstart import quickstart

# Seconds of each stage of `openrealm quickstart` on two cores that train at REFERENCE_TOKENS_PER_SECOND, from its own
# report.json ("seconds"). Measure anew when the recipe changes.
REFERENCE_TOKENS_PER_SECOND = 15_900.0
REFERENCE_PASSAGES = 25_082
REFERENCE_SECONDS = {
    "corpus": 5.0,
    "questions": 1.0,
    "warm_start": 52.0,
    "index": 18.0,
    "pretrain": 180.0,
    "frozen_towers": 84.0,
    "index_pretrained": 18.0,
    "finetune_closed_book": 9.0,
    "finetune_bm25": 55.0,
    "finetune_warm_start": 69.0,
    "finetune_realm": 69.0,
    "evaluate": 27.0,
}
_MEASURED_SECONDS = 2.5
_BATCH, _TOKENS = 16, 96


def tokens_per_second(config: Config, engine: Engine) -> float:
    """Word pieces a second through the run's encoder, forward and backward, as training would: about 3 seconds."""
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
        float(loss.detach()[0, 0, 0])  # a GPU is done only when its number has come back
        num_done += 1
        if num_done == 0:  # the first pass only warms up
            started = time.perf_counter()
    return num_done * _BATCH * _TOKENS / (time.perf_counter() - started)


def expected_seconds(config: Config, stages: Sequence[str], num_passages: int, speed: float) -> dict[str, float]:
    """Seconds that each of `stages` will take at `speed` tokens a second: the reference's, scaled by the work."""
    known = quickstart()
    slower = REFERENCE_TOKENS_PER_SECOND / speed
    return {
        stage: REFERENCE_SECONDS[stage]
        * (1.0 if stage in ("corpus", "questions") else slower)
        * work(stage, config, num_passages)
        / work(stage, known, REFERENCE_PASSAGES)
        for stage in stages
    }


def work(stage: str, config: Config, num_passages: int) -> float:
    """How much a stage has to do, roughly in word pieces, so that two configurations can be compared."""
    corpus, warm, joint, tune = config.corpus, config.warm_start, config.pretrain, config.finetune
    if stage in ("corpus", "index", "index_pretrained"):
        return max(1, num_passages) * corpus.max_passage_tokens
    if stage == "warm_start":
        pairs = warm.ict_batch * (warm.max_query_tokens + corpus.max_passage_tokens)
        return max(1, warm.num_steps * (pairs + warm.mlm_batch * joint.max_joint_tokens))
    if stage in ("pretrain", "frozen_towers"):
        read = joint.num_candidates * (joint.max_joint_tokens + corpus.max_passage_tokens)
        queries = float(joint.num_steps * joint.batch_size)
        queries += joint.num_heldout_queries * (joint.num_steps / joint.eval_steps) / 3  # forward passes alone
        return queries * read
    if stage == "questions":
        return 1.0
    if stage == "evaluate":
        return tune.num_candidates * tune.max_reader_tokens
    return tune.num_steps * tune.batch_size * tune.num_candidates * tune.max_reader_tokens
