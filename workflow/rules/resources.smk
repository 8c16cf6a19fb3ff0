# What a job asks of the machine it runs on. On this one only threads and GPUs count, unless you
# limit the others (--resources mem_mb=16000); on a cluster a job that takes more memory or time
# than it asked for is killed.
import functools
import math

from wsa.machine.estimates import estimate
from wsa.machine.leases import devices

# how much more is asked for than estimated; a second attempt asks for twice that
TIMES_MEMORY = 1.5
TIMES_SECONDS = 4
MINUTES = 20  # beside the estimate: starting, importing, loading, writing


def threads_of(wildcards):
    return SUITES[wildcards.suite].protocol.threads


def whole_machine(threads_elsewhere):
    """All cores of this machine, so that nothing runs beside a job; on a cluster, where it has a
    job of its own, the threads that it computes with.

    Gives a function, as `minutes` does, for `snakemake --unlock` reads the rules without knowing
    of cores.
    """

    def threads(wildcards):
        return threads_elsewhere(wildcards) if ELSEWHERE else workflow.cores

    return threads


# 0 leaves a CPU's cores free to run side by side
GPUS_HERE = 1 if devices() else 0


def gpu_of(wildcards):
    return int(SUITES[wildcards.suite].needs_gpu) if ELSEWHERE else GPUS_HERE


@functools.cache
def estimate_of(suite, method):
    suite = SUITES[suite]
    return estimate(suite, method, LAYOUT, machine_of(suite))


def estimates_of(wildcards):
    """Of the method that a job is for, or of all methods of its suite or of its model."""
    suites = [
        suite
        for suite in SUITES.values()
        if getattr(wildcards, "suite", suite.name) == suite.name
        and getattr(wildcards, "model", suite.model.name) == suite.model.name
    ]
    return [
        estimate_of(suite.name, method)
        for suite in suites
        for method in suite.methods
        if getattr(wildcards, "method", method) == method
    ]


def mem_mb_of(wildcards, attempt):
    largest = max(found.process_bytes for found in estimates_of(wildcards))
    return attempt * math.ceil(TIMES_MEMORY * largest / 2**20)


def minutes(seconds_of):
    """The `runtime` of a job, from the seconds that each run of `estimates_of` gives it."""

    def runtime(wildcards, attempt):
        seconds = sum(map(seconds_of, estimates_of(wildcards)))
        return attempt * (MINUTES + math.ceil(TIMES_SECONDS * seconds / 60))

    return runtime
