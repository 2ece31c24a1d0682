"""The report: what it says, what it escapes, what it leaves out, and that a browser opens it in peace."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
import shutil
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pandas as pd
import pytest

from genossl.errors import InputError
from genossl.evaluation import compared, runs
from genossl.files import write_json, write_tsv
from genossl.verbs import report

SHOTS = ("1", "5", "10", "50", "100", "400", "all")
LEVELS = {  # asymptote of the made-up balanced accuracy and what is lost with one label per class
    "ours": (0.93, 0.30),
    "kmer_mlp": (0.915, 0.32),
    "paper": (0.74, 0.34),
    "same_strand": (0.89, 0.31),
    "one_length": (0.92, 0.31),
    "untrained": (0.83, 0.42),
    "kmer3": (0.88, 0.40),
    "kmer4": (0.89, 0.40),
    "kmer5": (0.90, 0.42),
    "kmer6": (0.91, 0.46),
    "gc": (0.45, 0.15),
}
CLASSES = (
    "Bacillus subtilis",
    "Escherichia coli",
    "Mycobacterium tuberculosis",
    "Pseudomonas aeruginosa",
    "Vibrio cholerae",
)
UNIT = "20000-base blocks within each class"


def curve(name: str, shots: str, head: str, levels: Any = LEVELS) -> float:
    top, lost = levels.get(name, (0.5, 0.2))
    count = 1000 if shots == "all" else int(shots)
    return top - lost / count**0.45 - (0.03 if head == "knn" else 0.0)


def write_results(
    folder: Path,
    *,
    classes: tuple[str, ...] = CLASSES,
    task: str = "species",
    genome: str = "GCF_{}",
    levels: Any = LEVELS,
) -> Path:
    """A results folder as the workflow writes it, from closed formulas and one seeded generator."""
    write_store(folder, genome)
    for number, name in enumerate(("ours", "kmer_mlp", "paper")):
        write_run(folder, name, number)
    write_scores(folder, task, classes, tuple(levels))
    write_embeddings(folder, task, classes)
    (folder / "benchmarks").mkdir(exist_ok=True)
    (folder / "benchmarks" / "ingest.jsonl").write_text('{"s": 12.5, "max_rss": 300.0, "cpu_time": 11.0}\n')
    return folder


def write_store(folder: Path, genome: str) -> None:
    names = [genome.format(i) for i in range(8)]
    counts = [
        {"genome": n, "records": 2, "bases": 4_000_000 + i, "n_N": 110 * i, "n_N_tokens": 120 * i, "gc": 0.4 + 0.03 * i}
        for i, n in enumerate(names)
    ]
    write_json(folder / "store" / "store.json", {"format": 1, "contigs": 16, "genomes": counts})
    splits = ["train"] * 5 + ["validation"] + ["test"] * 2
    write_tsv(folder / "store" / "genomes.tsv", pd.DataFrame({"genome": names, "split": splits}))


def write_run(folder: Path, name: str, number: int) -> None:
    rng = np.random.default_rng(number)
    lines = []
    for step in range(10, 2001, 10):
        top1 = 0.004 + 0.6 * (1 - np.exp(-step / 500)) / (1 + number)
        noise = rng.normal(0, 0.02)
        lines.append(
            (step, "train", 5.5 - 4 * top1 + noise, top1 + noise / 5, 256, 0.06, 40, 1e-3, step * 256_000, step / 30)
        )
        if step % 200 == 0:
            lines.append(
                (step, "validation", 5.6 - 3.8 * top1, top1 * 0.92, 256, 0.06, 40, 1e-3, step * 256_000, step / 30)
            )
    columns = ["step", "split", "loss", "top1", "candidates", "std", "rank", "lr", "bases", "seconds"]
    write_tsv(folder / "runs" / name / "log.tsv", pd.DataFrame(lines, columns=columns))
    record = {"format": 1, "method": "self_genomenet", "parameters": 812_000, "steps": 2000, "bases_seen": 512_000_000}
    record |= {"versions": {"torch": "2.10.0"}, "warnings": ["collapse at step 400"] if name == "paper" else []}
    write_json(folder / "runs" / name / "encoder.json", record)
    write_json(
        folder / "runs" / name / "run.provenance.json",
        {"verb": "pretrain", "settings": {"steps": 2000}, "seed": number},
    )


def write_scores(
    folder: Path, task: str, classes: tuple[str, ...], names: tuple[str, ...], levels: Any = LEVELS
) -> None:
    scores, pairs, confusion = [], [], []
    for head in ("logistic", "knn"):
        for shots in SHOTS:
            half = 0.03 if shots in ("1", "5") else 0.01
            for name in names:
                value = curve(name, shots, head, levels)
                for metric in ("balanced_accuracy", "macro_f1", "mcc", "auroc"):
                    for draw in ("0", "1", "mean"):
                        scores.append((task, name, head, shots, draw, metric, value, value - half, value + half, 1500))
                for other in names:
                    if other != name:
                        d = value - curve(other, shots, head, levels)
                        pairs.append((task, head, shots, "balanced_accuracy", name, other, d, d - half, d + half, 1500))
                for i, label in enumerate(classes):
                    for j, predicted in enumerate(classes):
                        wrong = (1 - value) / (len(classes) - 1) * (1.7 if j == (i + 1) % len(classes) else 0.7)
                        confusion.append(
                            (task, name, head, shots, label, predicted, int(1500 * (value if i == j else wrong)))
                        )
    base = folder / "scores"
    columns = ["task", "embedding", "head", "shots", "draw", "metric", "value", "low", "high", "n"]
    write_tsv(base / f"{task}.tsv", pd.DataFrame(scores, columns=columns))
    columns = ["task", "head", "shots", "metric", "embedding", "baseline", "difference", "low", "high", "n"]
    write_tsv(base / f"{task}.comparisons.tsv", pd.DataFrame(pairs, columns=columns))
    columns = ["task", "embedding", "head", "shots", "label", "predicted", "count"]
    write_tsv(base / f"{task}.confusion.tsv", pd.DataFrame(confusion, columns=columns))
    record: dict[str, Any] = {
        "task": task,
        "classes": list(classes),
        "n_train": 9000,
        "n_validation": 1500,
        "n_test": 1500,
    }
    record |= {"label_cap": 1000, "draws": dict.fromkeys(SHOTS, 5) | {"all": 1}, "unit": UNIT}
    record |= {"n_units": dict.fromkeys(classes, 180), "notes": ["all: 1000 training rows per class at most"]}
    write_json(base / f"{task}.json", record)
    write_json(
        base / f"{task}.tsv.provenance.json", {"inputs": {"labels": {"path": str(folder / f"{task}.labels.tsv")}}}
    )


def write_embeddings(folder: Path, task: str, classes: tuple[str, ...], n: int = 120) -> None:
    rng = np.random.default_rng(1)
    labels = [classes[i % len(classes)] for i in range(n)]
    rows = pd.DataFrame(
        {"id": [f"read{i}" for i in range(n)], "label": labels, "split": ["test", "test", "train"] * (n // 3)}
    )
    write_tsv(folder / f"{task}.labels.tsv", rows)
    centres = rng.normal(size=(len(classes), 16))
    for name, spread in (("ours", 0.5), ("kmer5", 0.9), ("kmer6", 0.9)):
        vectors = centres[[i % len(classes) for i in range(n)]] + spread * rng.normal(size=(n, 16))
        path = folder / "embeddings" / task / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, vectors.astype(np.float32))
        write_tsv(path.with_suffix(".tsv"), rows[["id"]])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = write_results(tmp_path_factory.mktemp("results") / "demo")
    return folder / "report.html", report.run(folder, folder / "report.html", report.Settings())


# made-up gains of compared methods over one another; seeds move a score by a hundredth
METHODS = {"simclr": 0.93, "cpc": 0.928, "masked_lm": 0.86, "byol": 0.90, "causal_lm": 0.84, "autoencoder": 0.78}


def write_comparison(folder: Path, seeds: int = 3, methods: dict[str, float] = METHODS, leak: bool = False) -> Path:
    """Compared runs on two presets with null controls, added to what write_results made."""
    rng = np.random.default_rng(7)
    levels = dict(LEVELS)
    for preset, lost in (("default", 0.0), ("conv", 0.03)):
        levels[f"untrained.{preset}"] = (0.80 - lost, 0.42)
        for method, top in methods.items():
            if preset == "default" and method.endswith("_lm"):
                continue
            for seed in range(seeds):
                name = f"{method}.{preset}.seed{seed}"
                levels[name] = (top - lost + rng.normal(0, 0.01), 0.3)
                write_compared_run(folder, name, method, rng, shuffled=False)
            levels[f"{method}.{preset}.null"] = (0.79 - lost, 0.42)
            write_compared_run(folder, f"{method}.{preset}.null", method, rng, shuffled=True, leak=leak)
    write_scores(folder, "species", CLASSES, tuple(levels), levels)
    return folder


def write_compared_run(
    folder: Path, name: str, method: str, rng: np.random.Generator, *, shuffled: bool, leak: bool = False
) -> None:
    """A run of 200 steps: a choice among 511, or bits per base, or neither."""
    lines, bits, choice = [], method.endswith("_lm"), method in ("simclr", "cpc")
    for step in range(1, 201):
        learnt = 0.0 if shuffled and not leak else 1 - np.exp(-step / 60)
        for split in ("train", "validation") if step % 100 == 0 else ("train",):
            hits = rng.binomial(512, (1 + 150 * learnt) / 511) / 512 if choice else 0.3 if bits else np.nan
            told = 1.98 - 0.05 * learnt + rng.normal(0, 0.004) if bits else np.nan
            candidates = 511 if choice else 4 if bits else np.nan
            health = (0.9, 30 + learnt, 25.5 if step % 10 == 0 else np.nan, 0.8 if choice else np.nan, -3.2)
            lines.append((step, split, 6 - 3 * learnt, told, hits, candidates, *health, 1e-3, step * 250_000, step / 4))
    columns = ["step", "split", "loss", "bits", "top1", "candidates", "std", "rank", "rankme", "alignment"]
    columns += ["uniformity", "lr", "bases", "seconds"]
    write_tsv(folder / "runs" / name / "log.tsv", pd.DataFrame(lines, columns=columns))
    conv = ".conv." in name
    settings = {
        "front": "conv" if conv else "kmer",
        "k": 5,
        "width": 40 if conv else 100,
        "stride": 20 if conv else 100,
    }
    record = {"format": 1, "method": method, "parameters": 650_000, "steps": 200, "bases_seen": 50_000_000}
    record |= {"settings": {**settings, "rnn": "gru"}, "seconds": 50.0 + 10 * conv, "flops": (2 + 7 * conv) * 10**14}
    record |= {"audit": {"gc": 0.04, "kmer4": 0.35, "candidates": 256.0} if choice else {}, "warnings": []}
    record |= {"order0_bits": 1.98 if shuffled else None, "pretrain": {"shuffled": shuffled, "batch": 256}}
    write_json(folder / "runs" / name / "encoder.json", record)


LEFT_OUT = ("causal_lm on default: needs encoder.front conv", "masked_lm on default: needs encoder.front conv")


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = write_comparison(write_results(tmp_path_factory.mktemp("compared") / "demo"))
    return folder / "report.html", report.run(folder, folder / "report.html", report.Settings(left_out=LEFT_OUT))


class Page(html.parser.HTMLParser):
    """Every tag with its attributes, and the text between."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_holds_all_parts_and_the_findings(built: tuple[Path, list[str]]) -> None:
    path, findings = built
    page = Page(path.read_text(encoding="utf-8"))
    assert len(findings) == 3
    assert findings[0].startswith("Yes: on these test genomes, by balanced accuracy with 10 labels per class, ")
    squeezed = " ".join(page.text.split())
    for line in findings:
        assert line in squeezed
    for words in (
        "collapse at step 400",
        "GCF_7",
        "32,000,028",
        "what was changed",
        "macro-f1",
        "torch",
        "chance 0.00391",
        UNIT,
    ):
        assert words.lower() in squeezed.lower(), words
    figures = [attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg"]
    assert len(figures) == 5  # pretraining, forest, curves, confusion, map
    assert not [tag for tag, attributes in page.tags if attributes.get("class") == "missing"]


def test_ids_are_unique_and_figures_small(built: tuple[Path, list[str]]) -> None:
    text = built[0].read_text(encoding="utf-8")
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for _, a in page.tags if (a.get("href") or "").startswith("#")}  # type: ignore[index]
    assert targets <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
    assert len(text) < 600_000


def scripts(text: str) -> list[str]:
    """What stands between script tags, as a browser cuts it out."""
    return re.findall(r"<script[^>]*>(.*?)</script", text, re.DOTALL | re.IGNORECASE)


def test_no_address_one_script_and_a_policy(built: tuple[Path, list[str]]) -> None:
    text = built[0].read_text(encoding="utf-8")
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag in ("iframe", "object", "embed", "base")]
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(
        a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    (script,) = scripts(text)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy is not None
    directives = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == f"'sha256-{digest}'"
    assert {"connect-src", "form-action", "base-uri"} & set(directives) == {"form-action", "base-uri"}
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "fetch", "http"):
        assert unsafe not in script.replace("nothing is fetched", ""), unsafe


def test_the_script_is_the_same_for_all_reports(built: tuple[Path, list[str]], tmp_path: Path) -> None:
    """No name, number or setting gets into it, so none can end it or change it."""
    report.run(write_run_alone(tmp_path / "x"), tmp_path / "r.html", report.Settings())
    assert scripts((tmp_path / "r.html").read_text()) == scripts(built[0].read_text())


def write_run_alone(folder: Path) -> Path:
    write_run(folder, "ours", 0)
    return folder


def test_same_results_same_bytes(built: tuple[Path, list[str]], tmp_path: Path) -> None:
    report.run(built[0].parent, tmp_path / "again.html", report.Settings())
    assert (tmp_path / "again.html").read_bytes() == built[0].read_bytes()


EVIL = "</text></svg><script>alert(1)</script><img src=x onerror=alert(2)>$\\frac{"


def test_markup_in_names_is_inert(tmp_path: Path) -> None:
    classes = (EVIL, '"><script>alert(3)</script>', "--><script>alert(4)</script>", "$x^2$", "&lt;b&gt;")
    levels = {**LEVELS, "<script>alert(5)</script>": (0.5, 0.2)}
    folder = write_results(tmp_path / "<script>x<", classes=classes, genome="<script>{}</script>", levels=levels)
    report.run(folder, tmp_path / "report.html", report.Settings())
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert [tag for tag, _ in page.tags if tag in ("script", "img")] == ["script"]
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert "<script>0</script>" in page.text
    assert "<script>alert(5)</script>" in page.text
    assert page.text.count("$x^2$") >= 3  # confusion matrix and legend, as typed


def test_a_part_that_is_missing_is_said(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "demo")
    shutil.rmtree(folder / "runs")
    shutil.rmtree(folder / "store")
    shutil.rmtree(folder / "embeddings")
    (folder / "scores" / "species.confusion.tsv").unlink()
    (folder / "scores" / "species.json").unlink()
    findings = report.run(folder, tmp_path / "report.html", report.Settings())
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert findings[0].startswith("Yes")
    for words in ("No token store", "No pretraining run", "No confusion counts", "there is no map"):
        assert words in text, words


def test_rows_that_are_missing_are_said(tmp_path: Path) -> None:
    names = {"ours": (0.9, 0.3), "untrained": (0.8, 0.4)}
    folder = write_results(tmp_path / "demo", levels=names)
    findings = report.run(folder, tmp_path / "report.html", report.Settings(verdict_shots="20"))
    assert findings[0].startswith("Partly: on these test genomes, by balanced accuracy with 10 labels per class, ")
    assert "no k-mer profile was scored" in findings[0]
    assert "No ablation runs" in (tmp_path / "report.html").read_text(encoding="utf-8")
    write_scores(folder, "species", CLASSES, ("untrained", "kmer4"))
    assert report.run(folder, tmp_path / "report.html", report.Settings())[0].startswith("No verdict")
    write_scores(folder, "species", CLASSES, ("ours",))
    assert report.run(folder, tmp_path / "report.html", report.Settings())[0].startswith("No verdict")


def test_runs_alone_make_a_report(tmp_path: Path) -> None:
    write_run(tmp_path / "demo", "ours", 0)
    log = tmp_path / "demo" / "runs" / "ours" / "log.tsv"
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    log.write_text("".join(line for line in lines if "\tvalidation\t" not in line), encoding="utf-8")
    write_run(tmp_path / "demo", "untrained", 0)
    (tmp_path / "demo" / "runs" / "untrained" / "log.tsv").write_text(lines[0], encoding="utf-8")
    findings = report.run(tmp_path / "demo", tmp_path / "report.html", report.Settings())
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert findings[0].startswith("No verdict")
    assert "No validation curve" in text
    assert "no scores were found" in text


def test_two_tasks_have_a_verdict_each(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "demo")
    write_scores(folder, "genus", ("a", "b"), tuple(LEVELS))
    findings = report.run(folder, tmp_path / "report.html", report.Settings(), {"genus": folder / "species.labels.tsv"})
    assert [line.split(":")[0] for line in findings] == ["genus"] * 3 + ["species"] * 3


@pytest.mark.parametrize("classes", [("one", "two"), tuple(f"class {i}" for i in range(40))])
def test_few_and_many_classes(tmp_path: Path, classes: tuple[str, ...]) -> None:
    levels = {name: LEVELS[name] for name in ("ours", "untrained", "kmer5")}
    folder = write_results(tmp_path / "demo", classes=classes, levels=levels)
    report.run(folder, tmp_path / "report.html", report.Settings())
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ("20 further labels" in text) == (len(classes) == 40)


def test_nothing_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"looked for store/store\.json, runs/\*/encoder\.json and scores/\*\.tsv"):
        report.run(tmp_path, tmp_path / "report.html", report.Settings())


def test_a_score_table_without_a_column_is_named(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "demo")
    path = folder / "scores" / "species.tsv"
    path.write_text("task\tembedding\nspecies\tours\n", encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(f"{path}: no column head")):
        report.run(folder, tmp_path / "report.html", report.Settings())


def open_in_browser(page: Path, scratch: Path) -> tuple[list[str], list[str]]:
    """What a headless Chromium that can reach no host was told (console, errors, dialogs) and what it was asked for."""
    if browser.find() is None:
        pytest.skip(f"no browser on this machine (looked for {', '.join(browser.NAMES)})")
    with browser.Browser(scratch) as chromium:
        chromium.open(page.as_uri())
        return chromium.said(), chromium.asked()


def test_opens_in_a_browser_without_error_or_request(built: tuple[Path, list[str]], tmp_path: Path) -> None:
    assert open_in_browser(built[0], tmp_path / "report") == ([], [])


def test_a_comparison_opens_in_a_browser(comparison: tuple[Path, list[str]], tmp_path: Path) -> None:
    assert open_in_browser(comparison[0], tmp_path / "report") == ([], [])


def test_the_browser_check_sees_errors_dialogs_and_requests(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<img src='http://example.invalid/x.png'><script>console.error('heard'); alert('seen'); nothing.at</script>",
        encoding="utf-8",
    )
    console, asked = open_in_browser(page, tmp_path / "bad")
    assert {"heard", "dialog: seen"} <= set(console)
    assert any("ReferenceError" in line for line in console)
    assert asked == ["http://example.invalid/x.png"]


def test_testing_on_genomes_that_pretraining_read_is_said(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "demo")
    sheet = next(folder.glob("*.labels.tsv"))
    task = sheet.name.split(".")[0]
    about = folder / "runs" / "ours" / "encoder.json"
    write_json(about, json.loads(about.read_text()) | {"pretrain": {"train_splits": ["train", ""]}})
    splits = pd.read_csv(folder / "store" / "genomes.tsv", sep="\t", dtype=str).set_index("split")["genome"]
    table = pd.read_csv(sheet, sep="\t", dtype=str)
    for wanted, seen in (("test", False), ("train", True)):
        genome = splits[wanted].iloc[0]
        write_tsv(sheet, table.assign(genome=genome))
        found = report.run(folder, tmp_path / "r.html", report.Settings(), {task: sheet})
        caution = f"Caution: pretraining has read 1 of the 1 test genomes ({genome})"
        assert (caution in found[0]) is seen
        assert (caution in Page((tmp_path / "r.html").read_text()).text) is seen


def test_the_report_is_html_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"r\.pdf: the report is HTML"):
        report.run(write_results(tmp_path / "demo"), tmp_path / "r.pdf", report.Settings())


# ---- methods compared


def squeezed(path: Path) -> str:
    return " ".join(Page(path.read_text(encoding="utf-8")).text.split())


def test_methods_are_compared(comparison: tuple[Path, list[str]]) -> None:
    path, findings = comparison
    page = Page(path.read_text(encoding="utf-8"))
    text = squeezed(path)
    assert len(findings) == 4
    assert findings[3].startswith("Of 10 methods compared with 10 labels per class, simclr.default has the highest")
    for words in (
        findings[3],
        *LEFT_OUT,
        "50,000,000 per run",
        "45 pairs were compared",
        "900 TFLOP",
        "beats the best k-mer",
    ):
        assert words in text, words
    figures = [attributes.get("aria-label") or "" for tag, attributes in page.tags if tag == "svg"]
    assert len(figures) == 5 + 3  # ranking, costs, losses
    assert "mathdefault" not in path.read_text(encoding="utf-8")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_compared_runs_stay_out_of_the_other_sections(comparison: tuple[Path, list[str]]) -> None:
    """The verdict, its tables and curves are those of the same results without them."""
    folder, findings = comparison[0].parent, comparison[1]
    (task,) = report.read_tasks(folder)
    assert set(report.plain(task).scores["embedding"]) == set(LEVELS)
    assert set(report.plain(task).comparisons["baseline"]) == set(LEVELS)
    assert not any("seed0" in line for line in findings)
    rows = report.runs_view(report.read_runs(folder))["rows"]  # type: ignore[index]
    assert len(rows) == 3 + 10  # one row for the seeds of a method on a preset, none for null controls
    assert {row["seeds"] for row in rows} == {0, 3}


def test_untrained_encoders_are_found_by_their_shape(comparison: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Where a method runs on its own preset, its name does not say which; the run that the baseline came from does."""
    folder = shutil.copytree(comparison[0].parent, tmp_path / "demo")
    for run in sorted((folder / "runs").glob("*.*.*")):
        run.rename(run.with_name(run.name.replace(".conv", "").replace(".default", "_")))
    for name in ("", ".comparisons", ".confusion"):
        path = folder / "scores" / f"species{name}.tsv"
        text = path.read_text(encoding="utf-8").replace(".conv.", ".").replace(".default.", "_.")
        path.write_text(text, encoding="utf-8")
    spec = {"settings": {"encoder": f"untrained:{folder}/runs/cpc_.seed0/encoder.safetensors"}}
    write_json(folder / "embeddings" / "species" / "untrained.default.npy.provenance.json", spec)
    (task,) = report.read_tasks(folder)
    found = compared.view(folder, report.read_runs(folder), {"species": task.scores}, (), shots="10", head="logistic")
    assert found is not None
    own = {line["group"]: line["untrained"] for line in found["tasks"][0]["table"]}
    assert own["byol_"] == pytest.approx(0.80 - 0.42 / 10**0.45)
    assert own["byol"] is None


def test_two_seeds_are_shown_and_not_ranked(tmp_path: Path) -> None:
    folder = write_comparison(write_results(tmp_path / "demo"), seeds=2, methods={"simclr": 0.9, "cpc": 0.8})
    findings = report.run(folder, tmp_path / "report.html", report.Settings())
    assert findings[3].startswith("No ranking of methods with 10 labels per class")
    assert "3 seeds would tell whether that is noise" in squeezed(tmp_path / "report.html")


def test_a_comparison_alone_makes_a_report(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "demo", methods={"simclr": 0.9})
    for name in ("ours", "kmer_mlp", "paper"):
        shutil.rmtree(folder / "runs" / name, ignore_errors=True)
    path = folder / "scores" / "species.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str)
    write_tsv(path, table[table["embedding"].str.contains(".", regex=False)])
    findings = report.run(folder, tmp_path / "report.html", report.Settings())
    assert findings[0].startswith("No verdict")
    assert findings[3].startswith("Of 2 methods compared")


def test_names_of_compared_methods_are_inert(tmp_path: Path) -> None:
    folder = write_comparison(write_results(tmp_path / "demo"), methods={"<script>alert(1)<": 0.9, "cpc": 0.8})
    report.run(folder, tmp_path / "report.html", report.Settings(left_out=("<script>alert(2)</script>",)))
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 1
    assert "<script>alert(2)</script>" in page.text


# ---- what logs say


def log_of(columns: dict[str, list[Any]]) -> pd.DataFrame:
    n = max(map(len, columns.values()))
    base: dict[str, list[Any]] = {"step": list(range(1, n + 1)), "split": ["train"] * n, "top1": [np.nan] * n}
    return pd.DataFrame(base | {"candidates": [np.nan] * n, "loss": [1.0] * n, "bases": [100.0] * n} | columns)


def test_the_end_of_a_log_is_its_last_held_out_line() -> None:
    log = log_of({"std": [0.5, 0.6, 0.7, 0.8], "split": ["train", "validation", "train", "train"]})
    assert runs.last(log, "std") == (0.6, True)
    assert runs.last(log.assign(split="train"), "std") == (0.8, False)
    assert runs.last(log.assign(std=[0.5, np.nan, 0.7, np.nan]), "std") == (0.7, False)
    assert runs.last(log, "alignment") == (None, False)
    assert runs.last(None, "std") == (None, False)


def test_seeds_are_averaged_step_by_step() -> None:
    logs = [log_of({"std": [x, 3 * x], "seconds": [1.0, 2.0 * x]}) for x in (1.0, 2.0, 6.0)]
    record = {"method": "cpc", "audit": {"gc": 0.1, "kmer4": 0.2, "candidates": 64.0}}
    found = [
        runs.Run(name=f"cpc.seed{i}", record=record | {"flops": 10 * i, "warnings": ["low"] if i else []}, log=log)
        for i, log in enumerate(logs)
    ]
    null = runs.Run(name="cpc.null", record=record, log=logs[0])
    own = runs.Run(name="ours", record=record, log=logs[0])
    (mean,) = runs.groups([null, *reversed(found), own])
    assert (mean.name, mean.seeds) == ("cpc", 3)
    assert mean.log is not None
    assert mean.log["std"].tolist() == [3.0, 9.0]
    assert mean.record["flops"] == 10
    assert mean.record["audit"] == pytest.approx(record["audit"])
    assert mean.record["warnings"] == ["seed 1, 2: low"]
    assert runs.nulls([null, *found, own]) == [null]
    assert runs.own([null, *found, own]) == [own]


def null_run(seed: int, hits: float, candidates: float = 101.0) -> runs.Run:
    """200 steps of 100 questions that are answered rightly with the probability `hits`."""
    drawn = np.random.default_rng(seed).binomial(100, hits, 200) / 100
    return runs.Run(name="cpc.null", record={}, log=log_of({"top1": list(drawn), "candidates": [candidates] * 200}))


def test_a_null_control_at_chance_and_one_that_leaks() -> None:
    """At chance 99 % of the intervals hold it; at three times chance all are above."""
    kept = [runs.null_control(null_run(seed, 1 / 101))["outcome"] == "chance" for seed in range(200)]
    assert np.mean(kept) > 0.97
    for seed in range(20):
        row = runs.null_control(null_run(seed, 3 / 101))
        assert (row["outcome"], row["words"]) == ("leak", "NOT at chance: a leak")
        assert row["steps"] == 100


def test_a_language_model_on_shuffled_dna() -> None:
    """Below the entropy of a base is a leak; at it, or above it, is none."""
    rng = np.random.default_rng(0)
    for gap, outcome, words in (
        (-0.05, "leak", "NOT at chance: a leak"),
        (0.0, "chance", "at its floor, the entropy of one base"),
        (0.05, "chance", "above its floor, the entropy of one base: it has learnt nothing that is not there"),
    ):
        bits = 1.9 + gap + rng.normal(0, 0.01, 100)
        log = log_of({"bits": list(bits), "top1": [0.3] * 100, "candidates": [4.0] * 100})
        row = runs.null_control(runs.Run(name="causal_lm.null", record={"order0_bits": 1.9}, log=log))
        assert (row["outcome"], row["words"], row["measure"]) == (outcome, words, "bits per base")
        assert row["chance"] == 1.9


def test_a_null_control_without_a_chance_level() -> None:
    """Naming the bases that one sees, or no choice at all, has none; nor has a run of two steps an interval."""
    rebuilt = log_of({"top1": [0.9] * 40, "candidates": [4.0] * 40})
    for log in (rebuilt, rebuilt.assign(top1=np.nan)):
        row = runs.null_control(runs.Run(name="autoencoder.null", record={"order0_bits": 1.9}, log=log))
        assert (row["outcome"], row["words"]) == ("unknown", "no chance level: see its score")
    assert runs.null_control(runs.Run(name="x.null", record={}, log=None))["words"] == "no log"
    assert runs.null_control(runs.Run(name="x.null", record={}, log=null_run(0, 0.1).log.head(2)))["words"] == (  # type: ignore[union-attr]
        "too few steps to tell"
    )


def test_a_leak_is_said_in_the_page(tmp_path: Path) -> None:
    folder = write_comparison(write_results(tmp_path / "demo"), methods={"simclr": 0.9}, leak=True)
    report.run(folder, tmp_path / "report.html", report.Settings())
    assert squeezed(tmp_path / "report.html").count("NOT at chance: a leak") == 2


def test_a_pretext_that_composition_solves_is_said(comparison: tuple[Path, list[str]]) -> None:
    row = {"top1": 0.3, "kmer4": 0.35, "held_out": True, "chance": 1 / 511, "audit_chance": 1 / 256}
    assert runs.shortcut(row, "cpc") == (
        "cpc: on held-out windows the pretext finds 0.300 of the partners among 511, not more than counting 4-mers "
        "alone finds (0.350 among 256): nothing shows that it learnt more than composition."
    )
    assert runs.shortcut(row | {"top1": 0.36}, "cpc") is None
    assert runs.shortcut(row | {"kmer4": None}, "cpc") is None
    text = squeezed(comparison[0])
    assert text.count("nothing shows that it learnt more than composition") == 4
    assert text.count("finds no more than 4-mers alone, see below") == 4  # among the warnings of the same runs


def test_settings_are_shown_as_they_are_written(comparison: tuple[Path, list[str]]) -> None:
    text = squeezed(comparison[0])
    assert f"left_out: {json.dumps(list(LEFT_OUT))}" in text
    assert 'ours: "ours"' in text


@pytest.mark.parametrize(
    "count,text",
    [
        (None, "–"),
        (0, "0 FLOP"),
        (999, "999 FLOP"),
        (1.2e15, "1.2 PFLOP"),
        (9.999e11, "1 TFLOP"),
        (5e21, "5e+03 EFLOP"),
    ],
)
def test_operations_in_words(count: float | None, text: str) -> None:
    assert runs.flops(count) == text


def test_old_runs_have_dashes(built: tuple[Path, list[str]]) -> None:
    """Logs without RankMe, alignment and uniformity, and encoder.json without an audit, are reported all the same."""
    page = built[0].read_text(encoding="utf-8")
    table = page[page.index("Are the vectors healthy") :]
    row = table[table.index("<tbody>") : table.index("</tr>", table.index("<tbody>"))]
    cells = re.findall(r'<td class="n">(.*?)(?:<small>.*?)?</td>', row)
    assert cells == ["0.06", "40.0", "–", "–", "–", "–", cells[6], "–", "–"]
    assert "Methods compared" not in page


def test_a_regression_is_reported_by_its_metric_and_a_network_has_a_table_of_its_own(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "demo")
    scores = folder / "scores"
    for name in ("species.tsv", "species.comparisons.tsv"):
        text = (scores / name).read_text().replace("balanced_accuracy", "r2")
        (scores / name).write_text("".join(line for line in text.splitlines(True) if "\tauroc\t" not in line))
    lines = (scores / "species.tsv").read_text().splitlines(True)
    net = [
        line.replace("\tours\tlogistic\t", "\tscratch\tend_to_end\t") for line in lines if "\tours\tlogistic\t" in line
    ]
    (scores / "species.tsv").write_text("".join([*lines, *net]))
    (scores / "species.confusion.tsv").write_text("task\tembedding\thead\tshots\tlabel\tpredicted\tcount\n")
    for beside in ("efficiency", "calibration", "subsets"):
        (scores / f"species.{beside}.tsv").write_text("task\tembedding\n")
    record = json.loads((scores / "species.json").read_text()) | {"kind": "regression", "metric": "r2", "classes": []}
    write_json(scores / "species.json", record | {"n_units": {"all": 180}, "unit": "20000-base blocks"})
    findings = report.run(folder, tmp_path / "report.html", report.Settings())
    assert findings[0].startswith(
        "Yes: on these test genomes, by R² with 10 labelled rows, the pretrained encoder beat"
    )
    assert "one run of its recipe" in findings[0]
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text


@pytest.mark.parametrize("averaged, strand", [(True, "as_given"), (False, "as_given"), (True, "invariant")])
def test_a_task_whose_strands_were_averaged_though_they_matter(tmp_path: Path, averaged: bool, strand: str) -> None:
    folder = write_results(tmp_path / "demo")
    (folder / "tasks").mkdir(exist_ok=True)
    write_json(folder / "tasks" / "species.json", {"strand": strand})
    record = {"verb": "embed", "settings": {"both_strands": averaged}}
    write_json(folder / "embeddings" / "species" / "ours.npy.provenance.json", record)
    found = report.run(folder, tmp_path / "report.html", report.Settings())[0]
    assert ("the strand matters in this task" in found) == (averaged and strand == "as_given")


def audit_of(folder: Path, *checks: tuple[str, str, float | None, str]) -> None:
    """The record of an audit of species with these checks: name, outcome, value, sentence."""
    names = ("name", "outcome", "value", "sentence")
    found = [dict(zip(names, check, strict=True)) | {"threshold": 0.05, "n": 0} for check in checks]
    worst = next(o for o in ("fail", "warn", "pass") if o in [check[1] for check in checks])
    write_json(folder / "audit" / "species.json", {"task": "species", "outcome": worst, "checks": found})


READ = "61 of 61 (100 %) test rows have at least 50% of their 31-mers in what pretraining reads."
NOT_READ = "0 of 61 test rows have at least 50% of their 31-mers in what pretraining reads."
GC = "A rule that reads the GC content alone has AUROC 1.00 on test rows (chance 0.5)."
APART = "pretraining has not read these"


def test_a_verdict_on_rows_that_were_read_says_so_first(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "demo")
    plain = report.run(folder, tmp_path / "plain.html", report.Settings())
    audit_of(folder, ("copies", "pass", 0.0, "0 of 61."), ("pretraining", "fail", 1.0, READ), ("gc", "fail", 1.0, GC))
    failed = report.run(folder, tmp_path / "failed.html", report.Settings())
    start = f"Yes, but the audit fails: {READ[:-1]}: this is no evidence for genomes never seen. "
    start += f"{GC[:-1]}: GC content alone may explain it. On these test genomes,"
    assert plain[0].startswith("Yes: on these test genomes,")
    assert failed[0].startswith(start)
    assert (failed[0].removeprefix(start), failed[1:]) == (plain[0].partition("genomes,")[2], plain[1:])
    text = Page((tmp_path / "failed.html").read_text(encoding="utf-8")).text
    assert start in text
    assert "audit fails on species: there, test sequences were seen before" in text
    assert APART not in text


@pytest.mark.parametrize(
    "checks, words",
    [
        ([], "There was no audit, so nothing here says that these were not seen before."),
        ([("pretraining", "pass", 0.0, NOT_READ)], APART),
        ([("pretraining", "pass", None, "Not looked at: no pretraining collection was given.")], "Whether these were"),
        ([("pretraining", "warn", 0.02, "1 of 61 test rows.")], "Whether these were seen before"),
    ],
)  # fmt: skip
def test_that_test_rows_were_not_seen_is_said_where_the_audit_says_so(
    tmp_path: Path, checks: list[Any], words: str
) -> None:
    folder = write_results(tmp_path / "demo")
    if checks:
        audit_of(folder, *checks)
    assert report.run(folder, tmp_path / "r.html", report.Settings())[0].startswith("Yes: ")
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert words in text
    assert (APART in text) == (words == APART)
