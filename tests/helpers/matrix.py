"""Every method of PEFT and of ours: how it is written down, and what comes of it.

The one record of it: `tests/suite/test_matrix.py` holds every row against what happens, and
`docs/methods.md` is written from it (`python -m tests.helpers.matrix`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COMPUTED = "this start is computed from data before training, which the benchmark does not do"
LAYER_ENDS = r".*\.\d+\.output\.LayerNorm"  # the norm at the end of every layer
ONE_TASK = "wants the number of a task with every sentence, and a suite has one task"
PAGE = Path(__file__).parents[2] / "docs/methods.md"


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        name: as the field calls it.
        source: the paper, as an arXiv number or a venue.
        adapter: as a suite's YAML has it.
        sizes: arguments in place of its own for a model that is 32 wide; no part of the page.
        merges: whether it becomes part of the weights.
        refused: why, as the message says it; empty: it works.
        instead: what that message says to write.
    """

    name: str
    source: str
    adapter: dict[str, Any]
    sizes: dict[str, Any]
    merges: bool = True
    refused: str = ""
    instead: str = ""

    @property
    def tried(self) -> dict[str, Any]:
        return self.adapter | self.sizes


def _rows() -> Iterator[Row]:
    def lora(name: str, source: str, **arguments: Any) -> Row:
        adapter = {"peft_type": "LORA", "r": 8, "lora_alpha": 16} | arguments
        return Row(name, source, adapter, {"r": 4})

    def row(
        name: str, source: str, peft_type: str, sizes: dict[str, Any] | None = None,
        merges: bool = True, **arguments: Any,
    ) -> Row:  # fmt: skip
        return Row(name, source, {"peft_type": peft_type} | arguments, sizes or {}, merges)

    def no(name: str, peft_type: str, refused: str, instead: str, **arguments: Any) -> Row:
        adapter = {"peft_type": peft_type} | arguments
        return Row(name, "", adapter, {}, False, refused, instead)

    yield lora("LoRA", "arXiv:2106.09685")
    yield lora("rsLoRA", "arXiv:2312.03732", use_rslora=True)
    yield lora("DoRA", "arXiv:2402.09353", use_dora=True)
    yield lora("PiSSA", "arXiv:2404.02948", init_lora_weights="pissa")
    yield lora("OLoRA", "arXiv:2406.01775", init_lora_weights="olora")
    yield lora("LoRA, orthogonal start", "", init_lora_weights="orthogonal")
    yield no(
        "EVA",
        "EVA",
        "starts from a pass over the data, which the benchmark does not make",
        "{peft_type: LORA, init_lora_weights: pissa}",
    )
    yield no("EVA, as an argument", "LORA", COMPUTED, "pissa", init_lora_weights="eva")
    yield no("CorDA", "LORA", COMPUTED, "pissa", init_lora_weights="corda")
    yield no("LoRA-GA", "LORA", COMPUTED, "pissa", init_lora_weights="lora_ga")
    yield no(
        "LoRA+",
        "LORA+",
        "is LoRA with another rate for B",
        "{peft_type: LORA} beside learning_rate_ratio: 16",
    )
    yield no(
        "LoRA-FA",
        "LORA-FA",
        "is LoRA with an optimiser of its own that leaves A alone, and every method here has AdamW",
        "{peft_type: VERA} trains no A",
    )
    yield no(
        "QA-LoRA",
        "LORA",
        "needs a model with GPTQ-quantised weights; on this one it is plain LoRA",
        "leave it out",
        use_qalora=True,
    )
    yield lora("MonteCLoRA", "", monteclora_config={"num_samples": 2})
    yield lora("KaSA", "arXiv:2412.06071", kasa_config={})
    yield row(
        "AdaLoRA", "arXiv:2303.10512", "ADALORA",
        {"init_r": 4, "target_r": 2, "total_step": 12, "tinit": 2, "tfinal": 4},
        init_r=12, target_r=8, lora_alpha=16, total_step=94, tinit=10, tfinal=40,
    )  # fmt: skip
    yield no(
        "AdaLoRA, for another number of steps", "ADALORA",
        "its schedule is for another number of steps than the 12 of its training",
        "total_step: 12", total_step=9,
    )  # fmt: skip
    yield no(
        "ElaLoRA",
        "ELALORA",
        "is not built: its authors' code makes a new AdamW at each change of ranks, which loses "
        "all weights' moments and keeps the first rate to the end, and every method here has one "
        "AdamW under the suite's schedule; what arXiv:2504.00254 wants of moments and rate was not "
        "found",
        "{peft_type: ADALORA} or {peft_type: SORA} adapt ranks",
    )
    yield no(
        "ARD-LoRA",
        "ARD-LORA",
        "is not built: of arXiv:2506.18267 its abstract was read, and no code of its authors was "
        "found; open are how a learned factor becomes a whole rank and how the loss reaches it "
        "through that, the factors' start, bounds and rate, over what total variation is taken, "
        "and the weights of both penalties",
        "{peft_type: ADALORA} or {peft_type: SORA} adapt ranks",
    )
    yield row("AdaMSS", "", "ADAMSS", {"r": 4, "num_subspaces": 2})
    yield no(
        "AdaMSS with allocation",
        "ADAMSS",
        "its allocation of subspaces keeps scores that no saved state holds",
        "all subspaces train; {peft_type: ADALORA} allocates ranks",
        use_asa=True,
        r=4,
    )
    yield row("VeRA", "arXiv:2310.11454", "VERA", {"r": 8}, r=256)
    yield row("PVeRA", "arXiv:2512.07703", "PVERA", {"r": 8}, r=256)
    yield row("RandLoRA", "arXiv:2502.00987", "RANDLORA", {"r": 4}, r=32)
    yield row(
        "VB-LoRA", "arXiv:2405.15179", "VBLORA", {"vector_length": 8, "num_vectors": 8},
        r=4, num_vectors=256, vector_length=128,
    )  # fmt: skip
    yield row("TinyLoRA", "arXiv:2602.04118", "TINYLORA", {"u": 4}, r=2)
    yield row("Uni-LoRA", "arXiv:2506.00799", "UNILORA", {"theta_d_length": 32}, r=4)
    yield row("MiSS", "arXiv:2409.15371", "MISS", {"r": 4}, r=64)
    yield row("DeLoRA", "arXiv:2503.18225", "DELORA", {"r": 4}, r=8)
    yield row("GraLoRA", "arXiv:2505.20355", "GRALORA", {"r": 4, "alpha": 8}, r=32)
    yield row("HiRA", "ICLR 2025", "HIRA", {"r": 4}, r=32)
    yield row("GLoRA", "arXiv:2306.07967", "GLORA", {"r": 4}, r=8)
    yield row("LoHa", "arXiv:2108.06098", "LOHA", {"r": 4}, r=8)
    yield row("LoKr", "arXiv:2212.10650", "LOKR", {"r": 4}, r=8)
    yield row("Lily", "arXiv:2407.09946", "LILY", {"r": 4}, False, r=32)
    yield row("PEANuT", "arXiv:2410.01870", "PEANUT", {"r": 4}, r=32)
    yield row("DEFT", "", "DEFT", {"r": 4}, r=8)
    yield row("FRoD", "", "FROD")
    yield row("OFT", "arXiv:2306.07280", "OFT", {"oft_block_size": 8}, oft_block_size=32)
    yield row("BOFT", "arXiv:2311.06243", "BOFT", boft_block_size=4)
    yield row("HRA", "arXiv:2405.17484", "HRA", {"r": 4}, r=8)
    yield row("PSOFT", "arXiv:2505.11235", "PSOFT", {"r": 4, "psoft_alpha": 4}, r=32)
    yield row("RoAd", "arXiv:2409.00119", "ROAD", {"group_size": 8}, group_size=64)
    yield row("OSF", "", "OSF")
    yield row("FourierFT", "arXiv:2405.03003", "FOURIERFT", {"n_frequency": 64}, n_frequency=1000)
    yield row("WaveFT", "", "WAVEFT", {"n_frequency": 64}, n_frequency=2592)
    yield row("C3A", "arXiv:2407.19342", "C3A", {"block_size": 8}, block_size=128)
    yield row("SHiRA", "arXiv:2406.13175", "SHIRA", {"r": 4}, r=32)
    yield row("Super-tuning", "arXiv:2607.09287", "SUPERTUNING", {"sparsity": 0.9})
    yield row("IA3", "arXiv:2205.05638", "IA3")
    yield row("LN tuning", "arXiv:2312.11420", "LN_TUNING", target_modules=["LayerNorm"])
    yield no(
        "LN tuning of linear modules",
        "LN_TUNING",
        "trains norms, and the model's target_modules are linear",
        "[LayerNorm]",
    )
    yield row("BEFT", "arXiv:2509.15974", "BEFT")
    yield no(
        "BitFit",
        "BITFIT",
        "trains the biases that a model has, which no PEFT type does",
        "{peft_type: BEFT}: a bias of its own for every target module",
    )
    yield row(
        "Houlsby adapters", "arXiv:1902.00751", "BOTTLENECK_ADAPTER", {"r": 4}, False,
        r=64, train_norms=True, target_modules=["output.dense"],
    )  # fmt: skip
    yield row(
        "Pfeiffer adapters", "arXiv:2005.00247", "BOTTLENECK_ADAPTER", {"r": 4}, False,
        r=24, activation="relu", init_std=0.02, target_modules=LAYER_ENDS,
    )  # fmt: skip
    yield row(
        "LoReFT", "arXiv:2404.03592", "LOREFT", {}, False,
        r=1, positions="f3", dropout=0.1, target_modules=LAYER_ENDS,
    )  # fmt: skip
    yield no(
        "LoReFT of linear modules",
        "LOREFT",
        "edits the hidden states that a layer's last norm gives",
        "target_modules",
        positions="f3",
    )
    yield no(
        "LoReFT at the last tokens",
        "LOREFT",
        "a module does not see where a sentence ends",
        "positions",
        positions="f3+l3",
        target_modules=LAYER_ENDS,
    )
    yield row(
        "Prompt tuning", "arXiv:2104.08691", "PROMPT_TUNING", {}, False, num_virtual_tokens=20
    )
    yield row("P-tuning", "arXiv:2103.10385", "P_TUNING", {}, False, num_virtual_tokens=20)
    yield row(
        "Prefix tuning", "arXiv:2101.00190", "PREFIX_TUNING", {}, False, num_virtual_tokens=20
    )
    yield no(
        "Prompt tuning without a length",
        "PROMPT_TUNING",
        "must know how many tokens it puts before a sentence",
        "a whole number, such as 20",
    )
    yield row("Cartridge", "", "CARTRIDGE", {}, False, num_virtual_tokens=20)
    yield no("Multitask prompt tuning", "MULTITASK_PROMPT_TUNING", ONE_TASK, "PROMPT_TUNING")
    yield no(
        "CPT",
        "CPT",
        "is for causal language models, and this benchmark trains encoders",
        "PROMPT_TUNING",
    )
    yield no(
        "LLaMA-Adapter",
        "ADAPTION_PROMPT",
        "adapts causal language models such as Llama, and this benchmark trains encoders",
        "PROMPT_TUNING",
    )
    yield no("Poly", "POLY", ONE_TASK, "LORA")
    yield no(
        "Shadow",
        "SHADOW",
        "follows the layers of a decoder, and this benchmark trains encoders",
        "LORA",
    )
    yield no(
        "Trainable tokens",
        "TRAINABLE_TOKENS",
        "trains embeddings of single tokens alone, and the new head must train with them",
        "LORA with trainable_token_indices",
    )
    yield no(
        "X-LoRA",
        "XLORA",
        "mixes LoRA adapters that were trained before, and the new head must train with them",
        "LORA",
    )
    yield row("Spectral-Adapter-A", "arXiv:2405.13952", "SPECTRAL", {"r": 4}, r=8)
    yield row("Spectral-Adapter-R", "arXiv:2405.13952", "SPECTRAL_R", {"r": 4}, r=16)
    yield row("MiLoRA", "arXiv:2406.09044", "MILORA", {"r": 4}, r=8)
    yield row("SVDiff", "arXiv:2303.11305", "SVDIFF")
    yield row("SVFT", "arXiv:2405.19597", "SVFT")
    yield row("SVFT, banded", "arXiv:2405.19597", "SVFT", off_diagonals=2)
    yield row("LoRA-XS", "arXiv:2405.17604", "LORA_XS", {"r": 4}, r=16)
    yield row("VectorFit without freezing", "arXiv:2503.19530", "VECTORFIT")
    yield row("WSA as proposed", "", "WSA", {"r": 4}, r=16, gate="singular_value", l1=1e-3)
    yield row("WSA by direction", "", "WSA", {"r": 4}, r=16, gate="direction", l1=5e-4)
    yield row(
        "SoRA", "arXiv:2311.11696", "SORA", {"r": 4, "soft_threshold": 0.05},
        r=16, lora_alpha=32, soft_threshold=1.2e-2, gate_learning_rate=6.4e-2,
    )  # fmt: skip


ROWS = tuple(_rows())


def page() -> str:
    """The text of docs/methods.md."""
    works = [row for row in ROWS if not row.refused]
    refused = [row for row in ROWS if row.refused]
    lines = [
        "# Methods by configuration",
        "",
        "Written by `python -m tests.helpers.matrix` from what `tests/suite/test_matrix.py` tries;",
        "a test fails where the two differ.",
        "",
        f"## What works: {len(works)} methods",
        "",
        "Each is checked, trained, saved, loaded into a fresh model with the same logits, and",
        "merged where it can be; no frozen weight moves. The adapter is what stands in a suite's",
        "YAML; the learning rate is yours, or found by trials (config/suites/minilm-l6_zoo.yaml).",
        "",
        "| method | adapter | merges | paper |",
        "|---|---|---|---|",
        *(
            f"| {row.name} | `{_yaml(row.adapter)}` | {'yes' if row.merges else 'no'} | "
            f"{row.source} |"
            for row in works
        ),
        "",
        f"## What is refused: {len(refused)}",
        "",
        "Before any training, with the reason and what to write.",
        "",
        "| asked for | adapter | why not | what to write |",
        "|---|---|---|---|",
        *(
            f"| {row.name} | `{_yaml(row.adapter)}` | {row.refused} | {row.instead} |"
            for row in refused
        ),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _yaml(adapter: dict[str, Any]) -> str:
    return yaml.safe_dump(adapter, default_flow_style=True, sort_keys=False, width=1000).strip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
