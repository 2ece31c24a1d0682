"""Bad files through the command line: one sentence each, exit code 2, no traceback, nothing left behind."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from test_fasta import slow, slow_reads

from genossl.genome.source import Source
from genossl.genome.store import TokenStore

# ---- every file of the malformed set

BEFORE = r" line 1: found '.*' before the first '>' header, expected '>' and a name"
CODES = r", expected nucleotide codes \(ACGTU RYSWKMBDHVN, any case\)"
NO_SEQUENCE = r", record '.*': found no sequence, expected at least one base"
QUALITIES = r"found \d+ qualities for 25 bases, expected one each"
ENDS = "the file ends inside this read, expected '[+]' and its qualities: an incomplete download[?]"
OTHER_NAME = r"found '[+].*', expected '[+]' alone or followed by the read's own name"
BAD_QUALITY = r"found '.*' in column \d+, expected qualities from '!' to '~'"
OF_ROW = {  # what is said, by the row of the table of forty bad inputs that the manifest names
    "1": ": is empty, expected FASTA or FASTQ",
    "2": ": has no record, expected FASTA",
    "3": BEFORE,
    "6": r": the gzip data ends early \(an incomplete download\?\) or others follow it",
    "7": ": the gzip data is damaged",
    "8": ": the gzip data ends early .* or others follow it",
    "12": ": is a (zip|tar) archive; unpack it first",
    "13": ": unpacks to more than 200 times its size",
    "14": r" line \d+: found '>' without a name, expected one",
    "15": r" line \d+: found the name '.*' again, first on line 1; expected names that differ",
    "16": r" line 3: found the name 'a' again, first on line 1; expected names that differ",
    "18": r" line \d+" + NO_SEQUENCE,
    "32": r" line \d+ column \d+, record '.*': found a blank inside a line" + CODES + " without blanks",
    "33": r" line \d+ column \d+, record '.*': found '.'" + CODES,
    "34": r" line \d+ column \d+, record '.*': found '-'" + CODES + "; gaps and stops are no bases, remove them",
    "35": CODES + r"; \d\d% of the letters here are none: is this protein\?",
}
OF_FILE = {  # where the row says less than the file
    "made/nul_in_seq.fa": "line 2 column 3, record 's1': found a zero byte.*: the file has a hole, copy it again",
    "made/nul_block.fa": "line 3 column 1, record 's1': found a zero byte.*: the file has a hole, copy it again",
    "made/nul_in_name.fa": r" line 1: found a control character in the name 's\\x001', expected none",
    "made/ctrl_name.fa": r" line 1: found a control character in the name 's1\\x1b\[31mred\\x07', expected none",
    "made/utf16.fa": r": is UTF-16 text \(saved by Windows\?\); convert: iconv -f UTF-16 -t UTF-8",
    "made/long_name.fa": " line 1: found a name of 100,000 bytes, 'n{39}…', expected at most 1,024",
    "made/double.fa.gz.gz": ": is compressed twice; unpack it once",
    "made/html_page.fa": r": is an HTML or XML page \(a failed download\?\)",
    "made/lfs_pointer.fa": ": is a Git LFS pointer, not the data; run: git lfs pull",
    "made/digits.fa": "line 2 column 1.* found '1'.*; numbered lines look like the ORIGIN part of a GenBank file",
    "made/gt_in_seq.fa": "line 2 column 5.* found '>'.*; a header's '>' stands at the start of its line",
    "made/semicolon.fa": BEFORE,
    "made/phylip.fa": ": looks like PHYLIP; convert it to FASTA",
    "made/embl.fa": ": looks like EMBL; convert it to FASTA or GenBank",
    "made/sam.fa": ": looks like SAM; convert: samtools fasta",
    "made/gff_given.fa": ": looks like GFF; give the FASTA it belongs to",
    "made/fastq_no_at.fq": BEFORE,
    "made/fastq_no_plus.fq": f" line 3, read 'r1': {ENDS}",
    "made/fastq_no_qual.fq": "line 3, read 'r1': found 0 qualities for 4 bases where the file ends: an incomplete",
    "made/fastq_no_seq.fq": " line 1, read 'r1': found no sequence, expected at least one base",
    "made/wide34.bed": BEFORE,
    "FormatSpecimens.jl/f003.fasta": BEFORE,
    "FormatSpecimens.jl/records.gff3": BEFORE,
    "FormatSpecimens.jl/spec_match.gff3": BEFORE,
    "FormatSpecimens.jl/tomato_chr4_head.gff3": ": looks like GFF; give the FASTA it belongs to",
    "FormatSpecimens.jl/error_diff_ids.fastq": OTHER_NAME,
    "FormatSpecimens.jl/error_double_qual.fastq": " line 13: found '[+]SLXA.*', expected '@' and a name of the next",
    "FormatSpecimens.jl/error_double_seq.fastq": r" line 15 column 1, record 'SLXA.*': found '@'" + CODES,
    "FormatSpecimens.jl/error_long_qual.fastq": QUALITIES,
    "FormatSpecimens.jl/error_no_qual.fastq": QUALITIES,
    "FormatSpecimens.jl/error_short_qual.fastq": QUALITIES,
    "FormatSpecimens.jl/error_trunc_at_plus.fastq": ENDS,
    "FormatSpecimens.jl/error_trunc_at_seq.fastq": ENDS,
    "FormatSpecimens.jl/error_trunc_in_seq.fastq": ENDS,
    "FormatSpecimens.jl/error_trunc_in_title.fastq": ENDS,
    "FormatSpecimens.jl/error_trunc_in_plus.fastq": OTHER_NAME,
    "FormatSpecimens.jl/error_trunc_at_qual.fastq": "found 0 qualities for 25 bases where the file ends",
    "FormatSpecimens.jl/error_trunc_in_qual.fastq": "found 24 qualities for 25 bases where the file ends",
    **{
        f"FormatSpecimens.jl/error_{name}.fastq": BAD_QUALITY
        for name in (
            "qual_del", "qual_escape", "qual_null", "qual_space", "qual_tab", "qual_unit_sep", "qual_vtab", "spaces",
            "tabs",
        )
    },
    "needletail/bad_header.fastq": " line 5: found '>Bad header', expected '@' and a name of the next read",
    "needletail/random_tsv.fq": f" line 13, read 'HD': {ENDS}",
    "biopython/no_end_marker.gb": ": the GenBank file ends early, expected // on its last line",
    "seqkit/empty_id_and_seq.fa": " line 3" + NO_SEQUENCE,  # before the line without a name
    "seqkit/empty_id_and_seq2.fa": " line 1" + NO_SEQUENCE,
    "seqkit/sana_sep_id.fq": OTHER_NAME,
}  # fmt: skip
ACCEPTED = {  # on purpose, where the manifest, which was asked about FASTA only, refuses
    "made/fastq.fa": "good FASTQ, which ingest reads",
    "htslib/longline.fq": "good FASTQ",
    "biopython/example_dos.fastq": "good FASTQ",
    "biopython/example.fastq.bgz": "good FASTQ",
    "seqkit/sana_ground.fq": "good FASTQ",
    "made/genbank.fa": "GenBank, which ingest reads",
    "biopython/bad_loc_wrap.gb": "GenBank; Biopython leaves out the feature whose location it cannot read",
}
REFUSED = {"htslib/faidx.fa.expected.fai": BEFORE}  # an index is a valid file, and no genome


def slow_genbank(text: str) -> list[tuple[str, list[int]]]:
    """A second reader of one GenBank record: its version, else its locus, and the letters of ORIGIN."""
    name = (re.search(r"^VERSION +(\S+)", text, re.M) or re.search(r"^LOCUS +(\S+)", text, re.M))[1]  # type: ignore[index]
    letters = re.sub(r"[^a-z]", "", text.split("ORIGIN")[1])
    return [(name, ["acgt".find(letter) % 5 for letter in letters])]


def stored(folder: Path) -> list[tuple[str, list[int]]]:
    store = TokenStore.open(folder)
    store.verify()
    return [(str(name), store.contig(str(name)).tolist()) for name in store.contigs["contig"]]


def test_every_malformed_file_through_the_command_line(call, shared: Path, tmp_path: Path) -> None:
    folder, wrong, refused, accepted = shared / "malformed", [], 0, 0
    for line in (folder / "MANIFEST.tsv").read_text().splitlines()[1:]:
        name, _, verdict, *_, row = line.split("\t")
        code, _, err = call("ingest", folder / name, "--out", tmp_path / "store")
        left = sorted(path.name for path in tmp_path.iterdir())
        if (verdict == "valid" or name in ACCEPTED) and name not in REFUSED:
            accepted += 1
            raw = b"".join(Source(folder / name).blocks())
            reader = slow_reads if raw.startswith(b"@") else slow
            expected = slow_genbank(raw.decode()) if raw.lstrip().startswith(b"LOCUS") else reader(raw)
            if (code, left) != (0, ["store"]) or stored(tmp_path / "store") != expected:
                wrong.append((name, "expected its bases", code, left, err))
            shutil.rmtree(tmp_path / "store", ignore_errors=True)
        else:
            refused += 1
            said = REFUSED.get(name) or OF_FILE.get(name) or OF_ROW[row]
            sentence = rf"genossl: {re.escape(str(folder / name))}(?=[ :]).*{said}.*\n"
            if (code, left) != (2, []) or not re.fullmatch(sentence, err):
                wrong.append((name, said, code, left, err))
    assert not wrong
    assert accepted > 40
    assert refused > 100
