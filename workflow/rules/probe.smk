# REQUIRED INPUTS  results/<collection>/embeddings/<task>/*.npy, the labelled tables
# OUTPUTS          results/<collection>/scores/<task>.tsv, .comparisons.tsv, .confusion.tsv, .efficiency.tsv,
#                  .calibration.tsv, .json


rule probe:
    input:
        embeddings=expand(f"{RESULTS}/embeddings/{{{{task}}}}/{{name}}.npy", name=NAMES),
        rows=expand(f"{RESULTS}/embeddings/{{{{task}}}}/{{name}}.tsv", name=NAMES),
        labels=lambda wildcards: TASKS.loc[wildcards.task, "labels"],
    output:
        scores=f"{RESULTS}/scores/{{task}}.tsv",
        comparisons=f"{RESULTS}/scores/{{task}}.comparisons.tsv",
        confusion=f"{RESULTS}/scores/{{task}}.confusion.tsv",
        efficiency=f"{RESULTS}/scores/{{task}}.efficiency.tsv",
        calibration=f"{RESULTS}/scores/{{task}}.calibration.tsv",
        about=f"{RESULTS}/scores/{{task}}.json",
    log:
        f"logs/{config['collection']}/probe/{{task}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe/{{task}}.jsonl"
    conda:
        "../envs/genossl.yaml"
    threads: JOBS["probe_threads"]
    resources:
        mem_mb=JOBS["mem_mb"],
        runtime=120,
    params:
        settings=lambda wildcards: json.dumps(config.get("probe") or {}, sort_keys=True),
        kind=lambda wildcards: TASKS.get("kind", {}).get(wildcards.task) or "classes",
    shell:
        "genossl --quiet probe {input.embeddings:q} --labels {input.labels:q} --task {wildcards.task:q}"
        " --kind {params.kind:q}"
        " --out {output.scores:q} --threads {threads} --settings {params.settings:q} > {log:q} 2>&1"
