"""Faults of a suite that only its model can show, found before any training starts."""

from __future__ import annotations

from wsa.errors import InputError, did_you_mean
from wsa.files import write_json
from wsa.layout import Layout
from wsa.models import attach, load_pretrained
from wsa.suite import Suite


def check_suite(suite: Suite, layout: Layout) -> None:
    """Attach every method to the model once, and write down what was found fit.

    Raises:
        InputError: naming the method, for an unknown PEFT type or argument, a rank larger than a
            matrix, a target or head module that the model does not have.
    """
    folder = layout.model(suite.model.name)
    for name, method in suite.methods.items():
        if method.kind == "majority":
            continue
        model = load_pretrained(folder, seed=0)
        modules = {module for module, _ in model.named_modules()}
        endings = {module.rsplit(".", 1)[-1] for module in modules}
        targets = (method.adapter or {}).get("target_modules", suite.model.target_modules)
        wanted = [("head_modules", module) for module in suite.model.head_modules]
        if not isinstance(targets, str):  # a string is a pattern, which PEFT checks
            wanted += [("target_modules", module) for module in targets]
        for key, module in wanted:
            if not any(m == module or m.endswith(f".{module}") for m in modules):
                raise InputError(
                    f"the model '{suite.model.name}' has no module '{module}'", key=key,
                    remedy=did_you_mean(module, endings),
                )  # fmt: skip
        try:
            attach(model, method, suite.model, layout.factors, suite.largest_rank)
        except (InputError, ValueError) as error:
            raise InputError(f"{error}", file=suite.name, key=f"methods.{name}") from error
    fit = {name: suite.run_digest(name) for name in suite.methods}
    write_json(layout.checked(suite.name), {"suite": suite.name, "methods": fit})
