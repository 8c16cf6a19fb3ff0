"""`python -m benchmarks.svd`: the exact truncated SVD against torch's, in time and error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Float
from torch import Tensor
from wsa.adapters.factors import truncated_svd

from benchmarks.timing import arguments, interleave, paired_ratio, report, table

Triplets = tuple[Tensor, Tensor, Tensor]
OURS, REFERENCE = "wsa.adapters.factors.truncated_svd", "torch.linalg.svd float64"


def methods(weight: Float[Tensor, "out in"], rank: int) -> dict[str, Callable[[], Triplets]]:
    """Ways to the `rank` leading triplets of a float32 `weight`, by name."""

    def ours() -> Triplets:
        factors = truncated_svd(weight, rank)
        return factors.U, factors.singular_values, factors.V

    def full(dtype: torch.dtype) -> Triplets:
        U, S, V = torch.linalg.svd(weight.to(dtype), full_matrices=False)
        return U[:, :rank], S[:rank], V[:rank]

    def randomised() -> Triplets:
        U, S, V = torch.svd_lowrank(weight, q=rank)
        return U, S, V.T

    return {
        OURS: ours,
        REFERENCE: lambda: full(torch.float64),
        "torch.linalg.svd float32": lambda: full(torch.float32),
        "torch.svd_lowrank float32": randomised,
    }


def errors(found: Triplets, weight: Float[Tensor, "out in"], rank: int) -> tuple[float, float]:
    """Relative errors of the singular values (worst) and of U S V (Frobenius).

    Against LAPACK's gesvd through scipy, in float64; torch uses gesdd.
    """
    U, S, V = scipy.linalg.svd(weight.double().numpy(), full_matrices=False, lapack_driver="gesvd")
    U, S, V = U[:, :rank], S[:rank], V[:rank]
    left, values, right = (tensor.double().numpy() for tensor in found)
    product = U * S @ V
    difference = (left * values) @ right - product
    worst = np.abs(values / S - 1).max()
    return float(worst), float(np.linalg.norm(difference) / np.linalg.norm(product))


def main(argv: list[str] | None = None) -> list[dict]:
    parser = arguments(__doc__, rounds=7)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument(
        "--shapes", nargs="+", default=["768x768", "3072x768", "768x3072"], metavar="OUTxIN"
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    rows = []
    for shape in args.shapes:
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(*map(int, shape.split("x")), generator=generator)
        cases = methods(weight, args.rank)
        seconds = interleave({name: lambda run=run: run() and None for name, run in cases.items()},
                             args.rounds)  # fmt: skip
        for name, times in seconds.items():
            worst, product = errors(cases[name](), weight, args.rank)
            rows.append(
                {
                    "matrix": shape.replace("x", "×"),
                    "method": name,
                    "ms": 1000 * min(times),
                    "of float64 SVD": paired_ratio(times, seconds[REFERENCE]),
                    "error of S": worst,
                    "error of U S V": product,
                }
            )
    text = (
        f"Rank {args.rank}, random normal float32 matrices; ms is the fastest round; errors are "
        f"relative, against scipy's gesvd in float64.\n\n{table(rows)}"
    )
    report("svd", "Truncated SVD", args.out, vars(args), rows, text)
    return rows


if __name__ == "__main__":
    main()
