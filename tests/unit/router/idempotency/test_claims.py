"""What a store is told of a key that is this router's: in order, once, and again if it did not hear."""

import asyncio

import msgspec
import pytest

from plat.errors import PlatError
from plat.idempotency import LOST, MINE, Begin, Claim, Finish, Release, Renew, Request, Verdict
from plat.tasks import spawn
from router.idempotency.claims import Claimed, Kept
from router.idempotency.key import Keyed
from router.limits.leases import StoreError

KEPT = Kept(200, b"OK", [(b"A", b"\xff")], b"body")


class Store:
    """Notes what it is asked. `gate`: answers only then."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.verdict: Verdict | None = MINE
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, request: Request) -> Verdict:
        self.asked.append(request)
        await self.gate.wait()
        if self.verdict is None:
            raise StoreError("away")
        return self.verdict

    def kinds(self) -> list[type]:
        return [type(request) for request in self.asked]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def claim(store: Store) -> Claimed:
    return Claimed(Keyed("k", "f", None), store.ask, 60.0)


async def test_from_the_claim_to_the_answer(store: Store, claim: Claimed) -> None:
    await claim.claim()
    await claim.begin()
    await claim.finish(KEPT)
    await claim.finish(Kept(500, b"", [], b""))
    await claim.tell()
    assert store.kinds() == [Claim, Begin, Finish]
    assert {request.token for request in store.asked} == {claim.token}
    last = store.asked[-1]
    assert isinstance(last, Finish)
    assert msgspec.msgpack.decode(last.answer, type=Kept) == KEPT
    assert claim.settled


def test_no_two_claims_have_one_token(store: Store) -> None:
    assert len({Claimed(Keyed("k", "f", None), store.ask, 60.0).token for _ in range(100)}) == 100


@pytest.mark.parametrize("verdict", [LOST, None])
async def test_what_was_not_begun_is_not_sent(store: Store, claim: Claimed, verdict: Verdict | None) -> None:
    store.verdict = verdict
    with pytest.raises(PlatError) as raised:
        await claim.begin()
    assert raised.value.code == "idempotency_unavailable"
    assert not claim.begun


async def test_renewals_say_whether_it_has_begun(store: Store, claim: Claimed) -> None:
    await claim.tell()
    await claim.begin()
    await claim.tell()
    renewals = [request.begun for request in store.asked if isinstance(request, Renew)]
    assert renewals == [False, True]


async def test_what_was_not_heard_is_told_again(store: Store, claim: Claimed) -> None:
    await claim.begin()
    store.verdict = None
    await claim.finish(KEPT)
    assert not claim.settled
    store.verdict = MINE
    await claim.tell()
    await claim.tell()
    assert store.kinds() == [Begin, Finish, Finish]
    assert claim.settled


async def test_others_are_told_before_the_store(store: Store, claim: Claimed) -> None:
    order: list[object] = []
    claim.ended = lambda kept: order.append(list(store.asked))
    await claim.finish(KEPT)
    assert order == [[]]


async def test_one_request_at_a_time(store: Store, claim: Claimed) -> None:
    store.gate.clear()
    renewal = spawn(claim.tell(), "renewal")
    release = spawn(claim.release(), "release")
    for _ in range(5):
        await asyncio.sleep(0)
    assert store.kinds() == [Renew]
    store.gate.set()
    await asyncio.gather(renewal, release)
    assert store.kinds() == [Renew, Release]
