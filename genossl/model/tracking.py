"""A run's curves in other tools, while it trains: TensorBoard, MLflow, Weights & Biases.

Training does not know of them: they change nothing in what is learnt, and one that fails is left. Sent are the numbers
of the log, the settings of the run and the name of its folder; no paths, no names of genomes or hosts, no code.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from genossl import files
from genossl.errors import InputError

log = logging.getLogger("genossl")
PACKAGES = {"tensorboard": "genossl[track]", "mlflow": "mlflow", "wandb": "wandb"}
TRACKERS = tuple(PACKAGES)
AT_ONCE = 1000  # numbers that MLflow takes in one request

Lines = list[tuple[int, dict[str, float]]]  # step, numbers by name
Sink = Callable[[Lines], None]


class Run(NamedTuple):
    """What a tracker is told of a run."""

    folder: Path
    states: Path  # kept until the run is done: names that trackers gave it lie there
    step: int  # after which it goes on
    steps: int
    settings: dict[str, Any]


def require(names: tuple[str, ...]) -> None:
    """Raises InputError for a tracker that is unknown or not installed."""
    for name in names:
        if name not in PACKAGES:
            raise InputError(f"track: found {name!r}, expected {', '.join(PACKAGES)}")
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:  # wandb leaves a folder of its name where it worked
            raise InputError(f"track: {name} needs a package that is not installed; pip install '{PACKAGES[name]}'")


@contextlib.contextmanager
def tracking(names: tuple[str, ...], run: Run) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """Yields what takes new lines of the log; a tracker that fails is named once, and left."""
    opened: dict[str, tuple[Sink, Callable[[], None]]] = {}

    def attempt(name: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # whatever it is, training is worth more
            opened.pop(name, None)
            said = " ".join(str(error).split())[:200]
            log.warning("tracking by %s failed (%s: %s); training goes on without it", name, type(error).__name__, said)

    for name in dict.fromkeys(names):
        if found := attempt(name, lambda name=name: OPEN[name](run)):
            opened[name] = found

    def track(lines: list[dict[str, Any]]) -> None:
        if lines and opened:
            told = [(line["step"], numbers(line)) for line in lines]
            for name, (sink, _) in list(opened.items()):
                attempt(name, lambda sink=sink: sink(told))

    try:
        yield track
    finally:
        for name, (_, close) in list(opened.items()):
            attempt(name, close)


def numbers(line: dict[str, Any]) -> dict[str, float]:
    """What a line of the log says, by names such as train/loss and validation/terms/contrast."""
    plain = {name: value for name, value in line.items() if name != "step" and isinstance(value, int | float)}
    terms = {f"terms/{name}": value for name, value in line["terms"].items()}
    return {f"{line['split']}/{name}": float(value) for name, value in (plain | terms).items()}


def flat(settings: dict[str, Any]) -> dict[str, Any]:
    """{"pretrain": {"lr": 0.1}} as {"pretrain.lr": 0.1}"""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= {f"{name}.{key}": v for key, v in flat(value).items()} if isinstance(value, dict) else {name: value}
    return found


def _tensorboard(run: Run) -> tuple[Sink, Callable[[], None]]:
    from torch.utils.tensorboard import SummaryWriter

    # what a killed process had written after the saved step is not shown
    writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=run.step + 1)

    def sink(lines: Lines) -> None:
        for step, values in lines:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

    return sink, writer.close


def _mlflow(run: Run) -> tuple[Sink, Callable[[], None]]:
    from mlflow.entities import Metric, Param  # type: ignore[import-not-found]
    from mlflow.tracking import MlflowClient  # type: ignore[import-not-found]

    client = MlflowClient()  # where the environment's MLFLOW_TRACKING_URI says
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "genossl")
    if (key := _given_name(run, "mlflow")) is None:
        experiment = client.get_experiment_by_name(name)
        place = experiment.experiment_id if experiment else client.create_experiment(name)
        key = client.create_run(place, run_name=run.folder.name).info.run_id
        client.log_batch(key, params=[Param(k, str(v)) for k, v in flat(run.settings).items()][:100])
        _keep_name(run, "mlflow", key)
    sent = max((metric.step for metric in client.get_metric_history(key, "train/loss")), default=0)
    last = run.step

    def sink(lines: Lines) -> None:
        nonlocal last
        last, now = lines[-1][0], int(time.time() * 1000)
        values = [Metric(k, float(v), now, step) for step, line in lines if step > sent for k, v in line.items()]
        for i in range(0, len(values), AT_ONCE):
            client.log_batch(key, metrics=values[i : i + AT_ONCE])

    def close() -> None:
        client.set_terminated(key, "FINISHED" if last == run.steps else "KILLED")

    return sink, close


def _wandb(run: Run) -> tuple[Sink, Callable[[], None]]:
    import wandb  # type: ignore[import-not-found]

    quiet = wandb.Settings(
        silent=True, console="off", disable_code=True, disable_git=True, disable_job_creation=True, x_disable_meta=True,
        x_disable_stats=True, x_disable_machine_info=True, x_save_requirements=False, host="-", login_timeout=30,
        init_timeout=60, finish_timeout=60,
    )  # fmt: skip
    made = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "genossl"), name=run.folder.name, dir=str(run.folder),
        config=flat(run.settings), id=_given_name(run, "wandb"), resume="allow", settings=quiet,
    )  # fmt: skip
    _keep_name(run, "wandb", made.id)
    sent = made.step  # the next step that it takes

    def sink(lines: Lines) -> None:
        for step, values in lines:
            if step >= sent:
                made.log(values, step=step)

    return sink, made.finish


OPEN: dict[str, Callable[[Run], tuple[Sink, Callable[[], None]]]] = {
    "tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb,
}  # fmt: skip


def _given_name(run: Run, tracker: str) -> str | None:
    """What the tracker called this run before it was stopped."""
    path = run.states / "tracked.json"
    return files.read_json(path).get(tracker) if run.step and path.is_file() else None


def _keep_name(run: Run, tracker: str, name: str) -> None:
    path = run.states / "tracked.json"
    known = files.read_json(path) if path.is_file() else {}
    files.write_json(path, known | {tracker: name})
