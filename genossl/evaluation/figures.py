"""Numbers in, SVG out: the report's figures, with text as text, no embedded fonts, no dates and no random ids.

Figures of the whole collection are drawn by matplotlib, those of one task, which may be many, by evaluation.svg.
Names come from users' files: they are drawn as plain text (no mathematics, no markup) and escaped by the SVG writer.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genossl.evaluation import svg
from genossl.evaluation.ranking import Standing
from genossl.evaluation.svg import INK, MUTED, shown
from genossl.evaluation.verdict import Comparison, shots_order, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito (2008) without its yellow, then four of Tol's muted scheme: told apart with any colour vision
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#8c6d1f", "#332288", "#882255", "#44aa99", "#999933")
MARKERS = "os^DvPX*<>"
ROLES = {"ours": "#0b4f8a", "untrained": "#5b6470", "paper": "#882255", "kmer_mlp": "#007a5a", "gc": "#a0a6ae"}
REFERENCE_DASHES: Any = ((0, (5, 2)), (0, (2, 1.5)), (0, (6, 1.5, 1, 1.5)), (0, (1, 1)))
KMER_COLOURS = ("#f2a65a", "#e8853a", "#d2691e", "#9c4a12")
OUTCOMES = {"yes": ROLES["ours"], "no": "#b3261e", "tie": MUTED}
DASHES = ("", "9 3", "5 3", "2 3")  # of k-mer profiles, by their order
BLUES = ("#e3eef8", "#cfe1f2", "#b5d4e9", "#93c3df", "#6daed5", "#4b97c9", "#2f7ebc", "#1864aa", "#0a4a90", "#08306b")
RC: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8eaed",
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def _svg(name: str, title: str, size: tuple[float, float], draw: Callable[[Figure], None]) -> str:
    """Draw and return one <svg> element for an HTML page; `title` is read aloud in place of the figure."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**RC, "svg.hashsalt": f"genossl {name}"}):
        figure = Figure(figsize=size)
        FigureCanvasSVG(figure)
        draw(figure)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_page(stream.getvalue(), name, title)


def _for_page(text: str, name: str, title: str) -> str:
    """Drop the prolog, metadata, comments and unused ids, make the used ids unique to the page, and use its font."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = text.replace("xlink:href=", "href=")
    used = set(re.findall(r'"#([^"]+)"|url\(#([^)]+)\)', text))
    names = {one or other for one, other in used}
    text = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in names else "", text)
    text = re.sub(r'"#([^"]+)"', lambda m: f'"#{name}-{m[1]}"' if m[1] in names else m[0], text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 system-ui, sans-serif", text)
    text = re.sub(
        r'(?<= )(?:d|x|y|transform|width|height)="[^"<>]*"', lambda m: re.sub(r"(\d\.\d\d)\d+", r"\1", m[0]), text
    )
    text = re.sub(r"\n\s*", "\n", text)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    width = float(box[1]) * 4 / 3 if box else 960
    head = (
        f'<svg role="img" aria-label="{_attribute(title)}" viewBox="{box[0][9:-1] if box else ""}" '
        f'style="max-width: {width:.0f}px" '
    )
    return re.sub(r"<svg[^>]*?>", head.rstrip() + ">", text, count=1).strip()


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def colour(name: str, names: Sequence[str]) -> str:
    """One colour per embedding, the same in all figures: k-mer profiles in oranges, ours in dark blue."""
    if name in ROLES:
        return ROLES[name]
    kmers = [other for other in names if re.match(r"kmer\d+$", other)]
    if name in kmers:
        return KMER_COLOURS[kmers.index(name) * (len(KMER_COLOURS) - 1) // max(len(kmers) - 1, 1)]
    rest = [other for other in names if other not in ROLES and other not in kmers]
    return ("#7b4ea3", "#56b4e9", "#cc79a7", "#8c6d1f", "#44aa99")[rest.index(name) % 5 if name in rest else 0]


def forest(comparisons: Sequence[Comparison], names: Mapping[str, str], ours: str, measure: str) -> str:
    """Ours minus each baseline: a dot and its 95 % interval beside the line of no difference."""
    texts = [shown(names.get(c.baseline, c.baseline), 44) for c in comparisons]
    left, row = min(330.0, max(map(svg.wide, texts)) + 16), 29
    page = svg.Drawing(900, 12 + row * len(comparisons) + 66, "Differences between ours and each baseline")
    low = min(-0.02, min(c.low for c in comparisons))
    high = max(0.02, max(c.high for c in comparisons))
    spare = 0.04 * (high - low)
    box = (left, 8.0, 900 - left - 12, float(row * len(comparisons)))
    axes = svg.Axes(page, box, (low - spare, high + spare), (len(comparisons) - 0.5, -0.5))
    axes.frame("", "", "", svg.spelled(svg.ticks(low - spare, high + spare, 9)), [])
    page.line([axes.at(0, -0.5), axes.at(0, len(comparisons) - 0.5)], INK)
    for i, (c, text) in enumerate(zip(comparisons, texts, strict=True)):
        ink = OUTCOMES[c.outcome]
        page.line([axes.at(c.low, i), axes.at(c.high, i)], ink, 2.6)
        told = f"{names.get(c.baseline, c.baseline)}: {signed(c.difference)} ({signed(c.low)} to {signed(c.high)})"
        page.dot(*axes.at(c.difference, i), ink, 4.6, hollow=c.outcome == "tie", title=shown(told, 90))
        page.text(left - 10, axes.at(0, i)[1] + 4.5, text, anchor="end")
    what = f"{shown(names.get(ours, ours), 40)} minus baseline, {measure}"
    for y, words in ((box[3] + 44, what), (box[3] + 61, "← baseline better · ours better →")):
        page.text(left + box[2] / 2, y, words, anchor="middle")
    return page.svg("told")


def key_of(value: object) -> str:
    """Eight letters that differ between figures, safe as part of an id whatever the names are."""
    import hashlib

    return hashlib.sha256(repr(value).encode()).hexdigest()[:8]


def thinned(x: np.ndarray, y: np.ndarray, points: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Means over equal stretches of steps, at most `points` of them, so that a long log stays a small figure."""
    if len(x) <= points:
        return x, y
    parts = np.array_split(np.arange(len(x)), points)
    return np.array([x[part].mean() for part in parts]), np.array([np.nanmean(y[part]) for part in parts])


def pretraining(logs: Mapping[str, pd.DataFrame], names: Mapping[str, str]) -> str:
    """Loss and top-1 against bases seen, per run: training thin, held-out validation with dots; chance dashed."""

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 2)
        for run, log in logs.items():
            ink = colour(run, list(logs))
            for split, style in (
                ("train", {"linewidth": 1, "alpha": 0.55}),
                ("validation", {"marker": "o", "markersize": 4}),
            ):
                rows = log[(log["split"] == split) & log["bases"].notna()].sort_values("bases")
                for axes, what in zip(panels, ("loss", "top1"), strict=True):
                    line = rows[rows[what].notna()]
                    x, y = thinned(line["bases"].to_numpy(float) / 1e6, line[what].to_numpy(float))
                    axes.plot(x, y, color=ink, **style)
        for chance in chances(logs):
            panels[1].axhline(chance, color=INK, linewidth=1, linestyle=(0, (4, 3)))
            panels[1].annotate(
                f"chance {chance:.3g}", (1, chance), (0, 3), ("axes fraction", "data"), textcoords="offset points",
                ha="right", va="bottom", color=INK, fontsize=9.5,
            )  # fmt: skip
        for axes, title in zip(
            panels, ("Loss of the pretext task", "Top-1: partner found among the candidates"), strict=True
        ):
            axes.set_title(title)
            axes.set_xlabel("bases seen (Mbp)")
            axes.set_xlim(left=0)
        panels[0].set_ylabel("loss (nats)")
        panels[1].set_ylabel("share of anchors")
        panels[1].set_ylim(bottom=0)
        handles = [_line(colour(run, list(logs)), 2, "-", "") for run in logs]
        handles += [_line(MUTED, 1, "-", ""), _line(MUTED, 1.5, "-", "o")]
        texts = [shown(names.get(run, run), 44) for run in logs] + ["training windows", "held-out validation genomes"]
        figure.legend(handles, texts, loc="outside lower left", ncols=3)

    return _svg("pretraining", "Loss and top-1 accuracy during pretraining", (10.2, 4.3 + 0.2 * (len(logs) // 3)), draw)


def chances(logs: Mapping[str, pd.DataFrame]) -> list[float]:
    """The distinct chance levels, 1 / candidates, of all runs."""
    candidates = pd.concat([log["candidates"] for log in logs.values()]).dropna()
    return [1 / count for count in sorted(set(candidates.round().astype(int))) if count > 0][:3]


def _line(ink: str, width: float, style: Any, marker: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=ink, linewidth=width, linestyle=style, marker=marker, markersize=5)


def label_efficiency(
    panels: Mapping[str, pd.DataFrame], order: Sequence[str], names: Mapping[str, str], measure: str, per: str
) -> str:
    """A measure against the number of labels, one line and interval band per embedding, one panel per head.

    `panels`: title -> rows with embedding, shots, value, low, high. "all" is drawn to the right of the largest count.
    """
    shots = sorted({s for rows in panels.values() for s in rows["shots"]}, key=shots_order)
    finite = [shots_order(s) for s in shots if shots_order(s) < np.inf]
    place = {s: shots_order(s) if shots_order(s) < np.inf else 2.5 * max(finite, default=1) for s in shots}
    x = {s: float(np.log(max(value, 1e-9))) for s, value in place.items()}
    texts = [shown(names.get(name, name), 44) for name in order]
    rows = svg.legend_rows(texts, 930)
    columns = min(len(panels), 2)
    height = 345 * -(-len(panels) // columns)
    page = svg.Drawing(980, height + 22 * len(rows), f"{measure} by {per}")
    low, high = _limits(
        [value for table in panels.values() for value in (*table["low"], *table["high"], *table["value"])]
    )
    kmers = [name for name in order if re.match(r"kmer\d+$", name)]
    for i, (title, table) in enumerate(panels.items()):
        width = (980 - 70 - 30 * (columns - 1)) / columns
        box = (60 + (i % columns) * (width + 30), 28.0 + 345 * (i // columns), width, 262.0)
        axes = svg.Axes(page, box, (min(x.values()) - 0.15, max(x.values()) + 0.15), (low, high))
        numbers = [(x[s], s) for s in shots]
        axes.frame(
            title, f"{per} (log scale)", "" if i % columns else measure, numbers, svg.spelled(svg.ticks(low, high)),
            numbers=i % columns == 0,
        )  # fmt: skip
        for name in reversed(order):
            line = table[table["embedding"] == name].sort_values("shots", key=lambda s: s.map(shots_order))
            line = line[line["value"].notna()]
            if line.empty:
                continue
            at = [x[s] for s in line["shots"]]
            ink = colour(name, order)
            sides = line[["low", "high"]].fillna({"low": line["value"], "high": line["value"]})
            band = [axes.at(*p) for p in zip(at, sides["high"], strict=True)]
            page.area([*band, *reversed([axes.at(*p) for p in zip(at, sides["low"], strict=True)])], ink)
            points = [axes.at(*p) for p in zip(at, line["value"], strict=True)]
            first = name == order[0]
            page.line(points, ink, 3 if first else 1.8, DASHES[kmers.index(name) % 4] if name in kmers else "")
            page.dots(points, ink, 4 if first else 2.4)
    for i, cells in enumerate(rows):
        for across, k in cells:
            name, y = order[k], height + 22 * i + 4
            dash = DASHES[kmers.index(name) % 4] if name in kmers else ""
            page.line([(20 + across, y), (46 + across, y)], colour(name, order), 3 if k == 0 else 1.8, dash)
            page.dot(33 + across, y, colour(name, order), 4 if k == 0 else 2.4)
            page.text(54 + across, y + 4.5, texts[k])
    return page.svg()


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis that holds all values; a share stays between 0 and 1, with room above a 1."""
    known = [float(value) for value in values if np.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    spare = 0.05 * (high - low) or 0.05
    share = low >= 0 and high <= 1
    return (max(low - spare, 0.0) if share else low - spare), (min(high + spare, 1.01) if share else high + spare)


def ranked(standings: Sequence[Standing], references: Mapping[str, float], key: str, measure: str) -> str:
    """Score of compared methods: mean and 95 % interval over seeds, each seed a ring; references dashed."""
    order = list(reversed(standings))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for y, s in enumerate(order):
            if s.score.low < s.score.high:
                axes.plot(
                    [s.score.low, s.score.high], [y, y], color=ROLES["ours"], linewidth=2.4, solid_capstyle="butt"
                )
            seeds = list(s.seeds.values())
            axes.plot(seeds, [y] * len(seeds), "o", color=MUTED, markersize=4.5, markerfacecolor="none")
            axes.plot(s.score.mean, y, "o", color=ROLES["ours"], markersize=7.5)
        for i, (name, value) in enumerate(references.items()):
            ink = KMER_COLOURS[2] if name.startswith("kmer") else MUTED
            axes.axvline(value, color=ink, linewidth=1.4, linestyle=REFERENCE_DASHES[i % len(REFERENCE_DASHES)])
        axes.set_yticks(range(len(order)), [shown(s.group, 40) for s in order])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(-0.6, len(order) - 0.4)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(measure)
        handles = [_line(ROLES["ours"], 2.4, "-", "o"), _line(MUTED, 0, "", "o")]
        handles[1].set_markerfacecolor("none")
        texts = ["mean and 95 % interval over seeds", "one seed"]
        for i, name in enumerate(references):
            ink = KMER_COLOURS[2] if name.startswith("kmer") else MUTED
            handles.append(_line(ink, 1.4, REFERENCE_DASHES[i % len(REFERENCE_DASHES)], ""))
            texts.append(f"best k-mers ({name})" if name.startswith("kmer") else shown(name, 40))
        figure.legend(handles, texts, loc="outside lower left", ncols=3)

    size = (9.4, 1.5 + 0.3 * len(order) + 0.2 * (len(references) // 3))
    return _svg(f"ranked-{key}", f"{measure} of the compared methods with 95 % intervals over seeds", size, draw)


def costs(points: Sequence[tuple[str, float, float | None, float | None]], key: str, measure: str) -> str:
    """Score against time and against floating-point operations, a dot per method; `points`: name, score, s, FLOP."""
    from matplotlib.ticker import LogLocator

    panels = [(2, "time of one run (s, log scale)"), (3, "operations of one run (TFLOP, log scale)")]
    panels = [(at, label) for at, label in panels if any(point[at] for point in points)]

    def draw(figure: Figure) -> None:
        grid = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
        inks = {name: PALETTE[i % len(PALETTE)] for i, (name, *_) in enumerate(points)}
        for axes, (at, label) in zip(grid, panels, strict=True):
            for i, point in enumerate(points):
                if point[at]:
                    x = float(point[at] or 0) / (1e12 if at == 3 else 1)
                    axes.plot(x, point[1], _marker(i), color=inks[point[0]], markersize=8)
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
            axes.minorticks_off()
            low, high = axes.get_xlim()
            axes.set_xlim(low / 1.5, high * 1.5)
            axes.set_xlabel(label)
        grid[0].set_ylabel(measure)
        handles = [_line(inks[name], 0, "", _marker(i)) for i, (name, *_) in enumerate(points)]
        figure.legend(handles, [shown(point[0], 40) for point in points], loc="outside lower left", ncols=4)

    size = (4.9 * len(panels), 3.6 + 0.2 * -(-len(points) // 4))
    return _svg(f"costs-{key}", f"{measure} of the compared methods by time and operations", size, draw)


def losses(logs: Mapping[str, pd.DataFrame]) -> str:
    """The loss of each compared method in a panel of its own: losses of different pretexts have no common scale."""
    columns = min(4, len(logs))
    rows = -(-len(logs) // columns)

    def draw(figure: Figure) -> None:
        grid = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
        for axes, (name, log) in zip(grid, logs.items(), strict=False):
            for split, style in (
                ("train", {"color": MUTED, "linewidth": 1}),
                ("validation", {"color": ROLES["ours"], "marker": "o", "markersize": 4}),
            ):
                line = log[(log["split"] == split) & log["bases"].notna() & log["loss"].notna()].sort_values("bases")
                x, y = thinned(line["bases"].to_numpy(float) / 1e6, line["loss"].to_numpy(float), 80)
                axes.plot(x, y, **style)
            axes.set_title(shown(name, 24), fontsize=10)
            axes.set_xlim(left=0)
            axes.set_xlabel("bases seen (Mbp)")
        for axes in grid[::columns]:
            axes.set_ylabel("loss")
        for axes in grid[len(logs) :]:
            axes.set_visible(False)
        handles = [_line(MUTED, 1, "-", ""), _line(ROLES["ours"], 1.5, "-", "o")]
        figure.legend(handles, ["training windows", "held-out validation genomes"], loc="outside lower left", ncols=2)

    return _svg("losses", "Loss of each compared method during pretraining", (2.55 * columns, 2.1 * rows + 0.4), draw)


def confusion(matrices: Mapping[str, pd.DataFrame]) -> str:
    """Confusion matrices side by side: rows true, columns predicted, shares of the row; `matrices`: title -> counts.

    Cells of a colour are one shape, and what rounds to nothing is white, so that a hundred classes stay a small figure.
    """
    first = next(iter(matrices.values()))
    rows, columns = [shown(name, 22) for name in first.index], [shown(name, 18) for name in first.columns]
    left = min(175.0, max(map(svg.wide, rows)) + 14) + 22
    below = 0.62 * min(150.0, max(map(svg.wide, columns))) + 34
    side = min(400.0, (980 - left - 30 * (len(matrices) - 1) - 8) / len(matrices))
    page = svg.Drawing(left + (side + 30) * len(matrices), 34 + side + below + 10, "Confusion matrices")
    for i, (title, counts) in enumerate(matrices.items()):
        shares = counts.to_numpy(float) / np.maximum(counts.to_numpy(float).sum(axis=1, keepdims=True), 1)
        _matrix(page, shares, left + i * (side + 30), 28.0, side)
        page.text(left + i * (side + 30), 17, shown(title, 48), bold=True, size=14)
        cell, every = side / len(shares), range(0, len(shares), max(1, len(shares) // 30))
        for k in every:
            at = left + i * (side + 30) + (k + 0.5) * cell
            page.text(at, 28 + side + 14, columns[k], anchor="end", turn=-35)
            if i == 0:
                page.text(left - 8, 28 + (k + 0.5) * cell + 4.5, rows[k], anchor="end")
        middle = left + i * (side + 30) + side / 2
        page.text(middle, 28 + side + below + 6, "predicted class", anchor="middle")
    page.text(12, 28 + side / 2, "true class (cells: % of the row)", anchor="middle", turn=-90)
    return page.svg()


def _matrix(page: svg.Drawing, shares: np.ndarray, left: float, top: float, side: float) -> None:
    cell = side / len(shares)
    gap = 1.0 if cell > 6 else 0.0
    page.rectangles([(left, top, side, side)], "#f4f7fa")
    shade = np.minimum((shares * len(BLUES)).astype(int), len(BLUES) - 1)
    for level, ink in enumerate(BLUES):
        painted = (shade == level) & (shares >= 0.005)
        runs = [(i, *run) for i, row in enumerate(painted) for run in _runs(row, merged=gap == 0)]
        page.rectangles(((left + j * cell, top + i * cell, n * cell - gap, cell - gap) for i, j, n in runs), ink)
    if len(shares) <= 12:
        for (i, j), share in np.ndenumerate(shares):
            text = "0" if share == 0 else "<1" if share < 0.005 else f"{100 * share:.0f}"
            page.text(
                left + (j + 0.5) * cell, top + (i + 0.5) * cell + 4.5, text, anchor="middle",
                ink="#fff" if share > 0.5 else INK,
            )  # fmt: skip


def _runs(row: np.ndarray, merged: bool) -> list[tuple[int, int]]:
    """(start, length) of what is true in a row, neighbours as one where they touch."""
    if not merged:
        return [(int(j), 1) for j in np.flatnonzero(row)]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def two_dimensions(vectors: np.ndarray, seed: int = 0) -> np.ndarray:
    """Standardise, PCA to 50, t-SNE to (n, 2). Neighbours mean something; distances between clouds and axes do not."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    x_NC = np.asarray(vectors, dtype=np.float64)
    x_NC = (x_NC - x_NC.mean(axis=0)) / np.where(x_NC.std(axis=0) > 1e-12, x_NC.std(axis=0), 1)
    n = len(x_NC)
    if n < 4:
        raise ValueError(f"a map needs at least 4 rows, got {n}")
    components = min(50, x_NC.shape[1], n - 1)
    if components > 1:
        x_NC = PCA(components, svd_solver="full", random_state=seed).fit_transform(x_NC)
    if x_NC.shape[1] < 2:
        x_NC = np.column_stack([x_NC, np.zeros(n)])
    return TSNE(2, perplexity=min(30.0, (n - 1) / 3), init="pca", random_state=seed, n_jobs=1).fit_transform(x_NC)


def maps(
    points: Mapping[str, np.ndarray], labels: Mapping[str, Sequence[str]], titles: Mapping[str, Sequence[str]]
) -> str:
    """2-D maps side by side, a colour and a shape per label, a title per point that the pointer reads.

    `points`: title -> (n, 2); `labels` and `titles`: title -> n texts, a label and what a point is.
    """
    counts = pd.Series([label for column in labels.values() for label in column]).value_counts(sort=False)
    classes = sorted(counts.index, key=lambda label: (-counts[label], label))
    drawn = sorted(classes[:20])  # more cannot be told apart
    texts = [shown(label, 30) for label in drawn]
    if len(classes) > len(drawn):
        texts.append(f"{len(classes) - len(drawn)} further labels")
    side = 465.0
    width = (side + 30) * len(points) + 10
    rows = svg.legend_rows(texts, width - 20)
    page = svg.Drawing(width, side + 64 + 22 * len(rows), "Two-dimensional maps of embeddings")
    for i, (title, xy) in enumerate(points.items()):
        left, top = 22 + i * (side + 30), 28.0
        page.text(left, 17, shown(title, 48), bold=True, size=14)
        page.line([(left, top), (left, top + side), (left + side, top + side)], MUTED)
        page.text(left + side / 2, top + side + 20, "t-SNE 1 (no unit)", anchor="middle", ink=MUTED)
        page.text(left - 8, top + side / 2, "t-SNE 2 (no unit)", anchor="middle", turn=-90, ink=MUTED)
        low, high = xy.min(axis=0), xy.max(axis=0)
        at = (xy - low) / np.where(high > low, high - low, 1) * (side - 24) + [left + 12, top + 12]
        here = np.array(labels[title], dtype=object)
        told = titles[title]
        for label in [None, *drawn]:
            chosen = np.flatnonzero(~np.isin(here, drawn) if label is None else here == label)
            which = None if label is None else drawn.index(label)
            page.cloud(
                [(at[k, 0], at[k, 1], told[int(k)]) for k in chosen],
                *(("#a0a6ae", 0) if which is None else _look(which)),
            )
    for i, cells in enumerate(rows):
        for across, k in cells:
            y = side + 76 + 22 * i - 10
            page.parts.append(f'<path d="M{svg.short(28 + across)} {svg.short(y)}{svg.SHAPES[_look(k)[1] % 10]}" '
                              f'fill="{_look(k)[0] if k < len(drawn) else "#a0a6ae"}"/>')  # fmt: skip
            page.text(40 + across, y + 4.5, texts[k])
    return page.svg("told points")


def _look(i: int) -> tuple[str, int]:
    """Colour and shape of the i-th label: 20 differ in one of the two."""
    return PALETTE[i % len(PALETTE)], (i + i // len(PALETTE)) % len(svg.SHAPES)


def reliability(lines: Mapping[str, pd.DataFrame], names: Mapping[str, str], order: Sequence[str]) -> str:
    """Share of right answers against the confidence that was given, per embedding; on the dashes both agree.

    `lines`: embedding -> rows with confidence, accuracy and n, a bin each; a dot's area grows with the rows in it.
    """
    texts = [shown(names.get(name, name), 60) for name in lines]
    page = svg.Drawing(470 + 30 + max(map(svg.wide, texts)) + 40, 420, "Calibration: confidence against right answers")
    axes = svg.Axes(page, (60, 14, 340, 340), (0, 1), (0, 1))
    numbers = svg.spelled([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.frame("", "confidence of the answer", "share of right answers", numbers, numbers)
    page.line([axes.at(0, 0), axes.at(1, 1)], INK, 1, "6 4")
    for i, (name, rows) in enumerate(lines.items()):
        ink, rows = colour(name, order), rows.sort_values("confidence")
        page.line([axes.at(*p) for p in zip(rows["confidence"], rows["accuracy"], strict=True)], ink, 1.8)
        most = max(float(rows["n"].max()), 1.0)
        for confidence, accuracy, n in rows[["confidence", "accuracy", "n"]].itertuples(index=False):
            told = f"{names.get(name, name)}: confidence {confidence:.3f}, right {accuracy:.3f}, {n:,.0f} answers"
            page.dot(*axes.at(confidence, accuracy), ink, 2 + 5 * float(np.sqrt(n / most)), title=shown(told, 110))
        page.line([(430, 40 + 26 * i), (456, 40 + 26 * i)], ink, 2)
        page.dot(443, 40 + 26 * i, ink, 4)
        page.text(466, 44.5 + 26 * i, texts[i])
    return page.svg("told")


def _marker(i: int) -> str:
    return MARKERS[(i + i // len(PALETTE)) % len(MARKERS)]
