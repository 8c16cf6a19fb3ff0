# The configuration, checked before anything runs, and what the rules ask of it.
import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

import wsa
from wsa.errors import COMMAND, InputError
from wsa.machine.estimates import Machine, summary
from wsa.files import sha256_file, sha256_json
from wsa.layout import TRIALS, Layout
from wsa.machine import forkserver
from wsa.machine.processes import WORKFLOW
from wsa.identity import code_hash
from wsa.suite.packing import packs
from wsa.suite.settings import choose_suites, read_settings, suites_tuned_in
from wsa.suite.tuning import trial_names, trials_of

# a `wsa` that is at work ends with the snakemake that started it: on a cluster, that of its node
os.environ[WORKFLOW] = str(os.getpid())
# rules call the `wsa` that is installed beside the running snakemake, or the container's own
IN_CONTAINER = (
    DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
)
if IN_CONTAINER:
    shell.prefix("set -euo pipefail; ")
else:
    _bin = shlex.quote(str(Path(sys.executable).parent))
    shell.prefix(f"set -euo pipefail; export PATH={_bin}:$PATH; ")

# runs go to other machines: the GPUs and cores of this one do not count
ELSEWHERE = workflow.remote_exec or workflow.resource_settings.nodes is not None


onstart:
    if workflow.is_main_process and not ELSEWHERE:
        # how many jobs may be submitted a second is of no use here, and costs: after every job that
        # ends, Snakemake 9 begins to look at all waiting jobs once a second, for good
        workflow.scheduler.job_rate_limiter = None
        # stages are forks of one process, which imports torch once
        if not IN_CONTAINER:
            forkserver.start()


def machine_of(suite):
    """Where its runs compute, for estimates; on a cluster that is not known yet."""
    return Machine.elsewhere(suite.needs_gpu) if ELSEWHERE else Machine.here()


try:
    SETTINGS = read_settings(config)
    _chosen, _collections, _line = choose_suites(SETTINGS, ELSEWHERE)
    _trials = [
        trials_of(suite)
        for suite in _chosen
        if suite.tuning and suite.tuned_in == suite.name
    ]
    _elsewhere = suites_tuned_in(_chosen, SETTINGS)
except InputError as error:
    raise WorkflowError(str(error)) from None
# what is run: the suites, and the trials that choose their values
RUN_SUITES = [*_trials, *_chosen]
if workflow.is_main_process:  # jobs read this file again
    # for messages that say how something is made again
    os.environ[COMMAND] = shlex.join(["snakemake", *sys.argv[1:]])
    print(_line, file=sys.stderr)
    for _suite in RUN_SUITES:
        print(
            f"{_suite.name}: {summary(_suite, SETTINGS.layout, machine_of(_suite))}",
            file=sys.stderr,
        )

LAYOUT = SETTINGS.layout
CHOSEN = {suite.name: suite for suite in _chosen}
# and what they may need: the trials of other suites, where their values are chosen
SUITES = {
    suite.name: suite
    for suite in [
        *_elsewhere,
        *[trials_of(suite) for suite in _elsewhere],
        *RUN_SUITES,
    ]
}
COLLECTIONS = {collection.name: collection for collection in _collections}
MODELS = {suite.model.name: suite.model for suite in SUITES.values()}
DATA = {suite.data.name: suite.data for suite in SUITES.values()}
RESULTS = [
    LAYOUT.run(suite.name, method, seed).result
    for suite in RUN_SUITES
    for method, seed in suite.runs()
]

# the command and those of its options that are not the default
WSA = " ".join(
    ["wsa"]
    + [
        f"--{folder} {shlex.quote(path)}"
        for folder, path in SETTINGS.folders.model_dump().items()
        if path != str(getattr(Layout(), folder))
    ]
)
SEEDS = (
    f"--seeds {','.join(map(str, SETTINGS.seed_list))}" if SETTINGS.seed_list else ""
)
PART = " ".join(
    f"--{part} {shlex.quote(','.join(names))}"
    for part, names in [
        ("families", SETTINGS.families),
        ("methods", SETTINGS.methods),
    ]
    if names
)
# the published record's files; none where the configuration has no record
LITERATURE = sorted(LAYOUT.literature.glob("*.*"))
RUN = LAYOUT.run("{suite}", "{method}", "{seed}")


def matching(names):
    """A pattern for these names; one that matches nothing if there are none."""
    return "|".join(map(re.escape, sorted(names))) or "(?!)"


wildcard_constraints:
    suite="|".join(map(re.escape, SUITES)),
    collection=matching(COLLECTIONS),
    method="[A-Za-z0-9_.+-]+",
    seed="[0-9]+",
    model="|".join(map(re.escape, MODELS)),
    data="|".join(map(re.escape, DATA)),


def digest(value):
    """A hash of a typed piece of configuration: a rule whose params hold it reruns with it."""
    return sha256_json(value.model_dump(mode="json"))


def run_digest(wildcards):
    return SUITES[wildcards.suite].run_digest(wildcards.method)


# as functions: a job on a cluster reads this file again, and asks for its own stage's code alone
def code_of(stage, peft_types=()):
    return lambda wildcards: code_hash(stage, peft_types)


def code_of_run(stage):
    """The hash of the code that decides a stage of a run; its tuner's is part of it."""
    return lambda wildcards: code_hash(
        stage, SUITES[wildcards.suite].method(wildcards.method).peft_types
    )


def code_of_suite(stage):
    return lambda wildcards: code_hash(stage, SUITES[wildcards.suite].peft_types)


def threshold_of(wildcards):
    return SUITES[wildcards.suite].method(wildcards.method).threshold


def metrics_of(wildcards):
    return [metric.name for metric in SUITES[wildcards.suite].data.task.metrics]


def tokens_of(wildcards):
    suite = SUITES[wildcards.suite]
    return LAYOUT.tokens(suite.model.name, suite.data.name)


def model_of(wildcards):
    return LAYOUT.model(SUITES[wildcards.suite].model.name) / "source.json"


def factors_of(wildcards):
    suite = SUITES[wildcards.suite]
    rank = suite.factor_rank(wildcards.method)
    return LAYOUT.factor_index(suite.model.name, rank) if rank else []


def checked_of(wildcards):
    """That the method fits; one that differs from another in its rates alone fits as that does."""
    suite = SUITES[wildcards.suite]
    return LAYOUT.checked(suite.name, suite.first_alike(wildcards.method))


def trials_of_method(wildcards):
    suite = SUITES[wildcards.suite]
    names = trial_names(suite, wildcards.method)
    trials = SUITES[suite.name + TRIALS]
    return [LAYOUT.run(trials.name, name, trials.seeds[0]).result for name in names]


def tuning_of(wildcards):
    """The values chosen for a method, or for every method of a suite; of a suite with tuning."""
    suite = SUITES[wildcards.suite]
    return [
        LAYOUT.tuning(suite.tuned_in, name)
        for name in suite.tuned_methods()
        if getattr(wildcards, "method", name) == name
    ]


def pruning_of(wildcards):
    run = LAYOUT.run(wildcards.suite, wildcards.method, wildcards.seed)
    gated = SUITES[wildcards.suite].method(wildcards.method).gated
    return [run.pruning, run.pruned] if gated else []


def results_of(wildcards):
    suite = SUITES[wildcards.suite]
    return [
        LAYOUT.run(suite.name, method, seed).result for method, seed in suite.runs()
    ]


def timed_of(wildcards):
    """The adapters whose inference is timed: those of the first seed."""
    suite = SUITES[wildcards.suite]
    for name, method in suite.methods.items():
        if method.kind == "adapter":
            run = LAYOUT.run(suite.name, name, suite.seeds[0])
            yield from [run.result, run.trained] + (
                [run.pruned] if method.gated else []
            )


def gated_of(wildcards):
    """The gated adapters of the first seed, and what they predicted."""
    suite = SUITES[wildcards.suite]
    for name, method in suite.methods.items():
        if method.gated:
            run = LAYOUT.run(suite.name, name, suite.seeds[0])
            yield from [run.training, run.trained, run.result]


def inference_of(wildcards):
    return [LAYOUT.inference_json(wildcards.suite)] if any(timed_of(wildcards)) else []


_FULL = {n for s in SUITES.values() for n, m in s.methods.items() if m.kind == "full"}
MATCH_FULL = matching(_FULL)
MATCH_KEPT = matching({n for s in SUITES.values() for n in s.methods} - _FULL)


def template_hash():
    """Changes with any file the pages are made from."""
    folder = Path(wsa.__file__).parent / "leaderboard"
    files = sorted(
        p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")
    )
    return sha256_json({p.name: sha256_file(p) for p in files})
