"""Faults of a method that only its model and its data can show, found before any training."""

from __future__ import annotations

import torch
from torch import nn

from wsa.errors import InputError, did_you_mean, remake
from wsa.files import write_json
from wsa.layout import Layout
from wsa.learning.batches import TokenTable, evaluation_sentences, training_sentences
from wsa.learning.models import attach, is_head, load_pretrained, load_with_gaps
from wsa.learning.tokens import SPLITS, load_tokens
from wsa.records.source import RECORD
from wsa.suite.schema import Method, Suite


def check_method(suite: Suite, name: str, layout: Layout) -> None:
    """Attach the method to the model, take one step with it, and write down that it fits.

    Raises:
        InputError: for too few sentences, a tokenizer of another model, a weight that is missing or
            has NaN, sentences longer than the model takes; for an unknown PEFT type or argument, an
            argument of the wrong type, a rank larger than a matrix, a target or head module that
            the model does not have.
    """
    method = suite.method(name)
    path = layout.tokens(suite.model.name, suite.data.name)
    train, validation = (load_tokens(path, split) for split in SPLITS)
    parts = (
        training_sentences(train, suite.protocol),
        evaluation_sentences(train, validation, suite.protocol),
    )
    if method.kind != "majority":
        longest = max(parts, key=lambda part: part.lengths.max())
        batch = TokenTable(longest, torch.device("cpu")).batch(longest.lengths.argsort()[-1:])
        _check_model(suite, layout, max(int(part.input_ids.max()) for part in parts), batch)
        _check_method(name, method, batch, suite, layout)
    write_json(
        layout.checked(suite.name, name),
        {"suite": suite.name, "method": name, "configuration": suite.run_digest(name)},
    )


def _check_model(
    suite: Suite, layout: Layout, largest_id: int, batch: dict[str, torch.Tensor]
) -> None:
    folder = layout.model(suite.model.name)
    model = load_pretrained(folder, seed=0)
    known = model.get_input_embeddings().num_embeddings
    if largest_id >= known:
        raise InputError(
            f"the model knows {known} tokens, and its tokenizer gives the id {largest_id}",
            file=folder,
            remedy="bring model and tokenizer in one folder, as save_pretrained wrote them",
        )  # fmt: skip
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise InputError(
                f"the weight {name} holds NaN or Inf", file=folder,
                remedy=f"fetch the model again: {remake(folder / RECORD)}",
            )  # fmt: skip
    try:
        _take_step(model, batch)
    except (IndexError, RuntimeError) as error:
        tokens = batch["input_ids"].shape[1]
        raise InputError(
            f"the model cannot read the longest sentence, of {tokens} tokens: {error}",
            file=layout.suite_file(suite.name), key="protocol.max_length",
            value=suite.protocol.max_length,
            remedy=f"at most {getattr(model.config, 'max_position_embeddings', 'its positions')}",
        ) from error  # fmt: skip


def _check_method(
    name: str, method: Method, batch: dict[str, torch.Tensor], suite: Suite, layout: Layout
) -> None:
    file, key = layout.suite_file(suite.name), f"methods.{name}"
    model_file = layout.model_file(suite.model.name)
    folder = layout.model(suite.model.name)
    model, gaps = load_with_gaps(folder, seed=0)
    modules = {module for module, _ in model.named_modules()}
    targets = (method.adapter or {}).get("target_modules")
    wanted = [(model_file, "head_modules", module) for module in suite.model.head_modules]
    if targets is None:
        wanted += [(model_file, "target_modules", name) for name in suite.model.target_modules]
    elif isinstance(targets, list | tuple):  # a string is a pattern, which PEFT checks
        wanted += [(file, f"{key}.adapter.target_modules", module) for module in targets]
    for where, part, module in wanted:
        if not any(m == module or m.endswith(f".{module}") for m in modules):
            raise InputError(
                f"the model '{suite.model.name}' has no module '{module}'", file=where,
                key=part,
                remedy=did_you_mean(str(module), {m.rsplit(".", 1)[-1] for m in modules}),
            )  # fmt: skip
    gaps = sorted(name for name in gaps if not is_head(name, suite.model))
    if heads := {name.rsplit(".", 1)[0] for name in gaps if not _in_body(name, model)}:
        known = suite.model.head_modules
        raise InputError(
            f"the model has a new head '{min(heads)}', which is not among them", file=model_file,
            key="head_modules", value=list(known),
            remedy=f"head_modules: [{', '.join([*sorted(heads), *known])}]",
        )  # fmt: skip
    if gaps:
        raise InputError(
            f"its weights lack {len(gaps)} parameters of the body, such as {gaps[0]}", file=folder,
            remedy="bring config.json and weights of one model, as save_pretrained wrote them; or, "
            f"if it is part of the head, add it to head_modules in {model_file}",
        )  # fmt: skip
    try:
        model = attach(model, method, suite.model, layout.factors, suite.largest_rank)
        loss = _take_step(model, batch)
    except Exception as error:  # PEFT does not check types, so a wrong one raises anything
        remedy = f"correct {key}.adapter as the documentation of its peft_type asks"
        if isinstance(error, InputError):
            own = error.key if error.file else ".".join(filter(None, [key, error.key]))
            raise InputError(
                error.problem, file=error.file or file, key=own, value=error.value,
                remedy=error.remedy or remedy,
            ) from error  # fmt: skip
        raise InputError(
            f"{type(error).__name__}: {error}", file=file, key=key, value=method.adapter,
            remedy=remedy if method.adapter else None,
        ) from error  # fmt: skip
    if not torch.isfinite(loss):
        raise InputError(
            f"the loss of one sentence is {loss.item()}", file=file, key=key,
            remedy="a smaller value of what scales the adapter or its penalty",
        )  # fmt: skip


def _in_body(name: str, model: nn.Module) -> bool:
    """Whether the parameter `name` lies in the encoder, which the classification head reads."""
    return name.startswith(f"{model.base_model_prefix}.")


def _take_step(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss of a batch, with its gradients computed."""
    model.train()
    loss = model(**batch).loss
    loss.backward()
    return loss.detach()
