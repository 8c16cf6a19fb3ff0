"""How the workflow scales: its own overhead, the tables and pages of many runs, and more GPUs.

`python -m benchmarks.scale overhead --runs 100 1000 10000`: Snakemake's own time, without the work:
a dry run, a run whose stages do nothing but leave their files, and a run with nothing to do.

`python -m benchmarks.scale evidence --runs 1008`: the tables, the verdicts and the pages of made-up
runs.

`python -m benchmarks.scale simulate`: how long 12 methods × 10 seeds × 5 suites take on 1, 8 and 64
GPUs, from the seconds that stages took in earlier runs, or that `wsa.machine.estimates` expects.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import yaml
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.machine.estimates import Machine, estimate
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.suite.load import load_suite

from benchmarks.timing import children_seconds, report, table

ROOT = Path(__file__).parent.parent
METHODS = 20  # of the made-up suites: full fine-tuning, LoRA and WSA of many ranks


# --- overhead ------------------------------------------------------------------------------------


def pretence(layout: Layout) -> str:
    """A shell function `wsa` that leaves the files of every stage and does nothing else.

    Bash looks for functions before it looks for programs.
    """
    run, suite = layout.run("$2", "$3", "$4"), "$2"
    stages = {
        "fetch-model": [layout.model("$2") / "source.json"],
        "fetch-data": [layout.data("$2") / "source.json"],
        "tokenise": [layout.tokens("$2", "$3")],
        "factors": [layout.factors / "$2_r$3.json"],
        "check": [layout.checked("$2", "$3")],
        "train": [run.trained / "weights", run.training, run.curve, run.gates],
        "prune": [run.pruned / "weights", run.pruning],
        "evaluate": [run.result, run.predictions],
        "inference": [layout.inference_json(suite)],
        "thresholds": [layout.thresholds_json(suite)],
        "aggregate": [
            layout.runs_csv(suite), layout.table_csv(suite), layout.table_md(suite),
            layout.comparisons_csv(suite), layout.tables_json(suite), layout.claims_json(suite),
            layout.findings_json(suite),
        ],
        "site": [layout.index_page, layout.suite_page("scale")],
    }  # fmt: skip
    cases = []
    for stage, files in stages.items():
        folders = " ".join(f'"{folder}"' for folder in dict.fromkeys(f.parent for f in files))
        names = " ".join(f'"{file}"' for file in files)
        cases.append(f"{stage}) mkdir -p {folders}; touch {names};;")
    return "() { case $1 in " + " ".join(cases) + " esac; }"


def make_project(folder: Path, runs: int) -> None:
    """The workflow beside a suite of `runs` runs in `folder`."""
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "Snakefile", folder)
    methods: dict[str, dict] = {"full": {"title": "Full", "kind": "full", "learning_rate": 1e-5}}
    for number in range(1, METHODS):
        adapter = {"peft_type": "LORA", "r": number}
        if number % 2:
            adapter = {"peft_type": "WSA", "r": number, "l1": 1e-3, "threshold": 0.05}
        methods[f"adapter-{number}"] = {
            "title": f"Adapter {number}", "adapter": adapter, "learning_rate": 1e-4,
        }  # fmt: skip
    source = {"kind": "path", "path": "nowhere"}
    spec = {"name": "scale", "title": "Scale"}
    suite = spec | {
        "seeds": list(range(runs // METHODS)),
        "model": "scale",
        "data": "scale",
        "methods": methods,
        "protocol": {
            "epochs": 1, "batch_size": 32, "batching": "random", "max_length": 64,
            "schedule": "linear", "weight_decay": 0.0, "head_learning_rate": 1e-4,
        },
    }  # fmt: skip
    model = {"source": source, "target_modules": ["query"], "head_modules": ["classifier"]}
    for path, content in {
        "config.yaml": {"suites": "scale"},
        "suites/scale.yaml": suite,
        "models/scale.yaml": spec | model,
        "data/scale.yaml": spec | {"source": source},
    }.items():
        (folder / "config" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "config" / path).write_text(yaml.safe_dump(content))


def snakemake(folder: Path, *arguments: str) -> dict[str, float]:
    """Wall-clock and processor seconds of one call, and how many jobs it had."""
    before = children_seconds()
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
        cwd=folder,
        env=os.environ | {"BASH_FUNC_wsa%%": pretence(Layout())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise InputError(f"snakemake failed:\n{done.stdout[-3000:]}")
    stats = done.stdout.split("Job stats:", 1)[-1].split("\n\n", 1)[0]
    jobs = [int(line.split()[1]) for line in stats.splitlines() if line.startswith("total")]
    return {
        "jobs": jobs[0] if jobs else 0,
        "seconds": seconds,
        "processor seconds": children_seconds() - before,
    }


def overhead(args: argparse.Namespace) -> None:
    rows = []
    for runs in args.runs:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_project(folder, runs)
            calls = {"dry run": ["-n"], "pretend stages": [], "nothing to do": []}
            for what, arguments in calls.items():
                if what == "pretend stages" and runs > args.most:
                    break
                measured = snakemake(folder, *arguments)
                per_run = 1000 * measured["processor seconds"] / runs
                row = {"runs": runs, "what": what, **measured}
                rows.append(row | {"processor ms a run": per_run})
                print(rows[-1], flush=True)
    report("scale_overhead", "The workflow's own overhead", args.out, vars_of(args), rows,
           table(rows))  # fmt: skip


# --- evidence ------------------------------------------------------------------------------------


def evidence(args: argparse.Namespace) -> None:
    from tests.helpers.results import make_results, many_methods
    from wsa.evidence.aggregate import aggregate
    from wsa.leaderboard import render

    rows = []
    for runs in args.runs:
        with tempfile.TemporaryDirectory() as name:
            layout = Layout(results=Path(name) / "results", site=Path(name) / "site")
            suite, accuracy = many_methods(runs // args.seeds, args.seeds)
            make_results(layout, suite, accuracy)
            row: dict[str, object] = {"runs": len(suite.runs()), "seeds": args.seeds}
            for stage, work in {
                "tables and verdicts": lambda: aggregate(suite, layout),  # noqa: B023
                "pages": lambda: render([suite], layout),  # noqa: B023
            }.items():
                start, begun = time.perf_counter(), time.process_time()
                work()
                row[stage] = time.perf_counter() - start
                row[f"{stage}, processor"] = time.process_time() - begun
            rows.append(row)
            print(row, flush=True)
    report("scale_evidence", "Tables, verdicts and pages of many runs, seconds", args.out,
           vars_of(args), rows, table(rows))  # fmt: skip


# --- simulation ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Durations:
    """Seconds of the jobs of one suite; `runs` by method, training, pruning and evaluation."""

    before: float
    runs: Mapping[str, float]
    after: float
    basis: str


def measured_durations(folder: Path, start_up: float) -> Durations:
    """From the records in a folder of results: from the begin of a stage to its end."""
    seconds: dict[str, list[float]] = {}
    for path in sorted(folder.glob("runs/*/seed-*/result.json")):
        result = read_record(path, Result)
        stages = result.provenance.environments.values()
        # records tell whole seconds, the loop's own are exact
        spent = sum(max(_lasted(stage), 1.0) for stage in stages)
        spent = max(spent, result.cost.train_seconds + result.cost.evaluate_seconds)
        jobs = 2 + (result.rank is not None)
        seconds.setdefault(result.method, []).append(spent + jobs * start_up)
    if not seconds:
        raise InputError("holds no results", file=folder)
    runs = {method: statistics.mean(those) for method, those in seconds.items()}
    count = sum(map(len, seconds.values()))
    return Durations(
        3 * start_up, runs, 2 * start_up + 2 * max(runs.values()),
        f"measured in {count} runs of {folder.name}",
    )  # fmt: skip


def expected_durations(name: str, start_up: float) -> Durations:
    """As `wsa.machine.estimates` expects them of a suite on a GPU."""
    suite, layout = load_suite(name, ROOT / "config"), Layout()
    found = {
        method: estimate(suite, method, layout, Machine.elsewhere(suite.needs_gpu))
        for method in suite.methods
    }
    runs = {method: one.seconds + 3 * start_up for method, one in found.items()}
    basis = next(iter(found.values())).basis
    return Durations(3 * start_up, runs, 2 * start_up + max(runs.values()), basis)


def _lasted(stage) -> float:
    return (
        datetime.fromisoformat(stage.finished) - datetime.fromisoformat(stage.started)
    ).total_seconds()


def makespan(suites: Sequence[Durations], methods: int, seeds: int, gpus: int) -> float:
    """Seconds until the last job of all suites has ended, with `gpus` jobs at a time.

    Every suite's preparation comes before its runs, its timing of inference after the first seed
    of every method. Whoever is ready first starts first, as Snakemake's scheduler does it.
    """
    free = [0.0] * gpus  # when each GPU is free again
    clock: list[tuple[float, int, int, str]] = []  # ready at, tie, suite, what
    ties = itertools.count()
    for number in range(len(suites)):
        heapq.heappush(clock, (0.0, next(ties), number, "before"))
    left = [methods] * len(suites)  # runs of the first seed that have not ended
    last_first = [0.0] * len(suites)
    last = 0.0
    while clock:
        ready, _, number, what = heapq.heappop(clock)
        suite = suites[number]
        begin = max(ready, heapq.heappop(free))
        seconds = {"before": suite.before, "after": suite.after}.get(what)
        if seconds is None:
            seed, method = map(int, what.split())
            seconds = list(suite.runs.values())[method % len(suite.runs)]
        end = begin + seconds
        heapq.heappush(free, end)
        last = max(last, end)
        if what == "before":
            for seed, method in itertools.product(range(seeds), range(methods)):
                heapq.heappush(clock, (end, next(ties), number, f"{seed} {method}"))
        elif what != "after" and seed == 0:
            left[number] -= 1
            last_first[number] = max(last_first[number], end)
            if not left[number]:
                heapq.heappush(clock, (last_first[number], next(ties), number, "after"))
    return last


def simulate(args: argparse.Namespace) -> None:
    start_up = _start_up()
    cases = [measured_durations(folder, start_up) for folder in args.records]
    cases += [expected_durations(name, start_up) for name in args.expected]
    rows = []
    for case in cases:
        alone = makespan([case] * args.suites, args.methods, args.seeds, 1)
        for gpus in args.gpus:
            seconds = makespan([case] * args.suites, args.methods, args.seeds, gpus)
            rows.append(
                {
                    "seconds of a run": case.basis,
                    "GPUs": gpus,
                    "hours": seconds / 3600,
                    "faster than one": alone / seconds,
                }
            )
    report("scale_simulated", f"{args.methods} methods × {args.seeds} seeds × {args.suites} suites",
           args.out, vars_of(args), rows,
           f"Start of a stage, measured here: {start_up:.1f} s.\n\n{table(rows)}")  # fmt: skip


def _start_up() -> float:
    """Processor seconds until a stage has imported what it uses."""
    before = children_seconds()
    subprocess.run([sys.executable, "-c", "import wsa.stages.train"], check=True)
    return children_seconds() - before


def vars_of(args: argparse.Namespace) -> dict[str, str]:
    return {name: str(value) for name, value in vars(args).items() if name != "command"}


def main(argv: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)

    def command(name: str, function) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        sub.add_argument("--out", type=Path, default=Path("results/benchmarks"))
        sub.set_defaults(command=function)
        return sub

    sub = command("overhead", overhead)
    sub.add_argument("--runs", type=int, nargs="+", default=[100, 1000, 10000])
    sub.add_argument("--most", type=int, default=1000, help="runs with pretend stages")
    sub = command("evidence", evidence)
    sub.add_argument("--runs", type=int, nargs="+", default=[1008])
    sub.add_argument("--seeds", type=int, default=12)
    sub = command("simulate", simulate)
    sub.add_argument("--methods", type=int, default=12)
    sub.add_argument("--seeds", type=int, default=10)
    sub.add_argument("--suites", type=int, default=5)
    sub.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64])
    sub.add_argument(
        "--records", type=Path, nargs="*", default=[Path("published/minilm-l6_movie-snippets")]
    )
    sub.add_argument("--expected", nargs="*", default=["deberta-v3-base_sst2"])
    args = parser.parse_args(argv)
    args.command(args)


if __name__ == "__main__":
    main()
