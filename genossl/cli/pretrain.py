"""`genossl pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import choices, talk
from genossl.cli.options import (
    PATH,
    device_option,
    recipe_of,
    set_option,
    settings_option,
    threads_option,
    verb_command,
)


@verb_command(
    ("Settings (--set pretrain.KEY=VALUE)", "recipe.py", "Loop"),
    ("Settings (--set encoder.KEY=VALUE)", "model/encoder.py", "Settings"),
)
@click.argument("store", type=PATH, metavar="STORE")
@click.option("--out", required=True, type=PATH, metavar="RUN", help="Folder of the run; an unfinished one is resumed.")
@click.option(
    "--method", metavar="NAME", shell_complete=choices.method, help="Pretext method; `genossl methods` lists them."
)
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    shell_complete=choices.preset,
    help="A preset's name or a YAML file with its sections.",
)
@settings_option
@set_option
@device_option
@threads_option
@click.option(
    "--time-limit",
    default=0.0,
    metavar="MINUTES",
    help="Save, stop and exit 75 after so long (fractions too); 0: no limit.",
)
@click.option("--profile", is_flag=True, help="Write RUN/profile.tsv: where the time of ten steps goes.")
@click.option(
    "--track",
    type=click.Choice(["tensorboard", "mlflow", "wandb"]),
    multiple=True,
    help="Also show the curves there while it trains; repeatable. RUN/log.jsonl and log.tsv are always written.",
)
def pretrain(
    store: Path, out: Path, method: Any, config_file: Any, settings: Any, assignments: Any, device: str, threads: int,
    time_limit: float, profile: bool, track: tuple[str, ...],
) -> None:  # fmt: skip
    """Train an encoder on a token store.

    Presets: default, short (150-base reads), conv, bases, kmer_mlp, paper_150, paper_1000. Settings are --set
    pretrain.KEY, encoder.KEY (both below) and method.KEY (`genossl methods NAME` lists them). The same command resumes
    a run that was stopped. Several processes train together under torchrun, such as torchrun --standalone
    --nproc-per-node 4 --no-python genossl pretrain ...: the batch is theirs together, the result that of one.
    """
    from genossl.model.ranks import started
    from genossl.verbs import pretrain as verb

    jobs = verb.Jobs(device=device, threads=threads, time_limit=time_limit, profile=profile, track=track)
    verb.run(store, out, recipe_of(config_file, settings, assignments, method), jobs)
    if started().first:  # of several the first writes, and says so
        talk.tell(f"{out}: encoder.safetensors, encoder.json, log.tsv, log.jsonl", out)
