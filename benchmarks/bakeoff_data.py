"""What the bake-off learns from and is judged on: one unlabelled collection, four labelled tables.

Everything is cut from a folder of public sequences that is not part of this repository; FILES says which. All draws
are seeded, so the same folder always gives the same tables. What would leak is left out here, and only here:

* `genus`: genomes that pretraining never saw, each cut by position into train, validation and test, a block apart.
* `virus`: phage, eukaryotic virus or prokaryote, split by cluster of genomes; windows of equal length.
* `promoter`: sequences that occur twice across splits, or with both labels, are dropped from what is judged on.
* `gene`: function of a phage gene, split by homology; phages with genes of its validation or test rows are kept out of
  the unlabelled collection.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genossl import files
from genossl.errors import InputError
from genossl.genome import fasta
from genossl.genome.alphabet import decode
from genossl.genome.store import TokenStore
from genossl.verbs import ingest

VERSION = 1  # of what is cut; a change makes new tables, and so new runs
SEED = 20
SPLITS = ("train", "validation", "test")
TASKS = {
    "genus": "genus of 500 bases of genomes never pretrained on, by position",
    "virus": "phage, eukaryotic virus or prokaryote from 500 bases, by genome cluster",
    "promoter": "human TATA promoter or not from 300 bases, random split without copies",
    "gene": "function of a phage gene from its middle 450 bases, by homology cluster",
}
WINDOW = {"genus": 500, "virus": 500, "promoter": 300, "gene": 450}
CAPS = {  # rows per class in train, validation and test
    "genus": (100, 30, 60),
    "virus": (500, 100, 200),
    "promoter": (500, 150, 300),
    "gene": (100, 30, 60),
}
RAREST = {"gene": 30}  # a class with fewer test rows is left out
BLOCK = 20_000  # bases; windows of `genus` are split by blocks, and groups are blocks
PROKARYOTE = 500_000  # bases of each prokaryote in the unlabelled collection, so that viruses are not drowned
PROMOTERS = "starter/labelled/gue/prom__prom_300_tata.tsv.gz"
GENES = "starter/labelled/phage_genes20/data.tsv.gz"
VIRUSES = {"phage": "phage", "eukaryotic_virus": "eukvirus"}
SIDES = {"train": "train", "validation": "dev", "test": "test"}
FILES = [
    "prokaryotes/genomes.tsv",
    "starter/manifest.tsv",
    PROMOTERS,
    GENES,
    *(f"starter/virus/{name}_{side}.fa.gz" for name in VIRUSES.values() for side in SIDES.values()),
]


def prepare(data: Path, folder: Path) -> dict[str, Any]:
    """Write `folder`/store and a labelled table per task; the second time only read what was written.

    Returns the content of data.json: checksum, counts, notes. Raises InputError where `data` lacks a file.
    """
    if missing := [name for name in FILES if not (data / name).is_file()]:
        raise InputError(f"{data}: no {missing[0]} ({len(missing)} of {len(FILES)} files are missing)")
    prokaryotes = sheet(data / "prokaryotes" / "genomes.tsv")
    sources = [data / name for name in FILES] + [data / "prokaryotes" / path for path in prokaryotes["path"]]
    if missing := [path for path in sources if not path.is_file()]:
        raise InputError(f"{missing[0]}: no such file, expected as prokaryotes/genomes.tsv lists it")
    made_of = {"version": VERSION, "sources": {str(path.relative_to(data)): files.sha256(path) for path in sources}}
    if (folder / "data.json").is_file() and (about := files.read_json(folder / "data.json"))["made_of"] == made_of:
        return about
    tables = {
        "genus": _genus(data, prokaryotes),
        "virus": _virus(data, prokaryotes),
        "promoter": _promoter(sheet(data / PROMOTERS)),
        "gene": _gene(sheet(data / GENES)),
    }
    counts = {}
    for task, table in tables.items():
        table.insert(0, "id", [f"{task}{i}" for i in range(len(table))])
        files.write_tsv(folder / f"{task}.tsv", table)
        counts[task] = {side: int((table["split"] == side).sum()) for side in SPLITS}
        counts[task]["classes"] = table["label"].nunique()
    notes = _store(data, prokaryotes, folder / "store")
    store = TokenStore.open(folder / "store")
    split_of = store.genomes.set_index("genome")["split"]
    bases = store.contigs["length"].groupby(store.contigs["genome"].map(split_of)).sum()
    tokens = {str(split): int(n) for split, n in bases.items()}
    written = [folder / "store" / "tokens.bin", *(folder / f"{task}.tsv" for task in TASKS)]  # no paths are in these
    checksums = [files.sha256(path) for path in written]
    about = {"made_of": made_of, "checksums": checksums, "tasks": counts, "pretraining_bases": tokens, "notes": notes}
    files.write_json(folder / "data.json", about)
    return about


# ---- the unlabelled collection


def _store(data: Path, prokaryotes: pd.DataFrame, folder: Path) -> list[str]:
    """Prokaryotes, phages and eukaryotic viruses of train, and of dev to watch the pretext on; returns notes."""
    genes = sheet(data / GENES)
    judged = set(genes["genome"][genes["split"] != "train"])
    lines, left_out = ["genome\tpath\tsplit"], 0
    with tempfile.TemporaryDirectory() as temporary:
        for split in ("train", "validation"):
            for name, path in of_split(prokaryotes, split):
                pieces = first_bases(fasta.records(data / "prokaryotes" / path), PROKARYOTE)
                lines.append(_fasta(Path(temporary), f"{name}", split, pieces))
            for name, file in VIRUSES.items():
                records = list(fasta.records(data / "starter" / "virus" / f"{file}_{SIDES[split]}.fa.gz"))
                kept = [(r.name, r.tokens) for r in records if r.name not in judged]
                left_out += len(records) - len(kept) if split == "train" else 0
                lines.append(_fasta(Path(temporary), f"{name}_{split}", split, iter(kept)))
        (Path(temporary) / "genomes.tsv").write_text("\n".join(lines) + "\n")
        ingest.run([str(Path(temporary) / "genomes.tsv")], folder, ingest.Settings())
    return [f"{left_out} phages with genes in validation or test of `gene` are kept out of pretraining"]


def first_bases(records: Iterator[Any], bases: int) -> Iterator[tuple[str, np.ndarray]]:
    """The first records, up to so many bases in all."""
    for record in records:
        yield record.name, record.tokens[:bases]
        bases -= len(record.tokens)
        if bases <= 0:
            return


def _fasta(folder: Path, name: str, split: str, contigs: Iterator[tuple[str, np.ndarray]]) -> str:
    """Write a genome; returns its line of the sheet."""
    with (folder / f"{name}.fa").open("w") as stream:
        stream.writelines(f">{contig}\n{decode(tokens)}\n" for contig, tokens in contigs)
    return f"{name}\t{name}.fa\t{split}"


# ---- the labelled tables: label, split, group where there is one, sequence


def _genus(data: Path, prokaryotes: pd.DataFrame) -> pd.DataFrame:
    """Windows of the test genomes; of each genome's blocks the first 60 % train, 20 % validate and 20 % test."""
    rows = []
    for name, path in of_split(prokaryotes, "test"):
        rng = _rng("genus", name)
        records = [record.tokens for record in fasta.records(data / "prokaryotes" / path)]
        blocks = [r[i : i + BLOCK] for r in records for i in range(0, len(r), BLOCK) if len(r) - i >= BLOCK]
        if len(blocks) < 10:
            raise InputError(f"{path}: {len(blocks)} blocks of {BLOCK} bases, expected at least 10")
        one, two = round(0.6 * len(blocks)), round(0.8 * len(blocks))
        sides = {"train": (0, one - 1), "validation": (one, two - 1), "test": (two, len(blocks))}  # a block apart
        genus = prokaryotes.set_index("genome")["genus"][name]
        for side, cap in zip(SPLITS, CAPS["genus"], strict=True):
            for i in rng.integers(*sides[side], cap):
                rows.append((genus, side, f"{name}:{i}", _window(blocks[i], WINDOW["genus"], rng)))
    return _table(rows)


def _virus(data: Path, prokaryotes: pd.DataFrame) -> pd.DataFrame:
    """One window per cluster of viruses, and as many in all from prokaryotes, evenly over genomes."""
    manifest = sheet(data / "starter" / "manifest.tsv")
    rows = []
    for side, cap in zip(SPLITS, CAPS["virus"], strict=True):
        for label, name in VIRUSES.items():
            file = f"virus/{name}_{SIDES[side]}.fa.gz"
            clusters = manifest[manifest["file"] == file].set_index("id")["cluster"]
            rng, found = _rng("virus", file), {}
            for record in fasta.records(data / "starter" / file):
                if len(record.tokens) >= WINDOW["virus"] and record.name in clusters.index:
                    found.setdefault(clusters[record.name], []).append(record.tokens)
            for cluster in rng.permutation(sorted(found))[:cap]:
                segment = found[cluster][rng.integers(len(found[cluster]))]
                rows.append((label, side, f"{label}:{cluster}", _window(segment, WINDOW["virus"], rng)))
        genomes = of_split(prokaryotes, side)
        for i, (name, path) in enumerate(genomes):
            rng = _rng("virus", name)
            records = [r.tokens for r in fasta.records(data / "prokaryotes" / path)]
            records = [r for r in records if len(r) >= WINDOW["virus"]]
            share = np.array([len(r) for r in records]) / sum(len(r) for r in records)
            for _ in range(cap // len(genomes) + (i < cap % len(genomes))):
                tokens = records[rng.choice(len(records), p=share)]
                rows.append(("prokaryote", side, name, _window(tokens, WINDOW["virus"], rng)))
    return _table(rows)


def _promoter(table: pd.DataFrame) -> pd.DataFrame:
    """Rows without those of dev and test whose sequence is in an earlier split, or has both labels anywhere."""
    table = table.assign(split=table["split"].replace({"dev": "validation"}))
    table = table[table.groupby("sequence")["label"].transform("nunique") == 1]
    table = table.assign(order=table["split"].map(SPLITS.index)).sort_values("order", kind="stable")
    table = table[~table["sequence"].duplicated()]
    table = table[table["sequence"].str.len() == WINDOW["promoter"]]
    table = table.assign(label=table["label"].map({"0": "other", "1": "promoter"}))
    return _capped("promoter", table)[["label", "split", "sequence"]]


def _gene(table: pd.DataFrame) -> pd.DataFrame:
    """The middle of each gene that is long enough, in classes that the test rows have enough of."""
    length = WINDOW["gene"]
    table = table.assign(split=table["split"].replace({"dev": "validation"}), group=table["cluster"])
    table = table[table["sequence"].str.len() >= length]
    table = table.assign(sequence=[s[(len(s) - length) // 2 :][:length] for s in table["sequence"]])
    table = table[~table["sequence"].duplicated() & table["sequence"].str.fullmatch("[ACGT]+")]
    n_test = table["label"].map(table["label"][table["split"] == "test"].value_counts()).fillna(0)
    return _capped("gene", table[n_test >= RAREST["gene"]])[["label", "split", "group", "sequence"]]


def _capped(task: str, table: pd.DataFrame) -> pd.DataFrame:
    """At most CAPS rows of each class and split, drawn at random."""
    kept = []
    for (label, split), rows in table.groupby(["label", "split"], sort=True):
        cap = CAPS[task][SPLITS.index(str(split))]
        kept.append(rows.iloc[np.sort(_rng(task, f"{label} {split}").permutation(len(rows))[:cap])])
    return pd.concat(kept, ignore_index=True)


def _window(tokens: np.ndarray, length: int, rng: np.random.Generator) -> str:
    """A window at random, without N where twenty tries find one."""
    window = tokens[:length]
    for _ in range(20):
        start = rng.integers(0, len(tokens) - length + 1)
        window = tokens[start : start + length]
        if window.max() < 4:
            break
    return decode(window)


def of_split(prokaryotes: pd.DataFrame, split: str) -> list[tuple[str, str]]:
    """Name and path of the genomes of a split."""
    chosen = prokaryotes[prokaryotes["split"] == SIDES[split]]
    return list(zip(chosen["genome"], chosen["path"], strict=True))


def _rng(task: str, name: str) -> np.random.Generator:
    """Draws of one item do not depend on the others."""
    return np.random.default_rng([SEED, *f"{task} {name}".encode()])


def _table(rows: list[tuple[str, str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["label", "split", "group", "sequence"])


def sheet(path: Path) -> pd.DataFrame:
    """A table of strings without quoting, packed or not."""
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)
