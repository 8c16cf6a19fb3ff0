"""`python -m benchmarks.adapters`: what one adapted linear layer costs, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from wsa.adapters import SpectralConfig, WSAConfig
from wsa.devices import device_for_stage

from benchmarks.dense_rebuild import DenseRebuildLinear
from benchmarks.timing import arguments, interleave, paired_ratio, report, table

ADAPTERS = {
    "LoRA r=8 (PEFT)": LoraConfig(r=8, lora_alpha=16),
    "spectral_a r=8": SpectralConfig(r=8),
    "wsa r=16": WSAConfig(r=16, gate="singular_value"),
    "wsa_direction r=16": WSAConfig(r=16, gate="direction"),
}
FROZEN, REFERENCE, DENSE = "frozen Linear", "LoRA r=8 (PEFT)", "dense rebuild, residual r=8"


def layers(inside: int, outside: int) -> dict[str, nn.Module]:
    """The same frozen layer with every kind of adapter, by name."""
    torch.manual_seed(0)
    linear = nn.Linear(inside, outside).requires_grad_(False)

    def copy() -> nn.Linear:
        other = nn.Linear(inside, outside).requires_grad_(False)
        other.load_state_dict(linear.state_dict())
        return other

    found: dict[str, nn.Module] = {FROZEN: copy()}
    for name, config in ADAPTERS.items():
        config.target_modules = {"linear"}
        holder = nn.Module()
        holder.linear = copy()
        found[name] = inject_adapter_in_model(config, holder).linear
    found[DENSE] = DenseRebuildLinear(copy(), 8)
    found["dense rebuild, residual r=16"] = DenseRebuildLinear(copy(), 16)
    found["dense rebuild, all of U S V"] = DenseRebuildLinear(copy(), 8, keep="factors")
    return found


def step(layer: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> Callable[[], None]:
    """Forward and backward through `layer`, to its parameters and to its input."""

    def run() -> None:
        x.grad = None
        layer.zero_grad(set_to_none=True)
        layer(x).backward(gradient)

    return run


def main(argv: list[str] | None = None) -> list[dict]:
    parser = arguments(__doc__, rounds=40)
    parser.add_argument("--sentences", type=int, default=32)
    parser.add_argument("--length", type=int, default=16, help="tokens per sentence")
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
            name: step(layer.to(device), x, gradient)
            for name, layer in layers(inside, outside).items()
        }
        seconds = interleave(cases, args.rounds)
        rows += [
            {
                "layer": f"{inside}→{outside}",
                "adapter": name,
                "ms": 1000 * min(times),
                "of frozen": paired_ratio(times, seconds[FROZEN]),
                "of LoRA": paired_ratio(times, seconds[REFERENCE]),
                "dense rebuild takes": paired_ratio(seconds[DENSE], times),
            }
            for name, times in seconds.items()
        ]
    text = (
        f"{args.sentences}×{args.length} tokens, float32; ms is the fastest round. 'of LoRA' is "
        f"this adapter's time over LoRA's; 'dense rebuild takes' is the time of '{DENSE}' over "
        f"this adapter's.\n\n{table(rows)}"
    )
    title = "One adapted linear layer, forward and backward"
    report("adapters", title, args.out, vars(args), rows, text)
    return rows


if __name__ == "__main__":
    main()
