"""Instances over time as SVG."""

from xml.etree import ElementTree

import pytest

from cli.chart import BANDS, chart
from pool.simulation.tally import Moment

SVG = "{http://www.w3.org/2000/svg}"


def moment(at_s: float, busy: int = 0) -> Moment:
    return Moment(at_s, starting=0, busy=busy, idle=1, paused=0, warm=0, memory_mb=128, queued=0)


@pytest.mark.parametrize("moments", [[moment(0)], [moment(0), moment(90, 5), moment(180)]])
def test_it_has_a_band_for_each_state_and_their_names(moments: list[Moment]) -> None:
    root = ElementTree.fromstring(chart("<load>", moments))
    assert len(list(root.iter(f"{SVG}polygon"))) == len(BANDS)
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert {"<load>", *(band.name for band in BANDS)} <= set(words)


def test_the_highest_point_is_at_the_top() -> None:
    root = ElementTree.fromstring(chart("", [moment(0), moment(10, 9)]))
    points = [point for each in root.iter(f"{SVG}polygon") for point in (each.get("points") or "").split()]
    heights = [float(point.split(",")[1]) for point in points]
    assert (min(heights), max(heights)) == (60.0, 280.0)
