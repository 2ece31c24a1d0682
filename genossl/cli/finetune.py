"""`genossl finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import choices, talk
from genossl.cli.options import (
    PATH,
    device_option,
    of_kind,
    settings_options,
    threads_option,
    verb_command,
    verb_settings,
)


@verb_command(
    ("Settings (--set KEY=VALUE, or finetune: in --config)", "evaluation/tasks.py", "Settings"),
    ("Settings of the training (--set KEY=VALUE)", "verbs/finetune.py", "Settings"),
)
@click.argument("model", metavar="MODEL", shell_complete=choices.path)
@click.argument("labels", type=PATH, metavar="LABELS")
@click.option("--out", required=True, type=PATH, metavar="PREDICTIONS", help=".npz; what was tried beside it as .json")
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of LABELS refer to.")
@click.option("--kind", metavar="KIND", help="What a label is, as for probe; default: as genossl tasks was told.")
@settings_options
@device_option
@threads_option
def finetune(
    model: str, labels: Path, out: Path, sequences: Any, kind: Any, config_file: Any, settings: Any, assignments: Any,
    device: str, threads: int,
) -> None:  # fmt: skip
    """Train a network end to end on a labelled table and predict its test rows, at growing numbers of labels.

    MODEL is a run folder (fine-tuning), scratch:RUN (the same encoder from new random weights) or cnn (a supervised
    convolutional network that sees the whole input). Each gets the same trials. Rows, splits and label draws are those
    of `genossl probe` at equal settings.
    """
    from genossl import config
    from genossl.verbs import finetune as verb

    mapping = of_kind(verb_settings("finetune", config_file, settings, assignments), labels, kind)
    built = config.build(verb.Settings, mapping, "finetune")
    for line in verb.summary(verb.run(model, labels, out, built, sequences, device, threads)):
        click.echo(line)
    talk.wrote("predictions", out)
