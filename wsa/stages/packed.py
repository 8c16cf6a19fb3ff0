"""The training stage for several runs at once: seeds and rates of one method in one process."""

from __future__ import annotations

from collections.abc import Sequence

from wsa.errors import InputError
from wsa.files import atomic_folder, check_space, file_hashes
from wsa.identity import code_hash
from wsa.layout import Layout
from wsa.learning.batches import TokenTable
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.models import is_head, save_trained
from wsa.machine.devices import nondeterministic_kernels
from wsa.packed.loop import Member, Pack
from wsa.records.record import write_record
from wsa.records.run import Execution, Training
from wsa.stages.session import Session
from wsa.stages.train import _factors_used
from wsa.suite.packing import Run, check_packable
from wsa.suite.schema import Suite


def train_packed(
    suite: Suite,
    runs: Sequence[Run],
    layout: Layout,
    checkpoint_seconds: float | None = None,
) -> list[Training]:
    """Train these runs of `suite` together; writes for each what `wsa.stages.train.train` does.

    A run's record says with which others it was trained (`Environment.execution`), and its time is
    its share of the pack's. An interrupted pack goes on from its last state, to the same bits.

    Args:
        suite: what to train.
        runs: distinct; of methods that differ in their rates alone.
        layout: where inputs lie and results go.
        checkpoint_seconds: how often the state is saved; 0: after every step.

    Raises:
        InputError: as for a single run; for methods that cannot be packed; and for runs whose loss
            or weights became NaN or infinite, after the others' results are written. What was
            computed is kept with the first run then.
    """
    check_packable(suite, runs)
    session = Session(suite, layout)
    files = [session.run(*run) for run in runs]
    for own in files:
        own.training.unlink(missing_ok=True)
    tokens = session.training
    table = TokenTable(tokens, session.device)
    title = f"{suite.name} {_said(runs)}"
    members = [
        Member(
            f"{suite.name} {name} seed {seed}", session.attached(suite.method(name), seed),
            suite.method(name), suite, seed, table, session.device,
        )
        for name, seed in runs
    ]  # fmt: skip
    method = suite.method(runs[0][0])
    inputs = {
        "model": session.model_hash,
        "data": tokens.sha256,
        "factors": _factors_used(members[0].model, suite.factor_rank(runs[0][0]), suite, layout),
        "code": code_hash("packed", method.peft_types),
    }
    digests = [suite.run_digest(name) for name, _ in runs]
    execution = Execution(mode="packed", runs=tuple(f"{name} {seed}" for name, seed in runs))
    machine = session.environment().model_dump(
        include={"versions", "processor", "accelerator", "threads", "blas"}
    )
    identity = {**inputs, **machine, "configuration": digests, "runs": list(execution.runs)}
    checkpoints = Checkpoints(files[0].checkpoints, identity, checkpoint_seconds)

    pack = Pack(members)
    check_space(files[0].folder, sum(member.bytes_on_disk() for member in members))
    with nondeterministic_kernels() as kernels:
        pack.run(title, checkpoints)
    where = session.environment(trains=True, nondeterministic=kernels)
    where = where.model_copy(update={"execution": execution})
    records = []
    for place, member in pack.active.items():
        (name, seed), own = runs[place], files[place]
        with atomic_folder(own.trained) as folder:
            save_trained(member.model, member.method, folder)
        member.curves.write(own)
        counted = dict(member.model.named_parameters())
        trainable = {n: p.numel() for n, p in counted.items() if p.requires_grad}
        record = Training(
            suite=suite.name,
            method=name,
            seed=seed,
            schedule=member.schedule(),
            trained_sentences=member.sentences,
            train_seconds=member.seconds,
            sentences_per_second=member.sentences / member.seconds,
            peak_memory_bytes=member.peak_memory(),
            peak_memory_of="accelerator" if session.device.type == "cuda" else "process",
            total_parameters=sum(p.numel() for p in counted.values()),
            trainable_parameters=sum(trainable.values()),
            head_parameters=sum(n for key, n in trainable.items() if is_head(key, suite.model)),
            final_loss=member.curves.rows[-1]["loss"],
            continued_at=member.continued_at,
            files=file_hashes(own.folder, [own.trained, own.curve, own.gates]),
            environment=where,
            configuration=digests[place],
            **inputs,
        )
        write_record(own.training, record)
        records.append(record)
    if pack.failed:
        checkpoints.save(pack.state_dict())  # the others need not be trained again
        raise InputError(
            f"{title}: {len(pack.failed)} of {len(runs)} runs failed, the others are written:\n"
            + "\n".join(pack.failed.values()),
            remedy="train the others without them, or all with a lower learning rate",
        )
    for own in files:  # also states of its own, from a training by itself that was interrupted
        Checkpoints(own.checkpoints, identity).remove()
    return records


def _said(runs: Sequence[Run]) -> str:
    """'lora seeds 0, 1'; of several methods, each with its seed."""
    if len({name for name, _ in runs}) == 1:
        return f"{runs[0][0]} seeds {', '.join(str(seed) for _, seed in runs)}"
    return ", ".join(f"{name} seed {seed}" for name, seed in runs)
