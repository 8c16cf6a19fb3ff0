# A gated adapter without the directions whose gate is below the threshold.


rule prune:
    input:
        RUN.training,
        RUN.trained,
    output:
        RUN.pruning,
        directory(RUN.pruned),
    log:
        "logs/prune/{suite}/{method}/seed-{seed}.log",
    priority: 5  # as its evaluation
    resources:
        mem_mb=mem_mb_of,
        runtime=minutes(lambda run: 0),
    params:
        wsa=WSA,
        threshold=threshold_of,
        code=code_of_run("prune"),
    shell:
        "{params.wsa} prune {wildcards.suite} {wildcards.method} {wildcards.seed} 2>&1 | tee {log}"
