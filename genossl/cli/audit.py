"""`genossl audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli.options import PATH, settings_options, verb_command, verb_settings


@verb_command(("Settings (--set KEY=VALUE, or audit: in --config)", "verbs/audit.py", "Settings"))
@click.argument("labels", nargs=-1, required=True, type=PATH, metavar="LABELS")
@click.option("--out", type=PATH, metavar="AUDIT", help="Record of the audit, .json; .tsv and .rows.tsv beside it.")
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of the table refer to.")
@click.option(
    "--pretrained", type=PATH, metavar="STORE", help="What pretraining reads: a store (see pretrain_splits) or FASTA."
)
@click.option(
    "--kind",
    type=click.Choice(["classes", "multilabel", "regression"]),
    help="What a label is: a class, names joined by ;, or a number; default: as genossl tasks was told, else classes.",
)
@click.option(
    "--strand",
    type=click.Choice(["invariant", "as_given"]),
    help="Whether a sequence and its reverse complement are one to the task; default: as genossl tasks was told.",
)
@settings_options
def audit(
    labels: tuple[Path, ...], out: Any, sequences: Any, pretrained: Any, kind: Any, strand: Any, config_file: Any,
    settings: Any, assignments: Any,
) -> None:  # fmt: skip
    """Say what leaks from train or pretraining into the test rows of a labelled table.

    Looks for copies, near copies, overlaps, strains and groups on both sides, test rows that pretraining reads, and
    classes that GC content or length give away. Exit 2 where a check fails, after everything is written. LABELS may
    also be records of audits (.json): then nothing is read again, and their verdict decides.
    """
    from genossl import config
    from genossl.genome.labels import of_task
    from genossl.verbs import audit as verb

    built = config.build(verb.Settings, verb_settings("audit", config_file, settings, assignments), "audit")
    if out is None and all(path.suffix == ".json" for path in labels):
        records, lines = list(labels), verb.told(list(labels))
    else:
        table, *more = labels
        if out is None or more or table.suffix == ".json":
            raise click.UsageError("expected one table with --out AUDIT.json, or records of audits (.json) without it")
        asked: dict[str, Any] = {"kind": "classes", "strand": "invariant"} | of_task(table)
        asked |= {name: value for name, value in (("kind", kind), ("strand", strand)) if value}
        records, lines = [out], verb.run(table, out, built, sequences, pretrained, asked["kind"], asked["strand"])
    for line in lines:
        click.echo(line)
    verb.gate(records, built)
