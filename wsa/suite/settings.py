"""What `config/config.yaml` may say, and which suites that means on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from wsa.errors import InputError
from wsa.layout import Layout
from wsa.machine.devices import gpu_names
from wsa.machine.estimates import check_gpu_memory, largest_gpu, summary
from wsa.suite.load import is_path, load_suite, load_suites
from wsa.suite.schema import Collection, Seed, Suite
from wsa.suite.strict import Strict, check

DEFAULT_SUITE = "minilm-l6_films"
QUESTION_SUITE = "deberta-v3-base_sst2"


def _yaml_bool(value: Any) -> Any:
    """`snakemake --config` passes YAML's true and false on as text."""
    return value == "true" if value in ("true", "false") else value


def _yaml_numbers(value: Any) -> Any:
    """And the numbers of a list."""
    if not isinstance(value, list):
        return value
    return [int(one) if isinstance(one, str) and one.isdecimal() else one for one in value]


class Folders(Strict):
    """Where things lie, relative to the working directory."""

    config: str = "config"
    resources: str = "resources"
    results: str = "results"
    site: str = "site"
    submissions: str = "submissions"


class Settings(Strict):
    """The workflow's configuration."""

    suites: str | list[str] = Field(
        default="auto",
        description=f"names of suites; 'auto': {DEFAULT_SUITE}, and {QUESTION_SUITE} with a GPU",
    )
    seeds: Annotated[
        Annotated[int, Field(ge=1, le=1000)] | list[Seed] | None, BeforeValidator(_yaml_numbers)
    ] = Field(
        default=None, description="instead of the suites' own: a number n for 0 … n−1, or a list"
    )
    families: list[str] | None = Field(
        default=None, description="of the suites' methods only these families, and the controls"
    )
    methods: list[str] | None = Field(
        default=None, description="of the suites' methods only these, and the controls"
    )
    allow_cpu: Annotated[bool, BeforeValidator(_yaml_bool)] = Field(
        default=False, description="run a suite that wants a GPU on the CPU, however long it takes"
    )
    folders: Folders = Folders()

    @property
    def layout(self) -> Layout:
        return Layout(**{key: Path(value) for key, value in self.folders.model_dump().items()})

    @property
    def seed_list(self) -> list[int] | None:
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds


def read_settings(raw: dict[str, Any]) -> Settings:
    """Check the workflow's configuration; raises InputError."""
    file = "config/config.yaml (or --config)"
    seeds = raw.get("seeds")
    if isinstance(seeds, str):
        raise InputError(
            "should be a whole number", file=file, key="seeds", value=seeds,
            remedy="a number n for the seeds 0 … n−1, or a list in brackets: seeds=[0,1]",
        )  # fmt: skip
    settings = check(Settings, raw, file)
    names = settings.suites
    for name in [names] if isinstance(names, str) else names:
        # the rules hand on the name alone
        if is_path(name) or {"/", "\\"} & {*name}:
            raise InputError(
                "should be a suite's name, not a path", file=file, key="suites", value=name,
                remedy=f"put the file into {settings.folders.config}/suites/ and name it without "
                f".yaml: suites={Path(name).stem}",
            )  # fmt: skip
    if not names or isinstance(names, list) and len(set(names)) < len(names):
        raise InputError(
            "a suite is named twice" if names else "no suite is named", file=file, key="suites",
            value=names or None, remedy=f"suites: {DEFAULT_SUITE}",
        )  # fmt: skip
    return settings


def choose_suites(
    settings: Settings, elsewhere: bool = False
) -> tuple[list[Suite], list[Collection], str]:
    """The suites to run, the collections they were named by, and one line that says which suites,
    why, and how to choose otherwise.

    Args:
        settings: as read.
        elsewhere: whether the runs go to other machines, so that this one's GPUs do not count.

    Raises:
        InputError: for an unknown or broken suite, one that needs a GPU that is not there, or one
            that does not fit on the GPU.
    """
    gpus = () if elsewhere else gpu_names()
    if settings.suites == "auto":
        names = [DEFAULT_SUITE] + ([QUESTION_SUITE] if gpus else [])
        why = f"'auto' with {gpus[0]}" if gpus else "'auto' without a GPU here"
    else:
        names = settings.suites if isinstance(settings.suites, list) else [settings.suites]
        why = "as configured"
    suites, collections = load_suites(names, settings.folders.config, settings.seed_list)
    if settings.families or settings.methods:
        part = settings.families or (), settings.methods or ()
        suites = [suite.only(*part) for suite in suites]
    for suite in suites:
        if suite.needs_gpu and not (gpus or elsewhere or settings.allow_cpu):
            raise InputError(
                f"suite '{suite.name}' wants a GPU and there is none; without one it is "
                f"{summary(suite, settings.layout)}",
                remedy="run it where there is one; or here all the same: --config allow_cpu=true",
            )
        if not elsewhere:
            check_gpu_memory(suite, suite.methods, settings.layout, largest_gpu())
    line = (
        f"suites: {', '.join(names)} ({why}); others: --config suites=NAME, "
        f"see {settings.folders.config}/suites/"
    )
    return suites, collections, line


def suites_tuned_in(suites: Iterable[Suite], settings: Settings) -> list[Suite]:
    """The suites, other than themselves, whose trials choose the values of `suites`.

    Raises:
        InputError: for one that is unknown, broken or without trials of its own, or that tunes a
            method otherwise.
    """
    found = {}
    for suite in suites:
        if suite.tuned_in == suite.name:
            continue
        other = found[suite.tuned_in] = load_suite(suite.tuned_in, settings.folders.config)
        file = settings.layout.suite_file(suite.name)
        if other.tuning is None or other.tuning.of:
            raise InputError(
                f"suite '{other.name}' has no trials of its own", file=file, key="tuning.of",
                value=other.name, remedy="a suite with tuning: {trials: 8}, and no tuning.of",
            )  # fmt: skip
        for name in suite.tuned_methods():
            method = other.methods.get(name)
            if method is None or method.tune != suite.methods[name].tune:
                raise InputError(
                    f"method '{name}' is not tuned so in suite '{other.name}'", file=file,
                    key=f"methods.{name}.tune", value=suite.methods[name].tune,
                    remedy=f"{method.tune if method else 'leave it out'}, or extends: {other.name}",
                )  # fmt: skip
    return list(found.values())


def shown_suites(chosen: list[str], config: Path) -> list[str]:
    """The suites and collections on the pages: those asked for, and the question's own suite,
    measured or not, where `config` has it.
    """
    known = Layout(config=config).suite_file(QUESTION_SUITE).exists()
    return list(dict.fromkeys([*chosen, QUESTION_SUITE] if known else chosen))
