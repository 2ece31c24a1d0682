"""The verb cluster: its files, what it clusters, its intervals, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import adjusted_rand_score

from genossl import cli
from genossl.config import build
from genossl.errors import InputError
from genossl.evaluation import agreement
from genossl.evaluation.table import join
from genossl.genome.labels import read_labels
from genossl.verbs import cluster, probe

SMALL = cluster.Settings(starts=3, replicates=200, smallest=(5, 20), rival="kmer4")
CLASSES = ("ape", "bat", "cat")


class World:
    """Three classes of 10 train, 10 validation and 60 test rows, in one genome of each class and split."""

    def __init__(self, folder: Path) -> None:
        sizes = {"train": 10, "validation": 10, "test": 60}
        rows = [
            (f"{label}_{split}_{i}", label, split, f"{label}_{split}_{i // 20}", "c", 4000 * i, 4000 * i + 500 + i)
            for label in CLASSES
            for split, n in sizes.items()
            for i in range(n)
        ]
        self.folder, self.path = folder, folder / "labels.tsv"
        self.labels = pd.DataFrame(rows, columns=["id", "label", "split", "genome", "contig", "start", "end"])
        self.y = self.labels["label"].map(list(CLASSES).index).to_numpy()
        self.write(self.labels)

    def write(self, labels: pd.DataFrame) -> None:
        labels.to_csv(self.path, sep="\t", index=False)

    def embed(self, name: str, noise: float, seed: int = 0, order: np.ndarray | None = None) -> Path:
        vectors = np.eye(3)[self.y] + noise * np.random.default_rng(seed).normal(size=(len(self.y), 3))
        order = np.arange(len(self.y)) if order is None else order
        np.save(self.folder / f"{name}.npy", vectors[order].astype(np.float32))
        rows = pd.DataFrame({"id": self.labels["id"].to_numpy()[order]})
        rows.to_csv(self.folder / f"{name}.tsv", sep="\t", index=False)
        return self.folder / f"{name}.npy"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t")


def files_of(out: Path) -> list[Path]:
    return [out, *(out.with_suffix(f".{kind}") for kind in ("comparisons.tsv", "assigned.tsv", "json"))]


def test_planted_classes_are_found_better_than_by_a_worse_rival(world: World, again) -> None:
    out = world.folder / "clusters" / "task.tsv"
    paths = [world.embed("good", 0.05), world.embed("kmer4", 0.6, 1), world.embed("bad", 50.0, 2)]
    record = cluster.run(paths, world.path, "task", out, SMALL)
    table, pairs = read(out), read(out.with_suffix(".comparisons.tsv"))
    value = table.set_index(["embedding", "algorithm", "metric"])
    assert list(table) == ["task", "embedding", "algorithm", "metric", "value", "low", "high", "n"]
    assert len(table) == 3 * 2 * len(agreement.METRICS)
    assert set(table["n"]) == {180}
    for algorithm in ("kmeans", "hdbscan"):
        for metric in ("ari", "nmi", "purity", "genome_completeness_bp", "bin_purity_bp"):
            assert value.loc[("good", algorithm, metric), "value"] == 1, metric
        assert value.loc[("good", algorithm, "bins"), "value"] == 3
    assert value.loc[("bad", "kmeans", "ari"), "low"] < 0.05
    assert list(pairs) == [
        "task", "algorithm", "metric", "embedding", "baseline", "difference", "low", "high", "n",
    ]  # fmt: skip
    assert len(pairs) == 2 * 2 * len(agreement.METRICS)
    assert set(pairs["baseline"]) == {"kmer4"}
    won = pairs[(pairs["metric"] == "ari") & (pairs["algorithm"] == "kmeans")].set_index("embedding")
    planted = value.loc[("good", "kmeans", "ari"), "value"] - value.loc[("kmer4", "kmeans", "ari"), "value"]
    assert won.loc["good", "difference"] == pytest.approx(planted)
    assert 0 < won.loc["good", "low"] < planted < won.loc["good", "high"]
    assert won.loc["bad", "high"] < 0
    assert record["found"]["good"]["hdbscan"]["clusters"] == 3
    assert json.loads(out.with_suffix(".json").read_text())["clustered"] == record["clustered"]
    assert record["clustered"] == "180 test rows, 3 values of label; no label was shown"
    assert record["bases"] == 3 * sum(500 + i for i in range(60))
    assert record["n_units"] == dict.fromkeys(CLASSES, 12)  # 60 windows, one every 4 kb, in blocks of 20 kb
    assert (out.parent / "task.tsv.provenance.json").is_file()
    assert again(out) == []


def test_what_was_assigned_gives_the_scores(world: World) -> None:
    """The table of assignments holds test rows alone, and scikit-learn finds the same ARI in it."""
    out = world.folder / "task.tsv"
    cluster.run([world.embed("kmer4", 0.5)], world.path, "task", out, SMALL)
    rows, table = read(out.with_suffix(".assigned.tsv")), read(out)
    assert list(rows) == ["id", "embedding", "algorithm", "cluster"]
    assert read(out.with_suffix(".comparisons.tsv")).empty
    test = world.labels[world.labels["split"] == "test"]
    for algorithm, own in rows.groupby("algorithm"):
        assert sorted(own["id"]) == sorted(test["id"])
        truth = test.set_index("id")["label"][own["id"]]
        ari = table[(table["algorithm"] == algorithm) & (table["metric"] == "ari")]["value"].item()
        assert adjusted_rand_score(truth, own["cluster"]) == pytest.approx(ari)


def test_equal_embeddings_differ_by_exactly_nothing(world: World) -> None:
    out = world.folder / "task.tsv"
    paths = [world.embed("kmer4", 0.7), world.embed("twin", 0.7)]
    cluster.run(paths, world.path, "task", out, SMALL)
    assert (read(out.with_suffix(".comparisons.tsv"))[["difference", "low", "high"]] == 0).all(axis=None)


def test_same_bytes_for_any_order_of_rows_and_any_number_of_threads(world: World) -> None:
    kept = []
    for i, threads in enumerate((1, 2, 1)):
        order = np.random.default_rng(i).permutation(len(world.y))
        world.write(world.labels.iloc[order])
        paths = [world.embed("kmer4", 0.7, order=order), world.embed("two", 0.4, order=order)]
        out = world.folder / str(i) / "task.tsv"
        cluster.run(paths, world.path, "task", out, SMALL, threads)
        kept.append([path.read_bytes() for path in files_of(out)])
    assert kept[0] == kept[1] == kept[2]


def test_train_rows_play_no_part(world: World) -> None:
    """Vectors of train and validation rows may be anything; genomes that occur in test alone can be clustered."""
    paths, outs = [world.embed("kmer4", 0.7)], [world.folder / f"{i}.tsv" for i in range(3)]
    cluster.run(paths, world.path, "task", outs[0], SMALL)
    vectors = np.load(paths[0])
    vectors[(world.labels["split"] != "test").to_numpy()] = 1e6
    np.save(paths[0], vectors)
    cluster.run(paths, world.path, "task", outs[1], SMALL)
    world.write(world.labels[world.labels["split"] == "test"])
    cluster.run(paths, world.path, "task", outs[2], SMALL)
    assert outs[0].read_bytes() == outs[1].read_bytes() == outs[2].read_bytes()


def test_rows_are_the_first_that_the_probe_tests_on(world: World) -> None:
    labels = read_labels(world.path)
    ours = cluster.prepare(labels, cluster.Settings(cap=20))
    theirs = probe.prepare(labels, probe.Settings(shots=(1,), test_cap=20))
    ids = theirs.labels["id"].to_numpy()
    assert np.array_equal(ours.ids[ours.at_N], ids[theirs.rows["test"]])
    assert len(ours.at_N) == 60
    assert "test rows capped at 20 per label" in ours.notes
    assert len(cluster.prepare(labels, cluster.Settings(most=30)).at_N) == 30  # 10 of each class
    free = labels.drop(columns="split")  # groups are split by hash, as in the probe
    ours = cluster.prepare(free, cluster.Settings())
    theirs = probe.prepare(free, probe.Settings(shots=(1,)))
    assert np.array_equal(ours.at_N, theirs.rows["test"])


def test_genomes_can_be_the_truth(world: World) -> None:
    ready = cluster.prepare(read_labels(world.path), cluster.Settings(truth="genome"))
    assert ready.classes == [f"{label}_test_{i}" for label in CLASSES for i in range(3)]
    assert np.bincount(ready.y_N).tolist() == [20] * 9


def test_lengths_are_of_coordinates_else_of_sequences_else_one() -> None:
    table = pd.DataFrame({"start": [5], "end": [9], "sequence": ["ACGTACGT"]})
    assert cluster.lengths(table)[0].tolist() == [4]
    assert cluster.lengths(table[["sequence"]])[0].tolist() == [8]
    lengths, notes = cluster.lengths(table[[]])
    assert lengths.tolist() == [1]
    assert notes


def test_the_command_prints_a_table(world: World) -> None:
    paths = [str(world.embed("mine", 0.05)), str(world.embed("other", 0.05, 1))]
    out = world.folder / "clusters" / "labels.tsv"
    options = ["--labels", str(world.path), "--out", str(out), "--set", "replicates=100", "--set", "smallest=[5]"]
    done = CliRunner().invoke(cli.cli, ["cluster", *paths, *options, "--rival", "other"])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[1].split()[:3] == ["mine", "1.000", "1.000"]
    assert set(read(out.with_suffix(".comparisons.tsv"))["baseline"]) == {"other"}
    assert set(read(out)["task"]) == {"labels"}
    done = CliRunner().invoke(cli.cli, ["cluster", *paths, *options, "--rival", ""])
    assert done.exit_code == 0, done.output
    assert read(out.with_suffix(".comparisons.tsv")).empty


def no_test(labels: pd.DataFrame) -> pd.DataFrame:
    return labels[labels["split"] != "test"]


@pytest.mark.parametrize(
    "change,settings,message",
    [
        (no_test, {}, "no test rows in the split column"),
        (lambda t: t[(t["split"] != "test") | (t["label"] == "ape")], {}, "all 60 test rows have the label 'ape'"),
        (lambda t: t.assign(split=t["split"].where(t["label"] != "bat", "")), {}, "id 'bat_test_0': empty split"),
        (lambda t: t.drop(columns=["split", "genome"]), {}, "no column split, group or genome"),
        (lambda t: t, {"truth": "group"}, "no column group; truth must be a column of the labelled table"),
        (lambda t: t.assign(group=""), {"truth": "group"}, "empty group in test rows"),
        (lambda t: t, {"most": 4}, "3 classes in test rows; at most 4 rows are too few"),
        (lambda t: t.assign(id="x" + t["id"]), {}, "180 of 180 labelled ids have no vector"),
        (lambda t: t, {"rival": "kmer9"}, "rival 'kmer9' is none of the embeddings (kmer4)"),
        (lambda t: t, {"algorithms": []}, "algorithms: none given; expected some of kmeans, hdbscan"),
    ],
)
def test_refusals_name_what_is_wrong_and_write_nothing(world: World, change, settings, message: str) -> None:
    world.write(change(world.labels))
    out, path = world.folder / "clusters" / "task.tsv", world.embed("kmer4", 0.1)
    if "180 of" in message:
        message = "240 of 240 labelled ids have no vector"
    with pytest.raises(InputError, match=message.replace("(", r"\(").replace(")", r"\)")) as error:
        cluster.run([path], world.path, "task", out, cluster.Settings(**settings))
    assert "\n" not in str(error.value)
    assert not out.parent.exists()


def test_other_refusals(world: World) -> None:
    path = world.embed("kmer4", 0.1)
    for paths, out in (([path, path], "a.tsv"), ([], "a.tsv"), ([path], "a.csv")):
        with pytest.raises(InputError):
            cluster.run(paths, world.path, "task", world.folder / out, SMALL)
    wrong = ({"algorithms": ["dbscan"]}, {"cap": -1}, {"replicates": 5}, {"block": 0}, {"fractions": [1, 1, 1]})
    for mapping in (*wrong, {"truth": "species"}):
        with pytest.raises(InputError):
            build(cluster.Settings, mapping, "cluster")


def test_join_is_that_of_the_probe(world: World) -> None:
    path, ids = world.embed("kmer4", 0.1), world.labels["id"].to_numpy(dtype=object)[::-3]
    assert np.array_equal(join(path, ids), np.load(path)[::-3])
    for wrong in (np.array(["nobody"], dtype=object),):
        with pytest.raises(InputError, match="1 of 1 labelled ids have no vector \\(nobody\\); 240 vectors have no"):
            join(path, wrong)
    rows = read(path.with_suffix(".tsv"))
    rows["id"] = "same"
    rows.to_csv(path.with_suffix(".tsv"), sep="\t", index=False)
    with pytest.raises(InputError, match="id 'same' has more than one vector"):
        join(path, ids)
