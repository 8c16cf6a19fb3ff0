"""Zip archives with a manifest of hashes: written the same way each time, unpacked with care."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from wsa.errors import InputError
from wsa.files import atomic_path, check_space, is_full_disk, sha256_file

MANIFEST = "manifest-sha256.txt"
LARGEST_RATIO = 100  # what `pack` writes unpacks to less than ten times its size
_DATE = (1980, 1, 1, 0, 0, 0)  # of every member: the earliest a zip archive can hold

# what zipfile raises for a damaged archive, wherever the damage lies
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)


def names_below(folder: Path) -> list[str]:
    """The files below `folder`, as an archive names them; the manifest left out."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in paths if name != MANIFEST)


def pack(folder: Path, destination: Path) -> None:
    """Write the files of `folder`, with a manifest that `sha256sum -c` reads, as one archive.

    Equal files give an equal archive, byte by byte.
    """
    names = names_below(folder)
    manifest = [f"{sha256_file(folder / name)}  {name}\n" for name in names]
    (folder / MANIFEST).write_text("".join(manifest), encoding="utf-8")
    with atomic_path(destination) as path, zipfile.ZipFile(path, "w") as archive:
        for name in sorted([*names, MANIFEST]):
            member = zipfile.ZipInfo(name, _DATE)
            member.external_attr = 0o644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, (folder / name).read_bytes())


def unpack(path: Path, folder: Path) -> None:
    """Extract an archive; nothing is written outside `folder`.

    Raises:
        InputError: if it is no archive, is damaged, a name leads out of it, it holds far more
            than its size lets expect, or more than there is room for.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > LARGEST_RATIO * path.stat().st_size:
                raise InputError(
                    f"would unpack to {size / 1e6:.0f} MB, more than {LARGEST_RATIO} times its own "
                    "size", file=path, remedy="do not use this archive",
                )  # fmt: skip
            check_space(folder, size)
            seen: set[str] = set()
            for member in archive.infolist():
                if member.filename in seen:  # only one of them could be checked
                    raise InputError(
                        "a member stands twice in the archive", file=path, value=member.filename,
                        remedy="do not use this archive",
                    )  # fmt: skip
                seen.add(member.filename)
                parts = PurePosixPath(member.filename).parts
                outside = ".." in parts or "/" in parts[:1] or {*"\\:"} & {*member.filename}
                if outside or member.is_dir() or (member.external_attr >> 28) not in (0, 0o10):
                    raise InputError(
                        "a member leads out of the archive or is no plain file", file=path,
                        value=member.filename, remedy="do not use this archive",
                    )  # fmt: skip
            archive.extractall(folder)
    except FileNotFoundError:
        raise InputError("there is no such file", file=path) from None
    except _UNREADABLE as error:
        if is_full_disk(error):
            raise InputError(
                "the disk is full, so the archive cannot be unpacked to be checked", file=folder,
                remedy="make room, or name a folder with room before the same command: TMPDIR=…",
            ) from None  # fmt: skip
        raise InputError(f"not a sound archive: {error}", file=path) from None


def check_manifest(path: Path, folder: Path) -> None:
    """Raise InputError unless the files unpacked from `path` are those that its manifest names."""
    names = names_below(folder)
    manifest = (folder / MANIFEST).read_bytes() if (folder / MANIFEST).exists() else b""
    lines = manifest.decode("utf-8", "replace").splitlines()
    hashes = dict(reversed(line.split("  ", 1)) for line in lines if "  " in line)
    for name in sorted(hashes.keys() | set(names)):
        if name not in hashes:
            problem = "is not in the manifest"
        elif name not in names:
            problem = "is missing"
        elif sha256_file(folder / name) != hashes[name]:
            problem = "is not what the manifest says"
        else:
            continue
        raise InputError(f"{name} {problem}", file=path)
