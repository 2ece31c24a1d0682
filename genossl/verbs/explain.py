"""A saved head and sequences -> which bases its decisions hang on: a track, the strongest regions, a picture."""

# L bases, K classes

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import logo, saved_head
from genossl.evaluation.saved_head import REGRESSION, Head
from genossl.evaluation.seqlets import Seqlet, seqlets
from genossl.genome import inputs
from genossl.genome.alphabet import decode, reverse_complement
from genossl.genome.inputs import Item
from genossl.genome.labels import files_of
from genossl.model import attribution
from genossl.model.attribution import Method, Score
from genossl.model.embedders import Embedder, open_encoder, same_encoder

WINDOWS, BASES, TRACK, MOTIFS, PICTURE = "windows.tsv", "bases.tsv", "bases.bedgraph", "motifs.tsv", "motifs.svg"
FLANK = 10  # bases drawn on either side of a region
COLUMNS = {
    WINDOWS: ("id", "contig", "start", "end", "strand", "said", "about", "score", "attribution"),
    BASES: ("id", "contig", "start", "end", "letter", "attribution"),
    MOTIFS: ("rank", "id", "contig", "start", "end", "strand", "letters", "about", "score"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Section `explain`."""

    method: Method = "ism"  # replace each base by each other one, or (occlusion) hide spans: faster, coarser
    about: str = ""  # the class or label whose log-odds are explained; none: what the head says of each window
    window: int = 0  # bases of a window of FASTA or a store; 0: as the head was trained; -1: whole records
    step: int = 0  # bases from one window to the next; 0: as the window
    span: int = 20  # bases that occlusion hides at once
    stride: int = 5  # bases from one hidden span to the next
    width: int = 10  # bases of a motif
    top: int = 3  # motifs of a window
    drawn: int = 6  # motifs in the picture
    rows: int = 512  # changed sequences read at once

    def __post_init__(self) -> None:
        if self.window < -1 or min(self.step, self.drawn) < 0:
            raise ValueError("window must be at least -1, step and drawn at least 0")
        if min(self.span, self.stride, self.width, self.top, self.rows) < 1:
            raise ValueError("span, stride, width, top and rows must be at least 1")


class Explained(NamedTuple):
    """A window, and what was found of it."""

    item: Item
    place: _Place
    said: str  # by the head; "" of a regression
    about: str  # what is explained
    score: float  # its log-odds, or the value
    attribution_L: np.ndarray  # as the head read the window


class Motif(NamedTuple):
    """A region, where it lies, and what is drawn of it."""

    seqlet: Seqlet
    cells: tuple[Any, ...]  # of motifs.tsv, from id to about
    panel: logo.Panel


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
    """Explain what the head at `path` says of `source` in the folder `out`; lines that say what was found.

    source: FASTA or FASTQ (- for standard input), a store, or a labelled table, whose labels play no part. encoder:
    where the encoder is now. Raises InputError, and then leaves no folder.
    """
    out = Path(out)
    files.spare([out], [*files_of(source), sequences])
    if not files.replaceable(out, "explain.provenance.json"):
        raise InputError(f"{out}: exists and is no explanation; expected a new folder or one to replace")
    attribution.library()
    head = saved_head.load(path)
    about = _about(head, path, settings.about)
    spec = same_encoder(head.about["encoder"], path, encoder)
    # fp32 whatever the head learnt from: what hangs on a base is about as small as what bf16 rounds away
    embedder, trained_on, weights, _ = open_encoder(
        spec, head.about["pool"], head.about["both_strands"], device, threads, "fp32"
    )
    learnt = head.about["bases"]["median"] if head.about["bases"] else trained_on
    window = inputs.window_bases(settings.window, learnt)
    items = inputs.read(source, window, settings.step, sequences)
    first = next(items, None)
    if first is None:
        raise InputError(f"{source}: holds no sequence")
    with files.new_folder(out) as folder:
        with contextlib.ExitStack() as stack:
            streams = {
                name: stack.enter_context(open(folder / name, "w", encoding="utf-8", newline=""))
                for name in (WINDOWS, BASES, TRACK, MOTIFS)
            }
            for name, columns in COLUMNS.items():
                streams[name].write(files.tsv_line(columns))
            windows = files.progress(chain([first], items), "explain", "window")
            motifs = _write(_explained(windows, head, embedder, about, settings), streams, settings)
        unit = "value lost" if head.kind == REGRESSION else "log-odds lost, nats"
        picture = logo.logo([motif.panel for motif in motifs[: settings.drawn]], unit)
        (folder / PICTURE).write_text(picture, encoding="utf-8")
        used = {"head": saved_head.paths(path)[1], "encoder": weights, "input": source, "sequences": sequences}
        given = {"head": path, "source": source, "out": out, "encoder": spec, "sequences": sequences}
        given |= {"device": device, "threads": threads}
        files.write_provenance(folder / "explain", "explain", settings, used, given=given)
    return _summary(out, motifs)


def _about(head: Head, path: str | Path, name: str) -> int | None:
    """The column of the class that is explained; None for the one that the head says."""
    if not name:
        return 0 if head.kind == REGRESSION else None
    if name not in head.classes:
        known = ", ".join(head.classes) or "none, since it is a regression"
        raise InputError(f"{path}: explain.about {name!r} is no class of this head; expected one of {known}")
    return head.classes.index(name)


def _explained(
    items: Iterator[Item], head: Head, embedder: Embedder, about: int | None, s: Settings
) -> Iterator[Explained]:
    """Each window of which anything is known."""
    for item in items:
        if item.blank:
            continue
        odds_K = head.log_odds(embedder([item.tokens]))[0]
        said = int(odds_K.argmax())
        k = said if about is None else about
        names = ("", "") if head.kind == REGRESSION else (head.classes[said], head.classes[k])
        attribution_L = _attribution(partial(_score, head, embedder, k), np.asarray(item.tokens), s)
        yield Explained(item, _Place(item), *names, float(odds_K[k]), attribution_L)


def _score(head: Head, embedder: Embedder, k: int, sequences: list[np.ndarray]) -> np.ndarray:
    return head.log_odds(embedder(sequences))[:, k]


def _write(found: Iterator[Explained], streams: Mapping[str, IO[str]], s: Settings) -> list[Motif]:
    """Write windows and bases as they come, then the track and the motifs; returns these, the best first."""
    motifs: list[Motif] = []
    track = _Track()
    for one in found:
        place = one.place
        cells = (*place.cells(0, place.length), one.said, one.about, _round(one.score), _round(one.attribution_L.sum()))
        streams[WINDOWS].write(files.tsv_line(cells))
        turned = place.strand == "-"
        letters = decode(reverse_complement(one.item.tokens) if turned else one.item.tokens)
        upwards_L = one.attribution_L[::-1] if turned else one.attribution_L
        streams[BASES].writelines(
            files.tsv_line([place.id, place.contig, at, at + 1, letter, _round(value)])
            for at, letter, value in zip(range(place.start, place.end), letters, upwards_L, strict=True)
        )
        track.add_(one.item.row.get("genome", ""), place.contig, place.start, upwards_L)
        motifs += _motifs(one, s)
    streams[TRACK].writelines(track.lines())
    motifs.sort(key=lambda motif: -motif.seqlet.score)
    for rank, motif in enumerate(motifs, 1):
        streams[MOTIFS].write(files.tsv_line([rank, *motif.cells, _round(motif.seqlet.score)]))
    return motifs


def _attribution(score: Score, tokens_L: np.ndarray, s: Settings) -> np.ndarray:
    if s.method == "ism":
        return attribution.in_silico_mutagenesis(score, tokens_L, s.rows)
    return attribution.occlusion(score, tokens_L, s.rows, s.span, s.stride)


def _motifs(one: Explained, s: Settings) -> Iterator[Motif]:
    """The strongest regions of a window, in letters as the head read them."""
    letters, place = decode(one.item.tokens), one.place
    for seqlet in seqlets(one.attribution_L, s.width, s.top):
        first, last = max(0, seqlet.start - FLANK), min(len(letters), seqlet.end + FLANK)
        name, contig, start, end, strand = place.cells(seqlet.start, seqlet.end)
        panel = logo.Panel(
            letters[first:last],
            one.attribution_L[first:last].tolist(),
            (seqlet.start - first, seqlet.end - first),
            f"{contig}:{start:,}-{end:,} {strand}{f' for {one.about}' if one.about else ''}",
            [place.cells(i, i + 1)[2] for i in range(first, last)],
        )
        cells = (name, contig, start, end, strand, letters[seqlet.start : seqlet.end], one.about)
        yield Motif(seqlet, cells, panel)


class _Place:
    """Where a window lies; a sequence that came in a table is a contig of its own."""

    def __init__(self, item: Item) -> None:
        row, self.length = item.row, len(item.tokens)
        self.id, self.contig, self.start = row["id"], row.get("contig", row["id"]), row.get("start", 0)
        self.end, self.strand = self.start + self.length, "-" if row.get("strand") == "-" else "+"

    def cells(self, first: int, last: int) -> tuple[str, str, int, int, str]:
        """id, contig, start, end and strand of a part of what was read."""
        if self.strand == "-":
            return self.id, self.contig, self.end - last, self.end - first, "-"
        return self.id, self.contig, self.start + first, self.start + last, "+"


class _Track:
    """A bedGraph: each base once, with the mean of the windows that hold it."""

    def __init__(self) -> None:
        self.contigs: dict[str, tuple[str, list[tuple[int, np.ndarray]]]] = {}  # its genome, and its windows

    def add_(self, genome: str, contig: str, start: int, attribution_L: np.ndarray) -> None:
        """A window; InputError where another genome has a contig of that name, since a bedGraph names contigs only."""
        known, windows = self.contigs.setdefault(contig, (genome, []))
        if known != genome:
            raise InputError(f"contig {contig!r} is in genomes {known} and {genome}; explain them one by one")
        windows.append((start, attribution_L))

    def lines(self) -> Iterator[str]:
        """contig, start, end, value."""
        for contig, (_, windows) in self.contigs.items():
            first = min(start for start, _ in windows)
            total_L = np.zeros(max(start + len(part) for start, part in windows) - first)
            count_L = np.zeros(len(total_L), int)
            for start, part in windows:
                total_L[start - first : start - first + len(part)] += part
                count_L[start - first : start - first + len(part)] += 1
            for i in np.flatnonzero(count_L).tolist():
                yield files.tsv_line([contig, first + i, first + i + 1, _round(total_L[i] / count_L[i])])


def _round(value: float) -> float:
    return float(f"{value:.6g}") + 0.0  # no minus before a zero


def _summary(out: Path, motifs: list[Motif]) -> list[str]:
    best = [f"{m.seqlet.score:8.3g}  {m.cells[5]}  {m.cells[1]}:{m.cells[2]}-{m.cells[3]}" for m in motifs[:5]]
    return [*best, f"{out}: {len(motifs):,} motifs in {MOTIFS}, drawn in {PICTURE}; each base in {BASES} and {TRACK}"]
