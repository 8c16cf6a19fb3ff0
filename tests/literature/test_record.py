"""The record as people write it, and the facts that the shipped one must show."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.literature import METHODS, make_literature, write_literature
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.literature.arithmetic import tallies
from wsa.literature.copies import copies, reruns
from wsa.literature.reading import read_literature
from wsa.suite.schema import Method

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shipped():
    return read_literature(Layout(config=ROOT / "config"))


def test_a_configuration_may_have_no_record(tmp_path):
    assert read_literature(Layout(config=tmp_path)) is None


def test_a_row_knows_its_source_and_its_protocol(tmp_path):
    record = make_literature(
        tmp_path,
        [{}, {"value": "95.0", "rank": "", "chosen_on": "other sentences", "variant": "b"}],
        [{"statistic": "median", "seeds": 4}],
    )
    first, second = record.rows
    assert (first.label, first.decimals, first.own) == ("LoRA, rank 8", 2, True)
    assert (second.label, second.decimals) == ("LoRA, b", 1)
    assert (first.apart, second.apart) == (False, True)
    assert first.table.source == "First (CONF 2024), table 1"
    assert (first.table.stated, first.table.run_of) == ("median of 4 seeds", 2)
    assert record.by_id[first.id] is first


@pytest.mark.parametrize(
    ("statistic", "seeds", "run_of"),
    [("mean", 5, 5), ("median", 5, 1), ("median", 4, 2), ("single run", 1, 1),
     ("not stated", "", None), ("mean", "", None)],
)  # fmt: skip
def test_of_how_many_runs_a_stated_figure_is(tmp_path, statistic, seeds, run_of):
    record = make_literature(tmp_path, [{}], [{"statistic": statistic, "seeds": seeds}])
    assert record.rows[0].table.run_of == run_of


@pytest.mark.parametrize(
    ("numbers", "tables", "message"),
    [
        ([{"method": "lroa"}], [{}], "numbers.csv, line 2: method: is unknown (found 'lroa')"),
        ([{"method": "lroa"}], [{}], "did you mean 'lora'?"),
        ([{}, {"table": "frist-1"}], [{}], "line 3: table: is unknown"),
        ([{"task": "Tinny"}], [{}], "did you mean 'Tiny'?"),
        ([{"value": "about 95"}], [{}], "numbers.csv, line 2: value"),
        ([{"value": "0.9495e2"}], [{}], "numbers.csv, line 2: value"),
        ([{"value": "949.5"}], [{}], "should be in percent, or a correlation times 100"),
        ([{"rank": "eight"}], [{}], "numbers.csv, line 2: rank: should be a whole number"),
        ([{"targets": "q and v"}], [{}], "numbers.csv, line 2: targets"),
        ([{"metric": "acc"}], [{}], "numbers.csv, line 2: metric"),
        ([{"parameters": "1.33 million"}], [{}], "numbers.csv, line 2: parameters"),
        ([{"copied_from": "nowhere"}], [{}], "copied_from: is unknown"),
        ([{"copied_from": "first-1"}], [{}], "a table cannot copy from itself"),
        ([{}, {}], [{}], "line 3: stands here twice"),
        ([{}], [{}, {}], "tables.csv, line 3: a table is named twice"),
        ([{}], [{"link": "example.org"}], "tables.csv, line 2: link"),
        ([{}], [{"read_in": ""}], "tables.csv, line 2: read_in: should not be empty"),
        ([{}], [{"statistic": "best"}], "tables.csv, line 2: statistic"),
        ([{}], [{"model": "tiny"}], "model: is unknown (found 'tiny')"),
    ],
)
def test_a_wrong_cell_is_told_with_its_line_and_column(tmp_path, numbers, tables, message):
    with pytest.raises(InputError) as error:
        make_literature(tmp_path, numbers, tables)
    assert message in str(error.value)


def test_a_row_of_another_length_and_other_columns_are_told(tmp_path):
    layout = write_literature(tmp_path, [{}])
    text = layout.published_numbers.read_text()
    layout.published_numbers.write_text(text + "first-1,lora\n")
    with pytest.raises(InputError, match="line 3: has not as many cells"):
        read_literature(layout)
    layout.published_numbers.write_text(text.replace("value", "valeu", 1))
    with pytest.raises(InputError, match="should have the columns table, method"):
        read_literature(layout)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ({"kind": "full", "learning_rate": 1e-4}, "full"),
        ({"adapter": {"peft_type": "LORA", "r": 4}}, "lora"),
        ({"adapter": {"peft_type": "LORA", "use_dora": True}}, "dora"),
        ({"adapter": {"peft_type": "LORA", "use_dora": False, "init_lora_weights": True}}, "lora"),
        ({"adapter": {"peft_type": "LORA", "init_lora_weights": "pissa_niter_4"}}, "pissa"),
        ({"adapter": {"peft_type": "LORA", "init_lora_weights": "olora"}}, None),
        ({"adapter": {"peft_type": "LORA", "use_rslora": True}}, None),
        ({"adapter": {"peft_type": "ADALORA"}}, "adalora"),
        ({"adapter": {"peft_type": "SPECTRAL", "r": 8}}, "spectral_a"),
        ({"adapter": {"peft_type": "SPECTRAL", "r": 8, "directions": "leading"}}, "spectral_a"),
        ({"adapter": {"peft_type": "SPECTRAL", "r": 8, "directions": "spread"}}, None),
        ({"adapter": {"peft_type": "LORA", "kasa_config": {}}}, None),
        ({"adapter": {"peft_type": "WSA", "r": 8}}, None),
        ({"kind": "majority"}, None),
    ],
)
def test_a_suite_s_row_is_known_by_its_configuration_not_its_name(shipped, method, name):
    usual = {"title": "lora"} | ({"learning_rate": 1e-3} if "adapter" in method else {})
    assert shipped.identify(Method.model_validate(usual | method)) == name


def test_no_row_can_be_two_methods(shipped):
    for method in (
        {"peft_type": "LORA"}, {"peft_type": "LORA", "use_dora": True},
        {"peft_type": "LORA", "init_lora_weights": "pissa"}, {"peft_type": "OFT"},
    ):  # fmt: skip
        row = Method.model_validate({"title": "x", "adapter": method, "learning_rate": 1e-3})
        assert sum(one.fits(row) for one in shipped.methods.values()) == 1


# --- the shipped record --------------------------------------------------------------------------


def test_every_shipped_figure_has_a_full_source(shipped):
    assert len(shipped.rows) > 800
    for table in shipped.tables.values():
        assert table.link.startswith("https://") and table.place and table.read_in
    # what was not read in the paper itself is marked
    assert {name for name, table in shipped.tables.items() if table.second_hand} == {
        "sora-glue", "card-fft-sst2", "lora-2", "reft-glue",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "runs", "fit", "of"),
    [("spectral-1", 1, 15, 15), ("pissa-3", 3, 9, 9), ("pissa-3", 1, 4, 9), ("svft-3", 1, 9, 15),
     ("adalora-1", 1, 32, 36), ("boft-1", 1, 6, 6), ("qgoft-1", 1, 17, 18)],
)  # fmt: skip
def test_what_an_earlier_count_by_hand_found(shipped, table, runs, fit, of):
    rows = [row for row in shipped.rows if row.number.table == table]
    (tally,) = [tally for tally in tallies(rows) if tally.runs == runs]
    assert (tally.fit, tally.of) == (fit, of)


def test_lora_s_94_95_is_one_measurement_in_many_tables_and_reruns_differ(shipped):
    original = shipped.by_id["adalora-1.lora-r8-all.sst-2.accuracy"]
    (copied,) = [one for one in copies(shipped) if one.original is original]
    assert {row.number.table for row in copied.copies} == {
        "svft-3", "pissa-3", "boft-1", "hra-2", "ether-4",
    }  # fmt: skip
    assert not copied.changed
    (rerun,) = [one for one in reruns(shipped) if original in one.rows]
    assert [str(row.value) for row in rerun.rows] == ["94.95", "95.28", "95.57", "95.64"]
    assert str(rerun.apart) == "0.69"
    # leads are over the LoRA row of the same table, whoever ran it
    leads = {row.label: str(lead) for row, lead in rerun.leads}
    assert leads["PiSSA, rank 8"] == "0.58" and leads["HRA, rank 8, lambda=1e-5"] == "1.84"
    assert leads["PSOFT, rank 46"] == "0.27"


def test_no_copy_is_printed_otherwise_than_its_original(shipped):
    assert [row.id for one in copies(shipped) for row in one.changed] == []
    assert sum(len(one.copies) for one in copies(shipped)) == sum(
        not row.own for row in shipped.rows
    )


def test_methods_named_in_the_helper_are_fit_for_the_schema(tmp_path):
    assert make_literature(tmp_path, []).methods.keys() == METHODS.keys()
