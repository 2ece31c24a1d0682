"""A folder of embeddings, one Parquet file per contig, and the manifest beside it that says whose they are.

The folder holds these files and nothing else, so that pandas, pyarrow and polars read it as one table. Each says in its
footer what it was made of, so that a killed run needs no notes to go on; the manifest appears when all are there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
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
        with files.disk(path):
            path.mkdir(parents=True, exist_ok=True)
            names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
        if strange := [name for name in names if not SHARD.fullmatch(name)]:
            raise InputError(f"{path}: holds {strange[0]!r}, expected an empty folder or one of embeddings")
        if is_dataset(path) and not self._keep(files.manifest_of(path), lambda: read_manifest(path)):
            files.clear([path.with_name(f"{path.name}.provenance.json")])
        for name in sorted(set(names) - {shard.file for shard in shards}):
            self._keep(path / name, lambda name=name: _footer(path / name))

    def rows(self, shard: Shard) -> int | None:
        """Rows of a shard that is there and whole; None where it is to be made."""
        import pyarrow
        import pyarrow.parquet

        path = self.path / shard.file
        if not path.is_file() or not self._keep(path, lambda: _footer(path)):
            return None
        try:
            with pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
                return sum(file.read_row_group(i).num_rows for i in range(file.num_row_groups))
        except (pyarrow.ArrowException, OSError):
            return None  # damaged since

    def finish(self) -> list[str]:
        """Write the manifest where all shards are there; returns the files that are not yet."""
        import pyarrow.parquet

        missing = [shard.file for shard in self.shards if _made(self.path / shard.file) != self.made]
        if not missing:
            listed = []
            for shard in self.shards:
                path = self.path / shard.file
                windows = pyarrow.parquet.read_metadata(path).num_rows
                about = {"genome": shard.genome, "contig": shard.contig, "length": shard.length, "windows": windows}
                listed.append(about | {"file": shard.file, "sha256": files.sha256(path)})
            about = {"format": FORMAT, "made": self.made, "shards": listed}
            files.write_json(files.manifest_of(self.path), files.sealed(about))
        return missing

    def _keep(self, path: Path, read: Callable[[], dict[str, Any]]) -> bool:
        """Whether what lies there was made as is asked now; InputError where not, or it is removed."""
        try:
            then = read().get("made")
        except InputError:
            then = None  # damaged
        if then == self.made:
            return True
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
    try:
        return _footer(path).get("made")
    except InputError:
        return None


def _footer(path: Path) -> dict[str, Any]:
    """Raises InputError for what is no shard."""
    import pyarrow
    import pyarrow.parquet

    try:
        return json.loads((pyarrow.parquet.read_schema(path).metadata or {})[KEY])
    except (pyarrow.ArrowException, OSError, KeyError, ValueError):
        raise InputError(f"{path}: is no shard of embeddings") from None
