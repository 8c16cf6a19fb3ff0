"""What a method is and where it comes from, by its PEFT type and arguments."""

from __future__ import annotations

from dataclasses import dataclass

from wsa.suite.schema import Method
from wsa.task import Task


@dataclass(frozen=True)
class About:
    """A sentence on a method, the name of its formula in `formulas.html`, its source."""

    summary: str
    formula: str = ""
    source: str = ""
    url: str = ""


_HYPOTHESIS = "the hypothesis this project tests"
_SPECTRAL = ("Zhang & Pilanci 2024, Spectral Adapter: Fine-Tuning in Spectral Space",
             "https://arxiv.org/abs/2405.13952")  # fmt: skip

_KINDS = {
    "full": About("Every parameter of the model trains.", "full"),
    "head_only": About(
        "The pretrained body is frozen; only the classification head trains.", "head_only"
    ),
    "majority": About("Nothing trains: the commonest label, always.", "majority"),
}
_PEFT = {
    "LORA": About(
        "A low-rank change is added to every adapted weight.", "lora",
        "Hu et al. 2022, LoRA: Low-Rank Adaptation of Large Language Models",
        "https://arxiv.org/abs/2106.09685",
    ),
    "ADALORA": About(
        "A low-rank change in the form of singular triplets, pruned to a budget as it trains.",
        "", "Zhang et al. 2023, AdaLoRA: Adaptive Budget Allocation",
        "https://arxiv.org/abs/2303.10512",
    ),
    "SORA": About(
        "A low-rank change with a learned gate on every direction; each step pulls the gates "
        "towards zero, and those that reach it drop their directions.",
        "", "Ding et al. 2023, Sparse Low-rank Adaptation of Pre-trained Language Models",
        "https://arxiv.org/abs/2311.11696",
    ),
    "SPECTRAL": About(
        "The leading singular vectors of every adapted weight are tuned; how many is fixed.",
        "spectral", *_SPECTRAL,
    ),
    "BOTTLENECK_ADAPTER": About(
        "Small networks with a skip connection stand at the ends of attention or feed-forward "
        "blocks.", "", "Houlsby et al. 2019, Parameter-Efficient Transfer Learning for NLP; "
        "Pfeiffer et al. 2021, AdapterFusion (arXiv:2005.00247)",
        "https://arxiv.org/abs/1902.00751",
    ),
    "LOREFT": About(
        "After the layers, a low-rank part of the first tokens’ hidden states is replaced by a "
        "learned linear function of them.", "",
        "Wu et al. 2024, ReFT: Representation Finetuning for Language Models",
        "https://arxiv.org/abs/2404.03592",
    ),
}  # fmt: skip
_DORA = About(
    "LoRA for the direction of a weight, and a learned vector for its magnitude.", "",
    "Liu et al. 2024, DoRA: Weight-Decomposed Low-Rank Adaptation",
    "https://arxiv.org/abs/2402.09353",
)  # fmt: skip
_WSA = {
    "singular_value": About(
        "Spectral-Adapter-A with a learned gate on every singular value, shrunk as it trains and "
        "pruned where it stays small.", "wsa_singular_value", _HYPOTHESIS,
    ),
    "product": About(
        "The gate as the hypothesis’s text has it: the product of two learned vectors.",
        "wsa_product", f"{_HYPOTHESIS}, its text to the letter",
    ),
    "direction": About(
        "A learned gate on the whole change of every singular direction, shrunk as it trains, so "
        "that pruning takes next to nothing away.", "wsa_direction", "this project",
    ),
}  # fmt: skip


def about(method: Method, task: Task) -> About:
    """What to say about `method`; for a PEFT method not known here, where its manual is."""
    if method.kind == "majority" and not task.classes:
        return About("Nothing trains: the mean training label, always.", "majority_number")
    if method.kind != "adapter":
        return _KINDS[method.kind]
    adapter = method.adapter or {}
    kind = adapter.get("peft_type")
    if kind == "WSA":
        if not adapter.get("subtract_base", True):
            return About(
                "The hypothesis’s code to the letter, which counts the leading directions twice.",
                "wsa_printed", f"{_HYPOTHESIS}, its code to the letter",
            )  # fmt: skip
        return _WSA.get(adapter.get("gate", "direction"), _WSA["direction"])
    if kind == "LORA" and adapter.get("use_dora"):
        return _DORA
    return _PEFT.get(kind) or About(
        f"PEFT’s own {kind}.", "", "the manual of PEFT", "https://huggingface.co/docs/peft"
    )
