"""Assemblies from NCBI's tree of genomes: files with an MD5, which can be fetched from the middle on."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import quote, unquote

from genossl.genome.accessions import GONE, Fetched, gone
from genossl.genome.network import Busy, Client, Refused, beginning

FILES = {"fasta": "_genomic.fna.gz", "genbank": "_genomic.gbff.gz"}  # how the files end


def address(accession: str, base: str) -> str:
    """The folder of all versions of an assembly."""
    digits = accession[4:13]
    return f"{base.rstrip('/')}/{accession[:3]}/{digits[:3]}/{digits[3:6]}/{digits[6:]}/"


class Assemblies:
    """The tree of genomes at NCBI, or at a mirror."""

    def __init__(self, client: Client, base: str) -> None:
        self.client, self.base = client, base

    def fetch(self, accession: str, layout: str, part: Path) -> Fetched:
        """Write a file of an assembly to `part`, going on with what is there of it; layout: fasta or genbank.

        Raises Refused for what is not there or not any more, Unavailable after too many tries, which keeps `part`.
        """
        folder, name = self.client.patiently(accession, lambda: self._place(accession))
        file = f"{name}{FILES[layout]}"
        url, md5 = f"{folder}{quote(file, safe='')}", self.client.patiently(accession, lambda: self._md5(folder, file))
        if not md5:
            raise Refused(f"{accession}: NCBI has no {layout} file of it in {folder}")
        if (status := self.client.patiently(accession, lambda: self._status(folder))) in GONE:
            raise Refused(gone(accession, status))

        def ask() -> None:
            if not part.is_file() or _md5_of(part) != md5:  # whole since a kill, just not in its place
                self.client.download(url, part)
            if (found := _md5_of(part)) != md5:
                part.unlink()
                raise Busy(f"{url}: came with the MD5 {found}, expected {md5}")

        self.client.patiently(accession, ask)
        return Fetched("_".join(name.split("_")[:2]), url, packed=True, md5=md5)

    def _place(self, accession: str) -> tuple[str, str]:
        """The folder of an assembly, and its name, which the folder's and the files' begin with."""
        listing = address(accession, self.base)
        try:
            text = self.client.text(listing)
        except Refused as refused:
            if refused.status == 404:
                raise Refused(f"{accession}: NCBI has no such assembly (nothing at {listing})") from None
            raise
        base = accession.partition(".")[0]
        names: list[tuple[str, str]] = re.findall(rf'href="({base}\.(\d{{1,3}})_[\w.,%+~()-]+)/"', text, re.ASCII)
        found = {int(version): name for name, version in names}
        if not found:
            raise Busy(f"{listing}: lists no version of {base}, but {beginning(text)}")
        version = int(accession.partition(".")[2] or max(found))
        if version not in found:
            others = ", ".join(f"{base}.{n}" for n in sorted(found))
            raise Refused(f"{accession}: NCBI has no such version, only {others}")
        return f"{listing}{found[version]}/", unquote(found[version])

    def _md5(self, folder: str, file: str) -> str:
        """The MD5 of a file by the folder's list; "" where that has no such file."""
        text = self.client.text(f"{folder}md5checksums.txt")
        pairs: list[tuple[str, str]] = re.findall(r"^([0-9a-f]{32})\s+\*?(?:\./)?(\S+)\s*$", text, re.M)
        listed = {name: md5 for md5, name in pairs}
        if not listed:
            raise Busy(f"{folder}md5checksums.txt: lists nothing, but {beginning(text)}")
        return listed.get(file, "")

    def _status(self, folder: str) -> str:
        """What became of the assembly: latest, replaced, suppressed; "" where nothing is said."""
        try:
            found = re.search(r"status=(\w+)", self.client.text(f"{folder}assembly_status.txt"))
        except Refused as refused:
            if refused.status == 404:
                return ""
            raise
        return found[1] if found else ""


def _md5_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
