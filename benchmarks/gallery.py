"""Pictures of a report for docs/gallery.md, taken by a headless Chromium.

    python benchmarks/gallery.py results/demo/report.html --out docs/gallery

Exit 2 where there is no browser.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import tempfile
from pathlib import Path

import browser

MARGIN = 16  # pixels around what is shown
SHOTS = {  # name: the heading that it begins with, and the one before which it ends
    "verdict": ("Verdict on", "How to read this"),
    "audit": ("Audit:", "First 20 of"),
    "pretraining": ("How pretraining went", "Are the vectors healthy"),
    "rivals": ("The pretrained encoder against", "How many labels are needed"),
    "labels": ("How many labels are needed", "Balanced accuracy, logistic regression"),
    "confusion": ("Which classes are mistaken", "Each class:"),
    "calibration": ("Are the probabilities", "embeddingECE"),
    "map": ("A map of the embeddings", "What it took"),
}
PLACE = """(() => {
  const place = start => {
    const all = [...document.querySelectorAll('h2, h3, table, summary')];
    const found = all.find(e => e.textContent.trim().startsWith(start) && e.getBoundingClientRect().height);
    return found ? found.getBoundingClientRect().top + scrollY : null;
  };
  const body = document.querySelector('h1').getBoundingClientRect();
  return [place(%s), place(%s), body.left, body.width];
})()"""


def shoot(chromium: browser.Browser, first: str, until: str) -> bytes:
    """PNG of the page from one heading to another."""
    top, bottom, left, width = chromium.run(PLACE % (json.dumps(first), json.dumps(until)))
    if top is None or bottom is None or bottom <= top:
        raise LookupError(f"the report has no part from {first!r} to {until!r}")
    clip = {"x": left - MARGIN, "y": top - MARGIN, "width": width + 2 * MARGIN, "height": bottom - top, "scale": 1}
    found = chromium.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
    return base64.b64decode(found["data"])


def main() -> int:
    """Open the report and write one PNG for each of SHOTS."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    if browser.find() is None:
        sys.stderr.write(f"gallery: no browser (looked for {', '.join(browser.NAMES)})\n")
        return 2
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, browser.Browser(Path(scratch)) as chromium:
        chromium.open(asked.report.resolve().as_uri())
        for name, (first, until) in SHOTS.items():
            (asked.out / f"{name}.png").write_bytes(shoot(chromium, first, until))
    return 0


if __name__ == "__main__":
    sys.exit(main())
