"""Curves in other tools: the numbers of the log, each once, whatever becomes of the run and of the tool."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY

from genossl import config, methods
from genossl.cli import cli
from genossl.errors import InputError, Stopped
from genossl.model import tracking
from genossl.verbs import check, pretrain

SGN = methods.load("self_genomenet")
RECIPE = config.merge(TINY, {"pretrain": {"steps": 12, "checkpoint_every": 4, "log_every": 2, "validate_every": 6}})


def train(store: Path, out: Path, *track: str) -> None:
    pretrain.run(store, out, RECIPE, pretrain.Jobs(device="cpu", track=track))


def logged(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What the run's own log says, by names such as train/loss."""
    found: dict[str, list[tuple[int, float]]] = {}
    for text in (run / "log.jsonl").read_text().splitlines():
        line = json.loads(text)
        terms = {f"terms/{name}": value for name, value in line.pop("terms").items()}
        for name, value in (line | terms).items():
            if name not in ("step", "split") and value is not None:
                found.setdefault(f"{line['split']}/{name}", []).append((line["step"], value))
    return found


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch):
    """Train until a step, after which the process is gone: the loop is left as by a kill, or it saves and stops."""

    def run(store: Path, out: Path, step: int, *track: str, saves: bool) -> None:
        def after_step(self, progress: float) -> None:
            if round(progress * 12) == step:
                if not saves:
                    raise OSError("gone")
                os.kill(os.getpid(), signal.SIGTERM)

        with monkeypatch.context() as patch:
            patch.setattr(SGN, "after_step", after_step)
            with pytest.raises(Stopped if saves else OSError):
                train(store, out, *track)

    return run


def without_seconds(told: dict[str, Any]) -> dict[str, Any]:
    return {name: values for name, values in told.items() if not name.endswith("/seconds")}


def weights(run: Path) -> bytes:
    return (run / "encoder.safetensors").read_bytes()


# ---- TensorBoard, read back


def events(run: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    read.Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def assert_equal_but_for_rounding(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """TensorBoard keeps seven digits."""
    assert found.keys() == expected.keys()
    for name, points in expected.items():
        assert [step for step, _ in found[name]] == [step for step, _ in points], name
        assert [value for _, value in found[name]] == pytest.approx([value for _, value in points], rel=1e-6), name


@pytest.mark.parametrize("stops", [[], [(7, False)], [(7, True)], [(3, False), (9, False), (11, True)]])
def test_tensorboard_shows_the_log_each_step_once(tiny_store: Path, tmp_path: Path, stopped, stops) -> None:
    """Also where a killed process had shown steps that its states had not."""
    pytest.importorskip("tensorboard")
    train(tiny_store, tmp_path / "plain")
    for step, saves in stops:
        stopped(tiny_store, tmp_path / "run", step, "tensorboard", saves=saves)
    train(tiny_store, tmp_path / "run", "tensorboard")
    assert_equal_but_for_rounding(events(tmp_path / "run"), logged(tmp_path / "run"))
    assert without_seconds(logged(tmp_path / "run")) == without_seconds(logged(tmp_path / "plain"))
    assert weights(tmp_path / "run") == weights(tmp_path / "plain")


def test_another_tracker_refuses_no_resume_and_no_finished_run(tiny_store: Path, tmp_path: Path, stopped) -> None:
    pytest.importorskip("tensorboard")
    stopped(tiny_store, tmp_path / "run", 5, saves=True)
    train(tiny_store, tmp_path / "run", "tensorboard")
    assert [step for step, _ in events(tmp_path / "run")["train/loss"]] == list(range(6, 13))
    train(tiny_store, tmp_path / "run")
    about = json.loads((tmp_path / "run" / "run.provenance.json").read_text())
    assert "tensorboard" not in json.dumps(about)


# ---- what is called of MLflow and W&B


class FakeMlflow:
    """MLflow's client, as far as it is used; everything it is told is in `told`."""

    def __init__(self) -> None:
        self.told: dict[str, list[tuple[int, float]]] = {}
        self.params: dict[str, str] = {}
        self.runs: list[str] = []
        self.ended: list[str] = []
        self.module = types.ModuleType("mlflow")
        self.module.__spec__ = types.SimpleNamespace(origin="here")  # type: ignore[assignment]
        entities, names = types.ModuleType("mlflow.entities"), types.ModuleType("mlflow.tracking")
        entities.Metric = lambda key, value, timestamp, step: types.SimpleNamespace(key=key, value=value, step=step)
        entities.Param = lambda key, value: (key, value)
        names.MlflowClient = lambda: self
        self.modules = {"mlflow": self.module, "mlflow.entities": entities, "mlflow.tracking": names}

    def get_experiment_by_name(self, name: str) -> None:
        assert name == "genossl"

    def create_experiment(self, name: str) -> str:
        return "0"

    def create_run(self, experiment: str, run_name: str) -> Any:
        self.runs.append(run_name)
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=f"id{len(self.runs)}"))

    def get_metric_history(self, key: str, name: str) -> list[Any]:
        return [types.SimpleNamespace(step=step) for step, _ in self.told.get(name, [])]

    def log_batch(self, key: str, metrics: Any = (), params: Any = ()) -> None:
        assert key == "id1"
        assert len(metrics) <= 1000
        self.params |= dict(params)
        for metric in metrics:
            self.told.setdefault(metric.key, []).append((metric.step, metric.value))

    def set_terminated(self, key: str, status: str) -> None:
        self.ended.append(status)


class FakeWandb:
    """wandb, as far as it is used: steps never go back, and numbers of one step are one."""

    def __init__(self) -> None:
        self.told: dict[str, list[tuple[int, float]]] = {}
        self.calls: list[dict[str, Any]] = []
        self.ended = 0
        self.module = types.ModuleType("wandb")
        self.module.__spec__ = types.SimpleNamespace(origin="here")  # type: ignore[assignment]
        self.module.Settings = lambda **settings: settings
        self.module.init = self.init
        self.modules = {"wandb": self.module}
        self.id, self.step = "chosen", 0

    def init(self, **given: Any) -> FakeWandb:
        self.calls.append(given)
        return self

    def log(self, values: dict[str, float], step: int) -> None:
        assert step >= self.step
        self.step = step
        for name, value in values.items():
            self.told.setdefault(name, []).append((step, value))

    def finish(self) -> None:
        self.ended += 1
        self.step += 1


def installed(fake: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, module in fake.modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return fake


def test_mlflow_is_told_each_step_once_under_one_name(tiny_store: Path, tmp_path: Path, stopped, monkeypatch) -> None:
    fake = installed(FakeMlflow(), monkeypatch)
    stopped(tiny_store, tmp_path / "run", 7, "mlflow", saves=False)
    stopped(tiny_store, tmp_path / "run", 10, "mlflow", saves=True)
    train(tiny_store, tmp_path / "run", "mlflow")
    assert without_seconds(fake.told) == without_seconds(logged(tmp_path / "run"))
    assert (fake.runs, fake.ended) == (["run"], ["KILLED", "KILLED", "FINISHED"])
    assert fake.params["pretrain.steps"] == "12"
    assert fake.params["self_genomenet.length"] == "100"
    assert str(tmp_path) not in json.dumps(fake.params)


def test_wandb_is_told_each_step_once_under_one_name(tiny_store: Path, tmp_path: Path, stopped, monkeypatch) -> None:
    fake = installed(FakeWandb(), monkeypatch)
    stopped(tiny_store, tmp_path / "run", 7, "wandb", saves=False)
    stopped(tiny_store, tmp_path / "run", 10, "wandb", saves=True)
    train(tiny_store, tmp_path / "run", "wandb")
    assert without_seconds(fake.told) == without_seconds(logged(tmp_path / "run"))
    assert [call["id"] for call in fake.calls] == [None, "chosen", "chosen"]
    assert fake.ended == 3
    quiet = fake.calls[0]["settings"]
    for name in ("disable_code", "disable_git", "x_disable_meta", "x_disable_stats", "x_disable_machine_info"):
        assert quiet[name] is True
    assert fake.calls[0]["config"]["pretrain.steps"] == 12
    assert str(tmp_path) not in json.dumps(fake.calls[0]["config"])


@pytest.mark.parametrize("when", ["opening", "telling", "closing"])
def test_a_tracker_that_fails_is_named_once_and_training_goes_on(
    tiny_store: Path, tmp_path: Path, monkeypatch, caplog, when: str
) -> None:
    asked = []

    def fail(*_: object) -> None:
        asked.append(when)
        raise ConnectionError("no route\nto host")

    def opened(run: tracking.Run) -> Any:
        if when == "opening":
            fail()
        return (fail if when == "telling" else lambda lines: None), (fail if when != "opening" else lambda: None)

    monkeypatch.setitem(tracking.OPEN, "tensorboard", opened)
    train(tiny_store, tmp_path / "run", "tensorboard")
    train(tiny_store, tmp_path / "plain")
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    said = "tracking by tensorboard failed (ConnectionError: no route to host); training goes on without it"
    assert (told, len(asked)) == ([said], 1)
    assert weights(tmp_path / "run") == weights(tmp_path / "plain")


# ---- what is asked for


def test_a_tracker_that_is_not_installed_is_one_sentence(tiny_store: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"track: tensorboard needs .* pip install 'genossl\[track\]'"):
        train(tiny_store, tmp_path / "run", "tensorboard")
    with pytest.raises(InputError, match=r"track: found 'comet', expected tensorboard, mlflow, wandb"):
        train(tiny_store, tmp_path / "run", "comet")
    assert not (tmp_path / "run").exists()
    assert config.mistakes(check.Jobs, {"track": ["comet"]}, "jobs") == [
        "jobs: track 'comet': expected tensorboard, mlflow, wandb"
    ]
    assert config.mistakes(check.Jobs, {"track": ["tensorboard", "wandb"]}, "jobs") == []


def test_the_command_line_names_all(repository: Path) -> None:
    (option,) = [option for option in cli.commands["pretrain"].params if option.name == "track"]
    assert tuple(option.type.choices) == tracking.TRACKERS  # type: ignore[attr-defined]
    assert all(f"`{name}`" in (repository / "docs" / "tracking.md").read_text() for name in tracking.TRACKERS)


def test_a_folder_of_the_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wandb").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    if "wandb" not in sys.modules and tracking.importlib.util.find_spec("wandb").origin is None:  # type: ignore[union-attr]
        with pytest.raises(InputError, match="wandb needs a package"):
            tracking.require(("wandb",))


def test_the_command_line(tiny_store: Path, tmp_path: Path, call) -> None:
    pytest.importorskip("tensorboard")
    given = ["--settings", json.dumps(RECIPE), "--device", "cpu"]
    assert call("--quiet", "pretrain", tiny_store, "--out", tmp_path / "run", *given, "--track", "tensorboard")[0] == 0
    assert_equal_but_for_rounding(events(tmp_path / "run"), logged(tmp_path / "run"))
    assert call("pretrain", tiny_store, "--out", tmp_path / "run", *given, "--track", "comet")[0] == 2


# ---- the real ones, where they are installed


def test_the_real_mlflow(tiny_store: Path, tmp_path: Path, stopped, monkeypatch: pytest.MonkeyPatch) -> None:
    client = pytest.importorskip("mlflow.tracking").MlflowClient
    monkeypatch.setenv("MLFLOW_TRACKING_URI", os.environ.get("GENOSSL_MLFLOW", f"file:{tmp_path}/mlruns"))
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    stopped(tiny_store, tmp_path / "run", 7, "mlflow", saves=False)
    train(tiny_store, tmp_path / "run", "mlflow")
    (run,) = client().search_runs([client().get_experiment_by_name("genossl").experiment_id])
    assert (run.info.status, run.info.run_name, run.data.params["pretrain.steps"]) == ("FINISHED", "run", "12")
    for name, points in without_seconds(logged(tmp_path / "run")).items():
        assert [(m.step, m.value) for m in client().get_metric_history(run.info.run_id, name)] == points


def test_the_real_wandb_offline(tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    pytest.importorskip("wandb").setup  # noqa: B018  the package, not a folder of its name
    monkeypatch.setenv("WANDB_MODE", "offline")
    train(tiny_store, tmp_path / "run", "wandb")
    assert not [record for record in caplog.records if "failed" in record.message]
    (file,) = (tmp_path / "run" / "wandb").rglob("*.wandb")
    content = file.read_bytes()
    assert b"train/loss" in content
    assert not list((tmp_path / "run" / "wandb").rglob("requirements.txt"))
    for secret in (os.uname().nodename, str(Path.cwd()), str(tmp_path), sys.argv[0]):
        assert not re.search(rb"(?<!\w)%b(?!\w)" % re.escape(secret.encode()), content)
