"""The bake-off: every method on the same unlabelled genomes at equal budget, judged on four tasks it was not made for.

  python benchmarks/bakeoff.py --data FOLDER --out results/bakeoff [--subset cpu|full|gpu] [--minutes 1] [--seeds 3]
      [--jobs 2] [--methods simclr cpc ...] [--presets default conv] [--bases N] [--only-report]

One run is one method on one encoder (preset) with one seed: pretrain for a fixed time, embed the four labelled tables,
fit a logistic regression on the frozen vectors. Beside them: k-mer profiles, GC, each encoder untrained, and the same
encoders trained from scratch on the labels. Every run ends as one JSON in OUT/runs, and what is there is not run again;
OUT/bakeoff.md and OUT/bakeoff.json hold the tables. bakeoff_data.py says what is learnt from and judged on.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import copy
import dataclasses
import datetime
import hashlib
import json
import logging
import multiprocessing
import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

SUBSETS: dict[str, dict[str, Any]] = {
    "cpu": {"minutes": 1.0, "seeds": 3, "jobs": 2, "device": "cpu"},  # about an hour on 2 cores
    "full": {"minutes": 10.0, "seeds": 3, "jobs": 2, "device": "cpu"},  # overnight on 2 cores: 6 to 8 hours
    "gpu": {"minutes": 2.0, "seeds": 3, "jobs": 1, "device": "cuda"},  # as many bases as an accelerator reads
}
PRESETS = ("default", "conv")  # the k-mer front end and the strided convolution
BESIDE = ("kmer3", "kmer4", "kmer5", "kmer6", "gc")
SHOTS = (10,)  # labels per class; "all" comes on top
POOLS = ("last", "mean")  # of the frames of a sequence; validation rows choose
REPLICATES = 300  # of the bootstrap over test groups
METRIC = "balanced_accuracy"
OVERHEAD = 22.0  # seconds of a run beside its training: imports, calibration, embedding, probing
WARM, TIMED = 2, 6  # steps that are not timed, and that are, before a run
LISTED = 6  # rows that a sentence names
PATIENCE = 15  # epochs without a better validation score that end supervised training
VARIANTS = {  # beside the methods as they are: name -> method and settings
    "wav2vec 2.0": ("wav2vec", {"version": 2}),
    "self_genomenet + masked": ("self_genomenet", {"masked": 0.2}),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """What one JSON is the result of."""

    kind: str  # method, untrained, supervised or beside
    method: str  # of the pretext, or a variant of one, or the k-mer profile
    preset: str  # of the encoder; "" where there is none
    seed: int
    minutes: float = 0.0  # of training; 0 where `bases` counts, or nothing is trained
    bases: int = 0
    device: str = "cpu"
    recipe: str = ""  # checksum of all settings, so that a changed default is a new run
    data: str = ""  # checksum of what is learnt from and judged on

    @property
    def row(self) -> tuple[str, str]:
        """What it is called in the tables: name and preset."""
        return (self.kind if self.kind in ("untrained", "supervised") else self.method), self.preset

    @property
    def name(self) -> str:
        key = hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()[:10]
        return "-".join(filter(None, [*self.row, f"seed{self.seed}", key])).replace(" ", "_")


# ---- the plan


def plan(methods: list[str], presets: list[str], options: argparse.Namespace, about: dict[str, Any]) -> list[Run]:
    """All runs, seed by seed, so that what is there after half of the time holds every method."""
    data = hashlib.sha256("".join(about["checksums"]).encode()).hexdigest()[:16]
    budget = {"minutes": 0.0, "bases": options.bases} if options.bases else {"minutes": options.minutes}
    served = {name: serving(name, presets) for name in methods}
    encoders = sorted({preset for found in served.values() for preset in found} | set(presets))
    runs = [Run("beside", name, "", 0, data=data) for name in BESIDE]
    for seed in range(options.seeds):
        common = {"seed": seed, "device": options.device, "data": data}
        for name, found in served.items():
            runs += [Run("method", name, p, recipe=_checksum(p, name), **common, **budget) for p in found]
        for preset in encoders:
            serves = next((name for name, found in served.items() if preset in found), "self_genomenet")
            runs.append(Run("untrained", serves, preset, recipe=_checksum(preset, serves), **common))
        for preset in presets:
            trained = {"minutes": options.minutes, "recipe": _checksum(preset, "self_genomenet")}
            runs.append(Run("supervised", "self_genomenet", preset, **common, **trained))
    return runs


def serving(name: str, presets: list[str]) -> list[str]:
    """Those presets whose encoder the method accepts; where there is none, the preset that it names itself."""
    from genossl import methods
    from genossl.recipe import resolve, serves

    found = [preset for preset in presets if serves(resolve(mapping(name, preset))) is None]
    return found or [methods.load(mapping(name, "")["name"]).preset]


def mapping(name: str, preset: str) -> dict[str, Any]:
    """What `recipe.resolve` takes, of a method or a variant of one."""
    method, settings = VARIANTS.get(name, (name, {}))
    return {"preset": preset, "name": method, method: settings}


def _checksum(preset: str, name: str) -> str:
    from genossl.recipe import resolve

    recipe = dataclasses.asdict(resolve(mapping(name, preset)))
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, default=list).encode()).hexdigest()[:16]


# ---- one run


def execute(job: tuple[Run, Path]) -> dict[str, Any]:
    """Do a run and write its JSON."""
    run, out = job
    folder = out / "runs" / run.name

    def work() -> dict[str, Any]:
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped: its steps were timed anew
        try:
            return _supervised(run, out) if run.kind == "supervised" else _frozen(run, out, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return recorded(run, out, work)


def recorded(run: Any, out: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do the work of a run (a dataclass with a name) on one thread and write its JSON.

    What went wrong is a result too, and is tried again the next time.
    """
    import torch

    from genossl.files import write_json

    torch.set_num_threads(1)
    log, started = logging.getLogger("genossl"), time.perf_counter()
    log.disabled = True  # warnings stand in the JSON
    try:
        result = work()
    except Exception as error:  # one broken run must not end a night's work
        result = {"failed": f"{type(error).__name__}: {error}"}
    finally:
        log.disabled = False
    result = {"run": dataclasses.asdict(run), "wall_seconds": round(time.perf_counter() - started, 1), **result}
    write_json(out / "runs" / f"{run.name}.json", result)
    return result


def _frozen(run: Run, out: Path, folder: Path) -> dict[str, Any]:
    """Pretrain, embed every task's table, probe."""
    from genossl.verbs import embed

    if run.kind == "beside":
        spec, cost = run.method.replace("kmer", "kmer:"), {}
    else:
        spec, cost = str(folder / "encoder"), pretrain(run, out / "data" / "store", folder / "encoder")
    settings = embed.Settings(pool="both")
    scores, seconds = {}, [0.0, 0.0]
    for task in _tasks():
        table, vectors = out / "data" / f"{task}.tsv", folder / f"{task}.npy"
        started = time.perf_counter()
        embed.run(spec, table, vectors, settings, None, run.device)
        seconds[0] += time.perf_counter() - started
        started = time.perf_counter()
        scores[task] = probed(vectors, table, pools=run.kind != "beside")
        seconds[1] += time.perf_counter() - started
    return {**cost, "embed_seconds": round(seconds[0], 1), "probe_seconds": round(seconds[1], 1), "scores": scores}


def pretrain(run: Run, store: Path, folder: Path) -> dict[str, Any]:
    """Train for the run's minutes: steps are timed first, so that the learning rate's schedule ends with them."""
    from genossl.files import read_json
    from genossl.verbs import pretrain as verb

    loop: dict[str, Any] = {"seed": run.seed, "validate_every": 1 << 30, "checkpoint_every": 1 << 30}
    whole = {**mapping(run.method, run.preset), "pretrain": loop}
    if run.kind == "untrained":
        loop["steps"] = 0
    elif run.bases:
        loop["bases"] = run.bases
    else:
        loop["steps"] = max(1, int(run.minutes * 60 / seconds_of_a_step(whole, store, run.device)))
    warnings = verb.run(store, folder, whole, verb.Jobs(run.device, 1))
    about = read_json(folder / "encoder.json")
    keys = ("steps", "bases_seen", "seconds", "flops", "parameters")
    return {**{key: about[key] for key in keys}, "warnings": warnings}


def seconds_of_a_step(
    whole: dict[str, Any], store: Path, device: str, clock: Callable[[], float] | None = None
) -> float:
    """The median of a few steps of the very recipe, warmed up; by the loop's own clock where none is given."""
    import torch

    from genossl import config, methods, recipe
    from genossl.genome.store import TokenStore
    from genossl.model.encoder import Encoder
    from genossl.verbs.pretrain import Trainer

    short = {"steps": WARM + TIMED, "validate_every": 0, "log_every": 1}
    found = recipe.resolve(config.merge(whole, {"pretrain": short}))
    opened = TokenStore.open(store)
    method = methods.load(found.name)(found.method, Encoder(found.encoder))
    rows = opened.select(set(found.pretrain.train_splits))
    trainer = Trainer(found.pretrain, method, opened, rows, torch.device(device))
    trainer.fit_statistics()
    marks = [clock() if clock else trainer.seconds for _ in trainer.train(lambda: False)]
    return float(np.median(np.diff(marks[WARM - 1 :])))


def _probe_settings() -> Any:
    from genossl.verbs import probe

    return probe.Settings(
        shots=SHOTS, heads=("logistic",), cap=1 << 30, replicates=REPLICATES, validation_cap=0, test_cap=0
    )


def probed(vectors: Path, table: Path, pools: bool) -> dict[str, Any]:
    """Shots -> score of the logistic regression on one table's vectors; with `pools`, of the pool validation prefers.

    With pool "both" the first half of a vector is the last state, the second the mean over frames.
    """
    from genossl.genome.labels import read_labels
    from genossl.verbs import probe

    settings = _probe_settings()
    ready = probe.prepare(read_labels(table), settings)
    both = np.load(vectors)
    found: dict[str, Any] = {}
    for i, pool in enumerate(POOLS if pools else POOLS[:1]):
        part = vectors.with_name(f"{vectors.stem}_{pool}.npy")
        np.save(part, np.split(both, len(POOLS), axis=1)[i] if pools else both)
        shutil.copy(vectors.with_suffix(".tsv"), part.with_suffix(".tsv"))
        for result in probe.score(part, ready, settings):
            judged = max(result.validation.values())
            if result.shots not in found or judged > found[result.shots]["validation"]:
                replicates = probe.mean_replicates(result, settings)[_metric()]
                value = float(result.values[:, _metric()].mean())
                found[result.shots] = _score(value, replicates, judged, pool=pool if pools else "")
    return found


def _metric() -> int:
    from genossl.evaluation import scores

    return scores.METRICS.index(METRIC)


def _score(value: float, replicates: np.ndarray, validation: float, **more: Any) -> dict[str, Any]:
    return {
        "value": round(value, 5),
        "validation": round(validation, 5),
        "replicates": [round(float(x), 5) for x in replicates],
        **more,
    }


def _supervised(run: Run, out: Path) -> dict[str, Any]:
    """The same encoder and a linear map, from scratch on a task's training labels; validation rows end the training."""
    scores, seconds, epochs = {}, 0.0, {}
    for task in _tasks():
        started = time.perf_counter()
        scores[task], epochs[task] = supervised(run, out / "data" / f"{task}.tsv")
        seconds += time.perf_counter() - started
    return {"seconds": round(seconds, 1), "epochs": epochs, "scores": scores}


def supervised(run: Run, table: Path) -> tuple[dict[str, Any], int]:
    """Score at all labels, and how many epochs it took; both strands are learnt from and averaged over."""
    from genossl.evaluation import scores, splits, tasks
    from genossl.genome.alphabet import encode
    from genossl.genome.labels import read_labels
    from genossl.recipe import resolve
    from genossl.verbs import probe

    ready = probe.prepare(read_labels(table), _probe_settings())
    reads = [encode(letters) for letters in ready.labels["sequence"]]
    train, validation, test = (ready.rows[side] for side in (splits.TRAIN, splits.VALIDATION, splits.TEST))
    recipe, budget = resolve(mapping(run.method, run.preset)), Budget(run.minutes, run.seed, run.device)
    found = from_scratch(recipe, reads, ready.y_N, (train, validation), budget)
    said_MK, units = found.said(test), ready.units
    plain_RU = np.concatenate([np.ones((1, len(units.class_U))), ready.weights_RU])
    values = scores.replicates(ready.y_N[test], said_MK, units.unit_N, units.class_U, plain_RU)[_metric()]
    return {tasks.ALL: _score(float(values[0]), values[1:], found.validation)}, found.epochs


@dataclasses.dataclass(frozen=True)
class Budget:
    """What supervised training may use: at least one epoch, however long it takes."""

    minutes: float
    seed: int
    device: str = "cpu"
    clock: Callable[[], float] = time.perf_counter  # seconds; what the minutes are counted by


@dataclasses.dataclass(frozen=True)
class Fitted:
    """said: row numbers -> class probabilities (M, K); best balanced accuracy on validation rows; epochs it took."""

    said: Callable[[np.ndarray], np.ndarray]
    validation: float
    epochs: int


def from_scratch(
    recipe: Any, reads: list[np.ndarray], y_N: np.ndarray, rows: tuple[np.ndarray, np.ndarray], budget: Budget,
    both_strands: bool = True,
) -> Fitted:  # fmt: skip
    """Train a recipe's encoder and a linear map on its last state end to end, on (train, validation) row numbers.

    With `both_strands` reads are turned at random in training, and the logits of both strands are averaged. The
    weights are those of the epoch that validation rows like best; PATIENCE epochs without a better one end the
    training.
    """
    import torch
    from torch import nn

    from genossl.genome.alphabet import reverse_complement
    from genossl.model.classifier import Classifier, Reader, logits
    from genossl.model.embedding import padded
    from genossl.model.encoder import Encoder
    from genossl.model.objective import Classes

    device, n_classes, (train, validation) = torch.device(budget.device), int(y_N.max()) + 1, rows
    torch.manual_seed(budget.seed)
    encoder = Encoder(recipe.encoder)
    model = Classifier(Reader(encoder), n_classes, dropout=0)
    encoder.fit_statistics(torch.from_numpy(padded([reads[i] for i in train], encoder.width)))
    model.to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.pretrain.lr, weight_decay=recipe.pretrain.weight_decay)
    objective = Classes(y_N[train], n_classes)

    def said(rows: np.ndarray) -> np.ndarray:
        return objective.scores(logits(model, [reads[i] for i in rows], both_strands))

    rng, best, weights, epoch, last = np.random.default_rng([budget.seed, 3]), -1.0, model.state_dict(), 0, 0
    until = budget.clock() + budget.minutes * 60
    while epoch == 0 or (budget.clock() < until and epoch - last < PATIENCE):
        model.train()
        for part in np.array_split(rng.permutation(train), max(1, len(train) // 64)):
            turned = both_strands & (rng.random(len(part)) < 0.5)
            strands = [reverse_complement(reads[i]) if turn else reads[i] for i, turn in zip(part, turned, strict=True)]
            loss = nn.functional.cross_entropy(model(strands), torch.from_numpy(y_N[part]).to(device))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), recipe.pretrain.clip)
            optimiser.step()
        epoch += 1
        if (found := objective.judge(y_N[validation], said(validation))) > best:
            best, last, weights = found, epoch, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return Fitted(said, best, epoch)


def _tasks() -> dict[str, str]:
    from bakeoff_data import TASKS

    return TASKS


# ---- what the runs say together


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a task's table: values_S over seeds, replicates_SR over the bootstrap; S is 1 without seeds."""

    name: str
    preset: str
    values_S: np.ndarray
    replicates_SR: np.ndarray
    seeds: tuple[int, ...]

    @property
    def label(self) -> str:
        return f"{self.name} ({self.preset})" if self.preset else self.name


def half_width(values_S: np.ndarray) -> float:
    """Half of the 95 % t interval of a mean over seeds; infinite for a single seed."""
    from genossl.evaluation.ranking import t_interval

    found = t_interval(values_S)
    return found.high - found.mean if found.n > 1 else float("inf")


def difference(ours: Row, theirs: Row) -> dict[str, Any]:
    """Ours minus theirs, paired: seed by seed where both have seeds, replicate by replicate of the same test groups.

    It is `shown` where the t interval over seeds and the bootstrap interval over test groups both exclude zero.
    """
    common = [s for s in ours.seeds if s in theirs.seeds] if len(theirs.seeds) > 1 else list(ours.seeds)
    at = [ours.seeds.index(s) for s in common]
    other = [theirs.seeds.index(s) for s in common] if len(theirs.seeds) > 1 else [0] * len(common)
    gaps_S = ours.values_S[at] - theirs.values_S[other]
    low, high = np.percentile((ours.replicates_SR[at] - theirs.replicates_SR[other]).mean(0), [2.5, 97.5])
    mean, half = float(gaps_S.mean()), half_width(gaps_S)
    shown = len(common) > 1 and abs(mean) > half and (low > 0 or high < 0)
    return {"difference": mean, "seeds": half, "low": float(low), "high": float(high), "shown": bool(shown)}


def collect(results: list[dict[str, Any]], task: str, shots: str) -> list[Row]:
    """Every row of one table, the best first; of the k-mer profiles the one that validation rows like best."""
    groups: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    profiles = []
    for result in results:
        if (score := result.get("scores", {}).get(task, {}).get(shots)) is None:
            continue
        run = Run(**result["run"])
        if run.method.startswith("kmer"):
            profiles.append((score["validation"], run, score))
        else:
            groups.setdefault(run.row, {})[run.seed] = score
    if profiles:
        _, run, score = max(profiles, key=lambda item: item[0])
        groups[f"k-mers (k = {run.method[4:]})", ""] = {0: score}
    rows = []
    for (name, preset), found in groups.items():
        seeds = tuple(sorted(found))
        values_S = np.array([found[s]["value"] for s in seeds])
        rows.append(Row(name, preset, values_S, np.array([found[s]["replicates"] for s in seeds]), seeds))
    return sorted(rows, key=lambda row: (-row.values_S.mean(), row.label))


def findings(rows: list[Row], labels: str) -> str:
    """What one table shows, in sentences that its intervals bear out; all comparisons are those of `difference`."""
    kmers = next((row for row in rows if row.name.startswith("k-mers")), None)
    untrained = {row.preset: row for row in rows if row.name == "untrained"}
    methods = [row for row in rows if row.preset and row.name not in ("untrained", "supervised")]
    if not methods:
        return ""
    best = methods[0]
    said = [f"With {labels}, {rows[0].label} is best ({rows[0].values_S.mean():.3f})."]
    if rows[0] is not best:
        said.append(f"Of the pretrained, {best.label} is best ({best.values_S.mean():.3f}).")
    if len(best.seeds) < 2:
        return " ".join([*said, "A single seed tells no difference from noise."])
    level = [row.label for row in methods[1:] if not difference(best, row)["shown"]]
    said.append(f"Not told apart from {best.label}: {_listed(level)}.")
    if kmers:
        found = {row.label: difference(row, kmers) for row in methods}
        above = [name for name, d in found.items() if d["shown"] and d["difference"] > 0]
        below = [name for name, d in found.items() if d["shown"] and d["difference"] < 0]
        noise = len(found) - len(above) - len(below)
        said.append(
            f"Above {kmers.label} ({kmers.values_S.mean():.3f}) beyond noise: {_listed(above)}; "
            f"below: {_listed(below)}; not told apart: {noise}."
        )
    gained = [(row, difference(row, untrained[row.preset])) for row in methods if row.preset in untrained]
    if gained:
        better = [row.label for row, d in gained if d["shown"] and d["difference"] > 0]
        worse = [row.label for row, d in gained if d["shown"] and d["difference"] < 0]
        said.append(f"Above their own encoder untrained beyond noise: {_listed(better)}; below: {_listed(worse)}.")
    return " ".join(said)


def _listed(names: list[str]) -> str:
    """The first of them by name, the others by number: the table has them all."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (", ".join(names[:LISTED]) or "none") + more


def _cell(row: Row | None) -> str:
    """Mean ± half of the t interval over seeds [bootstrap interval over test groups]."""
    if row is None:
        return ""
    low, high = np.percentile(row.replicates_SR.mean(0), [2.5, 97.5])
    half = f" ± {half_width(row.values_S):.3f}" if len(row.values_S) > 1 else ""
    return f"{row.values_S.mean():.3f}{half} [{low:.2f}, {high:.2f}]"


def report(results: list[dict[str, Any]], about: dict[str, Any], n_planned: int, command: str) -> tuple[str, dict]:
    """The tables as Markdown, and as plain values."""
    shots = [*map(str, SHOTS), "all"]
    labels = {**{str(n): f"{n} labels per class" for n in SHOTS}, "all": "all labels"}
    tables = {task: {n: collect(results, task, n) for n in shots} for task in _tasks()}
    done = [result for result in results if "failed" not in result]
    text = [
        "# The bake-off\n",
        "Written by:\n",
        f"```sh\n{command}\n```\n",
        f"{len(done)} of {n_planned} runs, on {machine()}; {datetime.date.today().isoformat()}. "
        f"Pretraining saw {about['pretraining_bases']['train'] / 1e6:.0f} Mbp of prokaryotes, phages and eukaryotic "
        f"viruses, the same for every method. {'. '.join(about['notes'])}.\n",
        "Cells: balanced accuracy of a logistic regression on frozen vectors, mean over seeds ± half of the 95 % t "
        "interval over seeds [95 % bootstrap interval over test groups]. A difference counts as beyond noise where "
        "both intervals of the paired difference exclude zero; none is corrected for how many are looked at, so one "
        "in twenty that rest on chance alone would look real by either interval. Penalty, the pool of frames and the "
        "k of the k-mers are chosen on validation rows. `supervised` is the same encoder trained from scratch on all "
        "labels of the task. `default` is the k-mer front end, `conv` the strided convolution; a method stands only "
        "on those that can serve it.\n",
        "## All tasks\n",
        *_overview(tables, shots, labels),
    ]
    for task, what in _tasks().items():
        counts = about["tasks"][task]
        text += [
            f"## {task}\n",
            f"{what[0].upper()}{what[1:]}: {counts['classes']} classes, {counts['train']} training, "
            f"{counts['validation']} validation and {counts['test']} test rows.\n",
            *(f"{findings(tables[task][n], labels[n])}\n" for n in shots),
            *_table(tables[task], shots, labels),
        ]
    text += ["## What it cost\n", *_costs(done)]
    failed = sorted({f"* {Run(**r['run']).name}: {r['failed']}" for r in results if "failed" in r})
    text += ["## What failed\n", *failed, ""] if failed else []
    values = {
        "command": command,
        "machine": machine(),
        "runs": [len(done), n_planned],
        "data": {key: value for key, value in about.items() if key != "made_of"},
        "tables": {task: {n: [_plain(row) for row in rows] for n, rows in t.items()} for task, t in tables.items()},
    }
    return "\n".join(text), values


def _overview(tables: dict[str, dict[str, list[Row]]], shots: list[str], labels: dict[str, str]) -> Iterator[str]:
    """Means over seeds in all tasks, and their mean: no interval, an order to read the tables below in."""
    tasks = list(tables)
    for n in shots:
        found: dict[tuple[str, str], dict[str, float]] = {}
        for task in tasks:
            for row in tables[task][n]:
                name = "k-mers" if row.name.startswith("k-mers") else row.name
                found.setdefault((name, row.preset), {})[task] = float(row.values_S.mean())
        whole = {key: values for key, values in found.items() if len(values) == len(tasks)}
        yield f"| {labels[n]} | encoder | " + " | ".join(tasks) + " | mean |"
        yield "|---|---|" + "---|" * (len(tasks) + 1)
        for (name, preset), v in sorted(whole.items(), key=lambda item: -sum(item[1].values())):
            cells = [f"{v[task]:.3f}" for task in tasks] + [f"{sum(v.values()) / len(tasks):.3f}"]
            yield f"| {name} | {preset or '—'} | " + " | ".join(cells) + " |"
        yield ""


def _table(by_shots: dict[str, list[Row]], shots: list[str], labels: dict[str, str]) -> Iterator[str]:
    """Rows in the order of the first column; what has no value there comes last."""
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for n in shots:
        for row in by_shots[n]:
            name = "k-mers" if row.name.startswith("k-mers") else row.name
            found.setdefault((name, row.preset), {})[n] = row
    yield "| method | encoder | " + " | ".join(labels[n] for n in shots) + " |"
    yield "|---|---|" + "---|" * len(shots)
    for (name, preset), rows in found.items():
        yield f"| {name} | {preset or '—'} | " + " | ".join(_cell(rows.get(n)) for n in shots) + " |"
    yield ""


def _costs(done: list[dict[str, Any]]) -> Iterator[str]:
    """Means over seeds."""
    yield "| method | encoder | parameters | training, s | steps | Mbp read | TFLOP | embedding, s | warnings |"
    yield "|---|---|---|---|---|---|---|---|---|"
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in done:
        groups.setdefault(Run(**result["run"]).row, []).append(result)
    for (name, preset), found in sorted(groups.items()):

        def mean(key: str, unit: float, digits: int, found: list[dict[str, Any]] = found) -> str:
            values = [result[key] / unit for result in found if key in result]
            return f"{np.mean(values):,.{digits}f}" if values else ""

        numbers = [mean("parameters", 1, 0), mean("seconds", 1, 1), mean("steps", 1, 0), mean("bases_seen", 1e6, 1)]
        numbers += [mean("flops", 1e12, 2), mean("embed_seconds", 1, 1)]
        warned = sum(bool(result.get("warnings")) for result in found)
        said = f"{warned} of {len(found)} runs" if warned else ""
        yield f"| {name} | {preset or '—'} | " + " | ".join([*numbers, said]) + " |"
    yield ""


def _plain(row: Row) -> dict[str, Any]:
    low, high = np.percentile(row.replicates_SR.mean(0), [2.5, 97.5])
    return {
        "method": row.name,
        "encoder": row.preset,
        "mean": float(row.values_S.mean()),
        "seeds": dict(zip(map(str, row.seeds), map(float, row.values_S), strict=True)),
        "low": float(low),
        "high": float(high),
    }


def machine() -> str:
    """Processor, cores, accelerator and versions, in words."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    name = model or platform.processor() or platform.machine()
    cores = f"{os.cpu_count()} core{'s' if os.cpu_count() != 1 else ''}"
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {cores}{gpu}, one thread per run, Python {platform.python_version()}, torch {torch.__version__}"


# ---- the command


def expected_minutes(runs: list[Run], jobs: int) -> float:
    """Wall time: at most, since supervised training may end early; for `bases` the training itself is not known."""
    seconds = [OVERHEAD + 60 * run.minutes * (len(_tasks()) if run.kind == "supervised" else 1) for run in runs]
    return sum(seconds) / jobs / 60


def go(runs: list[Run], out: Path, jobs: int) -> None:
    """Run what is not there yet, `jobs` at once, with a line for each."""
    started, n = time.perf_counter(), len(runs)

    def told(i: int, result: dict[str, Any]) -> None:
        run, left = Run(**result["run"]), (time.perf_counter() - started) / i * (n - i) / 60
        scores = result.get("scores", {})
        said = " ".join(f"{t} {s[str(SHOTS[0])]['value']:.3f}" for t, s in scores.items() if str(SHOTS[0]) in s)
        said = result.get("failed") or said or " ".join(f"{t} {s['all']['value']:.3f}" for t, s in scores.items())
        label = " ".join(filter(None, run.row))
        print(
            f"[{i}/{n}] {label}, seed {run.seed}: {said}; {result['wall_seconds']} s; {left:.0f} min left", flush=True
        )

    each(execute, [(run, out) for run in runs], jobs, told)


def each(
    execute: Callable[[Any], dict[str, Any]], work: list[Any], jobs: int, told: Callable[[int, dict[str, Any]], None]
) -> None:
    """Execute every piece of work, `jobs` at once (one alone in this process); `told` hears of each, and the count."""
    if jobs == 1:
        for i, piece in enumerate(work, 1):
            told(i, execute(piece))
        return
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with concurrent.futures.ProcessPoolExecutor(jobs, context) as pool:
        waiting = [pool.submit(execute, piece) for piece in work]
        try:
            for i, future in enumerate(concurrent.futures.as_completed(waiting), 1):
                told(i, future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of public sequences (bakeoff_data.py: FILES)")
    parser.add_argument("--out", type=Path, required=True, help="folder of data, runs and tables; run again to go on")
    parser.add_argument("--subset", choices=SUBSETS, default="cpu", help="defaults of the four below")
    parser.add_argument("--minutes", type=float, help="of training per run, on one thread")
    parser.add_argument("--seeds", type=int, help="runs of each method and encoder")
    parser.add_argument("--jobs", type=int, help="runs at once, a thread each")
    parser.add_argument("--device", help="cpu, cuda")
    parser.add_argument("--bases", type=int, default=0, help="bases read per run in place of minutes (pretraining)")
    parser.add_argument("--methods", nargs="+", help=f"default: all, and {', '.join(VARIANTS)}")
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), help="encoders that are tried for every method")
    parser.add_argument("--only-report", action="store_true", help="write the tables of the runs that are there")
    options = parser.parse_args()
    for name, value in SUBSETS[options.subset].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    os.environ["OMP_NUM_THREADS"] = "1"  # of every run, before torch is loaded
    from bakeoff_data import prepare

    from genossl import methods
    from genossl.errors import InputError
    from genossl.files import atomic, read_json, write_json
    from genossl.model.encoder import encoder_device

    try:
        if options.minutes <= 0 or options.seeds < 1 or options.jobs < 1 or options.bases < 0:
            raise InputError("expected minutes above 0, at least 1 seed and 1 job, and no negative bases")
        options.device = encoder_device(options.device).type
        about = prepare(options.data, options.out / "data")
        runs = plan(options.methods or [*methods.available(), *VARIANTS], options.presets, options, about)
    except InputError as error:
        print(f"bakeoff: {error}", file=sys.stderr)
        return 2

    def there(run: Run) -> dict[str, Any] | None:
        path = options.out / "runs" / f"{run.name}.json"
        return read_json(path) if path.is_file() else None

    todo = [run for run in runs if (found := there(run)) is None or "failed" in found]
    if todo and not options.only_report:
        minutes = expected_minutes(todo, options.jobs)
        print(
            f"{len(todo)} of {len(runs)} runs to do, {options.jobs} at once: at most about {minutes:.0f} min",
            flush=True,
        )
        try:
            go(todo, options.out, options.jobs)
        except KeyboardInterrupt:
            print("bakeoff: stopped; run the same command to go on", file=sys.stderr)
            return 130
    results = [found for run in runs if (found := there(run)) is not None]
    budget = f"--bases {options.bases}" if options.bases else f"--minutes {options.minutes:g}"
    command = (
        f"python benchmarks/bakeoff.py --data FOLDER --out {options.out} --subset {options.subset} "
        f"{budget} --seeds {options.seeds} --jobs {options.jobs} --presets {' '.join(options.presets)}"
    ) + (f" --methods {shlex.join(options.methods)}" if options.methods else "")
    text, values = report(results, about, len(runs), command)
    with atomic(options.out / "bakeoff.md", "w") as stream:
        stream.write(text)
    write_json(options.out / "bakeoff.json", values)
    failed = [result for result in results if "failed" in result]
    print(f"{options.out / 'bakeoff.md'}: {len(results) - len(failed)} of {len(runs)} runs, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
