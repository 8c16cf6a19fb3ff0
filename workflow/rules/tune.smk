# From a method's trials to the values that its seeds run with. The trials are the runs of a suite
# of their own, which the other rules make.


localrules:
    tune,


rule tune:
    input:
        trials_of_method,
    output:
        LAYOUT.tuning("{suite}", "{method}"),
    log:
        "logs/tune/{suite}/{method}.log",
    params:
        wsa=WSA,
        code=code_of("tune"),
    shell:
        "{params.wsa} tune {wildcards.suite} {wildcards.method} 2>&1 | tee {log}"
