"""The records a run leaves behind, typed and versioned, checked when written and when read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wsa.errors import InputError, remake
from wsa.files import sha256_json, write_json

SCHEMA_VERSION = 1

Fraction = float  # accuracies are fractions in [0, 1] in records; pages and tables show percent


class Record(BaseModel):
    """A JSON file written by a stage. Unknown keys and NaN are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Determinism(Record):
    """How exactly the same command gives the same numbers again on the same machine."""

    level: Literal["bitwise", "round-off", "statistical"] = Field(
        description="'bitwise': every bit; 'round-off': but for the last digits of the logits; "
        "'statistical': another draw from what the seeds give"
    )
    raised_by: str | None = Field(description="what would raise the level; null at the highest")


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
    train_seconds: float = Field(description="the loop alone, without loading")
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


class State(Record):
    """One state of a trained model on the evaluation sentences."""

    accuracy: Fraction = Field(ge=0, le=1)
    loss: float
    n: int


class Cost(Record):
    train_seconds: float
    evaluate_seconds: float
    sentences_per_second: float = Field(description="in training")
    peak_memory_bytes: int
    peak_memory_of: Literal["process", "accelerator"]


class Result(Record):
    """One run, whole: `result.json`."""

    schema_version: Literal[1] = SCHEMA_VERSION
    suite: str
    method: str
    seed: int
    accuracy: Fraction = Field(
        ge=0, le=1, description="the headline: `pruned` for a gated method, else `unpruned`"
    )
    evaluated_on: Literal["validation", "holdout"]
    states: dict[Literal["unpruned", "pruned", "gate_only"], State]
    rank: Rank | None = Field(description="null for a method without gates")
    parameters: Parameters
    schedule: Schedule
    cost: Cost
    predictions: str = Field(description="sha256 of the table of predictions' content")
    provenance: Provenance


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


R = TypeVar("R", bound=Record)


# the key of a record's own hash: of all its other keys, as canonical JSON
SEAL = "record_sha256"


def write_record(path: Path, record: Record) -> None:
    """Check `record` once more and write it with its own hash, atomically."""
    content = type(record).model_validate(record.model_dump()).model_dump(mode="json")
    write_json(path, content | {SEAL: sha256_json(content)})


def read_record(path: Path, kind: type[R]) -> R:
    """Read a record of `kind`; raises InputError naming the file, the key and the remedy."""
    remedy = f"remake it: {remake(path)}"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("there is no such record", file=path, remedy=remedy) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"damaged: {error}", file=path, remedy=remedy) from None
    if isinstance(raw, dict) and raw.get("schema_version") not in (None, SCHEMA_VERSION):
        raise InputError(
            f"written with another schema version; this program reads {SCHEMA_VERSION}",
            file=path, key="schema_version", value=raw["schema_version"], remedy=remedy,
        )  # fmt: skip
    seal = raw.pop(SEAL, None) if isinstance(raw, dict) else None
    if seal is not None and seal != sha256_json(raw):
        raise InputError("damaged: its content has changed", file=path, remedy=remedy)
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise InputError(
            fault["msg"], file=path, key=".".join(map(str, fault["loc"])), remedy=remedy
        ) from None
