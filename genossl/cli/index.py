"""`genossl index`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import talk
from genossl.cli.options import PATH, device_option, settings_options, threads_option, verb_command, verb_settings


@verb_command(("Settings (--set KEY=VALUE, or index: in --config)", "verbs/index.py", "Settings"))
@click.argument("encoder", metavar="ENCODER")
@click.argument("genomes", metavar="GENOMES")
@click.option("--out", required=True, type=PATH, metavar="INDEX", help="Folder; an older index there is replaced.")
@settings_options
@device_option
@threads_option
def index(
    encoder: str, genomes: str, out: Path, config_file: Any, settings: Any, assignments: Any, device: str, threads: int
) -> None:
    """Index the windows of genomes, for genossl search.

    ENCODER is a run or model folder, kmer:K (1 to 8; kmer:1 is GC content), or untrained:RUN. GENOMES is a token store
    or FASTA.
    """
    from genossl import config
    from genossl.verbs import index as verb

    built = config.build(verb.Settings, verb_settings("index", config_file, settings, assignments), "index")
    for line in verb.run(encoder, genomes, out, built, device, threads):
        talk.tell(line, out)
