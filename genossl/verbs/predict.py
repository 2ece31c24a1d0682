"""A saved head and sequences -> what they are: windows or reads, contigs, genomes, as a stream in constant memory."""

# N windows, K classes

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import saved_head
from genossl.evaluation.pooling import Pool
from genossl.evaluation.saved_head import CLASSES, MULTILABEL, REGRESSION, Answers, Head
from genossl.genome import inputs
from genossl.genome.labels import files_of
from genossl.model.embedders import open_encoder, same_encoder

LEVELS = ("read", "contig", "genome")
log = logging.getLogger("genossl")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Section `predict`."""

    window: int = 0  # bases of a window of FASTA or a store; 0: as the head was trained; -1: whole records
    step: int = 0  # bases from one window to the next; 0: as the window
    by: Literal["read", "contig", "genome"] = "read"  # what a row of OUT is; coarser tables lie beside it
    least: int = 1  # known bases (no N) below which a window gets no label and counts for nothing
    rows: int = 2048  # sequences held at once

    def __post_init__(self) -> None:
        if self.window < -1 or self.step < 0 or self.least < 1 or self.rows < 1:
            raise ValueError("window must be at least -1, step at least 0, least and rows at least 1")


def run(
    path: str | Path,
    source: str | Path,
    out: str | Path,
    settings: Settings,
    encoder: str | None = None,
    sequences: str | Path | None = None,
    device: str = "auto",
    threads: int = 0,
) -> list[str]:
    """Predict `source` with the head at `path` into `out` (.tsv) and the coarser tables beside it; lines that say so.

    source: FASTA or FASTQ (- for standard input), a store, or a labelled table, whose labels play no part.
    encoder: where the encoder is now. Raises InputError, and then leaves no table.
    """
    out = Path(out)
    files.refuse_other_than_table(out, "predictions")
    written = [out, *(files.beside(out, f"{level}s") for level in LEVELS)]
    files.spare(written, [*files_of(source), sequences])
    head = saved_head.load(path)
    spec = same_encoder(head.about["encoder"], path, encoder)
    pool, both = head.about["pool"], head.about["both_strands"]
    precision = head.about.get("precision", "auto")
    embedder, trained_on, weights, _ = open_encoder(spec, pool, both, device, threads, precision)
    learnt = head.about["bases"]["median"] if head.about["bases"] else trained_on
    window = inputs.window_bases(settings.window, learnt)
    if window != learnt:
        log.warning("windows of %s bases; the head was calibrated on %d", window or "any number of", learnt)
    items = inputs.read(source, window, settings.step, sequences)
    with Tables(out, head, settings.by, _genome(source), inputs.is_table(Path(source))) as tables:
        with files.progress(desc="predict", unit="sequence") as bar:
            while rows := list(islice(items, settings.rows)):
                vectors_ND = embedder([item.tokens for item in rows])
                if vectors_ND.shape[1] != len(head.weight_DK):
                    raise InputError(f"{spec}: vectors of {vectors_ND.shape[1]}, the head reads {len(head.weight_DK)}")
                length_N = np.array([len(item.tokens) for item in rows])
                known_N = length_N - np.array([item.row["n_N"] for item in rows])
                evidence_NK = head.evidence(vectors_ND)
                evidence_NK[known_N < settings.least] = np.nan
                tables.add_([item.row for item in rows], evidence_NK, known_N, length_N < learnt / 2)
                bar.update(len(rows))
        if not tables.count["read"]:
            raise InputError(f"{source}: holds no sequence")
    used = {"head": saved_head.paths(path)[1], "encoder": weights, "input": source, "sequences": sequences}
    given = {"head": path, "source": source, "out": out, "encoder": spec, "sequences": sequences}
    given |= {"device": device, "threads": threads}
    files.write_provenance(out, "predict", settings, used, given=given)
    if tables.short:
        log.warning(
            "%d of %d sequences have less than half of the %d bases that the head was calibrated on",
            tables.short, tables.count["read"], learnt,
        )  # fmt: skip
    return tables.summary()


# ---- the tables


class Tables:
    """Tables of windows, contigs and genomes that fill as windows come; all appear together, or none.

    The windows of a contig stand together in FASTA and stores, so a contig is written when the next one begins. Rows
    of a labelled table come in any order; there, contigs wait until the end.
    """

    def __init__(self, out: Path, head: Head, by: str, genome: str, unordered: bool) -> None:
        self.head, self.by, self.genome, self.unordered = head, by, genome, unordered
        wanted = LEVELS[LEVELS.index(by) :]
        wanted = (by,) if str(out) == "-" else wanted  # standard output holds one table
        self.paths = {level: out if level == by else files.beside(out, f"{level}s") for level in wanted}
        self.count: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.short = 0
        self.contigs: dict[tuple[str, str], Pool] = {}
        self.genomes: dict[str, Pool] = {}
        self.stack, self.streams = ExitStack(), {}

    def __enter__(self) -> Tables:
        with ExitStack() as stack:
            for level, path in self.paths.items():
                self.streams[level] = stack.enter_context(files.text(path))
            stack.push(self._finish)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    def _finish(self, *error: Any) -> None:
        if error[0] is None:
            self._contigs_done()
            for genome, pool in self.genomes.items():
                self._pooled("genome", {"genome": genome}, pool)
            files.clear(self.paths.values())

    def add_(
        self, rows: list[dict[str, Any]], evidence_NK: np.ndarray, known_N: np.ndarray, short_N: np.ndarray
    ) -> None:
        """Windows as they come: what they are called, what the head says, their known bases, which are too short."""
        answers = self.head.answers(evidence_NK)
        self.count["read"] += len(rows)
        self.short += int(short_N.sum())
        several = self.head.kind == MULTILABEL
        self.labels.update(name for label in answers.label for name in (label.split(";") if several else [label]))
        if self.by == "read":
            cells = _cells(self.head, answers)
            names, stream = list(rows[0]), self.streams["read"]
            if self.count["read"] == len(rows):
                stream.write("\t".join([*names, *_columns(self.head)]) + "\n")
            stream.writelines(
                "\t".join([*(_whole(row[name]) for name in names), *more]) + "\n"
                for row, more in zip(rows, cells, strict=True)
            )
        first = 0
        for (genome, contig), same in groupby(rows, lambda row: (row.get("genome", self.genome), _contig(row))):
            part = slice(first, first + sum(1 for _ in same))
            if (genome, contig) not in self.contigs:
                if not self.unordered:
                    self._contigs_done()
                self.contigs[genome, contig] = Pool(evidence_NK.shape[1])
            self.genomes.setdefault(genome, Pool(evidence_NK.shape[1]))
            for pool in (self.contigs[genome, contig], self.genomes[genome]):
                pool.add_(evidence_NK[part], known_N[part])
            first = part.stop

    def _contigs_done(self) -> None:
        for (genome, contig), pool in self.contigs.items():
            self._pooled("contig", {"genome": genome, "contig": contig}, pool)
        self.contigs.clear()

    def _pooled(self, level: str, row: dict[str, str], pool: Pool) -> None:
        self.count[level] += 1
        if level not in self.streams:
            return
        answers = self.head.answers(pool.mean()[None])
        cells = dict(zip(_columns(self.head), next(_cells(self.head, answers)), strict=True))
        counted = {name: _whole(value) for name, value in row.items()}
        counted |= {"windows": str(pool.windows), "known": str(pool.known)}
        if self.head.kind == CLASSES:
            sure = {"entropy": _number(answers.entropy_N[0]), "agreement": _number(pool.agreement())}
            cells = {"label": cells["label"], "probability": cells["probability"]} | sure | cells
        cells = counted | cells
        if self.count[level] == 1:
            self.streams[level].write("\t".join(cells) + "\n")
        self.streams[level].write("\t".join(cells.values()) + "\n")

    def summary(self) -> list[str]:
        """Which label how many windows got, and where the tables are."""
        told = []
        if self.head.kind != REGRESSION:
            n = self.count["read"]
            told = [f"{count / n:7.1%}  {label or '(no known base)'}" for label, count in self.labels.most_common(10)]
            told += [f"         and {len(self.labels) - 10} more"] if len(self.labels) > 10 else []
        names = {"read": "windows or reads", "contig": "contigs", "genome": "genomes"}
        return told + [f"{names[level]}: {path}, {self.count[level]:,} rows" for level, path in self.paths.items()]


def _contig(row: dict[str, Any]) -> str:
    return row.get("contig", row["id"])  # a sequence that came in a table is a contig of its own


def _genome(source: str | Path) -> str:
    """What the input as a whole is called, where its rows belong to no genome: the file's name without endings."""
    return saved_head.BREAKS.sub("_", inputs.name_of(source))


def _columns(head: Head) -> list[str]:
    if head.kind == REGRESSION:
        return ["value", "deviation"]
    return ["label", *(["probability"] if head.kind == CLASSES else []), *(f"p_{name}" for name in head.classes)]


def _cells(head: Head, answers: Answers) -> Iterator[list[str]]:
    """The cells of each row, in the order of `_columns`; empty where nothing is known."""
    for label, p, number_K in zip(answers.label, answers.probability_N, answers.number_NK, strict=True):
        numbers = [_number(x) for x in number_K]
        if head.kind == REGRESSION:
            yield [numbers[0], _number(head.about["deviation"])]
        else:
            yield [label, *([_number(p)] if head.kind == CLASSES else []), *numbers]


def _number(value: float) -> str:
    return "" if value != value else f"{value:.7g}"


def _whole(value: Any) -> str:
    """Names are written byte for byte; one that would break the table is refused."""
    text = str(value)
    if saved_head.BREAKS.search(text):
        raise InputError(f"the name {text!r} has a tab, line end or other control character in it, expected none")
    return text
