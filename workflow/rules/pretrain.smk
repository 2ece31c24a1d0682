# REQUIRED INPUTS  results/<collection>/store, the preset that the run starts from
# OUTPUTS          results/<collection>/runs/<run>/encoder.safetensors, encoder.json, log.tsv, log.jsonl


rule pretrain:
    input:
        store=rules.ingest.output.store,
        preset=lambda wildcards: PRESETS[wildcards.run],
    output:
        encoder=ensure(f"{RESULTS}/runs/{{run}}/encoder.safetensors", non_empty=True),
        about=f"{RESULTS}/runs/{{run}}/encoder.json",
        log=f"{RESULTS}/runs/{{run}}/log.tsv",
        lines=f"{RESULTS}/runs/{{run}}/log.jsonl",
        provenance=f"{RESULTS}/runs/{{run}}/run.provenance.json",
    log:
        f"logs/{config['collection']}/pretrain/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pretrain/{{run}}.jsonl"
    # inside a cluster job another snakemake obeys `retries` too; only the main process may resubmit
    retries: JOBS["max_resubmissions"] if workflow.is_main_process else 0
    conda:
        "../envs/genossl.yaml"
    threads: JOBS["pretrain_threads"] * RANKS
    resources:
        **PLACES,
        # of each node, and the same at each attempt: that it is started again says nothing of its memory
        mem_mb=350 + JOBS["mem_mb"] * RANKS,
        runtime=JOBS["runtime"],
        stop_margin=JOBS["stop_margin"],
        launcher=TORCHRUN,
        rank_threads=JOBS["pretrain_threads"],
        device=JOBS["device"],
        track="".join(f"--track {name} " for name in JOBS["track"] or []),
    params:
        settings=lambda wildcards: json.dumps(RUNS[wildcards.run], sort_keys=True),
        # no output: what a stopped run resumes from must outlive its failure
        run=lambda wildcards, output: Path(output.encoder).parent,
    shell:
        "{resources.launcher}genossl pretrain {resources.track}{input.store:q} --out {params.run:q}"
        " --settings {params.settings:q}"
        " --device {resources.device}"
        " --threads {resources.rank_threads}"
        " --time-limit $(({resources.runtime} - {resources.stop_margin})) > {log:q} 2>&1"
