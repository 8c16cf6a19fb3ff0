"""What a printed figure can be, against hand-made cases and simulated tables of known make."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score
from tests.helpers.literature import make_literature
from wsa.literature import arithmetic

HALF, CUT = Fraction(1, 2), Fraction(0)


def printed(share: Fraction, decimals: int, add: Fraction) -> str:
    """A share as a percentage, rounded half up (add 1/2) or cut off (add 0)."""
    units = int(100 * 10**decimals * share + add)
    return f"{units // 10**decimals}.{units % 10**decimals:0{decimals}d}"


@pytest.mark.parametrize(
    ("figure", "sentences", "runs", "expected"),
    [
        ("94.95", 872, 1, True),  # 828 of 872 is 94.9541
        ("94.90", 872, 1, False),  # 827 of 872 is 94.8394, the next is 94.9541
        ("95.87", 872, 1, True),  # 836 of 872 is 95.8716
        ("95.88", 872, 1, False),
        ("93.57", 280, 1, True),  # 262 of 280 is 93.5714
        ("95.64", 872, 1, True),  # 834 of 872 is 95.6422
        ("95.63", 872, 5, False),  # 4169 of 4360 is 95.6193, 4170 is 95.6422
        ("95.61", 872, 5, True),  # 95.6193, cut off
        ("95.62", 872, 5, True),  # and rounded
        ("100", 7, 1, True),
        ("0.0", 7, 1, True),
        ("14", 7, 1, True),  # 14.2857
        ("15", 7, 1, False),
        ("93.69", 408, 1, False),  # 382 of 408 is 93.6275, 383 is 93.8725
        ("93.69", 408, 3, False),  # 1146 of 1224 is 93.6275, 1147 is 93.7092
        ("93.69", 408, 5, False),  # 1911 of 2040 is 93.6765, 1912 is 93.7255
    ],
)
def test_an_accuracy_reckoned_by_hand(figure, sentences, runs, expected):
    assert arithmetic.fits(figure, sentences, runs) is expected


@pytest.mark.parametrize("add", [HALF, CUT], ids=["rounded", "cut off"])
@pytest.mark.parametrize("decimals", [1, 2])
def test_what_is_a_mean_of_k_runs_always_fits_k(add, decimals):
    """No true mean is ever called inconsistent, rounded or cut off."""
    rng = np.random.default_rng(0)
    for sentences, runs in ((872, 1), (872, 5), (408, 3), (277, 10), (5463, 2)):
        for right in rng.integers(0, sentences * runs + 1, 60):
            figure = printed(Fraction(int(right), sentences * runs), decimals, add)
            assert arithmetic.fits(figure, sentences, runs), (figure, sentences, runs)


def test_chance_is_the_share_of_all_figures_that_fit():
    for sentences, runs in ((872, 1), (277, 5), (408, 3)):
        every = [f"{units // 100}.{units % 100:02d}" for units in range(10_001)]
        fitting = sum(arithmetic.fits(figure, sentences, runs) for figure in every)
        assert arithmetic.chance(sentences, runs, 2) == pytest.approx(fitting / 10_001, abs=2e-3)
    assert arithmetic.chance(40_430, 1, 2) == 1.0  # steps finer than what is printed
    # a mean of five lies on the grid of one run when its five counts sum to a multiple of five
    assert arithmetic.chance(872, 1, 2, means_of=5) == pytest.approx(0.2, abs=2e-3)
    assert arithmetic.chance(277, 1, 2, means_of=3) == pytest.approx(1 / 3, abs=2e-3)


def test_at_least_is_the_binomial_s_tail():
    for hits in range(8):
        expected = stats.binom.sf(hits - 1, 7, 0.2)
        assert arithmetic.at_least(hits, [0.2] * 7) == pytest.approx(expected)
    draws = np.random.default_rng(0).random((200_000, 3)) < [0.1, 0.5, 0.9]
    assert arithmetic.at_least(2, [0.1, 0.5, 0.9]) == pytest.approx(
        (draws.sum(1) >= 2).mean(), abs=5e-3
    )


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """A number of a table on each task, to be given other values."""
    numbers = [{"task": "Tiny"}, {"task": "Pairs"}]
    return make_literature(tmp_path_factory.mktemp("usual"), numbers).rows


def simulated(rng, usual, statistic: str, runs: int, rows: int = 12, stated: int = 5):
    """The tallies of a table that states means of `stated`, made otherwise."""
    made = []
    for _ in range(rows):
        for row in usual:
            n = row.task.sentences
            right = rng.binomial(n, rng.uniform(0.9, 0.96, runs))
            middle = {"mean": Fraction(int(right.sum()), n * runs),
                      "median": Fraction(int(np.median(right)), n)}  # fmt: skip
            number = row.number.model_copy(update={"value": printed(middle[statistic], 2, HALF)})
            table = row.table.model_copy(update={"seeds": stated})
            made.append(replace(row, number=number, table=table))
    return {tally.runs: tally for tally in arithmetic.tallies(made)}


def test_true_means_raise_a_false_alarm_at_the_stated_rate(usual):
    """Of tables of true means of five, at most 5 % look at 5 % like single runs; and none has a
    figure that is no mean of five.
    """
    rng, alarms, tables, fit = np.random.default_rng(1), 0, 150, []
    for _ in range(tables):
        found = simulated(rng, usual, "mean", 5)
        alarms += found[1].tail <= 0.05
        fit.append(found[1].fit)
        assert found[5].fit == found[5].of  # on 408 pairs: on 872 it tells nothing
        assert found[1].of == 24 and found[1].expected == pytest.approx(24 * 0.2, abs=0.1)
    assert stats.binom.sf(alarms - 1, tables, 0.05) > 1e-3, f"{alarms} of {tables}"
    assert np.mean(fit) == pytest.approx(24 * 0.2, rel=0.1)  # the chance is what it is said to be


@pytest.mark.parametrize(("statistic", "runs"), [("median", 5), ("mean", 1), ("median", 3)])
def test_medians_and_single_runs_are_seen_for_what_they_can_be(usual, statistic, runs):
    rng = np.random.default_rng(2)
    for _ in range(5):
        found = simulated(rng, usual, statistic, runs)
        assert found[1].fit == found[1].of == 24 and found[1].tail < 1e-9


def test_a_mean_of_three_fits_three_alone(usual):
    found = simulated(np.random.default_rng(3), usual, "mean", 3, stated=3)
    assert found[3].fit == found[3].of and found[3].tail < 1e-6
    assert found[1].fit < found[1].of and found[1].tail > 0.01


def test_an_f1_of_one_run_reckoned_by_trying_all():
    """On few sentences: every F1 there is, by sklearn, and no other figure."""
    sentences, positives = 9, 5
    labels = np.arange(sentences) < positives
    there = set()
    for right in range(1, positives + 1):
        for false in range(sentences - positives + 1):
            said = np.r_[np.arange(positives) < right, np.arange(sentences - positives) < false]
            score = 100 * f1_score(labels, said)
            there |= {f"{score:.1f}", f"{int(score * 10 + 1e-9) / 10:.1f}"}
    every = [f"{units / 10:.1f}" for units in range(1, 1001)]
    assert {f for f in every if arithmetic.fits_f1(f, sentences, positives)} == there


def test_the_range_of_f1_reckoned_by_trying_all():
    sentences, positives = 40, 28
    for errors in (2, 7, 13):
        found = [
            200 * (positives - missed) / (2 * (positives - missed) + errors)
            for missed in range(errors + 1)
            if errors - missed <= sentences - positives
        ]
        accuracy = f"{100 * (1 - errors / sentences):.3f}"
        low, high = arithmetic.f1_range(accuracy, sentences, positives)
        assert high == pytest.approx(max(found), abs=0.01) and low <= min(found) + 0.01


def test_what_cannot_be_an_accuracy_is_said_neutrally(tmp_path):
    unsaid = {"seeds": "", "statistic": "not stated"}
    record = make_literature(
        tmp_path,
        [{"task": "Pairs", "value": "94.10"}, {"task": "Pairs", "value": "89.5", "variant": "b"},
         {"task": "Pairs", "value": "93.3", "variant": "b", "metric": "f1"},
         {"task": "Pairs", "value": "92.5", "variant": "c"},
         {"task": "Pairs", "value": "94.6", "variant": "c", "metric": "f1"}],
        [unsaid],
    )  # fmt: skip
    first, second, _, third, _ = record.rows
    (note,) = arithmetic.metric_notes(first, record.rows)
    assert note == (
        "fits no accuracy on 408 sentences over 1 or 3 or 5 runs; an F1 of one run would be "
        "printed so"
    )
    (note,) = arithmetic.metric_notes(second, record.rows)
    assert "have an F1 of 91.6 to 92.9" in note and "93.3, is of others" in note
    assert arithmetic.metric_notes(third, record.rows) == []  # 92.5 allows 94.3 to 94.8


@pytest.mark.parametrize(
    ("method", "rank", "targets", "figure", "fit", "fitting"),
    [
        ("lora", 8, "all", "1.33M", True, ("all",)),  # 8 · 12 · (4 · 1536 + 2 · 3840) = 1,327,104
        ("lora", 8, "qkv", "1.33M", False, ("all",)),
        ("lora", 8, "qkv", "0.44M", True, ("qkv",)),  # 8 · 36 · 1536 = 442,368
        ("lora", 24, "qkv", "0.72%", True, ("qkv",)),  # 1,327,104 of 184 million
        ("lora", 8, "", "0.3M", None, ("qv",)),  # 8 · 24 · 1536 = 294,912, rounded up
        ("lora", 8, "qv", "295K", True, ("qv",)),
        ("lora", 8, "qv", "0.9M", False, ()),
    ],
)
def test_parameters_reckoned_by_hand(tmp_path, method, rank, targets, figure, fit, fitting):
    number = {"method": method, "rank": rank, "targets": targets, "parameters": figure}
    (row,) = make_literature(tmp_path, [number]).rows
    found = arithmetic.count(row)
    assert (found.fit, found.fitting) == (fit, fitting)


def test_formulas_count_what_peft_trains():
    """On a model of two linear layers of different shape."""
    import torch
    from peft import HRAConfig, LoraConfig, VeraConfig, get_peft_model

    shapes = [(12, 20), (20, 12)]
    targets = ["0", "1"]

    def trained(config) -> int:
        base = torch.nn.Sequential(*[torch.nn.Linear(*shape) for shape in shapes])
        model = get_peft_model(base, config)
        return sum(p.numel() for p in model.parameters() if p.requires_grad)

    for formula, config in {
        "lora": LoraConfig(r=3, target_modules=targets),
        "dora": LoraConfig(r=3, target_modules=targets, use_dora=True),
        "vera": VeraConfig(r=3, target_modules=targets),
        "householder": HRAConfig(r=4, target_modules=targets),
    }.items():
        assert arithmetic.FORMULAS[formula](config.r, shapes) == trained(config), formula
