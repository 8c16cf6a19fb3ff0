"""The pruning stage: the trained gated adapter at its own size, and what that cost."""

from __future__ import annotations

from wsa.adapters.saved import prune_saved_adapter
from wsa.errors import InputError
from wsa.files import atomic_folder, check_files, file_hashes
from wsa.identity import code_hash
from wsa.layout import Layout
from wsa.records.record import read_record, write_record
from wsa.records.run import Pruning, Rank, Training, check_origin
from wsa.suite.schema import Suite


def prune(suite: Suite, method_name: str, seed: int, layout: Layout) -> Pruning:
    """Prune the trained adapter of one run at the suite's threshold; writes `pruned/` and its
    record.

    Raises:
        InputError: for a method without gates, or a trained adapter that is not what training
            recorded.
    """
    method = suite.method(method_name)
    if not method.gated:
        raise InputError(f"method '{method_name}' has no gates: there is nothing to prune")
    files = layout.run(suite.name, method_name, seed)
    training = read_record(files.training, Training)
    check_files(files.folder, training.files, remake=files.training)
    check_origin(training, files.training, configuration=suite.run_digest(method_name))
    with atomic_folder(files.pruned) as folder:
        ranks = prune_saved_adapter(files.trained, folder, method.threshold)
    record = Pruning(
        suite=suite.name,
        method=method_name,
        seed=seed,
        rank=Rank(
            initial=method.rank,
            threshold=ranks.threshold,
            effective_mean=ranks.effective_mean,
            effective_by_layer=ranks.effective,
            sum_of_learning_rates=training.schedule.sum_of_gate_learning_rates,
        ),
        kept_parameters=ranks.kept_parameters,
        files=file_hashes(files.folder, [files.pruned]),
        code=code_hash("prune", method.peft_types),
    )
    write_record(files.pruning, record)
    return record
