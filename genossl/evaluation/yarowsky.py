"""Yarowsky's algorithm: a few labelled rows make rules, rules label more rows, those make better rules.

Yarowsky, Unsupervised word sense disambiguation rivaling supervised methods, ACL 1995, doi 10.3115/981658.981684.
A rule says how far a feature f (a k-mer, a code of an embedding) speaks for class k, by its lower confidence bound:

    l_fk = log((n_fk + a) / (n_f,other + a)) - log(N_k / N_other)
    score_fk = sign(l_fk) max(0, |l_fk| - z sqrt(1 / (n_fk + a) + 1 / (n_f,other + a)))

The paper takes the single best rule; here scores are summed over a row's features. Of 20,000 features many are pure by
chance: the bound, not the ratio, tells them from the true ones. Then one sense per genome: its rows share a class.
Labels may change in every round; seeds may not.
"""

# N rows, F features, K classes, G groups (genomes or contigs)

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse

from genossl.errors import InputError

UNDECIDED = -1
SURE = 3  # seeds of one genome that are believed more than the rules


class TooFewSeeds(InputError):
    """The seeds do not carry to the other rows, or say nothing: there is no labelling worth the name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How careful the rules are."""

    z: float = 2.0  # standard errors taken off the log-odds of a rule
    smoothing: float = 0.5  # a, added to both counts of a rule
    min_count: int = 5  # rows that a feature must occur in to become a rule
    threshold: float = 0.5  # a row is labelled where the sum of its rules is beyond this
    one_sense: bool = True  # rows of one genome (or contig) share a class
    rounds: int = 50  # at most; it ends when the labels stay
    min_coverage: float = 0.2  # share of rows labelled before genomes are made of one class, and for a result at all
    min_labelled: int = 10  # labelled rows of every class, for the same two

    def __post_init__(self) -> None:
        if self.z < 0 or self.smoothing <= 0 or self.threshold < 0:
            raise ValueError("z and threshold must be at least 0 and smoothing above 0")
        if min(self.min_count, self.rounds, self.min_labelled) < 1 or not 0 <= self.min_coverage <= 1:
            raise ValueError("min_count, rounds and min_labelled must be at least 1 and min_coverage from 0 to 1")


@dataclasses.dataclass(frozen=True)
class Labelling:
    """What became of the rows, and the rules that did it."""

    label_N: np.ndarray  # class, or UNDECIDED
    score_N: np.ndarray  # half the lead of the label over the next best class; for two classes the summed log-odds
    how_N: np.ndarray  # "seed", "rules", "genome" or ""
    score_FK: np.ndarray  # of each feature as a rule; 0 where it is none
    count_FK: np.ndarray  # labelled rows of each class that have the feature
    rounds: int
    one_sense: bool  # whether the last round made genomes of one class

    @property
    def coverage(self) -> float:
        """Share of the rows that have a label."""
        return float((self.label_N != UNDECIDED).mean())


def run(
    has_NF: sparse.csr_array, seed_N: np.ndarray, n_classes: int, group_N: np.ndarray, settings: Settings
) -> Labelling:
    """Label rows from the seeds among them (class number, or UNDECIDED).

    has_NF: 1 where a row has a feature. group_N: genome number of each row; rows of unknown genomes are each their own.
    Raises TooFewSeeds where the rules do not get past the seeds, or agree with them no better than chance: structure is
    found from random seeds too, and named at random. Nothing is random here.
    """
    seeds = seed_N != UNDECIDED
    if missing := [k for k in range(n_classes) if not (seed_N == k).any()]:
        raise TooFewSeeds(f"too few seeds: {len(missing)} of {n_classes} classes have none")
    label_N, known = seed_N.copy(), set()
    for _ in range(settings.rounds):
        known.add(label_N.tobytes())
        count_FK, score_FK = rules(has_NF, label_N, n_classes, settings)
        sum_NK = has_NF @ score_FK
        ruled_N, lead_N = decide(sum_NK, settings.threshold)
        ruled_N = balanced(np.where(seeds, seed_N, ruled_N), lead_N, label_N, seeds, n_classes)
        together = settings.one_sense and _enough(ruled_N, n_classes, settings) and agree(ruled_N, group_N, n_classes)
        label_N = np.where(seeds, seed_N, one_sense(ruled_N, seed_N, group_N, n_classes) if together else ruled_N)
        if label_N.tobytes() in known:  # the labels stay, or come round
            break
    _refuse(seed_N, decide(sum_NK, settings.threshold)[0], label_N, n_classes, settings)
    how_N = np.select([seeds, label_N == UNDECIDED, label_N == ruled_N], ["seed", "", "rules"], "genome")
    return Labelling(label_N, lead_of(sum_NK, label_N), how_N, score_FK, count_FK, len(known), together)


def _refuse(seed_N: np.ndarray, ruled_N: np.ndarray, label_N: np.ndarray, n_classes: int, settings: Settings) -> None:
    """Too little labelled beyond the seeds, or seeds that their own rules (unpinned) do not know: no labelling."""
    seeds, rest = seed_N != UNDECIDED, label_N[seed_N == UNDECIDED]
    rarest = _counts(label_N, n_classes).min()
    if (len(rest) and (rest != UNDECIDED).mean() < settings.min_coverage) or rarest < settings.min_labelled:
        raise TooFewSeeds(
            f"too few seeds: rules from {seeds.sum()} seeds label {(rest != UNDECIDED).sum()} of {len(rest)} other "
            f"rows, {rarest} rows of the rarest class in all; expected at least {settings.min_coverage:.0%} and "
            f"{settings.min_labelled}"
        )
    both = seeds & (ruled_N != UNDECIDED)
    n, same = both.sum(), (seed_N == ruled_N)[both].sum()
    chance = _counts(seed_N[both], n_classes) @ _counts(ruled_N[both], n_classes) / max(n, 1) ** 2
    if same <= n * chance + 3 * np.sqrt(n * chance * (1 - chance)):
        raise TooFewSeeds(
            f"too few seeds, or wrong ones: rules give {same} of {n} seeds their own label, {n * chance:.0f} by "
            "chance; expected 3 standard errors more"
        )


def rules(
    has_NF: sparse.csr_array, label_N: np.ndarray, n_classes: int, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Labelled rows of each class that have a feature, and its score as a rule for each class: both (F, K).

    Each class is set against all others; of two classes one score is the other with its sign changed.
    """
    is_NK = (label_N[:, None] == np.arange(n_classes)).astype(np.float64)
    count_FK, total_K, a = has_NF.T @ is_NK, is_NK.sum(0), settings.smoothing
    other_FK = count_FK.sum(1, keepdims=True) - count_FK
    odds_FK = np.log((count_FK + a) / (other_FK + a)) - np.log(total_K / (total_K.sum() - total_K))
    error_FK = np.sqrt(1 / (count_FK + a) + 1 / (other_FK + a))
    score_FK = np.sign(odds_FK) * np.maximum(0, np.abs(odds_FK) - settings.z * error_FK)
    score_FK[has_NF.sum(0) < settings.min_count] = 0
    return count_FK, score_FK


def decide(sum_NK: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The best class of each row or UNDECIDED, and half its lead over the second.

    Both the best sum and half the lead must be beyond the threshold; for two classes, whose sums are opposite, the
    two conditions are one.
    """
    best_N = sum_NK.argmax(1)
    lead_N = lead_of(sum_NK, best_N)
    sure = (sum_NK.max(1) > threshold) & (lead_N > threshold)
    return np.where(sure, best_N, UNDECIDED), lead_N


def lead_of(sum_NK: np.ndarray, label_N: np.ndarray) -> np.ndarray:
    """Half of what each row's label (or best class, where it has none) leads the best other class by."""
    label_N = np.where(label_N == UNDECIDED, sum_NK.argmax(1), label_N)
    own_N = np.take_along_axis(sum_NK, label_N[:, None], 1)[:, 0]
    other_NK = sum_NK.copy()
    np.put_along_axis(other_NK, label_N[:, None], -np.inf, 1)
    return (own_N - other_NK.max(1)) / 2


def balanced(
    wanted_N: np.ndarray, lead_N: np.ndarray, label_N: np.ndarray, seeds: np.ndarray, n_classes: int
) -> np.ndarray:
    """`wanted_N` without the weakest of a class that grows too fast: no class more than doubles unless all do.

    A class that is a little ahead would otherwise take every doubtful row, and with them the next round's rules.
    """
    wanted_K, now_K = _counts(wanted_N, n_classes), _counts(label_N, n_classes)
    growth = max(2.0, (wanted_K / now_K).min())
    kept_N = wanted_N.copy()
    strength_N = np.where(seeds, np.inf, lead_N)
    for k in range(n_classes):
        rows = np.flatnonzero(wanted_N == k)
        order = rows[np.argsort(-strength_N[rows], kind="stable")]
        kept_N[order[int(growth * now_K[k]) :]] = UNDECIDED
    return np.where(seeds, wanted_N, kept_N)


def agree(label_N: np.ndarray, group_N: np.ndarray, n_classes: int) -> bool:
    """Whether labelled rows of one group are of one class, at least halfway from chance to always.

    Genes of one genome are of many classes: there one sense per genome would be wrong, and pairs of rows say so.
    """
    votes_GK = _votes(label_N, group_N, n_classes)
    share_K = votes_GK.sum(0) / votes_GK.sum()
    chance = (share_K**2).sum()
    same = (votes_GK * (votes_GK - 1)).sum()
    pairs = (votes_GK.sum(1) * (votes_GK.sum(1) - 1)).sum()
    return bool(pairs) and same / pairs >= (1 + chance) / 2


def one_sense(label_N: np.ndarray, seed_N: np.ndarray, group_N: np.ndarray, n_classes: int) -> np.ndarray:
    """Every row gets the class of most labelled rows of its group; where two classes tie rows keep what they have.

    A group with SURE seeds or more gets the class of most of these: else a class whose rules are weak loses genomes
    that are known to be of it.
    """
    votes_GK, seeds_GK = _votes(label_N, group_N, n_classes), _votes(seed_N, group_N, n_classes)
    votes_GK = np.where(seeds_GK.sum(1, keepdims=True) >= SURE, seeds_GK, votes_GK)
    sorted_GK = np.sort(votes_GK, 1)
    clear_G = sorted_GK[:, -1] > sorted_GK[:, -2]
    return np.where(clear_G[group_N], votes_GK.argmax(1)[group_N], label_N)


def seeds_of_marks(has_NM: np.ndarray, class_M: np.ndarray, n_classes: int) -> np.ndarray:
    """Seed labels from seed features: rows that have marks of one class, and of one only, are its seeds."""
    marked_NK = np.stack([has_NM[:, class_M == k].any(1) for k in range(n_classes)], axis=1)
    return np.where(marked_NK.sum(1) == 1, marked_NK.argmax(1), UNDECIDED)


def one_hot(code_NM: np.ndarray, n_codes: int) -> sparse.csr_array:
    """Codes 0 .. n_codes - 1 in each of M columns as M * n_codes features, M of them in each row."""
    n, m = code_NM.shape
    column = (code_NM + n_codes * np.arange(m)).ravel()
    return sparse.csr_array((np.ones(n * m), column, np.arange(n + 1) * m), shape=(n, m * n_codes))


def _counts(label_N: np.ndarray, n_classes: int) -> np.ndarray:
    return np.bincount(label_N[label_N != UNDECIDED], minlength=n_classes)


def _enough(label_N: np.ndarray, n_classes: int, settings: Settings) -> bool:
    counts_K = _counts(label_N, n_classes)
    return counts_K.sum() >= settings.min_coverage * len(label_N) and counts_K.min() >= settings.min_labelled


def _votes(label_N: np.ndarray, group_N: np.ndarray, n_classes: int) -> np.ndarray:
    votes_GK = np.zeros((group_N.max() + 1, n_classes))
    known = label_N != UNDECIDED
    np.add.at(votes_GK, (group_N[known], label_N[known]), 1)
    return votes_GK
