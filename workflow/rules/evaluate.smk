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
    log:
        "logs/evaluate/{suite}/{method}/seed-{seed}.log",
    priority: 5  # a run is finished, and a model of full fine-tuning gone, before the next begins
    threads: threads_of
    resources:
        gpu=gpu_of,
        mem_mb=mem_mb_of,
        runtime=minutes(lambda run: run.evaluate_seconds),
    params:
        wsa=WSA,
        configuration=run_digest,
        metrics=metrics_of,
        code=code_of_run("evaluate"),
    shell:
        "{params.wsa} evaluate {wildcards.suite} {wildcards.method} {wildcards.seed} 2>&1 | tee {log}"
