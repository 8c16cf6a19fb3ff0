# Table of contents of the workflow: configuration, stages, target.
configfile: "config/config.yaml"


# used with --sdm apptainer only: an image with this project installed, built by you
container: "wsa.sif"


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/factors.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/packed.smk"
include: "workflow/rules/prune.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/evidence.smk"
include: "workflow/rules/site.smk"


rule all:
    default_target: True
    input:
        # the leaves too, not only the page: a result that was deleted is made again
        RESULTS,
        LAYOUT.index_page,
