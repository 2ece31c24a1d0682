"""Numbers in, SVG out: the report's figures, with text as text, no embedded fonts, no dates and no random ids.

Names come from users' files: they are drawn as plain text (no mathematics, no markup) and escaped by the SVG writer.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genossl.evaluation.ranking import Standing
from genossl.evaluation.verdict import Comparison, shots_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, FAINT = "#1b1f24", "#5b6470", "#d5d9de"
# Okabe and Ito (2008) without its yellow, then four of Tol's muted scheme: told apart with any colour vision
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#8c6d1f", "#332288", "#882255", "#44aa99", "#999933")
MARKERS = "os^DvPX*<>"
ROLES = {"ours": "#0b4f8a", "untrained": "#5b6470", "paper": "#882255", "kmer_mlp": "#007a5a", "gc": "#a0a6ae"}
REFERENCE_DASHES: Any = ((0, (5, 2)), (0, (2, 1.5)), (0, (6, 1.5, 1, 1.5)), (0, (1, 1)))
KMER_COLOURS = ("#f2a65a", "#e8853a", "#d2691e", "#9c4a12")
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


def shown(name: object, width: int = 26) -> str:
    """A name as a figure can show it: one line, printable, cut with an ellipsis."""
    text = "".join("�" if unicodedata.category(letter)[0] == "C" else letter for letter in str(name))
    return text if len(text) <= width else text[: width - 1] + "…"


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


def forest(comparisons: Sequence[Comparison], names: Mapping[str, str], ours: str) -> str:
    """Ours minus each baseline: a dot and its 95 % interval beside the line of no difference."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axvline(0, color=INK, linewidth=1)
        for y, c in enumerate(reversed(comparisons)):
            ink = {"yes": ROLES["ours"], "no": "#b3261e", "tie": MUTED}[c.outcome]
            axes.plot([c.low, c.high], [y, y], color=ink, linewidth=2.4, solid_capstyle="butt")
            axes.plot(
                c.difference, y, "o", color=ink, markersize=7, markerfacecolor="white" if c.outcome == "tie" else ink
            )
        axes.set_yticks(
            range(len(comparisons)), [shown(names.get(c.baseline, c.baseline), 44) for c in reversed(comparisons)]
        )
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(-0.6, len(comparisons) - 0.4)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -0.02), max(high, 0.02))
        what = f"{shown(names.get(ours, ours), 40)} minus baseline, balanced accuracy"
        axes.set_xlabel(f"{what}\n← baseline better · ours better →")

    size = (9.4, 0.95 + 0.3 * len(comparisons))
    return _svg(
        f"forest-{key_of(comparisons)}", "Differences between ours and each baseline with 95 % intervals", size, draw
    )


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
    panels: Mapping[str, pd.DataFrame], order: Sequence[str], names: Mapping[str, str], key: str
) -> str:
    """Balanced accuracy against labels per class, one line and interval band per embedding, one panel per head.

    `panels`: title -> rows with embedding, shots, value, low, high. "all" is drawn to the right of the largest count.
    """
    shots = sorted({s for rows in panels.values() for s in rows["shots"]}, key=shots_order)
    finite = [shots_order(s) for s in shots if shots_order(s) < np.inf]
    place = {s: shots_order(s) if shots_order(s) < np.inf else 2.5 * max(finite, default=1) for s in shots}
    floor = max(min((float(rows["low"].fillna(rows["value"]).min()) for rows in panels.values()), default=0) - 0.02, 0)

    def style(name: str) -> dict[str, Any]:
        number = [n for n in order if re.match(r"kmer\d+$", n)].index(name) if re.match(r"kmer\d+$", name) else None
        dashes = ((0, ()), (0, (5, 1.5)), (0, (3, 1.5)), (0, (1.5, 1.5)))
        line = dashes[number % 4] if number is not None else "-"
        return {
            "linestyle": line,
            "linewidth": 2.8 if name == order[0] else 1.6,
            "marker": "o" if name == order[0] else ".",
        }

    def draw(figure: Figure) -> None:
        ratios = [1.35] + [1] * (len(panels) - 1)
        grid = np.atleast_1d(figure.subplots(1, len(panels), sharey=True, width_ratios=ratios))
        for axes, (title, rows) in zip(grid, panels.items(), strict=True):
            for name in reversed(order):
                line = rows[rows["embedding"] == name].sort_values("shots", key=lambda s: s.map(shots_order))
                x = line["shots"].map(place).to_numpy(float)
                ink = colour(name, order)
                axes.fill_between(
                    x, line["low"].to_numpy(float), line["high"].to_numpy(float), color=ink, alpha=0.13, linewidth=0
                )
                axes.plot(x, line["value"].to_numpy(float), color=ink, **style(name))
            axes.set_xscale("log")
            axes.set_xticks([place[s] for s in shots], shots)
            axes.minorticks_off()
            axes.set_xlabel("labels per class (log scale)")
            axes.set_title(title)
        grid[0].set_ylabel("balanced accuracy")
        grid[0].set_ylim(floor, 1.01 if any(rows["high"].max() > 0.97 for rows in panels.values()) else None)
        handles = [
            _line(colour(n, order), style(n)["linewidth"], style(n)["linestyle"], style(n)["marker"]) for n in order
        ]
        figure.legend(handles, [shown(names.get(n, n), 44) for n in order], loc="outside lower left", ncols=3)

    return _svg(f"curves-{key}", "Balanced accuracy by labels per class", (10.2, 4.6 + 0.2 * -(-len(order) // 3)), draw)


def ranked(standings: Sequence[Standing], references: Mapping[str, float], key: str) -> str:
    """Balanced accuracy of compared methods: mean and 95 % interval over seeds, each seed a ring; references dashed."""
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
        axes.set_xlabel("balanced accuracy")
        handles = [_line(ROLES["ours"], 2.4, "-", "o"), _line(MUTED, 0, "", "o")]
        handles[1].set_markerfacecolor("none")
        texts = ["mean and 95 % interval over seeds", "one seed"]
        for i, name in enumerate(references):
            ink = KMER_COLOURS[2] if name.startswith("kmer") else MUTED
            handles.append(_line(ink, 1.4, REFERENCE_DASHES[i % len(REFERENCE_DASHES)], ""))
            texts.append(f"best k-mers ({name})" if name.startswith("kmer") else shown(name, 40))
        figure.legend(handles, texts, loc="outside lower left", ncols=3)

    size = (9.4, 1.5 + 0.3 * len(order) + 0.2 * (len(references) // 3))
    return _svg(f"ranked-{key}", "Balanced accuracy of the compared methods with 95 % intervals over seeds", size, draw)


def costs(points: Sequence[tuple[str, float, float | None, float | None]], key: str) -> str:
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
        grid[0].set_ylabel("balanced accuracy")
        handles = [_line(inks[name], 0, "", _marker(i)) for i, (name, *_) in enumerate(points)]
        figure.legend(handles, [shown(point[0], 40) for point in points], loc="outside lower left", ncols=4)

    size = (4.9 * len(panels), 3.6 + 0.2 * -(-len(points) // 4))
    return _svg(f"costs-{key}", "Balanced accuracy of the compared methods by time and operations", size, draw)


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


def confusion(matrices: Mapping[str, pd.DataFrame], key: str) -> str:
    """Confusion matrices side by side: rows true, columns predicted, shares of the row; `matrices`: title -> counts."""

    def draw(figure: Figure) -> None:
        grid = np.atleast_1d(figure.subplots(1, len(matrices), sharey=True))
        for axes, (title, counts) in zip(grid, matrices.items(), strict=True):
            shares = counts.to_numpy(float) / np.maximum(counts.to_numpy(float).sum(axis=1, keepdims=True), 1)
            k = len(shares)
            axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1)
            if k <= 12:
                for (i, j), share in np.ndenumerate(shares):
                    text = "0" if share == 0 else "<1" if share < 0.005 else f"{100 * share:.0f}"
                    axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", color="white" if share > 0.55 else INK)
            ticks = range(0, k, max(1, k // 30))
            rows, columns = list(counts.index), list(counts.columns)
            axes.set_xticks(
                [i + 0.5 for i in ticks],
                [shown(columns[i], 18) for i in ticks],
                rotation=35,
                ha="right",
                rotation_mode="anchor",
            )
            axes.set_yticks([i + 0.5 for i in ticks], [shown(rows[i], 22) for i in ticks])
            axes.tick_params(length=0, labelcolor=INK)
            axes.set_ylim(k, 0)
            axes.set_xlim(0, k)
            axes.set_aspect("equal")
            axes.grid(visible=False)
            axes.spines[["left", "bottom"]].set_visible(False)
            axes.set_title(shown(title, 48))
            axes.set_xlabel("predicted class")
        grid[0].set_ylabel("true class (cells: % of the row)")

    return _svg(f"confusion-{key}", "Confusion matrices", (4.9 * len(matrices) + 0.6, 4.9), draw)


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


def maps(points: Mapping[str, np.ndarray], labels: Mapping[str, Sequence[str]], key: str) -> str:
    """2-D maps side by side, a colour and a shape per label; `points`: title -> (n, 2), `labels`: title -> n labels."""
    counts = pd.Series([label for column in labels.values() for label in column]).value_counts(sort=False)
    classes = sorted(counts.index, key=lambda label: (-counts[label], label))
    drawn = sorted(classes[:20])  # more cannot be told apart

    def draw(figure: Figure) -> None:
        grid = np.atleast_1d(figure.subplots(1, len(points)))
        for axes, (title, xy) in zip(grid, points.items(), strict=True):
            here = np.array(labels[title], dtype=object)
            _cloud(axes, xy[~np.isin(here, drawn)], FAINT, "o")
            for i, label in enumerate(drawn):
                _cloud(axes, xy[here == label], PALETTE[i % len(PALETTE)], _marker(i))
            axes.set_title(shown(title, 48))
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel("t-SNE 1 (no unit)")
            axes.set_ylabel("t-SNE 2 (no unit)")
            axes.set_box_aspect(1)
        handles = [_line(PALETTE[i % len(PALETTE)], 0, "", _marker(i)) for i in range(len(drawn))]
        texts = [shown(label, 30) for label in drawn]
        if len(classes) > len(drawn):
            handles.append(_line(FAINT, 0, "", "o"))
            texts.append(f"{len(classes) - len(drawn)} further labels")
        figure.legend(handles, texts, loc="outside lower left", ncols=4 if max(map(len, texts)) < 22 else 3)

    return _svg(
        f"map-{key}", "Two-dimensional maps of embeddings", (5.1 * len(points), 5.3 + 0.2 * (len(drawn) // 4)), draw
    )


def _marker(i: int) -> str:
    return MARKERS[(i + i // len(PALETTE)) % len(MARKERS)]


def _cloud(axes: Axes, xy: np.ndarray, ink: str, marker: str) -> None:
    if len(xy):
        axes.plot(xy[:, 0], xy[:, 1], marker, color=ink, markersize=4, markeredgewidth=0, alpha=0.75)
