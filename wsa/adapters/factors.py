"""Truncated singular value decompositions: exact, in float64, and cached by their content.

The adapters need the leading singular triplets of every weight they change. Factors of one weight
differ in their last bits between processors and libraries, so the cached file is the record: its
hash goes into every result that used it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import scipy.linalg
import threadpoolctl
import torch
from jaxtyping import Float
from torch import Tensor

from wsa.errors import InputError, remake
from wsa.files import atomic_path, sha256_json

# All that decides which factors a weight has; part of every cache key.
ALGORITHM = {
    "algorithm": "leading eigenvectors of the smaller Gram matrix (LAPACK syevr), or the whole "
    "SVD (gesdd) where ill-conditioned",
    "version": 1,
    "compute_dtype": "float64",
    "sign_rule": "the entry of largest magnitude in each column of U is positive",
}

# The Gram matrix squares the condition: a σ_i is found with a relative error of about
# 1e-16·(σ_1/σ_i)². Below this ratio σ_rank/σ_1 the slower decomposition is used instead.
_SMALLEST_RATIO = 1e-2


@dataclass(frozen=True)
class Factors:
    """The leading singular triplets of a weight W (out, in): W ≈ U diag(singular_values) V.

    Float64, on the CPU. The columns of U and the rows of V are orthonormal; singular values fall.
    """

    U: Float[Tensor, "out rank"]
    singular_values: Float[Tensor, " rank"]
    V: Float[Tensor, "rank in"]

    @property
    def sha256(self) -> str:
        """The hash of shapes, dtypes and values."""
        digest = hashlib.sha256()
        for tensor in (self.U, self.singular_values, self.V):
            digest.update(_fingerprint(tensor))
        return digest.hexdigest()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch's and scipy's linear algebra, then as many as before.

    Else the last bits would depend on the number of threads; and scipy's BLAS, which takes all
    processors whatever torch was told, waits 20 times as long as it computes on a busy machine.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _thread_pools().limit(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def _thread_pools() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController()


def check_rank(rank: int, shape: Sequence[int], name: str) -> None:
    """Raise InputError where a matrix of this shape has fewer than `rank` directions."""
    if not 0 < rank <= min(shape):
        raise InputError(
            f"rank {rank} does not fit {name}, a matrix of {shape[0]}×{shape[1]}",
            remedy=f"a rank from 1 to {min(shape)}",
        )


@_one_thread()
def truncated_svd(weight: Float[Tensor, "out in"], rank: int, name: str = "the weight") -> Factors:
    """The `rank` leading singular triplets of `weight`, exact to float64's round-off.

    The eigenvectors of the smaller Gram matrix are one side's vectors, W v / σ the other's. Where
    the matrix has (nearly) less than `rank` directions, that quotient loses its meaning, and
    `torch.linalg.svd` keeps both sides orthonormal.

    Args:
        weight: any floating dtype; converted to float64.
        rank: number of triplets, at most min(out, in).
        name: what to call the weight in an error.

    Raises:
        InputError: for a weight with NaN or Inf, or a rank larger than the matrix.
    """
    if weight.ndim != 2:
        raise InputError(f"{name} is no matrix", value=tuple(weight.shape))
    check_rank(rank, weight.shape, name)
    matrix = weight.detach().to("cpu", torch.float64)
    if not torch.isfinite(matrix).all():
        raise InputError(f"{name} holds NaN or Inf", remedy="fetch the model again")
    wide = matrix.shape[0] < matrix.shape[1]
    tall = matrix.T if wide else matrix
    # torch's eigh knows no subset: three times as long for all 768 vectors of a Gram matrix
    gram, last = (tall.T @ tall).numpy(), tall.shape[1] - 1
    rising = scipy.linalg.eigh(gram, subset_by_index=[last - rank + 1, last])
    eigenvalues, right = (torch.from_numpy(array).flip(-1) for array in rising)
    sigma = eigenvalues.clamp(min=0).sqrt()
    if sigma[-1] > _SMALLEST_RATIO * sigma[0]:
        left = tall @ right / sigma
    else:
        left, sigma, right = torch.linalg.svd(tall, full_matrices=False)
        left, sigma, right = left[:, :rank], sigma[:rank], right[:rank].T
    U, V = (right, left.T) if wide else (left, right.T)
    largest = U.gather(0, U.abs().argmax(0, keepdim=True))
    sign = torch.where(largest < 0, -1.0, 1.0).to(U)
    return Factors((U * sign).contiguous(), sigma.contiguous(), (V * sign.T).contiguous())


class FactorCache:
    """A folder of truncated SVDs, found by the content of the weight and checked when read.

    Args:
        folder: holds one `<key>.safetensors` per decomposition, each with its own hash inside.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @staticmethod
    def key(weight: Float[Tensor, "out in"], rank: int) -> str:
        """SHA-256 of the weight's bytes, shape and dtype, with the rank and the algorithm."""
        content = hashlib.sha256(_fingerprint(weight)).hexdigest()
        return sha256_json({"weight": content, "rank": rank, **ALGORITHM})

    def path(self, key: str) -> Path:
        """Where the factors with this key lie, whether they are there or not."""
        return self.folder / f"{key}.safetensors"

    def get(
        self, weight: Float[Tensor, "out in"], rank: int, name: str = "the weight"
    ) -> tuple[Factors, str]:
        """The factors of `weight` and their key; computed and kept if they are not there yet.

        A damaged file is reported in one printed line and rebuilt.

        Raises:
            InputError: as `truncated_svd`.
        """
        key = self.key(weight, rank)
        path = self.path(key)
        if path.exists():
            try:
                return self._read(key), key
            except _DamagedError as damage:
                print(f"{path}: damaged ({damage}); rebuilding the factors of {name}", flush=True)
        factors = truncated_svd(weight, rank, name)
        tensors = {"U": factors.U, "S": factors.singular_values, "V": factors.V}
        with atomic_path(path) as temporary:
            safetensors.torch.save_file(tensors, temporary, metadata={"sha256": factors.sha256})
        return factors, key

    def digest(self, keys: Iterable[str], index: Path | None = None) -> str:
        """SHA-256 over the content of the cached factors with these keys, in any order.

        Args:
            keys: of the factors.
            index: the file that is made together with them, for the message.

        Raises:
            InputError: if a file is missing or damaged.
        """
        contents = {}
        for key in set(keys):
            try:
                contents[key] = self._read(key).sha256
            except _DamagedError as damage:
                raise InputError(
                    f"cannot be read: {damage}",
                    file=self.path(key),
                    remedy=f"remake it: {remake(index)}" if index else "remake it: wsa factors "
                    "MODEL RANK, with the model's name and the suite's largest rank",
                ) from None
        return sha256_json(contents)

    def _read(self, key: str) -> Factors:
        try:
            content = self.path(key).read_bytes()
            tensors = safetensors.torch.load(content)
            with safetensors.safe_open(self.path(key), framework="pt") as file:
                expected = (file.metadata() or {}).get("sha256")
            factors = Factors(tensors["U"], tensors["S"], tensors["V"])
        except (OSError, KeyError, safetensors.SafetensorError) as error:
            raise _DamagedError(error) from None
        if factors.sha256 != expected:
            raise _DamagedError("its content does not match its hash")
        return factors


class _DamagedError(Exception):
    """A cached file is not what was written."""


def _fingerprint(tensor: Tensor) -> bytes:
    """SHA-256 of a tensor's dtype, shape and bytes."""
    header = json.dumps([str(tensor.dtype), list(tensor.shape)]).encode()
    content = tensor.detach().cpu().contiguous().view(torch.uint8).numpy()
    return hashlib.sha256(header + hashlib.sha256(content).digest()).digest()
