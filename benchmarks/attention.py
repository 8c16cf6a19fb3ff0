"""`python -m benchmarks.attention`: DeBERTa with compact relative positions against the stock one.

Forward and backward of the whole model, dropout on, at lengths that SST-2 has. The number of
operators is what a GPU that waits for its host pays for; it is the same on every machine.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from peft import LoraConfig, PeftConfig, get_peft_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from wsa.adapters import WSAConfig
from wsa.learning.deberta import optimise
from wsa.machine.devices import device_for_stage

from benchmarks.deberta import add_size_arguments, random_deberta
from benchmarks.timing import arguments, interleave, paired_ratio, report, table

TARGETS = {"task_type": "SEQ_CLS", "target_modules": ["query_proj", "key_proj", "value_proj"]}
ADAPTERS = {
    "everything": None,
    "LoRA r=8": LoraConfig(r=8, lora_alpha=16, **TARGETS),
    "WSA r=16": WSAConfig(r=16, gate="singular_value", **TARGETS),
}


def batch(length: int, sentences: int, vocabulary: int, device: torch.device) -> dict:
    """Random sentences, the first half of them as long as the batch, the others half as long."""
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(5, vocabulary, (sentences, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[sentences // 2 :, (length + 1) // 2 :] = 0
    labels = torch.arange(sentences) % 2
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def adapted(model: nn.Module, config: PeftConfig) -> nn.Module:
    """The model with an adapter whose random start is the same for every model."""
    torch.manual_seed(1)
    return get_peft_model(model, config)


def step(model: nn.Module, inputs: dict) -> Callable[[], None]:
    def run() -> None:
        model.zero_grad(set_to_none=True)
        model(**inputs).loss.backward()

    return run


class CountOperators(TorchDispatchMode):
    """Counts the operators that compute: views and empty tensors are left out."""

    _FREE = {"detach", "alias", "empty", "empty_like", "empty_strided", "new_empty_strided"}

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        free = operator.is_view or operator._overloadpacket.__name__ in self._FREE
        self.count += not free
        return operator(*args, **(kwargs or {}))


def operators(run: Callable[[], None]) -> int:
    """How many operators `run` calls, the second time."""
    run()
    with CountOperators() as counter:
        run()
    return counter.count


def differences(slow: nn.Module, fast: nn.Module, inputs: dict) -> tuple[float, float]:
    """The largest difference of logits and, relative to its parameter's largest, of gradients.

    Dropout off. The gradient of a key's bias is left out: it is zero but for rounding.
    """
    found = []
    for model in (slow, fast):
        model.eval().zero_grad(set_to_none=True)
        output = model(**inputs)
        output.loss.backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found.append((output.logits.detach(), gradients))
        model.train()
    (logits, expected), (other, gradients) = found
    worst = max(
        ((gradients[name] - gradient).abs().max() / gradient.abs().max()).item()
        for name, gradient in expected.items()
        if not name.endswith("key_proj.bias") and gradient.any()
    )
    return (logits - other).abs().max().item(), worst


def main(argv: list[str] | None = None) -> list[dict]:
    parser = arguments(__doc__, rounds=7)
    add_size_arguments(parser, layers=3)
    parser.add_argument("--sentences", type=int, default=32, help="per batch")
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 40, 66])
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    device = device_for_stage()
    full = random_deberta(args).to(device)
    rows = []
    for title, config in ADAPTERS.items():
        slow = copy.deepcopy(full)
        fast = optimise(copy.deepcopy(full))
        if config is not None:
            slow, fast = (adapted(model, config) for model in (slow, fast))
        for length in args.lengths:
            inputs = batch(length, args.sentences, args.vocabulary, device)
            logits, gradients = differences(slow, fast, inputs)
            cases = {"stock": step(slow, inputs), "compact": step(fast, inputs)}
            seconds = interleave(cases, args.rounds)
            rows.append(
                {
                    "trains": title,
                    "tokens": length,
                    "stock ms": 1000 * min(seconds["stock"]),
                    "compact ms": 1000 * min(seconds["compact"]),
                    "stock takes": paired_ratio(seconds["stock"], seconds["compact"]),
                    "stock operators": operators(cases["stock"]),
                    "compact operators": operators(cases["compact"]),
                    "logits differ": logits,
                    "gradients differ": gradients,
                }
            )
    text = (
        f"{args.layers} layers of width {args.hidden}, batches of {args.sentences}, float32, "
        f"dropout on. ms is the fastest round; 'stock takes' is stock time over compact time. "
        f"Differences are with dropout off, those of gradients relative.\n\n{table(rows)}"
    )
    title = "DeBERTa's attention over the relative positions a batch can use"
    report("attention", title, args.out, vars(args), rows, text)
    return rows


if __name__ == "__main__":
    main()
