# REQUIRED INPUTS  results/<collection>/store, tasks
# OUTPUTS          results/<collection>/audit/<task>.json, .tsv, .rows.tsv, and <task>.passed, without which nothing is probed


rule audit:
    input:
        store=rules.ingest.output.store,
        labels=rules.tasks.output.table,
    output:
        about=f"{RESULTS}/audit/{{task}}.json",
        findings=f"{RESULTS}/audit/{{task}}.tsv",
        rows=f"{RESULTS}/audit/{{task}}.rows.tsv",
    log:
        f"logs/{config['collection']}/audit/{{task}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/audit/{{task}}.jsonl"
    # before training and fine-tuning, which need no audit and must not run again because of a new one
    priority: 100
    conda:
        "../envs/genossl.yaml"
    threads: 1
    resources:
        mem_mb=memory(JOBS["mem_mb"]),
        runtime=120,
    params:
        kind=lambda wildcards: TASK_SETTINGS[wildcards.task].get("kind", "classes"),
        strand=lambda wildcards: TASK_SETTINGS[wildcards.task].get(
            "strand", "invariant"
        ),
        # what it finds; whether a fail stops is for the gate, so that its findings outlive it
        settings=lambda wildcards: json.dumps(
            {**PROBE_SPLIT, **(config.get("audit") or {}), "stop": False},
            sort_keys=True,
        ),
    shell:
        "genossl --quiet audit {input.labels:q} --sequences {input.store:q} --pretrained {input.store:q}"
        " --kind {params.kind:q} --strand {params.strand:q} --out {output.about:q} --settings {params.settings:q}"
        " > {log:q} 2>&1"


rule gate:
    input:
        about=rules.audit.output.about,
        findings=rules.audit.output.findings,
    output:
        passed=f"{RESULTS}/audit/{{task}}.passed",
    log:
        f"logs/{config['collection']}/gate/{{task}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gate/{{task}}.jsonl"
    priority: 100
    conda:
        "../envs/genossl.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=10,
    params:
        settings=lambda wildcards: json.dumps(
            {"stop": (config.get("audit") or {}).get("stop", True)}
        ),
    shell:
        "genossl --quiet audit {input.about:q} --settings {params.settings:q} > {output.passed:q} 2> {log:q}"
