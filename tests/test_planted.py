"""Genomes whose truth we planted: what can be learnt is learnt, and where there is nothing, nothing is found.

A species is a source of bases with its own k-mer frequencies, equal on both strands. The judge is what users do: a
logistic regression on few labels, on reads of genomes never seen. Seeds draw new sources, weights, windows and reads.
Methods that say bases find differences of short k-mers first, so their species differ in these.
"""

# S seeds

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import planted
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from genossl import files, methods
from genossl.model import journal
from genossl.model.checkpoint import load_encoder, untrained
from genossl.model.embedding import embed
from genossl.verbs import pretrain

SEEDS = range(5)
SPECIES, SHOTS, DRAWS, READS = 6, 5, 4, 60  # READS: of each species, to test on
KMER = {"k": 4, "width": 50, "stride": 50, "hidden": 64, "channels": 32, "context": 32, "prefix": True}
CONV = {"front": "conv", "width": 20, "stride": 10, "channels": 32, "context": 32, "mask": True}
BASES = {**CONV, "width": 6, "stride": 1}


@dataclasses.dataclass(frozen=True)
class Size:
    read: int  # bases
    recipe: dict
    choice: bool = True  # the pretext is to tell right from wrong, so it is judged on held-out windows too
    kmers: tuple[int, float] = (5, 0.45)  # k and sharpness: how reads of two species differ, which is not at a glance


def small(
    method: str,
    *,
    choice: bool = True,
    encoder: dict = KMER,
    lr: float = 2e-3,
    batch: int = 128,
    kmers: tuple[int, float] = (5, 0.45),
    **settings,
) -> Size:
    """A run that ends in seconds, the same for every method that the encoder serves."""
    recipe = {
        "preset": "default" if encoder is KMER else "conv",
        "name": method,
        "pretrain": {"steps": 120, "batch": batch, "lr": lr},
        "encoder": encoder,
        method: {"length": 250, **settings},
    }
    return Size(250, recipe, choice, kmers)


SMALL = small("self_genomenet", distance=2000, projection=32, group=8)
DEFAULT = Size(read=500, recipe={"preset": "default", "pretrain": {"steps": 100}, "self_genomenet": {"group": 16}})


def sources(kind: str, size: Size, rng: np.random.Generator) -> list[np.ndarray]:
    if kind == "species":
        return [planted.symmetric(rng, *size.kmers) for _ in range(SPECIES)]
    if kind == "one source":
        return [planted.symmetric(rng, *size.kmers)] * SPECIES
    return [np.full((1, 4), 0.25)] * SPECIES  # any base, equally likely


@dataclasses.dataclass(frozen=True)
class Outcome:
    trained_S: np.ndarray  # accuracy on reads never seen, SHOTS labels per species
    untrained_S: np.ndarray
    right: int  # of `asked` held-out windows, how many picked their continuation among `candidates`
    asked: int
    candidates: float

    def gain(self) -> tuple[float, float]:
        """The t interval over seeds of trained minus untrained, each pair on the same reads and labels."""
        gain_S = self.trained_S - self.untrained_S
        half = stats.t.ppf(0.975, len(gain_S) - 1) * gain_S.std(ddof=1) / len(gain_S) ** 0.5
        return gain_S.mean() - half, gain_S.mean() + half

    def most_by_chance(self) -> float:
        """The most right answers that guessing gives, but for one time in a thousand.

        A pair's two directions tend to be right together, so half as many questions count, each for two.
        """
        return 2 * stats.binom.ppf(0.999, self.asked // 2, 1 / self.candidates)


def outcome(folder: Path, kind: str, size: Size) -> Outcome:
    """What all seeds found; told in a line (pytest -s)."""
    trials = [_trial(folder / str(seed), kind, size, seed) for seed in SEEDS]
    trained, first, right, asked, candidates = (np.array(column) for column in zip(*trials, strict=True))
    found = Outcome(trained, first, round(right.sum()), int(asked.sum()), candidates.mean())
    low, high = found.gain()
    told = f"{size.recipe.get('name', 'default')}, {kind}: {first.mean():.2f} to {trained.mean():.2f}"
    print(f"{told}, gain {(trained - first).mean():.2f} [{low:.2f}, {high:.2f}]")
    return found


def _trial(folder: Path, kind: str, size: Size, seed: int) -> tuple[float, float, float, int, float]:
    rng = np.random.default_rng([seed, 7])
    of = sources(kind, size, rng)
    genomes = {
        f"{split}{i}": (split, [planted.sample(rng, source, 20_000) for _ in range(2)])
        for split in ("train", "validation")
        for i, source in enumerate(of)
    }
    recipe = {**size.recipe, "pretrain": {**size.recipe["pretrain"], "seed": seed, "validate_every": 10_000}}
    pretrain.run(planted.store(folder / "store", genomes), folder / "run", recipe)
    reads = [planted.sample(rng, source, size.read) for source in of for _ in range(READS + DRAWS * SHOTS)]
    scores = [_few_shot(embed(load(folder / "run"), reads)) for load in (load_encoder, untrained)]
    last = dict(
        zip(journal.COLUMNS, (folder / "run" / "log.tsv").read_text().splitlines()[-1].split("\t"), strict=True)
    )
    assert last["split"] == "validation"
    asked = 2 * files.read_json(folder / "run" / "encoder.json")["pretrain"]["batch"]  # windows and targets
    return scores[0], scores[1], float(last["top1"]) * asked, asked, float(last["candidates"])


def _few_shot(vectors: np.ndarray) -> float:
    """Mean accuracy over DRAWS sets of SHOTS labelled reads per species; chance is 1 / SPECIES."""
    vectors = (vectors - vectors.mean(0)) / (vectors.std(0) + 1e-6)
    species = np.repeat(np.arange(SPECIES), READS + DRAWS * SHOTS)
    read = np.tile(np.arange(READS + DRAWS * SHOTS), SPECIES)
    test, accuracies = read < READS, []
    for draw in range(DRAWS):
        first = READS + draw * SHOTS
        train = (read >= first) & (read < first + SHOTS)
        head = LogisticRegression(C=0.01, max_iter=1000).fit(vectors[train], species[train])
        accuracies.append(head.score(vectors[test], species[test]))
    return float(np.mean(accuracies))


SIZES = [pytest.param(SMALL, id="small"), pytest.param(DEFAULT, id="default", marks=pytest.mark.slow)]
NULLS = [
    pytest.param("one source", SMALL, id="one-source-small"),
    pytest.param("one source", DEFAULT, id="one-source-default", marks=pytest.mark.slow),
    pytest.param("any base", SMALL, id="any-base-small", marks=pytest.mark.slow),
]


PAIRS = {"distance": 2000, "projection": 32}
OTHERS = {  # at the same budget; what says bases needs them one by one, and more of the learning rate
    "siamese": small("siamese", **PAIRS),
    "simclr": small("simclr", **PAIRS, group=8),
    "vicreg": small("vicreg", choice=False, distance=2000, hidden=64, projection=64),
    # the teacher's memory, 1 / (1 - momentum) steps, has to be short beside the 120 steps
    "byol": small("byol", choice=False, **PAIRS, hidden=64, momentum=0.9),
    "directpred": small("directpred", choice=False, **PAIRS, hidden=64, momentum=0.9),
    "clip": small("clip", projection=32, hidden=64),
    "cpc": small("cpc", projection=32, kmers=(3, 0.6)),
    "wav2vec": small("wav2vec", negatives=20, kmers=(3, 0.6)),
    "wav2vec-2": small("wav2vec", version=2, negatives=20, entries=32, lr=5e-3, kmers=(3, 0.6)),
    "autoencoder": small("autoencoder", encoder=CONV, lr=5e-3, kmers=(2, 1.0)),
    "masked_lm": small("masked_lm", encoder=CONV, lr=5e-3, kmers=(2, 1.0)),
    "causal_lm": small("causal_lm", encoder=BASES, lr=1e-2, batch=32, length=100, kmers=(2, 1.0)),
}
SIZES += [pytest.param(size, id=name, marks=pytest.mark.slow) for name, size in OTHERS.items()]
NULLS += [
    pytest.param("one source", size, id=f"one-source-{name}", marks=pytest.mark.slow) for name, size in OTHERS.items()
]


def test_every_method_has_a_planted_truth():
    assert {size.recipe["name"] for size in [SMALL, *OTHERS.values()]} == set(methods.available())


@pytest.mark.parametrize("size", SIZES)
def test_training_beats_not_training_where_species_differ(tmp_path, size):
    found = outcome(tmp_path, "species", size)
    assert found.gain()[0] > 0, found
    assert not size.choice or found.right > found.most_by_chance(), found


@pytest.mark.parametrize("kind,size", NULLS)
def test_training_finds_nothing_where_nothing_differs(tmp_path, kind, size):
    """Here a gain, or a pretext solved on held-out genomes, would come from a leak."""
    found = outcome(tmp_path, kind, size)
    # one base of four is no window of many: within a source there is something to say about it
    assert found.candidates < 16 or found.right <= found.most_by_chance(), found
    # species are exchangeable, so chance is all that an accuracy varies by, and how much it does is known
    chance = 1 / SPECIES
    spread = (chance * (1 - chance) / (READS * SPECIES * len(SEEDS))) ** 0.5
    assert abs(found.trained_S.mean() - chance) < 3.5 * spread, found
    assert (found.trained_S - found.untrained_S).mean() < 3 * 2**0.5 * spread, found
