"""`genossl ingest`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import choices, talk
from genossl.cli.options import PATH, settings_options, verb_command, verb_settings


@verb_command(("Settings (--set KEY=VALUE, or ingest: in --config)", "verbs/ingest.py", "Settings"))
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", shell_complete=choices.path)
@click.option(
    "--out",
    required=True,
    type=PATH,
    metavar="STORE",
    help="Folder of the token store; replaces one that is there.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Genomes read at once; 0: as many as there are cores and large files for.",
)
@settings_options
def ingest(
    paths: tuple[str, ...], out: Path, threads: int, config_file: Any, settings: Any, assignments: Any
) -> None:  # fmt: skip
    """Read genomes into a token store.

    PATH is FASTA, FASTQ or GenBank (plain, .gz, bgzip, .bz2, .xz, .zst), a folder of such files, a manifest (.tsv with
    the columns genome and path, perhaps split and features, the genes of a FASTA file as GFF3; any others are kept), or
    - for standard input.
    """
    from genossl import config
    from genossl.verbs import ingest as verb

    built = config.build(verb.Settings, verb_settings("ingest", config_file, settings, assignments), "ingest")
    summary = verb.run(list(paths), out, built, threads)
    records, bases = summary["records"].sum(), summary["bases"].sum()
    talk.tell(f"{out}: {len(summary)} genomes, {records:,} records, {bases:,} bases", out)
