"""A linear head that outlives the probe: fitted on all training labels, calibrated on validation rows, kept in a file.

Standardising, turning to the principal axes and the classifier are all linear, so they are one matrix and one bias.
HEAD.safetensors holds these, HEAD.json all else: what was learnt, from which encoder's vectors, and how well it did.
"""

# N rows, D dimensions, K classes

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import entr, expit, log_softmax, logsumexp, softmax
from sklearn.linear_model import Ridge

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import heads, scores, splits
from genossl.evaluation.linear import logistic_fits
from genossl.evaluation.table import read_table
from genossl.evaluation.tasks import Task
from genossl.evaluation.temperature import calibration, temperature, two_classes

FORMAT = 1
CLASSES, MULTILABEL, REGRESSION = KINDS = ("classes", "multilabel", "regression")
BREAKS = re.compile("[\\x00-\\x1f\\x7f-\\x9f]")  # what would break a line of a table, or move the cursor


class Answers(NamedTuple):
    """What is written about N windows, contigs or genomes; not a number, and no label, where nothing is known."""

    label: list[str]  # the class, or the labels of probability at least one half joined by ;, or nothing
    probability_N: np.ndarray  # of the label; classes only
    entropy_N: np.ndarray  # bits: 0 for sure, log2(K) for no idea; classes only
    number_NK: np.ndarray  # probabilities, or the value


@dataclasses.dataclass(frozen=True)
class Head:
    """Logits are (x @ weight + bias) / temperature; a value of a regression is x @ weight + bias."""

    kind: str
    classes: list[str]  # none for a regression
    weight_DK: np.ndarray
    bias_K: np.ndarray
    temperature: float = 1.0
    about: dict[str, Any] = dataclasses.field(default_factory=dict)  # the .json

    def logits(self, vectors_ND: np.ndarray) -> np.ndarray:
        """Before the temperature: float64 (N, K)."""
        return np.asarray(vectors_ND, dtype=np.float64) @ self.weight_DK + self.bias_K

    def evidence(self, vectors_ND: np.ndarray) -> np.ndarray:
        """What may be averaged over windows, (N, K): log-probabilities, log-odds of each label, or values."""
        scaled_NK = self.logits(vectors_ND) / self.temperature
        return log_softmax(scaled_NK, axis=1) if self.kind == CLASSES else scaled_NK

    def log_odds(self, vectors_ND: np.ndarray) -> np.ndarray:
        """What a decision hangs on, (N, K): log-odds of each class against all others, or of each label; or values."""
        scaled_NK = self.logits(vectors_ND) / self.temperature
        if self.kind != CLASSES:
            return scaled_NK
        others = [logsumexp(np.delete(scaled_NK, k, axis=1), axis=1) for k in range(len(self.classes))]
        return scaled_NK - np.stack(others, axis=1)

    def answers(self, evidence_NK: np.ndarray) -> Answers:
        """Evidence, of one window or the mean of many, as labels and probabilities."""
        known_N = np.isfinite(evidence_NK.sum(1)).tolist()
        nothing_N = np.full(len(evidence_NK), np.nan)
        if self.kind == REGRESSION:
            return Answers([""] * len(evidence_NK), nothing_N, nothing_N, evidence_NK)
        if self.kind == MULTILABEL:
            p_NK = expit(evidence_NK)
            names = [";".join(n for n, p in zip(self.classes, row, strict=True) if p >= 0.5) or "-" for row in p_NK]
            label = [name if known else "" for name, known in zip(names, known_N, strict=True)]
            return Answers(label, nothing_N, nothing_N, p_NK)
        p_NK = softmax(evidence_NK, axis=1)
        best_N = p_NK.argmax(1)
        label = [self.classes[k] if known else "" for k, known in zip(best_N, known_N, strict=True)]
        entropy_N = entr(p_NK).sum(1) / np.log(2)
        return Answers(label, p_NK[np.arange(len(p_NK)), best_N], entropy_N, p_NK)


# ---- fitting


def fit(
    kind: str, classes: list[str], train: tuple[np.ndarray, np.ndarray], validation: tuple[np.ndarray, np.ndarray],
    grid: Sequence[float],
) -> Head:  # fmt: skip
    """The head of vectors and labels (x_ND, y): penalty and temperature by the validation rows.

    y: class numbers (N,), 0 / 1 of each label (N, K), or values (N,). The weights are those that the probe finds, in
    the coordinates of the vectors as they lie on disk.
    """
    (train_ND, y_N), (seen_ND, truth_N) = train, validation
    found = heads.axes(train_ND)
    turned_ND = found.apply(train_ND)
    rows, basis = heads.in_the_span(turned_ND, np.eye(turned_ND.shape[1], dtype=np.float32))
    basis = basis.astype(np.float64)
    tried = [Head(kind, classes, *fold(basis @ w_DK, b_K, found)) for w_DK, b_K in _FITS[kind](rows, y_N, grid)]
    judged = [_judge(head, seen_ND, truth_N) for head in tried]
    at = int(np.argmax(judged))  # the first of equals, as the probe has it
    best, about = tried[at], {"penalty": grid[at], "validation": dict(zip(map(str, grid), judged, strict=True))}
    said_NK = best.logits(seen_ND)
    if kind == REGRESSION:
        about |= {"deviation": float((truth_N - said_NK[:, 0]).std())}  # of the residuals on validation rows
        return dataclasses.replace(best, about=about)
    return dataclasses.replace(best, temperature=temperature(*_as_classes(kind, said_NK, truth_N)), about=about)


def fold(weight_DK: np.ndarray, bias_K: np.ndarray, axes: heads.Axes) -> tuple[np.ndarray, np.ndarray]:
    """Weights on standardised, turned vectors as weights on the vectors themselves, in float64.

    ((x - mean) / scale) @ axes @ W + b = x @ W' + b' with W' = axes @ W / scale and b' = b - mean @ W'.
    """
    turned_DK = weight_DK if axes.axes_DD is None else axes.axes_DD @ weight_DK
    folded_DK = turned_DK / axes.scale_D[:, None]
    return folded_DK, bias_K - axes.mean_D @ folded_DK


def _regressions(x_ND: np.ndarray, y_N: np.ndarray, grid: Sequence[float]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and bias of the logistic regressions that the probe fits, as scikit-learn shapes them."""
    return [
        (np.array(model.coef_, dtype=np.float64).T, np.array(model.intercept_, dtype=np.float64))
        for model in logistic_fits(x_ND, y_N, grid)
    ]


def _logistic(x_ND: np.ndarray, y_N: np.ndarray, grid: Sequence[float]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One column for each class, also where there are two."""
    for w, b in _regressions(x_ND, y_N, grid):
        yield (w, b) if w.shape[1] > 1 else (np.hstack([-w, w]) / 2, np.hstack([-b, b]) / 2)


def _one_by_one(x_ND: np.ndarray, y_NK: np.ndarray, grid: Sequence[float]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A logistic regression for each label; a label that all train rows have, or none, gets a constant."""
    found = []
    for y_N in y_NK.T.astype(np.int64):
        if 0 < y_N.sum() < len(y_N):
            found.append(_regressions(x_ND, y_N, grid))
        else:
            odds = np.log((y_N.sum() + 0.5) / (len(y_N) - y_N.sum() + 0.5))
            found.append([(np.zeros((x_ND.shape[1], 1)), np.array([odds]))] * len(grid))
    for of_label in zip(*found, strict=True):
        yield np.hstack([w for w, _ in of_label]), np.hstack([b for _, b in of_label])


def _ridge(x_ND: np.ndarray, y_N: np.ndarray, grid: Sequence[float]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ridge regression of the penalty 1 / C."""
    for c in grid:
        model = Ridge(alpha=1 / c).fit(x_ND.astype(np.float64), y_N)
        yield np.array(model.coef_, dtype=np.float64)[:, None], np.array([model.intercept_], dtype=np.float64)


_FITS = {CLASSES: _logistic, MULTILABEL: _one_by_one, REGRESSION: _ridge}


def _judge(head: Head, vectors_ND: np.ndarray, y_N: np.ndarray) -> float:
    """The larger the better: balanced accuracy as in the probe, minus the log-loss, minus the squared error."""
    said_NK = head.logits(vectors_ND)
    if head.kind == REGRESSION:
        return -float(((said_NK[:, 0] - y_N) ** 2).mean())
    if head.kind == MULTILABEL:
        return -calibration(*_as_classes(head.kind, said_NK, y_N)).nll
    one_unit = np.zeros(len(y_N), dtype=np.int64)
    return float(
        scores.balanced_accuracy(scores.unit_confusions(y_N, said_NK.argmax(1), one_unit, len(head.classes))[0])
    )


def _as_classes(kind: str, logits_NK: np.ndarray, y_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits and class numbers; each label of each row is a row of two classes of its own."""
    if kind == MULTILABEL:
        return two_classes(logits_NK.reshape(-1)), np.asarray(y_N).reshape(-1).astype(np.int64)
    return logits_NK, y_N


# ---- what a test says about it


def measure(
    head: Head, vectors_ND: np.ndarray, y_N: np.ndarray, units: splits.Units, weights_RU: np.ndarray
) -> dict[str, Any]:
    """Scores on test rows, each as [value, low, high], and how well the probabilities are calibrated.

    Intervals: percentiles of the replicates, whose weights of the units are weights_RU (R, U).
    """
    said_NK = head.logits(vectors_ND)
    told: dict[str, Any] = {"n": len(y_N), "unit": units.kind}
    all_RU = np.concatenate([np.ones((1, weights_RU.shape[1])), weights_RU])
    if head.kind == REGRESSION:
        return told | _errors(y_N, said_NK[:, 0], units.unit_N, all_RU)
    if head.kind == CLASSES:
        found = scores.replicates(y_N, said_NK, units.unit_N, units.class_U, all_RU)
        told |= {name: _interval(v) for name, v in zip(scores.METRICS, found, strict=True)}
    unit_N = units.unit_N if head.kind == CLASSES else units.unit_N.repeat(len(head.classes))
    for name, t in (("before", 1.0), ("after", head.temperature)):
        found = calibration(*_as_classes(head.kind, said_NK / t, y_N), unit_N, weights_RU)
        told[name] = {
            "ece": _interval(np.append(found.ece, found.ece_R)), "nll": _interval(np.append(found.nll, found.nll_R)),
            "bins": [
                {"n": int(n), "confidence": float(p), "accuracy": float(a)}
                for n, p, a in zip(found.n_B, found.confidence_B, found.accuracy_B, strict=True) if n
            ],
        }  # fmt: skip
    return told


def _errors(y_N: np.ndarray, said_N: np.ndarray, unit_N: np.ndarray, all_RU: np.ndarray) -> dict[str, list[float]]:
    """Root mean squared error, and the share of the variance that is explained, under each row of weights."""
    centred_N = y_N - y_N.mean()
    n_R, y_R, yy_R, error_R = (
        all_RU @ np.bincount(unit_N, value_N, all_RU.shape[1])
        for value_N in (np.ones(len(y_N)), centred_N, centred_N**2, (y_N - said_N) ** 2)
    )
    varied_R = np.maximum(yy_R - y_R**2 / n_R, np.finfo(float).tiny)
    return {"rmse": _interval(np.sqrt(error_R / n_R)), "r2": _interval(1 - error_R / varied_R)}


def _interval(value_R: np.ndarray) -> list[float]:
    """The first is the value, the rest are its replicates."""
    return [float(value_R[0]), *scores.interval(value_R[1:])]


# ---- from the probe to a file


def origin(embedding: Path) -> dict[str, Any]:
    """Encoder and settings that made an embedding, as the provenance beside it says.

    Raises InputError where it is missing: vectors that nobody can make again are of no use to a head.
    """
    path = Path(f"{embedding}.provenance.json")
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; a head needs to know which encoder and settings made the vectors: "
            "embed them with genossl embed"
        )
    record = files.read_json(path)
    try:
        settings, encoder = record["settings"], record["inputs"].get("encoder", {})
        found = {
            "encoder": {"spec": str(settings["encoder"]), "path": encoder.get("path"), "sha256": encoder.get("sha256")},
            "pool": settings["pool"],
            "both_strands": settings["both_strands"],
            "precision": settings.get("precision", "auto"),  # absent where another tool wrote the embeddings
        }
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: does not say encoder, pool and both_strands, as genossl embed writes them") from None
    return found


def only(embeddings: Sequence[Path]) -> Path:
    """The one embedding that a head is of; InputError where there are several."""
    if len(embeddings) != 1:
        raise InputError(f"a head is of one embedding; found {', '.join(map(str, embeddings))}")
    return Path(embeddings[0])


def save(path: Path, embedding: Path, vectors_ND: np.ndarray, task: Task, name: str, grid: Sequence[float]) -> Head:
    """Fit a head on all training rows of a task, calibrate, test and write it; returns what was written.

    vectors_ND: of the task's rows, in their order. embedding: the file that they are from, its provenance beside it.
    """
    made = origin(embedding)
    kind = getattr(task, "kind", CLASSES)  # a task that says none is of classes
    x_y = {side: (vectors_ND[rows], task.y_N[rows]) for side, rows in task.rows.items()}
    classes = [] if kind == REGRESSION else list(task.classes)
    _names(classes, path)
    head = fit(kind, classes, x_y[splits.TRAIN], x_y[splits.VALIDATION], grid)
    notes = [*task.notes, "penalty and temperature were chosen on the same validation rows"]
    if kind == CLASSES and (head.logits(x_y[splits.VALIDATION][0]).argmax(1) == x_y[splits.VALIDATION][1]).all():
        notes.append("no validation row is told wrongly, so these say nothing about the temperature: 1")
    ids = task.labels["id"].to_numpy(dtype=object)[task.rows[splits.TRAIN]]
    about = {
        "format": FORMAT,
        "task": name,
        "kind": kind,
        "classes": classes,
        "temperature": head.temperature,
        **head.about,
        **made,
        "bases": _bases(embedding, ids),
        "rows": {side: len(rows) for side, rows in task.rows.items()},
        "test": measure(head, *x_y[splits.TEST], task.units, task.weights_RU),
        "notes": notes,
        "versions": files.versions(),
    }
    return write(path, dataclasses.replace(head, about=about))


def _bases(embedding: Path, ids: np.ndarray) -> dict[str, int] | None:
    """Median, shortest and longest length of the rows that were learnt from; None where the table does not say."""
    rows = read_table(embedding).rows
    rows = rows[rows["id"].astype(str).isin(ids)]
    if {"start", "end"} <= set(rows):
        length_N = rows["end"].astype(int).to_numpy() - rows["start"].astype(int).to_numpy()
    elif "length" in rows:
        length_N = rows["length"].astype(int).to_numpy()
    else:
        return None
    return {"median": int(np.median(length_N)), "shortest": int(length_N.min()), "longest": int(length_N.max())}


# ---- the file


def paths(path: str | Path) -> tuple[Path, Path]:
    """HEAD.safetensors and HEAD.json of a name with or without one of these endings."""
    stem = re.sub(r"\.(safetensors|json)$", "", str(path))
    return Path(f"{stem}.safetensors"), Path(f"{stem}.json")


def write(path: str | Path, head: Head) -> Head:
    """Write both files; returns the head with the checksum in what it says about itself."""
    from safetensors.numpy import save as packed

    weights, about = paths(path)
    with files.atomic(weights) as stream:
        stream.write(packed({"weight": np.ascontiguousarray(head.weight_DK), "bias": head.bias_K.copy()}))
    head = dataclasses.replace(head, about={**head.about, "sha256": files.sha256(weights)})
    files.write_json(about, head.about)
    return head


def load(path: str | Path) -> Head:
    """Read a head.

    Raises InputError where a file is missing, damaged, of another format, or the two do not belong together.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpacked

    weights, described = paths(path)
    about = files.read_json(described)
    if not isinstance(about, dict) or "format" not in about:
        raise InputError(f"{described}: is no description of a head; make one with genossl probe --save-head")
    if about["format"] != FORMAT:
        raise InputError(f"{described}: format {about['format']!r}; this genossl reads format {FORMAT}")
    kind, classes, hot = about.get("kind"), about.get("classes"), about.get("temperature")
    if kind not in KINDS or not isinstance(classes, list) or not all(isinstance(c, str) for c in classes):
        raise InputError(f"{described}: expected a kind ({', '.join(KINDS)}) and a list of classes")
    _names(classes, described)
    encoder, bases = about.get("encoder"), about.get("bases")
    if not isinstance(encoder, dict) or not isinstance(encoder.get("spec"), str) or "both_strands" not in about:
        raise InputError(f"{described}: does not say which encoder, pool and both_strands it was trained with")
    if bases is not None and not (isinstance(bases, dict) and isinstance(bases.get("median"), int)):
        raise InputError(f"{described}: bases {bases!r}; expected the median, shortest and longest length of a row")
    if kind == REGRESSION and not isinstance(about.get("deviation"), (int, float)):
        raise InputError(f"{described}: does not say the deviation of its residuals")
    if not isinstance(hot, (int, float)) or not 0 < hot < np.inf:
        raise InputError(f"{described}: temperature {hot!r}; expected a number above 0")
    if not weights.is_file():
        raise InputError(f"{weights}: no such file; a head is this and {described.name}")
    if files.sha256(weights) != about.get("sha256"):
        raise InputError(
            f"{weights}: is not what {described.name} describes, its checksum differs; save the head again"
        )
    try:
        found = unpacked(weights.read_bytes())
        weight_DK, bias_K = (found[name].astype(np.float64) for name in ("weight", "bias"))
    except (SafetensorError, KeyError, ValueError, json.JSONDecodeError) as error:
        raise InputError(f"{weights}: is no head ({error})") from None
    k = len(classes) if kind != REGRESSION else 1
    if weight_DK.ndim != 2 or weight_DK.shape[1] != k or bias_K.shape != (k,):
        raise InputError(
            f"{weights}: weights {weight_DK.shape} and bias {bias_K.shape}, expected {k} columns, one for each of the "
            f"classes in {described.name} ({', '.join(classes[:5])})"
        )
    if not (np.isfinite(weight_DK).all() and np.isfinite(bias_K).all()):
        raise InputError(f"{weights}: holds values that are not finite")
    return Head(kind, classes, weight_DK, bias_K, float(hot), about)


def _names(classes: list[str], where: Path) -> None:
    """Classes become columns: they differ, and none breaks a line."""
    if broken := [c for c in classes if BREAKS.search(c)]:
        raise InputError(
            f"{where}: class {broken[0]!r} has a tab, line end or other control character in it; rename it"
        )
    if len(set(classes)) != len(classes):
        raise InputError(f"{where}: a class is listed twice")
