"""What a suite's YAML may say, typed: model, data, protocol, methods, claims.

`load_suite` is the only reader. It resolves `extends`, the names of model and data files, and
sweeps, checks every key, and raises `InputError` with file, key, value and remedy.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, PrivateAttr, field_validator, model_validator

from wsa.errors import InputError, did_you_mean
from wsa.evidence.claims import Claim
from wsa.evidence.claims.order import OrderClaim
from wsa.files import sha256_json
from wsa.suite.defaults import RANKS, THRESHOLD
from wsa.suite.strict import Many, Name, Strict, Text
from wsa.task import NUMBER, Task, check_metrics, task

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


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
    """A model folder; or a folder with a .tsv or .parquet file a split, of text and label."""

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
    """A table of rated sentences (id, mean rating, text).

    Two labels: the rating's sign, what is near zero dropped. Three: negative, neutral, positive.
    A number: the mean rating itself.
    """

    kind: Literal["rated_sentences"]
    minimum_rating: float | None = Field(
        default=None, ge=0, description="|mean rating| up to this is neutral; of classes"
    )
    validation: int = Field(gt=0, description="sentences in the validation split, chosen by hash")


class SentencesByFile(Strict):
    """Several tables as above, of which the label is the file: which one is a sentence from?"""

    kind: Literal["sentences_by_file"]
    files: Many[Text] = Field(min_length=2, description="one a label, in the labels' order")
    validation: int = Field(gt=0, description="sentences in the validation split, chosen by hash")


class Splits(Strict):
    """A data set that brings its own splits, in columns.

    The first validation split is the one that methods are judged on; any other is reported apart.
    """

    kind: Literal["splits"] = "splits"
    train: Text = "train"
    validation: Many[Text] = Field(default=("validation",), min_length=1)


class SplitSize(Strict):
    """How many sentences a split has, and how long they are in tokens, special ones included."""

    sentences: int = Field(gt=0)
    mean_length: float | None = Field(default=None, gt=0)
    longest: int | None = Field(default=None, gt=0)


class DataSize(Strict):
    """The sizes of a data set's splits."""

    train: SplitSize
    validation: SplitSize
    random_batch: float | None = Field(
        default=None,
        gt=0,
        description="tokens in the longest of 32 random training sentences, on average",
    )


class DataSpec(Strict):
    """Sentences, or pairs of them, with what is asked about each: a task."""

    name: Name
    title: Text
    source: Source
    reader: Annotated[RatedSentences | SentencesByFile | Splits, Field(discriminator="kind")] = (
        Splits()
    )
    text: Many[Text] = Field(
        default=("sentence",),
        min_length=1,
        max_length=2,
        description="the columns that hold the text: one, or those of a pair",
    )
    label: Text = Field(default="label", description="the column that holds the label")
    labels: Many[Text] | Literal["number"] = Field(
        default=("negative", "positive"),
        description="the names of the classes 0, 1, …; or 'number': the label is one",
    )
    metrics: Many[Text] = Field(
        default=(), description="what is reported, the headline first (wsa/task.py has them all)"
    )
    max_length: int | None = Field(
        default=None,
        gt=4,
        lt=2**31,
        description="tokens, special tokens included, unless the protocol says otherwise",
    )
    size: DataSize | None = Field(
        default=None, description="for estimates of cost before the data are fetched"
    )
    citation: str = ""
    licence: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> DataSpec:
        classes = 0 if self.labels == NUMBER else len(self.labels)
        if classes == 1:
            raise ValueError("labels should be two classes or more, or 'number'")
        if classes and len(set(self.labels)) < classes:
            raise ValueError("a label is named twice")
        if len(set(self.text)) < len(self.text):
            raise ValueError("text: a column is named twice")
        check_metrics(self.labels, self.metrics)
        match self.reader:
            case RatedSentences():
                if classes > 3:
                    raise ValueError("ratings give two or three labels, or a number")
                if bool(classes) != (self.reader.minimum_rating is not None):
                    raise ValueError("reader.minimum_rating is for classes, and needed there")
            case SentencesByFile():
                if classes != len(self.reader.files):
                    raise ValueError("reader.files should be one file a label")
            case Splits():
                splits = [self.reader.train, *self.reader.validation]
                if len(set(splits)) < len(splits):
                    raise ValueError("reader: a split is named twice")
        return self

    def rows_digest(self) -> str:
        """SHA-256 of all that decides the rows of the splits: not of what is said about them."""
        rows = {"source", "reader", "text", "label", "labels"}
        return sha256_json(self.model_dump(mode="json", include=rows))

    @property
    def task(self) -> Task:
        """What this data set asks of a model."""
        return task(self.labels, self.metrics)

    @property
    def validation(self) -> tuple[str, ...]:
        """The names of the validation splits; the first one is the one that counts."""
        return self.reader.validation if isinstance(self.reader, Splits) else ("validation",)


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
    max_length: int | None = Field(
        default=None,
        gt=4,
        lt=2**31,
        description="tokens, special tokens included; default: the data set's",
    )
    schedule: Literal["linear", "constant"]
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(ge=0, description="not on biases, norms and gates")
    max_gradient_norm: float | None = Field(default=None, gt=0)
    head_learning_rate: float = Field(gt=0)
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: int = Field(
        default=1, gt=0, le=1024, description="CPU threads of a run; changes last bits"
    )


class Execution(Strict):
    """How the runs are trained; by itself each, where nothing is said.

    It is no part of a run's digest: it moves no more than float32's round-off, and the record of
    each run says how it was trained.
    """

    pack: int = Field(
        ge=2,
        le=64,
        description="so many runs that differ in seeds or rates alone are trained together on one "
        "frozen backbone, where the method can",
    )


class Tuning(Strict):
    """Every method gets the same number of trials, judged on training sentences kept apart."""

    trials: int = Field(ge=2, le=64, description="of every method that declares what it tunes")
    train_sentences: int | None = Field(
        default=None, gt=0, description="that a trial trains on; default: the protocol's"
    )
    holdout_sentences: int = Field(
        default=1500, gt=0, description="training sentences that no trial trains on: its judges"
    )
    seed: Seed = Field(default=1000, description="of every trial; none of the suite's own")
    of: Name | None = Field(
        default=None,
        exclude_if=lambda of: of is None,
        description="another suite, whose trials these are: its methods run here with the values "
        "that were found there; default: trials of this suite's own",
    )


# --- methods -------------------------------------------------------------------------------------

# PEFT types of wsa/tuners/ that start from all singular triplets of a weight
_WHOLE_SPECTRUM = frozenset({"LORA_XS", "MILORA", "SPECTRAL_R", "SVDIFF", "SVFT", "VECTORFIT"})

_End = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True)]
Range = Annotated[tuple[_End, _End], Field(strict=False)]  # a list in YAML
MOST_TUNED = 3  # the rate, and two more


def _is_rank(value: Any) -> bool:
    return type(value) is int and value >= 1


class Cut(Strict):
    """A low-rank adapter cut in the middle of its training; see `wsa.recompress`.

    Training goes on in the factors that are left, which are LoRA's, with a fresh optimizer.
    """

    target_rank: float = Field(gt=0, description="directions a module keeps on average")
    at: float = Field(default=0.6, gt=0, lt=1, description="after this share of the steps")
    batches: int = Field(default=12, gt=0, description="the last ones, to estimate the loss by")
    learning_rate_factor: float = Field(
        default=2.0, gt=0, description="of the body's learning rate from then on"
    )


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
    # left out where it is not given: so a run that does not have it stays the run it was
    cut: Cut | None = Field(default=None, exclude_if=lambda cut: cut is None)
    learning_rate_ratio: float | None = Field(
        default=None,
        gt=0,
        exclude_if=lambda ratio: ratio is None,
        description="of the output side's factors (LoRA's B, a spectral adapter's U) to the input "
        "side's: LoRA+ (Hayou et al. 2024, arXiv:2402.12354)",
    )
    tune: dict[Text, Range] = Field(
        default={},
        description="what a suite with `tuning` tries: its learning rate and at most two more "
        "numbers of its own, as {learning_rate: [1e-4, 1e-2], adapter.lora_alpha: [8, 32]}; "
        "log-uniform, whole numbers where both ends are whole",
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
            threshold = self.adapter.get("threshold", 0)
            if self.gated and not (type(threshold) in (int, float) and threshold >= 0):
                raise ValueError(
                    f"adapter.threshold should be a number of 0 or more, not {threshold!r}"
                )
            for key in ("modules_to_save", "task_type"):
                if key in self.adapter:
                    raise ValueError(f"adapter.{key} is set by the model file, leave it out")
        elif self.adapter is not None:
            raise ValueError(f"a method of kind '{self.kind}' has no adapter")
        if self.gate_reach is not None and not self.gated:
            raise ValueError("gate_reach is for adapters with gates: adapter.peft_type WSA")
        if self.cut is not None:
            if self.gated or (self.adapter or {}).get("peft_type") not in ("LORA", "SPECTRAL"):
                raise ValueError("cut is for adapters of type LORA or SPECTRAL")
            if self.cut.target_rank > self.rank:
                raise ValueError(
                    f"cut.target_rank should be at most adapter.r = {self.rank}, not "
                    f"{self.cut.target_rank:g}"
                )
        if self.learning_rate_ratio is not None and self.kind != "adapter":
            raise ValueError("learning_rate_ratio is for adapters with two factors")
        needs_rate = self.kind in ("adapter", "full")
        if needs_rate and self.learning_rate is None and "learning_rate" not in self.tune:
            raise ValueError("learning_rate is missing")
        if not needs_rate and self.learning_rate is not None:
            raise ValueError(
                f"a method of kind '{self.kind}' has no body to train: no learning_rate"
            )
        if self.tune:
            self._check_tune()
        return self

    def _check_tune(self) -> None:
        if self.rate_key is None:
            raise ValueError(f"a method of kind '{self.kind}' trains nothing: no tune")
        keys = {"head_learning_rate"} | ({self.rate_key} if self.kind != "head_only" else set())
        keys |= {"gate_reach"} if self.gated else set()
        for key, (low, high) in self.tune.items():
            if key not in keys and not (self.adapter and re.fullmatch(r"adapter\.\w+", key)):
                raise ValueError(
                    f"tune.{key}: no number of this method, "
                    + did_you_mean(key, {*keys, *(["adapter.ARGUMENT"] if self.adapter else [])})
                )
            if not 0 < low < high:
                raise ValueError(f"tune.{key}: should be [low, high] with 0 < low < high")
        if self.rate_key not in self.tune:
            raise ValueError(f"tune.{self.rate_key} is missing: a rate is always tuned")
        if len(self.tune) > MOST_TUNED:
            raise ValueError(f"tune: the rate and at most {MOST_TUNED - 1} more, for equal trials")

    @property
    def rate_key(self) -> str | None:
        """The key of the learning rate that matters most; None for a method that trains nothing."""
        rates = {"majority": None, "head_only": "head_learning_rate"}
        return rates.get(self.kind, "learning_rate")

    @property
    def peft_types(self) -> tuple[str, ...]:
        """Its PEFT type; empty for a method without an adapter."""
        return (self.adapter["peft_type"],) if self.adapter else ()

    @property
    def gated(self) -> bool:
        """Whether the method has gates, and so the states `pruned` and `gate_only`."""
        return bool(self.adapter) and self.adapter.get("peft_type") == "WSA"

    @property
    def rank(self) -> int:
        """The adapter's rank at the start; 0 without one, or where PEFT's own is not named."""
        adapter = self.adapter or {}
        return int(adapter.get("r", RANKS.get(adapter.get("peft_type"), 0)))

    @property
    def largest_rank(self) -> int:
        """The largest rank that a module may get, by `r` or by `rank_pattern`."""
        patterns = (self.adapter or {}).get("rank_pattern")
        ranks = patterns.values() if isinstance(patterns, dict) else ()
        return max([self.rank, *(rank for rank in ranks if _is_rank(rank))])

    @property
    def threshold(self) -> float:
        """τ: a direction whose gate is smaller is pruned."""
        return float((self.adapter or {}).get("threshold", THRESHOLD))

    @property
    def spectral(self) -> bool:
        """Whether the adapter is one of the spectral family."""
        return bool(self.adapter) and self.adapter.get("peft_type") in RANKS

    @property
    def directions(self) -> str | None:
        """Which singular directions of a weight the method needs: "leading" or, from the whole
        spectrum, "spread"; None: it needs none.
        """
        if (self.adapter or {}).get("peft_type") in _WHOLE_SPECTRUM:
            return "spread"
        directions = self.adapter.get("directions", "leading") if self.spectral else None
        return None if directions == "random" else directions


# --- claims (wsa/evidence/claims has the kinds) ------------------------------------------------


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
    execution: Execution | None = Field(
        default=None,
        exclude_if=lambda execution: execution is None,
        description="default: every run is trained by itself",
    )
    tuning: Tuning | None = Field(
        default=None, description="trials for every method before its seeds run"
    )
    methods: dict[Name, Method] = Field(min_length=1)
    baseline: Name | None = Field(
        default=None, description="the method whose differences to all others the page lists"
    )
    claims: Many[Claim] = ()
    _rank_left_out: int = PrivateAttr(default=0)

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
    def _length_is_known(self) -> Suite:
        """The protocol has the data set's maximum length where it names none."""
        if self.protocol.max_length is None:
            if self.data.max_length is None:
                raise ValueError(
                    f"protocol.max_length is missing, and data set '{self.data.name}' has none"
                )
            protocol = self.protocol.model_copy(update={"max_length": self.data.max_length})
            object.__setattr__(self, "protocol", protocol)  # frozen
        return self

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
            for name in claim.methods_named():
                if name not in self.methods:
                    raise ValueError(
                        f"claim '{claim.id}': unknown method '{name}', "
                        + did_you_mean(name, self.methods)
                    )
            try:
                claim.check(self.data.task)
            except ValueError as error:
                raise ValueError(f"claim '{claim.id}': {error}") from None
        return self

    @model_validator(mode="after")
    def _packs_are_in_float32(self) -> Suite:
        if self.execution is not None and self.protocol.precision != "float32":
            raise ValueError("execution: runs are packed in float32 alone (protocol.precision)")
        return self

    @model_validator(mode="after")
    def _tuning_is_whole(self) -> Suite:
        for name, method in self.methods.items():
            rate = method.rate_key
            if self.tuning is None and method.kind in ("adapter", "full"):
                if method.learning_rate is None:
                    raise ValueError(
                        f"method '{name}': learning_rate is missing; its range in tune is for "
                        "suites with tuning"
                    )
            elif self.tuning is not None and rate and not method.tune:
                raise ValueError(
                    f"method '{name}': tune is missing, and every method of a suite with tuning "
                    f"declares the range of its {rate}: tune: {{{rate}: [1.0e-4, 1.0e-2]}}"
                )
        if self.tuning is None:
            return self
        if self.protocol.evaluate_on != "validation":
            raise ValueError(
                "tuning: its trials are judged on training sentences kept apart, and those cannot "
                "judge the chosen ones again; protocol.evaluate_on should be 'validation'"
            )
        if self.tuning.of == self.name:
            raise ValueError(
                "tuning.of: should be another suite; without it the trials are this one's own"
            )
        if self.tuning.seed in self.seeds:
            raise ValueError(f"tuning.seed: {self.tuning.seed} is one of the suite's own seeds")
        # what a file says beside a range is for suites without tuning
        untuned = {
            name: method.model_copy(update={method.rate_key: None}) if method.tune else method
            for name, method in self.methods.items()
        }
        object.__setattr__(self, "methods", untuned)  # frozen
        return self

    @property
    def peft_types(self) -> tuple[str, ...]:
        """The PEFT types of its methods, sorted."""
        return tuple(sorted({kind for m in self.methods.values() for kind in m.peft_types}))

    @property
    def largest_rank(self) -> int:
        """The rank one decomposition per matrix must have to serve all leading directions, also of
        methods that `only` left out: the others' runs stay as they are.
        """
        leading = [m for m in self.methods.values() if m.directions == "leading"]
        return max([self._rank_left_out, *(method.largest_rank for method in leading)])

    def factor_rank(self, method: str) -> int | Literal["all"] | None:
        """The rank of the decompositions that `method` starts from; None: of none."""
        directions = self.method(method).directions
        return {"leading": self.largest_rank, "spread": "all"}.get(directions)

    def only(self, families: Sequence[str] = (), methods: Sequence[str] = ()) -> Suite:
        """The methods of these families, these methods, and the controls; with the claims that are
        about them.

        Raises:
            InputError: no family or method has such a name.
        """
        known = {method.family for method in self.methods.values() if method.family}
        for family in families:
            if family not in known:
                raise InputError(
                    f"suite '{self.name}' has no family '{family}'", key="families",
                    value=list(families), remedy=did_you_mean(family, known),
                )  # fmt: skip
        for name in methods:
            self.method(name)
        kept = {
            name: method
            for name, method in self.methods.items()
            if method.family in families
            or name in methods
            or method.kind in ("majority", "head_only")
        }
        narrowed = self.model_copy(
            update={
                "methods": kept,
                "baseline": self.baseline if self.baseline in kept else None,
                "claims": tuple(c for c in self.claims if {*c.methods_named()} <= {*kept}),
            }
        )
        narrowed._rank_left_out = self.largest_rank
        return narrowed

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

    @property
    def tuned_in(self) -> str:
        """The suite whose trials choose the values: this one, unless `tuning.of` names another."""
        return (self.tuning and self.tuning.of) or self.name

    def timed_methods(self) -> set[str]:
        """The methods that a claim on their time is about: none stands for them."""
        return {name for claim in self.claims for name in claim.methods_timed()}

    def tuned_methods(self) -> list[str]:
        """The methods that have trials."""
        return [name for name, method in self.methods.items() if self.tuning and method.tune]

    def waits_for_trials(self, method: str) -> bool:
        """Whether the values that `method` trains with are still to be chosen."""
        own = self.method(method)
        return bool(self.tuning and own.tune) and getattr(own, own.rate_key) is None

    def first_alike(self, method: str) -> str:
        """The first method that differs from `method` in its rates alone: it fits as that does."""
        own = self.method(method)
        return next(
            name
            for name, other in self.methods.items()
            if (other.kind, other.adapter) == (own.kind, own.adapter)
        )

    def run_digest(self, method: str) -> str:
        """SHA-256 of all that decides what training `method` computes, bar seed and inputs.

        The threshold τ is not part of it: it belongs to pruning. Nor are the ranges of a tuning:
        what counts is the value that is trained with.
        """
        said = {"title", "note", "family", "tune"}
        found = self.method(method).model_dump(mode="json", exclude=said)
        if found["adapter"] is not None:
            found["adapter"].pop("threshold", None)
        return sha256_json(
            {
                "protocol": self.protocol.model_dump(mode="json"),
                "method": found,
                "target_modules": self.model.target_modules,
                "head_modules": self.model.head_modules,
                "num_labels": self.data.task.num_labels,
                "problem_type": self.data.task.problem_type,
            }
        )


class Collection(Strict):
    """Several suites that are looked at together, each a task with a table of its own."""

    name: Name
    title: Text
    question: str = ""
    suites: Many[Name] = Field(min_length=2)
    claims: Many[OrderClaim] = Field(default=(), description="judged on every task")

    @model_validator(mode="after")
    def _distinct(self) -> Collection:
        if len(set(self.suites)) < len(self.suites):
            raise ValueError("suites: a suite is named twice")
        ids = [claim.id for claim in self.claims]
        if len(set(ids)) < len(ids):
            raise ValueError("claims: a claim is named twice")
        return self
