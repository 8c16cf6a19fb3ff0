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
    params:
        suite=lambda wildcards: digest(SUITES[wildcards.suite]),
        code=source_hash("wsa.evidence.verdicts"),
    log:
        "logs/aggregate/{suite}.log",
    shell:
        "{WSA} aggregate {wildcards.suite} {SEEDS} 2>&1 | tee {log}"
