# All runs of a suite together: tables, comparisons, verdicts, findings.


localrules:
    aggregate,
    across,
    literature,


rule inference:
    input:
        timed_of,
    output:
        LAYOUT.inference_json("{suite}"),
    log:
        "logs/inference/{suite}.log",
    # nothing runs beside what is timed
    threads: whole_machine(threads_of)
    resources:
        gpu=gpu_of,
        mem_mb=mem_mb_of,
        # every adapter beside the weights and merged, on few sentences many times
        runtime=minutes(lambda run: 2 * run.evaluate_seconds),
    params:
        wsa=WSA,
        first=lambda wildcards: SUITES[wildcards.suite].seeds[0],
        part=PART,
        claimed=lambda wildcards: sorted(SUITES[wildcards.suite].timed_methods()),
        code=code_of_suite("inference"),
    shell:
        "{params.wsa} inference {wildcards.suite} --seeds {params.first} {params.part} 2>&1 | tee {log}"


rule thresholds:
    input:
        gated_of,
        tokens_of,
    output:
        LAYOUT.thresholds_json("{suite}"),
    log:
        "logs/thresholds/{suite}.log",
    priority: 10  # longer than a training, on one core
    threads: threads_of
    resources:
        gpu=gpu_of,
        mem_mb=mem_mb_of,
        # a gated method is evaluated in three states, and here at nine thresholds more
        runtime=minutes(lambda run: 4 * run.evaluate_seconds),
    params:
        wsa=WSA,
        first=lambda wildcards: SUITES[wildcards.suite].seeds[0],
        part=PART,
        code=code_of_suite("thresholds"),
    shell:
        "{params.wsa} thresholds {wildcards.suite} --seeds {params.first} {params.part} 2>&1 | tee {log}"


rule aggregate:
    input:
        results_of,
        inference_of,
        tuning_of,
    output:
        LAYOUT.runs_csv("{suite}"),
        LAYOUT.table_csv("{suite}"),
        LAYOUT.table_md("{suite}"),
        LAYOUT.comparisons_csv("{suite}"),
        LAYOUT.tables_json("{suite}"),
        LAYOUT.claims_json("{suite}"),
        LAYOUT.findings_json("{suite}"),
    log:
        "logs/aggregate/{suite}.log",
    params:
        wsa=WSA,
        seeds=SEEDS,
        part=PART,
        suite=lambda wildcards: digest(SUITES[wildcards.suite]),
        code=code_of("aggregate"),
    shell:
        "{params.wsa} aggregate {wildcards.suite} {params.seeds} {params.part} 2>&1 | tee {log}"


rule across:
    input:
        lambda wildcards: [
            LAYOUT.claims_json(suite)
            for suite in COLLECTIONS[wildcards.collection].suites
        ],
    output:
        LAYOUT.across_json("{collection}"),
    log:
        "logs/across/{collection}.log",
    params:
        wsa=WSA,
        seeds=SEEDS,
        collection=lambda wildcards: digest(COLLECTIONS[wildcards.collection]),
        code=code_of("across"),
    shell:
        "{params.wsa} across {wildcards.collection} {params.seeds} 2>&1 | tee {log}"


rule literature:
    input:
        results_of,
        LITERATURE,
    output:
        LAYOUT.literature_json("{suite}"),
    log:
        "logs/literature/{suite}.log",
    params:
        wsa=WSA,
        seeds=SEEDS,
        part=PART,
        suite=lambda wildcards: digest(SUITES[wildcards.suite]),
        code=code_of("literature"),
    shell:
        "{params.wsa} literature {wildcards.suite} {params.seeds} {params.part} 2>&1 | tee {log}"
