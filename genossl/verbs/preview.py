"""One batch of a method's pretext task in letters, so that a reader sees what is asked of the encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genossl import methods
from genossl.genome.alphabet import decode
from genossl.genome.store import TokenStore
from genossl.genome.windows import generator
from genossl.model.encoder import Encoder
from genossl.recipe import resolve

ROW = 60  # letters per line
SHOWN = 12  # numbers of a row of them
BATCH = 64  # windows drawn, more than any view has entries of another kind


def run(store_folder: Path, mapping: dict[str, Any], rows: int = 1) -> list[str]:
    """Lines that show where `rows` windows come from and every view made of them. Raises InputError."""
    recipe = resolve(mapping)
    settings = recipe.pretrain
    store = TokenStore.open(store_folder)
    method = methods.load(recipe.name)(recipe.method, Encoder(recipe.encoder))
    sampler = method.sampler(store, store.select(set(settings.train_splits)))
    rng = generator(settings.seed, 0)
    batch = sampler.draw(max(rows, BATCH), rng)
    views = method.views(batch, rng)
    lines = [f"method {recipe.name}, step 0 of seed {settings.seed}"]
    for row in range(rows):
        contig = store.contigs.iloc[int(batch.contig[row])]
        starts = batch.start[row].reshape(-1).tolist()
        length = batch.tokens.shape[-1]
        places = ", ".join(f"{contig.contig}:{start}-{start + length}" for start in starts)
        lines.append(f"window {row + 1}: genome {contig.genome}, {places}")
        for name, view in views.items():
            if name.endswith("_tokens"):
                letters = decode(view[row].reshape(-1))
                lines.append(f"  {name} ({len(letters)} bases)")
                lines += [f"    {letters[at : at + ROW]}" for at in range(0, len(letters), ROW)]
            elif view.ndim == 1 and len(view) == len(views[next(iter(views))]):
                lines.append(f"  {name} {view[row].item()}")
            elif view.ndim >= 2:
                shown = ", ".join(f"{value:g}" for value in view[min(row, len(view) - 1)].flatten()[:SHOWN].tolist())
                lines.append(f"  {name} {shown}, ... ({' x '.join(map(str, view.shape[1:]))} numbers)")
            else:
                lines.append(f"  {name} {view.tolist()}")
    return lines
