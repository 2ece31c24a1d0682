"""`genossl embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import choices, talk
from genossl.cli.options import (
    PATH,
    config_option,
    device_option,
    part_of,
    set_option,
    settings_option,
    threads_option,
    verb_command,
    verb_settings,
)


@verb_command(("Settings (--set KEY=VALUE, or embed: in --config)", "verbs/embed.py", "Settings"))
@click.argument("encoder", metavar="ENCODER", shell_complete=choices.encoder)
@click.argument("source", metavar="INPUT", shell_complete=choices.path)
@click.option(
    "--out",
    required=True,
    type=PATH,
    metavar="FILE",
    help=".npy (rows beside it as .tsv), .npz, .parquet, .h5ad; .tsv, .tsv.gz or - (text)",
)
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of a labelled table refer to.")
@config_option
@settings_option
@set_option
@device_option
@threads_option
@click.option("--part", metavar="I/N", help="Only the I-th of N parts of a store's genomes: N jobs share them.")
def embed(
    encoder: str, source: str, out: Path, sequences: Any, config_file: Any, settings: Any, assignments: Any,
    device: str, threads: int, part: Any,
) -> None:  # fmt: skip
    """Embed sequences.

    ENCODER is a run or model folder, kmer:K (1 to 8), gc, or untrained:RUN. INPUT is FASTA or FASTQ (also - for
    standard input) or a token store, of which windows are embedded, or a labelled table (.tsv with id, label, and
    sequence or coordinates), of which each row is. Coordinates are 0-based and half-open.
    """
    from genossl import config
    from genossl.verbs import embed as verb

    built = config.build(verb.Settings, verb_settings("embed", config_file, settings, assignments), "embed")
    rows = verb.run(encoder, source, out, built, sequences, device, threads, part_of(part))
    talk.tell(f"{out}: {rows:,} rows", out)
