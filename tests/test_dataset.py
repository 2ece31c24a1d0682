"""A folder of embeddings: a file per contig, whole or not there, the same however often it was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import planted
import polars
import pyarrow.dataset
import pytest

from genossl.errors import InputError
from genossl.evaluation.dataset import read_manifest
from genossl.evaluation.table import join, read_table, tables
from genossl.files import manifest_of, sha256
from genossl.genome.store import TokenStore
from genossl.model.embedders import Opened
from genossl.verbs import embed
from genossl.verbs.embed import Settings

SMALL = Settings(window=200, step=150, rows=7)


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    """Five contigs with names that no file should have."""
    rng = np.random.default_rng(0)
    names = ("../../x", "a/b", "$(touch${IFS}x)", "-rf", "c")
    contigs = {
        name: rng.choice(5, 700 + 90 * i, p=[0.24] * 4 + [0.04]).astype(np.uint8) for i, name in enumerate(names)
    }
    return planted.write_fasta(tmp_path / "g.fa", contigs)


def content(folder: Path) -> dict[str, bytes]:
    """Every file in and beside a folder, but for the provenance, which names the folder."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    return found | {"manifest": manifest_of(folder).read_bytes()}


@pytest.mark.parametrize("kind", ["fasta", "store"])
def test_one_table_for_every_reader(tmp_path: Path, tiny_store: Path, fasta: Path, kind: str) -> None:
    """pandas, pyarrow, polars and our own read the folder as the file that would have been written."""
    source = {"fasta": fasta, "store": tiny_store}[kind]
    folder = tmp_path / "v"
    count = embed.run("kmer:3", source, f"{folder}/", SMALL)
    assert embed.run("kmer:3", source, tmp_path / "v.parquet", SMALL) == count
    expected = pd.read_parquet(tmp_path / "v.parquet")
    assert len(expected) == count
    pd.testing.assert_frame_equal(pd.read_parquet(folder), expected)
    assert pyarrow.dataset.dataset(folder).to_table().num_rows == count
    assert polars.read_parquet(folder)["id"].to_list() == expected["id"].tolist()
    table = read_table(folder)
    np.testing.assert_array_equal(table.vectors, np.stack(expected["vector"].to_numpy()))
    assert table.rows["id"].tolist() == expected["id"].tolist()
    assert [len(part.rows["contig"].unique()) for part in tables(folder)] == [1] * len(list(folder.iterdir()))
    ids = table.rows["id"].to_numpy()[::-7]
    np.testing.assert_array_equal(join(folder, ids), table.vectors[::-7])


def test_files_and_manifest(tmp_path: Path, fasta: Path, tiny_store: Path) -> None:
    for source in (fasta, tiny_store):
        folder = tmp_path / source.name.replace(".", "")
        embed.run("gc", source, folder, SMALL)
        about = read_manifest(folder)
        named = [(shard["genome"], shard["contig"], shard["length"]) for shard in about["shards"]]
        if source is fasta:
            assert [contig for _, contig, _ in named] == ["../../x", "a/b", "$(touch${IFS}x)", "-rf", "c"]
            assert [length for _, _, length in named] == [700 + 90 * i for i in range(5)]
        else:
            contigs = TokenStore.open(tiny_store).contigs
            assert named == list(zip(contigs["genome"], contigs["contig"], contigs["length"], strict=True))
        assert [shard["file"] for shard in about["shards"]] == [f"{i:06d}.parquet" for i in range(len(named))]
        assert sorted(path.name for path in folder.iterdir()) == [shard["file"] for shard in about["shards"]]
        for shard, part in zip(about["shards"], tables(folder), strict=True):
            assert shard["sha256"] == sha256(folder / shard["file"])
            assert shard["windows"] == len(part.rows)
            assert set(part.rows["contig"]) == {shard["contig"]}
    record = json.loads((tmp_path / "gfa.provenance.json").read_text())
    assert record["inputs"]["input"]["sha256"] == sha256(fasta)


def test_stopped_at_each_batch_it_goes_on_to_the_same_bytes(tmp_path: Path, fasta: Path, monkeypatch) -> None:
    """No contig is embedded twice, and what stands under a final name is whole."""
    out = tmp_path / "v"
    embed.run("gc", fasta, out, SMALL)
    whole, batches = content(out), []
    plain = embed.open_encoder

    def opened(*given) -> Opened:
        def embedder(sequences: list[np.ndarray]) -> np.ndarray:
            batches.append(len(sequences))
            if len(batches) in stops:
                raise KeyboardInterrupt
            return plain(*given).embedder(sequences)

        return plain(*given)._replace(embedder=embedder)

    monkeypatch.setattr(embed, "open_encoder", opened)
    again = tmp_path / "again" / "v"
    stops = {1, 2, 4, 5}
    for _ in stops:
        with pytest.raises(KeyboardInterrupt):
            embed.run("gc", fasta, again, SMALL)
        assert not manifest_of(again).exists()
        assert {path.name: path.read_bytes() for path in again.iterdir()}.items() <= whole.items()
        with pytest.raises(InputError, match=r"v: has no v\.manifest\.json beside it"):
            read_table(again)
    embed.run("gc", fasta, again, SMALL)
    assert content(again) == whole
    n = len(batches)
    embed.run("gc", fasta, again, SMALL)
    assert len(batches) == n, "what was there was embedded again"


def test_killed_it_goes_on_to_the_same_bytes(tmp_path: Path, fasta: Path) -> None:
    """SIGKILL at the n-th file that is opened or renamed; the same command ends it (more of it: faults/kills.py)."""
    embed.run("kmer:2", fasta, tmp_path / "v", SMALL)
    whole = content(tmp_path / "v")
    code = (
        "import os, sys, signal\n"
        "left, events = int(sys.argv.pop(1)), {'os.rename', 'os.chmod', 'os.mkdir'}\n"
        "def hook(name, given):\n"
        "    global left\n"
        "    if name in events or (name == 'open' and isinstance(given[2], int) and given[2] & os.O_RDWR):\n"
        "        left -= 1\n"
        "        if not left: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from genossl.cli import main\n"
        "sys.addaudithook(hook)\n"
        "main()\n"
    )
    out = tmp_path / "killed" / "v"
    settings = ["--set", "window=200", "--set", "step=150", "--set", "rows=7"]
    codes = []
    for moment in (8, 1000):
        words = [str(moment), "--quiet", "embed", "kmer:2", str(fasta), "--out", str(out), *settings]
        done = subprocess.run([sys.executable, "-c", code, *words], env={**os.environ}, capture_output=True, text=True)
        codes.append(done.returncode)
        visible = {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(".")}
        assert visible.items() <= whole.items(), done.stderr
        assert len(visible) == 5 or (done.returncode and 0 < len(visible) < 5)
    assert codes == [-signal.SIGKILL, 0]
    assert content(out) == whole


@pytest.mark.parametrize("kind", ["fasta", "store"])
def test_parts_fill_one_folder(tmp_path: Path, tiny_store: Path, fasta: Path, kind: str) -> None:
    """Contigs are shared; parts that come in any order, of any number, end as one job does."""
    source = {"fasta": fasta, "store": tiny_store}[kind]
    count = embed.run("gc", source, tmp_path / "v", SMALL)
    out = tmp_path / "parts" / "v"
    assert embed.run("gc", source, out, SMALL, part=(3, 3)) > 0
    assert embed.run("gc", source, out, SMALL, part=(1, 2)) > 0
    assert not manifest_of(out).exists()
    assert not out.with_name("v.provenance.json").exists()
    embed.run("gc", source, out, SMALL, part=(2, 2))
    assert content(out) == content(tmp_path / "v")
    assert sum(embed.run("gc", source, out, SMALL, part=(i, 4)) for i in (1, 2, 3, 4)) == count
    n = len(list(out.iterdir()))
    with pytest.raises(InputError, match=rf"part 1/9 of .*: expected 1/N to N/N, N at most its {n} contigs"):
        embed.run("gc", source, out, SMALL, part=(1, 9))


def test_what_was_made_otherwise_is_refused_or_gives_way(tmp_path: Path, fasta: Path, tiny_run: Path) -> None:
    out = tmp_path / "v"
    embed.run("gc", fasta, out, SMALL)
    before = content(out)
    with pytest.raises(InputError, match=r"window 200 then, 100 now\); use another --out, or --replace"):
        embed.run("gc", fasta, out, Settings(window=100, step=150, rows=7))
    with pytest.raises(InputError, match=r"encoder 'gc' then, [0-9a-f]{12}\.\.\. now"):
        embed.run(str(tiny_run), fasta, out, SMALL, device="cpu")
    manifest_of(out).unlink()  # as after a kill: the shards alone tell
    with pytest.raises(InputError, match=r"000000\.parquet: was made otherwise \(encoder 'gc' then, 'kmer1' now"):
        embed.run("kmer:1", fasta, out, SMALL)
    embed.run("gc", fasta, out, SMALL)
    assert content(out) == before
    other = planted.write_fasta(tmp_path / "g.fa", {"one": np.zeros(900, np.uint8)})
    with pytest.raises(InputError, match=r"input [0-9a-f]{12}\.\.\. then, [0-9a-f]{12}\.\.\. now"):
        embed.run("gc", other, out, SMALL)
    assert content(out) == before
    embed.run("gc", other, out, SMALL, replace=True)
    assert [path.name for path in out.iterdir()] == ["000000.parquet"], "a contig that is no longer there was left"
    assert set(pd.read_parquet(out)["contig"]) == {"one"}


def test_damage_is_found_and_mended(tmp_path: Path, fasta: Path) -> None:
    out = tmp_path / "v"
    embed.run("kmer:4", fasta, out, SMALL)
    before = content(out)
    whole = (out / "000002.parquet").read_bytes()
    for wrong in (b"", whole[:100], whole[:600] + bytes([whole[600] ^ 1]) + whole[601:]):
        (out / "000002.parquet").write_bytes(wrong)
        with pytest.raises(InputError, match=r"000002\.parquet: is not the file that the manifest names"):
            read_table(out)
        embed.run("kmer:4", fasta, out, SMALL)
        assert content(out) == before
    manifest_of(out).write_text(manifest_of(out).read_text().replace("000002", "000001"))
    with pytest.raises(InputError, match="is damaged, its content does not fit its own checksum"):
        read_table(out)
    embed.run("kmer:4", fasta, out, SMALL)
    assert content(out) == before


def test_probe_and_check_read_it(tmp_path: Path, call) -> None:
    """Labels by the ids of windows; what is told apart is told apart from the folder as from a file."""
    rng = np.random.default_rng(0)
    contigs = {
        f"{name}{i}": rng.choice(4, 2000, p=p).astype(np.uint8)
        for name, p in (("at", [0.4, 0.1, 0.1, 0.4]), ("gc", [0.1, 0.4, 0.4, 0.1]))
        for i in (0, 1)
    }
    source = planted.write_fasta(tmp_path / "g.fa", contigs)
    for out in ("x", "x.npy"):
        embed.run("gc", source, tmp_path / out, Settings(window=100))
    rows = read_table(tmp_path / "x").rows
    lines = [
        f"{i}\t{c[:2]}\t{'train' if c[2] == '0' else 'test'}" for i, c in zip(rows["id"], rows["contig"], strict=True)
    ]
    (tmp_path / "l.tsv").write_text("\n".join(["id\tlabel\tsplit", *lines]) + "\n")
    scores = []
    for out in ("x", "x.npy"):
        table = tmp_path / f"{out}.scores" / "s.tsv"
        words = ("--labels", tmp_path / "l.tsv", "--out", table, "--set", "shots=[5]", "--set", "draws=1")
        code, _, said = call("probe", tmp_path / out, *words, "--set", "replicates=100")
        assert code == 0, said
        scores.append(table.read_text())
    assert scores[0] == scores[1]
    assert "\tx\t" in scores[0]
    said = ("80 rows are as they were written", "what it was made of has not changed since")
    assert call("check", tmp_path / "x")[:2] == (0, "".join(f"{tmp_path / 'x'}: {line}\n" for line in said))
    record = json.loads((tmp_path / "x.scores" / "s.tsv.provenance.json").read_text())
    assert str(manifest_of(tmp_path / "x")) in [used["path"] for used in record["inputs"].values()]
    (tmp_path / "x" / "000001.parquet").unlink()
    assert "000001.parquet: is not the file that the manifest names" in call("check", tmp_path / "x")[2]


def test_files_of_others_are_never_removed(tmp_path: Path, fasta: Path) -> None:
    """Tables that happen to be called as ours are, in a folder without a manifest."""
    (out := tmp_path / "v").mkdir()
    for name in ("000002.parquet", "000777.parquet"):
        for text in (b"notes", None):
            if text is None:
                pd.DataFrame({"x": [1]}).to_parquet(out / name)
            else:
                (out / name).write_bytes(text)
            before = (out / name).read_bytes()
            for replace in (False, True):
                with pytest.raises(InputError, match=rf"{name}: is no file of `genossl embed`, or a damaged one"):
                    embed.run("gc", fasta, out, SMALL, replace=replace)
            assert (out / name).read_bytes() == before
        (out / name).unlink()


def test_only_contigs_with_regions_have_a_file(tmp_path: Path, fasta: Path) -> None:
    regions = tmp_path / "r.bed"
    regions.write_text("c\t0\t500\n-rf\t10\t20\nc\t400\t900\n")
    embed.run("gc", fasta, tmp_path / "v", SMALL, regions=regions)
    assert [path.name for path in sorted((tmp_path / "v").iterdir())] == ["000003.parquet", "000004.parquet"]
    embed.run("gc", fasta, tmp_path / "x.npy", SMALL, regions=regions)
    assert read_table(tmp_path / "v").rows["id"].tolist() == read_table(tmp_path / "x.npy").rows["id"].tolist()
    regions.write_text("c\t0\t500\n")
    with pytest.raises(InputError, match=r"was made otherwise \(regions [0-9a-f]{12}\.\.\. then"):
        embed.run("gc", fasta, tmp_path / "v", SMALL, regions=regions)


def test_the_command(tmp_path: Path, fasta: Path, call, again) -> None:
    out = tmp_path / "v" / "x"
    words = ("embed", "kmer:2", fasta, "--set", "window=200", "--set", "rows=7", "--out")
    code, said, _ = call(*words, f"{out}/")
    count = len(read_table(out).rows)
    assert (code, said) == (0, f"{out}/: {count} rows\n")
    assert again(out) == []
    assert call(*words, f"{out}/", "--part", "2/2")[0] == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    assert "holds 'notes.txt', expected an empty folder or one of embeddings" in call(*words, tmp_path / "other")[2]
    assert "into a file, not into a folder" in call(*words, out, "--by", "contig")[2]
    assert "standard input is read once" in call("embed", "gc", "-", "--out", f"{out}/")[2]
    labels = tmp_path / "l.tsv"
    labels.write_text("id\tlabel\tsequence\na\tx\tACGT\n")
    assert "is a labelled table, which has no contigs" in call("embed", "gc", labels, "--out", tmp_path / "y")[2]


def test_memory_does_not_grow_with_contigs(tmp_path: Path) -> None:
    import tracemalloc

    rng, peaks = np.random.default_rng(0), []
    for n in (4, 40):
        path = planted.write_fasta(
            tmp_path / f"{n}.fa", {f"r{i}": rng.integers(0, 4, 20_000).astype(np.uint8) for i in range(n)}
        )
        tracemalloc.start()
        embed.run("kmer:5", path, tmp_path / f"v{n}", Settings(window=100, rows=50))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    grown = 36 * 200 * 512 * 4  # bytes of the vectors that only the second has
    assert peaks[1] - peaks[0] < grown / 10
