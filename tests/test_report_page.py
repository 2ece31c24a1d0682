"""The report of many tasks in a real browser: filter, order, tooltips, copies, downloads, and names that bite."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import pytest
import report_data

from genossl.verbs import report

PLAN = report_data.Plan(
    tasks=5, embeddings=("ours", "untrained", "kmer4", "kmer6"), shots=("10", "100"), heads=("logistic",), rows=60
)
EVIL = "{}</script><script>alert(1)</script>'\"`${alert(2)}<img src=x onerror=alert(3)>&lt;b&gt;]]>--><!--"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = report_data.write(tmp_path_factory.mktemp("many") / "many", PLAN)
    report.run(folder, folder / "report.html", report.Settings())
    return folder


@pytest.fixture(scope="module")
def chromium(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    if browser.find() is None:
        pytest.skip(f"no browser on this machine (looked for {', '.join(browser.NAMES)})")
    with browser.Browser(tmp_path_factory.mktemp("browser")) as opened:
        opened.open((folder / "report.html").as_uri())
        yield opened
        assert (opened.said(), opened.asked()) == ([], [])  # after all that the tests below did to the page


def rows(chromium: browser.Browser) -> list[str]:
    return chromium.run(
        "[...document.querySelectorAll('#matrix tbody tr')].filter(e => e.offsetParent).map(e => e.dataset.name)"
    )


def fill(chromium: browser.Browser, field: str, value: str) -> None:
    chromium.run(
        f"(e => {{ e.value = {json.dumps(value)}; e.dispatchEvent(new Event('input', {{bubbles: true}})) }})"
        f"(document.getElementById('filter-{field}'))"
    )


def test_the_filter_keeps_what_it_says(chromium: browser.Browser) -> None:
    count = "document.getElementById('filter-count').textContent"
    assert len(rows(chromium)) == 5
    chromium.click("#filter-name")
    chromium.ask("Input.insertText", text="TASK03")
    assert rows(chromium) == ["task03"]
    assert chromium.run(count) == "1 of 5 tasks"
    sections = chromium.run("[...document.querySelectorAll('details.task')].filter(e => e.offsetParent).length")
    assert sections == 1
    fill(chromium, "name", "")
    fill(chromium, "kind", "regression")
    assert rows(chromium) == ["task04"]
    fill(chromium, "kind", "")
    fill(chromium, "word", "Yes")
    assert rows(chromium) == ["task00", "task02", "task04"]
    fill(chromium, "word", "")
    assert chromium.run(count) == "5 of 5 tasks"


def test_a_click_on_a_head_orders_the_rows(chromium: browser.Browser) -> None:
    at = chromium.run(
        "[...document.querySelectorAll('#matrix thead th')].findIndex(e => e.innerText.startsWith('ours'))"
    )
    values = [report_data.level(i, "ours", "10") for i in range(5)]
    best_first = [f"task{i:02d}" for i in sorted(range(5), key=lambda i: -round(values[i], 3))]
    chromium.click("#matrix thead th button", at)
    assert rows(chromium) == best_first
    chromium.click("#matrix thead th button", at)
    assert rows(chromium) == best_first[::-1]
    chromium.click("#matrix thead th button", 0)
    assert rows(chromium) == sorted(best_first)
    assert chromium.run("document.querySelectorAll('#matrix [aria-sort]').length") == 1


def test_pointing_at_a_point_says_which_sequence_it_is(chromium: browser.Browser) -> None:
    query = "details.task[open] svg.points g > path"
    told = chromium.run(f"document.querySelectorAll({query!r})[3].querySelector('title').textContent")
    assert re.fullmatch(r"contig1:\d+-\d+ · class \d", told)
    chromium.point(query, 3)
    assert chromium.run("document.querySelector('.tip').hidden") is False
    assert chromium.run("document.querySelector('.tip').innerText") == told
    assert chromium.run(f"document.querySelectorAll({query!r})[3].querySelector('title')") is None  # not said twice
    chromium.point("h1")
    assert chromium.run("document.querySelector('.tip').hidden") is True
    assert chromium.run(f"document.querySelectorAll({query!r})[3].querySelector('title').textContent") == told


def test_arrows_walk_from_point_to_point(chromium: browser.Browser) -> None:
    svg = "document.querySelector('details.task[open] svg.points')"
    titles = chromium.run(f"[...{svg}.querySelectorAll('title')].map(e => e.textContent)")
    chromium.run(f"{svg}.focus()")
    for key, at in (("ArrowRight", 0), ("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowLeft", -1)):
        chromium.ask("Input.dispatchKeyEvent", type="keyDown", key=key)
        assert chromium.run("document.querySelector('.tip').innerText") == titles[at]
    chromium.ask("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    assert chromium.run("document.querySelector('.tip').hidden") is True


def test_a_link_opens_the_task_that_it_leads_to(chromium: browser.Browser) -> None:
    folded = "[...document.querySelectorAll('details.task')].map(e => e.open)"
    assert chromium.run(folded) == [True] * report.OPEN + [False] * (5 - report.OPEN)
    chromium.click("#matrix tbody a", 4)
    assert chromium.wait(f"{folded}[4]")
    chromium.click("button[data-fold=close]")
    assert chromium.run(folded) == [False] * 5
    chromium.click("button[data-fold=open]")
    assert chromium.run(folded) == [True] * 5
    chromium.run("[...document.querySelectorAll('details.task')].forEach((e, i) => { e.open = i < 3 })")


def test_the_paragraph_can_be_copied(chromium: browser.Browser) -> None:
    text = chromium.run("document.getElementById('paragraph').innerText")
    assert text.startswith("The collection held 12 genomes (8 train, 2 validation, 2 test)")
    chromium.ask("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    chromium.click("button[data-copy]")
    assert chromium.wait("document.querySelector('button[data-copy]').textContent === 'Copied'")


def test_a_table_is_saved_as_it_stands(chromium: browser.Browser) -> None:
    """The blob behind the download holds every row that is shown, with intervals and marks in columns of their own."""
    chromium.run(
        "globalThis.saved = new Promise(done => { const make = URL.createObjectURL.bind(URL);"
        "URL.createObjectURL = blob => { blob.text().then(done); URL.createObjectURL = make; return 'blob:null/x' } });"
        "HTMLAnchorElement.prototype.clicked = HTMLAnchorElement.prototype.click;"
        "HTMLAnchorElement.prototype.click = function () { globalThis.name_ = this.download }; 1"
    )
    chromium.click("#overview button.get")
    lines = [line.split("\t") for line in chromium.run("globalThis.saved").strip().split("\n")]
    chromium.run("HTMLAnchorElement.prototype.click = HTMLAnchorElement.prototype.clicked; 1")
    assert chromium.run("globalThis.name_") == "overview.tsv"
    assert len(lines) == 6
    assert {len(line) for line in lines} == {len(lines[0])}
    at = next(i for i, name in enumerate(lines[0]) if name.startswith("ours"))
    value = report_data.level(0, "ours", "10")
    row = next(line for line in lines if line[0] == "task00")
    assert row[at : at + 3] == [f"{value:.3f}", f"{value - 0.012:.3f}–{value + 0.012:.3f}", "better"]


def test_without_script_all_is_there(folder: Path, chromium: browser.Browser) -> None:
    """Filter and buttons, which would do nothing, are not shown; every number, figure and title is."""
    chromium.ask("Emulation.setScriptExecutionDisabled", value=True)
    chromium.events = [e for e in chromium.events if e.get("method") != "Page.loadEventFired"]
    try:
        chromium.ask("Page.navigate", url=(folder / "report.html").as_uri() + "?plain")
        while not any(e.get("method") == "Page.loadEventFired" for e in chromium.events):
            chromium.ask("Browser.getVersion")
        snapshot = chromium.ask("DOM.getDocument", depth=-1)
        text = json.dumps(snapshot)
        assert '"TITLE"' in text.upper()
        visible = chromium.ask("DOMSnapshot.captureSnapshot", computedStyles=["display"])
        shown = " ".join(visible["strings"])
        assert "0.854" in shown
        laid = {visible["strings"][i] for i in visible["documents"][0]["layout"]["text"] if i >= 0}
        assert "Copy" not in laid
        assert "Open all" not in laid
        assert any("Ours beat the best k-mers" in words for words in laid)
    finally:
        chromium.ask("Emulation.setScriptExecutionDisabled", value=False)
        chromium.open((folder / "report.html").as_uri())


def test_no_table_is_cut_off_in_print(chromium: browser.Browser) -> None:
    chromium.ask("Emulation.setEmulatedMedia", media="print")
    try:
        wide = chromium.run(
            "[...document.querySelectorAll('.wide')].filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1"
            " && getComputedStyle(e).overflowX !== 'visible').length"
        )
        buttons = chromium.run(
            "[...document.querySelectorAll('button, nav, .filter')].filter(e => e.offsetParent).length"
        )
    finally:
        chromium.ask("Emulation.setEmulatedMedia", media="")
    assert (wide, buttons) == (0, 0)
    pages = chromium.ask("Page.printToPDF", preferCSSPageSize=True)["data"]
    assert len(pages) > 10_000


def test_names_that_bite_do_nothing(tmp_path: Path) -> None:
    """Genome, contig, read, class, task and embedding names that are markup, script ends and templates are text."""
    plan = report_data.Plan(
        tasks=4, embeddings=PLAN.embeddings, shots=("10",), heads=("logistic",), rows=30, findings=3, name=EVIL
    )
    # rows that the verdict looks for keep their names, or there would be none
    made = report_data.write(tmp_path / "bites", plan)
    settings = report.Settings(ours=plan.dressed("ours"), untrained=plan.dressed("untrained"))
    page = tmp_path / "report.html"
    report.run(made, page, settings)
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"<script", text)) == 1
    assert "<img" not in text
    if browser.find() is None:
        pytest.skip("no browser on this machine: only the file was looked at")
    with browser.Browser(tmp_path / "browser") as chromium:
        chromium.open(page.as_uri())
        chromium.click("#matrix thead th button", 0)
        fill(chromium, "name", EVIL.replace("{}", "TASK02").replace("/", "∕"))
        assert rows(chromium) == [report_data.task_name(plan, 2)]
        fill(chromium, "name", "")
        chromium.point("details.task[open] svg.points g > path", 0)
        assert EVIL.replace("{}", "contig1")[:60] in chromium.run("document.querySelector('.tip').textContent")
        chromium.click("#overview button.get")
        assert chromium.run("document.querySelectorAll('script').length") == 1
        assert chromium.run("document.querySelectorAll('img').length") == 0
        assert (chromium.said(), chromium.asked()) == ([], [])


# ---- structure and size, without a browser


def test_many_tasks_stay_small_and_folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 50 tasks all but the first are folded, and a task of 12 embeddings takes less than 300 kB of the 15 MB."""
    laid_out: list[int] = []

    def spread(vectors: Any, seed: int = 0) -> Any:
        laid_out.append(len(vectors))
        return vectors[:, :2]

    monkeypatch.setattr(report.figures, "two_dimensions", spread)  # t-SNE is the time of the test, not its subject
    folder = report_data.write(tmp_path / "wide", report_data.Plan(tasks=8, rows=600))
    report.run(folder, tmp_path / "r.html", report.Settings(all_map_rows=8 * 160))  # what is left to each of 50
    assert set(laid_out) == {160}
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<details class="task"[^>]* open', text)) == report.OPEN
    assert len(re.findall(r'<details class="task"', text)) == 8
    parts = re.split(r'<details class="task"', text)[1:]
    assert max(map(len, parts[:-1])) < 290_000
    assert report.Settings().all_map_rows // 50 == 160


def test_everything_that_lies_beside_the_scores_is_shown(folder: Path) -> None:
    text = " ".join(re.sub(r"<[^>]*>", " ", (folder / "report.html").read_text(encoding="utf-8")).split())
    for words in (
        "Of 5 tasks: Yes on 3",
        "The audit of leaks: 2 tasks pass, 2 tasks warn, 1 task fails.",
        "First 20 of 40 findings; all are in audit/task01.tsv",
        "For the score of kmer6 with 100 labels per class, ours needs 2.6 times fewer (at most 38 labels per class)",
        "From 400 labels per class on, ours is no longer shown to be better than kmer6.",
        "On the 1,200 test rows that the audit found clean, ours gets",
        "6-mer profile, ECE 0.080",
        "ours gives another answer for 3.0 % of 1,500 test rows; its scores on the two strands correlate by 0.970.",
        "scratch (trained end to end) against kmer6 (frozen), by labels: below it at 10, 100.",
        "adjusted Rand index",
        "7 jobs took 17.9 min",
        "An encoder (855,040 parameters) was pretrained without labels by self_genomenet for 1,000 steps",
        "R² : the share of the variance",
    ):
        assert words in text, words


def test_a_folder_without_them_says_little_and_breaks_nothing(folder: Path, tmp_path: Path) -> None:
    import shutil

    bare = shutil.copytree(folder, tmp_path / "bare")
    for name in ("audit", "clusters", "tasks", "benchmarks", "embeddings"):
        shutil.rmtree(bare / name)
    for path in (bare / "scores").iterdir():
        if path.name.count(".") > 1 and not path.name.endswith("comparisons.tsv"):
            path.unlink()
    report.run(bare, tmp_path / "r.html", report.Settings())
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    for words in ("Does the strand matter", "Clusters found", "Are the probabilities", "may leak", 'id="audit"'):
        assert words not in text, words
    assert "nothing is known of time and memory" in text
