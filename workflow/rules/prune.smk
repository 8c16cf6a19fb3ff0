# A gated adapter without the directions whose gate is below the threshold.


rule prune:
    input:
        RUN.training,
        RUN.trained,
    output:
        RUN.pruning,
        directory(RUN.pruned),
    params:
        code=source_hash("wsa.pruning"),
    log:
        "logs/prune/{suite}/{method}/seed-{seed}.log",
    shell:
        "{WSA} prune {wildcards.suite} {wildcards.method} {wildcards.seed} 2>&1 | tee {log}"
