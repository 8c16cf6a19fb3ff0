# Models and data: fetched once by pinned version and hash, on the machine that has a network.


localrules:
    fetch_model,
    fetch_data,


rule fetch_model:
    output:
        LAYOUT.model("{model}") / "source.json",
    log:
        "logs/fetch_model/{model}.log",
    params:
        wsa=WSA,
        source=lambda wildcards: digest(MODELS[wildcards.model].source),
    shell:
        "{params.wsa} fetch-model {wildcards.model} 2>&1 | tee {log}"


rule fetch_data:
    output:
        LAYOUT.data("{data}") / "source.json",
    log:
        "logs/fetch_data/{data}.log",
    params:
        wsa=WSA,
        source=lambda wildcards: DATA[wildcards.data].rows_digest(),
    shell:
        "{params.wsa} fetch-data {wildcards.data} 2>&1 | tee {log}"


rule tokenise:
    input:
        LAYOUT.model("{model}") / "source.json",
        LAYOUT.data("{data}") / "source.json",
    output:
        LAYOUT.tokens("{model}", "{data}"),
    log:
        "logs/tokenise/{model}__{data}.log",
    resources:
        mem_mb=mem_mb_of,
        runtime=minutes(lambda run: 0),
    params:
        wsa=WSA,
        code=code_of("tokenise"),
    shell:
        "{params.wsa} tokenise {wildcards.model} {wildcards.data} 2>&1 | tee {log}"
