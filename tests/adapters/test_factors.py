"""Truncated SVDs against scipy's, their cache under damage, and the index of a checkpoint."""

import json

import numpy as np
import pytest
import safetensors.torch
import scipy.linalg
import torch
from wsa.adapters.factors import ALGORITHM, FactorCache, truncated_svd
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.stages.factors import build_factor_index
from wsa.suite.schema import ModelSpec


def matrix(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_spectrum(out: int, inn: int, spectrum: list[float]) -> torch.Tensor:
    """A float64 matrix whose singular values are known."""
    left, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(out, len(spectrum))))
    right, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(inn, len(spectrum))))
    return torch.from_numpy(left * np.array(spectrum) @ right.T)


@pytest.mark.parametrize("shape", [(40, 40), (96, 24), (24, 96), (7, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_triplets_are_scipys_with_the_sign_rule(shape, dtype):
    weight, rank = matrix(*shape).to(dtype), min(5, *shape)
    U, S, Vh = scipy.linalg.svd(weight.double().numpy(), full_matrices=False, lapack_driver="gesvd")
    factors = truncated_svd(weight, rank)
    assert {factors.U.dtype, factors.singular_values.dtype, factors.V.dtype} == {torch.float64}
    assert (factors.U.shape, factors.V.shape) == ((shape[0], rank), (rank, shape[1]))
    np.testing.assert_allclose(factors.singular_values, S[:rank], rtol=1e-13)
    for i in range(rank):
        sign = np.sign(U[np.abs(U[:, i]).argmax(), i])
        np.testing.assert_allclose(factors.U[:, i], sign * U[:, i], atol=1e-11)
        np.testing.assert_allclose(factors.V[i], sign * Vh[i], atol=1e-11)


@pytest.mark.parametrize(
    "spectrum", [[3.0, 2.0, 1.0], [3.0, 2.0, 1.0, 1e-9], [1.0] * 8, [1.0, 1e-6, 1e-12], []]
)
@pytest.mark.parametrize("shape", [(30, 20), (20, 30)])
def test_both_sides_stay_orthonormal_without_full_rank(spectrum, shape):
    weight = with_spectrum(*shape, spectrum) if spectrum else torch.zeros(shape)
    factors = truncated_svd(weight, 8)
    expected = np.zeros(8)
    expected[: len(spectrum)] = spectrum
    np.testing.assert_allclose(factors.singular_values, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(factors.U.T @ factors.U, np.eye(8), atol=1e-12)
    np.testing.assert_allclose(factors.V @ factors.V.T, np.eye(8), atol=1e-12)
    rebuilt = factors.U * factors.singular_values @ factors.V
    np.testing.assert_allclose(rebuilt, weight, atol=1e-12)


def test_bits_do_not_depend_on_the_number_of_threads():
    weight, before, found = matrix(300, 260), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(truncated_svd(weight, 4).sha256)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_named(bad):
    weight = matrix(6, 4)
    weight[2, 3] = bad
    with pytest.raises(InputError, match="layer.0.query holds NaN or Inf"):
        truncated_svd(weight, 2, "layer.0.query")


@pytest.mark.parametrize("rank", [0, 5, -1])
def test_a_rank_that_does_not_fit_is_named(rank):
    with pytest.raises(InputError, match=rf"rank {rank} .*layer.0.query.*6×4"):
        truncated_svd(matrix(6, 4), rank, "layer.0.query")


def test_key_changes_with_every_component(monkeypatch):
    weight = matrix(6, 4)
    moved = weight.clone()
    moved[0, 0] = torch.nextafter(moved[0, 0], torch.tensor(9.0))
    keys = [
        FactorCache.key(weight, 2),
        FactorCache.key(weight, 3),
        FactorCache.key(moved, 2),
        FactorCache.key(weight.reshape(4, 6), 2),
        FactorCache.key(weight.view(torch.int32), 2),
    ]
    for fact in ("algorithm", "version", "compute_dtype", "sign_rule"):
        monkeypatch.setitem(ALGORITHM, fact, "another")
        keys.append(FactorCache.key(weight, 2))
    assert len(set(keys)) == len(keys)


def test_key_is_of_the_content_not_the_memory():
    weight = matrix(6, 4)
    assert FactorCache.key(weight, 2) == FactorCache.key(weight.T.contiguous().T, 2)


def test_second_reading_gives_the_same_bits_without_computing(tmp_path, monkeypatch, capsys):
    cache, weight = FactorCache(tmp_path), matrix(20, 12)
    first, key = cache.get(weight, 4)
    monkeypatch.setattr("wsa.adapters.factors.truncated_svd", None)
    second, same_key = cache.get(weight.clone(), 4)
    assert key == same_key
    for name in ("U", "singular_values", "V"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert [path.name for path in tmp_path.iterdir()] == [f"{key}.safetensors"]
    assert capsys.readouterr().out == ""


def damage_truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def damage_empty(content: bytes) -> bytes:
    return b""


def damage_value(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


def damage_hash(content: bytes) -> bytes:
    place = content.index(b'"sha256":"') + 12
    return content[:place] + (b"0" if content[place] != ord("0") else b"1") + content[place + 1 :]


def damage_name(content: bytes) -> bytes:
    return content.replace(b'"U"', b'"X"')


def damage_dtype(content: bytes) -> bytes:
    return content.replace(b'"F64"', b'"I64"')


@pytest.mark.parametrize(
    "damage",
    [damage_truncate, damage_empty, damage_value, damage_hash, damage_name, damage_dtype],
)
def test_damage_is_noticed_said_and_mended(damage, tmp_path, capsys):
    cache, weight = FactorCache(tmp_path), matrix(20, 12)
    first, key = cache.get(weight, 4, "layer.0.query")
    digest = cache.digest([key])
    path = cache.path(key)
    whole = path.read_bytes()
    assert damage(whole) != whole
    path.write_bytes(damage(whole))
    with pytest.raises(InputError, match=key):
        cache.digest([key])
    again, _ = cache.get(weight, 4, "layer.0.query")
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "damaged" in said and key in said and "layer.0.query" in said
    assert torch.equal(first.U, again.U) and path.read_bytes() == whole
    assert cache.digest([key]) == digest


def test_digest_is_of_a_set_of_contents(tmp_path):
    cache = FactorCache(tmp_path)
    keys = [cache.get(matrix(8, 6, seed=seed), 2)[1] for seed in range(3)]
    assert cache.digest(keys) == cache.digest([*reversed(keys), keys[0]])
    assert cache.digest(keys) != cache.digest(keys[:2])
    with pytest.raises(InputError, match="f" * 64):
        cache.digest(["f" * 64])


# --- the index of a checkpoint -------------------------------------------------------------------


def spec(*targets: str) -> ModelSpec:
    return ModelSpec(
        name="tiny",
        title="Tiny",
        source={"kind": "path", "path": "."},
        target_modules=targets,
        head_modules=("pooler.dense", "classifier"),
    )


def state(prefix: str = "deberta.") -> dict[str, torch.Tensor]:
    tensors = {"pooler.dense.weight": matrix(12, 12), "mask_predictions.dense.weight": matrix(9, 9)}
    for layer in range(2):
        start = f"{prefix}encoder.layer.{layer}."
        for seed, name in enumerate(("query_proj", "key_proj"), start=10 * layer):
            tensors[f"{start}attention.self.{name}.weight"] = matrix(12, 12, seed=seed)
            tensors[f"{start}attention.self.{name}.bias"] = matrix(12, 1, seed=seed)[:, 0]
        tensors[f"{start}intermediate.dense.weight"] = matrix(24, 12, seed=layer)
    return tensors


def save(tensors: dict, folder, form: str) -> None:
    folder.mkdir(parents=True)
    names = sorted(tensors)
    halves = [{n: tensors[n] for n in part} for part in (names[::2], names[1::2])]
    if form == "safetensors":
        safetensors.torch.save_file(tensors, folder / "model.safetensors")
    elif form == "bin":
        torch.save(tensors, folder / "pytorch_model.bin")
    elif form == "old bin":
        torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    else:
        for part, half in enumerate(halves):
            safetensors.torch.save_file(half, folder / f"model-{part}.safetensors")
        where = {n: f"model-{part}.safetensors" for part, half in enumerate(halves) for n in half}
        index = folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": where}))


@pytest.fixture
def layout(tmp_path):
    return Layout(resources=tmp_path)


@pytest.mark.parametrize("form", ["safetensors", "shards", "bin", "old bin"])
def test_index_finds_targets_in_every_form_of_checkpoint(form, layout, capsys):
    tensors = state()
    save(tensors, layout.model("tiny"), form)
    path = build_factor_index(spec("query_proj", "intermediate.dense"), 3, layout)
    index = json.loads(path.read_text())
    assert path == layout.factor_index("tiny", 3)
    assert set(index["modules"]) == {
        f"deberta.encoder.layer.{layer}.{name}"
        for layer in range(2)
        for name in ("attention.self.query_proj", "intermediate.dense")
    }
    assert (index["model"], index["rank"], index["compute_dtype"]) == ("tiny", 3, "float64")
    cache = FactorCache(layout.factors)
    for name, entry in index["modules"].items():
        factors, key = cache.get(tensors[f"{name}.weight"], 3)
        assert entry["key"] == key and entry["sha256"] == factors.sha256
        assert entry["shape"] == list(tensors[f"{name}.weight"].shape)
    assert index["digest"] == cache.digest(e["key"] for e in index["modules"].values())
    assert capsys.readouterr().out.count("\n") == 4


def test_half_precision_weights_are_found_under_their_float32_value(layout):
    tensors = {name: tensor.half() for name, tensor in state(prefix="").items()}
    save(tensors, layout.model("tiny"), "bin")
    index = json.loads(build_factor_index(spec("key_proj"), 2, layout).read_text())
    name = "encoder.layer.1.attention.self.key_proj"
    loaded = tensors[f"{name}.weight"].to(torch.float32)
    assert index["modules"][name]["key"] == FactorCache.key(loaded, 2)


def test_head_is_not_decomposed_although_a_target_matches_it(layout):
    save(state(), layout.model("tiny"), "safetensors")
    index = json.loads(build_factor_index(spec("dense"), 2, layout).read_text())
    assert "pooler.dense" not in index["modules"]
    assert "mask_predictions.dense" in index["modules"]


def test_target_without_a_match_is_named_with_the_nearest(layout):
    save(state(), layout.model("tiny"), "safetensors")
    with pytest.raises(InputError) as error:
        build_factor_index(spec("query_proj", "kye_proj"), 2, layout)
    message = str(error.value)
    assert "'kye_proj'" in message and "'tiny'" in message and "did you mean 'key_proj'" in message
    assert "deberta.encoder.layer.0.attention.self.key_proj" in message
    # the end of a name counts from a dot on, as in PEFT
    with pytest.raises(InputError, match="'proj'"):
        build_factor_index(spec("proj"), 2, layout)


def test_faults_of_the_checkpoint_are_named(layout):
    with pytest.raises(InputError, match="holds no weights"):
        build_factor_index(spec("key_proj"), 2, layout)
    tensors = state()
    tensors["deberta.encoder.layer.1.attention.self.key_proj.weight"][0, 0] = float("nan")
    save(tensors, layout.model("tiny"), "safetensors")
    with pytest.raises(InputError, match="layer.1.attention.self.key_proj holds NaN"):
        build_factor_index(spec("key_proj"), 2, layout)
    with pytest.raises(InputError, match="rank 13 does not fit .*query_proj"):
        build_factor_index(spec("query_proj"), 13, layout)
    assert not layout.factor_index("tiny", 2).exists()


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("kept", [0.0, 0.6])
def test_a_truncated_checkpoint_is_named(name, kept, layout):
    save(state(), layout.model("tiny"), "bin" if name.endswith("bin") else "safetensors")
    file = layout.model("tiny") / name
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=f"{name}.*the weights cannot be read"):
        build_factor_index(spec("key_proj"), 2, layout)
