"""When a queue is a burst, and when it is more than can ever be taken. Time is a number."""

from router.overload import CALM_WINDOWS, SATURATED_S, WINDOW_S, Load, most_waiting


class Clock:
    """A version's arrivals and ends, window by window; what is asked at the end of each."""

    def __init__(self, *, is_saturated: bool = True) -> None:
        self.now = 100.0
        self.load = Load()
        if is_saturated:
            self.load.saturated(self.now)

    def fill(self) -> None:
        self.load.queue_is_full(self.now)

    def window(self, arrived: int, ended: int) -> bool:
        self.load.arrived += arrived
        self.load.ended += ended
        self.now += WINDOW_S
        return self.load.is_flood(self.now)

    def windows(self, count: int, arrived: int, ended: int) -> list[bool]:
        return [self.window(arrived, ended) for _ in range(count)]


def test_somebody_waits_even_for_one_slot() -> None:
    assert [most_waiting(slots) for slots in (0, 1, 2, 3, 16)] == [1, 1, 1, 1, 8]


def test_a_queue_that_was_never_full_is_a_burst() -> None:
    assert not any(Clock().windows(30, 80, 40))


def test_a_full_queue_with_more_coming_than_ending_is_a_flood() -> None:
    clock = Clock()
    clock.fill()
    assert all(clock.windows(30, 80, 40))


def test_it_is_over_when_ends_have_kept_up_for_long_enough() -> None:
    clock = Clock()
    clock.fill()
    assert clock.windows(CALM_WINDOWS, 40, 40) == [True] * (CALM_WINDOWS - 1) + [False]
    assert not clock.window(80, 40)


def test_a_calm_window_between_does_not_end_it() -> None:
    clock = Clock()
    clock.fill()
    for _ in range(5):
        assert all(clock.windows(CALM_WINDOWS - 1, 40, 40))
        assert clock.window(80, 40)
        clock.load.saturated(clock.now)


def test_a_closed_loop_that_filled_the_queue_comes_to_rest() -> None:
    clock = Clock()
    clock.fill()
    assert not clock.windows(CALM_WINDOWS + 1, 2, 2)[-1]


def test_while_instances_may_come_everybody_waits() -> None:
    clock = Clock(is_saturated=False)
    clock.fill()
    assert not any(clock.windows(30, 80, 40))


def test_the_word_of_the_pool_holds_for_a_time() -> None:
    clock = Clock()
    clock.fill()
    outcomes = clock.windows(int(SATURATED_S / WINDOW_S) + 5, 80, 40)
    assert outcomes[0]
    assert not outcomes[-1]
    clock.load.saturated(clock.now)
    assert clock.window(80, 40)
