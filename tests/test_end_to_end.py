"""Predictions of whole networks in the same tables, subsets of an audit, all kinds of task through the verb."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn import metrics

from genossl.cli import cli
from genossl.errors import InputError
from genossl.evaluation import results, tasks
from genossl.verbs import probe

SMALL = {"shots": (5, 20), "draws": 3, "replicates": 200, "penalty": (0.1, 1.0), "neighbours": (1, 5), "cap": 60}


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype={"shots": str, "draw": str}, keep_default_na=False)


class World:
    """A table of one kind whose truth lies in the vectors, and what was written about it."""

    def __init__(self, folder: Path, kind: tasks.Kind, n: int = 300) -> None:
        rng = np.random.default_rng(0)
        self.folder, self.kind = folder, kind
        x = rng.normal(size=(n, 4)).astype(np.float32)
        label = {
            "classes": [("ape", "bat", "cat")[k] for k in x[:, :3].argmax(1)],
            "multilabel": [";".join(name for name, v in zip("abc", row, strict=False) if v > 0.3) or "-" for row in x],
            "regression": [repr(float(v)) for v in x[:, 0] + x[:, 1]],
        }[kind]
        split = rng.permutation(["train"] * (n // 2) + ["validation"] * (n // 6) + ["test"] * (n // 3))
        self.labels = pd.DataFrame({"id": [f"r{i:03d}" for i in range(n)], "label": label, "split": split})
        self.table = folder / "labels.tsv"
        self.labels.to_csv(self.table, sep="\t", index=False)
        self.good = self.embed("kmer4", x)
        self.bad = self.embed("noise", rng.normal(size=(n, 4)).astype(np.float32))
        self.settings = probe.Settings(kind=kind, **SMALL)
        self.ready = probe.prepare(self.labels, self.settings)
        self.test = self.ready.rows["test"]

    def embed(self, name: str, x: np.ndarray) -> Path:
        np.save(self.folder / f"{name}.npy", x)
        self.labels[["id"]].to_csv(self.folder / f"{name}.tsv", sep="\t", index=False)
        return self.folder / f"{name}.npy"

    def says(self, draws: dict[str, int], noise: float = 0.0, name: str = "net", **changed: np.ndarray) -> Path:
        """A file of predictions: the truth, blurred; rows in an order of their own."""
        y = self.ready.y_N[self.test]
        truth = np.eye(3)[y] if self.kind == "classes" else y.reshape(len(y), -1)
        rng = np.random.default_rng(5)
        order = rng.permutation(len(y))
        shots = [s for s, n in draws.items() for _ in range(n)]
        said = np.stack([(truth + noise * rng.random(truth.shape))[order] for _ in shots])
        if self.kind == "classes":
            said /= said.sum(-1, keepdims=True)
        arrays = {
            "ids": self.ready.labels["id"].to_numpy(dtype=str)[self.test][order],
            "classes": np.array(self.ready.classes or ["value"]),
            "shots": np.array(shots),
            "draw": np.concatenate([np.arange(n) for n in draws.values()]),
            "scores": said.astype(np.float32),
        }
        np.savez(self.folder / f"{name}.npz", **(arrays | changed))
        return self.folder / f"{name}.npz"

    def run(self, name: str = "t", **more: object) -> Path:
        out = self.folder / f"{name}.tsv"
        probe.run([self.good, self.bad], self.table, "t", out, self.settings, **more)  # type: ignore[arg-type]
        return out


@pytest.fixture(params=["classes", "multilabel", "regression"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path, request.param)


METRICS = {
    "classes": ["balanced_accuracy", "macro_f1", "mcc", "auroc"],
    "multilabel": ["average_precision", "auroc", "macro_f1"],
    "regression": ["r2", "spearman", "pearson", "rmse"],
}


def test_planted_truth_is_found_in_every_kind(world: World) -> None:
    out = world.run()
    table = read(out)
    assert list(dict.fromkeys(table["metric"])) == METRICS[world.kind]
    record = json.loads(out.with_suffix(".json").read_text())
    assert (record["kind"], record["metric"]) == (world.kind, METRICS[world.kind][0])
    means = table[(table["draw"] == "mean") & (table["metric"] == record["metric"]) & (table["shots"] == "all")]
    value = means.set_index(["embedding", "head"])["value"]
    assert value["kmer4", "logistic"] > 0.9
    assert value["kmer4", "logistic"] > value["noise", "logistic"] + 0.3
    pairs = read(out.with_suffix(".comparisons.tsv"))
    won = pairs[(pairs["embedding"] == "kmer4") & (pairs["metric"] == record["metric"]) & (pairs["shots"] == "all")]
    assert (won["low"] > 0).all()
    assert np.allclose(won["p"], 2 / 201)
    assert (read(out.with_suffix(".confusion.tsv"))["count"].sum() > 0) == (world.kind == "classes")
    assert (len(read(out.with_suffix(".calibration.tsv"))) > 0) == (world.kind == "classes")
    per_class = {"classes": "labels per class"}.get(world.kind, "labelled rows in all")
    assert record["shots"] == per_class
    assert not out.with_suffix(".subsets.tsv").exists()


def test_a_network_stands_in_the_same_tables_and_pairs(world: World) -> None:
    draws = {"5": 3, "20": 2, "all": 3} if world.kind != "classes" else {"5": 3, "20": 2}
    out = world.run(predictions=[world.says(draws)])
    table, pairs = read(out), read(out.with_suffix(".comparisons.tsv"))
    own = table[table["head"] == "end_to_end"]
    assert set(own["embedding"]) == {"net"}
    assert own.groupby("shots")["draw"].nunique().to_dict() == {s: n + 1 for s, n in draws.items()}
    best = {"rmse": 0.0}
    for metric, value in zip(own["metric"], own["value"], strict=True):
        assert value == pytest.approx(best.get(metric, 1.0), abs=1e-6)  # it says the truth
    cross = pairs[pairs["head"] == "end_to_end"]
    assert set(zip(cross["embedding"], cross["baseline"], strict=True)) == {
        ("net", "kmer4"), ("kmer4", "net"), ("net", "noise"), ("noise", "net"),
    }  # fmt: skip
    assert set(cross["shots"]) == set(draws)
    # the difference to the embedding's logistic row, over the draws that both have
    metric = METRICS[world.kind][0]
    line = cross[(cross["embedding"] == "net") & (cross["baseline"] == "kmer4") & (cross["metric"] == metric)]
    line = line.set_index("shots")["difference"]
    logistic = table[(table["embedding"] == "kmer4") & (table["head"] == "logistic") & (table["metric"] == metric)]
    for shots, n in draws.items():
        rows = logistic[(logistic["shots"] == shots) & logistic["draw"].isin([str(d) for d in range(n)])]
        assert line[shots] == pytest.approx(1 - rows["value"].mean(), abs=1e-6)
    back = cross[(cross["embedding"] == "kmer4") & (cross["metric"] == metric)].set_index("shots")["difference"]
    assert np.allclose(back[list(draws)], -line[list(draws)])
    ratios = read(out.with_suffix(".efficiency.tsv"))
    assert set(ratios["head"]) == {"logistic", "knn", "end_to_end"}


def test_a_network_that_says_what_the_logistic_row_says_differs_from_it_by_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its scores, handed in as a network's: the same replicates, so each difference and its interval are zero."""
    world, kept, measure = World(tmp_path, "classes"), {}, probe.measure

    def remember(head: str, shots: str, chosen: object, validation: object, said: list[np.ndarray], *rest: object):  # type: ignore[no-untyped-def]
        kept[head, shots] = said
        return measure(head, shots, chosen, validation, said, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(probe, "measure", remember)
        probe.score(world.good, world.ready, world.settings)
    draws = {s: len(kept["logistic", s]) for s in world.ready.draws}
    said = np.concatenate([np.stack(kept["logistic", s]) for s in draws])
    ids = world.ready.labels["id"].to_numpy(dtype=str)[world.test]
    pairs = read(world.run(predictions=[world.says(draws, ids=ids, scores=said)]).with_suffix(".comparisons.tsv"))
    same = pairs[(pairs["embedding"] == "net") & (pairs["baseline"] == "kmer4")]
    assert len(same) == 4 * len(draws)
    assert np.allclose(same[["difference", "low", "high"]], 0, atol=1e-12)
    assert (same["p"] == 1).all()


@pytest.mark.parametrize(
    "draws, changed, sentence",
    [
        ({"5": 3}, {"ids": "x"}, "99 are among the 100 test rows of the task"),
        ({"5": 3}, {"ids": "first"}, "expected the same rows, each once"),
        ({"5": 3}, {"classes": np.array(["ape", "bat", "dog"])}, "classes ape, bat, dog; expected those of the task"),
        ({"7": 3}, {}, "shots '7'; expected some of 5, 20"),
        ({"5": 4}, {}, "shots 5 has the draws 0, 1, 2, 3; expected 0, 1, ... up to 2 at most"),
        ({"5": 3}, {"draw": np.array([0, 2, 2])}, "shots 5 has the draws 0, 2, 2"),
        ({"5": 3}, {"draw": np.array(["0", "1", "2"])}, "draw is <U1; expected numbers"),
        ({"5": 3}, {"scores": np.zeros((3, 100, 2))}, "scores of shape (3, 100, 2) for 3 shots, 100 ids, 3 classes"),
        ({"5": 3}, {"scores": np.full((3, 100, 3), np.nan)}, "holds scores that are not finite"),
    ],
)
def test_predictions_that_do_not_belong_to_the_task_get_a_sentence(
    tmp_path: Path, draws: dict[str, int], changed: dict, sentence: str
) -> None:
    world = World(tmp_path, "classes")
    if "ids" in changed:
        ids = world.ready.labels["id"].to_numpy(dtype=str)[world.test]
        changed = {"ids": np.append(ids[:-1], {"x": "x", "first": ids[0]}[changed["ids"]])}
    with pytest.raises(InputError) as error:
        world.run(predictions=[world.says(draws, **changed)])
    assert str(error.value).startswith(f"{tmp_path / 'net.npz'}: ")
    assert sentence in str(error.value)
    assert not (tmp_path / "t.tsv").exists()


def test_other_files_and_names_are_no_predictions(tmp_path: Path) -> None:
    world = World(tmp_path, "regression")
    np.savez(tmp_path / "half.npz", ids=np.array(["a"]))
    for path, sentence in [
        (tmp_path / "none.npz", "no such file"),
        (world.table, "is no file of predictions"),
        (world.embed("vectors", np.zeros((300, 2), np.float32)), "is no file of predictions"),
        (tmp_path / "half.npz", "no array classes, shots, draw, scores"),
        (world.says({"5": 3}, name="noise"), "expected embeddings and predictions of different names"),
        (
            world.says({"5": 3}, classes=np.array(["a", "b"]), scores=np.zeros((3, 100, 2))),
            "expected one number per row",
        ),
    ]:
        with pytest.raises(InputError) as error:
            world.run(predictions=[path])
        assert sentence in str(error.value), path


def audit(world: World, **changed: object) -> Path:
    """Every third test row unclean; identity by its number; the last class, where there is one, is never clean."""
    ids = world.ready.labels["id"].to_numpy(dtype=object)[world.test]
    clean = np.array([int(i % 3 > 0) for i in range(len(ids))])
    if world.kind == "classes":
        clean[world.ready.y_N[world.test] == 2] = 0
    rows = pd.DataFrame({"id": ids, "clean": clean, "identity": np.round(np.linspace(0, 1, len(ids)), 3)})
    rows = rows.assign(nearest="r000", pretrained=0.0).sample(frac=1, random_state=2).assign(**changed)
    rows.to_csv(world.folder / "rows.tsv", sep="\t", index=False)
    return world.folder / "rows.tsv"


def test_scores_on_subsets_are_the_scores_of_their_rows(world: World) -> None:
    """Of a network whose scores are known: the metric by hand on the rows of each subset."""
    file = world.says({"5": 3}, noise=3.0)
    out = world.run(predictions=[file], audit=audit(world))
    table, record = read(out.with_suffix(".subsets.tsv")), json.loads(out.with_suffix(".json").read_text())
    assert list(table) == [*read(out), "subset", "baseline"]
    metric = record["metric"]
    every = table[(table["subset"] == "all") & (table["embedding"] == "net")].iloc[0]
    tidy = read(out)
    mean = tidy[(tidy["embedding"] == "net") & (tidy["draw"] == "mean") & (tidy["metric"] == metric)].iloc[0]
    assert every["value"] == pytest.approx(mean["value"])
    rows = pd.read_csv(world.folder / "rows.tsv", sep="\t").set_index("id")
    loaded = np.load(file)
    y = pd.Series(list(world.ready.y_N[world.test]), world.ready.labels["id"].to_numpy(dtype=str)[world.test])
    masks = {
        "clean": rows["clean"] == 1,
        "not clean": rows["clean"] == 0,
        "identity 0.8-0.9": (rows["identity"] >= 0.8) & (rows["identity"] < 0.9),
        "identity 0.99-1": rows["identity"] >= 0.99,
    }
    for subset, mask in masks.items():
        line = table[(table["subset"] == subset) & (table["embedding"] == "net") & (table["baseline"] == "")]
        keep = np.isin(loaded["ids"], mask.index[mask])
        if line.empty:
            assert any(note.startswith(f"subset {subset}: ") for note in record["notes"])
            continue
        assert line["n"].item() == keep.sum()
        by_hand = [judged(world.kind, np.stack(y[loaded["ids"][keep]]), said[keep]) for said in loaded["scores"]]
        assert line["value"].item() == pytest.approx(np.mean(by_hand), abs=1e-6)
    difference = table[table["baseline"] != ""]
    assert set(difference["subset"]) == {"clean"}
    assert set(difference["baseline"]) == {"kmer4"}
    assert set(difference["metric"]) == {f"{metric}_difference"}
    noise = difference[difference["embedding"] == "noise"]
    assert (noise["high"] < 0)[(noise["shots"] == "all").to_numpy()].all()
    if world.kind == "classes":
        assert "subset clean: no test rows of class cat; the mean is over the others" in record["notes"]


def judged(kind: str, y: np.ndarray, said: np.ndarray) -> float:
    """scikit-learn's value of the primary metric."""
    if kind == "classes":
        return float(np.mean([(said.argmax(1) == y)[y == k].mean() for k in np.unique(y)]))
    if kind == "multilabel":
        both = y.any(0) & ~y.all(0)
        return float(metrics.average_precision_score(y[:, both], said[:, both], average="macro"))
    return float(metrics.r2_score(y, said[:, 0]))


@pytest.mark.parametrize(
    "changed, sentence",
    [
        ({"id": "x"}, "id 'x' occurs more than once"),
        ({"clean": "yes"}, "clean is 'yes'; expected 1 or 0"),
        ({"identity": 1.2}, "identity '1.2'; expected a number from 0 to 1"),
        ({"identity": ""}, "identity ''; expected a number from 0 to 1"),
    ],
)
def test_an_audit_that_says_something_else_gets_a_sentence(tmp_path: Path, changed: dict, sentence: str) -> None:
    world = World(tmp_path, "classes")
    with pytest.raises(InputError) as error:
        world.run(audit=audit(world, **changed))
    assert sentence in str(error.value)


def test_an_audit_of_other_rows_gets_a_sentence(tmp_path: Path) -> None:
    world = World(tmp_path, "classes")
    path = audit(world)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    with pytest.raises(InputError) as error:
        world.run(audit=path)
    assert "2 of 100 test ids are not in the audit" in str(error.value)


def test_the_command_line_takes_kind_predictions_and_audit(tmp_path: Path) -> None:
    world = World(tmp_path, "regression")
    out = tmp_path / "cli" / "t.tsv"
    given = f"{world.good} --labels {world.table} --out {out} --kind regression --audit {audit(world)}".split()
    given += ["--settings", json.dumps(SMALL), "--predictions", str(world.says({"5": 3}))]
    done = CliRunner().invoke(cli, ["probe", *given])
    assert done.exit_code == 0, done.output
    assert "r2, logistic" in done.output
    assert "r2, end_to_end" in done.output
    assert out.with_suffix(".subsets.tsv").is_file()
    inputs = json.loads(out.with_name("t.tsv.provenance.json").read_text())["inputs"]
    assert set(inputs) == {"labels", "kmer4", "net", "audit"}


def test_all_heads_of_all_kinds_choose_by_validation_and_not_by_test_rows(world: World) -> None:
    settings = dataclasses.replace(
        world.settings, heads=("mlp", "forest"), shots=(20,), draws=1, cap=30, decay=(1.0, 10.0), leaf=(1, 4)
    )
    vectors = np.load(world.good)
    one = probe.run([world.good], world.table, "t", world.folder / "a.tsv", settings)
    vectors[world.test] = np.random.default_rng(1).permutation(vectors[world.test])
    two = probe.run([world.embed("kmer4", vectors)], world.table, "t", world.folder / "b.tsv", settings)
    assert one["chosen"] == two["chosen"]
    assert one["validation"] == two["validation"]
    assert set(one["validation"]["kmer4"]["forest"]["20"]) == {"1", "4"}
    means = [read(world.folder / f"{name}.tsv") for name in "ab"]
    first, second = (t[(t["draw"] == "mean") & (t["metric"] == one["metric"])]["value"] for t in means)
    assert (first.to_numpy() > second.to_numpy() + 0.1).all()


def test_p_values_count_and_holm_corrects_within_one_embedding(tmp_path: Path) -> None:
    differences = np.array([[1.0] * 97 + [-1] * 3, [0.0] * 100, [1.0] * 100])
    assert results.p_values(differences) == pytest.approx([2 * 4 / 101, 1, 2 / 101])
    world = World(tmp_path, "regression")
    third = world.embed("third", np.load(world.good) + 1)
    probe.run([world.good, world.bad, third], world.table, "t", tmp_path / "t.tsv", world.settings)
    pairs = read(tmp_path / "t.comparisons.tsv")
    for _, family in pairs.groupby(["head", "shots", "metric", "embedding"]):
        low, high = sorted(family["p"])
        assert sorted(family["p_holm"]) == pytest.approx([min(1, 2 * low), min(1, max(2 * low, high))])


def test_too_few_replicates_for_many_baselines_are_noted(tmp_path: Path) -> None:
    world = World(tmp_path, "regression")
    more = [world.embed(f"x{i}", np.load(world.good)) for i in range(6)]
    settings = dataclasses.replace(world.settings, heads=("knn",), shots=(5,))
    record = probe.run([world.good, *more], world.table, "t", tmp_path / "t.tsv", settings)
    assert (
        record["notes"][-1] == "200 replicates are too few for p_holm of 6 baselines to fall below 0.05 (at least 0.06)"
    )
    record = probe.run([world.good, *more[:3]], world.table, "t", tmp_path / "t.tsv", settings)
    assert "p_holm" not in " ".join(record["notes"])
