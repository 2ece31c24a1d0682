"""A network and labels to predictions of the test rows: trained end to end, at growing numbers of labels.

The network is a pretrained encoder, the same encoder from new random weights, or a supervised convolutional network.
All three get the same trials: each rate of the same list on each draw of the labels, for the same number of steps.
Splits, draws and test rows are those of the probe at equal settings, so that the predictions can be paired with it.
"""

# N labelled rows, M test rows, K classes or outputs, D draws, G rates

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch

from genossl import files
from genossl.errors import InputError, naming
from genossl.evaluation import splits, tasks
from genossl.evaluation.tasks import Task
from genossl.genome import inputs
from genossl.genome.labels import files_of, read_labels, strand_policy
from genossl.model import checkpoint
from genossl.model.classifier import Classifier, Cnn, Reader, logits
from genossl.model.encoder import encoder_device
from genossl.model.objective import KINDS, Objective
from genossl.model.tuning import Budget, Fitted, Rows, Scale, scale_of, score, tune, tune_head

ROWS = ("cap", "block", "fractions", "validation_cap", "test_cap", "seed")  # equal here and in the probe: equal rows
LOOKS = 5  # times as many at validation rows in the first phase as in the second, whose network must be run for it
SCALED_BY = 1000  # train rows, labels unseen, that say how vectors are standardised under the first head


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(tasks.Settings):
    """Section `finetune`."""

    shots: tuple[int, ...] = (10, 100)  # labels per class; "all" is always measured too
    draws: int = 3  # draws of the labels at each number of shots, each with an initialisation of its own
    models: dict[str, str] = dataclasses.field(default_factory=dict)  # of the workflow: name: a run, scratch:RUN or cnn
    strategy: Literal["full", "head_first"] = "head_first"  # a pretrained encoder's: all weights, or first the head
    rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3)  # largest learning rates, chosen on validation rows
    lower: float = 0.1  # the second phase of head_first multiplies the rates by this
    head_rate: float = 1e-3  # largest learning rate of the first phase of head_first, on the frozen encoder
    head_steps: int = 1000  # batches of that phase at most: they cost next to nothing, the encoder is read once
    steps: int = 400  # batches of a trial at most, or as many as make `passes`
    passes: int = 10  # times that a trial may see each training row at most, where this is more than `steps`
    batch: int = 32  # rows of a batch
    every: int = 25  # steps from a look at validation rows to the next
    patience: int = 6  # looks without a better score that end a trial
    watched: int = 500  # validation rows at most that a trial looks at; all of them choose the rate
    weight_decay: float = 0.01  # AdamW
    dropout: float = 0.1  # of what the head reads
    pool: Literal["last", "mean", "both"] = "last"  # what is read of an encoder, as in `embed`
    channels: int = 64  # of the cnn
    frame: int = 8  # bases among which the cnn keeps the best match of each motif
    both_strands: bool | Literal["auto"] = "auto"  # learn from either strand, average both; auto: unless it matters

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rates or min(self.rates) <= 0 or list(self.rates) != sorted(set(self.rates)):
            raise ValueError("rates must be ascending numbers above 0")
        if min(self.lower, self.head_rate) <= 0 or self.weight_decay < 0:
            raise ValueError("lower and head_rate must be above 0, weight_decay at least 0")
        if (
            min(self.steps, self.passes, self.head_steps) < 0
            or min(self.batch, self.every, self.patience, self.watched) < 1
        ):
            raise ValueError(
                "steps, passes, head_steps must not be negative; batch, every, patience, watched at least 1"
            )
        if not 0 <= self.dropout < 1 or min(self.channels, self.frame) < 1:
            raise ValueError("dropout must be at least 0 and less than 1, channels and frame at least 1")

    def budget(self, rate: float, rows: int) -> Budget:
        """What a trial may use with that many training rows."""
        steps = max(self.steps, self.passes * -(-rows // self.batch))
        return Budget(
            rate=rate, steps=steps, batch=self.batch, every=self.every, patience=self.patience,
            weight_decay=self.weight_decay,
        )  # fmt: skip

    def head_budget(self) -> Budget:
        """What the first phase may use: closer looks, since a head on few labels is at its best after a few steps."""
        every = max(1, self.every // LOOKS)
        return Budget(
            rate=self.head_rate, steps=self.head_steps, batch=self.batch, every=every, patience=LOOKS * self.patience,
            weight_decay=self.weight_decay,
        )  # fmt: skip


class Start(NamedTuple):
    """Where training starts from."""

    trunk: Callable[[int], Reader | Cnn]  # of each draw
    strategy: str
    what: str  # in words
    weights: Path | None  # the file that it needs


class Trial(NamedTuple):
    """One training: a draw of labels at one rate."""

    shots: str
    draw: int
    rate: float
    model: Classifier
    head: Fitted | None  # the first phase
    fitted: Fitted
    validation: float  # of all validation rows
    seconds: float


class Found(NamedTuple):
    """What the search came to: for each draw the scores (M, K) of the rate that validation rows chose."""

    shots: list[str]
    draws: list[int]
    scores: list[np.ndarray]
    chosen: dict[str, float]
    trials: list[Trial]


def run(
    model: str, labels: Path, out: Path, settings: Settings, sequences: Path | None = None, device: str = "auto",
    threads: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Train and write the predictions of the test rows, out (.npz) with a .json beside it, whose content is returned.

    model: a run folder, `scratch:RUN` or `cnn`. Raises InputError.
    """
    out, started = Path(out), time.perf_counter()
    if out.suffix != ".npz":
        raise InputError(f"{out}: predictions are written as .npz")
    files.spare([out, out.with_suffix(".json")], [*files_of(labels), sequences])
    if threads:
        torch.set_num_threads(threads)
    where = encoder_device(device)
    if settings.both_strands == "auto":
        settings = dataclasses.replace(settings, both_strands=strand_policy(labels) != "as_given")
    task = prepare(labels, settings)
    tokens = read_sequences(labels, sequences, task)
    begin = start(model, max(map(len, tokens)), settings)
    with files.progress(desc=f"finetune {model}", unit="trial", total=_trials(task, settings)) as bar:
        found = search(begin, task, tokens, settings, where, bar)
    about = describe(model, begin, task, found, settings)
    about |= {"device": where.type, "threads": torch.get_num_threads(), "longest": max(map(len, tokens))}
    about["seconds"] = round(time.perf_counter() - started, 1)
    files.clear([out.with_suffix(".json")])
    with files.atomic(out) as stream:
        np.savez(
            stream,
            ids=task.labels["id"].to_numpy(dtype=str)[task.rows[splits.TEST]],
            classes=np.array(task.classes or ["value"], dtype=str),
            shots=np.array(found.shots, dtype=str),
            draw=np.array(found.draws, dtype=np.int64),
            scores=np.stack(found.scores).astype(np.float32),
        )
    files.write_json(out.with_suffix(".json"), about)
    used = {"labels": labels, "encoder": begin.weights, "sequences": sequences}
    given = {"model": model, "labels": labels, "out": out, "sequences": sequences, "device": device}
    given["threads"] = torch.get_num_threads()
    files.write_provenance(out, "finetune", dataclasses.asdict(settings), used, settings.seed, given)
    return about


def summary(about: dict[str, Any]) -> list[str]:
    """What validation rows said of each number of labels, in lines."""
    lines = [f"{about['what']}, {about['strategy']}: {about['trials_each']} trials per draw, {about['seconds']:.0f} s"]
    for shots, rate in about["chosen"].items():
        steps = [t["best_step"] for t in about["trials"] if t["shots"] == shots and t["rate"] == rate]
        value = about["validation"][shots][f"{rate:g}"]
        lines.append(
            f"{shots:>5s} labels: {about['metric']} {value:.3f} of validation rows at rate {rate:g}, "
            f"best at step {', '.join(map(str, steps))} of {about['budget'][shots]}"
        )
    return lines


def prepare(labels: Path, settings: Settings) -> Task:
    """The task as the probe draws it. Raises InputError."""
    with naming(labels):
        return tasks.prepare(read_labels(labels, empty=settings.kind == tasks.MULTILABEL), settings)


def read_sequences(labels: Path, sequences: Path | None, task: Task) -> list[np.ndarray]:
    """The tokens of each row of the task, in its order; memory is that of the labelled sequences, a byte a base."""
    found = {item.row["id"]: item.tokens for item in inputs.read(labels, 0, 0, sequences)}
    return [found[name] for name in task.labels["id"]]


def start(model: str, longest: int, settings: Settings) -> Start:
    """What MODEL means. Raises InputError for what is none."""
    if model == "cnn":

        def network(draw: int) -> Cnn:
            torch.manual_seed(draw)
            return Cnn(longest, settings.channels, frame=settings.frame)

        return Start(network, "full", "supervised CNN", None)
    scratch, path = model.startswith("scratch:"), model.removeprefix("scratch:")
    if not path or not Path(path).exists():
        raise InputError(f"{path or model}: no such run folder; a model is a run's folder, scratch:RUN or cnn")
    weights = checkpoint.encoder_folder(path) / "encoder.safetensors"
    pretrained = checkpoint.load_encoder(path)

    def reader(draw: int) -> Reader:
        encoder = checkpoint.untrained(path, seed=draw) if scratch else copy.deepcopy(pretrained)
        return Reader(encoder, settings.pool)

    if scratch:
        return Start(reader, "full", "the same encoder from new random weights", weights)
    return Start(reader, settings.strategy, "pretrained encoder", weights)


def search(
    begin: Start, task: Task, tokens: list[np.ndarray], settings: Settings, device: torch.device, bar: Any
) -> Found:
    """Try each rate on each draw; validation rows choose the rate by its mean over draws; test rows are read once."""
    validation, test = (_rows(task, tokens, task.rows[side]) for side in (splits.VALIDATION, splits.TEST))
    few = _rows(task, tokens, watch(task.rows[splits.VALIDATION], task, settings))
    scale: Scale | None = None
    if begin.strategy == "head_first":
        seen = splits.permutation(task.rows[splits.TRAIN], "scale", settings.seed, 0)[:SCALED_BY]
        frozen = Classifier(begin.trunk(0), 1).to(device)
        scale = scale_of(frozen, [tokens[i] for i in seen], bool(settings.both_strands))
    found = Found([], [], [], {}, [])
    for shots, drawn in task.draws.items():
        objectives = [KINDS[task.kind](task.y_N[rows], task.outputs) for rows in drawn]
        trials: list[list[Trial]] = []
        for draw, (rows, objective) in enumerate(zip(drawn, objectives, strict=True)):
            train = _rows(task, tokens, rows)
            trials.append(trained(begin, shots, draw, train, few, validation, objective, scale, settings, device, bar))
        best = int(np.array([[t.validation for t in row] for row in trials]).mean(0).argmax())  # the slowest of equals
        found.chosen[shots] = settings.rates[best]
        for draw, (row, objective) in enumerate(zip(trials, objectives, strict=True)):
            said = logits(row[best].model, test.sequences, bool(settings.both_strands))
            found.shots.append(shots)
            found.draws.append(draw)
            found.scores.append(objective.scores(said))
            found.trials.extend(row)
    return found


def trained(
    begin: Start, shots: str, draw: int, train: Rows, few: Rows, validation: Rows, objective: Objective,
    scale: Scale | None, settings: Settings, device: torch.device, bar: Any,
) -> list[Trial]:  # fmt: skip
    """One trial per rate on one draw of the labels, all from the same weights; with a scale the head comes first."""
    both = bool(settings.both_strands)  # auto was resolved by then
    torch.manual_seed(draw)
    first = Classifier(begin.trunk(draw), objective.outputs, settings.dropout).to(device)
    head = None
    if scale is not None:
        rng = np.random.default_rng([settings.seed, draw, 4])
        head = tune_head(first, scale, train, few, objective, both, settings.head_budget(), rng)
    trials = []
    for rate in settings.rates:
        started, model = time.perf_counter(), copy.deepcopy(first)
        torch.manual_seed(draw)  # of dropout
        rng = np.random.default_rng([settings.seed, draw, 5])
        budget = settings.budget(rate * (settings.lower if head else 1), len(train.y))
        fitted = tune(model, train, few, objective, both, budget, rng)
        judged = score(model, validation, objective, both)
        trials.append(Trial(shots, draw, rate, model, head, fitted, judged, time.perf_counter() - started))
        bar.update(1)
    return trials


def watch(rows: np.ndarray, task: Task, settings: Settings) -> np.ndarray:
    """At most `watched` of these rows, the classes taking turns, so that a rare one is looked at too; ascending."""
    drawn = splits.permutation(rows, "watched", settings.seed, 0)
    if np.ndim(task.y_N) == 1 and np.issubdtype(task.y_N.dtype, np.integer):
        turn = pd.Series(task.y_N[drawn]).groupby(task.y_N[drawn]).cumcount().to_numpy()
        drawn = drawn[np.argsort(turn, kind="stable")]
    return np.sort(drawn[: settings.watched])


def describe(model: str, begin: Start, task: Task, found: Found, settings: Settings) -> dict[str, Any]:
    """Everything beside the predictions: what was tried, what validation rows chose, what it cost."""
    trunk, mean = found.trials[0].model.trunk, {}
    for shots in found.chosen:
        of = [t for t in found.trials if t.shots == shots]
        mean[shots] = {f"{r:g}": float(np.mean([t.validation for t in of if t.rate == r])) for r in settings.rates}
    return {
        "model": model,
        "what": begin.what,
        "strategy": begin.strategy,
        "kind": task.kind,
        "metric": KINDS[task.kind].metric,
        "parameters": sum(p.numel() for p in found.trials[0].model.parameters()),
        "receptive_field": trunk.receptive_field if isinstance(trunk, Cnn) else None,  # else all that it reads
        "trials_each": len(settings.rates),
        "budget": {
            shots: settings.budget(1.0, max(map(len, drawn))).steps for shots, drawn in task.draws.items()
        },
        "chosen": found.chosen,
        "validation": mean,
        "trials": [_plain(trial) for trial in found.trials],
        "rows": {side: len(rows) for side, rows in task.rows.items()},
        "notes": task.notes,
        "settings": settings,
    }  # fmt: skip


def _plain(trial: Trial) -> dict[str, Any]:
    fitted, head = trial.fitted, trial.head
    return {
        "shots": trial.shots,
        "draw": trial.draw,
        "rate": trial.rate,
        "validation": trial.validation,
        "watched": fitted.best,
        "best_step": fitted.best_step,
        "steps": fitted.steps,
        "curve": fitted.curve,
        "head": None if head is None else {"watched": head.best, "best_step": head.best_step, "steps": head.steps},
        "seconds": round(trial.seconds, 2),
    }


def _rows(task: Task, tokens: list[np.ndarray], rows: np.ndarray) -> Rows:
    return Rows([tokens[i] for i in rows], task.y_N[rows])


def _trials(task: Task, settings: Settings) -> int:
    return len(settings.rates) * sum(map(len, task.draws.values()))
