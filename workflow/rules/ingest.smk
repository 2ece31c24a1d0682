# REQUIRED INPUTS  the sheet of genomes and the files that it names
# OUTPUTS          results/<collection>/store


rule ingest:
    input:
        sheet=config["genomes"],
        genomes=[Path(config["genomes"]).parent / path for path in GENOMES["path"]],
        features=[
            Path(config["genomes"]).parent / path
            for path in GENOMES.get("features", [])
            if path
        ],
    output:
        store=directory(f"{RESULTS}/store"),
    log:
        f"logs/{config['collection']}/ingest.log",
    benchmark:
        f"{RESULTS}/benchmarks/ingest.jsonl"
    conda:
        "../envs/genossl.yaml"
    threads: JOBS["ingest_threads"]
    resources:
        mem_mb=lambda wildcards, threads: 500 + 500 * threads,
        runtime=60,
    params:
        settings=lambda wildcards: json.dumps(
            config.get("ingest") or {}, sort_keys=True
        ),
    shell:
        "genossl --quiet ingest {input.sheet:q} --out {output.store:q} --threads {threads}"
        " --settings {params.settings:q} > {log:q} 2>&1"
