"""What is fuzzed: any bytes are read the same by a slow second reader, or refused by InputError and nothing else.

Of each input the first byte says how it is read, the rest is the file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from pathlib import Path

from genossl import config, files, recipe
from genossl.errors import InputError
from genossl.genome import fasta, gff, labels, layouts, regions, variants
from genossl.genome.source import Source
from genossl.verbs import audit, check, embed, ingest, probe
from genossl.verbs import tasks as labelled

Records = list[tuple[str, list[int]]]
FILE = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)) / "input"


# ---- FASTA, FASTQ, GenBank


def sequences(data: bytes) -> None:
    """Block sizes and a slow reader agree; GenBank is read or refused."""
    if not data:
        return
    block, raw = 1 + data[0] % 64, data[1:]
    FILE.write_bytes(raw)
    if raw.lstrip().startswith(b"LOCUS"):
        with contextlib.suppress(InputError):
            list(ingest._genbank(Source(FILE), ingest.Genome("g", str(FILE)), [], {}))
        return
    whole, message = fast(1 << 17)
    parts, other = fast(block)
    assert parts == whole, f"block {block}: {parts} and {whole}"
    assert place(message) == place(other), f"block {block}: {other} and {message}"
    with contextlib.suppress(InputError), Source(FILE) as source:
        if source.kind or source.head[257:262] == b"ustar":
            return
    expected = slow(raw)
    assert whole == expected, f"{whole} ({message}), the slow reader has {expected}"


def fast(block: int) -> tuple[Records | None, str]:
    """Records, or None and the sentence."""
    try:
        return [(record.name, record.tokens.tolist()) for record in fasta.records(FILE, block=block)], ""
    except InputError as error:
        return None, str(error)


def place(message: str) -> str:
    """What a sentence says before it comes to what was found."""
    return message.split(": found")[0]


def slow(raw: bytes) -> Records | None:
    """The grammars of fasta.py and fastq.py, a line at a time, a letter at a time; None where they refuse."""
    text = raw[3:] if raw[:3] == b"\xef\xbb\xbf" else raw
    lines = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    try:
        records = slow_fastq(lines) if text.lstrip(b"\r\n")[:1] == b"@" else slow_fasta(lines)
        names = [slow_name(title) for title, _ in records]
        assert records
        assert len(set(names)) == len(names)
        return [(name, slow_bases(letters)) for name, (_, letters) in zip(names, records, strict=True)]
    except (AssertionError, IndexError):
        return None


def slow_fasta(lines: list[bytes]) -> list[tuple[bytes, list[bytes]]]:
    records: list[tuple[bytes, list[bytes]]] = []
    for line in lines:
        if line[:1] == b">":
            records.append((line[1:], []))
        elif records:
            records[-1][1].append(line)
        else:
            assert not line.strip(b" \t")
    return records


def slow_fastq(lines: list[bytes]) -> list[tuple[bytes, list[bytes]]]:
    records = []
    while lines:
        if not lines[0]:
            lines = lines[1:]
            continue
        assert lines[0][:1] == b"@"
        plus = next((i for i, line in enumerate(lines) if i and line[:1] == b"+"), 0)
        assert plus
        title, letters, again = lines[0][1:], lines[1:plus], lines[plus][1:].rstrip()
        assert again in (b"", title.rstrip(), (title.split() or [b""])[0])
        wanted = sum(len(line.rstrip(b" \t")) for line in letters)
        assert wanted
        end, found = plus + 1, 0
        while found < wanted:
            assert all(33 <= quality <= 126 for quality in lines[end])
            found, end = found + len(lines[end]), end + 1
        assert found == wanted
        records.append((title, letters))
        lines = lines[end:]
    return records


def slow_name(title: bytes) -> str:
    name = title.replace(b"\t", b" ").lstrip(b" ").split(b" ")[0]
    assert 0 < len(name) <= 1024
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        text = name.decode("latin-1")
    assert all(31 < ord(letter) < 127 or ord(letter) > 159 for letter in text)
    return text


def slow_bases(lines: list[bytes]) -> list[int]:
    letters = b"".join(line.rstrip(b" \t") for line in lines).decode("latin-1")
    assert letters
    assert all(letter in "ACGTURYSWKMBDHVNacgturyswkmbdhvn" for letter in letters)
    return ["ACGT".find(letter.upper().replace("U", "T")) % 5 for letter in letters]


# ---- tables

ROLES = regions.Roles()
READERS = (
    lambda: labels.read_labels(FILE),
    lambda: labels.read_labels(FILE, empty=True),
    lambda: labelled.prepare(FILE, labelled.Settings()),
    lambda: labelled.prepare(FILE, labelled.Settings(kind="multilabel", strand="as_given")),
    lambda: labelled.prepare(FILE, labelled.Settings(kind="regression", label="label", sequence="sequence")),
    lambda: layouts.read(FILE),
    lambda: regions.read_bed(Source(FILE), ROLES),
    lambda: regions.read_gff(Source(FILE), ROLES),
    lambda: gff.read(Source(FILE), {"c": 100, "d": 10}, "x.fa"),
    lambda: list(variants.read_vcf(FILE)),
    lambda: check._sheet(str(FILE), "genome"),
    lambda: check._sheet(str(FILE), "task"),
)


def tables(data: bytes) -> None:
    """Labelled tables, BED, GFF3, VCF and sheets are read or refused; what is read is as checked as it claims."""
    if not data:
        return
    FILE.write_bytes(data[1:])
    with contextlib.suppress(InputError):
        found = READERS[data[0] % len(READERS)]()
        if isinstance(found, labelled.Prepared):
            table = found.table
            assert table["id"].is_unique
            assert (table["id"] != "").all()
            assert "sequence" in table or (table["start"] < table["end"]).all()
            text = "".join(map(str, table.to_numpy().ravel()))
            assert not {"\0", "\x1b", "\x9b"} & set(text)


# ---- configurations

SETTINGS = {"ingest": ingest, "audit": audit, "embed": embed, "probe": probe}


def settings(data: bytes) -> None:
    """YAML, JSON and single assignments become settings or are refused."""
    if not data:
        return
    text = data[1:].decode("utf-8", "replace")
    with contextlib.suppress(InputError):
        if data[0] % 3 == 0:
            FILE.write_bytes(data[1:])
            mapping = config.read_yaml(FILE)
        elif data[0] % 3 == 1:
            FILE.write_bytes(data[1:])
            mapping = files.read_json(FILE)
            mapping = mapping if isinstance(mapping, dict) else {"probe": mapping}
        else:
            mapping = {"pretrain": {"steps": 1}}
            config.set_path(mapping, text)
        for name, verb in SETTINGS.items():
            for sentence in config.mistakes(verb.Settings, mapping.get(name), name):
                assert len(sentence) < 2000
            with contextlib.suppress(InputError):
                built = config.build(verb.Settings, mapping.get(name), name)
                json.dumps(dataclasses.asdict(built), allow_nan=False)
        config.mistakes(check.Jobs, mapping.get("jobs"), "jobs")
        recipe.resolve(mapping)


TARGETS = {"sequences": sequences, "tables": tables, "settings": settings}
