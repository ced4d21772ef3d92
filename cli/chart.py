"""Draws instances over time as SVG. A pure function of the moments of a simulation."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from plat.svg import stroke, svg, text
from pool.simulation.tally import Moment

WIDTH, HEIGHT = 900.0, 320.0
LEFT, TOP, RIGHT, BOTTOM = 60.0, 60.0, 20.0, 40.0
STEPS = 5
UNITS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


class Band(NamedTuple):
    name: str
    colour: str
    count: Callable[[Moment], int]


BANDS = (
    Band("busy", "#0b6e4f", lambda moment: moment.busy),
    Band("idle", "#8fc1a9", lambda moment: moment.idle),
    Band("starting", "#c8553d", lambda moment: moment.starting),
    Band("paused", "#3b5b92", lambda moment: moment.paused),
    Band("warm", "#e09f3e", lambda moment: moment.warm),
)
"""From below."""


def chart(title: str, moments: Sequence[Moment]) -> str:
    """Bands on each other, as high as there are instances in each state."""
    stacks = [_stack(moment) for moment in moments]
    most = max(1, *(stack[-1] for stack in stacks))
    end_s = max(moments[-1].at_s, 1e-9)

    def at(moment: Moment, height: int) -> str:
        x = LEFT + moment.at_s / end_s * (WIDTH - LEFT - RIGHT)
        return f"{x:.1f},{_y(height, most):.1f}"

    parts = [text(10, 20, title, weight="bold"), *_legend(), *_axes(most, end_s)]
    for place, band in enumerate(BANDS):
        above = [at(moment, stack[place + 1]) for moment, stack in zip(moments, stacks, strict=True)]
        below = [at(moment, stack[place]) for moment, stack in zip(moments, stacks, strict=True)]
        parts.append(f'<polygon points="{" ".join(above + below[::-1])}" fill="{band.colour}"/>')
    return svg(WIDTH, HEIGHT, parts)


def _stack(moment: Moment) -> list[int]:
    heights = [0]
    for band in BANDS:
        heights.append(heights[-1] + band.count(moment))
    return heights


def _y(height: float, most: int) -> float:
    return HEIGHT - BOTTOM - height / most * (HEIGHT - TOP - BOTTOM)


def _legend() -> list[str]:
    parts, x = [], 10.0
    for band in BANDS:
        parts.append(f'<rect x="{x:.1f}" y="32" width="12" height="12" fill="{band.colour}"/>')
        parts.append(text(x + 16, 43, band.name))
        x += 40 + 7.5 * len(band.name)
    return parts


def _axes(most: int, end_s: float) -> list[str]:
    unit_s, unit = next(each for each in UNITS if end_s >= 2 * each[0] or each[0] == 1)
    parts = [stroke(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM)]
    for step in range(STEPS + 1):
        height, x = most * step / STEPS, LEFT + (WIDTH - LEFT - RIGHT) * step / STEPS
        parts.append(stroke(LEFT - 4, _y(height, most), WIDTH - RIGHT, _y(height, most), "#ddd"))
        parts.append(text(LEFT - 8, _y(height, most) + 4, f"{height:g}", "end"))
        parts.append(text(x, HEIGHT - BOTTOM + 18, f"{end_s * step / STEPS / unit_s:.3g} {unit}", "middle"))
    return parts
