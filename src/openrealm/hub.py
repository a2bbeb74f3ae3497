"""Models on the Hugging Face Hub: downloading them through its cache, and uploading them. Imports no torch."""

from __future__ import annotations

import re
from pathlib import Path

from openrealm.errors import BadInput

CARD = "README.md"
"""The model card. It may be edited after saving, on the hub for instance, so its digest is not checked."""

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
# All that a saved model or an encoder consists of. Weights in other formats are neither needed nor safe to read.
_FILES = (
    "config.json",
    "manifest.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)


def is_hub_id(name: str) -> bool:
    """Whether `name` has the form of a hub id: "NAME" or "OWNER/NAME".

    >>> is_hub_id("google-bert/bert-base-uncased"), is_hub_id("runs/mini/model"), is_hub_id("./model")
    (True, False, False)
    """
    return _HUB_ID.fullmatch(name) is not None and not name.startswith(".")


def is_cached(folder: Path) -> bool:
    """Whether `folder` is a download in a cache of the hub.

    >>> is_cached(Path("cache/models--me--mine/snapshots/1a2b3c"))
    True
    """
    return folder.parent.name == "snapshots" and folder.parents[1].name.startswith("models--")


def download(
    repo_id: str,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Path:
    """Download a model from the Hugging Face Hub, or find it in the local cache; returns its folder there.

    HF_HOME, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE are respected. Without a connection the cached copy is used.
    Raises BadInput if the id or the revision does not exist, access is refused, or the model is neither reachable nor
    cached.

    repo_id           "OWNER/NAME"
    revision          branch, tag or commit; the default branch if None
    cache_dir         cache to use instead of the default one
    token             access token; None uses the one stored by `hf auth login`
    local_files_only  look in the cache alone

    >>> download("sentence-transformers/all-MiniLM-L6-v2")  # doctest: +SKIP
    PosixPath('/home/me/.cache/huggingface/hub/models--sentence-transformers--all-MiniLM-L6-v2/snapshots/c9745ed1...')
    """
    from huggingface_hub import constants, errors, snapshot_download

    try:
        return Path(
            snapshot_download(
                repo_id,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
                allow_patterns=list(_FILES),
            )
        )
    except errors.GatedRepoError as error:
        raise BadInput(
            f"{repo_id} on the Hugging Face Hub is gated; request access on its page and log in with `hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise BadInput(
            f"{repo_id} on the Hugging Face Hub has no revision {revision!r}; check the branch, tag or commit."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise BadInput(
            f"{repo_id} is neither a local folder nor a model on the Hugging Face Hub that you can access; check the "
            "spelling, or log in with `hf auth login` if the model is private."
        ) from error
    except errors.LocalEntryNotFoundError as error:
        cache = Path(cache_dir or constants.HF_HUB_CACHE).expanduser()
        offline = local_files_only or constants.HF_HUB_OFFLINE
        why = "offline mode is on" if offline else f"the Hugging Face Hub could not be reached ({_reason(error)})"
        raise BadInput(
            f"{repo_id} is neither a local folder nor complete in the cache {cache}, and {why}; "
            f"{'download it once while online' if offline else 'check the connection'}, or give a folder."
        ) from error
    except Exception as error:  # HTTP clients raise errors of many kinds, which vary with the library's version
        raise BadInput(f"{repo_id} could not be downloaded from the Hugging Face Hub ({_reason(error)}).") from error


def upload(
    folder: Path,
    repo_id: str,
    *,
    private: bool = False,
    token: str | bool | None = None,
    commit_message: str = "Upload model",
    revision: str | None = None,
) -> str:
    """Upload a folder to the Hugging Face Hub as one commit, creating the model's repository if necessary.

    Returns the URL of the model's page. Raises BadInput if the hub refuses or cannot be reached.

    private   visibility of a repository that is created; an existing one keeps its own
    revision  branch to commit to, created if necessary; the default branch if None

    >>> upload(Path("out"), "me/my-model")  # doctest: +SKIP
    'https://huggingface.co/me/my-model'
    """
    from huggingface_hub import HfApi, errors

    api = HfApi(token=token)
    try:
        url = api.create_repo(repo_id, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(url.repo_id, branch=revision, exist_ok=True)
        api.upload_folder(
            repo_id=url.repo_id, folder_path=folder, commit_message=commit_message, revision=revision, token=token
        )
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        hint = "; log in with `hf auth login` to an account that may write there" if status in (401, 403) else ""
        raise BadInput(
            f"The Hugging Face Hub refused the upload to {repo_id} with status {status} ({_reason(error)}){hint}."
        ) from error
    except Exception as error:  # as above
        raise BadInput(f"{repo_id} could not be uploaded to the Hugging Face Hub ({_reason(error)}).") from error
    return str(url)


def _reason(error: BaseException) -> str:
    """The first line of an error's message, without its full stop."""
    return (str(error).strip().partition("\n")[0] or type(error).__name__).rstrip(".")
