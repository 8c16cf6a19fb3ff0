# What training needs to know of a model: its singular factors, and that every method fits it.


rule factors:
    input:
        LAYOUT.model("{model}") / "source.json",
    output:
        LAYOUT.factor_index("{model}", "{rank}"),
    log:
        "logs/factors/{model}_r{rank}.log",
    wildcard_constraints:
        rank="[0-9]+",
    params:
        wsa=WSA,
        targets=lambda wildcards: list(MODELS[wildcards.model].target_modules),
        code=source_hash("wsa.factors"),
    shell:
        "{params.wsa} factors {wildcards.model} {wildcards.rank} 2>&1 | tee {log}"


rule check:
    input:
        model_of,
        tokens_of,
        lambda wildcards: (
            LAYOUT.factor_index(
                SUITES[wildcards.suite].model.name,
                SUITES[wildcards.suite].largest_rank,
            )
            if SUITES[wildcards.suite].largest_rank
            else []
        ),
    output:
        LAYOUT.checked("{suite}"),
    log:
        "logs/check/{suite}.log",
    params:
        wsa=WSA,
        methods=lambda wildcards: {
            name: SUITES[wildcards.suite].run_digest(name)
            for name in SUITES[wildcards.suite].methods
        },
    shell:
        "{params.wsa} check {wildcards.suite} 2>&1 | tee {log}"
