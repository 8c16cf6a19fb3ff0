"""What a suite's YAML may say, typed: model, data, protocol, methods, claims.

`load_suite` is the only reader. It resolves `extends`, the names of model and data files, and
sweeps, checks every key, and raises `InputError` with file, key, value and remedy.
"""

from __future__ import annotations

import copy
import itertools
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, JsonValue, field_validator, model_validator

from wsa.errors import InputError, did_you_mean
from wsa.files import sha256_json
from wsa.validation import Many, Strict, Text, check

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


# --- reading -------------------------------------------------------------------------------------


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML: keys are text, each given once, and 2e-5 is a number (as in YAML 1.2)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            problem = None
            if not isinstance(key, str):
                problem = "a key should be text; put it in quotes"
            elif key in seen:
                problem = f"'{key}' is named twice"
            if problem:
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_UniqueKeyLoader.yaml_implicit_resolvers = {
    first: list(resolvers) for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises InputError where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        siblings = [other.stem for other in path.parent.glob("*.yaml")]
        raise InputError(
            "there is no such file", file=path, remedy=did_you_mean(path.stem, siblings)
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"not valid UTF-8: {error}", file=path) from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot be read: {reason}", file=path) from None
    try:
        value = yaml.load(text, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date with a 13th month
        raise InputError(f"not valid YAML: {error}", file=path) from None
    except RecursionError:
        raise InputError("not valid YAML: nested too deeply", file=path) from None
    if not isinstance(value, dict):
        raise InputError("should hold a mapping of keys to values", file=path, value=value)
    return value


def load_suite(name: str, config: Path | str = "config", seeds: list[int] | None = None) -> Suite:
    """Read `config/suites/<name>.yaml` (or the file `name`, if it ends in .yaml).

    Args:
        name: a suite's name or the path of its file.
        config: the folder with `suites/`, `models/` and `data/`.
        seeds: run these seeds instead of the file's.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    config = Path(config)
    path = Path(name) if name.endswith((".yaml", ".yml")) else config / "suites" / f"{name}.yaml"
    raw = _expand(_read_extended(path), path)
    if path.parent == config / "suites" and raw.get("name") != path.stem:
        raise InputError(
            "a suite is called as its file is", file=path, key="name", value=raw.get("name"),
            remedy=f"name: {path.stem}",
        )  # fmt: skip
    for key, load in (("model", load_model), ("data", load_data)):
        if not isinstance(raw.get(key), str):
            raise InputError(
                f"should be the name of a file in {config / SPEC_FOLDERS[key]}", file=path, key=key,
                value=raw.get(key),
            )  # fmt: skip
        raw[key] = load(raw[key], config)
    if seeds is not None:
        raw["seeds"] = seeds
    return check(Suite, raw, path)


def load_model(name: str, config: Path | str = "config") -> ModelSpec:
    """Read `config/models/<name>.yaml`; raises InputError."""
    return _load_spec(ModelSpec, "model", name, Path(config))


def load_data(name: str, config: Path | str = "config") -> DataSpec:
    """Read `config/data/<name>.yaml`; raises InputError."""
    return _load_spec(DataSpec, "data", name, Path(config))


SPEC_FOLDERS = {"model": "models", "data": "data"}


def _load_spec(kind: type[BaseModel], key: str, name: str, config: Path) -> Any:
    path = config / SPEC_FOLDERS[key] / f"{name}.yaml"
    spec = check(kind, read_yaml(path), path)
    if spec.name != name:
        raise InputError(
            "a source is called as its file is", file=path, key="name", value=spec.name,
            remedy=f"name: {name}",
        )  # fmt: skip
    return spec


def _read_extended(path: Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The mapping in `path` laid over the suite it `extends`."""
    if path in below:
        raise InputError("a suite cannot extend itself", file=path, key="extends")
    raw = read_yaml(path)
    base = raw.pop("extends", None)
    if base is None:
        return raw
    if not isinstance(base, str):
        raise InputError("should be a suite's name", file=path, key="extends", value=base)
    return _overlay(_read_extended(path.parent / f"{base}.yaml", (*below, path)), raw)


def _overlay(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`top` over `base`: mappings merge, a null removes, all else replaces."""
    merged = copy.deepcopy(base)
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _overlay(merged[key], value)
        elif value is None and key in merged:
            del merged[key]
        else:
            merged[key] = copy.deepcopy(value)
    return merged


_SWEEP = "sweep: {lora: {learning_rate: [1.0e-3, 2.0e-3], adapter.r: [4, 8]}}"


def _numbers(values: Any) -> bool:
    """Whether `values` is a list of numbers, and not empty."""
    numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
    return numbers and bool(values)


def _expand(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """Turn `sweep: {lora: {learning_rate: [1e-3, 2e-3]}}` into one method row per value."""
    sweep = raw.pop("sweep", None)
    if sweep is None:
        return raw
    methods = raw.get("methods")
    if not isinstance(sweep, dict) or not isinstance(methods, dict):
        raise InputError(
            "should map names of methods to what is swept", file=path, key="sweep", value=sweep,
            remedy=_SWEEP,
        )  # fmt: skip
    rows: dict[str, Any] = {}
    for name, axes in sweep.items():
        if name not in methods:
            raise InputError(
                f"unknown method '{name}'", file=path, key="sweep",
                remedy=did_you_mean(str(name), map(str, methods)),
            )  # fmt: skip
        if not isinstance(axes, dict) or not all(_numbers(values) for values in axes.values()):
            raise InputError(
                "should map keys of the method to lists of numbers", file=path,
                key=f"sweep.{name}", value=axes, remedy=_SWEEP,
            )  # fmt: skip
        for values in itertools.product(*axes.values()):
            row = copy.deepcopy(methods[name])
            for key, value in zip(axes, values, strict=True):
                *parents, last = str(key).split(".")
                target = row
                for parent in parents:
                    target = target.get(parent) if isinstance(target, dict) else None
                if not isinstance(target, dict):
                    raise InputError(
                        f"method '{name}' has no {'.'.join(parents) or 'keys'}", file=path,
                        key=f"sweep.{name}.{key}", remedy=_SWEEP,
                    )  # fmt: skip
                target[last] = value
            label = ",".join(
                f"{str(k).split('.')[-1]}={v:g}" for k, v in zip(axes, values, strict=True)
            )
            row["title"] = f"{row.get('title', name)} ({label})"
            row_name = f"{name}." + "_".join(f"{v:g}" for v in values)
            if row_name in rows:
                raise InputError(
                    f"gives the method '{row_name}' twice", file=path, key=f"sweep.{name}",
                    value=axes, remedy="values that differ in their first six digits",
                )  # fmt: skip
            rows[row_name] = row
    raw["methods"] = rows
    return raw
