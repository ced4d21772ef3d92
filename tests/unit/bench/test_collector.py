import pytest

from bench.collector import Collected, Watch
from bench.figures import Result
from bench.questions.collector import FULL, LOADS, TITLES, note_collected
from bench.report import page, plot
from bench.request import bytes_of
from bench.watched_router import VARIANTS
from router.recognise import recognise


def stats(young: int, middle: int, old: int, garbage: int = 0) -> list[dict[str, int]]:
    counts = [{"collections": each, "collected": 0, "uncollectable": 0} for each in (young, middle, old)]
    counts[2]["collected"] = garbage
    return counts


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def collect(watch: Watch, clock: Clock, seconds: float) -> None:
    watch("start", {"generation": 0, "collected": 0, "uncollectable": 0})
    clock.now += seconds
    watch("stop", {"generation": 0, "collected": 0, "uncollectable": 0})


def test_a_reading_is_of_what_came_since_the_last() -> None:
    clock = Clock()
    watch = Watch(stats(5, 2, 1, garbage=7), clock)
    collect(watch, clock, 0.001)
    clock.now += 10
    collect(watch, clock, 0.004)
    first = watch.take(stats(6, 2, 2, garbage=10))
    assert (first.collections, first.full, first.garbage) == (2, 1, 3)
    assert first.total_ms == pytest.approx(5)
    assert first.longest_ms == pytest.approx(4)
    assert watch.take(stats(6, 2, 2, garbage=10)) == Collected(0, 0, 0, 0.0, 0.0)


def test_every_variant_has_its_title() -> None:
    assert set(TITLES) == set(VARIANTS)


def test_only_the_streaming_path_s_calls_leave_the_fast_one() -> None:
    def is_fast(target: str) -> bool:
        request = bytes_of("127.0.0.1:80", target, 90)
        return recognise(request[: request.index(b"\r\n\r\n") + 4]) is not None

    assert [is_fast(load.target) for load in LOADS] == [True, True, False]


def test_a_case_without_calls_is_in_the_table_and_not_in_the_plot() -> None:
    result = Result("collector", "")
    result.row("the same head, 7000/s", "as shipped").add(p999_ms=1.5, calls=7000)
    note_collected(result.row(FULL, "as shipped"), Collected(1, 1, 0, 1.44, 1.44))
    assert f"| {FULL} | as shipped |" in page({"collector": result})
    assert FULL not in plot(result)
