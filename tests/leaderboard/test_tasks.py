"""Pages of other tasks than two classes: what they show is what scikit-learn and numpy say."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from tests.leaderboard.tasks import CLASSES, SENTENCES, make
from tests.leaderboard.waiting import until


def percent(score, **options):
    return lambda labels, said: 100 * score(labels, said, **options)


macro_f1 = percent(f1_score, average="macro", labels=[0, 1, 2], zero_division=0)


def squared_error(labels, said):
    return float(((labels.astype(float) - said.astype(float)) ** 2).mean())


def test_three_classes_on_the_leaderboard_and_beside_it(pairs):
    page = pairs.page("index.html")
    board = {(row[0], row[1]): row for row in page.table("Accuracy on 90 validation sentences")}
    assert board["LoRA r=8", "–"][2] == pairs.spread(percent(accuracy_score), "lora", "unpruned")
    expected = pairs.spread(percent(accuracy_score), "wsa", "pruned")
    assert board["WSA r=16", "pruned"][2] == expected
    head, *further = page.table("Other metrics and other validation splits")
    assert [re.sub("[%,]", " ", cell).split() for cell in head[2:]] == [
        ["Macro", "F1"], ["Accuracy", "mismatched"], ["Macro", "F1", "mismatched"]
    ]  # fmt: skip
    row = next(row for row in further if row[:2] == ["WSA r=16", "gates pruned"])
    assert row[2:] == [
        pairs.spread(macro_f1, "wsa", "gate_only"),
        pairs.spread(percent(accuracy_score), "wsa", "gate_only", "mismatched"),
        pairs.spread(macro_f1, "wsa", "gate_only", "mismatched"),
    ]


def test_three_classes_have_nine_cells_of_confusion(pairs):
    page, table = pairs.page("methods/wsa.html"), pairs.said("wsa", 2, "pruned")
    head, *rows = page.table("Seed 2: sentences by what they are")
    assert head == ["", *(f"said {name}" for name in CLASSES)]
    shown = [[int(cell) for cell in row[1:]] for row in rows]
    assert shown == confusion_matrix(table["label"], table["said"]).tolist()


def test_a_wrong_pair_is_listed_with_both_texts_and_what_was_said(pairs, browser):
    table = pairs.said("wsa", 1, "pruned")
    browser.get((pairs.layout.site / "pairs/methods/wsa.html").resolve().as_uri() + "#seed-1")
    head, *rows = listed(browser, "details[data-run='1']")
    assert head[:3] == ["Sentence", "Is", "Said"] and rows
    for sentence, label, said, *_ in rows:
        i = int(sentence.split(" ")[1])
        assert sentence == f"sentence {i} ⏐ sentence_2 {i}"
        assert (label, said) == (CLASSES[table["label"][i]], CLASSES[table["said"][i]])
        assert label != said


def listed(browser, place: str) -> list[list[str]]:
    """The cells of the table in `place`, once a script has made it; its heads first."""
    folded = browser.find_element("css selector", place)
    browser.execute_script(
        "if (arguments[0].tagName === 'DETAILS') arguments[0].open = true", folded
    )
    until(lambda: browser.find_elements("css selector", f"{place} tbody tr"))
    return browser.execute_script(
        """return [...document.querySelectorAll(arguments[0] + ' tr')]
          .map((row) => [...row.cells].map((cell) => cell.textContent.trim()))""",
        place,
    )


def test_further_splits_stand_apart_on_a_run_s_page(pairs):
    table = pairs.said("lora", 3, "unpruned", "mismatched")
    page = pairs.page("methods/lora.html")
    _, row = page.table("Seed 3 on another validation split, mismatched")
    expected = [f"{score(table['label'], table['said']):.2f}"
                for score in (percent(accuracy_score), macro_f1)]  # fmt: skip
    assert row == ["as trained", *expected, str(SENTENCES)]


def test_numbers_are_ordered_from_the_smallest_error(numbers):
    head, *rows = numbers.page("index.html").table("Mean squared error (less is better) on 90")
    assert head[2].startswith("Mean squared error") and "%" not in head[2]
    values = [float(row[2].split(" ")[0]) for row in rows]
    assert values == sorted(values) and len(values) == 6
    board = {(row[0], row[1]): row[2] for row in rows}
    expected = numbers.spread(squared_error, "wsa", "pruned", places=4)
    assert board["WSA r=16", "pruned"] == expected
    _, *further = numbers.page("index.html").table("Other metrics")
    pearson = numbers.spread(
        lambda labels, said: 100 * np.corrcoef(labels.astype(float), said)[0, 1], "lora", "unpruned"
    )
    assert next(row for row in further if row[0] == "LoRA r=8")[2] == pearson


def test_a_smaller_error_is_drawn_as_better(numbers):
    figure = re.search(r'<figure id="differences-full">.*?</figure>',
                       numbers.source("methods/full.html"), re.DOTALL)[0]  # fmt: skip
    full, lora = (
        np.mean([squared_error(t["label"], t["said"]) for t in tables])
        for tables in (
            [numbers.said(name, seed, "unpruned") for seed in numbers.suite.seeds]
            for name in ("full", "lora")
        )
    )
    assert full < lora
    assert f"−{lora - full:.4f}" in figure
    assert "Left of zero it is better" in figure


def test_each_step_of_the_front_is_beyond_noise(numbers):
    """From the cheapest on, whoever is clearly better than the last; nobody else."""
    suite, layout = numbers.suite, numbers.layout
    states = {name: "pruned" if m.gated else "unpruned" for name, m in suite.methods.items()}
    names = {method.title: name for name, method in suite.methods.items()}
    clearly_better = set()  # (a, b): the interval of a − b lies below zero, and less is better
    with layout.comparisons_csv(suite.name).open() as file:
        for pair in csv.DictReader(file):
            a, b = pair["method_a"], pair["method_b"]
            if (pair["state_a"], pair["state_b"]) != (states[a], states[b]):
                continue
            if float(pair["interval_high"]) < 0:
                clearly_better.add((a, b))
            elif float(pair["interval_low"]) > 0:
                clearly_better.add((b, a))
    rows = numbers.page("index.html").table("Parameters")[1:]
    costs = [float(row[2].replace(",", "")) for row in rows]
    assert costs == sorted(costs) and len(set(costs)) == len(costs)
    last = names[rows[0][0]]
    assert rows[0][-1] == "yes"
    for row in rows[1:]:
        name = names[row[0]]
        assert row[-1] == ("yes" if (name, last) in clearly_better else "no")
        if row[-1] == "yes":
            last = name


def test_the_largest_errors_of_numbers(numbers, browser):
    table = numbers.said("wsa", 1, "pruned")
    error = (table["said"].astype(float) - table["label"].astype(float)).to_numpy()
    worst = np.argsort(-abs(error), kind="stable")
    browser.get((numbers.layout.site / "numbers/methods/wsa.html").resolve().as_uri() + "#seed-1")
    rows = listed(browser, "details[data-run='1']")[1:]
    assert len(rows) == SENTENCES
    assert [row[0] for row in rows[:5]] == [f"sentence {i}" for i in worst[:5]]
    assert rows[0][1] == f"{table['label'][worst[0]]:.3f}"
    assert rows[0][3] == f"{error[worst[0]]:+.3f}".replace("-", "−")
    assert '<figure id="said-against-is-1">' in numbers.source("methods/wsa.html")
    assert "confusion" not in numbers.source("methods/wsa.html").lower()


def test_numbers_that_lie_furthest_apart_are_listed(numbers, browser):
    states = {"full": "unpruned", "lora": "unpruned", "wsa": "pruned"}
    runs = {
        name: [numbers.said(name, seed, state) for seed in numbers.suite.seeds]
        for name, state in states.items()
    }
    said = np.stack([np.mean([t["said"].to_numpy(float) for t in those], axis=0)
                     for those in runs.values()])  # fmt: skip
    apart = np.ptp(said, axis=0)
    browser.get((numbers.layout.site / "numbers/compare.html").resolve().as_uri())
    head, *rows = listed(browser, "#sentences")
    places = [int(row[0].split(" ")[1]) for row in rows]
    assert len(rows) == SENTENCES and np.all(np.diff(apart[places]) < 1e-3)
    for row, i in zip(rows[:5], places, strict=False):
        shown = [float(cell.replace("−", "-")) for cell in row[2:]]
        assert shown == pytest.approx(said[:, i].tolist(), abs=6e-4)


def test_numbers_are_compared_by_whose_squared_error_is_smaller(numbers):
    methods = {"full": "unpruned", "lora": "unpruned", "wsa": "pruned"}
    errors = {}
    for name, state in methods.items():
        tables = [numbers.said(name, seed, state) for seed in numbers.suite.seeds]
        errors[name] = np.mean(
            [(t["said"].astype(float) - t["label"].astype(float)) ** 2 for t in tables], axis=0
        )
    rows = numbers.page("compare.html").table("the squared error of the method of the row")[1:]
    for row, own in zip(rows, methods, strict=True):
        for cell, other in zip(row[1:], methods, strict=True):
            assert cell == ("–" if own == other else str(int((errors[own] < errors[other]).sum())))


@pytest.mark.parametrize("which", ["pairs", "numbers"])
def test_no_page_of_another_task_speaks_of_accuracy_that_is_not_there(which, request):
    made = request.getfixturevalue(which)
    for path in (made.layout.site / made.suite.name).rglob("*.html"):
        text = re.sub(r"<nav.*?</nav>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert "nan" not in re.findall(r">\s*(nan|None)\s*<", text), path
        if which == "numbers":
            assert "ccuracy" not in text and "cross entropy" not in text, path


def test_of_many_classes_the_commonest_confusions_are_listed(tmp_path):
    names = tuple(f"intent {i}" for i in range(25))
    made = make(tmp_path, "intents", {"lora": 60.0, "full": 80.0}, labels=names)
    table = made.said("lora", 1, "unpruned")
    rows = made.page("methods/lora.html").table("Seed 1: what is most often taken for what")[1:]
    wrong = table[table["label"] != table["said"]].groupby(["label", "said"]).size()
    assert [int(row[2]) for row in rows] == sorted(wrong, reverse=True)[:30]
    for label, said, times in rows:
        assert wrong[names.index(label), names.index(said)] == int(times)


def test_of_too_many_sentences_those_that_tell_methods_apart_are_listed(
    tmp_path, monkeypatch, browser
):
    monkeypatch.setattr("wsa.leaderboard.pages.compare.MOST_LINES", 5)
    made = make(tmp_path, "few", {"lora": 60.0, "full": 90.0}, labels=CLASSES)
    tables = {name: [made.said(name, seed, "unpruned") for seed in made.suite.seeds]
              for name in ("full", "lora")}  # fmt: skip
    mostly = {
        name: sum((t["label"] == t["said"]).astype(int) for t in those) >= 2
        for name, those in tables.items()
    }
    apart = set(np.flatnonzero(mostly["full"] != mostly["lora"]))
    browser.get((made.layout.site / "few/compare.html").resolve().as_uri())
    rows = listed(browser, "#sentences")[1:]
    assert len(rows) == 5 < len(apart)
    assert {int(row[0].split(" ")[1]) for row in rows} <= apart
