"""The paper's numbers: every default of `Config` is one; here only the name and the corpus are chosen."""

from __future__ import annotations

from openrealm.config import Config, CorpusConfig, ModelConfig


def paper(source: str = "wikipedia.jsonl") -> Config:
    """Guu et al. 2020, Sec. 4.3, on BERT-base and 288-piece passages of `source`; wants a cluster."""
    return Config(
        name="paper",
        corpus=CorpusConfig(source=source, tagger="rules"),
        model=ModelConfig(backbone="bert-base-uncased"),
    )
