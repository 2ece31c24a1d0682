"""Embeddings of windows to a track that genome browsers show: a channel, a principal component, or a similarity."""

# N windows, C context channels

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import tracks
from genossl.evaluation.dataset import is_dataset, read_manifest
from genossl.evaluation.table import tables
from genossl.genome import inputs

BLOCK = 1 << 16  # windows in double precision at once
log = logging.getLogger("genossl")
Values = Callable[[np.ndarray], np.ndarray]  # vectors (N, C) -> (N,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Section `track`."""

    component: int | None = None  # channel of the vectors, from 0; drawn where nothing else is asked for
    pc: int | None = None  # principal component of the windows, from 1
    genome: str = ""  # whose windows are drawn; needed where contigs of several genomes have one name

    def __post_init__(self) -> None:
        if (self.component or 0) < 0 or (self.pc is not None and self.pc < 1):
            raise ValueError("component counts from 0, pc from 1")


class Drawn(NamedTuple):
    """What a track holds."""

    contigs: int
    bases: int
    highest: str  # where its largest value is, and the value


class _Contig(NamedTuple):
    """The windows of one contig."""

    genome: str
    start_N: np.ndarray
    end_N: np.ndarray
    value_N: np.ndarray


class _Windows(NamedTuple):
    """Windows with a known base, of one table."""

    rows: pd.DataFrame  # id, contig, start, end as numbers, and genome, "" where the table does not say
    vectors_NC: np.ndarray


def run(
    embeddings: str | Path,
    out: str | Path,
    settings: Settings,
    query: str | None = None,
    encoder: str | None = None,
    sequences: str | Path | None = None,
    device: str = "auto",
    threads: int = 0,
) -> Drawn:
    """Draw one value per base of the windows in `embeddings` into `out` (.bedgraph, .bedgraph.gz, .bw or .bigwig).

    query: cosine similarity to a FASTA record (embedded as the windows were), to the row of an id, or to the mean of
    the windows that overlap contig:start-end (0-based, half-open). encoder: where it is now, for a FASTA query.
    sequences: a store or FASTA with the contigs' lengths, where the table does not know them. Raises InputError.
    """
    embeddings, out = Path(embeddings), Path(out)
    tracks.suffix_of(out)
    sequence = query if query and Path(query).is_file() else None
    files.spare([out], [embeddings, embeddings.with_suffix(".tsv"), sequence, sequences])
    if sum(one is not None for one in (settings.component, settings.pc, query)) > 1:
        raise InputError("a track draws one of --component, --pc and --query")
    weights = None
    if sequence:
        vector_C, weights = _embedded(embeddings, Path(sequence), encoder, device, threads)
        values = _similarity(vector_C)
    elif query:
        values = _similarity(_of_rows(embeddings, query, settings.genome))
    elif settings.pc:
        values = _principal(embeddings, settings)
    else:
        values = _channel(settings.component or 0)
    found = _by_contig(embeddings, settings.genome, values)
    sizes = _sizes(embeddings, sequences, settings.genome, found)
    drawn = [tracks.runs(name, *found[name][1:]) for name in sizes if name in found]
    tracks.write(out, drawn, sizes)
    given = {"embeddings": embeddings, "out": out, "query": query, "encoder": encoder, "sequences": sequences}
    used = {"embeddings": embeddings, "query": sequence, "encoder": weights, "sequences": sequences}
    files.write_provenance(
        out, "track", dataclasses.asdict(settings), used, given=given | {"device": device, "threads": threads}
    )
    top = max(drawn, key=lambda one: one.value_R.max())
    at = int(top.value_R.argmax())
    highest = f"{top.value_R[at]:.4g} at {top.contig}:{top.start_R[at]}-{top.end_R[at]}"
    return Drawn(len(drawn), int(sum((one.end_R - one.start_R).sum() for one in drawn)), highest)


# ---- windows


def _windows(embeddings: Path, genome: str, count: bool = False) -> Iterator[_Windows]:
    """Table by table; windows that are wholly N say nothing and are left out (count: and told). genome: "" for all."""
    left_out, kept, genomes = 0, 0, set()
    for table in tables(embeddings):
        rows = table.rows
        if missing := [name for name in ("contig", "start", "end", "n_N") if name not in rows]:
            told = f"its rows have no column {missing[0]}; expected windows of FASTA or a store, or of their regions"
            raise InputError(f"{embeddings}: {told}")
        rows = rows.assign(genome=rows.get("genome", "")).astype({"start": int, "end": int, "n_N": int})
        genomes |= set(rows["genome"])
        wanted = ((rows["genome"] == genome) | (not genome)).to_numpy()
        known = (rows["n_N"] < rows["end"] - rows["start"]).to_numpy()
        left_out += int((wanted & ~known).sum())
        keep = np.flatnonzero(wanted & known)
        kept += len(keep)
        for at in np.split(keep, range(BLOCK, len(keep), BLOCK)):
            if len(at):
                yield _Windows(rows.iloc[at].reset_index(drop=True), np.asarray(table.vectors[at], float))
    if genome and genome not in genomes:
        raise InputError(f"{embeddings}: has no genome {genome!r}; found {_few(genomes)}")
    if not kept:
        raise InputError(f"{embeddings}: has no window with a known base")
    if count and left_out:
        log.info("%s: %d windows are wholly N and have no value", embeddings, left_out)


def _by_contig(embeddings: Path, genome: str, values: Values) -> dict[str, _Contig]:
    """Start, end and value of the windows of each contig."""
    parts: dict[str, list[tuple[np.ndarray, ...]]] = {}
    owner: dict[str, str] = {}
    for rows, vectors_NC in _windows(embeddings, genome, count=True):
        columns = (rows["start"].to_numpy(), rows["end"].to_numpy(), values(vectors_NC))
        groups: dict[Any, Any] = rows.groupby(["genome", "contig"]).indices
        for (of, contig), at in groups.items():
            if owner.setdefault(contig, of) != of:
                told = f"contig {contig!r} is in several genomes ({owner[contig]}, {of}, ...)"
                raise InputError(f"{embeddings}: {told}; a track is of one: --genome NAME")
            parts.setdefault(contig, []).append(tuple(column[at] for column in columns))
    return {name: _Contig(owner[name], *map(np.concatenate, zip(*some, strict=True))) for name, some in parts.items()}


def _sizes(embeddings: Path, sequences: str | Path | None, genome: str, found: dict[str, _Contig]) -> dict[str, int]:
    """Bases of contigs, by name: told by a store or FASTA, by a folder's manifest, else by where windows end."""
    ends = {name: int(contig.end_N.max()) for name, contig in found.items()}
    if sequences is not None:
        known = [tuple(one) for one in inputs.known(sequences)]
    elif is_dataset(embeddings):
        shards = read_manifest(embeddings)["shards"]
        known = [(one["genome"], one["contig"], one["length"]) for one in shards]
    else:
        known = [("", name, end) for name, end in ends.items()]
    sizes = {}
    for of, name, size in known:
        wanted = found[name].genome if name in found else genome
        if not (of and wanted) or of == wanted:
            sizes[name] = size
    for name, end in ends.items():
        if sizes.get(name, 0) < end:
            has = f"has {sizes[name]:,} bases" if name in sizes else "is not there"
            raise InputError(f"{sequences}: contig {name!r} {has}, but a window of {embeddings} ends at {end:,}")
    return dict(sorted(sizes.items()))


# ---- values


def _channel(component: int) -> Values:
    def values(vectors_NC: np.ndarray) -> np.ndarray:
        if component >= vectors_NC.shape[1]:
            raise InputError(f"component {component}: the vectors have {vectors_NC.shape[1]} channels, 0 the first")
        return vectors_NC[:, component]

    return values


def _principal(embeddings: Path, settings: Settings) -> Values:
    """Along an axis of the windows' covariance, from their mean; the largest loading of the axis is positive."""
    assert settings.pc
    n, sum_C, sum_CC = 0, np.zeros(0), np.zeros((0, 0))
    origin_C = None
    for _, vectors_NC in _windows(embeddings, settings.genome):
        if origin_C is None:  # any point near them, so that the squares lose no digits
            origin_C = vectors_NC.mean(0)
            sum_C, sum_CC = np.zeros_like(origin_C), np.zeros((len(origin_C), len(origin_C)))
        moved_NC = vectors_NC - origin_C
        n, sum_C, sum_CC = n + len(moved_NC), sum_C + moved_NC.sum(0), sum_CC + moved_NC.T @ moved_NC
    assert origin_C is not None
    most = min(len(origin_C), n - 1)
    if settings.pc > most:
        raise InputError(f"pc {settings.pc}: {n} windows of {len(origin_C)} channels have {most} principal components")
    mean_C = sum_C / n
    _, axes_CC = np.linalg.eigh(sum_CC / n - np.outer(mean_C, mean_C))  # ascending
    axis_C = axes_CC[:, -settings.pc]
    axis_C = axis_C * np.sign(axis_C[np.abs(axis_C).argmax()])
    return lambda vectors_NC: (vectors_NC - (origin_C + mean_C)) @ axis_C


def _similarity(query_C: np.ndarray) -> Values:
    """Cosine of the angle to the query; 0 for a vector of zeros."""

    def values(vectors_NC: np.ndarray) -> np.ndarray:
        norm_N = np.linalg.norm(vectors_NC, axis=1) * np.linalg.norm(query_C)
        return np.divide(vectors_NC @ query_C, norm_N, out=np.zeros(len(norm_N)), where=norm_N > 0)

    return values


# ---- queries


def _of_rows(embeddings: Path, query: str, genome: str) -> np.ndarray:
    """The vector of the row with that id, else the mean of those that overlap [genome:]contig:start-end."""
    contig, _, span = query.rpartition(":")
    region = re.fullmatch(r"(\d{1,18})-(\d{1,18})", span)
    start, end = map(int, region.groups()) if region else (0, 0)
    found: dict[str, list[np.ndarray]] = {}
    for rows, vectors_NC in _windows(embeddings, ""):
        if (named := (rows["id"] == query).to_numpy()).any():
            return vectors_NC[named][0]
        there = rows["contig"] == contig
        there &= (rows["genome"] == genome) | (not genome)
        there |= rows["genome"] + ":" + rows["contig"] == contig
        there &= (rows["start"] < end) & (rows["end"] > start)
        for of in rows["genome"][there].unique():
            found.setdefault(of, []).append(vectors_NC[(there & (rows["genome"] == of)).to_numpy()])
    if len(found) > 1:
        raise InputError(f"query {query!r}: is in several genomes ({_few(found)}); write GENOME:{query}")
    if not found:
        raise InputError(
            f"query {query!r}: is no file, no id of {embeddings}, and no contig:start-end that a window of it overlaps"
        )
    (vectors,) = found.values()
    return np.concatenate(vectors).mean(0)


def _embedded(
    embeddings: Path, path: Path, encoder: str | None, device: str, threads: int
) -> tuple[np.ndarray, Path | None]:
    """The mean vector of a FASTA record's windows, embedded as those of the table were; and the encoder's weights."""
    from genossl.model.embedders import UNTRAINED, open_encoder

    record = files.read_json(f"{embeddings}.provenance.json")
    try:
        settings, folder = record["settings"], Path(record["folder"])
        spec, pool, both_strands, precision = (settings[n] for n in ("encoder", "pool", "both_strands", "precision"))
        weights = record["inputs"].get("encoder", {}).get("sha256")  # k-mers and GC have none
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{embeddings}.provenance.json: does not say how the windows were embedded") from None
    untrained = UNTRAINED if spec.startswith(UNTRAINED) else ""
    where = encoder or (f"{untrained}{folder / spec.removeprefix(UNTRAINED)}" if weights else spec)
    opened = open_encoder(where, pool, both_strands, device, threads, precision)
    found = files.sha256(opened.weights) if opened.weights else None
    if found != weights or where.startswith(UNTRAINED) != bool(untrained) or not (weights or where == spec):
        raise InputError(f"{embeddings}: was made by the encoder {spec}, found another: --encoder {where}")
    (*others, contig) = inputs.contigs(path)
    if others:
        raise InputError(f"query {path}: holds {len(others) + 1} sequences, expected one")
    longest = max(int((part.rows["end"] - part.rows["start"]).max()) for part in _windows(embeddings, ""))
    items = [item for item in inputs.windows(contig, longest, 0) if not item.blank]
    if not items:
        raise InputError(f"query {path}: has no known base")
    return opened.embedder([item.tokens for item in items]).astype(float).mean(0), opened.weights


def _few(names: Any) -> str:
    shown = sorted(name or "none" for name in names)
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")
