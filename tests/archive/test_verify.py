"""`wsa verify` tells equal bits from near ones and from others, and finds every changed file."""

from __future__ import annotations

import json
import shutil

import pytest
from tests.helpers.project import edit_yaml, make_project, wsa
from wsa.archive import verify
from wsa.archive.publish import publish
from wsa.cli import main
from wsa.errors import InputError
from wsa.evidence.aggregate import aggregate
from wsa.leaderboard.formats import repeats
from wsa.records.predictions import predictions_hash, read_predictions, write_predictions
from wsa.records.record import read_record, write_record
from wsa.records.run import Determinism, Result

RUN = ("lora", 1)


@pytest.fixture
def command(project):
    folders = [f"--{f}={project / f}" for f in ("config", "resources", "results", "site")]
    return lambda *arguments: main([*folders, "verify", "tiny", *arguments])


@pytest.fixture
def rerun_gives(monkeypatch, layout):
    """Let a rerun give the recorded run with other logits and another environment."""

    def install(change: float = 0.0, **environment: object) -> None:
        def make(suite, run, clean, forks):
            old, new = layout.run(suite.name, *run), clean.run(suite.name, *run)
            shutil.copytree(old.folder, new.folder)
            result = read_record(old.result, Result)
            table = read_predictions(old.predictions)
            table["logit_1"] += change
            write_predictions(new.predictions, table)
            states = {}
            for name, state in result.states.items():
                rows = table[table["state"] == name]
                right = (rows["logit_1"] > rows["logit_0"]) == (rows["label"] == 1)
                metrics = {"accuracy": float(right.mean())}
                states[name] = state.model_copy(update={"metrics": metrics})
            places = {
                stage: place.model_copy(update=environment)
                for stage, place in result.provenance.environments.items()
            }
            provenance = result.provenance.model_copy(update={"environments": places})
            update = {"states": states, "predictions": predictions_hash(table)}
            write_record(new.result, result.model_copy(update=update | {"provenance": provenance}))

        monkeypatch.setattr(verify, "make_run", make)

    return install


def outcome(suite, layout) -> verify.Outcome:
    [found] = verify.rerun(suite, [RUN], layout)
    return found


def test_equal_predictions_are_the_same_bits(suite, layout, rerun_gives):
    rerun_gives(0.0, processor="another")
    assert outcome(suite, layout).verdict == "same bits"


def test_the_least_difference_is_different_where_bits_are_promised(suite, layout, rerun_gives):
    rerun_gives(1e-6)
    found = outcome(suite, layout)
    assert found.verdict == "different"
    assert "logits differ by up to" in str(found) and "accuracy unpruned" in str(found)


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"processor": "another"}, "train: other processor: "),
        ({"blas": "another"}, "train: other blas: "),
        ({"threads": 8}, "train: other threads: 1 then, 8 now"),
        ({"versions": {"torch": "9.9"}}, "torch"),
        ({"determinism": Determinism(level="statistical", raised_by="x")}, "statistical now"),
    ],
)
def test_a_small_difference_elsewhere_is_within_tolerance(
    suite, layout, rerun_gives, environment, reason
):
    rerun_gives(1e-6, **environment)
    found = outcome(suite, layout)
    assert found.verdict == "within tolerance" and reason in str(found)


def test_a_large_difference_is_different_anywhere(suite, layout, rerun_gives):
    rerun_gives(100.0, processor="another")
    assert outcome(suite, layout).verdict == "different"


def test_other_inputs_are_told_without_a_rerun(suite, layout, rerun_gives):
    method = suite.methods["lora"].model_copy(update={"learning_rate": 1e-4})
    other = suite.model_copy(update={"methods": suite.methods | {"lora": method}})
    found = outcome(other, layout)
    assert found.verdict == "different" and "not run: the configuration here is" in str(found)


def test_exit_status_and_report(command, rerun_gives, capsys):
    rerun_gives(0.0)
    assert command("--all") == 0
    printed = capsys.readouterr().out
    assert printed.count("same bits") == 8 and "8 of 8 runs were made again" in printed
    rerun_gives(100.0)
    assert command("--sample", "2") == 1
    assert "0 of 2 runs were made again" in capsys.readouterr().out


def test_a_sample_is_of_runs_that_are_there(suite, layout):
    assert verify.sample_runs(suite, layout, None) == suite.runs()
    assert len(set(verify.sample_runs(suite, layout, 3))) == 3
    shutil.rmtree(layout.results)
    with pytest.raises(InputError, match="no run of this suite has a result"):
        verify.sample_runs(suite, layout, 3)


def test_sound_results_have_no_damage(command, capsys):
    assert command("--hashes") == 0
    assert "every file is what its record says" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("table.md", "is not what the runs give"),
        ("runs.csv", "is not what the runs give"),
        ("claims.json", "is not what the runs give"),
        ("runs/lora/seed-1/trained/adapter_config.json", "is not what its record says"),
        ("runs/wsa/seed-0/gates.parquet", "is not what its record says"),
        ("runs/majority/seed-0/trained/labels.json", "is not what its record says"),
    ],
)
def test_every_edited_file_is_named(command, layout, capsys, name, message):
    path = layout.suite("tiny") / name
    path.write_bytes(path.read_bytes() + b" ")
    assert command("--hashes") == 1
    printed = capsys.readouterr().out
    assert f"{path}: {message}" in printed and "1 damaged" in printed


def test_tables_of_a_part_are_compared_with_those_of_that_part(command, suite, layout, capsys):
    aggregate(suite.only(methods=["lora", "wsa"]), layout)
    assert "full" not in layout.table_csv("tiny").read_text()
    assert command("--hashes") == 1  # its runs are there
    (layout.suite("tiny") / "runs/full").rename(layout.results.parent / "elsewhere")
    aggregate(suite.only(methods=["lora", "wsa"]), layout)
    capsys.readouterr()
    assert command("--hashes") == 0
    with layout.table_csv("tiny").open("a") as table:
        table.write("full")
    assert command("--hashes") == 1
    assert "table.csv: is not what the runs give" in capsys.readouterr().out


def test_a_published_copy_lacks_weights_and_is_sound(project, suite, layout, capsys):
    """What it does not have is said, and what it has is checked."""
    publish(suite, layout, project / "published", allow_dirty=True)
    roots = [f"--{f}={project / f}" for f in ("config", "resources", "site")]

    def verified() -> tuple[int, str]:
        code = main([*roots, f"--results={project / 'published'}", "verify", "tiny", "--hashes"])
        return code, capsys.readouterr().out

    code, printed = verified()
    assert code == 0 and "of 8 runs the weights" in printed and "were not published" in printed
    assert "damaged" not in printed and "every file is what its record says" in printed
    run = project / "published/tiny/runs/lora/seed-1"
    table = read_predictions(run / "predictions.parquet")
    table.loc[0, "logit_1"] += 1
    write_predictions(run / "predictions.parquet", table)
    code, printed = verified()
    assert code == 1 and f"{run / 'predictions.parquet'}: is not what its record says" in printed
    # weights of a single run say that this is no published copy: those of the others are missing
    shutil.copytree(layout.run("tiny", "wsa", 0).trained, run.parents[1] / "wsa/seed-0/trained")
    code, printed = verified()
    assert code == 1 and "training.json: there is no such record" in printed
    assert "were not published" not in printed


def test_a_file_that_no_record_names(command, layout, capsys):
    (layout.run("tiny", "lora", 0).trained / ".snakemake_timestamp").touch()
    path = layout.run("tiny", "lora", 0).folder / "notes.txt"
    path.write_text("mine")
    assert command("--hashes") == 1
    assert f"{path}: belongs to no record" in capsys.readouterr().out


def test_runs_that_the_suite_does_not_name(command, project, layout, capsys):
    """Those of another seed are checked like any; of those of another method nothing is known."""
    edit_yaml(project / "config/suites/tiny.yaml", seeds=[0])
    path = layout.run("tiny", "lora", 1).trained / "adapter_config.json"
    path.write_bytes(path.read_bytes() + b" ")
    other = layout.run("tiny", "dora", 0).folder
    shutil.copytree(layout.run("tiny", "lora", 0).folder, other)
    assert command("--hashes") == 1
    printed = capsys.readouterr().out
    assert f"{path}: is not what its record says" in printed
    assert f"{other}: is no run of this suite's methods\n  what to do: rm -r {other}" in printed


def test_a_result_that_was_swapped_for_another_runs(command, layout, capsys):
    mine, other = layout.run("tiny", "lora", 0), layout.run("tiny", "lora", 1)
    for name in ("result.json", "predictions.parquet"):
        shutil.copy(other.folder / name, mine.folder / name)
    assert command("--hashes") == 1
    assert f"{mine.result}: seed: is not made from this run's training" in capsys.readouterr().out


@pytest.mark.slow
def test_a_second_clone_on_this_machine_gives_all_bits_again(project, finished, tmp_path):
    """The records of one clone, the inputs fetched anew by another."""
    other = make_project(tmp_path / "clone", methods=["majority", "full", "lora", "wsa"])
    shutil.copytree(finished / "results", other / "results")
    for stage in (
        *(["fetch-model", "tiny"], ["fetch-data", "tiny"], ["tokenise", "tiny", "tiny"]),
        ["factors", "tiny", "4"],
    ):
        assert wsa(other, *stage).returncode == 0
    done = wsa(other, "verify", "tiny", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": same bits") == 8


def test_records_say_how_exactly_they_repeat(finished):
    record = json.loads((finished / "results/tiny/runs/lora/seed-0/result.json").read_text())
    for stage in ("train", "evaluate"):
        place = record["provenance"]["environments"][stage]
        assert place["determinism"] == {"level": "bitwise", "raised_by": None}
        assert place["threads"] == 1 and place["blas"]
    page = (finished / "site/tiny/methods/lora.html").read_text(encoding="utf-8")
    assert "to the bit" in page and place["blas"] in page
    lower = Determinism(level="statistical", raised_by="deterministic kernels")
    assert repeats(lower) == "in distribution only; better with deterministic kernels"
