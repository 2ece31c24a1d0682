"""Published benchmarks: protocols are exact, metrics are scikit-learn's, and only numbers that were read are quoted."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path

import bakeoff
import numpy as np
import pandas as pd
import published
import published_data as data
import published_numbers
import pytest
from planted import markov, sample, write_fasta
from sklearn import metrics

from genossl.genome.alphabet import decode, encode, reverse_complement
from genossl.genome.store import TokenStore

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not (REAL / "README.md").is_file(), reason="no ../shared/data beside the checkout")
RUN_HERE = ["mouse_2", "ienhancer2l", "ecoli_sigma70", "uci_promoters106", "nrc_ncrna13", "virus2_150"]


def turned(sequence: str) -> str:
    return decode(reverse_complement(encode(sequence)))


def labelled(folder: Path, file: str, rows: list[tuple[str, ...]], *more: str) -> None:
    path = folder / data.LABELLED / f"{file}.tsv.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [(split, label, f"{split}{i}", *rest) for i, (split, label, *rest) in enumerate(rows)]
    table = pd.DataFrame(rows, columns=["split", "label", "id", "sequence", *more])
    table.to_csv(path, sep="\t", index=False, compression="gzip")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A data folder laid out as the real one, with leaks planted: copies, on either strand, and shared stretches."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    sources = {name: markov(rng, 2, 1.0) for name in ("0", "1", "2", "phage", "eukvirus", "bacterium")}

    def rows(length: int, counts: dict[str, int], labels: str = "01") -> list[tuple[str, ...]]:
        return [
            (split, label, decode(sample(rng, sources[label], length)))
            for split, n in counts.items()
            for label in labels
            for _ in range(n)
        ]

    for found in data.SETS.values():
        if found.file.startswith("gue/"):
            length = {"prom_300_tata": 300}.get(found.name, 101)
            table = rows(length, {"train": 20, "dev": 8, "test": 10})
            if found.name == "mouse_2":
                table += [("test", "1", table[0][2]), ("test", "0", turned(table[1][2])), ("test", "1", table[41][2])]
                table += [("train", "1", table[-20][2][10:60] + table[0][2][:51])]  # 50 bases of a test row
            labelled(folder, found.file, table)
    table = rows(200, {"train": 25, "test": 10})
    table += [("test", "1", table[30][2])]
    labelled(folder, "ienhancer2l/data", table)
    labelled(folder, "cnnprom/ecoli_sigma70", rows(81, {"cv": 15}))
    for name in ("arabidopsis_tata", "mouse_tata"):
        labelled(folder, f"cnnprom/{name}", rows(251, {"cv": 10}))
    labelled(folder, "uci_promoters106/data", rows(57, {"loo": 7}))
    table = rows(70, {"train": 15, "test": 8}, "012")
    table = [(s, y, x[: 40 + i % 30], f"RF{i % 5 + 3 * (s == 'test')}") for i, (s, y, x) in enumerate(table)]
    labelled(folder, "nrc_ncrna13/data", table, "rfam")

    for name in ("prokaryotes/genomes", "starter/virus"):
        (folder / name).mkdir(parents=True)
    lines, manifest = [], []
    genera = [("Bacillus", "train"), ("Shigella", "train"), ("Escherichia", "train"), ("A", "dev"), ("B", "test")]
    for i, (genus, split) in enumerate(genera):
        path = folder / "prokaryotes" / "genomes" / f"g{i}.fa"
        write_fasta(path, {f"g{i}": sample(rng, sources["bacterium"], 4_000)})
        lines.append((f"g{i}", f"genomes/g{i}.fa", genus, split))
    pd.DataFrame(lines, columns=["genome", "path", "genus", "split"]).to_csv(
        folder / "prokaryotes" / "genomes.tsv", sep="\t", index=False
    )
    for kind in ("phage", "eukvirus"):
        for split in ("train", "dev", "test"):
            contigs = {f"{kind}.{split}.{i}": sample(rng, sources[kind], 1500) for i in range(6)}
            write_fasta(folder / "starter" / "virus" / f"{kind}_{split}.fa.gz", contigs)
            manifest += [(f"virus/{kind}_{split}.fa.gz", name, f"{split}{i // 2}") for i, name in enumerate(contigs)]
    table = pd.DataFrame(manifest, columns=["file", "id", "cluster"])
    table.to_csv(folder / "starter" / "manifest.tsv", sep="\t", index=False)
    return folder


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "WINDOWS", {"train": 24, "validation": 12, "test": 12})
        patch.setattr(published, "REPLICATES", 100)
        patch.setattr(published, "PROFILES", (3, 4))
        patch.setattr(bakeoff, "TIMED", 1)
        patch.setitem(data.SMALL_CONV, "channels", 16)
        patch.setitem(data.SMALL_CONV, "context", 16)
        yield


@pytest.fixture(scope="module")
def prepared(folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    data.prepare(folder, out, RUN_HERE)
    return out


def folds_in(name: str, folder: Path) -> list[data.Fold]:
    return data.folds_of(data.read(folder, name), data.SETS[name].protocol)


# ---- protocols


def toy(protocol: str, n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(n)
    part = [""] * n if protocol != "split" else ["train"] * (n // 2) + ["test"] * (n - n // 2)
    sequences = [decode(rng.integers(0, 4, 50).astype(np.uint8)) for _ in range(n)]
    return pd.DataFrame({"label": list("0111") * (n // 4), "sequence": sequences, "part": part, "family": ""})


@pytest.mark.parametrize("protocol", ["split", "cv", "loo"])
def test_no_judged_row_teaches_or_chooses(protocol):
    table = toy(protocol)
    folds = data.folds_of(table, protocol)
    for fold in folds:
        parts = [set(fold.train), set(fold.validation), set(fold.test)]
        assert sum(map(len, parts)) == len(set.union(*parts))
        assert all(parts)
        assert fold.refit  # validation rows were cut from the teaching rows
        assert set(table["label"][fold.train]) == set(table["label"][fold.validation]) == {"0", "1"}
    judged = np.sort(np.concatenate([fold.test for fold in folds]))
    wanted = np.flatnonzero(table["part"] == "test") if protocol == "split" else np.arange(len(table))
    assert np.array_equal(judged, wanted)  # each exactly once
    again = data.folds_of(table, protocol)
    assert all(np.array_equal(a.validation, b.validation) for a, b in zip(folds, again, strict=True))


def test_leave_one_out_leaves_one_out_and_uses_all_others():
    folds = data.folds_of(toy("loo"), "loo")
    assert len(folds) == 40
    for i, fold in enumerate(folds):
        assert fold.test.tolist() == [i]
        assert sorted([*fold.train, *fold.validation]) == [j for j in range(40) if j != i]


def test_five_parts_hold_a_fifth_of_each_class():
    table = toy("cv")
    for fold in data.folds_of(table, "cv"):
        assert table["label"].iloc[fold.test].value_counts().to_dict() == {"1": 6, "0": 2}


def test_validation_rows_of_a_published_split_stay_what_they_are(folder, prepared):
    (fold,) = folds_in("mouse_2", prepared)
    table = data.read(prepared, "mouse_2")
    original = pd.read_csv(folder / data.LABELLED / "gue" / "mouse__2.tsv.gz", sep="\t")
    for rows, split in ((fold.train, "train"), (fold.validation, "dev"), (fold.test, "test")):
        assert table["sequence"].iloc[rows].tolist() == original["sequence"][original["split"] == split].tolist()
    assert not fold.refit


def test_windows_of_the_virus_task_share_no_cluster_between_parts(prepared):
    table = data.read(prepared, "virus2_150")
    assert set(table["sequence"].str.len()) == {150}
    assert table.groupby(["part", "label"]).size().to_dict() == {
        (part, label): n
        for part, n in {"train": 24, "validation": 12, "test": 12}.items()
        for label in ("phage", "eukaryotic_virus")
    }
    assert (table.groupby("group")["part"].nunique() == 1).all()
    assert table["group"].nunique() == 18  # evenly over clusters: three of each class and part


@pytest.mark.parametrize("name", RUN_HERE)
def test_clean_rows_are_what_a_search_through_all_pairs_finds(prepared, name):
    table = data.read(prepared, name)
    folds = folds_in(name, prepared)
    clean = data.clean(table, folds)
    for fold in folds:
        taught = [table["sequence"][i] for i in (*fold.train, *fold.validation)]
        taught += [turned(other) for other in taught]
        for i in fold.test:
            assert clean[i] == all(table["sequence"][i] != other for other in taught)
        there = stretches(*taught)
        near = data.near(table, [fold])
        assert [bool(stretches(table["sequence"][i]) & there) for i in fold.test] == near[fold.test].tolist()
    judged = np.concatenate([fold.test for fold in folds])
    assert (~clean[judged]).sum() == {"mouse_2": 3, "ienhancer2l": 1}.get(name, 0)  # as planted


def test_new_families_have_no_row_that_teaches(prepared):
    table = data.read(prepared, "nrc_ncrna13")
    (fold,) = folds_in("nrc_ncrna13", prepared)
    new = data.new_family(table, [fold])
    assert new is not None
    known = {table["family"][i] for i in (*fold.train, *fold.validation)}
    assert known == {f"RF{i}" for i in range(5)}
    assert [table["family"][i] in ("RF5", "RF6", "RF7") for i in fold.test] == new[fold.test].tolist()
    assert 0 < new[fold.test].sum() < len(fold.test)
    assert data.new_family(data.read(prepared, "mouse_2"), [fold]) is None


@needs_data
@pytest.mark.parametrize(("name", "leaky"), [("ienhancer2l", 100), ("nrc_ncrna13", 347)])
def test_clean_rows_of_the_real_sets_are_those_that_the_folder_marks(name, leaky):
    found = data.SETS[name]
    table = data._labelled(REAL, found)
    (fold,) = data.folds_of(table, "split")
    marked = pd.read_csv(REAL / data.LABELLED / f"{found.file}.tsv.gz", sep="\t", dtype=str)["in_train"] == "1"
    assert np.array_equal(data.clean(table, [fold])[fold.test], ~marked.to_numpy()[fold.test])
    assert marked.to_numpy()[fold.test].sum() == leaky


# ---- what encoders are pretrained on


def stretches(*sequences: str) -> set[str]:
    """Every stretch of WORD bases of either strand."""
    found = {s[i : i + data.WORD] for x in sequences for s in (x, turned(x)) for i in range(len(s) - data.WORD + 1)}
    return {stretch for stretch in found if "N" not in stretch}


def test_words_are_those_of_both_strands_without_n():
    rng = np.random.default_rng(3)
    sequences = [decode(rng.integers(0, 4, n).astype(np.uint8)) for n in (31, 30, 80, 45, 31)]
    sequences[3] = sequences[3][:20] + "N" + sequences[3][21:]
    sequences.append(turned(sequences[0]))
    sequences.append(sequences[2][20:60])
    code, owner = data.words([encode(s) for s in sequences])
    assert np.bincount(owner, minlength=7).tolist() == [1, 0, 50, 0, 1, 1, 10]
    for i, one in enumerate(sequences):
        for j, other in enumerate(sequences):
            assert bool(set(code[owner == i]) & set(code[owner == j])) == bool(stretches(one) & stretches(other))


def test_pretraining_sees_no_stretch_of_a_mammalian_row_that_is_judged_on(folder, prepared):
    store = TokenStore.open(prepared / "mammal")
    contigs = [store.tokens[c.offset : c.offset + c.length] for _, c in store.contigs.iterrows()]
    learnt = [decode(np.asarray(c)) for c in contigs]
    judged, training = [], []
    for found in data.SETS.values():
        if found.collection == "mammal":
            table = data._labelled(folder, found)
            judged += table["sequence"][table["part"] != "train"].tolist()
            training += table["sequence"][table["part"] == "train"].tolist()
    there = stretches(*judged)
    bad = {s for s in training if stretches(s) & there}
    assert len(bad) == 4  # a copy, one reversed, a stretch of 50 bases, a copy among the enhancers
    assert sorted(learnt) == sorted(set(training) - bad)


def test_bacteria_are_not_e_coli_and_overlaps_are_counted(folder, prepared, tmp_path):
    store = TokenStore.open(prepared / "bacteria")
    assert len(store.contigs) == 1  # g0; g1 and g2 are Shigella and Escherichia, g3 and g4 are not for training
    genome = decode(np.asarray(store.tokens))[: int(store.contigs["length"][0])]
    rows = [genome[100:181], turned(genome[500:550]) + "A" * 31, genome[700:730], decode(encode("ACGT" * 20))]
    table = pd.DataFrame({"sequence": rows})
    found = data.overlaps({"one": table, "other": table[2:]}, prepared / "bacteria")
    assert found == {"one": 0.5, "other": 0.0}


# ---- metrics and choices


@pytest.mark.parametrize("n_classes", [2, 3])
def test_metrics_are_those_of_scikit_learn(n_classes):
    rng = np.random.default_rng(n_classes)
    y = rng.integers(0, n_classes, 200)
    said = rng.dirichlet(np.ones(n_classes), 200).round(1) + np.eye(n_classes)[y] * 0.2  # with ties
    weights = np.stack([np.ones(200), rng.integers(0, 4, 200)]).astype(float)
    for i, w in enumerate(weights):
        answer = said.argmax(1)
        area = metrics.roc_auc_score(y == 1, said[:, 1], sample_weight=w)
        if n_classes > 2:
            area = np.mean([metrics.roc_auc_score(y == k, said[:, k], sample_weight=w) for k in range(n_classes)])
        wanted = {
            "auroc": area,
            "accuracy": metrics.accuracy_score(y, answer, sample_weight=w),
            "mcc": metrics.matthews_corrcoef(y, answer, sample_weight=w),
            "errors": metrics.zero_one_loss(y, answer, normalize=False, sample_weight=w),
            "sensitivity": metrics.recall_score(y, answer, labels=[1], average="macro", sample_weight=w),
            "specificity": metrics.recall_score(y, answer, labels=[0], average="macro", sample_weight=w),
        }
        for name, value in wanted.items():
            assert published.measure(name, y, said, weights)[i] == pytest.approx(value, abs=1e-12)


def ready(protocol: str, refit: bool = True, n: int = 60) -> published.Task:
    table = toy(protocol, n)
    folds = [dataclasses.replace(fold, refit=refit) for fold in data.folds_of(table, protocol)]
    row_M = np.concatenate([fold.test for fold in folds])
    fold_M = np.repeat(np.arange(len(folds)), [len(fold.test) for fold in folds])
    y_N = table["label"].astype(int).to_numpy()
    found = dataclasses.replace(data.SETS["ecoli_promoter2l"], protocol=protocol)
    ones = np.ones((3, len(row_M)))
    used_N, subsets = np.arange(n), {"all": ones[0] > 0}
    return published.Task(found, folds, ["0", "1"], y_N, [], used_N, row_M, fold_M, ones, subsets)


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("protocol", ["split", "cv", "loo"])
def test_a_classifier_learns_nothing_from_the_rows_that_it_is_judged_on(protocol, refit):
    task, rng = ready(protocol, refit, 20 if protocol == "loo" else 60), np.random.default_rng(0)
    x = rng.normal(size=(len(task.y_N), 5)).astype(np.float32)
    said, _ = published.learn({"x": x}, task)
    for i, fold in enumerate(task.folds):
        y, other = task.y_N.copy(), x.copy()
        y[fold.test] = 1 - y[fold.test]
        other[fold.test[1:]] += 5  # the first judged row stays what it is
        again = dataclasses.replace(task, y_N=y, folds=[fold])
        found, _ = published.learn({"x": other}, again)
        first = np.flatnonzero(task.fold_M == i)[0]
        np.testing.assert_allclose(found[""][0], said[""][first], atol=1e-6)


def test_validation_rows_choose_the_feature_that_tells_the_classes():
    task, rng = ready("cv"), np.random.default_rng(1)
    noise = rng.normal(size=(60, 3)).astype(np.float32)
    truth = noise + 8 * task.y_N[:, None].astype(np.float32)
    said, chosen = published.learn({"noise": noise, "truth": truth}, task, keep=("noise",))
    assert {name for name, _ in chosen} == {"truth"}
    assert (said[""].argmax(1) == task.y_N[task.row_M]).all()
    assert (said["noise"].argmax(1) == task.y_N[task.row_M]).mean() < 0.9


def test_cross_validation_is_the_mean_over_parts_and_leave_one_out_is_pooled():
    rng = np.random.default_rng(2)
    for protocol in ("cv", "loo"):
        task = ready(protocol, n=20)
        said = rng.dirichlet([1, 1], 20)
        y, answer = task.y_N[task.row_M], said.argmax(1)
        parts = [task.fold_M == f for f in range(5)] if protocol == "cv" else [np.ones(20, dtype=bool)]
        wanted = np.mean([metrics.matthews_corrcoef(y[m], answer[m]) for m in parts])
        found = published.judge(task, said)["all"]["mcc"]
        assert found["value"] == pytest.approx(wanted, abs=1e-5)
        assert found["replicates"] == [found["value"]] * 3  # all weights are 1


def test_judged_rows_are_resampled_within_their_class_and_by_cluster(prepared):
    task = published.load(prepared, "virus2_150", 10)
    table = data.read(prepared, "virus2_150").iloc[task.used_N[task.row_M]]
    assert (table["part"] == "test").all()
    assert [task.classes[k] for k in task.y_N[task.row_M]] == table["label"].tolist()
    assert [decode(task.tokens[i]) for i in task.row_M] == table["sequence"].tolist()
    for k in (0, 1):
        assert (task.weights_RM[:, task.y_N[task.row_M] == k].sum(1) == 12).all()  # clusters are of one size here
    for _, at in table.reset_index(drop=True).groupby("group").groups.items():
        assert (task.weights_RM[:, at] == task.weights_RM[:, at[:1]]).all()
    assert [len(fold.train) for fold in task.folds] == [10]
    whole = published.load(prepared, "virus2_150", 0)
    assert set(task.used_N[task.folds[0].train]) < set(whole.used_N[whole.folds[0].train])


def score(value: float, spread: float = 0.01, shift: float = 0.0) -> published.Score:
    return published.Score(value, value + shift + spread * np.random.default_rng(0).normal(size=400), 1)


def test_findings_say_where_we_lose():
    rows = {
        "kmers": {"auroc": score(0.80)},
        "untrained": {"auroc": score(0.70)},
        "pretrained": {"auroc": score(0.75)},
        "supervised": {"auroc": published.Score(0.801, score(0.8, 0.05).replicates_R[::-1], 1)},
    }
    others = [
        published_numbers.Number("x", "Better", "auroc", 0.95, "s", "frozen"),
        published_numbers.Number("x", "Level", "auroc", 0.801, "s", "frozen"),
        published_numbers.Number("x", "Worse", "auroc", 0.60, "s", "frozen"),
        published_numbers.Number("x", "Other metric", "mcc", 0.60, "s", "frozen"),
    ]
    said = " ".join(published.findings(rows, "auroc", others))
    assert "Encoder pretrained, frozen: above (+0.050 [+0.050, +0.050]) the same encoder untrained." in said
    assert "Encoder pretrained, frozen: below (-0.050 [-0.050, -0.050]) k-mers." in said
    assert "Encoder from scratch, end to end: not told apart from (+0.001 [" in said
    assert "Of 3 published AUC (frozen), better than its interval: Better 0.95; inside it: Level 0.801;" in said
    assert said.endswith("worse: Worse 0.6.")


def test_fewer_errors_are_better():
    rows = {"kmers": {"errors": score(10, 1)}, "pretrained": {"errors": score(20, 1)}}
    said = " ".join(
        published.findings(rows, "errors", [published_numbers.Number("x", "KBANN", "errors", 4, "s")])
    )  # fmt: skip
    assert "Encoder pretrained, frozen: below (+10 [+10, +10]) k-mers." in said
    assert "Our best row is 'k-mers, k chosen' with 10." in said
    assert "better than its interval: KBANN 4;" in said


# ---- published numbers


def test_every_published_number_names_a_set_a_metric_that_we_measure_and_a_source():
    for n in published_numbers.NUMBERS:
        assert n.metric in data.SETS[n.task].metrics
        assert re.search(r"Table \d|abstract|description", n.source), n
        assert re.search(r"doi 10\.|arXiv \d|PMC\d|data set \d|6636350|BioData Mining 10:27", n.source), n
        assert n.value > 0
        assert n.value <= 1 or n.metric == "errors"
        assert n.kind in ("frozen", "supervised")
    keys = [(n.task, n.model, n.metric) for n in published_numbers.NUMBERS]
    assert len(keys) == len(set(keys))
    gue = [n for n in published_numbers.NUMBERS if data.SETS[n.task].file.startswith("gue/")]
    assert {n.metric for n in gue} == {"auroc"}  # no MCC of fine-tuned models: it was read nowhere


@needs_data
def test_published_numbers_are_among_those_that_are_marked_as_read():
    text = (REAL / "README.md").read_text()
    read = text[text.index("*Read:*") : text.index("*Recalled, verify before quoting:*")]
    floors = text[text.index("### 4-mer floors") : text.index("### Published numbers")]
    tokens = set(re.findall(r"\d*\.?\d+", read))
    for n in published_numbers.NUMBERS:
        forms = [f"{n.value:g}", f"{n.value * 100:g}", f"{n.value * 100:.1f}", f"{n.value * 100:.2f}"]
        forms += [f"{n.value:.3f}", f"{n.value:.2f}"]
        assert tokens & {form.removeprefix("0") for form in forms} or tokens & set(forms), n
    for n in [*published_numbers.FLOORS, *published_numbers.CLEAN_FLOORS]:
        assert f"{n.value:.3f}" in floors, n


def test_a_part_that_a_person_wrote_is_kept_and_nothing_else_is():
    new = "# Title\n\nnew\n\n## All sets\n\nnew table\n"
    old = "# Title\n\nold\n\n## Reading it\n\n* by hand\n\n## All sets\n\nold table\n"
    assert published.kept(new, old) == (
        "# Title\n\nnew\n\n## Reading it\n\n* by hand\n\n## All sets\n\nnew table\n"
    )  # fmt: skip
    assert published.kept(new, published.kept(new, old)) == published.kept(new, old)
    assert published.kept(new, "# Title\n\n## All sets\n") == new


# ---- the command


def go(monkeypatch, capsys, *options: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["published.py", *options])
    code = published.main()
    return code, *capsys.readouterr()


def test_the_whole_command_runs_stops_and_goes_on(folder, tmp_path, monkeypatch, capsys):
    docs = tmp_path / "docs.md"
    options = ["--data", str(folder), "--out", str(tmp_path / "out"), "--minutes", "0.0001", "--seeds", "1"]
    options += ["--jobs", "1", "--cap", "0", "--docs", str(docs), "--sets", *RUN_HERE]
    code, _, error = go(monkeypatch, capsys, *options)
    assert (code, error) == (0, "")
    runs = sorted((tmp_path / "out" / "runs").iterdir())
    assert len(runs) == 2 * 4 + 5 * len(RUN_HERE)  # four collections; five runs a set
    values = json.loads((tmp_path / "out" / "published.json").read_text())["sets"]
    assert set(values) == set(RUN_HERE)
    for name, found in values.items():
        assert set(found["all"]) == {"gc", "kmers", "4mers", "untrained", "pretrained", "supervised"}
        assert set(found["all"]["kmers"]) == set(data.SETS[name].metrics)
        for scores in found["all"].values():
            for value in scores.values():
                assert value["low"] <= value["high"]
        assert ("clean" in found) == (name in ("mouse_2", "ienhancer2l"))
    assert "new families" in values["nrc_ncrna13"]
    text = docs.read_text()
    assert text == (tmp_path / "out" / "published.md").read_text()
    assert "38 of 38 runs, on" in text
    assert "one thread per run" in text
    for name in RUN_HERE:
        assert f"\n## {name}\n" in text
    assert "| *iEnhancer-DCSA* (published, supervised) | 0.825 | 0.651 |  | [" in text
    assert "not a reproduction of the Self-GenomeNet paper's data" in text
    assert "3 of 23 judged rows are leaky" in text
    assert "Only the 20 clean rows; no published number is of these:" in text
    assert "Not in this subset, for want of time: tf_0" in text
    pretrained = [json.loads(path.read_text()) for path in runs if "-pretrain-" in path.name]
    assert all((r["bases_seen"] == 0) == (r["run"]["steps"] == "none") for r in pretrained)

    docs.write_text(text.replace("## All sets\n", "## Reading it\n\n* By hand.\n\n## All sets\n"))
    runs[0].unlink()
    before = {path: path.stat().st_mtime_ns for path in runs[1:]}
    assert go(monkeypatch, capsys, *options)[0] == 0
    assert runs[0].exists()
    assert before == {path: path.stat().st_mtime_ns for path in runs[1:]}
    assert "## Reading it\n\n* By hand.\n\n## All sets\n" in docs.read_text()


def test_mistakes_are_one_line_and_exit_2(tmp_path, monkeypatch, capsys):
    options = ["--data", str(tmp_path), "--out", str(tmp_path / "out")]
    code, _, error = go(monkeypatch, capsys, *options, "--sets", "tf_0")
    assert code == 2
    assert (
        f"published: {tmp_path}: no starter/labelled/cnnprom/arabidopsis_tata.tsv.gz (11 of 11 files are missing)"
        in error
    )
    code, _, error = go(monkeypatch, capsys, *options, "--sets", "tf_9")
    assert code == 2
    assert "no set tf_9; expected some of tf_0, tf_1" in error
    code, _, error = go(monkeypatch, capsys, *options, "--sets", "virus2_150")
    assert code == 2
    assert "no prokaryotes/genomes.tsv" in error
    assert not (tmp_path / "out").exists()


def test_a_further_set_leaves_what_is_there_as_it_is(folder, tmp_path):
    data.prepare(folder, tmp_path, ["virus2_150"])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    one = data.prepare(folder, tmp_path, ["virus2_150", "virus3_150"])
    two = data.prepare(folder, tmp_path / "anew", ["virus2_150", "virus3_150"])
    assert one == two
    kept = [path for path in before if path.name != "data.json"]
    assert all(path.stat().st_mtime_ns == before[path] for path in kept)
    assert set(data.read(tmp_path, "virus3_150")["label"]) == {"phage", "eukaryotic_virus", "prokaryote"}
    common = data.read(tmp_path, "virus3_150")
    assert set(data.read(tmp_path, "virus2_150")["sequence"]) < set(common["sequence"])
