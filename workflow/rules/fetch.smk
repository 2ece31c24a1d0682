# REQUIRED INPUTS  the sheet of genomes, of which rows have an accession and no path; NCBI
# OUTPUTS          results/<collection>/fetched/genomes.tsv, and the genomes beside it


rule fetch:
    input:
        sheet=config["genomes"],
    output:
        sheet=f"{RESULTS}/fetched/genomes.tsv",
    log:
        f"logs/{config['collection']}/fetch.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch.jsonl"
    conda:
        "../envs/genossl.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=720,
    params:
        # no output: what has come must outlive a failure, and is looked at again by its checksum
        out=lambda wildcards, output: Path(output.sheet).parent,
        settings=lambda wildcards: json.dumps(config.get("fetch") or {}, sort_keys=True),
    shell:
        "genossl --quiet fetch {input.sheet:q} --out {params.out:q} --settings {params.settings:q} > {log:q} 2>&1"
