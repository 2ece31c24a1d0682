"""What readers see for the rows, heads and metrics of the scores, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterable

from genossl.evaluation.verdict import END_TO_END

ROWS = {
    "ours": "ours (pretrained)",
    "untrained": "same encoder, untrained",
    "paper": "published network, at this budget",
    "kmer_mlp": "k-mer MLP, same contrast, no recurrence",
    "gc": "GC content",
    "same_strand": "target not reverse-complemented",
    "one_length": "one target length",
    "many_lengths": "many target lengths",
}
METRICS = {
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro-F1",
    "mcc": "Matthews correlation",
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "r2": "R²",
    "spearman": "Spearman correlation",
    "pearson": "Pearson correlation",
    "rmse": "Root mean squared error",
    "ari": "adjusted Rand index",
    "nmi": "normalised mutual information",
}
HEADS = {
    "logistic": "logistic regression",
    "knn": "nearest neighbours",
    "mlp": "multilayer perceptron",
    "forest": "random forest",
    "label_spreading": "label spreading",
    "self_training": "self-training",
    "yarowsky": "Yarowsky's rules",
    END_TO_END: "trained end to end",
}
LINEAR = {"multilabel": "a logistic regression for each label", "regression": "ridge regression"}  # logistic of others
KINDS = {"classes": "classes", "multilabel": "several labels a row", "regression": "regression"}


def in_order(names: Iterable[str]) -> list[str]:
    """Ours, trained baselines, variants, untrained, k-mer profiles by k, GC: the order of all tables and legends."""
    first = {"ours": 0, "kmer_mlp": 1, "paper": 2, "untrained": 5, "gc": 7}

    def key(name: str) -> tuple[int, int, str]:
        kmer = re.match(r"kmer(\d+)$", name)
        return (6, int(kmer[1]), name) if kmer else (first.get(name, 3 if name in ROWS else 4), 0, name)

    return sorted(set(names), key=key)


def row(name: str, ours: str | None = None) -> str:
    """What a reader sees for a row: "kmer5" -> "5-mer profile"; `ours` is the row that the verdict is about."""
    if name == ours:
        return ROWS["ours"]
    kmer = re.match(r"kmer(\d+)$", name)
    return f"{kmer[1]}-mer profile" if kmer else ROWS.get(name, name)


def metric(name: str) -> str:
    """As in the middle of a sentence: "balanced accuracy", "macro-F1", "AUROC"."""
    text = METRICS.get(name, name.replace("_", " "))
    return text if text[:2].isupper() or text[1:2] == "²" else text[:1].lower() + text[1:]


def head(name: str, kind: str = "classes") -> str:
    """ "logistic" -> "logistic regression", of numbers "ridge regression"; what has no name here keeps its own."""
    if name == "logistic" and kind in LINEAR:
        return LINEAR[kind]
    return HEADS.get(name, name.replace("_", " "))
