"""`python -m benchmarks.choosing`: ideas for choosing directions, and for training them better.

Beside shrinking gates by a term in the loss and choosing directions by sensitivity, as the product
does: another penalty or another step for the gates, and for methods with and without gates LoRA+'s
ratio of the two factors' rates, a Riemannian step, and directions in all six linear modules of a
layer for as many parameters as in three.

Training sentences alone, three parts of them: one is trained on; one chooses the settings, by one
seed; one judges what was chosen, by fresh seeds. What loses clearly by the first seed is not run
again. Every run is a line of `choosing_runs.jsonl` at once, and a run that has its line is not made
again, so an interrupted command goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from wsa.adapters.choosing import DirectionAllocator
from wsa.adapters.config import WSAConfig
from wsa.adapters.layer import SpectralLayer
from wsa.adapters.pruning import effective_rank, prune
from wsa.adapters.recompress import changes_of
from wsa.evidence.statistics import difference
from wsa.layout import Layout
from wsa.learning.batches import TokenTable, evaluation_sentences
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.loop import Loop
from wsa.learning.predict import predict
from wsa.learning.tokens import Tokens
from wsa.records.tuning import read_tuning, tuned
from wsa.stages.session import Session
from wsa.suite.load import load_suite
from wsa.suite.schema import Suite
from wsa.suite.tuning import with_values

from benchmarks.shrinking import mean_and_std, trained
from benchmarks.timing import arguments, report, table

# what the schedule of choosing has: nothing falls before, all has fallen after
START, END = 0.1, 0.5
# the linear modules of a layer of BERT; the suites adapt the first three
SIX = ("query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense")


class Way(Loop):
    """The product's loop with gates that may be asked for, and a way to cut to a rank."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.optimizer.register_step_pre_hook(lambda *_: self.before_step())

    def before_step(self) -> None:
        """Gradients are there; change them."""

    def gated_layers(self) -> dict[str, SpectralLayer]:
        return {n: m for n, m in self.tuner.spectral_layers().items() if m.spectral_gate}

    def drop(self, target_rank: float) -> None:
        """Prune to a mean rank."""
        prune(self.model, target_rank=target_rank)


class Penalty(Way):
    """λ Σ wᵢ|gᵢ| with weights of a subclass, by its gradient; λ is the adapter's `l1`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.tuner.peft_config["default"].l1 = 0.0  # the product's own term

    def weights(self) -> dict[str, Float[Tensor, " r"]] | None:
        """By module, without a gradient; None: not yet."""
        raise NotImplementedError

    @torch.no_grad()
    def before_step(self) -> None:
        weights = self.weights()
        for name, layer in self.gated_layers().items() if weights else ():
            gate = layer.spectral_gate["default"]
            gate.grad.add_(weights[name] * gate.sign(), alpha=self.method.adapter["l1"])


class Contribution(Penalty):
    """wᵢ is the norm of what the direction has changed; |gᵢ| wᵢ says what is kept, too."""

    def weights(self) -> dict[str, Tensor]:
        return {name: changed_norms(layer) for name, layer in self.gated_layers().items()}

    @torch.no_grad()
    def drop(self, target_rank: float) -> None:
        layers = self.gated_layers()
        gates = [layer.spectral_gate["default"] for layer in layers.values()]
        worth = torch.cat([abs(g) * w for g, w in zip(gates, self.weights().values(), strict=True)])
        least = worth.sort(descending=True).values[max(1, round(target_rank * len(gates))) - 1]
        for gate, own in zip(gates, worth.split([len(gate) for gate in gates]), strict=True):
            gate.mul_(own >= least)
        prune(self.model)


@torch.no_grad()
def changed_norms(layer: SpectralLayer) -> Float[Tensor, " r"]:
    """‖σᵢ [(uᵢ + aᵢ)(vᵢ + bᵢ)ᵀ − uᵢ vᵢᵀ]‖_F of every direction, its gate left out.

    The bracket is aᵢ (vᵢ + bᵢ)ᵀ + uᵢ bᵢᵀ, which loses no digits while aᵢ and bᵢ are small.
    """
    U, S, V, A_U, A_V = (
        layer.parts("default")[f"spectral_{name}"] for name in ("U", "S", "V", "A_U", "A_V")
    )
    inner = V + A_V
    squared = (
        A_U.square().sum(0) * inner.square().sum(1)
        + U.square().sum(0) * A_V.square().sum(1)
        + 2 * (A_U * U).sum(0) * (inner * A_V).sum(1)
    )
    return S * squared.clamp(min=0).sqrt()


class Adaptive(Penalty):
    """The adaptive lasso (Zou 2006): after a quarter of the steps wᵢ = median √s / √sᵢ, for good.

    s is the sensitivity score by which the product chooses, so √s is of the size of |g ∂L/∂g|.
    """

    @cached_property
    def scores(self) -> DirectionAllocator:
        r = self.method.adapter["r"]
        every = WSAConfig(choose="sensitivity", r=r, target_rank=r, total_steps=len(self.batches))
        return DirectionAllocator(every)  # it keeps all: only its means are wanted

    @cached_property
    def fixed(self) -> dict[str, Tensor]:
        roots = {name: self.scores.score(name).sqrt() for name in self.gated_layers()}
        middle = torch.cat(list(roots.values())).median()
        tiny = torch.finfo(middle.dtype).tiny
        return {name: middle / root.clamp(min=tiny) for name, root in roots.items()}

    def weights(self) -> dict[str, Tensor] | None:
        if self.step >= len(self.batches) // 4:
            return self.fixed
        # a gate of 1 whose gradient is g ∂L/∂g has the sensitivity of a gate g
        ones = {}
        for name, layer in self.gated_layers().items():
            gate = layer.spectral_gate["default"]
            ones[name] = nn.Parameter(torch.ones_like(gate))
            ones[name].grad = gate.detach() * gate.grad
        self.scores.update(ones, self.step + 1)
        return None


class Refit(Way):
    """ℓ1 outside of AdamW: from 10 to 50 % of the steps, each is followed by max(g − ηλ, 0).

    Gates at zero after half of the steps stay there, the others are free again. `l1` is λ.
    """

    left: dict[str, Bool[Tensor, " r"]] | None = None

    def train_step(self, checkpoints: Checkpoints) -> None:
        self.tuner.peft_config["default"].l1 = 0.0
        way = self.method.adapter["l1"] * self.gate_rate * float(self.rate[self.step])
        super().train_step(checkpoints)
        done = self.step / len(self.batches)
        gates = {n: layer.spectral_gate["default"] for n, layer in self.gated_layers().items()}
        with torch.no_grad():
            if START < done <= END:
                for gate in gates.values():
                    gate.sub_(way).clamp_(min=0)
                self.left = {name: gate > 0 for name, gate in gates.items()}
            elif self.left is not None:
                for name, gate in gates.items():
                    gate.mul_(self.left[name])


class Riemannian(Way):
    """Gradients times the inverse Gram matrix of the other factor, then AdamW.

    Zhang & Pilanci 2024, arXiv:2402.02347: ∇A ← (BᵀB + δ)⁻¹ ∇A and ∇B ← ∇B (A Aᵀ + δ)⁻¹, which
    makes the change of B A independent of how it is written as a product. Of a spectral adapter the
    factors are U + A_U and V + A_V.
    """

    damping = 1e-6

    @torch.no_grad()
    def before_step(self) -> None:
        for module in self.model.modules():
            if isinstance(module, SpectralLayer) and module.r.get("default"):
                grown = module.spectral_A_U["default"], module.spectral_A_V["default"]
                B = module.spectral_U["default"] + grown[0]
                A = module.spectral_V["default"] + grown[1]
            elif "default" in getattr(module, "lora_A", {}):
                grown = module.lora_B["default"].weight, module.lora_A["default"].weight
                B, A = grown
            else:
                continue
            of_B, of_A = precondition(B, A, grown[0].grad, grown[1].grad, self.damping)
            grown[0].grad.copy_(of_B)
            grown[1].grad.copy_(of_A)


def precondition(
    B: Float[Tensor, "out r"],
    A: Float[Tensor, "r in"],
    of_B: Float[Tensor, "out r"],
    of_A: Float[Tensor, "r in"],
    damping: float,
) -> tuple[Float[Tensor, "out r"], Float[Tensor, "r in"]]:
    """∇B (A Aᵀ + δ)⁻¹ and (BᵀB + δ)⁻¹ ∇A."""
    damped = damping * torch.eye(len(A), dtype=A.dtype, device=A.device)
    return torch.linalg.solve(A @ A.mT + damped, of_B.mT).mT, torch.linalg.solve(
        B.mT @ B + damped, of_A
    )


class ByParameters(DirectionAllocator):
    """Modules of several shapes: directions by score a parameter, as many as a budget pays for.

    Args:
        config: `target_rank` is that of the schedule alone.
        costs: module → parameters of one of its directions.
        budget: parameters in the end.
    """

    def __init__(self, config: WSAConfig, costs: Mapping[str, int], budget: int) -> None:
        super().__init__(config)
        self.costs, self.parameters = costs, budget
        self._left: dict[str, Bool[Tensor, " r"]] = {}

    def update(self, gates: Mapping[str, nn.Parameter], done: int) -> None:
        self._left = {name: gate.detach() > 0.5 for name, gate in gates.items()}
        super().update(gates, done)

    def score(self, name: str) -> Float[Tensor, " r"]:
        return super().score(name) / self.costs[name]

    def budget(self, done: int, ranks: Mapping[str, int]) -> int:
        wanted, every = self.config.target_rank * len(ranks), sum(ranks.values())
        share = (super().budget(done, ranks) - wanted) / (every - wanted)
        if share == 1:
            return every
        first = sum(self.costs[name] * rank for name, rank in ranks.items())
        scores = torch.cat([self.score(name).where(self._left[name], -1.0) for name in ranks])
        costs = torch.cat([torch.full((rank,), self.costs[name]) for name, rank in ranks.items()])
        spent = costs[scores.argsort(descending=True, stable=True).cpu()].cumsum(0)
        allowed = self.parameters + (first - self.parameters) * share
        return max(1, int((spent <= allowed).sum()))


class Wide(Way):
    """Chooses among six modules, for the parameters of a mean rank of 7 in query, key and value."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        costs = {name: direction_cost(layer) for name, layer in self.gated_layers().items()}
        config = self.tuner.peft_config["default"]
        budget = sum(7 * cost for name, cost in costs.items() if name.endswith(SIX[:3]))
        self.tuner.rankallocator = ByParameters(config, costs, budget)


def direction_cost(layer: SpectralLayer) -> int:
    """How many numbers one direction trains, its gate aside."""
    return layer.in_features + layer.out_features


Values = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        way: what it is called.
        base: the suite's method.
        trials: key of a method → value, each a trial; none: as the suite's own trials chose.
        kind: its loop.
        beside: the way of the row that it would improve on.
        wide: whether all six linear modules of a layer are adapted.
    """

    way: str
    base: str
    trials: tuple[Values, ...] = ()
    kind: type[Way] = Way
    beside: str = ""
    wide: bool = False


def gates_of(kind: type[Way], way: str, *strengths: float) -> Row:
    """The gates of `wsa_direction` on the directions and with the rate of `wsa_budget`."""
    basis = {"adapter.directions": "spread", "adapter.scale": 1.0, "learning_rate": 5.66e-3}
    trials = tuple({**basis, "adapter.l1": strength} for strength in strengths)
    return Row(way, "wsa_direction", trials, kind, "choose")


def ratios(way: str, base: str, rate: float) -> Row:
    """LoRA+ (Hayou et al. 2024, arXiv:2402.12354); the geometric mean of both rates stays."""
    trials = tuple(
        {"learning_rate": rate / math.sqrt(ratio), "learning_rate_ratio": float(ratio)}
        for ratio in (4, 16)
    )
    return Row(f"{way}, LoRA+ ratio", base, trials, Way, way)


def rates(way: str, base: str, *found: float, **how: Any) -> Row:
    return Row(way, base, tuple({"learning_rate": rate} for rate in found), **how)


# 3 directions for query, key and value and 2 elsewhere: 96,768 parameters, as 7 of q, k and v
_TWO = "attention.output.dense|intermediate.dense|output.dense"
WIDE_LORA = {
    "adapter.r": 3,
    "adapter.lora_alpha": 6,
    "adapter.rank_pattern": {_TWO: 2},
    "adapter.alpha_pattern": {_TWO: 4},
}
ROWS = (
    Row("shrink", "wsa_direction"),
    Row("choose", "wsa_budget"),
    Row("LoRA", "lora"),
    Row("spread", "spectral_spread"),
    gates_of(Way, "shrink, spread directions", 5e-4),
    gates_of(Contribution, "shrink contributions", 3e-4, 1e-3, 4e-3),
    gates_of(Refit, "shrink outside of AdamW, refit", 0.6, 0.9),
    gates_of(Adaptive, "shrink, adaptive weights", 5e-4, 2e-3),
    ratios("LoRA", "lora", 2.83e-3),
    ratios("spread", "spectral_spread", 5.66e-3),
    ratios("choose", "wsa_budget", 5.66e-3),
    rates("LoRA, Riemannian", "lora", 1.41e-3, 2.83e-3, kind=Riemannian, beside="LoRA"),
    rates("spread, Riemannian", "spectral_spread", 2.83e-3, 5.66e-3, kind=Riemannian,
          beside="spread"),
    Row("LoRA, six modules", "lora", tuple({**WIDE_LORA, "learning_rate": rate}
        for rate in (2.83e-3, 5.66e-3)), Way, "LoRA", wide=True),
    Row("choose, six modules", "wsa_budget", tuple({"adapter.target_rank": 3.5,
        "learning_rate": rate} for rate in (2.83e-3, 5.66e-3)), Wide, "choose", wide=True),
)  # fmt: skip


@dataclass
class Runs:
    """Makes runs, and remembers them.

    Args:
        suite: judged on `2 · held_out` training sentences that are not trained on.
        held_out: one half of them is for trials, the other for what was chosen.
        target_rank: mean rank to prune to.
        path: the file of all runs.
    """

    suite: Suite
    held_out: int
    target_rank: float
    path: Path
    sessions: dict[bool, Session] = field(init=False)

    def __post_init__(self) -> None:
        protocol = self.suite.protocol.model_copy(
            update={"evaluate_on": "holdout", "holdout_sentences": 2 * self.held_out}
        )
        suite = self.suite.model_copy(update={"protocol": protocol})
        spec = suite.model.model_copy(update={"target_modules": SIX})
        self.sessions = {
            wide: Session(suite.model_copy(update={"model": spec}) if wide else suite, Layout())
            for wide in (False, True)
        }

    def __call__(self, row: Row, values: Values, seed: int, trial: bool) -> dict[str, Any]:
        """The run, from the file if it is there; see `make`."""
        key = {"way": row.way, "values": values, "seed": seed, "trial": trial}
        asked = json.loads(json.dumps(key))
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                if (found := json.loads(line)) | asked == found:
                    return found
        found = asked | self.make(row, values, seed, trial)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(found) + "\n")
        print({k: v for k, v in found.items() if k != "right"}, flush=True)
        return found

    def make(self, row: Row, values: Values, seed: int, trial: bool) -> dict[str, Any]:
        """Accuracies in percent; directions and parameters kept; what was `right` when pruned."""
        session = self.sessions[row.wide]
        method = with_values(session.suite.method(row.base), values)
        loop = trained(row.kind, method, seed, session)
        judged = self.judged(session, trial)
        whole = is_right(loop, judged)
        found = {"as trained": 100 * float(whole.mean())}
        pruned, nothing_lost = whole, True
        if method.gated:
            gates = torch.cat([gate.detach().flatten() for gate in loop.tuner.gates().values()])
            below = gates[abs(gates) < loop.tuner.peft_config["default"].threshold]
            nothing_lost = bool((below == 0).all())
            prune(loop.model)
        ranks = ranks_of(loop.model)
        found["effective rank"] = float(np.mean(list(ranks.values())))
        if method.gated and not row.wide and found["effective rank"] > self.target_rank:
            loop.drop(self.target_rank)
            nothing_lost = False
        if not nothing_lost:
            pruned = is_right(loop, judged)
        found["pruned"] = 100 * float(pruned.mean())
        found["rank"] = float(np.mean(list(ranks_of(loop.model).values())))
        found["parameters"] = parameters_of(loop.model)
        return found | {"right": np.packbits(pruned).tobytes().hex()}

    def judged(self, session: Session, trial: bool) -> Tokens:
        """The sentences for trials, or those for what was chosen: two halves of the holdout."""
        half = session.protocol.model_copy(update={"holdout_sentences": self.held_out})
        last = evaluation_sentences(session.splits, session.suite.data, half)["holdout"]
        is_last = np.isin(np.asarray(session.judged.ids), np.asarray(last.ids))
        return session.judged.select(np.flatnonzero(is_last == trial))


def is_right(loop: Way, judged: Tokens) -> Bool[np.ndarray, " n"]:
    says = predict(loop.model, TokenTable(judged, loop.device), loop.protocol).argmax(1)
    return says == judged.labels


def ranks_of(model: nn.Module) -> dict[str, int]:
    """Module → directions; of LoRA its rank."""
    if hasattr(model.base_model, "spectral_layers"):
        return effective_rank(model)
    return {name: len(A) for name, (A, _) in changes_of(model).items()}


def parameters_of(model: nn.Module) -> int:
    """The adapter's: numbers of its directions, without gates and head."""
    layers = dict(model.base_model.model.named_modules())
    return sum(rank * direction_cost(layers[name]) for name, rank in ranks_of(model).items())


def unpacked(found: Mapping[str, Any], count: int) -> Bool[np.ndarray, " n"]:
    bits: Int[np.ndarray, " bytes"] = np.frombuffer(bytes.fromhex(found["right"]), np.uint8)
    return np.unpackbits(bits, count=count).astype(bool)


def gap(a: list[dict], b: list[dict], sentences: int) -> dict[str, float]:
    """Pruned accuracy of `a` minus that of `b`, in points, with its 95 % interval and p."""
    one, other = (np.stack([unpacked(run, sentences) for run in runs]) for runs in (a, b))
    spread = difference(one, other)
    low, high = spread.interval()
    named = {"points": spread.mean, "low": low, "high": high}
    return {k: 100 * float(v) for k, v in named.items()} | {"p": float(spread.p_value())}


def best_trials(runs: Runs, args: argparse.Namespace, suite: Suite) -> dict[str, dict[str, Any]]:
    """Way → what its trials gave: `values` of the best, its accuracy, and all of them.

    A row without trials of its own has those of the suite, as published.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in ROWS:
        if not row.trials:
            best: Any = None
            if suite.tuning and row.base in suite.tuned_methods():
                best = read_tuning(suite, row.base, Layout().as_published)
            trials = [
                {"values": trial.values, "pruned": 100 * trial.states["unpruned"]}
                for trial in (best.trials if best else ())
            ]
            best_of = max((trial["pruned"] for trial in trials), default=0.0)
            found[row.way] = {"values": {}, "best": best_of, "trials": trials}
            continue
        made = [runs(row, values, args.trial_seed, True) for values in row.trials]
        best = max(made, key=lambda run: run["pruned"])
        shown = ("values", "as trained", "effective rank", "pruned", "parameters")
        found[row.way] = {
            "values": best["values"], "best": best["pruned"],
            "trials": [{key: run[key] for key in shown} for run in made],
        }  # fmt: skip
    return found


def main(argv: list[str] | None = None) -> list[dict]:
    parser = arguments(__doc__)
    parser.add_argument("--suite", default="minilm-l6_budget_films")
    parser.add_argument(
        "--seeds", type=int, nargs="*", default=[500, 501, 502, 503, 504], help="none: trials alone"
    )
    parser.add_argument("--trial-seed", type=int, default=1000)
    parser.add_argument("--rank", type=float, default=7.0, help="mean rank to compare at")
    parser.add_argument("--held-out", type=int, default=1500, help="sentences a judgement is by")
    parser.add_argument(
        "--margin", type=float, default=1.0,
        help="a row whose best trial is further below that of the row beside it is not run again",
    )  # fmt: skip
    args = parser.parse_args(argv)
    asked = load_suite(args.suite, "config")
    suite = tuned(asked, Layout().as_published)
    runs = Runs(suite, args.held_out, args.rank, args.out / "choosing_runs.jsonl")
    trials = best_trials(runs, args, asked)
    goes_on = [
        row for row in ROWS
        if not row.beside or trials[row.way]["best"] >= trials[row.beside]["best"] - args.margin
    ]  # fmt: skip
    made: dict[str, list[dict]] = {row.way: [] for row in goes_on}
    rows = [told(row, trials, made, args) for row in ROWS]
    write(rows, args, suite)
    for seed in args.seeds:  # a command that is cut off leaves a table of the seeds so far
        for row in goes_on:
            made[row.way].append(runs(row, trials[row.way]["values"], seed, False))
        rows = [told(row, trials, made, args) for row in ROWS]
        write(rows, args, suite)
    return rows


def told(
    row: Row, trials: Mapping[str, dict], made: Mapping[str, list[dict]], args: argparse.Namespace
) -> dict[str, Any]:
    """All numbers of one row."""
    found: dict[str, Any] = {"way": row.way, "method": row.base, "beside": row.beside}
    found |= {"chosen": trials[row.way]["values"], "trials": trials[row.way]["trials"]}
    found["best trial"] = trials[row.way]["best"]
    own = made.get(row.way, [])
    found |= {"goes on": row.way in made, "n": len(own)}
    for key in ("as trained", "pruned", "effective rank", "rank", "parameters"):
        found[key] = [run[key] for run in own]
    for name, other in (("minus choose", "choose"), ("minus the row beside", row.beside)):
        if len(own) > 1 and other and row.way != other:
            found[name] = gap(own, made[other], args.held_out)
    return found


def write(rows: list[dict], args: argparse.Namespace, suite: Suite) -> None:
    def interval(gap: Mapping[str, float] | None) -> str:
        if gap is None:
            return "–"
        return f"{gap['points']:+.2f} ({gap['low']:.2f} to {gap['high']:.2f})"

    shown = [
        {
            "way": row["way"],
            "n": row["n"],
            "best trial, %": f"{row['best trial']:.2f}",
            "as trained, %": mean_and_std(row["as trained"]),
            "effective rank": mean_and_std(row["effective rank"]),
            "pruned, %": mean_and_std(row["pruned"]),
            "parameters": f"{np.mean(row['parameters']):,.0f}",
            "minus choose": interval(row.get("minus choose")),
            "minus the row it is beside": interval(row.get("minus the row beside")),
        }
        for row in rows
        if row["n"]
    ]
    tried = [
        {
            "way": row["way"],
            "beside": row["beside"] or "–",
            "values": ", ".join(
                f"{key.removeprefix('adapter.')} {value:.3g}"
                for key, value in trial["values"].items()
                if isinstance(value, float | int) and key != "adapter.scale"
            ),
            "effective rank": f"{trial.get('effective rank', math.nan):.2f}".replace("nan", "–"),
            "pruned, %": f"{trial['pruned']:.2f}",
            "goes on": "yes" if row["goes on"] else "no",
        }
        for row in rows
        for trial in row["trials"]
    ]
    protocol = suite.protocol
    seeds = ", ".join(map(str, args.seeds[: rows[0]["n"]]))
    text = (
        f"{suite.name}: {protocol.train_sentences} training sentences × {protocol.epochs} epochs, "
        f"judged on {args.held_out} other training sentences. Pruned: to a mean rank of "
        f"{args.rank:g} at most, where there are gates.\n\n"
    )
    if shown:
        text += (
            f"Mean ± sample standard deviation over seeds {seeds}. Parameters: those of the "
            "directions that are left. Differences: pruned, in points, with 95 % intervals, paired "
            f"by seed and sentence, unadjusted.\n\n{table(shown)}\n\n"
        )
    text += (
        f"Trials: one seed, {args.trial_seed}, judged on {args.held_out} training sentences that "
        f"judge nothing else. What is more than {args.margin:g} points below the row that it is "
        f"beside is not run again.\n\n{table(tried)}"
    )
    report("choosing", "Ideas for choosing directions", args.out, vars(args), rows, text)


if __name__ == "__main__":
    main()
