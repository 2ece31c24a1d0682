"""The token store: what is written comes back, and what is damaged is refused with the file's name."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genossl import files
from genossl.errors import InputError
from genossl.genome.alphabet import encode
from genossl.genome.store import FORMAT, TokenStore, Writer

CONTIGS = [("g1", "c", "ACGTNN"), ("g1", "#d", "AC"), ("g2", "c", "GGG"), ("g3", "NA", "TTTTN")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    genomes = pd.DataFrame({"genome": ["g1", "g2", "g3"], "split": ["train", "", "test"], "strain": ["001", "NA", ""]})
    with Writer(folder) as writer:
        for genome, contig, letters in CONTIGS:
            writer.begin(genome, contig, f"{genome}.fa")
            writer.append(encode(letters[:2]))
            writer.append(encode(letters[2:]))
            writer.end()
            writer.begin(genome, "left out", f"{genome}.fa")
            writer.append(encode("ACGTACGT"))
            writer.end(keep=False)
        writer.close(genomes, None, {"policy": {"ambiguous": "N"}})
    return folder


def test_round_trip(folder: Path) -> None:
    store = TokenStore.open(folder)
    assert store.tokens.tolist() == encode("".join(letters for _, _, letters in CONTIGS)).tolist()
    assert store.contigs.offset.tolist() == [0, 6, 8, 11]
    assert store.contigs.length.tolist() == [6, 2, 3, 5]
    assert store.contigs.n_N.tolist() == [2, 0, 0, 1]
    assert store.contigs.source.tolist() == ["g1.fa", "g1.fa", "g2.fa", "g3.fa"]
    assert store.genomes.strain.tolist() == ["001", "NA", ""]
    assert store.meta["format"] == FORMAT
    assert store.meta["bases"] == 16
    assert store.meta["contigs"] == 4
    assert store.meta["policy"] == {"ambiguous": "N"}
    assert store.features().empty
    store.verify()


def test_contig_and_select(folder: Path) -> None:
    store = TokenStore.open(folder)
    for genome, contig, letters in CONTIGS:
        assert np.array_equal(store.contig(contig, genome), encode(letters))
    assert np.array_equal(store.contig("NA"), encode("TTTTN"))
    assert store.select({"train"}).tolist() == [0, 1]
    assert store.select({"", "test"}).tolist() == [2, 3]
    assert store.select({"validation"}).tolist() == []
    with pytest.raises(InputError, match="no contig 'x'"):
        store.contig("x")
    with pytest.raises(InputError, match="no contig '#d' in genome 'g2'"):
        store.contig("#d", "g2")
    with pytest.raises(InputError, match="contig 'c' is in 2 genomes"):
        store.contig("c")


def test_tokens_are_read_only(folder: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        TokenStore.open(folder).tokens[0] = 3


def test_checksum_follows_the_content(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with Writer(other) as writer:
        writer.begin("g1", "c", "g1.fa")
        writer.append(encode("ACGTNA"))
        writer.end()
        writer.close(pd.DataFrame({"genome": ["g1"], "split": [""]}), None, {})
    assert TokenStore.open(other).checksum() != TokenStore.open(folder).checksum()


def test_joined_parts_are_one_store(folder: Path, tmp_path: Path) -> None:
    joined = tmp_path / "joined"
    joined.mkdir()
    with Writer(joined) as writer:
        for i, (genome, contig, letters) in enumerate(CONTIGS):
            if i != 2:
                (tmp_path / f"part{i}").mkdir()
            with Writer(tmp_path / f"part{i}") if i != 2 else contextlib.nullcontext(writer) as part:
                part.begin(genome, contig, f"{genome}.fa")
                part.append(encode(letters))
                assert part.end() == letters.count("N")
            if i != 2:
                writer.join(part.folder)
        writer.close(TokenStore.open(folder).genomes, None, {})
    assert TokenStore.open(joined).checksum() == TokenStore.open(folder).checksum()
    assert [file.name for file in tmp_path.glob("part*")] == []


def test_no_store(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"no token store .*genossl ingest PATH --out"):
            TokenStore.open(path)


@pytest.mark.parametrize("found", [FORMAT + 1, None, "1"])
def test_newer_format(folder: Path, found: object) -> None:
    meta = json.loads((folder / "store.json").read_text()) | {"format": found}
    (folder / "store.json").write_text(json.dumps(meta))
    with pytest.raises(InputError, match=rf"store\.json: has format {found}, .* rebuild .* genossl ingest"):
        TokenStore.open(folder)


def test_damaged_json(folder: Path) -> None:
    (folder / "store.json").write_text("{")
    with pytest.raises(InputError, match=r"store\.json: is damaged"):
        TokenStore.open(folder)


@pytest.mark.parametrize("name", ["tokens.bin", "contigs.tsv", "genomes.tsv"])
def test_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file"):
        TokenStore.open(folder)


def test_wrong_size(folder: Path) -> None:
    (folder / "tokens.bin").write_bytes(bytes(15))
    with pytest.raises(InputError, match=r"tokens\.bin: has 15 bytes, expected 16"):
        TokenStore.open(folder)


def reseal(folder: Path) -> None:
    """As somebody would who knows of checksums."""
    meta = json.loads((folder / "store.json").read_text())
    meta["sha256"] = {name: files.sha256(folder / name) for name in meta["sha256"]}
    meta.pop("seal")
    (folder / "store.json").write_text(json.dumps(files.sealed(meta)))


def test_missing_column(folder: Path) -> None:
    (folder / "genomes.tsv").write_text("genome\tsplat\ng1\t\n")
    reseal(folder)
    with pytest.raises(InputError, match=r"genomes\.tsv: has no column split"):
        TokenStore.open(folder)


def test_changed_byte(folder: Path) -> None:
    (folder / "tokens.bin").write_bytes(bytes(16))
    with pytest.raises(InputError, match=r"tokens\.bin: differs"):
        TokenStore.open(folder).verify()


def test_one_changed_byte_is_found_by_whoever_reads_it(folder: Path) -> None:
    whole = (folder / "tokens.bin").read_bytes()
    store = TokenStore.open(folder)
    last = len(store.contigs) - 1
    changed = bytearray(whole)
    changed[int(store.contigs.offset[last])] ^= 1
    (folder / "tokens.bin").write_bytes(changed)
    store = TokenStore.open(folder)
    assert len(store.whole(0)) == store.contigs.length[0]
    with pytest.raises(InputError, match=r"tokens\.bin: contig .* differs from what ingest wrote"):
        store.whole(last)
    with pytest.raises(InputError, match=r"tokens\.bin: differs"):
        store.verify()


@pytest.mark.parametrize("name", ["contigs.tsv", "genomes.tsv", "store.json"])
def test_a_changed_table_is_found_when_the_store_is_opened(folder: Path, name: str) -> None:
    raw = (folder / name).read_bytes()
    (folder / name).write_bytes(raw.replace(b"g1", b"g7", 1) if b"g1" in raw else raw.replace(b"16", b"15", 1))
    assert (folder / name).read_bytes() != raw
    with pytest.raises(InputError, match=f"{name}: (differs|is damaged)"):
        TokenStore.open(folder)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters="\t\n\r"), min_size=1)
PIECES = st.lists(st.lists(st.integers(0, 4), max_size=9), min_size=1, max_size=4)  # of a contig, as they come
CONTIG = st.tuples(TEXT, PIECES.filter(any), st.booleans())  # the last: whether it is kept
GENOME = st.tuples(st.lists(CONTIG, min_size=1, max_size=5), st.booleans())  # the last: whether a part is joined


@given(genomes=st.dictionaries(TEXT, GENOME, min_size=1, max_size=4))
def test_any_names_and_pieces_come_back(tmp_path_factory: pytest.TempPathFactory, genomes: dict) -> None:
    """Beside a list in memory: names that look like numbers, quotes or comments, contigs left out, parts joined."""
    folder = tmp_path_factory.mktemp("store")
    kept: list[tuple[str, str, list[int]]] = []
    with Writer(folder) as writer:
        for i, (genome, (contigs, apart)) in enumerate(genomes.items()):
            (folder / f"part{i}").mkdir()
            with Writer(folder / f"part{i}") as part:
                into = part if apart else writer
                for contig, pieces, keep in contigs:
                    into.begin(genome, contig, "x.fa")
                    for piece in pieces:
                        into.append(np.array(piece, np.uint8))
                    into.end(keep)
                    kept += [(genome, contig, [token for piece in pieces for token in piece])] * keep
            if apart:
                writer.join(part.folder)
        writer.close(pd.DataFrame({"genome": list(genomes), "split": ""}), None, {})
    if not kept:  # as ingest sees to
        return
    store = TokenStore.open(folder)
    store.verify()
    assert store.tokens.tolist() == [token for _, _, tokens in kept for token in tokens]
    assert store.genomes["genome"].tolist() == list(genomes)
    assert store.contigs[["genome", "contig"]].values.tolist() == [[genome, contig] for genome, contig, _ in kept]
    for (_, _, tokens), row in zip(kept, store.contigs.itertuples(), strict=True):
        assert store.tokens[row.offset : row.offset + row.length].tolist() == tokens
        assert row.n_N == tokens.count(4)
