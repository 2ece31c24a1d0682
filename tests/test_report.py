"""The report: what it says, what it escapes, what it leaves out, and that a browser opens it in peace."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genossl.errors import InputError
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


def curve(name: str, shots: str, head: str) -> float:
    top, lost = LEVELS.get(name, (0.5, 0.2))
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


def write_scores(folder: Path, task: str, classes: tuple[str, ...], names: tuple[str, ...]) -> None:
    scores, pairs, confusion = [], [], []
    for head in ("logistic", "knn"):
        for shots in SHOTS:
            half = 0.03 if shots in ("1", "5") else 0.01
            for name in names:
                value = curve(name, shots, head)
                for metric in ("balanced_accuracy", "macro_f1", "mcc", "auroc"):
                    for draw in ("0", "1", "mean"):
                        scores.append((task, name, head, shots, draw, metric, value, value - half, value + half, 1500))
                for other in names:
                    if other != name:
                        d = value - curve(other, shots, head)
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


def write_embeddings(folder: Path, task: str, classes: tuple[str, ...], n: int = 300) -> None:
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


def test_no_address_no_script_and_a_policy(built: tuple[Path, list[str]]) -> None:
    page = Page(built[0].read_text(encoding="utf-8"))
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "object", "embed", "base")]
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(
        a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy


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
    assert not [tag for tag, _ in page.tags if tag in ("script", "img")]
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
    """Console lines and the web addresses asked for by a headless Chromium that can reach no host."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip(f"no browser on this machine (looked for {', '.join(names)})")
    scratch.mkdir()
    shell = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
    ]
    shell += ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
    shell += ["--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1100,1400", "--enable-logging=stderr", "--v=0"]
    shell += [f"--user-data-dir={scratch / 'user'}", f"--log-net-log={scratch / 'net.json'}"]
    shell += [f"--screenshot={scratch / 'page.png'}", page.as_uri()]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=90, check=True)
    events = json.loads((scratch / "net.json").read_text(encoding="utf-8"))["events"]
    asked = {str(event.get("params", {}).get("url", "")) for event in events}
    errands = re.compile(r"https?://[\w.-]*\.(google|googleapis|gstatic)\.com/")  # the browser's own
    return (
        [line for line in done.stderr.splitlines() if "CONSOLE" in line],
        sorted(url for url in asked if re.match(r"(https?|wss?)://", url) and not errands.match(url)),
    )


def test_opens_in_a_browser_without_error_or_request(built: tuple[Path, list[str]], tmp_path: Path) -> None:
    assert open_in_browser(built[0], tmp_path / "report") == ([], [])
    assert (tmp_path / "report" / "page.png").stat().st_size > 50_000


def test_the_browser_check_sees_an_error_and_a_request(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<img src='http://example.invalid/x.png'><script>console.error('heard')</script>", encoding="utf-8")
    console, asked = open_in_browser(page, tmp_path / "bad")
    assert any("heard" in line for line in console)
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
