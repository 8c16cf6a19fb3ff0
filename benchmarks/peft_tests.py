"""PEFT's own tests, run on the spectral adapters.

PEFT tests every method it ships with the same tests, each of which takes the method's
configuration as a parameter. This runs those tests, as they are, with the configurations of this
package in place of PEFT's. Tests that speak of one other method by name are left out.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
import types
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import peft
import pytest
import torch
from wsa.adapters import SpectralConfig, SpectralLayer, WSAConfig

MODULES = (
    "test_custom_models.py",
    "test_config.py",
    "test_lora_conversion.py",
    "test_decoder_models.py",
    "test_feature_extraction_models.py",
)


@dataclass(frozen=True)
class Refusal:
    """Tests that cannot pass, or should not.

    Attributes:
        tests: module::class::name, as a shell pattern.
        reason: why.
        error: what such a test raises; any other error is a failure. None: it is not run.
        cases: which parameters, as a shell pattern.
    """

    tests: str
    reason: str
    error: type[BaseException] | None = AssertionError
    cases: str = "*"

    def concerns(self, kinds: Sequence[str]) -> bool:
        """Whether tests of one of `kinds` are meant."""
        kind = self.cases.partition(":")[0]
        return any(fnmatch.fnmatchcase(name, kind) for name in kinds)


_CUSTOM, _CONFIG = (
    "test_custom_models.py::TestPeftCustomModel::",
    "test_config.py::TestPeftConfig::",
)
_CONVERSION = "test_lora_conversion.py::TestLoraConversion::"
_DECODER = "test_decoder_models.py::TestDecoderModels::"
_MIXED = "test_custom_models.py::TestMixedAdapterBatches::test_mixed_adapter_batches_"
_NO_MIXED_BATCHES = "one batch for several adapters (`adapter_names`) is not supported"
_OTHER_WEIGHTS = "it looks for LoKr's weights by name"
_HUB = "it needs the hub"
_DIVERGES = "its loss has no lower bound, and its learning rate of 0.5 takes it beyond float32"

# the tests that are not meant to pass; an entry that none needs any more is an error
REFUSALS = (
    Refusal(
        _CUSTOM + "test_training_custom_models", cases="*:MLP pruned",
        reason="a module pruned to rank 0 has no parameter to get a gradient",
    ),
    Refusal(
        _CUSTOM + "test_only_params_are_updated", cases="*:MLP pruned",
        reason="a module pruned to rank 0 has no parameter to train",
    ),
    *(
        Refusal(_CUSTOM + "test_parameters_after_loading_model", _DIVERGES, cases=case)
        for case in (
            "wsa:MLP both", "wsa:MLP ranks", "wsa_singular_value:MLP ranks",
            "wsa_product:MLP both", "wsa_product:MLP ranks",
        )
    ),
    Refusal(_MIXED + "mlp", _NO_MIXED_BATCHES),
    Refusal(_MIXED + "length_mismatch_raises", _NO_MIXED_BATCHES, pytest.fail.Exception),
    Refusal(_MIXED + "training_mode_raises", _NO_MIXED_BATCHES, pytest.fail.Exception),
    Refusal(_MIXED + "merged_raises", _NO_MIXED_BATCHES, pytest.fail.Exception),
    Refusal(_CONFIG + "test_from_pretrained", _HUB, None),
    Refusal(_CONFIG + "test_from_pretrained_cache_dir", _HUB, None),
    Refusal(_CONFIG + "test_save_pretrained_with_runtime_config", _HUB, None),
    Refusal(
        _CONFIG + "test_config_layers_to_transform_index_zero", error=TypeError,
        reason="modules are chosen by name alone: there is no `layers_to_transform`",
    ),
    Refusal(
        _CONVERSION + "test_model_with_unsupported_layers_raises", error=ValueError,
        reason="a convolution is refused when the adapter is made, not when it is converted",
    ),
    Refusal(_CONVERSION + "test_targeted_modules_identical", _OTHER_WEIGHTS),
    Refusal(_CONVERSION + "test_targeted_modules_identical_target_modules_str", _OTHER_WEIGHTS),
    Refusal(
        _DECODER + "test_merge_layers_nan",
        reason="a merge that is not finite raises the same ValueError in other words",
    ),
    Refusal(_DECODER + "test_prompt_learning_with_gradient_checkpointing", _HUB, None),
)  # fmt: skip


# --- what is put in place of PEFT's test cases


def _randomise(layer: SpectralLayer, adapter: str) -> None:
    """Move an adapter away from its start, at which it changes nothing."""
    config = layer.spectral_config[adapter]
    with torch.no_grad():
        for name in ("spectral_A_U", "spectral_A_V", "spectral_scale"):
            tensors = getattr(layer, name)
            if adapter in tensors:
                tensors[adapter].normal_(std=0.5)
        if adapter in layer.spectral_gate:
            low, high = (-0.5, 0.5) if config.gate == "singular_value" else (0.5, 1.5)
            layer.spectral_gate[adapter].uniform_(low, high)


_update_layer = SpectralLayer.update_layer


def _update_layer_as_asked(
    self: SpectralLayer, adapter_name: str, r: int, config: SpectralConfig, name: str
) -> None:
    _update_layer(self, adapter_name, r, config, name)
    if not getattr(config, "init_weights", True):
        _randomise(self, adapter_name)


@dataclass
class SpectralCase(SpectralConfig):
    """A configuration that PEFT's tests can ask for a random start, as they ask its own.

    Attributes:
        init_weights: whether the adapter starts as it should; not saved.
    """

    r: int = 2
    init_weights: InitVar[bool] = True

    def __post_init__(self, init_weights: bool) -> None:
        super().__post_init__()
        self.init_weights = init_weights


@dataclass
class WSACase(WSAConfig):
    """The same for the gated adapter."""

    r: int = 2
    init_weights: InitVar[bool] = True

    def __post_init__(self, init_weights: bool) -> None:
        super().__post_init__()
        self.init_weights = init_weights


@dataclass
class WSASingularValueCase(WSACase):
    """The same for gates on the singular values."""

    gate: str = "singular_value"


@dataclass
class WSAProductCase(WSACase):
    """The same for gates that are a product."""

    gate: str = "product"


KINDS: dict[str, type[SpectralConfig]] = {
    "spectral": SpectralCase,
    "wsa": WSACase,
    "wsa_singular_value": WSASingularValueCase,
    "wsa_product": WSAProductCase,
}

_BOTH = ["lin0", "lin1"]
# (name, the model of PEFT's that is meant, arguments)
CASES: tuple[tuple[str, str, dict], ...] = (
    ("MLP lin0", "MLP", {"target_modules": ["lin0"]}),
    ("MLP regex", "MLP", {"target_modules": "lin0"}),
    ("MLP lin1", "MLP", {"target_modules": ["lin1"]}),
    ("MLP both", "MLP", {"target_modules": _BOTH}),
    ("MLP saved", "MLP", {"target_modules": ["lin0"], "modules_to_save": ["lin1"]}),
    ("MLP both saved", "MLP", {"target_modules": _BOTH, "modules_to_save": ["lin1"]}),
    ("MLP ranks", "MLP", {"target_modules": _BOTH, "r": 4, "rank_pattern": {"lin1": 1}}),
    ("MLP pruned", "MLP", {"target_modules": _BOTH, "rank_pattern": {"lin1": 0}}),
    ("Conv1D", "EmbConv1D", {"target_modules": ["conv1d"], "r": 1}),
    ("Conv1D linear", "EmbConv1D", {"target_modules": ["conv1d", "lin0"], "r": 1}),
    ("Conv2d linear", "Conv2d", {"target_modules": ["lin0"]}),
)
# (name, arguments of one adapter, of another): on the model "MLP"
PAIRS: tuple[tuple[str, dict, dict], ...] = (
    ("same", {"target_modules": ["lin0"]}, {"target_modules": ["lin0"]}),
    ("different", {"target_modules": ["lin0"]}, {"target_modules": ["lin1"]}),
    ("ranks", {"target_modules": _BOTH}, {"target_modules": ["lin0"], "r": 5}),
)


def _parameters(names: tuple[str, ...], module: str, kinds: Sequence[str]) -> list | None:
    """What a test gets for `names`; None where they are not a method's configuration."""
    parameters = []
    for kind in kinds:
        values = _values(names, module, kind)
        if values is None:
            return None
        parameters += [pytest.param(*rest, id=f"{kind}:{name}") for name, *rest in values]
    return parameters


def _values(names: tuple[str, ...], module: str, kind: str) -> list[tuple] | None:
    """(a name for the case, what the test gets) of every case."""
    cls = KINDS[kind]
    random = {"init_weights": False}
    match names:
        case ("config_cls",):
            return [("", cls)]
        case ("config_cls", "config_kwargs"):
            return [("", cls, {"task_type": _task(module), "target_modules": None})]
        case ("config_class", "mandatory_kwargs"):
            return [("", WSAConfig if issubclass(cls, WSAConfig) else SpectralConfig, {})]
        case ("config0",):
            return [("", cls(target_modules=["lin0"], **random))]
        case ("test_name", "model_id", "config_cls", "config_kwargs"):
            return [(name, name, model, cls, dict(given)) for name, model, given in CASES]
        case ("test_name", "config0", "config1"):
            return [(name, name, cls(**a, **random), cls(**b, **random)) for name, a, b in PAIRS]
        case ("test_name", "tuner_method", "config_cls", "config_kwargs_1", "config_kwargs_2"):
            return [
                (name, name, kind, cls, {**a, **random}, {**b, **random}) for name, a, b in PAIRS
            ]
    return None


def _task(module: str) -> str:
    return "FEATURE_EXTRACTION" if "feature_extraction" in module else "CAUSAL_LM"


def write_models(folder: Path) -> dict[str, list[str]]:
    """Tiny models with random weights, in place of those on the hub: PEFT's test module → paths."""
    import transformers as t

    torch.manual_seed(0)
    small = {"vocab_size": 1024, "max_position_embeddings": 128}
    common = {**small, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
    wide = {**common, "intermediate_size": 32}
    # so wide that an adapter's change shows, which goes with σ, and so narrow that what PEFT lets a
    # conversion to LoRA lose, measured on LoKr, is what it may lose here: 90% of σ² is kept
    opt = {**common, "ffn_dim": 32, "word_embed_proj_dim": 16, "init_std": 0.1}
    gpt2 = {"vocab_size": 1024, "n_positions": 128, "n_embd": 16, "n_layer": 2, "n_head": 4}
    models = {
        "test_decoder_models": {
            "tiny-random-OPTForCausalLM": t.OPTForCausalLM(t.OPTConfig(**opt)),
            # not by its name, at which PEFT skips what it does not know to take Conv1D
            "tiny-random-Conv1DForCausalLM": t.GPT2LMHeadModel(t.GPT2Config(**gpt2)),
            "tiny-random-LlamaForCausalLM": t.LlamaForCausalLM(t.LlamaConfig(**wide)),
        },
        "test_feature_extraction_models": {
            "tiny-random-BertModel": t.BertModel(t.BertConfig(**wide)),
            "tiny-random-DebertaV2Model": t.DebertaV2Model(
                t.DebertaV2Config(**wide, relative_attention=True, pos_att_type=["p2c", "c2p"])
            ),
        },
    }
    written: dict[str, list[str]] = {}
    for module, by_name in models.items():
        for name, model in by_name.items():
            model.save_pretrained(folder / name)
            written.setdefault(module, []).append(str(folder / name))
    return written


# --- the plugin


class _Everything(defaultdict):
    """A dictionary that says it has every key."""

    def __contains__(self, key: object) -> bool:
        return True


class Plugin:
    """Gives PEFT's tests their parameters, and counts what comes of them."""

    def __init__(self, kinds: Sequence[str], models: dict[str, list[str]]) -> None:
        self.kinds = tuple(kinds)
        self.models = models
        self.counts: dict[str, Counter] = {kind: Counter() for kind in kinds}
        self.left_out = 0
        self.used: Counter = Counter()
        self._stand_ins: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """PEFT's tests import diffusers, for tests that are not run here."""
        if "diffusers" not in sys.modules and importlib.util.find_spec("diffusers") is None:
            module = types.ModuleType("diffusers")
            module.__spec__ = importlib.machinery.ModuleSpec("diffusers", None)
            module.StableDiffusionPipeline = type("StableDiffusionPipeline", (), {})
            sys.modules["diffusers"] = module
            self._stand_ins.append("diffusers")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for name in self._stand_ins:
            del sys.modules[name]
        # PEFT asks the hub for every model once, unless it has done so before
        utilities = sys.modules.get("tests.testing_utils")
        if utilities is not None:
            utilities._HUB_MODEL_ACCESSES = _Everything(int)

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        module = metafunc.module.__name__.rpartition(".")[2]
        markers = metafunc.definition.own_markers
        for index, mark in enumerate(markers):
            if mark.name != "parametrize":
                continue
            names = tuple(name.strip() for name in mark.args[0].split(","))
            if names == ("model_id",) and module in self.models:
                values = [pytest.param(path, id=Path(path).name) for path in self.models[module]]
            elif (
                "config1" in names and mark.args[1] is not metafunc.module.MIXED_ADAPTER_TEST_CASES
            ):
                values = None  # of a model with other modules
            else:
                values = _parameters(names, module, self.kinds)
            if values is not None:
                markers[index] = pytest.mark.parametrize(mark.args[0], values).mark
        if getattr(metafunc.cls, "__name__", None) == "TestLoraConversion":
            values = [pytest.param(KINDS[kind], id=f"{kind}:") for kind in self.kinds]
            metafunc.parametrize("in_place_of_lokr", values, indirect=True)

    @pytest.fixture(autouse=True)
    def seed(self) -> None:
        """Most of PEFT's tests draw from wherever the one before left the generator."""
        torch.manual_seed(0)

    @pytest.fixture(autouse=True)
    def in_place_of_lokr(self, request: pytest.FixtureRequest, monkeypatch: Any) -> None:
        """The tests of the conversion to LoRA have LoKr as their example."""
        if hasattr(request, "param"):
            from transformers import AutoModelForCausalLM

            model = AutoModelForCausalLM.from_pretrained(self.models["test_decoder_models"][0])
            monkeypatch.setattr(request.module, "LoKrConfig", request.param)
            monkeypatch.setattr(request.cls, "base_model", model)

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        ours = [item for item in items if _kind(item.nodeid) is not None]
        self.left_out = len(items) - len(ours)
        items[:] = ours
        for item in ours:
            for refusal in _refusals(item.nodeid):
                if refusal.error is None:
                    mark = pytest.mark.skip(reason=refusal.reason)
                else:
                    mark = pytest.mark.xfail(
                        reason=refusal.reason, raises=refusal.error, strict=True
                    )
                item.add_marker(mark)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        kind = _kind(report.nodeid)
        if report.when != "call" and report.outcome == "passed":
            return
        refusals = _refusals(report.nodeid)
        by_design = report.outcome == "skipped" and (
            hasattr(report, "wasxfail") or any(refusal.error is None for refusal in refusals)
        )
        self.counts[kind]["by design" if by_design else report.outcome] += 1
        if by_design:
            self.used.update(refusals)


def _kind(nodeid: str) -> str | None:
    """Which adapter a test is of, if it is of ours."""
    case = nodeid.partition("[")[2].removesuffix("]")
    named = [part.partition(":")[0] for part in case.split("-") if ":" in part]
    return next((kind for kind in named if kind in KINDS), None)


def _refusals(nodeid: str) -> list[Refusal]:
    test, _, case = nodeid.partition("[")
    return [
        refusal
        for refusal in REFUSALS
        if fnmatch.fnmatchcase(test.rpartition("/")[2], refusal.tests)
        and fnmatch.fnmatchcase(case.removesuffix("]"), refusal.cases)
    ]


# --- where PEFT's tests come from


def take_tests(source: Path, revision: str | None, folder: Path) -> Path:
    """Copy the folder tests/ of PEFT into `folder`; the source stays as it is.

    Args:
        source: a checkout, a git repository (with `revision`), or a source distribution (.tar.gz).
        revision: of the repository.
        folder: an empty one.

    Returns:
        `folder`/tests.
    """
    tests = folder / "tests"
    if revision is not None:
        archive = folder / "tests.tar"
        command = ["git", "-C", str(source), "archive", "-o", str(archive), revision, "tests"]
        subprocess.run(command, check=True)
        _unpack(archive, folder)
    elif source.is_file():
        _unpack(source, folder / "distribution")
        (found,) = (folder / "distribution").glob("*/tests")
        found.rename(tests)
    else:
        shutil.copytree(source / "tests" if (source / "tests").is_dir() else source, tests)
    (tests / "__init__.py").touch()  # they import one another; a distribution leaves it out
    return tests


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")


def run(tests: Path, kinds: Sequence[str], extra: Sequence[str] = ()) -> tuple[int, Plugin]:
    """Run the tests in the folder `tests` on adapters of `kinds`.

    Returns:
        What the process should exit with, and the plugin with the counts.
    """
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    modules = [str(tests / name) for name in MODULES if (tests / name).is_file()]
    models = write_models(tests.parent / "models") if len(modules) > 1 else {}
    plugin = Plugin(kinds, models)
    settings = tests.parent / "pytest.ini"
    settings.write_text("[pytest]\nmarkers =\n    regression\n    single_gpu_tests\n")
    SpectralLayer.update_layer = _update_layer_as_asked
    try:
        status = pytest.main(
            [
                "-q", "-rs", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-W", "ignore",
                *("-c", str(settings), "--rootdir", str(tests.parent)), *extra, *modules,
            ],
            plugins=[plugin],
        )  # fmt: skip
    finally:
        SpectralLayer.update_layer = _update_layer
    return int(status), plugin


def unused(plugin: Plugin) -> list[Refusal]:
    """The entries of the table that no failing test needed."""
    return [r for r in REFUSALS if r.concerns(plugin.kinds) and not plugin.used[r]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="PEFT: checkout, git repository, or .tar.gz")
    parser.add_argument("--revision", help="of a git repository")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=["spectral", "wsa"])
    parser.add_argument("--only", metavar="EXPRESSION", help="a selection, as pytest -k takes it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tests = take_tests(arguments.source.resolve(), arguments.revision, Path(scratch))
        extra = ["-k", arguments.only] if arguments.only else []
        status, plugin = run(tests, arguments.kind, extra)
    print(f"\npeft {peft.__version__}; {plugin.left_out} tests of other methods left out")
    for kind, counts in plugin.counts.items():
        print(
            f"{kind}: {counts['passed']} passed, {counts['failed']} failed, "
            f"{counts['by design']} by design, {counts['skipped']} skipped by PEFT"
        )
    for refusal, tests in plugin.used.items():
        print(f"{tests:4} by design: {refusal.tests.rpartition('::')[2]}: {refusal.reason}")
    if arguments.only is None:
        for refusal in unused(plugin):
            status = 1
            print(f"not needed any more: {refusal.tests} [{refusal.cases}]")
    return status


if __name__ == "__main__":
    sys.exit(main())
