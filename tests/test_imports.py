from __future__ import annotations

import subprocess
import sys

import pytest

import openrealm

HEAVY = {"torch", "transformers", "tokenizers", "pyarrow", "numpy", "numba", "ray"}


def loaded_by(code: str) -> set[str]:
    """Top-level modules in `sys.modules` after `code` ran in a fresh interpreter."""
    program = f"{code}\nimport sys; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import openrealm; openrealm.__version__; dir(openrealm)")
    assert "openrealm" in loaded
    assert not loaded & HEAVY


def test_config_files_types_and_errors_load_nothing_heavy() -> None:
    loaded = loaded_by("import openrealm.config, openrealm.errors, openrealm.files, openrealm.types")
    assert not loaded & HEAVY


def test_the_corpus_loads_no_torch() -> None:
    assert not loaded_by("import openrealm.corpus.builder, openrealm.masking.tagger") & {"torch", "transformers"}


@pytest.mark.parametrize("name", [name for name in openrealm.__all__ if name != "__version__"])
def test_every_public_name_can_be_loaded(name: str) -> None:
    assert getattr(openrealm, name).__name__ in (name, f"openrealm.{name}")


def test_dir_shows_the_public_names_and_nothing_else() -> None:
    assert [name for name in dir(openrealm) if not name.startswith("__")] == sorted(
        {*openrealm._HOME} | {*openrealm.__all__} - {"__version__"}
    )
    assert {*openrealm.__all__} == {*openrealm._HOME, "__version__"}


def test_a_name_that_is_not_there_is_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="Korpus"):
        openrealm.Korpus  # noqa: B018
