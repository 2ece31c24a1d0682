"""Encoders that others load, and states that a stopped run resumes from.

An encoder is `encoder.safetensors` + `encoder.json`. A state is a folder `step-<9 digits>` that appears whole or not at
all; it is valid when its manifest's checksums hold, the newest valid one wins, and two are kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import logging
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from genossl import config, files
from genossl.errors import InputError
from genossl.model.encoder import Encoder, Settings

FORMAT = 2
KEPT = 2  # states
HOPELESS = 2  # failures at one step, after which no start is tried
log = logging.getLogger("genossl")
HasEncoder = TypeVar("HasEncoder", bound=nn.Module)


def save_encoder(folder: Path, encoder: Encoder, **about: Any) -> None:
    """Write encoder.safetensors and encoder.json (geometry, settings, checksum, and what `about` adds)."""
    weights = folder / "encoder.safetensors"
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    with files.atomic(weights) as stream:
        stream.write(save(tensors))
    description = {
        "format": FORMAT,
        "geometry": {
            "stride": encoder.stride,
            "width": encoder.width,
            "gap": encoder.gap,
            "channels": encoder.channels,
        },
        "settings": dataclasses.asdict(encoder.settings),
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "sha256": files.sha256(weights),
        "versions": files.versions(),
        **about,
    }
    files.write_json(folder / "encoder.json", files.sealed(description))


def encoder_folder(path: str | Path) -> Path:
    """The folder that holds an encoder, given itself or one of its files; InputError where there is none."""
    path = Path(path)
    folder = path.parent if path.is_file() else path
    if (folder / "state").is_dir() and not (folder / "encoder.json").is_file():
        raise InputError(f"{path}: pretraining has not finished; run the same genossl pretrain again")
    if not folder.exists():
        raise InputError(f"{path}: no such folder; an encoder is a run's folder, kmer:K, gc or untrained:RUN")
    if not (folder / "encoder.json").is_file():
        raise InputError(f"{path}: holds no encoder.json; expected a folder written by genossl pretrain")
    return folder


def describe(path: str | Path) -> dict[str, Any]:
    """encoder.json of an encoder; InputError where it is absent, damaged or of a newer format."""
    path = encoder_folder(path) / "encoder.json"
    about = files.read_json(path)
    if not isinstance(about, dict) or "settings" not in about:
        raise InputError(f"{path}: is no description of an encoder")
    if about.get("format") != FORMAT:
        raise InputError(f"{path}: format {about.get('format')}; this genossl reads format {FORMAT}")
    files.check_seal(path, about)
    return about


def load_encoder(path: str | Path, device: str = "cpu") -> Encoder:
    """The encoder of a run or model folder, in eval mode.

    Raises InputError for a missing, damaged (checksum) or newer file, or weights that do not fit the settings.
    """
    folder, about = encoder_folder(path), describe(path)
    weights = folder / "encoder.safetensors"
    if not weights.is_file():
        raise InputError(f"{weights}: no such file")
    if files.sha256(weights) != about.get("sha256"):
        raise InputError(f"{weights}: is damaged, its checksum differs from the one in encoder.json")
    encoder = Encoder(config.build(Settings, about["settings"], f"{folder / 'encoder.json'} settings"))
    encoder.length = int(about.get("length", 0))
    try:
        encoder.load_state_dict(load_file(weights))
    except (RuntimeError, SafetensorError) as error:
        raise InputError(f"{weights}: does not fit encoder.json ({str(error).splitlines()[-1].strip()})") from None
    if broken := [name for name, tensor in encoder.state_dict().items() if not tensor.isfinite().all()]:
        raise InputError(f"{weights}: found numbers that are not finite in {broken[0]}, expected none; pretrain again")
    return encoder.to(device).eval()


def save_heads(folder: Path, method: nn.Module) -> str:
    """Write what of a method is not its encoder to heads.safetensors; returns its checksum."""
    tensors = {n: t.detach().cpu().contiguous() for n, t in method.state_dict().items() if not n.startswith("encoder.")}
    with files.atomic(folder / "heads.safetensors") as stream:
        stream.write(save(tensors))
    return files.sha256(folder / "heads.safetensors")


def load_heads(path: str | Path, method: HasEncoder) -> HasEncoder:
    """Give a method whose encoder is loaded the heads of the same run; InputError where they are not whole."""
    weights, about = encoder_folder(path) / "heads.safetensors", describe(path)
    if not weights.is_file():
        raise InputError(f"{weights}: no such file; expected beside the encoder as genossl pretrain writes it")
    if files.sha256(weights) != about.get("heads_sha256"):
        raise InputError(f"{weights}: is damaged, its checksum differs from the one in encoder.json")
    try:
        method.load_state_dict(load_file(weights), strict=False)
    except (RuntimeError, SafetensorError) as error:
        raise InputError(f"{weights}: does not fit encoder.json ({str(error).splitlines()[-1].strip()})") from None
    return method


def untrained(path: str | Path, device: str = "cpu", seed: int | None = None) -> Encoder:
    """The encoder of a run as it was before the first step: same initialisation, same standardisation.

    With a seed its weights are drawn anew; the standardisation stays that of the run's genomes.
    """
    trained, about = load_encoder(path, device), describe(path)
    torch.manual_seed(about.get("seed", 0) if seed is None else seed)
    encoder = Encoder(trained.settings)
    encoder.length = trained.length
    buffers = dict(trained.named_buffers())
    for name, buffer in encoder.named_buffers():
        buffer.copy_(buffers[name])
    return encoder.to(device).eval()


def save_state(folder: Path, step: int, state: dict[str, Any], identity: dict[str, Any]) -> None:
    """Write `folder/step-<step>` atomically and drop all but the newest two. DiskError: it was not saved."""
    buffer = io.BytesIO()  # torch's own writing to a full disk raises what cannot be told from a bug
    torch.save(state, buffer)
    raw = buffer.getbuffer()
    manifest = {"step": step, "identity": identity, "sha256": hashlib.sha256(raw).hexdigest()}
    path = folder / f"step-{step:09d}"
    with files.disk(path), files.new_folder(path) as new:
        (new / "state.pt").write_bytes(raw)
        (new / "manifest.json").write_text(json.dumps(files.sealed(manifest), indent=1))
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        files.discard(old)


def load_state(folder: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The newest valid state, or None where a run has none yet.

    A damaged newest is skipped with a warning. Raises InputError when all are damaged, and for a state of other
    settings, naming the first that differs with both values.
    """
    files.sweep(folder, "")
    states = sorted(folder.glob("step-*"), reverse=True)
    for i, path in enumerate(states):
        try:
            manifest = json.loads((path / "manifest.json").read_text())
            files.check_seal(path / "manifest.json", manifest)
            saved, raw = manifest["identity"], (path / "state.pt").read_bytes()
            if hashlib.sha256(raw).hexdigest() != manifest["sha256"]:
                raise ValueError("checksum differs")
        except (OSError, ValueError, KeyError, AttributeError, InputError) as error:
            log.warning("%s is damaged (%s); trying the one before", path, error)
            continue
        same(identity, saved, path)
        for old in states[max(i + 1, KEPT) :]:  # a writer that was killed between saving and dropping left one more
            files.discard(old)
        try:
            return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
        except Exception as error:  # of many kinds: another torch's format, or what would have to run code
            raise InputError(f"{path / 'state.pt'}: cannot be read by torch {torch.__version__} ({error})") from None
    if states:
        raise InputError(f"{folder}: all {len(states)} saved states are damaged; delete the folder to start anew")
    return None


def note_failure(folder: Path, identity: dict[str, Any], step: int, told: str) -> None:
    """Remember that this run failed at a step, and how often it did so there."""
    times = 1 + (_failures(folder, identity, step) or 0)
    files.write_json(folder / "failed.json", {"identity": identity, "step": step, "times": times, "told": told})


def refuse_hopeless(folder: Path, identity: dict[str, Any]) -> None:
    """Raises InputError for a run that failed twice at the same step: what starts it again would do so for ever."""
    if (times := _failures(folder, identity) or 0) >= HOPELESS:
        failed = files.read_json(folder / "failed.json")
        raise InputError(
            f"{folder}: {times} starts failed at the same step, so this one is not tried ({failed['told']}); "
            "change the settings and use another --out, or delete this folder to start anew"
        )


def _failures(folder: Path, identity: dict[str, Any], step: int | None = None) -> int | None:
    """How often a run of these settings failed at the step it failed at last, where it is this one if one is given."""
    with contextlib.suppress(InputError, KeyError, TypeError):
        failed = files.read_json(folder / "failed.json")
        if failed["identity"] == json.loads(json.dumps(identity)) and step in (None, failed["step"]):
            return failed["times"]
    return None


def same(wanted: dict[str, Any], saved: dict[str, Any], path: Path) -> None:
    """Raises InputError that names the first setting in which two runs differ, with both values."""
    wanted = json.loads(json.dumps(wanted))
    for key in sorted(wanted.keys() | saved.keys()):
        now, then = wanted.get(key), saved.get(key)
        if isinstance(now, dict) and isinstance(then, dict):
            same(now, then, path)
        elif now != then and key == "store":
            raise InputError(f"{path}: the token store has changed since; use another --out, or delete the folder")
        elif now != then:
            raise InputError(
                f"{path}: was saved with {key} = {then!r}, this run has {now!r}; "
                "use the same settings, another --out, or delete the folder"
            )
