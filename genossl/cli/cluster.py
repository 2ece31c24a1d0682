"""`genossl cluster`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import talk
from genossl.cli.options import PATH, settings_options, verb_command, verb_settings


@verb_command(
    ("Settings (--set KEY=VALUE, or cluster: in --config)", "verbs/cluster.py", "Settings"),
    ("Settings of the algorithms (--set KEY=VALUE)", "evaluation/clusters.py", "Settings"),
)
@click.argument("embeddings", nargs=-1, required=True, type=PATH, metavar="EMBEDDINGS...")
@click.option("--labels", required=True, type=PATH, metavar="TSV", help="Columns id, label; optional split and group.")
@click.option("--out", required=True, type=PATH, metavar="SCORES", help="The table of scores, .tsv")
@click.option("--task", help="Name of the task; default: the labels' file name.")
@click.option("--rival", metavar="NAME", help="Embedding to beat, '' for none; short for --set rival=NAME.")
@settings_options
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Embeddings at once.")
def cluster(
    embeddings: tuple[Path, ...], labels: Path, out: Path, task: Any, rival: Any, config_file: Any, settings: Any,
    assignments: Any, threads: int,
) -> None:  # fmt: skip
    """Find classes again as clusters, without showing a label.

    The test rows of a labelled table are clustered by k-means and HDBSCAN; the clusters are scored as partitions (ARI,
    NMI, purity) and as bins of a metagenome (completeness and purity, as AMBER has them), beside 4-mers.
    """
    from genossl import config
    from genossl.verbs import cluster as verb

    mapping = verb_settings("cluster", config_file, settings, assignments, rival=rival)
    built = config.build(verb.Settings, mapping, "cluster")
    verb.run(list(embeddings), labels, task or labels.name.split(".")[0], out, built, threads)
    for line in verb.summary(out):
        click.echo(line)
    talk.wrote("scores", out)
