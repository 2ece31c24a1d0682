"""Encoder (or k-mers, or GC) and sequences to embeddings, as a stream: memory does not grow with the input."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from genossl import files
from genossl.errors import InputError
from genossl.evaluation.dataset import Folder, Shard, footer, is_dataset
from genossl.evaluation.pooling import Batch, MeanVectors
from genossl.evaluation.table import SUFFIXES
from genossl.evaluation.writers import WRITERS, Parquet, Text
from genossl.genome import inputs, places
from genossl.genome.labels import files_of, strand_policy
from genossl.model.embedders import UNTRAINED, Opened, open_encoder
from genossl.model.memory import lowering
from genossl.model.precision import Precision

MANY = 20_000  # files in a folder
log = logging.getLogger("genossl")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Section `embed`."""

    pool: Literal["last", "mean", "both"] = "last"  # context after the whole sequence, mean over frames, or both
    both_strands: bool | Literal["auto"] = "auto"  # average over both strands; auto: unless a task's strand is as_given
    window: int = 0  # bases of a window of FASTA or a store; 0: what the encoder was trained on; -1: whole records
    step: int = 0  # bases from one window to the next; 0: as the window
    by: Literal["window", "contig", "genome"] = "window"  # contig, genome: the mean of its windows, by known bases
    feature: str = "gene"  # type of the rows of --features that are embedded
    precision: Precision = "auto"  # fp32 or bf16 products; auto: bf16 of LSTM encoders on CPUs that are faster in it
    rows: int = 2048  # sequences held at once

    def __post_init__(self) -> None:
        if self.window < -1 or self.step < 0 or self.rows < 1:
            raise ValueError("window must be at least -1, step at least 0 and rows at least 1")


class _Inputs(NamedTuple):
    """What is embedded."""

    source: str | Path
    sequences: str | Path | None
    regions: str | Path | None
    features: str | Path | None
    part: tuple[int, int] | None


class _Work(NamedTuple):
    """What embeds, its settings as resolved, and how items of the input become batches of rows and vectors."""

    opened: Opened
    settings: Settings
    window: int  # bases; 0: whole records
    batches: Callable[[Iterator[inputs.Item]], Iterator[Batch]]


def run(
    encoder: str,
    source: str | Path,
    out: str | Path,
    settings: Settings,
    sequences: str | Path | None = None,
    device: str = "auto",
    threads: int = 0,
    part: tuple[int, int] | None = None,
    regions: str | Path | None = None,
    features: str | Path | None = None,
    replace: bool = False,
) -> int:
    """Embed `source` with `encoder` into `out`; returns the row count.

    encoder: a run or model folder, `kmer:K`, `gc`, or `untrained:RUN`. out: .npy with a .tsv of its rows, .npz,
    .parquet, .h5ad, a table of text (.tsv, .tsv.gz, or - for standard output), or a folder (`is_folder`) of a Parquet
    file per contig, with which a killed run goes on. regions (BED), features (GFF3): only these places. `part` (i, n):
    only that part of a store's genomes, or of a folder's contigs, so that n jobs share them. replace: what
    lies in the folder and was made otherwise gives way. Raises InputError.
    """
    folder, given_out, out = is_folder(out), str(out), Path(out)
    if not (folder or out.suffix in SUFFIXES or files.is_table(out)):
        raise InputError(f"{out}: embeddings end in {', '.join(SUFFIXES)}, .tsv, .tsv.gz, or in / for a folder")
    beside = [out.with_suffix(".tsv")] if out.suffix == ".npy" else []
    files.spare([out, *beside], [*files_of(source), sequences, regions, features])
    asked = _Inputs(source, sequences, regions, features, part)
    _refuse(asked, settings, folder)
    with files.progress(desc=f"embed {encoder}", unit="sequence") as bar:
        work = _open(encoder, source, settings, device, threads, bar.update)
        count = _into_folder(out, work, asked, encoder, replace) if folder else _into_file(out, work, asked)
    if folder and not is_dataset(out):
        return count  # others are still at it
    task = Path(source).with_suffix(".json") if strand_policy(source) else None
    used = {"encoder": work.opened.weights, "input": source, "sequences": sequences, "task": task}
    used |= {"regions": regions, "features": features}
    given = {"encoder": encoder, "source": source, "out": given_out, "sequences": sequences, "device": device}
    given |= {"threads": threads, "regions": regions, "features": features}
    given |= {"part": f"{part[0]}/{part[1]}" if part and not folder else None}
    files.write_provenance(out, "embed", {"encoder": encoder, **dataclasses.asdict(work.settings)}, used, given=given)
    return count


def _refuse(asked: _Inputs, settings: Settings, folder: bool) -> None:
    """What does not go together."""
    if settings.by != "window" and (folder or inputs.is_table(Path(asked.source))):
        what = "into a folder" if folder else f"of {asked.source}, a labelled table"
        told = f"one vector per {settings.by} is made of FASTA or a store into a file, not {what}"
        raise InputError(f"embed.by {settings.by}: {told}")
    if str(asked.source) == "-" and (folder or asked.regions or asked.features):
        raise InputError("standard input is read once; a folder, --regions and --features need files")
    if asked.regions and asked.features:
        raise InputError("regions come from --regions or from --features, not from both")


def is_folder(out: str | Path) -> bool:
    """Whether a folder of Parquet files is asked for: by a last /, by no ending, or because it is one already."""
    return str(out).endswith("/") or not (files.is_table(out) or Path(out).suffix) or is_dataset(out)


def _open(
    encoder: str, source: str | Path, settings: Settings, device: str, threads: int, told: Callable[[int], Any]
) -> _Work:
    """The encoder, the settings as they come out with it, and what embeds items. told: hears how many are done."""
    both_strands = averaged(source, settings)
    opened = open_encoder(encoder, settings.pool, both_strands, device, threads, settings.precision)
    settings = dataclasses.replace(settings, both_strands=both_strands, precision=opened.precision)
    window = inputs.window_bases(settings.window, opened.window)

    def batches(items: Iterator[inputs.Item]) -> Iterator[Batch]:
        while rows := list(islice(items, settings.rows)):
            with lowering(f"embed.rows ({settings.rows}) or embed.window", device):
                vectors = opened.embedder([item.tokens for item in rows])
            yield [item.row for item in rows], vectors
            told(len(rows))

    return _Work(opened, settings, window, batches)


def _places(asked: _Inputs, settings: Settings, contigs: list[places.Known]) -> places.Places | None:
    if asked.regions:
        return places.of_bed(asked.regions, contigs, asked.source)
    if asked.features:
        return places.of_gff(asked.features, settings.feature, contigs, asked.source)
    return None


def _into_file(out: Path, work: _Work, asked: _Inputs) -> int:
    settings, chosen = work.settings, None
    if asked.regions or asked.features:
        chosen = _places(asked, settings, inputs.known(asked.source))
    items = inputs.read(asked.source, work.window, settings.step, asked.sequences, asked.part, chosen)
    batches, pool, count = work.batches(items), None, 0
    if settings.by != "window":
        pool = MeanVectors(settings.by, inputs.name_of(asked.source))
        batches = pool.of(batches)
    with WRITERS.get(out.suffix, Text)(out) as write:
        for rows, vectors in batches:
            write(rows, vectors)
            count += len(rows)
        if not count:
            known = " with a known base" if pool and pool.unknown else ""
            raise InputError(f"{asked.source}: holds no sequence{known}")
    if pool and pool.unknown:
        log.info("%s: %d windows are wholly N and were left out", asked.source, pool.unknown)
    if pool and pool.without:
        log.warning(
            "warning: %s: %d of its %ss have no known base and no vector: %s",
            asked.source, len(pool.without), settings.by, ", ".join(pool.without[:5]),
        )  # fmt: skip
    return count


def _into_folder(out: Path, work: _Work, asked: _Inputs, encoder: str, replace: bool) -> int:
    """Each contig of this part whose file is not there; the count is of the rows of all of them."""
    contigs = inputs.known(asked.source)
    chosen = _places(asked, work.settings, contigs)
    shards = [Shard(i, *contig) for i, contig in enumerate(contigs) if chosen is None or contig[:2] in chosen]
    mine = shards
    if asked.part:
        what = "contigs with regions" if chosen else "contigs"
        mine = [shards[i] for i in inputs.share([shard.length for shard in shards], asked.part, asked.source, what)]
    if len(shards) > MANY:
        log.info(
            "%s: will hold %d files, one per contig; of many short ones one .parquet is read faster", out, len(shards)
        )
    made = _made(work, asked, encoder)
    folder = Folder(out, made, shards, replace)
    there = {shard.number: folder.rows(shard) for shard in mine}
    waiting = {shard.number: shard for shard in mine if there[shard.number] is None}
    count = sum(filter(None, there.values()))
    if len(waiting) < len(mine):
        log.info("%s: %d of %d contigs are there already", out, len(mine) - len(waiting), len(mine))
    for contig in inputs.contigs(asked.source, waiting):
        shard = waiting[contig.number]
        with Parquet(out / shard.file, footer(shard, made)) as write:
            for rows, vectors in work.batches(inputs.windows(contig, work.window, work.settings.step, chosen)):
                write(rows, vectors)
                count += len(rows)
    if missing := folder.finish():
        done = len(shards) - len(missing)
        log.info("%s: %d of %d contigs are there; the other parts have the rest", out, done, len(shards))
    return count


def _made(work: _Work, asked: _Inputs, encoder: str) -> dict[str, Any]:
    """What decides the vectors of a folder: settings, and checksums of what is read."""
    named = {"input": asked.source, "regions": asked.regions, "features": asked.features}
    sums = {name: files.sha256(files.standing_for(Path(path))) for name, path in named.items() if path}
    weights = work.opened.weights
    untrained = UNTRAINED if encoder.startswith(UNTRAINED) else ""
    spec = f"{untrained}{files.sha256(weights)}" if weights else encoder.replace(":", "")  # kmer:4 may be called kmer4
    settings = dataclasses.asdict(work.settings) | {"window": work.window}
    unused = ("by",) if asked.features else ("by", "feature")
    return {"encoder": spec, **sums} | {name: value for name, value in settings.items() if name not in unused}


def averaged(source: str | Path, settings: Settings) -> bool:
    """Whether both strands are averaged: as the setting says, or as the task whose table `source` is."""
    policy = strand_policy(source)
    if settings.both_strands == "auto":
        return policy != "as_given"
    if settings.both_strands and policy == "as_given":
        log.warning(
            "warning: %s: its strand is as_given and both_strands is true, so what tells the strands apart is averaged "
            "away; leave both_strands at auto",
            source,
        )
    return settings.both_strands
