"""What requests and responses of the server hold. Answers have the fields of `openrealm ask --json`, and more."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_QUESTION = "Where is the library?"
_VERSION = {
    "id": "5b1c7a90d2e4",
    "system": "best",
    "model": "9f2d61c0aa17",
    "index": "00000000-1fd2c8aa",
    "corpus": "c27b10de4f93",
}
_PLACED = {
    "passage_id": "8c1f2b7a90d34e5f6a7b8c9d0e1f2a3b",
    "title": "The library",
    "text": "The library is in the old mill.",
    "origin": {"article_id": "library.md", "position": 15, "part": 0},
    "place": "library.md, line 3",
}
_READ = _PLACED | {
    "answer": "the old mill",
    "answer_start": 18,
    "answer_end": 30,
    "probability": 0.93,
    "retrieval_utility": None,
    "score": 7.2,
}


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class _Request(BaseModel):
    """Unknown fields are refused, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


System = Annotated[str | None, Field(description="One of the systems of /v1/info; the default one if omitted.")]
VersionId = Annotated[
    str | None, Field(description="The id of a version of /v1/info; the current one if omitted.", max_length=64)
]


class _Asking(_Request):
    """One question or several."""

    question: str | None = Field(None, description="One question.", examples=[_QUESTION])
    questions: list[str] | None = Field(
        None, description="Several questions, instead of one.", examples=[[_QUESTION]], min_length=1
    )
    as_of: str | None = Field(
        None,
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        description="Answer from the passages that are valid on this day.",
        examples=["2019-06-01"],
    )
    system: System = None
    version: VersionId = None

    @model_validator(mode="after")
    def _has_one_of_both(self) -> _Asking:
        if (self.question is None) == (self.questions is None):
            raise ValueError('give either "question" or "questions"')
        return self

    @property
    def texts(self) -> list[str]:
        """The questions."""
        return self.questions if self.questions is not None else [self.question or ""]


class AskRequest(_Asking):
    """Questions to answer."""

    k: int | None = Field(None, ge=1, description="Passages to read; the model's own number if omitted.")
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least calibrated probability of being right at which an answer is given; the model's own if "
        "omitted.",
    )
    model_config = _example({"question": _QUESTION, "k": 5})


class SearchRequest(_Asking):
    """Questions to find passages for, without reading them."""

    k: int = Field(10, ge=1, description="Passages to find.")
    model_config = _example({"question": _QUESTION, "k": 10})


class EmbedRequest(_Request):
    """Texts to embed with one of the model's towers."""

    texts: list[str] = Field(min_length=1, examples=[["The library is in the old mill."]])
    kind: Literal["query", "passage"] = Field("passage", description="The tower that embeds them.")
    titles: list[str] | None = Field(None, description="Titles of passages, one for each text.")
    system: System = None
    version: VersionId = None
    model_config = _example({"texts": ["The library is in the old mill."], "kind": "passage"})


class EmbeddingsRequest(BaseModel):
    """A request of OpenAI's embeddings API."""

    input: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1)]
    model: Literal["query", "passage"] = Field("passage", description="The tower that embeds the texts.")
    encoding_format: Literal["float", "base64"] = "float"
    user: str | None = None
    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"input": _QUESTION, "model": "query"}]}
    )


class Version(BaseModel):
    """What an answer comes from: digests of the model and the corpus, and the version of the index."""

    id: str
    system: str
    model: str
    index: str
    corpus: str
    model_config = _example(_VERSION)


class Origin(BaseModel):
    """Where a line is in the source; see `types.Line`."""

    article_id: str
    position: int
    part: int


class FoundPassage(BaseModel):
    """A passage that was found but not read."""

    passage_id: str
    title: str
    text: str
    article_id: str
    score: float
    origin: Origin | None
    place: str
    model_config = _example(_PLACED | {"article_id": "library.md", "score": 11.9})


class ReadPassage(BaseModel):
    """A passage with the answer read from it: characters [answer_start, answer_end) of its text."""

    passage_id: str
    title: str
    text: str
    answer: str
    answer_start: int
    answer_end: int
    probability: float
    retrieval_utility: float | None
    score: float
    origin: Origin | None
    place: str
    model_config = _example(_READ)


class Answer(BaseModel):
    """An answer. `text` is empty and `found` is false if none was found, or if none is sure enough."""

    question: str
    text: str
    found: bool
    confidence: float | None
    score: float
    source: ReadPassage | None
    runners_up: list[ReadPassage]
    index_version: str
    version: Version
    model_config = _example(
        {
            "question": _QUESTION,
            "text": "the old mill",
            "found": True,
            "confidence": 0.82,
            "score": 7.2,
            "source": _READ,
            "runners_up": [],
            "index_version": _VERSION["index"],
            "version": _VERSION,
        }
    )


class Answers(BaseModel):
    """One answer per question, in order."""

    answers: list[Answer]


class Results(BaseModel):
    """The passages found for a question, best first; `by` says how: "fused", "dense" or "bm25"."""

    question: str
    passages: list[FoundPassage]
    by: str
    index_version: str
    version: Version


class Searched(BaseModel):
    """One list of passages per question, in order."""

    results: list[Results]


class Vectors(BaseModel):
    """One vector of `dim` numbers per text; inner products of queries and passages are the retriever's scores."""

    vectors: list[list[float]]
    dim: int
    version: Version


class Embedding(BaseModel):
    """A vector, as numbers or as float32 in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Word pieces read."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """A response of OpenAI's embeddings API."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class StoredPassage(BaseModel):
    """A passage of the corpus: characters [start, end) of its article."""

    passage_id: str
    title: str
    text: str
    article_id: str
    start: int
    end: int
    origin: Origin | None
    place: str
    version: Version


class Piece(BaseModel):
    """A passage of an article; `is_cited` marks the one that was asked for."""

    passage_id: str
    text: str
    start: int
    end: int
    place: str
    is_cited: bool


class Around(BaseModel):
    """An article around a passage, as the corpus holds it."""

    article_id: str
    title: str
    passages: list[Piece]
    has_more_before: bool
    has_more_after: bool
    version: Version


class SystemInfo(BaseModel):
    """A way of answering."""

    name: str
    title: str
    is_default: bool
    is_loaded: bool


class VersionInfo(Version):
    """A loaded version; several of one system can be compared."""

    is_current: bool
    since: str
    num_passages: int
    num_articles: int


class CorpusInfo(BaseModel):
    """The corpus of the default system's current version."""

    num_passages: int
    num_articles: int
    digest: str
    has_dates: bool = Field(description="Whether some passages are valid on some days only; see as_of.")


class LimitsInfo(BaseModel):
    """What a request may ask for."""

    max_body_bytes: int
    max_depth: int
    max_questions: int
    max_question_characters: int
    max_k: int
    max_texts: int
    max_text_characters: int
    max_waiting: int
    requests_per_second: float | None


class Info(BaseModel):
    """What is served."""

    name: str
    openrealm: str
    default_system: str
    systems: list[SystemInfo]
    versions: list[VersionInfo]
    corpus: CorpusInfo
    threshold: float | None = Field(description="The model's own; null if its confidence is not calibrated.")
    has_utility: bool = Field(description="Whether answers have a retrieval utility.")
    update_error: str = Field(description="Why the newest version could not be taken up; empty if it was.")
    limits: LimitsInfo


class Health(BaseModel):
    """Whether the server answers."""

    status: Literal["ok"] = "ok"


class Error(BaseModel):
    """Why a request was refused, in one sentence."""

    error: str
    model_config = _example({"error": "The question is empty; ask something like: Where is the library?"})
