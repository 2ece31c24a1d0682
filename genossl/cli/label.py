"""`genossl label`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import choices, talk
from genossl.cli.options import PATH, settings_options, verb_command, verb_settings


@verb_command(
    ("Settings (--set KEY=VALUE, or label: in --config)", "verbs/label.py", "Settings"),
    ("Settings of the rules (--set KEY=VALUE)", "evaluation/yarowsky.py", "Settings"),
)
@click.argument("source", metavar="SEQUENCES", shell_complete=choices.path)
@click.option("--seeds", type=PATH, metavar="TSV", help="Columns id and label: the few that are known.")
@click.option(
    "--motifs", type=PATH, metavar="TSV", help="Columns label and motif (IUPAC letters), in place of --seeds."
)
@click.option(
    "--out",
    required=True,
    type=PATH,
    metavar="LABELS",
    help="The table of labels, .tsv or .tsv.gz, the rules beside it; or -.",
)
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of a labelled table refer to.")
@click.option("--k", type=int, metavar="K", help="Bases of a k-mer; short for --set k=K.")
@click.option("--z", type=float, metavar="Z", help="Caution of the rules; short for --set z=Z.")
@click.option("--window", type=int, metavar="BASES", help="Short for --set window=BASES.")
@click.option("--step", type=int, metavar="BASES", help="From window to window; short for --set step=BASES.")
@settings_options
def label(
    source: str, seeds: Any, motifs: Any, out: Path, sequences: Any, k: Any, z: Any, window: Any, step: Any,
    config_file: Any, settings: Any, assignments: Any,
) -> None:  # fmt: skip
    """Label sequences from a few seeds, by Yarowsky's algorithm.

    SEQUENCES is FASTA or FASTQ (also - for standard input) or a token store, of which windows are labelled, or a
    labelled table, of which each row is (its own labels play no part). A seed's id is a window's (contig:start-end), or
    a contig's or genome's for all its windows. Rows of a genome (else contig) share a class where the rules say that
    they do. Where the seeds are too few, or say nothing, nothing is written.
    """
    from genossl import config
    from genossl.verbs import label as verb

    mapping = verb_settings("label", config_file, settings, assignments, k=k, z=z, window=window, step=step)
    built = config.build(verb.Settings, mapping, "label")
    for line in verb.run(source, out, built, seeds, motifs, sequences):
        talk.tell(line, out)
    talk.wrote("labels", out)
