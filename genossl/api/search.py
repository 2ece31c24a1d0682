"""Nearest windows and genomes of sequences in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genossl import config
from genossl.api.sequences import tokens_of
from genossl.genome import inputs
from genossl.model import index, neighbours
from genossl.model.index import Index


class GenomeIndex:
    """An index that `genossl index` wrote, for sequences in Python.

    Parameters
    ----------
    index : Index
        The opened index: its rows, vectors (unit length) and description. `open_index` makes both.

    Examples
    --------
    >>> found = genossl.open_index(indexed)
    >>> found.search(["GGCGCC" * 20], by="contig")[["query", "rank", "contig", "windows"]]
       query  rank contig  windows
    0      0     1     gc        2
    1      0     2     at        2
    """

    def __init__(self, index: Index) -> None:
        self.index = index

    def search(self, sequences: Iterable[Any], **settings: Any) -> pd.DataFrame:
        """Find the nearest windows, contigs or genomes of each sequence.

        Parameters
        ----------
        sequences : iterable
            As of `embed`; those longer than the index's window are cut into such windows.
        **settings
            `top` (10 hits), `by` ("window"; "contig" or "genome" rank what the sequence as a whole is near) and
            `least` (similarity), as of `genossl search`.

        Returns
        -------
        pandas.DataFrame
            The columns of `genossl search`, similarity as cosine; `query` counts the sequences from 0.

        Raises
        ------
        InputError
            For a setting or a sequence that cannot be.
        """
        chosen = config.build(neighbours.Settings, settings, "search")
        hits = neighbours.search(self.index, self._windows(tokens_of(sequences)), chosen)
        return pd.DataFrame(hits, columns=list(neighbours.COLUMNS[chosen.by]))

    def _windows(self, sequences: list[np.ndarray]) -> Iterator[neighbours.Window]:
        window, step = self.index.about["window"], self.index.about["settings"]["step"]
        for i, tokens in enumerate(sequences):
            # without a name, since no contig of the index is what is asked for
            for item in inputs.windows(inputs.Contig(i, "", "", tokens), window, step):
                yield i, item


def open_index(path: str | Path, encoder: str | None = None, device: str = "auto") -> GenomeIndex:
    """Open the index in a folder.

    Parameters
    ----------
    path : str or Path
        The folder that `genossl index` wrote.
    encoder : str, optional
        Where the encoder is now, if not where it was; it must be the very one, by its checksum.
    device : str
        auto, cpu, cuda, cuda:N or mps; where queries are embedded.

    Returns
    -------
    GenomeIndex
        With the method `search`.

    Raises
    ------
    InputError
        For a folder that holds no whole index, or another encoder.

    Examples
    --------
    >>> found = genossl.open_index(indexed, device="cpu")
    >>> found.search(["TTAATA" * 10], top=1)[["query_start", "query_end", "contig"]]
       query_start  query_end contig
    0            0         60     at
    """
    return GenomeIndex(index.open_index(path, encoder, device))
