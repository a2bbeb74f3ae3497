"""The last step of building a corpus: its shards are concatenated and published as one folder."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from openrealm import files
from openrealm.corpus.inverted import Inverter
from openrealm.corpus.layout import ARTICLE_ROWS, PASSAGE_ROWS, VALIDITY
from openrealm.corpus.ragged import IntArray, RaggedWriter
from openrealm.corpus.shards import TABLE_FILE, Arrays, Shards, new_passages
from openrealm.corpus.tagger import KINDS
from openrealm.progress import track
from openrealm.text.tokenizer import TOKENIZER_FILE


def join(
    shards: Shards,
    cuts: list[dict[str, Any]],
    tags: list[dict[str, Any]],
    is_repeated: npt.NDArray[np.bool_],
    group_N: npt.NDArray[np.int64],
    ranges: tuple[IntArray, IntArray],
    folder: Path,
    manifest: dict[str, Any],
) -> None:
    """Publish finished shards as `folder`.

    cuts, tags   manifests of both parts of every shard, in order
    is_repeated  for each passage that was cut, whether it is skipped
    group_N      the group of each of the others
    ranges       the days when each of the others is valid, as values and ends of rows
    manifest     first entries of the folder's manifest; counts and digests are added
    """
    with files.new_folder(folder, manifest) as temporary:
        shutil.copyfile(shards.folder / TOKENIZER_FILE, temporary / TOKENIZER_FILE)
        files.write_bytes(temporary / "groups.bin", group_N.astype("<u4").tobytes())
        with RaggedWriter(temporary, "validity", VALIDITY["validity"][0]) as rows:
            rows.extend(*ranges)
        columns = _Columns(temporary, shards.token_type)
        inverter = Inverter(temporary, shards.folder / "spill", group_N, shards.vocab_size, len(cuts))
        with columns, inverter, track("corpus: joining shards", len(group_N)) as advance:
            last = 0
            for cut, tag in zip(cuts, tags, strict=True):
                first, last = last, last + cut["num_passages"]
                new = new_passages(shards.arrays("cut", cut["shard"]), ~is_repeated[first:last])
                arrays = new | shards.arrays("tagged", cut["shard"])
                columns.extend(arrays)
                inverter.extend(arrays)
                table = shards.part("tagged", cut["shard"]) / TABLE_FILE
                _link(table, temporary / f"passages-{cut['shard']:05}.parquet")
                advance(tag["num_passages"])
            inverter.finish()
        manifest |= {"corpus_digest": columns.digest(manifest["settings"]), "token_type": shards.token_type}
        manifest |= {"num_passages": len(group_N), "num_repeated_passages": int(is_repeated.sum()), **columns.counts()}
        manifest["num_spans"] = {kind: sum(tag["num_spans"][kind] for tag in tags) for kind in KINDS}


class _Columns:
    """The flat files of a corpus, to which one shard after another is appended."""

    def __init__(self, folder: Path, token_type: str) -> None:
        with ExitStack() as stack:
            self._rows = {
                name: stack.enter_context(RaggedWriter(folder, name, token_type if dtype == "token" else dtype))
                for name, (dtype, _) in (PASSAGE_ROWS | ARTICLE_ROWS).items()
            }
            self._numbers = {
                name: stack.enter_context(files.new_file(folder / f"{name}.bin"))
                for name in ("ids", "bounds", "articles")
            }
            self._stack = stack.pop_all()
        self._ids = hashlib.sha256()
        self.num_articles = 0

    def extend(self, shard: Arrays) -> None:
        """Append the columns of one shard."""
        for name, rows in self._rows.items():
            rows.extend(shard[name], shard[f"{name}.ends"])
        self._ids.update(shard["ids"].data)
        for name, file in self._numbers.items():
            base = self.num_articles if name == "articles" else 0
            file.write((shard[name] + shard[name].dtype.type(base)).data)
        self.num_articles += len(shard["article_ids.ends"])

    def counts(self) -> dict[str, int]:
        """Number of articles and tokens written so far."""
        return {"num_articles": self.num_articles, "num_tokens": self._rows["body"].num_values}

    def digest(self, settings: dict[str, Any]) -> str:
        """Digest of a corpus: of its passages' ids in order, and of its settings."""
        return files.digest_of({"passages": self._ids.hexdigest(), "settings": settings})

    def __enter__(self) -> _Columns:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _link(source: Path, target: Path) -> None:
    """Hard-link a finished file, or copy it if the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
