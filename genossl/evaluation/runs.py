"""Pretraining runs as they lie on disk, and what their logs say: health of the vectors, shortcuts, null controls.

What an older log or encoder.json lacks is None.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from genossl.evaluation import ranking

HEALTH = ("std", "rank", "rankme", "alignment", "uniformity", "bits")
BASES = 4  # candidates of a method that says bases
LEVEL = 0.99  # of the null control's interval: one is made for every method, and a false alarm would cost a search


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A pretraining run; log is None where it wrote none (no steps)."""

    name: str
    record: dict[str, Any]
    log: pd.DataFrame | None
    seeds: int = 0  # of how many runs this is the mean; 0: a run of its own

    @property
    def null(self) -> bool:
        """Whether it learnt from shuffled DNA."""
        return self.name.endswith(".null") or bool((self.record.get("pretrain") or {}).get("shuffled"))


def own(runs: Sequence[Run]) -> list[Run]:
    """Runs that are no part of the comparison of methods."""
    return [run for run in runs if not ranking.is_compared(run.name)]


def groups(runs: Sequence[Run]) -> list[Run]:
    """One run per compared method and preset, the mean over its seeds; null controls are left out."""
    found: dict[str, dict[int, Run]] = {}
    for run in runs:
        group, seed = ranking.group_of(run.name) or ("", None)
        if seed is not None:
            found.setdefault(group, {})[seed] = run
    return [_mean(group, [seeds[seed] for seed in sorted(seeds)]) for group, seeds in sorted(found.items())]


def nulls(runs: Sequence[Run]) -> list[Run]:
    """The null controls of compared methods."""
    return sorted((run for run in runs if ranking.is_compared(run.name) and run.null), key=lambda run: run.name)


def _mean(group: str, runs: list[Run]) -> Run:
    record = dict(runs[0].record)
    for key in ("seconds", "flops"):
        record[key] = _average([run.record.get(key) for run in runs])
    audits = [run.record.get("audit") or {} for run in runs]
    record["audit"] = {
        key: mean
        for key in ("gc", "kmer4", "candidates")
        if (mean := _average([a.get(key) for a in audits])) is not None
    }
    said: dict[str, list[str]] = {}
    for run in runs:
        for warning in run.record.get("warnings") or []:
            said.setdefault(str(warning), []).append(run.name.rpartition(".seed")[2])
    record["warnings"] = [f"seed {', '.join(seeds)}: {warning}" for warning, seeds in said.items()]
    logs = [run.log for run in runs if run.log is not None]
    log = pd.concat(logs).groupby(["step", "split"], as_index=False).mean(numeric_only=True) if logs else None
    return Run(name=group, record=record, log=log, seeds=len(runs))


def _average(values: Sequence[Any]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else None


def last(log: pd.DataFrame | None, column: str) -> tuple[float | None, bool]:
    """The last value of a column, on held-out windows where there is one, and whether it is of these."""
    if log is None or column not in log:
        return None, False
    known = log[log[column].notna()]
    held_out = known[known["split"] == "validation"]
    rows = held_out if len(held_out) else known
    return (float(rows[column].iloc[-1]), bool(len(held_out))) if len(rows) else (None, False)


def summary(run: Run) -> dict[str, Any]:
    """What a run was and cost, and the end of its log."""
    record, log = run.record, run.log
    row: dict[str, Any] = {"key": run.name, "method": str(record.get("method", "")) or "–", "seeds": run.seeds}
    row["warnings"] = [str(warning) for warning in record.get("warnings") or []]
    row |= {name: record.get(name) for name in ("parameters", "steps", "flops")}
    row |= {"bases": record.get("bases_seen"), "front": front(record), "encoder": record.get("settings")}
    row["top1"], row["held_out"] = last(log, "top1")
    candidates = last(log, "candidates")[0]
    row["chance"] = 1 / candidates if candidates and row["top1"] is not None else None
    row["seconds"] = None
    if log is not None:
        if "seconds" in log and log["seconds"].notna().any():
            row["seconds"] = float(log["seconds"].max())
        row["bases"] = row["bases"] if row["bases"] is not None else log["bases"].max()
        row["steps"] = row["steps"] if row["steps"] is not None else int(log["step"].max())
    row["seconds"] = record.get("seconds") if row["seconds"] is None else row["seconds"]
    row |= {name: last(log, name)[0] for name in HEALTH}
    row["on"] = "held out" if any(last(log, name)[1] for name in HEALTH) else "training"
    audit = record.get("audit") or {}
    row |= {"gc": audit.get("gc"), "kmer4": audit.get("kmer4")}
    row["audit_chance"] = 1 / audit["candidates"] if audit.get("candidates") else None
    return row


def front(record: dict[str, Any]) -> tuple[str, str]:
    """The encoder in a few words: ("5-mers", "100 bases every 100, gru"); empty where it is not known."""
    s = record.get("settings") or {}
    if not {"front", "width", "stride"} <= set(s):
        return "", ""
    rnn = str(s.get("rnn", ""))
    rnn = {"none": "no recurrence", "conv": "convolutions"}.get(rnn, rnn)
    what = f"{s.get('k')}-mers" if s["front"] == "kmer" else "convolution"
    return what, f"{s['width']} {'base' if s['width'] == 1 else 'bases'} every {s['stride']}, {rnn}"


def shortcut(row: dict[str, Any], name: str) -> str | None:
    """A sentence where composition alone finds the partner as often as the pretext does; `row` of `summary`."""
    if row["top1"] is None or row["kmer4"] is None or row["top1"] > row["kmer4"]:
        return None
    where = "held-out windows" if row["held_out"] else "training windows"
    among = f" among {1 / row['chance']:.0f}" if row["chance"] else ""
    theirs = f" among {1 / row['audit_chance']:.0f}" if row["audit_chance"] else ""
    return (
        f"{name}: on {where} the pretext finds {row['top1']:.3f} of the partners{among}, not more than counting 4-mers "
        f"alone finds ({row['kmer4']:.3f}{theirs}): nothing shows that it learnt more than composition."
    )


def null_control(run: Run) -> dict[str, Any]:
    """Whether a run on shuffled DNA learnt what cannot be there.

    Every training step draws its windows and their bases anew, so each is a test on windows never seen before. The
    second half of the steps gives a t interval of top-1 minus chance, or of bits per base minus the entropy of one base
    for language models, which is what they cannot beat.
    """
    row: dict[str, Any] = {
        "key": run.name,
        "method": str(run.record.get("method", "")) or run.name,
        "outcome": "unknown",
    }
    row |= {"measure": "–", "chance": None, "found": None, "low": None, "high": None, "held_out": None, "steps": 0}
    floor, log = run.record.get("order0_bits"), run.log
    if log is None:
        return row | {"words": "no log"}
    steps = log[log["split"] == "train"].sort_values("step")
    steps = steps.iloc[len(steps) // 2 :]
    asked = steps[steps["top1"].notna() & (steps["candidates"] > BASES)]
    if len(asked):
        chances = 1 / asked["candidates"]
        differences, chance, measure = asked["top1"] - chances, float(chances.mean()), "top-1"
    elif floor is not None and "bits" in log and steps["bits"].notna().any():
        differences, chance, measure = steps["bits"].dropna() - float(floor), float(floor), "bits per base"
    else:
        return row | {"words": "no chance level: see its score"}
    found = ranking.t_interval(differences.to_numpy(float), LEVEL)
    column = "bits" if measure == "bits per base" else "top1"
    validation = log[log["split"] == "validation"]
    row |= {"measure": measure, "chance": chance, "found": chance + found.mean, "steps": found.n}
    row["held_out"] = last(validation, column)[0]
    if math.isnan(found.low):
        return row | {"words": "too few steps to tell"}
    row |= {"low": chance + found.low, "high": chance + found.high}
    # fewer bits than the entropy, or more hits than chance: something is left to learn from
    leak = found.high < 0 if column == "bits" else found.low > 0
    above = column == "bits" and found.low > 0
    level = "at its floor, the entropy of one base" if column == "bits" else "at chance"
    words = {True: "NOT at chance: a leak", False: level}[bool(leak)]
    if above:
        words = "above its floor, the entropy of one base: it has learnt nothing that is not there"
    return row | {"outcome": "leak" if leak else "chance", "words": words}


def flops(count: float | None) -> str:
    """1.2e15 -> "1.2 PFLOP"."""
    if count is None or not np.isfinite(count):
        return "–"
    for unit in ("", "k", "M", "G", "T", "P", "E"):
        if count < 999.5 or unit == "E":
            break
        count /= 1000
    return f"{count:.3g} {unit}FLOP"
