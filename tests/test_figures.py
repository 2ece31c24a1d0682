"""Hand-written figures: where a value stands, what is escaped, how round the numbers are, how small the bytes."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from genossl.evaluation import figures, svg
from genossl.evaluation.verdict import Comparison

EVIL = "</text></svg><script>alert(1)</script>\"'&\x00"


def shapes(figure: str, tag: str) -> list[dict[str, str]]:
    """Attributes of every element of a tag; a figure that is no well-formed XML raises."""
    return [dict(element.attrib) for element in ElementTree.fromstring(figure).iter(tag)]


def texts(figure: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(figure).iter("text")]


@pytest.mark.parametrize("low,high", [(0, 1), (0.38, 0.96), (-0.02, 0.02), (-3, 250), (1e-6, 3e-6), (0.1, 0.1)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = svg.ticks(low, high)
    assert 1 <= len(found) <= 7
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in found)
    if len(found) > 1:
        step = found[1] - found[0]
        assert len(found) >= 2
        digit = step / 10 ** math.floor(math.log10(step) + 1e-9)
        assert min(abs(digit - m) for m in (1, 2, 5, 10)) < 1e-6
        assert all(abs(tick / step - round(tick / step)) < 1e-6 for tick in found)


def test_ends_of_an_axis_land_on_the_corners_of_its_box() -> None:
    axes = svg.Axes(svg.Drawing(100, 100, ""), (10, 20, 60, 40), (-1, 3), (5, 9))
    assert axes.at(-1, 5) == (10, 60)
    assert axes.at(3, 9) == (70, 20)
    assert axes.at(1, 7) == (40, 40)


@pytest.mark.parametrize(
    "x,text", [(0.04, "0"), (-0.04, "0"), (12.0, "12"), (3.14159, "3.1"), (-0.5, "-0.5"), (100, "100")]
)
def test_coordinates_are_short(x: float, text: str) -> None:
    assert svg.short(x) == text


def test_names_are_text_in_every_figure() -> None:
    rows = pd.DataFrame({"embedding": [EVIL] * 2, "shots": ["1", "all"], "value": [0.5, 0.6], "low": 0.4, "high": 0.7})
    counts = pd.DataFrame([[3, 1], [0, 2]], index=[EVIL, "b"], columns=[EVIL, "b"])
    bins = pd.DataFrame({"confidence": [0.2, 0.9], "accuracy": [0.1, 0.8], "n": [5.0, 50.0]})
    c = Comparison(baseline=EVIL, shots="1", value=1, baseline_value=0, difference=1, low=0.5, high=1.5, n=9)
    drawn = [
        figures.forest([c], {}, EVIL, EVIL),
        figures.label_efficiency({EVIL: rows}, [EVIL], {EVIL: EVIL}, EVIL, "labels"),
        figures.confusion({EVIL: counts}),
        figures.maps({EVIL: np.eye(4)[:, :2]}, {EVIL: [EVIL] * 4}, {EVIL: [EVIL] * 4}),
        figures.reliability({EVIL: bins}, {EVIL: EVIL}, [EVIL]),
    ]
    for figure in drawn:
        tags = {element.tag for element in ElementTree.fromstring(figure.replace("\x00", "")).iter()}
        assert tags <= {"svg", "g", "path", "circle", "text", "title"}, tags
        assert "<script" not in figure
        assert not re.search(r'\bid="', figure)  # nothing that could clash with another figure


def test_a_forest_puts_differences_in_order_of_size() -> None:
    found = [
        Comparison(baseline=n, shots="1", value=0, baseline_value=0, difference=d, low=d - 0.1, high=d + 0.1, n=1)
        for n, d in (("a", 0.3), ("b", -0.2), ("c", 0.05))
    ]
    dots = shapes(figures.forest(found, {}, "ours", "score"), "circle")
    x = [float(dot["cx"]) for dot in dots]
    assert (x[0] - x[2]) / (x[2] - x[1]) == pytest.approx(0.25 / 0.25, abs=0.02)
    assert [dot["fill"] for dot in dots] == [figures.OUTCOMES["yes"], figures.OUTCOMES["no"], "#fff"]  # ring: a tie


def dotted(figure: str) -> list[tuple[float, float]]:
    """Where the dots of the first line stand."""
    path = next(path["d"] for path in shapes(figure, "path") if path["d"].endswith("h0"))
    return [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", path)]


def test_counts_are_spaced_by_their_logarithm() -> None:
    rows = pd.DataFrame(
        {"embedding": "a", "shots": ["1", "10", "100"], "value": [0.1, 0.2, 0.4], "low": 0.1, "high": 0.4}
    )
    (x1, y1), (x2, y2), (x3, y3) = dotted(figures.label_efficiency({"x": rows}, ["a"], {}, "score", "labels"))
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert (y1 - y3) / (y1 - y2) == pytest.approx(3, abs=0.05)


def test_a_score_below_zero_is_drawn() -> None:
    values = {"value": [-0.8, 0.2], "low": [-1.1, 0.1], "high": [-0.5, 0.3]}
    rows = pd.DataFrame({"embedding": "a", "shots": ["1", "10"], **values})
    drawn = figures.label_efficiency({"x": rows}, ["a"], {}, "R²", "labelled rows")
    height = float(ElementTree.fromstring(drawn).attrib["viewBox"].split()[3])
    assert len(dotted(drawn)) == 2
    assert all(0 < y < height for _, y in dotted(drawn))
    assert "−1.0" in texts(drawn)


def test_a_share_of_a_confusion_matrix_is_written_in_its_cell() -> None:
    counts = pd.DataFrame([[90, 10, 0], [1, 999, 0], [0, 0, 0]], index=list("abc"), columns=list("abc"))
    cells = texts(figures.confusion({"m": counts}))
    assert [text for text in cells if re.fullmatch(r"<?\d+", text)] == [
        "90",
        "10",
        "0",
        "<1",
        "100",
        "0",
        "0",
        "0",
        "0",
    ]


def test_a_hundred_classes_stay_small() -> None:
    table = np.eye(100) * 50 + np.random.default_rng(0).integers(0, 3, (100, 100))
    names = [f"class {i}" for i in range(100)]
    drawn = figures.confusion({title: pd.DataFrame(table, index=names, columns=names) for title in ("a", "b")})
    assert len(drawn) < 150_000


def test_every_point_of_a_map_has_its_title_and_stays_inside() -> None:
    rng = np.random.default_rng(0)
    xy, labels = rng.normal(size=(200, 2)), [f"c{i % 25}" for i in range(200)]
    titles = [f"contig:{i}-{i + 1}" for i in range(200)]
    drawn = figures.maps({"one": xy, "two": -xy}, {"one": labels, "two": labels}, {"one": titles, "two": titles})
    root = ElementTree.fromstring(drawn)
    assert sorted(e.text or "" for e in root.iter("title")) == sorted(titles * 2)
    assert "5 further labels" in texts(drawn)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for path in (e for e in root.iter("path") if e.find("title") is not None):
        x, y = map(float, re.match(r"M(-?[\d.]+) (-?[\d.]+)", path.attrib["d"]).groups())  # type: ignore[union-attr]
        assert 0 < x < width
        assert 0 < y < height
    assert len(drawn) / 400 < 120  # bytes of a point


def test_a_calibrated_model_lies_on_the_dashes() -> None:
    bins = pd.DataFrame({"confidence": [0.1, 0.5, 0.9], "accuracy": [0.1, 0.5, 0.9], "n": [10.0, 20.0, 70.0]})
    dots = shapes(figures.reliability({"a": bins}, {}, ["a"]), "circle")[:3]
    at = [(float(d["cx"]), float(d["cy"])) for d in dots]
    assert all(x - at[0][0] == pytest.approx(at[0][1] - y, abs=0.2) for x, y in at)
    sizes = [(float(d["r"]) - 2) ** 2 for d in dots]
    assert sizes[2] / sizes[0] == pytest.approx(7, rel=0.1)  # the area grows with the answers
