"""Run of causal_lm and sequences to bits per base, beside Markov models of the same training genomes.

A record's bits are -log2 P of its known bases over their number, read from its first base to its last with the state
carried on; `bits` is the mean of both strands, for the model and the Markov models alike. N is read and not scored.
"""

# B sequences, L bases, K orders, U units of resampling

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from genossl import files
from genossl.errors import InputError
from genossl.evaluation.scores import interval
from genossl.genome import inputs, markov
from genossl.genome.alphabet import N, decode, encode, reverse_complement
from genossl.genome.inputs import Item
from genossl.genome.store import TokenStore, is_store
from genossl.genome.variants import Variant, read_vcf
from genossl.methods.causal_lm import CausalLM
from genossl.model import checkpoint
from genossl.model.encoder import encoder_device
from genossl.model.likelihood import log2_likelihoods
from genossl.recipe import load_method

log = logging.getLogger("genossl")
HELD = 1 << 24  # bases of records held at once, beside a longer one
ALLELES = 256  # scored at once
COLUMNS = ("contig", "pos", "ref", "alt", "delta_forward", "delta_reverse", "delta")
Sums = dict[str, np.ndarray]  # genome or record -> known bases, bits of the model, bits of each Markov model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Section `score`."""

    orders: tuple[int, ...] = (0, 1, 2, 3, 5, 8)  # of the Markov models, 0 to 12
    splits: tuple[str, ...] = ()  # of a store, the splits whose genomes are scored; none: all genomes
    window: int = 500  # bases read around a variant, half of them before it
    replicates: int = 1000  # of the bootstrap
    seed: int = 0  # of the bootstrap

    def __post_init__(self) -> None:
        if not self.orders or not all(0 <= order <= markov.HIGHEST for order in self.orders):
            raise ValueError(f"orders must be numbers from 0 to {markov.HIGHEST}, at least one")
        if self.window < 1 or self.replicates < 100 or self.seed < 0:
            raise ValueError("window must be at least 1, replicates at least 100 and seed at least 0")


def run(
    run_folder: str | Path,
    source: str | Path,
    out: str | Path,
    settings: Settings,
    store: str | Path | None = None,
    variants: str | Path | None = None,
    device: str = "auto",
    threads: int = 0,
) -> list[str]:
    """Write the table of records `out`, and with `variants` (VCF) a second one beside it; returns what was found.

    `store` holds the genomes that the Markov models learn from, of the splits that the run learnt from; where `source`
    is the store of the run it need not be named. Raises InputError.
    """
    out = Path(out)
    files.refuse_other_than_table(out, "scores")
    if variants is not None and str(out) == "-":
        raise InputError("--variants makes a second table; give --out a name for both")
    if threads:
        torch.set_num_threads(threads)
    model, about = load_method(run_folder, str(encoder_device(device))), checkpoint.describe(run_folder)
    if not isinstance(model, CausalLM):
        raise InputError(f"{run_folder}: is of {about['method']}; expected causal_lm")
    of_store = TokenStore.open(source) if is_store(source) else None
    if of_store is None and settings.splits:
        raise InputError(f"{source}: score.splits chooses genomes of a token store, and this is none")
    if of_store is None and inputs.is_table(Path(source)):
        raise InputError(f"{source}: is a labelled table; expected FASTA or a token store")
    if variants is not None and str(source) == "-":
        raise InputError("standard input cannot be read twice, as --variants asks; give the sequences as a file")
    training = TokenStore.open(store) if store is not None else None
    if training is None and of_store is not None and of_store.checksum() == about["store"]:
        training = of_store
    splits = set(about["pretrain"]["train_splits"])
    baselines = _fitted(training, splits, max(settings.orders)) if training else None
    if training and training.checksum() != about["store"]:
        log.warning("%s: is not the store that %s learnt from; the Markov models learn from it", store, run_folder)
    told = []
    if variants is not None:
        told.append(_score_variants(model, source, settings, variants, files.beside(out, "variants")))
    found = _score_records(model, _items(source, settings), out, settings, baselines, _learnt(training, splits))
    told += _summary(found, settings, baselines is not None, "genome" if of_store else "record")
    folder = checkpoint.encoder_folder(run_folder)
    used = {
        "encoder": folder / "encoder.safetensors", "heads": folder / "heads.safetensors", "input": source,
        "store": store, "variants": variants,
    }  # fmt: skip
    given = {"run": run_folder, "source": source, "out": out, "store": store, "variants": variants}
    given |= {"device": device, "threads": threads}
    files.write_provenance(out, "score", settings, used, settings.seed, given)
    return told


def _items(source: str | Path, settings: Settings) -> Iterator[Item]:
    """Whole records; of a store those of the chosen splits."""
    chosen = None
    if settings.splits:
        genomes = TokenStore.open(source).genomes
        chosen = set(genomes["genome"][genomes["split"].isin(settings.splits)])
        if not chosen:
            raise InputError(f"{source}: no genome of split {', '.join(settings.splits)}")
    for item in inputs.read(source, 0, 0):
        if chosen is None or item.row["genome"] in chosen:
            yield item


def _fitted(store: TokenStore, splits: set[str], order: int) -> markov.Markov:
    """A Markov model of the store's training genomes."""
    model, rows = markov.Markov(order), store.contigs.iloc[store.select(splits)]
    if not len(rows):
        raise InputError(f"{store.folder}: no genome to learn from; expected a split of {', '.join(sorted(splits))}")
    for row in files.progress(rows.index, desc=f"count {order + 1}-mers", unit="contig"):
        model.read(store.whole(row))
    return model


def _learnt(store: TokenStore | None, splits: set[str]) -> set[str]:
    """Checksums of the contigs that were learnt from."""
    return set() if store is None else set(store.contigs["sha256"].iloc[store.select(splits)])


def _score_records(
    model: CausalLM,
    items: Iterator[Item],
    out: Path,
    settings: Settings,
    baselines: markov.Markov | None,
    learnt: set[str],
) -> Sums:
    """Write the table of records."""
    sums: Sums = {}
    orders, records, seen = list(settings.orders), 0, 0
    with files.text(out) as stream, files.progress(desc="score", unit="base") as bar:
        for group in _groups(items):
            strands = [[item.tokens for item in group], [reverse_complement(item.tokens) for item in group]]
            bits_2B = -log2_likelihoods(model, strands[0] + strands[1]).reshape(2, -1)
            for item, other_L, (forward, reverse) in zip(group, strands[1], bits_2B.T, strict=True):
                known = int((item.tokens < N).sum())
                row = {name: item.row[name] for name in ("genome", "contig") if name in item.row}
                row |= {"length": len(item.tokens), "known": known}
                bits = {"bits_forward": forward, "bits_reverse": reverse, "bits": (forward + reverse) / 2}
                if baselines:
                    both_K = (baselines.bits(item.tokens) + baselines.bits(other_L))[orders] / 2
                    bits |= {f"markov{order}": value for order, value in zip(orders, both_K, strict=True)}
                row |= {name: f"{value / known:.6f}" if known else "" for name, value in bits.items()}
                if not records:
                    stream.write("\t".join(row) + "\n")
                stream.write("\t".join(map(str, row.values())) + "\n")
                # of a genome its contigs together, else of each record: what the bootstrap draws
                unit = item.row.get("genome", item.row["contig"])
                counts = np.array([known, *list(bits.values())[2:]])
                sums[unit] = sums.get(unit, 0) + counts
                seen += bool(learnt) and hashlib.sha256(item.tokens.tobytes()).hexdigest() in learnt
                records += 1
                bar.update(len(item.tokens))
    if seen:
        log.warning("%d of %d records were learnt from: their bits flatter the model and the counts", seen, records)
    return sums


def _groups(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Records that are scored together: HELD bases, or one longer record."""
    group: list[Item] = []
    bases = 0
    for item in items:
        if group and bases + len(item.tokens) > HELD:
            yield group
            group, bases = [], 0
        group.append(item)
        bases += len(item.tokens)
    if group:
        yield group


def _summary(sums: Sums, settings: Settings, fitted: bool, unit: str) -> list[str]:
    """What all records say together, in words; a difference with the 95 % interval of a bootstrap over its units."""
    sums_UX = np.array(list(sums.values()))
    known, model, *others = sums_UX.sum(0)
    if not known:
        return ["no known base, nothing to score"]
    told = f"{model / known:.4f} bits per base, mean of both strands, over {known:,.0f} known bases; 2 is guessing"
    if not fitted:
        return [told, "no Markov models beside it: name the store of the training genomes, --store STORE"]
    best = int(np.argmin(others))
    gain_U, rng = sums_UX[:, 2 + best] - sums_UX[:, 1], np.random.default_rng(settings.seed)
    gain, n = gain_U.sum() / known, len(gain_U)
    named = f"the best Markov model, of order {settings.orders[best]} ({others[best] / known:.4f})"
    if n == 1:
        return [told, f"{named}, differs by {gain:+.4f} bits per base; one {unit}, so there is no interval"]
    draws_RU = (rng.multinomial(n, np.full(n, 1 / n)) for _ in range(settings.replicates))
    low, high = interval(np.array([(draw_U @ gain_U) / max(draw_U @ sums_UX[:, 0], 1) for draw_U in draws_RU]))
    by = f"{abs(gain):.4f} bits per base, 95 % interval over {n} {unit}s"
    if low > 0:
        return [told, f"better than {named}, by {by} {low:.4f} to {high:.4f}"]
    if high < 0:
        return [told, f"{named}, is better by {by} {-high:.4f} to {-low:.4f}"]
    return [
        told,
        f"no difference shown from {named}: {gain:+.4f} bits per base, 95 % interval {low:+.4f} to {high:+.4f}",
    ]


# ---- variants


class _Allele(NamedTuple):
    """An alternative, and what is read with it and without."""

    variant: Variant
    alt: str
    reference_L: np.ndarray
    alternative_L: np.ndarray


def _score_variants(model: CausalLM, source: str | Path, settings: Settings, path: str | Path, out: Path) -> str:
    """Write the table of variants: log2 P with the alternative minus with the reference, on either strand."""
    lines: dict[str, list[Variant]] = {}
    skipped = 0
    for variant in read_vcf(path):
        lines.setdefault(variant.contig, []).append(variant)
        skipped += variant.skipped
    for _ in _alleles(source, settings, lines, path):  # all mistakes before the first score
        pass
    alleles, rows = _alleles(source, settings, lines, path), []
    with files.progress(desc="score variants", unit="allele") as bar:
        while some := list(islice(alleles, ALLELES)):
            forward = [tokens for allele in some for tokens in (allele.alternative_L, allele.reference_L)]
            bits = log2_likelihoods(model, forward + [reverse_complement(tokens) for tokens in forward])
            delta_2A = -np.diff(bits.reshape(2, -1, 2))[..., 0]
            rows += [(a.variant, a.alt, *delta_2A[:, i], delta_2A[:, i].mean()) for i, a in enumerate(some)]
            bar.update(len(some))
    rows.sort(key=lambda row: row[0].line)
    with files.text(out) as stream:
        stream.write("\t".join(COLUMNS) + "\n")
        for v, alt, *deltas in rows:
            stream.write("\t".join([v.contig, str(v.start + 1), v.ref, alt, *(f"{d:.6f}" for d in deltas)]) + "\n")
    skipped += sum(len(v.alts) for of in lines.values() for v in of) - len(rows)
    if skipped:
        log.warning("%s: %d alleles skipped; only substitutions of known bases are scored", path, skipped)
    return f"{out}: {len(rows)} alleles, {skipped} skipped"


def _alleles(
    source: str | Path, settings: Settings, lines: dict[str, list[Variant]], path: str | Path
) -> Iterator[_Allele]:
    """Each alternative with `window` bases around it, by record. Raises InputError where file and sequence differ."""
    found, half = set(), settings.window // 2
    for item in _items(source, settings):
        name = item.row["contig"]
        if name in found:
            raise InputError(f"{source}: contig {name!r} of {path} is in several genomes, expected one")
        for v in lines.get(name, []):
            found.add(name)
            end, where = v.start + len(v.ref), f"{path} line {v.line}"
            if end > len(item.tokens):
                raise InputError(f"{where}: found position {v.start + 1}; {name!r} has {len(item.tokens):,} bases")
            here, wanted = item.tokens[v.start : end], encode(v.ref)
            if ((here != wanted) & (here < N)).any():
                raise InputError(
                    f"{where}: found REF {v.ref!r}, expected {decode(here)!r} as in {source} at {name}:{v.start + 1}"
                )
            first = max(0, v.start - half)
            reference_L = np.array(item.tokens[first : end + half])
            for alt in v.alts if (here < N).all() else ():
                alternative_L = reference_L.copy()
                alternative_L[v.start - first : end - first] = encode(alt)
                yield _Allele(v, alt, reference_L, alternative_L)
    if missing := sorted((of[0].line, name) for name, of in lines.items() if name not in found):
        raise InputError(f"{path} line {missing[0][0]}: found contig {missing[0][1]!r}, which {source} has not")
