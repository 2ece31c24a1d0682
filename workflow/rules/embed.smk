# REQUIRED INPUTS  results/<collection>/store, runs/<run>/encoder.safetensors, the labelled tables
# OUTPUTS          results/<collection>/embeddings/<task>/<name>.npy, .tsv


def labels_of(wildcards):
    return Path(config["tasks"]).parent / TASKS.loc[wildcards.task, "path"]


rule embed:
    input:
        store=rules.ingest.output.store,
        labels=labels_of,
        encoder=rules.pretrain.output.encoder,
        about=rules.pretrain.output.about,
    output:
        vectors=ensure(f"{RESULTS}/embeddings/{{task}}/{{run}}.npy", non_empty=True),
        rows=f"{RESULTS}/embeddings/{{task}}/{{run}}.tsv",
    log:
        f"logs/{config['collection']}/embed/{{task}}/{{run}}.log",
    benchmark:
        f"benchmarks/{config['collection']}/embed/{{task}}/{{run}}.jsonl"
    threads: JOBS["pretrain_threads"]
    resources:
        gpu=JOBS["gpu"],
        nodes=1,
        mem_mb=JOBS["mem_mb"],
        runtime=120,
    params:
        settings=lambda wildcards: json.dumps(config.get("embed") or {}, sort_keys=True),
    shell:
        "genossl --quiet embed {input.encoder:q} {input.labels:q} --sequences {input.store:q} --out {output.vectors:q}"
        f" --device {JOBS['device']}"
        " --threads {threads} --settings {params.settings:q} > {log:q} 2>&1"


rule embed_baseline:
    input:
        store=rules.ingest.output.store,
        labels=labels_of,
        ours=lambda wildcards: (
            f"{RESULTS}/runs/ours/encoder.safetensors" if wildcards.baseline == "untrained" else []
        ),
    output:
        vectors=ensure(f"{RESULTS}/embeddings/{{task}}/{{baseline}}.npy", non_empty=True),
        rows=f"{RESULTS}/embeddings/{{task}}/{{baseline}}.tsv",
    log:
        f"logs/{config['collection']}/embed/{{task}}/{{baseline}}.log",
    benchmark:
        f"benchmarks/{config['collection']}/embed/{{task}}/{{baseline}}.jsonl"
    threads: 1
    resources:
        mem_mb=JOBS["mem_mb"],
        runtime=120,
    params:
        encoder=lambda wildcards, input: (
            f"untrained:{input.ours}"
            if wildcards.baseline == "untrained"
            else wildcards.baseline.replace("kmer", "kmer:")
        ),
        settings=lambda wildcards: json.dumps(config.get("embed") or {}, sort_keys=True),
    shell:
        "genossl --quiet embed {params.encoder:q} {input.labels:q} --sequences {input.store:q} --out {output.vectors:q}"
        " --device cpu --threads {threads} --settings {params.settings:q} > {log:q} 2>&1"
