"""What people keep labelled sequences in, each layout read into the same columns: id, label, where the sequence is.

Which layout a path has is told by what is there, and said; nothing is guessed from a file's name except that it is one
of a folder's FASTA files or of its train, dev and test tables.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from genossl.errors import InputError
from genossl.files import as_sheet, cells_of_tsv
from genossl.genome import fasta, fastq, regions
from genossl.genome.alphabet import decode
from genossl.genome.labels import SPLITS
from genossl.genome.source import FASTA_SUFFIXES, PACKED, Source

LAYOUTS = ("table", "fasta", "folder", "csv", "intervals")
TABLES = (".csv", ".tsv", ".txt")
ROLES = ("sequence", "label", "split", "group")
LONGEST_CELL = 1 << 28  # bytes; Python's csv stops at 131,072, which genomes exceed


class Columns(NamedTuple):
    """The names of the columns that give the sequence, the label and so on; "" where they are called so themselves."""

    sequence: str = ""
    label: str = ""
    split: str = ""
    group: str = ""


CALLED_SO = Columns()


class Found(NamedTuple):
    """What was read: strings in the columns id, label and whatever else there was; not yet checked."""

    table: pd.DataFrame
    layout: str  # one of LAYOUTS
    told: str  # what the path was taken for, in words


def read(
    path: str | Path, layout: str = "auto", columns: Columns = CALLED_SO, labels: str | Path | None = None
) -> Found:
    """The rows of `path` in the layout asked for, or in the one that it has.

    labels: a table of id and label beside FASTA. Raises InputError in one sentence.
    """
    path = Path(path)
    found = layout_of(path)
    if layout not in ("auto", found) and {layout, found} != {"table", "csv"}:
        raise InputError(f"{path}: has the layout {found}, not {layout} as was said")
    if found == "fasta" and labels is None:
        raise InputError(f"{path}: is FASTA or FASTQ; say which table has its labels: --labels TSV (columns id, label)")
    if found != "fasta" and labels is not None:
        raise InputError(f"{path}: brings its own labels (layout {found}); leave {labels} out")
    asked = [role for role in ROLES if getattr(columns, role) and (found == "folder" or role == "sequence")]
    if asked and found in ("fasta", "folder"):
        raise InputError(f"{path}: has the layout {found}, where no column can be the {asked[0]}")
    if found == "intervals":
        return _intervals(path, columns)
    if found == "fasta":
        return _fasta(path, Path(str(labels)), columns)
    if found == "folder":
        return _folder(path)
    return _tables(path, columns) if path.is_dir() else _table(path, columns)


def layout_of(path: Path) -> str:
    """One of LAYOUTS. Raises InputError where it is none of them."""
    if path.is_dir():
        return "csv" if _tables_of(path) else "folder"
    with Source(path) as source:
        head = source.head
    if head.startswith(b">") or fastq.is_fastq(head):
        return "fasta"
    if head.startswith(b"##gff") or _suffix(path) in (".gff", ".gff3") or regions.is_bed(head):
        return "intervals"
    first = _header(path, head)
    return "table" if {"id", "label"} <= {cell.strip() for cell in first.split("\t")} else "csv"


def files_of(path: Path) -> list[Path]:
    """The files that are read, for checksums and for the workflow."""
    if not path.is_dir():
        return [path]
    if tables := _tables_of(path):
        return list(tables.values())
    return sorted(file for file in path.rglob("*") if _is_fasta(file))


# ---- tables


def _header(path: Path, head: bytes) -> str:
    text = head.decode("utf-8", "replace").replace("\r", "\n")
    for line in text.split("\n"):
        if line.strip() and not line.startswith("#"):
            if "\t" in line or "," in line:
                return line
            raise InputError(
                f"{path}: has no layout that is known (FASTA, FASTQ, BED, GFF3, or a table with a header line of names "
                f"split by tabs or commas); its first line is {line[:40]!r}"
            )
    raise InputError(f"{path}: is empty; expected labelled sequences")


def read_cells(path: Path) -> pd.DataFrame:
    """A table of strings, packed or not: tabs without quoting, or commas with it, by its header line."""
    with Source(path) as source:
        header, raw = _header(path, source.head), b"".join(source.blocks())
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a UTF-8 text table ({error})") from None
    if "\t" in header:
        return as_sheet(path, cells_of_tsv(text))
    limit, lines = csv.field_size_limit(LONGEST_CELL), []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:  # line_num is that of a row's last line, and is read after the row
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: is no CSV ({error})") from None
    finally:
        csv.field_size_limit(limit)
    while lines and lines[0][1][0].startswith("#"):
        lines.pop(0)
    return as_sheet(path, lines)


def renamed(table: pd.DataFrame, columns: Columns, path: Path, needed: tuple[str, ...] = ()) -> pd.DataFrame:
    """The table with its columns called sequence, label, split and group, each of them there if it was asked for."""
    found = list(table.columns)
    for role in ROLES:
        name = getattr(columns, role) or role
        if name not in found and (name != role or role in needed):
            hint = "" if name != role else f"; say which it is: --{role} COLUMN"
            raise InputError(f"{path}: no column {name!r}; found {', '.join(found)}{hint}")
    old = {role: table[getattr(columns, role) or role] for role in ROLES if (getattr(columns, role) or role) in found}
    used = {getattr(columns, role) for role in ROLES if getattr(columns, role)} - {"id", "genome", "contig"}
    kept = table[[name for name in found if name not in used and name not in old]]
    return kept.assign(**old)


def _table(path: Path, columns: Columns) -> Found:
    table = read_cells(path)
    own_id = "id" in table
    coordinates = {"contig", "start", "end"} <= set(table.columns)
    needed = ("label",) if coordinates and not columns.sequence else ("sequence", "label")
    table = renamed(table, columns, path, needed)
    if not own_id:
        table.insert(0, "id", [f"row:{i}" for i in range(1, len(table) + 1)])
    layout = "table" if own_id else "csv"
    what = "sequences" if "sequence" in table else "coordinates"
    return Found(table, layout, f"a table of {what}" + ("" if own_id else "; ids are row numbers"))


def _tables_of(folder: Path) -> dict[str, Path]:
    """The train, dev and test tables of a folder, by the name of their split."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        name = PACKED.sub("", file.name).lower()
        stem, suffix = Path(name).stem, Path(name).suffix
        if file.is_file() and suffix in TABLES and stem in SPLITS:
            if SPLITS[stem] in found:
                raise InputError(f"{folder}: {found[SPLITS[stem]].name} and {file.name} are both {SPLITS[stem]}")
            found[SPLITS[stem]] = file
    return found


def _tables(folder: Path, columns: Columns) -> Found:
    parts, files = [], _tables_of(folder)
    if columns.split:
        raise InputError(f"{folder}: its files are the splits, so no column {columns.split!r} can be")
    for split, file in files.items():
        part = renamed(read_cells(file), columns, file, ("sequence", "label"))
        if "split" in part:
            raise InputError(f"{file}: has a column split, and the file's own name says {split}; leave one out")
        ids = part.pop("id") if "id" in part else [str(i) for i in range(1, len(part) + 1)]
        part.insert(0, "id", [f"{split}:{name}" for name in ids])
        parts.append(part.assign(split=split))
    if any(set(part.columns) != set(parts[0].columns) for part in parts):
        other = next(file for part, file in zip(parts, files.values(), strict=True) if set(part) != set(parts[0]))
        raise InputError(f"{other}: has other columns than {next(iter(files.values())).name}; expected the same")
    names = ", ".join(file.name for file in files.values())
    return Found(pd.concat(parts, ignore_index=True), "csv", f"a folder of tables, one per split: {names}")


# ---- FASTA


def _fasta(path: Path, labels: Path, columns: Columns) -> Found:
    table = renamed(read_cells(labels), columns, labels, ("label",))
    if "id" not in table:
        raise InputError(
            f"{labels}: no column 'id', which names the records of {path}; found {', '.join(map(str, table))}"
        )
    if "sequence" in table:
        raise InputError(f"{labels}: has a column sequence, and {path} has sequences too; expected one of them")
    letters = {record.name: decode(record.tokens) for record in fasta.records(path)}
    ids = table["id"].tolist()
    lost, known = [name for name in ids if name not in letters], set(ids)
    bare = [name for name in letters if name not in known]
    if lost or bare:
        wrong = [f"{len(lost)} ids of {labels} are no records of it ({_some(lost)})"] if lost else []
        wrong += [f"{len(bare)} of its records have no label in {labels} ({_some(bare)})"] if bare else []
        raise InputError(f"{path}: " + "; ".join(wrong))
    table = table.assign(sequence=[letters[name] for name in ids])
    return Found(table, "fasta", f"{'FASTQ' if _is_fastq(path) else 'FASTA'} with labels in {labels.name}")


def _folder(folder: Path) -> Found:
    """One subfolder of FASTA files, or one FASTA file, per class; perhaps below folders called train, dev and test."""
    inside = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    splits = [entry for entry in inside if entry.is_dir() and entry.name.lower() in SPLITS]
    others = [entry for entry in inside if entry not in splits and (entry.is_dir() or _is_fasta(entry))]
    if splits and others:
        raise InputError(
            f"{folder}: has the split {splits[0].name} and {others[0].name} beside it; expected splits only"
        )
    rows, kinds = [], set()
    for place in splits or [folder]:
        split = {"split": SPLITS[place.name.lower()]} if splits else {}
        for label, files, kind in _classes(place):
            kinds.add(kind)
            for file in files:
                stem = _stem(folder, file)
                group = {"group": stem} if kind == "subfolder" else {}
                for record in fasta.records(file):
                    about = {"id": f"{stem}:{record.name}", "label": label, "sequence": decode(record.tokens)}
                    rows.append(about | split | group)
    if len(kinds) > 1:
        raise InputError(f"{folder}: has subfolders in one split and FASTA files in another; expected the same in each")
    below = f", below {', '.join(place.name for place in splits)}" if splits else ""
    told = "subfolder of FASTA files per class; a file is a group" if "subfolder" in kinds else "FASTA file per class"
    return Found(pd.DataFrame(rows, dtype=object), "folder", f"a folder with one {told}{below}")


def _classes(folder: Path) -> list[tuple[str, list[Path], str]]:
    """Name, FASTA files and kind of each class in a folder."""
    inside = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    folders = [entry for entry in inside if entry.is_dir()]
    files = [entry for entry in inside if _is_fasta(entry)]
    if folders and files:
        raise InputError(
            f"{folder}: has the subfolder {folders[0].name} and the file {files[0].name}; expected one kind"
        )
    if not folders and not files:
        raise InputError(
            f"{folder}: has no train, dev or test table, no FASTA file and no subfolder of such files; expected one "
            f"class per subfolder or file ({', '.join(FASTA_SUFFIXES)}, maybe packed)"
        )
    if files:
        return [(_stem(folder, file), [file], "file") for file in files]
    held = {entry.name: [file for file in sorted(entry.iterdir()) if _is_fasta(file)] for entry in folders}
    found = [(name, files, "subfolder") for name, files in held.items()]
    if empty := [name for name, held, _ in found if not held]:
        raise InputError(f"{folder / empty[0]}: has no FASTA file; expected those of the class {empty[0]!r}")
    return found


def _is_fasta(path: Path) -> bool:
    name = PACKED.sub("", path.name).lower()
    return name.endswith(FASTA_SUFFIXES) and path.is_file() and not path.name.startswith(".")


def _is_fastq(path: Path) -> bool:
    with Source(path) as source:
        return fastq.is_fastq(source.head)


def _stem(folder: Path, file: Path) -> str:
    """train/phage/x.fa.gz -> train/phage/x"""
    return str(file.relative_to(folder).parent / Path(PACKED.sub("", file.name)).stem)


# ---- intervals


def _intervals(path: Path, columns: Columns) -> Found:
    if columns.sequence:
        raise InputError(f"{path}: intervals have no column of sequences; say which genome they are on: --genome FASTA")
    with Source(path) as source:
        kind = "BED" if regions.is_bed(source.head) else "GFF3"
    roles = regions.Roles(columns.label, columns.split, columns.group)
    table = regions.READERS[kind](Source(path), roles)
    label = columns.label or ("name" if kind == "BED" else "type")
    return Found(table, "intervals", f"{kind} intervals, labelled by their {label}")


def _suffix(path: Path) -> str:
    return Path(PACKED.sub("", path.name).lower()).suffix


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
