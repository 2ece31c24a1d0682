"""k-mer profiles of windows of 1,000 bases: what every network is slower than."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .data import Data
from .measure import Work
from .table import Contender, Goal, Rows, Table, ratio, short

LENGTH = 1000  # bases of a window, so that a window is a kbp
OURS = "genossl kmers.profiles"
OTHERS = {"scikit-learn CountVectorizer": "counting", "scikit-learn HashingVectorizer": "hashing"}


def tables(data: Data) -> list[Table]:
    return [_table(k, 20 if data.tiny else 1000) for k in (4, 6)]


def _table(k: int, windows: int) -> Table:
    calls = {OURS: "profiles"} | OTHERS
    return Table(
        f"kmers_{k}",
        f"{k}-mer profiles of windows of {LENGTH:,} bases",
        "kbp",
        next(iter(OTHERS)),
        [Contender(name, f"kmers:{call}", {"k": k, "windows": windows}) for name, call in calls.items()],
        [Goal(f"{k}-mer profiles, over {name}", OURS, name, least=20) for name in OTHERS],
        notes=(
            "genossl counts a k-mer and its reverse complement as one, from tokens; scikit-learn one strand, of text.",
        ),
    )


def rows_of(windows: int) -> list[Contender]:
    """The rows that stand beside networks, in kbp or windows."""
    return [Contender(f"{k}-mer profiles", "kmers:profiles", {"k": k, "windows": windows}) for k in (4, 6)]


def sentences(rows: Rows, networks: Iterable[str]) -> list[str]:
    """How much faster k-mers are than the fastest of the networks, where they are."""
    measured = [rows[name] for name in networks if not rows[name].left_out]
    fastest = max(measured, key=lambda row: ratio(row, measured[0], "cpu").median)
    told = []
    for name in ("4-mer profiles", "6-mer profiles"):
        times = ratio(rows[name], fastest, "cpu").median
        if times > 1:
            told.append(f"{name} are {short(times)} times as fast as {fastest.name}")
    return [f"{'; '.join(told)}: a network is worth its time only where it is better."] if told else []


# ---- contenders


def profiles(k: int, windows: int) -> Work:
    from genossl.genome import kmers

    yield {}
    sequences = list(_tokens(windows))
    while True:
        kmers.profiles(sequences, k)
        yield {"units": windows}


def counting(k: int, windows: int) -> Work:
    from sklearn.feature_extraction.text import CountVectorizer

    yield {}
    strings = _strings(windows)
    while True:
        CountVectorizer(analyzer="char", ngram_range=(k, k), lowercase=False).fit_transform(strings)
        yield {"units": windows}


def hashing(k: int, windows: int) -> Work:
    from sklearn.feature_extraction.text import HashingVectorizer

    yield {}
    strings = _strings(windows)
    vectorizer = HashingVectorizer(analyzer="char", ngram_range=(k, k), lowercase=False, norm="l1")
    while True:
        vectorizer.transform(strings)
        yield {"units": windows}


def _tokens(windows: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (windows, LENGTH), np.uint8)


def _strings(windows: int) -> list[str]:
    return [row.tobytes().decode() for row in np.frombuffer(b"ACGT", np.uint8)[_tokens(windows)]]
