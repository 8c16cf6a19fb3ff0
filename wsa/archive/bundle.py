"""A suite's results as one archive that a paper can cite: an RO-Crate with a manifest of hashes.

The archive is laid out as the project's folder is, so that `wsa site` renders its page where it is
unpacked. Equal results give an equal archive, byte by byte.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import unquote

from wsa.archive.verify import damages
from wsa.archive.zipped import MANIFEST, check_manifest, names_below, pack, unpack
from wsa.errors import InputError
from wsa.files import sha256_file
from wsa.layout import Layout
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.records.source import RECORD, SourceRecord
from wsa.records.tuning import tuned
from wsa.suite.load import SPEC_FOLDERS, load_suite, read_yaml
from wsa.suite.schema import Suite

METADATA = "ro-crate-metadata.json"
LOCK_FILE = "requirements.lock"
CODE = "https://pypi.org/project/weighted-spectral-adapter/"


def bundle(suite: Suite, layout: Layout, destination: Path | None = None) -> Path:
    """Write the archive of a suite's results.

    It holds records, predictions, adapters, curves, tables, the suite's configuration, the
    sentences that its page shows, the versions of all installed packages, the page, and a manifest
    that `sha256sum -c` reads.

    Args:
        suite: the suite; every run of it should have been made.
        layout: where its files lie.
        destination: the archive; default: `<suite>.zip` beside the folder of results.

    Returns:
        The archive's path.

    Raises:
        InputError: if a run is missing, or a file is not what its record says.
    """
    destination = destination or layout.bundle(suite.name)
    missing = [run for run in suite.runs() if not layout.run(suite.name, *run).result.exists()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(suite.runs())} runs have not been made, the first is "
            f"{missing[0][0]} with seed {missing[0][1]}", file=layout.suite(suite.name),
            remedy=f"snakemake --cores 2 --config suites={suite.name}",
        )  # fmt: skip
    seeds = load_suite(suite.name, layout.config).seeds
    if seeds != suite.seeds:  # who has nothing but the archive knows of these alone
        raise InputError(
            "names other seeds than are to be archived", file=layout.suite_file(suite.name),
            key="seeds", value=list(seeds), remedy=f"seeds: {list(suite.seeds)}",
        )  # fmt: skip
    for damage in damages(suite, layout, whole=True):
        raise InputError(damage)
    with tempfile.TemporaryDirectory(prefix="wsa-bundle-") as scratch:
        folder = Path(scratch)
        for name, path in sorted(_contents(suite, layout)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        _render(suite.name, folder)
        lines = sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()})
        (folder / LOCK_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(_readme(suite), encoding="utf-8")
        _write_metadata(suite, folder)
        pack(folder, destination)
    return destination


def _contents(suite: Suite, layout: Layout) -> Iterator[tuple[str, Path]]:
    """(name in the archive, file) of all that is copied."""
    defaults = Layout()
    results = layout.suite(suite.name)
    for path in results.rglob("*"):
        relative = path.relative_to(results)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.is_file() and not hidden and "checkpoints" not in relative.parts:
            yield (defaults.suite(suite.name) / relative).as_posix(), path
    for path in _configuration(suite, layout.config):
        yield (defaults.config / path.relative_to(layout.config)).as_posix(), path
    data = layout.data(suite.data.name)
    splits = ["train"] if suite.protocol.evaluate_on == "holdout" else suite.data.validation
    shown = [layout.split(suite.data.name, split) for split in splits]
    for path in (data / RECORD, *shown, layout.model(suite.model.name) / RECORD):
        if path.exists():
            yield (defaults.resources / path.relative_to(layout.resources)).as_posix(), path


def _configuration(suite: Suite, config: Path) -> list[Path]:
    """The suite's file, those that it extends, and its model's and its data set's."""
    files = [
        config / folder / f"{getattr(suite, key).name}.yaml" for key, folder in SPEC_FOLDERS.items()
    ]
    name = suite.name
    while name:
        files.append(Layout(config).suite_file(name))
        name = read_yaml(files[-1]).get("extends")
    return files


def _render(suite: str, folder: Path) -> None:
    """The pages of the suite alone, from nothing but what the archive holds."""
    from wsa.leaderboard import render

    with contextlib.chdir(folder):  # pages name paths as they are given
        render([tuned(load_suite(suite), Layout())], Layout())


def _readme(suite: Suite) -> str:
    return f"""# {suite.title}: results

Open `site/index.html`. Each run's record is
`results/{suite.name}/runs/<method>/seed-<k>/result.json`.

- `sha256sum -c {MANIFEST}` checks every file.
- `wsa bundle --check <this archive>` checks the archive and its records.
- `wsa site {suite.name}` in the unpacked folder renders the pages again, without training.
- `wsa verify {suite.name}` makes runs again, once the model and the data are fetched.
"""


# --- metadata -------------------------------------------------------------------------------------


def _write_metadata(suite: Suite, folder: Path) -> None:
    """`ro-crate-metadata.json`: every file with its hash, and what made them."""
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    results = [
        read_record(path, Result) for path in sorted((folder / "results").rglob("result.json"))
    ]
    environments = [e for r in results for e in r.provenance.environments.values()]
    crate = ROCrate()
    crate.name = f"Results of the benchmark suite {suite.name}"
    crate.description = suite.question or suite.title
    crate.datePublished = max(environment.finished for environment in environments)
    licence = ContextEntity(crate, "https://spdx.org/licenses/MIT", properties={
        "@type": "CreativeWork", "name": "MIT License",
    })  # fmt: skip
    crate.license = crate.add(licence)
    crate.root_dataset["mainEntity"] = {"@id": "site/index.html"}
    for name in names_below(folder):
        crate.add_file(folder / name, name, properties=_file_properties(folder / name))
    commits = sorted({e.git_commit for e in environments if e.git_commit})
    software = crate.add(
        ContextEntity(crate, CODE, properties={
            "@type": "SoftwareApplication",
            "name": "Weighted Spectral Adapter, benchmarked",
            "url": CODE,
            "version": ", ".join(commits) or "unknown",
            "softwareRequirements": {"@id": LOCK_FILE},
        })
    )  # fmt: skip
    sources = []
    for kind, spec in (("models", suite.model), ("data", suite.data)):
        record = folder / "resources" / kind / spec.name / RECORD
        if record.exists():
            source = read_record(record, SourceRecord)
            entity = ContextEntity(crate, f"#{kind}-{spec.name}", properties={
                "@type": "Dataset" if kind == "data" else "CreativeWork",
                "name": source.title, "creditText": source.citation, "license": source.licence,
                "sha256": source.sha256,
            })  # fmt: skip
            sources.append(crate.add(entity))
    action = ContextEntity(crate, "#benchmark", properties={
        "@type": "CreateAction",
        "name": f"snakemake --config suites={suite.name}",
        "startTime": min(environment.started for environment in environments),
        "endTime": max(environment.finished for environment in environments),
    })  # fmt: skip
    action["instrument"], action["object"] = software, sources
    action["result"] = crate.root_dataset
    crate.add(action)
    crate.root_dataset["mentions"] = action
    crate.metadata.write(folder)


_FORMATS = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
    ".parquet": "application/vnd.apache.parquet",
    ".tex": "application/x-tex",
}


def _file_properties(path: Path) -> dict[str, str]:
    properties = {"name": path.name, "sha256": sha256_file(path)}
    properties["contentSize"] = str(path.stat().st_size)
    properties["encodingFormat"] = _FORMATS.get(path.suffix, "application/octet-stream")
    return properties


# --- checking -------------------------------------------------------------------------------------


def check_bundle(path: Path) -> str:
    """Check an archive that `bundle` wrote: its hashes, its records, its tables and its pages.

    Whoever can write an archive can write its hashes too. So tables and pages are made again from
    the records, by the code that is here, and compared byte by byte.

    Returns:
        What was found sound, in one line.

    Raises:
        InputError: naming what is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="wsa-bundle-") as scratch:
        folder = Path(scratch)
        unpack(path, folder)
        check_manifest(path, folder)
        names = names_below(folder)
        _check_metadata(path, folder, names)
        try:
            suite = _check_results(folder)
            _check_pages(suite.name, folder)
        except InputError as error:
            raise InputError(str(error).replace(f"{folder}/", ""), file=path) from None
    return (
        f"{path}: {len(names)} files and {len(suite.runs())} runs are what their hashes and "
        "records say, and the pages are what these give"
    )


def _check_results(folder: Path) -> Suite:
    """The one suite of an unpacked archive; InputError unless all its runs are there and sound."""
    layout = Layout(*(folder / root for root in ("config", "resources", "results", "site")))
    names = sorted(path.name for path in layout.results.glob("*"))
    if len(names) != 1:
        raise InputError(f"holds the results of {len(names)} suites, not of one", value=names)
    if not layout.suite_file(names[0]).exists():
        raise InputError(
            "holds results of a suite that it does not hold", value=names[0],
            remedy=f"it should hold {layout.suite_file(names[0])}",
        )  # fmt: skip
    suite = tuned(load_suite(names[0], layout.config), layout)
    for method, seed in suite.runs():
        if not layout.run(suite.name, method, seed).result.exists():
            raise InputError(f"lacks the run of {method} with seed {seed}")
    for damage in damages(suite, layout, whole=True):
        raise InputError(damage)
    return suite


def _check_pages(suite: str, folder: Path) -> None:
    """Raise InputError unless the pages of an unpacked archive are what its records give."""
    site, given = folder / "site", folder / "given"
    if site.exists():
        site.rename(given)
    _render(suite, folder)
    for name in sorted({*names_below(site), *names_below(given)}):
        pages = [root / name for root in (site, given)]
        if not all(page.is_file() for page in pages):
            problem = "is missing" if pages[0].is_file() else "is no page of this suite"
        elif pages[0].read_bytes() != pages[1].read_bytes():
            problem = "is not what the records give"
        else:
            continue
        raise InputError(
            f"site/{name} {problem}",
            remedy=f"if another version of wsa wrote it, check it with that one, see {LOCK_FILE}; "
            f"else trust the records and render them anew: wsa site {suite}",
        )


def _check_metadata(path: Path, folder: Path, names: list[str]) -> None:
    """Whether the metadata are a valid RO-Crate that describes every file."""
    from rocrate.rocrate import ROCrate

    try:
        crate = ROCrate(folder)
        described = {unquote(entity.id) for entity in crate.data_entities}
        required = ("name", "description", "datePublished", "license")
        gaps = [key for key in required if not crate.root_dataset.get(key)]
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise InputError(f"{METADATA} is no RO-Crate: {error}", file=path) from None
    if gaps:
        raise InputError(f"{METADATA}: the data set has no {', '.join(gaps)}", file=path)
    for name in names:
        if name != METADATA and name not in described:
            raise InputError(f"{METADATA} does not describe {name}", file=path)
