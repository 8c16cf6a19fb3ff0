"""`python -m benchmarks.whole_run REVISION …`: what the one command costs, beside its arithmetic.

Runs `snakemake` from nothing but the fetched model and sentences, in a clone at each revision of
this repository in turn, with the packages that are installed here, and asks how many seconds of the
processor it took in all, and how many of them trained or predicted. Give the machine nothing else
to do: a core that others use makes every second longer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from wsa.layout import Layout
from wsa.records.record import read_record
from wsa.records.run import Result

from benchmarks.timing import arguments, children_seconds, report, table

ROOT = Path(__file__).parent.parent
JOBS = "jobs of "
FETCH = ("fetch_model", "fetch_data")  # the network's time is not the program's


def clone(revision: str, folder: Path) -> str:
    """Check out a revision of this repository into `folder`; returns its short hash."""
    subprocess.run(["git", "clone", "-q", "--no-checkout", ROOT, folder], check=True)
    subprocess.run(["git", "-C", folder, "checkout", "-q", "--detach", revision], check=True)
    asked = ["git", "-C", folder, "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def snakemake(project: Path, *options: str) -> tuple[float, float]:
    """Run the workflow of a clone; seconds that passed, and seconds of all its processes."""
    before, begin = children_seconds(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "snakemake", *options], cwd=project, check=True,
        env=os.environ | {"PYTHONPATH": str(project)}, stdout=sys.stderr,
    )  # fmt: skip
    return time.perf_counter() - begin, children_seconds() - before


def arithmetic(layout: Layout) -> tuple[float, float, int]:
    """Seconds that trained and that predicted, by the records of the runs, and how many runs."""
    results = [read_record(path, Result) for path in layout.results.glob("*/runs/*/*/result.json")]
    trained = sum(result.cost.train_seconds for result in results)
    predicted = sum(result.cost.evaluate_seconds * len(result.states) for result in results)
    return trained, predicted, len(results)


def seconds_by_rule(project: Path) -> Counter[str]:
    """Seconds of the jobs of each rule that is timed, from what Snakemake keeps of every output."""
    kept = [json.loads(path.read_text()) for path in (project / ".snakemake/metadata").iterdir()]
    jobs = {(one["rule"], *one["log"]): one["endtime"] - one["starttime"] for one in kept}
    seconds: Counter[str] = Counter()
    for (rule, *_), took in jobs.items():
        if rule not in FETCH:
            seconds[rule] += took
    return seconds


def options(config: list[str]) -> list[str]:
    return ["--config", *config] if config else []


def measure(asked: str, cores: int, config: list[str]) -> dict[str, float | int | str]:
    """One run of the workflow at a revision; after it and a space, configuration of its own."""
    revision, *own = asked.split()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "clone"
        commit = clone(revision, project)
        chosen = options([*config, *own])
        snakemake(project, "--cores", str(cores), "--quiet", "all", "--until", *FETCH, *chosen)
        passed, used = snakemake(project, "--cores", str(cores), "--quiet", "all", *chosen)
        trained, predicted, runs = arithmetic(Layout(results=project / "results"))
        rules = seconds_by_rule(project)
    return {
        "revision": " ".join([revision if revision == commit else f"{revision} ({commit})", *own]),
        "runs": runs,
        "passed, s": round(passed, 1),
        "processor, s": round(used, 1),
        "training, s": round(trained, 1),
        "predicting, s": round(predicted, 1),
        "processor / (training + predicting)": round(used / (trained + predicted), 3),
    } | {f"{JOBS}{rule}, s": round(seconds, 1) for rule, seconds in sorted(rules.items())}


def main(argv: list[str] | None = None) -> list[dict]:
    parser = arguments(__doc__)
    parser.add_argument(
        "revisions", nargs="+",
        help="of this repository, in their order; 'HEAD seeds=1': with --config of its own",
    )  # fmt: skip
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--config", nargs="*", default=[], help="as snakemake's, such as seeds=1")
    args = parser.parse_args(argv)
    rows = [measure(revision, args.cores, args.config) for revision in args.revisions]
    whole = [{k: v for k, v in row.items() if not k.startswith(JOBS)} for row in rows]
    rules = [
        {k.removeprefix(JOBS): v for k, v in row.items() if k == "revision" or k.startswith(JOBS)}
        for row in rows
    ]
    command = " ".join(["snakemake --cores", str(args.cores), *options(args.config)])
    text = (
        f"`{command}` from fetched sources, one revision after the other. Processor: user and "
        "system time of all its processes. Training and predicting: what the runs' records say of "
        f"themselves.\n\n{table(whole)}\n\nSeconds of the jobs of each rule, imports and all:\n\n"
        f"{table(rules)}"
    )
    report("whole_run", "What the one command costs", args.out, vars(args), rows, text)
    return rows


if __name__ == "__main__":
    main()
