"""The bytes of a file, unpacked: compression is told by the first bytes, never by the name."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import io
import lzma
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from genossl.errors import InputError

BLOCK = 1 << 17  # bytes read at once: large enough for bytes.translate, small enough for the cache
LONGEST = 100_000_000  # bytes of a line of text
FASTA_SUFFIXES = (".fa", ".fasta", ".fna", ".ffn", ".frn", ".fas", ".fsa", ".fq", ".fastq")  # in folders only
GENBANK_SUFFIXES = (".gb", ".gbk", ".gbff", ".genbank")
PACKED = re.compile(r"\.(gz|bgz|bgzf|bz2|xz|zst)$", re.IGNORECASE)
RATIO_FROM = 100_000_000  # unpacked bytes before the compression ratio is judged

_OTHERS = (  # what else people give, by its first bytes, and what to do about it
    (rb"\x1f\x8b|BZh\d|\xfd7zXZ\0|\x28\xb5\x2f\xfd", "is compressed twice; unpack it once"),
    (rb"\x1f\x9d", "is packed by `compress` (.Z); unpack it first"),
    (rb"PK\x03\x04", "is a zip archive; unpack it first"),
    (rb"(?s).{257}ustar", "is a tar archive; unpack it first"),
    (rb"\xff\xfe|\xfe\xff|\0?>\0", "is UTF-16 text (saved by Windows?); convert: iconv -f UTF-16 -t UTF-8"),
    (rb"version https://git-lfs", "is a Git LFS pointer, not the data; run: git lfs pull"),
    (rb"\s*<", "is an HTML or XML page (a failed download?)"),
    (rb"\s*@(HD|SQ|RG|PG|CO)\t", "looks like SAM; convert: samtools fasta"),
    (rb"\s*LOCUS\s", "looks like GenBank, not FASTA; `genossl ingest` reads GenBank files"),
    (rb"\s*ID   ", "looks like EMBL; convert it to FASTA or GenBank"),
    (rb"\s*##gff", "looks like GFF; give the FASTA it belongs to"),
    (rb"\s*\d+\s+\d+\s*\n", "looks like PHYLIP; convert it to FASTA"),
)


class _Counted(io.RawIOBase):
    """Counts (and, if asked, hashes) the bytes as they lie on disk."""

    def __init__(self, raw: IO[bytes], digest: Any = None) -> None:
        self.raw, self.digest, self.count = raw, digest, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = self.raw.readinto(buffer) or 0  # type: ignore[attr-defined]
        self.count += n
        if self.digest is not None:
            self.digest.update(memoryview(buffer)[:n])
        return n


class Source:
    """The unpacked bytes of a path or of "-", standard input. `head`: its first 64 KiB, without a UTF-8 mark."""

    def __init__(self, path: str | Path, max_ratio: float | None = 200, digest: Any = None) -> None:
        self.path = "standard input" if str(path) == "-" else str(path)
        self.max_ratio, self.unpacked = max_ratio, 0
        try:
            self._file = None if str(path) == "-" else open(path, "rb", buffering=0)
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        self._raw = _Counted(self._file or sys.stdin.buffer, digest)  # type: ignore[arg-type]
        self._buffer = io.BufferedReader(self._raw, 1 << 17)
        try:
            self.kind, self._stream = _unpacked(self._buffer, self.path)
            self.head = self.read(1 << 16)
        except BaseException:
            self.close()
            raise
        self.head = self.head.removeprefix(b"\xef\xbb\xbf")

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._file:
            self._file.close()

    def read(self, size: int) -> bytes:
        try:
            block = self._stream.read(size)
        except EOFError:
            raise InputError(
                f"{self.path}: the {self.kind} data ends early (an incomplete download?) or others follow it"
            ) from None
        except OSError as error:
            if error.errno is not None:
                raise InputError(f"{self.path}: cannot be read ({error.strerror})") from None
            raise InputError(f"{self.path}: the {self.kind} data is damaged or others follow it ({error})") from None
        except MemoryError:
            raise
        except Exception as error:  # each library has an error of its own
            raise InputError(f"{self.path}: the {self.kind} data is damaged ({error})") from None
        self.unpacked += len(block)
        if self.max_ratio and self.kind and self.unpacked > max(RATIO_FROM, self.max_ratio * self._raw.count):
            raise InputError(
                f"{self.path}: unpacks to more than {self.max_ratio:g} times its size, expected less of genomes; "
                "if it is right, unpack it first"
            )
        return block

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """All bytes from the start, with every line end as LF."""
        after_cr = False
        for block in self._pieces(size):
            if after_cr and block[0] == 10:
                block = block[1:]
            after_cr = block.endswith(b"\r")
            yield block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block

    def lines(self, longest: int = LONGEST, size: int = BLOCK) -> Iterator[bytes]:
        """Lines without their ends; InputError for one of more than `longest` bytes."""
        parts: list[bytes] = []  # of the line that is being read; joined once, since a line may have many
        length = 0
        for block in self.blocks(size):
            first, *more = block.split(b"\n")
            parts.append(first)
            length += len(first)
            if more:
                yield b"".join(parts)
                yield from more[:-1]
                parts, length = more[-1:], len(more[-1])
            if length > longest:
                raise InputError(f"{self.path}: found a line of more than {longest:,} bytes, the limit")
        if length:
            yield b"".join(parts)

    def _pieces(self, size: int) -> Iterator[bytes]:
        for start in range(0, len(self.head), size):
            yield self.head[start : start + size]
        while block := self.read(size):
            yield block


def refuse_others(source: Source) -> None:
    """Raises InputError for an empty source and for what people give in place of FASTA."""
    if not source.head:
        raise InputError(f"{source.path}: is empty, expected FASTA or FASTQ")
    for pattern, what in _OTHERS:
        if re.match(pattern, source.head):
            raise InputError(f"{source.path}: {what}")


def stem(path: Path) -> str:
    """What a file of sequences is called without its endings: GCF_1.2.fna.gz -> GCF_1.2"""
    name = PACKED.sub("", path.name)
    return Path(name).stem if name.lower().endswith(FASTA_SUFFIXES + GENBANK_SUFFIXES) else name


def sequence_files(folder: Path) -> list[Path]:
    """The files of a folder whose names say that they hold sequences, sorted. Raises InputError where there is none."""
    suffixes = FASTA_SUFFIXES + GENBANK_SUFFIXES
    files = sorted(
        file
        for file in folder.iterdir()
        if PACKED.sub("", file.name).lower().endswith(suffixes) and file.is_file() and not file.name.startswith(".")
    )
    if not files:
        raise InputError(f"{folder}: no file to read in this folder, expected {', '.join(suffixes)}, maybe packed")
    return files


def is_bgzip(path: str | Path) -> bool:
    """Whether a gzip file is made of the blocks that allow random access."""
    with open(path, "rb") as stream:
        start = stream.read(16)
    return start[3:4] == b"\x04" and start[12:14] == b"BC"


def _unpacked(raw: io.BufferedReader[Any], path: str) -> tuple[str, Any]:
    """(name of the compression or "", stream of the unpacked bytes), by the first bytes."""
    magic = raw.peek(6)[:6]
    if magic.startswith(b"\x1f\x8b"):
        try:
            return "gzip", importlib.import_module("isal.igzip").IGzipFile(fileobj=raw, mode="rb")  # 3x faster
        except ImportError:
            return "gzip", gzip.GzipFile(fileobj=raw, mode="rb")
    if magic.startswith(b"BZh"):
        return "bzip2", bz2.BZ2File(raw)
    if magic.startswith(b"\xfd7zXZ\0"):
        return "xz", lzma.LZMAFile(raw)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        for module in ("compression.zstd", "backports.zstd", "zstandard"):
            with contextlib.suppress(ImportError):
                zstd = importlib.import_module(module)
                return "zstd", _Zstandard(raw, zstd) if module == "zstandard" else zstd.ZstdFile(raw)
        raise InputError(f"{path}: is packed by zstd, which needs one more package: pip install zstandard")
    return "", raw


class _Zstandard:
    """Reads frame by frame: the stream reader of `zstandard` takes a file that was cut for a whole one."""

    def __init__(self, raw: io.BufferedReader[Any], zstandard: Any) -> None:
        self.raw, self.zstandard = raw, zstandard
        self.frame: Any = None
        self.packed = self.unpacked = b""

    def read(self, size: int) -> bytes:
        while not self.unpacked:
            self.packed = self.packed or self.raw.read(4096)  # unpacks to 128 MiB at the very worst
            if not self.packed and self.frame:
                raise EOFError
            if not self.packed:
                return b""
            self.frame = self.frame or self.zstandard.ZstdDecompressor().decompressobj()
            self.unpacked, self.packed = self.frame.decompress(self.packed), b""
            if self.frame.eof:
                self.packed, self.frame = self.frame.unused_data, None
        block, self.unpacked = self.unpacked[:size], self.unpacked[size:]
        return block
