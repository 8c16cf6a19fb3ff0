"""Where every file of the benchmark lies. The only module that spells paths."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

TRIALS = "_tuning"  # ends the name of the suite of another one's trials, which has no file


@dataclass(frozen=True)
class RunFiles:
    """The files of one run: one method of one suite with one seed."""

    folder: Path

    @property
    def trained(self) -> Path:
        """The folder with the trained parameters (a PEFT adapter, or the parameters that moved)."""
        return self.folder / "trained"

    @property
    def checkpoints(self) -> Path:
        """The last states of a training that has not ended; gone when it has."""
        return self.folder / "checkpoints"

    @property
    def training(self) -> Path:
        """What training did: cost, schedule, provenance (`records.Training`)."""
        return self.folder / "training.json"

    @property
    def curve(self) -> Path:
        """One row per logged step: step, loss, learning_rate, sum_of_learning_rates, mean_gate."""
        return self.folder / "curve.parquet"

    @property
    def gates(self) -> Path:
        """Gates over training: one row per logged step × module × direction."""
        return self.folder / "gates.parquet"

    @property
    def pruned(self) -> Path:
        """The folder with the pruned adapter, at its own size."""
        return self.folder / "pruned"

    @property
    def pruning(self) -> Path:
        """What pruning did (`records.Pruning`)."""
        return self.folder / "pruning.json"

    @property
    def predictions(self) -> Path:
        """One row per state × sentence, see `records.predictions`."""
        return self.folder / "predictions.parquet"

    def further_predictions(self, split: str) -> Path:
        """The same on a further validation split."""
        return self.folder / f"predictions_{split}.parquet"

    @property
    def result(self) -> Path:
        """The record of the run (`records.Result`)."""
        return self.folder / "result.json"


def run_below(results: Path, method: str, seed: int | str) -> RunFiles:
    """The files of one run below a suite's folder of results, wherever that is."""
    return RunFiles(results / "runs" / method / f"seed-{seed}")


def runs_below(results: Path) -> list[tuple[str, int | None, RunFiles]]:
    """(method, seed, files) of every folder there, in order; no seed: it is called otherwise."""
    found = []
    for folder in results.glob("runs/*/*"):
        seed = folder.name.removeprefix("seed-")
        known = seed != folder.name and seed.isdecimal()
        found.append((folder.parent.name, int(seed) if known else None, RunFiles(folder)))
    return sorted(found, key=lambda run: (run[0], run[1] is None, run[1] or 0, run[2].folder.name))


@dataclass(frozen=True)
class SubmissionFiles:
    """The files of one submission, packed or admitted."""

    folder: Path

    @property
    def submission(self) -> Path:
        """Who submits what, and by which methods (`records.submission.Submission`)."""
        return self.folder / "submission.json"

    @property
    def admission(self) -> Path:
        """What was checked, by whom (`records.submission.Admission`); not in the archive."""
        return self.folder / "admission.json"

    @property
    def results(self) -> Path:
        """The runs, laid out as `results/` is."""
        return self.folder / "results"


@dataclass(frozen=True)
class Layout:
    """The roots: configuration and published results (read), resources (fetched), results and site
    (made), submissions (what other people measured, admitted).
    """

    config: Path = Path("config")
    resources: Path = Path("resources")
    results: Path = Path("results")
    site: Path = Path("site")
    submissions: Path = Path("submissions")
    published: Path = Path("published")  # results that a repository carries

    @property
    def as_published(self) -> Layout:
        """The same with the published results in place of one's own."""
        return replace(self, results=self.published)

    # --- what people write ---
    def suite_file(self, suite: str) -> Path:
        """The file of a suite; of a suite of trials, that of the suite that they are for."""
        return self.config / "suites" / f"{suite.removesuffix(TRIALS)}.yaml"

    def model_file(self, model: str) -> Path:
        return self.config / "models" / f"{model}.yaml"

    @property
    def literature(self) -> Path:
        """The published record (`wsa.literature`); a configuration may have none."""
        return self.config / "literature"

    @property
    def published_tables(self) -> Path:
        return self.literature / "tables.csv"

    @property
    def published_numbers(self) -> Path:
        return self.literature / "numbers.csv"

    @property
    def published_methods(self) -> Path:
        return self.literature / "methods.yaml"

    @property
    def published_tasks(self) -> Path:
        return self.literature / "tasks.yaml"

    @property
    def published_models(self) -> Path:
        return self.literature / "models.yaml"

    # --- fetched and derived inputs ---
    def model(self, model: str) -> Path:
        """A model folder as transformers reads it, with `source.json` beside the weights."""
        return self.resources / "models" / model

    @property
    def archives(self) -> Path:
        """Archives and repositories as they were downloaded, or brought from another machine."""
        return self.resources / "archives"

    def data(self, data: str) -> Path:
        """A parquet file a split (id, sentence, for pairs sentence_2, label) and `source.json`."""
        return self.resources / "data" / data

    def split(self, data: str, split: str) -> Path:
        """One split of a data set."""
        return self.data(data) / f"{split}.parquet"

    def tokens(self, model: str, data: str) -> Path:
        """Both splits of `data`, tokenised for `model` (safetensors, ragged)."""
        return self.resources / "tokens" / f"{model}__{data}.safetensors"

    @property
    def factors(self) -> Path:
        """The content-addressed cache of truncated SVDs."""
        return self.resources / "factors"

    def factor_index(self, model: str, rank: int | str) -> Path:
        """Which cached factors belong to which module of `model`, at `rank`, which may be 'all'."""
        return self.factors / f"{model}_r{rank}.json"

    def checked(self, suite: str, method: str) -> Path:
        """Says that a method of `suite` fits its model."""
        return self.resources / "checked" / suite / f"{method}.json"

    # --- results of one suite ---
    def suite(self, suite: str) -> Path:
        return self.results / suite

    def run(self, suite: str, method: str, seed: int | str) -> RunFiles:
        return run_below(self.suite(suite), method, seed)

    def tuning(self, suite: str, method: str) -> Path:
        """The trials of a method and the chosen values (`records.tuning.MethodTuning`)."""
        return self.suite(suite) / "tuning" / f"{method}.json"

    def runs_csv(self, suite: str) -> Path:
        return self.suite(suite) / "runs.csv"

    def table_csv(self, suite: str) -> Path:
        return self.suite(suite) / "table.csv"

    def table_md(self, suite: str) -> Path:
        return self.suite(suite) / "table.md"

    def comparisons_csv(self, suite: str) -> Path:
        return self.suite(suite) / "comparisons.csv"

    def tables_json(self, suite: str) -> Path:
        """The tables for programs (`records.evidence.Tables`)."""
        return self.suite(suite) / "tables.json"

    def claims_json(self, suite: str) -> Path:
        return self.suite(suite) / "claims.json"

    def findings_json(self, suite: str) -> Path:
        """What the benchmark found wrong with itself (`records.evidence.Findings`)."""
        return self.suite(suite) / "findings.json"

    def across_json(self, collection: str) -> Path:
        """What the suites of a collection say together (`records.across.Across`)."""
        return self.suite(collection) / "across.json"

    def inference_json(self, suite: str) -> Path:
        """Measured speed of the merged models (`records.evidence.Inference`); may be missing."""
        return self.suite(suite) / "inference.json"

    def thresholds_json(self, suite: str) -> Path:
        """Accuracy at other thresholds (`records.evidence.Thresholds`); may be missing."""
        return self.suite(suite) / "thresholds.json"

    def literature_json(self, suite: str) -> Path:
        """What the suite's runs say of published orderings (`records.literature.Judged`)."""
        return self.suite(suite) / "literature.json"

    def bundle(self, suite: str) -> Path:
        """The archive of a suite's results, beside the folder of results; may be missing."""
        return self.results.parent / f"{suite}.zip"

    # --- submissions ---
    def submission(self, suite: str, name: str) -> SubmissionFiles:
        """One submission to `suite` that was admitted."""
        return SubmissionFiles(self.submissions / suite / name)

    def admitted(self) -> list[SubmissionFiles]:
        """All of them, by suite and date."""
        found = self.submissions.glob("*/*/admission.json")
        return [SubmissionFiles(path.parent) for path in sorted(found)]

    # --- the site ---
    @property
    def index_page(self) -> Path:
        return self.site / "index.html"

    @property
    def site_json(self) -> Path:
        """Every number of the site (`records.site.SiteResults`), compressed."""
        return self.site / "results.json.gz"

    @property
    def site_schema(self) -> Path:
        """The JSON schema of `site_json`."""
        return self.site / "results.schema.json"

    @property
    def submissions_page(self) -> Path:
        return self.site / "submissions.html"

    @property
    def submitted_records(self) -> Path:
        """Copies of the records that the page of submissions shows."""
        return self.site / "submissions"

    @property
    def history_page(self) -> Path:
        return self.site / "history.html"

    def suite_page(self, suite: str) -> Path:
        return self.site / suite / "index.html"

    def hero(self, suite: str) -> Path:
        """The picture of a suite that links to it are shown with, a PNG of 1200 × 630 pixels."""
        return self.suite_page(suite).parent / "hero.png"

    @property
    def record_page(self) -> Path:
        """All of the published record; pages of methods and tables lie beside it."""
        return self.site / "literature" / "index.html"

    def downloads(self, suite: str) -> Path:
        """Copies of the tables and records that the pages of a suite show."""
        return self.suite_page(suite).parent / "downloads"

    def said(self, suite: str) -> Path:
        """What every run of a suite says of every sentence (`wsa.leaderboard.said`)."""
        return self.suite_page(suite).parent / "sentences.js"

    def sentences(self, data: str, name: str) -> Path:
        """Sentences of a data set, for the pages of all suites whose runs were evaluated on them.

        Args:
            name: of just these sentences (`wsa.leaderboard.said.Said.name`).
        """
        return self.site / "sentences" / f"{data}_{name}.js"
