"""The probe on planted embeddings, its heads against scikit-learn, its files, its refusals."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

import genossl.verbs.probe
from genossl.config import build
from genossl.errors import InputError
from genossl.evaluation import heads
from genossl.verbs import probe

SEMI = tuple(heads.SEMI_SUPERVISED)
SMALL = probe.Settings(shots=(1, 5, 20), draws=3, replicates=200, penalty=(0.01, 0.1, 1.0), cap=40)
CLASSES = ("ape", "bat", "cat")


@dataclasses.dataclass(frozen=True)
class World:
    folder: Path
    labels: pd.DataFrame
    y: np.ndarray

    @property
    def table(self) -> Path:
        return self.folder / "labels.tsv"

    def write_labels(self, labels: pd.DataFrame) -> Path:
        labels.to_csv(self.table, sep="\t", index=False)
        return self.table

    def embed(self, name: str, vectors: np.ndarray, ids: list[str] | None = None) -> Path:
        np.save(self.folder / f"{name}.npy", vectors.astype(np.float32))
        rows = pd.DataFrame({"id": list(self.labels["id"]) if ids is None else ids})
        rows.to_csv(self.folder / f"{name}.tsv", sep="\t", index=False)
        return self.folder / f"{name}.npy"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three classes, 40 train, 20 validation, 60 test rows each, in blocks of one genome per class and split."""
    sizes = {"train": 40, "validation": 20, "test": 60}
    rows = [
        (f"{label}_{split}_{i}", label, split, f"{label}_{split}", "c", 4000 * i, 4000 * i + 500)
        for label in CLASSES
        for split, n in sizes.items()
        for i in range(n)
    ]
    labels = pd.DataFrame(rows, columns=["id", "label", "split", "genome", "contig", "start", "end"])
    made = World(tmp_path, labels, labels["label"].map(list(CLASSES).index).to_numpy())
    made.write_labels(labels)
    return made


def planted(world: World, seed: int = 0, noise: float = 0.05) -> np.ndarray:
    return np.eye(3)[world.y] + noise * np.random.default_rng(seed).normal(size=(len(world.y), 3))


def noise(world: World, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(world.y), 8))


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype={"shots": str, "draw": str})


def files_of(out: Path) -> list[Path]:
    beside = ("comparisons.tsv", "confusion.tsv", "json", "efficiency.tsv", "calibration.tsv")
    return [out, *(out.with_suffix(f".{suffix}") for suffix in beside)]


def test_planted_labels_are_found_and_shuffled_ones_are_not(world: World) -> None:
    out = world.folder / "scores" / "task.tsv"
    paths = [world.embed("good", planted(world)), world.embed("null", noise(world))]
    summary = probe.run(paths, world.table, "task", out, SMALL)
    table = read(out)
    means = table[(table["draw"] == "mean") & (table["metric"] == "balanced_accuracy")]
    assert (means[means["embedding"] == "good"]["value"] > 0.97).all()
    null = means[(means["embedding"] == "null") & (means["shots"] == "all")]
    assert (null["low"] < 1 / 3).all()
    assert (null["high"] > 1 / 3).all()
    assert (table["low"] <= table["high"]).all()
    pairs = read(out.with_suffix(".comparisons.tsv"))
    better = pairs[(pairs["embedding"] == "good") & (pairs["metric"] == "balanced_accuracy")]
    assert (better["low"] > 0.2).all()
    assert summary["unit"] == "20000-base blocks within each class"
    assert summary["n_units"] == dict.fromkeys(CLASSES, 12)  # 60 windows, one every 4 kb


def test_files_have_the_promised_columns_and_rows(world: World) -> None:
    out = world.folder / "scores" / "task.tsv"
    paths = [world.embed("one", planted(world)), world.embed("two", noise(world))]
    summary = probe.run(paths, world.table, "task", out, SMALL)
    tidy, pairs, confusion = (read(path) for path in files_of(out)[:3])
    assert list(tidy) == ["task", "embedding", "head", "shots", "draw", "metric", "value", "low", "high", "n"]
    assert len(tidy) == 2 * 2 * 4 * (3 * (3 + 1) + (1 + 1))  # embeddings, heads, metrics, shots x draws + all
    assert set(tidy["shots"]) == {"1", "5", "20", "all"}
    assert set(tidy["n"]) == {180}
    assert list(pairs) == [
        "task", "head", "shots", "metric", "embedding", "baseline", "difference", "low", "high", "n", "p", "p_holm",
    ]  # fmt: skip
    assert len(pairs) == 2 * 2 * 4 * 4
    assert list(confusion) == ["task", "embedding", "head", "shots", "label", "predicted", "count"]
    sums = confusion.groupby(["embedding", "head", "shots"])["count"].sum()
    assert all(n == 180 * (1 if shots == "all" else 3) for (_, _, shots), n in sums.items())
    written = json.loads(out.with_suffix(".json").read_text())
    assert written == json.loads(json.dumps(summary, default=lambda x: dataclasses.asdict(x)))
    assert (written["n_train"], written["n_validation"], written["n_test"]) == (120, 60, 180)
    assert written["draws"] == {"1": 3, "5": 3, "20": 3, "all": 1}
    assert set(written["chosen"]["one"]["logistic"]) == {"1", "5", "20", "all"}
    assert out.with_name("task.tsv.provenance.json").is_file()
    # a mean is the mean of its draws, and balanced accuracy follows from the confusion counts
    some = tidy[(tidy["embedding"] == "two") & (tidy["head"] == "knn") & (tidy["shots"] == "5")]
    some = some[some["metric"] == "balanced_accuracy"].set_index("draw")["value"]
    counts = confusion[(confusion["embedding"] == "two") & (confusion["head"] == "knn") & (confusion["shots"] == "5")]
    hits = counts[counts["label"] == counts["predicted"]]["count"].sum()
    assert some["mean"] == pytest.approx(some.drop("mean").mean())
    assert some["mean"] == pytest.approx(hits / (3 * 180))  # classes of equal size


def test_same_bytes_twice_for_any_number_of_threads_and_any_order_of_rows(world: World) -> None:
    paths = [world.embed("one", planted(world, noise=0.5)), world.embed("two", noise(world))]
    kept = []
    for threads in (1, 1, 2):
        out = world.folder / str(len(kept)) / "task.tsv"
        probe.run(paths, world.table, "task", out, SMALL, threads=threads)
        kept.append([path.read_bytes() for path in files_of(out)])
    order = np.random.default_rng(0).permutation(len(world.labels))
    world.write_labels(world.labels.iloc[order])
    world.embed("one", planted(world, noise=0.5)[order], list(world.labels["id"].iloc[order]))
    out = world.folder / "shuffled" / "task.tsv"
    probe.run(paths, world.table, "task", out, SMALL)
    kept.append([path.read_bytes() for path in files_of(out)])
    assert kept[0] == kept[1] == kept[2] == kept[3]


def test_an_embedding_differs_from_its_twin_by_nothing(world: World) -> None:
    out = world.folder / "task.tsv"
    paths = [world.embed("one", planted(world, noise=0.8)), world.embed("twin", planted(world, noise=0.8))]
    probe.run(paths, world.table, "task", out, SMALL)
    pairs = read(out.with_suffix(".comparisons.tsv"))
    assert (pairs[["difference", "low", "high"]] == 0).all(axis=None)
    assert (pairs[["p", "p_holm"]] == 1).all(axis=None)
    labels = read(out.with_suffix(".efficiency.tsv"))
    assert (labels["ratio"] == 1).all()
    assert labels["crossover"].astype(str).eq("1").all()  # at the very first count no lead is shown


def test_comparisons_are_antisymmetric(world: World) -> None:
    out = world.folder / "task.tsv"
    probe.run(
        [world.embed("x", planted(world, 1, 1)), world.embed("y", planted(world, 2, 1))], world.table, "t", out, SMALL
    )
    pairs = read(out.with_suffix(".comparisons.tsv"))
    one, two = (pairs[pairs["embedding"] == name].reset_index(drop=True) for name in "xy")
    assert np.allclose(one["difference"], -two["difference"])
    assert np.allclose(one["low"], -two["high"])


def test_draws_are_nested_and_capped_and_all_has_one_draw_only_where_nothing_is_left_out(world: World) -> None:
    ready = probe.prepare(world.labels, SMALL)
    for few, many in zip(ready.draws["5"], ready.draws["20"], strict=True):
        assert set(few) < set(many)
        assert (np.bincount(ready.y_N[few]) == 5).all()
    assert [len(rows) for rows in ready.draws["all"]] == [120]
    capped = probe.prepare(world.labels, dataclasses.replace(SMALL, cap=30, shots=(10, 30, 35), test_cap=50))
    assert [len(rows) for rows in capped.draws["all"]] == [90] * 3
    assert set(capped.draws) == {"10", "30", "all"}
    assert len(capped.rows["test"]) == 150
    assert any(note.startswith("shots 35 left out: 30 training rows") for note in capped.notes)
    assert "test rows capped at 50 per class" in capped.notes


def test_test_rows_do_not_choose_the_hyper_parameter(world: World) -> None:
    """Scrambling the test vectors moves the scores and leaves every choice as it was."""
    vectors = planted(world, noise=0.7)
    test = (world.labels["split"] == "test").to_numpy()
    first = probe.run([world.embed("x", vectors)], world.table, "t", world.folder / "a.tsv", SMALL)
    vectors[test] = np.random.default_rng(1).permutation(vectors[test])
    second = probe.run([world.embed("x", vectors)], world.table, "t", world.folder / "b.tsv", SMALL)
    assert first["chosen"] == second["chosen"]
    assert first["validation"] == second["validation"]


def test_vectors_without_a_label_are_ignored(world: World) -> None:
    good = planted(world)
    one = probe.run([world.embed("x", good)], world.table, "t", world.folder / "a.tsv", SMALL)
    more = world.embed("x", np.vstack([good, 99 * np.ones((1, 3))]), [*world.labels["id"], "stranger"])
    assert probe.run([more], world.table, "t", world.folder / "b.tsv", SMALL) == one
    assert (world.folder / "a.tsv").read_bytes() == (world.folder / "b.tsv").read_bytes()


def refused(world: World, paths: list[Path], out: str = "t.tsv") -> str:
    with pytest.raises(InputError) as error:
        probe.run(paths, world.table, "t", world.folder / out, SMALL)
    assert not (world.folder / out).exists()
    return str(error.value)


def test_an_id_without_a_vector_is_refused(world: World) -> None:
    ids = [*world.labels["id"][:-1], "stranger"]
    message = refused(world, [world.embed("x", planted(world), ids)])
    assert "x.npy: 1 of 360 labelled ids have no vector (cat_test_59); 1 vectors have no label (stranger)" in message


def test_an_id_with_two_vectors_is_refused(world: World) -> None:
    ids = [*world.labels["id"][:-1], world.labels["id"][0]]
    assert "x.npy: id 'ape_train_0' has more than one vector" in refused(world, [world.embed("x", planted(world), ids)])


def test_two_embeddings_of_one_name_are_refused(world: World) -> None:
    path = world.embed("x", planted(world))
    assert "different names" in refused(world, [path, path])
    assert "found none" in refused(world, [])


def test_scores_are_a_tsv(world: World) -> None:
    assert "scores are written as .tsv" in refused(world, [world.embed("x", planted(world))], "t.csv")


def test_bad_labels_are_refused_with_the_name_of_their_file(world: World) -> None:
    world.write_labels(world.labels.assign(label="ape"))
    message = refused(world, [world.embed("x", planted(world))])
    assert message == f"{world.table}: all 360 rows have the label 'ape'; expected at least 2 classes"


@pytest.mark.parametrize(
    "mapping, sentence",
    [
        ({"shots": [5, 1]}, "shots must be ascending"),
        ({"draws": 0}, "draws and block must be at least 1"),
        ({"replicates": 10}, "replicates must be at least 100"),
        ({"heads": ["lda"]}, "heads must be some of logistic, knn, mlp, forest, label_spreading, self_training, yaro"),
        ({"heads": ["knn", "yarowsky"], "kind": "regression"}, "yarowsky learn classes and nothing else; the kind is"),
        ({"kind": "ranks"}, "kind: expected 'classes', 'multilabel' or 'regression'"),
        ({"decay": [0.0]}, "decay must be numbers above 0"),
        ({"leaf": [0]}, "leaf must be whole numbers"),
        ({"penalty": [1.0, 0.1]}, "penalty must be ascending"),
        ({"neighbours": [0]}, "neighbours must be whole numbers"),
        ({"spreading": []}, "spreading must be whole numbers"),
        ({"bounds": [-1.0]}, "bounds must be numbers from 0 on and unlabelled at least 1"),
        ({"unlabelled": 0}, "bounds must be numbers from 0 on and unlabelled at least 1"),
        ({"fractions": [0.5, 0.5, 0.5]}, "fractions must be above 0 and sum to 1"),
    ],
)
def test_bad_settings_are_refused(mapping: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        build(probe.Settings, mapping, "probe")


def task_of(n: int, d: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features that say something about the class."""
    rng = np.random.default_rng(seed)
    y_N = np.arange(n) % k
    x_ND = rng.normal(size=(n, d)) @ (rng.normal(size=(d, d)) / np.arange(1, d + 1)[:, None])
    return x_ND + rng.normal(size=(k, d))[y_N], y_N


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("n, d", [(60, 7), (12, 40)])
def test_the_path_and_the_span_give_what_a_single_exact_fit_gives(n: int, d: int, k: int) -> None:
    x_ND, y_N = task_of(n, d, k)
    query_MD, _ = task_of(30, d, k, seed=1)
    grid = (0.01, 0.3)
    found = heads.logistic(x_ND, y_N, query_MD, k, grid)
    for g, c in enumerate(grid):
        exact = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(x_ND, y_N).predict_proba(query_MD)
        assert np.abs(found[g] - exact).max() < 5e-3


def test_the_working_tolerance_predicts_as_the_exact_solution_does() -> None:
    x_ND, y_N = task_of(400, 60, 5)
    x_ND, query_MD = heads.standardise(x_ND, x_ND, x_ND + np.random.default_rng(1).normal(size=x_ND.shape))
    grid = (0.001, 0.01, 0.1, 1.0)
    found = heads.logistic(x_ND, y_N, query_MD, 5, grid).argmax(2)
    for g, c in enumerate(grid):
        exact = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(x_ND.astype(float), y_N)
        assert (found[g] == exact.predict(query_MD.astype(float))).mean() >= 0.998


def test_neighbours_equal_scikit_learns() -> None:
    x_ND, y_N = task_of(200, 10, 3)
    query_MD, _ = task_of(80, 10, 3, seed=1)
    found = heads.nearest(x_ND, y_N, query_MD, 3, (1, 5, 20))
    for g, k in enumerate((1, 5, 20)):
        theirs = KNeighborsClassifier(k, metric="cosine").fit(x_ND, y_N).predict_proba(query_MD)
        assert np.allclose(found[g], theirs, atol=1.1e-3)  # closeness adds up to a thousandth


def test_more_neighbours_than_rows_are_all_rows_and_a_tie_goes_to_the_closer() -> None:
    train_ND, y_N = np.array([[1.0, 0], [0, 1]]), np.array([0, 1])
    found = heads.nearest(train_ND, y_N, np.array([[1.0, 0.1], [0.1, 1]]), 2, (1, 20))
    assert found.argmax(2).tolist() == [[0, 1], [0, 1]]


def test_one_dimension_goes_by_distance() -> None:
    train_ND, y_N = np.array([[0.1], [3.0]]), np.array([0, 1])
    assert heads.nearest(train_ND, y_N, np.array([[0.3], [2.0]]), 2, (1,))[0].argmax(1).tolist() == [0, 1]


def test_standardising_keeps_angles_between_scaled_rows_and_drops_constant_features() -> None:
    x_ND, _ = task_of(100, 6, 2)
    x_ND[:, 2] = 7
    (out_ND,) = heads.standardise(x_ND, x_ND)
    scaled = (x_ND - x_ND.mean(0)) / np.where(x_ND.std(0) > 0, x_ND.std(0), np.inf)
    assert np.allclose(out_ND @ out_ND.T, scaled @ scaled.T, atol=1e-3)
    second = out_ND.T @ out_ND / len(out_ND)
    assert np.allclose(second, np.diag(np.diag(second)), atol=1e-4)  # principal axes


def clumps(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two clumps of a plane, side by side: a class each."""
    y_N = np.arange(n) % 2
    x_ND = np.random.default_rng(seed).normal(size=(n, 2)) * 0.6
    x_ND[:, 0] += 2.6 * y_N
    return x_ND.astype(np.float32), y_N


@pytest.mark.parametrize("name", SEMI)
@pytest.mark.parametrize("pooled", [0, 150])
def test_semi_supervised_heads_give_probabilities_for_the_whole_grid(name: str, pooled: int) -> None:
    x_ND, y_N = task_of(40 + pooled, 20, 3)
    query_MD, _ = task_of(30, 20, 3, seed=1)
    if name == "yarowsky":
        x_ND, query_MD = heads.quantise(x_ND, x_ND, query_MD)
    grid = (2, 5)
    pool = heads.Pool(x_ND[40:], np.arange(pooled), 1000 + np.arange(40))
    said = heads.HEADS[name](x_ND[:40], y_N[:40], query_MD, 3, grid, pool)
    assert said.shape == (2, 30, 3)
    assert np.allclose(said.sum(2), 1)
    assert (said >= 0).all()
    assert (heads.HEADS[name](x_ND[:40], y_N[:40], query_MD, 3, grid, pool) == said).all()
    if not pooled:
        assert (heads.HEADS[name](x_ND, y_N, query_MD, 3, grid) == said).all()  # no pool is an empty one


@pytest.mark.parametrize("name", SEMI)
def test_what_a_head_learns_does_not_depend_on_the_queries(name: str) -> None:
    x_ND, y_N = task_of(200, 12, 2)
    query_MD, _ = task_of(40, 12, 2, seed=1)
    if name == "yarowsky":
        x_ND, query_MD = heads.quantise(x_ND, x_ND, query_MD)
    pool, grid = heads.Pool(x_ND[60:], np.arange(140), 1000 + np.arange(60)), (1, 4)
    said = heads.HEADS[name](x_ND[:60], y_N[:60], query_MD, 2, grid, pool)
    other_MD = query_MD.copy()
    other_MD[20:] = query_MD[:20][::-1]
    changed = heads.HEADS[name](x_ND[:60], y_N[:60], other_MD, 2, grid, pool)
    assert np.allclose(said[:, :20], changed[:, :20], atol=1e-12)
    assert np.allclose(said[:, :20][:, ::-1], changed[:, 20:], atol=1e-12)


def test_label_spreading_is_scikit_learns_and_the_pool_helps() -> None:
    """Both labelled rows lie to the right in their clumps, so that halfway between them lies within one."""
    x_ND, y_N = clumps(60)
    query_MD, y_M = clumps(400, seed=1)
    rows = np.array([np.flatnonzero(y_N == k)[x_ND[y_N == k, 0].argsort()[-6]] for k in (0, 1)])
    rest = np.setdiff1d(np.arange(60), rows)
    pool = heads.Pool(x_ND[rest], rest, rows)
    said = heads.spreading(x_ND[rows], y_N[rows], query_MD, 2, (10, 20), pool)
    known = np.concatenate([y_N[rows], np.full(len(rest), -1)])
    for g, k in enumerate((10, 20)):
        model = LabelSpreading(kernel="knn", n_neighbors=k, max_iter=200)
        theirs = model.fit(np.concatenate([x_ND[rows], x_ND[rest]]), known).predict_proba(query_MD)
        assert (said[g] == theirs).all()
    without = heads.spreading(x_ND[rows], y_N[rows], query_MD, 2, (1,))
    assert ((said.argmax(2) == y_M).mean(1) > 0.97).all()
    assert (without[0].argmax(1) == y_M).mean() < 0.95


def test_a_query_that_no_label_reaches_is_undecided() -> None:
    far_PD = 100 + np.random.default_rng(0).normal(size=(30, 2))
    pool = heads.Pool(far_PD, np.arange(30), np.arange(4))
    train_ND = np.array([[0.0, 0], [0, 1], [5, 0], [5, 1]])
    said = heads.spreading(train_ND, np.array([0, 0, 1, 1]), np.array([[100.0, 100], [0, 0.4]]), 2, (2,), pool)
    assert said[0, 0].tolist() == [0.5, 0.5]
    assert said[0, 1].argmax() == 0


@pytest.mark.parametrize("n, d", [(300, 8), (60, 90)])
def test_self_training_is_scikit_learns(n: int, d: int) -> None:
    x_ND, y_N = task_of(n, d, 3)
    query_MD, _ = task_of(50, d, 3, seed=1)
    pool = heads.Pool(x_ND[30:], np.arange(n - 30), np.arange(30))
    said = heads.self_training(x_ND[:30], y_N[:30], query_MD, 3, (0.1,), pool)
    model = SelfTrainingClassifier(LogisticRegression(C=0.1, tol=1e-8, max_iter=10_000), threshold=0.75)
    theirs = model.fit(x_ND, np.where(np.arange(n) < 30, y_N, -1)).predict_proba(query_MD)
    assert np.abs(said[0] - theirs).max() < 0.01


def test_yarowskys_rules_label_a_pool_and_say_the_shares_where_they_cannot() -> None:
    """Each of 16 dimensions says a little about the class, so that each of 16 codes does."""
    rng = np.random.default_rng(0)
    y_N = np.arange(900) % 2
    x_ND = (0.8 * (2 * y_N - 1)[:, None] + rng.normal(size=(900, 16))).astype(np.float32)
    codes_ND, query_MD = heads.quantise(x_ND[:600], x_ND, x_ND[600:])
    pool = heads.Pool(codes_ND[60:600], np.arange(540), 1000 + np.arange(60))
    said = heads.decision_list(codes_ND[:60], y_N[:60], query_MD, 2, (1.0,), pool)
    assert (said[0].argmax(1) == y_N[600:]).mean() > 0.95
    pool = heads.Pool(codes_ND[3:600], np.arange(597), 1000 + np.arange(3))
    few = heads.decision_list(codes_ND[:3], y_N[:3], query_MD, 2, (1.0, 2.0), pool)
    assert np.allclose(few, [2 / 3, 1 / 3])


def test_codes_are_the_nearest_centres_of_the_pool() -> None:
    """Two clumps on a line share no code; a row's codes do not depend on the rows beside it."""
    rng = np.random.default_rng(0)
    pool_PD = np.concatenate([rng.normal(-9, 0.1, 50), rng.normal(9, 0.1, 50)])[:, None]
    low, high = heads.quantise(pool_PD, pool_PD[:50], pool_PD[50:])
    assert not set(low[:, 0]) & set(high[:, 0])
    x_ND, _ = task_of(200, 40, 2)
    codes, some = heads.quantise(x_ND, x_ND, x_ND[5:9])
    assert codes.shape == (200, heads.CODEBOOKS)
    assert (codes[5:9] == some).all()
    assert 0 <= codes.min() <= codes.max() < heads.CODES
    assert heads.quantise(x_ND[:5], x_ND)[0].max() < 5  # fewer rows than codes


def test_all_heads_read_the_same_task(world: World) -> None:
    """No test row moves a choice; the pool holds train rows only; what could not be told apart is noted."""
    settings = dataclasses.replace(SMALL, heads=("logistic", "knn", *SEMI), unlabelled=90, shots=(1, 20))
    ready = probe.prepare(world.labels, settings)
    assert len(ready.pool_P) == 90
    assert set(ready.pool_P) < set(ready.rows["train"])
    assert "semi-supervised heads: 90 of 120 train rows seen without labels" in ready.notes
    assert len(set(ready.group_N)) == 9
    vectors = planted(world, noise=0.3)
    test = (world.labels["split"] == "test").to_numpy()
    first = probe.run([world.embed("x", vectors)], world.table, "t", world.folder / "a.tsv", settings)
    vectors[test] = np.random.default_rng(1).permutation(vectors[test])
    second = probe.run([world.embed("x", vectors)], world.table, "t", world.folder / "b.tsv", settings)
    assert first["chosen"] == second["chosen"]
    assert first["validation"] == second["validation"]
    table = read(world.folder / "a.tsv")
    table = table[(table["draw"] == "mean") & (table["metric"] == "balanced_accuracy")]
    value = {(head, shots): v for head, shots, v in zip(table["head"], table["shots"], table["value"], strict=True)}
    for head in settings.heads:
        assert value[head, "all"] > 0.8
    assert first["undecided"]["x"]["yarowsky"] == {"1": 3, "20": 0, "all": 0}
    assert value["yarowsky", "1"] == pytest.approx(1 / 3)
    note = "yarowsky: too little to tell rows apart at shots 1; scored as the same answer for all"
    assert [line for line in first["notes"] if "tell rows apart" in line] == [note]


def test_the_pool_does_not_depend_on_labels(world: World) -> None:
    """The pool is drawn without a look at labels: other labels of the same train rows, the same pool."""
    settings = dataclasses.replace(SMALL, heads=SEMI, unlabelled=50)
    swapped = world.labels.assign(label=world.labels["label"].map({"ape": "bat", "bat": "cat", "cat": "ape"}))
    one, two = (probe.prepare(labels, settings).pool_P for labels in (world.labels, swapped))
    assert (one == two).all()
    assert len(probe.prepare(world.labels, SMALL).pool_P) == 0  # nobody asked


def test_neither_probe_nor_evaluation_knows_torch() -> None:
    folder = Path(genossl.verbs.probe.__file__).parent.parent
    for file in [folder / "verbs" / "probe.py", *(folder / "evaluation").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "torch" for name in names), file
