"""Task + encoders -> does the answer depend on the strand that was given? A table of flip rates and correlations.

The probe's reads and label draws teach a logistic regression; the same test reads are then given twice, as they are and
as their reverse complements. An encoder reads one strand here, also where the task's scores average two: what averages
cannot depend on the strand. k-mer profiles are those that the task is scored with, so canonical ones give 0 and 1.
Only the reads that are drawn are embedded, a few hundred, so that no embedding is made twice.
"""

# T drawn training rows, M test rows, D dimensions, K classes, R replicates

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from genossl import files
from genossl.errors import InputError, naming
from genossl.evaluation import heads, scores, splits, strands, tasks
from genossl.evaluation.results import over_draws
from genossl.genome import inputs
from genossl.genome.alphabet import reverse_complement
from genossl.genome.labels import files_of, of_task, read_labels
from genossl.model.embedders import UNTRAINED, open_encoder
from genossl.model.embedding import Pool

COLUMNS = ("task", "embedding", "strands", "flip_rate", "low", "high", "correlation", "vector_correlation", "n")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(tasks.Settings):
    """Section `strands`: the probe's rows, fewer of them."""

    shots: tuple[int, ...] = (10,)  # labels per class that the answers are learnt from; the first that there are
    test_cap: int = 200  # test rows per class at most, 0 for all
    penalty: float = 0.1  # C of the logistic regression
    pool: Pool = "last"  # as of the embeddings

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.penalty <= 0:
            raise ValueError("penalty must be above 0")
        if self.kind != "classes":
            raise ValueError(f"kind {self.kind}: flip rates are those of classes")


class Found(NamedTuple):
    """One line of the table."""

    embedding: str
    strands: str  # given: one strand was read; both: k-mers of the two are counted as one
    flip_rate: float  # mean over draws
    low: float
    high: float
    correlation: float  # of class scores, mean over draws
    vector_correlation: float  # of the vectors themselves
    n: int


def run(
    encoders: list[str],
    labels: str | Path,
    out: str | Path,
    settings: Settings,
    sequences: str | Path | None = None,
    device: str = "auto",
    threads: int = 0,
) -> list[str]:
    """Write out (.tsv), a line per encoder; returns a sentence on each. Raises InputError.

    encoders: as `genossl embed` takes them. labels: a task's table; sequences: what its coordinates refer to.
    """
    out = Path(out)
    files.refuse_other_than_table(out, "strands")
    files.spare([out], [*files_of(labels), sequences])
    named = {name_of(spec): spec for spec in encoders}
    if len(named) < max(1, len(encoders)):
        raise InputError(f"expected encoders of different names, at least one; found {', '.join(encoders) or 'none'}")
    asked = of_task(labels)
    as_given, kind = asked.get("strand") == "as_given", asked.get("kind", "classes")
    if kind != "classes":
        raise InputError(f"{labels}: the task is of the kind {kind}; flip rates are those of classes")
    with naming(labels):
        task = tasks.prepare(read_labels(labels), settings)
    drawn = next(iter(task.draws.values()))
    train, test = np.unique(np.concatenate(drawn)), task.rows[splits.TEST]
    tokens = _tokens(labels, sequences, set(task.labels["id"].iloc[np.concatenate([train, test])]))
    ids = task.labels["id"].to_numpy(dtype=object)
    reads = [[tokens[name] for name in ids[rows]] for rows in (train, test)]
    found, used = [], {}
    for name, spec in files.progress(list(named.items()), desc="strands", unit="encoder"):
        is_kmer = spec == "gc" or re.fullmatch(r"kmer:?\d+", spec) is not None
        both = is_kmer and not as_given
        embedder, _, weights, _ = open_encoder(spec, settings.pool, both, device, threads)
        train_TD, given_MD = embedder(reads[0]), embedder(reads[1])
        reverse_MD = embedder([reverse_complement(read) for read in reads[1]])
        found.append(measure(name, both or spec == "gc", task, drawn, train, train_TD, given_MD, reverse_MD, settings))
        used |= {name: weights} if weights else {}
    about = labels if str(out) == "-" else out
    name = Path(about).name.removesuffix(".gz").removesuffix(".tsv").removesuffix(".strand")
    lines = [(name, *line) for line in found]
    files.write_tsv(out, pd.DataFrame(lines, columns=list(COLUMNS)))
    given = {"encoders": encoders, "labels": labels, "out": out, "sequences": sequences, "device": device}
    given["threads"] = threads
    files.write_provenance(out, "strands", settings, {"labels": Path(labels), **used}, settings.seed, given)
    return [sentence(line, as_given) for line in found]


def name_of(spec: str) -> str:
    """ours of runs/ours or runs/ours/encoder.safetensors, kmer4 of kmer:4, untrained of untrained:RUN."""
    if spec.startswith(UNTRAINED):
        return UNTRAINED.rstrip(":")
    path = Path(spec)
    return path.parent.name if path.suffix == ".safetensors" else path.name.replace(":", "")


def measure(
    name: str, both: bool, task: tasks.Task, drawn: list[np.ndarray], train: np.ndarray, train_TD: np.ndarray,
    given_MD: np.ndarray, reverse_MD: np.ndarray, settings: Settings,
) -> Found:  # fmt: skip
    """Learn from each draw, predict both readings of each test row; the interval resamples units and draws."""
    fit_TD, given, reverse = heads.standardise(train_TD, train_TD, given_MD, reverse_MD)
    rates, related, replicates = [], [], []
    for rows in drawn:
        at = np.searchsorted(train, rows)
        query = np.concatenate([given, reverse])
        (said_QK,) = heads.logistic(fit_TD[at], task.y_N[rows], query, len(task.classes), [settings.penalty])
        said, turned = said_QK[: len(given)], said_QK[len(given) :]
        flipped = strands.flips(said, turned)
        rates.append(flipped.mean())
        related.append(strands.correlation(said, turned))
        replicates.append(strands.flip_replicates(flipped, task.units.unit_N, task.weights_RU))
    low, high = scores.interval(over_draws(np.stack(replicates), settings.seed))
    vectors = strands.correlation(given_MD, reverse_MD)
    mean = float(np.mean(related))
    return Found(name, "both" if both else "given", float(np.mean(rates)), low, high, mean, vectors, len(given))


def sentence(line: Found, as_given: bool) -> str:
    """What the numbers say, for a task whose strand matters or does not."""
    flips = f"{line.flip_rate:.1%} of {line.n} predictions change ({line.low:.1%} to {line.high:.1%})"
    told = f"{line.embedding}: {flips} when the other strand is given, correlation {line.correlation:.3f}"
    if as_given and line.flip_rate == 0:
        return f"{told}; it cannot tell the strands apart, which this task asks for"
    if as_given or line.strands == "both":
        return told
    return f"{told}; averaging both strands, as the scores do, makes it 0"


def _tokens(labels: str | Path, sequences: str | Path | None, wanted: set[str]) -> dict[str, np.ndarray]:
    found = {}
    for item in inputs.read(labels, 0, 0, sequences):
        if item.row["id"] in wanted:
            found[item.row["id"]] = np.array(item.tokens)
    return found
