"""Bodies of signed calls, as they come: verified when they are whole, never larger than there is room for."""

import asyncio
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plat.errors import PlatError
from plat.signing import Signing
from plat.tasks import spawn
from router.access.signed_bodies import BODY_LIMIT_BYTES, ROOM_BYTES, SignedBodies
from router.pace import LeastRate
from router.request_body import EARLY_BYTES
from tests.unit.router.test_request_body import Client, sizes

KEY = b"key"
SIGNING = Signing("X-Signature", "sha256", (KEY,))
PATIENT = LeastRate(8192, 10)


def signed_bodies(
    limit: int = BODY_LIMIT_BYTES, room: int = ROOM_BYTES, rate: LeastRate = PATIENT
) -> SignedBodies:
    return SignedBodies(limit, rate, room_bytes=room, clock=lambda: 1_700_000_000.0)


def signature(body: bytes) -> dict[str, str]:
    return {"X-Signature": hmac.digest(KEY, body, "sha256").hex()}


async def outcome(
    bodies: SignedBodies, client: Client, pieces: list[bytes], *, signing: Signing = SIGNING, end: bool = True
) -> bytes | str:
    """The body, or the code of the error."""
    sending = spawn(client.send(pieces, end=end), "send")
    try:
        async with bodies.verified(client.request, signing) as body:
            assert body.whole
            return body.data
    except PlatError as error:
        return error.code
    finally:
        await sending


@given(sizes, st.booleans())
def test_a_body_in_any_pieces_is_verified(sizes: list[int], chunked: bool) -> None:
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    body = b"".join(pieces)

    async def read() -> None:
        bodies = signed_bodies()
        client = Client(None if chunked else len(body), signature(body))
        assert await outcome(bodies, client, pieces) == body
        client = Client(None if chunked else len(body) + 1, signature(body))
        assert await outcome(bodies, client, [*pieces, b"x"]) == "bad_signature"
        assert bodies.room_bytes == ROOM_BYTES

    asyncio.run(read())


async def test_without_a_body_there_is_one_that_is_empty() -> None:
    assert await outcome(signed_bodies(), Client(0, signature(b"")), [b""]) == b""


async def test_what_the_head_says_is_wrong_is_refused_before_a_byte_of_the_body() -> None:
    for client, signing, code in (
        (Client(5), SIGNING, "bad_signature"),
        (Client(5, {"X-Signature": "x"}), SIGNING, "bad_signature"),
        (Client(5, signature(b"")), Signing("X-Signature", "sha256", ()), "signing_key_unavailable"),
        (Client(BODY_LIMIT_BYTES + 1, signature(b"")), SIGNING, "body_too_large"),
    ):
        assert await outcome(signed_bodies(), client, [], signing=signing, end=False) == code


@pytest.mark.parametrize("size", [200_001, 300_000])
async def test_a_chunked_body_over_the_limit(size: int) -> None:
    bodies = signed_bodies(limit=200_000)
    pieces = [b"x" * 50_000 for _ in range(size // 50_000)] + [b"x" * (size % 50_000)]
    assert await outcome(bodies, Client(None, signature(b"".join(pieces))), pieces) == "body_too_large"
    assert bodies.room_bytes == ROOM_BYTES


async def test_the_limit_of_all_bodies_holds_too() -> None:
    assert await outcome(signed_bodies(limit=3), Client(4, signature(b"1234")), [b"1234"]) == "body_too_large"
    assert (
        await outcome(signed_bodies(limit=3), Client(None, signature(b"1234")), [b"1234"]) == "body_too_large"
    )


async def test_large_bodies_share_their_room_and_small_ones_need_none() -> None:
    large, small = b"x" * (EARLY_BYTES + 60_000), b"x" * EARLY_BYTES
    bodies = signed_bodies(room=100_000)
    first = Client(len(large), signature(large))
    first.stream.feed_data(large)
    first.stream.feed_eof()
    async with bodies.verified(first.request, SIGNING):
        assert bodies.room_bytes == 40_000
        assert await outcome(bodies, Client(len(large), signature(large)), [large]) == "too_many_bodies"
        assert await outcome(bodies, Client(len(small), signature(small)), [small]) == small
    assert bodies.room_bytes == 100_000
    assert await outcome(bodies, Client(len(large), signature(large)), [large]) == large


async def test_who_is_too_slow_gives_the_room_back() -> None:
    bodies = signed_bodies(rate=LeastRate(1e9, 0.01))
    large = b"x" * (EARLY_BYTES + 1)
    client = Client(len(large) + 1, signature(large + b"x"))
    assert await outcome(bodies, client, [large], end=False) == "request_timeout"
    assert bodies.room_bytes == ROOM_BYTES


async def test_who_leaves_gives_the_room_back() -> None:
    """Cancelled while it waits for more, and while the call goes on."""
    large = b"x" * (EARLY_BYTES + 60_000)
    for whole in (False, True):
        bodies = signed_bodies(room=100_000)
        client = Client(len(large) + 1 - whole, signature(large))
        calling = spawn(_called_for_ever(bodies, client), "call")
        await client.send([large], end=whole)
        for _ in range(10):
            await asyncio.sleep(0)
        assert bodies.room_bytes == 40_000
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert bodies.room_bytes == 100_000


async def _called_for_ever(bodies: SignedBodies, client: Client) -> None:
    async with bodies.verified(client.request, SIGNING):
        await asyncio.Event().wait()
