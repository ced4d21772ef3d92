"""A connection that ends before any byte of an answer: when the request is sent again, and when never."""

import pytest

from tests.integration.router.conftest import RouterProcess, RunInstance, get, post
from tests.integration.router.instances import Instance, say_ok, says
from tests.integration.router.wire import Message, Wire


class ClosesReused:
    """Answers the first request on each connection, and closes it at the second without a byte."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    async def __call__(self, wire: Wire, request: Message) -> None:
        self.seen.append(request.method)
        if getattr(wire, "was_used", False):
            wire.abort()
            return
        wire.was_used = True  # type: ignore[attr-defined]
        await say_ok(wire, request)


@pytest.fixture(autouse=True)
def _short_obituary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.calls.OBITUARY_WAIT_S", 0.05)


async def test_an_idempotent_request_is_sent_once_more(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    behave = ClosesReused()
    await run_instance(behave)
    assert (await router.get()).status == 200
    assert (await router.get()).status == 200
    assert behave.seen == [b"GET", b"GET", b"GET"]


async def test_one_whose_body_was_read_beforehand_is_too(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    behave = ClosesReused()
    instance = await run_instance(behave)
    assert (await router.get()).status == 200
    chunked = (
        b"PUT /function/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    assert (await router.call(chunked)).status == 200
    assert behave.seen == [b"GET", b"PUT", b"PUT"]
    assert [each.body for each in instance.requests[1:]] == [b"abc", b"abc"]


async def test_one_whose_body_is_streamed_is_not(router: RouterProcess, run_instance: RunInstance) -> None:
    """What has been read of it is gone."""
    behave = ClosesReused()
    await run_instance(behave)
    assert (await router.get()).status == 200
    large = post(b"x" * 200_000).replace(b"POST", b"PUT", 1)
    assert (await router.call(large)).status == 502
    assert behave.seen == [b"GET", b"PUT"]


async def test_any_other_request_is_not(router: RouterProcess, run_instance: RunInstance) -> None:
    behave = ClosesReused()
    await run_instance(behave)
    assert (await router.get()).status == 200
    wire = await router.connect()
    await wire.send(post(b"once"))
    assert (await wire.answer()).status == 502
    assert behave.seen == [b"GET", b"POST"]


async def test_nor_is_one_on_a_new_connection(router: RouterProcess, run_instance: RunInstance) -> None:
    seen = []

    async def crash(wire: Wire, request: Message) -> None:
        seen.append(request.method)
        wire.abort()

    await run_instance(crash)
    assert (await router.get()).status == 502
    assert seen == [b"GET"]


async def test_nor_is_one_whose_answer_has_begun(router: RouterProcess, run_instance: RunInstance) -> None:
    instance: Instance = await run_instance()
    assert (await router.get()).status == 200
    seen = []

    async def half(wire: Wire, request: Message) -> None:
        seen.append(request.method)
        await says(b"HTTP/1.1 2")(wire, request)
        wire.abort()

    instance.behave = half
    wire = await router.connect()
    await wire.send(get())
    assert (await wire.answer()).status == 502
    assert seen == [b"GET"]
