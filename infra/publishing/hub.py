"""Uploading a snapshot or a student to a hub.

Invariant: nothing is uploaded without a token in the environment, and a token is in no message.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from infra.publishing.snapshot import PublishError

Kind = Literal["dataset", "model"]
TOKEN = "HF_TOKEN"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def check_push(repository: str) -> None:
    """Whether an upload could work, before anything is written. Raises PublishError."""
    if not _REPOSITORY.fullmatch(repository):
        raise PublishError(f"--push {repository!r}: write owner/name")
    if not os.environ.get(TOKEN):
        raise PublishError(f"--push needs a token with write access in {TOKEN}")
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        raise PublishError("--push: HF_HUB_OFFLINE is set; unset it")


def push_folder(folder: Path, repository: str, *, kind: Kind = "dataset") -> str:
    """Upload `folder` as one commit of a private repository; its address. Raises PublishError."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # its HTTP client's

    api = HfApi(token=os.environ[TOKEN])
    try:
        api.create_repo(repository, repo_type=kind, private=True, exist_ok=True)
        done = api.upload_folder(repo_id=repository, repo_type=kind, folder_path=folder)
    except (HTTPError, OSError) as error:
        what = "snapshot" if kind == "dataset" else "student"
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PublishError(
            f"{repository}: {line}; the {what} in {folder} is whole, upload it again with "
            f"`hf upload {repository} {folder} --repo-type {kind}`"
        ) from error
    return str(done.commit_url)
