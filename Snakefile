import json

from snakemake.utils import min_version

min_version("9.19")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/report.smk"


localrules:
    all,


onstart:
    shell("genossl check {CONFIG_FILE:q}")


rule all:
    default_target: True
    input:
        TARGETS,
