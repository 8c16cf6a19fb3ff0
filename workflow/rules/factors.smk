# What training needs to know of a model: its singular factors, and that every method fits it.
# Both go before any training and have this machine to themselves: a fault that one of them finds
# is told before the first training starts.


rule factors:
    input:
        LAYOUT.model("{model}") / "source.json",
    output:
        LAYOUT.factor_index("{model}", "{rank}"),
    log:
        "logs/factors/{model}_r{rank}.log",
    wildcard_constraints:
        rank="[0-9]+|all",
    priority: 100
    threads: whole_machine(lambda wildcards: 1)
    resources:
        mem_mb=mem_mb_of,
        runtime=minutes(lambda run: 0),
    params:
        wsa=WSA,
        targets=lambda wildcards: list(MODELS[wildcards.model].target_modules),
        code=code_of("factors"),
    shell:
        "{params.wsa} factors {wildcards.model} {wildcards.rank} 2>&1 | tee {log}"


rule check:
    input:
        model_of,
        tokens_of,
        factors_of,
        tuning_of,
    output:
        LAYOUT.checked("{suite}", "{method}"),
    log:
        "logs/check/{suite}/{method}.log",
    priority: 100
    threads: whole_machine(lambda wildcards: 1)
    resources:
        mem_mb=mem_mb_of,
        runtime=minutes(lambda run: 0),
    params:
        wsa=WSA,
        configuration=run_digest,
    shell:
        "{params.wsa} check {wildcards.suite} {wildcards.method} 2>&1 | tee {log}"
