"""A finished run as something to use elsewhere, with a card that says what it is."""

from __future__ import annotations

import json
from pathlib import Path

from wsa.adapters.export import CARD, Format, export, render_card, write_merged
from wsa.errors import InputError
from wsa.files import atomic_folder, check_files, write_text
from wsa.layout import Layout
from wsa.learning.models import CannotMergeError, merge
from wsa.records.record import read_record
from wsa.records.run import Pruning, Result, Training
from wsa.stages.session import Session
from wsa.suite.schema import ModelSpec, Suite


def export_run(
    suite: Suite,
    method_name: str,
    seed: int,
    layout: Layout,
    destination: Path,
    format: Format = "lora",
    pruned: bool = True,
) -> Path:
    """Write what one run trained for use without this package.

    Args:
        destination: the folder to write; replaced if it is there.
        format: "lora" (spectral methods) or "merged" (whatever trained the body or the head).
        pruned: of a gated method, the pruned adapter rather than the trained one.

    Returns:
        `destination`.

    Raises:
        InputError: for a run that is not finished or not what its records say, or a method that
            the format does not fit.
    """
    method = suite.method(method_name)
    files = layout.run(suite.name, method_name, seed)
    result = read_record(files.result, Result)
    pruned = pruned and method.gated
    folder = files.pruned if pruned else files.trained
    record = (
        read_record(files.pruning, Pruning) if pruned else read_record(files.training, Training)
    )
    check_files(files.folder, record.files, remake=files.training)
    if format == "lora" and not method.spectral:
        raise InputError(
            f"'{method_name}' is no spectral adapter", key="--format", value=format,
            remedy="--format merged"
            + (f"; the adapter itself is at {folder}" if method.kind == "adapter" else ""),
        )  # fmt: skip
    if method.kind == "majority":
        raise InputError(f"'{method_name}' has no model to export")
    base, revision = _base(suite.model, layout)
    card = render_card(
        title=f"{suite.model.title}, {method.title}, on {suite.data.title}",
        facts=_facts(suite, method_name, result, "pruned" if pruned else "unpruned"),
        format=format,
        base=base,
        model_class="AutoModelForSequenceClassification",
        arguments=(f', revision="{revision}"' if revision else "")
        + f', num_labels={suite.data.task.num_labels}, dtype="float32"',
    )
    if format == "lora":
        export(folder, destination, format, base_model=base, card=card, revision=revision)
        return destination
    model = Session(suite, layout).trained(method, seed, folder)
    if method.kind == "adapter":
        try:
            model = merge(model, safe=True)
        except CannotMergeError as reason:
            raise InputError(
                f"'{method_name}' cannot be merged: {reason}", key="--format", value=format,
                remedy=f"load the adapter itself with PEFT; it is at {folder}",
            ) from reason  # fmt: skip
    with atomic_folder(destination) as temporary:
        write_merged(model, layout.model(suite.model.name), temporary)
        if suite.data.task.labels:
            _name_labels(temporary / "config.json", suite.data.task.labels)
        write_text(temporary / CARD, card)
    return destination


def _base(spec: ModelSpec, layout: Layout) -> tuple[str, str | None]:
    """What `from_pretrained` takes for the base model: a hub name and revision, or a folder."""
    if spec.source.kind == "hub":
        return spec.source.id, spec.source.revision
    return layout.model(spec.name).as_posix(), None


def _facts(suite: Suite, method: str, result: Result, state: str) -> dict[str, str]:
    source = suite.model.source
    origin = {
        "hub": lambda: f"https://huggingface.co/{source.id} at {source.revision}",
        "pypi": lambda: f"{source.member} in {source.file}, from the Python package index",
        "path": lambda: source.path,
    }[source.kind]()
    model = [suite.model.title, origin, suite.model.citation, suite.model.licence]
    measured, task = result.states[state], suite.data.task
    metric = task.headline
    value = measured.metrics[metric.name]
    rows = result.evaluated_on
    facts = {
        "Base model": "; ".join(part for part in model if part),
        "Data": "; ".join(p for p in (suite.data.title, suite.data.citation) if p),
        "Labels": ", ".join(f"{i} {label}" for i, label in enumerate(task.labels or ()))
        or "a number",
        "Method": f"{suite.method(method).title} (suite {suite.name}, seed {result.seed})",
        metric.title[0].upper() + metric.title[1:]: f"{metric.scale * value:.2f} {metric.unit} on "
        f"{measured.n} {rows} sentences, {state}; one run, so other seeds and other sentences will "
        "differ",
        "Learning rate and steps": f"{result.schedule.learning_rate}, {result.schedule.steps}",
    }
    if result.rank is not None:
        facts["Rank"] = f"{result.rank.effective_mean:.2f} of {result.rank.initial} on average" + (
            "" if state == "pruned" else " would be left by pruning"
        )
    return facts


def _name_labels(path: Path, labels: tuple[str, ...]) -> None:
    """Let pipelines answer with the data set's labels instead of LABEL_0, LABEL_1."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["id2label"] = {str(i): label for i, label in enumerate(labels)}
    config["label2id"] = {label: i for i, label in enumerate(labels)}
    write_text(path, json.dumps(config, indent=2, sort_keys=True) + "\n")
