"""Spectral adapters that leave home: as an ordinary LoRA adapter, or merged into the model.

The change of a weight is B'A' of rank 2r (`low_rank_change`), which is what LoRA stores. Whoever
loads the result needs plain peft and transformers, and nothing of this package.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftConfig, PeftModel
from peft.utils.constants import DUMMY_TARGET_MODULES
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from wsa.adapters.change import low_rank_change
from wsa.adapters.config import SpectralConfig
from wsa.adapters.saved import CONFIG, WEIGHTS, adapter_key, by_module, head_tensors
from wsa.errors import InputError
from wsa.files import atomic_folder, write_text

Format = Literal["lora", "merged"]
CARD = "README.md"

_MODEL_CLASSES = {
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
    "FEATURE_EXTRACTION": "AutoModel",
}
_WEIGHT_FILES = ("model*.safetensors*", "pytorch_model*", "source.json", "README.md", "config.json")


def export(
    source: PeftModel | Path | str,
    destination: Path | str,
    format: Format = "lora",
    base_model: Path | str | None = None,
    revision: str | None = None,
    card: str | None = None,
) -> Path:
    """Write a spectral adapter for use without this package; `destination` is replaced.

    Args:
        source: a model with one active spectral adapter, or a saved adapter's folder.
        destination: the folder to write.
        format: "lora" writes a LoRA adapter of rank 2r per module, pruned ones at their own rank;
            "merged" writes the whole model with its weights changed.
        base_model: folder or hub name of the pretrained model. Default: what the adapter was
            trained on. A model given as `source` brings its own.
        revision: of a base model on the hub.
        card: the text of README.md. Default: what the adapter's files say by themselves.

    Returns:
        `destination`.

    Raises:
        InputError: if `source` is no spectral adapter, is damaged, or does not fit the base model.
    """
    destination = Path(destination)
    with tempfile.TemporaryDirectory() as scratch, atomic_folder(destination) as folder:
        saved = Path(scratch)
        if isinstance(source, PeftModel):
            (adapter,) = source.active_adapters
            source.save_pretrained(str(saved), selected_adapters=[adapter])
            saved = saved if adapter == "default" else saved / adapter
        else:
            saved = Path(source)
        config = read_config(saved)
        if base_model is not None:
            config.base_model_name_or_path, config.revision = str(base_model), revision
        if format == "lora":
            _write_lora(saved, config, folder)
        elif format == "merged":
            model = copy.deepcopy(source) if isinstance(source, PeftModel) else load(saved, config)
            write_merged(model, config.base_model_name_or_path, folder)
        else:
            raise InputError("unknown format", value=format, remedy="lora or merged")
        write_text(folder / CARD, card or adapter_card(config, format))
    return destination


def read_config(folder: Path) -> SpectralConfig:
    """The configuration of a saved spectral adapter.

    Raises:
        InputError: if there is none, or it is of another method.
    """
    import wsa.adapters  # noqa: F401  (PEFT must know the family)

    try:
        config = PeftConfig.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"holds no adapter that can be read: {error}", file=folder,
            remedy=f"a folder with {CONFIG} and {WEIGHTS}, as save_pretrained writes it",
        ) from error  # fmt: skip
    if not isinstance(config, SpectralConfig):
        raise InputError(
            f"is an adapter of type {config.peft_type}", file=folder,
            remedy="only the spectral methods need an export; others load with peft as they are",
        )  # fmt: skip
    return config


def load(folder: Path, config: SpectralConfig) -> PeftModel:
    """A saved adapter on its base model, in float32 whatever precision that is stored in.

    Raises:
        InputError: if the base model is unknown, missing or another one.
    """
    import transformers

    if config.task_type not in _MODEL_CLASSES:
        raise InputError(
            "does not say what kind of model it adapts", file=folder / CONFIG, key="task_type",
            value=config.task_type, remedy="load the model and call wsa.export(model, …)",
        )  # fmt: skip
    arguments: dict[str, Any] = {}
    if config.task_type == "SEQ_CLS":
        heads = head_tensors(_read_tensors(folder))
        rows = {
            len(t)
            for key, t in heads.items()
            if key.endswith(("score.weight", "classifier.weight"))
        }
        if len(rows) == 1:
            arguments["num_labels"] = rows.pop()
    try:
        base = getattr(transformers, _MODEL_CLASSES[config.task_type]).from_pretrained(
            config.base_model_name_or_path,
            revision=config.revision,
            dtype=torch.float32,
            **arguments,
        )
        return PeftModel.from_pretrained(base, str(folder))
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"cannot be put on '{config.base_model_name_or_path}': {error}", file=folder,
            remedy="name the model it was trained on with --model",
        ) from error  # fmt: skip


def write_merged(model: nn.Module, base_model: Path | str | None, folder: Path) -> None:
    """Write `model` without PEFT, with the tokenizer of the folder `base_model` beside it.

    An adapter of `model` is merged for good.
    """
    if isinstance(model, PeftModel):
        model = model.merge_and_unload(safe_merge=True)
    model.save_pretrained(str(folder))
    origin = Path(base_model or "")
    if base_model and origin.is_dir():
        for file in sorted(origin.iterdir()):
            if file.is_file() and not any(file.match(pattern) for pattern in _WEIGHT_FILES):
                shutil.copy(file, folder / file.name)


def _write_lora(saved: Path, config: SpectralConfig, folder: Path) -> None:
    """B'A' of every module with directions left, computed in float64 and rounded once."""
    tensors = _read_tensors(saved)
    lora = head_tensors(tensors)
    ranks: dict[str, int] = {}
    for module, parts in by_module(tensors).items():
        dtype = parts["spectral_A_U"].dtype
        A, B = low_rank_change({k: t.double() for k, t in parts.items()}, config)
        if len(A):
            ranks[module] = len(A)
            lora[adapter_key(module, "lora_A.weight")] = A.to(dtype).contiguous()
            lora[adapter_key(module, "lora_B.weight")] = B.to(dtype).contiguous()
    largest = max(ranks.values(), default=1)
    LoraConfig(
        task_type=config.task_type,
        auto_mapping=config.auto_mapping,
        base_model_name_or_path=config.base_model_name_or_path,
        revision=config.revision,
        inference_mode=True,
        # scaling α/r is 1 everywhere, also for a program that reads no patterns
        r=largest,
        lora_alpha=largest,
        rank_pattern=ranks,
        alpha_pattern=ranks,
        target_modules=sorted(ranks) or DUMMY_TARGET_MODULES,
        modules_to_save=config.modules_to_save,
    ).save_pretrained(str(folder))
    save_file(lora, folder / WEIGHTS, metadata={"format": "pt"})


def _read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot be read: {error}", file=folder / WEIGHTS) from error


def adapter_card(config: SpectralConfig, format: Format) -> str:
    """A model card of what an adapter's configuration says."""
    base = config.base_model_name_or_path or "the model it was trained on"
    kind = "Spectral-Adapter-A" if config.peft_type == "SPECTRAL" else f"WSA, gate {config.gate}"
    return render_card(
        title=Path(str(base)).name,
        facts={
            "Base model": base,
            "Method": f"{kind}, rank {config.r}",
            "Accuracy": "not measured",
        },
        format=format,
        base=str(base),
        model_class=_MODEL_CLASSES.get(config.task_type, "AutoModel"),
    )


def render_card(
    title: str,
    facts: dict[str, str],
    format: Format,
    base: str,
    model_class: str,
    arguments: str = "",
) -> str:
    """The text of a model card.

    Args:
        title: its heading.
        facts: what a reader wants to know, by name.
        format: decides what there is to load, and how.
        base: what `from_pretrained` of the base model takes.
        model_class: of transformers.
        arguments: further ones of `from_pretrained`, as code: `, num_labels=2`.
    """
    rows = "\n".join(f"- **{name}:** {text}" for name, text in facts.items())
    if format == "lora":
        code = f"""\
from peft import PeftModel
from transformers import {model_class}

base = {model_class}.from_pretrained({base!r}{arguments})
model = PeftModel.from_pretrained(base, "path/to/this/folder")"""
        what = "A LoRA adapter, converted exactly from a spectral adapter (rank 2r, scaling 1)."
    else:
        code = f"""\
from transformers import {model_class}

model = {model_class}.from_pretrained("path/to/this/folder")"""
        what = "A plain model: a spectral adapter merged into its base model."
    return f"# {title}\n\n{what}\n\n{rows}\n\n## How to load it\n\n```python\n{code}\n```\n"
