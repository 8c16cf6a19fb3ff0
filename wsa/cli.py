"""The command line: `wsa <stage> …`. Every rule of the workflow calls one of these.

Each command imports its stage only when it runs, so that `wsa --help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from wsa.errors import InputError, is_out_of_memory
from wsa.layout import Layout
from wsa.machine.forkserver import run_forked
from wsa.machine.leases import leased_device
from wsa.machine.processes import end_with_workflow

T = TypeVar("T")
Command = Callable[[argparse.Namespace, Layout], int | None]


def _fetch_model(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.sources import fetch_model
    from wsa.suite.load import load_model

    fetch_model(load_model(args.model, layout.config), layout)


def _fetch_data(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.sources import fetch_data
    from wsa.suite.load import load_data

    fetch_data(load_data(args.data, layout.config), layout)


def _tokenise(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.stages.tokenise import tokenise
    from wsa.suite.load import load_data, load_model

    tokenise(load_model(args.model, layout.config), load_data(args.data, layout.config), layout)


def _factors(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.stages.factors import build_factor_index
    from wsa.suite.load import load_model

    build_factor_index(load_model(args.model, layout.config), args.rank, layout)


def _check(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.stages.check import check_method

    suite = _trainable(args, layout, [args.method] if args.method else None)
    for method in [args.method] if args.method else suite.methods:
        check_method(suite, method, layout)


def _train(args: argparse.Namespace, layout: Layout) -> None:
    suite = _trainable(args, layout, [args.method])
    with _alone(suite, args.method, args.seed, layout), leased_device():
        from wsa.machine.estimates import check_gpu_memory, free_gpu
        from wsa.stages.train import train

        check_gpu_memory(suite, [args.method], layout, free_gpu())
        train(suite, args.method, args.seed, layout, args.checkpoint_seconds)


def _train_packed(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.suite.packing import check_packable

    runs = [(method, seed) for method in args.methods for seed in args.pack_seeds]
    suite = _trainable(args, layout, args.methods)
    check_packable(suite, runs)
    with contextlib.ExitStack() as stack:
        for run in runs:
            stack.enter_context(_alone(suite, *run, layout))
        stack.enter_context(leased_device())
        from wsa.machine.estimates import check_gpu_memory, free_gpu
        from wsa.stages.packed import train_packed

        check_gpu_memory(suite, args.methods, layout, free_gpu())  # of one run at least
        train_packed(suite, runs, layout, args.checkpoint_seconds)


def _tune(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.stages.tune import tune
    from wsa.suite.load import load_suite

    suite = load_suite(args.suite, layout.config)
    for method in [args.method] if args.method else suite.tuned_methods():
        record = tune(suite, method, layout)
        values = ", ".join(f"{key} {value:g}" for key, value in record.best.values.items())
        value = record.best.states["unpruned"]
        beyond = ", ".join(f"{key} is the {end} tried" for key, end in record.edges.items())
        print(
            f"{method}: {values} ({record.metric} {value:.4f}, the best of "
            f"{len(record.trials)} trials)" + (f"; {beyond}" if beyond else "")
        )


def _prune(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.stages.prune import prune

    suite = _suite(args, layout)
    with _alone(suite, args.method, args.seed, layout, trained=True):
        pruning = prune(suite, args.method, args.seed, layout)
    rank = pruning.rank
    print(f"effective rank {rank.effective_mean:.2f} of {rank.initial} (|g| ≥ {rank.threshold})")


def _evaluate(args: argparse.Namespace, layout: Layout) -> None:
    suite = _suite(args, layout)
    with _alone(suite, args.method, args.seed, layout, trained=True), leased_device():
        from wsa.stages.evaluate import evaluate

        result = evaluate(suite, args.method, args.seed, layout)
    for name, state in result.states.items():
        found = ", ".join(f"{metric} {value:.4f}" for metric, value in state.metrics.items())
        print(f"{name}: {found} ({state.n} sentences)")


def _inference(args: argparse.Namespace, layout: Layout) -> None:
    with leased_device():
        from wsa.stages.inference import summary, time_inference

        print(summary(time_inference(_suite(args, layout), layout)))


def _thresholds(args: argparse.Namespace, layout: Layout) -> None:
    with leased_device():
        from wsa.stages.thresholds import sweep_thresholds

        suite = _suite(args, layout)
        points = sweep_thresholds(suite, layout).points
    metric = suite.data.task.headline.name
    for point in points:
        print(
            f"{point.method:24} τ = {point.threshold:<6g} effective rank "
            f"{point.effective_rank:5.2f}, {metric} {point.value:.4f}"
        )


def _export(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.stages.export import export_run

    export_run(
        _suite(args, layout), args.method, args.seed, layout, args.destination, args.format,
        pruned=not args.unpruned,
    )  # fmt: skip
    print(f"how to load it: {args.destination / 'README.md'}")


def _export_adapter(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.adapters.export import export

    export(args.folder, args.destination, args.format, base_model=args.model)
    print(f"how to load it: {args.destination / 'README.md'}")


def _aggregate(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.evidence.aggregate import aggregate

    suite = _suite(args, layout)
    aggregate(suite, layout)
    print(layout.table_md(suite.name).read_text(encoding="utf-8"))


def _compare(args: argparse.Namespace, layout: Layout) -> int:
    from wsa.archive.compare import compare

    comparison = compare(args.a, args.b)
    print(comparison.table())
    return comparison.status(same_bits=args.bits)


def _calibrate(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.evidence.calibration import calibrate

    calibrate(args.output, args.worlds, args.seed)


def _across(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.evidence.across import across

    suites, collections = _suites([args.collection], args, layout)
    if not collections:
        raise InputError(
            "is a suite, not a collection of them", value=args.collection,
            remedy=f"its own tables: wsa aggregate {args.collection}",
        )  # fmt: skip
    for order in across(collections[0], suites, layout).orders:
        print(f"{order.id}, {order.state}: {order.verdict}. {order.said}")


def _literature(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.literature.orderings import judge_literature
    from wsa.literature.reading import read_literature

    literature = read_literature(layout)
    if literature is None:
        raise InputError("there is no published record", file=layout.literature)
    print(judge_literature(literature, _suite(args, layout), layout).said)


def _site(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.leaderboard import render
    from wsa.literature.reading import read_literature
    from wsa.records.across import Across
    from wsa.records.record import read_record
    from wsa.suite.settings import shown_suites

    names = shown_suites(args.suites, layout.config)
    suites, collections = _suites(names, args, layout)
    made = [path for one in collections if (path := layout.across_json(one.name)).exists()]
    together = [read_record(path, Across) for path in made]
    render(suites, layout, together, read_literature(layout))
    print(f"open {layout.index_page}")


def _sentences(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.leaderboard.sentences import disagreements

    for line in disagreements(_suite(args, layout), layout, args.method_a, args.method_b):
        print(line)


def _publish(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.archive.publish import publish

    suite = _suite(args, layout)
    print(publish(suite, layout, args.published, allow_dirty=args.allow_dirty))


def _verify(args: argparse.Namespace, layout: Layout) -> int:
    from wsa.archive.verify import damages, left_out, rerun, sample_runs

    suite, faults = _suite(args, layout), 0
    if args.hashes:
        for damage in damages(suite, layout):
            print(damage)
            faults += 1
        if unchecked := left_out(suite, layout):
            print(unchecked)
        print(f"{faults} damaged" if faults else "every file is what its record says")
    else:
        runs = sample_runs(suite, layout, None if args.all else args.sample)
        for outcome in rerun(suite, runs, layout):
            print(outcome, flush=True)
            faults += outcome.verdict == "different"
        print(f"{len(runs) - faults} of {len(runs)} runs were made again")
    return 1 if faults else 0


def _bundle(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.archive.bundle import bundle, check_bundle

    if args.check:
        print(check_bundle(Path(args.suite)))
    else:
        print(bundle(_suite(args, layout), layout, args.destination))


def _submit(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.submissions.submit import read_card, submit

    said = {name: getattr(args, name) for name in ("who", "where", "why", "licence")}
    card = read_card(args.card, {name: text for name, text in said.items() if text})
    path, checked = submit(
        _suite(args, layout), layout, card, args.method, args.to, args.destination
    )
    print(f"{path}: {len(checked.runs.results)} runs, whose files agree")
    for note in checked.notes:
        print(f"note: {note}")


def _admit(args: argparse.Namespace, layout: Layout) -> int:
    from wsa.submissions.admit import admit
    from wsa.submissions.report import report

    admitted, refused = [], {}
    for path in args.files:
        try:
            admitted.append(admit(path, layout, args.by, args.rerun, fetch=args.fetch))
        except InputError as error:
            refused[path] = error
    text = report(admitted, refused, layout)
    print(text)
    if args.report:
        from wsa.files import write_text

        write_text(args.report, text)
    return 1 if refused else 0


def _export_results(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.submissions.export import export_csv, export_model_cards

    write = {"csv": export_csv, "model-cards": export_model_cards}[args.format]
    write(_suite(args, layout), layout, args.destination)
    print(args.destination)


def _schemas(args: argparse.Namespace, layout: Layout) -> None:
    from wsa.suite.schemas import write_schemas

    write_schemas(args.folder)


# the workflow's stages: what imports torch, and what does not
_COMPUTING = {
    _tokenise, _factors, _check, _train, _train_packed, _prune, _evaluate, _inference, _thresholds,
}  # fmt: skip
_READING = {_tune, _aggregate, _across, _literature, _site}


def _alone(suite, method: str, seed: int, layout: Layout, *, trained: bool = False):
    """The lock of the run that a stage writes; a mistyped run leaves no folder behind.

    Args:
        trained: whether the stage goes on from the run's training.

    Raises:
        InputError: the suite has no such method.
    """
    from wsa.machine.processes import alone

    suite.method(method)
    files = layout.run(suite.name, method, seed)
    if trained and not files.training.exists():
        return contextlib.nullcontext()  # nothing is there to write to: the stage says so
    return alone(files.folder)


def _suites(names: list[str], args: argparse.Namespace, layout: Layout):
    """The suites and collections of these names, with the values that tuning chose so far."""
    from wsa.records.tuning import tuned
    from wsa.suite.load import load_suites

    suites, collections = load_suites(names, layout.config, _seeds(args))
    return [tuned(suite, layout) for suite in suites], collections


def _suite(args: argparse.Namespace, layout: Layout):
    """The suite that is named, with the values that its tuning has chosen so far."""
    from wsa.records.tuning import tuned
    from wsa.suite.load import load_suite

    suite = load_suite(args.suite, layout.config, _seeds(args))
    if args.only_families or args.only_methods:
        suite = suite.only(args.only_families, args.only_methods)
    return tuned(suite, layout)


def _trainable(args: argparse.Namespace, layout: Layout, methods: list[str] | None):
    """The same, for a stage that needs the chosen values of these methods, or of all of them.

    Raises:
        InputError: one is not there.
    """
    from wsa.records.tuning import read_tuning

    suite = _suite(args, layout)
    for method in methods or suite.methods:
        if suite.waits_for_trials(method):
            read_tuning(suite, method, layout)
    return suite


def _seeds(args: argparse.Namespace) -> list[int] | None:
    if not getattr(args, "seeds", None):
        return None
    try:
        return [int(seed) for seed in args.seeds.split(",")]
    except ValueError:
        raise InputError(
            "should be whole numbers with commas between them", key="--seeds", value=args.seeds,
            remedy="--seeds 0,1,2 (snakemake's --config takes brackets: seeds=[0,1,2])",
        ) from None  # fmt: skip


def _rank(text: str) -> int | str:
    """What reads a rank: a whole number, or 'all'."""
    try:
        return text if text == "all" else int(text)
    except ValueError:
        said = f"should be a whole number, or 'all', not {text!r}"
        raise argparse.ArgumentTypeError(said) from None


def _number(kind: type, low: float, below: float = math.inf) -> Callable[[str], float]:
    """What reads an argument: a number from `low` on and below `below`."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value < below:
            number = "a whole number" if kind is int else "a number"
            end = f" and below {below}" if below < math.inf else ""
            raise argparse.ArgumentTypeError(f"should be {number} from {low} on{end}, not {text!r}")
        return value

    return read


def _several(kind: Callable[[str], T]) -> Callable[[str], list[T]]:
    """What reads an argument: several of `kind`, with commas between them."""
    return lambda text: [kind(part) for part in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wsa",
        description="One stage of the Weighted Spectral Adapter benchmark. `snakemake --cores 2` "
        "runs them all in order; each can be run by hand with the same arguments.",
    )
    defaults = Layout()
    for folder, text in (
        ("config", "suites, models and data sets"),
        ("resources", "fetched and derived inputs"),
        ("results", "records and tables"),
        ("site", "the pages"),
        ("submissions", "what other people measured"),
    ):
        parser.add_argument(
            f"--{folder}", type=Path, default=getattr(defaults, folder), metavar="DIR",
            help=f"{text} (default: %(default)s)",
        )  # fmt: skip
    stages = parser.add_subparsers(title="stages", required=True, metavar="STAGE")
    seed = _number(int, 0, below=2**32)

    def stage(name: str, command: Command, text: str, *arguments: str) -> argparse.ArgumentParser:
        sub = stages.add_parser(name, help=text, description=text)
        kinds = {"seed": seed, "rank": _rank, "folder": Path}
        for argument in arguments:
            sub.add_argument(argument, type=kinds.get(argument, str))
        if "suite" in arguments or name in ("across", "site"):
            sub.add_argument("--seeds", help="instead of the suite's own: 0,1,2")
        if "suite" in arguments:
            for part in ("families", "methods"):
                sub.add_argument(
                    f"--{part}", dest=f"only_{part}", default=[], metavar="NAME,…",
                    type=_several(str),
                    help=f"of its methods these{' families' * (part == 'families')} alone, and the "
                    "controls",
                )  # fmt: skip
        sub.set_defaults(command=command)
        return sub

    stage("fetch-model", _fetch_model, "fetch a pretrained model, once, and verify it", "model")
    stage("fetch-data", _fetch_data, "fetch a data set, once, and verify it", "data")
    stage("tokenise", _tokenise, "tokenise a data set for a model", "model", "data")
    stage("factors", _factors, "decompose a model's target matrices", "model", "rank")
    check = stage("check", _check, "check methods against their model, before training", "suite")
    check.add_argument("method", nargs="?", help="default: every method of the suite")
    train = stage("train", _train, "train one method with one seed", "suite", "method", "seed")
    packed = stage(
        "train-packed", _train_packed, "train several seeds, or methods that differ in their rates "
        "alone, together on one frozen backbone", "suite",
    )  # fmt: skip
    packed.add_argument(
        "methods", type=_several(str), metavar="method,…", help="one, or several with commas"
    )
    packed.add_argument("pack_seeds", type=_several(seed), metavar="seed,…", help="of each of them")
    for sub in (train, packed):
        sub.add_argument(
            "--checkpoint-seconds", type=_number(float, 0),
            default=os.environ.get("WSA_CHECKPOINT_SECONDS"),
            metavar="SECONDS", help="how often the state is saved, to go on from if the run is "
            "killed (default: WSA_CHECKPOINT_SECONDS, else 60; 0: after every step)",
        )  # fmt: skip
    tune = stage("tune", _tune, "choose among a method's trials", "suite")
    tune.add_argument("method", nargs="?", help="default: every method with trials")
    stage("prune", _prune, "prune a trained gated adapter", "suite", "method", "seed")
    stage("evaluate", _evaluate, "predict, and write the run's record", "suite", "method", "seed")
    stage(
        "inference", _inference, "time the models of the first seed, merged and not", "suite"
    )  # fmt: skip
    stage(
        "thresholds", _thresholds, "prune the first seed at other thresholds, and evaluate", "suite"
    )  # fmt: skip
    run = stage(
        "export", _export, "write one run's adapter for use without wsa", "suite", "method", "seed"
    )  # fmt: skip
    run.add_argument("--unpruned", action="store_true", help="of a gated method, as trained")
    adapter = stage(
        "export-adapter", _export_adapter, "write a saved spectral adapter for use without wsa",
        "folder",
    )  # fmt: skip
    adapter.add_argument("--model", help="the pretrained model (default: what the adapter names)")
    for sub in (run, adapter):
        sub.add_argument("destination", type=Path, help="the folder to write")
        sub.add_argument(
            "--format", choices=("lora", "merged"), default="lora",
            help="an ordinary LoRA adapter, or the whole model (default: %(default)s)",
        )  # fmt: skip
    stage("aggregate", _aggregate, "tables, comparisons and verdicts of a suite", "suite")
    stage("across", _across, "several tasks together: a collection of suites", "collection")
    stage("literature", _literature, "judge the published orderings by a suite's runs", "suite")
    compare = stage("compare", _compare, "two result folders of one suite, method by method")
    for side in ("a", "b"):
        compare.add_argument(side, type=Path, help="a folder such as results/<suite>")
    compare.add_argument("--bits", action="store_true", help="only the same bits are good enough")
    calibrate = stage(
        "calibrate", _calibrate, "how often the verdicts are wrong in simulated worlds"
    )  # fmt: skip
    calibrate.add_argument("output", type=Path)
    calibrate.add_argument("--worlds", type=_number(int, 1), default=10_000)
    calibrate.add_argument("--seed", type=seed, default=0)
    site = stage("site", _site, "render the pages")
    site.add_argument("suites", nargs="+", metavar="suite")
    stage(
        "sentences", _sentences, "the sentences that two methods disagree on", "suite",
        "method_a", "method_b",
    )  # fmt: skip
    published = stage("publish", _publish, "copy a suite's records to published/", "suite")
    published.add_argument("--published", type=Path, default=defaults.published, metavar="DIR")
    published.add_argument(
        "--allow-dirty", action="store_true", help="accept runs made with uncommitted changes"
    )
    verify = stage("verify", _verify, "make runs again and compare with their records", "suite")
    which = verify.add_mutually_exclusive_group()
    which.add_argument(
        "--sample", type=_number(int, 1), default=3, metavar="N", help="how many (default: 3)"
    )
    which.add_argument("--all", action="store_true", help="every run")
    which.add_argument("--hashes", action="store_true", help="no run: every file's hash instead")
    bundle = stage("bundle", _bundle, "one archive with all of a suite's results", "suite")
    bundle.add_argument(
        "destination", type=Path, nargs="?", help="default: <suite>.zip beside results/"
    )
    bundle.add_argument("--check", action="store_true", help="check the archive SUITE instead")
    submit = stage("submit", _submit, "pack finished runs for this project's table", "suite")
    submit.add_argument("destination", type=Path, nargs="?", help="default: <suite>.zip")
    submit.add_argument(
        "--method", action="append", default=[], metavar="METHOD",
        help="one of those to submit (default: all); the suite's controls come along",
    )  # fmt: skip
    submit.add_argument("--to", metavar="SUITE", help="the project's suite that SUITE extends")
    submit.add_argument("--card", type=Path, metavar="FILE", help="YAML with what follows")
    for name, text in (
        ("who", "your name, as the page shows it"),
        ("where", "the machine, and whose it is"),
        ("why", "what you asked and what came out, in a sentence"),
        ("licence", "CC0-1.0, CC-BY-4.0, MIT or Apache-2.0"),
    ):
        submit.add_argument(f"--{name}", metavar="TEXT", help=text)
    admitted = stage("admit", _admit, "check submissions, and keep those that are sound")
    admitted.add_argument("files", nargs="+", type=Path, metavar="file")
    admitted.add_argument("--by", required=True, metavar="NAME", help="who checks")
    admitted.add_argument(
        "--rerun", type=_number(int, 0), default=1, metavar="N",
        help="how many of its runs are made again (default: 1)",
    )  # fmt: skip
    admitted.add_argument(
        "--fetch", action="store_true", help="fetch the suite's model and sentences if need be"
    )
    admitted.add_argument(
        "--report", type=Path, metavar="FILE", help="write what was found as Markdown"
    )
    results = stage(
        "export-results", _export_results, "write a suite's results for other programs", "suite"
    )  # fmt: skip
    results.add_argument("destination", type=Path, help="the file, or the folder, to write")
    results.add_argument(
        "--format", choices=("csv", "model-cards"), default="csv",
        help="a plain table; or cards whose model-index the Hugging Face hub reads, one a method "
        "(default: %(default)s)",
    )  # fmt: skip
    stage("schemas", _schemas, "write the JSON schemas of suites, data sets and models", "folder")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one stage; returns the exit status: 0, or 2 for an input that is wrong."""
    # transformers warns of its own old names, which no user of these commands can change
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    args = _parser().parse_args(argv)
    layout = Layout(args.config, args.resources, args.results, args.site, args.submissions)
    try:
        if args.command in _COMPUTING | _READING:
            arguments = sys.argv[1:] if argv is None else argv
            status = run_forked(arguments, computes=args.command in _COMPUTING)
            if status is not None:
                return status
        end_with_workflow()
        return args.command(args, layout) or 0
    except InputError as error:
        print(f"wsa: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a file or a disk, never this program's own fault
        where = f"{error.filename}: " if error.filename else ""
        print(f"wsa: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        print(
            f"wsa: out of memory: {(str(error) or repr(error)).splitlines()[0]}\n"
            "  what to do: a device with more memory, or fewer processes on this one",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
