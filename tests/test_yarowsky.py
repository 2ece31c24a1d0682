"""Yarowsky on motifs that we planted: what it must find, what it must refuse, what it must not depend on."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from scipy import sparse

from genossl.evaluation import yarowsky
from genossl.evaluation.yarowsky import UNDECIDED, Settings, TooFewSeeds
from genossl.genome import kmers
from genossl.genome.alphabet import reverse_complement
from genossl.verbs.label import presence

MOTIFS, K = 12, 8  # of each class; bases of a motif
ALONE = Settings(one_sense=False)


@dataclasses.dataclass(frozen=True)
class Planted:
    tokens: np.ndarray  # (2000, 120)
    y: np.ndarray
    genome: np.ndarray
    motifs: np.ndarray  # kinds, MOTIFS of class 0, then of class 1
    has: sparse.csr_array

    def seeds(self, n: int) -> np.ndarray:
        """n of the windows that hold the first motif of one class and not that of the other."""
        marks = self.has[:, self.motifs[[0, MOTIFS]]].toarray() > 0
        label = yarowsky.seeds_of_marks(marks, np.array([0, 1]), 2)
        rows = np.flatnonzero(label != UNDECIDED)
        kept = np.random.default_rng(n).permutation(rows)[:n]
        return np.where(np.isin(np.arange(len(label)), kept), label, UNDECIDED)

    def apart(self, seed: np.ndarray) -> np.ndarray:
        """Windows of genomes without any seed."""
        return ~np.isin(self.genome, self.genome[seed != UNDECIDED])


@functools.cache
def planted(seed: int) -> Planted:
    """200 genomes of 10 windows; 3 motifs of its class in each window, on either strand, 8 % of them of the other."""
    rng = np.random.default_rng(seed)
    kind, _ = kmers.kinds(K)
    motifs = kmer_codes(rng.integers(0, 4, (2 * MOTIFS, K)))
    while len(set(kind[motifs])) < 2 * MOTIFS:
        motifs = kmer_codes(rng.integers(0, 4, (2 * MOTIFS, K)))
    genome = np.repeat(np.arange(200), 10)
    y = rng.permutation(np.arange(200) % 2)[genome]
    tokens = rng.integers(0, 4, (2000, 120)).astype(np.uint8)
    for i in range(2000):
        for third in range(3):
            of = y[i] ^ (rng.random() < 0.08)
            code = motifs[of * MOTIFS + rng.integers(MOTIFS)]
            letters = (code // 4 ** np.arange(K - 1, -1, -1) % 4).astype(np.uint8)
            at = 40 * third + rng.integers(0, 40 - K + 1)
            tokens[i, at : at + K] = reverse_complement(letters) if rng.random() < 0.5 else letters
    return Planted(tokens, y, genome, kind[motifs], presence(list(tokens), K))


def kmer_codes(letters: np.ndarray) -> np.ndarray:
    return (letters * 4 ** np.arange(K - 1, -1, -1)).sum(-1)


def shifted(motif: int) -> set[int]:
    """Kinds of the k-mers that share all but one base with a motif where they overlap it: itself and its neighbours."""
    kind, _ = kmers.kinds(K)
    codes = np.flatnonzero(kind == motif)
    after = {kind[c % 4 ** (K - 1) * 4 + b] for c in codes for b in range(4)}
    return {motif} | after | {kind[c // 4 + b * 4 ** (K - 1)] for c in codes for b in range(4)}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_motifs_are_found_from_104_noisy_seeds(seed: int) -> None:
    """Windows of genomes without a seed get their class, and every one of the strongest rules is what was planted.

    A motif shifted by one base is true too, and by chance purer than the motif now and then.
    """
    data = planted(seed)
    given = data.seeds(104)
    assert 0.8 < (given == data.y)[given != UNDECIDED].mean() < 0.99
    for settings, least in ((Settings(), 0.98), (ALONE, 0.93)):
        made = yarowsky.run(data.has, given, 2, data.genome, settings)
        judged = data.apart(given) & (made.label_N != UNDECIDED)
        assert judged.sum() > 1000
        assert (made.label_N == data.y)[judged].mean() >= least
        assert made.coverage > 0.99
        assert made.one_sense == settings.one_sense
        assert ((made.label_N == given) | (given == UNDECIDED)).all()  # seeds are pinned
        assert set(made.how_N[given != UNDECIDED]) == {"seed"}
        top = np.argsort(-made.score_FK.max(1))[: 2 * MOTIFS]
        near = [shifted(motif) for motif in data.motifs]
        assert all(any(rule in kinds for kinds in near) for rule in top)
        assert np.isin(top, data.motifs).sum() >= (15 if settings.one_sense else MOTIFS)


@pytest.mark.parametrize("n", [104, 300, 500, 700])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_seeds_with_random_labels_are_refused(seed: int, n: int) -> None:
    """From many of them the true clusters are found, and named at random: the seeds themselves give that away."""
    data = planted(seed)
    given = np.full(2000, UNDECIDED)
    given[np.random.default_rng(seed).permutation(2000)[:n]] = np.arange(n) % 2
    for settings in (Settings(), ALONE):
        with pytest.raises(TooFewSeeds):
            yarowsky.run(data.has, given, 2, data.genome, settings)


def test_five_seeds_are_refused_and_so_is_a_class_without_any() -> None:
    data = planted(1)
    with pytest.raises(TooFewSeeds, match="too few seeds: rules from 5 seeds label 0 of 1995 other rows"):
        yarowsky.run(data.has, data.seeds(5), 2, data.genome, Settings())
    with pytest.raises(TooFewSeeds, match="too few seeds: 1 of 3 classes have none"):
        yarowsky.run(data.has, data.seeds(104), 3, data.genome, Settings())


def test_the_same_twice_and_inputs_untouched() -> None:
    data = planted(2)
    given = data.seeds(104)
    before = given.copy(), data.has.data.copy(), data.has.indices.copy()
    one, two = (yarowsky.run(data.has, given, 2, data.genome, Settings()) for _ in range(2))
    for name in ("label_N", "score_N", "how_N", "score_FK", "count_FK"):
        assert (getattr(one, name) == getattr(two, name)).all()
    assert all((x == y).all() for x, y in zip(before, (given, data.has.data, data.has.indices), strict=True))


def test_the_other_strand_gets_the_same_labels() -> None:
    data = planted(1)
    flipped = data.tokens.copy()
    flipped[::3] = reverse_complement(flipped[::3])
    given = data.seeds(104)
    one = yarowsky.run(data.has, given, 2, data.genome, Settings())
    two = yarowsky.run(presence(list(flipped), K), given, 2, data.genome, Settings())
    assert (one.label_N == two.label_N).all()
    assert (one.score_FK == two.score_FK).all()


def test_the_order_of_rows_and_the_numbers_of_classes_and_genomes_do_not_matter() -> None:
    data = planted(3)
    given, order = data.seeds(104), np.random.default_rng(0).permutation(2000)
    one = yarowsky.run(data.has, given, 2, data.genome, ALONE)
    swapped = np.where(given == UNDECIDED, UNDECIDED, 1 - given)[order]
    two = yarowsky.run(data.has[order], swapped, 2, 199 - data.genome[order], ALONE)
    assert (np.where(two.label_N == UNDECIDED, UNDECIDED, 1 - two.label_N) == one.label_N[order]).all()
    assert np.allclose(one.score_N[order], two.score_N)


def test_genomes_of_one_window_change_nothing() -> None:
    data = planted(1)
    given, each = data.seeds(104), np.arange(2000)
    one, two = (yarowsky.run(data.has, given, 2, each, settings) for settings in (Settings(), ALONE))
    assert (one.label_N == two.label_N).all()
    label = np.array([0, 1, UNDECIDED, 1])
    assert (yarowsky.one_sense(label, label, np.arange(4), 2) == label).all()


def test_windows_of_a_genome_are_left_alone_where_they_differ() -> None:
    """Classes dealt to windows, not to genomes, as of genes: the step is never made, and costs nothing."""
    data = planted(1)
    genome = np.random.default_rng(0).permutation(data.genome)
    given = data.seeds(104)
    one, two = (yarowsky.run(data.has, given, 2, genome, settings) for settings in (Settings(), ALONE))
    assert not one.one_sense
    assert (one.label_N == two.label_N).all()


def test_majority_of_a_genome() -> None:
    label = np.array([0, 0, 1, UNDECIDED, 1, 0, UNDECIDED, UNDECIDED])
    group = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    expected = [0, 0, 0, 0, 1, 0, UNDECIDED, UNDECIDED]  # a tie stays as it is
    assert yarowsky.one_sense(label, np.full(8, UNDECIDED), group, 2).tolist() == expected


def test_three_seeds_of_a_genome_outvote_the_rules() -> None:
    label = np.array([0, 0, 0, 1, 1, 1, 1, UNDECIDED, 1])
    two, three = np.full(9, UNDECIDED), np.full(9, UNDECIDED)
    two[:2], three[:3] = 0, 0
    genome = np.zeros(9, int)
    assert yarowsky.one_sense(label, two, genome, 2).tolist() == [1] * 9
    assert yarowsky.one_sense(label, three, genome, 2).tolist() == [0] * 9


def test_agreement_within_genomes() -> None:
    group = np.repeat(np.arange(50), 4)
    assert yarowsky.agree(group % 2, group, 2)
    assert not yarowsky.agree(np.arange(200) % 2, group, 2)
    assert not yarowsky.agree(np.arange(200) % 2, np.arange(200), 2)  # no pair says anything
    assert not yarowsky.agree(np.zeros(200, dtype=int), np.arange(200), 2)


def test_a_rule_by_hand() -> None:
    """n = (9, 1) of N = (10, 20): l = log(9.5 / 1.5) - log(10 / 20), minus 2 sqrt(1 / 9.5 + 1 / 1.5)."""
    has = sparse.csr_array(np.repeat([[1.0], [0], [1], [0]], [9, 1, 1, 19], axis=0))
    label = np.repeat([0, 0, 1, 1], [9, 1, 1, 19])
    count, score = yarowsky.rules(has, label, 2, Settings())
    odds, error = np.log(9.5 / 1.5) - np.log(0.5), np.sqrt(1 / 9.5 + 1 / 1.5)
    assert count.tolist() == [[9, 1]]
    assert score == pytest.approx(np.array([[odds - 2 * error, -(odds - 2 * error)]]))
    assert (yarowsky.rules(has, label, 2, Settings(z=5))[1] == 0).all()
    assert (yarowsky.rules(has, label, 2, Settings(min_count=11))[1] == 0).all()


def test_of_two_classes_one_rule_is_the_other_and_both_conditions_are_one() -> None:
    """The rule for many classes, on two, is |sum of scores| > threshold."""
    rng = np.random.default_rng(0)
    has = sparse.csr_array((rng.random((300, 40)) < 0.2).astype(float))
    label = rng.integers(-1, 2, 300)
    _, score = yarowsky.rules(has, label, 2, Settings(z=0.5))
    assert np.allclose(score[:, 0], -score[:, 1])
    total = has @ score[:, 1]
    plain = np.where(np.abs(total) > 0.5, (total > 0).astype(int), UNDECIDED)
    found, lead = yarowsky.decide(has @ score, 0.5)
    assert (found == plain).all()
    assert np.allclose(lead, np.abs(total))


def test_three_classes() -> None:
    """Columns 0 to 5 speak for class 0, and so on; the rest is noise."""
    rng = np.random.default_rng(0)
    y = np.arange(900) % 3
    likely = np.where(np.arange(18)[None] // 6 == y[:, None], 0.5, 0.1)
    has = sparse.csr_array((np.hstack([rng.random((900, 18)) < likely, rng.random((900, 50)) < 0.2])).astype(float))
    given = np.where(np.arange(900) < 90, y, UNDECIDED)
    made = yarowsky.run(has, given, 3, np.arange(900), Settings())
    judged = (given == UNDECIDED) & (made.label_N != UNDECIDED)
    assert judged.mean() > 0.6
    assert (made.label_N == y)[judged].mean() > 0.9
    assert (made.score_FK[:18].argmax(1) == np.arange(18) // 6).all()


def test_no_class_more_than_doubles_unless_all_do() -> None:
    label = np.repeat([0, 1, UNDECIDED], [10, 10, 180])
    seeds = np.zeros(200, dtype=bool)
    lead = np.arange(200)[::-1].astype(float)
    wanted = np.repeat([0, 1, 0, 1], [10, 10, 170, 10])
    kept = yarowsky.balanced(wanted, lead, label, seeds, 2)
    assert np.bincount(kept[kept >= 0]).tolist() == [20, 20]
    assert (kept[20:30] == 0).all()  # the strongest
    both = np.repeat([0, 1, 0, 1], [10, 10, 120, 60])
    kept = yarowsky.balanced(both, lead, label, seeds, 2)
    assert np.bincount(kept[kept >= 0]).tolist() == [70, 70]  # both sevenfold
    seeds[:30] = True  # seeds stay, whatever they are
    assert (yarowsky.balanced(wanted, -lead, label, seeds, 2)[:30] == wanted[:30]).all()


def test_marks_of_two_classes_make_no_seed() -> None:
    has = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [0, 0, 0], [0, 0, 1]], dtype=bool)
    assert yarowsky.seeds_of_marks(has, np.array([0, 0, 1]), 2).tolist() == [0, 0, -1, -1, 1]


def test_codes_become_features() -> None:
    found = yarowsky.one_hot(np.array([[0, 2], [1, 0]]), 3).toarray()
    assert found.tolist() == [[1, 0, 0, 0, 0, 1], [0, 1, 0, 1, 0, 0]]


@pytest.mark.parametrize("wrong", [{"z": -1}, {"smoothing": 0}, {"min_count": 0}, {"min_coverage": 2}])
def test_bad_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        Settings(**wrong)  # pyright: ignore[reportArgumentType]
