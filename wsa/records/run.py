"""What a run leaves behind: the records of training, pruning and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from wsa.errors import InputError, remake
from wsa.records.record import SCHEMA_VERSION, Record, renamed

# metrics are as `wsa.task` computes them, an accuracy a fraction in [0, 1]; pages and tables show
# them times their scale: percent
Metrics = dict[str, float]


class Determinism(Record):
    """How exactly the same command gives the same numbers again on the same machine."""

    level: Literal["bitwise", "round-off", "statistical"] = Field(
        description="'bitwise': every bit; 'round-off': but for the last digits of the logits; "
        "'statistical': another draw from what the seeds give"
    )
    raised_by: str | None = Field(description="what would raise the level; null at the highest")


class Execution(Record):
    """How a run was trained that was not trained by itself.

    It computed what it would have by itself, but for float32's round-off.
    """

    mode: Literal["packed"]
    runs: tuple[str, ...] = Field(
        description="'method seed' of all that were trained together, this one included"
    )


class Environment(Record):
    """Where and with what a stage ran."""

    versions: dict[str, str] = Field(description="python, torch, transformers, peft, numpy, wsa")
    processor: str
    accelerator: str | None = Field(description="the GPU's name; null on a CPU")
    threads: int
    blas: str = Field(description="linear algebra and vector width: they change last bits")
    platform: str
    determinism: Determinism
    git_commit: str | None
    git_clean: bool | None
    started: str = Field(description="UTC, ISO 8601")
    finished: str
    # left out where it is not given: so the record of a single run stays what it was
    execution: Execution | None = Field(
        default=None,
        exclude_if=lambda execution: execution is None,
        description="of a training together with others; null for a run by itself",
    )

    @model_validator(mode="before")
    @classmethod
    def _as_it_was(cls, raw: Any) -> Any:
        """Records from before the levels said `deterministic: true` where bits repeat."""
        if isinstance(raw, dict) and raw.get("deterministic") is True:
            raw = {key: value for key, value in raw.items() if key != "deterministic"}
            raw.setdefault("determinism", {"level": "bitwise", "raised_by": None})
        return raw

    @property
    def deterministic(self) -> bool:
        """Whether equal inputs give equal bits here."""
        return self.determinism.level == "bitwise"


class Provenance(Record):
    """All that decided a run's numbers."""

    configuration: str = Field(description="sha256 of protocol and method")
    model: str = Field(description="sha256 over the model folder's files")
    data: str = Field(description="sha256 of the tokenised data")
    factors: str | None = Field(description="sha256 over the factors used; null if none were")
    code: dict[str, str] = Field(description="stage → sha256 of the modules it uses")
    environments: dict[str, Environment] = Field(description="stage → where it ran")

    @property
    def execution(self) -> Execution | None:
        """With which others the run was trained; None: by itself."""
        place = self.environments.get("train")
        return place.execution if place else None

    def code_stage(self, stage: str) -> str:
        """The stage of `wsa.identity` whose code the hash of `stage` is of."""
        return "packed" if stage == "train" and self.execution else stage

    @property
    def determinism(self) -> Determinism:
        """That of the stage with the lowest level: a chain is as strong as its weakest link."""
        levels = ("statistical", "round-off", "bitwise")
        stages = [environment.determinism for environment in self.environments.values()]
        return min(stages, key=lambda stage: levels.index(stage.level))


class Parameters(Record):
    """Numbers of parameters."""

    total: int = Field(description="of the model with its adapter")
    trainable: int = Field(description="that trained, the head included")
    head: int = Field(description="of these, in the classification head")
    kept: int = Field(description="of the trainable ones, after pruning; else all of them")


class Schedule(Record):
    """How far AdamW could have moved a parameter."""

    steps: int
    learning_rate: float | None
    head_learning_rate: float | None
    gate_learning_rate: float | None
    sum_of_learning_rates: float = Field(description="of the body's rate over all steps")
    sum_of_gate_learning_rates: float | None = Field(
        description="Σ lr_t of the gates: about as far as AdamW can move one"
    )


class Training(Record):
    """What `wsa train` did: `training.json`."""

    schema_version: Literal[1] = SCHEMA_VERSION
    suite: str
    method: str
    seed: int
    schedule: Schedule
    trained_sentences: int
    train_seconds: float = Field(
        description="the loop alone, without loading; of runs trained together, each its share"
    )
    sentences_per_second: float
    peak_memory_bytes: int
    peak_memory_of: Literal["process", "accelerator"]
    total_parameters: int
    trainable_parameters: int
    head_parameters: int
    final_loss: float | None
    continued_at: tuple[int, ...] = Field(
        default=(), description="the steps after which the run was interrupted and continued"
    )
    files: dict[str, str] = Field(description="file in the run's folder → sha256")
    model: str
    data: str
    factors: str | None
    configuration: str
    code: str
    environment: Environment


class Rank(Record):
    """The ranks of a gated method."""

    initial: int
    threshold: float
    effective_mean: float
    effective_by_layer: dict[str, int]
    sum_of_learning_rates: float = Field(description="Σ lr_t of the gates, beside the threshold")


class Pruning(Record):
    """What `wsa prune` did: `pruning.json`."""

    schema_version: Literal[1] = SCHEMA_VERSION
    suite: str
    method: str
    seed: int
    rank: Rank
    kept_parameters: int
    files: dict[str, str]
    code: str

    def check_threshold(self, threshold: float, path: Path) -> None:
        """Raise InputError unless this is what pruning at `threshold` gave; `path`: its file."""
        if self.rank.threshold != threshold:
            raise InputError(
                f"the run was pruned at another threshold than the suite's {threshold:g}",
                file=path, key="rank.threshold", value=self.rank.threshold,
                remedy=f"prune it again: {remake(path)}",
            )  # fmt: skip


class State(Record):
    """One state of a trained model on the sentences of one split."""

    metrics: Metrics = Field(description="metric → value")
    loss: float = Field(description="mean over the sentences")
    n: int

    @model_validator(mode="before")
    @classmethod
    def _as_it_was(cls, raw: Any) -> Any:
        """Records of the first schema knew accuracy alone."""
        return renamed(raw, "accuracy", "metrics", lambda value: {"accuracy": value})


class Cost(Record):
    train_seconds: float
    evaluate_seconds: float
    sentences_per_second: float = Field(description="in training")
    peak_memory_bytes: int
    peak_memory_of: Literal["process", "accelerator"]


StateName = Literal["unpruned", "pruned", "gate_only"]


class Split(Record):
    """What a run gives on a further validation split."""

    states: dict[StateName, State]
    predictions: str = Field(description="sha256 of its table of predictions' content")


class Result(Record):
    """One run, whole: `result.json`."""

    schema_version: Literal[1, 2] = 2
    suite: str
    method: str
    seed: int
    metric: str = Field(default="accuracy", description="the headline metric's name")
    headline: float = Field(
        description="its value in the state `pruned` for a gated method, else `unpruned`"
    )
    evaluated_on: Literal["validation", "holdout"]
    states: dict[StateName, State]
    further: dict[str, Split] = Field(
        default={}, description="further validation splits, reported apart: split → what it gave"
    )
    rank: Rank | None = Field(description="null for a method without gates")
    parameters: Parameters
    schedule: Schedule
    cost: Cost
    predictions: str = Field(description="sha256 of the table of predictions' content")
    files: dict[str, str] = Field(
        default={}, description="file in the run's folder → sha256; not in records of old"
    )
    provenance: Provenance

    @model_validator(mode="before")
    @classmethod
    def _as_it_was(cls, raw: Any) -> Any:
        """Records of the first schema called the headline `accuracy`, which it was."""
        return renamed(raw, "accuracy", "headline")


def check_origin(training: Training, path: Path, **here: str | None) -> None:
    """Raise InputError unless a run was trained with what is here.

    Args:
        training: the record of the training.
        path: its file.
        here: `model`, `data` or `configuration` → the sha256 of the present one.
    """
    for key, value in here.items():
        if getattr(training, key) != value:
            raise InputError(
                f"the run was trained with another {key} than is here", file=path, key=key,
                value=getattr(training, key), remedy=f"train it again: {remake(path)}",
            )  # fmt: skip
