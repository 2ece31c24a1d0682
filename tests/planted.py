"""Genomes with structure that we planted, so that we know what can be learnt and what cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from genossl.genome.alphabet import decode
from genossl.genome.store import Writer


def markov(rng: np.random.Generator, order: int, sharpness: float) -> np.ndarray:
    """Transition probabilities (4**order, 4) of a random source; a larger sharpness is further from uniform."""
    logits = rng.normal(size=(4**order, 4)) * sharpness
    weights = np.exp(logits)
    return weights / weights.sum(1, keepdims=True)


def sample(rng: np.random.Generator, transitions: np.ndarray, length: int) -> np.ndarray:
    """Bases uint8 (length,) of a Markov source."""
    states = len(transitions)
    thresholds = transitions.cumsum(1)[:, :3].tolist()  # plain lists: ten times as fast as arrays, base by base
    uniform = rng.random(length).tolist()
    tokens = bytearray(length)
    context = int(rng.integers(states))
    for i, x in enumerate(uniform):
        a, b, c = thresholds[context]
        base = (x >= a) + (x >= b) + (x >= c)
        tokens[i] = base
        context = (context * 4 + base) % states
    return np.frombuffer(tokens, np.uint8)


def symmetric(rng: np.random.Generator, k: int, sharpness: float) -> np.ndarray:
    """Transitions of a source of order k - 1 whose k-mers are about as frequent as their reverse complements."""
    logits = rng.normal(size=4**k) * sharpness
    code = np.arange(4**k)
    other, rest = np.zeros_like(code), code.copy()
    for _ in range(k):
        other, rest = other * 4 + (3 - rest % 4), rest // 4
    weights = np.exp((logits + logits[other]) / 2**0.5).reshape(-1, 4)
    return weights / weights.sum(1, keepdims=True)


def write_fasta(path: Path, contigs: dict[str, np.ndarray]) -> Path:
    with path.open("w") as stream:
        for name, tokens in contigs.items():
            letters = decode(tokens)
            stream.write(f">{name}\n")
            stream.writelines(f"{letters[i : i + 80]}\n" for i in range(0, len(letters), 80))
    return path


def store(folder: Path, genomes: dict[str, tuple[str, list[np.ndarray]]]) -> Path:
    """A token store: genome -> its split and the tokens of its contigs."""
    folder.mkdir(parents=True)
    with Writer(folder) as writer:
        for genome, (_, contigs) in genomes.items():
            for i, tokens in enumerate(contigs):
                writer.begin(genome, f"{genome}_{i}", "planted")
                writer.append(tokens)
                writer.end()
        table = pd.DataFrame({"genome": list(genomes), "split": [split for split, _ in genomes.values()]})
        writer.close(table, None, {"genomes": []})
    return folder


def collection(folder: Path, sources: dict[str, np.ndarray], contigs: int, length: int, seed: int) -> Path:
    """A manifest with, per source, genomes for train, validation and test of `contigs` contigs each."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["genome\tpath\tsplit\tspecies"]
    for name, transitions in sources.items():
        for split in ("train", "validation", "test"):
            genome = f"{name}_{split}"
            write_fasta(
                folder / f"{genome}.fa", {f"{genome}_{i}": sample(rng, transitions, length) for i in range(contigs)}
            )
            lines.append(f"{genome}\t{genome}.fa\t{split}\t{name}")
    sheet = folder / "genomes.tsv"
    sheet.write_text("\n".join(lines) + "\n")
    return sheet


def reads(folder: Path, wanted: dict[str, int]) -> None:
    """Two planted species in data/genomes.tsv, and the task of telling so many 200-base reads of each split apart."""
    rng = np.random.default_rng(0)
    sources = {name: symmetric(rng, 3, 1.0) for name in ("alpha", "beta")}
    collection(folder / "data", sources, contigs=2, length=4000, seed=0)
    lines = ["id\tlabel\tgenome\tcontig\tstart\tend\tstrand\tsplit"]
    for name in sources:
        for split, n in wanted.items():
            for i in range(n):
                start, genome = int(rng.integers(3800)), f"{name}_{split}"
                place = f"{genome}\t{genome}_{i % 2}\t{start}\t{start + 200}\t{'+-'[i % 2]}"
                lines.append(f"{genome}{i}\t{name}\t{place}\t{split}")
    (folder / "reads.tsv").write_text("\n".join(lines) + "\n")
    (folder / "tasks.tsv").write_text("task\tpath\nreads\treads.tsv\n")
