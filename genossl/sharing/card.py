"""The model card of an encoder: what the files beside it say, in words; what they do not say is said to be unknown.

Markdown with the front matter that the Hugging Face hub reads (huggingface.co/docs/hub/model-cards).
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from genossl import __version__, methods
from genossl.errors import InputError
from genossl.evaluation import verdict as judge
from genossl.sharing.facts import Facts, Scored

UNKNOWN = "not known"
GENOMES_SHOWN = 50
LICENCES = (  # of those that the hub knows by name, the ones that models and data have
    "mit", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "agpl-3.0", "lgpl-3.0", "mpl-2.0", "cc0-1.0",
    "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "openrail", "unlicense",
)  # fmt: skip
FRONTS = {"kmer": "k-mer counts of a frame through a perceptron", "conv": "a strided convolution"}
NETWORKS = {"gru": "a GRU", "lstm": "an LSTM", "conv": "causal convolutions", "none": "none but the prefix's profile"}
LEARNT = ("train", "pretrain", "")  # splits that pretraining learns from, where its settings do not say


def text(facts: Facts, title: str, licence: str, sums: Mapping[str, str]) -> str:
    """The card; `sums` are the checksums of the files beside it. The same facts give the same bytes."""
    sections = {
        "How to load it": _load(),
        "What it is": _shape(facts.about),
        "How it was pretrained": _training(facts.about),
        "Data": _data(facts),
        "Scores": _scores(facts.scored),
        "Limits": _limits(facts),
        "Licence": [_licence(licence)],
        "How to make it again": _again(facts),
        "Files": _table(("file", "SHA-256"), sums.items()),
    }
    lines = [*_front(facts.about, licence), "", f"# {_plain(title)}", "", _first(facts.about)]
    for heading, part in sections.items():
        lines += ["", f"## {heading}", "", *part]
    return "\n".join(lines) + "\n"


def _front(about: dict[str, Any], licence: str) -> list[str]:
    """JSON strings are YAML strings, whatever stands in them."""
    known = licence.lower()
    fields: dict[str, Any] = {"license": known if known in LICENCES else "other" if licence else "unknown"}
    if licence and known not in LICENCES:
        fields["license_name"] = licence
    fields |= {"library_name": "genossl", "pipeline_tag": "feature-extraction"}
    tags = ["biology", "genomics", "dna", "self-supervised-learning", about.get("method")]
    fields["tags"] = [tag for tag in tags if tag]
    return ["---", *(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()), "---"]


def _first(about: dict[str, Any]) -> str:
    channels = about["geometry"]["channels"]
    how = f"pretrained without labels by {_method(about)}" if about.get("method") else "of which nothing else is known"
    return (
        f"An encoder of DNA, {how}. It turns a sequence of any length into {channels} numbers "
        f"({2 * channels} for pool both). This card was written by genossl {__version__}."
    )


def _method(about: dict[str, Any]) -> str:
    """The method's name, idea and paper."""
    name = str(about["method"])
    try:
        doc = sys.modules[methods.load(name).__module__].__doc__ or ""
    except InputError:  # of a later genossl
        return _plain(name)
    idea = doc.strip().splitlines()[0].partition(": ")[2].rstrip(".")
    return f"`{name}` ({idea}; {', '.join(map(_link, methods.papers(doc)))})"


def _link(paper: str) -> str:
    kind, _, number = paper.partition(" ")
    return f"[{paper}]({'https://doi.org' if kind == 'doi' else 'https://arxiv.org/abs'}/{number})"


def _load() -> list[str]:
    return [
        "```python",
        "import genossl  # pip install 'genossl[hub]'",
        "",
        'encoder = genossl.from_pretrained("user/name")  # or a folder that holds these files',
        'vectors = genossl.embed(encoder, ["ACGTTGCA" * 40, "GATTACA" * 60])  # float32 (2, C)',
        "```",
        "",
        "On the command line, with the files in `model/`: `genossl embed model contigs.fa --out contigs.npy`.",
        "No code is downloaded or run; the weights are safetensors, and loading checks them against `encoder.json`.",
    ]


def _shape(about: dict[str, Any]) -> list[str]:
    geometry, settings = about["geometry"], about["settings"]
    rows = {
        "frame": f"{geometry['width']} bases every {geometry['stride']}, by {FRONTS.get(settings['front'], UNKNOWN)}",
        "context": f"{NETWORKS.get(settings['rnn'], UNKNOWN)}, {geometry['channels']} channels",
        "parameters": f"{about['parameters']:,}",
        "strands": "both, averaged; `both_strands=False` reads the given one",
        "settings": f"`{json.dumps(settings, sort_keys=True)}`",
    }
    return _table(("", ""), rows.items())


def _training(about: dict[str, Any]) -> list[str]:
    if not about.get("method"):
        return [f"How the weights were trained is {UNKNOWN}."]
    taken = {name: about[name] for name in ("device", "precision", "ranks", "threads") if name in about}
    rows = {
        "method": _method(about),
        "sequences": f"{_number(about.get('length'))} bases",
        "steps": _number(about.get("steps")),
        "bases read": _number(about.get("bases_seen")),
        "time": f"{about['seconds']:,} s" if "seconds" in about else UNKNOWN,
        "run on": ", ".join(f"{name} {value}" for name, value in taken.items()) or UNKNOWN,
        "seed": str(about.get("seed", UNKNOWN)),
        "versions": ", ".join(f"{name} {version}" for name, version in about.get("versions", {}).items()) or UNKNOWN,
    }
    return _table(("", ""), rows.items())


def _data(facts: Facts) -> list[str]:
    checksum, genomes = facts.about.get("store"), facts.genomes
    if genomes is None:
        told = f"the token store with the checksum `{checksum}`, which was not at hand" if checksum else UNKNOWN
        return [f"Genomes: {told}."]
    learnt = (facts.about.get("pretrain") or {}).get("train_splits", LEARNT)
    lines = []
    for split in dict.fromkeys(genomes["split"]):
        part = genomes[genomes["split"] == split]
        use = "learnt from" if split in learnt else "not learnt from"
        lines.append((split or "none", use, len(part), f"{part['contigs'].sum():,}", f"{part['bases'].sum():,}"))
    names = zip(genomes["genome"], genomes["split"], strict=True)
    named = [_plain(f"{name} ({split or 'no split'})") for name, split in names]
    more = len(named) - GENOMES_SHOWN
    return [
        *_table(("split", "use", "genomes", "contigs", "bases"), lines),
        "",
        f"Genomes: {', '.join(named[:GENOMES_SHOWN])}{f', and {more:,} more' if more > 0 else ''}.",
        "",
        f"Checksum of the token store: `{checksum}`.",
    ]


def _scores(scored: list[Scored]) -> list[str]:
    if not scored:
        return ["None were given, so whether pretraining helped is not known here."]
    lines = ["Measured on these very weights, frozen, with the head and the baselines named here."]
    for one in scored:
        measure = judge.spelled(one.measure)
        lines += ["", f"### {_plain(one.task)}", "", _plain(f"{one.sentence} {one.corrected}".strip()), ""]
        rows = [
            (judge.labels(row["shots"], one.kind), f"{judge.number(row['value'])} ({judge.number(row['low'])} to "
             f"{judge.number(row['high'])})", _score(row["untrained"]),
             f"{_score(row['kmers_value'])}{' (' + row['kmers'] + ')' if row['kmers'] else ''}", f"{row['n']:.0f}")
            for row in one.table.to_dict("records")
        ]  # fmt: skip
        head = ("labels", f"{measure} (95 % interval)", "same encoder untrained", "best k-mer profile", "test rows")
        lines += _table(head, rows)
        pool, both = one.embedding.get("pool", UNKNOWN), one.embedding.get("both_strands", UNKNOWN)
        lines += ["", f"Logistic regression (ridge of numbers) on vectors of pool {pool}, both strands: {both}."]
    return lines


def _limits(facts: Facts) -> list[str]:
    length = facts.about.get("length")
    lines = [
        f"It has learnt from sequences of {_number(length)} bases; of other lengths its vectors were not tried here."
        if length
        else "The length of the sequences that it learnt from is not known.",
        "Genomes unlike those it has learnt from were not tried here. It is no tool for diagnosis.",
        "A vector does not depend on what else is embedded, to 1e-5 relative in fp32.",
    ]
    if facts.scored:
        lines += [judge.seeds_caution(1)]
    lines += [f"Pretraining warned: {_plain(str(warning))}" for warning in facts.about.get("warnings") or []]
    return [f"- {line}" for line in lines]


def _licence(licence: str) -> str:
    if not licence:
        return "Not given. Without one others may not use these weights: ask the authors."
    return f"{_plain(licence)}, as whoever wrote this card says."


def _again(facts: Facts) -> list[str]:
    made = facts.made
    if not {"given", "settings"} <= set(made):
        return [f"The command is {UNKNOWN}."]
    given = made["given"]
    words = ["genossl", "pretrain", "STORE", "--out", "RUN", "--device", str(given.get("device", "auto")), "--threads",
             str(given.get("threads", 0)), "--settings", json.dumps(made["settings"], sort_keys=True)]  # fmt: skip
    if (ranks := made.get("ranks", 1)) > 1:
        words = ["torchrun", "--standalone", "--nproc-per-node", str(ranks), "--no-python", *words]
    return [
        "As `genossl rerun RUN` says it, but for the folders; STORE is the token store of the genomes above.",
        "",
        "```console",
        f"$ {shlex.join(words)}",
        "```",
    ]


def _table(head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> list[str]:
    head = list(head)
    return [f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)]


def _number(value: Any) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _score(value: Any) -> str:
    return "not scored" if value is None or pd.isna(value) else judge.number(float(value))


def _plain(text: str) -> str:
    """Names from files as text: nothing in them is markup, and none ends a line."""
    return re.sub(r"([\\`*_\[\]<>|&#~])", r"\\\1", " ".join(text.split()))
