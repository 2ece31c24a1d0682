"""The Hugging Face hub, for models called "hf://user/name": no other path makes genossl connect to anything.

Only the files of an encoder are asked for, and none of them is code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from genossl.errors import InputError

PREFIX = "hf://"
ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FILES = ["encoder.json", "encoder.safetensors", "heads.safetensors"]


def local(path: str | Path) -> str | Path:
    """The same path, or for a name of the hub the folder that it was downloaded to (huggingface_hub's cache)."""
    if not str(path).startswith(PREFIX):
        return path
    name, _, revision = str(path).removeprefix(PREFIX).partition("@")
    return download(name, revision or None)


def download(name: str, revision: str | None = None) -> Path:
    """The folder of a model; InputError where there is no such model, no connection or no huggingface_hub."""
    _check(name)
    hub = _library(name)
    try:
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=FILES))
    except Exception as error:  # the hub's own, its HTTP library's and the system's have no parent in common
        raise InputError(f"{PREFIX}{name}: {_told(error)}") from None


def upload(folder: Path, name: str, private: bool | None = None) -> str:
    """Write a folder of `sharing.folder` to the hub, whose repository is made if there is none; returns its address."""
    _check(name)
    hub = _library(name)
    try:
        made = hub.create_repo(name, private=private, exist_ok=True)
        hub.upload_folder(repo_id=name, folder_path=folder, commit_message="Upload with genossl")
    except Exception as error:  # as above
        raise InputError(f"{PREFIX}{name}: {_told(error)}") from None
    return str(made)


def _check(name: str) -> None:
    if not ID.fullmatch(name):
        raise InputError(f"{PREFIX}{name}: expected {PREFIX}user/name")


def _library(name: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise InputError(f"{PREFIX}{name}: needs huggingface_hub; pip install 'genossl[hub]'") from None
    return huggingface_hub


def _told(error: Exception) -> str:
    """The kind of error and its first line; advice is below."""
    return f"{type(error).__name__} ({(str(error).splitlines() or [''])[0].strip()})"
