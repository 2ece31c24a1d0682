"""`genossl explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli.options import PATH, device_option, settings_options, threads_option, verb_command, verb_settings


@verb_command(("Settings (--set KEY=VALUE, or explain: in --config)", "verbs/explain.py", "Settings"))
@click.argument("head", type=PATH, metavar="HEAD")
@click.argument("source", metavar="INPUT")
@click.option("--out", required=True, type=PATH, metavar="FOLDER", help="Tables, track and picture.")
@click.option("--about", metavar="CLASS", help="What to explain, if not what the head says; short for --set about=...")
@click.option("--method", metavar="ism|occlusion", help="How; short for --set method=...")
@click.option("--encoder", metavar="ENCODER", help="Where the encoder is now, if not where it was; checked by sha256.")
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of a labelled table refer to.")
@settings_options
@device_option
@threads_option
def explain(
    head: Path, source: str, out: Path, about: Any, method: Any, encoder: Any, sequences: Any,
    config_file: Any, settings: Any, assignments: Any, device: str, threads: int,
) -> None:  # fmt: skip
    """Say which bases the decisions of a saved head hang on.

    HEAD and INPUT are as of genossl predict. Each base is replaced by each of the three others (ism), or spans of bases
    are hidden (occlusion), and the head is asked again: what its log-odds lose is what hangs on the base. That is about
    the head, and about biology only as far as the head is right. Sequences read: three for each base.
    """
    from genossl import config
    from genossl.verbs import explain as verb

    mapping = verb_settings("explain", config_file, settings, assignments, about=about, method=method)
    built = config.build(verb.Settings, mapping, "explain")
    for line in verb.run(head, source, out, built, encoder, sequences, device, threads):
        click.echo(line)
