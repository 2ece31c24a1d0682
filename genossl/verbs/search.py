"""An index and query sequences to a table of the nearest windows, contigs or genomes, as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from genossl import files
from genossl.errors import InputError
from genossl.genome import inputs
from genossl.genome.inputs import Item
from genossl.genome.labels import files_of
from genossl.model.index import ABOUT, open_index
from genossl.model.neighbours import COLUMNS, Settings, Window, search


def run(
    path: str | Path,
    query: str | Path,
    out: str | Path,
    settings: Settings,
    encoder: str | None = None,
    sequences: str | Path | None = None,
    device: str = "auto",
    threads: int = 0,
) -> int:
    """Write what lies nearest to `query` in the index at `path` to `out` (as `files.text`); the number of hits.

    query: FASTA or FASTQ (- for standard input) or a store, cut into windows as the index was, or a labelled table, of
    which each row is a query. encoder: where the encoder is now. Raises InputError, and then leaves no table.
    """
    files.refuse_other_than_table(out, "hits")
    standard = str(out) == "-"
    if not standard:
        files.spare([out], [*files_of(query), sequences])
    index = open_index(path, encoder, device, threads)
    items = inputs.read(query, index.about["window"], index.about["settings"]["step"], sequences)
    named, count = _named(items, inputs.is_table(Path(query))), 0
    first = next(named, None)
    if first is None:
        raise InputError(f"{query}: holds no sequence")
    hits = search(index, files.progress(chain([first], named), "search", "window"), settings)
    with files.text(out) as stream:
        stream.write(files.tsv_line(COLUMNS[settings.by]))
        for hit in hits:
            stream.write(files.tsv_line(hit.values()))
            count += 1
    if not standard:
        used = {"index": Path(path) / ABOUT, "query": query, "sequences": sequences}
        given = {"index": path, "query": query, "out": out, "encoder": index.spec, "sequences": sequences}
        given |= {"device": device, "threads": threads}
        files.write_provenance(out, "search", settings, used, given=given)
    return count


def _named(items: Iterator[Item], table: bool) -> Iterator[Window]:
    """Windows with the names of their queries: a row of a table, a record of FASTA, a contig of a genome."""
    for item in items:
        row = item.row
        yield row["id"] if table else ":".join(row[of] for of in ("genome", "contig") if of in row), item
