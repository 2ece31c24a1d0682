"""Token store and method to an encoder: the only training loop.

Step s of a run is a function of (seed, s) and of the weights: windows, views and dropout draw from generators made
for that step. So a run that was killed and started again ends with the same weights, bit for bit on the CPU, and
several processes (torchrun --nproc-per-node 4 --no-python genossl pretrain ...) take the steps that one would take.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.profiler import record_function

from genossl import files, lock, methods
from genossl.errors import DiskError, Diverged, InputError, Stopped
from genossl.genome.store import TokenStore
from genossl.genome.windows import Sampler, Shuffled, generator
from genossl.model import checkpoint
from genossl.model.collapse import (
    Watch,
    alignment,
    composition_retrieval,
    effective_rank,
    rank_me,
    spread,
    uniformity,
)
from genossl.model.encoder import Encoder, encoder_device
from genossl.model.journal import Journal
from genossl.model.memory import lowering
from genossl.model.precision import Product, autocast, chosen
from genossl.model.profiling import profiled
from genossl.model.ranks import ALONE, Ranks, started
from genossl.model.tracking import Run, require, tracking
from genossl.pretext.method import Loss, Method, Views
from genossl.recipe import Loop, Recipe, resolve

log = logging.getLogger("genossl")
TRAINING, VALIDATION, STATISTICS, DROPOUT = range(4)  # streams of randomness
FREE = ("log_every", "checkpoint_every")  # settings that change nothing in the result
RANK_EVERY = 10  # steps between singular values, for which a GPU is waited for
BORNE = 3  # saves in a row that may fail before training stops


@dataclasses.dataclass(frozen=True)
class Jobs:
    """How to run, without any influence on what comes out."""

    device: str = "auto"  # auto: cuda, else mps, else cpu
    threads: int = 0  # CPU threads; 0: as torch finds
    time_limit: float = 0.0  # minutes after which to save, stop and exit 75; 0: none
    profile: bool = False  # write profile.tsv: where the time of some steps goes
    track: tuple[str, ...] = ()  # also show the curves in tensorboard (RUN/tensorboard), mlflow, wandb


def run(store_folder: Path, out: Path, mapping: dict[str, Any], jobs: Jobs = Jobs()) -> list[str]:
    """Train, or go on training, into the folder `out`; returns the warnings.

    Raises InputError for bad settings or data, Stopped when a signal or the time limit ended it early (everything is
    saved), Diverged when the loss is not finite, DiskError when states cannot be saved.
    """
    recipe = resolve(mapping)
    settings, shape = recipe.pretrain, recipe.encoder
    if (Path(out) / "store.json").exists():
        raise InputError(f"{out}: is a token store; expected a folder of its own for the run")
    require(jobs.track)
    store = TokenStore.open(store_folder)
    ranks = started()
    device = _device(jobs, ranks)
    rows = store.select(set(settings.train_splits))
    if not len(rows):
        found = sorted(set(store.genomes["split"]))
        wanted = ", ".join(split or "none given" for split in settings.train_splits)
        raise InputError(
            f"{store_folder}: no genome to learn from; expected a split of {wanted}, found {', '.join(found)}"
        )

    identity = {
        "method": recipe.name,
        "pretrain": dataclasses.asdict(settings),
        "encoder": dataclasses.asdict(shape),
        "method_settings": dataclasses.asdict(recipe.method),
        "store": store.checksum(),
        # on a CPU a run ends bit for bit as another one would: with as many threads and ranks, which sum in one order
        "device": device.type,
        "threads": torch.get_num_threads() if device.type == "cpu" else 0,
        "ranks": ranks.count if device.type == "cpu" else 0,
    }
    for name in FREE:
        identity["pretrain"].pop(name)
    about = _finished(Path(out), identity) if ranks.first else None
    if ranks.from_first(about is not None):
        if about is None:  # of a rank that is not the first
            return []
        log.info("%s: was finished before, nothing to do", out)
        files.discard(Path(out) / "state")
        files.sweep(Path(out), "state")
        return about["warnings"]
    torch.manual_seed(settings.seed)
    encoder = Encoder(shape)
    method = methods.load(recipe.name)(recipe.method, encoder)
    trainer = Trainer(settings, method, store, rows, device, ranks)
    settings = trainer.settings
    told = f"pretrain.batch ({settings.batch}), the length of its windows, or the encoder's sizes"
    with lowering(told, device):
        if not ranks.first:
            return _follow(trainer, jobs)
        states = Path(out) / "state"
        with files.disk(states):
            states.mkdir(parents=True, exist_ok=True)
        with lock.held(states / "lock") as check:
            store.verify()
            return _lead(trainer, recipe, store, Path(out), identity, jobs, check)


def _lead(
    trainer: Trainer, recipe: Recipe, store: TokenStore, out: Path, identity: dict[str, Any], jobs: Jobs,
    check: Callable[[], None],
) -> list[str]:  # fmt: skip
    """What the first rank does, which may be the only one: it takes every step and writes everything.

    check: raises InputError where this process no longer is the one that writes into `out`.
    """
    settings, method, ranks, device, states = (
        trainer.settings, trainer.method, trainer.ranks, trainer.device, out / "state",
    )  # fmt: skip
    checkpoint.refuse_hopeless(states, identity)
    saved = checkpoint.load_state(states, identity)
    if saved:
        trainer.load(saved)
        log.info("resuming at step %d of %d", trainer.step, settings.steps)
        if saved["ranks"] != ranks.count:
            log.info("%d ranks now, %d before: the same batches, other rounding", ranks.count, saved["ranks"])
    else:
        trainer.fit_statistics()
    ranks.from_first(trainer.state())
    log.info("products in %s on %s%s", trainer.precision, device, f", {ranks.count} ranks" if ranks.count > 1 else "")
    if audit := trainer.audit():
        log.info(
            "shortcuts: of %d candidates GC content alone finds %.3f of the partners, 4-mers alone %.3f",
            audit["candidates"], audit["gc"], audit["kmer4"],
        )  # fmt: skip
    journal = Journal(states, trainer.step)
    told_of = Run(out, states, trainer.step, settings.steps, _told(identity, trainer.precision))
    unsaved = 0

    def save(last: bool) -> None:
        """A state, or a warning: a disk that is full for an hour is no reason to stop, one that stays full is."""
        nonlocal unsaved
        check()
        try:
            journal.sync()
            checkpoint.save_state(states, trainer.step, trainer.state(), identity)
            unsaved = 0
        except DiskError as error:
            unsaved += 1
            told = f"step {trainer.step} was not saved, {error}"
            if last or unsaved == BORNE:
                raise DiskError(f"{told}; training stops, the states before are kept") from error
            log.warning("%s; training goes on (failure %d, it stops at %d in a row)", told, unsaved, BORNE)

    with (
        _Stop(jobs.time_limit) as stop,
        profiled(out / "profile.tsv" if jobs.profile else None, settings.steps - trainer.step, device) as after,
        files.progress(total=settings.steps, initial=trainer.step, desc="pretrain", unit="step") as bar,
        _noting(states, identity),
        tracking(jobs.track, told_of) as track,
    ):
        for entries, note, early in trainer.train(stop.asked):
            after()
            journal.write(entries)
            track(entries)
            if entries:
                last = entries[-1]
                top1 = "" if last["top1"] is None else f" top-1 {last['top1']:.3f}"
                told = f"loss {last['loss']:.3f}{top1} {trainer.rate():.0f} windows/s"
                bar.set_postfix_str(told)
                bar.update(trainer.step - bar.n)
            if note:
                log.warning(note)
            if trainer.step < settings.steps and (early or trainer.step % settings.checkpoint_every == 0):
                save(last=early)
            if trainer.step < settings.steps and early:
                ranks.from_first(None)  # the others have waited: torchrun ends all as soon as one ends early
                told = f"stopped at step {trainer.step} of {settings.steps}; run the same command to go on"
                raise KeyboardInterrupt(told) if stop.interrupted else Stopped(told)
    check()
    journal.finish(out)
    checkpoint.save_encoder(
        out,
        method.encoder,
        **({"heads_sha256": checkpoint.save_heads(out, method)} if method.keeps_heads else {}),
        audit=audit,
        flops=trainer.flops(),
        order0_bits=trainer.order0_bits(),
        method=identity["method"],
        method_settings=identity["method_settings"],
        pretrain=dataclasses.asdict(recipe.pretrain),
        seed=settings.seed,
        length=method.length,
        steps=settings.steps,
        bases_seen=trainer.bases,
        seconds=round(trainer.seconds, 1),
        device=device.type,
        precision=trainer.precision,
        ranks=ranks.count,
        threads=identity["threads"],
        store=store.checksum(),
        warnings=trainer.warnings,
    )
    told = _told(identity, trainer.precision)
    given = {"store": store.folder, "out": out, "device": device.type, "threads": identity["threads"]}
    files.write_provenance(
        out / "run", "pretrain", told, {"store": store.folder}, settings.seed, given, ranks=ranks.count
    )
    files.discard(states)  # the encoder says from now on whose folder this is
    return trainer.warnings


def _told(identity: dict[str, Any], precision: str) -> dict[str, Any]:
    """The settings as pretrain takes them; precision: what auto chose, since it might choose another elsewhere."""
    told = {"name": identity["method"], "pretrain": identity["pretrain"] | {"precision": precision}}
    return told | {"encoder": identity["encoder"], identity["method"]: identity["method_settings"]}


@contextlib.contextmanager
def _noting(states: Path, identity: dict[str, Any]) -> Iterator[None]:
    """Keep in mind at which step the numbers ran away, so that no workflow starts this again and again."""
    try:
        yield
    except Diverged as error:
        with contextlib.suppress(DiskError):
            checkpoint.note_failure(states, identity, error.step, str(error))
        raise


def _follow(trainer: Trainer, jobs: Jobs) -> list[str]:
    """What a rank does that is not the first: the same steps, and nothing is written."""
    files.quiet = True
    trainer.load(trainer.ranks.from_first(None))
    with _Stop(jobs.time_limit) as stop:
        for _, _, early in trainer.train(stop.asked):
            if early and trainer.step < trainer.settings.steps:
                trainer.ranks.from_first(None)  # once the state is saved
                raise Stopped(f"stopped at step {trainer.step}")
    return trainer.warnings


def _finished(out: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """encoder.json of a run that is whole in `out`, else None; InputError where the folder holds another run's."""
    if not (out / "encoder.json").is_file():
        return None
    about = checkpoint.describe(out)
    loop = {name: value for name, value in about.get("pretrain", {}).items() if name not in FREE}
    own = {name: about.get(name) for name in ("method", "method_settings", "store", "device", "threads")}
    own["ranks"] = about.get("ranks") if about.get("device") == "cpu" else 0
    checkpoint.same(identity, {**own, "pretrain": loop, "encoder": about["settings"]}, out / "encoder.json")
    weights, last = out / "encoder.safetensors", out / "run.provenance.json"
    whole = last.is_file() and weights.is_file() and files.sha256(weights) == about.get("sha256")
    return about if whole else None


class Trainer:
    """Everything that a step changes, and the step."""

    def __init__(
        self, settings: Loop, method: Method, store: TokenStore, rows: np.ndarray, device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        self.settings, self.method, self.device = settings, method.to(device), device
        self.ranks = self._ranks(ranks)
        self.sampler = self._sampler(store, rows)
        held_out = store.select(set(settings.validation_splits)) if settings.validate_every else rows[:0]
        self.validation = self._sampler(store, held_out) if len(held_out) else None
        if settings.bases:
            steps = max(1, round(settings.bases / method.bases(self._draw(self.sampler, STATISTICS))))
            self.settings = settings = dataclasses.replace(settings, steps=steps)
        self.optimiser = torch.optim.AdamW(
            method.parameters(),
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            eps=settings.epsilon,
            fused=device.type in ("cpu", "cuda"),
        )
        self.precision: Product = chosen(settings.precision, device)
        self.watch = Watch(settings.steps)
        self.warnings: list[str] = []
        self.step, self.bases, self.seconds = 0, 0, 0.0

    def _ranks(self, ranks: Ranks) -> Ranks:
        """How the ranks divide the batch; InputError where they cannot."""
        if self.settings.batch % ranks.count:
            raise InputError(
                f"pretrain.batch {self.settings.batch}: is no multiple of the {ranks.count} ranks that train together"
            )
        if ranks.count > 1 and self.method.together and self.settings.batch // ranks.count % self.method.together == 0:
            ranks = dataclasses.replace(ranks, windows=self.settings.batch)
        for module in self.method.modules():
            if isinstance(module, Encoder):
                module.join(ranks)
        return ranks

    def fit_statistics(self) -> None:
        views = self._views(self._draw(self.sampler, STATISTICS, 2048))
        tokens = [view.flatten(0, -2) for name, view in views.items() if name.endswith("_tokens")]
        self.method.encoder.fit_statistics(torch.cat(tokens))

    def rate(self) -> float:
        """Windows per second so far."""
        return self.step * self.settings.batch / max(self.seconds, 1e-9)

    def state(self) -> dict[str, Any]:
        return {
            "method": self.method.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "bases": self.bases,
            "seconds": self.seconds,
            "warnings": self.warnings,
            "watch": dataclasses.asdict(self.watch),
            "precision": self.precision,
            "ranks": self.ranks.count,
        }

    def load(self, saved: dict[str, Any]) -> None:
        self.method.load_state_dict(saved["method"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.bases, self.seconds = saved["step"], saved["bases"], saved["seconds"]
        self.warnings, self.watch = saved["warnings"], Watch(**saved["watch"])
        self.precision = saved["precision"]  # on another machine `auto` might choose another

    def train(self, asked: Callable[[], bool]) -> Iterator[tuple[list[dict[str, Any]], str | None, bool]]:
        """Run step after step; yield after each the log's new lines (empty between looks), a warning or None, and
        whether a stop was asked for: then all lines are out, so that the state to be saved has looked at them.
        """
        s = self.settings
        waiting: list[dict[str, Any]] = []
        self.method.train()
        started = time.perf_counter()
        for views, bases in self._coming():
            torch.manual_seed(int(generator(s.seed, self.step, DROPOUT).integers(2**62)))
            rate = s.lr * _rate(self.step, s)
            for parameters in self.optimiser.param_groups:
                parameters["lr"] = rate
            with record_function("forward"), autocast(self.precision, self.device):
                loss = self.method.loss(views)
                total = torch.stack(list(loss.terms.values())).sum()
            self.optimiser.zero_grad(set_to_none=True)
            with record_function("backward"):
                total.backward()
            with record_function("optimiser"):
                self.ranks.average(p.grad for p in self.method.parameters() if p.grad is not None)
                if s.clip:
                    torch.nn.utils.clip_grad_norm_(self.method.parameters(), s.clip)
                self.optimiser.step()
            self.step += 1
            self.bases += bases
            self.method.after_step(self.step / s.steps)
            with record_function("log"):
                waiting.append(_line(self.step, "train", loss, rate, self.bases))
                if self.step % RANK_EVERY == 0 or self.step == s.steps:
                    waiting[-1]["rankme"] = rank_me(loss.vectors)
            self.seconds += time.perf_counter() - started
            waiting[-1]["seconds"] = self.seconds
            end = self.step == s.steps
            validate = self.validation is not None and (end or self.step % s.validate_every == 0)
            # reading a number waits for the GPU, so only every log_every steps, before a state is saved and at the end
            due = end or validate or self.step % s.log_every == 0 or self.step % s.checkpoint_every == 0
            # the ranks must agree on a stop, and meet for it only there
            early = self.ranks.any(asked()) if due or self.ranks.count == 1 else False
            if not (due or early):
                yield [], None, False
                started = time.perf_counter()
                continue
            looked = time.perf_counter()
            lines, note = self._look(waiting)
            waiting = []
            self.seconds += time.perf_counter() - looked  # on a GPU the steps are waited for here
            lines[-1]["seconds"] = self.seconds
            if validate and self.ranks.first:
                lines.append(self._validate(rate))
            yield lines, note, early
            started = time.perf_counter()

    def _coming(self) -> Iterator[tuple[Views, int]]:
        """This rank's views of step after step, on the device, and the bases that all ranks read in it.

        Where the device is no CPU a thread draws the next while it works on one.
        """
        steps = range(self.step, self.settings.steps)
        if self.device.type == "cpu":
            yield from map(self._drawn, steps)
            return
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self._drawn, steps[0]) if steps else None
            for step in steps:
                assert coming
                views, bases = coming.result()
                coming = pool.submit(self._drawn, step + 1)
                yield self._views(views), bases

    def _drawn(self, step: int) -> tuple[Views, int]:
        """The views of a step, a function of (seed, step), in memory that a GPU reads from by itself."""
        with record_function("draw"):
            rng = generator(self.settings.seed, step, TRAINING)
            batch = self.sampler.draw(self.settings.batch, rng)
        with record_function("views"):
            views = self.method.views(batch, rng)
            bases = self.method.bases(views)
            if self.ranks.windows:
                views = self.method.part(views, self.ranks.part(self.settings.batch))
            if self.device.type == "cuda":
                views = {name: view.pin_memory() for name, view in views.items()}
            return views, bases

    def _look(self, waiting: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str | None]:
        numbers = [value for line in waiting for value in (*line.values(), *line["terms"].values())]
        self.ranks.average(value for value in numbers if isinstance(value, Tensor))
        lines = [_numbers(line) for line in waiting]
        note = None
        for line in lines:
            if not math.isfinite(line["loss"]):
                terms = ", ".join(f"{name} {value:g}" for name, value in line["terms"].items())
                raise Diverged(
                    f"the loss is not finite at step {line['step']} ({terms}); the last saved state is kept; "
                    "a lower pretrain.lr may help",
                    line["step"],
                )
            found = self.watch.look(line["step"], line["std"], line["top1"], line["candidates"])
            if found:
                self.warnings.append(found)
                note = found
        # the last update may have broken the weights after a loss that was finite
        if not torch.stack([weights.isfinite().all() for weights in self.method.parameters()]).all():
            raise Diverged(
                f"a weight is not finite after step {self.step}; the last saved state is kept; "
                "a lower pretrain.lr may help",
                self.step,
            )
        return lines, note

    @torch.no_grad()
    def _validate(self, rate: float) -> dict[str, Any]:
        """The pretext on held-out genomes: the same windows each time."""
        assert self.validation is not None
        self.method.eval()
        views = self._draw(self.validation, VALIDATION)
        with autocast(self.precision, self.device):
            loss = self.method.loss(self._views(views))
        self.method.train()
        line = _line(self.step, "validation", loss, rate, self.bases)
        line |= {"seconds": self.seconds, "rankme": rank_me(loss.vectors)}
        return _numbers(line)

    def audit(self) -> dict[str, float]:
        """How often GC content alone, and 4-mers alone, find the partner: what a pretext must beat to be no shortcut.

        On held-out windows where there are any; empty for methods without partners.
        """
        partners = self.method.partners(self._draw(self.validation or self.sampler, VALIDATION))
        return composition_retrieval(*partners) if partners else {}

    def flops(self) -> int:
        """Floating-point operations of all steps, forward and backward, as torch counts them on one step."""
        from torch.utils.flop_counter import FlopCounterMode

        views = self._views(self._draw(self.sampler, STATISTICS))
        self.method.eval()  # so that no running statistic moves
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about hardware that is not there
            # fused recurrences are not counted, so they are taken apart
            with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
                torch.stack(list(self.method.loss(views).terms.values())).sum().backward()
        self.method.train()
        self.method.zero_grad(set_to_none=True)
        return counter.get_total_flops() * self.settings.steps

    def order0_bits(self) -> float | None:
        """Entropy of one base in the null control, where no method can know more; None in other runs."""
        if not isinstance(self.sampler, Shuffled):
            return None
        share = self.sampler.share[self.sampler.share > 0]
        return float(-(share * np.log2(share)).sum())

    def _sampler(self, store: TokenStore, rows: np.ndarray) -> Sampler:
        sampler = self.method.sampler(store, rows)
        return Shuffled(sampler, store, rows) if self.settings.shuffled else sampler

    def _draw(self, sampler: Sampler, stream: int, n: int = 0) -> Views:
        """The views of a batch that is the same each time."""
        rng = generator(self.settings.seed, 0, stream)
        return self.method.views(sampler.draw(n or self.settings.batch, rng), rng)

    def _views(self, views: Views) -> Views:
        return {name: view.to(self.device, non_blocking=True) for name, view in views.items()}


def _line(step: int, split: str, loss: Loss, rate: float, bases: int) -> dict[str, Any]:
    """A log line whose numbers are still on the device."""
    return {
        "step": step,
        "split": split,
        "loss": torch.stack(list(loss.terms.values())).sum().detach(),
        "terms": {name: term.detach() for name, term in loss.terms.items()},
        "bits": loss.metrics.get("bits"),
        "top1": loss.metrics.get("top1"),
        "candidates": loss.metrics.get("candidates"),
        "std": spread(loss.vectors),
        "rank": effective_rank(loss.vectors),
        "rankme": None,
        "alignment": None if loss.partners is None else alignment(loss.vectors, loss.partners),
        "uniformity": uniformity(loss.vectors),
        "lr": rate,
        "bases": bases,
    }


def _numbers(line: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value.item() if isinstance(value, Tensor) else value for name, value in line.items()}
    plain["terms"] = {name: value.item() for name, value in line["terms"].items()}
    return plain


def _rate(step: int, s: Loop) -> float:
    """The learning rate's factor at a step: warm-up, then the schedule down to a fiftieth."""
    progress = step / s.steps
    down = {"linear": 1 - progress, "cosine": 0.5 * (1 + math.cos(math.pi * progress)), "constant": 1.0}[s.schedule]
    return max(0.02, down) * min(1.0, (step + 1) / max(1, s.warmup * s.steps))


def _device(jobs: Jobs, ranks: Ranks) -> torch.device:
    """The device of this process; each rank of a machine has a GPU of its own."""
    if jobs.threads:
        torch.set_num_threads(jobs.threads)
    device = encoder_device(jobs.device)
    if ranks.count == 1 or device.type == "cpu":
        return device
    if device.type != "cuda" or device.index is not None:
        raise InputError(f"device {device}: expected cuda or cpu where several ranks train, each on its own")
    local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if local >= there:
        raise InputError(f"rank {local} of this machine has no GPU: it has {there}; start as many ranks as GPUs")
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


class _Stop:
    """SIGTERM, SIGUSR1, the first Ctrl-C and the time limit only raise a flag: the loop saves at a step's end."""

    def __init__(self, minutes: float) -> None:
        self.signalled = self.interrupted = False
        self.until = time.monotonic() + minutes * 60 if minutes else math.inf
        self.before: dict[int, Any] = {}

    def asked(self) -> bool:
        return self.signalled or time.monotonic() > self.until

    def __enter__(self) -> _Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                self.before[number] = signal.signal(number, self._signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _signal(self, number: int, frame: Any) -> None:
        if number == signal.SIGINT and self.signalled:
            raise KeyboardInterrupt
        self.signalled, self.interrupted = True, number == signal.SIGINT
