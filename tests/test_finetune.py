"""Training end to end on a planted task, the probe's rows, equal searches, the file, the refusals."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from genossl import files
from genossl.config import build
from genossl.errors import InputError
from genossl.evaluation import heads, predictions, splits, tasks
from genossl.genome.alphabet import decode, encode, reverse_complement
from genossl.genome.kmers import gc
from genossl.genome.labels import read_labels
from genossl.model import checkpoint
from genossl.model.classifier import Classifier, Reader
from genossl.model.embedding import embed
from genossl.verbs import finetune, probe

MOTIF = encode("GATTACAGGCATCA")
SMALL: dict[str, Any] = {
    "shots": (4,), "draws": 2, "replicates": 100, "rates": (1e-3, 1e-2), "steps": 4, "passes": 0, "every": 2,
    "batch": 8, "channels": 4, "cap": 8, "head_steps": 20,
}  # fmt: skip


def settings(**changes: Any) -> finetune.Settings:
    return finetune.Settings(**{**SMALL, **changes})


def table(path: Path, n: dict[str, int], strand: float = 0.5, seed: int = 0) -> Path:
    """Random reads of 100 to 140 bases; those of class `yes` hold the motif, at any place, on either strand."""
    rng, lines = np.random.default_rng(seed), ["id\tlabel\tsplit\tsequence"]
    for split, wanted in n.items():
        for i in range(2 * wanted):
            read = rng.integers(0, 4, int(rng.integers(100, 140)), np.uint8)
            if i % 2:
                at = int(rng.integers(len(read) - len(MOTIF)))
                read[at : at + len(MOTIF)] = reverse_complement(MOTIF) if rng.random() < strand else MOTIF
            lines.append(f"{split}{i:04d}\t{('no', 'yes')[i % 2]}\t{split}\t{decode(read)}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table(tmp_path_factory.mktemp("reads") / "reads.tsv", {"train": 12, "validation": 6, "test": 10})


def go(model: str, labels: Path, out: Path, changes: finetune.Settings | None = None, **more: Any) -> dict[str, Any]:
    return finetune.run(model, labels, out, changes or settings(), device="cpu", **more)


def test_a_motif_at_any_place_is_learnt_which_composition_does_not_tell(tmp_path: Path) -> None:
    labels = table(tmp_path / "motif.tsv", {"train": 400, "validation": 50, "test": 100})
    chosen = finetune.Settings(
        shots=(1,), draws=1, rates=(3e-3,), steps=160, passes=0, batch=64, every=40, channels=32, watched=100
    )
    go("cnn", labels, tmp_path / "cnn.npz", chosen)
    rows = read_labels(labels)
    ready = tasks.prepare(rows, chosen)
    test, train = ready.rows[splits.TEST], ready.rows[splits.TRAIN]
    with np.load(tmp_path / "cnn.npz") as found:
        assert balanced_accuracy_score(ready.y_N[test], found["scores"][-1].argmax(1)) >= 0.95
    vectors = gc([encode(letters) for letters in ready.labels["sequence"]])
    said = heads.logistic(vectors[train], ready.y_N[train], vectors[test], 2, (1.0,))[0]
    assert balanced_accuracy_score(ready.y_N[test], said.argmax(1)) < 0.65


def test_the_file_is_as_promised_and_its_rows_are_those_of_the_probe(reads: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions" / "cnn.npz"
    about = go("cnn", reads, out)
    ready = probe.prepare(read_labels(reads), probe.Settings(shots=(1, 4), draws=3, replicates=100, cap=8))
    with np.load(out, allow_pickle=False) as found:
        assert set(found.files) == {"ids", "classes", "shots", "draw", "scores"}
        assert found["ids"].tolist() == ready.labels["id"].iloc[ready.rows[splits.TEST]].tolist()
        assert found["classes"].tolist() == ["no", "yes"]
        assert list(zip(found["shots"].tolist(), found["draw"].tolist(), strict=True)) == [
            ("4", 0), ("4", 1), ("all", 0), ("all", 1),
        ]  # fmt: skip
        assert (found["scores"].shape, found["scores"].dtype) == ((4, 20, 2), np.float32)
        np.testing.assert_allclose(found["scores"].sum(-1), 1, rtol=1e-5)
    assert json.loads(out.with_suffix(".json").read_text()) == json.loads(json.dumps(about, default=files._plain))
    assert about["rows"] == {"train": 24, "validation": 12, "test": 20}
    assert about["receptive_field"] >= about["longest"]
    assert (tmp_path / "predictions" / "cnn.npz.provenance.json").is_file()


def test_what_is_learnt_from_are_the_draws_of_the_probe(reads: Path, tmp_path: Path, monkeypatch) -> None:
    taught: list[set[bytes]] = []

    def spy(*arguments: Any) -> Any:
        taught.append({read.tobytes() for read in arguments[3].sequences})
        return original(*arguments)

    original = finetune.trained
    monkeypatch.setattr(finetune, "trained", spy)
    go("cnn", reads, tmp_path / "cnn.npz")
    ready = probe.prepare(read_labels(reads), probe.Settings(shots=(4,), draws=2, replicates=100, cap=8))
    letters = ready.labels["sequence"].to_numpy()
    wanted = [{encode(letters[i]).tobytes() for i in rows} for drawn in ready.draws.values() for rows in drawn]
    assert taught == wanted
    assert [len(rows) for rows in taught] == [8, 8, 16, 16]


@pytest.fixture
def models(tiny_run: Path) -> dict[str, str]:
    return {"ours": str(tiny_run), "scratch": f"scratch:{tiny_run}", "cnn": "cnn"}


def test_every_model_gets_the_same_trials(models: dict[str, str], reads: Path, tmp_path: Path) -> None:
    keys = ("shots", "draw", "rate", "steps")
    found = {name: go(model, reads, tmp_path / f"{name}.npz", settings(patience=9)) for name, model in models.items()}
    trials = {name: [tuple(t[key] for key in keys) for t in about["trials"]] for name, about in found.items()}
    expected = [(shots, draw, rate, 4) for shots in ("4", "all") for draw in range(2) for rate in (1e-3, 1e-2)]
    assert trials == dict.fromkeys(models, expected)
    assert {name: about["strategy"] for name, about in found.items()} == {
        "ours": "head_first", "scratch": "full", "cnn": "full",
    }  # fmt: skip
    assert all(about["budget"] == {"4": 4, "all": 4} for about in found.values())


def test_passes_ask_for_more_steps_where_rows_are_many() -> None:
    assert settings(steps=400, passes=10, batch=32).budget(1e-3, 50).steps == 400
    assert settings(steps=400, passes=10, batch=32).budget(1e-3, 5001).steps == 1570


def test_validation_rows_choose_the_rate_by_its_mean_over_draws(reads: Path, tmp_path: Path, monkeypatch) -> None:
    """Judged 0.9 and 0.1 for the first rate, 0.6 and 0.6 for the second: the second."""
    judged = iter([0.9, 0.6, 0.1, 0.6] * 2)
    models: list[Classifier] = []
    monkeypatch.setattr(finetune, "score", lambda model, *_: models.append(model) or next(judged))
    about = go("cnn", reads, tmp_path / "cnn.npz")
    assert about["chosen"] == {"4": 1e-2, "all": 1e-2}
    assert about["validation"]["4"] == {"0.001": pytest.approx(0.5), "0.01": pytest.approx(0.6)}
    ready = tasks.prepare(read_labels(reads), settings())
    test = [encode(letters) for letters in ready.labels["sequence"].iloc[ready.rows[splits.TEST]]]
    with np.load(tmp_path / "cnn.npz") as found:
        for i, at in enumerate((1, 3, 5, 7)):
            said = finetune.logits(models[at], test, True).softmax(-1)
            np.testing.assert_array_equal(found["scores"][i], said.numpy())


@pytest.mark.parametrize("strategy", ["head_first", "full"])
def test_without_steps_a_run_is_its_frozen_encoder(tiny_run: Path, strategy: str) -> None:
    chosen = settings(strategy=strategy, steps=0, passes=0)
    begin = finetune.start(str(tiny_run), 100, chosen)
    assert begin.strategy == strategy
    expected = checkpoint.load_encoder(tiny_run).state_dict()
    assert all(torch.equal(v, expected[name]) for name, v in begin.trunk(1).encoder.state_dict().items())


def test_without_steps_the_answer_is_the_head_of_the_frozen_embedding(
    tiny_run: Path, reads: Path, tmp_path: Path, monkeypatch
) -> None:
    """The first phase alone: a linear map of what `embed` gives."""
    trials: list[finetune.Trial] = []
    original = finetune.trained
    monkeypatch.setattr(finetune, "trained", lambda *a: trials.extend(found := original(*a)) or found)
    go(str(tiny_run), reads, tmp_path / "ours.npz", settings(rates=(1e-3,), draws=1, steps=0, head_steps=40))
    ready = tasks.prepare(read_labels(reads), settings())
    tokens = [encode(letters) for letters in ready.labels["sequence"].iloc[ready.rows[splits.TEST]]]
    frozen = embed(checkpoint.load_encoder(tiny_run), tokens)
    with np.load(tmp_path / "ours.npz") as found:
        for trial, scores in zip(trials, found["scores"], strict=True):
            assert trial.head is not None
            assert trial.head.steps > 0
            head = trial.model.head
            said = torch.from_numpy(frozen) @ head.weight.detach().T + head.bias.detach()
            np.testing.assert_allclose(scores, said.softmax(-1).numpy(), atol=1e-4)


def test_new_weights_differ_from_draw_to_draw_and_come_back(tiny_run: Path) -> None:
    begin = finetune.start(f"scratch:{tiny_run}", 100, settings())
    trained = checkpoint.load_encoder(tiny_run)

    def weights(trunk: Any) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in trunk.parameters()])

    zero, one, again = (begin.trunk(draw) for draw in (0, 1, 0))
    assert torch.equal(weights(zero), weights(again))
    assert not torch.equal(weights(zero), weights(one))
    assert not torch.equal(weights(zero), weights(Reader(trained)))
    buffers = dict(trained.named_buffers())
    assert all(torch.equal(value, buffers[name]) for name, value in zero.encoder.named_buffers())


@pytest.mark.parametrize("model", ["ours", "cnn"])
def test_the_same_seed_gives_the_same_file(models: dict[str, str], model: str, reads: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        go(models[model], reads, tmp_path / f"{name}.npz")
    assert files.sha256(tmp_path / "one.npz") == files.sha256(tmp_path / "two.npz")
    go(models[model], reads, tmp_path / "other.npz", settings(seed=1))
    assert files.sha256(tmp_path / "one.npz") != files.sha256(tmp_path / "other.npz")


def test_the_order_of_the_table_does_not_matter(reads: Path, tmp_path: Path) -> None:
    head, *lines = reads.read_text().splitlines()
    (tmp_path / "turned.tsv").write_text("\n".join([head, *lines[::-1]]) + "\n")
    go("cnn", reads, tmp_path / "one.npz")
    go("cnn", tmp_path / "turned.tsv", tmp_path / "two.npz")
    assert files.sha256(tmp_path / "one.npz") == files.sha256(tmp_path / "two.npz")


def other_strand(reads: Path, out: Path) -> Path:
    """The same table with the other strand of each test read."""
    labels = pd.read_csv(reads, sep="\t")
    test = labels["split"] == "test"
    labels.loc[test, "sequence"] = [decode(reverse_complement(encode(letters))) for letters in labels["sequence"][test]]
    labels.to_csv(out, sep="\t", index=False)
    return out


@pytest.mark.parametrize("model", ["ours", "cnn"])
@pytest.mark.parametrize("both", [True, False])
def test_the_strand_of_a_test_read(
    models: dict[str, str], model: str, both: bool, reads: Path, tmp_path: Path
) -> None:  # fmt: skip
    """Means nothing where both are averaged, and something where the sequence is taken as given."""
    scores = []
    for name, labels in (("one", reads), ("two", other_strand(reads, tmp_path / "other.tsv"))):
        go(models[model], labels, tmp_path / f"{name}.npz", settings(both_strands=both, rates=(1e-2,)))
        with np.load(tmp_path / f"{name}.npz") as found:
            scores.append(found["scores"])
    assert np.allclose(*scores, rtol=1e-5, atol=1e-6) == both


def test_a_rare_class_is_watched_too(reads: Path) -> None:
    task = tasks.prepare(read_labels(reads), settings())
    y = np.zeros(100, dtype=np.int64)
    y[90:93], y[97:] = 1, 2
    rare = dataclasses.replace(task, y_N=y)
    found = finetune.watch(np.arange(100), rare, settings(watched=9))
    assert np.bincount(y[found]).tolist() == [3, 3, 3]
    assert np.bincount(y[finetune.watch(np.arange(100), rare, settings(watched=50))]).tolist() == [44, 3, 3]
    assert finetune.watch(np.arange(100), rare, settings()).tolist() == list(range(100))


@pytest.mark.parametrize("kind,label,names", [
    ("multilabel", lambda i: ("-", "a", "b", "a;b")[i % 4], ["a", "b"]),
    ("regression", lambda i: repr(i / 7), ["value"]),
])  # fmt: skip
def test_every_kind_is_learnt_and_can_be_probed_beside(
    kind: Any, label: Callable[[int], str], names: list[str], reads: Path, tmp_path: Path
) -> None:
    rows = read_labels(reads)
    rows.assign(label=[label(i) for i in range(len(rows))]).to_csv(tmp_path / "kind.tsv", sep="\t", index=False)
    about = go("cnn", tmp_path / "kind.tsv", tmp_path / "out.npz", settings(kind=kind))
    assert about["metric"] == {"multilabel": "macro average precision", "regression": "R2"}[kind]
    ready = tasks.prepare(read_labels(tmp_path / "kind.tsv"), settings(kind=kind))
    found = predictions.read(tmp_path / "out.npz", ready)
    with np.load(tmp_path / "out.npz") as written:
        assert written["classes"].tolist() == names
    assert {shots: len(draws) for shots, draws in found.items()} == {k: len(d) for k, d in ready.draws.items()}
    assert all(said.shape == (20, len(names)) for draws in found.values() for said in draws)


def test_coordinates_are_read_from_a_store(tiny_store: Path, tiny_run: Path, tmp_path: Path) -> None:
    lines = ["id\tlabel\tgenome\tcontig\tstart\tend\tsplit"]
    for split in ("train", "validation", "test"):
        for i in range(8):
            lines.append(f"{split}{i}\t{'ab'[i % 2]}\t{split}\t{split}_{i % 2}\t{i * 100}\t{i * 100 + 90}\t{split}")
    (tmp_path / "labels.tsv").write_text("\n".join(lines) + "\n")
    go(str(tiny_run), tmp_path / "labels.tsv", tmp_path / "out.npz", sequences=tiny_store)
    assert "sequences" in json.loads((tmp_path / "out.npz.provenance.json").read_text())["inputs"]
    with pytest.raises(InputError, match="say where the sequences are"):
        go("cnn", tmp_path / "labels.tsv", tmp_path / "other.npz")


@pytest.mark.parametrize(
    "model,out,changes,message",
    [
        ("cnn", "x.tsv", {}, "x.tsv: predictions are written as .npz"),
        ("nowhere", "x.npz", {}, "nowhere: no such run folder; a model is a run's folder, scratch:RUN or cnn"),
        ("scratch:", "x.npz", {}, "scratch:: no such run folder"),
        (".", "x.npz", {}, "holds no encoder.json"),
        ("cnn", "x.npz", {"changes": settings(kind="regression")}, "label 'no' is no number"),
        ("cnn", "x.npz", {"labels": "one.tsv"}, "one.tsv: all 2 rows have the label 'a'; expected at least 2 classes"),
        ("cnn", "x.npz", {"labels": "none.tsv"}, "none.tsv: no such file"),
        ("cnn", "x.npz", {"labels": "bare.tsv"}, "bare.tsv: expected a column sequence, or contig, start and end"),
    ],
)
def test_refusals(
    reads: Path, tmp_path: Path, monkeypatch, model: str, out: str, changes: dict[str, Any], message: str
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("one.tsv").write_text("id\tlabel\tsplit\tsequence\nx\ta\ttrain\tACGT\ny\ta\ttest\tACGT\n")
    rows = "".join(f"{c}{s}\t{c}\t{s}\n" for c in "ab" for s in ("train", "validation", "test"))
    Path("bare.tsv").write_text("id\tlabel\tsplit\n" + rows)
    with pytest.raises(InputError) as error:
        go(model, Path(changes.pop("labels", reads)), Path(out), **changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("x*"))


@pytest.mark.parametrize(
    "mapping,message",
    [
        ({"rates": [1e-2, 1e-3]}, "rates must be ascending numbers above 0"),
        ({"rates": []}, "rates must be ascending"),
        ({"lower": 0}, "lower and head_rate must be above 0"),
        ({"steps": -1}, "steps, passes, head_steps must not be negative"),
        ({"dropout": 1}, "dropout must be at least 0 and less than 1"),
        ({"strategy": "half"}, "finetune.strategy: expected 'full' or 'head_first'"),
        ({"shots": [10, 5]}, "shots must be ascending"),
        ({"models": ["ours"]}, "finetune.models: "),
    ],
)
def test_settings_that_make_no_sense(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(finetune.Settings, mapping, "finetune")
