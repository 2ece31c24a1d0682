"""The verb score: bits of records and deltas of variants are sums of the model's own log-probabilities."""

from __future__ import annotations

import gzip
import io
import json
import logging
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import planted
import pytest
import torch

from genossl import cli
from genossl.config import build
from genossl.errors import InputError
from genossl.genome.alphabet import N, decode, encode, reverse_complement
from genossl.genome.markov import Markov
from genossl.genome.store import TokenStore
from genossl.genome.variants import read_vcf
from genossl.methods.causal_lm import CausalLM
from genossl.model import likelihood
from genossl.recipe import load_method
from genossl.verbs import ingest, pretrain, score
from genossl.verbs.score import Settings

LM = {
    "name": "causal_lm",
    "pretrain": {"steps": 2, "batch": 4, "precision": "fp32", "validate_every": 0},
    "encoder": {"width": 4, "channels": 8, "context": 12},
    "causal_lm": {"length": 60, "hidden": 8},
}


@pytest.fixture(scope="module")
def lm_run(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lm") / "run"
    pretrain.run(tiny_store, out, LM, pretrain.Jobs(device="cpu"))
    return out


@pytest.fixture(scope="module")
def model(lm_run: Path) -> CausalLM:
    found = load_method(lm_run)
    assert isinstance(found, CausalLM)
    return found


CONTIGS = {
    f"c{i}": np.random.default_rng(i).choice(5, 90 * (i + 1), p=[0.24] * 4 + [0.04]).astype(np.uint8) for i in range(4)
} | {"hole": np.full(30, N, np.uint8)}


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return planted.write_fasta(tmp_path / "g.fa", CONTIGS)


@torch.inference_mode()
def bits(model: CausalLM, tokens: np.ndarray) -> float:
    """-log2 P of one strand's known bases, base after base."""
    log_p = model.log_probabilities(torch.from_numpy(tokens.copy())[None])[0].double().numpy()
    return -sum(log_p[t, base] for t, base in enumerate(tokens) if base < N) / math.log(2)


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t")


def test_a_record_is_the_sum_of_its_bases_on_both_strands(lm_run, model, genome, tmp_path):
    told = score.run(lm_run, genome, tmp_path / "x.tsv", Settings(), device="cpu")
    found = table(tmp_path / "x.tsv")
    assert found.columns.tolist() == ["contig", "length", "known", "bits_forward", "bits_reverse", "bits"]
    assert found["contig"].tolist() == list(CONTIGS)
    sums = []
    for row, tokens in zip(found.itertuples(), CONTIGS.values(), strict=True):
        known = (tokens < N).sum()
        assert (row.length, row.known) == (len(tokens), known)
        if not known:
            assert math.isnan(row.bits)
            continue
        forward, reverse = bits(model, tokens), bits(model, reverse_complement(tokens))
        expected = np.array([forward, reverse, (forward + reverse) / 2])
        np.testing.assert_allclose([row.bits_forward, row.bits_reverse, row.bits], expected / known, rtol=1e-5)
        sums.append((expected[2], known))
    total, known = map(sum, zip(*sums, strict=True))
    assert told[0].startswith(f"{total / known:.4f} bits per base, mean of both strands, over {known:,} known bases")
    assert "--store STORE" in told[1]


def test_blocks_batches_and_groups_are_invisible(lm_run, genome, tmp_path, monkeypatch):
    score.run(lm_run, genome, tmp_path / "x.tsv", Settings(), device="cpu")
    for rows, block, held in ((1, 7, 1), (3, 100, 200), (64, 1, 1 << 24)):
        monkeypatch.setattr(likelihood, "ROWS", rows)
        monkeypatch.setattr(likelihood, "BLOCK", block)
        monkeypatch.setattr(score, "HELD", held)
        score.run(lm_run, genome, tmp_path / "y.tsv", Settings(), device="cpu")
        pd.testing.assert_frame_equal(table(tmp_path / "y.tsv"), table(tmp_path / "x.tsv"), rtol=1e-5)


def test_markov_models_learn_from_the_training_genomes_alone(lm_run, genome, tiny_store, tmp_path):
    """On the same records and both strands; the store's validation and test genomes are not read."""
    store = TokenStore.open(tiny_store)
    counts = Markov(3)
    for contig in ("train_0", "train_1"):
        counts.read(store.contig(contig))
    told = score.run(lm_run, genome, tmp_path / "x.tsv", Settings(orders=(3, 0)), tiny_store, device="cpu")
    found = table(tmp_path / "x.tsv").dropna()
    assert found.columns[-2:].tolist() == ["markov3", "markov0"]
    for row, tokens in zip(found.itertuples(), CONTIGS.values(), strict=False):
        both = (counts.bits(tokens) + counts.bits(reverse_complement(tokens))) / 2 / row.known
        np.testing.assert_allclose([row.markov3, row.markov0], both[[3, 0]], atol=1e-6)
    best = min(("markov3", "markov0"), key=lambda name: (found[name] * found["known"]).sum())
    mean = np.average(found[best], weights=found["known"])
    gain = mean - np.average(found["bits"], weights=found["known"])
    assert f"the best Markov model, of order {best[-1]} ({mean:.4f})" in told[1]
    assert f"{abs(gain):.4f} bits per base" in told[1]
    assert "over 5 records" in told[1]


def test_what_the_interval_says():
    """Gains of .1 and .3 bits per base: no bootstrap mean leaves them, so the model is better; and so on."""

    def told(*gains: float) -> str:
        sums = {str(i): np.array([100.0, 190.0, 500.0, 190.0 + 100 * gain]) for i, gain in enumerate(gains)}
        return score._summary(sums, Settings(orders=(1, 2)), True, "record")[1]

    up = told(0.1, 0.3, 0.1, 0.3)
    assert up.startswith("better than the best Markov model, of order 2 (2.1000), by 0.2000 bits per base, 95 %")
    assert up.endswith("over 4 records 0.1000 to 0.3000")
    down = told(-0.1, -0.3, -0.1, -0.3)
    assert down.startswith("the best Markov model, of order 2 (1.7000), is better by 0.2000 bits per base, 95 %")
    assert down.endswith("over 4 records 0.1000 to 0.3000")
    assert told(-0.1, 0.1, -0.2, 0.2).startswith("no difference shown from the best Markov model, of order 2")
    assert told(0.1).endswith("differs by +0.1000 bits per base; one record, so there is no interval")


def test_a_store_by_splits_is_its_own_training_data(lm_run, tiny_store, tmp_path, caplog, again):
    caplog.set_level(logging.WARNING, "genossl")
    settings = Settings(orders=(2,), splits=("validation", "test"))
    told = score.run(lm_run, tiny_store, tmp_path / "x.tsv", settings, device="cpu")
    found = table(tmp_path / "x.tsv")
    assert found.columns.tolist()[:2] == ["genome", "contig"]
    assert found["contig"].tolist() == ["validation_0", "validation_1", "test_0", "test_1"]
    assert "markov2" in found
    assert "over 2 genomes" in told[1]
    assert not caplog.records
    score.run(lm_run, tiny_store, tmp_path / "y.tsv", Settings(orders=(2,)), device="cpu")
    assert "2 of 6 records were learnt from" in caplog.text
    record = json.loads((tmp_path / "x.tsv.provenance.json").read_text())
    assert (record["verb"], record["settings"]["splits"]) == ("score", ["validation", "test"])
    assert {"input", "encoder", "heads"} <= set(record["inputs"])
    assert again(tmp_path / "x.tsv") == []


def test_another_store_than_the_run_s_is_said(lm_run, genome, tmp_path, caplog):
    other = planted.store(tmp_path / "other", {"g": ("train", [CONTIGS["c0"]]), "h": ("test", [CONTIGS["c1"]])})
    score.run(lm_run, genome, tmp_path / "x.tsv", Settings(orders=(2,)), other, device="cpu")
    assert "is not the store that" in caplog.text
    assert "1 of 5 records were learnt from" in caplog.text


# ---- variants


def vcf(path: Path, *lines: str) -> Path:
    text = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(f"{x}\n" for x in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


CLEAN = {name: np.where(tokens == N, 2, tokens).astype(np.uint8) for name, tokens in list(CONTIGS.items())[:3]}


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """A genome without N, of which a window of 10,000 sees whole contigs."""
    return planted.write_fasta(tmp_path / "clean.fa", CLEAN)


def line(contig: str, pos: int, n: int = 1) -> str:
    """A substitution of n bases at a 1-based position, each by the base after it in ACGT."""
    ref = CLEAN[contig][pos - 1 : pos - 1 + n]
    return f"{contig}\t{pos}\t.\t{decode(ref)}\t{decode((ref + 1) % 4)}\t50\tPASS\t."


def edited(contig: str, pos: int, alt: str) -> np.ndarray:
    tokens = CLEAN[contig].copy()
    tokens[pos - 1 : pos - 1 + len(alt)] = encode(alt)
    return tokens


@pytest.mark.parametrize("name", ["v.vcf", "v.vcf.gz"])
def test_a_variant_is_the_difference_of_two_full_scores(lm_run, model, clean, tmp_path, name):
    lines = [line("c1", 10), line("c0", 1), line("c1", 180), line("c2", 100, n=3), line("c0", 45)]
    path = vcf(tmp_path / name, *lines)
    told = score.run(lm_run, clean, tmp_path / "x.tsv", Settings(window=10_000), None, path, "cpu")
    assert told[0] == f"{tmp_path / 'x.variants.tsv'}: 5 alleles, 0 skipped"
    found = table(tmp_path / "x.variants.tsv")
    assert found.columns.tolist() == ["contig", "pos", "ref", "alt", "delta_forward", "delta_reverse", "delta"]
    assert [f"{r.contig}\t{r.pos}\t.\t{r.ref}\t{r.alt}\t50\tPASS\t." for r in found.itertuples()] == lines
    for row in found.itertuples():
        before, after = CLEAN[row.contig], edited(row.contig, row.pos, row.alt)
        forward = bits(model, before) - bits(model, after)
        reverse = bits(model, reverse_complement(before)) - bits(model, reverse_complement(after))
        expected = [forward, reverse, (forward + reverse) / 2]
        np.testing.assert_allclose([row.delta_forward, row.delta_reverse, row.delta], expected, atol=2e-5)


def test_only_the_window_is_read(lm_run, model, clean, tmp_path):
    """Of 21 bases: 10 before the variant, 10 after it; at a contig's end fewer."""
    path = vcf(tmp_path / "v.vcf", line("c1", 50), line("c1", 3))
    score.run(lm_run, clean, tmp_path / "x.tsv", Settings(window=20), None, path, "cpu")
    found = table(tmp_path / "x.variants.tsv")
    for row, (first, end) in zip(found.itertuples(), ((39, 60), (0, 13)), strict=True):
        after = edited("c1", row.pos, row.alt)[first:end]
        expected = bits(model, CLEAN["c1"][first:end]) - bits(model, after)
        assert row.delta_forward == pytest.approx(expected, abs=2e-5)


def test_back_and_forth_is_nothing(lm_run, clean, tmp_path):
    """A variant and, in the genome that has it, its reverse."""
    changed = {**CLEAN, "c1": edited("c1", 50, "A" if CLEAN["c1"][49] else "C")}
    other = planted.write_fasta(tmp_path / "other.fa", changed)
    ref, alt = (decode(of["c1"][49:50]) for of in (CLEAN, changed))
    there, back = (vcf(tmp_path / f"{a}.vcf", f"c1\t50\t.\t{a}\t{b}") for a, b in ((ref, alt), (alt, ref)))
    score.run(lm_run, clean, tmp_path / "x.tsv", Settings(), None, there, "cpu")
    score.run(lm_run, other, tmp_path / "y.tsv", Settings(), None, back, "cpu")
    x, y = table(tmp_path / "x.variants.tsv"), table(tmp_path / "y.variants.tsv")
    np.testing.assert_allclose(x["delta"], -y["delta"], atol=2e-6)
    assert abs(x["delta"][0]) > 1e-4


def test_only_substitutions_are_scored_and_the_rest_is_counted(lm_run, genome, tmp_path, caplog):
    tokens = CONTIGS["c1"]
    pos = int(np.flatnonzero((tokens[:-1] < N) & (tokens[1:] < N))[5]) + 1
    hole = int(np.flatnonzero(tokens == N)[0]) + 1
    ref, pair = decode(tokens[pos - 1 : pos]), decode(tokens[pos - 1 : pos + 1])
    others = [x for x in "ACGT" if x != ref]
    path = vcf(
        tmp_path / "v.vcf",
        f"c1\t{pos}\t.\t{ref}\t{others[0]},<DEL>,{others[1].lower()},*,{ref}{ref}",  # 2 kept, 3 skipped
        f"c1\t{pos}\t.\t{pair}\t{ref}",
        f"c1\t{pos}\t.\t{ref}\t.",
        f"c1\t{pos}\t.\t{ref}\t{ref}[c2:5[",
        f"c1\t{pos}\t.\t{ref.lower()}\tN",
        f"c1\t{hole}\t.\tA\tC",  # where the sequence has N nothing can be said
    )
    told = score.run(lm_run, genome, tmp_path / "x.tsv", Settings(), None, path, "cpu")
    assert told[0].endswith("x.variants.tsv: 2 alleles, 8 skipped")
    assert "8 alleles skipped; only substitutions of known bases are scored" in caplog.text
    assert table(tmp_path / "x.variants.tsv")["alt"].tolist() == others[:2]


REF = decode(CLEAN["c1"][4:5])
WRONG = "A" if REF != "A" else "C"


@pytest.mark.parametrize(
    "text,message",
    [
        ("c1\t5\t.\t" + WRONG + "\tG", f"line 3: found REF '{WRONG}', expected '{REF}' as in .*clean.fa at c1:5"),
        ("c1\t5\t.\t" + WRONG + "\t<DEL>", f"line 3: found REF '{WRONG}', expected '{REF}'"),
        ("chr9\t5\t.\tA\tG", "line 3: found contig 'chr9', which .*clean.fa has not"),
        ("c1\t181\t.\tA\tG", "line 3: found position 181; 'c1' has 180 bases"),
        ("c1\t0\t.\tA\tG", "line 3: found POS '0', expected a whole number from 1"),
        ("c1\t1.5\t.\tA\tG", "line 3: found POS '1.5'"),
        ("c1\t5\t.\t" + REF, "line 3: found 4 columns, expected CHROM, POS, ID, REF, ALT between tabs"),
        ("c1 5 . A G", "line 3: found 1 columns"),
        ("\t5\t.\tA\tG", "line 3: found no name of a contig"),
        ("c1\t5\t.\tZ\tG", "line 3: found REF 'Z', expected the letters ACGTN"),
        ("c1\t5\t.\t" + REF + "\t7", "line 3: found ALT '7'"),
        ("c1\t5\t.\t" + REF + "\tA,,C", "line 3: found ALT ''"),
    ],
)
def test_a_mistake_in_a_vcf_is_one_sentence_and_leaves_no_table(lm_run, clean, tmp_path, text, message):
    path = vcf(tmp_path / "v.vcf", text)
    with pytest.raises(InputError, match=message):
        score.run(lm_run, clean, tmp_path / "x.tsv", Settings(), None, path, "cpu")
    assert not list(tmp_path.glob("x*"))


def test_vcf_lines(tmp_path):
    """Windows line ends, no header, a last line without an end; a header alone is an empty file, nothing is none."""
    (tmp_path / "a.vcf").write_bytes(b"c1\t7\trs1\tac\tgt\r\n\r\nc2\t1\t.\tA\tC,G")
    one, two = read_vcf(tmp_path / "a.vcf")
    assert (one.line, one.contig, one.start, one.ref, one.alts, one.skipped) == (1, "c1", 6, "AC", ("GT",), 0)
    assert (two.line, two.start, two.alts) == (3, 0, ("C", "G"))
    assert list(read_vcf(vcf(tmp_path / "b.vcf"))) == []
    (tmp_path / "c.vcf").write_text("# nothing\n")
    for path, message in ((tmp_path / "c.vcf", "holds no variant"), (tmp_path / "d.vcf", "d.vcf: no such file")):
        with pytest.raises(InputError, match=message):
            list(read_vcf(path))


def test_a_contig_of_several_genomes(lm_run, clean, tmp_path):
    store, sheet = tmp_path / "s", tmp_path / "sheet.tsv"
    planted.write_fasta(tmp_path / "one.fa", {"c0": CLEAN["c0"]})
    sheet.write_text("genome\tpath\tsplit\ng\tone.fa\ttrain\nh\tone.fa\ttest\n")
    ingest.run([str(sheet)], store)
    path = vcf(tmp_path / "v.vcf", line("c0", 5))
    with pytest.raises(InputError, match=r"contig 'c0' of .*v\.vcf is in several genomes"):
        score.run(lm_run, store, tmp_path / "x.tsv", Settings(), None, path, "cpu")
    score.run(lm_run, store, tmp_path / "x.tsv", Settings(splits=("test",)), None, path, "cpu")
    assert len(table(tmp_path / "x.variants.tsv")) == 1


# ---- mistakes


@pytest.mark.parametrize(
    "wrong,message",
    [
        ({"orders": []}, "orders must be numbers from 0 to 12"),
        ({"orders": [13]}, "orders must be numbers from 0 to 12"),
        ({"window": 0}, "window must be at least 1"),
        ({"replicates": 10}, "replicates at least 100"),
    ],
)
def test_settings_that_make_no_sense(wrong, message):
    with pytest.raises(InputError, match=message):
        build(Settings, wrong, "score")


def test_inputs_that_cannot_be_scored(lm_run, tiny_run, tiny_store, genome, tmp_path):
    out, labels = tmp_path / "x.tsv", tmp_path / "labels.tsv"
    labels.write_text("id\tlabel\tsequence\na\tb\tACGT\n")
    none = planted.store(tmp_path / "none", {"g": ("test", [CLEAN["c0"]])})
    for run, source, settings, more, message in (
        (tiny_run, genome, Settings(), {}, "is of self_genomenet"),
        (lm_run, labels, Settings(), {}, "is a labelled table; expected FASTA or a token store"),
        (lm_run, genome, Settings(splits=("test",)), {}, "score.splits chooses genomes of a token store"),
        (lm_run, tiny_store, Settings(splits=("tset",)), {}, "no genome of split tset"),
        (lm_run, "-", Settings(), {"variants": genome}, "standard input cannot be read twice"),
        (lm_run, tmp_path / "nowhere.fa", Settings(), {}, "nowhere.fa: no such file"),
        (lm_run, genome, Settings(), {"store": genome}, "no token store"),
        (lm_run, genome, Settings(), {"store": none}, "no genome to learn from"),
    ):
        with pytest.raises(InputError, match=message):
            score.run(run, source, out, settings, device="cpu", **more)
    assert not list(tmp_path.glob("x*"))


def test_the_command_line(lm_run, clean, tiny_store, tmp_path, monkeypatch, capsys):
    def call(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["genossl", "score", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return (end.value.code, *capsys.readouterr())

    out, path = tmp_path / "x.tsv", vcf(tmp_path / "v.vcf", line("c1", 10))
    options = ("--store", tiny_store, "--variants", path, "--set", "orders=[0, 4]", "--device", "cpu")
    code, said, _ = call(lm_run, clean, "--out", out, *options)
    assert code == 0
    assert [text.split(":")[0] for text in said.splitlines()][-1] == "scores"
    assert "x.variants.tsv: 1 alleles, 0 skipped" in said
    assert table(out).columns[-1] == "markov4"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(clean.read_bytes())))
    assert call(lm_run, "-", "--out", tmp_path / "y.tsv", "--device", "cpu")[0] == 0
    assert table(tmp_path / "y.tsv")["bits"].tolist() == table(out)["bits"].tolist()
    code, said, wrong = call(lm_run, clean, "--out", out, "--set", "orders=[14]")
    assert (code, said, wrong.count("\n")) == (2, "", 1)
