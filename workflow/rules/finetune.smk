# REQUIRED INPUTS  results/<collection>/store, tasks, runs/<run>/encoder.safetensors of fine-tuned runs
# OUTPUTS          results/<collection>/predictions/<task>/<name>.npz, .json


rule finetune:
    input:
        store=rules.ingest.output.store,
        labels=rules.tasks.output.table,
        task=rules.tasks.output.about,
        run=lambda wildcards: FINETUNED_FROM[wildcards.model],
    output:
        predictions=ensure(
            f"{RESULTS}/predictions/{{task}}/{{model}}.npz", non_empty=True
        ),
        about=f"{RESULTS}/predictions/{{task}}/{{model}}.json",
    log:
        f"logs/{config['collection']}/finetune/{{task}}/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/finetune/{{task}}/{{model}}.jsonl"
    conda:
        "../envs/genossl.yaml"
    threads: JOBS["pretrain_threads"]
    resources:
        **ON_DEVICE,
        mem_mb=memory(JOBS["mem_mb"]),
        runtime=JOBS["runtime"],
    params:
        # a run's weights: its folder
        model=lambda wildcards, input: (
            FINETUNED[wildcards.model]
            if not input.run
            else f"{'scratch:' if FINETUNED[wildcards.model].startswith('scratch:') else ''}{Path(input.run).parent}"
        ),
        settings=json.dumps(FINETUNE, sort_keys=True),
        kind=lambda wildcards: TASK_SETTINGS[wildcards.task].get("kind", "classes"),
    shell:
        "genossl --quiet finetune {params.model:q} {input.labels:q} --sequences {input.store:q}"
        " --kind {params.kind:q} --out {output.predictions:q}"
        " --device {resources.device}"
        " --threads {threads} --settings {params.settings:q} > {log:q} 2>&1"
