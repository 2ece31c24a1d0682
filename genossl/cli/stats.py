"""`genossl stats`."""

from __future__ import annotations

from typing import Any

import click

from genossl.cli import choices, talk
from genossl.cli.options import PATH, verb_command


@verb_command()
@click.argument("inputs", nargs=-1, required=True, metavar="STORE|SEQUENCES|SHEET...", shell_complete=choices.path)
@click.option(
    "--by", type=click.Choice(["genome", "split", "contig", "all"]), default="genome", show_default=True,
    help="What a row is: a genome (or file), a split of a store, a contig, or everything.",
)  # fmt: skip
@click.option("-T", "--tabular", is_flag=True, help="Tab-separated, for other programs; as --out -.")
@click.option("--out", type=PATH, metavar="TSV", help="Write the table, .tsv, .tsv.gz or -.")
def stats(inputs: tuple[str, ...], by: Any, tabular: bool, out: Any) -> None:
    """Count contigs, bases and letters of token stores and of FASTA or FASTQ files (- for standard input).

    A folder stands for the sequence files in it, a sheet (.tsv with the columns genome and path) for those it names.

    N50: contigs of this length and above hold half of the bases. GC% is of A, C, G and T; N% of all bases, codes that
    genossl reads as N included; IUPAC% (of those codes alone) and lower% (soft-masked) of the letters as they came.
    """
    from genossl.verbs import stats as verb

    out = "-" if tabular and out is None else out
    table = verb.run(list(inputs), verb.Settings(by=by), out)
    if str(out) != "-":
        for line in verb.lines(table):
            click.echo(line)
    if out is not None:
        talk.wrote("statistics", out)
