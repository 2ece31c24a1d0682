"""Does an answer depend on the strand? Closed forms, planted strands, and the verb against a second way to count."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import planted
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genossl.errors import InputError
from genossl.evaluation import heads
from genossl.evaluation.strands import correlation, flip_rate, flip_replicates, flips
from genossl.files import read_sheet
from genossl.genome import kmers
from genossl.genome.alphabet import decode, reverse_complement
from genossl.verbs import strands, tasks
from genossl.verbs.strands import Settings

SMALL = Settings(shots=(5,), draws=2, replicates=100)


# ---- closed forms


def test_equal_scores_never_flip_and_opposite_scores_always_do() -> None:
    a_MK = np.random.default_rng(0).normal(size=(50, 2))
    assert (flip_rate(a_MK, a_MK), flip_rate(a_MK, -a_MK)) == (0, 1)
    assert correlation(a_MK, a_MK) == pytest.approx(1)
    assert correlation(a_MK, -a_MK) == pytest.approx(-1)
    assert correlation(a_MK, 3 * a_MK + 7) == pytest.approx(1)


def test_independent_guesses_among_k_classes_flip_in_all_but_one_of_k() -> None:
    rng = np.random.default_rng(0)
    for k in (2, 5):
        a_MK, b_MK = rng.normal(size=(2, 40_000, k))
        assert flip_rate(a_MK, b_MK) == pytest.approx(1 - 1 / k, abs=0.01)
        assert correlation(a_MK, b_MK) == pytest.approx(0, abs=0.02)


@given(st.integers(0, 1000), st.integers(1, 6))
def test_neither_cares_which_strand_comes_first_and_the_correlation_is_numpys(seed: int, k: int) -> None:
    a_MK, b_MK = np.random.default_rng(seed).normal(size=(2, 9, k))
    assert flip_rate(a_MK, b_MK) == flip_rate(b_MK, a_MK)
    expected = np.mean([np.corrcoef(a_MK[:, i], b_MK[:, i])[0, 1] for i in range(k)])
    assert correlation(a_MK, b_MK) == pytest.approx(expected)
    assert correlation(b_MK, a_MK) == pytest.approx(expected)


def test_a_column_that_never_varies_has_no_correlation() -> None:
    a_MK = np.array([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    assert correlation(a_MK, a_MK) == pytest.approx(1)
    assert np.isnan(correlation(a_MK[:, 1:], a_MK[:, 1:]))


def test_weights_of_one_give_the_rate_itself_and_others_count_rows_of_units() -> None:
    flips_M, unit_M = np.array([True, False, False, True, True]), np.array([0, 0, 1, 2, 2])
    found = flip_replicates(flips_M, unit_M, np.array([[1, 1, 1], [0, 3, 0], [2, 0, 1]]))
    assert found == pytest.approx([3 / 5, 0, (2 * 1 + 2) / (2 * 2 + 2)])


def test_canonical_profiles_are_blind_to_the_strand_and_those_of_one_strand_are_not() -> None:
    """0 and 1 by construction, whatever is learnt from them."""
    rng = np.random.default_rng(0)
    reads = [rng.integers(0, 5, 60).astype(np.uint8) for _ in range(40)]
    turned = [reverse_complement(read) for read in reads]
    for k in (1, 3, 4):
        assert np.array_equal(kmers.profiles(reads, k), kmers.profiles(turned, k))
        assert not np.array_equal(kmers.profiles(reads, k, False), kmers.profiles(turned, k, False))
    assert correlation(kmers.profiles(reads, 4), kmers.profiles(turned, 4)) == pytest.approx(1)


# ---- the verb


def task(folder: Path, strand: str, stranded: bool, kind: str = "classes") -> Path:
    """Reads of two classes: one is the reverse complement of the other's source, or another source on any strand."""
    rng = np.random.default_rng(4)
    purine = np.repeat([[0.45, 0.05, 0.45, 0.05]], 4, axis=0)  # A and G; its reverse complement is T and C
    weak, strong = (np.repeat([row], 4, axis=0) for row in ([0.4, 0.1, 0.1, 0.4], [0.1, 0.4, 0.4, 0.1]))
    lines = ["id\tlabel\tsequence\tsplit\tgroup"]
    for split, n in (("train", 20), ("validation", 6), ("test", 30)):
        for i in range(n):
            for label in "xy":
                source = purine if stranded else {"x": weak, "y": strong}[label]
                tokens = planted.sample(rng, source, 100)
                if (stranded and label == "y") or (not stranded and i % 2):
                    tokens = reverse_complement(tokens)
                value = label if kind == "classes" else str(i)
                lines.append(f"{split}{label}{i}\t{value}\t{decode(tokens)}\t{split}\t{split}{i}")
    (folder / "in.tsv").write_text("\n".join(lines) + "\n")
    tasks.run(folder / "in.tsv", folder / "t.tsv", tasks.Settings(strand=strand, kind=kind))
    return folder / "t.tsv"


def table_of(path: Path) -> dict[str, dict[str, str]]:
    return {row["embedding"]: row for row in read_sheet(path).to_dict("records")}


def test_where_the_class_is_the_strand_every_answer_flips(tmp_path: Path) -> None:
    """Planted: class y is class x on the other strand, so k-mers of one strand flip always, and GC never."""
    labels = task(tmp_path, "as_given", stranded=True)
    told = strands.run(["kmer:2", "gc"], labels, tmp_path / "t.strand.tsv", SMALL)
    found = table_of(tmp_path / "t.strand.tsv")
    assert list(found) == ["kmer2", "gc"]
    assert (float(found["kmer2"]["flip_rate"]), found["kmer2"]["strands"], found["kmer2"]["n"]) == (1, "given", "60")
    assert float(found["kmer2"]["correlation"]) < -0.9
    assert (float(found["gc"]["flip_rate"]), found["gc"]["strands"]) == (0, "both")
    assert "100.0% of 60 predictions change (100.0% to 100.0%) when the other strand is given" in told[0]
    assert told[1].endswith("it cannot tell the strands apart, which this task asks for")
    record = json.loads((tmp_path / "t.strand.tsv.provenance.json").read_text())
    assert record["settings"]["test_cap"] == 200
    assert found["kmer2"]["task"] == "t"


def test_canonical_k_mers_of_an_invariant_task_never_flip(tmp_path: Path, tiny_run: Path) -> None:
    labels = task(tmp_path, "invariant", stranded=False)
    told = strands.run(["kmer:3", str(tiny_run)], labels, tmp_path / "t.strand.tsv", SMALL, device="cpu")
    found = table_of(tmp_path / "t.strand.tsv")
    kmer, run = found["kmer3"], found[tiny_run.name]
    assert (kmer["strands"], float(kmer["flip_rate"]), float(kmer["low"]), float(kmer["high"])) == ("both", 0, 0, 0)
    assert float(kmer["correlation"]) == pytest.approx(1)
    assert float(kmer["vector_correlation"]) == pytest.approx(1)
    assert run["strands"] == "given"  # what averages could not flip
    assert 0 <= float(run["low"]) <= float(run["flip_rate"]) <= float(run["high"]) <= 1
    assert float(run["vector_correlation"]) < 0.999
    assert told[1].endswith("averaging both strands, as the scores do, makes it 0")


def test_a_second_way_to_count(tmp_path: Path, tiny_run: Path) -> None:
    """The rate again, from a table whose reads were turned by hand, one draw, the whole train split."""
    from genossl.evaluation import splits
    from genossl.evaluation import tasks as prepared
    from genossl.genome.alphabet import encode
    from genossl.genome.labels import read_labels
    from genossl.model import checkpoint, embedding

    labels = task(tmp_path, "as_given", stranded=True)
    settings = Settings(shots=(400,), draws=2, replicates=100, test_cap=0)  # too many: all is what there is
    strands.run([str(tiny_run)], labels, tmp_path / "t.strand.tsv", settings, device="cpu")
    (row,) = table_of(tmp_path / "t.strand.tsv").values()
    frame = read_labels(labels).sort_values("id").reset_index(drop=True)
    ready = prepared.prepare(frame, settings)
    encoder = checkpoint.load_encoder(tiny_run)
    reads = [encode(letters) for letters in frame["sequence"]]
    given_ND = embedding.embed(encoder, reads, both_strands=False)
    turned_ND = embedding.embed(encoder, [reverse_complement(read) for read in reads], both_strands=False)
    train, test = ready.rows[splits.TRAIN], ready.rows[splits.TEST]
    fit, a, b = heads.standardise(given_ND[train], given_ND[train], given_ND[test], turned_ND[test])
    said = [heads.logistic(fit, ready.y_N[train], x, 2, [0.1])[0] for x in (a, b)]
    assert float(row["flip_rate"]) == pytest.approx(flips(*said).mean())
    assert float(row["correlation"]) == pytest.approx(correlation(*said), abs=1e-4)
    assert int(row["n"]) == len(test) == 60


@pytest.mark.parametrize(
    "spec,name",
    [
        ("kmer:4", "kmer4"),
        ("gc", "gc"),
        ("runs/ours", "ours"),
        ("runs/ours/encoder.safetensors", "ours"),
        ("untrained:runs/ours", "untrained"),
    ],
)
def test_names(spec: str, name: str) -> None:
    assert strands.name_of(spec) == name


def test_mistakes(tmp_path: Path) -> None:
    labels = task(tmp_path, "as_given", stranded=True)
    for encoders, out, message in (
        (["gc", "gc"], "x.tsv", "expected encoders of different names, at least one; found gc, gc"),
        ([], "x.tsv", "found none"),
        (["gc"], "x.csv", r"x\.csv: strands are written as \.tsv"),
        (["kmer:9"], "x.tsv", "k must be from 1 to 8"),
    ):
        with pytest.raises(InputError, match=message):
            strands.run(encoders, labels, tmp_path / out, SMALL)
        assert not (tmp_path / out).exists()
    (tmp_path / "one.tsv").write_text("id\tlabel\tsequence\tsplit\na\tx\tAC\ttrain\nb\tx\tAC\ttest\n")
    with pytest.raises(InputError, match=r"one\.tsv: all 2 rows have the label 'x'; expected at least 2 classes"):
        strands.run(["gc"], tmp_path / "one.tsv", tmp_path / "x.tsv", SMALL)
    with pytest.raises(ValueError, match="penalty must be above 0"):
        Settings(penalty=0)


def test_a_task_of_numbers_has_no_flips(tmp_path: Path) -> None:
    labels = task(tmp_path, "as_given", stranded=True, kind="regression")
    with pytest.raises(InputError, match="the task is of the kind regression; flip rates are those of classes"):
        strands.run(["gc"], labels, tmp_path / "x.tsv", SMALL)
