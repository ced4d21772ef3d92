"""What every store of leases keeps to: the reference in memory, the pool's, and the script in Redis.

Time is told to the store under test, so that nothing here waits.
"""

import heapq
from collections.abc import Callable
from itertools import count
from typing import NamedTuple, Protocol

import msgspec
import pytest
from hypothesis import strategies as st

from plat.leasing import BIRTH_MARGIN_S, LEASE_TTL_S, PERMITS, RESERVE, Answer, Ask

START = 1_700_000_000.0
LONG_S = 1e9


class StoreUnderTest(Protocol):
    """A store that remembers since `since`; None: for ever."""

    def lease(self, router: str, number: int, asks: list[Ask], now: float) -> list[Answer]: ...


MakeStore = Callable[[float], StoreUnderTest]
"""Makes a store that remembers since then."""


def an_ask(
    rate: float = 10.0,
    burst: int = 10,
    *,
    held: int = 0,
    want: int = 0,
    returned: int = 0,
    spent_ago_s: float = 0.0,
    known_s: float = LONG_S,
    unpaid: bool = False,
) -> Ask:
    return Ask("k", rate, burst, held, returned, want, spent_ago_s, known_s, unpaid)


class Asking:
    """A store with one bucket, and numbers that grow."""

    def __init__(self, store: StoreUnderTest) -> None:
        self._store = store
        self._numbers = count(1)

    def __call__(self, router: str, ask: Ask, at: float, number: int | None = None) -> Answer:
        [answer] = self._store.lease(router, number or next(self._numbers), [ask], START + at)
        return answer


class LeasingContract:
    """Inherit, and give a fixture `make_store`."""

    @pytest.fixture
    def asking(self, make_store: MakeStore) -> Asking:
        return Asking(make_store(START - LONG_S / 2))

    def test_a_new_bucket_is_full_but_for_the_reserve(self, asking: Asking) -> None:
        answer = asking("a", an_ask(burst=8, want=100), 0)
        assert (answer.lease, answer.left) == (8 - 8 // RESERVE, 8 // RESERVE)
        assert answer.forgotten_s == 0

    def test_a_bucket_too_small_for_a_reserve_is_leased_whole(self, asking: Asking) -> None:
        assert asking("a", an_ask(burst=3, want=100), 0).lease == 3

    def test_what_was_spent_comes_back_at_the_rate(self, asking: Asking) -> None:
        assert asking("a", an_ask(rate=2, burst=2, want=2), 0).lease == 2
        empty = asking("a", an_ask(rate=2, burst=2, want=1), 0)
        assert empty.lease == 0
        assert empty.wait_s == pytest.approx(0.5)
        assert asking("a", an_ask(rate=2, burst=2, want=2), 0.5).lease == 1

    def test_it_fills_up_since_the_last_token_was_spent(self, asking: Asking) -> None:
        asking("a", an_ask(rate=1, burst=1, want=1), 0)
        early = asking("a", an_ask(rate=1, burst=1, want=1, spent_ago_s=0.5), 1.0)
        assert early.lease == 0
        assert early.wait_s == pytest.approx(0.5)
        assert asking("a", an_ask(rate=1, burst=1, want=1, spent_ago_s=0.5), 1.5).lease == 1

    def test_what_is_held_leaves_no_room(self, asking: Asking) -> None:
        """A token that may still be spent is counted, however long it takes."""
        asking("a", an_ask(rate=1, burst=1, want=1), 0)
        for at in (1.0, 2.0, 3.0, 4.0):
            assert asking("a", an_ask(rate=1, burst=1, held=1), at).lease == 1
            assert asking("b", an_ask(rate=1, burst=1, want=1), at).lease == 0

    def test_what_is_given_back_can_be_leased_at_once(self, asking: Asking) -> None:
        asking("a", an_ask(rate=0.001, burst=2, want=2), 0)
        asking("a", an_ask(rate=0.001, burst=2, returned=2), 0.1)
        assert asking("b", an_ask(rate=0.001, burst=2, want=2), 0.2).lease == 2

    def test_more_than_was_leased_cannot_be_given_back(self, asking: Asking) -> None:
        asking("a", an_ask(rate=0.001, burst=8, want=2), 0)
        answer = asking("a", an_ask(rate=0.001, burst=8, held=1, returned=5), 0.1)
        assert answer.lease == 1
        assert answer.left == pytest.approx(7, abs=0.01)

    def test_where_several_ask_none_gets_all_that_is_left(self, asking: Asking) -> None:
        asking("a", an_ask(burst=100, want=20), 0)
        assert asking("b", an_ask(burst=100, want=100), 0).lease == 40

    def test_a_lease_that_was_not_renewed_is_taken_as_spent(self, asking: Asking) -> None:
        asking("a", an_ask(rate=1, burst=4, want=3), 0)
        assert asking("b", an_ask(rate=1, burst=4, want=4), LEASE_TTL_S - 0.01).lease == 0
        asking("b", an_ask(rate=1, burst=4), LEASE_TTL_S)
        assert asking("b", an_ask(rate=1, burst=4, want=4), LEASE_TTL_S + 2).lease == 3

    def test_what_ends_unseen_is_refilled_only_from_then_on(self, asking: Asking) -> None:
        """All of it is out until the lease ends; nobody asks for long."""
        asking("a", an_ask(rate=1, burst=3, want=3), 0)
        answer = asking("b", an_ask(rate=1, burst=3, want=3), LEASE_TTL_S + 0.5)
        assert answer.lease == 0
        assert answer.wait_s == pytest.approx(0.5)
        assert asking("b", an_ask(rate=1, burst=3, want=3), 100).lease == 3

    def test_a_renewed_lease_goes_on(self, asking: Asking) -> None:
        asking("a", an_ask(rate=0.001, burst=3, want=3), 0)
        for step in range(1, 6):
            assert asking("a", an_ask(rate=0.001, burst=3, held=3), step * 0.9 * LEASE_TTL_S).lease == 3

    def test_a_lost_answer_costs_its_tokens_and_no_more(self, asking: Asking) -> None:
        asking("a", an_ask(rate=0.001, burst=8, want=4), 0)
        asking("a", an_ask(rate=0.001, burst=8, held=4, want=2), 0.1)  # the router never hears of it
        answer = asking("a", an_ask(rate=0.001, burst=8, held=4), 0.2)
        assert answer.lease == 4
        assert answer.left == pytest.approx(2, abs=0.01)

    def test_an_old_request_is_not_heard(self, asking: Asking) -> None:
        asking("a", an_ask(burst=8, want=4), 0, 2)
        assert asking("a", an_ask(burst=8, held=0, want=4), 0.1, 1).lease == -1
        assert asking("a", an_ask(burst=8, held=4), 0.2, 2).lease == -1
        assert asking("a", an_ask(burst=8, held=4), 0.3, 3).lease == 4

    def test_a_changed_limit_holds_at_once(self, asking: Asking) -> None:
        asking("a", an_ask(rate=1, burst=3, want=3), 0)
        assert asking("a", an_ask(rate=1, burst=1, held=3, want=3), 0.1).lease == 3
        assert asking("b", an_ask(rate=1, burst=1, want=3), 0.2).lease == 0
        asking("a", an_ask(rate=1, burst=1), 0.3)
        assert asking("b", an_ask(rate=1, burst=1, want=3), 1.4).lease == 1

    # --- memory

    def test_what_a_store_has_forgotten_may_all_be_out(self, make_store: MakeStore) -> None:
        asking = Asking(make_store(START))
        first = asking("a", an_ask(rate=1, burst=4, want=4), 0.5)
        assert first.lease == 0
        assert first.forgotten_s == pytest.approx(LEASE_TTL_S - 0.5)
        assert asking("a", an_ask(rate=1, burst=4, want=4), LEASE_TTL_S + 0.9).lease == 0
        assert asking("a", an_ask(rate=1, burst=4, want=4), LEASE_TTL_S + 1).lease == 1

    def test_a_bucket_first_asked_for_later_has_filled_up_meanwhile(self, make_store: MakeStore) -> None:
        asking = Asking(make_store(START))
        answer = asking("a", an_ask(rate=1, burst=20, want=20), LEASE_TTL_S + 3)
        assert (answer.lease, answer.forgotten_s) == (3, 0)

    def test_what_a_router_held_in_a_forgotten_bucket_is_void(self, make_store: MakeStore) -> None:
        asking = Asking(make_store(START))
        assert asking("a", an_ask(rate=1, burst=4, held=3), 0.1).lease == 0

    def test_a_limit_younger_than_the_memory_was_never_forgotten(self, make_store: MakeStore) -> None:
        asking = Asking(make_store(START))
        at = BIRTH_MARGIN_S + 0.2
        assert asking("a", an_ask(rate=0.001, burst=3, want=3, known_s=0.1), at).lease == 3

    def test_after_calls_without_a_lease_nothing_is_leased_for_a_while(self, asking: Asking) -> None:
        asking("a", an_ask(rate=1, burst=8, want=2), 0)
        told = asking("b", an_ask(rate=1, burst=8, want=2, unpaid=True), 10)
        assert told.lease == 0
        assert told.forgotten_s == pytest.approx(LEASE_TTL_S)
        again = asking("c", an_ask(rate=1, burst=8, want=2, unpaid=True), 11)
        assert again.lease == 0
        assert again.forgotten_s == pytest.approx(LEASE_TTL_S - 1)
        assert asking("a", an_ask(rate=1, burst=8, want=8), 10 + LEASE_TTL_S + 1).lease == 1

    # --- permits

    def test_permits_that_nobody_holds_are_free_at_once(self, asking: Asking) -> None:
        assert asking("a", an_ask(PERMITS, 3, want=3), 0).lease == 3
        assert asking("b", an_ask(PERMITS, 3, want=1), 0).lease == 0
        asking("a", an_ask(PERMITS, 3, held=1, returned=2), 0.1)
        assert asking("b", an_ask(PERMITS, 3, want=1), 0.1).lease == 1
        asking("a", an_ask(PERMITS, 3), 0.2)
        assert asking("b", an_ask(PERMITS, 3, held=1, want=5), 0.2).lease == 3

    def test_permits_of_a_dead_router_come_home(self, asking: Asking) -> None:
        asking("a", an_ask(PERMITS, 3, want=3), 0)
        assert asking("b", an_ask(PERMITS, 3, want=3), LEASE_TTL_S - 0.01).lease == 0
        assert asking("b", an_ask(PERMITS, 3, want=3), LEASE_TTL_S).lease == 3

    def test_permits_in_use_are_claimed_from_a_store_that_forgot_them(self, make_store: MakeStore) -> None:
        asking = Asking(make_store(START))
        assert asking("a", an_ask(PERMITS, 4, held=3, want=1), 0.1).lease == 3
        assert asking("b", an_ask(PERMITS, 4, want=4), 0.2).lease == 0
        assert asking("a", an_ask(PERMITS, 4, held=3), LEASE_TTL_S - 0.1).lease == 3
        assert asking("b", an_ask(PERMITS, 4, want=4), LEASE_TTL_S + 0.1).lease == 1


# --- any interleaving


class Step(NamedTuple):
    """After `wait_s`: `what` the router does. `there_s`, `back_s`: how long a request takes; None: lost."""

    what: str
    router: int
    wait_s: float
    number: int
    there_s: float
    back_s: float | None


kinds = ["ask"] * 6 + ["spend"] * 2 + ["spend all"] * 5 + ["give back"] * 2 + ["die"]
delays = [0.0] * 16 + [each / 64 for each in (1, 19, 64, 160)]
steps = st.builds(
    Step,
    st.sampled_from(kinds),
    st.sampled_from([0, 0, 0, 1, 1, 2]),
    st.sampled_from([0.0] * 12 + [each / 64 for each in (3, 13, 32, 64, 115, 122, 320)]),
    st.sampled_from([0, 1, 2, 5, 12, 12, 12]),
    st.sampled_from(delays),
    st.sampled_from([*delays, None, None]),
)
"""Few values, so that what belongs together meets; 64ths of a second are exact, as microseconds too."""

scripts = st.lists(steps, min_size=20, max_size=60)


class _Router:
    """Keeps to the rules of a router as simply as can be."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0
        self.tokens = 0
        self.until = 0.0
        self.spent_at = 0.0

    def spend(self, now: float) -> bool:
        if not self.tokens or now >= self.until:
            return False
        self.tokens -= 1
        self.spent_at = now
        return True


class World:
    """Routers, a store, and requests under way between them."""

    def __init__(self, store: StoreUnderTest, rate: float, burst: int) -> None:
        self._store = store
        self._rate, self._burst = rate, burst
        self._routers = [_Router(f"r{number}") for number in range(3)]
        self._under_way: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._now = START
        self.admitted: list[float] = []

    def play(self, script: list[Step]) -> None:
        for step in script:
            self._pass_time(self._now + step.wait_s)
            router = self._routers[step.router]
            match step.what:
                case "ask":
                    self._send(router, step, give_back=False)
                case "give back":
                    self._send(router, step, give_back=True)
                case "spend":
                    self._spend(router, step.number)
                case "spend all":
                    self._spend(router, 1000)
                case "die":
                    self._routers[step.router] = _Router(f"{router.name}'")
        self._pass_time(self._now + 10)

    def check(self) -> None:
        for first, begin in enumerate(self.admitted):
            for last in range(first, len(self.admitted)):
                most = self._burst + self._rate * (self.admitted[last] - begin)
                assert last - first + 1 <= most + 1e-3

    def _pass_time(self, until: float) -> None:
        while self._under_way and self._under_way[0][0] <= until:
            self._now, _, happens = heapq.heappop(self._under_way)
            happens()
        self._now = until

    def _spend(self, router: _Router, most: int) -> None:
        for _ in range(most):
            if not router.spend(self._now):
                return
            self.admitted.append(self._now)

    def _send(self, router: _Router, step: Step, *, give_back: bool) -> None:
        sent_at, router.number = self._now, router.number + 1
        number = router.number
        if sent_at >= router.until:
            router.tokens = 0
        returned = min(router.tokens, step.number) if give_back else 0
        router.tokens -= returned
        ask = an_ask(
            self._rate,
            self._burst,
            held=router.tokens,
            want=0 if give_back else step.number,
            returned=returned,
            spent_ago_s=sent_at - router.spent_at,
        )
        sent_tokens = router.tokens

        def arrives() -> None:
            [answer] = self._store.lease(router.name, number, [ask], self._now)
            if step.back_s is not None:
                self._later(step.back_s, lambda: comes_back(answer))

        def comes_back(answer: Answer) -> None:
            if number == router.number and answer.lease >= 0:
                router.tokens = max(0, answer.lease - (sent_tokens - router.tokens))
                router.until = sent_at + LEASE_TTL_S * 0.9

        self._later(step.there_s, arrives)

    def _later(self, in_s: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._under_way, (self._now + in_s, next(self._order), happens))


def with_key(ask: Ask, key: str) -> Ask:
    return msgspec.structs.replace(ask, key=key)
