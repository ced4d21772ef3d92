"""Frames of a link: cut anywhere by the network, paused, garbage, silence. Real sockets: integration."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plat import link as module
from plat.link import MISSED_BEATS, Link
from tests.unit.plat.link_rig import Wire, frame


def opened(heard: list[bytes]) -> tuple[Link, Wire]:
    link, wire = Link(heard.append), Wire()
    wire.open(link)
    return link, wire


@given(st.lists(st.binary(min_size=1, max_size=40)), st.lists(st.integers(1, 60)))
def test_messages_are_heard_as_they_were_sent_wherever_they_are_cut(
    messages: list[bytes], cuts: list[int]
) -> None:
    async def story() -> list[bytes]:
        heard: list[bytes] = []
        link, wire = opened(heard)
        for message in messages:
            assert link.send(message)
        data, places = bytes(wire.written), iter(cuts)
        while data:
            size = next(places, len(data))
            link.data_received(data[:size])
            data = data[size:]
        assert wire.take() == messages
        wire.end()
        return heard

    assert asyncio.run(story()) == messages


async def test_paused_it_hears_nothing_and_then_all() -> None:
    heard: list[bytes] = []
    link, wire = opened(heard)
    link.pause()
    wire.say(b"one")
    wire.say(b"two")
    assert heard == []
    link.resume()
    assert heard == [b"one", b"two"]


async def test_paused_by_what_it_hears_it_stops_there() -> None:
    heard: list[bytes] = []

    def hear(message: bytes) -> None:
        heard.append(message)
        link.pause()

    link, wire = Link(hear), Wire()
    wire.open(link)
    link.data_received(frame(b"one") + frame(b"two") + frame(b"three"))
    assert heard == [b"one"]
    link.resume()
    assert heard == [b"one", b"two"]


async def test_a_message_that_cannot_be_used_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    def hear(message: bytes) -> None:
        heard.append(message)
        raise ValueError(message.decode())

    heard: list[bytes] = []
    link, wire = Link(hear), Wire()
    wire.open(link)
    link.data_received(frame(b"garbage") + frame(b"more"))
    assert wire.closing
    assert heard == [b"garbage"]
    assert "a message cannot be used" in caplog.text


async def test_a_message_that_is_too_long_ends_it_before_it_is_here() -> None:
    heard: list[bytes] = []
    link, wire = opened(heard)
    link.data_received(b"\xff\xff\xff\xffHTTP")
    assert wire.closing
    assert heard == []


async def test_nothing_is_sent_over_a_link_that_ends() -> None:
    link, wire = opened([])
    wire.closing = True
    assert not link.send(b"lost")
    assert not Link([b""].append).send(b"never opened")
    assert wire.take() == []
    assert not link.closed.is_set()
    wire.end()
    assert link.closed.is_set()


async def test_it_says_that_it_lives_and_ends_when_nothing_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.001)
    heard: list[bytes] = []
    _, wire = opened(heard)
    async with asyncio.timeout(20):
        while not wire.closing:  # noqa: ASYNC110 - looked at from outside
            await asyncio.sleep(0.001)
    assert wire.take() == [b""] * MISSED_BEATS
    assert heard == []


async def test_it_lives_as_long_as_anything_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.0)
    heard: list[bytes] = []
    link, wire = opened(heard)
    for _ in range(200):
        await asyncio.sleep(0)
        wire.say(b"")
    assert link.is_open
    assert len(wire.take()) > 5 * MISSED_BEATS
    assert heard == []
    wire.end()
    await asyncio.sleep(0.01)
    assert wire.take() == [], "who has ended says nothing"
