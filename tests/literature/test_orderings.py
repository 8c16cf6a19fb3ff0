"""Orderings generated from tables and judged by runs, against what can be counted by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from tests.helpers.literature import make_literature
from tests.helpers.results import make_results, make_suite
from wsa.evidence.calibration import KINDS, simulate
from wsa.evidence.measure import Predictions
from wsa.evidence.runs import Runs
from wsa.layout import Layout
from wsa.literature.orderings import judge_literature, judge_pairs, orderings, pairs_of
from wsa.records.literature import Judged
from wsa.records.record import read_record

OTHER = {"table": "second-1", "paper": "Second"}


def number(method: str, value: str, **changes) -> dict:
    return {"method": method, "rank": "" if method == "full" else 8, "value": value} | changes


def told(found) -> set[tuple[str, str, str]]:
    return {(o.better.table.table, o.better.label, o.worse.label) for o in found}


def test_every_pair_of_own_runs_on_a_task_and_no_other(tmp_path):
    record = make_literature(
        tmp_path,
        [
            number("lora", "95.0"), number("full", "95.5"), number("dora", "95.0"),
            number("lora", "94.0", rank=2),
            number("pissa", "99.0", copied_from="second-1"),  # not its own run
            number("dora", "80.0", task="Pairs"),  # alone on its task
            number("lora", "88.0", task="Pairs", metric="f1"),  # in another metric
            number("lora", "93.0", **{"table": "second-1"}),  # alone in its table
            number("lora", "94.5", variant="another start"),  # the same method and rank
        ],
        [{}, OTHER],
    )  # fmt: skip
    assert told(orderings(record)) == {
        ("first-1", "Full fine-tuning", "LoRA, rank 8"),
        ("first-1", "Full fine-tuning", "DoRA, rank 8"),
        ("first-1", "Full fine-tuning", "LoRA, rank 2"),
        ("first-1", "Full fine-tuning", "LoRA, rank 8, another start"),
        ("first-1", "LoRA, rank 8", "LoRA, rank 2"),
        ("first-1", "DoRA, rank 8", "LoRA, rank 2"),
        ("first-1", "DoRA, rank 8", "LoRA, rank 8, another start"),
        ("first-1", "LoRA, rank 8, another start", "LoRA, rank 2"),
    }  # 95.0 and 95.0 are level


def with_methods(**methods: dict):
    """A suite of adapters by name."""
    suite = make_suite()
    usual = suite.methods["lora"]
    made = {
        name: usual.model_copy(update={"title": name, "adapter": adapter})
        for name, adapter in methods.items()
    }
    return suite.model_copy(update={"methods": made | {"full": suite.methods["full"]}})


def test_a_suite_s_rows_are_found_by_configuration_and_the_nearest_rank(tmp_path):
    record = make_literature(
        tmp_path,
        [number("lora", "95.0", rank=24), number("dora", "95.5", rank=24),
         number("lora", "94.0", rank=2), number("full", "95.2"), number("other", "99.0")],
    )  # fmt: skip
    suite = with_methods(
        a={"peft_type": "LORA", "r": 4},
        b={"peft_type": "LORA", "r": 16},
        c={"peft_type": "LORA", "r": 8, "use_dora": True},
        d={"peft_type": "LOHA", "r": 8},
    )
    found = pairs_of(record, suite)
    # rank 2 is nearest to a, rank 24 to b; two ranks of LoRA want rows of just these ranks
    assert set(found) == {("c", "b"), ("c", "a"), ("full", "b"), ("full", "a"), ("c", "full")}
    exact = with_methods(
        a={"peft_type": "LORA", "r": 2},
        b={"peft_type": "LORA", "r": 24},
    )
    assert ("b", "a") in pairs_of(record, exact)


def test_many_tables_with_one_ordering_are_one_question_with_several_sources(tmp_path):
    record = make_literature(
        tmp_path,
        [number("lora", "95.0"), number("full", "95.5"),
         number("lora", "85.0", task="Pairs"), number("full", "84.0", task="Pairs"),
         number("lora", "94.0", **{"table": "second-1"}),
         number("full", "94.1", **{"table": "second-1"})],
        [{}, OTHER],
    )  # fmt: skip
    found = pairs_of(record, make_suite())
    assert {pair: len(printed) for pair, printed in found.items()} == {
        ("full", "lora"): 2, ("lora", "full"): 1,
    }  # fmt: skip
    # the suite's own model and task, or the same question elsewhere
    assert [same for _, same in found["full", "lora"]] == [True, True]
    assert [same for _, same in found["lora", "full"]] == [False]


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> tuple[Judged, Layout]:
    folder = tmp_path_factory.mktemp("judged")
    record = make_literature(
        folder / "config",
        [number("lora", "95.0"), number("full", "95.5"), number("spectral_a", "95.7"),
         number("lora", "85.0", task="Pairs"), number("full", "84.0", task="Pairs")],
    )  # fmt: skip
    suite, layout = make_suite(), Layout(results=folder / "results")
    make_results(layout, suite, {"full": 95.0, "lora": 80.0, "spectral_a": 80.0})
    judge_literature(record, suite, layout)
    return read_record(layout.literature_json(suite.name), Judged), layout


def by_pair(record: Judged) -> dict:
    return {(one.better, one.worse): one.judgement for one in record.orderings}


def test_orderings_are_judged_together_and_both_ways_round(judged):
    found = by_pair(judged[0])
    assert {pair: one.verdict for pair, one in found.items()} == {
        ("full", "lora"): "supported", ("lora", "full"): "contradicted",
        ("spectral_a", "full"): "contradicted", ("spectral_a", "lora"): "undecided",
    }  # fmt: skip
    one, other = found["full", "lora"], found["lora", "full"]
    assert one.estimate == pytest.approx(-other.estimate) and one.estimate > 0
    assert one.p_adjusted == other.p_adjusted
    # three comparisons, though four orderings are printed
    assert all("Holm over 3 comparisons" in judgement.test for judgement in found.values())
    p = sorted({judgement.p for judgement in found.values()})
    assert max(j.p_adjusted for j in found.values()) >= max(p)
    assert min(j.p_adjusted for j in found.values()) == pytest.approx(min(3 * p[0], 1))


def test_the_sum_says_what_is_decided_what_would_decide_and_what_it_is_of(judged):
    said = judged[0].said
    assert said.startswith(
        "Of 4 published orderings that this suite can judge, it supports 1, contradicts 2 and "
        "cannot tell 1 ("
    )
    undecided = by_pair(judged[0])["spectral_a", "lora"]
    if undecided.more_seeds:
        assert f"about {undecided.more_seeds} more seeds would probably decide 1" in said
    else:
        assert f"about {undecided.sentences_needed:,} sentences" in said
    assert "All but 3 are of another model or task: the same question elsewhere" in said


def test_without_runs_nothing_is_judged_and_without_rows_nothing_is_asked(tmp_path):
    record = make_literature(tmp_path / "c", [number("lora", "95.0"), number("full", "95.5")])
    suite, layout = make_suite(), Layout(results=tmp_path / "r")
    found = judge_literature(record, suite, layout)
    assert [one.judgement.verdict for one in found.orderings] == ["not measured"]
    assert "1 has no runs yet" in found.said
    none = suite.model_copy(update={"methods": {"full": suite.methods["full"]}})
    assert judge_literature(record, none, layout).said.startswith("No published ordering")


def null_worlds(worlds: int, kinds) -> int:
    """In how many worlds without any difference some ordering of six methods is decided."""
    suite = make_suite()
    names = list(suite.methods)
    pairs = list(itertools.permutations(names, 2))  # as if all were printed both ways round
    rng, wrong = np.random.default_rng(0), 0
    for kind in kinds:
        right = simulate(kind, worlds, len(names), 3, rng).right([kind.accuracy] * len(names))
        for world in range(worlds):
            found = Predictions(np.ones(right.shape[-1], np.int8))
            for place, name in enumerate(names):
                table = right[place, world].astype(np.int8)
                state = "pruned" if suite.methods[name].gated else "unpruned"
                for unit in {(name, "unpruned"), (name, state)}:
                    found.by_run[unit] = dict(zip(suite.seeds, table, strict=True))
            judgements = judge_pairs(pairs, Runs(suite, Layout(), predictions=found))
            assert len(judgements) == len(pairs)
            wrong += any(one.verdict != "undecided" for one in judgements.values())
    return wrong


def test_a_family_of_orderings_without_any_difference_is_rarely_decided():
    """Any wrong verdict over fifteen comparisons has at most 5 %."""
    wrong = null_worlds(12, KINDS[:2])
    assert stats.binom.sf(wrong - 1, 24, 0.05) > 1e-3, f"{wrong} of 24"


@pytest.mark.slow
def test_a_family_of_orderings_in_three_hundred_worlds():
    worlds, kinds = 75, [KINDS[0], KINDS[1], KINDS[2], KINDS[4]]
    wrong = null_worlds(worlds, kinds)
    assert stats.binom.sf(wrong - 1, worlds * len(kinds), 0.05) > 1e-3
    print(f"{wrong} of {worlds * len(kinds)} worlds")
