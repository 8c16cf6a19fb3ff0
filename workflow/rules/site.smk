# The pages, from the files of the other stages alone.


localrules:
    site,


rule site:
    input:
        RESULTS,
        [LAYOUT.table_csv(suite) for suite in CHOSEN],
        [LAYOUT.tables_json(suite) for suite in CHOSEN],
        [LAYOUT.claims_json(suite) for suite in CHOSEN],
        [LAYOUT.findings_json(suite) for suite in CHOSEN],
        [
            LAYOUT.tuning(suite.tuned_in, method)
            for suite in CHOSEN.values()
            if suite.tuning
            for method in suite.tuned_methods()
        ],
        [LAYOUT.across_json(collection) for collection in COLLECTIONS],
        LITERATURE,
        [LAYOUT.literature_json(suite) for suite in CHOSEN if LITERATURE],
        [files.admission for files in LAYOUT.admitted()],
        [
            LAYOUT.thresholds_json(name)
            for name, suite in CHOSEN.items()
            if any(method.gated for method in suite.methods.values())
        ],
    output:
        LAYOUT.index_page,
        [LAYOUT.suite_page(name) for name in [*CHOSEN, *COLLECTIONS]],
    log:
        "logs/site.log",
    params:
        wsa=WSA,
        seeds=SEEDS,
        names=[*COLLECTIONS, *CHOSEN],
        suites=[digest(suite) for suite in CHOSEN.values()],
        code=code_of("site"),
        templates=template_hash(),
    shell:
        "{params.wsa} site {params.seeds} {params.names} 2>&1 | tee {log}"
