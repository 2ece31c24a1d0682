"""`genossl generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import talk
from genossl.cli.options import PATH, device_option, threads_option, verb_command


@verb_command()
@click.argument("run", type=PATH, metavar="RUN")
@click.option("--out", required=True, metavar="FILE", help="FASTA to write, .gz packs it; - for standard output.")
@click.option("--n", default=10, show_default=True, help="Sequences.")
@click.option("--length", default=1000, show_default=True, help="Bases of each, after the prompt.")
@click.option("--prompt", default="", metavar="LETTERS", help="What every sequence begins with.")
@click.option("--temperature", default=1.0, show_default=True, help="Below 1 bolder, 0 the likeliest base always.")
@click.option("--top-k", default=0, show_default=True, help="Draw among the k likeliest bases; 0: all.")
@click.option("--top-p", default=1.0, show_default=True, help="Draw among the likeliest that reach this probability.")
@click.option("--seed", default=0, show_default=True, help="Sequence i is drawn by (seed, i), whatever --n is.")
@device_option
@threads_option
def generate(run: Path, out: str, device: str, threads: int, **drawn: Any) -> None:
    """Draw DNA from a run of causal_lm, base after base."""
    from genossl import config
    from genossl.verbs import generate as verb

    n = verb.run(run, out, config.build(verb.Settings, drawn, "generate"), device, threads)
    talk.tell(f"{out}: {n} sequences", out)
