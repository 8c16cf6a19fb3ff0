"""From a suite's runs to a verdict on each of its claims."""

from __future__ import annotations

from wsa.evidence.comparisons import compare_all, comparison_table, estimate, units
from wsa.evidence.findings import check
from wsa.evidence.judgements import decided, not_measured, undecided
from wsa.evidence.orders import judge_orders
from wsa.evidence.regions import judge_interval, judge_ratio, judge_value
from wsa.evidence.runs import Runs, hardware, read_runs
from wsa.evidence.statistics import CONTRADICTED, SUPPORTED
from wsa.files import atomic_path
from wsa.layout import Layout
from wsa.records.evidence import Claims, Findings, JudgedClaim, Judgement, PairComparison
from wsa.records.record import write_record
from wsa.suite.schema import BudgetClaim, IntervalClaim, OrderClaim, RatioClaim, Suite, ValueClaim


def judge(suite: Suite, layout: Layout) -> Claims:
    """Write `comparisons.csv`, `claims.json` and `findings.json` from the runs of a suite.

    Missing and broken runs are findings, not errors; a claim that rests on them is judged from
    the runs that there are, or not at all.
    """
    runs = read_runs(suite, layout)
    comparisons = compare_all(runs)
    claims = Claims(
        suite=suite.name,
        evaluated_on=suite.protocol.evaluate_on,
        claims=judge_claims(runs, comparisons),
        published=suite.published,
        estimates=tuple(estimate(runs, unit) for unit in units(runs)),
    )
    with atomic_path(layout.comparisons_csv(suite.name)) as path:
        comparison_table(comparisons).to_csv(
            path, index=False, float_format="%.10g", lineterminator="\n"
        )
    findings = Findings(suite=suite.name, findings=check(runs))
    write_record(layout.findings_json(suite.name), findings)
    write_record(layout.claims_json(suite.name), claims)
    return claims


def judge_claims(runs: Runs, comparisons: list[PairComparison]) -> tuple[JudgedClaim, ...]:
    """Every claim of the suite with its judgements, one for each state it is judged in."""
    orders = judge_orders(runs, comparisons)
    judged = []
    for claim in runs.suite.claims:
        match claim:
            case OrderClaim():
                judgements = [orders[claim.id, state] for state in claim.states]
            case ValueClaim():
                judgements = [judge_value(runs, claim, state) for state in claim.states]
            case IntervalClaim():
                judgements = [judge_interval(runs, claim)]
            case RatioClaim():
                judgements = [judge_ratio(runs, claim)]
            case BudgetClaim():
                judgements = [judge_budget(runs, claim)]
        judged.append(JudgedClaim(claim=claim, judgements=tuple(judgements)))
    return tuple(judged)


def judge_budget(runs: Runs, claim: BudgetClaim) -> Judgement:
    """Do the runs take no longer than claimed? Judged only on the hardware of the claim."""
    methods = claim.methods or tuple(runs.suite.methods)
    wanted = [(method, seed) for method in methods for seed in runs.suite.seeds]
    found = {run: runs.results[run] for run in wanted if run in runs.results}
    total = sum(
        result.cost.train_seconds + len(result.states) * result.cost.evaluate_seconds
        for result in found.values()
    )
    where = sorted({hardware(result) for result in found.values()})
    fields = {
        "state": None,
        "claimed": f"at most {_duration(claim.limit)} on one {claim.hardware}",
        "unit": "seconds",
        "test": "a sum over runs, not a test",
        "seeds": len({seed for _, seed in found}),
        "runs": tuple(runs.path(run) for run in found),
    }
    if not found:
        return not_measured("There are no runs.", **fields)
    count = f"{len(found)} of {len(wanted)} runs"
    fields |= {
        "estimate": total,
        "measured": f"{_duration(total)} ({count})",
        "notes": ("Training and evaluation alone, without loading and decomposition.",),
    }
    said = f"{count} took {_duration(total)} on {', '.join(where)}"
    if not all(claim.hardware.lower() in device.lower() for device in where):
        return not_measured(f"{said}, not on one {claim.hardware}.", **fields)
    if total > claim.limit:
        return decided(CONTRADICTED, f"{said}, more than {_duration(claim.limit)}.", **fields)
    if len(found) < len(wanted):
        return undecided(f"{said}.", advice="The missing runs would decide it.", **fields)
    return decided(SUPPORTED, f"{said}, not more than {_duration(claim.limit)}.", **fields)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
