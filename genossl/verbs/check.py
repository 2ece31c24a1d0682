"""A workflow's config.yaml and its sheets, looked at as a whole before anything runs; and whether an artefact still is
what was written, and its inputs what they were then."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genossl import config, recipe
from genossl.errors import InputError
from genossl.evaluation.dataset import is_dataset
from genossl.evaluation.table import tables
from genossl.files import NAME, read_sheet
from genossl.genome.accessions import sheet_of_genomes
from genossl.genome.store import TokenStore, is_store
from genossl.model.tracking import TRACKERS
from genossl.verbs import audit, cluster, embed, fetch, finetune, ingest, probe, report, rerun, strands
from genossl.verbs import tasks as labelled

BESIDE = ("labels", "genome")  # columns of a sheet of tasks that name files
TASK_COLUMNS = (*(field.name for field in dataclasses.fields(labelled.Settings)), *BESIDE)
BASELINES = re.compile(r"untrained|gc|kmer[1-8]")
RESERVED = re.compile(r"gc|kmer[1-8]|untrained(\..+)?|.+\.(null|seed\d+)")  # names of baselines and compared runs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jobs:
    """How the workflow runs; nothing here changes a result."""

    ingest_threads: int = 2  # genomes read at once
    tracked_genomes: int = 5000  # longest sheet whose files are inputs; of longer ones only the sheet is looked at
    pretrain_threads: int = 1  # CPU threads of one pretraining run, or of each of its ranks
    ranks: int = 1  # processes that train together in one run (torchrun), each on a GPU of its own if there are any
    nodes: int = 1  # machines on which they run, as many on each; more than one needs Slurm
    embed_parts: int = 8  # jobs that embed whole genomes side by side
    probe_threads: int = 2  # embeddings probed at once
    device: str = "auto"  # auto: cuda, else mps, else cpu
    gpu: int = 0  # GPUs that a pretraining job asks the cluster for, one for each rank; other jobs ask for one
    runtime: int = 240  # minutes that a pretraining job may take
    stop_margin: int = 5  # minutes before the end of runtime at which pretraining saves and stops
    max_resubmissions: int = 20  # times that a stopped pretraining is started again
    track: tuple[str, ...] = ()  # where pretraining also shows its curves: tensorboard, mlflow, wandb
    mem_mb: int = 3000  # memory of a pretraining (of each of its ranks), embedding or probe job

    def __post_init__(self) -> None:
        wrong = []
        for name, value in dataclasses.asdict(self).items():
            least = 0 if name in ("tracked_genomes", "gpu", "stop_margin", "max_resubmissions") else 1
            if isinstance(value, int) and value < least:
                wrong.append(f"{name} must be at least {least}")
        if not wrong and self.ranks % self.nodes:
            wrong.append(f"ranks {self.ranks}: is no multiple of nodes ({self.nodes}), each of which starts as many")
        if self.gpu > 0 and self.gpu != self.ranks:
            wrong.append(f"gpu {self.gpu}: each rank trains on one; expected as many as ranks ({self.ranks})")
        if self.gpu > 0 and self.device == "cpu":
            wrong.append(f"gpu {self.gpu}: with device cpu they would idle; expected gpu 0")
        if self.stop_margin >= self.runtime:
            wrong.append(f"stop_margin {self.stop_margin}: expected fewer minutes than runtime ({self.runtime})")
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", self.device):  # it stands in a shell line
            wrong.append(f"device {self.device!r}: expected auto, cpu, cuda, cuda:N or mps")
        if strange := [name for name in self.track if name not in TRACKERS]:
            wrong.append(f"track {strange[0]!r}: expected {', '.join(TRACKERS)}")
        if wrong:
            raise ValueError("; ".join(wrong))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sheets:
    """What the experiment is called and where its sheets are."""

    collection: str = "collection"
    genomes: str = ""
    tasks: str = ""


def run(path: Path, called: str | None = None) -> list[str]:
    """Raise one InputError that names every mistake in the configuration; return what it will do, in lines.

    called: the name that the message gives to a configuration which a program has written out of another.
    """
    path = Path(path)
    settings = config.read_yaml(path)
    wrong: list[str] = []

    def attempt(action: Callable[[], Any]) -> Any:
        try:
            return action()
        except InputError as error:
            wrong.append(str(error))

    sections = {
        "fetch": fetch, "ingest": ingest, "audit": audit, "embed": embed, "finetune": finetune, "probe": probe,
        "strands": strands, "cluster": cluster, "report": report,
    }  # fmt: skip
    known = ("collection", "genomes", "tasks", "runs", "methods", "compare", "baselines", "embedded", "jobs", *sections)
    wrong += [f"{key}: unknown section; known: {', '.join(known)}" for key in settings if key not in known]
    for name, verb in sections.items():
        wrong += config.mistakes(verb.Settings, settings.get(name), name)
    wrong += config.mistakes(Jobs, settings.get("jobs"), "jobs")
    sheets = attempt(
        lambda: config.build(Sheets, {k: settings.get(k) or "" for k in ("collection", "genomes", "tasks")}, "config")
    )
    runs, baselines = settings.get("runs") or {}, settings.get("baselines") or []
    if not isinstance(runs, dict) or not (runs or settings.get("methods")):
        wrong.append("runs: expected at least one run, as name: {settings}, or methods to compare")
        runs = {}
    if not isinstance(baselines, list) or not all(isinstance(b, str) and BASELINES.fullmatch(b) for b in baselines):
        wrong.append(f"baselines: expected a list of untrained, gc and kmer1 to kmer8, found {baselines!r}")
    elif "untrained" in baselines and "ours" not in runs:
        wrong.append("baselines: untrained needs a run called ours, whose first weights it takes")
    for name, spec in runs.items():
        if not isinstance(name, str) or not NAME.fullmatch(name) or RESERVED.fullmatch(name):
            wrong.append(f"runs.{name}: a name has letters, digits, _ . - and is no baseline's or compared method's")
        elif not isinstance(spec or {}, dict):
            wrong.append(f"runs.{name}: expected settings, found {spec!r}")
        elif message := _mistake(lambda spec=spec: recipe.resolve(spec or {})):
            wrong.append(f"runs.{name}: {message}")
    lines: list[str] = []
    compared = attempt(lambda: recipe.compared(settings.get("methods"), settings.get("compare")))
    runs = runs | (compared.runs if compared else {})
    known_names = [*runs, *(baselines if isinstance(baselines, list) else [])]
    wrong += _unshared(settings.get("jobs"), runs)
    wrong += _embedded(settings.get("embedded") or [], known_names)
    if isinstance(section := settings.get("embed"), dict) and section.get("by", "window") != "window":
        wrong.append("embed.by: the workflow embeds rows of tasks and windows; pool by hand: genossl embed --by")
    wrong += _finetuned(settings, known_names, runs)
    if (rival := _rival(settings.get("cluster"), runs, baselines)) is not None:
        wrong.append(rival)
    if sheets:
        if not NAME.fullmatch(sheets.collection):
            wrong.append(f"collection {sheets.collection!r}: a name has letters, digits, _ . and -")
        genomes = attempt(lambda: _sheet(sheets.genomes, "genome"))
        asked = attempt(lambda: _sheet(sheets.tasks, "task")) if sheets.tasks else None
        if genomes is not None:
            counted = {"genome": len(genomes), "run": len(runs), "baseline": len(baselines)}
            lines.append(", ".join(f"{n} {what}{'s' * (n != 1)}" for what, n in counted.items()))
            lines += _outside(sheets.genomes, genomes, ("path", "features"))
            lines += _to_fetch(genomes)
            lines += _compared(compared)
        lines += _unaudited(settings.get("audit"), runs)
        learnt = _learnt(genomes, runs)
        if genomes is not None and not learnt:
            wrong.append(
                f"{sheets.genomes}: no genome to learn from; expected a split of train, pretrain or none given"
            )
        if (shots := _verdict_shots(settings)) is not None:
            wrong.append(shots)
        if not sheets.tasks or (asked is not None and not len(asked)):
            done = "encoders are trained and genomes embedded" if settings.get("embedded") else "encoders are trained"
            lines.append(f"no tasks: {done}, and nothing is measured")
        if asked is not None:
            lines += _outside(sheets.tasks, asked, ("path", *BESIDE))
        for task in asked.to_dict("records") if asked is not None else ():
            made = attempt(lambda task=task: _task(Path(sheets.tasks), task))
            if made is None:
                continue
            file, labels, about = task["path"], made.table, made.about
            what = f", {len(about['classes'])} classes" if about["classes"] else ""
            lines.append(f"task {task['task']}: {len(labels)} rows{what}; {about['kind']}, from {made.told}")
            lines += _averaged(task["task"], about["strand"], settings.get("embed"))
            if genomes is not None and "genome" in labels:
                if "sequence" not in labels:  # its own sequences may be of genomes that the collection has not
                    attempt(lambda file=file, labels=labels: _known(file, labels, genomes, sheets.genomes))
                lines += _seen(file, labels, learnt, _gate(settings.get("audit"), genomes))
            if not config.mistakes(probe.Settings, settings.get("probe"), "probe"):
                probed = (settings.get("probe") or {}) | {"kind": about["kind"]}
                attempt(lambda file=file, labels=labels, probed=probed: _can_be_probed(file, labels, probed))
            if _clustered(settings.get("cluster")) and about["kind"] == "classes":
                attempt(lambda file=file, labels=labels: _clusters(file, labels, settings.get("cluster")))
    if wrong:
        raise InputError(f"{called or path}: " + "; ".join(wrong))
    return lines


def artefact(path: Path) -> list[str]:
    """Read a store, a run, a folder of embeddings or a file with provenance again, and what it was made of; in lines.

    Raises one InputError that names every file that has changed.
    """
    made, lines = rerun.run(path), []
    if is_store(path):
        store = TokenStore.open(path)
        store.verify()
        lines.append(f"{path}: {len(store.tokens):,} bases and all tables are as they were written")
    elif (path / "encoder.json").is_file():
        from genossl.model.checkpoint import load_encoder

        load_encoder(path)
        lines.append(f"{path}: the encoder is as it was written")
    elif is_dataset(path):
        rows = sum(len(part.rows) for part in tables(path))
        lines.append(f"{path}: {rows:,} rows are as they were written")
    if made.changed:
        raise InputError("; ".join(made.changed))
    return [*lines, f"{path}: what it was made of has not changed since"]


def _compared(compared: recipe.Compared | None) -> list[str]:
    if not compared:
        return []
    groups = list(dict.fromkeys(re.sub(r"\.(null|seed\d+)$", "", name) for name in compared.runs))
    told = [f"methods compared: {', '.join(groups)} ({len(compared.runs)} of the runs)"] if groups else []
    return told + [f"left out of the comparison: {sentence}" for sentence in compared.left_out]


def _mistake(action: Callable[[], Any]) -> str | None:
    try:
        action()
    except InputError as error:
        return str(error)
    return None


def _sheet(path: str, key: str) -> Any:
    """A sheet of genomes or tasks whose names are usable and whose files are there."""
    if not path:
        raise InputError(f"{key}s: expected the path of a sheet with the columns {key} and path")
    sheet = sheet_of_genomes(path) if key == "genome" else read_sheet(path, (key, "path"), empty=True)
    names = sheet[key]
    # of a genome no file is named, so that any name will do
    is_name = NAME.fullmatch if key == "task" else bool
    wrong = [f"{key} {name!r}: a name has letters, digits, _ . and -" for name in names if not is_name(name)]
    wrong += [f"{key} {name!r} occurs more than once" for name in names[names.duplicated()]]
    beside = ("features",) if key == "genome" else BESIDE
    files = [*filter(None, sheet["path"]), *(p for name in beside for p in sheet.get(name, []) if p)]
    patterns = [p for p in files if re.search("[{}<>]", p)]
    wrong += [f"{p}: Snakemake reads {{ }} < > in a file's name as a pattern; rename it" for p in patterns]
    wrong += [f"{p}: no such file, looked for beside the sheet" for p in files if not _is_there(path, p, key)]
    if key == "genome" and "split" in sheet:
        sheet["split"] = sheet["split"].replace(ingest.SPLITS)
        strange = sorted(set(sheet["split"]) - set(ingest.SPLITS.values()))
        wrong += [f"split {s!r}: expected train, validation, test, pretrain or none given" for s in strange]
    known = ["task", "path", *TASK_COLUMNS]
    if key == "genome":
        known = ["genome", "path", "accession", "split", "features"]
    for name in sheet.columns.difference(known):
        if close := difflib.get_close_matches(str(name), set(known) - set(sheet.columns), 1, 0.8):
            wrong.append(f"column {name!r}: did you mean {close[0]}?")
    if wrong:
        raise InputError(f"{path}: " + "; ".join(wrong[:10]))
    return sheet


def _outside(sheet: str, table: Any, columns: tuple[str, ...]) -> list[str]:
    """A line where a sheet names files outside its folder: who runs a sheet of others should know what is read."""
    folder = Path(sheet).parent.resolve()
    files = [path for name in columns for path in table.get(name, ()) if path]
    if away := [path for path in files if not (folder / path).resolve().is_relative_to(folder)]:
        return [f"{sheet}: {len(away)} of {len(files)} files lie outside its folder, the first of them {away[0]}"]
    return []


def _to_fetch(genomes: Any) -> list[str]:
    """A line where rows have an accession in place of a path; nobody is asked whether it exists."""
    missing = genomes["accession"][genomes["path"] == ""]
    if missing.empty:
        return []
    return [f"{len(missing)} of the genomes will be fetched from NCBI, the first of them {missing.iloc[0]}"]


def _is_there(sheet: str, path: str, key: str) -> bool:
    """A genome is a file; a task may be a folder too."""
    place = Path(sheet).parent / path
    return place.is_file() or (key == "task" and place.is_dir())


def _task(sheet: Path, row: dict[str, Any]) -> labelled.Prepared:
    """The task of one row of the sheet, as the verb tasks prepares it; nothing is written."""
    mapping = {name: row[name] for name in TASK_COLUMNS if name not in BESIDE and row.get(name)}
    settings = config.build(labelled.Settings, mapping, f"{sheet}: task {row['task']}")
    places = [sheet.parent / row[name] if row.get(name) else None for name in BESIDE]
    return labelled.prepare(sheet.parent / row["path"], settings, *places)


def _averaged(task: str, strand: str, mapping: Any) -> list[str]:
    """A warning where an explicit setting averages the strands of a task in which they matter."""
    if strand != "as_given" or (mapping or {}).get("both_strands") is not True:
        return []
    return [
        f"warning: task {task}: its strand is as_given and embed.both_strands is true, so what tells the strands apart "
        "is averaged away; leave embed.both_strands at auto"
    ]


def _unshared(mapping: Any, runs: dict[str, Any]) -> list[str]:
    """Runs whose batch the ranks cannot share evenly."""
    if config.mistakes(Jobs, mapping, "jobs"):
        return []  # said before
    ranks, wrong = config.build(Jobs, mapping, "jobs").ranks, []
    for name, spec in runs.items():
        if not isinstance(spec or {}, dict):
            continue
        with contextlib.suppress(InputError):
            if (batch := recipe.resolve(spec or {}).pretrain.batch) % ranks:
                wrong.append(f"runs.{name}: its pretrain.batch {batch} is no multiple of jobs.ranks ({ranks})")
    return wrong


def _learnt(genomes: Any, runs: dict[str, Any]) -> set[str]:
    """Genomes that at least one run learns from."""
    if genomes is None:
        return set()
    if "split" not in genomes:
        return set(genomes["genome"])
    return set(genomes["genome"][genomes["split"].isin(_train_splits(runs) or {"train"})])


def _train_splits(runs: dict[str, Any]) -> set[str]:
    splits: set[str] = set()
    for spec in filter(lambda spec: isinstance(spec or {}, dict), runs.values()):
        with contextlib.suppress(InputError):
            splits |= set(recipe.resolve(spec or {}).pretrain.train_splits)
    return splits


def _unaudited(mapping: Any, runs: dict[str, Any]) -> list[str]:
    """A warning where a run reads genomes that the audit does not count as read."""
    with contextlib.suppress(InputError):
        looked_at = set(config.build(audit.Settings, mapping, "audit").pretrain_splits)
        if more := ", ".join(sorted(_train_splits(runs) - looked_at)):
            return [f"warning: runs learn from genomes of split {more}, which audit.pretrain_splits leaves out"]
    return []


def _verdict_shots(settings: dict[str, Any]) -> str | None:
    probed, reported = settings.get("probe") or {}, settings.get("report") or {}
    with contextlib.suppress(InputError):
        shots = [*map(str, config.build(probe.Settings, probed, "probe").shots), "all"]
        wanted = str(config.build(report.Settings, reported, "report").verdict_shots)
        if "verdict_shots" in reported and wanted not in shots:
            return f"report.verdict_shots {wanted}: is none of probe.shots ({', '.join(shots)})"
    return None


def _finetuned(settings: dict[str, Any], embedded: list[Any], runs: dict[str, Any]) -> list[str]:
    """What is wrong with the names and origins of the models to fine-tune, and with rows that are not the probe's."""
    wrong: list[str] = []
    probed, tuned = settings.get("probe") or {}, settings.get("finetune") or {}
    if config.mistakes(finetune.Settings, tuned, "finetune") or config.mistakes(probe.Settings, probed, "probe"):
        return wrong  # said before
    ours, theirs = (
        config.build(finetune.Settings, tuned, "finetune"),
        config.build(probe.Settings, probed, "probe"),
    )
    for name, what in ours.models.items():
        run = what.removeprefix("scratch:")
        if not NAME.fullmatch(name) or name in embedded or RESERVED.fullmatch(name):
            wrong.append(
                f"finetune.models.{name}: a name has letters, digits, _ . - and is no run's, baseline's or compared "
                "method's"
            )
        if what != "cnn" and run not in runs:
            wrong.append(f"finetune.models.{name}: {run!r} is no run; expected a run, scratch:RUN or cnn")
    if not ours.models:
        return wrong
    if missing := [n for n in ours.shots if n not in theirs.shots]:
        wrong.append(f"finetune.shots {missing[0]}: is none of probe.shots, so nothing would stand beside it")
    if ours.draws > theirs.draws:
        wrong.append(f"finetune.draws {ours.draws}: more than probe.draws ({theirs.draws}), which it is compared with")
    for key in finetune.ROWS:
        if key in tuned and getattr(ours, key) != getattr(theirs, key):
            wrong.append(f"finetune.{key}: differs from probe.{key}, so the rows would not be the same; leave it out")
    return wrong


def _embedded(names: Any, known: list[Any]) -> list[str]:
    """Mistakes in the list of what all genomes are embedded with."""
    if not isinstance(names, list):
        return [f"embedded: expected a list of runs and baselines, found {names!r}"]
    return [f"embedded: {n!r} is no run or baseline ({', '.join(map(str, known))})" for n in names if n not in known]


def _clustered(mapping: Any) -> bool:
    """Whether anything is to be clustered, by a section without mistakes."""
    wanted = isinstance(mapping, dict) and bool(mapping.get("algorithms"))
    return wanted and not config.mistakes(cluster.Settings, mapping, "cluster")


def _rival(mapping: Any, runs: dict[str, Any], baselines: Any) -> str | None:
    """A mistake where the rival of the clusters is none of the embeddings."""
    if not _clustered(mapping):
        return None
    rival = config.build(cluster.Settings, mapping, "cluster").rival
    names = [*map(str, runs), *(map(str, baselines) if isinstance(baselines, list) else ())]
    if not rival or rival in names:
        return None
    return f"cluster.rival {rival!r}: is no run or baseline ({', '.join(names)})"


def _clusters(path: str, labels: Any, mapping: Any) -> None:
    settings = config.build(cluster.Settings, mapping, "cluster")
    message = _mistake(lambda: cluster.prepare(labels, settings))
    if message:
        raise InputError(f"{path}: {message}")


def _known(path: str, labels: Any, genomes: Any, sheet: str) -> None:
    missing = sorted(set(labels["genome"]) - set(genomes["genome"]))
    if missing:
        raise InputError(f"{path}: genome {missing[0]!r} is not in {sheet}")


def _gate(mapping: Any, genomes: Any) -> tuple[float, set[str]]:
    """Share of the test rows that may lie in genomes that the audit counts as read before it stops; those genomes."""
    if config.mistakes(audit.Settings, mapping, "audit"):
        return 1.0, set()  # said before
    asked = config.build(audit.Settings, mapping, "audit")
    splits = genomes["split"] if "split" in genomes else [""] * len(genomes)
    read = {name for name, split in zip(genomes["genome"], splits, strict=True) if split in asked.pretrain_splits}
    return max(asked.share, asked.tolerated) if asked.stop else 1.0, read


def _seen(path: str, labels: Any, learnt: set[str], gate: tuple[float, set[str]]) -> list[str]:
    """A warning where rows to be tested on lie in genomes that pretraining reads, and what will come of it."""
    tested = labels["genome"]
    if "split" in labels and (labels["split"] == "test").any():
        tested = tested[labels["split"] == "test"]
    if not (both := sorted(set(tested) & learnt)):
        return []
    most, read = gate
    stops = tested.isin(read).mean() > most
    then = "the workflow will stop at the audit (audit.stop)" if stops else "the audit and the verdict will say so"
    which = "test rows lie" if "split" in labels else "there is no split column, and rows lie"
    return [
        f"warning: {path}: {which} in {len(both)} genomes that pretraining reads ({', '.join(both[:3])}"
        f"{', ...' if len(both) > 3 else ''}); {then}. Give them the split test in the genomes' sheet"
    ]


def _can_be_probed(path: str, labels: Any, mapping: Any) -> None:
    settings = config.build(probe.Settings, mapping, "probe")
    message = _mistake(lambda: probe.prepare(labels, settings))
    if message:
        raise InputError(f"{path}: {message}")
