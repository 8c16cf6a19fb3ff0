# Models and data: fetched once by pinned version and hash, on the machine that has a network.


localrules:
    fetch_model,
    fetch_data,


rule fetch_model:
    output:
        LAYOUT.model("{model}") / "source.json",
    params:
        source=lambda wildcards: digest(MODELS[wildcards.model].source),
    log:
        "logs/fetch_model/{model}.log",
    shell:
        "{WSA} fetch-model {wildcards.model} 2>&1 | tee {log}"


rule fetch_data:
    output:
        LAYOUT.data("{data}") / "source.json",
    params:
        source=lambda wildcards: digest(DATA[wildcards.data]),
    log:
        "logs/fetch_data/{data}.log",
    shell:
        "{WSA} fetch-data {wildcards.data} 2>&1 | tee {log}"


rule tokenise:
    input:
        LAYOUT.model("{model}") / "source.json",
        LAYOUT.data("{data}") / "source.json",
    output:
        LAYOUT.tokens("{model}", "{data}"),
    params:
        code=source_hash("wsa.tokens"),
    log:
        "logs/tokenise/{model}__{data}.log",
    shell:
        "{WSA} tokenise {wildcards.model} {wildcards.data} 2>&1 | tee {log}"
