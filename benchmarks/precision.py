"""`python -m benchmarks.precision`: a CPU's bfloat16 beside float32, by two roads.

`autocast` is what `precision: bfloat16` is today: the operators that torch chose for it work on
bfloat16 tensors. `matmul` leaves every tensor in float32 and lets oneDNN round the operands of its
matrix products to bfloat16 (`torch.backends.mkldnn.matmul.fp32_precision`), which it does where it
has such a kernel: errors like those of float32 say that it has none. Time of a training step
and of a prediction, and how far logits and gradients then lie from those in float64. The model has
the pretrained weights where `snakemake` has fetched them, else random ones in BERT's shape.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification
from wsa.layout import Layout
from wsa.learning.models import attach, load_pretrained
from wsa.learning.optimise import optimise
from wsa.suite.load import load_suite
from wsa.suite.schema import Suite

from benchmarks.attention import batch
from benchmarks.timing import arguments, interleave, paired_ratio, report, table

FLOAT32, AUTOCAST, MATMUL = ARITHMETICS = ("float32", "autocast", "matmul")
CPU = torch.device("cpu")


def pretrained(suite: Suite, folder: Path, layers: int, hidden: int) -> nn.Module:
    """The suite's model from `folder`, else one with random weights and 30,522 words."""
    torch.manual_seed(0)
    if folder.exists():
        return load_pretrained(folder, 0, suite.data.task)
    config = BertConfig(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=hidden // 32,
        intermediate_size=4 * hidden, num_labels=suite.data.task.num_labels,
    )  # fmt: skip
    config.problem_type = suite.data.task.problem_type
    return optimise(BertForSequenceClassification(config))


@contextlib.contextmanager
def products_in(kind: str) -> Iterator[None]:
    """oneDNN's float32 products with operands in bfloat16, if that is the kind."""
    products = torch.backends.mkldnn.matmul
    before = products.fp32_precision
    products.fp32_precision = "bf16" if kind == MATMUL else "ieee"
    try:
        yield
    finally:
        products.fp32_precision = before


def forward(model: nn.Module, inputs: dict, kind: str):
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == AUTOCAST):
        return model(**inputs)


def training_step(model: nn.Module, inputs: dict, kind: str) -> Callable[[], None]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=True)

    def run() -> None:
        model.train()
        with products_in(kind):
            forward(model, inputs, kind).loss.backward()
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return run


def prediction(model: nn.Module, inputs: dict, kind: str) -> Callable[[], None]:
    def run() -> None:
        model.eval()
        with torch.inference_mode(), products_in(kind):
            forward(model, inputs, kind)

    return run


def found(model: nn.Module, inputs: dict, kind: str) -> tuple[Tensor, Tensor]:
    """Logits and all gradients, each as one vector in float64; dropout off."""
    model.eval().zero_grad(set_to_none=True)
    with products_in(kind):
        outputs = forward(model, inputs, kind)
        outputs.loss.backward()
    gradients = [p.grad.flatten().double() for p in model.parameters() if p.grad is not None]
    model.zero_grad(set_to_none=True)
    return outputs.logits.detach().flatten().double(), torch.cat(gradients)


def error(vector: Tensor, truth: Tensor) -> float:
    """Of the whole vector, relative."""
    return ((vector - truth).norm() / truth.norm()).item()


def under_way(model: nn.Module) -> nn.Module:
    """The model with small numbers where an adapter starts with zeros, as after some steps."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad and not parameter.any():
            nn.init.normal_(parameter, std=0.01)
    return model


def main(argv: list[str] | None = None) -> list[dict]:
    parser = arguments(__doc__, rounds=15)
    parser.add_argument("--suite", default="minilm-l6_movie-snippets", help="its model and methods")
    parser.add_argument("--methods", nargs="+", default=["full", "lora", "spectral_a"])
    parser.add_argument("--resources", type=Path, default=Path("resources"))
    parser.add_argument("--sentences", type=int, default=32, help="per batch")
    parser.add_argument("--lengths", type=int, nargs="+", default=[32])
    parser.add_argument("--layers", type=int, default=6, help="of random weights")
    parser.add_argument("--hidden", type=int, default=384, help="width of random weights")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    suite = load_suite(args.suite, "config")
    folder = Layout(resources=args.resources).model(suite.model.name)
    base = pretrained(suite, folder, args.layers, args.hidden)
    rows = []
    for name in args.methods:
        method = suite.method(name)
        model = under_way(attach(copy.deepcopy(base), method, suite.model))
        for length in args.lengths:
            inputs = batch(length, args.sentences, base.config.vocab_size, CPU)
            truth = found(copy.deepcopy(model).double(), inputs, FLOAT32)
            errors = {
                kind: list(map(error, found(model, inputs, kind), truth)) for kind in ARITHMETICS
            }
            cases = {}
            for kind in ARITHMETICS:
                own = copy.deepcopy(model)
                cases["step", kind] = training_step(own, inputs, kind)
                cases["prediction", kind] = prediction(own, inputs, kind)
            seconds = interleave(cases, args.rounds)
            for kind in ARITHMETICS:
                row = {"trains": name, "tokens": length, "arithmetic": kind}
                for what in ("step", "prediction"):
                    own, plain = seconds[what, kind], seconds[what, FLOAT32]
                    row[f"{what} ms"] = 1000 * min(own)
                    row[f"{what}: times as fast"] = paired_ratio(plain, own)
                row["logits off"], row["gradients off"] = errors[kind]
                rows.append(row)
    text = (
        f"{suite.model.title}, {'pretrained' if folder.exists() else 'random'} weights, batches of "
        f"{args.sentences} sentences of random words, half of them half as long. ms is the fastest "
        "round. 'off' is the relative error of the whole vector, beside float64 and without "
        f"dropout.\n\n{table(rows)}"
    )
    report("precision", "Bfloat16 on a CPU, by two roads", args.out, vars(args), rows, text)
    return rows


if __name__ == "__main__":
    main()
