"""Nucleotide records from NCBI's Entrez, each compared with what Entrez itself says of its name and length.

Entrez makes a record when it is asked: there is no checksum, and no going on in the middle.
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from genossl.errors import InputError
from genossl.genome import fasta
from genossl.genome.accessions import GONE, Fetched, gone
from genossl.genome.network import HERE, Busy, Client, Refused, beginning
from genossl.genome.source import Source

INTERVAL, INTERVAL_WITH_KEY = 0.37, 0.11  # seconds: three requests a second are allowed, ten with a key
TYPES = {"fasta": "fasta", "genbank": "gbwithparts"}  # what Entrez calls the formats


def address(accession: str, layout: str, base: str) -> str:
    """Where a reader finds the record."""
    return f"{base.rstrip('/')}/efetch.fcgi?{urlencode(_form(accession, layout))}"


def _form(accession: str, layout: str) -> dict[str, str]:
    return {"db": "nuccore", "id": accession, "rettype": TYPES[layout], "retmode": "text"}


def takes_key(base: str) -> bool:
    """Whether an API key may be sent there: to NCBI, and to this machine, to no mirror elsewhere."""
    host = urlsplit(base).hostname or ""
    return host in HERE or host.endswith(".ncbi.nlm.nih.gov")


class Entrez:
    """Entrez at NCBI, or a mirror that answers alike."""

    def __init__(self, client: Client, base: str, email: str = "", key: str = "") -> None:
        self.client, self.base = client, base.rstrip("/")
        self.about = {"tool": "genossl"} | ({"email": email} if email else {}) | ({"api_key": key} if key else {})

    def fetch(self, accession: str, layout: str, part: Path) -> Fetched:
        """Write a record to the file `part`; layout: fasta or genbank.

        Raises Refused for what is not there, not any more, or another record; Unavailable after too many tries.
        """
        name, length = self.client.patiently(accession, lambda: self._summary(accession))
        # POST, so that the key is in no address
        form = _form(name, layout) | self.about

        def ask() -> None:
            self.client.download(f"{self.base}/efetch.fcgi", part, form)
            _same_record(part, layout, name, length)

        try:
            self.client.patiently(accession, ask)
        except BaseException:
            part.unlink(missing_ok=True)  # cannot be gone on with
            raise
        return Fetched(name, address(name, layout, self.base), packed=False)

    def _summary(self, accession: str) -> tuple[str, int]:
        """Accession with version, and length in bases, of a live record."""
        form = {"db": "nuccore", "id": accession, "retmode": "json", **self.about}
        try:
            text = self.client.text(f"{self.base}/esummary.fcgi", form)
        except Refused as refused:
            if "api key" in str(refused).lower():
                raise InputError("NCBI_API_KEY: NCBI does not know this key; correct or unset it") from None
            raise
        try:
            answer = json.loads(text)
            found = answer.get("result", {})
            records: list[dict[str, Any]] = [dict(found[uid]) for uid in found.get("uids", [])]
            told = " ".join(str(x) for x in (answer.get("error"), answer.get("esummaryresult"), *records))
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            raise Busy(f"Entrez answers {beginning(text)}") from None
        live = [record for record in records if "error" not in record]
        if not live and re.search(r"invalid uid|cannot get document summary|empty id list", told, re.IGNORECASE):
            raise Refused(f"{accession}: NCBI has no such nucleotide record")
        if len(live) != 1 or not isinstance(live[0].get("slen"), int):
            raise Busy(f"Entrez answers {beginning(text)}")
        record = live[0]
        name = str(record.get("accessionversion", ""))
        if (status := str(record.get("status", ""))) in GONE:
            raise Refused(gone(accession, status))
        if accession not in (name, name.partition(".")[0]):
            raise Refused(f"{accession}: NCBI answers with the record {name[:40]!r}, which is another")
        return name, record["slen"]


def _same_record(path: Path, layout: str, name: str, length: int) -> None:
    """Raises Busy where the file is no whole record of this length, Refused where it is another's."""
    try:
        found = list(_records_of_fasta(path) if layout == "fasta" else _records_of_genbank(path))
    except InputError as error:
        with path.open("rb") as stream:
            said = beginning(stream.read(200).decode("utf-8", "replace"))
        raise Busy(f"Entrez answers {said} ({str(error).removeprefix(f'{path}: ')})") from None
    if len(found) != 1:
        raise Busy(f"Entrez answers with {len(found)} records, expected one")
    if found[0][0] != name:
        raise Refused(f"{name}: NCBI answers with the record {found[0][0][:40]!r}, which is another")
    if found[0][1] != length:
        raise Busy(f"{found[0][1]:,} of {length:,} bases came")


def _records_of_fasta(path: Path) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for item in fasta.scan(Source(path)):
        if isinstance(item, fasta.Header):
            found.append((item.name, 0))
        else:
            found[-1] = (found[-1][0], found[-1][1] + len(item.tokens))
    return found


def _records_of_genbank(path: Path) -> list[tuple[str, int]]:
    from Bio import BiopythonWarning, SeqIO

    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 100))
        if not stream.read().rstrip().endswith(b"//"):
            raise InputError("the record has no end")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BiopythonWarning)
            records = list(SeqIO.parse(path, "genbank"))
        return [(record.id or "", len(record.seq) if record.seq and record.seq.defined else 0) for record in records]
    except Exception as error:  # Biopython has many
        raise InputError(f"is no GenBank record ({error})") from None
