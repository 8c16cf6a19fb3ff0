"""The pages, without a browser: what they say, where their links lead, how they treat text."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tests.helpers.results import HEAD, MODULES, WIDTH, make_results, make_suite
from tests.leaderboard.conftest import HOSTILE, SENTENCES, SWEPT
from tests.leaderboard.page import Page, carried
from wsa import evidence
from wsa.errors import InputError
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.leaderboard import site as site_module
from wsa.records.evidence import Calibration, Inference
from wsa.records.record import read_record, write_record
from wsa.records.run import Result
from wsa.suite.schema import Suite
from wsa.suite.strict import check


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path.resolve(): Page(path) for path in site.folder.rglob("*.html")}


def test_every_link_leads_to_a_place_in_the_site(site, pages):
    root = site.folder.resolve()
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("https", "data"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path}: {link}"
            assert target.is_relative_to(root)
            if parts.fragment and target in pages and "=" not in parts.fragment:
                assert parts.fragment in pages[target].ids, f"{path}: {link}"


def test_no_identifier_stands_twice_on_a_page(pages):
    for path, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), path


def test_every_run_has_its_place_and_its_record(site, pages):
    """In the archive byte for byte, and in the script that shows a single one."""
    suite, downloads = site.suites[0], site.layout.downloads("tiny")
    texts = carried(downloads / "records.js")
    paths = sorted(site.layout.suite(suite.name).glob("runs/*/*/result.json"))
    with tarfile.open(downloads / "records.tar.gz") as archive:
        for path in paths:
            method, seed = path.parts[-3], path.parent.name
            page = pages[(site.folder / f"tiny/methods/{method}.html").resolve()]
            assert seed in page.ids
            record = path.read_text(encoding="utf-8")
            assert texts[f"{method}/{seed.removeprefix('seed-')}"] == record
            name = path.relative_to(site.layout.results).as_posix()
            assert archive.extractfile(name).read() == record.encode()
    assert len(texts) == len(paths) == 15


def test_the_leaderboard_shows_what_the_records_say(site, pages):
    suite, layout = site.suites[0], site.layout
    accuracies = []
    for seed in suite.seeds:
        record = json.loads(layout.run(suite.name, "full", seed).result.read_text())
        accuracies.append(100 * record["states"]["unpruned"]["metrics"]["accuracy"])
    mean = sum(accuracies) / 3
    std = (sum((a - mean) ** 2 for a in accuracies) / 2) ** 0.5
    page = pages[layout.suite_page(suite.name).resolve()]
    row = next(r for r in page.rows if r and r[0].strip() == "Full fine-tuning")
    assert row[2].strip() == f"{mean:.2f} ± {std:.2f}"


def test_a_gated_method_has_a_row_for_each_state(site, pages):
    page = pages[site.layout.suite_page("tiny").resolve()]
    states = {r[1] for r in page.table("sentences: mean ±") if r[0] == "WSA r=16"}
    assert states == {"as trained", "pruned", "gates pruned"}


def test_claimed_published_and_measured_have_columns_of_their_own(site, pages):
    page = pages[site.layout.index_page.resolve()]
    head = next(r for r in page.rows if "Claimed" in r)
    assert head[1:] == ["Claimed", "Published", "Measured here"]
    row = next(r for r in page.rows if len(r) == 4 and r[0] == "WSA r=16")
    assert "94.3" in row[1] and row[2] == "–" and "94.3" not in row[3]


def test_what_is_not_measured_comes_with_its_command(site):
    text = site.layout.index_page.read_text()
    assert "snakemake --cores 2 --config suites=unmeasured" in text
    assert re.search(r"runs missing: all seeds of [^.]*Spectral Adapter r=8", text)
    assert "not measured" in site.layout.suite_page("unmeasured").read_text()


def test_a_run_page_gives_the_command_that_reruns_it(site):
    path = site.layout.run("tiny", "wsa", 2).training
    text = (site.folder / "tiny/methods/wsa.html").read_text()
    text = text.split('id="seed-2"')[1].split("</details>")[0]
    assert re.search(rf"<code>snakemake --cores \d -R {re.escape(path.as_posix())}</code>", text)


def test_sentences_wrong_here_and_right_elsewhere(site):
    import pandas as pd

    def right(method, seed, state):
        table = pd.read_parquet(site.layout.run("tiny", method, seed).predictions)
        table = table[table["state"] == state].set_index("sentence_id").sort_index()
        return (table["logit_1"] > table["logit_0"]).astype(int) == table["label"]

    here = right("wsa", 1, "pruned")
    lora = sum(right("lora", k, "unpruned").astype(int) for k in (1, 2, 3)) >= 2
    full = sum(right("full", k, "unpruned").astype(int) for k in (1, 2, 3)) >= 2
    head = sum(right("head_only", k, "unpruned").astype(int) for k in (1, 2, 3)) >= 2
    expected = (~here & (lora | full | head)).sum()
    text = (site.folder / "tiny/methods/wsa.html").read_text().split('id="seed-1"')[1]
    count = f"{expected} of {(~here).sum()} wrong sentences are right with another method"
    assert expected > 0 and count in text.split('id="seed-2"')[0]


def test_text_that_tries_to_break_out_is_text(site, pages):
    for path, page in pages.items():
        assert "img" not in page.tags
        source = path.read_text(encoding="utf-8")
        assert "<script>window" not in source and "49" not in re.findall(r"\{\{(.*?)\}\}", source)
    rows = pages[site.layout.suite_page("tiny").resolve()].rows
    assert any(r and r[0].strip() == HOSTILE for r in rows)
    (shared,) = (site.folder / "sentences").iterdir()
    assert all(text.endswith(HOSTILE) for text in carried(shared)["texts"])


def test_latex_is_escaped_and_whole(site):
    text = (site.folder / "tiny/downloads/table.tex").read_text()
    assert text.count("\\toprule") == text.count("\\bottomrule") == 1
    assert text.count("\\caption{") == text.count("\\label{") == 1
    lora = HEAD + len(MODULES) * 8 * 2 * WIDTH
    assert f" & {lora:,} & ".replace(",", "{,}") in text, "thousands are set apart"
    assert "\\$x\\_1\\$" in text and "\\textbackslash{}textbf\\{x\\}" in text
    assert all(line.endswith("\\\\") for line in text.splitlines() if "&" in line)
    if shutil.which("pdflatex"):
        document = (
            "\\documentclass{article}\\usepackage{booktabs}\\begin{document}%s\\end{document}"
        )
        subprocess.run(
            ["pdflatex", "-interaction=batchmode", "-halt-on-error"],
            input=document % text, text=True, check=True, cwd=site.folder.parent,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["table.tex", "table_headline.tex", "claims.tex"])
def test_latex_closes_what_it_opens_and_has_its_columns(site, name):
    text = (site.folder / "tiny/downloads" / name).read_text()
    bare = re.sub(r"(?<!\\)%.*", "", text)
    bare = re.sub(r"\\[{}&%$#_]", "", bare)  # what is escaped neither opens nor parts
    depth = 0
    for letter in bare:
        depth += (letter == "{") - (letter == "}")
        assert depth >= 0
    assert depth == 0 and bare.count("$") % 2 == 0
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", bare) for word in ("begin", "end"))
    assert begun == list(reversed(ended)) == ["table", "tabular"]
    columns = re.search(r"\\begin{tabular}{(.*)}", bare)[1]
    count = len(re.findall("[lrcp]", re.sub(r"{[^{}]*}", "", columns)))
    rows = [line for line in bare.splitlines() if line.endswith("\\\\")]
    assert len(rows) > 2 and {row.count("&") + 1 for row in rows} == {count}
    assert text.isascii() or not re.search("[−±≈×\u00a0]", text)


def test_a_citation_names_the_results_and_their_archive(tmp_path):
    layout = Layout(results=tmp_path / "r", resources=tmp_path / "d", site=tmp_path / "s")
    suite = make_suite()
    make_results(layout, suite, {"lora": 93.0, "full": 94.0}, sentences=60)
    aggregate(suite, layout)
    render([suite], layout)
    path = layout.downloads(suite.name) / "cite.bib"
    text = path.read_text()
    assert text.startswith("@misc{wsa-tiny,\n") and text.endswith("}\n")
    assert text.count("{") == text.count("}") and "SHA-256" not in text
    assert re.search(r"year = {20\d\d},", text) and "n = 3 seeds, 60 validation" in text
    archive = tmp_path / "tiny.zip"
    archive.write_bytes(b"the archive")
    render([suite], layout)
    assert hashlib.sha256(b"the archive").hexdigest() in path.read_text()


def test_a_table_of_the_headline_states_alone(site):
    folder = site.folder / "tiny/downloads"
    every, headline = ((folder / name).read_text() for name in ("table.tex", "table_headline.tex"))
    rows = [line for line in every.splitlines() if line.startswith("WSA r=16")]
    assert [row.split(" & ")[1] for row in rows] == ["gates pruned", "as trained", "pruned"]
    rows = [line for line in headline.splitlines() if line.startswith("WSA r=16")]
    assert [row.split(" & ")[1] for row in rows] == ["pruned"]


def test_the_speed_on_the_page_is_the_verdict_s(tmp_path):
    layout = Layout(results=tmp_path / "r", resources=tmp_path / "d", site=tmp_path / "s")
    claim = {"id": "speed", "kind": "ratio", "quantity": "inference_seconds", "method": "wsa",
             "reference": "base", "high": 1.1, "sentence": "So.", "source": "someone"}  # fmt: skip
    suite = make_suite(claims=[claim])
    make_results(layout, suite, {"wsa": 94.0, "full": 95.0}, sentences=60)
    run = read_record(layout.run("tiny", "wsa", 1).result, Result)
    seconds = {"base": (1.0, 1.1, 0.9), "wsa": (1.02, 1.15, 0.93)}
    record = Inference(
        suite="tiny", environment=run.provenance.environments["train"], sentences=60,
        seconds=seconds, adapters={"wsa": (1.3, 1.4), "wsa pruned": (1.1, 1.2)},
        alike={"lora": "wsa"},
    )  # fmt: skip
    write_record(layout.inference_json("tiny"), record)
    (judgement,) = aggregate(suite, layout).claims[0].judgements
    render([suite], layout)
    page = Page(layout.suite_page("tiny"))
    _, base, merged, beside, pruned = page.table("Means of 3 rounds on 60 sentences")
    # times are of the two rounds that all have, ratios of all that each has
    assert base == ["The pretrained model", "–", "1.050 s", "1.000", "–"]
    ends = f"{judgement.interval.low:.3f} to {judgement.interval.high:.3f}"
    assert merged == ["WSA r=16", "merged", "1.085 s", f"{judgement.estimate:.3f}", ends]
    assert beside[1] == "beside the weights" and pruned[1] == "pruned, beside the weights"
    assert pruned[2:4] == ["1.150 s", f"{(1.1 + 1.2 / 1.1) / 2:.3f}"]
    text = layout.suite_page("tiny").read_text()
    assert "<dd>3 rounds × 60 sentences<" in text
    assert "of the first 2 rounds. WSA r=16 was timed for LoRA r=8, too: merged" in text


def test_downloads_are_the_tables_themselves(site):
    for name in ("table.csv", "table.md", "runs.csv", "thresholds.json"):
        copy = site.folder / "tiny/downloads" / name
        assert copy.read_bytes() == (site.layout.suite("tiny") / name).read_bytes()
    with tarfile.open(site.layout.downloads("tiny") / "records.tar.gz") as archive:
        for name in ("comparisons.csv", "claims.json"):
            own = (site.layout.suite("tiny") / name).read_bytes()
            assert archive.extractfile(f"tiny/{name}").read() == own
    with (site.folder / "tiny/downloads/runs.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 15


def test_what_every_run_says_of_every_sentence_is_a_table_too(site):
    import pandas as pd

    with tarfile.open(site.layout.downloads("tiny") / "records.tar.gz") as archive:
        table = pd.read_csv(archive.extractfile("tiny/sentences.csv")).set_index("id")
    names = site.suites[0].data.labels
    for method, seed, state in (("lora", 2, "unpruned"), ("wsa", 3, "pruned")):
        own = pd.read_parquet(site.layout.run("tiny", method, seed).predictions)
        own = own[own["state"] == state].set_index("sentence_id")
        said = (own["logit_1"] > own["logit_0"]).map({False: names[0], True: names[1]})
        assert (table[f"{method} seed {seed}"] == said.loc[table.index]).all()
    assert len(table) == SENTENCES and table.shape[1] == 1 + 15


def test_texts_stand_once_for_all_suites_on_the_same_sentences(tmp_path):
    layout = Layout(results=tmp_path / "r", resources=tmp_path / "d", site=tmp_path / "s")
    suites = [make_suite(name) for name in ("one", "two")]
    for number, suite in enumerate(suites):
        make_results(layout, suite, {"lora": 93.0, "full": 94.0}, sentences=60, rng_seed=number)
        aggregate(suite, layout)
    render(suites, layout)
    said = [carried(layout.said(suite.name)) for suite in suites]
    shared = {one["sentences"] for one in said}
    files = [path.name for path in (layout.site / "sentences").iterdir()]
    assert {Path(one).name for one in shared} == set(files)
    # labels are drawn anew with another seed, so these are two; with the same one they are one
    make_results(layout, suites[1], {"lora": 93.0, "full": 94.0}, sentences=60, rng_seed=0)
    aggregate(suites[1], layout)
    shutil.rmtree(layout.site)
    render(suites, layout)
    assert len(list((layout.site / "sentences").iterdir())) == 1


def test_no_page_asks_for_anything_outside(site):
    for path in site.folder.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            text = re.sub(r'<a href="https://[^"]*"', "", path.read_text(encoding="utf-8"))
            assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:)?//""", text), path
            assert "@import" not in text and "fetch(" not in text


def test_equal_results_give_equal_pages(site, tmp_path):
    layout = Layout(
        results=site.layout.results, resources=site.layout.resources, site=tmp_path / "again"
    )
    render(site.suites, layout, (), site.literature)
    first = {p.relative_to(site.folder): p for p in site.folder.rglob("*") if p.is_file()}
    again = {p.relative_to(layout.site): p for p in layout.site.rglob("*") if p.is_file()}
    assert first.keys() == again.keys()
    assert all(first[name].read_bytes() == again[name].read_bytes() for name in first)


def test_a_page_of_a_method_that_left_the_suite_goes(tmp_path):
    layout = Layout(results=tmp_path / "r", resources=tmp_path / "d", site=tmp_path / "s")
    suite = make_suite()
    render([suite], layout)
    assert (layout.site / "tiny/methods/lora.html").is_file()
    methods = {name: m for name, m in suite.methods.items() if name != "lora"}
    render([suite.model_copy(update={"methods": methods})], layout)
    assert not (layout.site / "tiny/methods/lora.html").exists()


def test_pictures_have_a_description_and_a_table(site):
    source = site.layout.suite_page("tiny").read_text()
    figures = re.findall(r"<figure.*?</figure>", source, re.DOTALL)
    assert len(figures) >= 7
    for figure in figures:
        described = re.search(r'<svg[^>]* aria-label="[^"]{20,}"', figure)
        assert described or re.search("<table class=heat><thead>", figure)
        assert len(re.findall("<tr", figure)) >= 2
        assert not re.search(r"#000[0-2][0-9a-f]{2}", figure), "a colour that is no CSS variable"


def test_other_thresholds_are_drawn_with_their_numbers(site):
    source = site.layout.suite_page("tiny").read_text()
    for name, column in (("accuracy", 3), ("rank", 1)):
        figure = re.search(rf'<figure id="threshold-{name}">.*?</figure>', source, re.DOTALL)[0]
        assert "Seed 1, the first, alone, on 120 validation sentences" in figure
        assert "τ = 0.05" in figure and "nothing is chosen by this" in figure
        cells = re.findall(r"<t[dh][^>]*>([^<]*)", figure.split("<tbody>")[1])
        scale = 100 if name == "accuracy" else 1
        expected = [(f"{row[0]:g}", f"{scale * row[column]:.2f}") for row in SWEPT]
        assert list(zip(cells[::2], cells[1::2], strict=True)) == expected


@pytest.fixture(scope="module")
def readings(tmp_path_factory) -> tuple[Suite, Layout]:
    """A suite with two gated methods, one of them the baseline; no thresholds were swept."""
    folder = tmp_path_factory.mktemp("readings")
    layout = Layout(results=folder / "r", resources=folder / "d", site=folder / "s")
    suite = make_suite("readings")
    other = suite.methods["wsa"].model_copy(
        update={"title": "WSA, other", "note": "Gate. Read otherwise."}
    )
    suite = suite.model_copy(
        update={"methods": suite.methods | {"other": other}, "baseline": "wsa"}
    )
    accuracy = {
        "other": {"unpruned": 88.0, "pruned": 60.0, "gate_only": 87.0},
        "wsa": {"unpruned": 94.0, "pruned": 80.0, "gate_only": 94.0},
        "lora": 93.0,
    }
    make_results(layout, suite, accuracy, sentences=SENTENCES)
    aggregate(suite, layout)
    render([suite], layout)
    return suite, layout


def test_differences_from_the_baseline(readings):
    suite, layout = readings

    def results(method):
        files = [layout.run(suite.name, method, seed).result for seed in suite.seeds]
        return [json.loads(file.read_text()) for file in files]

    def mean(method, state):
        return sum(100 * r["states"][state]["metrics"]["accuracy"] for r in results(method)) / 3

    def signed(value):
        return f"{value:+.2f}".replace("-", "−")

    page = Page(layout.suite_page(suite.name))
    found = page.table("in the same state, seed by seed")
    rows = {row[0]: row for row in found if row[0] != "Method"}
    assert list(rows) == ["WSA r=16", "LoRA r=8", "WSA, other"]  # what has runs, the baseline first
    row = rows["WSA, other"]
    with layout.comparisons_csv(suite.name).open() as file:
        pairs = {
            (p["method_a"], p["state_a"], p["method_b"], p["state_b"]): p
            for p in csv.DictReader(file)
        }
    for state, shown in (("unpruned", row[1:3]), ("pruned", row[3:5])):
        assert shown[0].startswith(f"{mean('other', state):.2f} ± ")
        pair = pairs["wsa", state, "other", state]  # the other way round
        interval = [signed(-float(pair[f"interval_{end}"])) for end in ("high", "low")]
        points = signed(mean("other", state) - mean("wsa", state))
        assert shown[1] == points + " to ".join(interval)
    ranks = [r["rank"]["effective_mean"] for r in results("other")]
    assert row[5] == f"{sum(ranks) / 3:.2f}" and row[6] == "Gate. Read otherwise."
    pair = pairs["lora", "unpruned", "wsa", "unpruned"]
    low, high = (signed(float(pair[f"interval_{end}"])) for end in ("low", "high"))
    assert rows["LoRA r=8"][2].endswith(f"{low} to {high}")
    assert rows["LoRA r=8"][3:6] == ["–", "–", "–"]


def test_what_was_not_asked_for_or_swept_is_not_shown(readings, site):
    suite, layout = readings
    assert "threshold-accuracy" not in layout.suite_page(suite.name).read_text()
    assert "Differences from" not in site.layout.suite_page("unmeasured").read_text()


def test_a_baseline_is_a_method_of_the_suite():
    raw = make_suite().model_dump() | {"baseline": "wsaa"}
    with pytest.raises(InputError, match=r"unknown method 'wsaa'.*'wsa'"):
        check(Suite, raw, Path("tiny.yaml"))


def test_the_calibration_of_other_metrics_is_told_apart(tmp_path, monkeypatch):
    calibration = read_record(Path(evidence.__file__).parent / "calibration.json", Calibration)
    row = next(row for row in calibration.rows if row.claim == "order")
    world = calibration.worlds[0].model_copy(
        update={"name": "numbers", "metric": "mean_squared_error", "seed_disagreement": None,
                "method_disagreement": None}
    )  # fmt: skip
    other = row.model_copy(update={"metric": "mean_squared_error", "world": "numbers"})
    rows = [row for row in calibration.rows if row.metric == "accuracy"]
    more = {"rows": (*rows, other), "worlds": (*calibration.worlds, world)}
    monkeypatch.setattr(site_module, "_calibration", lambda: calibration.model_copy(update=more))
    layout = Layout(results=tmp_path / "r", resources=tmp_path / "d", site=tmp_path / "s")
    render([make_suite()], layout)
    text = (layout.site / "reading.html").read_text()
    assert "Order claims about accuracy:" in text
    assert "Order claims about mean squared error: 1 kind" in text
    assert f"{world.description}<" in text, "numbers are never the same label"


def test_the_site_is_small(site):
    size = sum(path.stat().st_size for path in site.folder.rglob("*") if path.is_file())
    assert size < 3_000_000, f"{size} bytes for {SENTENCES} sentences"


def test_nothing_heavy_is_imported():
    command = (
        "import sys, wsa.leaderboard; "
        "print([m for m in ('torch', 'transformers', 'peft', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
