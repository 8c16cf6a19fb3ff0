"""The factors stage: the singular triplets of every target matrix of a model, before training."""

from __future__ import annotations

import contextlib
import json
import pickle
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import safetensors
import scipy
import torch
from torch import Tensor

from wsa.adapters.factors import ALGORITHM, FactorCache
from wsa.errors import InputError, did_you_mean, remake
from wsa.files import remove_abandoned, write_json
from wsa.layout import Layout
from wsa.records.source import RECORD
from wsa.suite.schema import ModelSpec


def build_factor_index(spec: ModelSpec, rank: int | Literal["all"], layout: Layout) -> Path:
    """Decompose every target matrix of a model at `rank` and index the factors by module.

    At "all" every singular triplet of a matrix is found.

    The matrices are read from the checkpoint without building the model. They are converted to
    float32 first, as the model's are when it is loaded, so that an adapter finds them in the cache
    by the content of its own weight. The names in the index are the checkpoint's, for people.

    Returns:
        `layout.factor_index(spec.name, rank)`, a JSON file with key, shape and hash per module.

    Raises:
        InputError: if a target matches no matrix, the rank does not fit one, a weight holds NaN
            or Inf, or the folder holds no readable checkpoint.
    """
    if rank != "all" and rank < 1:
        raise InputError(
            "should be a whole number from 1 on, or 'all'", key="rank", value=rank,
            remedy=f"wsa factors {spec.name} RANK, with the largest rank (adapter.r) of the "
            "suite's spectral methods; for directions of the whole spectrum: all",
        )  # fmt: skip
    folder = layout.model(spec.name)
    cache = FactorCache(layout.factors)
    remove_abandoned(layout.factors)
    started = time.perf_counter()
    with _open_checkpoint(folder) as checkpoint:
        names = _target_names(checkpoint, spec, layout.model_file(spec.name))
        modules = {}
        for number, name in enumerate(names, start=1):
            weight = checkpoint[name].to(torch.float32)
            own = min(weight.shape) if rank == "all" else rank
            known = cache.path(cache.key(weight, own)).exists()
            before = time.perf_counter()
            factors, key = cache.get(weight, own, name)
            took = "cached" if known else f"{time.perf_counter() - before:.2f} s"
            shape = "×".join(map(str, weight.shape))
            print(f"[{number}/{len(names)}] {name} {shape}, rank {rank}: {took}", flush=True)
            modules[name] = {"key": key, "shape": list(weight.shape), "sha256": factors.sha256}
    path = layout.factor_index(spec.name, rank)
    write_json(
        path,
        {
            "model": spec.name,
            "rank": rank,
            **ALGORITHM,
            "versions": {"torch": torch.__version__, "scipy": scipy.__version__},
            "seconds": round(time.perf_counter() - started, 3),
            "digest": cache.digest((module["key"] for module in modules.values()), path),
            "modules": modules,
        },
    )
    return path


# --- reading a checkpoint ------------------------------------------------------------------------


# What the readers of the two formats raise for a file that is cut short or no checkpoint at all.
_UNREADABLE = (
    *(OSError, EOFError, ValueError, RuntimeError),
    *(safetensors.SafetensorError, pickle.UnpicklingError),
)


class _Checkpoint:
    """The two-dimensional `<module>.weight` tensors of a model folder, by module name."""

    def __init__(self, files: Sequence[Path], stack: contextlib.ExitStack) -> None:
        self._load = {}
        for file in files:
            if file.suffix == ".safetensors":
                opened = stack.enter_context(safetensors.safe_open(file, framework="pt"))
                for key in opened.keys():  # noqa: SIM118 - not a mapping
                    self._add(key, opened.get_slice(key).get_shape(), opened.get_tensor)
            else:
                # mmap reads only the tensors asked for, but does not know the format before 1.6
                tensors = torch.load(
                    file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
                )
                if not isinstance(tensors, dict):
                    raise ValueError(f"it holds a {type(tensors).__name__}, not named tensors")
                for key, tensor in tensors.items():
                    self._add(str(key), getattr(tensor, "shape", ()), tensors.get)

    def _add(self, key: str, shape: Sequence[int], load: object) -> None:
        if key.endswith(".weight") and len(shape) == 2:
            self._load[key.removesuffix(".weight")] = load

    def __iter__(self) -> Iterator[str]:
        return iter(self._load)

    def __getitem__(self, name: str) -> Tensor:
        return self._load[name](f"{name}.weight")


@contextlib.contextmanager
def _open_checkpoint(folder: Path) -> Iterator[_Checkpoint]:
    """The checkpoint in `folder`, in the form transformers would choose."""
    files = _checkpoint_files(folder)
    with contextlib.ExitStack() as stack:
        try:
            checkpoint = _Checkpoint(files, stack)
        except _UNREADABLE as error:
            raise InputError(
                f"the weights cannot be read: {(str(error) or repr(error)).splitlines()[0]}",
                file=files[0] if len(files) == 1 else folder,
                remedy=f"fetch the model again: {remake(folder / RECORD)}",
            ) from None
        yield checkpoint


def _checkpoint_files(folder: Path) -> list[Path]:
    """One file of weights or all shards of an index; safetensors before PyTorch's own."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).exists():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.exists():
            try:
                shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            except (ValueError, KeyError, AttributeError) as error:
                raise InputError(f"damaged: {error}", file=index) from None
            return [folder / shard for shard in sorted(shards)]
    raise InputError(
        "holds no weights (model.safetensors or pytorch_model.bin)",
        file=folder,
        remedy=f"fetch the model: wsa fetch-model {folder.name}",
    )


def _target_names(checkpoint: _Checkpoint, spec: ModelSpec, file: Path) -> list[str]:
    """Modules that PEFT would adapt (equal to a target or ending in '.target'), head left out."""

    def matches(name: str, ends: Iterable[str]) -> bool:
        return any(name == end or name.endswith(f".{end}") for end in ends)

    body = sorted(name for name in checkpoint if not matches(name, spec.head_modules))
    for target in spec.target_modules:
        if not any(matches(name, [target]) for name in body):
            endings = {name.rsplit(".", 1)[-1] for name in body}
            raise InputError(
                f"target '{target}' matches no matrix of the model '{spec.name}'",
                file=file,
                key="target_modules",
                value=target,
                remedy=f"{did_you_mean(target, endings)}; a full name is {body[0]}"
                if body
                else "a checkpoint with weights",
            )
    return [name for name in body if matches(name, spec.target_modules)]
