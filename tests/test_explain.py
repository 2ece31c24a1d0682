"""The verb explain: closed forms, slow loops, planted motifs on windows never seen, and one picture."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path

import motifs as benchmark
import numpy as np
import pandas as pd
import planted
import pytest

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import logo, saved_head
from genossl.evaluation.saved_head import CLASSES, MULTILABEL, REGRESSION, Head
from genossl.evaluation.seqlets import Seqlet, seqlets
from genossl.genome.alphabet import decode, encode, reverse_complement
from genossl.genome.store import TokenStore
from genossl.model import attribution
from genossl.verbs import embed, explain, predict, probe
from genossl.verbs.explain import Settings

PROBE = probe.Settings(shots=(5,), draws=1, replicates=100, heads=("logistic",), penalty=(0.1,), block=500)


def head_on_gc(folder: Path, kind: str, classes: list[str], weight: float = 8.0) -> Path:
    """A head written by hand: the numbers are weight * GC - 4, each class's a little lower than the one before."""
    about = {
        "format": saved_head.FORMAT, "kind": kind, "classes": classes, "temperature": 0.5, "pool": "last",
        "both_strands": True, "bases": None, "deviation": 1.0,
        "encoder": {"spec": "gc", "path": None, "sha256": None},
    }  # fmt: skip
    k = max(1, len(classes))
    weight_DK = weight * (1 - np.arange(k))[None] if kind == CLASSES else np.full((1, k), weight)
    saved_head.write(folder / kind, Head(kind, classes, weight_DK, np.linspace(-4, -5, k), 0.5, about))
    return folder / kind


@pytest.fixture(scope="module")
def by_run(tiny_store: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head on the tiny encoder that tells odd rows of 60 bases from even ones, three classes."""
    folder = tmp_path_factory.mktemp("explain")
    lines = ["id\tlabel\tgenome\tcontig\tstart\tend\tstrand\tsplit"]
    for split in ("train", "validation", "test"):
        for i in range(60):
            lines.append(f"{split}{i}\t{'abc'[i % 3]}\t{split}\t{split}_0\t{i * 40}\t{i * 40 + 60}\t+\t{split}")
    (folder / "labels.tsv").write_text("\n".join(lines) + "\n")
    settings = embed.Settings(pool="both", both_strands=False)
    embed.run(str(tiny_run), folder / "labels.tsv", folder / "x.npy", settings, tiny_store, "cpu")
    probe.run([folder / "x.npy"], folder / "labels.tsv", "t", folder / "s.tsv", PROBE, save_head=folder / "head")
    return folder / "head"


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", keep_default_na=False)


# ---- closed forms and slow loops


def test_what_gc_says_hangs_on_each_base_alike(tmp_path: Path) -> None:
    """Of a linear head on the share of G and C: 2/3 of weight / L for a G or C, as much against it for an A or T."""
    tokens = np.random.default_rng(0).integers(0, 5, 90).astype(np.uint8)
    planted.write_fasta(tmp_path / "x.fa", {"x": tokens})
    explain.run(head_on_gc(tmp_path, REGRESSION, []), tmp_path / "x.fa", tmp_path / "out", Settings(window=-1))
    bases, (window,) = read(tmp_path / "out" / "bases.tsv"), read(tmp_path / "out" / "windows.tsv").to_dict("records")
    known = (tokens < 4).sum()
    strong = np.isin(tokens, (1, 2))
    expected = np.where(tokens == 4, 0, np.where(strong, 1, -1)) * 2 / 3 * 8 / 0.5 / known
    np.testing.assert_allclose(bases["attribution"], expected, rtol=1e-4)
    assert "".join(bases["letter"]) == decode(tokens)
    gc = strong.sum() / known
    assert window["score"] == pytest.approx((8 * gc - 4) / 0.5, rel=1e-5)
    assert window["attribution"] == pytest.approx(4 / 3 * 8 / 0.5 * (gc - 0.5), rel=1e-3)  # completeness
    assert (window["said"], window["about"]) == ("", "")


def test_log_odds_are_those_of_the_probabilities(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((20, 1))
    for kind, classes in ((CLASSES, ["a", "b"]), (CLASSES, ["a", "b", "c"]), (MULTILABEL, ["a", "b"])):
        head = saved_head.load(head_on_gc(tmp_path, kind, classes))
        p = head.answers(head.evidence(x)).number_NK
        np.testing.assert_allclose(head.log_odds(x), np.log(p / (1 - p)), rtol=1e-6, atol=1e-9)


def test_mutagenesis_is_a_loop_of_predictions(by_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    """genossl predict on every mutant, written out in letters."""
    letters = decode(TokenStore.open(tiny_store).whole(5)[100:160])
    (tmp_path / "x.tsv").write_text(f"id\tlabel\tsequence\nx\t\t{letters}\n")
    lines = [f"x\t\t{letters}\n"]
    for i, old in enumerate(letters):
        lines += [f"{i}{new}\t\t{letters[:i]}{new}{letters[i + 1 :]}\n" for new in "ACGT" if new != old]
    (tmp_path / "all.tsv").write_text("id\tlabel\tsequence\n" + "".join(lines))
    predict.run(by_run, tmp_path / "all.tsv", tmp_path / "p.tsv", predict.Settings(), device="cpu")
    said = read(tmp_path / "p.tsv")
    for about in ("", "b"):
        explain.run(by_run, tmp_path / "x.tsv", tmp_path / "out", Settings(about=about), device="cpu")
        (window,) = read(tmp_path / "out" / "windows.tsv").to_dict("records")
        assert window["said"] == said["label"][0]
        assert window["about"] == (about or said["label"][0])
        p = said[f"p_{window['about']}"].to_numpy()
        odds = np.log(p / (1 - p))
        expected = (odds[0] - odds[1:]).reshape(60, 3).mean(1)
        found = read(tmp_path / "out" / "bases.tsv")["attribution"]
        np.testing.assert_allclose(found, expected, atol=3e-6)
        assert window["score"] == pytest.approx(odds[0], abs=1e-5)


@pytest.mark.parametrize("span,stride", [(7, 3), (10, 1), (5, 5), (100, 4)])
def test_occlusion_is_a_loop_over_spans(span: int, stride: int) -> None:
    rng = np.random.default_rng(0)
    tokens, weight = rng.integers(0, 4, 40).astype(np.uint8), rng.normal(size=(5, 40))

    def score(sequences: list[np.ndarray]) -> np.ndarray:
        return np.array([np.tanh(weight[s, np.arange(40)].sum()) for s in sequences])

    found = attribution.occlusion(score, tokens, 6, span, stride)
    width, total, count = min(span, 40), np.zeros(40), np.zeros(40)
    for start in [*range(0, 40 - width, stride), 40 - width] if (40 - width) % stride == 0 else range(0, 40, stride):
        hidden = tokens.copy()
        hidden[start : start + width] = 4
        total[start : start + width] += score([tokens])[0] - score([hidden])[0]
        count[start : start + width] += 1
        if start + width >= 40:
            break
    np.testing.assert_allclose(found, total / count, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 7, 512])
def test_mutagenesis_does_not_depend_on_the_rows_at_once(rows: int) -> None:
    rng = np.random.default_rng(0)
    tokens, weight = rng.integers(0, 5, 30).astype(np.uint8), rng.normal(size=(5, 30))
    found = attribution.in_silico_mutagenesis(
        lambda sequences: np.array([weight[s, np.arange(30)].sum() for s in sequences]), tokens, rows
    )
    expected = [
        np.mean([weight[t, i] - weight[o, i] for o in range(4) if o != t]) if t < 4 else 0 for i, t in enumerate(tokens)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_seqlets_are_the_best_regions_apart() -> None:
    assert seqlets(np.array([0, 1.0, 2, 0, -1, 3]), 2, 5) == [Seqlet(1, 3, 3.0), Seqlet(4, 6, 2.0)]
    assert seqlets(-np.ones(9), 3, 5) == []
    assert seqlets(np.ones(4), 9, 5) == [Seqlet(0, 4, 4.0)]
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.normal(size=30)
        found = seqlets(x, 4, 3)
        assert all(a.end <= b.start or b.end <= a.start for a, b in combinations(found, 2))
        assert found[0].score == pytest.approx(max(x[i : i + 4].sum() for i in range(27)))
        assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)


# ---- where it lies


def test_tracks_mean_overlaps_and_turn_strands(tmp_path: Path, tiny_store: Path) -> None:
    """Windows that overlap are averaged in the track; a row of the other strand has the same bases, letters turned."""
    head = head_on_gc(tmp_path, CLASSES, ["rich", "poor"])
    tokens = np.array(TokenStore.open(tiny_store).contig("test_0")[:100])
    planted.write_fasta(tmp_path / "x.fa", {"test_0": tokens})
    explain.run(head, tmp_path / "x.fa", tmp_path / "out", Settings(window=60, step=30))
    bases = read(tmp_path / "out" / "bases.tsv")
    assert bases["id"].drop_duplicates().tolist() == ["test_0:0-60", "test_0:30-90", "test_0:40-100"]
    track = pd.read_csv(tmp_path / "out" / "bases.bedgraph", sep="\t", header=None)
    assert track[1].tolist() == list(range(100))
    assert (track[2] - track[1] == 1).all()
    np.testing.assert_allclose(track[3], bases.groupby("start")["attribution"].mean(), rtol=1e-5)
    for strand in "+-":
        row = f"r\tx\ttest\ttest_0\t20\t90\t{strand}\n"
        (tmp_path / f"{strand}.tsv").write_text("id\tlabel\tgenome\tcontig\tstart\tend\tstrand\n" + row)
        explain.run(head, tmp_path / f"{strand}.tsv", tmp_path / strand, Settings(), sequences=tiny_store)
    plus, minus = (read(tmp_path / strand / "bases.tsv") for strand in "+-")
    pd.testing.assert_frame_equal(plus, minus)
    assert "".join(minus["letter"]) == decode(tokens[20:90])
    for motif in read(tmp_path / "-" / "motifs.tsv").to_dict("records"):
        there = reverse_complement(tokens[motif["start"] : motif["end"]])
        assert (motif["letters"], motif["strand"]) == (decode(there), "-")


def test_several_labels_and_unknown_bases(tmp_path: Path) -> None:
    head = head_on_gc(tmp_path, MULTILABEL, ["a", "b"])
    planted.write_fasta(tmp_path / "x.fa", {"x": encode("GGCCGATTA" * 9), "none": np.full(50, 4, np.uint8)})
    explain.run(head, tmp_path / "x.fa", tmp_path / "out", Settings(window=-1, about="b"))
    (window,) = read(tmp_path / "out" / "windows.tsv").to_dict("records")
    assert (window["id"], window["said"], window["about"]) == ("x:0-81", "a", "b")


def test_contigs_of_one_name_are_not_mixed(tmp_path: Path) -> None:
    rows = "".join(f"{g}\tx\t{g}\tc\t0\t40\n" for g in "ab")
    (tmp_path / "t.tsv").write_text("id\tlabel\tgenome\tcontig\tstart\tend\n" + rows)
    planted.write_fasta(tmp_path / "x.fa", {"c": np.zeros(40, np.uint8)})
    head = head_on_gc(tmp_path, REGRESSION, [])
    with pytest.raises(InputError, match="contig 'c' is in genomes a and b; explain them one by one"):
        explain.run(head, tmp_path / "t.tsv", tmp_path / "out", Settings(), sequences=tmp_path / "x.fa")
    assert not (tmp_path / "out").exists()


# ---- planted motifs


def test_planted_motifs_are_found_in_windows_never_seen(tmp_path: Path) -> None:
    """Of k-mers; in windows without a motif, shuffled ones are found no more often than chance has it."""
    labels, sites = benchmark.plant(tmp_path, 600)
    head, accuracy = benchmark.fitted("kmer:4", labels, tmp_path / "k")
    assert accuracy > 0.9
    for method in ("ism", "occlusion"):
        (tmp_path / method).mkdir()
        found = benchmark.explained(head, labels, sites, 20, tmp_path / method, method=method, span=10, stride=2)
        assert found["motif"] >= 0.9
        assert found["none"] < 0.3  # by chance 2 regions x 11 places of 191: 0.12
    best = read(tmp_path / "ism" / "motif" / "motifs.tsv")
    none = read(tmp_path / "ism" / "none" / "motifs.tsv")
    assert best["score"].min() > none["score"].max()
    assert best["rank"].tolist() == list(range(1, 41))
    assert best["score"].is_monotonic_decreasing
    ours = {benchmark.MOTIF, decode(reverse_complement(encode(benchmark.MOTIF)))}
    assert best["letters"].head(10).isin(ours).mean() >= 0.5  # to the very base


@pytest.mark.slow
def test_planted_motifs_are_found_by_a_pretrained_encoder(tmp_path: Path) -> None:
    labels, sites = benchmark.plant(tmp_path, 3000)
    run = benchmark.pretrained(labels, tmp_path, 150)
    for name, spec in (("pretrained", str(run)), ("untrained", f"untrained:{run}")):
        head, accuracy = benchmark.fitted(spec, labels, tmp_path / name)
        assert accuracy > 0.8
        found = benchmark.explained(head, labels, sites, 30, tmp_path / name)
        assert found["motif"] >= 0.9
        assert found["none"] < 0.25


# ---- files


def test_the_same_command_writes_the_same_bytes_and_picture(
    by_run: Path, tiny_store: Path, tmp_path: Path, call, again
) -> None:
    tokens = np.array(TokenStore.open(tiny_store).whole(0)[:120])
    planted.write_fasta(tmp_path / "x.fa", {"<script>&": tokens})
    code, out, _ = call(
        "explain", by_run, tmp_path / "x.fa", "--out", tmp_path / "out", "--about", "b", "--device", "cpu"
    )
    assert code == 0
    n = len(read(tmp_path / "out" / "motifs.tsv"))
    assert out.splitlines()[-1].startswith(f"{tmp_path / 'out'}: {n} motifs in motifs.tsv, drawn in motifs.svg")
    assert again(tmp_path / "out") == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "bases.bedgraph", "bases.tsv", "explain.provenance.json", "motifs.svg", "motifs.tsv", "windows.tsv",
    ]  # fmt: skip
    text = (tmp_path / "out" / "motifs.svg").read_text()
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "<script>" not in text
    assert "log-odds lost, nats" in text


def test_letters_are_as_tall_as_what_hangs_on_them() -> None:
    """Heights of the drawn outlines are in the ratio of the attributions; what is 0 or N is not drawn."""
    import re

    panel = logo.Panel("ACGTN", [4.0, 2.0, -1.0, 0.0, 1.0], (0, 2), "x", range(5))
    text = logo.logo([panel], "nats")
    assert text == logo.logo([panel], "nats")
    heights = {}
    for colour in logo.COLOURS.values():
        paths = re.findall(rf'<path d="([^"]*)"[^>]*style="fill: {colour}', text)
        if paths:
            y = [float(n) for n in re.findall(r"[-\d.]+ ([-\d.]+)", paths[0])]
            heights[colour] = max(y) - min(y)
    a, c, g, t = logo.COLOURS.values()
    assert t not in heights
    assert heights[a] / heights[c] == pytest.approx(2, rel=0.05)
    assert heights[a] / heights[g] == pytest.approx(4, rel=0.05)
    assert logo.logo([], "nats").count("<svg") == 1


def test_mistakes(by_run: Path, tiny_store: Path, tmp_path: Path, call, monkeypatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("x")
    (tmp_path / "empty.fa").write_text("")
    (tmp_path / "x.fa").write_text(">x\n" + "ACGT" * 15 + "\n")
    number, out = head_on_gc(tmp_path, REGRESSION, []), ("--out", tmp_path / "out")
    for arguments, message in (
        ((tmp_path / "no", tiny_store, *out), "no.json: no such file"),
        ((by_run, tmp_path / "no.fa", *out), "no.fa: no such file"),
        ((by_run, tmp_path / "empty.fa", *out), "empty.fa"),
        ((by_run, tmp_path / "x.fa", *out, "--about", "d"), "'d' is no class of this head; expected one of a, b, c"),
        ((number, tmp_path / "x.fa", *out, "--about", "d"), "expected one of none, since it is a regression"),
        ((by_run, tmp_path / "x.fa", "--out", tmp_path / "folder"), "exists and is no explanation"),
        ((by_run, tmp_path / "x.fa", *out, "--method", "guess"), "explain.method: expected 'ism' or 'occlusion'"),
        ((by_run, tmp_path / "x.fa", *out, "--set", "span=0"), "span, stride, width, top and rows must be at least 1"),
        ((by_run, tmp_path / "x.fa", *out, "--set", "step=-1"), "step and drawn at least 0"),
        ((by_run, tmp_path / "x.fa", *out, "--encoder", "gc"), "was trained on vectors of"),
    ):
        code, said, err = call("explain", *arguments)
        assert (code, said, err.count("\n")) == (2, "", 1), err
        assert message in err
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    code, _, err = call("explain", by_run, tmp_path / "x.fa", *out)
    assert (code, err) == (2, "genossl: explain needs captum; pip install 'genossl[explain]'\n")
    assert not (tmp_path / "out").exists()
    assert files.read_json(by_run.with_suffix(".json"))["kind"] == CLASSES
