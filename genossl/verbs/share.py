"""A run as a folder for others: weights, their description and a model card, without a path of this machine."""

from __future__ import annotations

from pathlib import Path

from genossl import files
from genossl.sharing import folder


def run(encoder: Path, out: Path, title: str = "", licence: str = "", results: Path | None = None) -> list[str]:
    """Write `out`, a folder with the encoder of a run and its card; returns the names of its files.

    results: a results folder, whose scores of these weights go into the card. Raises InputError as `folder.write` does.
    """
    out = Path(out)
    read = folder.write(encoder, out, title=title, licence=licence, results=results)
    given = {"encoder": encoder, "out": out, "title": title or None, "licence": licence or None, "results": results}
    files.write_provenance(out, "share", {}, read, given=given)
    return sorted(path.name for path in out.iterdir())
