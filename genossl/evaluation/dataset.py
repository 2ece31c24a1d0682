"""A folder of embeddings, one Parquet file per contig, and the manifest beside it that says whose they are.

The folder holds these files and nothing else, so that pandas, pyarrow and polars read it as one table. Each says in its
footer what it was made of, so that a killed run needs no notes to go on; the manifest appears when all are there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from genossl import files
from genossl.errors import InputError

FORMAT = 1
SHARD = re.compile(r"\d{6,}\.parquet")
KEY = b"genossl"  # of the footer


class Shard(NamedTuple):
    """The file of one contig; its name is the contig's number in the input, since a contig may be called anything."""

    number: int
    genome: str  # "" of FASTA
    contig: str
    length: int  # bases

    @property
    def file(self) -> str:
        """Its name in the folder."""
        return f"{self.number:06d}.parquet"


def is_dataset(path: str | Path) -> bool:
    """Whether it is such a folder, whole."""
    return files.manifest_of(Path(path)).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Sealed: `made` (settings and checksums) and `shards` with genome, contig, length, windows, file and sha256."""
    path = files.manifest_of(folder)
    if not path.is_file():
        raise InputError(f"{folder}: has no {path.name} beside it; expected a folder that `genossl embed` has finished")
    about = files.read_json(path)
    found = about.get("format") if isinstance(about, dict) else None
    if found != FORMAT:
        raise InputError(f"{path}: has format {found}, this version reads format {FORMAT}; embed it again")
    files.check_seal(path, about)
    return about


def footer(shard: Shard, made: dict[str, Any]) -> dict[bytes, bytes]:
    """What a shard says of itself."""
    about = {"genome": shard.genome, "contig": shard.contig, "length": shard.length, "made": made}
    return {KEY: json.dumps(about, sort_keys=True).encode()}


class Folder:
    """The folder while it is filled, perhaps by several processes that each take other shards.

    made: what decides the vectors. Raises InputError where something else lies in the folder, or shards that were made
    otherwise, unless `replace` says that these give way.
    """

    def __init__(self, path: Path, made: dict[str, Any], shards: list[Shard], replace: bool) -> None:
        self.path, self.made, self.shards, self.replace = path, json.loads(json.dumps(made)), shards, replace
        self.listed: set[str] = set()  # files of ours that a manifest names
        with files.disk(path):
            path.mkdir(parents=True, exist_ok=True)
            names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
        if strange := [name for name in names if not SHARD.fullmatch(name)]:
            raise InputError(f"{path}: holds {strange[0]!r}, expected an empty folder or one of embeddings")
        if is_dataset(path):
            self._look_at_manifest()
        for name in sorted(set(names) - {shard.file for shard in shards}):
            self._keep(path / name, _made(path / name))

    def rows(self, shard: Shard) -> int | None:
        """Rows of a shard that is there and whole; None where it is to be made."""
        path = self.path / shard.file
        if not path.is_file() or not self._keep(path, _made(path)):
            return None
        parquet = _parquet(path)
        try:
            with parquet.ParquetFile(path, page_checksum_verification=True) as file:
                return sum(file.read_row_group(i).num_rows for i in range(file.num_row_groups))
        except (ValueError, OSError):
            return None  # damaged since

    def finish(self) -> list[str]:
        """Write the manifest where all shards are there; returns the files that are not yet."""
        missing = [shard.file for shard in self.shards if _made(self.path / shard.file) != self.made]
        if not missing:
            listed = []
            for shard in self.shards:
                path = self.path / shard.file
                windows = _parquet(path).read_metadata(path).num_rows
                about = {"genome": shard.genome, "contig": shard.contig, "length": shard.length, "windows": windows}
                listed.append(about | {"file": shard.file, "sha256": files.sha256(path)})
            about = {"format": FORMAT, "made": self.made, "shards": listed}
            files.write_json(files.manifest_of(self.path), files.sealed(about))
        return missing

    def _look_at_manifest(self) -> None:
        """It goes, and the provenance with it, where it is damaged or of vectors that give way."""
        path = files.manifest_of(self.path)
        try:
            about = read_manifest(self.path)
        except InputError:
            about = {}
        self.listed = {shard["file"] for shard in about.get("shards", ())} | {path.name}
        if not self._keep(path, about.get("made")):
            files.clear([self.path.with_name(f"{self.path.name}.provenance.json")])

    def _keep(self, path: Path, then: dict[str, Any] | None) -> bool:
        """Whether a file that was made so is as asked now. Where not it is removed, or InputError says what differs.

        then: None for a file that does not say; it is damaged, if a manifest names it, or else somebody's.
        """
        if then == self.made:
            return True
        if then is None and path.name not in self.listed:
            raise InputError(
                f"{path}: is no file of `genossl embed`, or a damaged one; remove it, or use another --out"
            )
        if then is not None and not self.replace:
            told = "; ".join(_differences(then, self.made))
            raise InputError(f"{path}: was made otherwise ({told}); use another --out, or --replace")
        files.clear([path])
        return False


def _differences(then: dict[str, Any], now: dict[str, Any]) -> Iterable[str]:
    for name in sorted(then.keys() | now.keys()):
        if then.get(name) != now.get(name):
            yield f"{name} {_short(then.get(name))} then, {_short(now.get(name))} now"


def _short(value: Any) -> str:
    return f"{value[:12]}..." if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else repr(value)


def _made(path: Path) -> dict[str, Any] | None:
    """What a shard was made of, by its footer; None where it does not say."""
    try:
        about = json.loads((_parquet(path).read_schema(path).metadata or {})[KEY])
    except (ValueError, OSError, KeyError):
        return None
    return about.get("made") if isinstance(about, dict) else None


def _parquet(path: Path) -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow; pip install 'genossl[parquet]'") from None
    return pyarrow.parquet
