"""Tables and goals as Markdown and JSON."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import Any

from .table import Goal, Rows, Spread, Table, ratio, short, spread


def title(name: str, about: dict[str, Any]) -> str:
    """A page's first lines: what was measured, and on what."""
    m = about["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in m["versions"].items())
    lines = [
        f"## Speed: {name}",
        f"{m['cpu']} ({m['model']}), {m['cores']} cores, {', '.join(m['flags'])}; {m['memory_gib']} GiB; load "
        f"{m['load']} at the start. {versions}. Medians of {about['rounds']} rounds (lowest-highest).",
    ]
    return "\n\n".join([*lines, *(["A tiny run: its figures mean nothing."] if about["tiny"] else [])])


def markdown(table: Table, rows: Rows) -> str:
    """The table as Markdown, with its sentences."""
    wall = table.clock == "wall"
    header = ["contender", f"{table.unit} per {'second' if wall else 'CPU second'}", f"x {table.against}"]
    header += [*([] if wall else [f"{table.unit} per second (wall)"]), "MiB", *table.columns]
    lines = [header, ["---"] * len(header)]
    over = rows[table.against]
    for contender in table.contenders:
        row = rows[contender.name]
        if row.left_out:
            lines.append([row.name, f"left out: {row.left_out}", *[""] * (len(header) - 2)])
            continue
        name = f"{row.name} ({contender.unit})" if contender.unit else row.name
        times = "" if over.left_out or contender.unit else str(ratio(row, over, table.clock))
        cells = [name, str(spread(row.rates(table.clock))), times]
        cells += [*([] if wall else [short(statistics.median(row.rates("wall")))]), short(row.peak())]
        lines.append([*cells, *(_text(column(row, rows)) for column in table.columns.values())])
    text = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return "\n\n".join([f"### {table.title}", text, *table.notes, *table.conclude(rows)])


def _text(value: Any) -> str:
    return "" if value is None else short(value) if isinstance(value, float) else str(value)


def judged(goal: Goal, table: Table, rows: Rows) -> dict[str, Any]:
    """A goal beside what was measured; met is None where it could not be."""
    row, over = rows[goal.row], rows.get(goal.over)
    asked = f"at least {goal.least:g}" if goal.least is not None else f"at most {goal.most:g}"
    line = {"table": table.name, "goal": goal.text, "asked": asked, "measured": None, "met": None}
    if missing := [f"{row.name}: {row.left_out}" for row in (row, over) if row and row.left_out]:
        return line | {"why": "; ".join(missing)}
    found = ratio(row, over, table.clock) if over else spread([row.peak()])
    met = (goal.least is None or found.median >= goal.least) and (goal.most is None or found.median <= goal.most)
    return line | {"measured": asdict(found), "met": met}


def summary(goals: list[dict[str, Any]]) -> str:
    """Goal by goal."""
    lines = ["| goal | asked | measured | met |", "|---|---|---|---|"]
    for goal in goals:
        found = Spread(**goal["measured"]) if goal["measured"] else f"not measured ({goal['why']})"
        met = {True: "yes", False: "no", None: ""}[goal["met"]]
        lines.append(f"| {goal['goal']} | {goal['asked']} | {found} | {met} |")
    return "\n".join(lines)


def as_json(table: Table, rows: Rows) -> dict[str, Any]:
    """Every measurement, how each contender was called, and the rates that the page shows."""
    lines = []
    for contender in table.contenders:
        row = rows[contender.name]
        rate = None if row.left_out else asdict(spread(row.rates(table.clock)))
        lines.append(asdict(contender) | asdict(row) | {"rate": rate})
    told = {key: getattr(table, key) for key in ("name", "title", "unit", "clock", "against")}
    return {**told, "rows": lines, "notes": [*table.notes, *table.conclude(rows)]}
