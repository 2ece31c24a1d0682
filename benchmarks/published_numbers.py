"""Numbers that others have published, each with where it was read, and how its protocol differs from ours.

Only what was read in the source stands here: a table or an abstract of the paper, not memory and not a third party.
MCC of fine-tuned DNABERT-2 on GUE (arXiv 2306.15006) could not be read in the source and is therefore left out.
Shares are fractions, 0.825 for 82.5 %.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Number:
    """One published value; `source` names the page and the table, `kind` what of ours it is like."""

    task: str
    model: str
    metric: str
    value: float
    source: str
    kind: str = "supervised"  # or "frozen": a classifier on frozen embeddings of a pretrained model


FENG = "Feng et al., Nature Communications 16:10780 (2025), doi 10.1038/s41467-025-65823-8, Table {}"
FENG_MODELS = ("DNABERT-2", "NT-v2", "HyenaDNA", "Caduceus-Ph", "GROVER")
FENG_AUC = {  # their row in the table beside ours; that TFBS n is our n - 1 is a reading of the order of the files
    "tf_0": ("1, Human TFBS 1", (0.838, 0.832, 0.830, 0.880, 0.862)),
    "tf_1": ("1, Human TFBS 2", (0.821, 0.809, 0.821, 0.869, 0.850)),
    "mouse_2": ("2, Mouse TFBS 3", (0.931, 0.927, 0.894, 0.935, 0.933)),
    "mouse_3": ("2, Mouse TFBS 4", (0.762, 0.694, 0.588, 0.705, 0.682)),
    "mouse_4": ("2, Mouse TFBS 5", (0.678, 0.708, 0.627, 0.715, 0.682)),
    "prom_core_all": ("1, Promoter All 70 bps", (0.831, 0.853, 0.832, 0.875, 0.851)),
    "prom_core_tata": ("1, Promoter TATA 70 bps", (0.778, 0.795, 0.783, 0.810, 0.796)),
    "prom_300_tata": ("1, Promoter TATA 300 bps", (0.765, 0.779, 0.808, 0.760, 0.780)),
    "arabidopsis_tata": ("2, Promoter Arabidopsis TATA", (0.951, 0.950, 0.961, 0.937, 0.949)),
}
DCSA = "iEnhancer-DCSA, PMC10339552, Table 4"
ENHANCERS = {  # accuracy, MCC
    "iEnhancer-2L": (0.730, 0.460),
    "EnhancerPred": (0.740, 0.480),
    "iEnhancer-EL": (0.7475, 0.496),
    "BERT-Enhancer": (0.756, 0.514),
    "iEnhancer-XG": (0.7575, 0.515),
    "iEnhancer-ECNN": (0.769, 0.537),
    "iEnhancer-EBLSTM": (0.772, 0.534),
    "spEnhancer": (0.7725, 0.579),
    "iEnhancer-RD": (0.788, 0.576),
    "iEnhancer-DCSA": (0.825, 0.651),
}
CNNPROM = "Solovyev & Umarov, arXiv 1610.00121 (2016), abstract"
IPTT = "iPTT(2L)-CNN, Comput. Math. Methods Med. 2021, 6636350, Table 3 (10-fold cross-validation)"
PEERJ = "PeerJ Computer Science 11:e3104 (2025), PMC12453759, Table 9"
MSBERT = "msBERT-Promoter, BMC Biology 2024, doi 10.1186/s12915-024-01923-z, abstract"
NRC = "Fiannaca et al., BioData Mining 10:27 (2017), abstract (about 74 %)"
UCI = "UCI Machine Learning Repository, data set 67, its description (Towell, Shavlik & Noordewier 1990)"

NUMBERS = [
    *(
        Number(task, model, "auroc", value, FENG.format(row), "frozen")
        for task, (row, values) in FENG_AUC.items()
        for model, value in zip(FENG_MODELS, values, strict=True)
    ),
    *(
        Number("ienhancer2l", model, metric, value, DCSA)
        for model, values in ENHANCERS.items()
        for metric, value in zip(("accuracy", "mcc"), values, strict=True)
    ),
    Number("ecoli_sigma70", "CNNProm", "sensitivity", 0.90, CNNPROM),
    Number("ecoli_sigma70", "CNNProm", "specificity", 0.96, CNNPROM),
    Number("ecoli_sigma70", "CNNProm", "mcc", 0.84, CNNPROM),
    Number("arabidopsis_tata", "CNNProm", "sensitivity", 0.95, CNNPROM),
    Number("arabidopsis_tata", "CNNProm", "specificity", 0.97, CNNPROM),
    Number("arabidopsis_tata", "CNNProm", "mcc", 0.91, CNNPROM),
    Number("arabidopsis_tata", "iPTT(2L)-CNN", "accuracy", 0.9714, IPTT),
    Number("arabidopsis_tata", "iPTT(2L)-CNN", "mcc", 0.937, IPTT),
    Number("mouse_tata", "CNNProm", "accuracy", 0.9710, IPTT),
    Number("mouse_tata", "CNNProm", "mcc", 0.93, IPTT),
    Number("mouse_tata", "iPTT(2L)-CNN", "accuracy", 0.9708, IPTT),
    Number("mouse_tata", "iPTT(2L)-CNN", "mcc", 0.928, IPTT),
    Number("ecoli_promoter2l", "BERT-Promoter", "accuracy", 0.848, PEERJ),
    Number("ecoli_promoter2l", "BERT-Promoter", "auroc", 0.918, PEERJ),
    Number("ecoli_promoter2l", "msBERT-Promoter, as rerun by others", "accuracy", 0.836, PEERJ),
    Number("ecoli_promoter2l", "msBERT-Promoter, as rerun by others", "mcc", 0.696, PEERJ),
    Number("ecoli_promoter2l", "msBERT-Promoter, as rerun by others", "auroc", 0.939, PEERJ),
    Number("ecoli_promoter2l", "DNABERT-2_CA_BL", "accuracy", 0.867, PEERJ),
    Number("ecoli_promoter2l", "DNABERT-2_CA_BL", "mcc", 0.742, PEERJ),
    Number("ecoli_promoter2l", "msBERT-Promoter, its authors", "accuracy", 0.962, MSBERT),
    Number("nrc_ncrna13", "nRC", "accuracy", 0.74, NRC),
    Number("uci_promoters106", "KBANN", "errors", 4, UCI),
    Number("uci_promoters106", "back-propagation", "errors", 8, UCI),
    Number("uci_promoters106", "O'Neill", "errors", 12, UCI),
    Number("uci_promoters106", "nearest neighbour (k = 3)", "errors", 13, UCI),
    Number("uci_promoters106", "ID3", "errors", 19, UCI),
]

NOTED = (
    "noted with the data folder, one seed: C = 0.1, standardised 4-mers of both strands, at most 20,000 training rows"
)
FLOORS = [  # 4-mer floors by whoever made the data folder, to check ours against; no publication
    Number("tf_0", "4-mers", "mcc", 0.607, NOTED, "floor"),
    Number("tf_0", "4-mers", "auroc", 0.886, NOTED, "floor"),
    Number("prom_core_all", "4-mers", "mcc", 0.553, NOTED, "floor"),
    Number("prom_core_all", "4-mers", "auroc", 0.860, NOTED, "floor"),
    Number("mouse_4", "4-mers", "mcc", 0.370, NOTED, "floor"),
    Number("mouse_4", "4-mers", "auroc", 0.759, NOTED, "floor"),
    Number("ienhancer2l", "4-mers", "accuracy", 0.757, NOTED, "floor"),
    Number("ienhancer2l", "4-mers", "mcc", 0.515, NOTED, "floor"),
    Number("nrc_ncrna13", "4-mers", "accuracy", 0.678, NOTED, "floor"),
    Number("virus2_150", "4-mers", "accuracy", 0.740, NOTED, "floor"),
    Number("virus2_150", "4-mers", "auroc", 0.825, NOTED, "floor"),
    Number("virus2_1000", "4-mers", "accuracy", 0.875, NOTED, "floor"),
    Number("virus2_1000", "4-mers", "auroc", 0.948, NOTED, "floor"),
]
CLEAN_FLOORS = [
    Number("ienhancer2l", "4-mers", "accuracy", 0.720, NOTED, "floor"),
    Number("ienhancer2l", "4-mers", "mcc", 0.393, NOTED, "floor"),
    Number("nrc_ncrna13", "4-mers", "accuracy", 0.679, NOTED, "floor"),
]
