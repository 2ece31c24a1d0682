"""`genossl tasks`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import talk
from genossl.cli.options import PATH, json_object, verb_command


@verb_command()
@click.argument("path", type=PATH, metavar="PATH")
@click.option("--out", required=True, type=PATH, metavar="TASK", help="The task's table, .tsv; .json beside it.")
@click.option(
    "--layout", metavar="LAYOUT", help="auto, table, fasta, folder, csv or intervals; auto: by what is there."
)
@click.option("--kind", metavar="KIND", help="What a label is: classes, multilabel (names joined by ;) or regression.")
@click.option("--strand", metavar="STRAND", help="invariant, or as_given where the strand matters.")
@click.option("--labels", type=PATH, metavar="TSV", help="Columns id and label, beside FASTA or FASTQ.")
@click.option("--genome", type=PATH, metavar="FASTA", help="FASTA (or a store) that coordinates refer to.")
@click.option("--store", type=PATH, metavar="STORE", help="The collection, in place of --genome: checked, not copied.")
@click.option("--sequence", metavar="COLUMN", help="The column of the sequence.")
@click.option("--label", metavar="COLUMN", help="Of the label; BED: name or number; GFF3: type or an attribute.")
@click.option("--split", metavar="COLUMN", help="Of the split: train, validation (dev, val) or test.")
@click.option("--group", metavar="COLUMN", help="Of the group: what must not be on both sides of a split.")
@click.option("--description", metavar="TEXT", help="The question, in words.")
@click.option("--settings", metavar="JSON", help="These as one JSON object, under the options.")
def tasks(path: Path, out: Path, labels: Any, genome: Any, store: Any, settings: Any, **given: Any) -> None:
    """Turn labelled sequences of any layout into one table of a task.

    PATH is a table with id, label, and sequence or coordinates; FASTA or FASTQ with --labels; a folder with one
    subfolder of FASTA files or one FASTA file per class, perhaps below train, dev and test; a CSV or TSV with a
    sequence and a label, or a folder of train.csv, dev.csv and test.csv; BED or GFF3. All may be packed.
    """
    from genossl import config
    from genossl.verbs import tasks as verb

    mapping = json_object(settings) | {name: value for name, value in given.items() if value is not None}
    talk.tell(verb.run(path, out, config.build(verb.Settings, mapping, "tasks"), labels, genome, store), out)
