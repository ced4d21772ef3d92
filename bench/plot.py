"""Plots as SVG text: bars with their spread, and lines over levels. Pure functions of their input."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from bench.figures import Spread, exact
from plat.svg import stroke, svg, text

COLOURS = ("#0b6e4f", "#3b5b92", "#c8553d", "#e09f3e", "#7a5195", "#6b705c", "#2f4858", "#b56576")
WIDTH = 860
LEFT = 150
BAR = 16
LINE_WIDTH, LINE_HEIGHT = 400, 240


class Bar(NamedTuple):
    group: str
    name: str
    value: Spread


class Line(NamedTuple):
    name: str
    points: list[tuple[float, Spread]]


class Panel(NamedTuple):
    title: str
    lines: list[Line]


def colours(names: Sequence[str]) -> dict[str, str]:
    unique = dict.fromkeys(names)
    return {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(unique)}


def bars(title: str, unit: str, items: Sequence[Bar]) -> str:
    """Horizontal bars in groups, each group on a scale of its own; the whisker is minimum to maximum."""
    paint = colours([each.name for each in items])
    parts, y = [text(10, 20, f"{title} ({unit})", weight="bold")], 36.0
    for group in dict.fromkeys(each.group for each in items):
        members = [each for each in items if each.group == group]
        scale = (WIDTH - LEFT - 190) / max(*(each.value.high for each in members), 1e-12)
        y += 20
        parts.append(text(10, y, group, weight="bold"))
        for each in members:
            y += BAR + 4
            parts += _bar(each, y, scale, paint[each.name])
    return svg(WIDTH, y + 20, parts)


def _bar(bar: Bar, y: float, scale: float, colour: str) -> list[str]:
    low, median, high = (LEFT + each * scale for each in bar.value)
    top, middle = y - BAR + 4, y - BAR / 2 + 4
    figures = f"{exact(bar.value.median)} [{exact(bar.value.low)} to {exact(bar.value.high)}]"
    return [
        text(LEFT - 8, y, bar.name, "end"),
        f'<rect x="{LEFT}" y="{top:.1f}" width="{median - LEFT:.1f}" height="{BAR}" fill="{colour}"/>',
        stroke(low, middle, high, middle),
        text(max(median, high) + 8, y, figures),
    ]


def lines(title: str, unit: str, panels: Sequence[Panel], x_unit: str = "%") -> str:
    """Panels side by side, two a row: value over level, the value's axis logarithmic."""
    names = [line.name for panel in panels for line in panel.lines]
    paint = colours(names)
    parts = [text(10, 20, f"{title} ({unit}, logarithmic)", weight="bold"), *_legend(paint)]
    top = 60.0
    for number, panel in enumerate(panels):
        x = (number % 2) * (LINE_WIDTH + 30)
        parts += _panel(panel, x, top + (number // 2) * (LINE_HEIGHT + 50), paint, x_unit)
    rows = math.ceil(len(panels) / 2)
    return svg(WIDTH, top + rows * (LINE_HEIGHT + 50) + 10, parts)


def _legend(paint: dict[str, str]) -> list[str]:
    parts, x = [], 10.0
    for name, colour in paint.items():
        parts += [
            f'<rect x="{x:.1f}" y="34" width="12" height="12" fill="{colour}"/>',
            text(x + 16, 45, name),
        ]
        x += 34 + 7.5 * len(name)
    return parts


def _panel(panel: Panel, x: float, y: float, paint: dict[str, str], x_unit: str) -> list[str]:
    values = [edge for line in panel.lines for _, value in line.points for edge in value if edge > 0]
    levels = sorted({level for line in panel.lines for level, _ in line.points})
    if not values:
        return []
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    left, bottom = x + 50, y + LINE_HEIGHT

    def at(level: float, value: float) -> tuple[float, float]:
        share = (levels.index(level) + 0.5) / len(levels)
        height = (math.log10(max(value, 10**low)) - low) / (high - low)
        return left + share * (LINE_WIDTH - 60), bottom - height * (LINE_HEIGHT - 30)

    parts = [text(left, y + 16, panel.title, weight="bold"), stroke(left, bottom, x + LINE_WIDTH, bottom)]
    for power in range(low, high + 1):
        height = at(levels[0], 10.0**power)[1]
        label = f"{10.0**power:g}"
        parts += [
            stroke(left, height, x + LINE_WIDTH, height, "#ddd"),
            text(left - 6, height + 4, label, "end"),
        ]
    for level in levels:
        parts.append(text(at(level, 1)[0], bottom + 16, f"{level:g} {x_unit}", "middle"))
    for line in panel.lines:
        middle = [at(level, value.median) for level, value in line.points]
        shape = " ".join(f"{px:.1f},{py:.1f}" for px, py in middle)
        parts.append(f'<polyline points="{shape}" fill="none" stroke="{paint[line.name]}" stroke-width="2"/>')
        for level, value in line.points:
            (px, above), (_, below) = at(level, value.high), at(level, value.low)
            parts.append(stroke(px, above, px, below, paint[line.name]))
    return parts
