# Settings and targets.
import re
from pathlib import Path

import genossl
import pandas as pd
from snakemake.exceptions import WorkflowError

# what is run, all --configfile and --config laid together, for genossl check
CHECKED = Path(f"logs/{config['collection']}/config.json")
RESULTS = f"results/{config['collection']}"
# a genome may be called NA
SHEET = dict(sep="\t", dtype=str, comment="#", keep_default_na=False)
GENOMES = pd.read_csv(config["genomes"], **SHEET)
TASKS = pd.read_csv(config["tasks"], **SHEET).set_index("task", drop=False)
TASKS["labels"] = [str(Path(config["tasks"]).parent / path) for path in TASKS["path"]]
RUNS = {name: spec or {} for name, spec in (config.get("runs") or {}).items()}
# untrained encoders: name -> the run whose first weights it takes
UNTRAINED = {"untrained": "ours"}
# methods that a preset's encoder cannot serve, in sentences
LEFT_OUT = []
if config.get("methods"):
    # here alone, because it loads torch
    from genossl.errors import InputError
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
JOBS = {
    "pretrain_threads": 1,
    "probe_threads": 2,
    "device": "auto",
    "gpu": 0,
    "runtime": 240,
    "stop_margin": 5,
    "max_resubmissions": 20,
    "mem_mb": 3000,
} | (config.get("jobs") or {})
# tasks to be clustered: none where the section names no algorithm; numbers and sets of names are no clusters
CLUSTERED = [
    task
    for task, kind in zip(TASKS.index, TASKS.get("kind", [""] * len(TASKS)))
    if (config.get("cluster") or {}).get("algorithms") and kind in ("", "classes")
]
TARGETS = [
    f"{RESULTS}/report.html",
    *(f"{RESULTS}/clusters/{task}.tsv" for task in CLUSTERED),
]


wildcard_constraints:
    run="|".join(map(re.escape, RUNS)) or "none",
    baseline="|".join(map(re.escape, BASELINES)) or "none",
    task="|".join(map(re.escape, TASKS.index)),
