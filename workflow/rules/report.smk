# REQUIRED INPUTS  results/<collection>/store, audit/*, runs/*/log.tsv, scores/*, clusters/*
# OUTPUTS          results/<collection>/report.html, findings.txt


rule report:
    input:
        store=rules.ingest.output.store,
        audits=expand(rules.audit.output, task=TASKS.index),
        audited=expand(rules.gate.output.passed, task=TASKS.index),
        logs=expand(rules.pretrain.output.log, run=RUNS),
        provenance=expand(rules.pretrain.output.provenance, run=RUNS),
        scores=expand(rules.probe.output.scores, task=TASKS.index),
        comparisons=expand(rules.probe.output.comparisons, task=TASKS.index),
        strands=STRAND_TABLES,
        clusters=expand(rules.cluster.output.scores, task=CLUSTERED),
        embeddings=expand(
            f"{RESULTS}/embeddings/{{task}}/{{name}}.npy", task=TASKS.index, name=NAMES
        ),
    output:
        html=ensure(f"{RESULTS}/report.html", non_empty=True),
        findings=f"{RESULTS}/findings.txt",
    log:
        f"logs/{config['collection']}/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.jsonl"
    conda:
        "../envs/genossl.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500),
        runtime=30,
    params:
        results=lambda wildcards, output: Path(output.html).parent,
        settings=lambda wildcards: json.dumps(
            {
                **(config.get("report") or {}),
                **({"left_out": LEFT_OUT} if LEFT_OUT else {}),
            },
            sort_keys=True,
        ),
    shell:
        "genossl --quiet report {params.results:q} --out {output.html:q} --settings {params.settings:q}"
        " > {output.findings:q} 2> {log:q}"
