"""A run, or an encoder alone, as a folder for others: weights, their description and a model card."""

from __future__ import annotations

import shutil
from pathlib import Path

from genossl import files
from genossl.errors import InputError
from genossl.model import checkpoint
from genossl.model.encoder import Encoder
from genossl.sharing import card, facts
from genossl.sharing.hub import FILES

CARD = "README.md"


def write(source: Encoder | str | Path, out: str | Path, *, title: str = "", licence: str = "",
          results: str | Path | None = None) -> dict[str, Path]:  # fmt: skip
    """Write the folder `out` as a whole; returns the files that were read, by what they are.

    source: a run's folder, whose files are copied byte for byte, or an encoder, of which nothing is known but its
    shape. Scores come from `results` where they were measured with these very weights. Raises InputError where
    `source` is no run, `results` has no score of it, or `out` is a folder that holds something else.
    """
    out = Path(out)
    _refuse_other(out)
    with files.new_folder(out) as new:
        if isinstance(source, Encoder):
            checkpoint.save_encoder(new, source)
            known = facts.of_encoder(checkpoint.describe(new))
        else:
            run = checkpoint.encoder_folder(source)
            files.spare([out], [run])
            checkpoint.load_encoder(run)  # damage is found here, not by those who load it
            known = facts.of_run(run, results)
            for name in FILES:
                if (run / name).is_file():
                    shutil.copyfile(run / name, new / name)
        sums = {name: files.sha256(new / name) for name in FILES if (new / name).is_file()}
        (new / CARD).write_text(card.text(known, title or out.resolve().name, licence, sums), encoding="utf-8")
    return known.read


def _refuse_other(out: Path) -> None:
    """A folder is replaced as a whole, so it may hold nothing but what was written here before."""
    if not out.exists():
        return
    found = sorted(path.name for path in out.iterdir()) if out.is_dir() else [out.name]
    other = [name for name in found if name not in (*FILES, CARD)]
    if other or (found and CARD not in found):
        raise InputError(f"{out}: holds {[*other, *found][0]}, expected a new folder or one that genossl share wrote")
