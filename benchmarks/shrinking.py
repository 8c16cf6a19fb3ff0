"""`python -m benchmarks.shrinking`: three ways to shrink the gates of whole directions.

Each trains the embedded suite's `wsa_direction` and is judged on training sentences that it did
not train on: the λ Σ|g| term in the loss, as the product does it; the same term only after a
quarter of the steps; and, instead of a term, a proximal step: after each step of AdamW, every gate
is moved towards zero by the strength times its learning rate, and stays there if it would pass it.
They are comparable at equal effective rank, so each is pruned once at the threshold and once to the
same mean rank.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import torch
from wsa.adapters.pruning import prune
from wsa.adapters.saved import is_gate
from wsa.layout import Layout
from wsa.learning.batches import TokenTable
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.loop import Loop
from wsa.learning.predict import predict
from wsa.stages.session import Session
from wsa.suite.load import load_suite
from wsa.suite.schema import Method, Suite

from benchmarks.timing import arguments, report, table

L = TypeVar("L", bound=Loop)


class LateTerm(Loop):
    """λ is zero for the first quarter of the steps."""

    def train_step(self, checkpoints: Checkpoints) -> None:
        warm = self.step >= len(self.batches) // 4
        self.tuner.peft_config["default"].l1 = self.method.adapter["l1"] if warm else 0.0
        super().train_step(checkpoints)


class ProximalStep(Loop):
    """The proximal operator of strength·|g| after each step; `l1` is the strength."""

    def train_step(self, checkpoints: Checkpoints) -> None:
        self.tuner.peft_config["default"].l1 = 0.0
        way = self.method.adapter["l1"] * self.gate_rate * float(self.rate[self.step])
        super().train_step(checkpoints)
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if is_gate(name):
                    parameter.copy_(torch.nn.functional.softshrink(parameter, way))


# way, its loop, strength, reach of the gates
TRIALS = [
    ("term in the loss", Loop, 2e-4, 3.0),
    ("term in the loss", Loop, 5e-4, 3.0),
    ("term in the loss", Loop, 1e-3, 3.0),
    ("term in the loss", Loop, 5e-4, 1.25),
    ("term after a quarter", LateTerm, 5e-4, 3.0),
    ("term after a quarter", LateTerm, 1e-3, 3.0),
    ("proximal step", ProximalStep, 0.3, 3.0),
    ("proximal step", ProximalStep, 0.5, 3.0),
]


def shrunk(method: Method, strength: float, reach: float) -> Method:
    """The gated `method` with another strength and reach."""
    adapter = {**method.adapter, "l1": strength}
    return Method.model_validate({**method.model_dump(), "adapter": adapter, "gate_reach": reach})


def trained(kind: type[L], method: Method, seed: int, session: Session) -> L:
    """A loop of this kind at its end."""
    model, device = session.attached(method, seed), session.device
    loop = kind(model, method, session.suite, seed, TokenTable(session.training, device), device)
    with TemporaryDirectory() as folder:
        loop.run(f"{kind.__name__} seed {seed}", Checkpoints(Path(folder), {}))
    return loop


def trial(
    kind: type[Loop], method: Method, seed: int, suite: Suite, target_rank: float, layout: Layout
) -> dict[str, float]:
    """Accuracies in percent, and the mean effective rank at the method's threshold."""
    session = Session(suite, layout)
    model = trained(kind, method, seed, session).model
    judged = TokenTable(session.judged, session.device)

    def accuracy() -> float:
        says = predict(model, judged, suite.protocol).argmax(1)
        return 100 * float((says == session.judged.labels).mean())

    found = {"as trained, %": accuracy()}
    found["effective rank"] = prune(model).effective_mean
    found["pruned, %"] = accuracy()
    if found["effective rank"] > target_rank:
        prune(model, target_rank=target_rank)
    found[f"rank {target_rank:g} at most, %"] = accuracy()
    return found


def mean_and_std(values: list[float]) -> str:
    """Mean ± sample standard deviation; a single value has none."""
    mean = f"{statistics.fmean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def main(argv: list[str] | None = None) -> list[dict]:
    parser = arguments(__doc__)
    parser.add_argument("--suite", default="minilm-l6_movie-snippets")
    parser.add_argument("--method", default="wsa_direction")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102])
    parser.add_argument("--rank", type=float, default=7.0, help="mean rank to compare at")
    parser.add_argument("--held-out", type=int, default=1500, help="training sentences to judge by")
    args = parser.parse_args(argv)
    suite = load_suite(args.suite, "config")
    protocol = suite.protocol.model_copy(
        update={"evaluate_on": "holdout", "holdout_sentences": args.held_out}
    )
    suite = suite.model_copy(update={"protocol": protocol})
    rows = []
    for way, kind, strength, reach in TRIALS:
        method = shrunk(suite.method(args.method), strength, reach)
        trials = [trial(kind, method, seed, suite, args.rank, Layout()) for seed in args.seeds]
        found = {name: [one[name] for one in trials] for name in trials[0]}
        rows.append({"way": way, "strength": strength, "reach": reach, "n": len(trials)} | found)
        print(rows[-1], flush=True)
    shown = [
        {
            key: mean_and_std(value) if isinstance(value, list) else value
            for key, value in row.items()
        }
        for row in rows
    ]
    text = (
        f"{suite.name}, {args.method}: {protocol.train_sentences} training sentences × "
        f"{protocol.epochs} epochs, judged on {args.held_out} other training sentences, mean ± "
        f"sample standard deviation over seeds {', '.join(map(str, args.seeds))}.\n\n"
        f"{table(shown)}"
    )
    report("shrinking", "Ways to shrink the gates", args.out, vars(args), rows, text)
    return rows


if __name__ == "__main__":
    main()
