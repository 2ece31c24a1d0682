"""`genossl label` as a user runs it: planted contigs, a few seeds or motifs, labels and rules out, mistakes told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import planted
import pytest

from genossl import cli
from genossl.genome import kmers
from genossl.genome.alphabet import decode, encode, reverse_complement
from genossl.genome.store import TokenStore
from genossl.verbs.label import presence

MOTIFS = {
    "host": ["ACGGATTC", "TTGACCGA", "CAGTCATG", "GGCATCCA"],
    "phage": ["CTATGGAC", "AAGCTGTC", "TGCGTTAC", "GACCTTAG"],
}
CONTIGS, WINDOWS, LENGTH = 60, 8, 100


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    """Run a command in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["genossl", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capfd.readouterr()
        return end.value.code, said.out, said.err

    return run


def contigs() -> dict[str, np.ndarray]:
    """Each of 60 contigs is of one class (even: host); each window of 100 bases holds 2 of the class's 4 motifs."""
    rng = np.random.default_rng(0)
    made = {}
    for c in range(CONTIGS):
        tokens = rng.integers(0, 4, WINDOWS * LENGTH).astype(np.uint8)
        for at in range(10, len(tokens), LENGTH // 2):
            motif = encode(list(MOTIFS.values())[c % 2][rng.integers(4)])
            tokens[at : at + 8] = motif if rng.random() < 0.5 else reverse_complement(motif)
        made[f"c{c}"] = tokens
    return made


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    return planted.write_fasta(tmp_path / "contigs.fa", contigs())


def sheet(path: str, header: str, *rows: str) -> Path:
    Path(path).write_text("\n".join([header, *rows]).replace(" ", "\t") + "\n")
    return Path(path)


def truth(ids: pd.Series) -> list[str]:
    return ["host" if int(name.split(":")[-2][1:]) % 2 == 0 else "phage" for name in ids]


def read(path: str) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", keep_default_na=False)


def few(n: int) -> list[str]:
    """Seeds: the first window of each of the first contigs."""
    return [f"c{c}:0-{LENGTH} {'host' if c % 2 == 0 else 'phage'}" for c in range(n)]


def test_a_few_windows_label_the_rest(call, again, fasta: Path) -> None:
    seeds = sheet("seeds.tsv", "id label", *few(40))
    code, out, err = call("label", fasta, "--seeds", seeds, "--window", 100, "--out", "labels.tsv")
    assert (code, err) == (0, "")
    table = read("labels.tsv")
    assert list(table) == ["id", "label", "score", "how"]
    assert len(table) == CONTIGS * WINDOWS
    apart = ~table["id"].str.split(":").str[0].isin([f"c{c}" for c in range(40)])
    known = table[table["label"] != ""]
    assert (known["label"] == truth(known["id"])).all()
    assert (table[apart]["label"] == truth(table[apart]["id"])).mean() > 0.98
    assert set(table["how"]) <= {"seed", "rules", "genome", ""}
    assert (table[table["how"] == "seed"]["id"] == [line.split()[0] for line in few(40)]).all()
    assert (table[table["how"] == "rules"]["score"] > 0.5).all()
    assert ((table["label"] == "") == (table["how"] == "")).all()
    share = (table["label"] != "").mean()
    assert f"{share:.1%} of 480 windows labelled: 40 seeds, {(table['how'] == 'rules').sum()} by rules" in out
    assert "one class per genome: yes" in out
    assert out.endswith("labels: labels.tsv\n")
    rules = read("labels.rules.tsv")
    assert list(rules) == ["kmer", "label", "score", "count", "other"]
    assert rules["score"].is_monotonic_decreasing
    assert f"{len(rules)} rules" in out
    strongest = {label: set(rows["kmer"][:4]) for label, rows in rules.groupby("label")}
    for label, motifs in MOTIFS.items():
        assert strongest[label] == {min(m, decode(reverse_complement(encode(m)))) for m in motifs}
    record = json.loads(Path("labels.tsv.provenance.json").read_text())
    assert (record["verb"], record["settings"]["k"], record["settings"]["window"]) == ("label", 8, 100)
    assert set(record["inputs"]) == {"input", "seeds"}
    assert again(Path("labels.tsv").resolve()) == []


def test_a_motif_of_each_class_labels_the_rest(call, fasta: Path) -> None:
    """Of two ambiguous motifs, one on the other strand; one given for both classes is dropped, on either strand."""
    lines = "host ACGGRTTC", "phage gucyatag", "host TTTTTTGGGG", "phage CCCCAAAAAA"
    motifs = sheet("motifs.tsv", "label motif", *lines)
    code, out, err = call("label", fasta, "--motifs", motifs, "--window", 100, "--out", "labels.tsv")
    assert (code, err) == (0, "")
    table = read("labels.tsv")
    assert (table["label"] == truth(table["id"])).mean() > 0.98
    letters = {name: decode(tokens) for name, tokens in contigs().items()}
    windows = {f"{n}:{i}-{i + 100}": s[i : i + 100] for n, s in letters.items() for i in range(0, len(s), 100)}
    host = {"ACGGATTC", "GAATCCGT", "ACGGGTTC", "GAACCCGT"}
    phage = {"GTCTATAG", "CTATAGAC", "GTCCATAG", "CTATGGAC"}
    holding = [{name for name, text in windows.items() if any(m in text for m in own)} for own in (host, phage)]
    held, both = holding[0] ^ holding[1], holding[0] & holding[1]
    assert set(table[table["how"] == "seed"]["id"]) == held
    assert f"{len(held)} seeds by 2 motifs; {len(both)} windows with motifs of two classes are none;" in out
    assert "; CCCCAAAAAA dropped: of two classes\n" in out


def test_a_store_goes_by_genome_and_a_seed_may_be_a_whole_contig(call, tmp_path: Path) -> None:
    pieces = list(contigs().values())
    genomes = {f"g{c}": ("", [pieces[c][:400], pieces[c][400:]]) for c in range(CONTIGS)}
    store = planted.store(tmp_path / "store", genomes)
    names = [f"g{c}" for c in range(4)] + [f"g{c}:g{c}_0" for c in range(4, 10)]
    rows = [f"{name} {'host' if i % 2 == 0 else 'phage'}" for i, name in enumerate(names)]
    seeds = sheet("seeds.tsv", "id label", *rows)
    code, _, err = call("label", store, "--seeds", seeds, "--set", "window=100", "--out", "labels.tsv")
    assert (code, err) == (0, "")
    table = read("labels.tsv")
    assert table["id"][0] == "g0:g0_0:0-100"
    assert (table["how"] == "seed").sum() == 4 * 8 + 6 * 4
    expected = ["host" if int(name.split(":")[0][1:]) % 2 == 0 else "phage" for name in table["id"]]
    assert (table["label"] == expected).mean() > 0.98
    assert len(TokenStore.open(store).contigs["contig"]) == 2 * CONTIGS


@pytest.mark.parametrize("column", ["genome", "contig", "group", None])
def test_a_labelled_table_says_which_genome_a_row_is_of(call, column: str | None) -> None:
    """Its own labels play no part: they are all the same here."""
    rows = [
        f"{name}_{i} ? {decode(tokens[i : i + 100])}" + (f" {name}" if column else "")
        for name, tokens in contigs().items()
        for i in range(0, len(tokens), 100)
    ]
    table = sheet("table.tsv", "id label sequence" + (f" {column}" if column else ""), *rows)
    seeds = sheet("seeds.tsv", "id label", *[f"c{c}_0 {'ab'[c % 2]}" for c in range(40)])
    code, out, err = call("label", table, "--seeds", seeds, "--out", "labels.tsv")
    assert (code, err) == (0, "")
    assert f"one class per genome: {'yes' if column else 'no'}" in out
    made = read("labels.tsv")
    known = made[made["label"] != ""]
    assert (known["label"] == ["ab"[int(name[1:].split("_")[0]) % 2] for name in known["id"]]).mean() > 0.98


def test_the_same_bytes_twice(call, fasta: Path) -> None:
    seeds = sheet("seeds.tsv", "id label", *few(40))
    for name in ("one", "two"):
        assert call("label", fasta, "--seeds", seeds, "--window", 100, "--out", f"{name}.tsv")[0] == 0
    for kind in (".tsv", ".rules.tsv"):
        assert Path(f"one{kind}").read_bytes() == Path(f"two{kind}").read_bytes()


@pytest.mark.parametrize(
    "option, header, rows, message",
    [
        ("seeds", "id label", few(4), "too few seeds: rules from 4 seeds label 0 of 476 other rows"),
        ("seeds", "id label", ["c0:0-100 host", "c1:5-105 phage"], "row 2: id 'c1:5-105' is no window (such"),
        ("seeds", "id label", ["c0 host", "c1 host"], "all 2 rows have the label 'host'; expected at least 2 classes"),
        ("seeds", "id label", ["c0 a", "c1 b", "c0:0-100 b"], "row 3: 'c0:0-100' is labelled 'b' and 'a'"),
        ("seeds", "id class", ["c0 host"], "no column label; found id, class"),
        ("seeds", "id label", ["c0 host", "c1 "], "row 2: empty label"),
        ("motifs", "label motif", ["host ACGJ", "phage ACGT"], "row 1: motif 'ACGJ' has the letter 'J'; expected"),
        ("motifs", "label motif", ["host ACGT", "phage "], "row 2: empty motif"),
        ("motifs", "label motif", ["a " + 20 * "A", "b " + 20 * "C"], "no window has a motif of 'a' and"),
        ("motifs", "label motif", ["a AAAC", "b GTTT"], "no window has a motif of 'a' and of no other class"),
        ("motifs", "motif", ["ACGT"], "no column label; found motif"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence_and_write_nothing(call, fasta: Path, option, header, rows, message) -> None:
    given = sheet(f"{option}.tsv", header, *rows)
    code, out, err = call("label", fasta, f"--{option}", given, "--window", 100, "--out", "labels.tsv")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not list(Path().glob("labels*"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--out", "labels.tsv"], "expected either --seeds or --motifs"),
        (["--out", "labels.tsv", "--seeds", "s.tsv", "--motifs", "m.tsv"], "expected either --seeds or --motifs"),
        (["--out", "labels.csv", "--seeds", "s.tsv"], "labels.csv: labels are written as .tsv"),
        (["--out", "labels.tsv", "--seeds", "nowhere.tsv"], "nowhere.tsv: no such file"),
        (["--out", "labels.tsv", "--seeds", "s.tsv", "--k", "13"], "k must be from 1 to 12"),
        (["--out", "labels.tsv", "--seeds", "s.tsv", "--z", "-1"], "z and threshold must be at least 0"),
        (["--out", "labels.tsv", "--seeds", "s.tsv", "--set", "kk=1"], "label.kk: unknown key; did you mean k?"),
    ],
)
def test_a_wrong_call(call, fasta: Path, arguments: list[str], message: str) -> None:
    code, out, err = call("label", fasta, *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_presence_is_what_a_profile_counts() -> None:
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, 5, n).astype(np.uint8) for n in (3, 4, 30, 200)]
    for k in (3, 4):
        found = presence(sequences, k).toarray()
        assert ((kmers.profiles(sequences, k) > 0) == found).all()
        assert (presence([reverse_complement(s) for s in sequences], k).toarray() == found).all()
