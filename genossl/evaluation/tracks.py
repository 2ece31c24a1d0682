"""One number per base along contigs, as genome browsers show it: from windows that may overlap to bedGraph and bigWig.

Both formats are 0-based and half-open (genome.ucsc.edu/goldenPath/help/bedgraph.html, bigWig.html) and hold float32.
"""

# N windows, E edges, R runs

from __future__ import annotations

import gzip
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genossl import files
from genossl.errors import DiskError, InputError

BEDGRAPH = (".bedgraph", ".bedgraph.gz")
BIGWIG = (".bw", ".bigwig")
SUFFIXES = (*BEDGRAPH, *BIGWIG)
_NO_NAME = re.compile(r"\s|#|(track|browser)$")  # a line that begins so would be another, or a comment


class Runs(NamedTuple):
    """Stretches of one value each, ascending, that do not overlap; what lies between has no value."""

    contig: str
    start_R: np.ndarray
    end_R: np.ndarray
    value_R: np.ndarray  # float32


def runs(contig: str, start_N: np.ndarray, end_N: np.ndarray, value_N: np.ndarray) -> Runs:
    """The mean, at each base, over the windows that cover it; neighbours of one value are one run."""
    edge_E = np.unique(np.concatenate([start_N, end_N]))
    first_N, last_N = np.searchsorted(edge_E, start_N), np.searchsorted(edge_E, end_N)
    total, count = np.zeros(len(edge_E)), np.zeros(len(edge_E), np.int64)  # of the stretch from each edge to the next
    for i in range(int((last_N - first_N).max(initial=0))):  # the i-th stretch of each window
        long_N = first_N + i < last_N
        np.add.at(total, first_N[long_N] + i, value_N[long_N])
        np.add.at(count, first_N[long_N] + i, 1)
    covered = np.flatnonzero(count)
    start, end = edge_E[covered], edge_E[covered + 1]
    value = (total[covered] / count[covered]).astype(np.float32) + np.float32(0)  # no -0.0 beside 0.0
    new = np.ones(len(covered), bool)
    new[1:] = (start[1:] != end[:-1]) | (value[1:] != value[:-1])
    last = np.append(np.flatnonzero(new)[1:], len(covered)) - 1
    return Runs(contig, start[new], end[last], value[new])


def write(path: Path, tracks: Iterable[Runs], sizes: dict[str, int]) -> None:
    """bedGraph (.bedgraph, .bedgraph.gz) or bigWig (.bw, .bigwig); tracks in the order of `sizes`, the contigs' bases.

    Raises InputError for another ending, and for a contig whose name bedGraph cannot hold.
    """
    if path.name.lower().endswith(BIGWIG):
        _bigwig(path, tracks, sizes)
        return
    if odd := next((name for name in sizes if _NO_NAME.match(name) or re.search(r"\s", name)), None):
        raise InputError(f"{path}: contig {odd!r} has a name that bedGraph cannot hold; .bw can")
    with files.atomic(path) as stream:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed:  # no time, no name: equal bytes
                _bedgraph(packed, tracks)
        else:
            _bedgraph(stream, tracks)


def suffix_of(path: Path) -> str:
    """The ending that says which format; InputError where it says none."""
    found = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    if found is None:
        raise InputError(f"{path}: tracks end in {', '.join(SUFFIXES)}")
    if found in BIGWIG:
        _pybigwig(path)
    return found


def _bedgraph(stream: Any, tracks: Iterable[Runs]) -> None:
    for contig, start_R, end_R, value_R in tracks:
        values = value_R.astype(str)  # the shortest that is read as the same float32
        for start, end, value in zip(start_R.tolist(), end_R.tolist(), values.tolist(), strict=True):
            stream.write(f"{contig}\t{start}\t{end}\t{value}\n".encode())


def _bigwig(path: Path, tracks: Iterable[Runs], sizes: dict[str, int]) -> None:
    """pyBigWig writes to a name of its own and does not raise where a disk is full, so what it wrote is looked at."""
    pybigwig, bases = _pybigwig(path), 0
    with tempfile.TemporaryDirectory() as folder, files.atomic(path) as stream:
        made = str(Path(folder) / "track.bw")
        with pybigwig.open(made, "w") as file:
            file.addHeader(list(sizes.items()))
            for contig, start_R, end_R, value_R in tracks:
                start, end, value = start_R.tolist(), end_R.tolist(), value_R.astype(float).tolist()
                file.addEntries([contig] * len(start), start, ends=end, values=value)
                bases += int((end_R - start_R).sum())
        with pybigwig.open(made) as file:
            if file.header()["nBasesCovered"] != bases:
                raise DiskError(f"{folder}: cannot be written, {path.name} was cut; is the disk full?")
        with open(made, "rb") as written:
            shutil.copyfileobj(written, stream)


def _pybigwig(path: Path) -> Any:
    try:
        import pyBigWig
    except ImportError:
        raise InputError(f"{path}: bigWig needs pyBigWig; pip install 'genossl[bigwig]'") from None
    return pyBigWig
