"""The paper's configuration: the defaults of `Config`, with BERT-base and a corpus of Wikipedia."""

from __future__ import annotations

from openrealm.config import Config, CorpusConfig, ModelConfig


def paper(source: str = "wikipedia.jsonl") -> Config:
    """Guu et al. 2020, Sec. 4.3: BERT-base, passages of 288 word pieces from `source`. Needs a cluster."""
    return Config(
        name="paper",
        corpus=CorpusConfig(source=source, tagger="rules"),
        model=ModelConfig(backbone="bert-base-uncased"),
    )
