"""What networks that were trained end to end said of a task's test rows, for the same label draws as the probe's."""

# D label draws, M test rows, K classes

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from genossl.errors import InputError
from genossl.evaluation import splits
from genossl.evaluation.tasks import REGRESSION, Task

ARRAYS = ("ids", "classes", "shots", "draw", "scores")


def read(path: Path, task: Task) -> dict[str, list[np.ndarray]]:
    """Shots -> scores (M, K) of draws 0, 1, ..., rows and classes in the task's order.

    The file (.npz) has `ids` (M), `classes` (K), and for each of n predictions `shots` (n), `draw` (n) and `scores`
    (n, M, K). It may lack shots, and at each the last draws. Raises InputError where it is not about this task.
    """
    arrays = _arrays(path)
    ids, classes, shots = (arrays[name].astype(str) for name in ("ids", "classes", "shots"))
    draw, said_nMK = arrays["draw"], arrays["scores"]
    if said_nMK.shape != (len(shots), len(ids), len(classes)) or draw.shape != shots.shape:
        raise InputError(
            f"{path}: scores of shape {said_nMK.shape} for {len(shots)} shots, {len(ids)} ids, {len(classes)} classes"
        )
    if not np.isfinite(said_nMK).all():
        raise InputError(f"{path}: holds scores that are not finite")
    if task.kind == REGRESSION:
        if len(classes) != 1:
            raise InputError(f"{path}: scores {len(classes)} classes; expected one number per row of a regression")
    elif sorted(classes) != sorted(task.classes):
        raise InputError(f"{path}: classes {', '.join(classes)}; expected those of the task, {', '.join(task.classes)}")
    else:
        said_nMK = said_nMK[:, :, [classes.tolist().index(name) for name in task.classes]]
    said_nMK = said_nMK[:, _order(path, ids, task)]
    return {
        name: _draws(path, name, draw[shots == name], said_nMK[shots == name], task)
        for name in dict.fromkeys(shots.tolist())
    }


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in ARRAYS if name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, TypeError) as error:
        raise InputError(f"{path}: is no file of predictions ({error})") from None
    if missing := [name for name in ARRAYS if name not in found]:
        raise InputError(f"{path}: no array {', '.join(missing)}; expected {', '.join(ARRAYS)}")
    if strange := [name for name, kind in (("draw", "iu"), ("scores", "fiu")) if found[name].dtype.kind not in kind]:
        raise InputError(f"{path}: {strange[0]} is {found[strange[0]].dtype}; expected numbers")
    return found


def _order(path: Path, ids: np.ndarray, task: Task) -> np.ndarray:
    """Where in the file each test row of the task is."""
    at = {name: i for i, name in enumerate(ids)}
    wanted = task.labels["id"].to_numpy(dtype=object)[task.rows[splits.TEST]]
    missing = [name for name in wanted if name not in at]
    if missing or len(at) != len(ids) or len(ids) != len(wanted):
        raise InputError(
            f"{path}: {len(ids)} ids, of which {len(set(at) & set(wanted))} are among the {len(wanted)} test rows "
            f"of the task ({', '.join(missing[:5]) or 'none'} missing); expected the same rows, each once"
        )
    return np.array([at[name] for name in wanted])


def _draws(path: Path, shots: str, draw: np.ndarray, said: np.ndarray, task: Task) -> list[np.ndarray]:
    if shots not in task.draws:
        raise InputError(f"{path}: shots {shots!r}; expected some of {', '.join(task.draws)}, as the task is drawn")
    order = np.argsort(draw)
    if draw[order].tolist() != list(range(len(draw))) or len(draw) > len(task.draws[shots]):
        told = ", ".join(map(str, sorted(draw.tolist())))
        raise InputError(
            f"{path}: shots {shots} has the draws {told}; expected 0, 1, ... up to {len(task.draws[shots]) - 1} at most"
        )
    return [said[i].astype(np.float64) for i in order]
