"""`genossl strands`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import choices, talk
from genossl.cli.options import PATH, device_option, settings_options, threads_option, verb_command, verb_settings


@verb_command(
    ("Settings of the rows (--set KEY=VALUE)", "evaluation/tasks.py", "Settings"),
    ("Settings (--set KEY=VALUE, or strands: in --config)", "verbs/strands.py", "Settings"),
)
@click.argument("encoders", nargs=-1, required=True, metavar="ENCODER...", shell_complete=choices.encoder)
@click.option("--labels", required=True, type=PATH, metavar="TASK", help="The table of a task.")
@click.option(
    "--out", required=True, type=PATH, metavar="TABLE", help="Flip rates and correlations, .tsv, .tsv.gz or -"
)
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of the task refer to.")
@settings_options
@device_option
@threads_option
def strands(
    encoders: tuple[str, ...], labels: Path, out: Path, sequences: Any, config_file: Any, settings: Any,
    assignments: Any, device: str, threads: int,
) -> None:  # fmt: skip
    """Measure whether answers depend on the strand that is given.

    ENCODER as for embed. Flip rate: the share of test reads whose predicted class changes when the read is given as its
    reverse complement. Correlation: of class scores, and of vectors, between both strands.
    """
    from genossl import config
    from genossl.verbs import strands as verb

    built = config.build(verb.Settings, verb_settings("strands", config_file, settings, assignments), "strands")
    for line in verb.run(list(encoders), labels, out, built, sequences, device, threads):
        talk.tell(line, out)
    talk.wrote("strands", out)
