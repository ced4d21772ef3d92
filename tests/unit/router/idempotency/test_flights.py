"""The calls with one key in one router: who is told what, and whose turn it is."""

import asyncio

import pytest

from plat.errors import PlatError
from router.idempotency.claims import Kept
from router.idempotency.flights import Ended, Flight, Waiter, refusal
from router.idempotency.key import Keyed

ENDED = Ended("same", Kept(200, b"", [], b"answer"))


def keyed(fingerprint: str = "same") -> Keyed:
    return Keyed("k", fingerprint, None)


async def waiting(*deadlines: float, fingerprint: str = "same") -> tuple[Flight, list[Waiter]]:
    flight = Flight()
    waiters = [Waiter(keyed(fingerprint), deadline) for deadline in deadlines]
    flight.waiters.extend(waiters)
    return flight, waiters


def code(waiter: Waiter) -> str:
    error = waiter.future.exception()
    assert isinstance(error, PlatError)
    return error.code


@pytest.mark.parametrize(
    ("fingerprint", "deadline", "expected"),
    [
        ("same", 2.0, None),
        ("same", 1.0, "idempotency_in_flight"),
        ("other", 2.0, "idempotency_key_reused"),
        ("other", 1.0, "idempotency_key_reused"),
    ],
)
def test_who_waits(fingerprint: str, deadline: float, expected: str | None) -> None:
    error = refusal(keyed(fingerprint), "same", deadline, now=1.0)
    assert (error and error.code) == expected


async def test_what_is_heard_is_told_to_those_it_concerns() -> None:
    flight, [patient, hasty] = await waiting(9.0, 1.0)
    other = Waiter(keyed("other"), 9.0)
    flight.waiters.append(other)
    flight.heard("same", now=1.0)
    assert flight.running == "same"
    assert not patient.future.done()
    assert (code(hasty), code(other)) == ("idempotency_in_flight", "idempotency_key_reused")


async def test_turns_go_in_order_and_past_those_who_have_gone() -> None:
    flight, [first, gone, last] = await waiting(9.0, 9.0, 9.0)
    gone.future.cancel()
    flight.heard("same", now=0.0)
    assert flight.pass_on()
    assert first.future.result() is None
    assert flight.running is None
    assert flight.pass_on()
    assert last.future.result() is None
    assert not flight.pass_on()


async def test_the_end_is_everybody_s() -> None:
    flight, waiters = await waiting(9.0, 9.0, 9.0)
    waiters[1].future.cancel()
    flight.end(ENDED)
    assert [waiters[0].future.result(), waiters[2].future.result()] == [ENDED, ENDED]
    assert not flight.waiters


async def test_so_is_a_store_that_is_away() -> None:
    flight, waiters = await waiting(9.0, 9.0)
    flight.end(PlatError("idempotency_unavailable", "away"))
    assert [code(waiter) for waiter in waiters] == ["idempotency_unavailable"] * 2
    with pytest.raises(PlatError):
        await asyncio.shield(waiters[0].future)
