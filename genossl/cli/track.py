"""`genossl track`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import talk
from genossl.cli.options import PATH, device_option, settings_options, threads_option, verb_command, verb_settings


@verb_command(("Settings (--set KEY=VALUE, or track: in --config)", "verbs/track.py", "Settings"))
@click.argument("embeddings", type=PATH, metavar="EMBEDDINGS")
@click.option("--out", required=True, type=PATH, metavar="TRACK", help=".bedgraph, .bedgraph.gz, .bw or .bigwig")
@click.option("--component", metavar="I", help="A channel of the vectors, from 0; short for --set component=...")
@click.option("--pc", metavar="I", help="A principal component of the windows, from 1; short for --set pc=...")
@click.option("--query", metavar="FASTA|ID|REGION", help="Cosine similarity to a sequence, a row or contig:start-end.")
@click.option("--encoder", metavar="ENCODER", help="Where the encoder is now, if not where it was; of a FASTA query.")
@click.option("--genome", metavar="NAME", help="Only this genome; short for --set genome=...")
@click.option("--sequences", type=PATH, help="Store or FASTA with the lengths of the contigs, for bigWig.")
@settings_options
@device_option
@threads_option
def track(
    embeddings: Path, out: Path, component: Any, pc: Any, query: Any, encoder: Any, genome: Any, sequences: Any,
    config_file: Any, settings: Any, assignments: Any, device: str, threads: int,
) -> None:  # fmt: skip
    """Draw embeddings of windows as a track for genome browsers.

    EMBEDDINGS is what embed wrote of FASTA or a store: .npy, .npz, .parquet or a folder. A base has the mean value of
    the windows that cover it, and none where no window does. A query is a FASTA file of one record, the id of a row, or
    [genome:]contig:start-end (0-based, half-open), which stands for the mean of the windows that it overlaps.
    """
    from genossl import config
    from genossl.verbs import track as verb

    mapping = verb_settings("track", config_file, settings, assignments, component=component, pc=pc, genome=genome)
    built = config.build(verb.Settings, mapping, "track")
    drawn = verb.run(embeddings, out, built, query, encoder, sequences, device, threads)
    talk.tell(f"{out}: {drawn.contigs:,} contigs, {drawn.bases:,} bases, highest {drawn.highest}", out)
