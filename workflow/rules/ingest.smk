# REQUIRED INPUTS  the sheet of genomes and the files that it names; where rows have none, the sheet that fetch writes
# OUTPUTS          results/<collection>/store


rule ingest:
    input:
        sheet=(config["genomes"] if all(GENOMES["path"]) else rules.fetch.output.sheet),
        # every job looks at every input, so that of very many genomes only the sheet is one
        files=[
            Path(config["genomes"]).parent / path
            for column in ("path", "features")
            for path in GENOMES.get(column, [])
            if path and len(GENOMES) <= JOBS["tracked_genomes"]
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
        mem_mb=memory(150 + 500 * JOBS["ingest_threads"]),
        runtime=60,
    params:
        settings=lambda wildcards: json.dumps(
            config.get("ingest") or {}, sort_keys=True
        ),
        # a file that gave way to an older one has no newer time, by which alone it would be noticed; what is made of a
        # rule's `input` is not compared, hence its list
        seen=lambda wildcards: [
            (Path(path).stat().st_size, int(Path(path).stat().st_mtime))
            for path in rules.ingest.input
            if Path(path).exists() and path != rules.fetch.output.sheet
        ],
    shell:
        "genossl --quiet ingest {input.sheet:q} --out {output.store:q} --threads {threads}"
        " --settings {params.settings:q} > {log:q} 2>&1"
