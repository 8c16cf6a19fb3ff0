"""`python -m benchmarks.shrinking`: three ways to shrink the gates of whole directions.

Each trains the embedded suite's `wsa_direction` and is judged on training sentences that it did
not train on: the λ Σ|g| term in the loss, as the product does it; the same term only after a
quarter of the steps; and, instead of a term, a proximal step: after each step of AdamW, every gate
is moved towards zero by the strength times its learning rate, and stays there if it would pass it.
What counts is the accuracy after pruning at equal effective rank.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from wsa.adapters.pruning import effective_rank, prune
from wsa.batches import TokenTable, evaluation_sentences, training_sentences
from wsa.checkpoint import Checkpoints
from wsa.devices import device_for_stage, reproducible
from wsa.directions import is_gate
from wsa.evaluation import predict
from wsa.layout import Layout
from wsa.loop import Loop
from wsa.models import attach, load_pretrained
from wsa.suite import Method, Suite, load_suite
from wsa.tokens import load_tokens

from benchmarks.timing import arguments, report, table


class LateTerm(Loop):
    """λ is zero for the first quarter of the steps."""

    def _train_step(self, checkpoints: Checkpoints) -> None:
        warm = self.step >= len(self.batches) // 4
        self.tuner.peft_config["default"].l1 = self.method.adapter["l1"] if warm else 0.0
        super()._train_step(checkpoints)


class ProximalStep(Loop):
    """The proximal operator of strength·|g| after each step; `l1` is the strength."""

    def _train_step(self, checkpoints: Checkpoints) -> None:
        self.tuner.peft_config["default"].l1 = 0.0
        way = self.method.adapter["l1"] * self.gate_rate * float(self.rate[self.step])
        super()._train_step(checkpoints)
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
    ("term in the loss", Loop, 5e-4, 6.0),
    ("term after a quarter", LateTerm, 5e-4, 3.0),
    ("term after a quarter", LateTerm, 1e-3, 3.0),
    ("proximal step", ProximalStep, 0.3, 3.0),
    ("proximal step", ProximalStep, 0.5, 3.0),
]


def shrunk(method: Method, strength: float, reach: float) -> Method:
    """The gated `method` with another strength and reach."""
    adapter = {**method.adapter, "l1": strength}
    return Method.model_validate({**method.model_dump(), "adapter": adapter, "gate_reach": reach})


def trial(
    kind: type[Loop], method: Method, seed: int, suite: Suite, layout: Layout
) -> tuple[float, float, float]:
    """Accuracy before and after pruning, in percent, and the mean effective rank."""
    reproducible(suite.protocol.threads)
    device = device_for_stage()
    path = layout.tokens(suite.model.name, suite.data.name)
    train, validation = (load_tokens(path, split) for split in ("train", "validation"))
    model = load_pretrained(layout.model(suite.model.name), seed)
    model = attach(model, method, suite.model, layout.factors, suite.largest_rank).to(device)
    tokens = training_sentences(train, suite.protocol)
    loop = kind(model, method, suite, seed, TokenTable(tokens, device), device)
    with TemporaryDirectory() as folder:
        loop.run(f"{kind.__name__} seed {seed}", Checkpoints(Path(folder), {}))
    held_out = evaluation_sentences(train, validation, suite.protocol)
    judged = TokenTable(held_out, device)

    def accuracy() -> float:
        return 100 * float(
            (predict(model, judged, suite.protocol).argmax(1) == held_out.labels).mean()
        )

    before = accuracy()
    ranks = effective_rank(model)
    prune(model)
    return before, accuracy(), statistics.fmean(ranks.values())


def main(argv: list[str] | None = None) -> list[dict]:
    parser = arguments(__doc__)
    parser.add_argument("--suite", default="minilm-l6_movie-snippets")
    parser.add_argument("--method", default="wsa_direction")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102])
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
        trials = [trial(kind, method, seed, suite, Layout()) for seed in args.seeds]
        before, after, ranks = map(list, zip(*trials, strict=True))
        rows.append(
            {
                "way": way,
                "strength": strength,
                "reach": reach,
                "effective rank": statistics.fmean(ranks),
                "as trained, %": statistics.fmean(before),
                "pruned, %": statistics.fmean(after),
                "std, pruned": statistics.stdev(after) if len(after) > 1 else None,
                "n": len(after),
                "each seed's rank": ranks,
                "each seed, pruned": after,
            }
        )
        print(rows[-1], flush=True)
    shown = [{k: v for k, v in row.items() if not k.startswith("each")} for row in rows]
    text = (
        f"{suite.name}, {args.method}: "
        f"{protocol.train_sentences} training sentences × {protocol.epochs} epochs, judged on "
        f"{args.held_out} other training sentences, seeds {', '.join(map(str, args.seeds))}.\n\n"
        f"{table(shown)}"
    )
    report("shrinking", "Ways to shrink the gates", args.out, vars(args), rows, text)
    return rows


if __name__ == "__main__":
    main()
