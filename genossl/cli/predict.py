"""`genossl predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import choices, talk
from genossl.cli.options import PATH, device_option, settings_options, threads_option, verb_command, verb_settings


@verb_command(("Settings (--set KEY=VALUE, or predict: in --config)", "verbs/predict.py", "Settings"))
@click.argument("head", type=PATH, metavar="HEAD")
@click.argument("source", metavar="INPUT", shell_complete=choices.path)
@click.option(
    "--out",
    required=True,
    type=PATH,
    metavar="TSV",
    help="Windows or reads, .tsv or .tsv.gz; contigs and genomes beside it. Or -.",
)
@click.option("--encoder", metavar="ENCODER", help="Where the encoder is now, if not where it was; checked by sha256.")
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of a labelled table refer to.")
@click.option("--window", type=int, metavar="BASES", help="Short for --set window=BASES.")
@click.option("--step", type=int, metavar="BASES", help="From window to window; short for --set step=BASES.")
@click.option("--by", metavar="read|contig|genome", help="What a row of OUT is; short for --set by=...")
@settings_options
@device_option
@threads_option
def predict(
    head: Path, source: str, out: Path, encoder: Any, sequences: Any, window: Any, step: Any, by: Any,
    config_file: Any, settings: Any, assignments: Any, device: str, threads: int,
) -> None:  # fmt: skip
    """Say what sequences are, with a head that probe --save-head kept.

    INPUT is FASTA or FASTQ (also - for standard input) or a token store, of which windows are told, or a labelled
    table, of which each row is (its own labels play no part). Windows are embedded as those that the head learnt from.
    A contig's or genome's probability is that of its windows on average (the mean of their log-probabilities by known
    bases). The head chooses among the classes it was shown, in the shares they had there; of others it knows nothing.
    """
    from genossl import config
    from genossl.verbs import predict as verb

    mapping = verb_settings("predict", config_file, settings, assignments, window=window, step=step, by=by)
    built = config.build(verb.Settings, mapping, "predict")
    for line in verb.run(head, source, out, built, encoder, sequences, device, threads):
        talk.tell(line, out)
