# All runs of a suite together: tables, comparisons, verdicts, findings.


localrules:
    aggregate,


rule aggregate:
    input:
        results_of,
    output:
        LAYOUT.runs_csv("{suite}"),
        LAYOUT.table_csv("{suite}"),
        LAYOUT.table_md("{suite}"),
        LAYOUT.comparisons_csv("{suite}"),
        LAYOUT.claims_json("{suite}"),
        LAYOUT.findings_json("{suite}"),
    log:
        "logs/aggregate/{suite}.log",
    params:
        wsa=WSA,
        seeds=SEEDS,
        suite=lambda wildcards: digest(SUITES[wildcards.suite]),
        code=source_hash("wsa.evidence.verdicts"),
    shell:
        "{params.wsa} aggregate {wildcards.suite} {params.seeds} 2>&1 | tee {log}"
