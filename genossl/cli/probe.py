"""`genossl probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import talk
from genossl.cli.options import PATH, of_kind, settings_options, verb_command, verb_settings


@verb_command(
    ("Settings (--set KEY=VALUE, or probe: in --config)", "evaluation/tasks.py", "Settings"),
    ("Settings of the heads (--set KEY=VALUE)", "verbs/probe.py", "Settings"),
)
@click.argument("embeddings", nargs=-1, required=True, type=PATH, metavar="EMBEDDINGS...")
@click.option("--labels", required=True, type=PATH, metavar="TSV", help="Columns id, label; optional split and group.")
@click.option("--out", required=True, type=PATH, metavar="SCORES", help="The table of scores, .tsv")
@click.option("--task", help="Name of the task; default: the labels' file name.")
@click.option(
    "--save-head", type=PATH, metavar="HEAD", help="Keep a calibrated linear head of all training labels for predict."
)
@click.option(
    "--kind",
    type=click.Choice(["classes", "multilabel", "regression"]),
    help="What a label is: a class, names joined by ; or a number; default: as genossl tasks was told, else classes.",
)
@click.option(
    "--predictions", multiple=True, type=PATH, metavar="NPZ", help="Of a network trained end to end; repeatable."
)
@click.option(
    "--audit", type=PATH, metavar="TSV", help="The audit's .rows.tsv: scores also on clean rows, in .subsets.tsv."
)
@settings_options
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Embeddings probed at once.")
def probe(
    embeddings: tuple[Path, ...], labels: Path, out: Path, task: Any, save_head: Any, kind: Any,
    predictions: tuple[Path, ...], audit: Any, config_file: Any, settings: Any, assignments: Any, threads: int,
) -> None:  # fmt: skip
    """Score frozen embeddings on a labelled table, at growing numbers of labels.

    With --save-head, which takes one embedding, a logistic regression on all training rows is kept as
    HEAD.safetensors and HEAD.json: its penalty and temperature chosen on validation rows, its scores those on test.
    """
    from genossl import config
    from genossl.verbs import probe as verb

    mapping = of_kind(verb_settings("probe", config_file, settings, assignments), labels, kind)
    built = config.build(verb.Settings, mapping, "probe")
    name = task or labels.name.split(".")[0]
    verb.run(list(embeddings), labels, name, out, built, threads, list(predictions), audit, save_head)
    for line in verb.summary(out):
        click.echo(line)
    talk.wrote("scores", out)
    if save_head:
        talk.wrote("head", save_head)
