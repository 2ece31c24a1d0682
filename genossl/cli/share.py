"""`genossl share`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genossl.cli import talk
from genossl.cli.options import PATH, verb_command


@verb_command()
@click.argument("encoder", type=PATH, metavar="RUN")
@click.option("--out", required=True, type=PATH, metavar="FOLDER", help="What others get; replaced if share wrote it.")
@click.option(
    "--results", type=PATH, metavar="RESULTS", help="Results folder with scores of this encoder for the card."
)
@click.option("--licence", default="", metavar="NAME", help="Under which others may use it, such as MIT.")
@click.option("--title", default="", metavar="TEXT", help="Of the card; the folder's name if not given.")
def share(encoder: Path, out: Path, results: Any, licence: str, title: str) -> None:
    """Write an encoder as a folder for others, with a model card.

    The folder holds encoder.safetensors, encoder.json, heads.safetensors where the method keeps them, and README.md:
    data, settings, scores with their verdict, limits, checksums, as the run's files say. Nothing is uploaded: hf upload
    USER/NAME FOLDER does, or genossl.save_pretrained in Python.
    """
    from genossl.verbs import share as verb

    talk.tell(f"{out}: {', '.join(verb.run(encoder, out, title, licence, results))}", out)
