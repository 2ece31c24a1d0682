"""What a pretraining run is made of: the loop, the encoder and the method, from presets and a user's own settings."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from genossl import config, methods, shipped
from genossl.errors import InputError
from genossl.model import checkpoint
from genossl.model.encoder import Encoder
from genossl.model.encoder import Settings as EncoderSettings
from genossl.model.precision import Precision
from genossl.pretext.method import Method

PRESETS = shipped.PRESETS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loop:
    """The training loop: section `pretrain`."""

    steps: int = 500  # batches
    bases: int = 0  # bases that the encoder reads in all, in place of `steps`: what methods are compared at; 0: steps
    batch: int = 256  # B, windows (or pairs of windows) per step
    lr: float = 1e-3  # largest learning rate
    schedule: Literal["linear", "cosine", "constant"] = "linear"  # from the largest rate to a fiftieth of it
    warmup: float = 0.03  # share of the steps over which the rate rises from 0
    weight_decay: float = 0.01  # AdamW; 0 is Adam
    epsilon: float = 1e-8  # of Adam
    clip: float = 1.0  # largest norm of the gradient; 0: unlimited
    precision: Precision = "auto"  # fp32 or bf16 products; auto: bf16 on hardware that is faster in it
    seed: int = 0  # of initialisation, windows, views and dropout
    train_splits: tuple[str, ...] = ("train", "pretrain", "")  # genomes that are learnt from; "" has no split
    validation_splits: tuple[str, ...] = ("validation",)  # genomes on which the pretext is watched, never learnt from
    shuffled: bool = False  # null control: every base drawn anew by its frequency, so that there is nothing to learn
    validate_every: int = 100  # steps; 0: never
    log_every: int = 10  # steps between looks at the device; every step is logged all the same
    checkpoint_every: int = 200  # steps between saved states

    def __post_init__(self) -> None:
        for name in ("steps", "bases", "validate_every", "clip", "weight_decay", "lr", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        for name in ("batch", "log_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if not 0 <= self.warmup < 1:
            raise ValueError("warmup must be at least 0 and less than 1")
        if "test" in self.train_splits or "test" in self.validation_splits:
            raise ValueError("test genomes never enter pretraining")
        if shared := set(self.train_splits) & set(self.validation_splits):
            raise ValueError(f"split {sorted(shared)[0]!r} is both learnt from and validated on")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """How the methods that `methods` lists are compared: section `compare`."""

    bases: int = 50_000_000  # bases that the encoder reads in every run: the axis on which methods are equal
    seeds: int = 5  # runs of each method, seeds 0, 1, ...; fewer than 3 rank nothing
    presets: str | tuple[str, ...] | None = None  # encoders to run on, by preset; none: the one that a method names
    shuffled: bool = False  # adds per method a null control: seed 0 on shuffled DNA, where there is nothing to learn
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)  # method: {pretrain: {...}, <method>: {...}}

    def __post_init__(self) -> None:
        if min(self.bases, self.seeds) < 1:
            raise ValueError("bases and seeds must be at least 1")


class Compared(NamedTuple):
    """A comparison written out."""

    runs: dict[str, dict[str, Any]]  # name -> what `resolve` takes
    untrained: dict[str, str]  # name of an untrained baseline -> the run whose first weights it takes
    left_out: list[str]  # a sentence for each method that a preset's encoder cannot serve


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run becomes, checked."""

    name: str  # of the method
    pretrain: Loop
    encoder: EncoderSettings
    method: Any  # the method's own Settings


def load_method(path: str | Path, device: str = "cpu") -> Method:
    """The method of a run with the encoder and the heads that it has learnt, in eval mode.

    Raises InputError for what is no run, is damaged, or is of a method whose heads end with pretraining.
    """
    encoder, about = checkpoint.load_encoder(path), checkpoint.describe(path)
    kind = methods.load(about["method"])
    if not kind.keeps_heads:
        raise InputError(f"{path}: is of {about['method']}, whose heads serve pretraining only")
    settings = config.build(kind.Settings, about["method_settings"], f"{path} method_settings")
    return checkpoint.load_heads(path, kind(settings, encoder)).to(device).eval()


def presets() -> list[str]:
    """Names of the shipped presets, sorted."""
    return shipped.presets(PRESETS)


def preset(name: str) -> dict[str, Any]:
    """A shipped preset, or a YAML file of the same sections. Raises InputError."""
    path = PRESETS / f"{name}.yaml"
    if path.is_file() and "/" not in name:
        return config.read_yaml(path)
    if Path(name).suffix not in (".yaml", ".yml", ".json"):
        raise InputError(f"preset {name!r} is unknown; expected {', '.join(presets())} or a .yaml file")
    return config.read_yaml(name)


def resolve(mapping: dict[str, Any]) -> Recipe:
    """A recipe from the sections pretrain, encoder and the method's, laid over the preset that `preset` names.

    `name` chooses the method (default self_genomenet); its section carries its name or is called `method`. Where no
    preset is named the method says which serves it.
    Raises InputError with all mistakes at once.
    """
    mapping = dict(mapping)
    asked = mapping.pop("preset", None)
    if asked is None:
        asked = methods.load(str(mapping.get("name") or "self_genomenet")).preset
    base = str(asked)
    sections = preset(base)
    if "preset" in sections:
        raise InputError(f"{base}: names a preset itself; expected the sections pretrain, encoder and the method's")
    name = mapping.get("name") or sections.get("name", "self_genomenet")
    kind = methods.load(str(name))
    # a preset's settings of another method say nothing about this one
    sections = {key: value for key, value in sections.items() if key == name or key not in methods.available()}
    mapping = config.merge(sections, mapping)
    mapping.pop("name", None)
    known = ("preset", "name", "pretrain", "encoder", "method", name)
    unknown = [str(key) for key in mapping if key not in known]
    wrong = [f"{', '.join(unknown)}: unknown in a recipe; known: {', '.join(known)}"] if unknown else []
    own: dict[str, Any] = {}
    for section in (name, "method"):
        value = mapping.get(section)
        if value is None or isinstance(value, dict):
            own = config.merge(own, value or {})
        else:
            wrong.append(f"{section}: expected key: value pairs, found {value!r}")
    wrong += config.mistakes(Loop, mapping.get("pretrain"), "pretrain")
    wrong += config.mistakes(EncoderSettings, mapping.get("encoder"), "encoder")
    wrong += config.mistakes(kind.Settings, own, name)
    if wrong:
        raise InputError("; ".join(wrong))
    recipe = Recipe(
        name,
        config.build(Loop, mapping.get("pretrain"), "pretrain"),
        config.build(EncoderSettings, mapping.get("encoder"), "encoder"),
        config.build(kind.Settings, own, name),
    )
    group = getattr(recipe.method, "group", 0)
    if group and recipe.pretrain.batch % group:
        raise InputError(f"{name}.group {group}: is no divisor of pretrain.batch {recipe.pretrain.batch}")
    return recipe


def place_of(key: str, name: str | None = None) -> str | None:
    """The section.key that is most like a key whose section was left out, of any of a run's; `name`: of the method."""
    kinds = {"pretrain": Loop, "encoder": EncoderSettings, "method": methods.load(name or "self_genomenet").Settings}
    known = {field.name: section for section, kind in kinds.items() for field in dataclasses.fields(kind)}
    close = difflib.get_close_matches(key, known, 1)
    return f"{known[close[0]]}.{close[0]}" if close else None


def serves(recipe: Recipe) -> str | None:
    """None where the encoder serves the method, else the sentence with which the method refuses it."""
    with torch.random.fork_rng(devices=[]):
        try:
            methods.load(recipe.name)(recipe.method, Encoder(recipe.encoder))
        except InputError as error:
            return str(error)
    return None


def compared(names: Any, mapping: Any) -> Compared:
    """The runs of `methods: [...]` under `compare:`, one per method, preset and seed, such as simclr.conv.seed0.

    Where no presets are named, each method has its own and the run is called simclr.seed0. Raises InputError with all
    mistakes at once.
    """
    wrong = config.mistakes(Comparison, mapping, "compare")
    names = names or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError("; ".join([*wrong, f"methods: expected a list of names, found {names!r}"]))
    wrong += [f"methods: {message}" for name in dict.fromkeys(names) if (message := _unknown(name))]
    wrong += [f"methods: {name} is listed more than once" for name in dict.fromkeys(names) if names.count(name) > 1]
    if wrong:
        raise InputError("; ".join(wrong))
    c = config.build(Comparison, mapping, "compare")
    wanted = [c.presets] if isinstance(c.presets, str) else list(c.presets or [])
    stems = [Path(base).stem if Path(base).suffix else base for base in wanted]
    wrong += [
        f"compare.presets: {stem} is named more than once" for stem in dict.fromkeys(stems) if stems.count(stem) > 1
    ]
    for name, own in c.settings.items():
        if name not in names:
            wrong.append(f"compare.settings.{name}: is not among methods ({', '.join(names) or 'none'})")
        elif not isinstance(own or {}, dict):
            wrong.append(f"compare.settings.{name}: expected settings, found {own!r}")
        else:
            wrong += [f"compare.settings.{name}.{path}: {why}" for path, why in _unequal(own or {})]
    if wrong:
        raise InputError("; ".join(wrong))
    found = Compared({}, {}, [])
    for base, stem in zip(wanted, stems, strict=True) if wanted else [(None, None)]:
        for name in names:
            kind = base or methods.load(name).preset
            own = c.settings.get(name) or {}
            start = {**own, "name": name, "preset": kind}
            equal = {**(own.get("pretrain") or {}), "bases": c.bases}
            try:
                refusal = serves(resolve({**start, "pretrain": equal}))
            except InputError as error:
                wrong.append(f"compare: {name} on {kind}: {error}")
                continue
            if refusal:
                found.left_out.append(f"{name} on {kind}: {refusal.removeprefix(f'{name}: ')}")
                continue
            run = f"{name}.{stem}" if stem else name
            for seed in range(c.seeds):
                found.runs[f"{run}.seed{seed}"] = {**start, "pretrain": {**equal, "seed": seed}}
            if c.shuffled:
                found.runs[f"{run}.null"] = {**start, "pretrain": {**equal, "seed": 0, "shuffled": True}}
            found.untrained.setdefault(f"untrained.{stem or Path(kind).stem}", f"{run}.seed0")
    if names and not (found.runs or wrong):
        wrong.append(f"methods: nothing can be run: {'; '.join(found.left_out)}")
    if wrong:
        raise InputError("; ".join(dict.fromkeys(wrong)))
    return found


def _unknown(name: str) -> str | None:
    try:
        methods.load(name)
    except InputError as error:
        return str(error)
    return None


def _unequal(own: dict[str, Any]) -> list[tuple[str, str]]:
    """Settings of one method that would make its comparison with the others unequal, and why."""
    reasons = {
        "preset": "is for all methods alike: compare.presets",
        "encoder": "is the preset's, so that methods differ in nothing else",
        "name": "is the method's",
    }
    found = [(key, reasons[key]) for key in own if key in reasons]
    loop = own.get("pretrain")
    equal = {
        "bases": "compare.bases",
        "steps": "compare.bases",
        "seed": "compare.seeds",
        "shuffled": "compare.shuffled",
    }
    return found + [
        (f"pretrain.{k}", f"is set by {equal[k]}") for k in (loop if isinstance(loop, dict) else ()) if k in equal
    ]
