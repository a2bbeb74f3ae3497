"""Documents asked without training: kept, made again when they change, and declined below the threshold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from openrealm.errors import BadInput, MissingStage
from openrealm.model.answering import Answering
from openrealm.model.realm import Realm
from openrealm.serve.answerer import Answerer

LIBRARY = "# The library\n\nThe library stands in the old mill. It opens on Friday.\n"
QUESTION = "Where is the library?"


@pytest.fixture(scope="module")
def model(markdown_backbone: Path) -> Realm:
    """A random model that answers as it is, however badly."""
    torch.manual_seed(0)
    model = Realm.from_pretrained(markdown_backbone, title_in_joint=True, projection_dim=16)
    model.add_span_reader()
    model.answering = Answering(confidence_offset=0.3)
    return model.eval()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "library.md").write_text(LIBRARY)
    (folder / "bread.md").write_text("# Bread\n\nAnna bakes rye bread in the village. It keeps for two weeks.\n")
    return folder


def _kept(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_an_answer_cites_the_file_and_line_and_what_is_kept_is_used_again(
    model: Realm, docs: Path, tmp_path: Path
) -> None:
    first = Answerer.from_documents(docs, tmp_path / "kept", model=model).ask(QUESTION)
    assert first.source is not None
    assert first.text == first.source.text[first.source.answer_start : first.source.answer_end]
    assert first.source.place.startswith(("library.md, line", "bread.md, line"))
    assert first.source.retrieval_utility is None, "the masked-token reader is not trained"
    kept = _kept(tmp_path / "kept")
    assert Answerer.from_documents(docs, tmp_path / "kept", model=model).ask(QUESTION) == first
    assert _kept(tmp_path / "kept") == kept


def test_changed_documents_are_read_again_and_the_index_before_is_removed(
    model: Realm, docs: Path, tmp_path: Path
) -> None:
    Answerer.from_documents(docs, tmp_path / "kept", model=model)
    (docs / "library.md").write_text(LIBRARY.replace("the old mill", "a former school"))
    os.utime(docs / "library.md", ns=(1, 1))
    answerer = Answerer.from_documents(docs, tmp_path / "kept", model=model)
    answer = answerer.ask(QUESTION)
    passages = [answer.source, *answer.runners_up]
    assert any(passage is not None and "a former school" in passage.text for passage in passages)
    assert len(list((tmp_path / "kept" / "index" / "versions").iterdir())) == 1


def test_below_the_threshold_no_answer_is_given_but_the_passages_are(model: Realm, docs: Path, tmp_path: Path) -> None:
    answerer = Answerer.from_documents(docs, tmp_path / "kept", model=model)
    sure = answerer.ask(QUESTION)
    assert sure.confidence is not None
    assert sure.text != ""
    assert answerer.ask(QUESTION, threshold=sure.confidence).text == sure.text
    unsure = answerer.ask(QUESTION, threshold=sure.confidence + 1e-6)
    assert unsure.text == ""
    assert (unsure.source, unsure.runners_up, unsure.confidence) == (sure.source, sure.runners_up, sure.confidence)


def test_a_model_without_a_span_reader_is_refused_before_anything_is_written(
    markdown_backbone: Path, docs: Path, tmp_path: Path
) -> None:
    with pytest.raises(MissingStage, match="has no span reader to answer with"):
        Answerer.from_documents(docs, tmp_path / "kept", model=markdown_backbone)
    assert not (tmp_path / "kept").exists()


def test_a_threshold_for_a_model_that_is_not_calibrated_is_refused(answering_run: Path) -> None:
    with pytest.raises(BadInput, match="not calibrated"):
        Answerer.open(answering_run).ask(QUESTION, threshold=0.5)
