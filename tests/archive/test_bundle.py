"""One archive that can be checked anywhere, and renders the same page where it is unpacked."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from tests.helpers.damage import DAMAGES, spoil
from wsa.archive.bundle import MANIFEST, METADATA, bundle, check_bundle, unpack
from wsa.cli import main
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.suite.load import load_suite


@pytest.fixture(scope="module")
def archive(finished, tmp_path_factory) -> Path:
    layout = Layout(*(finished / root for root in ("config", "resources", "results", "site")))
    suite = load_suite("tiny", layout.config)
    return bundle(suite, layout, tmp_path_factory.mktemp("bundle") / "tiny.zip")


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def rewrite(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_it_holds_what_a_reader_needs(archive, finished):
    names = set(contents(archive))
    run = "results/tiny/runs/wsa/seed-0"
    assert {
        *(f"{run}/{name}" for name in ("result.json", "training.json", "pruning.json")),
        *(f"{run}/{name}" for name in ("predictions.parquet", "curve.parquet")),
        *(f"{run}/{part}/adapter_model.safetensors" for part in ("trained", "pruned")),
        *("results/tiny/table.csv", "results/tiny/claims.json", "site/tiny/index.html"),
        *("config/suites/tiny.yaml", "config/models/tiny.yaml", "config/data/tiny.yaml"),
        *("requirements.lock", "site/index.html", "README.md", MANIFEST, METADATA),
        *("resources/data/tiny/validation.parquet", "resources/models/tiny/source.json"),
    } <= names
    assert not any("checkpoints" in name or "/." in name for name in names)
    assert not any(name.endswith(("model/model.safetensors", ".bin")) for name in names)


def test_it_is_sound_and_says_so(archive, capsys):
    assert main(["bundle", "--check", str(archive)]) == 0
    assert "and 8 runs are what their hashes and records say" in capsys.readouterr().out


def test_equal_results_give_an_equal_archive(archive, suite, layout, tmp_path):
    again = bundle(suite, layout, tmp_path / "again.zip")
    one, other = contents(archive), contents(again)
    differing = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    # the configuration of this copy names another folder
    assert differing <= {
        *("config/models/tiny.yaml", "config/data/tiny.yaml", MANIFEST, METADATA),
    }
    assert bundle(suite, layout, tmp_path / "third.zip").read_bytes() == again.read_bytes()


def test_unpacked_elsewhere_it_renders_the_same_page(archive, tmp_path, monkeypatch):
    unpack(archive, tmp_path)
    before = files_of(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    for path in sorted((tmp_path / "site").rglob("*.html")):
        path.unlink()
    assert main(["site", "tiny"]) == 0
    assert files_of(tmp_path / "site") == before


def test_the_manifest_is_one_that_other_tools_read(archive, tmp_path):
    unpack(archive, tmp_path)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", MANIFEST], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_the_metadata_describe_every_file_and_how_they_were_made(archive):
    members = contents(archive)
    graph = {entity["@id"]: entity for entity in json.loads(members[METADATA])["@graph"]}
    for name in members.keys() - {METADATA, MANIFEST}:
        assert graph[name]["@type"] == "File"
        assert graph[name]["sha256"] == hashlib.sha256(members[name]).hexdigest()
    parts = {part["@id"] for part in graph["./"]["hasPart"]}
    assert parts == members.keys() - {METADATA, MANIFEST}
    assert graph["#benchmark"]["@type"] == "CreateAction"
    assert graph["./"]["datePublished"] == graph["#benchmark"]["endTime"]


def edited(members: dict[str, bytes], what: str) -> dict[str, bytes]:
    """The archive's members with one fault."""
    members = dict(members)
    record = "results/tiny/runs/lora/seed-0/result.json"
    match what:
        case "a changed file":
            members[record] = members[record].replace(b'"seed": 0', b'"seed": 1')
        case "a missing file":
            del members[record]
        case "a file more":
            members["results/more.txt"] = b"more"
        case "no metadata":
            del members[METADATA]
        case "metadata that are none":
            members[METADATA] = b"{}"
        case "no manifest":
            del members[MANIFEST]
        case "a manifest that is no text":
            members[MANIFEST] = b"\xff\xfe" + members[MANIFEST]
        case "a name that climbs":
            members["../outside.txt"] = b"out"
        case "an absolute name":
            members["/tmp/outside.txt"] = b"out"
        case "a record changed with its hash":
            members[record] = members[record].replace(b'"n": 48', b'"n": 49')
            old = next(line for line in members[MANIFEST].splitlines() if record.encode() in line)
            new = hashlib.sha256(members[record]).hexdigest().encode() + old[64:]
            members[MANIFEST] = members[MANIFEST].replace(old, new)
    return members


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("a changed file", "result.json is not what the manifest says"),
        ("a missing file", "result.json is missing"),
        ("a file more", "results/more.txt is not in the manifest"),
        ("no metadata", "ro-crate-metadata.json is missing"),
        ("metadata that are none", "ro-crate-metadata.json is not what the manifest says"),
        ("no manifest", "is not in the manifest"),
        ("a manifest that is no text", "is not what the manifest says"),
        ("a name that climbs", "a member leads out of the archive"),
        ("an absolute name", "a member leads out of the archive"),
        ("a record changed with its hash", "damaged: its content has changed"),
    ],
)
def test_every_fault_of_an_archive_is_named(archive, tmp_path, what, message):
    path = rewrite(tmp_path / "tiny.zip", edited(contents(archive), what))
    with pytest.raises(InputError) as caught:
        check_bundle(path)
    assert message in str(caught.value) and str(path) in str(caught.value)
    assert not (tmp_path.parent / "outside.txt").exists()


def sealed(members: dict[str, bytes]) -> dict[str, bytes]:
    """The members with hashes that fit, as whoever changes one can write them."""
    members = dict(members)
    graph = json.loads(members[METADATA])
    known = {entity["@id"] for entity in graph["@graph"]}
    for name in members.keys() - known - {MANIFEST, METADATA}:
        graph["@graph"].append({"@id": name, "@type": "File"})
        root = next(entity for entity in graph["@graph"] if entity["@id"] == "./")
        root["hasPart"].append({"@id": name})
    members[METADATA] = json.dumps(graph).encode()
    names = sorted(members.keys() - {MANIFEST})
    lines = [f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n" for name in names]
    return members | {MANIFEST: "".join(lines).encode()}


def without(members: dict[str, bytes], start: str) -> dict[str, bytes]:
    return {name: content for name, content in members.items() if not name.startswith(start)}


PAGE = "site/tiny/index.html"
FORGED = {
    "no suite": (
        lambda m: without(m, "config/suites/"), "holds results of a suite that it does not hold"),
    "no results": (lambda m: without(m, "results/"), "holds the results of 0 suites"),
    "two suites": (lambda m: m | {"results/b/a.txt": b""}, "holds the results of 2 suites"),
    "a run less": (
        lambda m: without(m, "results/tiny/runs/lora/seed-1/"), "lacks the run of lora with seed"),
    "another page": (
        lambda m: m | {PAGE: m[PAGE].replace(b"Tiny", b"Huge")}, f"{PAGE} is not what the records"),
    "a page more": (lambda m: m | {"site/a.html": b"a"}, "site/a.html is no page of this suite"),
    "a page less": (lambda m: without(m, PAGE), f"{PAGE} is missing"),
}  # fmt: skip


def test_an_archive_that_was_sealed_again_unchanged_is_sound(archive, tmp_path):
    assert check_bundle(rewrite(tmp_path / "same.zip", sealed(contents(archive))))


@pytest.mark.parametrize("what", FORGED)
def test_an_archive_whose_hashes_fit_is_checked_all_the_same(archive, tmp_path, what):
    forge, message = FORGED[what]
    path = rewrite(tmp_path / "tiny.zip", sealed(forge(contents(archive))))
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        check_bundle(path)
    assert str(caught.value).startswith(f"{path}: ") and "/wsa-bundle-" not in str(caught.value)


def test_an_archive_that_would_fill_the_disk_is_not_unpacked(archive, tmp_path, monkeypatch):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in "abcd":
            file.writestr(name, bytes(10**7))
    with pytest.raises(InputError, match="would unpack to 40 MB, more than 100 times its own size"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    usage = shutil.disk_usage(tmp_path)
    full = type(usage)(usage.total, usage.total - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(InputError, match="its disk has 0 MB free") as caught:
        unpack(archive, tmp_path / "out")
    assert str(archive) not in str(caught.value)
    assert not list((tmp_path / "out").iterdir())


def test_a_full_disk_is_not_blamed_on_the_archive(archive, tmp_path, monkeypatch):
    """One that fills up while the archive is unpacked."""

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    with pytest.raises(InputError, match="the disk is full, so the archive cannot be unpacked"):
        unpack(archive, tmp_path / "out")


def test_a_link_in_an_archive_is_refused(archive, tmp_path):
    path = tmp_path / "tiny.zip"
    path.write_bytes(archive.read_bytes())
    link = zipfile.ZipInfo("results/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(link, str(tmp_path / "secret"))
    with pytest.raises(InputError, match="leads out of the archive or is no plain file"):
        check_bundle(path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_archive_is_named(archive, tmp_path, damage):
    path = tmp_path / "tiny.zip"
    path.write_bytes(archive.read_bytes())
    spoil(path, damage)
    with pytest.raises(InputError, match="tiny.zip"):
        check_bundle(path)


def test_an_archive_of_other_seeds_than_its_suite_names_is_not_made(project, layout, tmp_path):
    suite = load_suite("tiny", layout.config, seeds=[0])
    with pytest.raises(InputError, match=r"tiny.yaml: seeds: names other seeds .*found \[0, 1\]"):
        bundle(suite, layout, tmp_path / "tiny.zip")


def test_a_suite_with_a_missing_or_damaged_run_is_not_bundled(suite, layout, tmp_path):
    path = layout.run("tiny", "lora", 0).result
    content = path.read_text()
    path.write_text(content.replace('"n": 48', '"n": 49'))
    with pytest.raises(InputError, match="damaged"):
        bundle(suite, layout, tmp_path / "tiny.zip")
    path.unlink()
    with pytest.raises(InputError, match="1 of 8 runs have not been made"):
        bundle(suite, layout, tmp_path / "tiny.zip")
    assert not (tmp_path / "tiny.zip").exists()
