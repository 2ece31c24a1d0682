"""`genossl score`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import choices, talk
from genossl.cli.options import PATH, device_option, settings_options, threads_option, verb_command, verb_settings


@verb_command(("Settings (--set KEY=VALUE, or score: in --config)", "verbs/score.py", "Settings"))
@click.argument("run", type=PATH, metavar="RUN")
@click.argument("source", metavar="INPUT", shell_complete=choices.path)
@click.option("--out", required=True, type=PATH, metavar="TABLE", help="Table of records, .tsv, .tsv.gz or -")
@click.option("--store", type=PATH, help="Training genomes, for the Markov models; default: INPUT where it is they.")
@click.option("--variants", type=PATH, metavar="VCF", help="Substitutions to score, into TABLE's .variants.tsv")
@settings_options
@device_option
@threads_option
def score(
    run: Path, source: str, out: Path, store: Any, variants: Any, config_file: Any, settings: Any, assignments: Any,
    device: str, threads: int,
) -> None:  # fmt: skip
    """Score sequences by a run of causal_lm: bits per base of each record, on both strands.

    INPUT is FASTA or FASTQ (also - for standard input) or a token store. Beside the model's stand the bits of Markov
    models of the same training genomes, which it should beat.
    """
    from genossl import config
    from genossl.verbs import score as verb

    built = config.build(verb.Settings, verb_settings("score", config_file, settings, assignments), "score")
    for line in verb.run(run, source, out, built, store, variants, device, threads):
        talk.tell(line, out)
    talk.wrote("scores", out)
