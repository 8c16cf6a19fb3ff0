"""Repositories on the Hugging Face hub, at a pinned commit."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from wsa.errors import InputError
from wsa.machine.progress import say
from wsa.suite.schema import DataSpec, HubSource, Splits


def fetch_model(source: HubSource, archives: Path) -> Path:
    """The folder with the model's files: brought by hand, or in the hub's own cache.

    Raises:
        InputError: the hub is out of reach or has no such file; names what is missing and how to
            bring it from another machine.
    """
    return _repository(source, "model", archives)


def fetch_data(spec: DataSpec, scratch: Path, archives: Path) -> Path:
    """A folder with a parquet file for each split that `spec` reads, made below `scratch`.

    With `source.files` a split is the files that are called as it is (`validation_matched.parquet`,
    `train-00000-of-00002.parquet`). Where no split has such files, or without `source.files`, they
    are told apart as the hub itself does it: by the repository's card, for `source.config`.

    Raises:
        InputError: as `fetch_model`; or the data set lacks a split.
    """
    source = spec.source
    repository = _repository(source, "dataset", archives)
    # import only here: it takes a second
    from datasets import load_dataset
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    # only the wanted files: datasets reads the card, where one is, and misses all other files
    wanted, names = scratch / "repository", []
    for path in repository.rglob("*"):
        name = path.relative_to(repository).as_posix()
        if path.is_file() and any(fnmatch(name, pattern) for pattern in source.files or "*"):
            (wanted / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, wanted / name)
            names.append(name)
    needed = ("train", *spec.validation)
    if isinstance(spec.reader, Splits):
        needed = (spec.reader.train, *spec.validation)
    files = {split: sorted(filter(_called(split), names)) for split in needed}
    named = bool(source.files) and any(files.values())
    for split in needed if named else ():
        # datasets would take validation_matched and validation_mismatched for one split
        if not files[split]:
            raise InputError(
                f"has no file of the split '{split}'", file=_name(source), key="source.files",
                value=source.files, remedy=f"it has {', '.join(sorted(names))}; name other files, "
                "or other splits under `reader`",
            )  # fmt: skip
    try:
        splits = load_dataset(
            str(wanted), source.config, cache_dir=str(scratch / "cache"),
            data_files=files if named else None,
        )  # fmt: skip
    except (ValueError, OSError) as error:
        raise InputError(
            f"datasets cannot read it: {error}", file=_name(source), key="source.config",
            value=source.config,
        ) from None  # fmt: skip
    folder = scratch / "splits"
    folder.mkdir()
    for split in needed:
        if split not in splits:
            raise InputError(
                f"has no split '{split}'", file=_name(source), key="source",
                remedy=f"its splits are {', '.join(splits)}; name other files or another config, "
                "or other splits under `reader`",
            )  # fmt: skip
        splits[split].to_parquet(folder / f"{split}.parquet")
    return folder


def _called(split: str) -> Callable[[str], bool]:
    """Whether a file is one of the split's, by its name."""
    pattern = re.compile(rf"(^|/){re.escape(split)}(-\d+-of-\d+)?\.\w+$")
    return lambda name: bool(pattern.search(name))


def _repository(source: HubSource, kind: Literal["model", "dataset"], archives: Path) -> Path:
    """The folder with the repository's files: brought by hand, cached by the hub's client, or new.

    The hub's own cache is used, so a user who has the model already downloads nothing.
    """
    brought = archives / f"{source.id.replace('/', '--')}@{source.revision[:12]}"
    if brought.is_dir():
        if missing := _missing(source, brought):
            raise InputError(
                f"{_name(source)} lacks {', '.join(missing)}", file=brought,
                remedy=_bring(source, kind, brought),
            )  # fmt: skip
        return brought

    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    pins = {"repo_id": source.id, "repo_type": kind, "revision": source.revision}
    wanted = pins | {"allow_patterns": list(source.files) if source.files else None}
    with contextlib.suppress(LocalEntryNotFoundError):
        cached = Path(snapshot_download(**wanted, local_files_only=True))
        if not _missing(source, cached):
            return cached
    say(f"downloading {_name(source)} from the Hugging Face hub …")
    start = time.monotonic()
    try:
        # asked first, with a limit: snapshot_download waits for a silent hub without end
        HfApi().repo_info(**pins, timeout=15)
        folder = Path(snapshot_download(**wanted))
    except Exception as error:  # of the hub, of its http client, of the disk
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(
            f"{_name(source)} is out of reach, and the hub's cache here does not have "
            f"{', '.join(source.files or ['it'])}: {type(error).__name__}: {reason}",
            remedy=_bring(source, kind, brought),
        ) from None
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    say(f"downloaded {source.id}: {size / 1e6:.1f} MB in {time.monotonic() - start:.1f} s")
    return folder


def _missing(source: HubSource, folder: Path) -> list[str]:
    """The wanted files that are not in `folder`."""
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return [
        pattern
        for pattern in source.files or ()
        if not any(fnmatch(name, pattern) for name in found)
    ]


def _name(source: HubSource) -> str:
    return f"{source.id}@{source.revision}"


def _bring(source: HubSource, kind: str, brought: Path) -> str:
    """How to fetch the repository on another machine and bring it."""
    files = source.files or ()
    if any("*" in pattern for pattern in files):
        what = " ".join(f"--include '{pattern}'" for pattern in files)
    else:
        what = " ".join(files)
    repository = f"--repo-type dataset {source.id}" if kind == "dataset" else source.id
    where = brought.name
    folder = "a model's folder" if kind == "model" else "a folder with train.tsv and validation.tsv"
    return (
        f"on a machine with a network: hf download {repository} {what} "
        f"--revision {source.revision} --local-dir {where}\n"
        f"  then bring the folder here as {brought} and run again; "
        f"or name {folder} that you have: source: {{kind: path, path: …}}"
    )
