"""What is forged or broken is refused, with the reason."""

from __future__ import annotations

import json
import pickle
import secrets
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
from tests.helpers.submissions import copy_run, edit, forge, repredict, run_in
from wsa.errors import InputError
from wsa.records.record import SEAL
from wsa.submissions.admit import admit

HASH = "0" * 64


def record(method="lora", seed=0):
    """Change a run's record, with the hash that goes with it."""
    return lambda change: lambda files: edit(run_in(files, method, seed).result, change)


def submission(change):
    return lambda files: edit(files.submission, change)


def predictions(change, method="lora", seed=0):
    """Change a run's predictions, and all numbers of its record with them."""
    return lambda files: repredict(run_in(files, method, seed), change)


def accuracy(value):
    def change(raw):
        raw["states"]["unpruned"]["metrics"]["accuracy"] = raw["headline"] = value

    return change


def unsealed(files):
    path = run_in(files, "lora", 0).result
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1', 1))


def of_other_sentences(table):
    table["sentence_id"] = [f"{name[::-1]}" for name in table["sentence_id"]]
    return table


def of_few_sentences(table):
    """The run's best: only sentences that it gets right."""
    right = table[["logit_0", "logit_1"]].to_numpy().argmax(1) == table["label"].to_numpy()
    return table[right].reset_index(drop=True)


def with_labels_that_suit(table):
    table["label"] = table[["logit_0", "logit_1"]].to_numpy().argmax(1)
    return table


def without_a_seed(files):
    shutil.rmtree(run_in(files, "lora", 1).folder)


def seed_in_anothers_place(files):
    one, other = run_in(files, "lora", 0).folder, run_in(files, "lora", 1).folder
    shutil.rmtree(other)
    shutil.copytree(one, other)


def with_other_seeds(files):
    for seed in (0, 1):
        folder = run_in(files, "lora", seed).folder
        folder.rename(folder.with_name(f"seed-{seed + 10}"))
        edit(run_in(files, "lora", seed + 10).result, lambda raw: raw.update(seed=raw["seed"] + 10))


def without_controls(files):
    edit(files.submission, lambda raw: raw.update(controls=[]))
    for control in ("majority", "head_only"):
        shutil.rmtree(run_in(files, control, 0).folder.parent)


def without_numbers(files):
    path = run_in(files, "lora", 0).predictions
    table = pd.read_parquet(path)
    table.loc[3, "logit_1"] = np.nan
    table.to_parquet(path)


def better_pruned(raw):
    raw["rank"]["effective_mean"] = 1.0


def with_a_program(files):
    (files.folder / "setup.py").write_text("raise SystemExit")


def with_a_pickle(files):
    (run_in(files, "lora", 0).folder / "optimizer.pt").write_bytes(pickle.dumps({}))


def with_its_own_admission(files):
    files.admission.write_text("{}")


def huge(files):
    files.submission.write_text(secrets.token_hex(6_000_000))  # which no archive makes small


def table_bomb(files):
    """A table of a few bytes that unpacks to a thousand million rows' worth."""
    many = pd.DataFrame({"state": ["unpruned"], "sentence_id": ["a"], "label": [0]})
    frame = pd.concat([many] * 1000)
    frame["text"] = "x" * 600_000
    frame.to_parquet(run_in(files, "lora", 0).predictions)


def environment(**changes):
    def change(raw):
        raw["provenance"]["environments"]["train"].update(changes)

    return change


def own(**method):
    """A further method, said to be lora's runs under another name."""

    def change(files):
        shutil.move(
            run_in(files, "lora", 0).folder.parent,
            run_in(files, "lora", 0).folder.parent.with_name("mine"),
        )
        for seed in (0, 1):
            edit(run_in(files, "mine", seed).result, lambda raw: raw.update(method="mine"))
        edit(files.submission, lambda raw: raw.update(
            methods=["wsa", "mine"], own={"mine": {"title": "Mine", "learning_rate": 1e-3} | method}
        ))  # fmt: skip

    return change


def lora(**arguments):
    return {"adapter": {"peft_type": "LORA", "r": 2, "lora_alpha": 4} | arguments}


FORGED = {
    "an edited accuracy": (record()(accuracy(0.99)), "result.json says 0.99"),
    "an edited record without its hash": (unsealed, "its content has changed"),
    "an edited headline": (record()(lambda raw: raw.update(headline=1.0)), "headline: should be"),
    "an edited loss": (
        record()(lambda raw: raw["states"]["unpruned"].update(loss=0.01)), "give a loss of"),
    "predictions of other sentences": (
        predictions(of_other_sentences), "its sentences or labels differ"),
    "all predictions of other sentences": (
        lambda files: [
            repredict(run_in(files, method, seed), of_other_sentences)
            for method in ("majority", "head_only", "lora", "wsa") for seed in (0, 1)
        ], "holds 48 sentences that are not the task's"),
    "sentences left out": (predictions(of_few_sentences), "its sentences or labels differ"),
    "labels that suit": (predictions(with_labels_that_suit), "its sentences or labels differ"),
    "predictions that are no numbers": (without_numbers, "are NaN or infinite"),
    "predictions of another run": (
        lambda files: shutil.copy(
            run_in(files, "lora", 1).predictions, run_in(files, "lora", 0).predictions),
        "its content is not what result.json was written from"),
    "a missing seed": (without_a_seed, r"seeds of the suite are missing (lora: 1)"),
    "a seed in another's place": (seed_in_anothers_place, "says it is tiny lora 0"),
    "one run under two seeds": (
        lambda files: copy_run(files, "lora", 0, to=1), "they are one run"),
    "seeds of one's own choice": (with_other_seeds, "seeds of the suite are missing"),
    "no controls": (without_controls, "lacks the suite's controls"),
    "another protocol": (
        record()(lambda raw: raw["provenance"].update(configuration=HASH)),
        "run with another protocol or configuration"),
    "a rank changed after the fact": (
        own(**lora(r=8)), "run with another protocol or configuration"),
    "another learning rate": (own(**lora()), "run with another protocol or configuration"),
    "a method under a known name": (
        submission(lambda raw: raw.update(own={"lora": {"title": "L", "kind": "full",
                                                        "learning_rate": 0.1}})),
        "has a method of this name"),
    "a method that would open a file": (
        own(**lora(init_lora_weights="/etc/passwd")), "numbers and plain words alone"),
    "a method that would fetch": (
        own(**lora(base_model_name_or_path="somebody")), "numbers and plain words alone"),
    "a method that would load a class": (
        own(**lora(auto_mapping={"parent_library": "os"})), "numbers and plain words alone"),
    "fewer parameters than there are": (
        record()(lambda raw: raw["parameters"].update(trainable=10, kept=10, head=5)),
        "parameters: lora, seed 0: the method has"),
    "another model": (
        record()(lambda raw: raw["provenance"].update(model=HASH)), "trained from other weights"),
    "an effective rank that its modules do not have": (
        record("wsa")(better_pruned), "its modules have"),
    "another threshold": (
        record("wsa")(lambda raw: raw["rank"].update(threshold=0.5)), "rank.threshold: should be"),
    "a split whose name leads elsewhere": (
        record()(lambda raw: raw.update(further={"../../x": {"states": raw["states"],
                                                            "predictions": HASH}})),
        "further: should be"),
    "no word on where it ran": (
        record()(lambda raw: raw["provenance"].update(environments={})),
        "provenance.environments: should be"),
    "a number too long to be read": (
        lambda files: files.submission.write_text('{"schema_version": ' + "9" * 5000 + "}"),
        "damaged"),
    "a record nested without end": (
        lambda files: files.submission.write_text("[" * 100_000), "damaged"),
    "a date to come": (
        record()(environment(started="2999-01-01T00:00:00Z", finished="2999-01-01T00:00:00Z")),
        "a time in UTC that is past"),
    "code that was changed": (
        lambda files: [
            record()(environment(git_clean=False))(files),
            record()(lambda raw: raw["provenance"]["code"].update(train=HASH))(files),
        ], "uncommitted changes of the code"),
    "an older schema of the run": (
        record()(lambda raw: raw.update(schema_version=0)), "another schema version"),
    "another schema of the submission": (
        submission(lambda raw: raw.update(schema_version=2)), "another schema version"),
    "a key that nobody knows": (
        submission(lambda raw: raw.update(trust_me=True)), "Extra inputs are not permitted"),
    "a suite that is not here": (
        submission(lambda raw: raw.update(suite="other")), "there is no such file"),
    "a suite outside of the project": (
        submission(lambda raw: raw.update(suite="../tiny")), "should match pattern"),
    "two lines in a name": (
        submission(lambda raw: raw["card"].update(who="a\nb")), "one line of plain text"),
    "a name that turns the line around": (
        submission(lambda raw: raw["card"].update(who="a\u202eb")), "one line of plain text"),
    "a licence that forbids a page": (
        submission(lambda raw: raw["card"].update(licence="none")), "CC-BY-4.0"),
    "a program": (with_a_program, "setup.py: belongs to no record"),
    "a pickle": (with_a_pickle, "optimizer.pt: belongs to no record"),
    "its own admission": (with_its_own_admission, "admission.json: belongs to no record"),
    "a record that fills the memory": (huge, "larger than any record"),
    "a table that fills the memory": (table_bomb, "is no table of numbers and short texts"),
    "not a table": (
        lambda files: run_in(files, "lora", 0).predictions.write_bytes(b"PAR1"), "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_what_is_forged_is_refused_with_the_reason(archives, here, tmp_path, what):
    change, reason = FORGED[what]
    path = forge(archives["ada"], tmp_path / "forged.zip", change)
    with pytest.raises(InputError) as caught:
        admit(path, here, "the test", 0)
    assert reason in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ") and "/wsa-admit-" not in str(caught.value)
    assert not here.submissions.exists()


def test_what_is_not_changed_is_taken(archives, here, tmp_path):
    """Else whatever is forged would be refused for another reason."""
    path = forge(archives["ada"], tmp_path / "same.zip", lambda files: None)
    assert path.read_bytes() == archives["ada"].read_bytes()
    assert admit(path, here, "the test", 0).check.runs


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def link(archive):
    member = zipfile.ZipInfo("results/link")
    member.external_attr = 0o120777 << 16
    archive.writestr(member, "/etc/passwd")


UNSAFE = {
    "a bomb": (lambda archive: archive.writestr("big", bytes(10**8)), "more than 100 times"),
    "a link": (link, "is no plain file"),
    "a name that climbs": (lambda a: a.writestr("../x.json", "{}"), "leads out of the archive"),
    "an absolute name": (lambda a: a.writestr("/tmp/x.json", "{}"), "leads out of the archive"),
    "a file more": (lambda a: a.writestr("x.json", "{}"), "x.json is not in the manifest"),
    "a file twice": (
        lambda archive: archive.writestr("submission.json", "{}"), "stands twice in the archive"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", UNSAFE)
def test_an_unsafe_archive_is_refused_before_anything_is_read(archives, here, tmp_path, what):
    add, reason = UNSAFE[what]
    path = tmp_path / "unsafe.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members(archives["ada"]).items():
            archive.writestr(name, content)
        add(archive)
    with pytest.raises(InputError, match="(?s)unsafe.zip.*" + reason):
        admit(path, here, "the test", 0)
    assert not here.submissions.exists() and not (tmp_path.parent / "x.json").exists()


def test_a_changed_file_with_the_old_manifest_is_refused(archives, here, tmp_path):
    found = members(archives["ada"])
    raw = json.loads(found["submission.json"])
    raw.pop(SEAL)
    raw["card"]["who"] = "Somebody else"
    path = tmp_path / "changed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (found | {"submission.json": json.dumps(raw).encode()}).items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match="submission.json is not what the manifest says"):
        admit(path, here, "the test", 0)
