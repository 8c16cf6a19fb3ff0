# One run is one method with one seed.


rule train:
    input:
        tokens_of,
        model_of,
        factors_of,
        checked_of,
        tuning_of,
    output:
        RUN.training,
        RUN.curve,
        RUN.gates,
        trained=directory(RUN.trained),
    log:
        "logs/train/{suite}/{method}/seed-{seed}.log",
    wildcard_constraints:
        method=MATCH_KEPT,
    threads: threads_of
    resources:
        gpu=gpu_of,
        mem_mb=mem_mb_of,
        runtime=minutes(lambda run: run.train_seconds),
    params:
        wsa=WSA,
        configuration=run_digest,
        code=code_of_run("train"),
    shell:
        "{params.wsa} train {wildcards.suite} {wildcards.method} {wildcards.seed} 2>&1 | tee {log}"


# The weights of full fine-tuning are as large as the model: they go once they are evaluated.
use rule train as train_full with:
    output:
        RUN.training,
        RUN.curve,
        RUN.gates,
        trained=temp(directory(RUN.trained)),
    log:
        "logs/train_full/{suite}/{method}/seed-{seed}.log",
    wildcard_constraints:
        method=MATCH_FULL,
    priority: 10  # the longest begin first, so that none is left when other cores have nothing
