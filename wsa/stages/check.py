"""Faults of a method that only its model and its data can show, found before any training."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from wsa.errors import InputError, did_you_mean, remake
from wsa.files import write_json
from wsa.layout import Layout
from wsa.learning.batches import TokenTable, training_batches
from wsa.learning.models import (
    CannotMergeError,
    attach,
    is_head,
    load_pretrained,
    load_trained,
    load_with_gaps,
    merge,
    save_trained,
)
from wsa.records.source import RECORD
from wsa.stages.session import Session
from wsa.suite.schema import Method, Suite
from wsa.suite.tuning import SCHEDULES

# LoRA's A moves from the second step on, its B starts at zero; some tuners need one more
STEPS = 3
SENTENCES = 8
# by how much logits may differ after saving or merging, beside their own size
TOLERANCE = 1e-3
NAMED = 10  # weights in a message

# methods that people know by a name that is no PEFT type here → why, and what to write
BY_ANOTHER_NAME = {
    "ARDLORA": (
        "is not built: of arXiv:2506.18267 its abstract was read, and no code of its authors was "
        "found; open are how a learned factor becomes a whole rank and how the loss reaches it "
        "through that, the factors' start, bounds and rate, over what total variation is taken, "
        "and the weights of both penalties",
        "{peft_type: ADALORA} or {peft_type: SORA} adapt ranks",
    ),
    "BITFIT": (
        "trains the biases that a model has, which no PEFT type does",
        "{peft_type: BEFT}: a bias of its own for every target module",
    ),
    "DORA": ("is LoRA with an argument", "{peft_type: LORA, use_dora: true}"),
    "ELALORA": (
        "is not built: its authors' code makes a new AdamW at each change of ranks, which loses "
        "all weights' moments and keeps the first rate to the end, and every method here has one "
        "AdamW under the suite's schedule; what arXiv:2504.00254 wants of moments and rate was not "
        "found",
        "{peft_type: ADALORA} or {peft_type: SORA} adapt ranks",
    ),
    "EVA": (
        "is LoRA that starts from a pass over the data, which the benchmark does not make",
        "{peft_type: LORA, init_lora_weights: pissa} starts from the weights",
    ),
    "LORAFA": (
        "is LoRA with an optimiser of its own that leaves A alone, and every method here has AdamW",
        "{peft_type: VERA} trains no A",
    ),
    "LORAPLUS": (
        "is LoRA with another rate for B",
        "{peft_type: LORA} beside learning_rate_ratio: 16",
    ),
    "OLORA": ("is a start of LoRA", "{peft_type: LORA, init_lora_weights: olora}"),
    "PISSA": ("is a start of LoRA", "{peft_type: LORA, init_lora_weights: pissa}"),
    "RSLORA": ("is LoRA with an argument", "{peft_type: LORA, use_rslora: true}"),
}


def check_method(suite: Suite, name: str, layout: Layout) -> None:
    """Do with the method in small all that will be done with it, and write down that it fits.

    It is attached to the model, takes a few steps, is saved, loaded and merged. What cannot be
    merged, or holds weights that do not move, is told in one line and fits.

    Raises:
        InputError: for too few sentences, a tokenizer of another model, a weight that is missing or
            has NaN, sentences longer than the model takes; for an unknown PEFT type or argument, an
            argument of the wrong type or without effect, a schedule for another number of steps, a
            rank larger than a matrix, a target or head module that the model does not have; for a
            method that trains nothing but the head, or gives other logits when it is loaded again
            or merged.
    """
    method = suite.method(name)
    session = Session(suite, layout)
    parts = (session.training, *session.evaluation.values())
    _check_kind(name, method, suite, layout)
    _check_schedule(name, method, session)
    if method.kind != "majority":
        longest = max(parts, key=lambda part: part.lengths.max())
        # of all lengths, the longest among them
        spread = np.linspace(0, len(longest) - 1, min(SENTENCES, len(longest))).round().astype(int)
        rows = np.argsort(longest.lengths, kind="stable")[spread]
        batch = TokenTable(longest, torch.device("cpu")).batch(rows)
        _check_model(suite, layout, max(int(part.input_ids.max()) for part in parts), batch)
        _check_method(name, method, batch, session)
    write_json(
        layout.checked(suite.name, name),
        {"suite": suite.name, "method": name, "configuration": suite.run_digest(name)},
    )


def _check_kind(name: str, method: Method, suite: Suite, layout: Layout) -> None:
    """Refuse what PEFT knows by another name, or what a stopped training could not go on with."""
    adapter = method.adapter or {}
    told = {"file": layout.suite_file(suite.name), "key": f"methods.{name}.adapter.peft_type"}
    kind = str(adapter.get("peft_type", ""))
    letters = "".join(c for c in kind.replace("+", "PLUS") if c.isalnum())
    if known := BY_ANOTHER_NAME.get(letters.upper()):
        raise InputError(f"{kind} {known[0]}", **told, remedy=known[1])
    if kind == "ADAMSS" and adapter.get("use_asa"):
        told["key"] = f"methods.{name}.adapter.use_asa"
        raise InputError(
            "its allocation of subspaces keeps scores that no saved state holds, so that a "
            "training that was stopped would go on as another", **told,
            remedy="leave it out: all subspaces train; {peft_type: ADALORA} allocates ranks",
        )  # fmt: skip


def _check_schedule(name: str, method: Method, session: Session) -> None:
    """Refuse a schedule of the method's own that is not made for the number of its steps."""
    adapter = method.adapter or {}
    for key in SCHEDULES.get(adapter.get("peft_type"), ())[:1]:
        steps = len(training_batches(session.training.lengths, session.protocol, seed=0))
        if adapter.get(key) != steps:
            raise InputError(
                f"its schedule is for another number of steps than the {steps} of its training",
                file=session.layout.suite_file(session.suite.name),
                key=f"methods.{name}.adapter.{key}", value=adapter.get(key),
                remedy=f"{key}: {steps}, and the other numbers of its schedule to match",
            )  # fmt: skip


def _check_model(suite: Suite, layout: Layout, largest_id: int, batch: dict[str, Tensor]) -> None:
    folder = layout.model(suite.model.name)
    model = load_pretrained(folder, 0, suite.data.task)
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
        model.train()
        model(**batch).loss.backward()
    except (IndexError, RuntimeError) as error:
        tokens = batch["input_ids"].shape[1]
        raise InputError(
            f"the model cannot read the longest sentence, of {tokens} tokens: {error}",
            file=layout.suite_file(suite.name), key="protocol.max_length",
            value=suite.protocol.max_length,
            remedy=f"at most {getattr(model.config, 'max_position_embeddings', 'its positions')}",
        ) from error  # fmt: skip


def _check_method(name: str, method: Method, batch: dict[str, Tensor], session: Session) -> None:
    suite, layout = session.suite, session.layout
    file, key = layout.suite_file(suite.name), f"methods.{name}"
    model_file = layout.model_file(suite.model.name)
    folder = layout.model(suite.model.name)
    model, gaps = load_with_gaps(folder, 0, suite.data.task)
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
        _try_method(name, method, model, batch, session)
    except InputError as error:
        own = error.key if error.file else ".".join(filter(None, [key, error.key]))
        raise InputError(
            error.problem, file=error.file or file, key=own, value=error.value,
            remedy=error.remedy or _remedy(method),
        ) from error  # fmt: skip
    except Exception as error:  # what PEFT raises for a method that it cannot do has no bounds
        raise InputError(
            f"{type(error).__name__}: {error}", file=file,
            key=f"{key}.adapter" if method.kind == "adapter" else key, value=method.adapter,
            remedy=_remedy(method),
        ) from error  # fmt: skip


def _in_body(name: str, model: nn.Module) -> bool:
    """Whether the parameter `name` lies in the encoder, which the classification head reads."""
    return name.startswith(f"{model.base_model_prefix}.")


def _try_method(
    name: str,
    method: Method,
    model: nn.Module,
    batch: dict[str, Tensor],
    session: Session,
) -> None:
    """The life of a run in small; the key of an InputError is that below the method."""
    suite, layout = session.suite, session.layout
    modules = [module for module, _ in model.named_modules()]
    model = attach(model, method, suite.model, layout.factors, suite.largest_rank, session.steps)
    _check_names(model, method, modules)
    idle = set(_train(model, batch))
    body = {n for n, p in model.named_parameters() if p.requires_grad and p.numel()}
    body = {n for n in body if not is_head(n, suite.model)}
    if method.kind == "adapter" and body <= idle:
        raise InputError(f"no weight but the head's has moved after {STEPS} steps")
    if idle:
        named = [*sorted(idle)[:NAMED], *(["…"] if len(idle) > NAMED else [])]
        print(
            f"{suite.name}: methods.{name}: {len(idle)} weights are said to train and have not "
            f"moved after {STEPS} steps: {', '.join(named)}", flush=True,
        )  # fmt: skip
    if method.cut is not None:
        from wsa.adapters.recompress import recompress

        model = recompress(model, method.cut.target_rank, [batch])
    trained = _logits(model, batch)
    with tempfile.TemporaryDirectory() as folder:
        save_trained(model, method, Path(folder))
        del model
        loaded = load_pretrained(layout.model(suite.model.name), 0, suite.data.task)
        loaded = load_trained(loaded, method, Path(folder))
    _check_same(trained, _logits(loaded, batch), "saved and loaded again")
    if method.kind == "adapter":
        try:
            merged = merge(loaded)
        except CannotMergeError as error:
            print(f"{suite.name}: methods.{name}: cannot be merged ({error})", flush=True)
        else:
            _check_same(trained, _logits(merged, batch), "merged")


def _check_names(model: nn.Module, method: Method, modules: Sequence[str]) -> None:
    """Refuse patterns and names that match none of the model's `modules`."""
    adapted = getattr(getattr(model, "base_model", None), "targeted_module_names", None)
    if method.kind != "adapter" or not adapted:
        return
    from wsa.learning.peft_types import idle_names

    for key, name in idle_names(method.adapter, adapted, modules):
        known = modules if key == "exclude_modules" else adapted
        raise InputError(
            f"'{name}' matches none of the modules", key=f"adapter.{key}",
            remedy=did_you_mean(name, {module.rsplit(".", 1)[-1] for module in known})
            + f"; a full name is {adapted[0]}",
        )  # fmt: skip


def _train(model: nn.Module, batch: dict[str, Tensor]) -> Iterator[str]:
    """Take `STEPS` steps; gives the names of the weights that should train and do not move.

    Raises:
        InputError: if there is nothing to train, or the first loss is not finite.
    """
    model.train()
    trains = {n: p for n, p in model.named_parameters() if p.requires_grad and p.numel()}
    if not trains:
        raise InputError("no weight is said to train")
    optimizer = torch.optim.AdamW(trains.values(), lr=1e-3, weight_decay=0.0)
    tuner = getattr(model, "base_model", None)
    for step in range(STEPS):
        loss = model(**batch).loss
        if step == 0 and not torch.isfinite(loss):
            raise InputError(f"the loss of the first step is {loss.item()}")
        loss.backward()
        optimizer.step()
        if hasattr(tuner, "update_and_allocate"):  # AdaLoRA's hook
            tuner.update_and_allocate(step)
        optimizer.zero_grad()
    for name, parameter in trains.items():
        # without weight decay, AdamW moves what has ever had a gradient
        mean = optimizer.state[parameter].get("exp_avg")
        if mean is None or not mean.any():
            yield name


def _logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The logits of a batch, without dropout."""
    model.eval()
    with torch.no_grad():
        return model(**{key: value for key, value in batch.items() if key != "labels"}).logits


def _check_same(trained: Tensor, found: Tensor, what: str) -> None:
    error = (trained - found).abs().max().item()
    if not error <= TOLERANCE * max(1.0, trained.abs().max().item()):
        raise InputError(f"{what}, it gives other logits than as trained, by {error:.2g}")


def _remedy(method: Method) -> str | None:
    """What a person may change, where PEFT does not say it."""
    if method.kind != "adapter":
        return None
    from wsa.learning.peft_types import argument_names

    peft_type = method.adapter["peft_type"]
    return f"change its arguments; {peft_type} has {', '.join(argument_names(peft_type))}"
