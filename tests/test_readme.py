"""The README's figures are those of the published records."""

from __future__ import annotations

import json
import re
import statistics
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent


def measured() -> dict[str, set[str]]:
    """What the published records give, as the README writes it: accuracies, ranks, parameters."""
    accuracies, ranks, parameters = defaultdict(list), defaultdict(list), defaultdict(list)
    for path in (ROOT / "published").glob("*/runs/*/*/result.json"):
        record = json.loads(path.read_text())
        row = (record["suite"], record["method"])
        for state, found in record["states"].items():
            metrics = found.get("metrics", found)  # records of the first schema knew accuracy alone
            accuracies[*row, state].append(100 * metrics["accuracy"])
        parameters[row].append(record["parameters"]["kept"])
        if record["rank"]:
            ranks[row].append(record["rank"]["effective_mean"])
    return {
        "accuracy": {
            f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}"
            for values in accuracies.values()
            if len(values) > 1
        },
        "rank": {f"{statistics.fmean(values):.2f}" for values in ranks.values()},
        "parameters": {f"{statistics.fmean(values):,.0f}" for values in parameters.values()},
    }


def test_the_gates_page_shows_the_table_that_was_measured():
    measured = (ROOT / "published/benchmarks/shrinking.md").read_text(encoding="utf-8")
    shown = (ROOT / "docs/gates.md").read_text(encoding="utf-8")
    rows = [line for line in measured.splitlines() if "±" in line and line.startswith("| ")]
    # all but the column n
    assert all(re.sub(r"\| 3 (?=\| \d+\.\d\d ±)", "", row, count=1) in shown for row in rows)
    assert len(rows) == sum(line.count(" ± ") == 4 for line in shown.splitlines())


SIGNED = r"[+−]?\d+\.\d\d"
DIFFERENCE = re.compile(  # and its interval
    rf"({SIGNED})(?: points?)?(?: [\w-]+){{0,5}} \((?:95 % interval )?({SIGNED}) to ({SIGNED})"
    r"(?:, p = (\d\.\d+) after Holm|, p = (\d\.\d+))?"
)


def published_differences() -> dict[tuple[str, str, str], set[str]]:
    """Difference and interval, as text writes them → p-values, those adjusted by Holm included.

    A mean rank over tasks and its interval as well, which has no p.
    """
    found = defaultdict(set)
    for path in (ROOT / "published").glob("*/tables.json"):
        for pair in json.loads(path.read_text())["comparisons"]:
            if pair["interval"] is None:
                continue
            low, high = pair["interval"]["low"], pair["interval"]["high"]
            for numbers in (pair["difference"], low, high), (-pair["difference"], -high, -low):
                found[tuple(f"{number:z.2f}" for number in numbers)].add(f"{pair['p']:.3f}")
    for path in (ROOT / "published").glob("*/claims.json"):
        for claim in json.loads(path.read_text())["claims"]:
            for judged in claim["judgements"]:
                if judged["interval"] and judged["p_adjusted"] is not None:
                    low, high = judged["interval"]["low"], judged["interval"]["high"]
                    numbers = (judged["estimate"], low, high)
                    key = tuple(f"{number:z.2f}" for number in numbers)
                    found[key].add(f"{judged['p_adjusted']:.3f} after Holm")
    for path in (ROOT / "published").glob("*/across.json"):
        for method in json.loads(path.read_text())["methods"]:
            interval = method["rank_interval"]
            numbers = (method["mean_rank"], interval["low"], interval["high"])
            found[tuple(f"{number:.2f}" for number in numbers)]  # noqa: B018
    tried = json.loads((ROOT / "published/benchmarks/choosing.json").read_text())["rows"]
    for gap in (
        row.get(f"minus {other}") for row in tried for other in ("choose", "the row beside")
    ):
        if gap:  # no p is given for it
            found[tuple(f"{gap[end]:z.2f}" for end in ("points", "low", "high"))]  # noqa: B018
    return found


def test_every_interval_in_the_text_is_that_of_a_published_comparison():
    known, seen = published_differences(), 0
    for name in ("README.md", "docs/gates.md"):
        text = " ".join((ROOT / name).read_text(encoding="utf-8").split())
        for *numbers, adjusted, p in DIFFERENCE.findall(text):
            key = tuple(number.replace("−", "-").lstrip("+") for number in numbers)
            assert key in known, (name, numbers)
            said = f"{adjusted} after Holm" if adjusted else p
            assert not said or said in known[key], (name, numbers, said, known[key])
            seen += 1
        bare = re.findall(r"[(\s](−?\d+\.\d\d) to (−?\d+\.\d\d)\b", text)
        assert len(bare) == len(DIFFERENCE.findall(text)), (name, bare)
    assert seen > 5


def test_every_figure_in_the_tables_is_measured():
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")]
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and " ± " in line
    ]
    known = measured()
    cells = [cell for row in rows for cell in row[1:]]
    accuracies = [cell for cell in cells if "±" in cell]
    ranks = [found[0] for cell in cells if (found := re.match(r"\d+\.\d\d(?=$| of|:)", cell))]
    parameters = [cell for cell in cells if re.fullmatch(r"[\d,]{6,}", cell)]
    assert set(accuracies) <= known["accuracy"]
    assert set(ranks) <= known["rank"]
    assert set(parameters) <= known["parameters"]
    assert len(accuracies) + len(ranks) + len(parameters) == len([cell for cell in cells if cell])
    assert len(accuracies) > 10


def test_the_gates_page_shows_the_trials_and_seeds_of_every_idea():
    rows = json.loads((ROOT / "published/benchmarks/choosing.json").read_text())["rows"]
    shown = (ROOT / "docs/gates.md").read_text(encoding="utf-8").splitlines()
    lines = {tuple(line.strip("| ").split(" | ")) for line in shown if line.startswith("| ")}
    best = {row["way"]: row["best trial"] for row in rows}
    for row in (row for row in rows if row["beside"]):
        trial = max(row["trials"], key=lambda trial: trial["pruned"])
        told = (
            f"{len(row['trials'])}", f"{trial['effective rank']:.2f}", f"{trial['parameters']:,}",
            f"{trial['pruned']:.2f}", f"{row['beside']}: {best[row['beside']]:.2f}",
            "yes" if row["goes on"] else "no",
        )  # fmt: skip
        assert told in {line[2:] for line in lines if line[0] == row["way"]}
    for row in (row for row in rows if row["n"]):
        gap = row.get("minus the row beside")
        told = [
            f"{statistics.fmean(row[key]):.2f} ± {statistics.stdev(row[key]):.2f}"
            for key in ("as trained", "effective rank", "pruned")
        ]
        told.append(
            f"{gap['points']:+.2f} ({gap['low']:.2f} to {gap['high']:.2f})".replace("-", "−")
            if gap
            else "–"
        )
        assert (row["way"], *told) in lines
