"""The whole model of Guu et al. 2020: retriever, masked-token reader and span reader."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, overload

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Le
from torch import Tensor, nn
from typing_extensions import TypedDict

from openrealm import files, hub
from openrealm.config import Config, ModelConfig
from openrealm.corpus.corpus import Corpus
from openrealm.engine import Engine, engine_for
from openrealm.errors import BadConfig, BadInput, DamagedArtefact, Mismatch
from openrealm.model.answering import Answering
from openrealm.model.compact import compacted, expanded, expanded_shapes
from openrealm.model.embedder import embed_corpus, save_tower
from openrealm.model.encoder import Encoder, backbone_from_config, load_backbone
from openrealm.model.heads import stored_heads, take_head, take_projection
from openrealm.model.reader import Reader
from openrealm.model.reading import JointInputs, Reading, read_jointly
from openrealm.model.retriever import Retriever, Tower
from openrealm.model.span_reader import SpanReader
from openrealm.model.state import built_to_fit, load_unique_state, shapes_in, unique_state
from openrealm.model.weights import answers_questions, backbone_location, kind_of, locate, max_row_tokens
from openrealm.progress import track
from openrealm.stored import Size
from openrealm.text.pack import Row, Specials, Tokens, chunks_by_length, pack_passage, pack_query
from openrealm.text.tokenizer import TOKENIZER_FILE, Tokenizer
from openrealm.types import Passage

PassageLike = str | tuple[str, str] | Passage
"""A passage to encode: its text alone, a (title, text) pair, or a passage of a corpus."""

_WEIGHTS, _SETTINGS = "model.safetensors", "config.json"
_QUERY_TOWER = "retriever.query_tower."
# What suits an encoder that was not trained as the paper's towers: the mean of its states keeps what it knows.
_ENCODER_SETTINGS: dict[str, Any] = {
    "pooling": "mean",
    "shared_towers": True,
    "normalize": True,
    "temperature": 0.05,
    "title_in_joint": True,
}


class _Saved(TypedDict):
    """config.json of a saved model."""

    model: dict[str, Any]
    backbone: dict[str, Any]
    max_span_tokens: Annotated[Size, Le(1000)]
    has_span_reader: bool
    has_trained_head: bool
    aliases: dict[str, str]
    answering: Answering | None


class Realm(nn.Module):
    """A retriever and readers that share a vocabulary (Guu et al. 2020, Sec. 3).

    retriever    two towers that map queries and passages to vectors, whose inner product is the score f(x, z)
    reader       p(y|z,x) for masked tokens, used in pre-training
    span_reader  p(y|z,x) for answer spans, used for question answering; None until `add_span_reader` or fine-tuning

    Each part has encoder weights of its own, all initialised from one backbone.

    >>> import openrealm
    >>> model = openrealm.Realm.from_pretrained("openrealm-mini")
    >>> query = model.encode_query("What is the capital of Peru?")
    >>> passages = model.encode_passage(["Lima is the capital of Peru.", "Bread is made of flour and water."])
    >>> query.shape, passages.shape
    ((128,), (2, 128))
    >>> int((passages @ query).argmax())
    0
    """

    def __init__(
        self, config: ModelConfig, backbone: nn.Module, tokenizer: Tokenizer, max_span_tokens: int = 10
    ) -> None:
        """A model whose encoders are copies of `backbone`; `from_pretrained` is the usual way to make one.

        max_span_tokens  longest answer that a span reader may give, in word pieces

        >>> from openrealm.model.encoder import load_backbone
        >>> from openrealm.model.weights import tokenizer_of
        >>> config = ModelConfig(projection_dim=64)
        >>> Realm(config, load_backbone("openrealm-mini"), tokenizer_of("openrealm-mini")).encode_query("Lima").shape
        (64,)
        """
        super().__init__()
        num_embeddings = int(backbone.get_input_embeddings().weight.shape[0])  # type: ignore[operator]
        if num_embeddings < tokenizer.vocab_size:
            raise Mismatch(
                f"The tokenizer has {tokenizer.vocab_size:,} word pieces, but the encoder has embeddings for "
                f"{num_embeddings:,}; give a tokenizer and an encoder that belong together."
            )
        self.config = config
        self.tokenizer = tokenizer
        self.specials = Specials.of(tokenizer)
        self.backbone_settings: dict[str, Any] = backbone.config.to_dict()  # type: ignore[operator, union-attr]

        def encoder() -> Encoder:
            return Encoder(copy.deepcopy(backbone), tokenizer.pad_id, freeze_embeddings=config.freeze_embeddings)

        tower = Tower.from_config(encoder(), config)
        self.retriever = Retriever(tower, shared=config.shared_towers, temperature=config.temperature)
        self.reader = Reader(encoder(), tokenizer.vocab_size, norm_eps=config.norm_eps)
        self.span_reader: SpanReader | None = None
        self.max_span_tokens = max_span_tokens
        self.has_trained_head = False  # whether the masked-token head was trained already
        self.answering: Answering | None = None  # chosen on held-out questions, for a model that answers as it is

    @classmethod
    def from_backbone(cls, config: ModelConfig, tokenizer: Tokenizer) -> Realm:
        """A fresh model on the encoder that `config.backbone` names, or a saved model of that name as it is.

        Of `config`, a saved model takes over `freeze_embeddings` only. A masked-token head stored with an encoder is
        loaded, and so is a retrieval projection if the towers of `config` use mean pooling and have its number of
        dimensions.

        >>> from openrealm.model.weights import tokenizer_of
        >>> model = Realm.from_backbone(ModelConfig(backbone="openrealm-mini"), tokenizer_of("openrealm-mini"))
        >>> model.config.pooling, model.retriever.query_tower is model.retriever.passage_tower
        ('cls', False)
        """
        location = backbone_location(config.backbone)
        if answers_questions(config.backbone):
            return cls._saved(Path(location), freeze_embeddings=config.freeze_embeddings)
        return cls._on(config, tokenizer, location)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        device: str | torch.device | None = None,
        **settings: Any,
    ) -> Realm:
        """Load a saved model, or start a fresh one from an encoder.

        name_or_path      a folder written by `save_pretrained` (files are checked against their digests); the id of
                          such a model on the Hugging Face Hub; or an encoder: "openrealm-mini" or "minilm", a folder
                          or the hub id of any BERT-like encoder in safetensors format. A `Path` is always a folder.
        revision          branch, tag or commit on the hub
        cache_dir         cache for downloads; by default the hub's own, which HF_HOME moves
        token             access token for the hub; None uses the one stored by `hf auth login`
        local_files_only  use the cache without asking the hub; HF_HUB_OFFLINE=1 does the same
        device            where to put the model, such as "cuda"; the CPU by default
        settings          fields of `openrealm.config.ModelConfig`, for a fresh model only

        A fresh model on an encoder has shared, mean-pooled towers with vectors of length 1, a temperature of 0.05, and
        a reader that sees titles. An encoder made by `openrealm base train` (such as "openrealm-mini") brings a trained
        projection and masked-token head; elsewhere both are initialised, the same way every time, and need training.
        Give `pooling="cls", shared_towers=False, normalize=False, temperature=1.0, title_in_joint=False` for the model
        of the paper.

        The model is in evaluation mode; call `train()` to train it.

        Raises BadInput if there is no such model, DamagedArtefact naming a damaged file, BadConfig for settings.

        >>> model = Realm.from_pretrained("openrealm-mini", projection_dim=64)
        >>> model.config.projection_dim, model.training
        (64, False)
        """
        folder = locate(
            name_or_path, revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only
        )
        try:
            if kind_of(folder, str(name_or_path)) != "model":
                model = cls._fresh(folder, str(name_or_path), settings)
            elif settings:
                raise BadConfig(
                    f"{name_or_path} is a saved model, whose settings are fixed; omit {', '.join(sorted(settings))}."
                )
            else:
                model = cls._saved(folder)
        except DamagedArtefact as error:
            if not hub.is_cached(folder):
                raise
            raise DamagedArtefact(f"{error} It is cached; delete {folder.parents[1]} to download it again.") from error
        return model.eval().to(device)

    @classmethod
    def _saved(cls, folder: Path, **changes: Any) -> Realm:
        """The model in `folder`, with `changes` of its `ModelConfig` that its weights do not depend on."""
        manifest = files.read_manifest(folder, needs=(_WEIGHTS, _SETTINGS, TOKENIZER_FILE), ignore=(hub.CARD,))
        path, remedy = folder / _SETTINGS, "save the model again"
        settings = files.read_json(path, _Saved, remedy)
        try:
            config = ModelConfig(**settings["model"] | changes)
        except BadConfig as error:
            raise DamagedArtefact(f"{path} was written by another version of openrealm ({error}); {remedy}.") from error
        tokenizer = Tokenizer.from_folder(folder)
        if manifest.get("tokenizer_digest") != tokenizer.digest:
            raise DamagedArtefact(f"{folder / TOKENIZER_FILE} is not the tokenizer of the model; {remedy}.")
        shapes = expanded_shapes(shapes_in(folder / _WEIGHTS), settings["aliases"], folder / _WEIGHTS)

        def build() -> Realm:
            model = cls(config, backbone_from_config(settings["backbone"]), tokenizer, settings["max_span_tokens"])
            model.has_trained_head = settings["has_trained_head"]
            if settings["has_span_reader"]:
                model.add_span_reader()
            if any(name.startswith(_QUERY_TOWER) for name in shapes):
                model.retriever.untie()  # fine-tuning trained the query tower apart from the passage tower
            return model

        model = built_to_fit(build, shapes, settings["backbone"], folder / _WEIGHTS, path)
        state = expanded(files.read_safetensors(folder / _WEIGHTS), settings["aliases"])
        load_unique_state(model, state, folder / _WEIGHTS)
        model.answering = settings["answering"]
        return model

    @classmethod
    def _fresh(cls, folder: Path, name: str, settings: Mapping[str, Any]) -> Realm:
        """A model on the encoder in `folder`, with the defaults of `from_pretrained`."""
        known = {field.name for field in dataclasses.fields(ModelConfig)} - {"backbone"}
        if unknown := sorted(settings.keys() - known):
            raise BadConfig(f"{unknown[0]!r} is not a setting of a model; the settings are {', '.join(sorted(known))}.")
        defaults = dict(_ENCODER_SETTINGS)
        if kind_of(folder) == "base":
            trained = files.read_manifest(folder, ignore=(hub.CARD,))["settings"]
            defaults |= {key: trained[key] for key in ("projection_dim", "temperature")}
        config = ModelConfig(**{**defaults, **settings, "backbone": name})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # heads that the encoder lacks are initialised alike in every process
            return cls._on(config, Tokenizer.from_folder(folder), str(folder))

    @classmethod
    def _on(cls, config: ModelConfig, tokenizer: Tokenizer, location: str) -> Realm:
        """A fresh model on the encoder in the folder `location`."""
        backbone = load_backbone(location, num_layers=config.num_layers, dropout=config.dropout)
        model = cls(config, backbone, tokenizer)
        stored = stored_heads(location)
        model.has_trained_head = take_head(model.reader.head, stored)
        if config.pooling == "mean":
            for tower in (model.retriever.query_tower, model.retriever.passage_tower):
                take_projection(tower.projection, stored)
        return model

    def save_pretrained(
        self, folder: str | Path, *, compact: bool = False, bits: Literal[8, 16] = 8, key: str | None = None
    ) -> None:
        """Write weights (safetensors), configuration, tokenizer and a model card into `folder`, atomically.

        A model saved there before is replaced.

        compact  store matrices in 8 bits with a scale per row, and equal tensors once: a quarter of the size or less,
                 and no longer exactly the same model
        bits     if compact: 16 stores what 8 bits would round, such as trained weights, in 16
        key      stored in the manifest as "build_key", if given
        Raises BadInput if the folder holds anything else, NonFinite if a weight is not finite.

        >>> import tempfile
        >>> model = Realm.from_pretrained("openrealm-mini")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_pretrained(f"{folder}/model")
        ...     again = Realm.from_pretrained(f"{folder}/model")
        >>> again.passage_digest() == model.passage_digest()
        True
        """
        self._save(Path(folder).expanduser(), bits=bits if compact else None, key=key)

    def _save(
        self, folder: Path, hub_id: str | None = None, *, bits: Literal[8, 16] | None = None, key: str | None = None
    ) -> None:
        """Save in `folder`; the card says to load the model by `hub_id`, if it has one."""
        _check_replaceable(folder)
        tensors, aliases = compacted(unique_state(self), bits) if bits else (unique_state(self), {})
        settings = {
            "model": dataclasses.asdict(self.config),
            "backbone": self.backbone_settings,
            "max_span_tokens": self.max_span_tokens,
            "has_span_reader": self.span_reader is not None,
            "has_trained_head": self.has_trained_head,
            "aliases": aliases,
            "answering": self.answering and dataclasses.asdict(self.answering),
        }
        manifest = {"kind": "model", "tokenizer_digest": self.tokenizer.digest}
        manifest |= {files.KEY: key} if key is not None else {}
        with files.new_folder(folder, manifest) as out:
            files.write_safetensors(out / _WEIGHTS, tensors)
            files.write_json(out / _SETTINGS, settings)
            files.write_text(out / hub.CARD, self._card(hub_id))
            self.tokenizer.save(out)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        token: str | bool | None = None,
        commit_message: str = "Upload openrealm model",
        revision: str | None = None,
    ) -> str:
        """Upload the model to the Hugging Face Hub and return the URL of its page.

        repo_id         "OWNER/NAME"; created if it does not exist
        private         visibility of a repository that is created
        token           access token; None uses the one stored by `hf auth login`
        commit_message  first line of the commit
        revision        branch to commit to, created if necessary; the default branch if None

        Raises BadInput if the hub refuses or cannot be reached.

        >>> model = Realm.from_pretrained("openrealm-mini")
        >>> model.push_to_hub("me/my-realm")  # doctest: +SKIP
        'https://huggingface.co/me/my-realm'
        """
        with tempfile.TemporaryDirectory(prefix="openrealm-") as temporary:
            folder = Path(temporary) / "model"
            self._save(folder, repo_id)
            return hub.upload(
                folder, repo_id, private=private, token=token, commit_message=commit_message, revision=revision
            )

    def _card(self, hub_id: str | None) -> str:
        """The model card, in Markdown with the metadata that the Hugging Face Hub reads."""
        own = unique_state(self)
        towers = "shared" if self.retriever.query_tower is self.retriever.passage_tower else "separate"
        readers = "masked-token reader" + ("" if self.span_reader is None else " and span reader")
        facts = {
            "encoder": f"{self.backbone_settings['model_type']}, hidden size {self.reader.encoder.hidden_size}",
            "towers": f"{towers}, {self.config.pooling} pooling, {self.config.projection_dim} dimensions",
            "readers": readers,
            "vocabulary": f"{self.tokenizer.vocab_size:,} word pieces",
            "parameters": f"{sum(tensor.numel() for tensor in own.values()):,}",
        }
        return "\n".join(
            [
                "---",
                "library_name: openrealm",
                "tags: [realm, retrieval, question-answering]",
                "---",
                "",
                f"# {hub_id.rpartition('/')[2] if hub_id else 'A REALM model'}",
                "",
                "A language model that retrieves what it needs to know, trained with openrealm "
                "([REALM](https://arxiv.org/abs/2002.08909), Guu et al. 2020).",
                "",
                "```python",
                "import openrealm as orm",
                "",
                f'model = orm.Realm.from_pretrained("{hub_id or "path/to/this/folder"}")',
                'query = model.encode_query("Where is the library?")',
                'passages = model.encode_passage([("Library", "The library is on Mill Street."), "Bread is baked."])',
                "scores = passages @ query",
                "```",
                "",
                "| | |",
                "|---|---|",
                *(f"| {what} | {fact} |" for what, fact in facts.items()),
                "",
            ]
        )

    def forward(self, inputs: JointInputs, query_BD: Tensor | None = None) -> Reading:
        """Scores of the candidates by both towers, and the reader's log-probabilities of the masked tokens.

        inputs    queries and candidates as encoder inputs, see `train.candidates.pack_candidates`
        query_BD  query vectors, if they are known already

        >>> import torch
        >>> from openrealm.text.pack import pack_joint, pack_passage, pack_query
        >>> model = Realm.from_pretrained("openrealm-mini")
        >>> ids = lambda text: model.tokenizer.encode(text)[0]
        >>> query, body = [*ids("the library is in"), model.specials.mask], ids("the library is in boston .")
        >>> inputs = JointInputs(
        ...     query_rows=[pack_query(query, model.specials, 32)],
        ...     passage_rows=[pack_passage((), text, model.specials, 32) for text in ((), body)],
        ...     place_BK=torch.tensor([[0, 1]]),
        ...     valid_BK=torch.tensor([[True, True]]),
        ...     joint_rows=[pack_joint(query, text, model.specials, 64)[0] for text in ((), body)],
        ...     positions=[[len(query)]],
        ...     gold=[ids("boston")],
        ... )
        >>> reading = model(inputs)
        >>> reading.score_BK.shape, bool(reading.gold_logp_BKJ[0, 1, 0] > reading.gold_logp_BKJ[0, 0, 0])
        (torch.Size([1, 2]), True)
        """
        return read_jointly(self.retriever, self.reader, inputs, query_BD)

    def embed_corpus(
        self,
        corpus: Corpus,
        *,
        engine: Engine | None = None,
        progress: Callable[[int], None] | None = None,
        passages: npt.NDArray[np.integer] | None = None,
    ) -> Tensor:
        """Vectors of all passages of `corpus`, N x D, float32, on the CPU: what an `Index` is built from.

        A vector does not depend on which other passages are embedded.

        engine    device and precision; by default those that suit the machine
        progress  called with the number of passages after each batch
        passages  numbers of the passages to embed, in the order of the result; by default all

        >>> import openrealm as orm
        >>> corpus = orm.Corpus.build("my_docs/", "corpus/")
        >>> model = Realm.from_pretrained("openrealm-mini")
        >>> model.embed_corpus(corpus).shape == (corpus.num_passages, 128)
        True
        """
        return embed_corpus(self.retriever.passage_tower, corpus, engine or engine_for(Config()), progress, passages)

    def save_passage_tower(self, folder: Path) -> str:
        """Write the passage tower as it is now, for another process; returns its digest."""
        return save_tower(self.retriever.passage_tower, self.config, self.backbone_settings, folder)

    def passage_digest(self) -> str:
        """SHA-256 of the passage tower's weights: what an index is bound to.

        >>> len(Realm.from_pretrained("openrealm-mini").passage_digest())
        64
        """
        return self.retriever.passage_tower.digest()

    def add_span_reader(self) -> SpanReader:
        """Attach a span reader whose encoder is initialised from the masked-token reader's.

        >>> model = Realm.from_pretrained("openrealm-mini")
        >>> model.add_span_reader() is model.span_reader
        True
        """
        encoder, config = copy.deepcopy(self.reader.encoder), self.config
        self.span_reader = SpanReader(encoder, config.span_hidden, self.max_span_tokens, norm_eps=config.span_norm_eps)
        return self.span_reader

    @property
    def device(self) -> torch.device:
        """Where the weights are.

        >>> Realm.from_pretrained("openrealm-mini").device
        device(type='cpu')
        """
        return self.reader.encoder.device

    @overload
    def encode_query(
        self,
        texts: str | Iterable[str],
        *,
        batch_size: int = ...,
        show_progress_bar: bool | None = ...,
        convert_to_numpy: bool = ...,
        convert_to_tensor: Literal[True],
        max_tokens: int = ...,
    ) -> Tensor: ...

    @overload
    def encode_query(
        self,
        texts: str | Iterable[str],
        *,
        batch_size: int = ...,
        show_progress_bar: bool | None = ...,
        convert_to_numpy: Literal[True] = ...,
        convert_to_tensor: Literal[False] = ...,
        max_tokens: int = ...,
    ) -> npt.NDArray[np.float32]: ...

    @overload
    def encode_query(
        self,
        texts: str | Iterable[str],
        *,
        batch_size: int = ...,
        show_progress_bar: bool | None = ...,
        convert_to_numpy: bool = ...,
        convert_to_tensor: bool = ...,
        max_tokens: int = ...,
    ) -> Tensor | npt.NDArray[np.float32]: ...

    def encode_query(
        self,
        texts: str | Iterable[str],
        *,
        batch_size: int = 32,
        show_progress_bar: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        max_tokens: int = 64,
    ) -> Tensor | npt.NDArray[np.float32]:
        """Vectors of queries; their inner product with `encode_passage` is the score f(x, z).

        texts              one query, or several
        batch_size         queries per forward pass; those of similar length are batched together
        show_progress_bar  report progress on standard error
        convert_to_numpy   return a float32 array; otherwise a tensor
        convert_to_tensor  return a tensor on the model's device; takes precedence
        max_tokens         word pieces of a query with its special tokens; the rest is cut off

        Returns one vector (D) for one query, else a matrix (B, D) in the order of `texts`.

        >>> model = Realm.from_pretrained("openrealm-mini")
        >>> model.encode_query(["Who founded Lima?", "Where is Peru?"]).shape
        (2, 128)
        >>> model.encode_query("Who founded Lima?", convert_to_tensor=True).shape
        torch.Size([128])
        """
        single = isinstance(texts, str)
        queries = [texts] if isinstance(texts, str) else list(texts)
        for number, query in enumerate(queries):
            if not isinstance(query, str):
                raise BadInput(f"Query {number} is of type {type(query).__name__}, but a str is expected.")
        limit = self._limit(max_tokens)
        rows = [pack_query(ids, self.specials, limit) for ids in self._token_ids(queries)]
        vector_BD = self._encode(self.retriever.query_tower, rows, batch_size, "queries" if show_progress_bar else "")
        vector_BD /= self.retriever.temperature
        return _returned(vector_BD, single, as_tensor=convert_to_tensor or not convert_to_numpy)

    @overload
    def encode_passage(
        self,
        passages: PassageLike | Iterable[PassageLike],
        *,
        batch_size: int = ...,
        show_progress_bar: bool | None = ...,
        convert_to_numpy: bool = ...,
        convert_to_tensor: Literal[True],
        max_tokens: int = ...,
    ) -> Tensor: ...

    @overload
    def encode_passage(
        self,
        passages: PassageLike | Iterable[PassageLike],
        *,
        batch_size: int = ...,
        show_progress_bar: bool | None = ...,
        convert_to_numpy: Literal[True] = ...,
        convert_to_tensor: Literal[False] = ...,
        max_tokens: int = ...,
    ) -> npt.NDArray[np.float32]: ...

    @overload
    def encode_passage(
        self,
        passages: PassageLike | Iterable[PassageLike],
        *,
        batch_size: int = ...,
        show_progress_bar: bool | None = ...,
        convert_to_numpy: bool = ...,
        convert_to_tensor: bool = ...,
        max_tokens: int = ...,
    ) -> Tensor | npt.NDArray[np.float32]: ...

    def encode_passage(
        self,
        passages: PassageLike | Iterable[PassageLike],
        *,
        batch_size: int = 32,
        show_progress_bar: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        max_tokens: int = 288,
    ) -> Tensor | npt.NDArray[np.float32]:
        """Vectors of passages; their inner product with `encode_query` is the score f(x, z).

        passages    one passage, or several, each a text without a title, a (title, text) pair or an openrealm
                    `Passage`; a tuple of two strings is always a pair, so give several texts in a list
        max_tokens  word pieces of title and text with the special tokens; the rest is cut off

        The other keywords are those of `encode_query`. Returns one vector (D) for one passage, else a matrix (N, D) in
        the order of `passages`.

        >>> model = Realm.from_pretrained("openrealm-mini")
        >>> passages = [("Lima", "It is the capital of Peru."), "Bread is made of flour and water."]
        >>> vectors = model.encode_passage(passages)
        >>> vectors.shape
        (2, 128)
        >>> int((vectors @ model.encode_query("What is the capital of Peru?")).argmax())
        0
        """
        single = isinstance(passages, str | Passage) or _is_pair(passages)
        several: Iterable[Any] = (passages,) if single else passages  # type: ignore[assignment]
        pairs = [_title_and_text(number, passage) for number, passage in enumerate(several)]
        titles = self._token_ids([title for title, _ in pairs])
        bodies = self._token_ids([text for _, text in pairs])
        limit = self._limit(max_tokens)
        rows = [pack_passage(t, b, self.specials, limit) for t, b in zip(titles, bodies, strict=True)]
        what = "passages" if show_progress_bar else ""
        vector_ND = self._encode(self.retriever.passage_tower, rows, batch_size, what)
        return _returned(vector_ND, single, as_tensor=convert_to_tensor or not convert_to_numpy)

    def similarity(
        self, queries: Tensor | npt.NDArray[np.float32], passages: Tensor | npt.NDArray[np.float32]
    ) -> Tensor:
        """The scores f(x, z), inner products of query and passage vectors, as a tensor (B, N).

        >>> model = Realm.from_pretrained("openrealm-mini")
        >>> queries = model.encode_query(["the capital of Peru", "how bread is made"])
        >>> passages = model.encode_passage(["Lima is the capital of Peru.", "Bread is made of flour and water."])
        >>> model.similarity(queries, passages).argmax(dim=1)
        tensor([0, 1])
        """
        query_BD, passage_ND = (torch.as_tensor(v, device=self.device) for v in (queries, passages))
        return query_BD.reshape(-1, query_BD.shape[-1]) @ passage_ND.reshape(-1, passage_ND.shape[-1]).T

    def _token_ids(self, texts: Sequence[str]) -> list[Tokens]:
        rows = self.tokenizer.encode_rows(texts)
        return [*np.split(rows.values, rows.ends[:-1])] if texts else []

    @property
    def max_tokens(self) -> int:
        """Word pieces of the longest row that the encoder has positions for."""
        return max_row_tokens(self.backbone_settings, self.tokenizer.pad_id)

    def _limit(self, max_tokens: int) -> int:
        """`max_tokens`, or the longest row that the encoder has positions for."""
        if max_tokens < 3:
            raise BadInput(f"max_tokens is {max_tokens}, but at least 3 are expected.")
        return min(max_tokens, self.max_tokens)

    def _encode(self, tower: Tower, rows: Sequence[Row], batch_size: int, what: str) -> Tensor:
        """Vectors of `rows`, n x D, in evaluation mode and without gradients; `what` is tracked if it is given."""
        if batch_size < 1:
            raise BadInput(f"batch_size is {batch_size}, but at least 1 is expected.")
        weight = tower.projection.weight
        dtype = torch.promote_types(weight.dtype, torch.float32)
        # Made outside inference mode, so that the result can take part in a computation with gradients.
        vector_nD = torch.zeros(len(rows), weight.shape[0], dtype=dtype, device=weight.device)
        with _evaluating(tower), torch.inference_mode(), _tracked(what, len(rows)) as advance:
            for indices in chunks_by_length([len(row) for row in rows], batch_size):
                vector_nD[indices] = tower([rows[i] for i in indices], max_rows=batch_size).to(dtype)
                advance(len(indices))
        return vector_nD


def _title_and_text(number: int, passage: Any) -> tuple[str, str]:
    if isinstance(passage, str):
        return "", passage
    if isinstance(passage, Passage):
        return passage.title, passage.text
    if isinstance(passage, tuple | list) and len(passage) == 2 and all(isinstance(part, str) for part in passage):
        return passage[0], passage[1]
    raise BadInput(
        f"Passage {number} is of type {type(passage).__name__}, but a str, a (title, text) pair or a Passage is "
        "expected."
    )


def _is_pair(passages: Any) -> bool:
    return isinstance(passages, tuple) and len(passages) == 2 and all(isinstance(part, str) for part in passages)


def _returned(vector_nD: Tensor, single: bool, *, as_tensor: bool) -> Tensor | npt.NDArray[np.float32]:
    result = vector_nD[0] if single else vector_nD
    if as_tensor:
        return result
    array: npt.NDArray[np.float32] = result.float().cpu().numpy()
    return array


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put `module` into evaluation mode, and each of its parts back into its own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextlib.contextmanager
def _tracked(what: str, total: int) -> Iterator[Any]:
    """`track`, silent if `what` is empty."""
    if what:
        with track(what, total) as advance:
            yield advance
    else:
        yield lambda _: None


def _check_replaceable(folder: Path) -> None:
    """Raise BadInput if saving a model as `folder` would delete anything but a model saved there before."""
    if folder.is_dir() and any(folder.iterdir()):
        saved: Mapping[str, Any] = {}
        if (folder / files.MANIFEST).is_file():
            with contextlib.suppress(DamagedArtefact):
                saved = files.read_manifest(folder, verify=False)
        ours = {files.MANIFEST, *saved["files"]} if saved.get("kind") == "model" else set()
        others = sorted(path.name for path in folder.iterdir() if path.name not in ours)
        if others:
            raise BadInput(
                f"{folder} holds more than a saved model ({', '.join(others[:3])}), which saving would delete; give a "
                "new folder."
            )
    elif folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; give a folder to save the model in.")
