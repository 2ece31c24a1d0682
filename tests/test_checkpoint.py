"""Encoders and states: they come back whole, or the user hears what is wrong with them."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY

from genossl import files
from genossl.errors import InputError
from genossl.model import checkpoint
from genossl.model.encoder import Encoder, Settings
from genossl.verbs import pretrain

SMALL = dict(k=2, width=8, stride=8, hidden=4, channels=4, context=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    encoder = Encoder(Settings(**SMALL))
    encoder.fit_statistics(torch.randint(0, 4, (8, 40), dtype=torch.uint8))
    checkpoint.save_encoder(tmp_path, encoder, seed=1, note="kept")
    return tmp_path


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())


def edit(path: Path, **change: object) -> None:
    """As somebody would who knows of the seal."""
    about = json.loads(path.read_text()) | change
    about.pop("seal")
    path.write_text(json.dumps(files.sealed(about)))


@pytest.mark.parametrize(
    "settings",
    [SMALL, SMALL | {"rnn": "lstm"}, SMALL | {"rnn": "none"}, dict(front="conv", channels=4, rnn="lstm", context=4)],
)
def test_an_encoder_comes_back(tmp_path: Path, settings: dict) -> None:
    encoder = Encoder(Settings(**settings))
    checkpoint.save_encoder(tmp_path, encoder)
    for path in (tmp_path, tmp_path / "encoder.safetensors", str(tmp_path / "encoder.json")):
        back = checkpoint.load_encoder(path)
        assert back.settings == encoder.settings
        assert equal(encoder, back)
        assert not back.training


def test_the_description(folder: Path) -> None:
    about = checkpoint.describe(folder)
    assert about["geometry"] == {"stride": 8, "width": 8, "gap": 0, "channels": 4}
    assert about["parameters"] == sum(p.numel() for p in checkpoint.load_encoder(folder).parameters())
    assert about["note"] == "kept"
    assert "torch" in about["versions"]


def test_untrained_is_the_encoder_at_step_0(tiny_store: Path, tiny_run: Path, tmp_path: Path) -> None:
    loop = TINY["pretrain"] | {"steps": 0}
    pretrain.run(tiny_store, tmp_path / "start", TINY | {"pretrain": loop}, pretrain.Jobs(device="cpu"))
    start, first = checkpoint.load_encoder(tmp_path / "start"), checkpoint.untrained(tiny_run)
    assert equal(start, first)
    assert not equal(start, checkpoint.load_encoder(tiny_run))
    assert not first.training
    tokens = torch.randint(0, 4, (2, 100), dtype=torch.uint8)
    assert torch.equal(start(tokens).c, first(tokens).c)


def test_a_damaged_encoder_is_refused(folder: Path) -> None:
    weights = folder / "encoder.safetensors"
    whole = weights.read_bytes()
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    for wrong in (bytes(flipped), whole[:-1], b""):
        weights.write_bytes(wrong)
        with pytest.raises(InputError, match=r"encoder\.safetensors: is damaged, its checksum differs"):
            checkpoint.load_encoder(folder)
    weights.unlink()
    with pytest.raises(InputError, match=r"encoder\.safetensors: no such file"):
        checkpoint.load_encoder(folder)


def test_a_description_that_does_not_fit_is_refused(folder: Path) -> None:
    path = folder / "encoder.json"
    good = path.read_text()
    for change, message in (
        ({"format": 1}, "encoder.json: format 1; this genossl reads format 2"),
        ({"settings": SMALL | {"context": 5}}, "does not fit encoder.json"),
        ({"settings": SMALL | {"colour": 5}}, "encoder.json settings.colour: unknown key"),
        ({"settings": SMALL | {"k": 99}}, "encoder.json settings: k must be from 1 to 8"),
    ):
        edit(path, **change)
        with pytest.raises(InputError, match=message):
            checkpoint.load_encoder(folder)
        path.write_text(good)
    for text, message in (("{}", "is no description of an encoder"), ("[1]", "is no desc"), ("{", "damaged, not JSON")):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            checkpoint.load_encoder(folder)


def test_a_path_that_is_not_there_is_not_its_neighbour(folder: Path) -> None:
    for path in (folder / "typo", folder / "a" / "b"):
        with pytest.raises(InputError, match=r"no such folder; an encoder is a run"):
            checkpoint.load_encoder(path)


def save(folder: Path, *steps: int, **identity: object) -> None:
    for step in steps:
        checkpoint.save_state(folder, step, {"step": step, "w": torch.full((3,), float(step))}, identity)


def test_the_newest_state_wins_and_two_are_kept(tmp_path: Path) -> None:
    assert checkpoint.load_state(tmp_path, {}) is None
    save(tmp_path, 9, 10, 200, 1000, seed=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000200", "step-000001000"]
    state = checkpoint.load_state(tmp_path, {"seed": 1})
    assert state is not None
    assert state["step"] == 1000
    assert state["w"].tolist() == [1000] * 3


def test_no_more_are_kept_after_kills_but_never_fewer_than_can_be_read(tmp_path: Path) -> None:
    save(tmp_path, 1, 2, seed=1)
    shutil.copytree(tmp_path / "step-000000002", tmp_path / "step-000000003")
    damage(tmp_path / "step-000000003", "cut")
    shutil.copytree(tmp_path / "step-000000003", tmp_path / "step-000000004")
    state = checkpoint.load_state(tmp_path, {"seed": 1})
    assert state is not None
    assert state["step"] == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000002", "step-000000003", "step-000000004"]


def damage(state: Path, how: str) -> None:
    file, manifest = state / "state.pt", state / "manifest.json"
    if how == "flipped":
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        file.write_bytes(raw)
    elif how == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif how == "gone":
        file.unlink()
    else:
        manifest.write_text({"no manifest": "", "no json": "{", "a list": "[1]", "no keys": "{}"}[how])


@pytest.mark.parametrize("how", ["flipped", "cut", "gone", "no manifest", "no json", "a list", "no keys"])
def test_a_damaged_newest_falls_back(tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, 1, 2, seed=1)
    damage(tmp_path / "step-000000002", how)
    with caplog.at_level(logging.WARNING, "genossl"):
        state = checkpoint.load_state(tmp_path, {"seed": 1})
    assert state is not None
    assert state["step"] == 1
    assert "step-000000002 is damaged" in caplog.text
    assert "trying the one before" in caplog.text
    damage(tmp_path / "step-000000001", how)
    with pytest.raises(InputError, match="all 2 saved states are damaged; delete the folder to start anew"):
        checkpoint.load_state(tmp_path, {"seed": 1})


def test_a_state_without_an_identity_is_damaged(tmp_path: Path) -> None:
    save(tmp_path, 1)
    path = tmp_path / "step-000000001" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["identity"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="all 1 saved states are damaged"):
        checkpoint.load_state(tmp_path, {})


def test_other_settings_are_named_with_both_values(tmp_path: Path) -> None:
    save(tmp_path, 1, pretrain={"lr": 0.1, "splits": ("train", "")}, store="abc")
    same = {"pretrain": {"lr": 0.1, "splits": ("train", "")}, "store": "abc"}
    assert checkpoint.load_state(tmp_path, same)
    with pytest.raises(InputError, match=r"saved with lr = 0\.1, this run has 0\.2"):
        checkpoint.load_state(tmp_path, same | {"pretrain": {"lr": 0.2, "splits": ("train", "")}})
    with pytest.raises(InputError, match="the token store has changed since"):
        checkpoint.load_state(tmp_path, same | {"store": "abd"})
    with pytest.raises(InputError, match="saved with more = None, this run has 1"):
        checkpoint.load_state(tmp_path, same | {"more": 1})


def test_a_state_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    save(tmp_path, 1)
    folder = tmp_path / "step-000000001"
    torch.save({"step": np.random.default_rng(0)}, folder / "state.pt")
    edit(folder / "manifest.json", sha256=files.sha256(folder / "state.pt"))
    with pytest.raises(InputError, match=r"state\.pt: cannot be read by torch .*[Ww]eights"):
        checkpoint.load_state(tmp_path, {})


def test_nothing_is_ever_unpickled(repository: Path) -> None:
    for path in (repository / "genossl").rglob("*.py"):
        text = path.read_text()
        for word in ("weights_only=False", "pickle.load", "import pickle", "allow_pickle=True", "joblib.load"):
            assert word not in text, f"{path}: {word}"
        assert text.count("torch.load(") == text.count("weights_only=True"), path


def test_a_run_can_be_moved(tiny_run: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(tiny_run, tmp_path / "elsewhere")
    assert equal(checkpoint.load_encoder(tiny_run), checkpoint.load_encoder(moved))
