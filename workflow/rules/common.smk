# Settings and targets.
import os
import re
from pathlib import Path

import genossl
from genossl.errors import InputError
from genossl.files import NAME, read_sheet
from genossl.genome.accessions import sheet_of_genomes
from pandas import DataFrame
from snakemake.exceptions import WorkflowError

# what is wrong elsewhere genossl check says; this is a folder before it is asked
if not NAME.fullmatch(str(config["collection"])):
    raise WorkflowError(
        f"collection {config['collection']!r}: a name has letters, digits, _ . and -"
    )
# what is run, all --configfile and --config laid together, for genossl check
CHECKED = Path(f"logs/{config['collection']}/config.json")
# what its messages call it: the file that people edit
CONFIGURED = os.path.relpath([*workflow.configfiles, CHECKED][0])
RESULTS = f"results/{config['collection']}"
try:
    GENOMES = sheet_of_genomes(config["genomes"])
    # none is none to be measured on: encoders are trained, and genomes embedded
    TASKS = (
        read_sheet(config["tasks"], ("task", "path"), empty=True)
        if config.get("tasks")
        else DataFrame(columns=["task", "path"], dtype=object)
    ).set_index("task", drop=False)
except InputError as error:
    raise WorkflowError(str(error))
# the sheet's columns, as the verb tasks takes them
TASK_SETTINGS = {
    task: {
        name: row[name]
        for name in "layout kind strand sequence label split group description".split()
        if row.get(name)
    }
    for task, row in TASKS.to_dict("index").items()
}
# files beside the task's own, relative to the sheet
TASK_OPTIONS = {
    task: [
        word
        for name in ("labels", "genome")
        if row.get(name)
        for word in (f"--{name}", str(Path(config["tasks"]).parent / row[name]))
    ]
    for task, row in TASKS.to_dict("index").items()
}
TASKS["given"] = [str(Path(config["tasks"]).parent / path) for path in TASKS["path"]]
TASK_FILES = {
    task: [
        str(file)
        for file in (
            sorted(Path(given).rglob("*")) if Path(given).is_dir() else [given]
        )
        if not Path(file).is_dir()
    ]
    + TASK_OPTIONS[task][1::2]
    for task, given in TASKS["given"].items()
}
# of the workflow's input files, also within folders of tasks
for path in [
    config["genomes"],
    config.get("tasks") or "",
    *GENOMES["path"],
    *GENOMES.get("features", []),
    *(file for files in TASK_FILES.values() for file in files),
]:
    if re.search("[{}<>]", path):
        raise WorkflowError(
            f"{path}: Snakemake reads {{ }} < > in a file's name as a pattern; rename it"
        )
RUNS = {name: spec or {} for name, spec in (config.get("runs") or {}).items()}
# untrained encoders: name -> the run whose first weights it takes
UNTRAINED = {"untrained": "ours"}
# methods that a preset's encoder cannot serve, in sentences
LEFT_OUT = []
if config.get("methods"):
    # here alone, because it loads torch
    from genossl.recipe import compared

    try:
        COMPARED = compared(config["methods"], config.get("compare"))
    except InputError as error:
        raise WorkflowError(str(error))
    RUNS |= COMPARED.runs
    UNTRAINED |= COMPARED.untrained
    LEFT_OUT = COMPARED.left_out
SHIPPED = Path(genossl.__file__).parent / "presets"
PRESETS = {
    name: preset if Path(preset).suffix else str(SHIPPED / f"{preset}.yaml")
    for name, preset in ((run, RUNS[run].get("preset", "default")) for run in RUNS)
}
BASELINES = [
    *(config.get("baselines") or []),
    *(name for name in UNTRAINED if name != "untrained"),
]
NAMES = [*RUNS, *BASELINES]
# the weights that an embedding needs; k-mers and GC content need none
WEIGHTS = {
    name: f"{RESULTS}/runs/{run}/encoder.safetensors"
    for name, run in [*zip(RUNS, RUNS), *UNTRAINED.items()]
}
# how the probe splits a table without a column split, so that the audit looks at the same test rows
PROBE_SPLIT = {
    key: value
    for key, value in (config.get("probe") or {}).items()
    if key in ("fractions", "block")
}
# networks trained end to end: name -> a run, scratch:RUN or cnn
FINETUNED = (config.get("finetune") or {}).get("models") or {}
# the weights that each needs
FINETUNED_FROM = {
    name: (
        []
        if what == "cnn"
        else f"{RESULTS}/runs/{what.removeprefix('scratch:')}/encoder.safetensors"
    )
    for name, what in FINETUNED.items()
}
# rows are those of the probe, whose section says how they are split and capped
FINETUNE = {
    key: value
    for key, value in (config.get("probe") or {}).items()
    if key in ("cap", "block", "fractions", "validation_cap", "test_cap", "seed")
} | {
    key: value
    for key, value in (config.get("finetune") or {}).items()
    if key != "models"
}
JOBS = {
    "ingest_threads": 2,
    "tracked_genomes": 5000,
    "pretrain_threads": 1,
    "ranks": 1,
    "nodes": 1,
    "embed_parts": 8,
    "probe_threads": 2,
    "device": "auto",
    "gpu": 0,
    "runtime": 240,
    "stop_margin": 5,
    "max_resubmissions": 20,
    "track": [],
    "mem_mb": 3000,
} | (config.get("jobs") or {})
# How pretraining is started where several processes train together, and what a cluster is asked for
RANKS = JOBS["ranks"] // (JOBS["nodes"] or 1)  # of one node; genossl check speaks of 0
TORCHRUN = f"--nproc-per-node {RANKS} --no-python "
if JOBS["nodes"] > 1:
    # with mpi the job is no step of srun by itself; its shell is on the first node, where the ranks meet
    TORCHRUN = (
        f"srun --nodes {JOBS['nodes']} --ntasks {JOBS['nodes']} --ntasks-per-node 1"
        f" --cpus-per-task {JOBS['pretrain_threads'] * RANKS} --kill-on-bad-exit=1"
        f" torchrun --nnodes {JOBS['nodes']} --rdzv-backend c10d"
        " --rdzv-id ${SLURM_JOB_ID:?is not set, but jobs.nodes needs Slurm}"
        f" --rdzv-endpoint $(hostname):$((20000 + SLURM_JOB_ID % 20000)) {TORCHRUN}"
    )
    PLACES = dict(mpi="srun", nodes=JOBS["nodes"], tasks=JOBS["nodes"], tasks_per_gpu=0)
    # of each node, where --gpus would be of the whole job
    PLACES |= dict(gres=f"gpu:{RANKS}") if JOBS["gpu"] else {}
else:
    TORCHRUN = f"torchrun --standalone {TORCHRUN}" if RANKS > 1 else ""
    # without nodes=1 a cluster may give one GPU of each of two nodes
    PLACES = dict(nodes=1, gpu=JOBS["gpu"])
# what else may use a GPU. In shell lines these are {resources...}: what an f-string puts there is a rule's code, whose
# change would run it again
ON_DEVICE = dict(nodes=1, gpu=min(1, JOBS["gpu"]), device=JOBS["device"])
# whose vectors of all genomes are wanted, and in how many parts
EMBEDDED = config.get("embedded") or []
PARTS = min(JOBS["embed_parts"], len(GENOMES))
# whose answers are asked whether they depend on the strand: embedding -> encoder
STRANDED = {
    name: f"{RESULTS}/runs/{name}/encoder.safetensors"
    for name in RUNS
    if name == "ours"
} | {
    name: name.replace("kmer", "kmer:")
    for name in BASELINES
    if re.fullmatch("kmer[1-8]", name)
}
STRAND_TABLES = [
    f"{RESULTS}/scores/{task}.strand.tsv"
    for task, settings in TASK_SETTINGS.items()
    if STRANDED and settings.get("kind", "classes") == "classes"
]
# tasks to be clustered: none where the section names no algorithm; numbers and sets of names are no clusters
CLUSTERED = [
    task
    for task, settings in TASK_SETTINGS.items()
    if (config.get("cluster") or {}).get("algorithms")
    and settings.get("kind", "classes") == "classes"
]


def memory(mb):
    """MB of a job, doubled at the second attempt and at the third; 350 of them are Snakemake's own."""
    return lambda wildcards, attempt: (350 + mb) * 2 ** min(attempt - 1, 2)


def encoder_spec(name, weights):
    """What genossl embed is told to embed with."""
    if name in RUNS:
        return str(weights)
    return f"untrained:{weights}" if weights else name.replace("kmer", "kmer:")


wildcard_constraints:
    run="|".join(map(re.escape, RUNS)) or "none",
    baseline="|".join(map(re.escape, BASELINES)) or "none",
    task="|".join(map(re.escape, TASKS.index)) or "none",
    embedded="|".join(map(re.escape, EMBEDDED)) or "none",
    part=r"\d+",
    model="|".join(map(re.escape, FINETUNED)) or "none",
