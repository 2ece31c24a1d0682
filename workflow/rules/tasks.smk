# REQUIRED INPUTS  the sheet of tasks and the files that it names, results/<collection>/store
# OUTPUTS          results/<collection>/tasks/<task>.tsv, .json: the labels that every later rule reads


rule tasks:
    input:
        store=rules.ingest.output.store,
        files=lambda wildcards: TASK_FILES[wildcards.task],
    output:
        table=ensure(f"{RESULTS}/tasks/{{task}}.tsv", non_empty=True),
        about=f"{RESULTS}/tasks/{{task}}.json",
    log:
        f"logs/{config['collection']}/tasks/{{task}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tasks/{{task}}.jsonl"
    # what is audited, before anything is trained
    priority: 100
    conda:
        "../envs/genossl.yaml"
    threads: 1
    resources:
        mem_mb=memory(JOBS["mem_mb"]),
        runtime=60,
    params:
        # a folder's own time says nothing of its files, so that these are the input
        path=lambda wildcards: TASKS.loc[wildcards.task, "given"],
        beside=lambda wildcards: TASK_OPTIONS[wildcards.task],
        settings=lambda wildcards: json.dumps(
            TASK_SETTINGS[wildcards.task], sort_keys=True
        ),
    shell:
        "genossl --quiet tasks {params.path:q} --out {output.table:q} --store {input.store:q} {params.beside:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"
