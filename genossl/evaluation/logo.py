"""Attributions as letters: each base as tall as what hangs on it, above the line where it speaks for the decision."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from genossl.evaluation.figures import RC
from genossl.evaluation.svg import MUTED, shown

COLOURS = {"A": "#009e73", "C": "#0072b2", "G": "#e69f00", "T": "#d55e00"}  # Okabe and Ito (2008)
WIDTH, HEIGHT = 7.2, 1.55  # inches of the picture, and of a panel


class Panel(NamedTuple):
    """A stretch of a sequence: its letters, their attributions, the region in it, and what to call it."""

    letters: str
    attribution: Sequence[float]
    region: tuple[int, int]  # of the letters, half-open
    title: str
    x: Sequence[int]  # the position of each letter


def logo(panels: Sequence[Panel], unit: str) -> str:
    """SVG with a panel below the other, all on one scale; unit: of the attributions."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**RC, "axes.grid": False, "svg.hashsalt": "genossl logo"}):
        figure = Figure(figsize=(WIDTH, HEIGHT * max(1, len(panels)) + 0.3))
        FigureCanvasSVG(figure)
        low = min((min(panel.attribution) for panel in panels), default=0)
        high = max((max(panel.attribution) for panel in panels), default=1)
        axes = figure.subplots(max(1, len(panels)), 1, squeeze=False)[:, 0]
        for ax, panel in zip(axes, panels, strict=False):
            _draw(ax, panel, (min(low, 0) * 1.08, max(high, 1e-12) * 1.08))
        figure.supylabel(unit, fontsize=10)
        axes[-1].set_xlabel("position, bases")
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return re.sub(r"(\d\.\d\d)\d+", r"\1", stream.getvalue())  # hundredths of a point: half the size


def _draw(ax: Any, panel: Panel, limits: tuple[float, float]) -> None:
    ax.axvspan(panel.region[0] - 0.5, panel.region[1] - 0.5, color="#eef2f6", lw=0, zorder=0)
    ax.axhline(0, color=MUTED, lw=0.6)
    for i, (letter, height) in enumerate(zip(panel.letters, panel.attribution, strict=True)):
        if letter in COLOURS and height:
            ax.add_patch(_letter(letter, i, height))
    ax.set(xlim=(-0.5, len(panel.letters) - 0.5), ylim=limits)
    at = range(0, len(panel.letters), 5)
    ax.set_xticks(list(at), [f"{panel.x[i]:,}" for i in at])
    ax.set_title(shown(panel.title, 90), fontsize=9.5, fontweight="normal")


def _letter(letter: str, at: float, height: float) -> Any:
    """The outline of a letter in the box of width 0.92 around `at`, from 0 to `height`; pale below the line."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    outline = TextPath((0, 0), letter, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    box = outline.get_extents()
    place = Affine2D().translate(-box.x0, -box.y0).scale(0.92 / box.width, abs(height) / box.height)
    place.translate(at - 0.46, min(height, 0))
    return PathPatch(place.transform_path(outline), color=COLOURS[letter], lw=0, alpha=1 if height > 0 else 0.45)
