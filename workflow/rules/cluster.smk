# REQUIRED INPUTS  results/<collection>/embeddings/<task>/*.npy, tasks
# OUTPUTS          results/<collection>/clusters/<task>.tsv, .comparisons.tsv, .assigned.tsv, .json


rule cluster:
    input:
        embeddings=expand(f"{RESULTS}/embeddings/{{{{task}}}}/{{name}}.npy", name=NAMES),
        rows=expand(f"{RESULTS}/embeddings/{{{{task}}}}/{{name}}.tsv", name=NAMES),
        labels=rules.tasks.output.table,
    output:
        scores=f"{RESULTS}/clusters/{{task}}.tsv",
        comparisons=f"{RESULTS}/clusters/{{task}}.comparisons.tsv",
        assigned=f"{RESULTS}/clusters/{{task}}.assigned.tsv",
        about=f"{RESULTS}/clusters/{{task}}.json",
    log:
        f"logs/{config['collection']}/cluster/{{task}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/cluster/{{task}}.jsonl"
    conda:
        "../envs/genossl.yaml"
    threads: JOBS["probe_threads"]
    resources:
        mem_mb=memory(JOBS["mem_mb"]),
        runtime=120,
    params:
        settings=lambda wildcards: json.dumps(
            config.get("cluster") or {}, sort_keys=True
        ),
    shell:
        "genossl --quiet cluster {input.embeddings:q} --labels {input.labels:q} --task {wildcards.task:q}"
        " --out {output.scores:q} --threads {threads} --settings {params.settings:q} > {log:q} 2>&1"
