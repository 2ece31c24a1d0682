"""`genossl embed`."""

from __future__ import annotations

from typing import Any

import click

from genossl.cli import choices, talk
from genossl.cli.options import (
    PATH,
    device_option,
    part_of,
    settings_options,
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
    metavar="FILE|FOLDER/",
    help=".npy (rows beside it as .tsv), .npz, .parquet, .h5ad; .tsv, .tsv.gz or - (text); or a folder/",
)
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of a labelled table refer to.")
@click.option(
    "--regions", type=PATH, metavar="BED", help="Only these places; column 4 names them, column 6 is the strand."
)
@click.option("--features", type=PATH, metavar="GFF3", help="Only the rows of one type, --set feature=gene.")
@click.option("--by", metavar="window|contig|genome", help="What a vector is of; short for --set by=...")
@settings_options
@device_option
@threads_option
@click.option("--part", metavar="I/N", help="Only the I-th of N parts: genomes of a store, or contigs of a folder.")
@click.option("--replace", is_flag=True, help="What lies in the folder and was made otherwise gives way.")
def embed(
    encoder: str, source: str, out: str, sequences: Any, regions: Any, features: Any, by: Any, config_file: Any,
    settings: Any, assignments: Any, device: str, threads: int, part: Any, replace: bool,
) -> None:  # fmt: skip
    """Embed sequences.

    ENCODER is a run or model folder, kmer:K (1 to 8), gc, or untrained:RUN. INPUT is FASTA or FASTQ (also - for
    standard input) or a token store, of which windows are embedded, or a labelled table (.tsv with id, label, and
    sequence or coordinates), of which each row is. Coordinates are 0-based and half-open.

    A folder (its name ends with / or has no ending) gets one Parquet file per contig, and a manifest beside it once all
    are there. A command that was killed goes on when it is given again; N jobs may fill one folder (--part I/N).
    """
    from genossl import config
    from genossl.verbs import embed as verb

    mapping = verb_settings("embed", config_file, settings, assignments, by=by)
    built = config.build(verb.Settings, mapping, "embed")
    rows = verb.run(encoder, source, out, built, sequences, device, threads, part_of(part), regions, features, replace)
    talk.tell(f"{out}: {rows:,} rows", out)
