"""A page of lines, dots and words as one lean <svg>: what the figures of a task are drawn with.

The report may hold hundreds of figures; written by hand each takes a millisecond and a tenth of matplotlib's bytes.
Names come from users' files: every text is escaped here, and nothing of a name gets into an id or an attribute.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence

INK, MUTED, FAINT, GRID = "#1b1f24", "#5b6470", "#d5d9de", "#e8eaed"
SIZE = 13  # of the letters, in pixels
SHAPES = (  # around the point that they mark, some 7 pixels wide
    "m-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0",
    "m-3-3h6v6h-6z",
    "m0-4l4 7h-8z",
    "m0-4.4l4.4 4.4l-4.4 4.4l-4.4-4.4z",
    "m0 4l4-7h-8z",
    "m-1.3-4h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7v-2.6h2.7z",
    "m-4-2l2-2l2 2l2-2l2 2l-2 2l2 2l-2 2l-2-2l-2 2l-2-2l2-2z",
    "m0-4.5l1.3 3.2l3.4.1l-2.7 2.2l1 3.3l-3-1.9l-3 1.9l1-3.3l-2.7-2.2l3.4-.1z",
    "m-4 0l7-4v8z",
    "m4 0l-7-4v8z",
)


def shown(name: object, width: int = 26) -> str:
    """A name as a figure can show it: one line, printable, cut with an ellipsis."""
    text = "".join("�" if unicodedata.category(letter)[0] == "C" else letter for letter in str(name))
    return text if len(text) <= width else text[: width - 1] + "…"


def escaped(text: object) -> str:
    """A text that can stand between tags and in an attribute."""
    found = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return found.replace('"', "&quot;").replace("'", "&#39;")


def wide(text: str, size: float = SIZE) -> float:
    """About how many pixels a text takes: letters of a sans-serif, wide scripts (East Asian) at twice that."""
    return sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.54 for c in text) * size


def short(x: float) -> str:
    """A coordinate to a tenth of a pixel, without a zero too many."""
    return f"{x:.1f}".rstrip("0").rstrip(".") if abs(x) >= 0.05 else "0"


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers from low to high, at most `most` of them, in steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * m for m in (1, 2, 5, 10, 20) if span / (power * m) <= most - 1 or m == 20)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


class Drawing:
    """Shapes in the order in which they were drawn; x to the right and y down, in pixels of the page."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self.parts: list[str] = []

    def line(self, points: Sequence[tuple[float, float]], ink: str, width: float = 1, dash: str = "") -> None:
        """A line through points."""
        d = "M" + "L".join(f"{short(x)} {short(y)}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<path d="{d}" fill="none" stroke="{ink}" stroke-width="{short(width)}"{dashes}/>')

    def area(self, points: Sequence[tuple[float, float]], ink: str, opacity: float = 0.13) -> None:
        """The inside of a polygon."""
        d = "M" + "L".join(f"{short(x)} {short(y)}" for x, y in points) + "z"
        self.parts.append(f'<path d="{d}" fill="{ink}" fill-opacity="{opacity:g}"/>')

    def rectangles(self, corners: Iterable[tuple[float, float, float, float]], ink: str) -> None:
        """Rectangles (x, y, width, height) of one colour as one path."""
        d = "".join(f"M{short(x)} {short(y)}h{short(w)}v{short(h)}h{short(-w)}z" for x, y, w, h in corners)
        if d:
            self.parts.append(f'<path d="{d}" fill="{ink}"/>')

    def dot(self, x: float, y: float, ink: str, r: float = 3.4, hollow: bool = False, title: str = "") -> None:
        """A dot, filled or a ring; its title is what the pointer reads."""
        paint = f'fill="#fff" stroke="{ink}" stroke-width="1.8"' if hollow else f'fill="{ink}"'
        inside = f"><title>{escaped(title)}</title></circle>" if title else "/>"
        self.parts.append(f'<circle cx="{short(x)}" cy="{short(y)}" r="{short(r)}" {paint}{inside}')

    def dots(self, points: Iterable[tuple[float, float]], ink: str, r: float) -> None:
        """Dots of one size as one path: the round caps of lines without length."""
        d = "".join(f"M{short(x)} {short(y)}h0" for x, y in points)
        self.parts.append(f'<path d="{d}" stroke="{ink}" stroke-width="{short(2 * r)}" stroke-linecap="round"/>')

    def cloud(self, points: Iterable[tuple[float, float, str]], ink: str, shape: int = 0) -> None:
        """Marks of one colour and shape, each with a title that the pointer reads: (x, y, title)."""
        mark = SHAPES[shape % len(SHAPES)]
        inside = "".join(
            f'<path d="M{short(x)} {short(y)}{mark}"><title>{escaped(title)}</title></path>' for x, y, title in points
        )
        if inside:
            self.parts.append(f'<g fill="{ink}" fill-opacity=".75">{inside}</g>')

    def text(
        self, x: float, y: float, text: str, *, anchor: str = "start", ink: str = INK, bold: bool = False,
        size: float = SIZE, turn: float = 0,
    ) -> None:  # fmt: skip
        """Words; `y` is their base line, `turn` degrees clockwise around (x, y)."""
        more = f' text-anchor="{anchor}"' if anchor != "start" else ""
        more += f' fill="{ink}"' if ink != INK else ""
        more += ' font-weight="600"' if bold else ""
        more += f' font-size="{short(size)}"' if size != SIZE else ""
        more += f' transform="rotate({turn:g} {short(x)} {short(y)})"' if turn else ""
        self.parts.append(f'<text x="{short(x)}" y="{short(y)}"{more}>{escaped(text)}</text>')

    def svg(self, kind: str = "") -> str:
        """The element; `kind` is a class for the page's style and script."""
        named = f' class="{kind}"' if kind else ""
        role = "group" if kind else "img"  # an image hides its titles from those who cannot point
        return (
            f'<svg{named} role="{role}" aria-label="{escaped(self.title)}" '
            f'viewBox="0 0 {short(self.width)} {short(self.height)}" '
            f'style="max-width: {short(self.width)}px" font-size="{SIZE}" fill="{INK}">\n'
            + "\n".join(self.parts)
            + "\n</svg>"
        )


class Axes:
    """A panel of a drawing: values to pixels, with grid, numbers and names of its axes."""

    def __init__(
        self, page: Drawing, box: tuple[float, float, float, float], x: tuple[float, float], y: tuple[float, float]
    ) -> None:
        """`box`: left, top, width, height in pixels; `x` and `y`: the values at the ends."""
        self.page, self.box, self.x, self.y = page, box, x, y

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a value."""
        left, top, width, height = self.box
        return (
            left + width * (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1),
            top + height * (1 - (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)),
        )

    def frame(
        self, title: str, x_name: str, y_name: str, x_ticks: Sequence[tuple[float, str]],
        y_ticks: Sequence[tuple[float, str]], numbers: bool = True,
    ) -> None:  # fmt: skip
        """Grid, axes, their numbers (y only where `numbers`) and names."""
        left, top, width, height = self.box
        page = self.page
        for value, text in y_ticks:
            y = self.at(self.x[0], value)[1]
            page.line([(left, y), (left + width, y)], GRID)
            if numbers:
                page.text(left - 7, y + 4.5, text, anchor="end", ink=MUTED)
        for value, text in x_ticks:
            x = self.at(value, self.y[0])[0]
            page.line([(x, top), (x, top + height)], GRID)
            page.text(x, top + height + 18, text, anchor="middle", ink=MUTED)
        page.line([(left, top), (left, top + height), (left + width, top + height)], MUTED)
        page.text(left, top - 9, title, bold=True, size=14)
        page.text(left + width / 2, top + height + 38, x_name, anchor="middle")
        if y_name:
            page.text(left - 48, top + height / 2, y_name, anchor="middle", turn=-90)


def spelled(values: Sequence[float]) -> list[tuple[float, str]]:
    """Ticks with their numbers, all to as many digits as the longest needs, with a true minus."""
    digits = max((len(f"{v:.10f}".rstrip("0").partition(".")[2]) for v in values), default=0)
    return [(v, f"{v:.{digits}f}".replace("-", "−")) for v in values]


def legend_rows(texts: Sequence[str], width: float) -> list[list[tuple[float, int]]]:
    """Where entries of a legend stand: rows of (x, number of the text), in even columns that fit the width."""
    cell = max((wide(text) for text in texts), default=0) + 46
    columns = max(1, int(width // cell))
    return [
        [(column * cell, i + column) for column in range(min(columns, len(texts) - i))]
        for i in range(0, len(texts), columns)
    ]
