"""Sequences and a few seeds to labels, by Yarowsky's algorithm on k-mers; the rules it found lie beside them."""

# N windows, F kinds of k-mer, K classes, M motifs

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import splits, yarowsky
from genossl.genome import inputs, kmers
from genossl.genome.alphabet import LETTERS, decode
from genossl.genome.labels import read_labels

IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "U": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
OTHER_STRAND = str.maketrans("ACGTURYSWKMBDHVN", "TGCAAYRSWMKVHDBN")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(yarowsky.Settings):
    """Section `label`: what is labelled and by what, beside how careful the rules are."""

    k: int = 8  # bases of the k-mers that become rules; a k-mer and its reverse complement are one
    window: int = 500  # bases of a window of FASTA or a store; 0: whole records
    step: int = 0  # bases from one window to the next; 0: as the window

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.k <= 12 or self.window < 0 or self.step < 0:
            raise ValueError("k must be from 1 to 12, window and step at least 0")


@dataclasses.dataclass(frozen=True)
class Seeds:
    """The classes, and the class number of each window that is a seed (else yarowsky.UNDECIDED)."""

    classes: list[str]
    label_N: np.ndarray
    note: str = ""


def run(
    source: str | Path,
    out: str | Path,
    settings: Settings,
    seeds: str | Path | None = None,
    motifs: str | Path | None = None,
    sequences: str | Path | None = None,
) -> list[str]:
    """Label the windows of `source` from the few of `seeds` or those with `motifs`; write out (.tsv) and .rules.tsv.

    Returns lines that say what was done. Raises InputError, also where the seeds are too few to go on.
    """
    out = Path(out)
    files.refuse_other_than_table(out, "labels")
    if (seeds is None) == (motifs is None):
        raise InputError("expected either --seeds or --motifs")
    items = list(inputs.read(source, settings.window, settings.step, sequences))
    if not items:
        raise InputError(f"{source}: holds no sequence")
    rows = [item.row for item in items]
    found = read_seeds(seeds, rows) if seeds is not None else read_motifs(str(motifs), items)
    has_NF = presence([item.tokens for item in items], settings.k)
    made = yarowsky.run(has_NF, found.label_N, len(found.classes), groups(Path(source), rows), settings)
    names = np.array([*found.classes, ""], dtype=object)  # UNDECIDED is the last
    ids = [row["id"] for row in rows]
    table = {"id": ids, "label": names[made.label_N], "score": made.score_N.round(4), "how": made.how_N}
    rules = rules_table(made, found.classes, settings.k)
    if str(out) == "-":
        files.write_tsv(out, pd.DataFrame(table))
    else:
        files.clear([files.beside(out, "rules")])
        files.write_tsv(out, pd.DataFrame(table))
        files.write_tsv(files.beside(out, "rules"), rules)
    beside = {"seeds": seeds, "motifs": motifs, "sequences": sequences}
    given = {"source": source, "out": out, **beside}
    files.write_provenance(out, "label", settings, {"input": source, **beside}, given=given)
    return summary(made, found, len(rules))


def summary(made: yarowsky.Labelling, seeds: Seeds, n_rules: int) -> list[str]:
    """What became of the windows, in a few lines."""
    how = {name: int((made.how_N == name).sum()) for name in ("seed", "rules", "genome", "")}
    counts = [f"{name} {(made.label_N == k).sum():,}" for k, name in enumerate(seeds.classes)]
    lines = [seeds.note] if seeds.note else []
    return [
        *lines,
        f"{made.coverage:.1%} of {len(made.label_N):,} windows labelled: {how['seed']:,} seeds, {how['rules']:,} by "
        f"rules, {how['genome']:,} by their genome; {how['']:,} undecided",
        f"{', '.join(counts)}; {made.rounds} rounds, {n_rules:,} rules, one class per genome: "
        f"{'yes' if made.one_sense else 'no'}",
    ]


def presence(sequences: list[np.ndarray], k: int) -> sparse.csr_array:
    """Which kinds of k-mer each sequence has, on either strand: 1 or 0, (N, F)."""
    import torch

    kind, v = kmers.kinds(k)
    kind = np.append(kind, v)
    found = [
        np.setdiff1d(kind[kmers.codes(torch.from_numpy(np.array(tokens, copy=True))[None], k)[0].numpy()], [v])
        if len(tokens) >= k
        else np.array([], dtype=np.int64)
        for tokens in sequences
    ]
    ends = np.cumsum([0, *map(len, found)])
    return sparse.csr_array((np.ones(ends[-1]), np.concatenate(found), ends), shape=(len(sequences), v))


def rules_table(made: yarowsky.Labelling, classes: list[str], k: int) -> pd.DataFrame:
    """Every k-mer that speaks for a class, strongest first; count and other: labelled windows of that class and not."""
    kind, _ = kmers.kinds(k)
    _, code_F = np.unique(kind, return_index=True)  # the lower code of the two strands
    f, c = np.nonzero(made.score_FK > 0)
    order = np.lexsort((f, -made.score_FK[f, c]))
    f, c = f[order], c[order]
    letters = LETTERS[(code_F[f, None] // 4 ** np.arange(k - 1, -1, -1)) % 4]
    count = made.count_FK[f, c]
    columns = {
        "kmer": [row.tobytes().decode() for row in letters],
        "label": np.array(classes, dtype=object)[c],
        "score": made.score_FK[f, c].round(4),
        "count": count.astype(int),
        "other": (made.count_FK[f].sum(1) - count).astype(int),
    }
    return pd.DataFrame(columns)


def groups(source: Path, rows: list[dict[str, Any]]) -> np.ndarray:
    """Number of the genome of each row: what a labelled table or a store says, else the contig, else each its own."""
    if inputs.is_table(source):
        table = read_labels(source)
        names = splits.group_names(table)
        if names is None:
            names = table["contig" if "contig" in table else "id"].to_numpy(dtype=object)
    else:
        names = np.array([row.get("genome") or row["contig"] for row in rows], dtype=object)
    return np.unique(names.astype(str), return_inverse=True)[1]


def read_seeds(path: str | Path, rows: list[dict[str, Any]]) -> Seeds:
    """Seed labels from a table of id and label; an id is a window's, or a contig's or genome's: all its windows."""
    table = files.read_sheet(path, ("id", "label"))
    at: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        contig = [row["id"].rpartition(":")[0]] if row["id"].endswith(f":{row.get('start')}-{row.get('end')}") else []
        for name in dict.fromkeys([row["id"], *contig, *filter(None, [row.get("genome")])]):
            at.setdefault(name, []).append(i)
    classes = _classes(path, table)
    label_N = np.full(len(rows), yarowsky.UNDECIDED)
    for number, (name, label) in enumerate(zip(table["id"], table["label"], strict=True), 1):
        if name not in at:
            raise InputError(
                f"{path} row {number}: id {name!r} is no window (such as {rows[0]['id']!r}), contig or genome"
            )
        k = classes.index(label)
        for i in at[name]:
            if label_N[i] not in (yarowsky.UNDECIDED, k):
                raise InputError(
                    f"{path} row {number}: {rows[i]['id']!r} is labelled {label!r} and {classes[label_N[i]]!r}"
                )
            label_N[i] = k
    return Seeds(classes, label_N)


def read_motifs(path: str, items: list[inputs.Item]) -> Seeds:
    """Seeds from a table of label and motif (IUPAC letters): windows with motifs of one class, on either strand.

    A motif of two classes is dropped, and so is a window with motifs of two classes.
    """
    table = files.read_sheet(path, ("label", "motif"))
    classes = _classes(path, table)
    class_of: dict[str, set[str]] = {}
    for number, (label, motif) in enumerate(zip(table["label"], table["motif"], strict=True), 1):
        motif = motif.upper().replace("U", "T")
        if bad := sorted(set(motif) - set(IUPAC)):
            raise InputError(
                f"{path} row {number}: motif {motif!r} has the letter {bad[0]!r}; expected {''.join(IUPAC)}"
            )
        if not motif:
            raise InputError(f"{path} row {number}: empty motif")
        class_of.setdefault(min(motif, motif.translate(OTHER_STRAND)[::-1]), set()).add(label)
    kept = {motif: labels.copy().pop() for motif, labels in class_of.items() if len(labels) == 1}
    patterns = [re.compile(f"{_pattern(m)}|{_pattern(m.translate(OTHER_STRAND)[::-1])}") for m in kept]
    letters = [decode(item.tokens) for item in items]
    has_NM = np.array([[bool(p.search(text)) for p in patterns] for text in letters]).reshape(len(items), len(kept))
    class_M = np.array([classes.index(label) for label in kept.values()], dtype=np.int64)
    label_N = yarowsky.seeds_of_marks(has_NM, class_M, len(classes))
    for k, name in enumerate(classes):
        if not (label_N == k).any():
            raise InputError(f"{path}: no window has a motif of {name!r} and of no other class")
    both = int((has_NM.any(1) & (label_N == yarowsky.UNDECIDED)).sum())
    note = f"{(label_N != yarowsky.UNDECIDED).sum():,} seeds by {len(kept)} motifs"
    note += f"; {both:,} windows with motifs of two classes are none" if both else ""
    dropped = sorted(set(class_of) - set(kept))
    return Seeds(classes, label_N, note + (f"; {', '.join(dropped)} dropped: of two classes" if dropped else ""))


def _pattern(motif: str) -> str:
    return "".join(f"[{IUPAC[letter]}]" for letter in motif)


def _classes(path: str | Path, table: pd.DataFrame) -> list[str]:
    if (empty := table.index[table["label"] == ""]).size:
        raise InputError(f"{path} row {empty[0] + 1}: empty label")
    classes = sorted(set(table["label"]))
    if len(classes) < 2:
        raise InputError(f"{path}: all {len(table)} rows have the label {classes[0]!r}; expected at least 2 classes")
    return classes
