"""Genes by proteins in genomes without annotation: search with a clip run, and measure how well that works.

`genossl retrieve RUN QUERY --genomes STORE --out hits.tsv` compares proteins (or DNA) with every window of the genomes.
`genossl retrieve RUN --evaluate STORE` takes genes of genomes held out, one crop of DNA and one of protein each that do
not encode each other, and looks for either by the other, beside a guess from composition alone.
"""

# N genes or windows, Q queries, K hits, L bases, M residues, P projection, A amino acids, V 4-mers, U genomes, R drawn

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from genossl import files
from genossl.errors import InputError
from genossl.evaluation.scores import interval, resample
from genossl.genome import fasta, inputs, kmers
from genossl.genome.alphabet import N, reverse_complement
from genossl.genome.genes import RESIDUES, Genes, read_proteins
from genossl.genome.source import Source
from genossl.genome.store import TokenStore, is_store
from genossl.genome.windows import Batch, generator
from genossl.methods.clip import CLIP
from genossl.model import checkpoint
from genossl.model.encoder import encoder_device
from genossl.pretext.views import either_strand
from genossl.recipe import load_method

Query = Literal["auto", "protein", "dna"]
BATCH = 1024  # windows read at once
FIRST = (1, 5, 10)  # of a ranking, among which the partner may be
CROPS, RESAMPLING = range(2)  # streams of randomness
TRAINING_GENES = 20_000  # at most, to fit the composition on
log = logging.getLogger("genossl")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Section `retrieve`."""

    top: int = 10  # hits of a query
    step: int = 0  # bases from one window of the genomes to the next; 0: half a window
    genes: int = 1000  # N, genes that are each other's candidates (--evaluate)
    splits: tuple[str, ...] = ("test",)  # of the genomes that they are drawn from (--evaluate)
    replicates: int = 1000  # bootstrap replicates over genomes (--evaluate)
    seed: int = 0  # of genes, crops and replicates (--evaluate)

    def __post_init__(self) -> None:
        if self.top < 1 or self.step < 0 or self.genes < 2 or self.replicates < 100:
            raise ValueError("top must be at least 1, step 0, genes 2 and replicates 100")


def open_run(path: str | Path, device: str = "auto", threads: int = 0) -> CLIP:
    """The two towers of a run. Raises InputError for a run of another method or pairing."""
    method = checkpoint.describe(path)["method"]
    if method != "clip":
        raise InputError(f"{path}: is a run of {method}; expected one of clip with clip.pairing genes")
    if threads:
        torch.set_num_threads(threads)
    model = load_method(path, str(encoder_device(device)))
    assert isinstance(model, CLIP)
    if model.settings.pairing != "genes":
        raise InputError(f"{path}: pairs windows with their {model.settings.pairing}; expected clip.pairing genes")
    return model


# ---- search


def run(
    path: str | Path,
    query: str | Path,
    genomes: str | Path,
    out: str | Path,
    settings: Settings = Settings(),
    kind: Query = "auto",
    device: str = "auto",
    threads: int = 0,
) -> int:
    """Write the windows of `genomes` (a store or FASTA) that lie nearest to each query; returns the number of hits.

    A protein is the mean of its crops of M residues, a window (and a DNA query, cut into windows) the mean of its two
    strands: unit vectors, so that similarity is a cosine. Windows overlap by half, so neighbours may both be hits; only
    the best hits are held in memory. Raises InputError.
    """
    files.refuse_other_than_table(out, "hits")
    model = open_run(path, device, threads)
    if str(query) == "-":
        raise InputError("standard input: a query is read twice; expected a file")
    if kind == "auto":
        kind = "dna" if is_dna(query) else "protein"
    if kind == "dna":
        dna = {record.name: record.tokens for record in fasta.records(query)}
        names, of_QP = list(dna), [dna_query(model, tokens) for tokens in dna.values()]
    else:
        proteins = read_proteins(query)
        names, of_QP = list(proteins), [protein_query(model, residues) for residues in proteins.values()]
    if inputs.is_table(Path(genomes)):
        raise InputError(f"{genomes}: is a table; expected a token store or FASTA")
    length = model.settings.length
    items = inputs.read(genomes, length, settings.step or max(1, length // 2))
    hits = _nearest(model, torch.stack(of_QP), items, settings.top)
    table = pd.DataFrame(
        [
            {"query": name, "rank": rank, **place, "similarity": round(similarity, 6)}
            for name, found in zip(names, hits, strict=True)
            for rank, (similarity, place) in enumerate(found, 1)
        ]
    )
    files.write_tsv(out, table)
    store = Path(genomes) / "store.json"
    used = {"encoder": checkpoint.encoder_folder(path) / "encoder.safetensors"}
    used |= {"query": Path(query), "genomes": store if store.is_file() else Path(genomes)}
    given = {"run": path, "query": query, "genomes": genomes, "out": out, "kind": kind, "device": device}
    given["threads"] = threads
    files.write_provenance(out, "retrieve", settings, used, given=given)
    return len(table)


def is_dna(path: str | Path) -> bool:
    """Whether nine in ten letters of a FASTA file's first 64 KiB are A, C, G, T, U or N; of proteins a third are."""
    with Source(path) as source:
        lines = source.head.decode("latin-1").split("\n")
    letters = re.sub(r"[^A-Z]", "", "".join(line for line in lines if not line.startswith(">")).upper())
    return sum(map(letters.count, "ACGTUN")) >= 0.9 * len(letters)


@torch.inference_mode()
def window_vectors(model: CLIP, tokens_NL: Tensor) -> Tensor:
    """Unit vectors of windows, the mean of both strands, (N, P)."""
    tokens_NL = tokens_NL.to(model.log_scale.device)
    both = [F.normalize(model.windows(t), dim=-1) for t in (tokens_NL, reverse_complement(tokens_NL))]
    return F.normalize(both[0] + both[1], dim=-1)


@torch.inference_mode()
def protein_vectors(model: CLIP, protein_NM: Tensor) -> Tensor:
    """Unit vectors of proteins of one length, (N, P)."""
    return F.normalize(model.other(protein_NM.to(model.log_scale.device)), dim=-1)


def protein_query(model: CLIP, residues: np.ndarray) -> Tensor:
    """One protein of any length, (P,): the mean over crops of M residues, the last of which ends with the protein."""
    m = model.settings.residues
    crops = np.stack([residues[at : at + m] for at in inputs.starts(len(residues), m, m)])
    return F.normalize(protein_vectors(model, torch.from_numpy(crops)).mean(0), dim=0)


def dna_query(model: CLIP, tokens: np.ndarray) -> Tensor:
    """DNA of any length, (P,): the mean over windows, the last of which ends with the query."""
    length = model.settings.length
    at = inputs.starts(len(tokens), length, length)
    return F.normalize(window_vectors(model, _padded([tokens[i : i + length] for i in at], length)).mean(0), dim=0)


def _padded(windows: list[np.ndarray], length: int) -> Tensor:
    """uint8 (n, length); a contig shorter than a window is filled up with N."""
    tokens_NL = np.full((len(windows), length), N, np.uint8)
    for row, window in zip(tokens_NL, windows, strict=True):
        row[: len(window)] = window
    return torch.from_numpy(tokens_NL)


def _nearest(
    model: CLIP, query_QP: Tensor, items: Iterator[inputs.Item], top: int
) -> list[list[tuple[float, dict[str, Any]]]]:
    """For each query the `top` most similar windows with their places; of equal ones the first."""
    best: list[list[tuple[float, dict[str, Any]]]] = [[] for _ in query_QP]
    with files.progress(desc="retrieve", unit="window") as bar:
        while rows := list(islice(items, BATCH)):
            windows_NP = window_vectors(model, _padded([item.tokens for item in rows], model.settings.length))
            similarity_QN = (query_QP @ windows_NP.T).cpu()
            nearest = similarity_QN.sort(dim=1, descending=True, stable=True)
            values_QK, at_QK = nearest.values[:, :top].tolist(), nearest.indices[:, :top].tolist()
            for found, values, at in zip(best, values_QK, at_QK, strict=True):
                new = [(value, _place(rows[i].row)) for value, i in zip(values, at, strict=True)]
                found[:] = sorted(found + new, key=lambda hit: -hit[0])[:top]
            bar.update(len(rows))
    return best


def _place(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("genome", "contig", "start", "end") if name in row}


# ---- evaluation


def evaluate(
    path: str | Path,
    store_folder: str | Path,
    settings: Settings = Settings(),
    out: str | Path | None = None,
    fitted_on: str | Path | None = None,
    device: str = "auto",
    threads: int = 0,
) -> list[str]:
    """Lines that say how often, in genomes held out, DNA finds its protein and a protein its DNA; a table for `out`.

    Beside the run stands composition: the amino acids that a ridge regression expects from 4-mer frequencies, fitted on
    the genes that the run learnt from (in `fitted_on`, a store; default: the run's own). Intervals are bootstraps over
    genomes. Raises InputError.
    """
    if out is not None:
        files.refuse_other_than_table(out, "scores")
    model, about = open_run(path, device, threads), checkpoint.describe(path)
    s = model.settings
    store = TokenStore.open(store_folder)
    genes = Genes(store, _rows(store, settings.splits), s.length, s.residues, s.code)
    learnt = _training_store(path, about, fitted_on)
    if store.checksum() == learnt.checksum() and set(settings.splits) & set(about["pretrain"]["train_splits"]):
        log.warning("retrieve: the run has learnt from genomes of the splits %s", ", ".join(settings.splits))
    known = Genes(learnt, _rows(learnt, about["pretrain"]["train_splits"]), s.length, s.residues, s.code)
    batch = held_out(genes, settings.genes, generator(settings.seed, 0, CROPS), s.strand)
    fit = held_out(known, TRAINING_GENES, generator(settings.seed, 1, CROPS), s.strand)
    assert batch.protein is not None
    windows, proteins = batch.tokens.split(BATCH), batch.protein.split(BATCH)
    similarity_NN = {
        "clip": (
            torch.cat([window_vectors(model, tokens) for tokens in windows])
            @ torch.cat([protein_vectors(model, protein) for protein in proteins]).T
        ).cpu().numpy(),
        "composition": composition_similarity(fit, batch),
    }  # fmt: skip
    unit_N = np.unique(batch.genome.numpy(), return_inverse=True)[1]
    weights_RU = resample(np.zeros(unit_N.max() + 1, int), settings.replicates, generator(settings.seed, 0, RESAMPLING))
    rows, replicates = _table(similarity_NN, unit_N, weights_RU)
    n, genomes = len(batch.tokens), int(unit_N.max()) + 1
    table = pd.DataFrame(rows).assign(genes=n, genomes=genomes)
    if out is not None:
        files.write_tsv(out, table)
        used = {"encoder": checkpoint.encoder_folder(path) / "encoder.safetensors"}
        used |= {"store": Path(store_folder) / "store.json", "fitted on": learnt.folder / "store.json"}
        given = {"run": path, "evaluate": store_folder, "out": out, "fitted_on": fitted_on, "device": device}
        given["threads"] = threads
        files.write_provenance(out, "retrieve", settings, used, settings.seed, given)
    return [*_lines(table, n, genomes), _verdict(replicates, genomes)]


def held_out(genes: Genes, n: int, rng: np.random.Generator, strand: float) -> Batch:
    """Crops of at most n genes with different proteins, their DNA on either strand."""
    different = np.unique(genes.gene, return_index=True)[1]
    batch = genes.crops(rng.permutation(different)[:n], rng)
    return dataclasses.replace(batch, tokens=either_strand(batch.tokens, strand, rng))


def ranks(similarity_NN: np.ndarray) -> np.ndarray:
    """The place of each row's partner, the column of the same index, from 1; ties count against it."""
    return (similarity_NN >= similarity_NN.diagonal()[:, None]).sum(1)


def composition_similarity(fit: Batch, batch: Batch) -> np.ndarray:
    """What composition alone says: cosines of expected and found amino-acid frequencies, (N, N), DNA by protein.

    A ridge regression from canonical 4-mer frequencies, its strength by cross-validation, on standardised columns.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    x_scale, y_scale = StandardScaler(), StandardScaler()
    x_NV, y_NA = x_scale.fit_transform(_four_mers(fit)), y_scale.fit_transform(_amino_acids(fit))
    ridge = RidgeCV(np.logspace(-1, 6, 15)).fit(x_NV, y_NA)
    expected_NA = np.asarray(ridge.predict(x_scale.transform(_four_mers(batch))))
    found_NA = np.asarray(y_scale.transform(_amino_acids(batch)))
    expected_NA, found_NA = (
        a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-12) for a in (expected_NA, found_NA)
    )
    return expected_NA @ found_NA.T


def _four_mers(batch: Batch) -> np.ndarray:
    return kmers.profiles(list(batch.tokens.numpy()), 4)


def _amino_acids(batch: Batch) -> np.ndarray:
    assert batch.protein is not None
    return np.stack([(batch.protein == a).float().mean(1).numpy() for a in range(len(RESIDUES))], 1)


def _rows(store: TokenStore, splits: Any) -> np.ndarray:
    rows = store.select(set(splits))
    if not len(rows):
        found = ", ".join(split or "none given" for split in sorted(set(store.genomes["split"])))
        wanted = ", ".join(split or "none given" for split in splits)
        raise InputError(f"{store.folder}: no genome of split {wanted}; found {found}")
    return rows


def _training_store(path: str | Path, about: dict[str, Any], given: str | Path | None) -> TokenStore:
    """The store that the run learnt from, where it was or where it is said to be."""
    if given is None:
        given = Path(
            files.read_json(checkpoint.encoder_folder(path) / "run.provenance.json")["inputs"]["store"]["path"]
        )
        given = given.parent
        if not is_store(given):
            raise InputError(f"{path}: its store is no longer at {given}; say where: --fitted-on STORE")
        store = TokenStore.open(given)
        if store.checksum() != about["store"]:
            raise InputError(
                f"{given}: is not the store any more that {path} learnt from; say which: --fitted-on STORE"
            )
        return store
    return TokenStore.open(given)


def _metrics(rank_N: np.ndarray, weight_N: np.ndarray) -> dict[str, float]:
    """Shares of partners among the first, and the median rank, of weighted genes."""
    share = {f"recall@{k}": float(weight_N[rank_N <= k].sum() / weight_N.sum()) for k in FIRST}
    order = np.argsort(rank_N, kind="stable")
    middle = np.searchsorted(weight_N[order].cumsum(), weight_N.sum() / 2)
    return {**share, "median rank": float(rank_N[order][min(middle, len(order) - 1)])}


def _table(
    similarity_NN: dict[str, np.ndarray], unit_N: np.ndarray, weights_RU: np.ndarray
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """One row per method, direction and metric; by method the mean recall@10 of both directions: of all, then drawn."""
    n = len(unit_N)
    rows, kept = [], {}
    for name, similarity in similarity_NN.items():
        both = []
        for direction, sim in (("dna to protein", similarity), ("protein to dna", similarity.T)):
            rank_N = ranks(sim)
            values = _metrics(rank_N, np.ones(n))
            drawn = [_metrics(rank_N, weights[unit_N]) for weights in weights_RU]
            for metric, value in values.items():
                low, high = interval(np.array([d[metric] for d in drawn]))
                rows.append(_row(name, direction, metric, value, low, high))
            both.append([values["recall@10"], *(d["recall@10"] for d in drawn)])
        kept[name] = np.mean(both, 0)
    for direction in ("dna to protein", "protein to dna"):
        rows += [_row("chance", direction, f"recall@{k}", min(1.0, k / n)) for k in FIRST]
        rows.append(_row("chance", direction, "median rank", (n + 1) / 2))
    return rows, kept


def _row(method: str, direction: str, metric: str, value: float, low: Any = None, high: Any = None) -> dict[str, Any]:
    return {"method": method, "direction": direction, "metric": metric, "value": value, "low": low, "high": high}


def _lines(table: pd.DataFrame, n: int, genomes: int) -> list[str]:
    lines = [f"{n:,} genes of {genomes} genomes; 95 % intervals over genomes"]
    for (direction, method), rows in table.groupby(["direction", "method"], sort=False):
        told = [
            f"{row['metric']} {row['value']:.4g}"
            + ("" if pd.isna(row["low"]) or genomes < 2 else f" [{row['low']:.4g}, {row['high']:.4g}]")
            for row in rows.to_dict("records")
        ]
        lines.append(f"{direction}, {method}: {', '.join(told)}")
    return lines


def _verdict(recall: dict[str, np.ndarray], genomes: int) -> str:
    """Which of the two is better, in words; of recall@10, the mean of both directions."""
    ours, theirs = recall["clip"][0], recall["composition"][0]
    told = f"the partner is among the first 10 for {ours:.1%} of genes, by composition alone for {theirs:.1%}"
    if genomes < 2:
        return f"{told}; one genome shows no spread, so nothing is said of which is better"
    low, high = interval(recall["clip"][1:] - recall["composition"][1:])
    told += f" (difference {ours - theirs:+.1%}, interval {low:+.1%} to {high:+.1%})"
    if low > 0:
        return f"{told}: clip is better than composition"
    return f"{told}: {'composition is better than clip' if high < 0 else 'no difference that these genomes can tell'}"
