"""`genossl fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import talk
from genossl.cli.options import PATH, settings_options, verb_command, verb_settings


@verb_command(("Settings (--set KEY=VALUE, or fetch: in --config)", "verbs/fetch.py", "Settings"))
@click.argument("accessions", metavar="ACCESSIONS")
@click.option("--out", required=True, type=PATH, metavar="FOLDER", help="Where the genomes and genomes.tsv go.")
@click.option("--dry-run", is_flag=True, help="Print what is there and what would be fetched; ask nobody.")
@settings_options
def fetch(
    accessions: str, out: Path, dry_run: bool, config_file: Any, settings: Any, assignments: Any
) -> None:  # fmt: skip
    """Fetch genomes from NCBI.

    ACCESSIONS is a list (one a line; # comments; packed or not; - for standard input) of nucleotide records
    (NC_000913.3, CP000001) and assemblies (GCF_000005845.2), or a sheet (.tsv) with the columns genome, accession and
    perhaps path: rows without a path are fetched, others kept. FOLDER/genomes.tsv is then a sheet for genossl ingest.
    The same command goes on after a stop. The environment's NCBI_API_KEY makes it faster, NCBI_EMAIL is polite.
    """
    from genossl import config
    from genossl.verbs import fetch as verb

    built = config.build(verb.Settings, verb_settings("fetch", config_file, settings, assignments), "fetch")
    if dry_run:
        for line in verb.planned(accessions, out, built):
            click.echo(line)
        return
    sheet = verb.run(accessions, out, built)
    fetched = (sheet["sha256"] != "").sum()
    talk.tell(f"{out / 'genomes.tsv'}: {len(sheet)} genomes, {fetched} of them from NCBI", out)
