# REQUIRED INPUTS  results/<collection>/tasks, store, runs/ours/encoder.safetensors
# OUTPUTS          results/<collection>/scores/<task>.strand.tsv


rule strands:
    input:
        store=rules.ingest.output.store,
        labels=rules.tasks.output.table,
        task=rules.tasks.output.about,
        encoders=[spec for spec in STRANDED.values() if spec.endswith(".safetensors")],
    output:
        table=f"{RESULTS}/scores/{{task}}.strand.tsv",
    log:
        f"logs/{config['collection']}/strands/{{task}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/strands/{{task}}.jsonl"
    conda:
        "../envs/genossl.yaml"
    threads: 1
    resources:
        **ON_DEVICE,
        mem_mb=memory(JOBS["mem_mb"]),
        runtime=60,
    params:
        encoders=list(STRANDED.values()),
        # the probe's rows, unless this section says otherwise, and the pool of the embeddings
        settings=lambda wildcards: json.dumps(
            {
                key: section[key]
                for section, keys in (
                    (config.get("probe") or {}, ("block", "cap", "fractions", "seed")),
                    (config.get("embed") or {}, ("pool",)),
                    (config.get("strands") or {}, config.get("strands") or {}),
                )
                for key in keys
                if key in section
            },
            sort_keys=True,
        ),
    shell:
        "genossl --quiet strands {params.encoders:q} --labels {input.labels:q} --sequences {input.store:q}"
        " --out {output.table:q} --device {resources.device}"
        " --threads {threads} --settings {params.settings:q} > {log:q} 2>&1"
