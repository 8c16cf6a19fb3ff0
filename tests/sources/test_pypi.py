"""Archives from a package index, by real pip against a folder that serves as the index."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from wsa.errors import InputError
from wsa.sources import pypi
from wsa.suite.schema import PypiSource

METADATA = "Metadata-Version: 2.1\nName: tiny-pack\nVersion: 1.0\n"


def tar_gz(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def wheel(files: dict[str, bytes]) -> bytes:
    info = "tiny_pack-1.0.dist-info"
    files = files | {
        f"{info}/METADATA": METADATA.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def sdist(files: dict[str, bytes]) -> bytes:
    """A source distribution with its own build backend, so that pip needs nothing else."""
    backend = (
        "import os\n"
        "def prepare_metadata_for_build_wheel(folder, config_settings=None):\n"
        "    info = os.path.join(folder, 'tiny_pack-1.0.dist-info')\n"
        "    os.makedirs(info)\n"
        f"    open(os.path.join(info, 'METADATA'), 'w').write({METADATA!r})\n"
        "    return 'tiny_pack-1.0.dist-info'\n"
        "def build_wheel(*args, **kwargs): raise NotImplementedError\n"
    )
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    own = {"PKG-INFO": METADATA.encode(), "pyproject.toml": project.encode()}
    own["backend.py"] = backend.encode()
    return tar_gz({f"tiny_pack-1.0/{name}": content for name, content in (own | files).items()})


WHEEL, SDIST = "tiny_pack-1.0-py3-none-any.whl", "tiny_pack-1.0.tar.gz"


def source(content: bytes, member: str, file: str = WHEEL, **change) -> PypiSource:
    values = dict(
        kind="pypi", package="tiny-pack", version="1.0", file=file, member=member,
        sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    return PypiSource(**(values | change))


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder that pip takes for its only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_REQUIRE_HASHES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def fetch(tmp_path):
    """Fetch a source into a new folder: relative name → content."""

    def call(wanted: PypiSource) -> dict[str, bytes]:
        call.count += 1
        scratch = tmp_path / f"scratch-{call.count}"
        scratch.mkdir()
        folder = pypi.fetch(wanted, scratch, tmp_path / "archives")
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    call.count = 0
    return call


def keep(tmp_path: Path, name: str, content: bytes) -> None:
    """Put an archive where downloaded ones are kept, as a user without a network would."""
    (tmp_path / "archives").mkdir(exist_ok=True)
    (tmp_path / "archives" / name).write_bytes(content)


def test_a_wheel_is_downloaded_once_and_only_the_member_is_taken(index, fetch, capfd):
    content = wheel({"pack/model/config.json": b"{}", "pack/model/sub/x": b"x", "pack/no.py": b""})
    (index / WHEEL).write_bytes(content)
    expected = {"config.json": b"{}", "sub/x": b"x"}
    assert fetch(source(content, "pack/model")) == expected
    assert WHEEL in capfd.readouterr().err
    (index / WHEEL).unlink()
    assert fetch(source(content, "pack/model")) == expected
    assert capfd.readouterr().err == ""


def test_a_source_distribution_and_an_archive_inside_it(index, fetch):
    inner = tar_gz({"ratings/film.txt": b"1\t2.0\tfine\n", "ratings/other.txt": b""})
    content = sdist({"more/data.tar.gz": inner})
    (index / SDIST).write_bytes(content)
    member = "tiny_pack-1.0/more/data.tar.gz!ratings/film.txt"
    assert fetch(source(content, member, SDIST)) == {"film.txt": b"1\t2.0\tfine\n"}


def test_another_archive_under_the_pinned_name_is_refused_before_its_code_runs(
    index, fetch, tmp_path
):
    evil = f"open({str(tmp_path / 'ran')!r}, 'w')\n".encode()
    (index / SDIST).write_bytes(sdist({"backend.py": evil}))
    wanted = source(b"the one that was pinned", "x", SDIST)
    with pytest.raises(InputError, match="another sha256") as error:
        fetch(wanted)
    assert wanted.sha256 in str(error.value) and SDIST in str(error.value)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "archives" / SDIST).exists()


def test_a_package_out_of_reach_names_how_to_bring_it(index, fetch, tmp_path):
    with pytest.raises(InputError) as error:
        fetch(source(b"", "x"))
    message = str(error.value)
    assert "tiny-pack==1.0" in message and "No matching distribution" in message
    assert "pip download --no-deps --only-binary tiny-pack tiny-pack==1.0" in message
    assert str(tmp_path / "archives") in message


def test_a_damaged_archive_is_downloaded_again(index, fetch, tmp_path):
    content = wheel({"pack/a": b"good"})
    (index / WHEEL).write_bytes(content)
    keep(tmp_path, WHEEL, content[:-7])
    assert fetch(source(content, "pack/a")) == {"a": b"good"}
    assert (tmp_path / "archives" / WHEEL).read_bytes() == content


def test_a_missing_member_is_named_with_the_nearest_one(fetch, tmp_path):
    content = wheel({"pack/model/config.json": b"{}"})
    keep(tmp_path, WHEEL, content)
    with pytest.raises(InputError, match="has no member 'pack/model/confg.json'") as error:
        fetch(source(content, "pack/model/confg.json"))
    assert "did you mean 'pack/model/config.json'" in str(error.value)


def test_a_step_into_what_is_no_archive(fetch, tmp_path):
    content = wheel({"pack/a.txt": b"text"})
    keep(tmp_path, WHEEL, content)
    with pytest.raises(InputError, match="not a readable archive"):
        fetch(source(content, "pack/a.txt!b"))
    with pytest.raises(InputError, match="'pack' is no archive"):
        fetch(source(content, "pack!b"))


@pytest.mark.parametrize("name", ["pack/../../../out", "pack//../../../../out", "pack/..\\out"])
@pytest.mark.parametrize("make", [wheel, tar_gz], ids=["zip", "tar"])
def test_no_member_is_written_outside_its_folder(fetch, tmp_path, make, name):
    content = make({name: b"evil"})
    keep(tmp_path, WHEEL, content)
    with pytest.raises(InputError, match="leads out of its folder"):
        fetch(source(content, "pack"))
    outside = {path.name for folder in tmp_path.parents for path in folder.iterdir()}
    written = {path.name for path in tmp_path.rglob("*")} | outside
    assert not written & {"out", "..\\out"}


def test_links_in_an_archive_are_not_followed(fetch, tmp_path):
    (tmp_path / "secret").write_text("secret")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("pack/link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("pack/file"), io.BytesIO())
    keep(tmp_path, WHEEL, buffer.getvalue())
    assert fetch(source(buffer.getvalue(), "pack")) == {"file": b""}
