# REQUIRED INPUTS  results/<collection>/store, runs/<run>/encoder.safetensors, results/<collection>/tasks
# OUTPUTS          results/<collection>/embeddings/<task>/<name>.npy, .tsv; genomes/<name>.<part>-of-<parts>.done, and
#                  genomes/<name>, a folder that is not declared: Snakemake would remove what a killed job goes on with


rule embed:
    input:
        store=rules.ingest.output.store,
        labels=rules.tasks.output.table,
        task=rules.tasks.output.about,
        encoder=rules.pretrain.output.encoder,
        about=rules.pretrain.output.about,
    output:
        vectors=ensure(f"{RESULTS}/embeddings/{{task}}/{{run}}.npy", non_empty=True),
        rows=f"{RESULTS}/embeddings/{{task}}/{{run}}.tsv",
    log:
        f"logs/{config['collection']}/embed/{{task}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/embed/{{task}}/{{run}}.jsonl"
    conda:
        "../envs/genossl.yaml"
    threads: JOBS["pretrain_threads"]
    resources:
        **ON_DEVICE,
        mem_mb=memory(JOBS["mem_mb"]),
        runtime=120,
    params:
        settings=lambda wildcards: json.dumps(config.get("embed") or {}, sort_keys=True),
    shell:
        "genossl --quiet embed {input.encoder:q} {input.labels:q} --sequences {input.store:q} --out {output.vectors:q}"
        " --device {resources.device}"
        " --threads {threads} --settings {params.settings:q} > {log:q} 2>&1"


rule embed_baseline:
    input:
        store=rules.ingest.output.store,
        labels=rules.tasks.output.table,
        task=rules.tasks.output.about,
        run=lambda wildcards: WEIGHTS.get(wildcards.baseline, []),
    output:
        vectors=ensure(
            f"{RESULTS}/embeddings/{{task}}/{{baseline}}.npy", non_empty=True
        ),
        rows=f"{RESULTS}/embeddings/{{task}}/{{baseline}}.tsv",
    log:
        f"logs/{config['collection']}/embed/{{task}}/{{baseline}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/embed/{{task}}/{{baseline}}.jsonl"
    conda:
        "../envs/genossl.yaml"
    threads: 1
    resources:
        mem_mb=memory(JOBS["mem_mb"]),
        runtime=120,
    params:
        encoder=lambda wildcards, input: encoder_spec(wildcards.baseline, input.run),
        settings=lambda wildcards: json.dumps(config.get("embed") or {}, sort_keys=True),
    shell:
        "genossl --quiet embed {params.encoder:q} {input.labels:q} --sequences {input.store:q} --out {output.vectors:q}"
        " --device cpu --threads {threads} --settings {params.settings:q} > {log:q} 2>&1"


# every window of every genome, a file per contig in one folder, the contigs shared among jobs
rule embed_genomes:
    input:
        store=rules.ingest.output.store,
        run=lambda wildcards: WEIGHTS.get(wildcards.embedded, []),
    output:
        done=touch(f"{RESULTS}/genomes/{{embedded}}.{{part}}-of-{PARTS}.done"),
    log:
        f"logs/{config['collection']}/genomes/{{embedded}}/{{part}}-of-{PARTS}.log",
    benchmark:
        f"{RESULTS}/benchmarks/genomes/{{embedded}}/{{part}}-of-{PARTS}.jsonl"
    conda:
        "../envs/genossl.yaml"
    threads: JOBS["pretrain_threads"]
    resources:
        **ON_DEVICE,
        mem_mb=memory(JOBS["mem_mb"]),
        runtime=JOBS["runtime"],
    params:
        encoder=lambda wildcards, input: encoder_spec(wildcards.embedded, input.run),
        settings=lambda wildcards: json.dumps(config.get("embed") or {}, sort_keys=True),
        folder=f"{RESULTS}/genomes/{{embedded}}/",
    shell:
        "genossl --quiet embed {params.encoder:q} {input.store:q} --out {params.folder:q} --replace"
        f" --part {{wildcards.part}}/{PARTS}"
        " --device {resources.device}"
        " --threads {threads} --settings {params.settings:q} > {log:q} 2>&1"
