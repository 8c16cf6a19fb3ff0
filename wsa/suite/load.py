"""Reads the YAML of suites, models and data sets; the only reader.

`load_suite` resolves `extends`, the names of model and data files, and sweeps, checks every key,
and raises `InputError` with file, key, value and remedy.
"""

from __future__ import annotations

import copy
import functools
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from wsa.errors import InputError, did_you_mean
from wsa.layout import TRIALS, Layout
from wsa.suite.schema import Collection, DataSpec, ModelSpec, Suite
from wsa.suite.strict import check
from wsa.suite.tuning import trials_of

_INT, _FLOAT, _MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "merge"))


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML: keys are text, each given once, and numbers are as a person reads them.

    2e-5 is a number, as in YAML 1.2; 010 and 1:30, which YAML 1.1 reads as 8 and 90, are text.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                problem = "merge keys (<<) are not read: write the keys out, or use extends"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
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
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT, _FLOAT)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in (
    (_INT, r"[-+]?(0|[1-9][0-9_]*)|0x[0-9a-fA-F]+"),
    (_FLOAT, r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?"),
    (_FLOAT, r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
):
    _UniqueKeyLoader.add_implicit_resolver(
        _tag, re.compile(f"^(?:{_pattern})$"), list("-+.0123456789")
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

    `<name>_tuning` is the suite of the trials of the suite `<name>`.

    Args:
        name: a suite's name or the path of its file.
        config: the folder with `suites/`, `models/` and `data/`.
        seeds: run these seeds instead of the file's.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    config = Path(config)
    if (base := name.removesuffix(TRIALS)) != name:
        # the seeds of a suite do not count for its trials
        return _trials(load_suite(base, config), Layout(config))
    path = _suite_path(name, config)
    files = _read_extended(path)
    if "suites" in files[path]:
        raise InputError(
            "is a collection of suites, not one", file=path, key="suites",
            value=files[path]["suites"], remedy="name one of them",
        )  # fmt: skip
    raw = _expand(functools.reduce(_overlay, reversed(files.values()), {}), path)
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
    return check(Suite, raw, functools.partial(_holder, files))


def _trials(suite: Suite, layout: Layout) -> Suite:
    if suite.tuning is None:
        raise InputError(
            f"suite '{suite.name}' has no trials", file=layout.suite_file(suite.name), key="tuning",
            remedy="tuning: {trials: 8}, and for every method a range: "
            "tune: {learning_rate: [1.0e-4, 1.0e-2]}",
        )  # fmt: skip
    if suite.tuning.of:
        raise InputError(
            f"the trials of suite '{suite.name}' are those of another",
            file=layout.suite_file(suite.name), key="tuning.of", value=suite.tuning.of,
            remedy=suite.tuning.of + TRIALS,
        )  # fmt: skip
    return trials_of(suite)


def load_suites(
    names: Iterable[str], config: Path | str = "config", seeds: list[int] | None = None
) -> tuple[list[Suite], list[Collection]]:
    """The suites called `names`, those of collections among them, each once; and the collections.

    Raises:
        InputError: as `load_suite`; or a collection's claim names a method that a suite lacks.
    """
    suites: dict[str, Suite] = {}
    collections = []
    for name in names:
        collection = load_collection(name, config)
        if collection is not None:
            collections.append(collection)
        for one in collection.suites if collection else [name]:
            suites.setdefault(one, load_suite(one, config, seeds))
    for collection in collections:
        for claim in collection.claims:
            for method in claim.methods_named():
                for one in collection.suites:
                    if method not in suites[one].methods:
                        raise InputError(
                            f"claim '{claim.id}': suite '{one}' has no method '{method}'",
                            file=_suite_path(collection.name, Path(config)), key="claims",
                            remedy=did_you_mean(method, suites[one].methods),
                        )  # fmt: skip
    return list(suites.values()), collections


def load_collection(name: str, config: Path | str = "config") -> Collection | None:
    """The collection called `name`; None where that is a suite, or no file."""
    path = _suite_path(name, Path(config))
    if not path.is_file() or "suites" not in (raw := read_yaml(path)):
        return None
    collection = check(Collection, raw, path)
    if collection.name != path.stem:
        raise InputError(
            "a collection is called as its file is", file=path, key="name", value=collection.name,
            remedy=f"name: {path.stem}",
        )  # fmt: skip
    return collection


def _suite_path(name: str, config: Path) -> Path:
    return Path(name) if is_path(name) else config / "suites" / f"{name}.yaml"


def is_path(name: str) -> bool:
    """Whether `name` is a suite's file rather than its name."""
    return name.endswith((".yaml", ".yml"))


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


def _read_extended(path: Path) -> dict[Path, dict[str, Any]]:
    """The mappings in `path` and in the suites that it extends, the nearest first."""
    files: dict[Path, dict[str, Any]] = {}
    while True:
        raw = files[path] = read_yaml(path)
        base = raw.pop("extends", None)
        if base is None:
            return files
        if not isinstance(base, str) or {"/", "\\"} & {*base}:
            raise InputError(
                "should be a suite's name, of a file in the same folder", file=path, key="extends",
                value=base,
            )  # fmt: skip
        extended = path.parent / f"{base}.yaml"
        if _same_file(extended, files):
            raise InputError("a suite cannot extend itself", file=path, key="extends", value=base)
        path = extended


def _same_file(path: Path, files: Iterable[Path]) -> bool:
    """Whether `path` is one of `files`, under whatever name."""
    try:
        return any(path.samefile(file) for file in files)
    except (OSError, ValueError):  # there is none: who reads it says so
        return False


def _holder(files: dict[Path, dict[str, Any]], keys: list[str]) -> Path:
    """Which of a suite's files holds what stands at `keys`: the nearest of those that go deepest.

    A key that none of them holds is told of the nearest that could.
    """

    def depth(path: Path) -> int:
        node: Any = files[path]
        for count, key in enumerate(keys):
            if not isinstance(node, dict) or key not in node:
                return count
            node = node[key]
        return len(keys)

    return max(files, key=depth)


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
