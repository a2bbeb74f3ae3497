"""Seconds per joint pre-training step at the Factbook recipe's shapes, against the same computation written plainly.

The peer has the same weights, queries, search, marginal and optimiser, but pads every (query, passage) pair to
`max_joint_tokens` and every query to its maximum length, and encodes every candidate separately, even if several
queries share it. The two losses are compared before anything is timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from common import arguments, duration, in_turn, report, require_same

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from openrealm.config import Config
    from openrealm.corpus.corpus import Corpus
    from openrealm.engine import Engine
    from openrealm.model.reading import Reading
    from openrealm.model.realm import Realm
    from openrealm.train.examples import Example


def main() -> None:
    given = arguments(__doc__.splitlines()[0], articles=(1_000, 150))
    import torch

    from factbook import corpus_of
    from openrealm.engine import engine_for
    from openrealm.model.realm import Realm
    from openrealm.recipes.factbook import factbook

    torch.set_num_threads(given.threads)
    config = factbook()
    engine = engine_for(config)
    with corpus_of(config, given.articles) as corpus:
        torch.manual_seed(0)
        model = Realm.from_backbone(config.model, corpus.tokenizer()).to(engine.device)
        world = World(config, model, corpus, engine)
        ours, peer = Ours(world), Peer(world)
        candidates = world.candidates(ours.queries())
        mine, theirs = (float(side.loss(candidates).detach()) for side in (ours, peer))
        print(f"losses before timing: {mine:.4f} and {theirs:.4f} nats")
        require_same("losses", abs(mine - theirs) < (0.02 if engine.bf16 else 1e-4) * abs(theirs))
        seconds = in_turn(
            {"ours": ours.step, "peer": peer.step}, num_rounds=given.rounds, max_seconds=20 if given.quick else 600
        )
    shape = f"{config.pretrain.batch_size} queries x {config.pretrain.num_candidates} candidates"
    precision = "bf16" if engine.bf16 else "fp32"
    padded = f"transformers, pairs padded to {world.num_joint_tokens}, every candidate encoded separately"
    report(duration(f"one joint step, {shape}, {precision}", seconds["ours"], padded, seconds["peer"]))


class World:
    """What both sides share: masked queries, index and candidate search."""

    def __init__(self, config: Config, model: Realm, corpus: Corpus, engine: Engine) -> None:
        from openrealm.index.index import Index
        from openrealm.train.examples import MaskedExamples

        self.config, self.model, self.corpus, self.engine = config, model, corpus, engine
        self.settings, self.with_title = config.pretrain, config.model.title_in_joint
        self.num_joint_tokens = corpus.joint_tokens(self.settings.max_query_tokens, self.settings.max_joint_tokens)
        masked = MaskedExamples(corpus, config.masking, self.settings.max_query_tokens - 2, 8, config.seed)
        self.examples: Sequence[Example] = masked.batch(0, self.settings.batch_size)
        self.index = Index.build(model, corpus, engine=engine)
        model.train()

    def candidates(self, query_BD: Tensor) -> list[list[int]]:
        """The null passage and the top passages for each query."""
        from openrealm.train.candidates import find_candidates

        return find_candidates(self.index, query_BD, self.examples, self.settings.num_candidates)

    def optimizer(self, parameters: Sequence[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """The same for both sides, with a learning rate so small that no measurement affects the next."""
        from openrealm.train.optimizer import adam

        return adam([(parameters, 1e-9)], self.settings.weight_decay)

    def apply(self, loss: Tensor, parameters: Sequence[torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
        """Backward pass, clipping and optimiser step; returns when the device has finished."""
        import torch

        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, self.settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        float(loss.detach())


class Ours:
    """The trainer's own functions."""

    def __init__(self, world: World) -> None:
        self._world = world
        model = world.model
        self._parameters = [p for p in [*model.reader.parameters(), *model.retriever.parameters()] if p.requires_grad]
        self._optimizer = world.optimizer(self._parameters)

    def queries(self) -> Tensor:
        """E_in of the masked queries."""
        from openrealm.train.candidates import query_rows

        world = self._world
        with world.engine.autocast():
            return world.model.retriever.encode_query(
                query_rows(world.corpus, world.examples, world.settings.max_query_tokens)
            )

    def loss(self, candidates: list[list[int]] | None = None) -> Tensor:
        """-log p(y|x), mean over the queries; searches for candidates if none are given."""
        from openrealm.train.candidates import pack_candidates

        world, query_BD = self._world, self.queries()
        with world.engine.autocast():
            inputs = pack_candidates(
                world.corpus,
                world.examples,
                candidates or world.candidates(query_BD),
                world.settings,
                with_title=world.with_title,
            )
            reading: Reading = world.model(inputs, query_BD)
        return reading.marginal_loss().mean()

    def step(self) -> None:
        """One training step."""
        self._world.apply(self.loss(), self._parameters, self._optimizer)


class Peer:
    """The same computation with `transformers.BertModel`, with everything padded and nothing shared."""

    def __init__(self, world: World) -> None:
        import copy

        from transformers import BertConfig, BertModel

        self._world = world
        model = world.model
        make: Any = BertModel
        # A separate configuration with the library's attention: our encoder modifies its own.
        config = BertConfig.from_dict(model.backbone_settings, attn_implementation="sdpa")
        encoders = (model.retriever.passage_tower.encoder, model.reader.encoder)
        self._tower, self._reader = (make(config, add_pooling_layer=False) for _ in encoders)
        for bert, encoder in zip((self._tower, self._reader), encoders, strict=True):
            bert.to(encoder.device).train().load_state_dict(encoder.backbone.state_dict())
            bert.get_input_embeddings().requires_grad_(not world.config.model.freeze_embeddings)
        self._projection = copy.deepcopy(model.retriever.passage_tower.projection)
        self._head = copy.deepcopy(model.reader.head)
        modules = (self._tower, self._reader, self._projection, self._head)
        self._parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        self._optimizer = world.optimizer(self._parameters)

    def loss(self, candidates: list[list[int]] | None = None) -> Tensor:
        """-log p(y|x), mean over the queries; searches for candidates if none are given."""
        import torch

        world, settings, corpus = self._world, self._world.settings, self._world.corpus
        num_queries = len(world.examples)
        with world.engine.autocast():
            queries = [corpus.query_row(e.query, settings.max_query_tokens) for e in world.examples]
            query_BD = self._embed(queries, settings.max_query_tokens) / world.config.model.temperature
            chosen = candidates or world.candidates(query_BD)
            rows = [corpus.passage_row(p) for row in chosen for p in row]
            passage_BKD = self._embed(rows, corpus.max_row_tokens).view(num_queries, -1, query_BD.shape[1])
            score_BK = (query_BD[:, None] * passage_BKD).sum(dim=2)
            read_BK = self._read(chosen)
        return -torch.logsumexp(torch.log_softmax(score_BK, dim=1) + read_BK, dim=1).mean()

    def step(self) -> None:
        """One training step."""
        self._world.apply(self.loss(), self._parameters, self._optimizer)

    def _hidden(self, bert: Any, rows: Sequence[Any], num_tokens: int) -> tuple[Tensor, Tensor]:
        """Hidden states and mask of rows padded to `num_tokens`."""
        import torch

        ids = torch.full((len(rows), num_tokens), self._world.corpus.specials.pad)
        mask, segments = torch.zeros_like(ids), torch.zeros_like(ids)
        for n, row in enumerate(rows):
            ids[n, : len(row)] = torch.from_numpy(row.ids)
            mask[n, : len(row)] = 1
            segments[n, row.second : len(row)] = 1
        ids, mask, segments = ids.to(bert.device), mask.to(bert.device), segments.to(bert.device)
        return bert(ids, attention_mask=mask, token_type_ids=segments).last_hidden_state, mask

    def _embed(self, rows: Sequence[Any], num_tokens: int) -> Tensor:
        import torch

        hidden, mask = self._hidden(self._tower, rows, num_tokens)
        pooled = (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return torch.nn.functional.normalize(self._projection(pooled).float(), dim=1)

    def _read(self, candidates: list[list[int]]) -> Tensor:
        """log p(y|z,x) of each query and candidate, B x K."""
        import torch

        world = self._world
        pairs = [(example, p) for example, row in zip(world.examples, candidates, strict=True) for p in row]
        num_tokens = world.num_joint_tokens
        rows = [
            world.corpus.joint_row(example.query, passage, num_tokens, with_title=world.with_title)[0]
            for example, passage in pairs
        ]
        hidden, _ = self._hidden(self._reader, rows, num_tokens)
        places = [(n, place + 1) for n, (example, _) in enumerate(pairs) for place in example.positions]
        row_M, place_M = torch.tensor(places, device=hidden.device).T
        gold_M = torch.tensor([token for example, _ in pairs for token in example.gold], device=hidden.device)
        logits = self._head(hidden[row_M, place_M], self._reader.get_input_embeddings().weight)
        logp_M = torch.log_softmax(logits, dim=1).gather(1, gold_M[:, None])[:, 0]
        return torch.zeros(len(pairs), device=hidden.device).index_add(0, row_M, logp_M).view(len(candidates), -1)


if __name__ == "__main__":
    main()
