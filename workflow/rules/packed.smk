# Several runs in one job, in suites that say `execution: {pack: N}`: a rule for every pack.
from types import SimpleNamespace


def times(count, resource, run):
    """What `count` runs like this one ask for, as if nothing were saved by doing them together."""
    return lambda wildcards, attempt: count * resource(run, attempt)


train_minutes = minutes(lambda run: run.train_seconds)

for _suite in SUITES.values():
    for _methods, _seeds in packs(_suite):
        _runs = [
            LAYOUT.run(_suite.name, method, seed)
            for method in _methods
            for seed in _seeds
        ]
        # what the functions of wildcards ask for
        _own = [
            SimpleNamespace(suite=_suite.name, method=method) for method in _methods
        ]
        _name = f"train_packed_{_suite.name}_{_methods[0]}_{_seeds[0]}"  # its first run

        # what is packed is not trained by itself, but on demand: `wsa train`
        workflow.ruleorder(_name, "train")

        rule:
            name:
                _name
            input:
                # of all of them: they have one adapter
                tokens_of(_own[0]),
                model_of(_own[0]),
                factors_of(_own[0]),
                checked_of(_own[0]),
                [tuning_of(own) for own in _own],
            output:
                [run.training for run in _runs],
                [run.curve for run in _runs],
                [run.gates for run in _runs],
                [directory(run.trained) for run in _runs],
            log:
                f"logs/train_packed/{_suite.name}/{_methods[0]}/seed-{_seeds[0]}.log",
            threads: threads_of(_own[0])
            resources:
                gpu=gpu_of(_own[0]),
                mem_mb=times(len(_runs), mem_mb_of, _own[0]),
                runtime=times(len(_runs), train_minutes, _own[0]),
            params:
                wsa=WSA,
                suite=_suite.name,
                methods=",".join(_methods),
                seeds=",".join(map(str, _seeds)),
                configuration=[_suite.run_digest(method) for method in _methods],
                code=code_of("packed", _suite.method(_methods[0]).peft_types),
            shell:
                "{params.wsa} train-packed {params.suite} {params.methods} {params.seeds} 2>&1 | tee {log}"
