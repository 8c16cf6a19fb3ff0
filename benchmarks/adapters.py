"""`python -m benchmarks.adapters`: what an adapted linear layer costs, forward and backward.

Several layers of one shape read the same input, as the projections of an attention do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from wsa.adapters import SpectralConfig, WSAConfig
from wsa.machine.devices import device_for_stage

from benchmarks.dense_rebuild import DenseRebuildLinear
from benchmarks.timing import arguments, interleave, paired_ratio, report, table

ADAPTERS = {
    "LoRA r=8 (PEFT)": LoraConfig(r=8, lora_alpha=16),
    "spectral_a r=8": SpectralConfig(r=8),
    "wsa r=16": WSAConfig(r=16, gate="singular_value"),
    "wsa_direction r=16": WSAConfig(r=16, gate="direction"),
}
FROZEN, REFERENCE, DENSE = "frozen Linear", "LoRA r=8 (PEFT)", "dense rebuild, residual r=8"
DENSE_FORMS = [
    (DENSE, 8, "residual"),
    ("dense rebuild, residual r=16", 16, "residual"),
    ("dense rebuild, all of U S V", 8, "factors"),
]


class Projections(nn.Module):
    """Frozen layers of one shape that read the same input."""

    def __init__(self, inside: int, outside: int, count: int) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(inside, outside) for _ in range(count))
        self.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [layer(x) for layer in self.linear]


def projections(inside: int, outside: int, count: int) -> dict[str, Projections]:
    """The same frozen layers with every kind of adapter, by name."""
    torch.manual_seed(0)
    plain = Projections(inside, outside, count)
    found = {FROZEN: plain}
    for name, config in ADAPTERS.items():
        config.target_modules = {f"linear.{i}" for i in range(count)}
        found[name] = inject_adapter_in_model(config, copy.deepcopy(plain))
    for name, r, keep in DENSE_FORMS:
        found[name] = copy.deepcopy(plain)
        rebuilt = (DenseRebuildLinear(layer, r, keep) for layer in found[name].linear)
        found[name].linear = nn.ModuleList(rebuilt)
    return found


def step(module: Projections, x: torch.Tensor, gradient: torch.Tensor) -> Callable[[], None]:
    """Forward and backward through `module`, to its parameters and to its input."""

    def run() -> None:
        x.grad = None
        module.zero_grad(set_to_none=True)
        outputs = module(x)
        torch.autograd.backward(outputs, [gradient] * len(outputs))

    return run


def main(argv: list[str] | None = None) -> list[dict]:
    parser = arguments(__doc__, rounds=20)
    parser.add_argument("--sentences", type=int, default=32)
    parser.add_argument("--length", type=int, default=16, help="tokens per sentence")
    parser.add_argument("--layers", type=int, default=6, help="of one shape, on the same input")
    parser.add_argument(
        "--shapes", nargs="+", default=["768x768", "768x3072", "3072x768"], metavar="INxOUT"
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    device = device_for_stage()
    rows = []
    for shape in args.shapes:
        inside, outside = map(int, shape.split("x"))
        x = torch.randn(args.sentences, args.length, inside, device=device, requires_grad=True)
        gradient = torch.randn(args.sentences, args.length, outside, device=device)
        cases = {
            name: step(module.to(device), x, gradient)
            for name, module in projections(inside, outside, args.layers).items()
        }
        seconds = interleave(cases, args.rounds)
        rows += [
            {
                "layer": f"{inside}→{outside}",
                "adapter": name,
                "ms": 1000 * min(times) / args.layers,
                "of frozen": paired_ratio(times, seconds[FROZEN]),
                "of LoRA": paired_ratio(times, seconds[REFERENCE]),
                "dense rebuild takes": paired_ratio(seconds[DENSE], times),
            }
            for name, times in seconds.items()
        ]
    text = (
        f"{args.sentences}×{args.length} tokens, float32; {args.layers} layers of one shape on the "
        "same input; ms is the fastest round, of one layer. 'of LoRA' is "
        f"this adapter's time over LoRA's; 'dense rebuild takes' is the time of '{DENSE}' over "
        f"this adapter's.\n\n{table(rows)}"
    )
    title = "An adapted linear layer, forward and backward"
    report("adapters", title, args.out, vars(args), rows, text)
    return rows


if __name__ == "__main__":
    main()
