"""Labelled table + genomes -> what leaks from train or pretraining into test, and what shortcuts there are; a gate.

Each check is a number, a threshold and one sentence. Of the checks that compare rows, each names those that none before
it has named: a copy is no near copy too. A fail stops the workflow, after everything is written.
"""

# N labelled rows, Q test rows, K classes or names

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from genossl import files
from genossl.errors import InputError, naming
from genossl.evaluation import leaks, shortcuts, splits
from genossl.evaluation.tasks import Kind, truth
from genossl.genome import inputs, sketch
from genossl.genome.alphabet import reverse_complement
from genossl.genome.intervals import overlaps
from genossl.genome.labels import files_of, read_labels
from genossl.genome.store import TokenStore, is_store

Strand = Literal["invariant", "as_given"]
OUTCOMES = ("pass", "warn", "fail")
SIDES = (splits.TRAIN, splits.VALIDATION, splits.TEST)
FINDINGS = ("check", "outcome", "id", "other", "value")
SKETCHED = 20_000_000  # hashes of genomes that are held at once, 160 MB
LEAST = 3  # hashes that two genomes must share before they count as related


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Section `audit`."""

    stop: bool = True  # a fail stops what follows (exit 2); false: it is written down, and all goes on
    share: float = 0.05  # of the test rows that leak, above which a check fails; they can move an accuracy by as much
    tolerated: float = 0.01  # of the rows that repeat, are near copies or pretrained on, by nature: above it they warn
    k: int = 15  # bases of a k-mer where rows are compared: right for 40 to some thousand bases
    near: float = 0.95  # identity to a train row, estimated from k-mers, from which a test row is a near copy
    genome_k: int = 31  # bases of a k-mer where genomes and collections are compared
    contained: float = 0.5  # share of a test row's long k-mers in train rows together, or in pretraining: a copy
    pretrain_splits: tuple[str, ...] = ("train", "pretrain", "")  # genomes that pretraining reads; "" has no split
    ani: float = 0.99  # average nucleotide identity from which two genomes are one strain; 0.95: one species
    gc: tuple[float, float] = (0.9, 0.99)  # AUROC of a rule that reads GC content alone: warns, fails
    length: tuple[float, float] = (0.7, 0.9)  # AUROC of a rule that reads the length alone: warns, fails
    listed: int = 1000  # findings listed per check; all are counted
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)  # as probe.fractions, where the table has no column split
    block: int = 20_000  # as probe.block

    def __post_init__(self) -> None:
        for name in ("k", "genome_k"):
            if not 7 <= getattr(self, name) <= sketch.LARGEST_K:
                raise ValueError(f"{name} must be 7 to {sketch.LARGEST_K}: shorter ones are shared by chance")
        for name in ("share", "tolerated", "near", "contained", "ani"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1")
        if min(self.near, self.contained, self.ani) == 0 or self.listed < 0 or self.block < 1:
            raise ValueError("near, contained and ani must be above 0, listed at least 0 and block at least 1")
        for name in ("gc", "length"):
            if not 0.5 < getattr(self, name)[0] <= getattr(self, name)[1] <= 1:
                raise ValueError(f"{name} must be two AUROCs, above 0.5 and to 1, the first for a warning")
        if min(self.fractions) <= 0 or abs(sum(self.fractions) - 1) > 1e-9:
            raise ValueError("fractions must be above 0 and sum to 1")


@dataclasses.dataclass(frozen=True)
class Rows:
    """A labelled table with its sequences: what every check reads."""

    labels: pd.DataFrame
    tokens: list[np.ndarray]
    test_N: np.ndarray  # bool
    train_N: np.ndarray  # bool: train and validation, everything that is learnt from or chosen by
    split_N: np.ndarray
    y_N: np.ndarray  # class numbers, 0 and 1 of each name (N, K), or values
    n_classes: int  # or names
    kind: Kind
    strand: Strand

    @property
    def test(self) -> np.ndarray:
        """Numbers of the test rows."""
        return np.flatnonzero(self.test_N)

    @property
    def train(self) -> np.ndarray:
        """Numbers of the train and validation rows."""
        return np.flatnonzero(self.train_N)

    def at(self, rows: np.ndarray) -> list[np.ndarray]:
        """Tokens of these rows."""
        return [self.tokens[i] for i in rows]


@dataclasses.dataclass(frozen=True)
class Check:
    """One question and its answer. found: (id, other, value) of each finding; leaked: numbers of the rows that leak."""

    name: str
    outcome: str
    value: float | None
    threshold: float | None
    sentence: str
    found: list[tuple[str, str, float]] = dataclasses.field(default_factory=list)
    leaked: np.ndarray = dataclasses.field(default_factory=lambda: np.array([], np.int64))

    def record(self) -> dict[str, Any]:
        """As the .json has it."""
        names = ("name", "outcome", "value", "threshold")
        return {name: getattr(self, name) for name in names} | {"n": len(self.found), "sentence": self.sentence}


def run(
    labels: str | Path,
    out: str | Path,
    settings: Settings,
    sequences: str | Path | None = None,
    pretrained: str | Path | None = None,
    kind: Kind = "classes",
    strand: Strand = "invariant",
) -> list[str]:
    """Write out (.json), .tsv (findings) and .rows.tsv (one line per test row) beside it; return the sentences.

    Raises InputError for a table that cannot be split or read. Whether a check that fails stops is for `gate` to say.
    """
    out = Path(out)
    used = {"labels": labels, "sequences": sequences, "pretrained": pretrained}
    if out.suffix != ".json":
        raise InputError(f"{out}: an audit is written as .json")
    written = [out, out.with_suffix(".tsv"), out.with_suffix(".rows.tsv")]
    files.spare(written, [*files_of(labels), *used.values()])
    rows = _read(labels, sequences, settings, kind, strand)
    checks, source = _duplicates(rows, settings)
    checks.append(_overlapping(rows, settings, _leaked(checks)))
    more, identity_Q, other_Q = _near(rows, settings, _leaked(checks), source)
    checks += [*more, _strains(rows, settings, sequences), _groups(rows, settings)]
    check, pretrained_Q = _pretraining(rows, settings, pretrained)
    checks += [check, *_shortcuts(rows, settings)]
    ids, leaked = rows.labels["id"].to_numpy(dtype=object), _leaked(checks)
    per_row = {
        "id": ids[rows.test], "clean": [int(i not in leaked) for i in rows.test], "identity": identity_Q,
        "nearest": [ids[i] if i >= 0 else "" for i in other_Q], "pretrained": pretrained_Q,
    }  # fmt: skip
    listed = [(c.name, c.outcome, *finding) for c in checks for finding in c.found[: settings.listed]]
    files.clear(written)
    files.write_tsv(out.with_suffix(".tsv"), pd.DataFrame(listed, columns=list(FINDINGS)))
    files.write_tsv(out.with_suffix(".rows.tsv"), pd.DataFrame(per_row, columns=list(leaks.COLUMNS)))
    files.write_json(out, {"task": out.stem, **_summary(rows, checks), "clean": sum(per_row["clean"])})
    given = {"labels": [labels], "out": out, "sequences": sequences, "pretrained": pretrained}
    files.write_provenance(out, "audit", settings, used, given=given | {"kind": kind, "strand": strand})
    return told([out])


def _summary(rows: Rows, checks: list[Check]) -> dict[str, Any]:
    return {
        "outcome": max((c.outcome for c in checks), key=OUTCOMES.index), "kind": rows.kind, "strand": rows.strand,
        "rows": {side: int((rows.split_N == side).sum()) for side in SIDES}, "checks": [c.record() for c in checks],
    }  # fmt: skip


def told(records: list[Path]) -> list[str]:
    """The sentences of audits that were written, one line per check."""
    lines = []
    for record in map(_record, records):
        clean, test = record["clean"], record["rows"]["test"]
        lines.append(f"{record['task']}: {record['outcome']}, {clean:,} of {test:,} test rows clean")
        lines += [f"  {c['outcome']:4s}  {c['name']:17s}  {c['sentence']}" for c in record["checks"]]
    return lines


def gate(records: list[Path], settings: Settings) -> None:
    """Raises InputError where one of these audits fails, unless settings.stop is false."""
    failed = []
    for path in records:
        record = _record(path)
        wrong = [c for c in record["checks"] if c["outcome"] == "fail"]
        if wrong:
            why = "; ".join(f"{c['name']}: {c['sentence'].rstrip('.')}" for c in wrong)
            failed.append(f"task {record['task']} fails the audit: {why} (findings: {Path(path).with_suffix('.tsv')})")
    if failed and settings.stop:
        how = "mend the split, or go on with audit: {stop: false} in the config (--set stop=false)"
        raise InputError(f"{'; '.join(failed)}; {how}")


def _record(path: Path) -> dict[str, Any]:
    record = files.read_json(path)
    if not isinstance(record, dict) or not {"task", "outcome", "clean", "rows", "checks"} <= set(record):
        raise InputError(f"{path}: is no record of an audit")
    return record


# ---- reading


def _read(labels: str | Path, sequences: str | Path | None, settings: Settings, kind: Kind, strand: Strand) -> Rows:
    if Path(labels).is_dir():
        raise InputError(f"{labels}: is a folder; expected a table, which genossl tasks makes of it")
    table = read_labels(labels, empty=kind == "multilabel")
    with naming(labels):
        split_N = _sides(table, settings, kind)
        classes, y_N, *_ = truth(table, kind)
    items = inputs.read(labels, 0, 0, sequences)
    tokens = [item.tokens for item in files.progress(items, "audit: read", "row", total=len(table))]
    test_N = split_N == splits.TEST
    return Rows(
        table,
        tokens,
        test_N,
        (split_N == splits.TRAIN) | (split_N == splits.VALIDATION),
        split_N,
        y_N,
        len(classes),
        kind,
        strand,
    )


def _sides(table: pd.DataFrame, settings: Settings, kind: Kind) -> np.ndarray:
    """train, validation or test of each row: the split column, else as the probe will split."""
    if kind == "classes" and len(names := set(table["label"])) < 2:
        raise InputError(f"all {len(table)} rows have the label {min(names)!r}; expected at least 2 classes")
    if "split" in table:
        split_N = table["split"].to_numpy(dtype=object)
        if (empty := np.flatnonzero(split_N == "")).size:
            raise InputError(f"id {table['id'].iloc[empty[0]]!r}: empty split; expected train, validation or test")
    else:
        ordered = table.sort_values("id", kind="stable")
        split_N = np.empty(len(table), dtype=object)
        split_N[ordered.index] = splits.assign(ordered, settings.fractions, settings.block, kind == "classes").split_N
    for side in (splits.TRAIN, splits.TEST):
        if not (split_N == side).any():
            raise InputError(f"no {side} rows; expected some in train and in test")
    return split_N


# ---- checks: rows with rows


def _leaked(checks: Iterable[Check]) -> set[int]:
    return {int(i) for check in checks for i in check.leaked}


def _leak(
    name: str, rows: Rows, settings: Settings, leaked: np.ndarray, found: list[tuple[str, str, float]], what: str,
    tolerated: float = 0.0, hardest: str = "fail",
) -> Check:  # fmt: skip
    """Passes up to a tolerated share of the test rows, fails above settings.share, warns between.

    what: what they are or have. The threshold told is the one that was passed, else the next one.
    """
    q, share = len(rows.test), len(leaked) / len(rows.test)
    fails = hardest == "fail" and share > max(settings.share, tolerated)
    outcome = "fail" if fails else "warn" if share > tolerated else "pass"
    sentence = f"{_count(len(leaked), q)} test rows {what}."
    return Check(name, outcome, share, settings.share if fails else tolerated, sentence, found, leaked)


def _besides(claimed: set[int]) -> str:
    return ", those of the checks above not counted again" if claimed else ""


def _count(n: int, of: int) -> str:
    percent = 100 * n / of if of else 0.0
    return f"{n:,} of {of:,}" + (f" ({percent:.0f} %)" if percent >= 10 else f" ({percent:.2g} %)" if n else "")


def _not_asked(name: str, why: str) -> Check:
    return Check(name, "pass", None, None, f"Not looked at: {why}.")


def _duplicates(rows: Rows, settings: Settings) -> tuple[list[Check], dict[int, int]]:
    """Exact copies across and within splits, with equal labels and with different ones; test row -> its train row."""
    ids = rows.labels["id"].to_numpy(dtype=object)
    first: dict[bytes, dict[str, int]] = {}  # sequence -> split -> its first row
    members: dict[bytes, list[int]] = {}
    keys, turned = [], np.zeros(len(ids), dtype=bool)
    for i, tokens in enumerate(files.progress(rows.tokens, "audit: copies", "row")):
        key, turned[i] = _key(tokens, rows.strand)
        keys.append(key)
        first.setdefault(key, {}).setdefault(rows.split_N[i], i)
        members.setdefault(key, []).append(i)
    source = {}
    for i in rows.test:
        sides = first[keys[i]]
        other = sides.get(splits.TRAIN, sides.get(splits.VALIDATION))
        if other is not None:
            source[int(i)] = other
    other_strand = sum(bool(turned[i] != turned[j]) for i, j in source.items())
    what = "are exact copies of train or validation rows"
    what += f", {other_strand:,} of them of the other strand" if other_strand else ""
    found = [(ids[i], ids[j], 1.0) for i, j in source.items()]
    checks = [_leak("copies", rows, settings, np.array(list(source), np.int64), found, what)]
    chosen = np.flatnonzero(rows.split_N == splits.VALIDATION)
    copied = [(i, first[keys[i]][splits.TRAIN]) for i in chosen if splits.TRAIN in first[keys[i]]]
    checks.append(
        Check(
            "validation_copies", "warn" if copied else "pass", len(copied) / max(1, len(chosen)), 0.0,
            f"{_count(len(copied), len(chosen))} validation rows are exact copies of train rows.",
            [(ids[i], ids[j], 1.0) for i, j in copied],
        )
    )  # fmt: skip
    again = [(ids[i], ids[j]) for i, key in enumerate(keys) if (j := first[key][rows.split_N[i]]) != i]
    checks.append(
        Check(
            "repeats", "warn" if len(again) > settings.tolerated * len(ids) else "pass",
            len(again) / len(ids), settings.tolerated,
            f"{_count(len(again), len(ids))} rows repeat another row of their own split.",
            [(i, j, 1.0) for i, j in again],
        )
    )  # fmt: skip
    checks.append(_conflicts(rows, [m for m in members.values() if len(m) > 1]))
    return checks, source


def _key(tokens: np.ndarray, strand: Strand) -> tuple[bytes, bool]:
    """What is equal for equal sequences (of either strand, where the task does not tell them apart); whether turned."""
    own = tokens.tobytes()
    other = reverse_complement(np.asarray(tokens)).tobytes() if strand == "invariant" else own
    return hashlib.blake2b(min(own, other), digest_size=16).digest(), other < own


def _conflicts(rows: Rows, groups: list[list[int]]) -> Check:
    """Sequences with more than one label: no classifier can be right about all of their rows."""
    ids, labels = (rows.labels[name].to_numpy(dtype=object) for name in ("id", "label"))
    if rows.kind == "regression":
        wrong = [g for g in groups if np.ptp(rows.y_N[g]) > rows.y_N.std()]
        what = "values that differ by more than one standard deviation of all values"
    else:
        wrong = [g for g in groups if (rows.y_N[g] != rows.y_N[g[0]]).any()]
        what = "different labels"
    found = []
    for group in wrong:
        differs = next((i for i in group if labels[i] != labels[group[0]]), group[-1])
        found.append((ids[group[0]], ids[differs], float(len(group))))
    n = len(wrong)
    return Check(
        "conflicts", "warn" if n else "pass", float(n), 0.0,
        f"{n:,} sequence{' has' if n == 1 else 's have'} {what} in different rows.", found,
    )  # fmt: skip


def _overlapping(rows: Rows, settings: Settings, claimed: set[int]) -> Check:
    """Test rows that share bases of a contig with train or validation rows."""
    table = rows.labels
    if "start" not in table:
        return _not_asked("overlaps", "the table has no coordinates")
    place = table["contig"].to_numpy(dtype=object)
    if "genome" in table:
        place = table["genome"].to_numpy(dtype=object) + "\t" + place
    start, end = (table[name].to_numpy(dtype=np.int64) for name in ("start", "end"))
    share, other = overlaps(place.astype(str), start, end, rows.test_N, rows.train_N)
    ids = table["id"].to_numpy(dtype=object)
    hit = [q for q in np.flatnonzero(share > 0) if int(rows.test[q]) not in claimed]
    found = [(ids[rows.test[q]], ids[other[q]], float(share[q])) for q in hit]
    what = f"share bases of a contig with train or validation rows{_besides(claimed)}"
    return _leak("overlaps", rows, settings, rows.test[hit], found, what)


def _near(
    rows: Rows, settings: Settings, claimed: set[int], source: dict[int, int]
) -> tuple[list[Check], np.ndarray, np.ndarray]:
    """Near copies of one train row, rows made of pieces of several; identity and number of the nearest, each (Q,)."""
    ids = rows.labels["id"].to_numpy(dtype=object)
    test, train = rows.at(rows.test), rows.at(rows.train)
    share, who = sketch.nearest(test, settings.k, lambda: files.progress(train, "audit: nearest train row", "row"))
    identity = sketch.identity(share, settings.k)
    other = np.where(who >= 0, rows.train[np.maximum(who, 0)], -1)
    for q, i in enumerate(rows.test):
        if int(i) in source:
            identity[q], other[q] = 1.0, source[int(i)]
    near = [q for q in np.flatnonzero(identity >= settings.near) if int(rows.test[q]) not in claimed]
    checks = [
        _leak(
            "near_copies", rows, settings, rows.test[near],
            [(ids[rows.test[q]], ids[other[q]], float(identity[q])) for q in near],
            f"are near copies of a train or validation row (identity at least {settings.near:g}, "
            f"estimated from {settings.k}-mers){_besides(claimed)}",
            settings.tolerated,
        )
    ]  # fmt: skip
    claimed = claimed | _leaked(checks)
    together, one = sketch.contained(test, settings.genome_k, lambda: files.progress(train, "audit: train rows", "row"))
    pieces = [q for q in np.flatnonzero(together >= settings.contained) if int(rows.test[q]) not in claimed]
    checks.append(
        _leak(
            "pieces", rows, settings, rows.test[pieces],
            [(ids[rows.test[q]], ids[rows.train[one[q]]], float(together[q])) for q in pieces],
            f"have at least {settings.contained:.0%} of their {settings.genome_k}-mers in train or validation rows "
            f"taken together{_besides(claimed)}",
            settings.tolerated,
        )
    )  # fmt: skip
    return checks, identity, other


# ---- checks: genomes, groups, pretraining


def _strains(rows: Rows, settings: Settings, sequences: str | Path | None) -> Check:
    """Test rows of genomes that are the same strain as a genome of train under another name."""
    column = _strain_column(rows)
    if column is None:
        return _not_asked("strains", "the table has no column genome or group")
    name_N = rows.labels[column].to_numpy(dtype=object).astype(str)
    names, number_N = np.unique(name_N, return_inverse=True)
    taught = np.unique(number_N[rows.train_N])
    whole = _whole_genomes(sequences, set(names)) if column == "genome" else None

    def of(genome: int) -> list[np.ndarray]:
        return whole(names[genome]) if whole else rows.at(np.flatnonzero(number_N == genome))

    sizes = [sum(map(len, of(g))) for g in range(len(names))]
    scaled = max(1.0, min(sizes) / 1000, sum(sizes) / SKETCHED)
    shown = files.progress(range(len(names)), "audit: strains", column)
    sketches = [sketch.sketch(of(g), settings.genome_k, scaled) for g in shown]
    pair = sketch.shared(sketches)
    (one, two), count = pair.coords, pair.data
    size_G = np.array([len(s) for s in sketches])
    ani = sketch.identity(count / np.maximum(np.minimum(size_G[one], size_G[two]), 1), settings.genome_k)
    same = (one != two) & (count >= LEAST) & (ani >= settings.ani)
    strain_G = _clusters(len(names), one[same], two[same])
    known = np.isin(np.arange(len(names)), taught)
    twins = [g for g in np.unique(number_N[rows.test]) if not known[g] and (strain_G[taught] == strain_G[g]).any()]
    found = []
    for g in twins:
        near = same & (one == g) & known[two]
        if near.any():
            best = np.flatnonzero(near)[np.argmax(ani[near])]
            found.append((names[g], names[two[best]], float(ani[best])))
        else:  # by way of a third one
            other = taught[strain_G[taught] == strain_G[g]][0]
            found.append((names[g], names[other], settings.ani))
    leaked = np.flatnonzero(rows.test_N & np.isin(number_N, twins))
    what = f"are of {len(twins):,} {column}s that are the same strain (ANI at least {settings.ani:g}) as one of train"
    if not twins:
        what = f"are of a {column} that is the same strain (ANI at least {settings.ani:g}) as one of train"
    what += "" if whole else f", as far as rows tell: {_why_rows(rows, column)}"
    return _leak("strains", rows, settings, leaked, found, what)


def _strain_column(rows: Rows) -> str | None:
    """Genomes, unless the table declares groups and cuts genomes across them, as genes by homology: then its groups."""
    if "genome" in rows.labels and "group" in rows.labels:
        name_N = rows.labels["genome"].to_numpy(dtype=object)
        return "group" if set(name_N[rows.test_N]) & set(name_N[rows.train_N]) else "genome"
    return next((name for name in ("genome", "group") if name in rows.labels), None)


def _why_rows(rows: Rows, column: str) -> str:
    """Why names were compared by their rows and not by whole genomes."""
    if column == "genome":
        return "no store holds all the genomes"
    return "genomes are cut across train and test" if "genome" in rows.labels else "the table names no genomes"


def _whole_genomes(sequences: str | Path | None, names: set[str]) -> Callable[[str], list[np.ndarray]] | None:
    """Contigs of a genome of the store, or None where there is no store that has all of them."""
    if sequences is None or not is_store(sequences):
        return None
    store = TokenStore.open(sequences)
    contigs = {name: rows.index for name, rows in store.contigs.groupby("genome")}
    if not names <= set(contigs):
        return None
    return lambda name: [store.whole(row) for row in contigs[name]]


def _clusters(n: int, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Number of the cluster of each of n genomes, by single linkage."""
    from scipy import sparse
    from scipy.sparse import csgraph

    graph = sparse.coo_array((np.ones(len(one), np.int8), (one, two)), shape=(n, n))
    return csgraph.connected_components(graph, directed=False)[1]


def _groups(rows: Rows, settings: Settings) -> Check:
    """Groups (else genomes) with rows on both sides.

    A table that declares groups must keep them apart. A genome that is cut by position is on both sides on purpose: it
    is told, and its rows stay clean.
    """
    names = splits.group_names(rows.labels)
    if names is None:
        return _not_asked("groups", "the table has no column group or genome")
    column = "group" if "group" in rows.labels else "genome"
    both = set(names[rows.test_N]) & set(names[rows.train_N])
    hit = np.flatnonzero(rows.test_N & np.isin(names.astype(str), list(map(str, both))))
    found = [(str(name), str(name), float((names[rows.test_N] == name).sum())) for name in sorted(both)]
    what = (
        f"are of {len(both):,} {column}s that train or validation has too"
        if both
        else f"share their {column} with train or validation"
    )
    check = _leak("groups", rows, settings, hit, found, what, hardest="fail" if column == "group" else "warn")
    return check if column == "group" else dataclasses.replace(check, leaked=np.array([], np.int64))


def _pretraining(rows: Rows, settings: Settings, pretrained: str | Path | None) -> tuple[Check, np.ndarray]:
    """Test rows that pretraining reads, on either strand; the share of each row's k-mers that it reads (Q,)."""
    if pretrained is None:
        return _not_asked("pretraining", "no pretraining collection was given"), np.full(len(rows.test), math.nan)
    names: list[str] = []
    share, one = sketch.contained(
        rows.at(rows.test), settings.genome_k, lambda: _collection(pretrained, settings, names)
    )
    ids = rows.labels["id"].to_numpy(dtype=object)
    hit = np.flatnonzero(share >= settings.contained)
    found = [(ids[rows.test[q]], names[one[q]], float(share[q])) for q in hit]
    what = f"have at least {settings.contained:.0%} of their {settings.genome_k}-mers in what pretraining reads"
    leaked = rows.test[hit]
    return _leak("pretraining", rows, settings, leaked, found, what, settings.tolerated), share


def _collection(path: str | Path, settings: Settings, names: list[str]) -> Iterator[np.ndarray]:
    """The contigs that pretraining reads: of a store those of its splits, of FASTA all. Their names go into `names`."""
    names.clear()
    if not is_store(path):
        for item in files.progress(inputs.read(path, 0, 0), "audit: pretraining", "contig"):
            names.append(item.row["contig"])
            yield item.tokens
        return
    store = TokenStore.open(path)
    chosen = store.contigs.iloc[store.select(set(settings.pretrain_splits))]
    names += [f"{genome}:{contig}" for genome, contig in zip(chosen["genome"], chosen["contig"], strict=True)]
    with files.progress(desc="audit: pretraining", unit="base", total=int(chosen["length"].sum())) as bar:
        for row, length in zip(chosen.index, chosen["length"], strict=True):
            yield store.whole(row)
            bar.update(int(length))


# ---- shortcuts


def _shortcuts(rows: Rows, settings: Settings) -> list[Check]:
    known = np.array([np.count_nonzero(t < 4) for t in rows.tokens])
    strong = np.array([np.count_nonzero((t == 1) | (t == 2)) for t in rows.tokens])
    gc_N = np.where(known > 0, strong / np.maximum(known, 1), 0.5)
    length_N = np.array([len(t) for t in rows.tokens], dtype=float)
    return [
        _shortcut("gc", "GC content", gc_N, rows, settings.gc),
        _shortcut("length", "length", length_N, rows, settings.length),
    ]


def _shortcut(name: str, what: str, x_N: np.ndarray, rows: Rows, levels: tuple[float, float]) -> Check:
    """An alarm needs a value beyond its level and beyond three standard errors of chance."""
    learn = np.flatnonzero(rows.split_N == splits.TRAIN)
    if rows.kind == "regression":
        got = shortcuts.of_numbers(x_N[rows.test], rows.y_N[rows.test])
        strength, levels = abs(got.value), (2 * levels[0] - 1, 2 * levels[1] - 1)  # the scale of AUROC: 2 AUROC - 1
        sentence = f"The {what} of a test row and its value have Spearman's rho {got.value:.2f}"
        chance = 0.0
    else:
        has_NK = np.eye(rows.n_classes, dtype=bool)[rows.y_N] if rows.kind == "classes" else rows.y_N.astype(bool)
        got = shortcuts.of_classes(x_N[learn], has_NK[learn], x_N[rows.test], has_NK[rows.test])
        strength, chance = got.value, 0.5
        sentence = f"A rule that reads the {what} alone has AUROC {got.value:.2f} on test rows"
    sure = strength - chance > 3 * got.error
    outcome = OUTCOMES[sum(strength >= level for level in levels)] if sure else "pass"
    return Check(
        name, outcome, got.value, levels[0] if outcome != "fail" else levels[1], f"{sentence} (chance {chance:g})."
    )
