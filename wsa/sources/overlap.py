"""Validation sentences that a method has seen in training: their accuracy shows its memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wsa.errors import InputError

LARGEST_SHARE = 0.05  # of the validation sentences; more, and no accuracy means anything


def shared_sentences(
    name: str, train: Iterable[str], validation: Sequence[str], refuse: bool = True
) -> int:
    """How many sentences of `validation` are in `train` too, but for letter case and spaces.

    They are told in one printed line.

    Args:
        name: of the data set.
        train: the texts of the training split; of an example with several texts, these joined.
        validation: those of the validation split.
        refuse: whether too many are an error; a public data set is as it is.

    Raises:
        InputError: they are more than `LARGEST_SHARE` of the validation sentences.
    """
    train = set(train)
    alike = {_plain(text) for text in train}
    shared = [text for text in validation if _plain(text) in alike]
    if not shared:
        return 0
    same = sum(text in train for text in shared)
    share = len(shared) / len(validation)
    told = f"{len(shared)} of {len(validation)} validation sentences ({100 * share:.1f} %) are " + (
        "training sentences too"
        if same == len(shared)
        else f"training sentences too, {len(shared) - same} of them but for letter case or spaces"
    )
    if refuse and share > LARGEST_SHARE:
        raise InputError(
            told, file=f"data set '{name}'", key="validation", value=shared[0],
            remedy=f"remove them from one of the two splits: above {100 * LARGEST_SHARE:.0f} % "
            "the accuracy would measure memory",
        )  # fmt: skip
    print(f"data set '{name}': {told}, such as {shared[0]!r}", flush=True)
    return len(shared)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
