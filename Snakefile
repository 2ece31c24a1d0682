import json
from pathlib import Path

from genossl.config import read_yaml
from genossl.errors import InputError
from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.19")


# --configfile takes the place of config.yaml: nothing is merged in
if not workflow.configfiles:
    # Snakemake would run the code of a configuration that has __use_yte__
    if Path("config.yaml").is_file():
        try:
            read_yaml("config.yaml")
        except InputError as error:
            raise WorkflowError(str(error))

    configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/tasks.smk"
include: "workflow/rules/audit.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/strands.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/report.smk"


# gate reads one small file: on a cluster a job of its own would wait longer than it works; fetch needs a network, which
# compute nodes often have not
localrules:
    all,
    fetch,
    gate,


onstart:
    CHECKED.parent.mkdir(parents=True, exist_ok=True)
    CHECKED.write_text(json.dumps(config, indent=1, default=str))
    shell("genossl check {CHECKED:q} --called {CONFIGURED:q}")


onsuccess:
    found = Path(RESULTS, "findings.txt")
    if found.is_file() and not workflow.output_settings.quiet:
        print(found.read_text(), end="")


rule all:
    default_target: True
    input:
        rules.report.output.html,
        expand(
            rules.embed_genomes.output.done,
            embedded=EMBEDDED,
            part=range(1, PARTS + 1),
        ),
