"""Several tasks together, against what can be counted by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from tests.helpers.results import make_results, make_suite
from wsa.evidence import across as module
from wsa.evidence import bootstrap
from wsa.evidence.across import across
from wsa.evidence.calibration import KINDS, simulate
from wsa.evidence.measure import Predictions
from wsa.evidence.runs import Runs
from wsa.layout import Layout
from wsa.records.across import Across
from wsa.records.record import read_record
from wsa.suite.schema import Collection

SEEDS = (1, 2, 3)
SENTENCES = 100
NUMBERS = {"labels": "number", "metrics": ("mean_squared_error", "pearson")}


def claim(better: str, worse: str, *states: str) -> dict:
    return {
        "id": f"{better}-{worse}", "kind": "order", "better": better, "worse": worse,
        "states": states or ("unpruned",), "sentence": "is better", "source": "a test",
    }  # fmt: skip


def collection(suites, *claims: dict) -> Collection:
    names = [suite.name for suite in suites]
    return Collection.model_validate(
        {"name": "all", "title": "All", "suites": names, "claims": claims}
    )


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """`judged(suites, predictions, *claims)`: across.json of these predictions, a mapping from a
    suite's name to {(method, state): seeds × sentences} and the labels under None.
    """
    resample = bootstrap.resample
    monkeypatch.setattr(bootstrap, "resample", lambda *given: resample(*given[:4], 200))

    def judge(suites, predictions, *claims: dict) -> Across:
        def runs_of(suite, layout) -> Runs:
            found = Predictions(predictions[suite.name][None])
            for unit, table in predictions[suite.name].items():
                if unit is not None:
                    found.by_run[unit] = dict(zip(suite.seeds, table, strict=False))
            return Runs(suite, layout, predictions=found)

        monkeypatch.setattr(module, "read_runs", runs_of)
        layout = Layout(results=tmp_path / "results")
        record = across(collection(suites, *claims), suites, layout)
        assert read_record(layout.across_json("all"), Across) == record
        return record

    return judge


LABELS = np.arange(SENTENCES) % 2


def right(*counts: int, shift: int = 0) -> np.ndarray:
    """Predictions, a row a seed, with as many right; `shift` says which ones are wrong."""
    rows = []
    for count in counts:
        wrong = np.roll(np.arange(SENTENCES) >= count, shift)
        rows.append(np.where(wrong, 1 - LABELS, LABELS))
    return np.array(rows)


def by_method(record: Across, suite: str) -> dict:
    return {cell.method: cell for cell in record.cells if cell.suite == suite}


# --- ranks ---------------------------------------------------------------------------------------


def test_ranks_ties_and_their_means(judged):
    suites = [make_suite("a", SEEDS), make_suite("b", SEEDS)]
    record = judged(
        suites,
        {
            "a": {
                None: LABELS,
                ("full", "unpruned"): right(90, 91, 92),
                ("lora", "unpruned"): right(80, 81, 82, shift=9),
                ("spectral_a", "unpruned"): right(82, 80, 81, shift=30),
                ("majority", "unpruned"): right(99, 99, 99),  # a control, not in the ranks
            },
            "b": {
                None: LABELS,
                ("full", "unpruned"): right(70, 70, 70),
                ("lora", "unpruned"): right(75, 74, 76),
                ("wsa", "unpruned"): right(99, 99, 99),  # quoted for its pruned state
                ("wsa", "pruned"): right(72, 72, 72),
            },
        },
    )
    assert {name: cell.rank for name, cell in by_method(record, "a").items()} == {
        "full": 1.0, "lora": 2.5, "spectral_a": 2.5,
    }  # fmt: skip
    assert {name: cell.rank for name, cell in by_method(record, "b").items()} == {
        "full": 3.0, "lora": 1.0, "wsa": 2.0,
    }  # fmt: skip
    assert by_method(record, "b")["wsa"].state == "pruned"
    lora = by_method(record, "a")["lora"]
    assert (lora.mean, lora.std) == (pytest.approx(81.0), pytest.approx(1.0))
    found = {method.method: method for method in record.methods}
    assert (found["full"].mean_rank, found["full"].tasks) == (2.0, 2)
    assert (found["lora"].mean_rank, found["lora"].tasks) == (1.75, 2)
    assert (found["wsa"].mean_rank, found["wsa"].tasks) == (2.0, 1)
    # those on all tasks first, then by the mean rank
    assert [method.method for method in record.methods] == ["lora", "full", "wsa", "spectral_a"]
    for method in record.methods:
        assert method.rank_interval.low <= method.mean_rank <= method.rank_interval.high


def test_a_task_is_called_by_its_data_and_two_of_the_same_data_by_their_suites(judged):
    data = [{"title": "Films"}, {"title": "Films"}, {"title": "Tweets"}]
    suites = [make_suite(name, SEEDS, data=own) for name, own in zip("abc", data, strict=True)]
    suites = [s.model_copy(update={"title": f"Suite {s.name}"}) for s in suites]
    found = {None: LABELS, ("full", "unpruned"): right(90, 91, 92)}
    record = judged(suites, dict.fromkeys("abc", found))
    assert [one.title for one in record.suites] == ["Suite a", "Suite b", "Tweets"]


def test_the_order_of_the_seeds_breaks_no_tie(judged):
    """The mean of three numbers can depend on their order, in its last bit."""
    suites = [make_suite(name, SEEDS) for name in ("a", "b")]
    labels = np.ones(872, np.int8)
    counts = (800, 805, 820), (820, 800, 805), (805, 820, 800), (800, 820, 805)
    methods = ("full", "lora", "spectral_a", "head_only")
    tables = {None: labels} | {
        (method, "unpruned"): np.array([np.arange(872) < count for count in own]).astype(np.int8)
        for method, own in zip(methods, counts, strict=True)
    }
    ranks = {cell.rank for cell in judged(suites, {"a": tables, "b": tables}).cells}
    assert ranks == {2.5}


def test_clearly_worse_and_within_noise(judged):
    suites = [make_suite("a", SEEDS), make_suite("b", SEEDS)]
    tables = {
        None: LABELS,
        ("full", "unpruned"): right(92, 91, 93),
        ("lora", "unpruned"): right(91, 92, 91, shift=2),
        ("spectral_a", "unpruned"): right(40, 41, 39),
    }
    few = {None: LABELS, ("full", "unpruned"): right(90), ("lora", "unpruned"): right(10)}
    record = judged(suites, {"a": tables, "b": few})
    noise = {name: cell.within_noise for name, cell in by_method(record, "a").items()}
    assert noise == {"full": True, "lora": True, "spectral_a": False}
    # one seed cannot tell
    alone = by_method(record, "b")
    assert all(cell.within_noise and cell.std is None for cell in alone.values())
    found = {method.method: method for method in record.methods}
    assert (found["full"].within_noise, found["spectral_a"].within_noise) == (2, 0)
    assert found["full"].rank_interval is None


def numbers(error: float, rng: np.random.Generator) -> np.ndarray:
    labels = np.linspace(0, 5, SENTENCES)
    return np.array([labels + rng.normal(0, error, SENTENCES) for _ in SEEDS])


def test_where_less_is_better_the_smaller_error_is_first(judged):
    rng = np.random.default_rng(0)
    suites = [make_suite("a", SEEDS), make_suite("n", SEEDS, data=NUMBERS)]
    tables = {
        "a": {
            None: LABELS,
            ("full", "unpruned"): right(90, 91, 92),
            ("lora", "unpruned"): right(50, 51, 52),
        },
        "n": {
            None: np.linspace(0, 5, SENTENCES),
            ("full", "unpruned"): numbers(0.2, rng),
            ("lora", "unpruned"): numbers(1.0, rng),
        },
    }
    record = judged(suites, tables, claim("full", "lora"), claim("lora", "full"))
    cells = by_method(record, "n")
    errors = {
        name: ((tables["n"][name, "unpruned"] - tables["n"][None]) ** 2).mean(1)
        for name in ("full", "lora")
    }
    assert (cells["full"].rank, cells["lora"].rank) == (1.0, 2.0)
    assert cells["lora"].mean == pytest.approx(errors["lora"].mean())
    assert cells["lora"].std == pytest.approx(errors["lora"].std(ddof=1))
    assert (cells["full"].within_noise, cells["lora"].within_noise) == (True, False)
    ahead, behind = record.orders
    assert [task.verdict for task in ahead.tasks] == ["supported"] * 2
    assert [task.verdict for task in behind.tasks] == ["contradicted"] * 2
    assert (ahead.verdict, behind.verdict) == ("supported", "contradicted")
    difference = errors["full"].mean() - errors["lora"].mean()
    assert ahead.tasks[1].difference == pytest.approx(difference) and difference < 0
    assert ahead.tasks[0].difference == pytest.approx(40.0)
    assert "better on 2, worse on 0, undecided on 0" in ahead.said


# --- order claims --------------------------------------------------------------------------------


def holm_by_hand(p: list[float]) -> list[float]:
    """Of the smallest p times their number, the next times one less … , never falling."""
    adjusted, so_far = [0.0] * len(p), 0.0
    for done, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        so_far = max(so_far, min(1.0, p[place] * (len(p) - done)))
        adjusted[place] = so_far
    return adjusted


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[list, Across]:
    """Three tasks on disk, one of them without runs of `spectral_a`."""
    layout = Layout(results=tmp_path_factory.mktemp("across"))
    suites = [
        make_suite("a", SEEDS),
        make_suite("b", SEEDS, data={"labels": ("x", "y", "z"), "metrics": ("f1_macro",)}),
        make_suite("n", SEEDS, data=NUMBERS),
    ]
    level = {
        "full": 93.0, "lora": 91.5, "spectral_a": 91.0, "majority": 50.0,
        "wsa": {"unpruned": 93.0, "pruned": 85.0, "gate_only": 92.0},
    }  # fmt: skip
    for place, suite in enumerate(suites):
        own = {k: v for k, v in level.items() if suite.name != "n" or k != "spectral_a"}
        make_results(layout, suite, own, rng_seed=place, sentences=200)
    claims = claim("wsa", "lora", "unpruned", "pruned"), claim("spectral_a", "full")
    return suites, across(collection(suites, *claims), suites, layout)


def test_holm_is_over_all_claims_states_and_tasks(made):
    _, record = made
    assert [(order.id, order.state) for order in record.orders] == [
        ("wsa-lora", "unpruned"), ("wsa-lora", "pruned"), ("spectral_a-full", "unpruned"),
    ]  # fmt: skip
    tasks = [task for order in record.orders for task in order.tasks]
    asked = [task for task in tasks if task.p is not None]
    assert len(tasks) == 9 and len(asked) == 8
    expected = holm_by_hand([task.p for task in asked])
    assert [task.p_adjusted for task in asked] == pytest.approx(expected)
    for task in asked:
        assert (task.verdict == "undecided") == (task.p_adjusted > 0.05)
        assert task.interval.low <= task.difference <= task.interval.high
    (missing,) = [task for task in tasks if task.p is None]
    assert missing.suite == "n" and missing.verdict == "not measured"
    assert {task.verdict for task in asked} > {"undecided"}  # else this says little


def test_what_is_on_disk_is_what_is_ranked(made):
    suites, record = made
    for suite in suites:
        cells = by_method(record, suite.name)
        assert "majority" not in cells
        sign = 1 if suite.data.task.headline.greater_is_better else -1
        means = {name: sign * cell.mean for name, cell in cells.items()}
        for name, cell in cells.items():
            assert cell.rank == 1 + sum(other > means[name] for other in means.values())
    for method in record.methods:
        own = [cell.rank for cell in record.cells if cell.method == method.method]
        assert method.mean_rank == pytest.approx(np.mean(own)) and method.tasks == len(own)


def test_better_here_and_worse_there_is_undecided(judged):
    suites = [make_suite("a", SEEDS), make_suite("b", SEEDS)]
    good, bad = right(90, 91, 92), right(40, 41, 42)
    units = ("full", "unpruned"), ("lora", "unpruned")
    record = judged(
        suites,
        {
            "a": {None: LABELS, units[0]: good, units[1]: bad},
            "b": {None: LABELS, units[0]: bad, units[1]: good},
        },
        claim("full", "lora"), claim("full", "spectral_a"),
    )  # fmt: skip
    first, second = record.orders
    assert first.verdict == "undecided"
    assert [task.verdict for task in first.tasks] == ["supported", "contradicted"]
    assert second.verdict == "not measured" and "No task has two seeds" in second.said


def test_tasks_without_any_run(tmp_path):
    suites, layout = [make_suite("a"), make_suite("b")], Layout(results=tmp_path)
    record = across(collection(suites, claim("wsa", "lora")), suites, layout)
    assert not record.methods and not record.cells
    assert record.orders[0].verdict == "not measured"
    assert json.loads(layout.across_json("all").read_text())["name"] == "all"


# --- how often it is wrong -----------------------------------------------------------------------

WORLDS = 300


@pytest.mark.slow
def test_four_tasks_without_any_difference_are_rarely_decided(judged):
    """A wrong verdict anywhere, over two claims on four tasks, has at most 5 %."""
    methods = ("full", "lora", "spectral_a")
    suites = [make_suite(f"task-{place}", SEEDS) for place in range(4)]
    claims = claim("full", "lora"), claim("lora", "spectral_a")
    rng = np.random.default_rng(0)
    chosen = [KINDS[0], KINDS[1], KINDS[2], KINDS[4]]
    truth = [
        simulate(kind, WORLDS, len(methods), len(SEEDS), rng).right([kind.accuracy] * len(methods))
        for kind in chosen
    ]
    wrong = 0
    for world in range(WORLDS):
        predictions = {
            suite.name: {None: np.ones(own.shape[-1], np.int8)}
            | {
                (method, "unpruned"): own[place, world].astype(np.int8)
                for place, method in enumerate(methods)
            }
            for suite, own in zip(suites, truth, strict=True)
        }
        record = judged(suites, predictions, *claims)
        wrong += any(task.verdict != "undecided" for order in record.orders for task in order.tasks)
    # a true rate of 5 % would hardly ever show as many
    assert stats.binom.sf(wrong - 1, WORLDS, 0.05) > 1e-3, f"{wrong} of {WORLDS}"
    print(f"{wrong} of {WORLDS} worlds")
