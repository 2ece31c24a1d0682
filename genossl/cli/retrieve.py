"""`genossl retrieve`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import choices, talk
from genossl.cli.options import PATH, device_option, settings_options, threads_option, verb_command, verb_settings


@verb_command(("Settings (--set KEY=VALUE, or retrieve: in --config)", "verbs/retrieve.py", "Settings"))
@click.argument("run", type=PATH, metavar="RUN")
@click.argument("query", required=False, metavar="[QUERY]", shell_complete=choices.path)
@click.option("--genomes", metavar="STORE|FASTA", help="What QUERY is looked for in.")
@click.option(
    "--out",
    type=PATH,
    metavar="TSV",
    help="Table of hits, or of what --evaluate found; .gz packs it, - is standard output.",
)
@click.option(
    "--query",
    "kind",
    type=click.Choice(["auto", "protein", "dna"]),
    default="auto",
    show_default=True,
    help="What QUERY is; auto: by its letters.",
)
@click.option("--top", type=int, metavar="N", help="Hits of a query; short for --set top=N.")
@click.option("--step", type=int, metavar="BASES", help="From window to window; short for --set step=BASES.")
@click.option(
    "--evaluate", type=PATH, metavar="STORE", help="Measure retrieval on annotated genomes in place of a search."
)
@click.option("--splits", metavar="SPLIT[,SPLIT]", help="Of the genomes to evaluate on; short for --set splits=...")
@click.option(
    "--fitted-on", type=PATH, metavar="STORE", help="Where the store that RUN learnt from is now (--evaluate)."
)
@settings_options
@device_option
@threads_option
def retrieve(
    run: Path, query: Any, genomes: Any, out: Any, kind: Any, top: Any, step: Any, evaluate: Any, splits: Any,
    fitted_on: Any, config_file: Any, settings: Any, assignments: Any, device: str, threads: int,
) -> None:  # fmt: skip
    """Find genes by proteins in genomes without annotation.

    RUN is a clip run with pairing genes, QUERY protein FASTA (or DNA). With --evaluate the genes of genomes held out
    are looked for by their proteins and the other way round, beside a guess from composition.
    """
    from genossl import config
    from genossl.verbs import retrieve as verb

    among = None if splits is None else splits.split(",")
    mapping = verb_settings("retrieve", config_file, settings, assignments, top=top, step=step, splits=among)
    built = config.build(verb.Settings, mapping, "retrieve")
    if (evaluate is None) == (query is None):
        raise click.UsageError("expected either QUERY with --genomes and --out, or --evaluate STORE")
    if evaluate is not None:
        for line in verb.evaluate(run, evaluate, built, out, fitted_on, device, threads):
            talk.tell(line, out)
        return
    if genomes is None or out is None:
        raise click.UsageError("QUERY needs --genomes STORE or FASTA and --out TSV")
    talk.tell(f"{out}: {verb.run(run, query, genomes, out, built, kind, device, threads):,} hits", out)
