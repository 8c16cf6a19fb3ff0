"""Members of archives on the Python package index, fetched once with the user's own pip."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from wsa.errors import InputError, did_you_mean
from wsa.files import atomic_path, sha256_file
from wsa.machine.progress import say
from wsa.suite.schema import PypiSource


def fetch(source: PypiSource, scratch: Path, archives: Path) -> Path:
    """Extract `source.member` below `scratch`.

    Args:
        source: the pinned archive and the member to take.
        scratch: an empty folder.
        archives: where downloaded archives are kept, so that each is downloaded once.

    Returns:
        The folder that holds the member's files.

    Raises:
        InputError: the archive cannot be downloaded, has another hash or lacks the member.
    """
    folder = scratch / "member"
    _extract(_archive(source, archives), source.member, folder)
    return folder


# --- the archive ---------------------------------------------------------------------------------


def _archive(source: PypiSource, archives: Path) -> Path:
    """The archive on this machine, with the right hash."""
    path = archives / source.file
    if path.is_file():
        if sha256_file(path) == source.sha256:
            return path
        say(f"{path} is not the file with sha256 {source.sha256[:12]}…: downloading it again")
    say(f"downloading {source.file} from the package index …")
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        _pip_download(source, Path(folder), archives)
        with atomic_path(path) as temporary:
            shutil.copyfile(Path(folder) / source.file, temporary)
    megabytes = path.stat().st_size / 1e6
    say(f"downloaded {source.file}: {megabytes:.1f} MB in {time.monotonic() - start:.1f} s")
    return path


def _pip_download(source: PypiSource, folder: Path, archives: Path) -> None:
    """Let pip put the archive into `folder`, by hash.

    A requirement with a hash makes pip refuse another file before it opens it; that matters for
    a source distribution, whose setup.py pip runs to learn its metadata.
    """
    pinned = f"{source.package}=={source.version}"
    form = "--only-binary" if source.file.endswith(".whl") else "--no-binary"
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{pinned} --hash=sha256:{source.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--no-deps", form, source.package]
    command += ["--dest", str(folder), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise InputError(
            f"the package index has a {pinned} with another sha256 than the configuration names",
            file=source.file, key="source.sha256", value=source.sha256,
            remedy="compare with the index's own page, and check which index pip uses: "
            "pip config list",
        )  # fmt: skip
    if done.returncode:
        reason = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise InputError(
            f"pip cannot download {pinned}: {' '.join(reason) or done.stderr.strip()}",
            file=source.file,
            remedy="python -m ensurepip"
            if "No module named pip" in done.stderr
            else f"on a machine with a network: pip download --no-deps {form} {source.package} "
            f"{pinned}; then bring {source.file} here into {archives} and run again",
        )
    if not (folder / source.file).is_file():
        came = sorted(path.name for path in folder.iterdir() if path != requirements)
        raise InputError(
            f"the package index has {pinned} under another name",
            key="source.file", value=source.file, remedy=f"file: {', '.join(came)}",
        )  # fmt: skip


# --- its members ---------------------------------------------------------------------------------

Opener = Callable[[], IO[bytes]]


def _extract(archive: Path, member: str, folder: Path) -> None:
    """Write the file `member`, or the files below the folder `member`, into `folder`.

    Only regular files are read and only names inside the folder are written, so that no archive
    can link or climb out of it.
    """
    outer, _, inner = member.partition("!")
    outer = outer.strip("/")
    with _members(archive) as members:
        chosen = {name: name.rsplit("/", 1)[-1] for name in members if name == outer}
        chosen |= {
            name: name.removeprefix(outer + "/") for name in members if name.startswith(outer + "/")
        }
        if not chosen:
            raise InputError(
                f"has no member '{outer}'", file=archive, remedy=did_you_mean(outer, members)
            )
        for name, relative in chosen.items():
            if ".." in PurePosixPath(relative).parts or "\\" in relative or ":" in relative:
                raise InputError(
                    "a member's name leads out of its folder", file=archive, value=name,
                    remedy="do not use this archive",
                )  # fmt: skip
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            with members[name]() as content, target.open("wb") as file:
                shutil.copyfileobj(content, file)
    if inner:
        nested = folder / outer.rsplit("/", 1)[-1]
        if not nested.is_file():
            raise InputError(
                f"'{outer}' is no archive, so '!{inner}' cannot step into it", file=archive
            )
        moved = nested.rename(folder.with_name(folder.name + "-" + nested.name))
        _extract(moved, inner, folder)


@contextlib.contextmanager
def _members(archive: Path) -> Iterator[dict[str, Opener]]:
    """The regular files of a zip or tar archive: name → how to open it."""
    try:
        with contextlib.ExitStack() as stack:
            if zipfile.is_zipfile(archive):
                zipped = stack.enter_context(zipfile.ZipFile(archive))
                infos = [info for info in zipped.infolist() if not info.is_dir()]
                yield {info.filename: lambda info=info: zipped.open(info) for info in infos}
            else:
                tarred = stack.enter_context(tarfile.open(archive))
                infos = [info for info in tarred if info.isfile()]
                yield {info.name: lambda info=info: tarred.extractfile(info) for info in infos}
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"not a readable archive: {error}", file=archive) from None
