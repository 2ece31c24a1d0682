# REQUIRED INPUTS  results/<collection>/embeddings/<task>/*.npy, results/<collection>/tasks, audit,
#                  predictions/<task>/*.npz
# OUTPUTS          results/<collection>/scores/<task>.tsv, .comparisons.tsv, .confusion.tsv, .efficiency.tsv,
#                  .calibration.tsv, .subsets.tsv, .json


rule probe:
    input:
        embeddings=expand(f"{RESULTS}/embeddings/{{{{task}}}}/{{name}}.npy", name=NAMES),
        rows=expand(f"{RESULTS}/embeddings/{{{{task}}}}/{{name}}.tsv", name=NAMES),
        predictions=expand(
            f"{RESULTS}/predictions/{{{{task}}}}/{{model}}.npz", model=FINETUNED
        ),
        labels=rules.tasks.output.table,
        audit=rules.audit.output.rows,
        audited=rules.gate.output.passed,
    output:
        scores=f"{RESULTS}/scores/{{task}}.tsv",
        comparisons=f"{RESULTS}/scores/{{task}}.comparisons.tsv",
        confusion=f"{RESULTS}/scores/{{task}}.confusion.tsv",
        efficiency=f"{RESULTS}/scores/{{task}}.efficiency.tsv",
        calibration=f"{RESULTS}/scores/{{task}}.calibration.tsv",
        subsets=f"{RESULTS}/scores/{{task}}.subsets.tsv",
        about=f"{RESULTS}/scores/{{task}}.json",
    log:
        f"logs/{config['collection']}/probe/{{task}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe/{{task}}.jsonl"
    conda:
        "../envs/genossl.yaml"
    threads: JOBS["probe_threads"]
    resources:
        mem_mb=memory(JOBS["mem_mb"]),
        runtime=120,
    params:
        predictions=lambda wildcards, input: [
            word for path in input.predictions for word in ("--predictions", path)
        ],
        settings=lambda wildcards: json.dumps(config.get("probe") or {}, sort_keys=True),
        kind=lambda wildcards: TASK_SETTINGS[wildcards.task].get("kind", "classes"),
    shell:
        "genossl --quiet probe {input.embeddings:q} --labels {input.labels:q} --task {wildcards.task:q}"
        " --kind {params.kind:q} --audit {input.audit:q} {params.predictions:q}"
        " --out {output.scores:q}"
        " --threads {threads} --settings {params.settings:q} > {log:q} 2>&1"
