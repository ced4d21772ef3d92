"""When a queue is a burst, and when it is more than can ever be taken. Time is a number."""

from router.overload import SATURATED_S, WINDOW_S, Load

SLOTS = 4


class Clock:
    """A version's arrivals and ends, window by window; what is asked at the end of each."""

    def __init__(self, *, is_saturated: bool = True) -> None:
        self.now = 100.0
        self.load = Load()
        if is_saturated:
            self.load.saturated(self.now)
        self.load.is_too_much(SLOTS, self.now)

    def window(self, arrived: int, ended: int) -> bool:
        self.load.arrived += arrived
        self.load.ended += ended
        self.now += WINDOW_S
        return self.load.is_too_much(SLOTS, self.now)


def test_one_window_of_many_arrivals_is_a_burst() -> None:
    clock = Clock()
    assert [clock.window(64, 1), clock.window(4, 4), clock.window(4, 4)] == [False, False, False]


def test_arrivals_that_outrun_ends_in_two_windows_are_too_many() -> None:
    clock = Clock()
    assert [clock.window(80, 40), clock.window(80, 40), clock.window(80, 40)] == [False, True, True]


def test_it_is_over_as_soon_as_ends_keep_up() -> None:
    clock = Clock()
    clock.window(80, 40)
    assert clock.window(80, 40)
    assert not clock.window(40, 40)
    assert not clock.window(80, 40)


def test_a_closed_loop_with_a_long_queue_is_not_too_much() -> None:
    clock = Clock()
    assert not any([clock.window(64, 2), *(clock.window(2, 2) for _ in range(100))])


def test_a_small_excess_is_allowed() -> None:
    clock = Clock()
    assert not any(clock.window(100, 81) for _ in range(10))


def test_while_instances_may_come_everybody_waits() -> None:
    clock = Clock(is_saturated=False)
    assert not any(clock.window(80, 40) for _ in range(10))


def test_the_word_of_the_pool_holds_for_a_time() -> None:
    clock = Clock()
    outcomes = [clock.window(80, 40) for _ in range(int(SATURATED_S / WINDOW_S) + 5)]
    assert outcomes[1]
    assert not outcomes[-1]
    clock.load.saturated(clock.now)
    assert clock.window(80, 40)


def test_windows_far_apart_say_nothing() -> None:
    clock = Clock()
    clock.window(80, 40)
    clock.now += 10
    clock.load.saturated(clock.now)
    assert not clock.window(80, 40)
