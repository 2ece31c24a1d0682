"""What is known of an encoder, from the files that were written with it; None or empty where nothing is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from genossl import files
from genossl.errors import InputError
from genossl.evaluation import audited, ranking
from genossl.evaluation import verdict as judge
from genossl.evaluation.scored import Task, plain, read_tasks, record_of
from genossl.genome.store import TokenStore
from genossl.model import checkpoint
from genossl.model.embedders import UNTRAINED

HEAD = "logistic"  # readout of the verdict, as in the report


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """The scores of an encoder on one task, and the sentence that the report says of them."""

    task: str
    measure: str
    kind: str
    sentence: str
    corrected: str
    table: (
        pd.DataFrame
    )  # shots, value, low, high, n; kmers: the best k-mer profile there, and its kmers_value; untrained
    embedding: dict[str, Any]  # settings of `genossl embed`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What the model card is made of."""

    about: dict[str, Any]  # encoder.json
    made: dict[str, Any] = dataclasses.field(default_factory=dict)  # run.provenance.json
    genomes: pd.DataFrame | None = None  # genome, split, contigs, bases of the store; None where it cannot be found
    scored: list[Scored] = dataclasses.field(default_factory=list)
    read: dict[str, Path] = dataclasses.field(default_factory=dict)  # the files that all this comes from


def of_encoder(about: dict[str, Any]) -> Facts:
    """What the description of an encoder says by itself."""
    return Facts(about=about)


def of_run(run: Path, results: str | Path | None = None) -> Facts:
    """What a run's folder says, the store that its provenance names, and the scores in a results folder.

    Raises InputError where the results have no score that was measured with these weights.
    """
    about = checkpoint.describe(run)
    made = record_of(run / "run.provenance.json")
    read = {"encoder": run / "encoder.safetensors"}
    store = _store(made, about.get("store"))
    scored = []
    if results is not None:
        found = [
            (task if ranking.is_compared(row) else plain(task), row, settings)  # as the report counts its rows
            for task in read_tasks(Path(results))
            for row, settings in _rows(Path(results), task, about["sha256"])
        ]
        if not found:
            raise InputError(f"{results}: holds no score of the encoder in {run} (looked in scores/ by its checksum)")
        scored = [_scored(Path(results), *one) for one in found]
        for task, _, _ in found:
            read[f"scores/{task.name}"] = Path(results) / "scores" / f"{task.name}.tsv"
            if (audit := Path(results) / "audit" / f"{task.name}.json").is_file():
                read[f"audit/{task.name}"] = audit
    return Facts(about=about, made=made, genomes=None if store is None else _genomes(store), scored=scored, read=read)


def _store(made: dict[str, Any], checksum: str | None) -> TokenStore | None:
    """The store that a run was trained on, where it still lies there and is the same."""
    try:
        path = Path(made["folder"], made["inputs"]["store"]["path"])
        store = TokenStore.open(path.parent)
    except (KeyError, TypeError, InputError):
        return None
    return store if store.checksum() == checksum else None


def _genomes(store: TokenStore) -> pd.DataFrame:
    """Split, contigs and bases of each genome, in their order."""
    sums = store.contigs.groupby("genome")["length"].agg(["count", "sum"])
    sums = sums.reindex(store.genomes["genome"], fill_value=0)
    columns = {"genome": store.genomes["genome"], "split": store.genomes["split"]}
    return pd.DataFrame(columns | {"contigs": sums["count"].to_numpy(), "bases": sums["sum"].to_numpy()})


def _rows(results: Path, task: Task, checksum: str) -> list[tuple[str, dict[str, Any]]]:
    """Rows of a task's scores whose vectors came from these weights, and how they were embedded."""
    made = record_of(results / "scores" / f"{task.name}.tsv.provenance.json")
    found = []
    for name, used in (made.get("inputs") or {}).items():
        if name not in set(task.scores["embedding"]):
            continue
        path = Path(used["path"])
        for vectors in (Path(made.get("folder", ""), path), results / "embeddings" / task.name / path.name):
            if vectors.is_file() and files.sha256(vectors) == used["sha256"]:
                record = record_of(Path(f"{vectors}.provenance.json"))
                settings = record.get("settings") or {}
                weights = ((record.get("inputs") or {}).get("encoder") or {}).get("sha256")
                untrained = str(settings.get("encoder", "")).startswith(UNTRAINED)
                if record.get("verb") == "embed" and weights == checksum and not untrained:
                    found.append((name, settings))
                break
    return found


def _scored(results: Path, task: Task, row: str, settings: dict[str, Any]) -> Scored:
    known: dict[str, Any] = {"ours": row, "head": HEAD, "metric": task.metric, "kind": task.kind}
    unit = str(task.record.get("unit", ""))
    failure = audited.failure(results, task.name)
    verdict = judge.verdict(task.scores, task.comparisons, unit=unit, failure=failure, **known)
    corrected = judge.corrected(task.scores, task.comparisons, shots=verdict.shots, **known)
    rows = judge.means(task.scores, HEAD, task.metric)
    values = rows.set_index(["embedding", "shots"])["value"]
    lines = []
    for shots in sorted(set(rows.loc[rows["embedding"] == row, "shots"]), key=judge.shots_order):
        own = rows[(rows["embedding"] == row) & (rows["shots"] == shots)].iloc[0]
        kmers = judge.best_kmers(task.scores, shots, HEAD, task.metric)
        lines.append(
            {"shots": shots, **own[["value", "low", "high", "n"]].to_dict(), "kmers": kmers or "",
             "kmers_value": values.get((kmers, shots)), "untrained": values.get(("untrained", shots))}
        )  # fmt: skip
    return Scored(
        task=task.name, measure=task.metric, kind=task.kind, sentence=verdict.sentence, corrected=corrected,
        table=pd.DataFrame(lines), embedding=settings,
    )  # fmt: skip
