"""Two people's results are taken into a third's project, with what was checked of them."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from tests.helpers.submissions import CARD, forge, on_other_hardware, repredict, run_in
from tests.helpers.submissions import edit as edit_record
from wsa.cli import main
from wsa.errors import InputError
from wsa.leaderboard import render
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.records.submission import Admission, Card
from wsa.stages.evaluate import evaluate
from wsa.stages.train import train
from wsa.submissions.admit import admit
from wsa.submissions.measured import agreements, measured_here, measured_in, read_entry
from wsa.submissions.submit import submit
from wsa.suite.load import load_suite


@pytest.fixture
def rerun_here(monkeypatch):
    """Runs are made again in this process, which takes less time than in others; as a command does
    it, a run is made again in tests/workflow/test_submission.py.
    """

    def make(suite, run, layout, environment):
        suite = load_suite(suite.name, layout.config)
        train(suite, *run, layout)
        evaluate(suite, *run, layout)

    monkeypatch.setattr("wsa.submissions.admit.make_run", make)


def standings(admitted):
    return {(run.method, run.seed): run.standing for run in admitted.check.runs}


def test_two_submissions_stand_in_the_table_of_a_third(archives, here):
    suite = load_suite("tiny", here.config)
    ada, bob = (admit(archives[name], here, "the test", 0) for name in ("ada", "bob"))
    assert set(standings(ada).values()) == set(standings(bob).values()) == {"files agree"}
    assert {run.method for run in bob.check.runs} == {"majority", "head_only", "dora"}
    render([suite], here)
    page = here.submissions_page.read_text(encoding="utf-8")
    assert "Analytical Engine, mark II" in page and "measured here" in page
    assert "2 submissions" in here.suite_page("tiny").read_text(encoding="utf-8")
    # a title is text, wherever it comes from
    assert "<script>alert" not in page and "DoRA &lt;script&gt;" in page
    for one in (ada, bob):
        assert f'id="{one.files.folder.name}"' in page
    records = {path.name for path in here.submitted_records.rglob("*.json")}
    assert "dora_seed-1.json" in records and len(records) == 8 + 2
    assert "Analytical Engine" in here.history_page.read_text(encoding="utf-8")


def test_what_two_people_measured_is_compared_and_never_averaged(archives, here):
    suite = load_suite("tiny", here.config)
    entry = read_entry(admit(archives["ada"], here, "the test", 0).files, here)
    own, theirs = measured_here(suite, here), measured_in(entry)
    found = {both.b.name: both for both in agreements([*own, *theirs])}
    assert found.keys() == {"majority", "head_only", "lora", "wsa"}
    for both in found.values():
        assert both.verdict == "same bits" and both.difference == 0
    assert any("Analytical Engine" in condition for condition in found["lora"].conditions)
    for one in theirs:
        values = [
            read_record(here.run("tiny", one.name, seed).result, Result).headline for seed in (0, 1)
        ]
        assert one.headline.mean == pytest.approx(100 * np.mean(values))
        assert one.headline.seeds == 2 and list(one.hardware) == ["Analytical Engine, mark II"]


def test_a_method_of_ones_own_is_rerun_to_the_same_bits(archives, here, rerun_here):
    """By configuration alone: its suite's file has not come along."""
    with zipfile.ZipFile(archives["bob"]) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".yaml")]
    admitted = admit(archives["bob"], here, "the test", 1)
    reached = {run: word for run, word in standings(admitted).items() if word == "same bits"}
    assert len(reached) == 1 and next(iter(reached))[0] == "dora"
    # checked once more without a rerun, it keeps what was reached
    admit(archives["bob"], here, "another", 0)
    admission = read_record(admitted.files.admission, Admission)
    assert [check.by for check in admission.checks] == ["the test", "another"]
    (run,) = reached
    check, found = admission.of_run(*run)
    assert found.standing == "same bits" and check.by == "the test"


def with_noise(files, method, seed, size):
    """Every logit moved a little, and a machine to blame for it."""
    noise = np.random.default_rng(seed)

    def move(table):
        for column in ("logit_0", "logit_1"):
            table[column] += noise.normal(0, size, len(table)).astype("float32")
        return table

    run = run_in(files, method, seed)
    repredict(run, move)
    edit_record(run.result, on_other_hardware)


def flipped(table):
    """One in ten wrong answers put right: the logits of the others stay as they were."""
    said = table[["logit_0", "logit_1"]].to_numpy().argmax(1)
    wrong = np.flatnonzero(said != table["label"].to_numpy())
    chosen = wrong[: max(1, len(wrong) // 10)]
    logits = table[["logit_0", "logit_1"]].to_numpy().copy()
    logits[chosen] = logits[chosen, ::-1]
    table[["logit_0", "logit_1"]] = logits
    return table


def test_round_off_of_another_machine_is_told_from_numbers_that_were_changed(
    archives, here, tmp_path, rerun_here
):
    """Both say that they were made on another machine, and both change accuracy by little."""

    def round_off(files):
        for seed in (0, 1):
            with_noise(files, "lora", seed, 1e-5)

    def changed(files):
        for seed in (0, 1):
            repredict(run_in(files, "lora", seed), flipped)

    only_lora = {"lora"}
    for change, refused in ((round_off, False), (changed, True)):
        archive = forge(
            archives["ada"], tmp_path / f"{change.__name__}.zip",
            lambda files, change=change: (change(files), _leave(files, only_lora)),
        )  # fmt: skip
        if refused:
            with pytest.raises(InputError, match="are the same bits and the others are off"):
                admit(archive, here, "the test", 1)
            assert not list(here.submissions.rglob("*changed*"))
        else:
            (rerun,) = (
                run for run in admit(archive, here, "the test", 1).check.runs
                if run.standing != "files agree"
            )  # fmt: skip
            assert rerun.method == "lora" and rerun.standing == "rerun within noise"
            assert any("Analytical Engine" in detail for detail in rerun.details)


def _leave(files, methods):
    """Submit these methods alone, so that it is one of them that is rerun."""
    controls = ("majority", "head_only")
    edit_record(files.submission, lambda record: record.update(methods=sorted(methods)))
    for folder in next(files.results.iterdir()).glob("runs/*"):
        if folder.name not in {*methods, *controls}:
            shutil.rmtree(folder)


def test_the_command_line_says_what_was_found(archives, here, tmp_path, capsys):
    broken = tmp_path / "broken.zip"
    broken.write_bytes(archives["ada"].read_bytes()[:-100])
    roots = [
        f"--{root}={getattr(here, root)}"
        for root in ("config", "resources", "results", "site", "submissions")
    ]
    files = [str(archives["bob"]), str(broken)]
    text = tmp_path / "report.md"
    status = main([*roots, "admit", *files, "--by", "x", "--rerun", "0", "--report", str(text)])
    assert status == 1  # one of them is refused
    said = text.read_text(encoding="utf-8")
    assert said == capsys.readouterr().out.removesuffix("\n")
    assert "broken.zip: refused" in said and "no run was made again" in said
    assert "| dora " in said and "not measured here" in said and "<script>" not in said


def test_a_submission_says_which_seeds_are_missing_and_why(clones, here, tmp_path):
    ada = clones["ada"]
    suite = load_suite("tiny", ada.config)
    lacking = suite.model_copy(update={"seeds": (0, 1)})
    results = tmp_path / "results"
    shutil.copytree(ada.results, results)
    shutil.rmtree(results / "tiny/runs/lora/seed-1")
    layout = replace(ada, results=results)
    with pytest.raises(InputError, match=r"seeds of the suite are missing \(lora: 1\)"):
        submit(lacking, layout, Card(**CARD), destination=tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
    card = Card(**CARD, missing_seeds="the machine was sold")
    archive, _ = submit(lacking, layout, card, destination=tmp_path / "a.zip")
    admitted = admit(archive, here, "the test", 0)
    assert any("the machine was sold" in note for note in admitted.check.notes)
    render([load_suite("tiny", here.config)], here)
    page = here.submissions_page.read_text(encoding="utf-8")
    assert "missing: 1" in page and "the machine was sold" in page


def test_a_mean_over_two_machines_says_so(archives, here, tmp_path):
    def elsewhere(files):
        edit_record(run_in(files, "lora", 0).result, lambda record: record["provenance"][
            "environments"]["train"].update(processor="Difference Engine"))  # fmt: skip

    admit(forge(archives["ada"], tmp_path / "a.zip", elsewhere), here, "the test", 0)
    render([load_suite("tiny", here.config)], here)
    page = here.submissions_page.read_text(encoding="utf-8")
    assert "several machines: Difference Engine: seed 0; Analytical Engine, mark II: seed 1" in page


def test_a_file_that_changes_after_it_was_admitted_is_said_on_the_page(archives, here):
    admitted = admit(archives["ada"], here, "the test", 0)
    edit_record(
        run_in(admitted.files, "lora", 0).result,
        lambda record: record["states"]["unpruned"]["metrics"].update(accuracy=0.99),
    )
    render([load_suite("tiny", here.config)], here)
    page = here.submissions_page.read_text(encoding="utf-8")
    assert "have changed since they were checked" in page and "result.json says 0.99" in page


def test_versions_that_moved_stand_in_the_history(archives, here, tmp_path):
    def upgraded(files):
        for path in files.results.rglob("result.json"):
            edit_record(path, lambda record: [
                place["versions"].update(torch="99.0")
                for place in record["provenance"]["environments"].values()
            ])  # fmt: skip

    admit(forge(archives["ada"], tmp_path / "a.zip", upgraded), here, "the test", 0)
    render([load_suite("tiny", here.config)], here)
    page = here.history_page.read_text(encoding="utf-8")
    assert "<strong>99.0</strong>" in page and "same bits" in page


def test_who_cannot_write_a_card_is_told_how(tmp_path, capsys, clones):
    ada = clones["ada"]
    card = tmp_path / "card.yaml"
    card.write_text(json.dumps(CARD | {"licence": "mine"}))
    roots = [f"--{root}={getattr(ada, root)}" for root in ("config", "resources", "results")]
    assert main([*roots, "submit", "tiny", str(tmp_path / "a.zip"), "--card", str(card)]) == 2
    assert "licence" in (said := capsys.readouterr().err) and "CC-BY-4.0" in said
    assert main([*roots, "submit", "tiny", str(tmp_path / "a.zip"), "--who", "Ada"]) == 2
    assert "the card: where" in capsys.readouterr().err
