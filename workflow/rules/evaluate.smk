# Predictions of every state, and the record of the run.


rule evaluate:
    input:
        RUN.training,
        RUN.trained,
        pruning_of,
        tokens_of,
        model_of,
    output:
        RUN.result,
        RUN.predictions,
    params:
        configuration=run_digest,
        code=source_hash("wsa.evaluation"),
    threads: threads_of
    resources:
        gpu=GPUS,
    log:
        "logs/evaluate/{suite}/{method}/seed-{seed}.log",
    shell:
        "{WSA} evaluate {wildcards.suite} {wildcards.method} {wildcards.seed} 2>&1 | tee {log}"
