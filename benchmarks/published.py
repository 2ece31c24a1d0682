"""Published benchmarks: our rows under each set's own protocol, beside the numbers that others have published.

  python benchmarks/published.py --data FOLDER --out results/published [--subset cpu|full] [--sets tf_0 ienhancer2l ...]
      [--minutes 0.5] [--seeds 1] [--jobs 1] [--cap N] [--docs docs/published.md] [--only-report]

For every set: GC, k-mer profiles (k 3 to 6), an untrained encoder and one pretrained on a fitting collection for a
fixed time, each frozen under a logistic regression, and the untrained encoder trained end to end on the labels. What
is tuned is chosen on validation rows. Every run ends as one JSON in OUT/runs, and what is there is not run again;
OUT/published.md and OUT/published.json hold the tables, and --docs gets a copy, whose part "Reading it" is kept.
published_data.py says what is read and who judges, published_numbers.py what others have published.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import published_numbers as numbers  # noqa: E402

# N rows, M judged rows, K classes, D dimensions, R bootstrap replicates, G penalties

SUBSETS: dict[str, dict[str, Any]] = {
    "cpu": {  # about 25 minutes of one idle core
        "minutes": 0.5, "seeds": 1, "jobs": 2, "cap": 5000,
        "sets": [
            "tf_0", "mouse_2", "mouse_3", "prom_300_tata", "ienhancer2l", "ecoli_sigma70", "nrc_ncrna13",
            "uci_promoters106", "virus2_150", "virus2_1000", "virus3_150", "virus3_1000",
        ],
    },
    "full": {"minutes": 10.0, "seeds": 5, "jobs": 2, "cap": 0, "sets": None},  # every set and row, a day on 2 cores
}  # fmt: skip
PROFILES = (3, 4, 5, 6)  # k
PENALTIES = (0.001, 0.01, 0.1, 1.0)  # C of the logistic regression
REPLICATES = 300  # of the bootstrap over judged rows
LEFT_OUT = 20  # a fold of leave one out is trained for this fraction of the minutes
NAMES = {
    "gc": "GC content",
    "kmers": "k-mers, k chosen",
    "4mers": "4-mers",
    "untrained": "encoder untrained, frozen",
    "pretrained": "encoder pretrained, frozen",
    "supervised": "encoder from scratch, end to end",
}
METRIC_NAMES = {"auroc": "AUC", "mcc": "MCC", "errors": "errors"}
PROTOCOLS = {
    "split": "the split as published",
    "cv": "five random parts, each judged by what the other four teach (mean over parts)",
    "loo": "leave one out",
    "clusters": "split by clusters of genomes, prokaryotes by genus",
}


@dataclasses.dataclass(frozen=True)
class Run:
    """What one JSON is the result of."""

    kind: str  # pretrain, gc, kmers, untrained, pretrained or supervised
    of: str  # a set; for pretrain a collection
    seed: int
    steps: str = ""  # of pretrain: "none" makes the untrained encoder
    minutes: float = 0.0  # of training; of supervised training for each fold
    cap: int = 0  # training rows of a fold at most, 0 for all
    recipe: str = ""  # checksum of all settings
    data: str = ""  # checksum of what is learnt from and judged on

    @property
    def name(self) -> str:
        key = hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()[:10]
        return "-".join(filter(None, [self.of, self.kind, self.steps, f"seed{self.seed}", key]))


# ---- the plan


def plan(names: list[str], options: argparse.Namespace, about: dict[str, Any]) -> list[list[Run]]:
    """Three lists: what needs nothing, what needs an encoder of the first, and what takes longest."""
    from published_data import COLLECTIONS, SETS

    first: list[Run] = []
    second: list[Run] = []
    third: list[Run] = []
    for seed in range(options.seeds):
        for collection in dict.fromkeys(SETS[name].collection for name in names):
            first += encoders(collection, seed, options.minutes, about)
    for name in names:
        data = {"cap": options.cap, "data": about["sets"][name]["checksum"][:16]}
        first += [Run(kind, name, 0, **data) for kind in ("gc", "kmers")]
        for seed in range(options.seeds):
            collection = SETS[name].collection
            recipe = _checksum(COLLECTIONS[collection].recipe)
            third.append(Run("supervised", name, seed, minutes=options.minutes, recipe=recipe, **data))
            for encoder in encoders(collection, seed, options.minutes, about):
                kind = "untrained" if encoder.steps else "pretrained"
                second.append(Run(kind, name, seed, minutes=encoder.minutes, recipe=encoder.name, **data))
    return [first, second, third]


def encoders(collection: str, seed: int, minutes: float, about: dict[str, Any]) -> list[Run]:
    """The runs that make a collection's encoder as it is before the first step, and after `minutes`."""
    from published_data import COLLECTIONS

    found = COLLECTIONS[collection]
    common = {"recipe": _checksum(found.recipe), "data": about["stores"][found.store]["checksum"][:16]}
    return [
        Run("pretrain", collection, seed, steps="none", **common),
        Run("pretrain", collection, seed, minutes=minutes, **common),
    ]


def _checksum(recipe: dict[str, Any]) -> str:
    from genossl.recipe import resolve

    whole = dataclasses.asdict(resolve(recipe))
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=list).encode()).hexdigest()[:16]


# ---- a set made ready


@dataclasses.dataclass(frozen=True)
class Task:
    """A set, who teaches and judges, and what the judged rows are resampled by; the same for every model."""

    found: Any  # published_data.Set
    folds: list[Any]  # of published_data.Fold, training rows capped
    classes: list[str]
    y_N: np.ndarray
    tokens: list[np.ndarray]
    used_N: np.ndarray  # rows of the table that have a part in some fold, after the cap; N counts these
    row_M: np.ndarray  # judged rows, in the order of the folds
    fold_M: np.ndarray
    weights_RM: np.ndarray  # how often a judged row is in each replicate; drawn within its fold and class
    subsets: dict[str, np.ndarray]  # name -> which of the judged rows, bool (M,)


def load(folder: Path, name: str, cap: int) -> Task:
    """A set from its table. `cap`: training rows of a fold at most, drawn at random."""
    import published_data as data

    from genossl.evaluation import scores
    from genossl.genome.alphabet import encode

    found = data.SETS[name]
    table = data.read(folder, name)
    folds = data.folds_of(table, found.protocol)
    clean_N, new_N = data.clean(table, folds), data.new_family(table, folds)  # before the cap
    folds = [dataclasses.replace(fold, train=capped(fold.train, cap)) for fold in folds]
    used_N = np.unique(np.concatenate([rows for f in folds for rows in (f.train, f.validation, f.test)]))

    def at(rows: np.ndarray) -> np.ndarray:
        return np.searchsorted(used_N, rows)

    folds = [data.Fold(at(f.train), at(f.validation), at(f.test), f.refit) for f in folds]
    table, clean_N = table.iloc[used_N], clean_N[used_N]
    classes, y_N = np.unique(table["label"].to_numpy(dtype=str), return_inverse=True)
    row_M = np.concatenate([fold.test for fold in folds])
    fold_M = np.repeat(np.arange(len(folds)), [len(fold.test) for fold in folds])
    part_M = np.zeros_like(fold_M) if found.protocol == "loo" else fold_M  # a fold of one row has no spread
    group_M = table["group"].to_numpy(dtype=str)[row_M] if "group" in table else row_M.astype(str)
    stratum_M = part_M * len(classes) + y_N[row_M]
    keys = np.char.add(np.char.add(stratum_M.astype(str), " "), group_M)
    _, first_U, unit_M = np.unique(keys, return_index=True, return_inverse=True)
    weights_RU = scores.resample(stratum_M[first_U], REPLICATES, np.random.default_rng([data.SEED, 2]))
    subsets = {"all": np.ones(len(row_M), dtype=bool)}
    if not clean_N[row_M].all():
        subsets["clean"] = clean_N[row_M]
    if new_N is not None:
        subsets["new families"] = new_N[used_N][row_M]
    tokens = [encode(letters) for letters in table["sequence"]]
    return Task(found, folds, classes.tolist(), y_N, tokens, used_N, row_M, fold_M, weights_RU[:, unit_M], subsets)


def capped(rows: np.ndarray, cap: int) -> np.ndarray:
    """At most `cap` rows, drawn at random; 0 for all."""
    if not 0 < cap < len(rows):
        return rows
    return np.sort(np.random.default_rng([cap, len(rows)]).permutation(rows)[:cap])


# ---- metrics


def auroc(positive_M: np.ndarray, score_M: np.ndarray, weights_RM: np.ndarray) -> np.ndarray:
    """Area under the ROC curve with weights per row, (R,); a tie counts one half. NaN where a side weighs nothing."""
    order = np.argsort(score_M, kind="stable")
    score, weights, positive = score_M[order], weights_RM[:, order], positive_M[order]
    starts = np.flatnonzero(np.concatenate([[True], score[1:] != score[:-1]]))
    ours = np.add.reduceat(weights * positive, starts, axis=1)
    theirs = np.add.reduceat(weights * ~positive, starts, axis=1)
    below = theirs.cumsum(1) - theirs / 2
    with np.errstate(invalid="ignore"):
        return (ours * below).sum(1) / (ours.sum(1) * theirs.sum(1))


def measure(metric: str, y_M: np.ndarray, said_MK: np.ndarray, weights_RM: np.ndarray) -> np.ndarray:
    """One metric of class probabilities under each row of weights, (R,). The likeliest class is the answer."""
    from genossl.evaluation import scores

    n_classes = said_MK.shape[1]
    if metric == "auroc":
        kinds = [1] if n_classes == 2 else range(n_classes)
        return np.mean([auroc(y_M == k, said_MK[:, k], weights_RM) for k in kinds], axis=0)
    cells = np.eye(n_classes**2)[y_M * n_classes + said_MK.argmax(1)]
    confusion_RKK = (weights_RM @ cells).reshape(-1, n_classes, n_classes)
    total_R, hits_R = confusion_RKK.sum((1, 2)), np.einsum("rkk->r", confusion_RKK)
    if metric == "mcc":
        return scores.mcc(confusion_RKK)
    if metric == "errors":
        return total_R - hits_R
    with np.errstate(invalid="ignore"):
        if metric == "accuracy":
            return hits_R / total_R
        k = {"sensitivity": 1, "specificity": 0}[metric]
        return confusion_RKK[:, k, k] / confusion_RKK[:, k].sum(1)


def judge(task: Task, said_MK: np.ndarray) -> dict[str, dict[str, dict[str, Any]]]:
    """Subset -> metric -> value and bootstrap replicates; with "cv" each is the mean over folds."""
    weights_RM = np.concatenate([np.ones((1, len(task.row_M))), task.weights_RM])
    y_M, found = task.y_N[task.row_M], {}
    for subset, inside_M in task.subsets.items():
        parts = [inside_M]
        if task.found.protocol == "cv":
            parts = [inside_M & (task.fold_M == f) for f in range(len(task.folds))]
        found[subset] = {"rows": int(inside_M.sum())}
        for metric in task.found.metrics if inside_M.any() else ():
            values_PR = np.array([measure(metric, y_M[m], said_MK[m], weights_RM[:, m]) for m in parts if m.any()])
            values_R = np.nanmean(values_PR, axis=0)
            spread = float(values_PR[:, 0].std(ddof=1)) if len(values_PR) > 1 else None
            replicates = [round(float(x), 5) for x in values_R[1:]]
            found[subset][metric] = {
                "value": round(float(values_R[0]), 5), "over_folds": spread, "replicates": replicates,
            }  # fmt: skip
    return found


# ---- frozen vectors


def learn(features: dict[str, np.ndarray], task: Task, keep: tuple[str, ...] = ()) -> tuple[dict, list]:
    """Logistic regression in every fold; validation rows choose the penalty, and which of the features.

    features: name -> vectors (N, D) of all rows. Returns probabilities (M, K) under "" for what was chosen and under
    the name for those to `keep`, and what was chosen in each fold.
    """
    from genossl.evaluation import heads

    metric, n_classes = task.found.metrics[0], len(task.classes)
    sign = -1 if metric == "errors" else 1
    said: dict[str, list[np.ndarray]] = {name: [] for name in ("", *keep)}
    chosen = []
    for fold in task.folds:
        tried = {}
        y_train, y_validation = task.y_N[fold.train], task.y_N[fold.validation]
        for name, x_ND in features.items():
            scaled = heads.centre(x_ND[fold.train]).scaled
            train, validation, test = (scaled(x_ND[rows]) for rows in (fold.train, fold.validation, fold.test))
            query = validation if fold.refit else np.concatenate([validation, test])
            said_GMK = heads.logistic(train, y_train, query, n_classes, PENALTIES)
            n, plain = len(validation), np.ones((1, len(validation)))
            judged_G = [sign * measure(metric, y_validation, x[:n], plain)[0] for x in said_GMK]
            best = int(np.argmax(judged_G))  # the first of equals: the strongest penalty
            tried[name] = (judged_G[best], best, said_GMK[best, n:])
        winner = max(tried, key=lambda name: tried[name][0])
        chosen.append([winner, PENALTIES[tried[winner][1]]])
        for name in dict.fromkeys((winner, *keep)):
            answer = tried[name][2]
            if fold.refit:
                rows = np.concatenate([fold.train, fold.validation])
                scaled = heads.centre(features[name][rows]).scaled
                train, test = scaled(features[name][rows]), scaled(features[name][fold.test])
                answer = heads.logistic(train, task.y_N[rows], test, n_classes, [PENALTIES[tried[name][1]]])[0]
            for key in ("", name):
                if (key == "" and name == winner) or (key and key in keep):
                    said[key].append(answer)
    return {name: np.concatenate(parts) for name, parts in said.items()}, chosen


# ---- one run


def execute(job: tuple[Run, Path]) -> dict[str, Any]:
    """Do a run and write its JSON, with the processor's time that it took."""
    from bakeoff import recorded

    run, out = job

    def work() -> dict[str, Any]:
        used = time.process_time()
        result = {"pretrain": pretrain, "supervised": supervised}.get(run.kind, frozen)(run, out)
        return {"cpu_seconds": round(time.process_time() - used, 1), **result}

    return recorded(run, out, work)


def pretrain(run: Run, out: Path) -> dict[str, Any]:
    """An encoder in OUT/encoders: trained for the run's minutes, of steps that are timed first, or not at all."""
    from bakeoff import seconds_of_a_step
    from published_data import COLLECTIONS

    from genossl.files import read_json
    from genossl.verbs import pretrain as verb

    found, folder = COLLECTIONS[run.of], out / "encoders" / run.name
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped: its steps were timed anew
    store, loop = out / "data" / found.store, {"seed": run.seed, "validate_every": 1 << 30, "checkpoint_every": 1 << 30}
    if run.steps:
        loop["steps"] = 0
    else:
        loop["steps"] = max(1, int(run.minutes * 60 / seconds_of_a_step(found.recipe, store, "cpu", time.process_time)))
    warnings = verb.run(store, folder, {**found.recipe, "pretrain": loop}, verb.Jobs("cpu", 1))
    about = read_json(folder / "encoder.json")
    return {**{key: about[key] for key in ("steps", "bases_seen", "seconds", "parameters")}, "warnings": warnings}


def frozen(run: Run, out: Path) -> dict[str, Any]:
    """A logistic regression on vectors that learning leaves as they are."""
    from genossl.genome import kmers
    from genossl.model import checkpoint
    from genossl.model.embedding import embed

    task = load(out / "data", run.of, run.cap)
    turned, keep = task.found.strand == "invariant", ()
    if run.kind == "gc":
        features = {"GC": kmers.gc(task.tokens)}
    elif run.kind == "kmers":
        features, keep = {f"k = {k}": kmers.profiles(task.tokens, k, turned) for k in PROFILES}, ("k = 4",)
    else:
        encoder = checkpoint.load_encoder(out / "encoders" / run.recipe)
        both = embed(encoder, task.tokens, "both", turned)
        last, mean = np.split(both, 2, axis=1)
        features = {"last": last, "mean": mean}
    said, chosen = learn(features, task, keep)
    rows = {{"": run.kind, "k = 4": "4mers"}[name]: judge(task, said_MK) for name, said_MK in said.items()}
    return {"rows": rows, "chosen": chosen}


def supervised(run: Run, out: Path) -> dict[str, Any]:
    """The fitting encoder and a linear map, from scratch on the labels of each fold, each for the run's minutes."""
    from bakeoff import Budget, from_scratch
    from published_data import COLLECTIONS

    from genossl.recipe import resolve

    task = load(out / "data", run.of, run.cap)
    recipe = resolve(COLLECTIONS[task.found.collection].recipe)
    longest = task.found.longest or max(map(len, task.tokens))
    reads = [tokens[:longest] for tokens in task.tokens]
    minutes = run.minutes / (LEFT_OUT if task.found.protocol == "loo" else 1)
    said, epochs, bases = [], [], 0
    for fold in task.folds:
        budget = Budget(minutes, run.seed, clock=time.process_time)
        rows, turned = (fold.train, fold.validation), task.found.strand == "invariant"
        fitted = from_scratch(recipe, reads, task.y_N, rows, budget, turned)
        said.append(fitted.said(fold.test))
        epochs.append(fitted.epochs)
        bases += fitted.epochs * sum(len(reads[i]) for i in fold.train)
    return {"rows": {"supervised": judge(task, np.concatenate(said))}, "epochs": epochs, "bases_seen": bases}


# ---- what the runs say together


@dataclasses.dataclass(frozen=True)
class Score:
    """A metric of one of our rows: mean over seeds, and the replicates of that mean."""

    value: float
    replicates_R: np.ndarray
    seeds: int

    @property
    def interval(self) -> tuple[float, float]:
        low, high = np.nanpercentile(self.replicates_R, [2.5, 97.5])
        return float(low), float(high)


Scores = dict[str, dict[str, dict[str, Score]]]  # subset -> row -> metric -> score


def collect(results: list[dict[str, Any]], name: str) -> Scores:
    """All rows of a set, means over seeds."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for result in results:
        if result["run"]["of"] == name:
            for row, subsets in result.get("rows", {}).items():
                for subset, metrics in subsets.items():
                    for metric, score in metrics.items():
                        if metric != "rows":
                            found.setdefault((subset, row, metric), []).append(score)
    scores: Scores = {}
    for subset, row, metric in sorted(found, key=lambda key: list(NAMES).index(key[1])):
        of = found[subset, row, metric]
        replicates_R = np.mean([score["replicates"] for score in of], axis=0)
        score = Score(float(np.mean([score["value"] for score in of])), replicates_R, len(of))
        scores.setdefault(subset, {}).setdefault(row, {})[metric] = score
    return scores


def difference(ours: Score, theirs: Score) -> tuple[float, float, float]:
    """Ours minus theirs on the same judged rows, replicate by replicate: value and 95 % interval."""
    low, high = np.nanpercentile(ours.replicates_R - theirs.replicates_R, [2.5, 97.5])
    return ours.value - theirs.value, float(low), float(high)


def compared(ours: Score, theirs: Score, metric: str) -> str:
    """ "above", "below" (in quality) or "not told apart from", with the difference and its interval."""
    value, low, high = difference(ours, theirs)
    digits = 0 if metric == "errors" else 3
    told = f"({value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}])"
    if low <= 0 <= high:
        return f"not told apart from {told}"
    return f"{'above' if (value > 0) == (metric != 'errors') else 'below'} {told}"


def findings(rows: dict[str, dict[str, Score]], metric: str, published: list[numbers.Number]) -> list[str]:
    """What a set shows, in sentences that its intervals bear out; where we lose, they say so."""
    said, have = [], {row: metrics[metric] for row, metrics in rows.items() if metric in metrics}
    pairs = [("pretrained", "untrained", "the same encoder untrained"), ("pretrained", "kmers", "k-mers")]
    pairs += [("supervised", "kmers", "k-mers")]
    for one, other, name in pairs:
        if one in have and other in have:
            said.append(f"{NAMES[one].capitalize()}: {compared(have[one], have[other], metric)} {name}.")
    worth = {row: score.value * (-1 if metric == "errors" else 1) for row, score in have.items()}
    if not worth:
        return said
    best = max(worth, key=lambda row: worth[row])
    said.append(f"Our best row is '{NAMES[best]}' with {_number(have[best].value, metric)}.")
    others = [n for n in published if n.metric == metric]
    for kind in ("frozen", "supervised"):
        if of := [n for n in others if n.kind == kind]:
            said.append(_against(have[best], metric, of, kind))
    return said


def _against(best: Score, metric: str, of: list[numbers.Number], kind: str) -> str:
    """Where published values lie as seen from the interval of our best row; they come without intervals."""
    low, high = best.interval
    if metric == "errors":
        better, worse = [n for n in of if n.value < low], [n for n in of if n.value > high]
    else:
        better, worse = [n for n in of if n.value > high], [n for n in of if n.value < low]

    def listed(found: list[numbers.Number]) -> str:
        return ", ".join(f"{n.model} {n.value:.4g}" for n in found) or "none"

    inside = [n for n in of if n not in better and n not in worse]
    return (
        f"Of {len(of)} published {METRIC_NAMES.get(metric, metric)} ({kind}), better than its interval: "
        f"{listed(better)}; inside it: {listed(inside)}; worse: {listed(worse)}."
    )


def _number(value: float, metric: str) -> str:
    return f"{value:.0f}" if metric == "errors" else f"{value:.3f}"


def _cell(score: Score | None, metric: str) -> str:
    if score is None or not np.isfinite(score.value):
        return ""
    low, high = score.interval
    return f"{_number(score.value, metric)} [{_number(low, metric)}, {_number(high, metric)}]"


def _table(
    rows: dict[str, dict[str, Score]], metrics: tuple[str, ...], beside: list[numbers.Number], sources: list[str]
) -> Iterator[str]:
    """Our rows, then what others have published, each with the number of its source."""
    yield "| row | " + " | ".join(METRIC_NAMES.get(m, m) for m in metrics) + " | source |"
    yield "|---|" + "---|" * (len(metrics) + 1)
    for row, found in rows.items():
        yield f"| {NAMES[row]} | " + " | ".join(_cell(found.get(m), m) for m in metrics) + " | measured here |"
    keys = dict.fromkeys((n.kind, n.model, n.source) for n in beside)
    for kind, model, source in keys:
        values = {n.metric: n.value for n in beside if (n.kind, n.model, n.source) == (kind, model, source)}
        cells = [f"{values[m]:.4g}" if m in values else "" for m in metrics]  # as they were published
        label = f"*{model}* (noted, not published)" if kind == "floor" else f"*{model}* (published, {kind})"
        yield f"| {label} | " + " | ".join(cells) + f" | [{_mark(source, sources)}] |"
    yield ""


def _mark(source: str, sources: list[str]) -> int:
    """The number of a source, which is added where it is new; tables of one paper share one."""
    paper = re.sub(r", Table \d.*$", "", source) if source.startswith("Feng") else source
    if paper not in sources:
        sources.append(paper)
    return sources.index(paper) + 1


def report(
    results: list[dict[str, Any]], names: list[str], about: dict[str, Any], command: str, n_planned: int
) -> tuple:
    """The tables as Markdown, with a place for "Reading it", and as plain values."""
    from bakeoff import machine
    from published_data import SETS

    done, sources, values = [r for r in results if "failed" not in r], [], {}
    body: list[str] = []
    for name in names:
        scores = collect(done, name)
        if scores:
            sizes = {
                s: m["rows"] for r in done if r["run"]["of"] == name for x in r["rows"].values() for s, m in x.items()
            }
            body += section(name, scores, about["sets"][name], sizes, sources)
        values[name] = {
            subset: {row: {m: _plain(s) for m, s in metrics.items()} for row, metrics in rows.items()}
            for subset, rows in scores.items()
        }
    missing = [name for name in SETS if name not in names]
    text = [
        "# Published benchmarks\n",
        "Written by:\n",
        f"```sh\n{command}\n```\n",
        f"{len(done)} of {n_planned} runs, on {machine()}, genossl {_version()}; {datetime.date.today().isoformat()}. "
        + (f"Not in this subset, for want of time: {', '.join(missing)}." if missing else "All sets.")
        + "\n",
        *_conventions(results),
        *_overview(done, names),
        *body,
        *_costs(done),
        "## Sources\n",
        *(f"{i}. {source}" for i, source in enumerate(sources, 1)),
        "",
    ]
    failed = [f"* {Run(**r['run']).name}: {r['failed']}" for r in results if "failed" in r]
    text += ["## What failed\n", *failed, ""] if failed else []
    return "\n".join(text), {"command": command, "machine": machine(), "runs": [len(done), n_planned], "sets": values}


def _conventions(results: list[dict[str, Any]]) -> Iterator[str]:
    cap = max((r["run"]["cap"] for r in results), default=0)
    yield (
        "Cells: value [95 % bootstrap interval over judged rows; over clusters of genomes or genomes in the virus "
        "task; within folds and classes]. Intervals say nothing of other seeds, other splits or other training rows. "
        "Differences in the sentences are paired on the same rows; none is corrected for how many are looked at. "
        "Published values come without intervals. Our best row is the best on the judged rows, which flatters it a "
        "little. What is tuned (penalty, k, last state or mean over frames, the "
        "epoch that training ends at) is chosen on validation rows, which are cut from the training rows where a set "
        "has none; frozen rows are then fitted again on both.\n"
    )
    if cap:
        yield (
            f"**At most {cap:,} training rows of a fold teach our rows here** (drawn at random, the same for all of "
            "them); those who published used all. Without the cap: `--cap 0`.\n"
        )
    yield (
        "A judged row is called leaky where its sequence, on either strand, is also that of a row that teaches or "
        "chooses; the other rows are the clean ones. Near copies are counted (rows that share 31 "
        "bases) and stay among the clean.\n"
    )


def _overview(done: list[dict[str, Any]], names: list[str]) -> Iterator[str]:
    """One line per set: its first metric, and the span of what was published of that metric."""
    from published_data import SETS

    shown = ("gc", "kmers", "untrained", "pretrained", "supervised")
    yield "## All sets\n"
    yield "| set | metric | " + " | ".join(NAMES[row] for row in shown) + " | published |"
    yield "|---|---|" + "---|" * (len(shown) + 1)
    for name in names:
        metric = SETS[name].metrics[0]
        rows = collect(done, name).get("all", {})
        cells = [_cell(rows.get(row, {}).get(metric), metric) for row in shown]
        of = [n.value for n in numbers.NUMBERS if (n.task, n.metric) == (name, metric)]
        span = "none" if not of else " to ".join(dict.fromkeys(_number(x, metric) for x in (min(of), max(of))))
        yield f"| {name} | {METRIC_NAMES.get(metric, metric)} | " + " | ".join(cells) + f" | {span} |"
    yield ""


def section(name: str, scores: Scores, counts: dict[str, Any], sizes: dict[str, int], sources: list[str]) -> list[str]:
    """One set: what it is, what differs, findings, its tables; `sizes`: judged rows of each subset."""
    from published_data import COLLECTIONS, SETS, WORD

    found = SETS[name]
    collection = COLLECTIONS[found.collection]
    protocol = PROTOCOLS["clusters" if found.window else found.protocol]
    strand = "either strand counts" if found.strand == "invariant" else "the strand is as given, nothing is averaged"
    leaks = (
        f"{counts['leaky']:,} of {counts['judged']:,} judged rows are leaky" if counts["leaky"] else "No row is leaky"
    )
    leaks += f"; {counts['near'] / counts['judged']:.1%} share {WORD} bases with a row that teaches or chooses"
    if counts["two_labels"]:
        leaks += f"; {counts['two_labels']} sequences have two labels"
    published = [n for n in numbers.NUMBERS if n.task == name]
    floors = [n for n in numbers.FLOORS if n.task == name]
    text = [
        f"## {name}\n",
        f"{found.title[0].upper()}{found.title[1:]}. {counts['rows']:,} rows, {len(counts['classes'])} classes, "
        f"{counts['judged']:,} judged; protocol: {protocol}; {strand}. {leaks}. The encoder "
        f"({collection.recipe['name']}) was pretrained on {collection.said}; {counts['overlap']:.1%} of the judged "
        f"rows share {WORD} bases with those.\n",
        f"Protocol: {found.differs}.\n",
    ]
    for metric in found.metrics:
        if metric == found.metrics[0] or any(n.metric == metric for n in published):
            said = findings(scores["all"], metric, published)
            label = METRIC_NAMES.get(metric, metric)
            text.append(f"{label[0].upper()}{label[1:]}. {' '.join(said)}\n")
    if not published:
        text.append("There is no published number of this set.\n")
    text += _table(scores["all"], found.metrics, [*published, *floors], sources)
    for subset, rows in scores.items():
        if subset != "all":
            clean = [n for n in numbers.CLEAN_FLOORS if n.task == name and subset == "clean"]
            what = "clean rows" if subset == "clean" else "rows of families that have no row that teaches"
            text.append(f"Only the {sizes[subset]:,} {what}; no published number is of these:\n")
            text += _table(rows, found.metrics, clean, sources)
    return text


def _costs(done: list[dict[str, Any]]) -> Iterator[str]:
    """Of every training run: its minutes are fixed, and the bases say what they were worth on this machine."""
    yield "## What training saw\n"
    yield (
        "Minutes are counted as the processor's time of the one thread, so that other work on the machine takes none "
        "of them; caches and memory are shared all the same. A supervised row has them for each fold (leave one out: a "
        f"{LEFT_OUT}th of them), and what it read is of all folds.\n"
    )
    yield "| run | of | seed | minutes | steps or epochs | Mbp read |"
    yield "|---|---|---|---|---|---|"
    for result in done:
        run = Run(**result["run"])
        if run.minutes and "bases_seen" in result:
            epochs = sorted(set(result.get("epochs", [])))
            count = result.get("steps") or f"{' to '.join(map(str, dict.fromkeys((epochs[0], epochs[-1]))))} epochs"
            seen = f"{result['bases_seen'] / 1e6:,.1f}"
            yield f"| {run.kind} | {run.of} | {run.seed} | {run.minutes:g} | {count} | {seen} |"
    yield ""


def _plain(score: Score) -> dict[str, Any]:
    if not np.isfinite(score.value):
        return {"value": None, "low": None, "high": None, "seeds": score.seeds}
    low, high = score.interval
    return {"value": score.value, "low": low, "high": high, "seeds": score.seeds}


def _version() -> str:
    import genossl

    return genossl.__version__


def kept(text: str, old: str) -> str:
    """`text` with the part "## Reading it" of `old`, before the first other part, where there is one."""
    found = re.search(r"^## Reading it\n.*?(?=^## |\Z)", old, flags=re.M | re.S)
    if not found:
        return text
    place = re.search(r"^## ", text, flags=re.M)
    at = place.start() if place else len(text)
    return f"{text[:at]}{found[0].rstrip()}\n\n{text[at:]}"


# ---- the command


def go(runs: list[Run], out: Path, jobs: int) -> None:
    """Run what is not there yet, `jobs` at once, with a line for each."""
    from bakeoff import each

    def told(i: int, result: dict[str, Any]) -> None:
        run = Run(**result["run"])
        said = result.get("failed") or ", ".join(
            f"{NAMES[row]} {next(iter(m for m in subsets['all'] if m != 'rows'))} "
            f"{next(v['value'] for m, v in subsets['all'].items() if m != 'rows'):.3f}"
            for row, subsets in result.get("rows", {}).items()
        )
        print(f"[{i}/{len(runs)}] {run.of} {run.kind}: {said or 'done'}; {result['wall_seconds']} s", flush=True)

    each(execute, [(run, out) for run in runs], jobs, told)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of public sequences (published_data.py)")
    parser.add_argument("--out", type=Path, required=True, help="folder of data, runs and tables; run again to go on")
    parser.add_argument("--subset", choices=SUBSETS, default="cpu", help="defaults of the five below")
    parser.add_argument("--sets", nargs="+", help="names of published_data.py")
    parser.add_argument("--minutes", type=float, help="of each training, in time of one core")
    parser.add_argument("--seeds", type=int, help="encoders of each collection, and supervised ones of each set")
    parser.add_argument("--jobs", type=int, help="runs at once, a thread each")
    parser.add_argument("--cap", type=int, help="training rows of a fold at most; 0: all")
    parser.add_argument("--docs", type=Path, help="a copy of the tables, whose part 'Reading it' is kept")
    parser.add_argument("--only-report", action="store_true", help="write the tables of the runs that are there")
    options = parser.parse_args()
    for name, value in SUBSETS[options.subset].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    os.environ["OMP_NUM_THREADS"] = "1"  # of every run, before torch is loaded
    from published_data import SETS, prepare

    from genossl.errors import InputError
    from genossl.files import atomic, read_json, write_json

    names = options.sets or list(SETS)
    try:
        if unknown := [name for name in names if name not in SETS]:
            raise InputError(f"no set {unknown[0]}; expected some of {', '.join(SETS)}")
        if options.minutes <= 0 or min(options.seeds, options.jobs) < 1 or options.cap < 0:
            raise InputError("expected minutes above 0, at least 1 seed and 1 job, and no negative cap")
        about = prepare(options.data, options.out / "data", names)
        phases = plan(names, options, about)
    except InputError as error:
        print(f"published: {error}", file=sys.stderr)
        return 2

    def there(run: Run) -> dict[str, Any] | None:
        path = options.out / "runs" / f"{run.name}.json"
        found = read_json(path) if path.is_file() else None
        whole = run.kind != "pretrain" or (options.out / "encoders" / run.name / "encoder.json").is_file()
        return found if whole else None

    runs = [run for phase in phases for run in phase]
    for phase in phases if not options.only_report else []:
        todo = [run for run in phase if (found := there(run)) is None or "failed" in found]
        print(f"{len(todo)} of {len(phase)} runs to do, {options.jobs} at once", flush=True)
        try:
            go(todo, options.out, options.jobs)
        except KeyboardInterrupt:
            print("published: stopped; run the same command to go on", file=sys.stderr)
            return 130
    results = [found for run in runs if (found := there(run)) is not None]
    command = (
        f"python benchmarks/published.py --data FOLDER --out {options.out} --subset {options.subset} "
        f"--minutes {options.minutes:g} --seeds {options.seeds} --jobs {options.jobs} --cap {options.cap}"
    ) + (f" --sets {' '.join(options.sets)}" if options.sets != SUBSETS[options.subset]["sets"] else "")
    text, values = report(results, names, about, command, len(runs))
    for path in [options.out / "published.md", *([options.docs] if options.docs else [])]:
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        with atomic(path, "w") as stream:
            stream.write(kept(text, old))
    write_json(options.out / "published.json", values)
    failed = [result for result in results if "failed" in result]
    print(f"{options.out / 'published.md'}: {len(results) - len(failed)} of {len(runs)} runs, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
