"""A folder the user has: a model as transformers reads it, or a data set's two splits."""

from __future__ import annotations

import os
from pathlib import Path

from wsa.errors import InputError
from wsa.suite.schema import PathSource


def fetch(source: PathSource) -> Path:
    """The folder itself, `~` and environment variables expanded; nothing is copied.

    Raises:
        InputError: there is no such folder.
    """
    folder = Path(os.path.expandvars(source.path)).expanduser()
    if not folder.is_dir():
        raise InputError(
            "is a file, not a folder" if folder.exists() else f"there is no folder {folder}",
            key="source.path", value=source.path,
            remedy="a folder, absolute or relative to where the command runs; "
            "a model's as save_pretrained writes it, a data set's with train.tsv and "
            "validation.tsv",
        )  # fmt: skip
    return folder
