"""When a queue is a burst, and when it is more than can ever be taken. Time is a number."""

from router.overload import SATURATED_S, WINDOW_S, WINDOWS, Load

SLOTS = 4


class Clock:
    """A version's arrivals and ends, window by window; what is asked at the end of each."""

    def __init__(self, *, is_saturated: bool = True) -> None:
        self.now = 100.0
        self.load = Load()
        if is_saturated:
            self.load.saturated(self.now)
        self.load.is_too_much(SLOTS, self.now)

    def windows(self, count: int, arrived: int, ended: int) -> list[bool]:
        return [self.window(arrived, ended) for _ in range(count)]

    def window(self, arrived: int, ended: int) -> bool:
        self.load.arrived += arrived
        self.load.ended += ended
        self.now += WINDOW_S
        return self.load.is_too_much(SLOTS, self.now)


def test_a_quarter_of_a_second_of_many_arrivals_is_a_burst() -> None:
    clock = Clock()
    assert not any([*clock.windows(WINDOWS - 1, 64, 1), *clock.windows(WINDOWS, 4, 4)])


def test_arrivals_that_keep_outrunning_ends_are_too_many() -> None:
    assert Clock().windows(WINDOWS + 1, 80, 40) == [False] * (WINDOWS - 1) + [True, True]


def test_it_is_over_as_soon_as_ends_keep_up() -> None:
    clock = Clock()
    assert clock.windows(WINDOWS, 80, 40)[-1]
    assert not clock.window(40, 40)
    assert not clock.window(80, 40)


def test_a_closed_loop_with_a_long_queue_is_not_too_much() -> None:
    clock = Clock()
    assert not any([clock.window(64, 2), *clock.windows(100, 2, 2)])


def test_a_small_excess_is_allowed() -> None:
    assert not any(Clock().windows(3 * WINDOWS, 100, 81))


def test_while_instances_may_come_everybody_waits() -> None:
    assert not any(Clock(is_saturated=False).windows(3 * WINDOWS, 80, 40))


def test_the_word_of_the_pool_holds_for_a_time() -> None:
    clock = Clock()
    outcomes = clock.windows(int(SATURATED_S / WINDOW_S) + 5, 80, 40)
    assert outcomes[WINDOWS]
    assert not outcomes[-1]
    clock.load.saturated(clock.now)
    assert clock.window(80, 40)


def test_windows_far_apart_say_nothing() -> None:
    clock = Clock()
    clock.windows(WINDOWS - 1, 80, 40)
    clock.now += 10
    clock.load.saturated(clock.now)
    assert not clock.window(80, 40)
