"""`genossl search`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import talk
from genossl.cli.options import PATH, device_option, settings_options, threads_option, verb_command, verb_settings


@verb_command(("Settings (--set KEY=VALUE, or search: in --config)", "model/neighbours.py", "Settings"))
@click.argument("index", type=PATH, metavar="INDEX")
@click.argument("query", metavar="QUERY")
@click.option("--out", required=True, metavar="TSV", help="Table of hits, the best first: .tsv, .tsv.gz or -.")
@click.option("--by", metavar="window|contig|genome", help="What is found; short for --set by=...")
@click.option("--top", type=int, metavar="N", help="Hits of a query; short for --set top=N.")
@click.option("--encoder", metavar="ENCODER", help="Where the encoder is now, if not where it was; checked by sha256.")
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of a labelled table refer to.")
@settings_options
@device_option
@threads_option
def search(
    index: Path, query: str, out: str, by: Any, top: Any, encoder: Any, sequences: Any,
    config_file: Any, settings: Any, assignments: Any, device: str, threads: int,
) -> None:  # fmt: skip
    """Find what lies nearest to sequences in an index.

    QUERY is FASTA or FASTQ (also - for standard input) or a token store, cut into windows as those of INDEX, or a
    labelled table, of which each row is a query. Similarity is the cosine of two windows' vectors: 1 for the same
    window. By contig or genome it is the mean, over the windows of a query, of the most similar row there.
    """
    from genossl import config
    from genossl.verbs import search as verb

    mapping = verb_settings("search", config_file, settings, assignments, by=by, top=top)
    built = config.build(verb.Settings, mapping, "search")
    count = verb.run(index, query, out, built, encoder, sequences, device, threads)
    talk.tell(f"{out}: {count:,} hits", out)
